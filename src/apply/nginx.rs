//! A file that nginx includes: put in place, tested and loaded, or put back.

use std::path::Path;

use crate::holding::Content;
use crate::nginx::{self, Config, ReadError};
use crate::plain::line;
use crate::system::durable::DurableError;
use crate::system::fault::{self, Fault};
use crate::system::installed::{remove_installed, replace_installed};
use crate::system::nginx::master::{Default, Master, ReloadError};
use crate::system::nginx::{self as tool, Defaults, Planned};
use crate::system::{self, CommandError};

/// Largest file that is taken for one of ours, in bytes.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// What stands in every file of ours.
const MARK: &str = "callgate";

/// Why a file was not put in place, or is not in force.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// What is there can't be read.
    #[error(transparent)]
    Read(#[from] system::ReadError),
    /// What is there is somebody else's.
    #[error("`{path}` holds what callgate has not written")]
    Foreign {
        /// The file.
        path: String,
    },
    /// nginx is not here.
    #[error("`nginx` is not here, and file {path} needs it")]
    Missing {
        /// The file.
        path: String,
    },
    /// Its configuration includes the file, which is not there yet.
    #[error("nginx's configuration includes `{path}`, which is not there: nginx would not start with it")]
    TooEarly {
        /// The file.
        path: String,
    },
    /// Its configuration can't be read.
    #[error("nginx's configuration: {0}")]
    Configuration(#[from] ReadError),
    /// It refuses its configuration already.
    #[error("nginx refuses its configuration as it is, before anything is changed: {0}")]
    Broken(CommandError),
    /// It refuses its configuration with what was put there, and what was there before is there again.
    #[error(
        "nginx refuses its configuration with what was put there, and what was there before is back: {0}"
    )]
    Refused(CommandError),
    /// It is not known which process it is.
    #[error("nginx runs as process {pid}, and `{pid_file}` does not say so")]
    Stray {
        /// The process.
        pid: u32,
        /// Where its number should be.
        pid_file: String,
    },
    /// It did not load it.
    #[error(transparent)]
    Reload(#[from] ReloadError),
    /// It can't be written.
    #[error(transparent)]
    Write(#[from] DurableError),
    /// The old file can't be put back.
    #[error("{why}; and the old file can't be put back: {cause}")]
    NotBack {
        /// What went wrong before.
        why: String,
        /// What went wrong then.
        cause: DurableError,
    },
    /// A test wanted it.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl FileError {
    /// What to do.
    pub fn help(&self) -> String {
        match self {
            FileError::Read(_) => "look at what is there: the file has to be text, and readable".to_owned(),
            FileError::Foreign { path } => format!(
                "name another file with `install:`, or move this one away; a template of yours has to keep its header. `{path}` is left alone"
            ),
            FileError::Missing { .. } => {
                "install nginx, or leave `install:` out of the target that needs it".to_owned()
            }
            FileError::TooEarly { path } => {
                format!("begin with an empty one: `install -D -m 0644 /dev/null {path}`, then try again")
            }
            FileError::Configuration(error) => error.help.clone(),
            FileError::Broken(_) => "mend it first: `nginx -t` tells what is wrong".to_owned(),
            FileError::Refused(_) => {
                "mend the place that it names, or the template that the file is made from".to_owned()
            }
            FileError::Stray { pid_file, .. } => format!(
                "`nginx -s reload` would not find it either: restart nginx, so that it writes its number into `{pid_file}`"
            ),
            FileError::Reload(error) => error.help().to_owned(),
            FileError::Write(error) | FileError::NotBack { cause: error, .. } => error.help(),
            FileError::Fault(_) => "unset CALLGATE_FAULT".to_owned(),
        }
    }
}

/// Where a file is, and whose it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) path: &'a Path,
    /// The main file, where it is not the one that nginx takes by itself.
    pub(super) config: Option<&'a Path>,
}

/// What is in a file; a link is followed.
pub(super) fn read(path: &Path) -> Result<Content, FileError> {
    match system::read_bytes(path, FILE_BYTES_MAX) {
        Err(system::ReadError::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text.into())),
            Err(_) => Err(FileError::Foreign { path: path.display().to_string() }),
        },
    }
}

impl Place<'_> {
    fn shown(self) -> String {
        line(&self.path.display().to_string())
    }

    /// Whether a file could be put here and loaded. Nothing is changed.
    pub(super) fn check(self) -> Result<(), FileError> {
        let is_foreign = |text: &str| !text.contains(MARK) && !nginx::are_alike(text, "");
        if read(self.path)?.as_deref().is_some_and(is_foreign) {
            return Err(FileError::Foreign { path: self.shown() });
        }
        let missing = || FileError::Missing { path: self.shown() };
        let defaults = tool::defaults().map_err(FileError::Broken)?.ok_or_else(missing)?;
        tool::test(self.config).map_err(FileError::Broken)?;
        self.master(&defaults).map(drop)
    }

    /// Puts a file in place and has it loaded; `None` takes it away. What nginx refuses is not left behind.
    pub(super) fn put(self, content: &Content) -> Result<(), FileError> {
        let before = read(self.path)?;
        self.write(content)?;
        fault::point("nginx-written")?;
        if let Err(cause) = tool::test(self.config) {
            return Err(self.back(&before, FileError::Refused(cause)));
        }
        fault::point("nginx-tested")?;
        match self.load() {
            // It goes on with what it had, and nothing has seen the new file.
            Err(refused @ FileError::Reload(ReloadError::Refused { .. })) => Err(self.back(&before, refused)),
            loaded => loaded,
        }
    }

    /// Has nginx load what is there, where it runs: its next start has it anyway.
    pub(super) fn load(self) -> Result<(), FileError> {
        let master = match tool::defaults().map_err(FileError::Broken)? {
            Some(defaults) => self.master(&defaults)?,
            None => None,
        };
        if let Some(master) = master {
            master.reload()?;
        }
        Ok(fault::point("nginx-reloaded")?)
    }

    fn master(self, defaults: &Defaults) -> Result<Option<Master>, FileError> {
        let main = main_file(self.config, defaults);
        let files = tool::with(main, &Planned::new())?;
        running(main, defaults, &nginx::read(&files)?)
    }

    fn write(self, content: &Content) -> Result<(), DurableError> {
        match content {
            Some(text) => replace_installed(self.path, text.as_bytes()).map(drop),
            None => remove_installed(self.path).map(drop),
        }
    }

    fn back(self, before: &Content, why: FileError) -> FileError {
        match self.write(before) {
            Ok(()) => why,
            Err(cause) => FileError::NotBack { why: why.to_string(), cause },
        }
    }
}

/// The main file of a configuration.
pub(super) fn main_file<'a>(config: Option<&'a Path>, defaults: &'a Defaults) -> &'a Path {
    config.unwrap_or(&defaults.main)
}

/// The master that runs with a configuration; `None` where none does.
pub(super) fn running(
    main: &Path,
    defaults: &Defaults,
    config: &Config<'_>,
) -> Result<Option<Master>, FileError> {
    let named = config.directives.iter().find(|directive| directive.name() == "pid");
    let named = named.and_then(|directive| directive.arguments().first());
    let pid_file = named.map_or_else(|| defaults.pid_file.clone(), |path| defaults.prefix.join(&**path));
    if let Some(master) = Master::of(&pid_file)? {
        return Ok(Some(master));
    }
    let is_default = if main == defaults.main { Default::Yes } else { Default::No };
    match Master::stray(main, is_default) {
        Some(pid) => Err(FileError::Stray { pid, pid_file: line(&pid_file.display().to_string()) }),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::*;
    use crate::system::{replace_file, run};

    /// An nginx of one's own, which listens on a socket in its folder and ends with the value.
    struct Served {
        folder: tempfile::TempDir,
    }

    const ZONE: &str = "limit_req_zone $binary_remote_addr zone=a:1m rate=9r/s;";

    impl Served {
        /// Lays a configuration out; `None`, and said, where there is no nginx.
        fn laid_out() -> Option<Self> {
            if run("nginx", &["-v"]).is_err() {
                eprintln!("skipped: nginx is not here");
                return None;
            }
            let served = Self { folder: tempfile::tempdir().unwrap() };
            served.configure(ZONE);
            replace_file(&served.file(), b"# callgate\nallow 192.0.2.1;\ndeny all;\n").unwrap();
            Some(served)
        }

        fn configure(&self, extra: &str) {
            let folder = self.folder.path().display();
            let text = format!(
                "worker_processes 2;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\nevents {{ }}\nhttp {{\n\
                 access_log off;\nclient_body_temp_path {folder}/t1;\nproxy_temp_path {folder}/t2;\nfastcgi_temp_path {folder}/t3;\n\
                 uwsgi_temp_path {folder}/t4;\nscgi_temp_path {folder}/t5;\n{extra}\n\
                 server {{ listen unix:{folder}/socket; location / {{ include {folder}/list.conf; }} }}\n}}\n"
            );
            replace_file(&self.config(), text.as_bytes()).unwrap();
        }

        fn start(&self) -> Master {
            // What it warns of before its log is open is of no use here.
            let said = self.folder.path().join("error.log").display().to_string();
            run("nginx", &["-e", &said, "-c", self.config().to_str().unwrap()]).unwrap();
            let place = Place { path: &self.file(), config: Some(&self.config()) };
            place.master(&tool::defaults().unwrap().unwrap()).unwrap().unwrap()
        }

        fn config(&self) -> PathBuf {
            self.folder.path().join("nginx.conf")
        }

        fn file(&self) -> PathBuf {
            self.folder.path().join("list.conf")
        }

        fn put(&self, content: Option<&str>) -> Result<(), FileError> {
            let (path, config) = (self.file(), self.config());
            let place = Place { path: &path, config: Some(&config) };
            place.check()?;
            place.put(&content.map(Into::into))
        }

        /// The number of its youngest worker.
        fn worker(master: Master) -> u32 {
            let path = format!("/proc/{0}/task/{0}/children", master.pid());
            let text = fs::read_to_string(path).unwrap();
            text.split_whitespace().map(|pid| pid.parse().unwrap()).max().unwrap()
        }
    }

    impl Drop for Served {
        fn drop(&mut self) {
            let _ = run("nginx", &["-c", self.config().to_str().unwrap(), "-s", "stop"]);
        }
    }

    const NEW: &str = "# callgate\nallow 192.0.2.2;\ndeny all;\n";

    #[test]
    fn a_file_is_put_in_place_and_loaded() {
        let Some(served) = Served::laid_out() else { return };
        let master = served.start();
        fs::set_permissions(served.file(), fs::Permissions::from_mode(0o640)).unwrap();
        for content in [NEW, "# callgate\ndeny all;\n", NEW] {
            let before = Served::worker(master);
            served.put(Some(content)).unwrap();
            assert_eq!(fs::read_to_string(served.file()).unwrap(), content);
            assert!(Served::worker(master) > before, "nothing was loaded");
        }
        assert_eq!(fs::metadata(served.file()).unwrap().permissions().mode() & 0o7777, 0o640);
    }

    #[test]
    fn a_file_that_nginx_refuses_is_not_left_behind() {
        let Some(served) = Served::laid_out() else { return };
        let master = served.start();
        let (old, worker) = (fs::read(served.file()).unwrap(), Served::worker(master));
        let error = served.put(Some("# callgate\nallow 192.0.2.999;\n")).unwrap_err();
        assert!(
            matches!(&error, FileError::Refused(_)) && error.to_string().contains("192.0.2.999"),
            "{error}"
        );
        // It is included: without it nginx would not start.
        assert!(matches!(served.put(None).unwrap_err(), FileError::Refused(_)));
        assert_eq!((fs::read(served.file()).unwrap(), Served::worker(master)), (old, worker));
    }

    #[test]
    fn a_reload_that_nginx_refuses_is_noticed() {
        let Some(served) = Served::laid_out() else { return };
        let master = served.start();
        let (old, worker) = (fs::read(served.file()).unwrap(), Served::worker(master));
        // `nginx -t` knows nothing of the zone that runs.
        served.configure("limit_req_zone $server_name zone=a:1m rate=9r/s;");
        let error = served.put(Some(NEW)).unwrap_err();
        assert!(matches!(error, FileError::Reload(ReloadError::Refused { .. })), "{error}");
        assert!(error.to_string().contains("limit_req \"a\" uses the \"$server_name\" key"), "{error}");
        assert_eq!((fs::read(served.file()).unwrap(), Served::worker(master)), (old, worker));
        served.configure(ZONE);
        served.put(Some(NEW)).unwrap();
        assert!(Served::worker(master) > worker);
    }

    #[test]
    fn where_nginx_does_not_run_its_next_start_has_the_file() {
        let Some(served) = Served::laid_out() else { return };
        served.put(Some(NEW)).unwrap();
        assert_eq!(fs::read_to_string(served.file()).unwrap(), NEW);
        let master = served.start();
        // Its number is lost, and it runs all the same.
        fs::remove_file(served.folder.path().join("nginx.pid")).unwrap();
        let error = served.put(Some("# callgate\n")).unwrap_err();
        let pid = master.pid();
        assert!(matches!(error, FileError::Stray { pid: found, .. } if found == pid), "{error}");
        replace_file(&served.folder.path().join("nginx.pid"), format!("{pid}\n").as_bytes()).unwrap();
        served.put(Some("# callgate\n")).unwrap();
    }

    #[test]
    fn what_is_broken_or_somebody_elses_is_left_alone() {
        let Some(served) = Served::laid_out() else { return };
        served.configure("no_such_directive;");
        assert!(matches!(served.put(Some(NEW)).unwrap_err(), FileError::Broken(_)));
        served.configure(ZONE);
        for foreign in [&b"deny all;\n"[..], b"allow all; # \xff callgate\n"] {
            replace_file(&served.file(), foreign).unwrap();
            assert!(matches!(served.put(Some(NEW)).unwrap_err(), FileError::Foreign { .. }));
            assert_eq!(fs::read(served.file()).unwrap(), foreign);
        }
        replace_file(&served.file(), b"").unwrap();
        served.put(Some(NEW)).unwrap();
    }
}
