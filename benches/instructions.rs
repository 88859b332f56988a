//! Runs periods of one crowd and nothing else, for `benches/gate` to count their instructions.
//!
//! With the kernels that every CPU runs: how many instructions there are must not depend on the machine.

use std::process::ExitCode;

use benches::world::{CROWDS, Crowd, World};
use clap::Parser;
use media_kernels::Kernels;

/// Periods until playout, levels and floors are what they stay: 2 s.
const WARM_UP: u32 = 100;

/// Runs periods of a crowd. Those that count are in `counted_period`.
#[derive(Debug, Parser)]
struct Options {
    /// The crowd's name; all names are printed without one.
    crowd: Option<String>,
    /// How many periods count.
    #[arg(long, default_value_t = 50)]
    periods: u32,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let Some(name) = options.crowd else {
        for crowd in CROWDS {
            println!("{} {}", crowd.name, crowd.sessions);
        }
        return ExitCode::SUCCESS;
    };
    let Some(&crowd) = CROWDS.iter().find(|crowd| crowd.name == name) else {
        eprintln!("instructions: no crowd is called {name}");
        return ExitCode::FAILURE;
    };
    run(crowd, options.periods);
    ExitCode::SUCCESS
}

fn run(crowd: Crowd, periods: u32) {
    let mut world = World::new(crowd, Kernels::SCALAR);
    for _ in 0..WARM_UP {
        world.period();
    }
    let before = world.sent();
    for _ in 0..periods {
        counted_period(&mut world);
    }
    println!("{} datagrams were sent", world.sent() - before);
}

/// A period whose instructions are counted. It keeps its name.
#[inline(never)]
fn counted_period(world: &mut World) {
    world.period();
}
