"""The torture messages of RFC 4475 and RFC 5118 over the wire: the server lives after each."""

import random
import socket
import unittest

from phone import Phone, udp_socket
from server import HOST, ROOT, Server

TORTURE = ROOT / "signaling/tests/torture"


class Torture(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.server.start()
        cls.addClassCleanup(cls.server.close)

    def assert_alive(self, after):
        """The server answers a ping, and nothing of it has panicked."""
        with Phone(self.server) as phone:
            phone.send(phone.request("OPTIONS", "3000"))
            response = phone.receive(5)
            self.assertIsNotNone(response, f"no answer after {after}")
            self.assertEqual(response.status, 200, after)
        self.assertTrue(self.server.is_alive(), after)
        self.assertNotIn("panicked", self.server.output(), after)

    def messages(self):
        found = sorted(TORTURE.rglob("*.dat"))
        self.assertGreater(len(found), 50)
        return found

    def test_the_server_lives_after_each_message_by_udp(self):
        with udp_socket() as sender:
            for path in self.messages():
                sender.sendto(path.read_bytes(), (HOST, self.server.port))
                self.assert_alive(path.name)

    def test_the_server_lives_after_each_message_by_tcp(self):
        for path in self.messages():
            with socket.create_connection((HOST, self.server.port), timeout=5) as sender:
                sender.sendall(path.read_bytes())
                self.assert_alive(path.name)

    def test_the_server_lives_after_each_message_cut_short(self):
        shears = random.Random(4475)
        with udp_socket() as sender:
            for path in self.messages():
                octets = path.read_bytes()
                for _ in range(3):
                    sender.sendto(octets[:shears.randrange(len(octets))], (HOST, self.server.port))
                self.assert_alive(path.name)

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


if __name__ == "__main__":
    unittest.main()
