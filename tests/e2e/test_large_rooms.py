"""Rooms that live on several shards."""

import contextlib
import unittest

import sound
from phone import Phone
from server import WithCalls
from sound import HEARD, UNHEARD

PORTS = 1024
TONES = [500, 700, 900, 1100, 1400, 1700, 2000, 2300]


class LargeRooms(WithCalls):
    # Each member goes to the shard that has the most time left.
    settings = {"ports": PORTS, "rtp": {"shards": 2}, "rooms": {"spread_above": 0}}

    def test_members_on_both_shards_hear_each_other_and_not_themselves(self):
        with contextlib.ExitStack() as stack:
            phones = []
            for number, frequency in enumerate(TONES):
                phone = stack.enter_context(Phone(self.server, f"phone{number}"))
                phone.call("3200")
                phones.append(phone)
                if number == 0:
                    # The room grows by its second part while somebody is in it.
                    phone.play(sound.tone(frequency, 1), seconds=1)
                if number >= 3 and is_spread(phones):
                    break
            self.assertTrue(is_spread(phones), [phone.remote_media for phone in phones])
            self.assertEqual(len(self.server.participants("3200")), len(phones))
            phones[0].stop_playing()
            for phone, frequency in zip(phones, TONES):
                phone.play(sound.tone(frequency, 1, amplitude=3000), seconds=3)
            for phone in phones:
                phone.stop_playing()
            for phone, own in zip(phones, TONES):
                for frequency in TONES[:len(phones)]:
                    level = phone.level(frequency)
                    if frequency == own:
                        self.assertLess(level, UNHEARD, f"{own} Hz hears itself")
                    else:
                        self.assertGreater(level, HEARD / 2, f"{own} Hz hears {frequency} Hz")
            self.assertEqual(phones[0].missed(), 0, "while the room grew")
            for phone in phones:
                phone.hang_up()


def is_spread(phones):
    """Whether the phones were given ports of both shards, each of which has half of them."""
    ports = [phone.remote_media[1] for phone in phones]
    return max(ports) - min(ports) > PORTS / 4


if __name__ == "__main__":
    unittest.main()
