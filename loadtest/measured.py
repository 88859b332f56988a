"""What the scripts here measure: a server of ours with a configuration of theirs, on one core, and a load on another."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
MIXMINUS = pathlib.Path(os.environ.get("MIXMINUS_BIN", BUILT / "mixminus"))
LOADTEST = MIXMINUS.with_name("loadtest")
SIP_PORT, API_PORT = 15060, 18080
ADDRESS = f"127.0.0.1:{SIP_PORT}"

CONFIG = """
[sip]
udp = ["127.0.0.1:{sip}"]
tcp = []
[rtp]
address = "127.0.0.1"
ports = "16384-32767"
driver = "{driver}"
shards = 1
cores = [{core}]
[api]
listen = "127.0.0.1:{api}"
[log]
level = "warn"
"""

# What is refused cannot be measured.
NOBODY_IS_REFUSED = """
[overload]
refuse_above = 1000
complexity_above = 1000
recordings_above = 1000
"""


def configuration(core, driver, more="", overload=NOBODY_IS_REFUSED):
    """One shard of this driver on this core, and more sections."""
    return CONFIG.format(sip=SIP_PORT, api=API_PORT, driver=driver, core=core) + overload + more


class Server:
    """One server of this configuration on one core, ended by its own process id."""

    def __init__(self, core, text, folder, sip=SIP_PORT, api=API_PORT):
        self.address, self.api = f"127.0.0.1:{sip}", api
        folder = pathlib.Path(folder).resolve()
        folder.mkdir(exist_ok=True)
        config = folder / "mixminus.toml"
        config.write_text(text)
        self.process = subprocess.Popen(
            [MIXMINUS, "run", "--config", config], cwd=folder, stdout=subprocess.DEVNULL,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        for _ in range(600):
            if self.process.poll() is not None:
                raise SystemExit(f"the server ended with {self.process.returncode}: is another one on its ports?")
            try:
                self.metrics()
                return
            except OSError:
                time.sleep(0.1)
        self.stop()
        raise SystemExit("the server does not answer on its API port")

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.api}/metrics", timeout=10) as reply:
            return reply.read().decode()

    def ticks(self, seconds, family="mixminus_tick_lateness_seconds"):
        """Ticks so far, and how many of them were later than so many seconds."""
        below = total = 0
        for line in self.metrics().splitlines():
            if line.startswith(f"{family}_bucket") and f'le="{seconds}"' in line:
                below += int(line.split()[-1])
            if line.startswith(f"{family}_count"):
                total += int(line.split()[-1])
        return total, total - below

    def ticks_late(self, seconds):
        """Share of the ticks that were later than so many seconds, in percent."""
        total, late = self.ticks(seconds)
        return 100.0 * late / total if total else float("nan")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=120)  # 64 * T1 for a BYE that nobody answers, and recordings to close


def load(server, core, *words, background=False):
    """Runs one load; returns its report, or its process and where the report will be."""
    report = pathlib.Path(tempfile.mkstemp(suffix=".json")[1])
    command = [LOADTEST, "--server", server.address, "--core", str(core), "--json", report, *map(str, words)]
    if server.process:
        command += ["--pid", str(server.process.pid)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=keep_time)
    if background:
        return process, report
    try:
        ended = process.wait()
    except BaseException:
        process.kill()
        raise
    if ended not in (0, 1):
        raise SystemExit(f"loadtest could not measure: {ended}")
    return json.loads(report.read_text())


def keep_time():
    """Packets are sent at their times, whatever else the machine does."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        pass  # a quiet machine will do
