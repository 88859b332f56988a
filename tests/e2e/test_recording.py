"""Recordings under control: by the API, by keys, by a header; what is kept, and how it is fetched."""

import io
import json
import struct
import tempfile
import time
import unittest
import urllib.error
import urllib.request
import wave

import sound
from phone import Phone
from server import HOST, Server, WithCalls, wait_until


def finished(server, id=None):
    """The recording of this id, or the newest, once it is finished."""
    def look():
        found = [one for one in server.get("/v1/recordings")["recordings"] if id in (None, one["id"])]
        return found[0] if found and found[0]["state"] == "finished" else None
    return wait_until(look, f"{id or 'a recording'} is finished")


def fetch(server, recording, name, part=None):
    """A file of a recording: status, headers, octets."""
    asked = urllib.request.Request(f"{server.api}/v1/recordings/{recording['id']}/files/{name}")
    if part:
        asked.add_header("Range", part)
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.headers, refused.read()


def file_of(recording, ending):
    """The name of the one file that ends so."""
    names = [file["name"] for file in recording["files"] if file["name"].endswith(ending)]
    assert len(names) == 1, recording
    return names[0]


def samples(octets):
    """The samples of each audio channel, and their rate."""
    with wave.open(io.BytesIO(octets)) as file:
        channels = file.getnchannels()
        flat = struct.unpack(f"<{file.getnframes() * channels}h", file.readframes(file.getnframes()))
        return [flat[at::channels] for at in range(channels)], file.getframerate()


def level(track, rate, frequency):
    """How loud a tone is in the middle of a track."""
    middle = len(track) // 2
    return sound.level_of(track[middle - rate // 2:middle + rate // 2], frequency, rate)


class ByTheApi(WithCalls):
    def order(self, method, path, body=None, status=204):
        found, text = self.server.request(method, path, body)
        self.assertEqual(found, status, f"{method} {path}: {text}")
        return json.loads(text) if text else None

    def test_a_room_is_recorded_with_a_track_of_each_member_and_fetched_in_parts(self):
        with Phone(self.server, "ann") as ann, Phone(self.server, "bob") as bob:
            ann.call("3100")
            bob.call("3100")
            begun = self.order("POST", "/v1/rooms/3100/recordings", {"tracks": ["mix", "received", "sent"]}, 201)
            self.assertEqual((begun["state"], begun["room"]), ("recording", "3100"))
            self.order("POST", "/v1/rooms/3100/recordings", status=409)
            self.assertTrue(self.server.get("/v1/rooms/3100")["recorded"])
            ann.play(sound.tone(500, 1), seconds=3)
            bob.play(sound.tone(800, 1), seconds=3)
            time.sleep(1)
            self.order("POST", f"/v1/recordings/{begun['id']}/marks", {"label": "here"})
            self.order("DELETE", f"/v1/recordings/{begun['id']}", status=409)
            for phone in (ann, bob):
                phone.stop_playing()
            self.order("POST", f"/v1/recordings/{begun['id']}/stop")
            self.assertFalse(self.server.get("/v1/rooms/3100")["recorded"])
            ids = {one["caller"].split(":")[1].split("@")[0]: one["id"] for one in self.server.participants("3100")}
            for phone in (ann, bob):
                phone.hang_up()
        recording = finished(self.server, begun["id"])
        tracks = {}
        for label, name in [("mix", "mix"), ("ann", f"{ids['ann']}-received"), ("bob", f"{ids['bob']}-received"),
                            ("to ann", f"{ids['ann']}-sent")]:
            status, headers, octets = fetch(self.server, recording, file_of(recording, f"{name}.wav"))
            self.assertEqual((status, headers["Content-Type"]), (200, "audio/wav"))
            (tracks[label],), rate = samples(octets)
        self.assertEqual(len({len(track) for track in tracks.values()}), 1, "all tracks are equally long")
        loud = lambda label: tuple(level(tracks[label], rate, tone) > 3000 for tone in (500, 800))
        self.assertEqual([loud(label) for label in ("mix", "ann", "bob", "to ann")],
                         [(True, True), (True, False), (False, True), (False, True)])
        # Mix-minus, to the sample: the mix is what ann says and what she is sent, together.
        both = [a + b for a, b in zip(tracks["ann"], tracks["to ann"])]
        self.assertEqual(list(tracks["mix"]), both)
        self.check_metadata(recording)
        self.check_parts(recording)

    def check_metadata(self, recording):
        _, _, octets = fetch(self.server, recording, recording["id"] + ".json")
        told = json.loads(octets)
        self.assertEqual((told["room"], told["cut"]), ("3100", False))
        self.assertEqual({who["uri"] for who in told["participants"]}, {f"sip:ann@{HOST}", f"sip:bob@{HOST}"})
        self.assertIn("here", [event.get("label") for event in told["events"]])
        self.assertIn("talk", [span["kind"] for span in told["spans"]])

    def check_parts(self, recording):
        name = file_of(recording, "mix.wav")
        _, _, whole = fetch(self.server, recording, name)
        status, headers, part = fetch(self.server, recording, name, "bytes=100-299")
        self.assertEqual((status, part), (206, whole[100:300]))
        self.assertEqual(headers["Content-Range"], f"bytes 100-299/{len(whole)}")
        self.assertEqual(fetch(self.server, recording, name, "bytes=-10")[2], whole[-10:])
        self.assertEqual(fetch(self.server, recording, name, f"bytes={len(whole)}-")[0], 416)
        self.assertEqual(fetch(self.server, recording, "../log")[0], 404)
        self.order("DELETE", f"/v1/recordings/{recording['id']}")
        self.order("GET", f"/v1/recordings/{recording['id']}", status=404)
        self.assertEqual(fetch(self.server, recording, name)[0], 404)

    def test_a_call_is_recorded_in_stereo_and_a_pause_is_silent(self):
        with Phone(self.server, "eve") as eve:
            eve.call("echo")
            who = self.server.participants()[0]["id"]
            begun = self.order("POST", f"/v1/participants/{who}/recordings", {"format": "wav"}, 201)
            eve.play(sound.tone(500, 1), seconds=4)
            time.sleep(1.2)
            self.order("POST", f"/v1/recordings/{begun['id']}/pause")
            self.assertEqual(self.server.get(f"/v1/recordings/{begun['id']}")["state"], "paused")
            time.sleep(1.2)
            self.order("POST", f"/v1/recordings/{begun['id']}/resume")
            eve.stop_playing()
            eve.hang_up()
        recording = finished(self.server, begun["id"])
        _, _, octets = fetch(self.server, recording, file_of(recording, ".wav"))
        (received, sent), rate = samples(octets)
        quiet = [at for at in range(0, len(received) - 160, 160) if not any(received[at:at + 160])]
        self.assertTrue(45 <= len(quiet) <= 130, f"{len(quiet)} silent blocks")
        self.assertGreater(sound.level_of(received[-rate:], 500, rate), 3000)
        self.assertGreater(sound.level_of(sent[-rate:], 500, rate), 3000, "the echo is on the other side")
        _, _, octets = fetch(self.server, recording, recording["id"] + ".json")
        told = json.loads(octets)
        self.assertIn("paused", [span["kind"] for span in told["spans"]])
        self.assertIn("paused", [gap["cause"] for gap in told["tracks"][0]["gaps"]])

    def test_packets_and_opus_are_files_of_their_own_kind(self):
        with Phone(self.server, "joe") as joe:
            joe.call("3101")
            who = self.server.participants("3101")[0]["id"]
            begun = {
                ".pcapng": self.order("POST", f"/v1/participants/{who}/recordings", {"tracks": ["packets"]}, 201),
                ".opus": self.order("POST", "/v1/rooms/3101/recordings", {"format": "opus", "rate": 48000}, 201),
            }
            joe.play(sound.tone(500, 1), seconds=2)
            joe.stop_playing()
            joe.hang_up()
        for ending, magic in {".pcapng": b"\x0a\x0d\x0d\x0a", ".opus": b"OggS"}.items():
            recording = finished(self.server, begun[ending]["id"])
            status, _, octets = fetch(self.server, recording, file_of(recording, ending))
            self.assertEqual((status, octets[:4]), (200, magic))
            self.assertGreater(len(octets), 5000 if ending == ".pcapng" else 500)

    def test_what_cannot_be_recorded_is_a_clear_error(self):
        self.order("POST", "/v1/rooms/nowhere/recordings", status=404)
        self.order("POST", "/v1/participants/999/recordings", status=404)
        self.order("POST", "/v1/recordings/none/stop", status=404)
        with Phone(self.server) as phone:
            phone.call("3102")
            for wrong in ({"tracks": []}, {"tracks": ["video"]}, {"format": "mp3"}, {"rate": 44100}, {"colour": "red"}):
                refused = self.order("POST", "/v1/rooms/3102/recordings", wrong, 400)
                self.assertEqual(refused["error"], "recording")
            who = self.server.participants("3102")[0]["id"]
            self.order("POST", f"/v1/participants/{who}/recordings", {"tracks": ["mix"]}, 400)
            phone.hang_up()


class ByThoseWhoMay(unittest.TestCase):
    def test_keys_and_the_header_begin_and_end_the_recording_of_a_room(self):
        boss_may = {"[endpoint]": {"user": "boss", "may_record": True}}
        with Server(recording={"keys": "*1"}, **boss_may) as server:
            is_recorded = lambda: server.get("/v1/rooms/3200")["recorded"]
            with Phone(server, "boss") as boss, Phone(server, "guest") as guest:
                boss.call("3200")
                guest.call("3200")
                for phone in (boss, guest):
                    phone.play(sound.tone(500, 1), seconds=0.5)
                    phone.stop_playing()
                for key in "*1":
                    guest.press(key)
                self.assertFalse(is_recorded(), "a guest may not")
                for key in "*1":
                    boss.press(key)
                wait_until(is_recorded, "the boss's keys begin it")
                boss.send(boss.request("INFO", boss.number, extra=["Record: off"]))
                self.assertEqual(boss.response().status, 200)
                wait_until(lambda: not is_recorded(), "the header ends it")
                guest.send(guest.request("INFO", guest.number, extra=["Record: on"]))
                self.assertEqual(guest.response().status, 403)
                for phone in (boss, guest):
                    phone.hang_up()
            recording = finished(server)
            _, _, octets = fetch(server, recording, recording["id"] + ".json")
            events = json.loads(octets)["events"]
            self.assertNotIn("*", json.dumps([event for event in events if event["event"] == "digit"]))


class Told(unittest.TestCase):
    def test_who_begins_to_be_recorded_hears_the_announcement_and_then_the_room(self):
        with tempfile.NamedTemporaryFile(suffix=".wav") as announcement:
            announcement.write(sound.wav([sound.decode(octet) for octet in sound.tone(1200, 1)]))
            announcement.flush()
            self.hear(announcement.name)

    def hear(self, announcement):
        with Server(rooms={"record": "always"}, recording={"announcement": announcement}) as server:
            with Phone(server, "one") as one, Phone(server, "two") as two:
                one.call("3300")
                one.play(sound.tone(500, 1), seconds=4)
                time.sleep(1.5)
                two.call("3300")
                two.play(sound.tone(800, 1), seconds=2.5)
                for phone in (one, two):
                    phone.stop_playing()
                first = sound.level(two.heard[:sound.SAMPLE_RATE * 3 // 4], 1200)
                self.assertGreater(first, 3000, "the announcement")
                self.assertLess(two.level(1200), 100, "is over")
                self.assertGreater(two.level(500), 3000, "then the room")
                self.assertLess(one.level(1200), 100, "who is there already goes on hearing the room")
                for phone in (one, two):
                    phone.hang_up()


if __name__ == "__main__":
    unittest.main()
