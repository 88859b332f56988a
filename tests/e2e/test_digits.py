"""Digits both ways: as events, in INFO, as tones."""

import json
import os
import pathlib
import tempfile
import unittest

import sipp
import sound
from phone import Phone
from server import WithCalls, wait_until

# Where Debian's package of SIPp keeps its captures.
CAPTURES = pathlib.Path("/usr/share/sip-tester")


class Digits(WithCalls):
    def member(self, room):
        return wait_until(lambda: self.server.participants(room), "somebody is in the room")[0]

    @unittest.skipUnless(os.geteuid() == 0, "SIPp needs raw sockets to play captures")
    def test_every_key_of_sipps_captures_is_told_once(self):
        with tempfile.TemporaryDirectory(prefix="mixminus-captures-") as folder:
            for capture in CAPTURES.glob("dtmf_2833_*.pcap"):
                (pathlib.Path(folder) / capture.name).symlink_to(capture)
            before = self.server.metrics()['mixminus_digits_total{source="rfc4733"}']
            options = dict(number="3200", folder=folder)
            with sipp.Sipp(self.server, "keys_from_captures", "-d", 1000, **options) as caller:
                pressed = lambda: "".join(p["digits"] for p in self.server.participants("3200"))
                wait_until(lambda: pressed() == "123456789*#0", "every key is told")
                caller.finish()
            after = self.server.metrics()['mixminus_digits_total{source="rfc4733"}']
            self.assertEqual(after - before, 12)

    def test_a_press_told_by_events_and_by_info_is_one(self):
        with Phone(self.server) as phone:
            phone.call("3201")
            for key in "1#1":
                phone.press(key)
                phone.send(phone.info("application/dtmf-relay", f"Signal={key}\r\nDuration=100\r\n"))
                self.assertEqual(phone.response().status, 200)
            wait_until(lambda: self.member("3201")["digits"] == "1#1", "each press is told once")
            phone.hang_up()

    def test_a_broken_info_is_refused(self):
        with Phone(self.server) as phone:
            phone.call("3202")
            for content_type, body, status in [
                ("application/dtmf-relay", "Signal=55\r\n", 400),
                ("application/dtmf-relay", "Duration=55\r\n", 400),
                ("text/plain", "5", 415),
                ("application/dtmf-relay", "Signal=flash\r\n", 200),
            ]:
                phone.send(phone.info(content_type, body))
                self.assertEqual(phone.response().status, status, body)
            self.assertEqual(self.member("3202")["digits"], "")
            phone.hang_up()

    def press(self, room, body):
        path = f"/v1/participants/{self.member(room)['id']}/digits"
        return self.server.request("POST", path, body)

    def test_keys_are_pressed_for_a_phone_as_events(self):
        with Phone(self.server) as phone:
            phone.call("3203")
            phone.play(sound.tone(700, 1), seconds=2)
            body = {"digits": "1D#", "duration_ms": 120, "gap_ms": 60}
            self.assertEqual(self.press("3203", body), (204, ""))
            phone.stop_playing()
            presses = {timestamp: [] for _, timestamp, *_ in phone.events}
            for marked, timestamp, event, is_end, duration in phone.events:
                presses[timestamp].append((event, marked, is_end, duration))
            self.assertEqual([rows[0][0] for rows in presses.values()], [1, 15, 11])
            for rows in presses.values():
                self.assertEqual([marked for _, marked, _, _ in rows], [1] + 7 * [0])
                self.assertEqual([is_end for _, _, is_end, _ in rows], 5 * [0] + 3 * [1])
                self.assertEqual([duration for *_, duration in rows], [160, 320, 480, 640, 800, 960, 960, 960])
            phone.hang_up()

    def test_keys_are_pressed_as_tones_where_no_events_are_taken(self):
        with Phone(self.server) as phone:
            phone.call("3204", body=phone.description(formats="0"))
            phone.play(sound.tone(700, 1, amplitude=0), seconds=2.5)
            self.assertEqual(self.press("3204", {"digits": "7", "duration_ms": 8000})[0], 204)
            phone.stop_playing()
            # 7 is 852 and 1209 Hz, at -12 and -10 dBm0.
            for frequency, dbm0 in [(852, -12), (1209, -10)]:
                expected = 32124 * 10 ** ((dbm0 - 3.17) / 20)
                self.assertAlmostEqual(phone.level(frequency), expected, delta=expected / 20)
            phone.hang_up()

    def test_more_keys_than_may_wait_are_refused_and_those_that_wait_are_not(self):
        with Phone(self.server) as phone:
            # While it holds, keys wait.
            phone.call("3206", body=phone.description(direction="sendonly"))
            refused = lambda: self.server.metrics()["mixminus_digits_refused_total"]
            before = refused()
            self.assertEqual(self.press("3206", {"digits": "1" * 32})[0], 204)
            for more in ("2", "3" * 32):
                status, answer = self.press("3206", {"digits": more})
                self.assertEqual((status, json.loads(answer)["error"]), (503, "keys_waiting"))
            self.assertEqual(refused() - before, 2)
            phone.hang_up()

    def test_keys_that_cannot_be_pressed_are_refused(self):
        with Phone(self.server) as phone:
            phone.call("3205")
            for body in [
                {"digits": ""}, {"digits": "1E"}, {"digits": "1" * 33}, {"digits": 5}, {},
                {"digits": "1", "duration_ms": 39}, {"digits": "1", "gap_ms": 8001},
                {"digits": "1", "volume": 2}, {"digits": "1", "speed": 1},
            ]:
                status, answer = self.press("3205", body)
                self.assertEqual((status, json.loads(answer)["error"]), (400, "keys"), body)
            status, answer = self.press("3205", ["1"])
            self.assertEqual((status, json.loads(answer)["error"]), (400, "list"))
            phone.hang_up()


if __name__ == "__main__":
    unittest.main()
