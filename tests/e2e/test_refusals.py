"""Calls that cannot be, each refused with a status that says why. Callers are SIPp."""

import unittest

import sipp
from phone import Phone, gets_through
from server import Server, WithCalls, wait_until


def refusal(server, number="3000", formats="0", extra="Subject: none"):
    """The refusal that SIPp gets, as text."""
    trace = sipp.run(server, "refused", "-key", "extra", extra, "-key", "formats", formats, number=number)
    final = [part for part in trace.split("SIP/2.0 ") if part[:1] in "456" and part[3:4] == " "]
    return final[0]


class Refusals(WithCalls):
    settings = {"sip": {"calls_max": 3, "retry_after": "7s"}, "rooms": {"members_max": 1, "max": 2}}

    def test_an_unknown_number_is_404(self):
        self.assertRegex(refusal(self.server, number="1234"), "^404 ")

    def test_no_common_codec_is_488_and_says_why(self):
        answer = refusal(self.server, formats="18 4")
        self.assertRegex(answer, "^488 ")
        self.assertRegex(answer, r'Warning: 305 \S+ "[^"]*PCMU[^"]*G729')

    def test_descriptions_that_cannot_be_used_are_refused_for_their_own_reason(self):
        usual = Phone(self.server)
        self.addCleanup(usual.__exit__)
        offer = usual.description()
        cases = [
            ("this is no session description", 400, "399"),
            (offer.replace("m=audio ", "m=audio x"), 400, "399"),
            (offer + "a=x\r\n" * 2000, 413, "399"),
            (offer.replace("RTP/AVP", "UDP/TLS/RTP/SAVPF"), 488, "302"),
            (offer.replace("m=audio", "m=video"), 488, "304"),
            (offer.replace("c=IN IP4 127.0.0.1", "c=IN IP4 pbx.example.com"), 488, "301"),
            (offer.replace("c=IN IP4 127.0.0.1", "c=IN IP4 224.2.1.1/127"), 488, "330"),
        ]
        for body, status, warning in cases:
            with self.subTest(body[:60]), Phone(self.server) as phone:
                refused = phone.invite("3000", body=body)
                self.assertEqual((refused.status, refused.get("Warning")[:3]), (status, warning))

    def test_an_unknown_extension_is_420_and_named(self):
        answer = refusal(self.server, extra="Require: timer, teleport")
        self.assertRegex(answer, "^420 ")
        self.assertRegex(answer, r"Unsupported: teleport\s")

    def test_an_unknown_method_is_405(self):
        sipp.run(self.server, "unknown_method")

    def test_a_full_room_is_486(self):
        with Phone(self.server) as member:
            member.call("3000")
            self.assertRegex(refusal(self.server, number="3000"), "^486 ")
            member.hang_up()

    def test_a_full_server_is_503_with_retry_after(self):
        with Phone(self.server) as one, Phone(self.server) as two, Phone(self.server) as three:
            for caller in (one, two, three):
                caller.call("9000")
            answer = refusal(self.server, number="9000")
            self.assertRegex(answer, "^503 ")
            self.assertRegex(answer, r"Retry-After: 7\s")
            for caller in (one, two, three):
                caller.hang_up()

    def test_one_room_too_many_is_503(self):
        with Phone(self.server) as one, Phone(self.server) as two:
            one.call("3001")
            two.call("3002")
            self.assertRegex(refusal(self.server, number="3003"), "^503 ")
            one.hang_up()
            two.hang_up()


class UsedUpPorts(unittest.TestCase):
    def test_a_port_block_that_is_used_up_refuses_the_next_call_and_serves_it_later(self):
        with Server(ports=4, rtp={"shards": 1}) as server:
            with Phone(server) as one, Phone(server) as two, Phone(server) as three:
                one.call("9000")
                two.call("9000")
                refused = three.invite("9000")
                self.assertEqual(refused.status, 503)
                self.assertTrue(refused.get("Retry-After"))
                three.acknowledge()
                one.hang_up()
                # The shard lets go of a port at its next tick.
                wait_until(lambda: gets_through(server, "9000"), "the port serves another call")
                two.hang_up()
            server.wait_until_empty()


if __name__ == "__main__":
    unittest.main()
