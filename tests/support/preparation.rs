//! Installing and compiling: it may take minutes on a busy machine, and is not held against the test that needs it.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::within;

/// How long installing or compiling may take.
pub const DEADLINE: Duration = Duration::from_secs(15 * 60);

/// How long this program has prepared something so far.
static CLOCK: Mutex<Clock> = Mutex::new(Clock { running: 0, since: None, before: Duration::ZERO });

struct Clock {
    /// How many preparations run side by side.
    running: usize,
    /// When the first of them began.
    since: Option<Instant>,
    /// What earlier ones took.
    before: Duration,
}

/// Waits for a preparation, and fails the test if it takes longer than [`DEADLINE`].
pub async fn prepared<T>(what: &str, preparation: impl Future<Output = T>) -> T {
    let _running = Running::begin();
    within(what, DEADLINE, preparation).await
}

/// How much longer a test may take that has waited meanwhile.
pub(crate) fn taken() -> Duration {
    let clock = CLOCK.lock().unwrap();
    clock.before + clock.since.map_or(Duration::ZERO, |since| since.elapsed())
}

/// A preparation that has not ended.
struct Running;

impl Running {
    fn begin() -> Self {
        let mut clock = CLOCK.lock().unwrap();
        clock.running += 1;
        clock.since.get_or_insert_with(Instant::now);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut clock = CLOCK.lock().unwrap();
        clock.running -= 1;
        if clock.running == 0 {
            let taken = clock.since.take().map_or(Duration::ZERO, |since| since.elapsed());
            clock.before += taken;
        }
    }
}
