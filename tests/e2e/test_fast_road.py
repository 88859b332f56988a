"""The packet driver between network namespaces: the server in one, phones in the other, a cable between."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

from server import ROOT, Server

LOADTEST = ROOT / "target/release/loadtest"
PORTS = (16384, 17407)


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Cable:
    """Two namespaces, joined by a pair of Ethernet interfaces."""

    def __init__(self):
        self.here, self.there = (f"mixminus-{os.getpid()}-{end}" for end in "ab")

    def __enter__(self):
        for name in (self.here, self.there):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", self.here, "link", "add", "v0", "type", "veth", "peer", "name", "v0", "netns", self.there)
        self.bring_up("v0", "10.99.0")
        return self

    def bring_up(self, interface, network):
        for last, name in enumerate((self.here, self.there), 1):
            ip("-n", name, "address", "add", f"{network}.{last}/24", "dev", interface)
            ip("-n", name, "link", "set", interface, "up")

    def add_vlan(self):
        for name in (self.here, self.there):
            ip("-n", name, "link", "add", "link", "v0", "name", "v0.7", "type", "vlan", "id", "7")
        self.bring_up("v0.7", "10.99.7")

    def __exit__(self, *_):
        for name in (self.here, self.there):
            ip("netns", "delete", name)

    def here_output(self, *words):
        """What a program prints at the server's end."""
        done = subprocess.run(["ip", "netns", "exec", self.here, *words], check=True, capture_output=True, text=True)
        return done.stdout

    def frames_sent(self):
        """Packets that left by the cable, and packets of UDP or raw sockets that the kernel routed."""
        links = json.loads(self.here_output("ip", "-json", "-statistics", "link", "show", "v0"))
        head, values = [
            line.split() for line in self.here_output("cat", "/proc/net/snmp").splitlines() if line.startswith("Ip:")]
        return links[0]["stats64"]["tx"]["packets"], int(values[head.index("OutRequests")])


class ServerAt(Server):
    """A server in a namespace, on all of its addresses. Its API is on the namespace's own loopback."""

    def __init__(self, cable):
        super().__init__(
            sip={"udp": ["0.0.0.0:5060"], "tcp": []},
            rtp={"address": "0.0.0.0", "ports": f"{PORTS[0]}-{PORTS[1]}", "shards": 2, "driver": "packet"})
        self.cable = cable
        self.prefix = ("ip", "netns", "exec", cable.here)

    def _is_ready(self):
        if not self.is_alive():
            if "the packet driver does not work here" in self.output():
                raise unittest.SkipTest(self.output())
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.output()}")
        ask = f"import urllib.request; print(urllib.request.urlopen('{self.api}/health', timeout=5).status)"
        try:
            return self.cable.here_output(sys.executable, "-c", ask).strip() == "200"
        except subprocess.CalledProcessError:
            return False

    def play(self, address):
        """Twenty callers in two rooms from the other end: what they heard, for five seconds."""
        with tempfile.TemporaryDirectory() as folder:
            report = f"{folder}/report.json"
            subprocess.run(
                ["ip", "netns", "exec", self.cable.there, LOADTEST, "--server", f"{address}:5060",
                 "--calls", "20", "--duration", "5", "--settle", "1", "--json", report],
                capture_output=True, timeout=120)
            with open(report) as text:
                return json.load(text)


def may_build_namespaces():
    try:
        with Cable():
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@unittest.skipUnless(may_build_namespaces(), "network namespaces need the right to make them (root)")
class FastRoad(unittest.TestCase):
    def assert_everyone_heard(self, report):
        hearing = report["media"]["hearing"]
        self.assertEqual(report["signalling"]["answered"], 20, report)
        self.assertGreater(hearing["pairs"], 0)
        for fault in ("unheard", "echoes", "crosstalk", "unjudged"):
            self.assertEqual(hearing[fault], 0, report)
        self.assertEqual(report["media"]["unlawful"], 0, report)
        self.assertEqual(report["media"]["strays"], 0, report)

    def assert_sent_as_frames(self, before, after):
        """Nearly everything went past the kernel's routing: what did not are SIP and one packet in 256."""
        frames, routed = (now - then for then, now in zip(before, after))
        self.assertGreater(frames, 5000)
        self.assertLess(routed, frames / 10)

    def play_over_frames(self, cable, server, address):
        before = cable.frames_sent()
        self.assert_everyone_heard(server.play(address))
        self.assert_sent_as_frames(before, cable.frames_sent())

    def test_rooms_over_the_cable_and_after_a_neighbour_changed(self):
        with Cable() as cable, ServerAt(cable) as server:
            self.play_over_frames(cable, server, "10.99.0.1")
            # The phones' host gets another network card, and says so as hosts do.
            notify = "echo 1 > /proc/sys/net/ipv4/conf/v0/arp_notify"
            subprocess.run(["ip", "netns", "exec", cable.there, "sh", "-c", notify], check=True)
            ip("-n", cable.there, "link", "set", "v0", "address", "02:00:00:00:00:07")
            self.play_over_frames(cable, server, "10.99.0.1")

    def test_rooms_over_a_vlan(self):
        with Cable() as cable:
            try:
                cable.add_vlan()
            except subprocess.CalledProcessError as refused:
                self.skipTest(f"this kernel has no VLANs: {refused.stderr.strip()}")
            with ServerAt(cable) as server:
                self.play_over_frames(cable, server, "10.99.7.1")


if __name__ == "__main__":
    unittest.main()
