"""baresip as a process: a real phone without a screen, a microphone or a speaker."""

import pathlib
import signal
import subprocess
import tempfile
import wave

import sound
from server import HOST, free_port, free_ports

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
        rtp = free_ports(11)
        (self.folder / "config").write_text(CONFIG.format(
            host=HOST, folder=self.folder, port=free_port(), control=free_port(), rtp=rtp, rtp_last=rtp + 10,
        ))
        self.account = f"<sip:{user}@{HOST}>;regint=0;audio_codecs={codec}"
        self.process = None

    def call(self, server, number, seconds, proxy=None):
        """Dials, by way of a proxy where one is given, and quits by itself after so many seconds."""
        by = f';outbound="sip:{HOST}:{proxy.port}"' if proxy else ""
        (self.folder / "accounts").write_text(f"{self.account}{by}\n")
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
