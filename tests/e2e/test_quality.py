"""How good a call is: told by RTCP extended reports and by the API, both ways."""

import struct
import time
import unittest

import sound
from phone import Phone
from server import PATIENCE, Server, wait_until

RR, XR, SR = 201, 207, 200


class Endpoint(Phone):
    """A phone that takes and sends VoIP metrics (RFC 3611)."""

    ssrc = 0x600D

    def description(self, formats="0 101", direction="sendrecv"):
        return super().description(formats, direction) + "a=rtcp-xr:voip-metrics\r\n"

    def packets(self, seconds=PATIENCE):
        """RTCP packets as (type, octets), one compound after the other."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.rtcp.settimeout(left)
            try:
                compound = self.rtcp.recv(2048)
            except TimeoutError:
                return
            while compound:
                length = 4 * (struct.unpack(">H", compound[2:4])[0] + 1)
                yield compound[1], compound[:length]
                compound = compound[length:]

    def first(self, kind, seconds=PATIENCE):
        for found, octets in self.packets(seconds):
            if found == kind:
                return octets
        raise AssertionError(f"no RTCP packet of type {kind}")

    def send_reports(self, source, lost, metrics):
        """A receiver report on `source` with so many packets lost, and VoIP metrics."""
        block = struct.pack(">IIIIII", source, 26 << 24 | lost, 1000, 160, 0, 0)
        report = struct.pack(">BBHI", 0x81, RR, 7, self.ssrc) + block
        name = struct.pack(">BBHIBB", 0x81, 202, 2, self.ssrc, 1, 1) + b"e\0"
        extended = struct.pack(">BBHI", 0x80, XR, 10, self.ssrc) + struct.pack(">BBHI", 7, 0, 8, source) + metrics
        host, port = self.remote_media
        self.rtcp.sendto(report + name + extended, (host, port + 1))


class CallQuality(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(rtp={"rtcp_interval": "500ms"})
        cls.server.start()
        cls.addClassCleanup(cls.server.close)

    def quality(self):
        participants = self.server.participants()
        return participants[0]["media"]["quality"] if participants else {}

    def test_a_call_with_metrics_negotiated_gets_them_and_the_api_shows_opinions_both_ways(self):
        with Endpoint(self.server) as phone:
            answer = phone.call("3700")
            self.assertIn("a=rtcp-xr:voip-metrics", answer.body)
            # A burst of 6 packets in the second second.
            phone.play(sound.tone(500, 1), seconds=4, lost=range(60, 66))
            report = phone.first(SR)
            ours = struct.unpack(">I", report[4:8])[0]
            phone.stop_playing()
            metrics = phone.first(XR)
            kind, _, words, source = struct.unpack(">BBHI", metrics[8:16])
            self.assertEqual((kind, words), (7, 8))
            for _ in range(20):
                loss, discards, burst, _gap, burst_ms, _ = struct.unpack(">BBBBHH", metrics[16:24])
                if loss:
                    break
                metrics = phone.first(XR)
            self.assertGreater(loss, 0)
            self.assertEqual(metrics[31], 16, "Gmin")
            r_factor, _, listening, conversational = metrics[32:36]
            self.assertTrue(40 < r_factor < 94, r_factor)
            self.assertTrue(20 < conversational <= listening <= 45)

            quality = self.quality()
            receive, seconds = quality["receive"], quality["seconds"]
            self.assertTrue(1 < receive["mos_conversational"] <= receive["mos_listening"] < 4.4, receive)
            self.assertGreater(receive["lost_percent"], 1)
            self.assertGreaterEqual(seconds["network_loss"], 1, seconds)
            self.assertGreaterEqual(seconds["all"], 3)
            self.assertNotIn("send", quality, "nothing was reported yet")

            metrics = struct.pack(">BBBBHHHHBBBBBBBBBBHHH", 5, 13, 0, 0, 0, 0, 0, 120, 127, 127, 127, 16,
                                  71, 127, 38, 36, 0xF0, 0, 60, 100, 200)
            phone.send_reports(ours, 10, metrics)
            quality = wait_until(lambda: "far_end" in self.quality() and self.quality(), "the report arrives")
            self.assertEqual(quality["far_end"]["r_factor"], 71)
            self.assertEqual(quality["far_end"]["mos_conversational"], 3.6)
            self.assertTrue(1 < quality["send"]["mos_conversational"] < 4.3, quality["send"])
            self.assertGreater(quality["send"]["delay_ms"], 120)
            self.assertAlmostEqual(quality["send"]["discarded_percent"], 13 / 2.56, delta=0.1)
            phone.hang_up()
        self.server.wait_until_empty()
        metrics = self.server.metrics()
        total = lambda name: sum(value for found, value in metrics.items() if found.startswith(name))
        self.assertEqual(total("mixminus_voip_metrics_received_total"), 1)
        self.assertGreater(total("mixminus_voip_metrics_sent_total"), 1)
        self.assertGreaterEqual(total('mixminus_bad_seconds_by_reason_total{shard="0",reason="network_loss"}'), 1)
        self.assertEqual(total("mixminus_call_mos_count"), 2)

    def test_a_phone_that_did_not_ask_for_metrics_gets_none(self):
        with Endpoint(self.server) as phone:
            body = Phone.description(phone)
            answer = phone.call("3701", body=body)
            self.assertNotIn("rtcp-xr", answer.body)
            phone.play(sound.tone(500, 1), seconds=2)
            phone.stop_playing()
            kinds = {kind for kind, _ in phone.packets(seconds=2)}
            self.assertIn(SR, kinds)
            self.assertNotIn(XR, kinds)
            phone.hang_up()
