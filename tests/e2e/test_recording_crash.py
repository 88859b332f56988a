"""The server is killed while it records: what it leaves plays as it is, and is repaired; at most a second is lost.

Normally three kills, one for each kind of file; `MIXMINUS_KILLS=200 python3 -m unittest discover -s tests/e2e -p test_recording_crash.py` makes
more, each at another instant. (Two hundred kills of a recorder alone, where every sample is compared:
`cargo run --release -p recorder-writer --example crash -- 200`.)
"""

import datetime
import json
import os
import random
import subprocess
import time
import unittest

import sound
from phone import Phone
from recordings import finished
from server import BINARY, HOST, Server, wait_until

TRACKS = 50
KILLS = int(os.environ.get("MIXMINUS_KILLS", "3"))
FORMATS = ("wav", "flac", "opus")
LOADTEST = BINARY.with_name("loadtest")

# A second, and what the clocks of sound and of the test may differ by: playout's delay. That is for a machine that is asked
# for it: where others have the cores and the disk, a flush comes when it can, and it is only looked for what was flushed.
LOST_SECONDS_MAX = 1.2 if "MIXMINUS_KILLS" in os.environ else 15


def recording(*arguments, by=()):
    return subprocess.run([*by, BINARY, "recording", *arguments], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


class Killed(unittest.TestCase):
    def test_what_was_recorded_up_to_a_second_before_a_kill_can_be_played(self):
        for number in range(KILLS):
            # Seeded: the same instants in every run.
            lives = random.Random(number).uniform(1.5, 5)
            format = FORMATS[number % len(FORMATS)]
            with self.subTest(kill=number, seconds=lives, format=format):
                self.kill_after(lives, format, repaired_by_the_command=number % 2 == 0)

    def kill_after(self, seconds, format, repaired_by_the_command):
        with Server(recording={"format": format}) as server:
            folder = server.folder / "recordings"
            caller = subprocess.Popen(
                [LOADTEST, "--server", f"{HOST}:{server.port}", "--calls", str(TRACKS), "--room-size", str(TRACKS),
                 "--talkers", str(TRACKS), "--dial", "record", "--rate", "200", "--settle", "1", "--duration", "30"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
            )
            try:
                wait_until(lambda: len(list(folder.rglob(f"*.{format}.part"))) == TRACKS, "everybody is recorded")
                time.sleep(seconds)
                written = server.metrics()["mixminus_recording_bytes_total"]
                server.process.kill()
                killed = datetime.datetime.now(datetime.timezone.utc)
                server.process.wait()
            finally:
                caller.kill()
                caller.wait()
            unrepaired = {path.name.removesuffix(".part"): self.seconds_as_it_is(path, format)
                          for path in folder.rglob(f"*.{format}.part")}
            self.assertEqual(recording("verify", folder).returncode, 1)
            if repaired_by_the_command:
                repaired = recording("repair", folder)
                self.assertEqual(repaired.returncode, 0, repaired.stderr)
                self.assertEqual(len(repaired.stdout.splitlines()), TRACKS)
            else:
                server.log.close()
                server.start()
                # Whoever records first has what was cut repaired.
                repaired = lambda: server.get("/health")["ready"] and not list(folder.rglob("*.part"))
                wait_until(repaired, "the next start has repaired it")
                self.assertEqual(server.terminate(), 0)
            verified = recording("verify", folder)
            self.assertEqual(verified.returncode, 0, verified.stderr)
            self.look_at(folder, killed, unrepaired)
            kept = sum(path.stat().st_size for path in folder.rglob(f"*.{format}"))
            self.assertGreaterEqual(kept, written, "all that was in the files before the kill")

    def look_at(self, folder, killed, unrepaired):
        documents = sorted(folder.rglob("*.json"))
        self.assertEqual(len(documents), TRACKS)
        for document in documents:
            metadata = json.loads(document.read_text())
            self.assertTrue(metadata["cut"], document)
            ended = datetime.datetime.fromisoformat(metadata["ended"])
            lost = (killed - ended).total_seconds()
            self.assertLess(lost, LOST_SECONDS_MAX, document)
            for file in metadata["files"]:
                path = folder / file["name"]
                if file["format"] != "opus":
                    self.assertEqual(self.samples_by_sox(path), file["samples"])
                # The journal may be ahead of the file by what was written last, and never behind it.
                repaired = file["samples"] / file["sample_rate"]
                self.assertLess(repaired - unrepaired[path.name], LOST_SECONDS_MAX, document)
        self.assertTrue(self.plays_in_ffmpeg(path))

    def seconds_as_it_is(self, path, format):
        """How much of a file that was cut another's player plays before anybody repairs it."""
        if format == "opus":
            program = ["ffmpeg", "-v", "fatal", "-f", "ogg", "-i", path, "-ar", "8000", "-ac", "1", "-f", "s16le", "-"]
        else:
            program = ["sox", "-V1", "-t", format, path, "-t", "raw", "-r", "8000", "-c", "1", "-e", "signed", "-b", "16", "-"]
        return len(subprocess.run(program, capture_output=True, stdin=subprocess.DEVNULL).stdout) / 16000

    def samples_by_sox(self, path):
        """As sox counts them, which reads the header."""
        told = subprocess.run(["sox", "--info", "-s", path], capture_output=True, text=True, check=True)
        self.assertEqual(told.stderr, "")
        return int(told.stdout)

    def plays_in_ffmpeg(self, path):
        played = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-f", "null", "-"], capture_output=True, text=True, check=True)
        return played.stderr == ""


class OnADisk(Server):
    """A server whose folder of recordings is the root of a disk, whose `lost+found` it may not look into, be it root's or not."""

    prefix = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()

    def __init__(self, **sections):
        super().__init__(**sections)
        self.recordings = self.folder / "recordings"
        self.recordings.mkdir()
        self.close_to_it("lost+found")

    def close_to_it(self, name):
        """A folder of somebody else's."""
        folder = self.recordings / name
        folder.mkdir()
        if self.prefix:
            os.chown(folder, 65534, 65534)
        folder.chmod(0o700 if self.prefix else 0)

    def start(self, before_it_runs=None):
        super().start(before_it_runs)
        self.log.close()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def records(self, user):
        """The name of a finished call to the recorder."""
        with Phone(self, user) as phone:
            phone.call("8000")
            phone.play(sound.tone(500, 1), seconds=1)
            phone.stop_playing()
            phone.hang_up()
        return finished(self)["id"]


class BesideAFolderOfOthers(unittest.TestCase):
    def test_what_a_kill_leaves_is_repaired_and_what_comes_later_is_kept(self):
        with OnADisk() as server:
            with Phone(server, "joe") as phone:
                phone.call("8000")
                phone.play(sound.tone(500, 1), seconds=2)
                phone.stop_playing()
                server.kill()
            told = recording("verify", server.recordings)
            self.assertEqual(told.returncode, 1, told.stdout)
            server.start()
            cut = wait_until(lambda: server.get("/v1/recordings")["recordings"], "it is repaired")
            self.assertEqual([one["state"] for one in cut], ["cut"])
            later = server.records("jim")
            self.assertEqual(server.terminate(), 0)
            names = {path.stem for path in server.recordings.glob("*.json")}
            self.assertEqual(names, {cut[0]["id"], later})
            self.assertEqual(recording("verify", server.recordings).returncode, 0)

    def test_what_is_deleted_after_a_kill_does_not_come_back(self):
        with OnADisk() as server:
            name = server.records("joe")
            server.kill()
            # It is finished, but not all of it may be on the disk.
            told = recording("verify", server.recordings)
            self.assertEqual((told.returncode, told.stderr), (1, "error: .journal: was cut and is not repaired\n"))
            server.start()
            wait_until(lambda: server.request("DELETE", f"/v1/recordings/{name}")[0] == 204, "it is deleted")
            server.kill()
            self.assertEqual(recording("repair", server.recordings).returncode, 0)
            self.assertEqual([path for path in server.recordings.iterdir() if path.is_file()], [])

    def test_what_may_not_be_read_is_not_said_to_be_fine(self):
        with OnADisk() as server:
            server.records("joe")
            self.assertEqual(server.terminate(), 0)
            verify = lambda: recording("verify", server.recordings, by=server.prefix)
            told = verify()
            self.assertEqual(told.returncode, 0, told.stderr)
            server.close_to_it("yesterday")
            told = verify()
            self.assertEqual((told.returncode, told.stderr), (1, "error: yesterday: yesterday: permission denied\n"))


class Offline(unittest.TestCase):
    def test_a_folder_that_is_not_there_is_a_clear_error(self):
        for command in ("verify", "repair"):
            told = recording(command, "/nonexistent")
            self.assertEqual((told.returncode, told.stderr), (1, "error: cannot read the recordings in /nonexistent: entity not found\n"))

    def test_a_changed_file_is_noticed(self):
        with Server() as server:
            folder = server.folder / "recordings"
            folder.mkdir()
            self.assertEqual(recording("verify", folder).stdout, "nothing is recorded there\n")
            (folder / "other.json").write_text("{}")
            told = recording("verify", folder)
            self.assertEqual((told.returncode, told.stderr), (1, "error: other.json: is no metadata of this server\n"))
            (folder / "other.json").unlink()

    def test_nobody_repairs_where_a_server_records(self):
        with Server(rooms={"record": "always"}) as server:
            folder = server.folder / "recordings"
            wait_until(lambda: (folder / ".journal/lock").exists(), "the server holds its folder")
            told = recording("repair", folder)
            self.assertEqual(told.returncode, 1)
            self.assertIn("another process records to", told.stderr)


if __name__ == "__main__":
    unittest.main()
