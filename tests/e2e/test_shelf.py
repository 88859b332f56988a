"""What becomes of finished recordings: encrypted, uploaded, told to webhooks, given up; over restarts and a kill."""

import datetime
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import sound
from phone import Phone
from receivers import Storage, Webhook
from recordings import fetch, file_of, finished
from server import Server, wait_until

# A recording is worked on once the disk holds it for good: half a minute after its end at most, on an idle machine.
DURABLE_SECONDS = 120


class Key:
    """A key of age: its public part for the server, its private part for who may listen."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="mixminus-key-")
        self.private = pathlib.Path(self.folder.name, "key.txt")
        subprocess.run(["age-keygen", "-o", self.private], check=True, capture_output=True)
        self.public = re.search(r"age1\w+", self.private.read_text())[0]

    def decrypt(self, octets):
        return subprocess.run(["age", "-d", "-i", self.private], input=octets, check=True, capture_output=True).stdout

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()


def restart(server, kill=False):
    if kill:
        server.process.kill()
        server.process.wait()
    else:
        # A disk that is busy takes its time.
        assert server.terminate(90) == 0, server.output()
    server.log.close()
    server.start()


def record(server, seconds=1.5):
    """A call that is recorded: the recording once it is finished, and its sound."""
    before = [one["id"] for one in server.get("/v1/recordings")["recordings"]]
    with Phone(server, "ann") as ann:
        ann.call("record")
        ann.play(sound.tone(500, 1), seconds)
        ann.stop_playing()
        ann.hang_up()
    recording = finished(server, besides=before)
    return recording, fetch(server, recording, file_of(recording, ".wav"))[2]


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_file())


class AtRest(unittest.TestCase):
    def test_who_has_the_key_can_listen_to_what_the_storage_got_though_it_was_away_over_two_starts(self):
        with Key() as key, Storage() as storage, Webhook() as hook, Server(**{
            "recording.keep": {"encrypted_for": [key.public]},
            "recording.upload": storage.settings(),
            "recording.webhook": hook.settings(),
        }) as server:
            folder = server.folder / "recordings"
            recording, plain = self.record_a_room(server)
            self.assertFalse(recording["encrypted"], "not before the disk holds it for good")
            waiting = list((folder / ".webhooks").rglob("*.json"))
            self.assertGreaterEqual(len(waiting), 4, "messages wait on the disk")
            for _ in range(2):
                restart(server)
                failed = lambda: server.metrics()["mixminus_recordings_kept_failures_total"] >= 1
                wait_until(failed, "the storage is asked", 60)
                self.assertEqual(self.state(server, recording), (True, False))
                self.assertEqual(server.metrics()["mixminus_recordings_waiting"], 1)
            sealed = file_of(server.get(f"/v1/recordings/{recording['id']}"), ".wav.age")
            self.assertEqual(names(folder), sorted([
                f"{recording['id']}.json", f"{recording['id']}.shelf", sealed, sealed.replace(".wav", ".peaks.dat")]))
            hook.start()
            storage.start()
            wait_until(lambda: self.state(server, recording) == (True, True), "the upload is confirmed", 60)
            objects = storage.objects()
            self.assertEqual(sorted(objects), [f"calls/{name}" for name in names(folder) if not name.endswith(".shelf")])
            self.assertEqual(objects[f"calls/{sealed}"], (folder / sealed).read_bytes())
            self.assertEqual(key.decrypt(objects[f"calls/{sealed}"]), plain)
            self.assertEqual(server.request("DELETE", f"/v1/recordings/{recording['id']}")[0], 204)
            self.assertEqual(names(folder), [])
            hook.wait_for(recording["id"], "deleted")
            self.check_messages(hook, recording)
            wait_until(lambda: not list((folder / ".webhooks").rglob("*.json")), "no message is left")

    def state(self, server, recording):
        found = server.get(f"/v1/recordings/{recording['id']}")
        return found["encrypted"], found["uploaded"]

    def record_a_room(self, server):
        with Phone(server, "ann") as ann:
            ann.call("3400")
            begun = json.loads(server.request("POST", "/v1/rooms/3400/recordings")[1])
            ann.play(sound.tone(500, 1), seconds=1.5)
            for act in ("pause", "resume"):
                self.assertEqual(server.request("POST", f"/v1/recordings/{begun['id']}/{act}")[0], 204)
            ann.stop_playing()
            ann.hang_up()
        recording = finished(server, begun["id"])
        return recording, fetch(server, recording, file_of(recording, ".wav"))[2]

    def check_messages(self, hook, recording):
        events = hook.events(recording["id"])
        self.assertEqual(events[:5], ["started", "paused", "resumed", "finished", "encrypted"])
        self.assertEqual(set(events[5:-2]), {"delayed"})
        self.assertEqual(events[-2:], ["uploaded", "deleted"])
        self.assertEqual(hook.unsigned, 0)
        told = hook.wait_for(recording["id"], "finished")
        self.assertEqual((told["room"], told["cut"]), ("3400", False))

    def test_it_is_encrypted_and_leaves_for_the_storage_while_the_server_runs(self):
        with Key() as key, Storage() as storage, Server(**{
            "recording.keep": {"encrypted_for": [key.public]},
            "recording.upload": storage.settings(keep=False),
        }) as server:
            storage.start()
            recording, plain = record(server)
            gone = lambda: server.request("GET", f"/v1/recordings/{recording['id']}")[0] == 404
            wait_until(gone, "it has left", DURABLE_SECONDS)
            self.assertEqual(names(server.folder / "recordings"), [])
            sealed = file_of(recording, ".wav") + ".age"
            self.assertEqual(key.decrypt(storage.objects()[f"calls/{sealed}"]), plain)

    def test_a_kill_after_its_end_leaves_nothing_in_the_clear(self):
        # What the journal still holds is written once more by the repair, whatever was done to the files meanwhile.
        with Key() as key, Server(**{"recording.keep": {"encrypted_for": [key.public]}}) as server:
            folder = server.folder / "recordings"
            recording, plain = record(server)
            time.sleep(1)
            restart(server, kill=True)
            is_encrypted = lambda: server.get(f"/v1/recordings/{recording['id']}")["encrypted"]
            wait_until(is_encrypted, "it is encrypted", DURABLE_SECONDS)
            self.assertEqual(server.terminate(), 0)
            self.assertEqual([name for name in names(folder) if not name.endswith((".age", ".json", ".shelf"))], [])
            self.assertEqual(key.decrypt((folder / (file_of(recording, ".wav") + ".age")).read_bytes()), plain)


class OfTheDisk(unittest.TestCase):
    def setUp(self):
        self.hook = Webhook()
        self.addCleanup(self.hook.stop)
        self.server = Server(**{"recording.webhook": self.hook.settings()})
        self.addCleanup(self.server.close)
        self.server.start(before_it_runs=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN))
        self.hook.start()

    def let_files_grow_to(self, octets):
        resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE, (octets, resource.RLIM_INFINITY))

    def record_until_the_disk_refuses(self, ann):
        ann.call("record")
        ann.play(sound.tone(500, 1), seconds=8)
        id = wait_until(lambda: self.server.get("/v1/recordings")["going"], "it goes on")[0]["id"]
        wait_until(lambda: list((self.server.folder / "recordings").glob("*.part")), "its first file is there")
        self.let_files_grow_to(4096) # as on a full disk
        self.assertTrue(self.hook.wait_for(id, "interrupted")["why"])
        return id

    def test_a_disk_that_refuses_for_a_while_is_told(self):
        with Phone(self.server, "ann") as ann:
            id = self.record_until_the_disk_refuses(ann)
            self.let_files_grow_to(resource.RLIM_INFINITY)
            self.hook.wait_for(id, "continued")
            ann.stop_playing()
            ann.hang_up()
        self.hook.wait_for(id, "finished")
        # Where only a part of its files can be written at first, it may be refused once more.
        events = self.hook.events(id)
        self.assertEqual(list(dict.fromkeys(events)), ["started", "interrupted", "continued", "finished"])
        self.assertEqual(events[-2:], ["continued", "finished"])

    def test_a_recording_that_could_not_be_completed_is_told_and_repaired_by_the_next_start(self):
        with Phone(self.server, "ann") as ann:
            id = self.record_until_the_disk_refuses(ann)
            ann.stop_playing()
            ann.hang_up()
        restart(self.server)
        self.assertTrue(self.hook.wait_for(id, "finished")["cut"])
        events = self.hook.events(id)
        self.assertEqual((events[0], events[-2:]), ("started", ["failed", "finished"]))
        wait_until(lambda: self.server.get(f"/v1/recordings/{id}")["state"] == "cut", "it is there")


class GivenUp(unittest.TestCase):
    def test_the_old_and_the_largest_sum_are_given_up_and_told(self):
        with Webhook() as hook, Server(**{
            "recording.keep": {"at_most_for": "1h", "at_most": "1MiB"},
            "recording.webhook": hook.settings(),
        }) as server:
            hook.start()
            folder = server.folder / "recordings"
            recording, _ = record(server)
            hook.wait_for(recording["id"], "finished")
            self.assertEqual(server.terminate(), 0)
            server.log.close()
            now = datetime.datetime.now(datetime.timezone.utc)
            self.copy(folder, recording["id"], "old", now - datetime.timedelta(hours=2))
            self.copy(folder, recording["id"], "large", now - datetime.timedelta(minutes=50), bytes=1 << 20)
            server.start()
            self.assertEqual(hook.wait_for("old", "expired")["cause"], "age")
            self.assertEqual(hook.wait_for("large", "expired")["cause"], "size")
            self.assertEqual([one["id"] for one in server.get("/v1/recordings")["recordings"]], [recording["id"]])
            self.assertEqual({name.split("-")[0].split(".")[0] for name in names(folder)}, {recording["id"].split("-")[0]})

    def copy(self, folder, name, new, ended, bytes=None):
        """A recording like the other, but of another time, and longer."""
        for path in list(folder.glob(f"{name}*")):
            shutil.copy(path, folder / path.name.replace(name, new))
        document = json.loads((folder / f"{new}.json").read_text().replace(name, new))
        document["started"] = document["ended"] = ended.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        (folder / f"{new}.json").write_text(json.dumps(document))
        os.utime(folder / f"{new}.json", (ended.timestamp(),) * 2)
        if bytes:
            with open(folder / document["files"][0]["name"], "r+b") as file:
                file.truncate(bytes)

    def test_a_list_has_pages(self):
        with Server() as server:
            newest_first = [record(server, seconds=0.3)[0]["id"] for _ in range(3)][::-1]
            found, after = [], ""
            while True:
                page = server.get(f"/v1/recordings?limit=2{after}")
                found += [one["id"] for one in page["recordings"]]
                if "next" not in page:
                    break
                after = f"&after={page['next']}"
            self.assertEqual(found, newest_first)


if __name__ == "__main__":
    unittest.main()
