"""What the scripts here measure: a server of ours with a configuration of theirs, on one core, and a load on another."""

import json
import os
import pathlib
import re
import resource
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
OPEN_FILES = 1 << 17

CONFIG = """
[sip]
calls_max = {calls_max}
udp = ["127.0.0.1:{sip}"]
tcp = []
[rtp]
address = "127.0.0.1"
ports = "{ports}"
driver = "{driver}"
shards = {shards}
cores = {cores}
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


def configuration(cores, driver, more="", overload=NOBODY_IS_REFUSED, ports="16384-32767", calls_max=8192):
    """One shard of this driver on each of these cores, and more sections."""
    return CONFIG.format(sip=SIP_PORT, api=API_PORT, driver=driver, shards=len(cores), cores=cores, ports=ports,
                         calls_max=calls_max) + overload + more


class Server:
    """One server of this configuration on these cores, ended by its own process id."""

    def __init__(self, cores, text, folder, sip=SIP_PORT, api=API_PORT):
        self.address, self.api = f"127.0.0.1:{sip}", api
        folder = pathlib.Path(folder).resolve()
        folder.mkdir(exist_ok=True)
        config = folder / "mixminus.toml"
        config.write_text(text)
        self.process = subprocess.Popen(
            [MIXMINUS, "run", "--config", config], cwd=folder, stdout=subprocess.DEVNULL,
            preexec_fn=lambda: give(cores))
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

    def numbers(self):
        """All that it counts, by name with labels."""
        return {name: float(value) for name, value in re.findall(r"^([^#\s]\S*) (\S+)$", self.metrics(), re.MULTILINE)}

    def total(self, name):
        """One of them, for all labels together."""
        return total(self.numbers(), name)

    def ticks(self, seconds, family="mixminus_tick_lateness_seconds"):
        """Ticks so far, and how many of them were later than so many seconds."""
        numbers = self.numbers()
        ticks = int(total(numbers, f"{family}_count"))
        below = sum(int(number) for name, number in numbers.items() if name.startswith(f"{family}_bucket") and f'le="{seconds}"' in name)
        return ticks, ticks - below

    def ticks_late(self, seconds):
        """Share of the ticks that were later than so many seconds, in percent."""
        ticks, late = self.ticks(seconds)
        return 100.0 * late / ticks if ticks else float("nan")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=120)  # 64 * T1 for a BYE that nobody answers, and recordings to close


def total(numbers, name):
    return sum(value for key, value in numbers.items() if key == name or key.startswith(name + "{"))


def give(cores):
    """What a server here has: its cores, and more open files than a shell has, where that is allowed."""
    os.sched_setaffinity(0, cores)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    except (PermissionError, ValueError):
        pass  # it says at its start for how many calls there is room


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
