//! Reading the files that the options name.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// The longest such file, in bytes.
const LEN: u64 = 1024 * 1024;

/// A file that can't be used.
#[derive(Debug)]
pub(super) struct BadFile {
    /// What it is for.
    pub(super) what: &'static str,
    pub(super) path: PathBuf,
    pub(super) reason: String,
}

/// Reads a file. The error is a reason, without the path.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => "it does not exist".to_owned(),
        ErrorKind::PermissionDenied => {
            let user = rustix::process::geteuid().as_raw();
            format!("user {user} may not read it: its mode, or that of a directory above, is in the way")
        }
        _ => error.to_string(),
    };
    // Opening a pipe could wait for ever.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LEN + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > LEN {
        return Err(format!("it is over the {LEN} bytes that such a file may have"));
    }
    Ok(bytes)
}
