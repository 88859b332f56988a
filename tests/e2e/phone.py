"""A small SIP phone of our own, for what SIPp cannot say or count: broken messages, raw sockets,
and what is heard."""

import random
import re
import socket
import struct
import threading
import time

import sound
from server import HOST, PATIENCE

CRLF = "\r\n"

# By how many seconds a phone that was kept from the machine may be behind with what it plays.
BEHIND_MAX = 0.1


class Message:
    """A SIP message, read leniently."""

    def __init__(self, octets):
        head, _, self.body = octets.decode(errors="replace").partition(CRLF * 2)
        self.start, *lines = head.split(CRLF)
        self.headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines if ":" in line]
        self.source = None

    @property
    def status(self):
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0 ") else None

    @property
    def method(self):
        return None if self.status else self.start.split()[0]

    def all(self, name):
        return [value for found, value in self.headers if found.lower() == name.lower()]

    def get(self, name):
        return (self.all(name) or [""])[0]

    def __repr__(self):
        return f"{self.start} ({self.get('CSeq')}) {self.get('Warning')}"


class Phone:
    """One call at a time, over UDP."""

    def __init__(self, server, user="phone"):
        self.server = (HOST, server.port)
        self.user = user
        self.sip = udp_socket()
        self.rtp, self.rtcp = media_sockets()
        self.port = self.sip.getsockname()[1]
        self.media_port = self.rtp.getsockname()[1]
        self.tag = f"{random.getrandbits(32):08x}"
        self.call_id = f"{random.getrandbits(64):016x}"
        self.sequence = 0
        self.to = ""
        # Where requests within the call go, and by which proxies, once its answer has said so.
        self.target, self.routes = None, []
        self.remote_media = None
        self.heard = bytearray()
        # The numbers of the packets that brought it.
        self.numbers = []
        self.events = []
        self.playing = None
        # What is sent is said to be this: PCMU.
        self.payload_type = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop_playing()
        for found in (self.sip, self.rtp, self.rtcp):
            found.close()

    # Signalling

    def request(self, method, number, body="", extra=(), sequence=None, branch=None):
        """The text of a request of this call."""
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        branch = branch or f"z9hG4bK{random.getrandbits(48):012x}"
        lines = [
            f"{method} {self.target or f'sip:{number}@{HOST}:{self.server[1]}'} SIP/2.0",
            f"Via: SIP/2.0/UDP {HOST}:{self.port};branch={branch};rport",
            "Max-Forwards: 70",
            f"From: <sip:{self.user}@{HOST}>;tag={self.tag}",
            f"To: {self.to or f'<sip:{number}@{HOST}>'}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {sequence} {method}",
            f"Contact: <sip:{self.user}@{HOST}:{self.port}>",
            *(f"Route: {route}" for route in self.routes),
            *extra,
        ]
        if body:
            lines.append("Content-Type: application/sdp")
        lines += [f"Content-Length: {len(body)}", "", body]
        return CRLF.join(lines)

    def info(self, content_type, body):
        """The text of an INFO with this body."""
        return self.request("INFO", self.number, body).replace("application/sdp", content_type)

    def description(self, formats="0 101", direction="sendrecv"):
        """Our session description."""
        return CRLF.join([
            "v=0", f"o=- 1 {self.sequence} IN IP4 {HOST}", "s=-", f"c=IN IP4 {HOST}", "t=0 0",
            f"m=audio {self.media_port} RTP/AVP {formats}", "a=rtpmap:101 telephone-event/8000",
            f"a={direction}", "",
        ])

    def send(self, message):
        self.sip.sendto(message.encode() if isinstance(message, str) else message, self.server)

    def receive(self, seconds=PATIENCE):
        """The next message, or None."""
        self.sip.settimeout(seconds)
        try:
            octets, source = self.sip.recvfrom(65536)
        except TimeoutError:
            return None
        message = Message(octets)
        message.source = source
        return message

    def response(self, seconds=PATIENCE):
        """The next final response."""
        deadline = time.monotonic() + seconds
        while message := self.receive(max(0.01, deadline - time.monotonic())):
            if message.status and message.status >= 200:
                return message
        raise AssertionError("no final response")

    def answer(self, request, status="200 OK"):
        """Answers a request of the server's."""
        lines = [f"SIP/2.0 {status}"]
        for name in ("Via", "From", "To", "Call-ID", "CSeq"):
            lines += [f"{name}: {value}" for value in request.all(name)]
        self.send(CRLF.join([*lines, "Content-Length: 0", "", ""]))

    def invite(self, number, extra=(), body=None):
        """Sends an INVITE with an offer, takes the final response, acknowledges nothing."""
        self.number = number
        self.send(self.request("INVITE", number, body or self.description(), extra))
        response = self.response()
        if response.status == 200:
            self.to = response.get("To")
            if response.get("Record-Route"):
                self.routes = [route.strip() for line in response.all("Record-Route") for route in line.split(",")][::-1]
                self.target = re.search(r"<(.*)>", response.get("Contact"))[1]
            self.remote_media = (HOST, int(re.search(r"m=audio (\d+)", response.body)[1]))
        return response

    def acknowledge(self):
        self.send(self.request("ACK", self.number, sequence=self.sequence))

    def call(self, number, body=None):
        """A call, answered and acknowledged."""
        response = self.invite(number, body=body)
        assert response.status == 200, response
        self.acknowledge()
        return response

    def hang_up(self):
        self.send(self.request("BYE", self.number))
        response = self.response()
        assert response.status == 200, response

    # Media

    def play(self, octets, seconds, lost=()):
        """Plays mu-law octets in a circle, 20 ms a packet, while what comes in is kept. The network
        loses the packets numbered so."""
        self.playing = threading.Thread(target=self._play, args=(octets, seconds, lost), daemon=True)
        self.playing.start()

    def stop_playing(self):
        if self.playing:
            self.playing.join(PATIENCE)
            self.playing = None

    def _play(self, octets, seconds, lost):
        ssrc, sequence, timestamp = (random.getrandbits(bits) for bits in (32, 16, 32))
        due = time.monotonic()
        for n in range(int(seconds * 50)):
            header = struct.pack(">BBHII", 0x80, self.payload_type, (sequence + n) & 0xFFFF, (timestamp + 160 * n) & 0xFFFFFFFF, ssrc)
            if n not in lost:
                self.rtp.sendto(header + self.frame(octets, n), self.remote_media)
            # Who was kept from the machine for long goes on from there: nobody would hear a second at once.
            due = max(due, time.monotonic() - BEHIND_MAX) + 0.02
            self.listen(due)

    def frame(self, octets, n):
        """What the packet of that number brings."""
        at = n * sound.FRAME % (len(octets) - sound.FRAME + 1)
        return octets[at:at + sound.FRAME]

    def press(self, digit, payload_type=101):
        """One key as telephone events (RFC 4733): 100 ms, its end sent three times."""
        event = "0123456789*#ABCD".index(digit)
        ssrc, sequence, timestamp = (random.getrandbits(bits) for bits in (32, 16, 32))
        for n, (end, duration) in enumerate([(0, 160), (0, 320), (0, 480), (0, 640)] + [(0x80, 800)] * 3):
            marker = 0x80 if n == 0 else 0
            header = struct.pack(">BBHII", 0x80, marker | payload_type, (sequence + n) & 0xFFFF, timestamp, ssrc)
            self.rtp.sendto(header + struct.pack(">BBH", event, end | 10, duration), self.remote_media)
            time.sleep(0.02)

    def listen(self, until):
        """Keeps what is heard until a moment of the monotonic clock, and all that came before it."""
        while True:
            self.rtp.settimeout(max(0, until - time.monotonic()))
            try:
                packet = self.rtp.recv(2048)
            except (TimeoutError, BlockingIOError):
                return
            if len(packet) > 12 and packet[0] == 0x80 and packet[1] & 0x7F == 0:
                self.heard += packet[12:]
                self.numbers.append(struct.unpack(">H", packet[2:4])[0])
            elif len(packet) == 16 and packet[0] == 0x80 and packet[1] & 0x7F == 101:
                # Marker, timestamp, event, whether it is the end, duration.
                marked, timestamp = packet[1] >> 7, struct.unpack(">I", packet[4:8])[0]
                event, flags, duration = struct.unpack(">BBH", packet[12:])
                self.events.append((marked, timestamp, event, flags >> 7, duration))

    def missed(self):
        """How many packets of what is heard did not come."""
        steps = [(later - earlier) & 0xFFFF for earlier, later in zip(self.numbers, self.numbers[1:])]
        return sum(steps) - len(steps)

    def level(self, frequency):
        """How loud `frequency` was in the last second heard."""
        return sound.level(self.heard[-sound.SAMPLE_RATE:], frequency)


def gets_through(server, number):
    """Whether a call is taken now; ends it."""
    with Phone(server) as phone:
        is_taken = phone.invite(number).status == 200
        phone.acknowledge()
        if is_taken:
            phone.hang_up()
        return is_taken


def udp_socket(port=0):
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        found.bind((HOST, port))
    except OSError:
        found.close()
        raise
    return found


def media_sockets():
    """A pair for RTP and RTCP, the one on the port above the other's."""
    for _ in range(100):
        rtp = udp_socket()
        try:
            return rtp, udp_socket(rtp.getsockname()[1] + 1)
        except (OSError, OverflowError):
            rtp.close()
    raise AssertionError("no free pair of ports")
