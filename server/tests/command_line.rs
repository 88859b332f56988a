//! The executable as a process: its words and its exit codes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

fn mixminus(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mixminus"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> Output {
    mixminus(arguments).output().unwrap()
}

/// A file of this test's own, removed with the value.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mixminus-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A configuration that gets in nobody's way, with SIP at `sip` over UDP.
fn configuration(sip: &str, ports: &str) -> String {
    format!(
        "[sip]\nudp = [\"{sip}\"]\ntcp = []\nstop_timeout = \"60s\"\n[rtp]\naddress = \"127.0.0.1\"\n\
         ports = \"{ports}\"\nrealtime = false\nshards = 1\n[api]\nlisten = \"off\"\n"
    )
}

/// A server that has said where it is; its SIP address.
fn server(config: &File) -> (Child, String) {
    let mut child = mixminus(&["run", "--config", config.path()]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.find_map(|line| line.unwrap().split("UDP ").nth(1).map(str::to_owned));
    (child, line.expect("the welcome names the address"))
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn the_help_names_the_commands_and_the_version_is_told() {
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    for word in ["run", "check", "openapi", "--config"] {
        assert!(help.contains(word), "{help}");
    }
    let version = String::from_utf8(run(&["--version"]).stdout).unwrap();
    assert_eq!(version.trim(), concat!("mixminus ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn check_tells_right_from_wrong_by_its_exit_code() {
    let right = File::new("right.toml", "[sip]\nt1 = \"200ms\"\n");
    let checked = run(&["check", right.path()]);
    assert!(checked.status.success());
    let wrong = File::new("wrong.toml", "[sip]\nt1 = \"200\"\nt3 = 1\n");
    for arguments in [&["check", wrong.path()][..], &["run", "-c", wrong.path()]] {
        let refused = run(arguments);
        assert_eq!(refused.status.code(), Some(1));
        let told = String::from_utf8(refused.stderr).unwrap();
        let path = wrong.path();
        assert!(told.starts_with(&format!("error: {path}:2: sip.t1 = \"200\": ")), "{told}");
        assert!(told.contains(&format!("error: {path}:3: sip.t3: unknown key; ")), "{told}");
    }
    let missing = run(&["check", "/nonexistent/mixminus.toml"]);
    assert_eq!(missing.status.code(), Some(1));
    let told = String::from_utf8(missing.stderr).unwrap();
    assert!(told.starts_with("error: /nonexistent/mixminus.toml: cannot be read: "), "{told}");
}

#[test]
fn a_filter_of_the_log_that_is_none_ends_the_start_with_an_error() {
    let ended = mixminus(&["run"]).env("MIXMINUS_LOG", "noisy").output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let told = String::from_utf8(ended.stderr).unwrap();
    assert!(told.starts_with("error: MIXMINUS_LOG = \"noisy\": \"noisy\" is no level; "), "{told}");
}

#[test]
fn a_taken_port_ends_the_start_with_an_error() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = File::new("taken.toml", &configuration(&address, "9700-9763"));
    let ended = run(&["run", "--config", config.path()]);
    assert_eq!(ended.status.code(), Some(1));
    let told = String::from_utf8(ended.stderr).unwrap();
    let expected = format!("error: sip.udp {address}: address already in use: ");
    assert!(told.contains(&expected), "{told}");
}

#[test]
fn a_signal_ends_an_idle_server_with_success() {
    for (name, how) in [("term.toml", Signal::TERM), ("int.toml", Signal::INT)] {
        let config = File::new(name, &configuration("127.0.0.1:0", "9764-9827"));
        let (mut child, _) = server(&config);
        signal(&child, how);
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn a_second_signal_does_not_wait_for_callers_who_do_not_answer() {
    let config = File::new("second.toml", &configuration("127.0.0.1:0", "9828-9891"));
    let (mut child, address) = server(&config);
    let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
    phone.connect(&address).unwrap();
    let own = phone.local_addr().unwrap();
    let offer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                 m=audio 9 RTP/AVP 0\r\n";
    let mut to = format!("<sip:9000@{address}>");
    for (method, body) in [("INVITE", offer), ("ACK", "")] {
        let text = format!(
            "{method} sip:9000@{address} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{method}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\nTo: {to}\r\nCall-ID: c\r\n\
             CSeq: 1 {method}\r\nContact: <sip:a@{own}>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        phone.send(text.as_bytes()).unwrap();
        if method == "INVITE" {
            let answer = receive(&phone, "SIP/2.0 200");
            let line = answer.lines().find_map(|line| line.strip_prefix("To: "));
            line.expect("an answer has a To").clone_into(&mut to);
        }
    }
    signal(&child, Signal::TERM);
    receive(&phone, "BYE ");
    assert!(child.try_wait().unwrap().is_none(), "it waits for the answer to its BYE");
    signal(&child, Signal::TERM);
    assert!(child.wait().unwrap().success());
}

/// The next message that begins so.
fn receive(phone: &UdpSocket, start: &str) -> String {
    let mut buffer = [0; 4096];
    loop {
        let length = phone.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text.starts_with(start) {
            return text;
        }
    }
}

#[test]
fn what_cannot_be_written_is_an_error_and_no_panic() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = mixminus(&["openapi"]).stdout(full).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(told.starts_with("error: standard output: "), "{told}");
}

#[test]
fn who_reads_no_further_has_read_enough() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = mixminus(&["openapi"]).stdout(writer).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}
