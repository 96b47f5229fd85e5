//! Measures with `benches/peers` and turns the results into `docs/performance.md`, its plots, and
//! the ratios for programs.

mod arguments;
mod axis;
mod document;
mod goals;
#[path = "../../peers/src/numbers.rs"]
mod numbers;
mod plots;
#[allow(dead_code, reason = "shared with the peers' program, which fills it")]
#[path = "../../peers/src/results.rs"]
mod results;
#[cfg(test)]
mod sample;
#[allow(dead_code, reason = "shared with the peers' program, which fills it")]
#[path = "../../peers/src/spread.rs"]
mod spread;
mod svg;
mod tables;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use arguments::{Arguments, USAGE};
use goals::Ratios;
use plots::DRAWINGS;
use results::{Results, SCHEMA};

const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../peers/Cargo.toml");
const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers.json");

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
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let path = match &arguments.results {
        Some(path) => path.clone(),
        None => measure(arguments.quick)?,
    };
    let results = read(&path)?;
    let output = &arguments.output;
    let plots = output.join("performance");
    fs::create_dir_all(&plots)?;
    for drawing in DRAWINGS {
        let svg = drawing.of(&results).and_then(|plot| plot.to_svg());
        let file = plots.join(drawing.name).with_extension("svg");
        match svg {
            Some(svg) => fs::write(file, svg)?,
            // One of an earlier run would stand beside other figures.
            None if file.exists() => fs::remove_file(file)?,
            None => {}
        }
    }
    let ratios = serde_json::to_string_pretty(&Ratios::of(&results))?;
    fs::write(output.join("performance-ratios.json"), ratios + "\n")?;
    let page = output.join("performance.md");
    fs::write(&page, document::render(&results)?)?;
    eprintln!("{} is written", page.display());
    Ok(())
}

/// Runs the peers' program and tells where its results are.
fn measure(quick: bool) -> Result<PathBuf, Box<dyn Error>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args([
        "run",
        "--release",
        "--locked",
        "--manifest-path",
        PEERS,
        "--",
    ]);
    command.args(["--output", RESULTS]);
    if quick {
        command.arg("--quick");
    }
    let status = command.status()?;
    if status.success() {
        Ok(RESULTS.into())
    } else {
        Err(format!("benches/peers did not measure: {status}").into())
    }
}

fn read(path: &Path) -> Result<Results, Box<dyn Error>> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let json: serde_json::Value = serde_json::from_str(&text)?;
    // Before anything else of it is believed.
    if json["schema"] != SCHEMA {
        let message = format!(
            "{} has schema {}, and this program reads {SCHEMA}",
            path.display(),
            json["schema"]
        );
        return Err(message.into());
    }
    Ok(serde_json::from_value(json)?)
}
