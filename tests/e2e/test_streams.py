"""SIP over TCP by clients that misbehave."""

import socket
import threading
import time
import unittest

from phone import Message, Phone
from server import HOST, WithServer, wait_until


def messages_of(stream):
    """The messages that come on a stream, one after the other."""
    octets = b""
    while True:
        head, end, rest = octets.partition(b"\r\n\r\n")
        length = int(Message(head).get("Content-Length") or 0)
        if end and len(rest) >= length:
            yield Message(head + end + rest[:length])
            octets = rest[length:]
        elif piece := stream.recv(65536):
            octets += piece
        else:
            raise AssertionError(f"closed after {octets}")


class Streams(WithServer):
    settings = {"sip": {
        "tcp_first_message_timeout": "1s", "tcp_message_timeout": "1s", "tcp_connections_max": 40,
        "message_max": "4KiB",
    }}

    def setUp(self):
        self.phone = Phone(self.server)
        self.addCleanup(self.phone.__exit__)

    def connect(self):
        found = socket.create_connection((HOST, self.server.port), timeout=10)
        self.addCleanup(found.close)
        return found

    def options(self, body=""):
        text = self.phone.request("OPTIONS", "3000", body).replace("SIP/2.0/UDP", "SIP/2.0/TCP")
        return text.replace("application/sdp", "text/plain").encode()

    def assert_answered(self, stream, count=1, status=200):
        """So many whole responses come on the stream."""
        octets = b""
        while octets.count(b"\r\n\r\n") < count:
            piece = stream.recv(65536)
            self.assertTrue(piece, f"closed after {octets}")
            octets += piece
        self.assertEqual(octets.count(f"SIP/2.0 {status} ".encode()), count, octets)

    def assert_closed(self, stream, within):
        """The server closes the connection in time; what it said before."""
        stream.settimeout(within)
        said = b""
        try:
            while piece := stream.recv(65536):
                said += piece
        except ConnectionResetError:
            pass
        return said

    def test_pipelined_and_split_messages_are_each_answered(self):
        stream = self.connect()
        both = self.options() + self.options()
        stream.sendall(both[:100])
        time.sleep(0.1)
        stream.sendall(both[100:])
        self.assert_answered(stream, count=2)

    def test_thousands_of_pipelined_messages_are_each_answered(self):
        stream, count = self.connect(), 2000
        sending = threading.Thread(target=stream.sendall, args=(self.options() * count,))
        sending.start()
        self.assert_answered(stream, count)
        sending.join()

    def test_all_the_calls_of_one_connection_are_told_that_their_room_is_over(self):
        """In one turn of the server, and so without a turn of who writes to the connection."""
        stream, phone, count = self.connect(), self.phone, 300
        over_tcp = lambda text: text.replace("SIP/2.0/UDP", "SIP/2.0/TCP").encode()
        for phone.call_id in map(str, range(count)):
            # None of them needs sound.
            invite = phone.request("INVITE", "3000", phone.description(direction="inactive"), sequence=1)
            stream.sendall(over_tcp(invite))
        messages, answered, ended = messages_of(stream), set(), set()
        while len(answered) < count:
            answer = next(messages)
            self.assertLess(answer.status, 300)
            if answer.status == 200:
                phone.call_id, phone.to = answer.get("Call-ID"), answer.get("To")
                answered.add(phone.call_id)
                stream.sendall(over_tcp(phone.request("ACK", "3000", sequence=1)))
        is_up = lambda: sum(call["answered"] for call in self.server.participants()) == count
        wait_until(is_up, "all calls are up")
        self.server.request("DELETE", "/v1/rooms/3000")
        while len(ended) < count:
            bye = next(messages)
            if bye.method != "BYE":
                continue
            ended.add(bye.get("Call-ID"))
            lines = [f"{name}: {value}" for name in ("Via", "From", "To", "Call-ID", "CSeq") for value in bye.all(name)]
            stream.sendall("\r\n".join(["SIP/2.0 200 OK", *lines, "Content-Length: 0", "", ""]).encode())
        self.server.wait_until_empty()

    def test_content_length_with_blanks_and_in_compact_form(self):
        stream = self.connect()
        for name in (b"Content-Length :", b"l:", b"CONTENT-LENGTH\t:"):
            stream.sendall(self.options().replace(b"Content-Length:", name))
            self.assert_answered(stream)

    def test_a_ping_gets_a_pong(self):
        stream = self.connect()
        stream.sendall(b"\r\n\r\n")
        self.assertEqual(stream.recv(16), b"\r\n")

    def test_a_client_that_never_speaks_is_closed(self):
        self.assertEqual(self.assert_closed(self.connect(), within=3), b"")

    def test_a_client_that_drips_is_closed_and_others_are_served(self):
        stream, other = self.connect(), self.connect()
        started = time.monotonic()
        closed = False
        for octet in self.options():
            try:
                stream.sendall(bytes([octet]))
            except OSError:
                closed = True
                break
            if time.monotonic() - started > 4:
                break
            time.sleep(0.1)
            if time.monotonic() - started < 0.5:
                other.sendall(self.options())
                self.assert_answered(other)
        self.assertTrue(closed, "still open after four seconds")

    def test_an_over_long_message_is_refused_and_others_are_served(self):
        stream, other = self.connect(), self.connect()
        stream.sendall(self.options(body="x" * 6000))
        self.assertRegex(self.assert_closed(stream, within=5), b"^SIP/2.0 (413|513) ")
        other.sendall(self.options())
        self.assert_answered(other)

    def test_a_message_without_length_is_refused(self):
        stream = self.connect()
        stream.sendall(self.options().replace(b"Content-Length: 0\r\n", b""))
        self.assertRegex(self.assert_closed(stream, within=5), b"^SIP/2.0 400 ")

    def test_more_connections_than_allowed_are_closed_and_places_come_back(self):
        streams = [self.connect() for _ in range(60)]
        for stream in streams:
            self.assert_closed(stream, within=5)
        stream = self.connect()
        stream.sendall(self.options())
        self.assert_answered(stream)

    def test_a_call_goes_on_when_its_connection_breaks(self):
        """The BYE of the server opens a new connection to the Contact."""
        with socket.create_server((HOST, 0)) as listener:
            listener.settimeout(10)
            port = listener.getsockname()[1]
            phone = self.phone
            invite = phone.request("INVITE", "3000", phone.description())
            contact = f"Contact: <sip:phone@{HOST}:{phone.port}>"
            invite = invite.replace(contact, f"Contact: <sip:phone@{HOST}:{port};transport=tcp>")
            stream = self.connect()
            stream.sendall(invite.replace("SIP/2.0/UDP", "SIP/2.0/TCP").encode())
            response = b""
            while b"SIP/2.0 200" not in response or b"a=sendrecv" not in response:
                response += stream.recv(65536)
            phone.to = Message(response[response.index(b"SIP/2.0 200"):]).get("To")
            ack = phone.request("ACK", "3000", sequence=1).replace("SIP/2.0/UDP", "SIP/2.0/TCP")
            stream.sendall(ack.encode())
            wait_until(lambda: [p for p in self.server.participants() if p["answered"]], "the call is up")
            stream.close()
            member = self.server.participants()[0]
            self.server.request("DELETE", f"/v1/participants/{member['id']}")
            called, _ = listener.accept()
            with called:
                called.settimeout(10)
                bye = Message(called.recv(65536))
                self.assertEqual(bye.method, "BYE")
                lines = ["SIP/2.0 200 OK"]
                lines += [f"{name}: {value}" for name in ("Via", "From", "To", "Call-ID", "CSeq") for value in bye.all(name)]
                called.sendall("\r\n".join([*lines, "Content-Length: 0", "", ""]).encode())
                self.server.wait_until_empty()


if __name__ == "__main__":
    unittest.main()
