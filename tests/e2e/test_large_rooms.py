"""Rooms that live on several shards."""

import contextlib
import unittest

import sound
from phone import Phone
from server import WithCalls, wait_until
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


def loudest(phone, frequency, window=1600):
    """The level of a tone in the fifth of a second in which it was loudest."""
    starts = range(0, len(phone.heard) - window, window)
    return max((sound.level(phone.heard[at:at + window], frequency) for at in starts), default=0)


if __name__ == "__main__":
    unittest.main()
