"""The process: how it starts, refuses to start, and stops."""

import ctypes
import json
import pathlib
import re
import resource
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import wave

import sound
from phone import Phone, gets_through
from server import BINARY, HOST, ROOT, Server, free_ports, wait_until


def mixminus(*arguments):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)


class Stop(unittest.TestCase):
    def test_sigterm_ends_every_call_by_bye_closes_recordings_and_exits_with_0(self):
        with Server(rooms={"record": "always"}) as server, Phone(server) as one, Phone(server) as two:
            one.call("3000")
            two.call("8000")
            for phone in (one, two):
                phone.play(sound.tone(500, 1), seconds=1.5)
            for phone in (one, two):
                phone.stop_playing()
            server.process.terminate()
            for phone in (one, two):
                bye = phone.receive()
                self.assertEqual(bye.method, "BYE")
                phone.answer(bye)
            self.assertEqual(server.process.wait(20), 0, server.output())
            files = sorted((server.folder / "recordings").rglob("*.wav"))
            self.assertEqual(len(files), 2)
            for file in files:
                self.assertGreater(loudness(file, 500), sound.HEARD, file)

    def test_sigterm_does_not_wait_for_ever_for_callers_who_are_gone(self):
        with Server(sip={"t1": "20ms", "t2": "80ms"}) as server:
            with Phone(server) as phone:
                phone.call("3000")
            self.assertEqual(server.terminate(), 0, server.output())

    def test_an_idle_server_stops_at_once(self):
        with Server() as server:
            self.assertEqual(server.terminate(5), 0, server.output())


class Start(unittest.TestCase):
    def test_a_taken_port_is_a_clear_error(self):
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            server = Server()
            with socket.socket(socket.AF_INET, kind) as taken:
                taken.bind((HOST, server.port))
                if kind == socket.SOCK_STREAM:
                    taken.listen()
                ended = mixminus("run", "--config", server.config)
            self.assertNotEqual(ended.returncode, 0)
            self.assertIn(f"{HOST}:{server.port}", ended.stderr)
            self.assertRegex(ended.stderr, "(?i)in use")
            self.assertNotIn("panicked", ended.stderr)
            server.close()

    def test_a_taken_api_port_is_a_clear_error(self):
        server = Server()
        address = server.api.removeprefix("http://")
        with socket.create_server((HOST, int(address.split(":")[1]))):
            ended = mixminus("run", "--config", server.config)
        self.assertNotEqual(ended.returncode, 0)
        self.assertIn(address, ended.stderr)
        server.close()

    def test_check_names_file_line_key_value_and_what_would_be_right(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "wrong.toml"
            file.write_text('[rtp]\nplayout_delay_max = "300"\nshardz = 2\n[sip]\ncalls_max = 0\n')
            ended = mixminus("check", file)
            self.assertNotEqual(ended.returncode, 0)
            for line, key in [(2, "rtp.playout_delay_max"), (3, "rtp.shardz"), (5, "sip.calls_max")]:
                self.assertIn(f"{file}:{line}: {key}", ended.stderr)
            self.assertIn("shards", ended.stderr)
            refused = mixminus("run", "--config", file)
            self.assertNotEqual(refused.returncode, 0)
            file.write_text("")
            self.assertEqual(mixminus("check", file).returncode, 0)

    def test_the_openapi_document_is_json(self):
        with Server() as server:
            document = server.get("/openapi.json")
            self.assertEqual(document, json.loads(mixminus("openapi").stdout))
            self.assertIn("/v1/rooms", document["paths"])


class FirstCall(unittest.TestCase):
    def test_the_line_that_the_server_prints_makes_a_call_with_sound(self):
        with Server() as server:
            self.assert_makes_calls_with_sound(server, re.search(r"Try\s+(sipp .*)", server.output())[1], calls=1)

    def test_the_line_of_the_readme_makes_two_calls_in_one_room(self):
        with Server() as server:
            line = re.search(r"^sipp .*$", (ROOT / "README.md").read_text(), re.M)[0]
            # It goes on in the background by itself, where nobody would end it.
            line = line.replace(f"{HOST}:5060", f"{HOST}:{server.port}").replace(" -bg", "")
            self.assert_makes_calls_with_sound(server, line, calls=2)

    def assert_makes_calls_with_sound(self, server, printed, calls):
        # On ports of this test's, and for a bounded time.
        port = free_ports(6)
        line = re.sub(r"-p \d+", f"-p {port}", printed)
        line = re.sub(r"-mp \d+", f"-mp {port + 2}", line)
        with tempfile.TemporaryDirectory() as folder, subprocess.Popen(
            [*line.split(), "-nostdin", "-timeout", "30s"], cwd=folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as caller:
            try:
                media = lambda: [p["media"] for p in server.participants() if p.get("media")]
                flows = lambda: [m for m in media() if m["packets_received"] > 50 and m["packets_sent"] > 50]
                wait_until(lambda: len(flows()) == calls, f"sound flows by: {printed}")
            finally:
                caller.kill()


class Recordings(unittest.TestCase):
    def test_what_is_said_to_the_recorder_is_in_a_file(self):
        with Server() as server, Phone(server) as phone:
            phone.call("record")
            phone.play(sound.tone(700, 1), seconds=2)
            phone.stop_playing()
            phone.hang_up()
            server.wait_until_empty()
            finished = lambda: list((server.folder / "recordings").rglob("*.wav"))
            files = wait_until(finished, "the recording is complete")
            self.assertEqual(len(files), 1)
            self.assertGreater(loudness(files[0], 700), sound.HEARD)

    def test_a_folder_that_cannot_be_written_refuses_recordings_and_nothing_else(self):
        server = Server()
        (server.folder / "recordings").write_text("a file where the folder should be")
        with server:
            with Phone(server) as phone:
                self.assertEqual(phone.invite("8000").status, 503)
                phone.acknowledge()
            with Phone(server) as phone:
                phone.call("3000")
                phone.hang_up()
            self.assertTrue(server.get("/health")["recording_failure"])

    def test_a_folder_without_rights_refuses_recordings_and_nothing_else_until_the_rights_are_there(self):
        server = Server(rooms={"record": "always"})
        self.addCleanup(server.close)
        folder = server.folder / "recordings"
        folder.mkdir(mode=0o555)
        server.start(before_it_runs=bound_by_permissions)
        with Phone(server) as one, Phone(server) as two:
            self.assertEqual(two.invite("8000").status, 503)
            two.acknowledge()
            one.call("3000")
            one.play(sound.tone(500, 1), seconds=1)
            one.stop_playing()
            self.assertFalse(server.get("/v1/rooms/3000")["recorded"])
            one.hang_up()
        self.assertRegex(server.get("/health")["recording_failure"], "recordings: permission denied")
        self.assertIn("nothing can be recorded", server.output())
        self.assertEqual(list(folder.iterdir()), [])
        folder.chmod(0o755)
        # It is tried again ten seconds after the last failure.
        wait_until(lambda: gets_through(server, "8000"), "the recorder takes calls", 40)
        self.assertNotIn("recording_failure", server.get("/health"))

    def test_a_full_disk_ends_recordings_and_nothing_else(self):
        server = Server(rooms={"record": "always"})
        self.addCleanup(server.close)
        server.start(before_it_runs=full_disk)
        with Phone(server) as one, Phone(server) as two:
            one.call("3000")
            two.call("3000")
            one.play(sound.tone(500, 1), seconds=6)
            one.stop_playing()
            wait_until(lambda: server.get("/health").get("recording_failure"), "the failure is told")
            two.listen(time.monotonic() + 0.1)
            two.play(sound.tone(900, 1, amplitude=0), seconds=1.5)
            one.play(sound.tone(500, 1), seconds=1.5)
            for phone in (one, two):
                phone.stop_playing()
            self.assertGreater(two.level(500), sound.HEARD, "the room goes on")
            one.hang_up()
            two.hang_up()
        server.wait_until_empty()


def bound_by_permissions():
    """For the child: also where it runs as root, it may only do what the permissions of files say."""
    drop_from_bounding_set, dac_override = 24, 1
    ctypes.CDLL(None).prctl(drop_from_bounding_set, dac_override, 0, 0, 0)


def full_disk():
    """For the child: no file grows beyond this; writing more fails as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (48 * 1024, 48 * 1024))


def loudness(file, frequency):
    """The amplitude of a tone in a WAV file of one channel, where it is loudest."""
    with wave.open(str(file)) as recording:
        assert recording.getnchannels() == 1, recording.getparams()
        octets = recording.readframes(recording.getnframes())
        samples = [int.from_bytes(octets[at:at + 2], "little", signed=True) for at in range(0, len(octets), 2)]
        return sound.loudest(samples, frequency, recording.getframerate())


if __name__ == "__main__":
    unittest.main()
