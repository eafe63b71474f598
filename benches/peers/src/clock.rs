//! Wall and processor time, and what the process gave to the system to write.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// A running measurement.
pub struct Clock {
    wall: Instant,
    processor: f64,
}

/// What was measured, in seconds.
#[derive(Default, Clone, Copy)]
pub struct Time {
    pub wall: f64,
    /// User and system time of all threads.
    pub processor: f64,
}

impl Clock {
    pub fn start() -> Self {
        Self {
            processor: processor_time(),
            wall: Instant::now(),
        }
    }

    pub fn read(&self) -> Time {
        Time {
            wall: self.wall.elapsed().as_secs_f64(),
            processor: processor_time() - self.processor,
        }
    }
}

impl std::ops::AddAssign for Time {
    fn add_assign(&mut self, other: Self) {
        self.wall += other.wall;
        self.processor += other.processor;
    }
}

fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Bytes that the process gave to write calls so far; not a number where the system does not tell.
pub fn bytes_written() -> f64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let field = text.lines().find_map(|line| line.strip_prefix("wchar:"));
    field
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(f64::NAN)
}

/// The median; not a number without values.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value that this part of them does not pass.
pub fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values
        .get((last as f64 * part).round() as usize)
        .copied()
        .unwrap_or(f64::NAN)
}
