//! courseblocks beside what one would use instead: the same work on bare sled, redb, fjall, LMDB,
//! `native_db` and the original, interleaved in one run. Ratios are taken within a round, so that
//! they hold on a busy machine; absolute figures compare within one run only.

mod arguments;
mod contenders;
mod export;
#[expect(
    clippy::duration_suboptimal_units,
    reason = "shared with the benches, which support older compilers"
)]
#[path = "../../fleet/mod.rs"]
mod fleet;
mod interrupt;
mod machine;
mod numbers;
mod original;
mod results;
mod rounds;
mod scale;
mod spread;
mod table;
mod workloads;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use arguments::{Arguments, USAGE};
use interrupt::{Interrupt, Interrupted};
use original::Original;
use results::{Figure, Headline, Results, SCHEMA};
use rounds::Rounds;
use scale::Scale;
use workloads::original::{ONE_BLOCK, SEEN};
use workloads::size::{ALL_RECORDS, Weighed};
use workloads::threads::Readers;
use workloads::{Session, headers, one_block, rewrite, scan, whole};

const SEED: u64 = 1;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("{message}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("{error}: nothing was written");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let date = machine::date();
    let interrupt = Interrupt::listen()?;
    let mut left_out = Vec::new();
    let original = Original::start();
    let original = original.map_err(|reason| left_out.push(format!("the original: {reason}")));
    let mut session = Session {
        scale: if arguments.quick {
            Scale::quick()
        } else {
            Scale::full()
        },
        rounds: Rounds::new(&interrupt, SEED),
        original: original.ok(),
    };
    let python = session.original.as_ref().map(Original::python);
    let versions = machine::versions(python);
    let figures = measure(&mut session)?;
    let results = Results {
        schema: SCHEMA,
        date,
        quick: session.scale.quick,
        seconds: begun.elapsed().as_secs_f64(),
        machine: machine::machine(),
        versions,
        left_out,
        ratios: ratios(&figures),
        figures,
    };
    println!(
        "The worst of each goal's points\n\n{}",
        table::ratios(&results)
    );
    for reason in &results.left_out {
        println!("left out: {reason}");
    }
    if let Some(directory) = arguments.output.parent() {
        fs::create_dir_all(directory)?;
    }
    let json = serde_json::to_string_pretty(&results)?;
    fs::write(&arguments.output, json + "\n")?;
    eprintln!(
        "{:.0} s; results are in {}",
        results.seconds,
        arguments.output.display()
    );
    Ok(())
}

/// Measures everything, and prints each figure when it is there.
fn measure(session: &mut Session<'_>) -> Result<Vec<Figure>, Interrupted> {
    let mut figures = Vec::new();
    let mut done = |figure: Figure| {
        println!("{}", table::figure(&figure));
        figures.push(figure);
    };
    done(headers::figure(session)?);
    done(whole::figure(session)?);
    done(one_block::figure(session)?);
    workloads::original::figures(session)?
        .into_iter()
        .for_each(&mut done);
    done(scan::figure(session)?);
    done(rewrite::figure(session)?);
    let weighed = Weighed::new(session);
    weighed
        .bytes_per_block(session)?
        .into_iter()
        .for_each(&mut done);
    done(weighed.disk(session)?);
    let readers = Readers::new();
    done(readers.by_threads(session)?);
    done(readers.beside_a_writer(session)?);
    Ok(figures)
}

/// What each goal is measured by: the worst of the points that it speaks of.
fn ratios(figures: &[Figure]) -> BTreeMap<String, Headline> {
    let is_ours = |contender: &str| contender.starts_with("courseblocks");
    let headlines = figures.iter().filter_map(|figure| {
        let headline = match figure.key.as_str() {
            "header_reject_vs_get" | "scan_vs_bare_scan" | "rewrite_vs_bare" => {
                figure.highest(|contender, _| is_ours(contender))
            }
            "whole_read_vs_parts" => {
                figure.highest(|contender, blocks| is_ours(contender) && is_5000(blocks))
            }
            "one_block_vs_small_get" => {
                figure.highest(|contender, blocks| is_ours(contender) && blocks >= 5_000.0)
            }
            "one_block_vs_original" => {
                figure.lowest(|contender, blocks| contender == ONE_BLOCK && is_5000(blocks))
            }
            "transform_vs_original" => {
                figure.lowest(|contender, blocks| contender == SEEN && is_5000(blocks))
            }
            "bytes_per_block" => figure.highest(|contender, _| contender == ALL_RECORDS),
            _ => None,
        };
        Some((figure.key.clone(), headline?))
    });
    headlines.collect()
}

/// The size of course that most goals speak of.
fn is_5000(blocks: f64) -> bool {
    (blocks - 5_000.0).abs() < 0.5
}
