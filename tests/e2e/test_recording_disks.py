"""A disk that fills up, goes away, stands still or turns read-only while a room is recorded: the room goes on, it is told, and
the recording goes on by itself.

The disk is memory, or a file with a file system in it, mounted where only the server's process sees it. What is lost where the queue
has no room, to the sample, is tested in virtual time (recorder/writer/src/faults.rs).
"""

import contextlib
import ctypes
import json
import os
import pathlib
import subprocess
import tempfile
import time
import unittest

import sound
from phone import Phone
from server import Server, wait_until

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_BIND, MS_REC, MS_PRIVATE = 1 << 12, 1 << 14, 1 << 18
IS_ROOT = os.geteuid() == 0
libc = ctypes.CDLL(None, use_errno=True)


def checked(outcome):
    if outcome != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(source, target, kind, flags, options=None):
    encoded = [str(word).encode() if word is not None else None for word in (source, target, kind)]
    checked(libc.mount(*encoded, ctypes.c_ulong(flags), options.encode() if options else None))


def disk_of_its_own(source, kind, store, folder, options=None):
    """For the child: a disk at `store`, and `folder` on it."""
    uid, gid = os.geteuid(), os.getegid()

    def prepare():
        checked(libc.unshare(CLONE_NEWNS if IS_ROOT else CLONE_NEWNS | CLONE_NEWUSER))
        if not IS_ROOT:
            for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
                with open(f"/proc/self/{name}", "w") as file:
                    file.write(text)
        mount("none", "/", None, MS_REC | MS_PRIVATE)
        mount(source, store, kind, 0, options)
        mount(store, folder, None, MS_BIND)

    return prepare


class OnADisk(unittest.TestCase):
    """A server whose recordings are on a disk of its own, and the disk as the server sees it."""

    def start(self, source, kind, options, **sections):
        self.server = Server(rooms={"record": "always"}, **sections)
        self.addCleanup(self.server.close)
        self.folder, store = self.server.folder / "recordings", self.server.folder / "store"
        self.folder.mkdir()
        store.mkdir()
        self.disk = disk_of_its_own(source, kind, store, self.folder, options)
        try:
            self.server.start(before_it_runs=self.disk)
        except subprocess.SubprocessError:
            self.skipTest(f"this machine lets nobody mount {kind}")
        self.look_anew()

    def look_anew(self):
        self.store = pathlib.Path(f"/proc/{self.server.process.pid}/root{self.server.folder}/store")

    def failure(self):
        return self.server.get("/health").get("recording_failure")

    def within(self, *command):
        """Runs a command where the disk is."""
        view = ["nsenter", "--target", str(self.server.process.pid), "--mount"]
        view += [] if IS_ROOT else ["--user", "--preserve-credentials"]
        subprocess.run([*view, *map(str, command)], check=True, stdin=subprocess.DEVNULL)


class Memory(OnADisk):
    def setUp(self):
        # The journal reserves 16 MiB at a time, and anew after a refusal.
        self.start("tmpfs", "tmpfs", "size=64m")

    def record_while(self, breaks, mends):
        """A room of two, of whom one plays a tone all the time. Returns its recording's metadata."""
        with Phone(self.server) as one, Phone(self.server) as two:
            one.call("3000")
            two.call("3000")

            def tone(seconds):
                one.play(sound.tone(500, 1), seconds=seconds)
                one.stop_playing()

            tone(1.5)
            breaks()
            before = time.monotonic()
            while not self.failure():
                self.assertLess(time.monotonic() - before, 20, "the failure is told")
                tone(0.5)
            wait_until(lambda: self.server.metrics()["mixminus_recording_interruptions_total"] >= 1, "the metric tells")
            wait_until(lambda: "the disk refuses" in self.server.output(), "the log tells")
            two.play(sound.tone(900, 1, amplitude=0), seconds=1.5)
            tone(1.5)
            two.stop_playing()
            self.assertGreater(two.level(500), sound.HEARD, "the room goes on")
            mends()
            while self.failure():
                self.assertLess(time.monotonic() - before, 60, "it goes on by itself")
                tone(0.5)
            one.hang_up()
            two.hang_up()
        self.server.wait_until_empty()
        documents = wait_until(lambda: list(self.store.rglob("*.json")), "the recording is finished")
        self.assertEqual(self.server.metrics()["mixminus_recording_unwritten_total"], 0, "the queue had room")
        return json.loads(documents[0].read_text())

    def look_at(self, metadata):
        """Everything is there: the tone from its first to its last moment."""
        self.assertFalse(metadata["cut"])
        causes = {gap["cause"] for track in metadata["tracks"] for gap in track["gaps"]}
        self.assertFalse(causes & {"unwritten", "overrun"}, causes)
        (file,) = metadata["files"]
        path = self.store / file["name"]
        told = subprocess.run(["sox", "--info", "-s", path], capture_output=True, text=True, check=True)
        self.assertEqual((int(told.stdout), told.stderr), (file["samples"], ""))
        self.assertEqual(list(self.store.rglob("*.part")), [])

    def fill(self):
        """Leaves no room on the disk. Returns what does so."""
        filler = self.store / "filler"
        with open(filler, "wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    pass
        return filler

    def test_a_full_disk_takes_the_recording_again_when_there_is_room(self):
        self.look_at(self.record_while(self.fill, lambda: (self.store / "filler").unlink()))

    def test_a_recording_that_ends_while_its_disk_is_full_is_being_finished_until_it_is_there(self):
        with Phone(self.server) as one:
            one.call("3000")
            one.play(sound.tone(500, 1), seconds=1.5)
            one.stop_playing()
            filler = self.fill()
            before = time.monotonic()
            while not self.failure():
                self.assertLess(time.monotonic() - before, 20, "the failure is told")
                one.play(sound.tone(500, 1), seconds=0.5)
                one.stop_playing()
            one.hang_up()
        self.server.wait_until_empty()
        (listed,) = self.server.get("/v1/recordings")["going"]
        path = f"/v1/recordings/{listed['id']}"
        self.assertEqual((listed["state"], self.server.get(path)["state"]), ("finishing", "finishing"))
        for method, act in (("DELETE", ""), ("POST", "/stop"), ("POST", "/pause"), ("POST", "/resume")):
            status, body = self.server.request(method, path + act)
            self.assertEqual((status, json.loads(body)["error"]), (409, "recording_busy"), act)
        filler.unlink()
        wait_until(lambda: self.server.get(path)["state"] == "finished", "it is there")
        self.assertEqual(self.server.get("/v1/recordings")["going"], [])
        self.assertEqual(self.server.request("DELETE", path)[0], 204)
        self.assertEqual(self.server.request("GET", path)[0], 404)

    def test_a_disk_that_went_away_takes_the_recording_again_when_it_is_back(self):
        # The folder below is not written to in place of the one that is gone.
        gone = lambda: self.within("umount", "--lazy", self.folder)
        back = lambda: self.within("mount", "--bind", self.server.folder / "store", self.folder)
        self.look_at(self.record_while(gone, back))
        self.assertEqual(list(self.folder.iterdir()), [])


class AFileSystem(OnADisk):
    """A file system of the kernel, in a file."""

    def setUp(self):
        if not IS_ROOT:
            self.skipTest("only root may mount a file")
        image = tempfile.NamedTemporaryFile(prefix="mixminus-disk-")
        self.addCleanup(image.close)
        image.truncate(128 << 20)
        attach = ["losetup", "--find", "--show", image.name]
        try:
            subprocess.run(["mkfs.ext4", "-q", image.name], check=True, stdin=subprocess.DEVNULL)
            self.device = subprocess.run(attach, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            self.skipTest("this machine has no file that can be mounted")
        self.addCleanup(subprocess.run, ["losetup", "--detach", self.device], check=True)

    def test_a_disk_that_stands_still_for_five_seconds_loses_what_has_no_room_and_no_more(self):
        # What one says, two others hear and the mix are 64 kB in a second: the queue holds one.
        self.start(self.device, "ext4", None, recording={"queue": "64KiB", "room_tracks": ["mix", "received", "sent"]})
        store = self.server.folder / "store"
        with self.members() as (one, two, three):
            self.tone(one, two, 2)
            self.within("fsfreeze", "--freeze", store)
            try:
                self.tone(one, two, 5)
                wait_until(lambda: "timed out" in (self.failure() or ""), "it is told while the disk stands still")
            finally:
                self.within("fsfreeze", "--unfreeze", store)
            self.assertGreater(two.level(500), sound.HEARD, "the room goes on")
            wait_until(lambda: not self.failure(), "the recording goes on by itself")
            self.tone(one, two, 2)
            for phone in (one, two, three):
                phone.hang_up()
        self.server.wait_until_empty()
        (document,) = wait_until(lambda: list(self.store.rglob("*.json")), "the recording is finished")
        metrics = self.server.metrics()
        self.assertGreater(metrics["mixminus_recording_unwritten_total"], 0)
        self.assertGreaterEqual(metrics["mixminus_recording_interruptions_total"], 1)
        metadata = json.loads(document.read_text())
        lost = [gap["samples"] for gap in metadata["tracks"][0]["gaps"] if gap["cause"] == "unwritten"]
        self.assertTrue(0 < sum(lost) < metadata["samples"], f"{lost} of {metadata['samples']}")
        self.are_as_long_as_told(metadata)

    def test_a_disk_that_turns_read_only_ends_no_call_and_what_it_had_is_repaired(self):
        self.start(self.device, "ext4", "errors=remount-ro")
        with self.members() as (one, two, three):
            self.tone(one, two, 2)
            wait_until(lambda: list(self.store.rglob("*.part")), "the disk has something")
            self.within("mount", "-o", "remount,abort", self.server.folder / "store")
            self.tone(one, two, 2)
            wait_until(lambda: "read-only" in (self.failure() or ""), "it is told")
            self.assertGreater(two.level(500), sound.HEARD, "the room goes on")
            for phone in (one, two, three):
                phone.hang_up()
        self.server.wait_until_empty()
        self.assertEqual(self.server.terminate(), 0)
        self.server.log.close()
        # 1: there was something to correct.
        checked = subprocess.run(["e2fsck", "-p", self.device], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.assertLessEqual(checked.returncode, 1)
        self.server.start(before_it_runs=self.disk)
        self.look_anew()
        (document,) = wait_until(lambda: list(self.store.rglob("*.json")), "it is repaired at the next start")
        metadata = json.loads(document.read_text())
        self.assertTrue(metadata["cut"])
        self.assertGreater(metadata["samples"], 0)
        self.are_as_long_as_told(metadata)

    @contextlib.contextmanager
    def members(self):
        with Phone(self.server) as one, Phone(self.server) as two, Phone(self.server) as three:
            for phone in (one, two, three):
                phone.call("3000")
            yield one, two, three

    def tone(self, one, two, seconds):
        """One plays a tone; two hears what it hears, and says nothing."""
        one.play(sound.tone(500, 1), seconds=seconds)
        two.play(sound.tone(900, 1, amplitude=0), seconds=seconds)
        one.stop_playing()
        two.stop_playing()

    def are_as_long_as_told(self, metadata):
        for file in metadata["files"]:
            told = subprocess.run(["sox", "--info", "-s", self.store / file["name"]], capture_output=True, text=True, check=True)
            self.assertEqual((int(told.stdout), told.stderr), (file["samples"], ""))


if __name__ == "__main__":
    unittest.main()
