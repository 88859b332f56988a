"""`loadtest soak` for half a minute: callers come, go and hold, some are muted, rooms are recorded, and nothing
is left. `MIXMINUS_SOAK=300` holds it for so many seconds; the same command runs for hours by hand (loadtest/README.md)."""

import json
import os
import subprocess
import unittest

from server import BINARY, HOST, Server

LOADTEST = BINARY.with_name("loadtest")
SECONDS = int(os.environ.get("MIXMINUS_SOAK", "30"))


def soak(server, *options, pid=None):
    """One run with its report; the exit code."""
    report = server.folder / "soak.json"
    command = [LOADTEST, "soak", "--server", f"{HOST}:{server.port}", "--pid", str(pid or server.process.pid),
               "--json", report, *map(str, options)]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300 + 2 * SECONDS)
    return ended.returncode, ended.stdout, json.loads(report.read_text()) if report.exists() else None


class Soak(unittest.TestCase):
    def test_churn_leaves_nothing_behind(self):
        # A transaction is remembered for 64 * T1: this shortens the time until the server may be looked at.
        # In half a minute much is touched for the first time: what is found is whole calls that stay.
        with Server(sip={"t1": "100ms"}, recording={"ring": "1MiB"}) as server:
            code, said, report = soak(server, "--api", server.api, "--calls", 40, "--room-size", 5, "--churn", 20,
                                      "--settle", 6, "--duration", SECONDS, "--leak-max", 6000)
            self.assertEqual(code, 0, said)
            callers, orders = report["callers"], report["orders"]
            for what in ("left", "came_back", "held", "resumed", "looks"):
                self.assertGreater(callers[what], 10, what)
            for what in ("muted", "recordings", "recordings_deleted"):
                self.assertGreater(orders[what], 2, what)
            self.assertGreater(len(orders["samples"]), 8)
            server.wait_until_empty()

    def test_what_cannot_be_soaked_is_a_clear_error(self):
        with Server() as server:
            for options, pid, why in [
                (["--api", "http://127.0.0.1:9"], None, "API does not answer"),
                ([], 2 ** 22 + 1, "no such process"),
                (["--churn", "0"], None, "--churn"),
                (["--search"], None, "--search"),
            ]:
                code, said, report = soak(server, *options, pid=pid)
                self.assertEqual((code, report), (2, None), said)
                self.assertIn(why, said)


if __name__ == "__main__":
    unittest.main()
