"""Recordings under control: by the API, by keys, by a header; what is kept, and how it is fetched."""

import json
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import sound
from phone import Phone
from recordings import fetch, file_of, finished, packets, samples
from server import HOST, Server, WithCalls, wait_until


def listen(server):
    """What GET /v1/events tells from now on: what happened, and to which recording."""
    answer = urllib.request.urlopen(server.api + "/v1/events", timeout=30)

    def events():
        with answer:
            word = None
            for line in answer:
                if line.startswith(b"event: "):
                    word = line[7:].decode().strip()
                elif line.startswith(b"data: "):
                    told = json.loads(line[6:])
                    assert told["event"] == word, line
                    yield word, told["recording"]

    return events()


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
        loud = lambda label: tuple(sound.loudest(tracks[label], tone, rate) > sound.HEARD for tone in (500, 800))
        self.assertEqual([loud(label) for label in ("mix", "ann", "bob", "to ann")],
                         [(True, True), (True, False), (False, True), (False, True)])
        # Mix-minus, to the sample: the mix is what ann says and what she is sent, together.
        both = [a + b for a, b in zip(tracks["ann"], tracks["to ann"])]
        self.assertEqual(list(tracks["mix"]), both)
        self.check_metadata(recording)
        self.check_parts(recording)

    def test_a_recording_has_1024_tracks_and_those_beyond_are_missing_and_counted(self):
        refused = lambda: self.server.metrics()["mixminus_recordings_refused_total"]
        before = refused()
        with Phone(self.server, "ann") as ann:
            ann.call("3101")
            begun = self.order("POST", "/v1/rooms/3101/recordings", {"tracks": ["received", "sent", "packets"]}, 201)
            for _ in range(341):
                with Phone(self.server, "guest") as guest:
                    guest.call("3101")
                    guest.hang_up()
            wait_until(lambda: refused() == before + 2, "3 and 341 times 3 are 2 too many")
            self.order("POST", f"/v1/recordings/{begun['id']}/stop")
            ann.hang_up()
        _, _, octets = fetch(self.server, finished(self.server, begun["id"]), begun["id"] + ".json")
        self.assertEqual(len(json.loads(octets)["tracks"]), 1024)

    def check_metadata(self, recording):
        _, _, octets = fetch(self.server, recording, recording["id"] + ".json")
        told = json.loads(octets)
        self.assertEqual((told["room"], told["cut"]), ("3100", False))
        self.assertEqual({who["uri"] for who in told["participants"]}, {f"sip:ann@{HOST}", f"sip:bob@{HOST}"})
        self.assertIn("here", [event.get("label") for event in told["events"]])
        self.assertNotIn("talk", [span["kind"] for span in told["spans"]], "tones are no voice")

    def test_who_speaks_is_told_in_the_metadata(self):
        with Phone(self.server, "ann") as ann:
            ann.call("3106")
            begun = self.order("POST", "/v1/rooms/3106/recordings", status=201)
            ann.play(sound.voice(3), seconds=3)
            ann.stop_playing()
            self.order("POST", f"/v1/recordings/{begun['id']}/stop")
            ann.hang_up()
        recording = finished(self.server, begun["id"])
        told = json.loads(fetch(self.server, recording, recording["id"] + ".json")[2])
        self.assertIn("talk", [span["kind"] for span in told["spans"]], told)

    def check_parts(self, recording):
        name = file_of(recording, "mix.wav")
        _, _, whole = fetch(self.server, recording, name)
        status, headers, part = fetch(self.server, recording, name, "bytes=100-299")
        self.assertEqual((status, part), (206, whole[100:300]))
        self.assertEqual(headers["Content-Range"], f"bytes 100-299/{len(whole)}")
        self.assertEqual(fetch(self.server, recording, name, "bytes=-10")[2], whole[-10:])
        self.assertEqual(fetch(self.server, recording, name, f"bytes={len(whole)}-")[0], 416)
        tag = headers["ETag"]
        for meant, expected in [(tag, 206), ('"another"', 200)]:
            self.assertEqual(fetch(self.server, recording, name, "bytes=0-9", {"If-Range": meant})[0], expected)
        for held in (tag, "*"):
            for method in ("GET", "HEAD"):
                status, headers, _ = fetch(self.server, recording, name, more={"If-None-Match": held}, method=method)
                self.assertEqual((status, headers["ETag"]), (304, tag))
                self.assertIn(headers["Content-Length"], (None, str(len(whole))))
        for meant, expected in [(tag, 206), ("*", 206), ('"another"', 412), (f"W/{tag}", 412)]:
            conditions = {"If-Match": meant, "If-None-Match": '"another"'}
            self.assertEqual(fetch(self.server, recording, name, "bytes=0-9", conditions)[0], expected, meant)
        self.assertEqual(fetch(self.server, recording, name, more={"If-Match": '"another"', "If-None-Match": tag})[0], 412)
        status, headers, _ = fetch(self.server, recording, name, "bytes=0-9", method="HEAD")
        self.assertEqual((status, headers["Content-Length"]), (200, str(len(whole))), "a range is of GET alone")
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
        self.assertGreater(sound.loudest(received[-rate:], 500, rate), sound.HEARD)
        self.assertGreater(sound.loudest(sent[-rate:], 500, rate), sound.HEARD, "the echo is on the other side")
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
            if ending == ".pcapng":
                # The header of RTP and what was said, as it was sent.
                told = [packet for packet in packets(octets) if len(packet) == 12 + sound.FRAME]
                self.assertGreaterEqual(len(told), 50, "nearly all, where the machine has time")
                said = [joe.frame(sound.tone(500, 1), n) for n in range(100)]
                heard = [packet[12:] for packet in told]
                self.assertIn(heard, [said[first:first + len(heard)] for first in range(100)])
                self.assertEqual({packet[:2] for packet in told}, {b"\x80\x00"})

    def test_one_file_has_an_audio_channel_for_each_track_and_one_too_many_is_not_lost(self):
        tones = {"ann": 500, "bob": 800, "eve": 1100}
        phones = {name: Phone(self.server, name) for name in tones}
        with phones["ann"], phones["bob"], phones["eve"]:
            for phone in phones.values():
                phone.call("3103")
            wish = {"tracks": ["received"], "layout": "multichannel", "channels": 2}
            begun = self.order("POST", "/v1/rooms/3103/recordings", wish, 201)
            for name, phone in phones.items():
                phone.play(sound.tone(tones[name], 1), seconds=3)
            for phone in phones.values():
                phone.stop_playing()
            self.order("POST", f"/v1/recordings/{begun['id']}/stop")
            for phone in phones.values():
                phone.hang_up()
        recording = finished(self.server, begun["id"])
        told = json.loads(fetch(self.server, recording, recording["id"] + ".json")[2])
        self.assertEqual(told["layout"], {"multichannel": 2})
        files = {file["name"]: samples(fetch(self.server, recording, file["name"])[2]) for file in told["files"]}
        self.assertEqual(sorted(len(channels) for channels, _ in files.values()), [1, 2])
        self.assertEqual(len({len(channel) for channels, _ in files.values() for channel in channels}), 1)
        callers = {who["id"]: who["uri"].split(":")[1].split("@")[0] for who in told["participants"]}
        self.assertEqual(len(told["tracks"]), 3)
        for track in told["tracks"]:
            channels, rate = files[track["file"]]
            loud = [name for name in tones if sound.loudest(channels[track["channel"]], tones[name], rate) > sound.HEARD]
            self.assertEqual(loud, [callers[track["participant"]]])

    def test_a_file_has_the_rate_of_its_track_or_the_one_that_is_chosen(self):
        with Phone(self.server, "narrow") as narrow, Phone(self.server, "wide") as wide:
            narrow.call("3104")
            wide.call("3104", body=wide.description("9 101"))
            wide.payload_type = 9
            for wish, expected in [({}, {"narrow": 8000, "wide": 16000}), ({"rate": 48000}, {"narrow": 48000, "wide": 48000})]:
                wish = {"tracks": ["received"], **wish}
                begun = self.order("POST", "/v1/rooms/3104/recordings", wish, 201)
                for phone in (narrow, wide):
                    phone.play(sound.tone(500, 1), seconds=1)
                for phone in (narrow, wide):
                    phone.stop_playing()
                self.order("POST", f"/v1/recordings/{begun['id']}/stop")
                recording = finished(self.server, begun["id"])
                told = json.loads(fetch(self.server, recording, recording["id"] + ".json")[2])
                callers = {who["id"]: who["uri"].split(":")[1].split("@")[0] for who in told["participants"]}
                rates = {callers[track["participant"]]: samples(fetch(self.server, recording, track["file"])[2])[1]
                         for track in told["tracks"]}
                self.assertEqual(rates, expected)
            for phone in (narrow, wide):
                phone.hang_up()

    def test_a_participants_recording_is_marked_and_stopped_while_the_call_goes_on(self):
        with Phone(self.server, "sue") as sue:
            sue.call("echo")
            who = self.server.participants()[0]["id"]
            begun = self.order("POST", f"/v1/participants/{who}/recordings", {"layout": "tracks"}, 201)
            self.order("POST", f"/v1/participants/{who}/recordings", status=409)
            sue.play(sound.tone(500, 1), seconds=1)
            self.order("POST", f"/v1/recordings/{begun['id']}/marks", {"label": "here"})
            sue.stop_playing()
            self.order("POST", f"/v1/recordings/{begun['id']}/stop")
            recording = finished(self.server, begun["id"])
            self.assertEqual(len(self.server.participants()), 1, "the call goes on")
            sue.hang_up()
        told = json.loads(fetch(self.server, recording, recording["id"] + ".json")[2])
        self.assertIn("here", [event.get("label") for event in told["events"]])
        self.assertEqual(sorted(track["kind"] for track in told["tracks"]), ["received", "sent"])
        self.assertEqual(len(told["files"]), 2)

    def test_a_call_to_the_recorder_is_one_recording_which_its_caller_is_told_of_and_ends_with(self):
        with Phone(self.server, "kim") as kim:
            answer = kim.invite("8000", extra=("Supported: record-aware",))
            self.assertIn("a=record:on", answer.body)
            kim.acknowledge()
            who = self.server.participants()[0]["id"]
            self.order("POST", f"/v1/participants/{who}/recordings", status=409)
            (going,) = self.server.get("/v1/recordings")["going"]
            kim.play(sound.tone(500, 1), seconds=1)
            kim.stop_playing()
            self.order("POST", f"/v1/recordings/{going['id']}/stop")
            # Nothing else was to be told meanwhile.
            bye = kim.receive()
            self.assertEqual((bye.method, bye.get("Reason")), ("BYE", 'Q.850;cause=16;text="Recording stopped"'))
            kim.answer(bye)
        recording = finished(self.server, going["id"])
        told = json.loads(fetch(self.server, recording, recording["id"] + ".json")[2])
        self.assertEqual([event["event"] for event in told["events"]][:1], ["joined"])
        self.assertLessEqual(max(event["sample"] for event in told["events"]), told["samples"])

    def test_what_cannot_be_recorded_is_a_clear_error(self):
        self.order("POST", "/v1/rooms/nowhere/recordings", status=404)
        self.order("POST", "/v1/participants/999/recordings", status=404)
        self.order("POST", "/v1/recordings/none/stop", status=404)
        with Phone(self.server) as phone:
            phone.call("3102")
            for wrong in ({"tracks": []}, {"tracks": ["video"]}, {"format": "mp3"}, {"rate": 44100}, {"colour": "red"},
                          {"layout": "round"}, {"channels": 0}, {"channels": 65}):
                refused = self.order("POST", "/v1/rooms/3102/recordings", wrong, 400)
                self.assertEqual(refused["error"], "recording")
            who = self.server.participants("3102")[0]["id"]
            self.order("POST", f"/v1/participants/{who}/recordings", {"tracks": ["mix"]}, 400)
            phone.hang_up()


class ByThoseWhoMay(unittest.TestCase):
    def test_keys_and_the_header_begin_and_end_the_recording_of_a_room(self):
        boss_may = {"[endpoint]": {"user": "boss", "may_record": True}}
        keys = {"keys": "*1", "pause_keys": "*2", "mark_keys": "*3"}
        with Server(recording=keys, api={"connections_max": 4}, **boss_may) as server:
            told = listen(server)
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
                for key in "*3*2":
                    boss.press(key)
                state = lambda: server.get("/v1/recordings")["going"][0]["state"]
                wait_until(lambda: state() == "paused", "the boss's keys let it pause")
                for word, meant in (("on", "recording"), ("pause", "paused"), ("on", "recording")):
                    boss.send(boss.request("INFO", boss.number, extra=[f"Record: {word}"]))
                    self.assertEqual(boss.response().status, 200)
                    wait_until(lambda: state() == meant, f"the header says {word}")
                boss.send(boss.request("INFO", boss.number, extra=["Record: off"]))
                self.assertEqual(boss.response().status, 200)
                wait_until(lambda: not is_recorded(), "the header ends it")
                guest.send(guest.request("INFO", guest.number, extra=["Record: on"]))
                self.assertEqual(guest.response().status, 403)
                for phone in (boss, guest):
                    phone.hang_up()
            recording = finished(server)
            states = ["started", "paused", "resumed", "paused", "resumed", "finished"]
            self.assertEqual([next(told) for _ in states], [(state, recording["id"]) for state in states])
            others = [listen(server)]  # two of four connections may listen
            with self.assertRaises(urllib.error.HTTPError) as refused:
                listen(server)
            self.assertEqual((refused.exception.code, len(others)), (503, 1))
            refused.exception.close()
            _, _, octets = fetch(server, recording, recording["id"] + ".json")
            events = json.loads(octets)["events"]
            self.assertIn(f"sip:boss@{HOST}", [event.get("label") for event in events])
            self.assertNotIn("*", json.dumps([event for event in events if event["event"] == "digit"]))


    def test_the_header_of_an_invite_counts_where_it_comes_from_who_may(self):
        boss_may = {"[endpoint]": {"user": "boss", "may_record": True}}
        with Server(**boss_may) as server:
            going = lambda: server.get("/v1/recordings")["going"]
            with Phone(server, "guest") as guest, Phone(server, "boss") as boss:
                self.invite(guest, "3201")
                self.assertEqual(going(), [])
                self.invite(boss, "3201")
                wait_until(lambda: server.get("/v1/rooms/3201")["recorded"], "the room is recorded")
                boss.hang_up()
                guest.hang_up()
            wait_until(lambda: not going(), "it ends with the room")
            with Phone(server, "boss") as boss:
                self.invite(boss, "echo")
                wait_until(going, "the call is recorded")
                self.assertEqual((going()[0]["tracks"], going()[0]["call_id"]), (["received", "sent"], boss.call_id))
                boss.hang_up()

    def invite(self, phone, number):
        self.assertEqual(phone.invite(number, extra=["Record: on"]).status, 200)
        phone.acknowledge()

    def test_each_call_of_an_endpoint_that_is_always_recorded_is_and_a_room_that_never_is_is_not(self):
        settings = {"[endpoint]": {"user": "desk", "record": True}, "rooms": {"record": "never"}, "recording": {"keys": "*1"}}
        with Server(**settings) as server:
            with Phone(server, "desk") as desk, Phone(server, "guest") as guest:
                guest.call("3202")
                self.assertEqual(server.get("/v1/recordings")["going"], [])
                status, body = server.request("POST", "/v1/rooms/3202/recordings")
                self.assertEqual((status, json.loads(body)["error"]), (403, "never_recorded"))
                who = server.participants("3202")[0]["id"]
                status, body = server.request("POST", f"/v1/participants/{who}/recordings")
                self.assertEqual((status, json.loads(body)["error"]), (403, "never_recorded"))
                desk.call("3202")
                desk.play(sound.tone(500, 1), seconds=1)
                guest.play(sound.tone(800, 1), seconds=1)
                for phone in (desk, guest):
                    phone.stop_playing()
                self.assertFalse(server.get("/v1/rooms/3202")["recorded"])
                for phone in (desk, guest):
                    phone.hang_up()
            recording = finished(server)
            told = json.loads(fetch(server, recording, recording["id"] + ".json")[2])
            self.assertEqual((told["call_id"], told["layout"]), (desk.call_id, "stereo"))
            (left, right), rate = samples(fetch(server, recording, file_of(recording, ".wav"))[2])
            self.assertGreater(sound.level_of(left, 500, rate), 2 * sound.level_of(left, 800, rate))
            self.assertGreater(sound.level_of(right, 800, rate), 2 * sound.level_of(right, 500, rate))


class Told(unittest.TestCase):
    def test_who_is_recorded_hears_a_beep_now_and_then_but_in_a_pause(self):
        with Server(rooms={"record": "always"}, recording={"beep": "5s"}) as server:
            with Phone(server, "one") as one, Phone(server, "two") as two:
                one.call("3301")
                two.call("3301")
                for phone in (one, two):
                    phone.play(sound.tone(500, 1), seconds=6.5)
                for phone in (one, two):
                    phone.stop_playing()
                for phone in (one, two):
                    self.assertIn(self.beeps(phone), (1, 2))
                id = server.get("/v1/recordings")["going"][0]["id"]
                self.assertEqual(server.request("POST", f"/v1/recordings/{id}/pause")[0], 204)
                # A beep that has begun ends.
                one.play(sound.tone(500, 1), seconds=0.5)
                one.stop_playing()
                one.heard.clear()
                one.play(sound.tone(500, 1), seconds=5.5)
                one.stop_playing()
                self.assertEqual(self.beeps(one), 0)
                for phone in (one, two):
                    phone.hang_up()

    def beeps(self, phone):
        """How many there are in what was heard: parts of 0.1 s that are loud at 1,400 Hz, next to each other."""
        part = sound.SAMPLE_RATE // 10
        loud = [sound.level(phone.heard[at:at + part], 1400) > 1000 for at in range(0, len(phone.heard), part)]
        return sum(is_loud and not before for before, is_loud in zip([False, *loud], loud))

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
                self.assertGreater(two.level(500), sound.HEARD, "then the room")
                self.assertLess(one.level(1200), 100, "who is there already goes on hearing the room")
                for phone in (one, two):
                    phone.hang_up()
            with Phone(server, "three") as three:
                three.call("8000")
                three.play(sound.tone(500, 1), seconds=1)
                three.stop_playing()
                first = sound.level(three.heard[:sound.SAMPLE_RATE * 3 // 4], 1200)
                self.assertGreater(first, 3000, "who calls the recorder hears it, too")
                three.hang_up()


if __name__ == "__main__":
    unittest.main()
