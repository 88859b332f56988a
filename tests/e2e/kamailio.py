"""A real Kamailio as a process, with the configuration beside this file."""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

from server import HOST, PATIENCE, free_port, wait_until

# Debian puts both programs where only root looks.
PATH = os.environ.get("PATH", "") + ":/usr/sbin"
CONFIG = pathlib.Path(__file__).with_name("kamailio.cfg")


class Kamailio:
    """A proxy before these servers, which it reaches by UDP or `transport`."""

    def __init__(self, *servers, transport="udp"):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mixminus-kamailio-"))
        self.port = free_port()
        self.control = f"unix:{self.folder}/ctl"
        self.count = len(servers)
        listed = self.folder / "dispatcher.list"
        listed.write_text("".join(f"1 sip:{HOST}:{server.port};transport={transport}\n" for server in servers))
        with open(self.folder / "log", "w") as log:
            self.process = subprocess.Popen(
                [shutil.which("kamailio", path=PATH), "-DD", "-E", "-f", CONFIG, "-Y", self.folder, "-P", self.folder / "pid", "-m", "16", "-M", "4",
                 "-l", f"udp:{HOST}:{self.port}", "-l", f"tcp:{HOST}:{self.port}",
                 "-A", f'SERVERS="{listed}"', "-A", f'CONTROL="{self.control}"'],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )

    def __enter__(self):
        wait_until(self._is_ready, "Kamailio is there")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"kamailio ended with {self.process.returncode}:\n{(self.folder / 'log').read_text()}")
        return self.states() == ["AP"] * self.count

    def states(self):
        """What it thinks of each server: AP is active, TP had a ping fail, IP is inactive; all are pinged."""
        told = subprocess.run(
            [shutil.which("kamcmd", path=PATH), "-s", self.control, "dispatcher.list"], capture_output=True, text=True, timeout=10,
        ).stdout
        return re.findall(r"FLAGS: (\w+)", told)
