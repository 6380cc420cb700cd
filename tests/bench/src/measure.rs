//! What a piece of work costs this process.

use crate::Outcome;
use serde::{Deserialize, Serialize};
use std::fs;
use std::time::Instant;

/// Ticks of `/proc/self/stat` in a second, on every Linux.
const TICKS: f64 = 100.0;

/// What a contestant's process says of its work: starting up and planning are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// CPU seconds, user and system, of all threads.
    pub cpu_seconds: f64,
    /// Seconds on the clock.
    pub wall_seconds: f64,
    /// Most memory that the process has had.
    pub peak_rss_bytes: u64,
}

/// Does the work and tells what it cost.
pub fn measured(work: impl FnOnce() -> Outcome<()>) -> Outcome<Cost> {
    let (cpu, began) = (cpu_seconds()?, Instant::now());
    work()?;
    Ok(Cost {
        wall_seconds: began.elapsed().as_secs_f64(),
        cpu_seconds: cpu_seconds()? - cpu,
        peak_rss_bytes: peak_rss_bytes()?,
    })
}

fn cpu_seconds() -> Outcome<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    cpu_of(&stat).ok_or_else(|| "/proc/self/stat does not tell CPU time".into())
}

/// User and system time: the 14th and 15th field, counted after the name, which may hold anything.
fn cpu_of(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

fn peak_rss_bytes() -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    peak.map(|kilobytes: u64| kilobytes * 1_024).ok_or_else(|| "/proc/self/status does not tell VmHWM".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "42 (a) b) R 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0";
        assert_eq!(cpu_of(stat), Some(3.0));
    }
}
