//! The socket in a store's directory: how it is made, and how it is found. It must not know what
//! is said there.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;

use rustix::fs::OFlags;

use super::super::directory::{SHARING, SOCKET, create_private};

/// Listens in the store at `store`, whose lock the caller holds. Nobody but the owner of the
/// directory can connect, at any moment.
pub(super) fn listen(store: &Path) -> io::Result<UnixListener> {
    let sharing = store.join(SHARING);
    create_private(&sharing).map_err(io::Error::other)?;
    // Whoever made it, and before there is anything in it. Through a handle, so that it is the
    // directory itself and not what a link leads to.
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let mut options = OpenOptions::new();
    let options = options.read(true).custom_flags(flags.bits().cast_signed());
    let directory = options.open(&sharing)?;
    directory.set_permissions(Permissions::from_mode(0o700))?;
    let listener = at_address(&sharing, |address| UnixListener::bind(address))?;
    fs::set_permissions(sharing.join(SOCKET), Permissions::from_mode(0o600))?;
    Ok(listener)
}

pub(super) fn connect(store: &Path) -> io::Result<UnixStream> {
    let sharing = store.join(SHARING);
    if !is_of_store(store) {
        let message = format!("{} is a link, or holds one", sharing.display());
        return Err(io::Error::other(message));
    }
    at_address(&sharing, |address| UnixStream::connect(address))
}

/// Whether whoever has the store open shares it, as soon as it is ready or as long as it was.
pub(super) fn is_there(store: &Path) -> bool {
    is_of_store(store) && store.join(SHARING).join(SOCKET).exists()
}

/// A link could lead to somebody who only says that they have the store open.
fn is_of_store(store: &Path) -> bool {
    let sharing = store.join(SHARING);
    !sharing.is_symlink() && !sharing.join(SOCKET).is_symlink()
}

/// Hands out an address that is short enough: some 100 bytes. Linux has one for every path.
fn at_address<T>(sharing: &Path, call: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = sharing.join(SOCKET);
    if SocketAddr::from_pathname(&path).is_ok() || !cfg!(target_os = "linux") {
        return call(&path);
    }
    let directory = File::open(sharing)?;
    let address = format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd());
    call(Path::new(&address))
}
