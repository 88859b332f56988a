"""Real phones (baresip, headless) in one room: each hears the others and not itself, whatever codec each speaks."""

import pathlib
import signal
import socket
import subprocess
import tempfile
import unittest
import wave

import sound
from server import HOST, Server, free_port, wait_until

# The phone reads a file, hears into another, and nothing of it needs a sound card.
CONFIG = """\
poll_method             epoll
sip_listen              {host}:{port}
net_interface           127.0.0.1
audio_source            aufile,{folder}/said.wav
audio_player            aubridge,nobody
audio_alert             aufile,{folder}/alert.wav
ausrc_srate             8000
auplay_srate            8000
ausrc_channels          1
auplay_channels         1
snd_path                {folder}
rtp_ports               {rtp}-{rtp_last}
module_path             /usr/lib/baresip/modules
module                  g711.so
module                  g722.so
module                  opus.so
module                  aufile.so
module                  aubridge.so
module                  sndfile.so
module_app              account.so
module_app              menu.so
module_app              ctrl_tcp.so
ctrl_tcp_listen         {host}:{control}
"""


class Baresip:
    """One phone that speaks a tone and keeps what it hears."""

    def __init__(self, user, frequency, codec="PCMU/8000/1"):
        self.temporary = tempfile.TemporaryDirectory(prefix="mixminus-baresip-")
        self.folder = pathlib.Path(self.temporary.name)
        spoken = [sound.decode(octet) for octet in sound.tone(frequency, 60)]
        (self.folder / "said.wav").write_bytes(sound.wav(spoken))
        (self.folder / "alert.wav").write_bytes(sound.wav([0] * 800))
        rtp = free_port(socket.SOCK_DGRAM) & ~1
        (self.folder / "config").write_text(CONFIG.format(
            host=HOST, folder=self.folder, port=free_port(), control=free_port(), rtp=rtp, rtp_last=rtp + 10,
        ))
        (self.folder / "accounts").write_text(f"<sip:{user}@{HOST}>;regint=0;audio_codecs={codec}\n")
        self.process = None

    def call(self, server, number, seconds):
        """Dials, and quits by itself after so many seconds."""
        dial = f"/dial sip:{number}@{HOST}:{server.port}"
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                ["baresip", "-4", "-f", self.folder, "-t", str(seconds), "-e", dial],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )

    def finish(self, seconds):
        self.process.wait(seconds)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.temporary.cleanup()

    def heard(self):
        """The last two seconds of what it decoded, but the very end; and their sample rate."""
        dumps = [path for path in self.folder.glob("dump-*-dec.wav")]
        assert len(dumps) == 1, f"{dumps}\n{(self.folder / 'log').read_text(errors='replace')}"
        with wave.open(str(dumps[0])) as dump:
            octets, rate = dump.readframes(dump.getnframes()), dump.getframerate()
            step = 2 * dump.getnchannels()
        samples = [int.from_bytes(octets[at:at + 2], "little", signed=True) for at in range(0, len(octets), step)]
        return samples[-5 * rate // 2:-rate // 2], rate

    def level(self, frequency):
        """How loud a tone is in what it heard."""
        samples, rate = self.heard()
        return sound.level_of(samples, frequency, rate)


class Phones(unittest.TestCase):
    def assert_all_hear_each_other(self, codecs):
        """A room of phones, each with its codec and its tone: each hears the others and not itself."""
        with Server() as server:
            tones = range(500, 500 + 400 * len(codecs), 400)
            phones = [Baresip(f"phone{tone}", tone, codec) for tone, codec in zip(tones, codecs)]
            for phone in phones:
                self.addCleanup(phone.close)
                phone.call(server, "3300", seconds=9)
            all_there = lambda: len([p for p in server.participants("3300") if p["answered"]]) == len(codecs)
            wait_until(all_there, "all phones are in the room", 7)
            spoken = sorted(participant["media"]["codec"] for participant in server.participants("3300"))
            self.assertEqual(spoken, sorted(codec.split("/")[0] for codec in codecs))
            for phone in phones:
                phone.finish(20)
            server.wait_until_empty()
            for own, phone in zip(tones, phones):
                for tone in tones:
                    if tone == own:
                        self.assertLess(phone.level(tone), 60, f"{own} Hz hears itself")
                    else:
                        self.assertGreater(phone.level(tone), 4000, f"{own} Hz hears {tone} Hz")

    def test_two_phones_hear_each_other_and_not_themselves(self):
        self.assert_all_hear_each_other(["PCMU/8000/1", "PCMU/8000/1"])

    def test_phones_of_every_rate_hear_each_other_and_not_themselves(self):
        self.assert_all_hear_each_other(["opus/48000/2", "G722/16000/1", "PCMA/8000/1", "opus/48000/2"])


if __name__ == "__main__":
    unittest.main()
