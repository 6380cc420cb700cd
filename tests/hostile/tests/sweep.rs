//! Small data files, cut at every byte and with every byte changed: each is exported or refused as what it is. Nothing
//! panics, nothing takes long, and nothing takes much memory.
//!
//! `HOSTILE_FLIPS=255` changes each byte to every other value, and takes each layout in every role.
#![allow(clippy::unwrap_used)]

use hostile::{Role, judge, sample};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Each layout's roles where `HOSTILE_FLIPS` says nothing: every role is some layout's, and every bit of a byte is changed.
const ROLES: [[Role; 2]; 4] = [
    [Role::Copied, Role::Merged],
    [Role::Chosen, Role::Batched],
    [Role::Chosen, Role::Equality],
    [Role::Positions, Role::Merged],
];
/// A case takes less than a millisecond; what takes so long does not end.
const LONGEST: Duration = Duration::from_secs(20);
/// Address space in KiB that one case may add to what the process has taken: a file has some thousand bytes.
const MOST_KIB: u64 = 256 << 10;

/// Judges a file in a role; tells what is wrong.
fn case(role: Role, bytes: &[u8]) -> Result<(), String> {
    let (before, began) = (peak_kib(), Instant::now());
    let judged = catch_unwind(AssertUnwindSafe(|| judge(bytes, role)));
    judged.map_err(|why| match (why.downcast_ref::<String>(), why.downcast_ref::<&str>()) {
        (Some(why), _) => why.clone(),
        (None, why) => why.copied().unwrap_or_default().to_owned(),
    })?;
    if began.elapsed() > LONGEST {
        return Err(format!("it took {:?}", began.elapsed()));
    }
    match before.zip(peak_kib()) {
        Some((before, after)) if after > before + MOST_KIB => Err(format!("it took {} MiB", (after - before) >> 10)),
        _ => Ok(()),
    }
}

/// The most address space that this process has had; `None` where the system does not tell.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Every case of a file in a role that fails, and why.
fn failures(layout: &str, file: &[u8], role: Role, flips: &[u8]) -> Vec<String> {
    let mut failed = Vec::new();
    let mut note = |what: String, done: Result<(), String>| {
        failed.extend(done.err().map(|why| format!("{layout} as {role:?}, {what}: {why}")));
    };
    note("whole".into(), case(role, file));
    for end in 0..file.len() {
        note(format!("cut at {end}"), case(role, &file[..end]));
    }
    let mut changed = file.to_vec();
    for at in 0..file.len() {
        for flip in flips {
            changed[at] = file[at] ^ flip;
            note(format!("byte {at} changed by {flip:#04x}"), case(role, &changed));
        }
        changed[at] = file[at];
    }
    failed
}

#[test]
fn a_file_cut_or_changed_at_any_byte_is_exported_or_refused() {
    let flips: Option<u8> = std::env::var("HOSTILE_FLIPS").ok().map(|count| count.parse().unwrap());
    let changes: Vec<u8> = flips.map_or(vec![0xff], |count| (1..=count).collect());
    // The decoder's panics are caught where they arise; told, they would fill the log.
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let files = sample::files();
    let of_file = |((layout, file), usual): (&(&str, bytes::Bytes), &[Role; 2])| {
        let roles: &[Role] = if flips.is_some() { &Role::ALL } else { usual };
        roles.iter().flat_map(|role| failures(layout, file, *role, &changes)).collect::<Vec<_>>()
    };
    let failed: Vec<_> = files.iter().zip(&ROLES).flat_map(of_file).collect();
    std::panic::set_hook(told);
    let some: Vec<_> = failed.iter().take(20).collect();
    assert!(failed.is_empty(), "{} cases, {some:#?}", failed.len());
}
