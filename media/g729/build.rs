//! Finds the system's libbcg729 and holds it to the one version whose states this crate copies
//! (decision 0018). The C compiler knows where both header and library are, and is needed anyway.

use std::path::Path;
use std::process::Command;

/// What the header of version 1.1.1 defines.
const VERSION: &str = "#define BCG729_VERSION_NUMBER 0x010101";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CC");
    let header = compiler(&["-E", "-dM", "-include", "bcg729/decoder.h", "-x", "c", "/dev/null"]);
    assert!(
        header.lines().any(|line| line.trim() == VERSION),
        "libbcg729 1.1.1 is needed to build with G.729: install Debian's package libbcg729-dev"
    );
    let library = compiler(&["-print-file-name=libbcg729.a"]);
    let folder = Path::new(library.trim()).parent().filter(|folder| folder.is_absolute());
    let folder = folder.expect("the static library libbcg729.a is beside its header");
    println!("cargo:rustc-link-search=native={}", folder.display());
    println!("cargo:rustc-link-lib=static=bcg729");
}

/// What the C compiler prints; nothing where it fails.
fn compiler(arguments: &[&str]) -> String {
    let program = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let output = Command::new(&program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
