//! Paths are accepted as the kernel accepts them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::path::Path;

use crate::unix_socket::socket_file::{MAX_PATH_LEN, path_error};

/// A path is accepted exactly when the kernel accepts it for a socket: not empty, without NUL, and not too long.
pub fn path(data: &[u8]) {
    let path = Path::new(OsStr::from_bytes(data));
    let accepted = !data.is_empty() && !data.contains(&0) && data.len() <= MAX_PATH_LEN;
    match path_error(path) {
        None => {
            assert!(accepted, "accepted: {path:?}");
            assert!(SocketAddr::from_pathname(path).is_ok(), "the kernel rejects the path {path:?}");
        }
        Some(reason) => assert!(!accepted && !reason.is_empty(), "rejected: {path:?}: {reason}"),
    }
}
