//! A system that forbids `io_uring` or `bpf`, as containers do: a seccomp filter on the test's own
//! thread, which the engine's start and its threads inherit.

mod phone;

use engine_control::Route;
use engine_driver::{DriverChoice, Engine, StartFailure};
use phone::{config, dial, until};

/// Makes a system call fail with `EPERM` on the calling thread for ever.
fn forbid(call: libc::c_long) {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let mut program = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0), // The system call's number.
        libc::sock_filter {
            code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
            jt: 0,
            jf: 1,
            k: call as u32,
        },
        statement(libc::BPF_RET, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        statement(libc::BPF_RET, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
    // SAFETY: plain integers; it only takes rights away from this thread.
    let no_new_privileges = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(no_new_privileges, 0);
    // SAFETY: the filter and its program outlive the call, which copies them.
    let filtered =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
    assert_eq!(filtered, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn without_io_uring_the_plain_driver_takes_over_unless_forbidden() {
    let engine = Engine::start(config(DriverChoice::Auto, 1, 2)).unwrap();
    assert_eq!(engine.driver(), "io_uring");
    engine.stop();

    forbid(libc::SYS_io_uring_setup);
    let mut engine = Engine::start(config(DriverChoice::Auto, 1, 2)).unwrap();
    assert_eq!(engine.driver(), "plain");
    let (_, mut phone) = dial(&mut engine, Route::Echo, 1, 0x55);
    until("an echo", || {
        phone.speak();
        phone.heard(0x55) > 0
    });
    engine.stop();

    let failure = Engine::start(config(DriverChoice::IoUring, 1, 2)).unwrap_err();
    let StartFailure::IoUring { shard: 0, call: "io_uring_setup", error } = &failure else {
        panic!("{failure}");
    };
    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
}

#[test]
fn without_bpf_streams_get_sockets_unless_forbidden() {
    forbid(libc::SYS_bpf);
    for driver in [DriverChoice::PacketOrSockets, DriverChoice::XdpOrSockets] {
        let mut engine = Engine::start(config(driver, 1, 2)).unwrap();
        assert_eq!(engine.driver(), "io_uring");
        let (_, mut phone) = dial(&mut engine, Route::Echo, 1, 0x55);
        until("an echo", || {
            phone.speak();
            phone.heard(0x55) > 0
        });
        engine.stop();
    }

    let failure = Engine::start(config(DriverChoice::Packet, 1, 2)).unwrap_err();
    assert!(matches!(failure, StartFailure::Packet { .. }), "{failure}");
    let text = failure.to_string();
    assert!(text.contains("the packet driver") && text.contains("CAP_BPF"), "{text}");

    let failure = Engine::start(config(DriverChoice::Xdp, 1, 2)).unwrap_err();
    assert!(matches!(failure, StartFailure::Xdp { .. }), "{failure}");
    let text = failure.to_string();
    assert!(text.contains("the xdp driver") && text.contains("CAP_BPF"), "{text}");
}
