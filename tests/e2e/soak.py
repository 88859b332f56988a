"""`loadtest soak` for five minutes, which `scripts/test` begins before the other tests and waits for after them: callers come,
go and hold, some are muted, rooms are recorded, and nothing is left. It is no test of theirs: what it says is what the server keeps,
never what a busy machine does to calls; its ports are its own, and its load is small.

    python3 tests/e2e/soak.py        # MIXMINUS_SOAK: other than 300 seconds; hours are run by hand (loadtest/README.md)
"""

import json
import os
import signal
import subprocess
import unittest

from server import BINARY, HOST, Server

LOADTEST = BINARY.with_name("loadtest")
SECONDS = int(os.environ.get("MIXMINUS_SOAK", "300"))
# Seconds of the load ahead; what is waited for until the server is at rest, twice; to hang up, and to delete what was recorded.
SETTLE, REST = 20, 90
PATIENCE = SECONDS + SETTLE + 2 * REST + 300
# Octets that an act may leave behind. Beside busy loops it was 82; but pools grow to what busy disks make of them, and that may be
# late in these minutes. A call that stays is found by the counters; smaller things take hours.
LEAK_MAX = 2500


def soak(server, *options, pid=None):
    """One run with its report; the exit code."""
    report = server.folder / "soak.json"
    command = [LOADTEST, "soak", "--server", f"{HOST}:{server.port}", "--pid", str(pid or server.process.pid),
               "--json", report, *map(str, options)]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)
    return ended.returncode, ended.stdout, json.loads(report.read_text()) if report.exists() else None


class SoakedServer(Server):
    """Beside those of other tests: no other test takes these ports."""

    ports_among, media_ports_among = range(6700, 7000), range(6100, 6700)


class Soak(unittest.TestCase):
    def test_churn_leaves_nothing_behind(self):
        # Small buffers are once round before memory is looked at.
        with SoakedServer(ports=512, recording={"ring": "1MiB", "queue": "1MiB"}) as server:
            code, said, report = soak(server, "--api", server.api, "--calls", 40, "--room-size", 5, "--churn", 10, "--settle", SETTLE,
                                      "--duration", SECONDS, "--leak-max", LEAK_MAX, "--leaks-only")
            print(said, flush=True)
            self.assertEqual(code, 0, "something is kept")
            callers, orders = report["callers"], report["orders"]
            # A tenth of what is done where nobody else wants the machine, and some of it was agreed to.
            for done, what in [(callers, "left"), (callers, "came_back"), (callers, "held"), (callers, "resumed"),
                               (orders, "muted"), (orders, "recordings"), (orders, "recordings_deleted")]:
                self.assertGreater(done[what], SECONDS / 30, what)
            self.assertGreater(callers["signalling"]["answered"], callers["came_back"] / 2)
            self.assertLess(callers["signalling"]["not_renegotiated"], callers["held"])
            server.wait_until_empty()


if __name__ == "__main__":
    # Told to end, it ends what it has begun.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    unittest.main()
