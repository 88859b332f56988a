"""The flight recorder of a live server: a tick that is too late writes a file, and the file can be run again."""

import os
import signal
import subprocess
import time
import unittest

import sound
from phone import Phone
from server import BINARY, Server, wait_until

# Late beyond doubt, and beyond what a busy machine brings about before.
LATE, STOPPED = "1s", 1.5


class LateTick(unittest.TestCase):
    def test_a_late_tick_of_a_live_server_is_in_a_file_that_runs_again_bit_for_bit(self):
        with Server(flight={"keep": "all", "late": LATE}) as server:
            with Phone(server) as speaker, Phone(server) as listener:
                speaker.call("3000")
                listener.call("3000")
                speaker.play(sound.tone(500, 1), seconds=2)
                # Who asks changes nothing of what is run again.
                while speaker.playing.is_alive():
                    server.metrics()
                    server.participants()
                    time.sleep(0.1)
                self.stop_for_a_while(server)
                file = wait_until(lambda: next((server.folder / "flight").glob("*.flight"), None), "a late tick is written")
                wait_until(lambda: "flight recorder written" in server.output(), "the file is whole")
                speaker.hang_up()
                listener.hang_up()
            told = subprocess.run([BINARY, "replay", file], capture_output=True, text=True, timeout=60)
            self.assertEqual(told.returncode, 0, told.stderr)
            self.assertRegex(told.stdout, r"written for: a tick that was [1-9]\d{3,} ms late")
            self.assertRegex(told.stdout, r"run again: [1-9]\d* ticks, bit for bit the same")
            self.assertRegex(told.stdout, r"heard s0\.\d+\.\d+: (?!0\.00)")

    def stop_for_a_while(self, server):
        """The whole process stands still: when it goes on, every tick due meanwhile is late."""
        os.kill(server.process.pid, signal.SIGSTOP)
        time.sleep(STOPPED)
        os.kill(server.process.pid, signal.SIGCONT)


if __name__ == "__main__":
    unittest.main()
