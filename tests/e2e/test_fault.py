"""A shard of the real program breaks. Nothing in the program can be asked to break it: a debugger makes
its thread panic, as a fault of ours would."""

import os
import pathlib
import platform
import subprocess
import unittest

import sound
from phone import Phone
from server import BINARY, Server, wait_until

# Where to break the thread, and the panic that takes the place of that function. It is told that it
# was called from a place without a name, which is written far below the stack in use.
SCRIPT = """
set language c
handle all nostop noprint pass
{breakpoints}
continue
delete
set $place = ((unsigned long) $rsp & ~15) - 65536
set *(long *) $place = $place
set *(long *) ($place + 8) = 0
set *(long *) ($place + 16) = 0
set $rdi = $place
set $rip = (long) &'{panic}'
detach
"""


def may_debug():
    """Whether a process may debug one that is not its child."""
    scope = pathlib.Path("/proc/sys/kernel/yama/ptrace_scope")
    return os.geteuid() == 0 or not scope.exists() or scope.read_text().strip() == "0"


def symbols(part):
    """The linker's names of the program's functions with this part."""
    listed = subprocess.run(["nm", BINARY], capture_output=True, text=True, check=True).stdout
    found = {line.split()[-1] for line in listed.splitlines() if part in line}
    assert found, f"{BINARY} has no function with {part} in its name"
    return sorted(found)


@unittest.skipUnless(platform.machine() == "x86_64", "the script names registers")
@unittest.skipUnless(may_debug(), "the system must allow a debugger")
class BrokenShard(unittest.TestCase):
    def test_calls_end_by_bye_recordings_are_closed_and_the_exit_code_is_1(self):
        with Server(rooms={"record": "always"}, sip={"stop_timeout": "2s"}) as server:
            with Phone(server) as member, Phone(server) as unlucky:
                member.call("3000")
                member.play(sound.tone(500, 1), seconds=1)
                member.stop_playing()
                with self.debugger(server):
                    unlucky.send(unlucky.request("INVITE", "3001", unlucky.description()))
                    bye = member.receive()
                    self.assertEqual(bye.method, "BYE")
                    member.answer(bye)
            self.assertEqual(server.process.wait(20), 1, server.output())
            self.assertRegex(server.output(), "(?m)^error: the thread of shard 0 has ended")
            self.assertRegex(server.output(), "thread 'shard-0' .*panicked")
            recordings = server.folder / "recordings"
            closed = list(recordings.glob("*-3000.json"))
            self.assertEqual(len(closed), 1, "what is said of a recording is written when its file is closed")
            verify = [BINARY, "recording", "verify", recordings]
            checked = subprocess.run(verify, capture_output=True, text=True, timeout=20)
            self.assertEqual(checked.returncode, 0, checked.stderr)

    def debugger(self, server):
        """Breaks the shard at the next command that it obeys; ready when it returns."""
        # Which of a command's functions are left as such is the optimiser's choice.
        places = symbols("6engine8commands38_$LT$impl$u20$engine..shard..Shard$GT$")
        breakpoints = "\n".join(f"break *'{name}'" for name in places)
        (panic,) = symbols("9panicking11panic_const23panic_const_div_by_zero")
        script = server.folder / "gdb"
        script.write_text(SCRIPT.format(breakpoints=breakpoints, panic=panic))
        said = server.folder / "gdb.log"
        with open(said, "w") as log:
            debugger = subprocess.Popen(
                ["gdb", "-batch", "-nx", "-p", str(server.process.pid), "-x", script],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        self.addCleanup(debugger.kill)
        wait_until(lambda: f"Breakpoint {len(places)} at" in said.read_text(), "the debugger knows the places", 60)
        return debugger


if __name__ == "__main__":
    unittest.main()
