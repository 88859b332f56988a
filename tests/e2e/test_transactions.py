"""What only shows on the wire: retransmissions, timers, routes back, and storms."""

import time
import unittest

from phone import CRLF, Phone, udp_socket
from server import HOST, WithServer

FAST = {"t1": "50ms", "t2": "200ms"}


class Transactions(WithServer):
    settings = {"sip": FAST}

    def setUp(self):
        self.phone = Phone(self.server)
        self.addCleanup(self.phone.__exit__)

    def tearDown(self):
        self.server.wait_until_empty()

    def test_the_answer_is_repeated_until_the_ack_and_the_call_ended_without_one(self):
        phone = self.phone
        answered = phone.invite("3000")
        self.assertEqual(answered.status, 200)
        started = time.monotonic()
        repeats = 0
        while (message := phone.receive(5)).status == 200:
            self.assertEqual(message.get("CSeq"), "1 INVITE")
            repeats += 1
        self.assertEqual(message.method, "BYE")
        self.assertAlmostEqual(time.monotonic() - started, 64 * 0.05, delta=1)
        # 50 + 100 ms, then every 200 ms of 3.2 s.
        self.assertGreater(repeats, 12)
        phone.answer(message)

    def test_the_answer_is_not_repeated_after_the_ack(self):
        phone = self.phone
        phone.call("3000")
        self.assertIsNone(phone.receive(0.5))
        phone.hang_up()

    def test_a_refusal_is_repeated_until_its_ack(self):
        phone = self.phone
        invite = phone.request("INVITE", "1234", phone.description(), branch="z9hG4bKrefused")
        phone.send(invite)
        self.assertEqual(phone.response().status, 404)
        refused = phone.response()
        self.assertEqual(refused.status, 404)
        phone.to = refused.get("To")
        phone.send(phone.request("ACK", "1234", sequence=1, branch="z9hG4bKrefused"))
        time.sleep(0.1)
        while phone.receive(0.01):
            pass
        self.assertIsNone(phone.receive(0.5))

    def test_a_repeated_invite_is_one_call(self):
        phone = self.phone
        invite = phone.request("INVITE", "3000", phone.description())
        phone.number = "3000"
        for _ in range(5):
            phone.send(invite)
        tags = {phone.response().get("To") for _ in range(2)}
        self.assertEqual(len(tags), 1)
        self.assertEqual(self.server.get("/health")["calls"], 1)
        phone.to = tags.pop()
        phone.acknowledge()
        phone.send(phone.request("BYE", "3000"))
        while phone.response().get("CSeq") != "2 BYE":
            pass

    def test_a_request_by_two_ways_is_merged(self):
        phone = self.phone
        first = phone.request("INVITE", "3000", phone.description(), sequence=1, branch="z9hG4bKway1")
        phone.send(first)
        answered = phone.response()
        self.assertEqual(answered.status, 200)
        phone.send(first.replace("z9hG4bKway1", "z9hG4bKway2"))
        while (response := phone.response()).status == 200:
            pass
        self.assertEqual(response.status, 482)
        phone.to, phone.number, phone.sequence = answered.get("To"), "3000", 1
        phone.acknowledge()
        phone.send(phone.request("BYE", "3000"))
        while phone.response().get("CSeq") != "2 BYE":
            pass

    def test_requests_without_a_dialog_are_481(self):
        phone = self.phone
        phone.to = f"<sip:3000@{HOST}>;tag=unknown"
        for method in ("BYE", "UPDATE", "INFO"):
            phone.send(phone.request(method, "3000"))
            self.assertEqual(phone.response().status, 481, method)
        phone.to = ""
        phone.send(phone.request("CANCEL", "3000"))
        self.assertEqual(phone.response().status, 481)

    def test_an_older_sequence_number_is_500_and_a_gap_is_fine(self):
        phone = self.phone
        phone.call("3000")
        phone.send(phone.request("INFO", "3000", sequence=50))
        self.assertEqual(phone.response().status, 200)
        phone.send(phone.request("INFO", "3000", sequence=49))
        self.assertEqual(phone.response().status, 500)
        phone.sequence = 1000
        phone.hang_up()

    def test_cancel_after_the_answer_is_200_and_has_no_effect(self):
        phone = self.phone
        phone.number = "3000"
        phone.send(phone.request("INVITE", "3000", phone.description(), branch="z9hG4bKlate"))
        answered = phone.response()
        phone.send(phone.request("CANCEL", "3000", sequence=1, branch="z9hG4bKlate"))
        while (response := phone.response()).get("CSeq") != "1 CANCEL":
            pass
        self.assertEqual(response.status, 200)
        phone.to = answered.get("To")
        phone.acknowledge()
        phone.hang_up()

    def test_without_rport_the_answer_goes_to_the_via(self):
        with udp_socket() as elsewhere:
            elsewhere.settimeout(5)
            port = elsewhere.getsockname()[1]
            text = self.phone.request("OPTIONS", "3000").replace(";rport", "")
            self.phone.send(text.replace(f"UDP {HOST}:{self.phone.port}", f"UDP {HOST}:{port}"))
            self.assertTrue(elsewhere.recv(4096).startswith(b"SIP/2.0 200 "))

    def test_with_rport_the_answer_goes_to_the_source(self):
        text = self.phone.request("OPTIONS", "3000")
        self.phone.send(text.replace(f"UDP {HOST}:{self.phone.port}", f"UDP {HOST}:9"))
        response = self.phone.response()
        self.assertEqual(response.status, 200)
        self.assertIn(f"rport={self.phone.port}", response.get("Via"))

    def test_a_ping_of_the_server_itself_is_answered(self):
        text = self.phone.request("OPTIONS", "3000")
        self.phone.send(text.replace("OPTIONS sip:3000@", "OPTIONS sip:"))
        self.assertEqual(self.phone.response().status, 200)

    def test_compact_headers_are_read(self):
        text = self.phone.request("OPTIONS", "3000")
        for name, compact in [("Via", "v"), ("From", "f"), ("To", "t"), ("Call-ID", "i"), ("Contact", "m"), ("Content-Length", "l")]:
            text = text.replace(f"{CRLF}{name}:", f"{CRLF}{compact} :")
        self.phone.send(text)
        self.assertEqual(self.phone.response().status, 200)

    def test_a_storm_of_byes_for_nothing_is_answered_and_forgotten(self):
        with Phone(self.server) as storm:
            storm.to = f"<sip:3000@{HOST}>;tag=unknown"
            for _ in range(2000):
                storm.send(storm.request("BYE", "3000"))
            self.phone.call("3000")
            self.phone.hang_up()


if __name__ == "__main__":
    unittest.main()
