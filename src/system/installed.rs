//! Files that other programs read, such as a snippet that nginx includes: replaced without a change of anything but their
//! bytes.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr};
use rustix::io::Errno;

use super::durable::{DurableError, flush_folder, folder_of, make_folder, refused, replace};
use super::read_bytes;

/// Links followed at most, as the kernel does.
const LINKS_MAX: usize = 40;
/// The kernel's bound for a list of names, and for one value.
const ATTRIBUTE_BYTES_MAX: usize = 64 << 10;

/// Replaces a file whole and durably, and keeps its owner, group, mode, access lists and other extended attributes,
/// the context of `SELinux` for one. A link stays: the file that it leads to is replaced. A new file is readable by all.
/// One that already has these bytes is left alone; the answer says whether it was written.
pub fn replace_installed(path: &Path, bytes: &[u8]) -> Result<bool, DurableError> {
    let target = behind_links(path)?;
    let old = opened(&target)?;
    if old.is_some() && read_bytes(&target, bytes.len() as u64).is_ok_and(|found| found == bytes) {
        return Ok(false);
    }
    make_folder(folder_of(&target), 0o755)?;
    let dress = |new: &File| match &old {
        Some(old) => dress_like(old, new),
        None => new.set_permissions(Permissions::from_mode(0o644)),
    };
    replace(&target, bytes, ["installed-written", "installed-renamed"], dress)?;
    Ok(true)
}

/// Removes such a file durably. A link stays, and leads nowhere then. The answer says whether there was one.
pub fn remove_installed(path: &Path) -> Result<bool, DurableError> {
    let target = behind_links(path)?;
    if opened(&target)?.is_none() {
        return Ok(false);
    }
    fs::remove_file(&target).map_err(|cause| refused(&target, cause))?;
    flush_folder(&target)?;
    Ok(true)
}

/// The file that a path leads to, which need not be there.
fn behind_links(path: &Path) -> Result<PathBuf, DurableError> {
    let mut target = path.to_path_buf();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&target) {
            Ok(next) => target = folder_of(&target).join(next),
            // No link, or nothing at all: it ends here.
            Err(cause) if matches!(cause.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound) => {
                return Ok(target);
            }
            Err(cause) => return Err(refused(path, cause)),
        }
    }
    Err(refused(path, Errno::LOOP.into()))
}

/// The file as it is, to take its attributes from; `None` where there is none.
fn opened(target: &Path) -> Result<Option<File>, DurableError> {
    // Before it is opened: a pipe would wait for a writer.
    match fs::metadata(target) {
        Ok(found) if !found.is_file() => {
            return Err(DurableError::NotAFile { path: target.display().to_string() });
        }
        Ok(_) => {}
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(refused(target, cause)),
    }
    File::open(target).map(Some).map_err(|cause| refused(target, cause))
}

/// Gives a new file what the old one has. The mode comes last: a change of owner takes bits of it away, and an access
/// list changes those of the group.
fn dress_like(old: &File, new: &File) -> io::Result<()> {
    let (was, is) = (old.metadata()?, new.metadata()?);
    if (was.uid(), was.gid()) != (is.uid(), is.gid()) {
        fchown(new, Some(was.uid()), Some(was.gid()))?;
    }
    let wanted = attributes(old)?;
    for name in attributes(new)? {
        // A folder can have a default access list, which new files get; the old file had none of it.
        if !wanted.contains(&name) && !name.starts_with(b"security.") {
            fremovexattr(new, name.as_slice())?;
        }
    }
    for name in wanted {
        let value = attribute(old, &name)?;
        if attribute(new, &name).ok() != Some(value.clone()) {
            fsetxattr(new, name.as_slice(), &value, XattrFlags::empty())?;
        }
    }
    new.set_permissions(Permissions::from_mode(was.mode() & 0o7777))
}

/// The names of a file's extended attributes, but those that are made from its bytes: the kernel writes them anew.
fn attributes(file: &File) -> io::Result<Vec<Vec<u8>>> {
    let mut buffer = vec![0; ATTRIBUTE_BYTES_MAX];
    let length = match flistxattr(file, buffer.as_mut_slice()) {
        Ok(length) => length,
        // A file system without any.
        Err(Errno::NOTSUP) => 0,
        Err(errno) => return Err(errno.into()),
    };
    buffer.truncate(length);
    let names = buffer.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let kept = names.filter(|name| !matches!(*name, b"security.ima" | b"security.evm"));
    Ok(kept.map(<[u8]>::to_vec).collect())
}

fn attribute(file: &File, name: &[u8]) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; ATTRIBUTE_BYTES_MAX];
    let length = fgetxattr(file, name, buffer.as_mut_slice())?;
    buffer.truncate(length);
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::system::durable::tests::Small;
    use crate::system::run;

    fn is_root() -> bool {
        let root = rustix::process::geteuid().is_root();
        if !root {
            eprintln!("skipped: only root can give files away");
        }
        root
    }

    /// `user::rw-, user:1234:r--, group::r--, mask::rw-, other::---` as the kernel keeps it.
    fn access_list() -> Vec<u8> {
        let entry = |tag: u16, mode: u16, id: u32| {
            [&tag.to_le_bytes()[..], &mode.to_le_bytes()[..], &id.to_le_bytes()[..]].concat()
        };
        let none = u32::MAX;
        let entries = [(1, 6, none), (2, 4, 1234), (4, 4, none), (0x10, 6, none), (0x20, 0, none)];
        let entries = entries.into_iter().flat_map(|(tag, mode, id)| entry(tag, mode, id));
        2u32.to_le_bytes().into_iter().chain(entries).collect()
    }

    /// Owner, group, mode, and extended attributes with their values.
    type Looks = (u32, u32, u32, Vec<[Vec<u8>; 2]>);

    fn look(path: &Path) -> Looks {
        let file = File::open(path).unwrap();
        let found = file.metadata().unwrap();
        let names = attributes(&file).unwrap();
        let values = names.into_iter().map(|name| [name.clone(), attribute(&file, &name).unwrap()]).collect();
        (found.uid(), found.gid(), found.mode() & 0o7777, values)
    }

    #[test]
    fn only_the_bytes_of_a_file_change() {
        if !is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("callgate.conf");
        assert!(replace_installed(&path, b"allow 10.0.0.1;\n").unwrap());
        assert_eq!(look(&path).2, 0o644);
        let file = File::options().write(true).open(&path).unwrap();
        fchown(&file, Some(1001), Some(1002)).unwrap();
        let set = |name: &str, value: &[u8]| fsetxattr(&file, name, value, XattrFlags::empty());
        set("user.origin", b"somebody").unwrap();
        set("trusted.seal", b"x").unwrap();
        let listed = set("system.posix_acl_access", &access_list());
        // Without SELinux the kernel keeps what root writes here.
        let labelled = set("security.selinux", b"system_u:object_r:httpd_config_t:s0\0");
        file.set_permissions(Permissions::from_mode(0o4660)).unwrap();
        let before = look(&path);
        assert!(before.3.len() >= 2 + usize::from(listed.is_ok()) + usize::from(labelled.is_ok()));
        println!("access list {listed:?}, label {labelled:?}: {before:?}");

        assert!(replace_installed(&path, b"deny all;\n").unwrap());
        assert_eq!(look(&path), before);
        assert_eq!(fs::read(&path).unwrap(), b"deny all;\n");
        let inode = fs::metadata(&path).unwrap().ino();
        assert!(!replace_installed(&path, b"deny all;\n").unwrap());
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folders_default_access_list_is_not_put_on_a_file_without_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("callgate.conf");
        replace_installed(&path, b"one").unwrap();
        let before = look(&path);
        let opened = File::open(folder.path()).unwrap();
        if let Err(errno) =
            fsetxattr(&opened, "system.posix_acl_default", &access_list(), XattrFlags::empty())
        {
            eprintln!("skipped: no access lists here: {errno}");
            return;
        }
        replace_installed(&path, b"two").unwrap();
        assert_eq!(look(&path), before);
    }

    #[test]
    fn a_link_stays_and_its_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link, again) =
            (folder.path().join("real/a.conf"), folder.path().join("link"), folder.path().join("again"));
        symlink("real/a.conf", &link).unwrap();
        symlink(&link, &again).unwrap();
        // It leads nowhere yet.
        assert!(replace_installed(&again, b"one").unwrap());
        assert_eq!(fs::read(&real).unwrap(), b"one");
        assert!(replace_installed(&link, b"two").unwrap());
        assert_eq!(fs::read(&real).unwrap(), b"two");
        assert!(remove_installed(&again).unwrap());
        assert!(!remove_installed(&again).unwrap());
        assert!(link.is_symlink() && again.is_symlink() && !real.exists());

        let round = folder.path().join("round");
        symlink("round", &round).unwrap();
        let error = replace_installed(&round, b"x").unwrap_err();
        assert!(matches!(error, DurableError::Failed { .. }), "{error:?}");
    }

    #[test]
    fn what_can_not_be_replaced_is_told() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(replace_installed(folder.path(), b"x"), Err(DurableError::NotAFile { .. })));
        assert!(matches!(remove_installed(folder.path()), Err(DurableError::NotAFile { .. })));
        let pipe = folder.path().join("pipe");
        run("mkfifo", &[pipe.to_str().unwrap()]).unwrap();
        assert!(matches!(replace_installed(&pipe, b"x"), Err(DurableError::NotAFile { .. })));

        let Some(small) = Small::mounted() else { return };
        let path = small.path().join("a.conf");
        replace_installed(&path, b"old").unwrap();
        // A file that is mounted by itself, as containers have them.
        let (from, to) = (folder.path().join("from"), path.to_str().unwrap());
        replace_installed(&from, b"mounted").unwrap();
        run("mount", &["--bind", from.to_str().unwrap(), to]).unwrap();
        let error = replace_installed(&path, b"new").unwrap_err();
        run("umount", &[to]).unwrap();
        assert!(matches!(error, DurableError::MountPoint { .. }), "{error:?}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        small.make_read_only();
        assert!(matches!(replace_installed(&path, b"new"), Err(DurableError::ReadOnly { .. })));
        assert!(matches!(remove_installed(&path), Err(DurableError::ReadOnly { .. })));
    }

    #[test]
    fn an_immutable_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.conf");
        replace_installed(&path, b"old").unwrap();
        let name = path.to_str().unwrap();
        if let Err(error) = run("chattr", &["+i", name]) {
            eprintln!("skipped: {error}");
            return;
        }
        let error = replace_installed(&path, b"new").unwrap_err();
        run("chattr", &["-i", name]).unwrap();
        assert!(matches!(error, DurableError::NoPermission { .. }), "{error:?}");
        assert!(error.help().contains("lsattr"), "{}", error.help());
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}
