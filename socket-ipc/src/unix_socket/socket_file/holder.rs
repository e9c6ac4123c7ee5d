//! The process that holds a lock.

use std::fmt;
use std::fs::Metadata;

/// The process that holds a lock, as the system tells it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Holder {
    /// `None` for a process of another PID namespace.
    process: Option<u32>,
    program: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.process, &self.program) {
            (None, _) => f.write_str("a process that can't be seen from here"),
            (Some(process), None) => write!(f, "process {process}"),
            (Some(process), Some(program)) => write!(f, "process {process} ({program})"),
        }
    }
}

/// The process that holds the lock of a file; `None` where the system names none.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn of(file: &Metadata) -> Option<Holder> {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    let locks = fs::read_to_string("/proc/locks").ok()?;
    let process = locks.lines().find_map(|line| holder_in(line, file.dev(), file.ino()))?;
    let program = process.and_then(|process| fs::read_to_string(format!("/proc/{process}/comm")).ok());
    Some(Holder { process, program: program.map(|name| name.trim_end().to_owned()) })
}

/// Other systems do not tell.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn of(_file: &Metadata) -> Option<Holder> {
    None
}

/// The holder of the lock in a line of `/proc/locks`, if that is the lock of the file: `Some(None)` is a process
/// without an id in this PID namespace.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn holder_in(line: &str, device: u64, inode: u64) -> Option<Option<u32>> {
    // `1: FLOCK  ADVISORY  WRITE 1234 08:02:131085 0 EOF`; a process that waits for it has `->` after the first number.
    let [_, "FLOCK", _, _, process, file, ..] = line.split_whitespace().collect::<Vec<_>>()[..] else {
        return None;
    };
    let [major, minor, number] = file.split(':').collect::<Vec<_>>()[..] else { return None };
    let device_is = |text: &str, part: u32| u32::from_str_radix(text, 16) == Ok(part);
    let same = device_is(major, rustix::fs::major(device))
        && device_is(minor, rustix::fs::minor(device))
        && number.parse() == Ok(inode);
    same.then(|| process.parse().ok().filter(|process| *process > 0))
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::holder_in;

    #[test]
    fn holder_in_each_kind_of_line_returns_process() {
        let device = rustix::fs::makedev(0x1f, 2);
        let held = "1: FLOCK  ADVISORY  WRITE 1234 1f:02:131085 0 EOF";
        assert_eq!(holder_in(held, device, 131_085), Some(Some(1234)));
        assert_eq!(holder_in(held, device, 131_086), None);
        assert_eq!(holder_in(held, device + 1, 131_085), None);
        let elsewhere = "1: FLOCK  ADVISORY  WRITE 0 1f:02:131085 0 EOF";
        assert_eq!(holder_in(elsewhere, device, 131_085), Some(None));
        for other in [
            "2: POSIX  ADVISORY  WRITE 1234 1f:02:131085 0 EOF",
            "1: -> FLOCK  ADVISORY  WRITE 77 1f:02:131085 0 EOF",
            "nonsense",
            "",
        ] {
            assert_eq!(holder_in(other, device, 131_085), None, "{other}");
        }
    }
}
