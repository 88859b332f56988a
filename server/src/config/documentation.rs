//! docs/configuration.md, written from the declarations of the keys.

use std::fmt::Write;

use super::Config;
use super::reader::{Heading, Read};

const PREFACE: &str = "\
# Configuration

One TOML file, given as `mixminus run --config FILE`. Every key is optional; without a file the server runs on the
defaults below. `mixminus check FILE` reads a file and names every key that is wrong in it, by itself or beside others, each with file,
line, value and what would be right (of a text that is no TOML the first place only); a server refuses to start with such a file. Whether this
machine has the addresses, ports and cores that it names shows when the server starts.

A duration is a whole number with its unit: `\"20ms\"`, `\"3s\"`, `\"5min\"`, `\"1h\"` (also `us`, `ns`). A size is a whole
number of `B`, `KiB`, `MiB` or `GiB`. A path that does not begin with `/` begins in the folder that the server was started in. Each key
stands under its section: `sip.t1` is `t1` in `[sip]`. What phones are offered, what of their wishes is honoured and what is refused is
in [sdp.md](sdp.md).

This page is written from the declarations of the keys in `server/src/config` and compared with them by a test.
";

/// The whole page.
pub fn markdown() -> String {
    let (config, read) = super::read("", "");
    let mut page = PREFACE.to_owned();
    for Heading { name: section, meaning, is_repeated } in &read.sections {
        let title = if *is_repeated { format!("[[{section}]]") } else { format!("[{section}]") };
        let _ = write!(page, "\n## {title}\n\n{meaning}\n\n");
        if *section == "dial" {
            dial_defaults(&mut page, &config);
            continue;
        }
        page.push_str("| key | default | what may be written | meaning |\n|---|---|---|---|\n");
        for key in read.keys.iter().filter(|key| key.section == *section) {
            let (name, default, right) = (key.name, &key.default, &key.right);
            let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
            let _ = writeln!(page, "| `{name}` | {default} | {right} | {} |", key.meaning);
        }
    }
    example(&mut page, &read);
    page
}

fn dial_defaults(page: &mut String, config: &Config) {
    page.push_str("```toml\n[dial]\n");
    for (pattern, service) in config.dial.entries() {
        let _ = writeln!(page, "\"{pattern}\" = \"{}\"", service.name());
    }
    page.push_str("```\n");
}

fn example(page: &mut String, read: &Read) {
    page.push_str(
        "\n## All of it\n\nA file that says what the server does without one:\n\n```toml\n",
    );
    let is_shown = |heading: &&Heading| heading.name != "dial" && !heading.is_repeated;
    for Heading { name, .. } in read.sections.iter().filter(is_shown) {
        let _ = writeln!(page, "[{name}]");
        for key in read.keys.iter().filter(|key| key.section == *name) {
            let _ = writeln!(page, "{} = {}", key.name, key.default);
        }
        page.push('\n');
    }
    page.truncate(page.trim_end().len());
    page.push_str("\n```\n");
}
