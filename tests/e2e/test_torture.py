"""The torture messages of RFC 4475 and RFC 5118 over the wire: each gets what the RFC asks for,
and the server lives after it."""

import random
import re
import socket
import unittest

from phone import Phone, udp_socket
from server import HOST, ROOT, WithServer

TORTURE = ROOT / "signaling/tests/torture"
# Which message gets what is said once, in the front end's own tests.
TABLE = ROOT / "signaling/tests/scenarios/torture.rs"
# The users whom those tests know.
USERS = ["user", "UserB", "vivekg", "t.watson", "remote-target"]


def expectations():
    """Name and status (None: silence) of every message."""
    rows = re.findall(r'\("[^"]+", "([^"]+)", (?:Status\((\d+)\)|Silence)\)', TABLE.read_text())
    return [(name, int(status) if status else None) for name, status in rows]


def message(name):
    """One message as it is sent."""
    path = next(path for path in TORTURE.rglob("*") if path.stem == name)
    return path.read_bytes() if path.suffix else as_sent(path.read_text())


def as_sent(printed):
    """RFC 5118 in print: bare line ends, and lengths that count what the page has lost."""
    head, _, body = printed.partition("\n\n")
    lines = [line for line in head.splitlines() if not line.startswith("Content-Length")]
    body = body.replace("\n", "\r\n")
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode()


def with_rport(octets):
    """The answer comes back to whoever sends this, wherever its Via points."""
    via = re.search(rb"(?im)^(?:via|v)[ \t]*:[^\r]*(?:\r\n[ \t][^\r]*)*", octets)
    if not via:
        return octets
    field, changed = re.subn(rb"(?i)branch", b"rport;branch", via[0], count=1)
    return octets[:via.start()] + (field if changed else field + b";rport") + octets[via.end():]


class Torture(WithServer):
    # Short timers: the torturers never acknowledge what they get.
    # The table is that of the front end's own tests, which offer and take G.711 only.
    settings = {
        "sip": {"t1": "20ms", "t2": "80ms"},
        "rtp": {"codecs": ["PCMU", "PCMA"]},
        "dial": dict.fromkeys([*USERS, "3000"], "room"),
    }

    def assert_alive(self, after):
        """The server answers a ping, and nothing of it has panicked."""
        with Phone(self.server) as phone:
            phone.send(phone.request("OPTIONS", "3000"))
            response = phone.receive(5)
            self.assertIsNotNone(response, f"no answer after {after}")
            self.assertEqual(response.status, 200, after)
        self.assertTrue(self.server.is_alive(), after)
        self.assertNotIn("panicked", self.server.output(), after)

    def test_each_message_gets_by_udp_what_the_rfc_asks_for(self):
        table = expectations()
        self.assertEqual(len(table), 62)
        for name, status in table:
            with self.subTest(name), udp_socket() as sender:
                sender.settimeout(5 if status else 0.1)
                sender.sendto(with_rport(message(name)), (HOST, self.server.port))
                self.assertEqual(final_status(sender), status)
            self.assert_alive(name)
        self.server.wait_until_empty()

    def test_the_server_lives_after_each_message_by_tcp(self):
        for name, _ in expectations():
            with socket.create_connection((HOST, self.server.port), timeout=5) as sender:
                sender.sendall(message(name))
                self.assert_alive(name)
        self.server.wait_until_empty()

    def test_the_server_lives_after_each_message_cut_short(self):
        shears = random.Random(4475)
        with udp_socket() as sender:
            for name, _ in expectations():
                octets = message(name)
                for _ in range(3):
                    sender.sendto(octets[:shears.randrange(len(octets))], (HOST, self.server.port))
                self.assert_alive(name)
        self.server.wait_until_empty()

    def test_what_is_malformed_and_can_be_answered_is_answered_400(self):
        for broken in ("Content-Length: 9999", "Max-Forwards: many"):
            with Phone(self.server) as phone:
                text = phone.request("OPTIONS", "3000")
                name = broken.split(":")[0]
                lines = [broken if line.startswith(name) else line for line in text.split("\r\n")]
                phone.send("\r\n".join(lines))
                self.assertEqual(phone.response().status, 400, broken)
        self.assert_alive("malformed requests")

    def test_noise_is_no_call(self):
        noise = random.Random(1)
        with udp_socket() as sender:
            for length in range(0, 2000, 50):
                sender.sendto(noise.randbytes(length), (HOST, self.server.port))
        self.assert_alive("noise")
        self.assertEqual(self.server.get("/health")["calls"], 0)


def final_status(receiver):
    """The status of the next final response, or None."""
    while True:
        try:
            start = receiver.recv(65536).split(b"\r\n")[0]
        except TimeoutError:
            return None
        status = int(start.split()[1])
        if status >= 200:
            return status


if __name__ == "__main__":
    unittest.main()
