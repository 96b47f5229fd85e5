//! The socket in a store's directory: how it is made, and how it is found. It must not know what
//! is said there.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;

use super::super::directory::{SHARING, SOCKET, create_private};

/// Listens in the store at `store`, whose lock the caller holds. Nobody but the owner of the
/// directory can connect, at any moment.
pub(super) fn listen(store: &Path) -> io::Result<UnixListener> {
    let sharing = store.join(SHARING);
    create_private(&sharing).map_err(io::Error::other)?;
    // Whoever made it, and before there is anything in it.
    fs::set_permissions(&sharing, Permissions::from_mode(0o700))?;
    at_address(&sharing, |address| UnixListener::bind(address))
}

pub(super) fn connect(store: &Path) -> io::Result<UnixStream> {
    at_address(&store.join(SHARING), |address| UnixStream::connect(address))
}

/// Whether whoever has the store open shares it, as soon as it is ready or as long as it was.
pub(super) fn is_there(store: &Path) -> bool {
    store.join(SHARING).join(SOCKET).exists()
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
