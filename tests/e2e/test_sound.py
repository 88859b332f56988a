"""Who hears what: phones that play tones, and what comes back."""

import pathlib
import random
import struct
import tempfile
import time
import unittest

import sipp
import sound
from phone import Phone, udp_socket
from server import HOST, Server, WithCalls, wait_until
from sound import HEARD, UNHEARD


class Sound(WithCalls):
    def test_echo_returns_the_callers_sound(self):
        with Phone(self.server) as phone:
            phone.call("9000")
            phone.play(sound.tone(700, 1), seconds=2)
            phone.stop_playing()
            self.assertGreater(phone.level(700), HEARD)
            phone.hang_up()

    def test_the_test_tone_is_one_kilohertz(self):
        with Phone(self.server) as phone:
            phone.call("tone")
            phone.play(sound.tone(700, 1, amplitude=0), seconds=2)
            phone.stop_playing()
            # -16 dBm0, where 0 dBm0 is 3.17 dB below a full scale of 32124.
            self.assertAlmostEqual(phone.level(1000), 32124 * 10 ** (-19.17 / 20), delta=200)
            phone.hang_up()

    def test_three_in_a_room_hear_each_other_and_not_themselves(self):
        tones = [500, 900, 1400]
        with Phone(self.server) as one, Phone(self.server) as two, Phone(self.server) as three:
            phones = [one, two, three]
            for phone in phones:
                phone.call("3100")
            for phone, frequency in zip(phones, tones):
                phone.play(sound.tone(frequency, 1), seconds=3)
            for phone in phones:
                phone.stop_playing()
            for phone, own in zip(phones, tones):
                for frequency in tones:
                    level = phone.level(frequency)
                    if frequency == own:
                        self.assertLess(level, UNHEARD, f"{own} Hz hears itself")
                    else:
                        self.assertGreater(level, HEARD, f"{own} Hz hears {frequency} Hz")
            for phone in phones:
                phone.hang_up()

    def test_a_muted_participant_hears_and_is_not_heard(self):
        with Phone(self.server) as one, Phone(self.server, "muted") as two:
            one.call("3101")
            two.call("3101")
            members = self.server.participants("3101")
            muted = next(member for member in members if "muted" in member["caller"])
            status, _ = self.server.request("POST", f"/v1/participants/{muted['id']}/mute")
            self.assertEqual(status, 204)
            one.play(sound.tone(500, 1), seconds=2.5)
            two.play(sound.tone(900, 1), seconds=2.5)
            one.stop_playing()
            two.stop_playing()
            self.assertLess(one.level(900), UNHEARD)
            self.assertGreater(two.level(500), HEARD)
            one.hang_up()
            two.hang_up()

    def test_a_stranger_is_never_heard(self):
        with Phone(self.server) as one, Phone(self.server) as two, udp_socket() as stranger:
            one.call("3102")
            two.call("3102")
            one.play(sound.tone(500, 1), seconds=3)
            two.play(sound.tone(900, 1), seconds=3)
            wait_until(lambda: len(two.heard) > sound.SAMPLE_RATE // 2, "sound flows")
            inject(stranger, one.remote_media, sound.tone(1400, 1), seconds=2)
            one.stop_playing()
            two.stop_playing()
            self.assertLess(two.level(1400), UNHEARD)
            self.assertGreater(two.level(500), HEARD)
            latched = {p["media"]["address"] for p in self.server.participants("3102")}
            self.assertEqual(latched, {f"{HOST}:{phone.media_port}" for phone in (one, two)})
            one.hang_up()
            two.hang_up()

    def test_a_phone_behind_a_translator_is_answered_where_its_packets_come_from(self):
        with Phone(self.server) as phone, udp_socket() as elsewhere:
            claimed = elsewhere.getsockname()[1]
            body = phone.description().replace(f"m=audio {phone.media_port}", f"m=audio {claimed}")
            phone.call("9000", body=body)
            phone.play(sound.tone(700, 1), seconds=2)
            phone.stop_playing()
            self.assertGreater(phone.level(700), HEARD)
            phone.hang_up()

    def test_ending_a_room_ends_every_call_in_it(self):
        with Phone(self.server) as one, Phone(self.server) as two:
            one.call("3105")
            two.call("3105")
            self.assertEqual(self.server.request("DELETE", "/v1/rooms/3105")[0], 204)
            for phone in (one, two):
                bye = phone.receive()
                self.assertEqual(bye.method, "BYE")
                phone.answer(bye)

    def test_a_digit_is_reported_and_not_heard(self):
        with Phone(self.server) as one, Phone(self.server, "dialler") as two:
            one.call("3104")
            two.call("3104")
            one.play(sound.tone(500, 1), seconds=2)
            for digit in "42#":
                two.press(digit)
            one.stop_playing()
            members = self.server.participants("3104")
            dialler = next(member for member in members if "dialler" in member["caller"])
            self.assertEqual(dialler["digits"], "42#")
            # Only comfort, if anything, of somebody who sent no sound.
            self.assertLess(max(abs(sound.DECODED[octet]) for octet in one.heard[-4000:]), 100)
            one.hang_up()
            two.hang_up()

    def test_garbage_on_a_media_port_is_counted_and_harms_nobody(self):
        with Phone(self.server) as phone:
            phone.call("9000")
            noise = random.Random(1)
            for length in [0, 1, 11, 12, 13, 100, 1500]:
                for host, port in (phone.remote_media, (HOST, phone.remote_media[1] + 1)):
                    phone.rtp.sendto(noise.randbytes(length), (host, port))
                    # A sender report that is cut short.
                    phone.rtcp.sendto(b"\x80\xc8\x00\x06" + noise.randbytes(length), (host, port))
            phone.play(sound.tone(700, 1), seconds=2)
            phone.stop_playing()
            self.assertGreater(phone.level(700), HEARD)
            phone.hang_up()

    def test_a_caller_on_hold_hears_nothing_of_the_room_and_is_not_heard(self):
        with Phone(self.server) as one, Phone(self.server) as two:
            one.call("3103")
            two.call("3103")
            two.send(two.request("INVITE", "3103", two.description(direction="inactive")))
            self.assertEqual(two.response().status, 200)
            two.acknowledge()
            one.play(sound.tone(500, 1), seconds=2)
            two.play(sound.tone(900, 1), seconds=2)
            one.stop_playing()
            two.stop_playing()
            self.assertLess(one.level(900), UNHEARD)
            self.assertLess(len(two.heard), sound.SAMPLE_RATE // 4)
            one.hang_up()
            two.hang_up()


class VanishingCallers(unittest.TestCase):
    def test_a_caller_whose_media_stops_is_ended_by_bye(self):
        with Server(rtp={"media_timeout": "2s"}) as server, Phone(server) as phone:
            phone.call("3000")
            phone.play(sound.tone(500, 1), seconds=1)
            phone.stop_playing()
            started = time.monotonic()
            bye = phone.receive(seconds=10)
            self.assertEqual(bye.method, "BYE")
            self.assertGreater(time.monotonic() - started, 1)
            phone.answer(bye)
            server.wait_until_empty()

    def test_a_caller_who_is_gone_altogether_leaves_nothing_behind(self):
        with Server(rtp={"media_timeout": "1s"}, sip={"t1": "20ms", "t2": "80ms"}) as server:
            with Phone(server) as phone:
                phone.call("3000")
            server.wait_until_empty()


class AHundredCalls(unittest.TestCase):
    def test_a_hundred_calls_in_ten_rooms_lose_nothing_and_leave_nothing(self):
        with Server() as server, sipp.Sipp(
            server, "call_with_sound", "-r", 25, "-l", 100, "-d", 12000, "-inf", "rooms.csv", calls=100, seconds=60,
            folder=self.folder_with_sound(),
        ) as callers:
            full = lambda: len([p for p in server.participants() if p["answered"]]) == 100
            wait_until(full, "a hundred calls are up")
            time.sleep(4)
            rooms = server.get("/v1/rooms")["rooms"]
            self.assertEqual([room["participants"] for room in rooms], [10] * 10)
            before = {p["id"]: p["media"] for p in server.participants()}
            time.sleep(2)
            after = {p["id"]: p["media"] for p in server.participants()}
            for identity, media in after.items():
                earlier = before[identity]
                received = media["packets_received"] - earlier["packets_received"]
                sent = media["packets_sent"] - earlier["packets_sent"]
                self.assertGreater(received, 60, f"{identity}: {media}")
                self.assertGreater(sent, 60, f"{identity}: {media}")
                # SIPp's own pacing may slip; what it sent must have come.
                self.assertLess(media["loss_percent"], 0.1, f"{identity}: {media}")
            callers.finish()
            server.wait_until_empty()

    def folder_with_sound(self):
        temporary = tempfile.TemporaryDirectory(prefix="mixminus-calls-")
        self.addCleanup(temporary.cleanup)
        folder = pathlib.Path(temporary.name)
        (folder / "sound.ul").write_bytes(sound.tone(500, 2))
        rooms = "".join(f"{3200 + n % 10};\n" for n in range(100))
        (folder / "rooms.csv").write_text("SEQUENTIAL\n" + rooms)
        return folder


def inject(source, target, octets, seconds):
    """RTP from somebody who was never invited."""
    start = time.monotonic()
    for n in range(int(seconds * 50)):
        at = n * sound.FRAME % len(octets)
        header = struct.pack(">BBHII", 0x80, 0, n, 160 * n, 0xBAD)
        source.sendto(header + octets[at:at + sound.FRAME], target)
        time.sleep(max(0, start + (n + 1) / 50 - time.monotonic()))


if __name__ == "__main__":
    unittest.main()
