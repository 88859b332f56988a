"""What `loadtest/compare` makes of reports, and how its front speaks for peers that have no SIP; no process is started.
The comparison itself is run by hand (docs/performance.md): its peers are not installed by the tests."""

import contextlib
import importlib.machinery
import importlib.util
import io
import pathlib
import socket
import sys
import unittest
import xml.dom.minidom

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "loadtest"
sys.path.insert(0, str(FOLDER))
import peers

loader = importlib.machinery.SourceFileLoader("compare", str(FOLDER / "compare"))
compare = importlib.util.module_from_spec(importlib.util.spec_from_loader("compare", loader))
loader.exec_module(compare)


def report(cpu, missed=()):
    media = {"delivered_percent": 100.0, "gaps": {"p99_ms": 20.0, "max_ms": 21.0}, "mouth_to_ear": {"p50_ms": 12.0, "p99_ms": 20.0}}
    process = {"cpu": {"us_per_stream_second": cpu}, "memory_kib_per_call": 10.0, "memory_during": {"rss_kib": 1024}}
    return {"missed": list(missed), "media": media, "server_process": process}


class PairOfPorts:
    """A peer that, like a relay, knows both ports only once both callers are there."""

    members = 2

    def __init__(self):
        self.waiting, self.left = None, []

    def join(self, room, call, port):
        if self.waiting is None:
            self.waiting = call, port
            return {}
        return {self.waiting[0]: port + 1000, call: self.waiting[1] + 1000}

    def leave(self, room, call):
        self.left.append(room)


class Overloaded:
    """A peer that does not answer the first order, refuses the second and obeys the third."""

    name, members = "overloaded", None

    def __init__(self):
        self.answers = iter([TimeoutError("nothing"), peers.Refused("full"), {"three": 7000}])

    def join(self, room, call, port):
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


class LostOnTheWay:
    """A socket: what is sent to it, and what comes back, each in its turn."""

    def __init__(self, *comes):
        self.sent, self.comes = [], list(comes)

    def send(self, octets):
        self.sent.append(octets)

    def recv(self, _):
        octets = self.comes.pop(0) if self.comes else None
        if octets is None:
            raise TimeoutError
        return octets


class Caller:
    """What calls a peer by its front."""

    def __init__(self, test, peer):
        self.front = peers.Front(peer, "127.0.0.1:0")
        test.addCleanup(self.front.stop)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        test.addCleanup(self.socket.close)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(20)

    def say(self, method, call, port=None):
        body = peers.SDP.format(host="127.0.0.1", port=port) if port else ""
        text = (f"{method} sip:conf1@here SIP/2.0\r\nVia: SIP/2.0/UDP here;branch={call}\r\nFrom: <sip:a@here>;tag=1\r\n"
                f"To: <sip:conf1@here>\r\nCall-ID: {call}\r\nCSeq: 1 {method}\r\n\r\n{body}")
        self.socket.sendto(text.encode(), self.front.socket.getsockname())

    def heard(self):
        return self.socket.recv(65536).decode()


class Compare(unittest.TestCase):
    def test_the_table_has_medians_and_ratios_to_ours(self):
        reports = {"relay": {"mixminus": [report(100), report(300), report(110)], "peer": [report(220, ["a gap"]), report(220), report(200)]}}
        rows = compare.summary(reports, {"relay": {"mixminus": 5000, "peer": 1000}})
        self.assertEqual([row["figures"]["CPU us per stream and s"] for row in rows], [110, 220])
        self.assertEqual(rows[1]["ratios"]["CPU us per stream and s"], 2.0)
        self.assertEqual((rows[0]["ratios"], rows[1]["clean"], rows[1]["ratios"]["largest clean N"]), ({}, 2, 0.2))
        self.assertIn("| relay | peer | 2 of 3 | 220 (2.00x) |", compare.table(rows))
        drawn = xml.dom.minidom.parseString(compare.chart(rows, 500))
        self.assertEqual(len(drawn.getElementsByTagName("rect")), 1 + 2 * 5)

    def test_a_server_without_a_process_that_can_be_read_has_no_cpu(self):
        elsewhere = {**report(1), "server_process": None}
        rows = compare.summary({"relay": {"mixminus": [report(100)], "far": [elsewhere]}}, {"relay": {}})
        self.assertNotIn("CPU us per stream and s", rows[1]["figures"])
        self.assertEqual(rows[1]["figures"]["gap p99 ms"], 20.0)
        self.assertIn("not known", compare.chart(rows, 500))

    def test_bencode_is_read_as_it_is_written(self):
        self.assertEqual(peers.bencode({"command": "ping"}), b"d7:command4:pinge")
        self.assertEqual(peers.bdecode(b"x d6:resultl4:ponge1:ni-7ee", 2), ({b"result": [b"pong"], b"n": -7}, 27))

    def test_the_front_answers_both_callers_of_a_relay_once_both_are_there(self):
        peer = PairOfPorts()
        caller = Caller(self, peer)
        say, heard = caller.say, caller.heard
        say("INVITE", "one", 4000)
        self.assertIn("100 Trying", heard())
        say("INVITE", "two", 5000)
        answers = sorted([heard(), heard(), heard()])
        self.assertIn("100 Trying", answers[0])
        ports = {text.split("Call-ID: ")[1].split("\r\n")[0]: peers.media_port(text) for text in answers[1:]}
        self.assertEqual(ports, {"one": 6000, "two": 5000})
        say("INVITE", "two", 5000)
        self.assertEqual(peers.media_port(heard()), 5000, "a repetition is answered as before")
        for call in ("one", "two"):
            say("BYE", call)
            self.assertIn("200 OK", heard())
        say("BYE", "one")
        self.assertIn("481", heard())
        self.assertEqual(peer.left, ["conf1"])

    def test_a_peer_that_does_not_answer_or_refuses_is_answered_for_and_the_next_call_goes_on(self):
        caller = Caller(self, Overloaded())
        with contextlib.redirect_stderr(io.StringIO()) as told:
            for call in ("one", "two"):
                caller.say("INVITE", call, 4000)
                self.assertIn("100 Trying", caller.heard())
                self.assertIn("503 Service Unavailable", caller.heard())
            caller.say("INVITE", "three", 4000)
            self.assertIn("100 Trying", caller.heard())
            self.assertEqual(peers.media_port(caller.heard()), 7000)
        self.assertIn("compare: overloaded: join: TimeoutError('nothing')", told.getvalue())

    def test_an_order_to_rtpengine_is_sent_again_until_its_own_answer_comes(self):
        relay = object.__new__(peers.Rtpengine)
        relay.socket = LostOnTheWay(None, b"0-1 of another order", b"0-2 this", None)
        self.assertEqual(relay.answer(b"0-2 ", b"order"), b"0-2 this")
        self.assertEqual(relay.socket.sent, [b"order"] * 2)
        with self.assertRaises(TimeoutError):
            relay.answer(b"0-3 ", b"another")
        self.assertEqual(relay.socket.sent[2:], [b"another"] * peers.TRIES)


if __name__ == "__main__":
    unittest.main()
