"""The peers of `loadtest/compare`: programs of Debian, each with a configuration of our own on loopback, and a
SIP front of a few lines by which `loadtest` reaches those that have none. The front asks the peer for a port for
each caller and answers with it; not one packet of sound goes through it, and its CPU is not the peer's.
"""

import http.client
import itertools
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

HOST = "127.0.0.1"
CONTROL_PORT = 18090
PORTS = (34000, 59999)
# Of an order by datagram, a second apart.
TRIES = 5
SDP = ("v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
       "a=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n")


class Missing(Exception):
    """A peer that is not installed."""


class Refused(Exception):
    """A peer does not do what it is asked for."""


def program(name, package):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if not found:
        raise Missing(f"{name} is not installed: apt-get install --no-install-recommends {package}")
    return found


class Peer:
    """A process on one core with a SIP front; ended by its own process id."""

    def __init__(self, core, folder, address):
        self.address = address
        self.folder = pathlib.Path(folder)
        self.log = open(self.folder / f"{self.name}.log", "w")
        # Not at real-time priority: run as its users run it.
        self.process = subprocess.Popen(
            self.command(), stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        try:
            self.wait_until_it_is_there()
            self.front = Front(self, address)
        except BaseException:
            self.stop()
            raise

    def wait_until_it_is_there(self):
        for _ in range(100):
            if self.process.poll() is not None:
                break
            try:
                return self.ask_whether_it_is_there()
            except (OSError, Refused):
                time.sleep(0.1)
        raise SystemExit(f"compare: {self.name} does not answer:\n{pathlib.Path(self.log.name).read_text()[-2000:]}")

    def stop(self):
        if hasattr(self, "front"):
            self.front.stop()
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Rtpengine(Peer):
    """A relay between two, ordered by the ng protocol; all in user space."""

    name = "rtpengine"
    members = 2

    def command(self):
        self.cookies = itertools.count(1)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((HOST, CONTROL_PORT))
        self.socket.settimeout(1)
        self.waiting = {}
        return [program("rtpengine", "rtpengine-daemon"), f"--interface={HOST}", f"--listen-ng={HOST}:{CONTROL_PORT}",
                f"--port-min={PORTS[0]}", f"--port-max={PORTS[1]}", "--table=-1", "--num-threads=1", "--delete-delay=0", "--foreground",
                "--log-stderr", "--log-level=3", f"--pidfile={self.folder}/rtpengine.pid"]

    def ask_whether_it_is_there(self):
        self.ask(command="ping")

    def ask(self, **words):
        cookie = b"%d-%d " % (os.getpid(), next(self.cookies))
        octets = cookie + bencode({name.replace("_", "-"): value for name, value in words.items()})
        reply = bdecode(self.answer(cookie, octets), len(cookie))[0]
        if reply[b"result"] == b"error":
            raise Refused(f"{words['command']}: {reply}")
        return reply

    def answer(self, cookie, octets):
        """What comes back for an order, which is sent again with the same cookie while nothing does."""
        for _ in range(TRIES):
            self.socket.send(octets)
            try:
                while not (reply := self.socket.recv(65536)).startswith(cookie):
                    pass
                return reply
            except TimeoutError:
                pass
        raise TimeoutError(f"no answer to {TRIES} tries")

    def join(self, room, call, port):
        """Ports for those who now have one: the first of two waits for the second."""
        sdp = SDP.format(host=HOST, port=port)
        if room not in self.waiting:
            reply = self.ask(command="offer", call_id=room, from_tag="first", sdp=sdp)
            self.waiting[room] = (call, media_port(reply[b"sdp"].decode()))
            return {}
        first, port_of_second = self.waiting.pop(room)
        reply = self.ask(command="answer", call_id=room, from_tag="first", to_tag="second", sdp=sdp)
        return {first: media_port(reply[b"sdp"].decode()), call: port_of_second}

    def leave(self, room, _call):
        # Where the second never came, the next to call is a first again.
        self.waiting.pop(room, None)
        self.ask(command="delete", call_id=room, from_tag="first")


class Janus(Peer):
    """Rooms of the AudioBridge with participants by plain RTP, ordered by its HTTP API."""

    name = "janus"
    members = None

    def command(self):
        here = self.folder / "janus"
        here.mkdir(exist_ok=True)
        found = program("janus", "janus")
        library = next(pathlib.Path("/usr/lib").glob("*/janus"), None)
        if library is None:
            raise Missing("the plugins of janus are not where Debian puts them")
        off = lambda kind, but: ",".join(p.name for p in (library / kind).glob("*.so") if but not in p.name)
        (here / "janus.jcfg").write_text(f'''
general: {{ configs_folder = "{here}" plugins_folder = "{library}/plugins" transports_folder = "{library}/transports"
  events_folder = "/nonexistent" loggers_folder = "/nonexistent" debug_level = 2 session_timeout = 0 }}
media: {{ }}
nat: {{ }}
plugins: {{ disable = "{off('plugins', 'audiobridge')}" }}
transports: {{ disable = "{off('transports', 'http')}" }}
''')
        (here / "janus.transport.http.jcfg").write_text(
            f'general: {{ json = "compact" base_path = "/janus" http = true port = {CONTROL_PORT} ip = "{HOST}" https = false }}\n'
            "admin: { admin_http = false }\n")
        (here / "janus.plugin.audiobridge.jcfg").write_text(
            f'general: {{ rtp_port_range = "{PORTS[0]}-{PORTS[1]}" local_ip = "{HOST}" }}\n')
        self.rooms, self.handles, self.connection = {}, {}, None
        return [found, "-F", here, "-C", here / "janus.jcfg"]

    def ask_whether_it_is_there(self):
        self.request("GET", "/info")

    def request(self, method, path, **words):
        body = json.dumps({**words, "transaction": "t"}) if method == "POST" else None
        try:
            self.connection = self.connection or http.client.HTTPConnection(HOST, CONTROL_PORT, timeout=10)
            self.connection.request(method, f"/janus{path}", body, {"Content-Type": "application/json"})
            reply = json.loads(self.connection.getresponse().read())
        except (OSError, http.client.HTTPException) as error:
            self.connection = None
            raise OSError(str(error)) from error
        if reply["janus"] == "error":
            raise Refused(f"{path} {words}: {reply}")
        return reply

    def room(self, name):
        """A session for each room, so that its events are few. The room is named by its session."""
        if name not in self.rooms:
            session = self.request("POST", "", janus="create")["data"]["id"]
            self.rooms[name] = (session, [])
            self.message(session, self.handle(session), request="create", room=session, sampling_rate=8000,
                         allow_rtp_participants=True)
        return self.rooms[name]

    def handle(self, session):
        attach = dict(janus="attach", plugin="janus.plugin.audiobridge")
        return self.request("POST", f"/{session}", **attach)["data"]["id"]

    def message(self, session, handle, **body):
        return self.request("POST", f"/{session}/{handle}", janus="message", body=body)

    def join(self, room, call, port):
        session, members = self.room(room)
        handle = self.handle(session)
        members.append(call)
        self.handles[call] = handle
        self.message(session, handle, request="join", room=session, display=call[:8], codec="pcmu",
                     rtp={"ip": HOST, "port": port, "payload_type": 0})
        while True:
            event = self.request("GET", f"/{session}?maxev=1")
            data = event.get("plugindata", {}).get("data", {})
            if event.get("sender") == handle and "error" in data:
                raise Refused(f"join: {data}")
            if event.get("sender") == handle and "rtp" in data:
                return {call: data["rtp"]["port"]}

    def leave(self, room, call):
        session, members = self.rooms[room]
        self.request("POST", f"/{session}/{self.handles.pop(call)}", janus="detach")
        members.remove(call)
        if not members:
            self.message(session, self.handle(session), request="destroy", room=session)
            self.request("POST", f"/{session}", janus="destroy")
            del self.rooms[room]


class Front:
    """Answers INVITE, BYE and nothing else, on UDP."""

    def __init__(self, peer, address):
        self.peer = peer
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        host, port = address.rsplit(":", 1)
        self.socket.bind((host, int(port)))
        self.socket.settimeout(0.2)
        self.contact = address
        self.calls = {}
        self.is_over = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def stop(self):
        self.is_over = True
        self.thread.join()
        self.socket.close()

    def run(self):
        while not self.is_over:
            try:
                octets, source = self.socket.recvfrom(65536)
            except TimeoutError:
                continue
            self.take(octets.decode(errors="replace"), source)

    def take(self, text, source):
        head, _, body = text.partition("\r\n\r\n")
        headers = dict(re.findall(r"^([\w-]+): (.*)$", head.replace("\r", ""), re.M))
        method, call = text.split(" ", 1)[0], headers.get("Call-ID")
        if method == "INVITE":
            if call in self.calls:
                octets = self.calls[call].get("answer")
                return self.socket.sendto(octets, source) if octets else None
            room = re.search(r"sip:([^@>;]*)", headers["To"])[1]
            self.calls[call] = {"room": room, "headers": headers, "source": source}
            self.send(self.calls[call], "100 Trying")
            ports = self.ask(self.peer.join, room, call, media_port(body))
            if ports is None:
                return self.send(self.calls.pop(call), "503 Service Unavailable")
            for answered, port in ports.items():
                self.send(self.calls[answered], "200 OK", SDP.format(host=HOST, port=port))
        elif method == "BYE":
            gone = self.calls.pop(call, None)
            self.send({"headers": headers, "source": source}, "200 OK" if gone else "481 Gone")
            if gone and not (self.peer.members and any(c["room"] == gone["room"] for c in self.calls.values())):
                self.ask(self.peer.leave, gone["room"], call)

    def ask(self, what, *words):
        """What the peer answers; nothing where it does not, as it has too much to do."""
        try:
            return what(*words)
        except (OSError, Refused) as error:
            print(f"compare: {self.peer.name}: {what.__name__}: {error!r}", file=sys.stderr)
            return None

    def send(self, call, status, body=""):
        headers = call["headers"]
        tag = "" if ";tag=" in headers["To"] else ";tag=front"
        octets = (f"SIP/2.0 {status}\r\nVia: {headers['Via']}\r\nFrom: {headers['From']}\r\nTo: {headers['To']}{tag}\r\n"
                  f"Call-ID: {headers['Call-ID']}\r\nCSeq: {headers['CSeq']}\r\nContact: <sip:front@{self.contact}>\r\n"
                  + ("Content-Type: application/sdp\r\n" if body else "")
                  + f"Content-Length: {len(body)}\r\n\r\n{body}").encode()
        call["answer"] = octets
        self.socket.sendto(octets, call["source"])


def media_port(sdp):
    return int(re.search(r"^m=audio (\d+)", sdp, re.M)[1])


def bencode(value):
    if isinstance(value, dict):
        return b"d" + b"".join(bencode(key) + bencode(value[key]) for key in sorted(value)) + b"e"
    octets = value.encode()
    return b"%d:%s" % (len(octets), octets)


def bdecode(octets, at=0):
    """A value and where it ends."""
    kind = octets[at:at + 1]
    if kind in b"dl":
        items, at = [], at + 1
        while octets[at:at + 1] != b"e":
            item, at = bdecode(octets, at)
            items.append(item)
        return (dict(zip(items[::2], items[1::2])) if kind == b"d" else items), at + 1
    if kind == b"i":
        end = octets.index(b"e", at)
        return int(octets[at + 1:end]), end + 1
    colon = octets.index(b":", at)
    end = colon + 1 + int(octets[at:colon])
    return octets[colon + 1:end], end
