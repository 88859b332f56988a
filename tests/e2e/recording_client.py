"""A recording client (RFC 7866) for tests: one dialog, several streams, each with a tone of its own."""

import random
import socket
import struct
import time

import sound
from phone import CRLF, Message
from server import HOST, PATIENCE

EDGE = "edge-of-parts"
FRAMES_MAX = 3000


class Stream:
    """One stream: its label, who speaks on it, and its socket."""

    def __init__(self, label, who, frequency):
        self.label, self.who, self.frequency = label, who, frequency
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HOST, 0))
        self.port = self.socket.getsockname()[1]
        self.direction = "sendonly"
        self.remote = None
        self.sent = 0

    def packet(self, frame):
        """The next RTP packet."""
        self.sent += 1
        return struct.pack(">BBHII", 0x80, 0, self.sent & 0xFFFF, self.sent * sound.FRAME, self.port) + frame

    def lines(self):
        port = self.port if self.direction else 0
        return [f"m=audio {port} RTP/AVP 0", f"a=label:{self.label}", f"a={self.direction or 'inactive'}"]


class RecordingClient:
    """A recording session over UDP."""

    def __init__(self, server, streams):
        self.server = (HOST, server.port)
        self.streams = streams
        self.sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sip.bind((HOST, 0))
        self.port = self.sip.getsockname()[1]
        self.tag, self.call_id = f"{random.getrandbits(32):08x}", f"{random.getrandbits(64):016x}"
        self.sequence, self.to = 0, f"<sip:recorder@{HOST}>"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for found in (self.sip, *(stream.socket for stream in self.streams)):
            found.close()

    def description(self):
        return CRLF.join([
            "v=0", f"o=- 1 {self.sequence} IN IP4 {HOST}", "s=-", f"c=IN IP4 {HOST}", "t=0 0",
            *(line for stream in self.streams for line in stream.lines()), "",
        ])

    def metadata(self):
        people = "".join(
            f'<participant participant_id="p{label}"><nameID aor="sip:{who}@{HOST}"><name>{who}</name></nameID>'
            f'</participant><stream stream_id="s{label}" session_id="cs"><label>{label}</label></stream>'
            f'<participantstreamassoc participant_id="p{label}"><send>s{label}</send></participantstreamassoc>'
            for label, who in ((stream.label, stream.who) for stream in self.streams)
        )
        return (
            '<?xml version="1.0" encoding="UTF-8"?>' + CRLF + '<recording xmlns="urn:ietf:params:xml:ns:recording:1">'
            f'<datamode>complete</datamode><session session_id="cs"/>{people}</recording>'
        )

    def bodies(self):
        return CRLF.join([
            f"--{EDGE}", "Content-Type: application/sdp", "", self.description(),
            f"--{EDGE}", "Content-Type: application/rs-metadata+xml", "Content-Disposition: recording-session", "",
            self.metadata(), f"--{EDGE}--", "",
        ])

    def send(self, method, body=""):
        """Sends a request; its text."""
        if method != "ACK":
            self.sequence += 1
        lines = [
            f"{method} sip:recorder@{HOST}:{self.server[1]} SIP/2.0",
            f"Via: SIP/2.0/UDP {HOST}:{self.port};branch=z9hG4bK{random.getrandbits(48):012x};rport",
            "Max-Forwards: 70",
            f"From: <sip:client@{HOST}>;tag={self.tag}",
            f"To: {self.to}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {self.sequence} {method}",
            f"Contact: <sip:client@{HOST}:{self.port}>;+sip.src",
            *(["Require: siprec"] if method == "INVITE" else []),
            *([f"Content-Type: multipart/mixed;boundary={EDGE}"] if body else []),
            f"Content-Length: {len(body)}", "", body,
        ]
        self.sip.sendto(CRLF.join(lines).encode(), self.server)

    def receive(self):
        self.sip.settimeout(PATIENCE)
        return Message(self.sip.recv(65536))

    def ask(self, method, body=""):
        """Sends a request and gives its final answer; an INVITE's is acknowledged."""
        self.send(method, body)
        answer = self.receive()
        while answer.status < 200:
            answer = self.receive()
        if method == "INVITE":
            self.to = answer.get("To")
            self.send("ACK")
        return answer

    def offer(self):
        """INVITE or re-INVITE with all streams; learns where each is to be sent."""
        answer = self.ask("INVITE", self.bodies())
        if answer.status == 200:
            lines = [line.split() for line in answer.body.splitlines() if line.startswith("m=")]
            for stream, line in zip(self.streams, lines, strict=True):
                stream.remote = (HOST, int(line[1])) if int(line[1]) else None
        return answer

    def play(self, seconds):
        """Sends every stream's tone in real time."""
        tones = [sound.tone(stream.frequency, 1) for stream in self.streams]
        begin = time.monotonic()
        for frame in range(min(int(seconds * 50), FRAMES_MAX)):
            for stream, tone in zip(self.streams, tones):
                if stream.remote and stream.direction == "sendonly":
                    at = frame * sound.FRAME % sound.SAMPLE_RATE
                    stream.socket.sendto(stream.packet(tone[at:at + sound.FRAME]), stream.remote)
            time.sleep(max(0, begin + (frame + 1) * 0.02 - time.monotonic()))
