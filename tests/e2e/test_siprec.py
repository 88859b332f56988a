"""Recording sessions (SIPREC): this server as the recorder of others, as a client of a recorder, and
against itself: two processes, one of which records the room of the other."""

import unittest
import wave

import sipp
import sound
from kamailio import Kamailio
from phone import Phone
from recording_client import EDGE, RecordingClient, Stream
from server import HOST, Server, free_port, wait_until

# Amplitudes, where a played tone has 6000.
HEARD = 3000
UNHEARD = 60

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
    def test_a_room_of_ours_is_recorded_by_another_of_us(self):
        with Server(siprec=ANYONE) as recorder:
            gone = f"sip:{HOST}:{free_port()}"
            send_to = {"send_to": [gone, f"sip:recorder@{HOST}:{recorder.port}"], "rooms": ["3*"],
                       "answer_timeout": "500ms"}
            with Server(siprec=send_to, sip=IMPATIENT) as server, Phone(server, "anna") as anna, Phone(server, "bert") as bert:
                anna.call("3100")
                bert.call("3100")
                sessions = lambda: recorder.metrics()["mixminus_siprec_sessions"] == 1
                wait_until(sessions, "the second recorder of the list has the room")
                anna.play(sound.tone(500, 1), seconds=2.5)
                bert.play(sound.tone(900, 1), seconds=2.5)
                anna.stop_playing()
                bert.stop_playing()
                anna.hang_up()
                bert.hang_up()
                server.wait_until_empty()
                recorder.wait_until_empty()
                self.assertEqual(files(server), [], "nothing is recorded where it is sent")
            # While one was alone in the room the stream was hers, and a track of its own.
            tracks = [levels(file, 500, 900) for file in finished(recorder, 1)]
            self.assertTrue(any(min(track) > HEARD / 2 for track in tracks), tracks)

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
            self.assertTrue(any(levels(file, 500)[0] > HEARD / 2 for file in finished(recorder, 1)))

    def test_a_room_is_recorded_here_where_no_recorder_is_left(self):
        send_to = {"send_to": [f"sip:{HOST}:{free_port()}"], "answer_timeout": "500ms"}
        with Server(siprec=send_to, sip=IMPATIENT) as server, Phone(server, "anna") as anna:
            anna.call("3100")
            self.assertEqual(server.request("PUT", "/v1/rooms/elsewhere/siprec")[0], 404)
            self.assertEqual(server.request("PUT", "/v1/rooms/3100/siprec")[0], 204)
            gone = lambda: server.metrics()["mixminus_siprec_recorders_gone_total"] == 1
            wait_until(gone, "the only recorder is given up")
            anna.play(sound.tone(500, 1), seconds=2)
            anna.stop_playing()
            anna.hang_up()
            server.wait_until_empty()
            (mix,) = finished(server, 1)
            self.assertGreater(levels(mix, 500)[0], HEARD)


if __name__ == "__main__":
    unittest.main()
