"""A disk that fills up, or goes away, while a room is recorded: the room goes on, it is told, and so does the recording by itself.

The disk is memory, mounted where only the server's process sees it. Disks that are read-only or slow, and what is lost where
the queue has no room, are tested in virtual time (recorder/writer/src/faults.rs).
"""

import ctypes
import json
import os
import pathlib
import subprocess
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


def disk_of_its_own(store, folder, size):
    """For the child: a disk of this size at `store`, and `folder` on it."""
    uid, gid = os.geteuid(), os.getegid()

    def prepare():
        checked(libc.unshare(CLONE_NEWNS if IS_ROOT else CLONE_NEWNS | CLONE_NEWUSER))
        if not IS_ROOT:
            for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
                with open(f"/proc/self/{name}", "w") as file:
                    file.write(text)
        mount("none", "/", None, MS_REC | MS_PRIVATE)
        mount("tmpfs", store, "tmpfs", 0, f"size={size}")
        mount(store, folder, None, MS_BIND)

    return prepare


class Disks(unittest.TestCase):
    def setUp(self):
        self.server = Server(rooms={"record": "always"})
        self.addCleanup(self.server.close)
        self.folder, store = self.server.folder / "recordings", self.server.folder / "store"
        self.folder.mkdir()
        store.mkdir()
        try:
            # The journal reserves 16 MiB at a time, and anew after a refusal.
            self.server.start(before_it_runs=disk_of_its_own(store, self.folder, "64m"))
        except subprocess.SubprocessError:
            self.skipTest("this machine lets nobody mount a disk of memory")
        # The disk as the server sees it.
        self.store = pathlib.Path(f"/proc/{self.server.process.pid}/root{store}")

    def failure(self):
        return self.server.get("/health").get("recording_failure")

    def within(self, *command):
        """Runs a command where the disk is."""
        view = ["nsenter", "--target", str(self.server.process.pid), "--mount"]
        view += [] if IS_ROOT else ["--user", "--preserve-credentials"]
        subprocess.run([*view, *map(str, command)], check=True, stdin=subprocess.DEVNULL)

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

    def test_a_full_disk_takes_the_recording_again_when_there_is_room(self):
        filler = self.store / "filler"

        def fill():
            with open(filler, "wb", buffering=0) as file:
                for size in (1 << 20, 1 << 12):
                    try:
                        while file.write(bytes(size)) == size:
                            pass
                    except OSError:
                        pass

        self.look_at(self.record_while(fill, filler.unlink))

    def test_a_disk_that_went_away_takes_the_recording_again_when_it_is_back(self):
        # The folder below is not written to in place of the one that is gone.
        gone = lambda: self.within("umount", "--lazy", self.folder)
        back = lambda: self.within("mount", "--bind", self.server.folder / "store", self.folder)
        self.look_at(self.record_while(gone, back))
        self.assertEqual(list(self.folder.iterdir()), [])


if __name__ == "__main__":
    unittest.main()
