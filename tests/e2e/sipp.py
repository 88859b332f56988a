"""SIPp as a process: one run of one scenario."""

import pathlib
import signal
import subprocess
import tempfile

from server import HOST, ROOT, free_ports

SCENARIOS = ROOT / "loadtest/sipp"


class Sipp:
    """A run of SIPp against a server, bounded in calls and time.

    `scenario` is a file of loadtest/sipp without its ending, or one of SIPp's own with `-sn` in
    front. Further options go in as a list.
    """

    def __init__(self, server, scenario, *options, number="3000", calls=1, seconds=20, folder=None):
        self.temporary = tempfile.TemporaryDirectory(prefix="mixminus-sipp-")
        self.folder = pathlib.Path(folder or self.temporary.name)
        which = scenario.split() if scenario.startswith("-sn") else ["-sf", SCENARIOS / f"{scenario}.xml"]
        # Always a port of its own: without one SIPp may take the server's and talk to itself.
        # And a block of them: for sound and pictures it takes four in a row, and looks at the first only.
        self.port = free_ports(6)
        self.process = subprocess.Popen(
            ["sipp", f"{HOST}:{server.port}", *which, "-s", number, "-m", str(calls),
             "-i", HOST, "-p", str(self.port), "-mi", HOST, "-mp", str(self.port + 2),
             "-cp", str(self.port + 1), "-nostdin", "-max_socket", "1000", "-timeout", f"{seconds}s", "-timeout_error",
             "-trace_msg", "-message_file", "messages", "-trace_err", "-error_file", "errors",
             *map(str, options)],
            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        self.seconds = seconds

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.stdout.close()
        self.process.wait()
        self.temporary.cleanup()

    def finish(self):
        """Waits for the end; fails unless every call went by the scenario."""
        screen, _ = self.process.communicate(timeout=self.seconds + 10)
        if self.process.returncode != 0:
            raise AssertionError(
                f"sipp ended with {self.process.returncode}\n{self._read('errors')}\n"
                f"{self.messages()[-6000:]}\n{screen.decode(errors='replace')[-2000:]}"
            )
        return self

    def messages(self):
        """Every SIP message sent and received."""
        return self._read("messages")

    def _read(self, name):
        path = self.folder / name
        return path.read_text(errors="replace") if path.exists() else ""


def run(server, scenario, *options, **how):
    """A whole run that must succeed; its messages."""
    with Sipp(server, scenario, *options, **how) as sipp:
        return sipp.finish().messages()
