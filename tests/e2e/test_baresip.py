"""Real phones (baresip, headless) in one room: each hears the others and not itself, whatever codec each speaks."""

import unittest

from baresip import Baresip
from server import Server, wait_until
from sound import HEARD, UNHEARD


class Phones(unittest.TestCase):
    def assert_all_hear_each_other(self, codecs):
        """A room of phones, each with its codec and its tone: each hears the others and not itself."""
        with Server() as server:
            tones = range(500, 500 + 400 * len(codecs), 400)
            phones = [Baresip(f"phone{tone}", tone, codec) for tone, codec in zip(tones, codecs)]
            for phone in phones:
                self.addCleanup(phone.close)
                phone.call(server, "3300", seconds=16)
            all_there = lambda: len([p for p in server.participants("3300") if p["answered"]]) == len(codecs)
            wait_until(all_there, "all phones are in the room", 13)
            spoken = sorted(participant["media"]["codec"] for participant in server.participants("3300"))
            self.assertEqual(spoken, sorted(codec.split("/")[0] for codec in codecs))
            for phone in phones:
                phone.finish(40)
            server.wait_until_empty()
            for own, phone in zip(tones, phones):
                for tone in tones:
                    if tone == own:
                        self.assertLess(phone.level(tone), UNHEARD, f"{own} Hz hears itself")
                    else:
                        self.assertGreater(phone.level(tone), HEARD, f"{own} Hz hears {tone} Hz")

    def test_two_phones_hear_each_other_and_not_themselves(self):
        self.assert_all_hear_each_other(["PCMU/8000/1", "PCMU/8000/1"])

    def test_phones_of_every_rate_hear_each_other_and_not_themselves(self):
        self.assert_all_hear_each_other(["opus/48000/2", "G722/16000/1", "PCMA/8000/1", "opus/48000/2"])


if __name__ == "__main__":
    unittest.main()
