//! The texts of a configuration of nginx: a folder tree, perhaps copied from another machine, or what `nginx -T`
//! prints here.

pub mod master;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::host::Taken;
use super::{CommandError, Printed, read_bytes, run, tool};
use crate::admission::Text;
use crate::nginx::{Files, Glob, ReadError, Texts, matches_part};

/// Bytes that a file of a configuration may have.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Links that are followed for one path.
const LINKS_MAX: usize = 40;
/// Paths that a pattern may mean.
const PATHS_MAX: usize = 20_000;
/// Where Debian and others keep it; the path of who is not root may lack that.
const PROGRAM: &str = "/usr/sbin/nginx";

/// What to do where nginx can't be asked.
pub const CAPTURE_HELP: &str = "run it as root, or take its configuration as root and give that: `nginx -T > nginx.txt`, then `--nginx nginx.txt`";

/// What to do where a configuration's first file can't be read.
const MAIN_HELP: &str = "give the path of a `nginx.conf`, or of what `nginx -T` printed";

/// Asks nginx for its configuration. It reads its files anew: what a running nginx has loaded may be older.
pub fn capture() -> Result<Taken, CommandError> {
    let printed = match run("nginx", &["-T"]) {
        Err(CommandError::NotStarted { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
            run(PROGRAM, &["-T"])
        }
        other => other,
    };
    Ok(Taken { command: "nginx -T".to_owned(), text: Text::lossy(printed?) })
}

/// What an nginx takes where nothing else is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// The main file.
    pub main: PathBuf,
    /// The file that the master writes its number into.
    pub pid_file: PathBuf,
    /// The folder that relative paths of other files start in.
    pub prefix: PathBuf,
}

/// Runs nginx, which only looks at its configuration and ends; `None` where it is not here.
fn look(arguments: &[&str]) -> Result<Option<Printed>, CommandError> {
    match tool("nginx", arguments, &[])? {
        Some(printed) => Ok(Some(printed)),
        None => tool(PROGRAM, arguments, &[]),
    }
}

/// Asks nginx how it was built; `None` where it is not here.
pub fn defaults() -> Result<Option<Defaults>, CommandError> {
    Ok(look(&["-V"])?.map(|printed| defaults_of(&printed.stderr)))
}

fn defaults_of(said: &str) -> Defaults {
    let words = || said.split_whitespace().map(|word| word.trim_matches('\''));
    let given = |name: &str| words().find_map(|word| word.strip_prefix(name)).map(PathBuf::from);
    let prefix = given("--prefix=").unwrap_or_else(|| PathBuf::from("/usr/local/nginx"));
    let or = |name: &str, default: &str| prefix.join(given(name).unwrap_or_else(|| PathBuf::from(default)));
    let main = or("--conf-path=", "conf/nginx.conf");
    let pid_file = or("--pid-path=", "logs/nginx.pid");
    Defaults { main, pid_file, prefix }
}

/// Asks nginx whether it could load its configuration as it is now; `false` where nginx is not here.
pub fn test(config: Option<&Path>) -> Result<bool, CommandError> {
    let config = config.map(|config| config.display().to_string());
    let mut arguments = vec!["-t"];
    arguments.extend(config.iter().flat_map(|config| ["-c", config]));
    Ok(look(&arguments)?.is_some())
}

/// Texts of files that are as good as written: by path; `None` where a file will be gone.
pub type Planned = BTreeMap<PathBuf, Option<Text>>;

/// Reads a configuration of this host, with some files as they are planned.
pub fn with(main: &Path, planned: &Planned) -> Result<Files, ReadError> {
    let planned = planned.iter().map(|(path, text)| (resolved(path), text.clone())).collect();
    let texts = Overlay { tree: Tree { root: None, folder: None }, planned };
    let shown = main.display().to_string();
    let text = texts.text(&shown).map_err(|why| ReadError::whole(&shown, why, MAIN_HELP))?;
    Files::gather(&shown, text, &texts)
}

/// Whether two paths lead to one file, there or not.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    one == other || resolved(one) == resolved(other)
}

/// A path without links, as far as there is anything.
fn resolved(path: &Path) -> PathBuf {
    let whole = fs::canonicalize(path).ok();
    let in_folder = || Some(fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?));
    whole.or_else(in_folder).unwrap_or_else(|| path.to_path_buf())
}

/// A folder tree with some files as they are planned.
struct Overlay {
    tree: Tree,
    planned: Planned,
}

impl Texts for Overlay {
    fn paths(&self, pattern: Glob<'_>) -> Result<Vec<String>, String> {
        let mut found = self.tree.paths(pattern)?;
        let is_gone = |path: &String| matches!(self.planned.get(&resolved(Path::new(path))), Some(None));
        found.retain(|path| !is_gone(path));
        for (path, text) in &self.planned {
            let path = path.display().to_string();
            if text.is_some() && pattern.matches(&path) && !found.contains(&path) {
                found.push(path);
            }
        }
        Ok(found)
    }

    fn text(&self, path: &str) -> Result<Text, String> {
        match self.planned.get(&resolved(Path::new(path))) {
            Some(Some(text)) => Ok(text.clone()),
            Some(None) => Err(format!("`{path}` does not exist")),
            None => self.tree.text(path),
        }
    }
}

/// Reads a configuration: what `nginx -T` printed, or a main file and all that it includes.
///
/// `root` is the folder that stands for `/`, where the tree is a copy: paths and links then stay inside of it.
/// Without it, what includes files of this machine from a tree that looks like a copy is refused.
pub fn files(main: &Path, root: Option<&Path>) -> Result<Files, ReadError> {
    let shown = main.display().to_string();
    let bytes = read_bytes(main, FILE_BYTES_MAX)
        .map_err(|error| ReadError::whole(&shown, error.to_string(), MAIN_HELP))?;
    let text = Text::lossy(bytes);
    if let Some(dump) = Files::of_dump(&text) {
        return dump;
    }
    let Some(root) = root else {
        let folder = std::path::absolute(main).ok().and_then(|main| main.parent().map(Path::to_path_buf));
        return Files::gather(&shown, text, &Tree { root: None, folder });
    };
    let resolved = |path: &Path| {
        let failed = |cause: io::Error| {
            ReadError::whole(&path.display().to_string(), format!("can't be resolved: {cause}"), MAIN_HELP)
        };
        path.canonicalize().map_err(failed)
    };
    let root = resolved(root)?;
    // The file's own name is kept: it may be a link.
    let folder = main.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let inside = resolved(folder)?;
    let (Ok(inside), Some(name)) = (inside.strip_prefix(&root), main.file_name()) else {
        let message = format!("is not below `{}`", root.display());
        return Err(ReadError::whole(&shown, message, "name the folder that stands for `/`"));
    };
    let main = Path::new("/").join(inside).join(name).display().to_string();
    Files::gather(&main, text, &Tree { root: Some(root), folder: None })
}

/// A folder tree.
struct Tree {
    /// What stands for `/`.
    root: Option<PathBuf>,
    /// The main file's folder, where nothing else stands for `/`.
    folder: Option<PathBuf>,
}

impl Texts for Tree {
    fn paths(&self, pattern: Glob<'_>) -> Result<Vec<String>, String> {
        let pattern = pattern.as_str();
        self.refuse_mixture(pattern)?;
        let mut found = vec![if pattern.starts_with('/') { "/".to_owned() } else { String::new() }];
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            found = self.narrowed(&found, part)?;
            if found.len() > PATHS_MAX {
                return Err(format!("it means more than {PATHS_MAX} paths"));
            }
        }
        Ok(found)
    }

    fn text(&self, path: &str) -> Result<Text, String> {
        self.refuse_mixture(path)?;
        let bytes = read_bytes(&self.place(path)?, FILE_BYTES_MAX).map_err(|error| error.to_string())?;
        Ok(Text::lossy(bytes))
    }
}

impl Tree {
    /// What one more part of a pattern means below some folders.
    fn narrowed(&self, folders: &[String], part: &str) -> Result<Vec<String>, String> {
        let below = |folder: &str, name: &str| match folder {
            "" | "/" => format!("{folder}{name}"),
            _ => format!("{folder}/{name}"),
        };
        let mut found = Vec::new();
        if !part.contains(['*', '?', '[', '\\']) {
            for path in folders.iter().map(|folder| below(folder, part)) {
                found.extend(fs::symlink_metadata(self.place(&path)?).is_ok().then_some(path));
            }
            return Ok(found);
        }
        for folder in folders {
            let names = self.names(folder)?;
            found
                .extend(names.iter().filter(|name| matches_part(part, name)).map(|name| below(folder, name)));
        }
        Ok(found)
    }

    /// The names in a folder; none where there is no such folder.
    fn names(&self, folder: &str) -> Result<Vec<String>, String> {
        let place = self.place(if folder.is_empty() { "." } else { folder })?;
        let failed = |cause: io::Error| format!("`{}` can't be read: {cause}", place.display());
        let entries = match fs::read_dir(&place) {
            Ok(entries) => entries,
            Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            Err(cause) => return Err(failed(cause)),
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    }

    /// Where a path is on this machine.
    fn place(&self, path: &str) -> Result<PathBuf, String> {
        match &self.root {
            Some(root) => inside(root, Path::new(path)),
            None => Ok(PathBuf::from(path)),
        }
    }

    /// A copy of another machine's `/etc/nginx` must not be filled up with files of this one.
    fn refuse_mixture(&self, path: &str) -> Result<(), String> {
        let Some(folder) = self.folder.as_deref().filter(|_| path.starts_with('/')) else { return Ok(()) };
        let copied = folder.ancestors().skip(1).find(|root| {
            let own = folder.strip_prefix(root).unwrap_or(folder);
            root.parent().is_some() && Path::new(path).starts_with(Path::new("/").join(own))
        });
        match copied {
            Some(root) => Err(format!(
                "it is this machine's, and the main file looks like a copy: say `--nginx-root {}`, or `--nginx-root /` where it is none",
                root.display()
            )),
            None => Ok(()),
        }
    }
}

/// Where a path leads if a folder is the root of all: links and `..` stay inside.
fn inside(root: &Path, path: &Path) -> Result<PathBuf, String> {
    let mut rest: VecDeque<PathBuf> = path.components().map(|part| PathBuf::from(part.as_os_str())).collect();
    let (mut at, mut links) = (root.to_path_buf(), 0);
    while let Some(part) = rest.pop_front() {
        match part.components().next() {
            Some(Component::RootDir) => at = root.to_path_buf(),
            Some(Component::ParentDir) => {
                if at != root {
                    at.pop();
                }
            }
            Some(Component::Normal(name)) => {
                let next = at.join(name);
                let Ok(target) = fs::read_link(&next) else {
                    at = next;
                    continue;
                };
                links += 1;
                if links > LINKS_MAX {
                    return Err(format!("`{}` leads through more than {LINKS_MAX} links", path.display()));
                }
                for part in target.components().rev() {
                    rest.push_front(PathBuf::from(part.as_os_str()));
                }
            }
            Some(Component::CurDir | Component::Prefix(_)) | None => {}
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::nginx::read;

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a test makes its own files")]
        fs::write(path, text).unwrap();
    }

    fn names(main: &Path, root: Option<&Path>) -> Result<Vec<String>, ReadError> {
        let files = files(main, root)?;
        let config = read(&files)?;
        Ok(config.directives.iter().map(|directive| directive.name().to_owned()).collect())
    }

    #[test]
    fn planned_files_are_read_as_if_they_were_there() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let main = root.join("nginx.conf");
        write(&root, "nginx.conf", &format!("include {0}/d/*;\ninclude {0}/link/a;\n", root.display()));
        write(&root, "d/a", "old;");
        write(&root, "d/b", "b;");
        symlink(root.join("d"), root.join("link")).unwrap();
        let named = |planned: &[(&str, Option<&str>)]| {
            let planned =
                planned.iter().map(|(path, text)| (root.join(path), text.map(Text::from))).collect();
            let files = with(&main, &planned)?;
            let config = read(&files)?;
            Ok::<_, ReadError>(config.directives.iter().map(|one| one.name().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(named(&[]).unwrap(), ["old", "b", "old"]);
        assert_eq!(named(&[("link/a", Some("new;"))]).unwrap(), ["new", "b", "new"]);
        assert_eq!(named(&[("d/c", Some("c;")), ("d/b", None)]).unwrap(), ["old", "c", "old"]);
        assert!(named(&[("d/a", None)]).unwrap_err().message.contains("does not exist"));
        assert!(is_same_file(&root.join("link/a"), &root.join("d/a")));
        assert!(is_same_file(&root.join("link/x"), &root.join("d/x")));
    }

    #[test]
    fn what_was_built_in_is_told() {
        let said = "nginx version: nginx/1.22.1\nconfigure arguments: --with-cc-opt='-g -O2' --prefix=/usr/share/nginx --conf-path=/etc/nginx/nginx.conf --pid-path=/run/nginx.pid";
        let defaults = defaults_of(said);
        assert_eq!(defaults.main, Path::new("/etc/nginx/nginx.conf"));
        assert_eq!(defaults.pid_file, Path::new("/run/nginx.pid"));
        assert_eq!(defaults_of("").main, Path::new("/usr/local/nginx/conf/nginx.conf"));
    }

    #[test]
    fn patterns_are_read_in_the_order_of_their_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(root, "nginx.conf", "include d/*.conf;\ninclude none/*;\ninclude n?/x;\nlast;\n");
        for name in ["10.conf", "9.conf", "Z.conf", "_x.conf", "a.conf", ".h.conf", "é.conf"] {
            write(root, &format!("d/{name}"), &format!("{name};\n"));
        }
        write(root, "n1/x", "n1;");
        write(root, "n2/y", "n2;");
        let wanted = ["10.conf", "9.conf", "Z.conf", "_x.conf", "a.conf", "é.conf", "n1", "last"];
        assert_eq!(names(&root.join("nginx.conf"), None).unwrap(), wanted);
    }

    #[test]
    fn a_copied_tree_stays_inside_of_itself() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let main = root.join("etc/nginx/nginx.conf");
        write(root, "etc/nginx/nginx.conf", "include /etc/nginx/on/*;\ninclude ../../../../x/y;\n");
        write(root, "etc/nginx/all/site", "site;");
        write(root, "x/y", "y;");
        fs::create_dir_all(root.join("etc/nginx/on")).unwrap();
        symlink("/etc/nginx/all/site", root.join("etc/nginx/on/site")).unwrap();
        assert_eq!(names(&main, Some(root)).unwrap(), ["site", "y"]);
        let error = names(&main, None).unwrap_err();
        assert!(error.message.contains(&format!("`--nginx-root {}`", root.display())), "{error}");
        assert_eq!(error.line, 1);
        assert!(names(&main, Some(&root.join("x"))).unwrap_err().message.contains("is not below"));
        fs::remove_file(root.join("etc/nginx/on/site")).unwrap();
        symlink("/etc/nginx/on/site", root.join("etc/nginx/on/site")).unwrap();
        let error = names(&main, Some(root)).unwrap_err();
        assert!(error.message.contains("more than 40 links"), "{error}");
    }

    #[test]
    fn what_is_missing_or_no_file_is_refused_where_it_is_included() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(root, "sub/x", "");
        symlink("nowhere", root.join("sub/dangling.conf")).unwrap();
        for (word, words) in [
            ("none", "does not exist"),
            ("sub", "is not a regular file"),
            ("sub/*.conf", "does not exist"),
            ("/dev/null", "is not a regular file"),
        ] {
            write(root, "nginx.conf", &format!("\ninclude {word};\n"));
            let error = names(&root.join("nginx.conf"), None).unwrap_err();
            assert!(error.message.contains(words), "{error}");
            assert_eq!(error.line, 2);
        }
    }

    #[test]
    fn a_dump_is_known_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(
            root,
            "dump",
            "# configuration file /a/n.conf:\ninclude b;\n\n# configuration file /a/b:\nc;\n\n",
        );
        assert_eq!(names(&root.join("dump"), None).unwrap(), ["c"]);
    }
}
