"""The packet driver and AF_XDP between network namespaces: the server in one, phones in the other, a cable between."""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

from server import ROOT, Server

LOADTEST = ROOT / "target/release/loadtest"
PORTS = (16384, 17407)
OTHER_PORTS = (17408, 18431)
# How a start ends without the rights, or on a kernel without the part: the call was refused so. A program that the
# kernel's verifier does not like is refused otherwise (13).
NOT_HERE = re.compile(r"does not work here: .*\(os error (1|22|38|95|97|105)\)")


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Cable:
    """Two namespaces, joined by a pair of Ethernet interfaces with two queues each."""

    def __init__(self):
        self.here, self.there = (f"mixminus-{os.getpid()}-{end}" for end in "ab")

    def __enter__(self):
        for name in (self.here, self.there):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        queues = ("numrxqueues", "2", "numtxqueues", "2")
        ip("-n", self.here, "link", "add", "v0", *queues, "type", "veth",
           "peer", "name", "v0", "netns", self.there, *queues)
        self.bring_up("v0", 0)
        return self

    def bring_up(self, interface, network):
        for last, name in enumerate((self.here, self.there), 1):
            ip("-n", name, "address", "add", f"10.99.{network}.{last}/24", "dev", interface)
            ip("-n", name, "address", "add", f"fd99:{network}::{last}/64", "dev", interface, "nodad")
            ip("-n", name, "link", "set", interface, "up")

    def add_vlans(self):
        """VLAN 7, and in it VLAN 8, whose interface has two queues as the cable's has. The usual is one."""
        for link, number, queues in (("v0", 7, ()), ("v0.7", 8, ("numrxqueues", "2", "numtxqueues", "2"))):
            name = f"{link}.{number}"
            for end in (self.here, self.there):
                ip("-n", end, "link", "add", "link", link, "name", name, *queues, "type", "vlan", "id", str(number))
            self.bring_up(name, number)

    def add_priority(self, address):
        """The phones' frames to this address have a tag with a priority and VLAN 0, which is none."""
        tagged = ("link", "v0", "name", "v0.0", "type", "vlan", "id", "0", "egress-qos-map", "0:5")
        ip("-n", self.there, "link", "add", *tagged)
        ip("-n", self.there, "link", "set", "v0.0", "up")
        ip("-n", self.there, "neighbour", "add", address, "lladdr", self.link()["address"], "dev", "v0.0")
        ip("-n", self.there, "route", "add", address, "dev", "v0.0", "src", "10.99.0.2")

    def send_there_by_vlan(self, address):
        """The phones reach this address of the server's by VLAN 7."""
        family, gateway = ("-6", "fd99:7::1") if ":" in address else ("-4", "10.99.7.1")
        ip("-n", self.there, family, "route", "add", address, "via", gateway, "dev", "v0.7")

    def put_tags(self, where):
        """As a card that leaves the tags in the frames that come, or as one that takes them off and keeps them apart."""
        setting = {"in the frames": "off", "apart": "on"}[where]
        self.there_output("ethtool", "-K", "v0", "txvlan", setting)

    def add_macvlan(self):
        """Another interface at the server's end, on the same cable. Its driver knows nothing of XDP."""
        # Or the cable's own interface would answer for the other's address.
        self.here_output("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/v0/arp_ignore")
        ip("-n", self.here, "link", "add", "link", "v0", "name", "m0", "type", "macvlan", "mode", "bridge")
        ip("-n", self.here, "address", "add", "10.99.1.1/24", "dev", "m0")
        ip("-n", self.here, "link", "set", "m0", "up")
        ip("-n", self.there, "address", "add", "10.99.1.2/24", "dev", "v0")

    @contextlib.contextmanager
    def holding(self, port):
        """Another program at the server's end has this UDP port."""
        hold = f"import socket; s = socket.socket(type=2); s.bind(('', {port})); print(flush=True); input()"
        words = ["ip", "netns", "exec", self.here, sys.executable, "-c", hold]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            holder.stdout.readline()
            try:
                yield
            finally:
                holder.communicate("\n")

    def __exit__(self, *_):
        for name in (self.here, self.there):
            ip("netns", "delete", name)

    def here_output(self, *words):
        """What a program prints at the server's end."""
        return self.output(self.here, *words)

    def there_output(self, *words):
        return self.output(self.there, *words)

    def output(self, end, *words):
        done = subprocess.run(["ip", "netns", "exec", end, *words], check=True, capture_output=True, text=True)
        return done.stdout

    def link(self, interface="v0"):
        """What the kernel says of an interface at the server's end."""
        return json.loads(self.here_output("ip", "-json", "-statistics", "link", "show", interface))[0]

    def traffic(self, interface):
        """Packets that left and that came by an interface, and those that the kernel's IP has sent and has seen."""
        link = self.link(interface)["stats64"]
        head, values = [
            line.split() for line in self.here_output("cat", "/proc/net/snmp").splitlines() if line.startswith("Ip:")]
        kernel = dict(zip(head[1:], map(int, values[1:])))
        kernel6 = dict(line.split() for line in self.here_output("cat", "/proc/net/snmp6").splitlines())
        return (
            link["tx"]["packets"], link["rx"]["packets"],
            kernel["OutRequests"] + int(kernel6["Ip6OutRequests"]), kernel["InReceives"] + int(kernel6["Ip6InReceives"]))


class ServerAt(Server):
    """A server in a namespace. Its API is on the namespace's own loopback."""

    def __init__(self, cable, driver, address="0.0.0.0", shards=2, sip_port=5060, ports=PORTS, by=()):
        any_address = "[::]" if ":" in address else "0.0.0.0"
        super().__init__(
            sip={"udp": [f"{any_address}:{sip_port}"], "tcp": []},
            rtp={"address": address, "ports": f"{ports[0]}-{ports[1]}", "shards": shards, "driver": driver})
        self.cable = cable
        self.prefix = ("ip", "netns", "exec", cable.here, *by)

    def _is_ready(self):
        if not self.is_alive():
            if NOT_HERE.search(self.output()):
                raise unittest.SkipTest(self.output())
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.output()}")
        ask = f"import urllib.request; print(urllib.request.urlopen('{self.api}/health', timeout=5).status)"
        try:
            return self.cable.here_output(sys.executable, "-c", ask).strip() == "200"
        except subprocess.CalledProcessError:
            return False

    def play(self, address):
        """Twenty callers in two rooms from the other end: what they heard, for five seconds. Callers who
        were kept from the machine, and so spoke too late, say nothing of the server: others call."""
        for _ in range(4):
            report = self._play(address)
            if report["generator"]["lateness"]["p99_ms"] < 100:
                break
        return report

    def _play(self, address):
        host = f"[{address}]" if ":" in address else address
        with tempfile.TemporaryDirectory() as folder:
            report = f"{folder}/report.json"
            subprocess.run(
                ["ip", "netns", "exec", self.cable.there, LOADTEST, "--server", f"{host}:5060",
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


class Hearing(unittest.TestCase):
    def assert_everyone_heard(self, report):
        hearing = report["media"]["hearing"]
        self.assertEqual(report["signalling"]["answered"], 20, report)
        self.assertGreater(hearing["pairs"], 0)
        for fault in ("unheard", "echoes", "crosstalk", "unjudged"):
            self.assertEqual(hearing[fault], 0, report)
        self.assertEqual(report["media"]["unlawful"], 0, report)
        self.assertEqual(report["media"]["strays"], 0, report)

    def play(self, cable, server, address, interface):
        """Plays rooms; how many packets left and came by an interface, and how many the kernel's IP sent and saw."""
        before = cable.traffic(interface)
        self.assert_everyone_heard(server.play(address))
        return [now - then for then, now in zip(before, cable.traffic(interface))]

    def with_vlans(self, add, *what):
        try:
            add(*what)
        except subprocess.CalledProcessError as refused:
            self.skipTest(f"this kernel has no VLANs: {refused.stderr.strip()}")

    def replace_network_card(self, cable):
        """The phones' host gets another hardware address, and says so as hosts do."""
        notify = "echo 1 > /proc/sys/net/ipv4/conf/v0/arp_notify"
        subprocess.run(["ip", "netns", "exec", cable.there, "sh", "-c", notify], check=True)
        ip("-n", cable.there, "link", "set", "v0", "address", "02:00:00:00:00:07")


@unittest.skipUnless(may_build_namespaces(), "network namespaces need the right to make them (root)")
class FastRoad(Hearing):
    def play_over_frames(self, cable, server, address, interface="v0"):
        """Nearly everything goes past the kernel's routing: what does not are SIP and one packet in 256."""
        sent, came, routed, seen = self.play(cable, server, address, interface)
        self.assertGreater(min(sent, came), 5000)
        self.assertLess(routed, sent / 10)
        self.assertGreater(seen, came * 0.9)

    def test_rooms_over_the_cable_and_after_a_neighbour_changed(self):
        with Cable() as cable, ServerAt(cable, "packet") as server:
            self.play_over_frames(cable, server, "10.99.0.1")
            self.replace_network_card(cable)
            self.play_over_frames(cable, server, "10.99.0.1")

    def test_files_are_asked_for_only_where_calls_have_sockets(self):
        few = ("prlimit", "--nofile=700:700")
        with Cable() as cable, ServerAt(cable, "packet-or-sockets", by=few) as server:
            self.assertIn("packets by packet", server.output())
            self.assertNotIn("fewer calls", server.output())

    def test_where_steering_is_refused_sockets_pass_over_ports_of_others(self):
        powerless = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
        with Cable() as cable, cable.holding(PORTS[0] + 128):
            refused = ServerAt(cable, "packet-or-sockets")
            self.addCleanup(refused.close)
            with self.assertRaisesRegex(AssertionError, f"0.0.0.0:{PORTS[0] + 128}: Address already in use"):
                refused.start()
            with ServerAt(cable, "packet-or-sockets", by=powerless) as server:
                self.assertIn("using a socket for each stream", server.output())
                self.assert_everyone_heard(server.play("10.99.0.1"))

    def test_rooms_over_a_vlan(self):
        # What is counted at the VLAN's interface is tagged on the cable.
        with Cable() as cable:
            self.with_vlans(cable.add_vlans)
            for interface, everywhere, address in (
                ("v0.7", "0.0.0.0", "10.99.7.1"), ("v0.7", "::", "fd99:7::1"), ("v0.7.8", "::", "fd99:8::1")):
                with self.subTest(address), ServerAt(cable, "packet", everywhere) as server:
                    self.play_over_frames(cable, server, address, interface)


@unittest.skipUnless(may_build_namespaces(), "network namespaces need the right to make them (root)")
class Xdp(Hearing):
    def play_past_the_kernel(self, cable, server, address, interface="v0"):
        """Nearly nothing is seen by the kernel's IP, in either direction: what is, are SIP and one packet in 256."""
        sent, came, routed, seen = self.play(cable, server, address, interface)
        self.assertGreater(min(sent, came), 5000)
        self.assertLess(routed, sent / 10)
        self.assertLess(seen, came / 10)

    def assert_takes_media(self, cable, interface, mode):
        """The kernel names the mode of a program at the interface: 1 in the driver, 2 in front of the network stack."""
        self.assertEqual(cable.link(interface).get("xdp", {}).get("mode"), mode)

    def test_rooms_over_more_shards_than_queues_and_after_a_neighbour_changed(self):
        with Cable() as cable, ServerAt(cable, "xdp", "10.99.0.1", shards=3) as server:
            self.assert_takes_media(cable, "v0", 1)
            self.play_past_the_kernel(cable, server, "10.99.0.1")
            self.replace_network_card(cable)
            self.play_past_the_kernel(cable, server, "10.99.0.1")

    def test_rooms_where_the_driver_knows_nothing_of_xdp(self):
        with Cable() as cable:
            try:
                cable.add_macvlan()
            except subprocess.CalledProcessError as refused:
                self.skipTest(f"this kernel has no macvlan: {refused.stderr.strip()}")
            with ServerAt(cable, "xdp", "10.99.1.1") as server:
                self.assert_takes_media(cable, "m0", 2)
                self.play_past_the_kernel(cable, server, "10.99.1.1", "m0")

    def test_rooms_where_a_vlan_has_the_media_address(self):
        with Cable() as cable:
            self.with_vlans(cable.add_vlans)
            for interface, queues, address in (
                ("v0.7", 1, "10.99.7.1"), ("v0.7", 1, "fd99:7::1"), ("v0.7.8", 2, "10.99.8.1")):
                for tags in ("in the frames", "apart"):
                    with self.subTest(address=address, tags=tags), ServerAt(cable, "xdp", address) as server:
                        cable.put_tags(tags)
                        self.assert_takes_media(cable, interface, 2)
                        self.assertIn(f"queues={queues}\n", server.output())
                        self.play_past_the_kernel(cable, server, address, interface)

    def test_rooms_where_media_for_the_cards_own_address_comes_by_a_vlan(self):
        with Cable() as cable:
            self.with_vlans(cable.add_vlans)
            for address in ("10.99.0.1", "fd99:0::1"):
                cable.send_there_by_vlan(address)
                for tags in ("in the frames", "apart"):
                    with self.subTest(address=address, tags=tags), ServerAt(cable, "xdp", address) as server:
                        cable.put_tags(tags)
                        self.assert_takes_media(cable, "v0", 1)
                        sent, came, routed, seen = self.play(cable, server, address, "v0.7")
                        self.assertGreater(sent, 5000)
                        self.assertLess(routed, sent / 10)
                        if tags == "in the frames":
                            self.assertGreater(min(came, seen), 5000)
                        else:
                            # Taken at the card, where nothing tells it from what has no tag.
                            self.assertLess(max(came, seen), 500)

    def test_rooms_where_the_phones_frames_have_a_priority_and_no_vlan(self):
        with Cable() as cable, ServerAt(cable, "xdp", "10.99.0.1") as server:
            self.with_vlans(cable.add_priority, "10.99.0.1")
            cable.put_tags("in the frames")
            sent, came, routed, seen = self.play(cable, server, "10.99.0.1", "v0")
            self.assertGreater(min(sent, came, seen), 5000)
            self.assertLess(routed, sent / 10)

    def test_a_killed_server_leaves_no_program_behind_and_the_next_one_starts(self):
        with Cable() as cable:
            for _ in range(3):
                with ServerAt(cable, "xdp", "10.99.0.1") as server:
                    self.assert_takes_media(cable, "v0", 1)
                    server.process.kill()
                    server.process.wait()
                self.assertNotIn("xdp", cable.link())

    def test_a_second_server_on_the_interface_is_told_why_it_cannot_start(self):
        with Cable() as cable, ServerAt(cable, "xdp", "10.99.0.1") as first:
            for ports, why in [
                (OTHER_PORTS, "the interface v0 has an XDP program already"),
                (PORTS, f"cannot be kept from other programs: 10.99.0.1:{PORTS[0]}: Address already in use"),
            ]:
                second = ServerAt(cable, "xdp", "10.99.0.1", sip_port=5070, ports=ports)
                self.addCleanup(second.close)
                with self.assertRaisesRegex(AssertionError, why):
                    second.start()
            self.assertTrue(first.is_alive())
            self.assert_takes_media(cable, "v0", 1)

    def test_without_an_ethernet_interface_it_does_not_start_or_takes_another_driver_as_configured(self):
        with Cable() as cable:
            refused = ServerAt(cable, "xdp", "127.0.0.1")
            self.addCleanup(refused.close)
            with self.assertRaisesRegex(AssertionError, "no Ethernet interface has the address 127.0.0.1"):
                refused.start()
            with ServerAt(cable, "xdp-or-sockets") as server:
                self.assertIn("an address of one interface must be given", server.output())
                self.assertIn("packets by packet", server.output())


if __name__ == "__main__":
    unittest.main()
