//! The instructions that a message takes: `cargo bench -p socket-ipc --bench instructions`.
//!
//! Each case runs twice under valgrind's callgrind, the second time with twice as many messages. The difference is the
//! cost of the messages alone, without the start of the program. It is compared with `instructions.txt`. A rise of more
//! than 5 % is a failure on the processor of the baseline; another processor may take other paths through memchr and
//! the C library. `-- --write` counts the baseline anew.
//!
//! No harness is used: a harness counts whole functions, including their set-up, and needs a second program of exactly
//! its version.

mod support;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::process::{Command, ExitCode};

use support::{Case, cases};

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");

/// The largest rise, in percent, that may be noise of addresses and hash seeds.
const TOLERATED: f64 = 5.0;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", name, messages] => {
            let case =
                cases().into_iter().find(|case| name_of(case) == *name).ok_or("there is no such case")?;
            case.run(messages.parse()?);
            Ok(ExitCode::SUCCESS)
        }
        [] => compare(),
        ["--write"] => {
            let mut baseline = format!("processor: {}\n", processor()?);
            for case in cases() {
                let _ = writeln!(baseline, "{}: {:.0}", name_of(&case), counted(&case)?);
            }
            print!("{baseline}");
            std::fs::write(BASELINE, baseline)?;
            Ok(ExitCode::SUCCESS)
        }
        _ => Err("expected no argument, or --write".into()),
    }
}

fn compare() -> Result<ExitCode, Box<dyn Error>> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: valgrind is not here");
        return Ok(if std::env::var_os("CI").is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    let baseline = std::fs::read_to_string(BASELINE)?;
    let mut baseline: BTreeMap<_, _> = baseline.lines().filter_map(|line| line.split_once(": ")).collect();
    let (here, there) =
        (processor()?, baseline.remove("processor").ok_or("the baseline names no processor")?);
    let same = here == there;
    if !same {
        println!("counted on {here}, the baseline on {there}: a difference is shown and is no failure");
    }
    println!("{:32} {:>10} {:>10} {:>8}", "instructions a message", "baseline", "now", "change");
    let mut risen = Vec::new();
    for case in cases() {
        let (name, now) = (name_of(&case), counted(&case)?);
        let before: f64 = baseline
            .remove(name.as_str())
            .ok_or_else(|| format!("the baseline lacks `{name}`: count it anew with --write"))?
            .parse()?;
        let change = (now / before - 1.0) * 100.0;
        println!("{name:32} {before:>10.0} {now:>10.0} {change:>+7.1}%");
        if change > TOLERATED {
            risen.push(name);
        }
    }
    if let Some(name) = baseline.keys().next() {
        return Err(format!("the baseline has `{name}`, which is no case: count it anew with --write").into());
    }
    if !risen.is_empty() {
        println!("risen by more than {TOLERATED} %: {}", risen.join(", "));
    }
    Ok(if same && !risen.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn name_of(case: &Case) -> String {
    format!("{}, {}", case.group, case.name)
}

/// The number of instructions for each message of a case.
fn counted(case: &Case) -> Result<f64, Box<dyn Error>> {
    let (once, twice) = (total(case, case.messages)?, total(case, 2 * case.messages)?);
    Ok((twice as f64 - once as f64) / case.messages as f64)
}

fn total(case: &Case, messages: usize) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["run", &name_of(case), &messages.to_string()])
        .output()?;
    let report = String::from_utf8_lossy(&output.stderr);
    report
        .lines()
        .filter(|_| output.status.success())
        .find_map(|line| line.split_once("Collected : "))
        .and_then(|(_, count)| count.trim().parse().ok())
        .ok_or_else(|| format!("valgrind counted nothing for `{}`:\n{report}", name_of(case)).into())
}

/// The processor's name, as the kernel reports it.
fn processor() -> Result<String, Box<dyn Error>> {
    let info = std::fs::read_to_string("/proc/cpuinfo")?;
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    Ok(name.map_or("unknown", |(_, name)| name.trim()).to_owned())
}
