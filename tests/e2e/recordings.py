"""What tests do with recordings: wait for them, fetch them, look into them."""

import io
import struct
import urllib.error
import urllib.request
import wave

from server import wait_until


def finished(server, id=None, besides=()):
    """The recording of this id, or the newest besides these, once it is finished."""
    def look():
        found = server.get("/v1/recordings")["recordings"]
        found = [one for one in found if id in (None, one["id"]) and one["id"] not in besides]
        return found[0] if found and found[0]["state"] == "finished" else None
    return wait_until(look, f"{id or 'a recording'} is finished")


def fetch(server, recording, name, part=None, more={}, method="GET"):
    """A file of a recording: status, headers, octets."""
    url = f"{server.api}/v1/recordings/{recording['id']}/files/{name}"
    asked = urllib.request.Request(url, headers=more, method=method)
    if part:
        asked.add_header("Range", part)
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.headers, refused.read()


def file_of(recording, ending):
    """The name of the one file that ends so."""
    names = [file["name"] for file in recording["files"] if file["name"].endswith(ending)]
    assert len(names) == 1, recording
    return names[0]


def samples(octets):
    """The samples of each audio channel, and their rate."""
    with wave.open(io.BytesIO(octets)) as file:
        channels = file.getnchannels()
        flat = struct.unpack(f"<{file.getnframes() * channels}h", file.readframes(file.getnframes()))
        return [flat[at::channels] for at in range(channels)], file.getframerate()


def packets(octets):
    """The UDP payloads in a pcapng file."""
    found, at = [], 0
    while at < len(octets):
        kind, length = struct.unpack_from("<II", octets, at)
        if kind == 6:
            captured, = struct.unpack_from("<I", octets, at + 20)
            datagram = octets[at + 28:at + 28 + captured]
            found.append(datagram[(datagram[0] & 0x0F) * 4 + 8:])
        at += length
    return found
