"""Records what a RabbitMQ answers to a client, octet by octet: `python record.py [PORT]`.

A dialogue is a list of steps. A step sends frames, and reads until its last answer has come. What
was sent (`>`) and what came (`<`) is written to `<dialogue>.txt` in hexadecimal, a frame a line.
Everything is on channel 1 of a connection of guest, after the handshake.
"""
import pathlib
import socket
import struct
import sys

PUBLISH, RETURN, DELIVER, ACK = (60, 40), (60, 50), (60, 60), (60, 80)


def short(text):
    return bytes([len(text)]) + text.encode()


def long(octets):
    return struct.pack(">I", len(octets)) + octets


def frame(kind, channel, payload):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def method(ids, fields=b"", channel=1):
    return frame(1, channel, struct.pack(">HH", *ids) + fields)


def declare(queue):
    return method((50, 10), b"\0\0" + short(queue) + b"\x04" + long(b""))  # exclusive


def consume(queue, tag, bits=0):
    return method((60, 20), b"\0\0" + short(queue) + short(tag) + bytes([bits]) + long(b""))


def publish(queue, body, mandatory=False, properties=b"\0\0"):
    return (
        method(PUBLISH, b"\0\0" + short("") + short(queue) + bytes([mandatory]))
        + frame(2, 1, struct.pack(">HHQ", 60, 0, len(body)) + properties)
        + (frame(3, 1, body) if body else b"")
    )


def tagged(ids, tag, bits=0):
    return method(ids, struct.pack(">QB", tag, bits))


PERSISTENT_TEXT = struct.pack(">H", 1 << 15 | 1 << 12) + short("text/plain") + b"\x02"

# Each step: the octets that are sent, and the last method that they are answered by.
DIALOGUES = {
    "a_return_comes_before_its_confirm": [
        (method((85, 10), b"\0"), (85, 11)),
        (publish("no such queue", b"hello", True, PERSISTENT_TEXT), ACK),
        (publish("no such queue", b"", True), ACK),
        (publish("no such queue", b"unseen"), ACK),
    ],
    "cancel_ok_comes_after_the_last_delivery": [
        (declare("dialogue"), (50, 11)),
        (publish("dialogue", b"one") + publish("dialogue", b"two", False, PERSISTENT_TEXT)
         + method((60, 10), bytes(7)), (60, 11)),
        (consume("dialogue", "c"), (60, 60)),
        (method((60, 30), short("c") + b"\0"), (60, 31)),
        (tagged((60, 80), 0, 1) + method((50, 30), b"\0\0" + short("dialogue") + b"\0"), (50, 31)),
    ],
    "returns_come_before_commit_ok": [
        (method((90, 10)), (90, 11)),
        (publish("no such queue", b"1", True) + publish("no such queue", b"2", True)
         + method((90, 20)), (90, 21)),
        (publish("no such queue", b"3", True) + method((90, 30)), (90, 31)),
    ],
    "gets_count_what_is_left": [
        (declare("dialogue"), (50, 11)),
        (publish("dialogue", b"one") + publish("dialogue", b"two")
         + method((60, 70), b"\0\0" + short("dialogue") + b"\0"), (60, 71)),
        (method((60, 70), b"\0\0" + short("dialogue") + b"\x01"), (60, 71)),
        (method((60, 70), b"\0\0" + short("dialogue") + b"\x01"), (60, 72)),
        (tagged((60, 90), 1, 1) + method((60, 70), b"\0\0" + short("dialogue") + b"\x01"), (60, 71)),
        (method((50, 40), b"\0\0" + short("dialogue") + b"\0"), (50, 41)),
    ],
    "an_error_closes_the_channel_and_it_opens_again": [
        (method((50, 10), b"\0\0" + short("no such queue") + b"\x01" + long(b"")), (20, 40)),
        (method((20, 41)) + method((20, 10), short("")), (20, 11)),
        (publish("no such queue", b"") + tagged((60, 80), 7), (20, 40)),
        (method((20, 41)) + method((20, 10), short("")), (20, 11)),
        (method((20, 40), struct.pack(">H", 200) + short("bye") + b"\0\0\0\0"), (20, 41)),
    ],
}


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(10)
        self.octets = b""
        self.socket.sendall(b"AMQP\0\0\x09\x01")
        self.read_to((10, 10))
        login = long(b"") + short("PLAIN") + long(b"\0guest\0guest") + short("en_US")
        self.ask(method((10, 11), login, 0), (10, 30))
        tune = method((10, 31), struct.pack(">HIH", 9, 4096, 0), 0)
        self.ask(tune + method((10, 40), short("/") + short("") + b"\0", 0), (10, 41))
        self.ask(method((20, 10), short("")), (20, 11))

    def frame(self):
        while True:
            if len(self.octets) >= 7:
                size = struct.unpack(">I", self.octets[3:7])[0] + 8
                if len(self.octets) >= size:
                    first, self.octets = self.octets[:size], self.octets[size:]
                    return first
            more = self.socket.recv(65536)
            assert more, "the broker has closed the connection"
            self.octets += more

    def read_to(self, last):
        """The frames up to the content of the last method."""
        frames, missing = [], None
        while missing != 0:
            came = self.frame()
            frames.append(came)
            if came[0] == 1:
                ids = struct.unpack(">HH", came[7:11])
                has_content = ids in (RETURN, DELIVER, (60, 71))
                missing = (None if has_content else 0) if ids == last else None
                waits = ids == last and has_content
            elif came[0] == 2 and waits:
                missing = struct.unpack(">Q", came[11:19])[0]
            elif came[0] == 3 and waits:
                missing -= len(came) - 8
        return frames

    def ask(self, octets, last):
        self.socket.sendall(octets)
        return self.read_to(last)


def split(octets):
    while octets:
        size = struct.unpack(">I", octets[3:7])[0] + 8
        yield octets[:size]
        octets = octets[size:]


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 5672
    for name, steps in DIALOGUES.items():
        client = Client(port)
        lines = []
        for octets, last in steps:
            answers = client.ask(octets, last)
            if last == DELIVER:
                # The second of two.
                answers += client.read_to(last)
            lines += [f"> {sent.hex()}" for sent in split(octets)]
            lines += [f"< {came.hex()}" for came in answers]
        path = pathlib.Path(__file__).parent / f"{name}.txt"
        path.write_text("\n".join(lines) + "\n")
        client.socket.close()


main()
