"""Rooms that live on several shards."""

import contextlib
import json
import re
import socket
import unittest

import sound
from phone import Phone
from server import PATIENCE, WithCalls, wait_until
from sound import HEARD

PORTS = 1024
TONES = [500, 900, 1400, 2000]


class LargeRooms(WithCalls):
    # Members are dealt out evenly.
    settings = {"ports": PORTS, "rtp": {"shards": 2}, "rooms": {"spread_above": 0}}

    def test_members_on_both_shards_hear_each_other_and_not_themselves(self):
        with contextlib.ExitStack() as stack:
            phones = [stack.enter_context(Phone(self.server, f"phone{tone}")) for tone in TONES]
            for phone in phones:
                phone.call("3200")
                if phone is phones[0]:
                    # The room grows by its second part while somebody is in it and hears on.
                    phone.play(sound.tone(TONES[0], 1, amplitude=3000), seconds=1)
            phones[0].stop_playing()
            self.assertEqual(phones[0].missed(), 0, "while the room grew")
            ports = [phone.remote_media[1] for phone in phones]
            self.assertGreater(max(ports) - min(ports), PORTS / 4, "each shard has half of the ports")
            self.assertEqual(len(self.server.participants("3200")), len(phones))
            self.play_until_all_hear_all(phones)
            for phone, own in zip(phones, TONES):
                self.assertLess(loudest(phone, own), HEARD / 2, f"{own} Hz hears itself")
                phone.hang_up()

    def play_until_all_hear_all(self, phones):
        """Where a part of a room is kept from its core it is silence for the others: it may take a while."""
        def hear_each_other():
            for phone, frequency in zip(phones, TONES):
                phone.play(sound.tone(frequency, 1, amplitude=3000), seconds=2)
            for phone in phones:
                phone.stop_playing()
            return all(
                loudest(phone, frequency) > HEARD
                for phone, own in zip(phones, TONES) for frequency in TONES if frequency != own)
        wait_until(hear_each_other, "everyone hears all the others", seconds=60)


class Transfers(WithCalls):
    """Rooms of one shard each: who goes to another room goes to its shard."""

    # However long a shard is kept from its core, what comes meanwhile finds room.
    settings = {"ports": PORTS, "rtp": {"shards": 2, "receive_buffer": "1MiB"}}

    def test_who_goes_to_a_room_on_another_shard_and_back_loses_no_packet(self):
        with contextlib.ExitStack() as stack:
            mover, here = phones = [stack.enter_context(Phone(self.server, f"phone{tone}")) for tone in TONES[:2]]
            mover.call("3210")
            here.call("3210")
            elsewhere, there = self.room_elsewhere(stack, mover)
            phones.append(there)
            member = next(one["id"] for one in self.server.participants("3210") if "phone500" in one["caller"])
            moved = lambda: self.server.metrics()["mixminus_sessions_moved_total"]
            self.said, moved_before = 0, moved()
            self.play_until_heard(phones, TONES[1], TONES[2])
            for room, host, other in [(elsewhere, *TONES[2:0:-1]), ("3210", *TONES[1:3]), (elsewhere, *TONES[2:0:-1])]:
                self.start(phones)
                status, body = self.server.request("PUT", f"/v1/participants/{member}/room", {"name": room})
                self.assertEqual(status, 204, body)
                for phone in phones:
                    phone.stop_playing()
                self.play_until_heard(phones, host, other)
                self.assertIn(member, [one["id"] for one in self.server.participants(room)])
            self.assertEqual([phone.missed() for phone in phones], [0, 0, 0])
            self.assertIsNone(mover.receive(0.1), "no request was sent to it")
            received = lambda: self.server.get(f"/v1/participants/{member}")["media"]["packets_received"]
            wait_until(lambda: received() == self.said, "all that it said was received, once")
            self.assertEqual(moved() - moved_before, 3)
            for phone in phones:
                phone.hang_up()

    def test_a_crowd_of_orders_to_who_is_under_way_costs_neither_its_call_nor_its_track(self):
        with contextlib.ExitStack() as stack:
            mover = stack.enter_context(Phone(self.server, "mover"))
            mover.call("3210")
            (member,) = [one["id"] for one in self.server.participants("3210")]
            elsewhere, there = self.room_elsewhere(stack, mover)
            status, body = self.server.request("POST", f"/v1/rooms/{elsewhere}/recordings", {"tracks": ["mix", "received"]})
            self.assertEqual(status, 201, body)
            go = lambda room: ("PUT", f"/v1/participants/{member}/room", json.dumps({"name": room}))
            mutes = [("POST", f"/v1/participants/{member}/{change}", "") for change in ("mute", "unmute")] * 10
            for _ in range(5):
                away, *others, home = self.at_once([go(elsewhere), *mutes, go("3210")])
                self.assertEqual(others, [204] * len(mutes))
                # Who is still under way cannot go elsewhere yet.
                self.assertLessEqual({away, home}, {204, 503})
                room = self.server.get(f"/v1/participants/{member}")["room"]
                self.assertEqual(room, "3210" if home == 204 or away == 503 else elsewhere)
                (going,) = self.server.get("/v1/recordings")["going"]
                self.assertEqual(f"{member}-received" in going["tracks"], room == elsewhere, going)
                wait_until(lambda: self.server.request(*go("3210")[:2], {"name": "3210"})[0] == 204, "it goes home")
            ended = self.server.metrics().get('mixminus_calls_ended_total{cause="engine_failed"}')
            self.assertEqual(ended, 0)
            for phone in (mover, there):
                phone.hang_up()

    def at_once(self, requests):
        """The statuses of requests that are sent on one connection before any is answered."""
        host = self.server.api.removeprefix("http://")
        name, port = host.split(":")
        texts = [f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
                 for method, path, body in requests]
        answers = ""
        with socket.create_connection((name, int(port)), PATIENCE) as connection:
            connection.sendall("".join(texts).encode())
            while answers.count("HTTP/1.1 ") < len(requests):
                answers += connection.recv(65536).decode()
        return [int(status) for status in re.findall(r"HTTP/1\.1 (\d+)", answers)]

    def room_elsewhere(self, stack, mover):
        """A room on the other shard than its own, and who is in it: the first that is tried, but where a shard was
        kept from its core at that moment."""
        for elsewhere in map(str, range(3211, 3231)):
            there = stack.enter_context(Phone(self.server, f"phone{TONES[2]}"))
            there.call(elsewhere)
            if abs(mover.remote_media[1] - there.remote_media[1]) > PORTS / 4:
                return elsewhere, there
            there.hang_up()
        self.fail("no room is on the other shard")

    def test_a_room_that_nobody_could_dial_and_a_participant_who_is_not_there_are_refused(self):
        for path, body, expected in [("/v1/participants/77/room", {"name": "3210"}, 404),
                                     ("/v1/participants/77/room", {"name": "a room"}, 400),
                                     ("/v1/participants/77/room", {}, 400)]:
            self.assertEqual(self.server.request("PUT", path, body)[0], expected)

    def start(self, phones, seconds=1):
        for phone, frequency in zip(phones, TONES):
            phone.play(sound.tone(frequency, 1, amplitude=3000), seconds=seconds)
        self.said += 50 * seconds

    def play_until_heard(self, phones, host, other):
        """Until the mover hears the one, and that one it, and the other neither of them."""
        def is_heard():
            begin = [len(phone.heard) for phone in phones]
            self.start(phones)
            for phone in phones:
                phone.stop_playing()
            levels = {(number, frequency): loudest_from(phone, frequency, begin[number])
                      for number, phone in enumerate(phones) for frequency in TONES[:3]}
            at = TONES.index(host)
            return (levels[0, host] > HEARD and levels[at, TONES[0]] > HEARD
                    and levels[0, other] < HEARD / 2 and levels[TONES.index(other), TONES[0]] < HEARD / 2)
        wait_until(is_heard, f"it hears {host} Hz and not {other} Hz", seconds=60)


def loudest_from(phone, frequency, begin, window=1600):
    """The level of a tone in the fifth of a second in which it was loudest, from this octet on."""
    starts = range(begin, len(phone.heard) - window, window)
    return max((sound.level(phone.heard[at:at + window], frequency) for at in starts), default=0)


def loudest(phone, frequency, window=1600):
    """The level of a tone in the fifth of a second in which it was loudest."""
    starts = range(0, len(phone.heard) - window, window)
    return max((sound.level(phone.heard[at:at + window], frequency) for at in starts), default=0)


if __name__ == "__main__":
    unittest.main()
