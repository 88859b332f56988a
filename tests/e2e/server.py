"""The real server as a process on loopback, on free ports, with a configuration of the test's own."""

import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("MIXMINUS_BIN", ROOT / "target/release/mixminus"))
HOST = "127.0.0.1"

# What a test waits for at most, in seconds, where it says nothing else.
PATIENCE = 20

# Where ports are taken from: below the range from which the kernel gives them to others, and for media below that which
# servers use by default.
PORTS, MEDIA_PORTS = range(26000, 32000), range(10000, 16000)


def wait_until(condition, what, seconds=PATIENCE):
    """Polls until `condition` gives something true, and gives it; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


_next_of = {}


def free_ports(count, among=PORTS):
    """The first of `count` ports in a row, an even one, that are free for UDP and TCP.

    Each call goes on behind what the last one gave: ports that are given but not yet bound are not given twice.
    """
    for _ in range(100):
        at = _next_of.get(among, random.randrange(0, len(among), 2))
        if at + count > len(among):
            at = 0
        _next_of[among] = at + count + count % 2
        if all(map(_is_free, among[at:at + count])):
            return among[at]
    raise AssertionError(f"no {count} free ports in a row among {among}")


def _is_free(port):
    try:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_INET, kind) as probe:
                probe.bind((HOST, port))
        return True
    except OSError:
        return False


def free_port(among=PORTS):
    """One of them."""
    return free_ports(1, among)


class Server:
    """One server process. Sections of its configuration are given as dictionaries."""

    # What the program is run by, if by another one.
    prefix = ()
    ports_among, media_ports_among = PORTS, MEDIA_PORTS

    def __init__(self, ports=1024, **sections):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mixminus-e2e-"))
        self.port = free_port(self.ports_among)
        self.api = f"http://{HOST}:{free_port(self.ports_among)}"
        first = free_ports(ports, self.media_ports_among)
        here = f"{HOST}:{self.port}"
        defaults = {
            "sip": {"udp": [here], "tcp": [here]},
            # Tests share the machine: a thread that may not be interrupted would starve them.
            "rtp": {"address": HOST, "ports": f"{first}-{first + ports - 1}", "realtime": False},
            # What a busy machine does to a shard is no reason to refuse its calls.
            "overload": {name: 1000 for name in ("refuse_above", "complexity_above", "recordings_above")},
            "recording": {"folder": str(self.folder / "recordings")},
            "flight": {"folder": str(self.folder / "flight")},
            "api": {"listen": self.api.removeprefix("http://")},
        }
        for name, keys in sections.items():
            defaults.setdefault(name, {}).update(keys)
        self.config = self.folder / "mixminus.toml"
        self.config.write_text("".join(toml_section(*item) for item in defaults.items()))
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.close()

    def start(self, before_it_runs=None):
        """Starts the process and waits until it takes calls."""
        if not BINARY.exists():
            raise AssertionError(f"{BINARY} is missing: cargo build --release -p mixminus")
        self.log = open(self.folder / "log", "w+")
        self.process = subprocess.Popen(
            [*self.prefix, BINARY, "run", "--config", self.config],
            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            preexec_fn=before_it_runs,
        )
        wait_until(self._is_ready, "the server takes calls")

    def _is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.output()}")
        try:
            return self.get("/health")["ready"]
        except OSError:
            return False

    def close(self):
        """Ends the process, gently first, and removes its files."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process:
            self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def terminate(self, seconds=PATIENCE):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def is_alive(self):
        return self.process.poll() is None

    def output(self):
        """What it has logged."""
        return (self.folder / "log").read_text()

    def request(self, method, path, body=None):
        """One request to the API, with a body in JSON where one is given: status and body."""
        asked = urllib.request.Request(self.api + path, method=method)
        if body is not None:
            asked.data = json.dumps(body).encode()
            asked.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def get(self, path):
        status, body = self.request("GET", path)
        if status not in (200, 503):
            raise AssertionError(f"GET {path}: {status} {body}")
        return json.loads(body)

    def participants(self, room=None):
        """Everyone, or everyone in a room; nobody where the room is not there."""
        path = f"/v1/rooms/{room}/participants" if room else "/v1/participants"
        found = []
        after = ""
        while True:
            status, body = self.request("GET", f"{path}?limit=1000{after}")
            if status == 404:
                return []
            if status != 200:
                raise AssertionError(f"GET {path}: {status} {body}")
            page = json.loads(body)
            found += page["participants"]
            if "next" not in page:
                return found
            after = f"&after={page['next']}"

    def metrics(self):
        """Samples of /metrics by name with labels."""
        status, body = self.request("GET", "/metrics")
        assert status == 200, body
        lines = [line for line in body.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def wait_until_empty(self, seconds=PATIENCE):
        """Waits until no call and no room is left."""
        gone = lambda: self.get("/health")["calls"] == 0 and not self.get("/v1/rooms")["rooms"]
        wait_until(gone, "every call and room is gone", seconds)


def toml_section(name, keys):
    """JSON's strings, numbers, booleans and lists of strings are TOML's too."""
    lines = [f"{key if key.isidentifier() else json.dumps(key)} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join([f"[{name}]", *lines, "", ""])


class WithServer(unittest.TestCase):
    """Tests that share one server with these settings."""

    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.server = Server(**cls.settings)
        cls.server.start()
        cls.addClassCleanup(cls.server.close)


class WithCalls(WithServer):
    """The same, where every test must leave the server without a call."""

    def tearDown(self):
        self.server.wait_until_empty()
