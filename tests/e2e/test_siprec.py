"""Recording sessions (SIPREC): this server as the recorder of others, as a client of a recorder, and
against itself: two processes, one of which records the rooms and calls of the other."""

import json
import re
import unittest
import wave

import rs_metadata
import sipp
import sound
from kamailio import Kamailio
from phone import CRLF, Message, Phone, udp_socket
from recording_client import EDGE, RecordingClient, Stream
from server import HOST, PATIENCE, Server, free_port, wait_until
from sound import HEARD, UNHEARD

# Nobody waits for half a minute for a recorder that is not there.
IMPATIENT = {"t1": "50ms"}

ANYONE = {"accept_from": [f"{HOST}/8"]}


def files(server):
    return sorted((server.folder / "recordings").rglob("*.wav"))


def levels(file, *frequencies):
    """Amplitudes in the middle of a finished recording, where everything has settled."""
    with wave.open(str(file)) as recording:
        rate, count = recording.getframerate(), recording.getnframes()
        octets = recording.readframes(count)
    samples = memoryview(octets).cast("h")
    middle = samples[len(samples) // 3:len(samples) * 2 // 3].tolist()
    return [sound.level_of(middle, frequency, rate) for frequency in frequencies]


def loudest(file, *frequencies):
    """The largest amplitudes in any quarter of a second of a finished recording."""
    with wave.open(str(file)) as recording:
        rate, count = recording.getframerate(), recording.getnframes()
        octets = recording.readframes(count)
    samples = memoryview(octets).cast("h").tolist()
    return [sound.loudest(samples, frequency, rate) for frequency in frequencies]


def tracks_of(server):
    """Labels of the tracks of the recordings that go on."""
    return [label for one in server.get("/v1/recordings")["going"] for label in one["tracks"]]


def speakers(server):
    """Label and address of who speaks of each track, from the metadata of all recordings."""
    found = []
    for file in (server.folder / "recordings").rglob("*.json"):
        account = json.loads(file.read_text())
        uris = {one["id"]: one["uri"] for one in account["participants"]}
        found += [(track["label"], uris.get(track["participant"])) for track in account["tracks"]]
    return sorted(found)


def finished(server, count):
    """The files of so many recordings, once they are complete."""
    complete = lambda: server.metrics()["mixminus_recordings"] == 0 and len(files(server)) >= count
    wait_until(complete, f"{count} recordings are complete")
    return files(server)


class Recorder(unittest.TestCase):
    def test_each_stream_is_a_track_with_the_sound_of_its_participant_only(self):
        streams = [Stream("96", "anna", 500), Stream("97", "bert", 900)]
        with Server(siprec=ANYONE) as server, RecordingClient(server, streams) as client:
            answer = client.offer()
            self.assertEqual(answer.status, 200, answer)
            self.assertIn("+sip.srs", answer.get("Contact"))
            self.assertEqual(answer.body.count("a=recvonly"), 2)
            self.assertLess(answer.body.index("a=label:96"), answer.body.index("a=label:97"))
            self.assertEqual(server.metrics()["mixminus_siprec_sessions"], 1)
            client.play(2)
            self.assertEqual(client.ask("BYE").status, 200)
            server.wait_until_empty()
            tracks = [levels(file, 500, 900) for file in finished(server, 2)]
            self.assertEqual(len(tracks), 2)
            for own, other in [sorted(track, reverse=True) for track in tracks]:
                self.assertGreater(own, HEARD)
                self.assertLess(other, UNHEARD)
            self.assertNotEqual(tracks[0][0] > tracks[0][1], tracks[1][0] > tracks[1][1])

    def test_hold_a_stream_more_and_a_stream_less_are_followed(self):
        streams = [Stream("96", "anna", 500), Stream("97", "bert", 900)]
        with Server(siprec=ANYONE) as server, RecordingClient(server, streams) as client:
            client.offer()
            client.play(1)
            streams[0].direction = "inactive"
            answer = client.offer()
            self.assertIn("a=inactive", answer.body)
            self.assertIn("a=recvonly", answer.body)
            streams[0].direction = "sendonly"
            streams.append(Stream("98", "carl", 1400))
            answer = client.offer()
            self.assertEqual(answer.body.count("a=recvonly"), 3, answer.body)
            client.play(1.5)
            streams[1].direction = None
            answer = client.offer()
            self.assertIn("m=audio 0 ", answer.body)
            client.play(0.5)
            self.assertEqual(client.ask("BYE").status, 200)
            server.wait_until_empty()
            self.assertEqual(len(finished(server, 3)), 3)

    def test_a_client_is_told_that_its_recording_was_stopped(self):
        with Server(siprec=ANYONE) as server, RecordingClient(server, [Stream("96", "anna", 500)]) as client:
            client.offer()
            (going,) = server.get("/v1/recordings")["going"]
            self.assertEqual(server.request("POST", f"/v1/recordings/{going['id']}/stop")[0], 204)
            bye = client.receive()
            self.assertEqual((bye.method, bye.get("Reason")), ("BYE", 'Q.850;cause=16;text="Recording stopped"'))
            self.assertEqual(server.metrics()["mixminus_siprec_sessions"], 0)

    def test_sipp_goes_through_the_flows_of_rfc_8068(self):
        with Server(siprec=ANYONE) as server:
            sipp.run(server, "recording_session", "-d", 200, calls=5)
            server.wait_until_empty()
            self.assertEqual(server.metrics()["mixminus_siprec_sessions"], 0)

    def test_what_is_wrong_is_refused_and_leaves_nothing_behind(self):
        streams = [Stream("1", "anna", 500)]
        with Server(siprec=ANYONE) as server, RecordingClient(server, streams) as client:
            whole = client.bodies()
            table = [
                (whole.replace("</recording>", ""), 400, "XML"),
                (whole.replace("<recording ", '<!DOCTYPE a [<!ENTITY b "c">]><recording '), 400, "Document type"),
                (whole.replace("rs-metadata+xml", "x-unknown"), 415, "unknown format"),
                (whole.replace("RTP/AVP 0", "RTP/AVP 18"), 488, "expected"),
                (whole.replace(f"--{EDGE}", "--other"), 400, "No part"),
            ]
            for body, status, reason in table:
                answer = client.ask("INVITE", body)
                self.assertEqual(answer.status, status, answer)
                self.assertIn(reason, answer.get("Warning"))
                client.to = f"<sip:recorder@{HOST}>"
            server.wait_until_empty()
            self.assertEqual(files(server), [])

    def test_a_server_that_is_no_recorder_lacks_the_extension(self):
        with Server() as server, RecordingClient(server, [Stream("1", "anna", 500)]) as client:
            answer = client.ask("INVITE", client.bodies())
            self.assertEqual((answer.status, answer.get("Unsupported")), (420, "siprec"))


class Client(unittest.TestCase):
    def test_each_in_a_room_of_ours_is_a_track_of_its_own_at_another_of_us(self):
        with Server(siprec=ANYONE) as recorder:
            gone = f"sip:{HOST}:{free_port()}"
            send_to = {"send_to": [gone, f"sip:recorder@{HOST}:{recorder.port}"], "rooms": ["3*"],
                       "answer_timeout": "2s"}
            with Server(siprec=send_to, sip=IMPATIENT) as server, Phone(server, "anna") as anna, Phone(server, "bert") as bert:
                anna.call("3100")
                anna.play(sound.tone(700, 1), seconds=1)
                anna.stop_playing()
                bert.call("3100")
                streams = lambda: len(tracks_of(recorder)) == 2
                wait_until(streams, "the second recorder of the list has both")
                nothing_here = lambda: server.metrics()["mixminus_recordings"] == 0
                wait_until(nothing_here, "what it has is no longer recorded here")
                anna.play(sound.tone(500, 1), seconds=1.5)
                bert.play(sound.tone(900, 1), seconds=1.5)
                anna.stop_playing()
                bert.stop_playing()
                anna.hang_up()
                bert.hang_up()
                server.wait_until_empty()
                recorder.wait_until_empty()
                here = [loudest(file, 700, 500, 900) for file in finished(server, 1)]
                names = [f"sip:{name}@{HOST}" for name in ("anna", "bert")]
                tracks = [loudest(file, 500, 900) for file in finished(recorder, 2)]
                self.assertEqual(speakers(recorder), [("1", names[0]), ("2", names[1])])
            self.assertGreater(max(early for early, *_ in here), HEARD, "said before a recorder answered")
            self.assertLess(max(late for _, *late in here for late in late), UNHEARD, "said later: not kept twice")
            self.assertEqual(len(tracks), 2)
            for own, other in [sorted(track, reverse=True) for track in tracks]:
                self.assertGreater(own, HEARD)
                self.assertLess(other, UNHEARD)
            self.assertNotEqual(tracks[0][0] > tracks[0][1], tracks[1][0] > tracks[1][1])

    def test_a_single_call_is_sent_with_both_of_its_sides(self):
        with Server(siprec=ANYONE) as recorder:
            send_to = {"send_to": [f"sip:recorder@{HOST}:{recorder.port};transport=tcp"], "calls": ["echo"]}
            with Server(siprec=send_to) as server, Phone(server, "anna") as anna:
                anna.call("echo")
                wait_until(lambda: len(tracks_of(recorder)) == 2, "the recorder has both sides")
                anna.play(sound.tone(500, 1), seconds=2)
                anna.stop_playing()
                anna.hang_up()
                server.wait_until_empty()
                recorder.wait_until_empty()
            for file in finished(recorder, 2):
                self.assertGreater(loudest(file, 500)[0], HEARD)
            expected = [("1", f"sip:anna@{HOST}"), ("2", f"sip:echo@{HOST}:{server.port}")]
            self.assertEqual(speakers(recorder), expected)

    def test_what_a_recorder_is_told_is_metadata_to_parsers_that_are_not_ours(self):
        with udp_socket() as recorder:
            send_to = {"send_to": [f"sip:{HOST}:{recorder.getsockname()[1]}"], "calls": ["echo"], "answer_timeout": "500ms"}
            with Server(siprec=send_to, sip=IMPATIENT) as server, Phone(server, "anna") as anna:
                anna.call("echo")
                recorder.settimeout(PATIENCE)
                octets = recorder.recv(65536)
                anna.hang_up()
                server.wait_until_empty()
        invite = Message(octets)
        described, told = rs_metadata.parts(invite.get("Content-Type"), octets.partition(b"\r\n\r\n")[2])
        self.assertEqual(described[0], "application/sdp")
        self.assertEqual(told[:2], ("application/rs-metadata+xml", "recording-session"))
        recording = rs_metadata.read(told[2])
        streams = rs_metadata.all_of(recording, "stream")
        labels = [rs_metadata.all_of(stream, "label")[0].text for stream in streams]
        self.assertEqual(labels, re.findall(r"a=label:(\S+)", described[2].decode()))
        self.assertEqual(len(labels), 2)
        ends = rs_metadata.all_of(recording, "participantstreamassoc")
        sent = [stream.text for end in ends for stream in rs_metadata.all_of(end, "send")]
        self.assertEqual(sorted(sent), sorted(stream.get("stream_id") for stream in streams), "each stream has one who speaks")

    def test_what_is_said_after_a_recorder_is_lost_goes_to_the_next_and_then_is_recorded_here(self):
        with Server(siprec=ANYONE) as first, Server(siprec=ANYONE) as second:
            send_to = {"send_to": [f"sip:{HOST}:{recorder.port}" for recorder in (first, second)], "rooms": ["3*"]}
            with Server(siprec=send_to, sip=IMPATIENT, rooms={"record": "always"}) as server, Phone(server, "anna") as anna:
                anna.call("3100")
                for recorder, frequency in ((first, 500), (second, 700)):
                    wait_until(lambda: len(tracks_of(recorder)) == 1, "a recorder has the room")
                    wait_until(lambda: server.metrics()["mixminus_recordings"] == 1, "only the room's own recording is left")
                    anna.play(sound.tone(frequency, 1), seconds=1)
                    anna.stop_playing()
                    silent = lambda: server.participants()[0]["media"]["level_dbov"] == 127
                    wait_until(silent, "all that was said is heard: how late that is, a busy machine decides")
                    recorder.terminate()
                gone = lambda: server.metrics()["mixminus_siprec_recorders_gone_total"] == 1
                wait_until(gone, "no recorder is left")
                wait_until(lambda: server.metrics()["mixminus_recordings"] == 2, "it is recorded beside the room's own recording")
                anna.play(sound.tone(900, 1), seconds=1)
                anna.stop_playing()
                anna.hang_up()
                server.wait_until_empty()
                for recorder, frequency in ((first, 500), (second, 700)):
                    (track,) = files(recorder)
                    self.assertGreater(loudest(track, frequency)[0], HEARD)
                wait_until(lambda: server.metrics()["mixminus_recordings"] == 0, "all are complete")
                here = [loudest(file, 500, 700, 900) for file in files(server)]
            of_room = [one for one in here if min(one) > HEARD]
            after = [one for one in here if one[2] > HEARD > max(one[:2])]
            self.assertEqual((len(of_room), len(after)), (1, 1), here)

    def test_a_room_is_sent_through_a_real_proxy(self):
        with Server(siprec=ANYONE) as recorder, Kamailio(recorder) as proxy:
            send_to = {"send_to": [f"sip:recorder@{HOST}:{proxy.port}"], "rooms": ["3*"]}
            with Server(siprec=send_to) as server, Phone(server, "anna") as anna, Phone(server, "bert") as bert:
                anna.call("3100")
                wait_until(lambda: recorder.metrics()["mixminus_siprec_sessions"] == 1, "the recorder has the room")
                invites = lambda: recorder.metrics()['mixminus_sip_requests_total{method="INVITE"}']
                before = invites()
                bert.call("3100")
                wait_until(lambda: invites() > before, "the recorder is told of who came")
                anna.play(sound.tone(500, 1), seconds=1.5)
                anna.stop_playing()
                bert.hang_up()
                anna.hang_up()
                # BYE finds its way by the route of the dialog, too.
                server.wait_until_empty()
                recorder.wait_until_empty()
            self.assertTrue(any(loudest(file, 500)[0] > HEARD for file in finished(recorder, 2)))

    def test_a_room_that_is_never_recorded_is_not_sent_by_the_api(self):
        send_to = {"send_to": [f"sip:{HOST}:{free_port()}"]}
        with Server(siprec=send_to, sip=IMPATIENT, rooms={"record": "never"}) as server, Phone(server, "anna") as anna:
            anna.call("3100")
            who = server.participants()[0]["id"]
            for one in ("rooms/3100", f"participants/{who}"):
                status, why = server.request("PUT", f"/v1/{one}/siprec")
                self.assertEqual((status, json.loads(why)["error"]), (403, "never_recorded"))
            self.assertEqual(server.get("/v1/recordings")["going"], [])
            anna.hang_up()

    def test_a_call_that_is_moved_to_a_room_that_is_never_recorded_is_sent_no_more(self):
        with Server(siprec=ANYONE) as recorder:
            rooms = {"[room]": {"name": "3200", "record": "never"}}
            send_to = {"send_to": [f"sip:{HOST}:{recorder.port}"], "calls": ["3102"]}
            with Server(siprec=send_to, sip=IMPATIENT, **rooms) as server:
                # By the API, and by the configuration, which says so whatever the room says.
                for number, after in (("3101", 0), ("3102", 1)):
                    with Phone(server, "anna") as anna:
                        anna.call(number)
                        who = server.participants()[0]["id"]
                        self.assertEqual(server.request("PUT", f"/v1/participants/{who}/siprec")[0], 204)
                        sessions = lambda: recorder.metrics()["mixminus_siprec_sessions"]
                        wait_until(lambda: sessions() == 1, "the recorder has the call")
                        self.assertEqual(server.request("PUT", f"/v1/participants/{who}/room", {"name": "3200"})[0], 204)
                        wait_until(lambda: server.participants()[0]["room"] == "3200", "it is moved")
                        wait_until(lambda: sessions() == after, "only the configuration's is still sent")
                        wait_until(lambda: not server.get("/v1/recordings")["going"], "nothing of it is kept here")
                        anna.hang_up()
                    server.wait_until_empty()
                    recorder.wait_until_empty()

    def test_a_room_is_recorded_here_where_no_recorder_is_left(self):
        send_to = {"send_to": [f"sip:{HOST}:{free_port()}"], "answer_timeout": "500ms"}
        with Server(siprec=send_to, sip=IMPATIENT) as server, Phone(server, "anna") as anna:
            anna.call("3100")
            self.assertEqual(server.request("PUT", "/v1/rooms/elsewhere/siprec")[0], 404)
            self.assertEqual(server.request("PUT", "/v1/rooms/3100/siprec")[0], 204)
            gone = lambda: server.metrics()["mixminus_siprec_recorders_gone_total"] == 1
            wait_until(gone, "the only recorder is given up")
            (cover,) = server.get("/v1/recordings")["going"]
            status, why = server.request("POST", f"/v1/recordings/{cover['id']}/stop")
            self.assertEqual((status, json.loads(why)["error"]), (409, "cover"))
            anna.play(sound.tone(500, 1), seconds=2)
            anna.stop_playing()
            anna.hang_up()
            server.wait_until_empty()
            (track,) = finished(server, 1)
            self.assertGreater(loudest(track, 500)[0], HEARD)


class Awareness(unittest.TestCase):
    def test_an_endpoint_that_wants_to_know_is_told_that_its_room_is_recorded(self):
        with Server(rooms={"record": "always"}) as server, Phone(server, "anna") as anna:
            response = anna.invite("3100", extra=["Supported: record-aware"])
            self.assertIn("a=record:off", response.body)
            anna.acknowledge()
            invite = anna.receive()
            self.assertEqual(invite.method, "INVITE")
            self.assertIn("a=record:on", invite.body)
            copied = [f"{name}: {value}" for name in ("Via", "From", "To", "Call-ID", "CSeq") for value in invite.all(name)]
            body = anna.description()
            anna.send(CRLF.join([
                "SIP/2.0 200 OK", *copied, f"Contact: <sip:anna@{HOST}:{anna.port}>", "Content-Type: application/sdp",
                f"Content-Length: {len(body)}", "", body,
            ]))
            self.assertEqual(anna.receive().method, "ACK")
            anna.hang_up()
            server.wait_until_empty()


if __name__ == "__main__":
    unittest.main()
