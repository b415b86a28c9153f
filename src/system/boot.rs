//! A clock that nobody sets: how long this kernel has been running, asleep or awake, and which start of it this is.

use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::{ReadError, read_listing};

/// A point in time of one start of the kernel. The wall clock can be set back or forward; this can't.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uptime {
    /// Which start: a text that the kernel makes anew each time.
    pub boot: String,
    /// How long ago that was, suspended time counted.
    pub elapsed: Duration,
}

impl Uptime {
    /// Now.
    pub fn now() -> Result<Self, ReadError> {
        Ok(Self { boot: boot_id()?, elapsed: since_boot() })
    }

    /// The same start of the kernel, as far along as it is now.
    #[must_use]
    pub fn later(&self) -> Self {
        Self { boot: self.boot.clone(), elapsed: since_boot() }
    }
}

/// The kernel's name for this start of itself.
pub fn boot_id() -> Result<String, ReadError> {
    let text = read_listing(Path::new("/proc/sys/kernel/random/boot_id"), 256)?.text;
    Ok(text.trim().to_owned())
}

/// How long the kernel has been running, suspended time counted.
pub fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    // It is never negative, and nanoseconds are below a second.
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_the_kernels() {
        let first = Uptime::now().unwrap();
        let second = first.later();
        assert_eq!(first.boot, boot_id().unwrap());
        assert_eq!(first.boot.len(), 36);
        assert!(second.elapsed >= first.elapsed);
        // The same as what `/proc/uptime` says, which counts suspended time too.
        let text = read_listing(Path::new("/proc/uptime"), 256).unwrap().text;
        let told: f64 = text.split(' ').next().unwrap().parse().unwrap();
        assert!((told - second.elapsed.as_secs_f64()).abs() < 5.0, "{told}");
    }
}
