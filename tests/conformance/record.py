#!/usr/bin/env python3
"""Replays scenario files on a real RabbitMQ and says where an expectation differs: the proof of our own scenarios.

    python3 -m venv VENV && VENV/bin/pip install pika
    VENV/bin/python tests/conformance/record.py tests/conformance/own-*.json --times 3

It needs a RabbitMQ on 127.0.0.1:5672 with the user guest/guest, and the right to run `rabbitmqctl` (each replay gets a virtual
host of its own, which is deleted again). A new scenario is written by hand from what the protocol's and the broker's documents
say, replayed here, corrected where the broker begs to differ, and kept when it passes three times in a row. `--only TEXT`
selects scenarios by id, `--control` is another command than `rabbitmqctl`, `--jobs N` replays N at once, `--settle-ms` is the pause
after each step in which the broker's processes come to rest. The format is described in FORMAT.md; like the Rust replayer this one
refuses fields and operations it does not know.

Only pika's codec is used, not its channels: those renumber, reject and reorder what a scenario wants to see.
"""

import argparse
import itertools
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from pika import data as codec
from pika import frame, spec

# ---------------------------------------------------------------- typed values: ("int", 5), ("table", {...}), ...

PACKED = {  # AMQP's letter and the layout of what follows it
    "bool": (b"t", "?"), "octet": (b"b", "b"), "unsigned_octet": (b"B", "B"), "short": (b"s", "h"), "unsigned_short": (b"u", "H"),
    "int": (b"I", "i"), "unsigned_int": (b"i", "I"), "long": (b"l", "q"), "float": (b"f", "f"), "double": (b"d", "d"),
    "timestamp": (b"T", "Q"),
}
LETTERS = {letter: (name, ">" + layout) for name, (letter, layout) in PACKED.items()}
INTEGERS = {"octet", "unsigned_octet", "short", "unsigned_short", "int", "unsigned_int", "long"}


def typed(value):
    """The typed value that a piece of JSON describes."""
    if value is None:
        return ("void", None)
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, int):
        return ("int" if -2**31 <= value < 2**31 else "long", value)
    if isinstance(value, float):
        return ("double", value)
    if isinstance(value, str):
        return ("longstr", value)
    if isinstance(value, list):
        return ("array", [typed(item) for item in value])
    if "$type" not in value:
        return ("table", table(value))
    kind, inner = value["$type"], value.get("value")
    if set(value) - {"$type", "value"}:
        raise Differs(f"no typed value: {value}")
    if kind in ("array", "table"):
        return typed(inner)
    if kind == "float":  # what is left of it in 32 bits, so that it compares equal when it comes back
        return (kind, struct.unpack(">f", struct.pack(">f", inner))[0])
    if kind == "bytes":
        return (kind, bytes.fromhex(inner))
    return (kind, inner)


def table(fields):
    return {name: typed(value) for name, value in fields.items()}


def encode_value(pieces, value):
    kind, inner = value
    if kind in PACKED:
        letter, layout = PACKED[kind]
        pieces.append(letter + struct.pack(">" + layout, inner))
        return len(pieces[-1])
    if kind == "void":
        pieces.append(b"V")
        return 1
    if kind in ("longstr", "bytes"):
        raw = inner.encode() if kind == "longstr" else inner
        pieces.append((b"S" if kind == "longstr" else b"x") + struct.pack(">I", len(raw)) + raw)
        return len(pieces[-1])
    if kind == "decimal":
        whole, _, fraction = inner.partition(".")
        pieces.append(b"D" + struct.pack(">Bi", len(fraction), int(whole + fraction)))
        return len(pieces[-1])
    if kind == "table":
        pieces.append(b"F")
        return 1 + codec.encode_table(pieces, inner)
    if kind == "array":
        items = []
        length = sum(encode_value(items, item) for item in inner)
        pieces.append(b"A" + struct.pack(">I", length))
        pieces.extend(items)
        return 5 + length
    raise Differs(f"no such type: {kind}")


def decode_value(encoded, offset):
    letter, offset = encoded[offset:offset + 1], offset + 1
    if letter in LETTERS:
        name, layout = LETTERS[letter]
        return (name, struct.unpack_from(layout, encoded, offset)[0]), offset + struct.calcsize(layout)
    if letter == b"V":
        return ("void", None), offset
    if letter == b"D":
        scale, digits = struct.unpack_from(">Bi", encoded, offset)
        text = f"{abs(digits):0{scale + 1}d}"
        text = text[:-scale] + "." + text[-scale:] if scale else text
        return ("decimal", "-" + text if digits < 0 else text), offset + 5
    if letter == b"F":
        fields, offset = codec.decode_table(encoded, offset)
        return ("table", fields), offset
    length = struct.unpack_from(">I", encoded, offset)[0]
    offset, end = offset + 4, offset + 4 + length
    if letter == b"A":
        items = []
        while offset < end:
            item, offset = decode_value(encoded, offset)
            items.append(item)
        return ("array", items), end
    raw = encoded[offset:end]
    return (("longstr", raw.decode("utf8", "replace")) if letter == b"S" else ("bytes", raw)), end


# pika would choose types by Python's and lose them on the way back.
codec.encode_value, codec.decode_value = encode_value, decode_value


def fits(expected, actual):
    """Whether a typed value is what the JSON of an expectation asks for."""
    kind, inner = actual
    if expected == "*":
        return True
    if isinstance(expected, dict) and "$min" in expected:
        return kind in INTEGERS and inner >= expected["$min"]
    if isinstance(expected, dict) and "$type" not in expected:
        return kind == "table" and all(name in inner and fits(value, inner[name]) for name, value in expected.items())
    if isinstance(expected, list):
        return kind == "array" and len(inner) == len(expected) and all(map(fits, expected, inner))
    if isinstance(expected, dict):
        return fits(expected["value"], actual) if expected["$type"] in ("table", "array") else typed(expected) == actual
    if isinstance(expected, bool) or expected is None or isinstance(expected, str):
        return typed(expected) == actual
    if isinstance(expected, int):
        return kind in INTEGERS and inner == expected
    return kind in ("float", "double") and inner == typed({"$type": kind, "value": expected})[1]


# ---------------------------------------------------------------- the wire


class Differs(Exception):
    """An expectation that the broker did not meet, or a step that cannot be replayed."""


class Refused(Exception):
    """The broker closed the channel or the connection."""

    def __init__(self, code, text, level):
        super().__init__(f"error {code} of the {level}: {text}")
        self.code, self.text, self.level = code, text, level


class Message:
    """A message that came by a delivery, a get or a return."""

    def __init__(self, method, properties, body):
        self.method, self.properties, self.body = method, properties, body.decode("utf8", "replace")

    def __str__(self):
        fields = {name: getattr(self.method, name) for name in ("exchange", "routing_key", "delivery_tag", "redelivered", "message_count")
                  if hasattr(self.method, name)}
        return f"{self.body!r} {fields} headers {self.properties.headers}"


class Line:
    """One channel: what came on it, and how it ended."""

    def __init__(self, wire, number):
        self.wire, self.number = wire, number
        self.events = []  # (kind, detail) in broker order, until a step takes them
        self.replies = []
        self.content = None  # [method, header, body] of a message that is still arriving
        self.refused = None  # what the broker closed it with
        self.expected = False  # whether a step expected that
        self.closed = False
        self.published, self.unconfirmed, self.confirming = 0, [], False

    def send(self, method, properties=None, body=None):
        self.wire.send(frame.Method(self.number, method))
        if body is not None:
            self.wire.send(frame.Header(self.number, len(body), properties))
            for start in range(0, len(body), 100_000):
                self.wire.send(frame.Body(self.number, body[start:start + 100_000]))

    def call(self, method, patience=10):
        """Sends a synchronous method and returns its reply."""
        if self.refused:
            raise self.refused
        self.send(method)
        self.wire.pump_until(lambda: self.replies or self.refused, patience)
        if self.refused:
            raise self.refused
        if not self.replies:
            raise Differs(f"no reply to {method.NAME} in {patience} s")
        return self.replies.pop(0)

    def take(self, wanted, count=None):
        """Takes the first `count` events that are wanted."""
        taken = []
        for event in [event for event in self.events if wanted(event)][:count]:
            self.events.remove(event)
            taken.append(event)
        return taken

    def on_frame(self, received):
        if isinstance(received, frame.Header):
            self.content[1] = received
        elif isinstance(received, frame.Body):
            self.content[2] += received.fragment
        else:
            self.on_method(received.method)
        if self.content and self.content[1] and len(self.content[2]) >= self.content[1].body_size:
            (method, header, body), self.content = self.content, None
            self.on_message(method, Message(method, header.properties, body))

    def on_method(self, method):
        if isinstance(method, (spec.Basic.Deliver, spec.Basic.Return, spec.Basic.GetOk)):
            self.content = [method, None, b""]
        elif isinstance(method, (spec.Basic.Ack, spec.Basic.Nack)):
            numbers = [number for number in self.unconfirmed if number <= method.delivery_tag] if method.multiple else [method.delivery_tag]
            self.unconfirmed = [number for number in self.unconfirmed if number not in numbers]
            self.events += [("ack" if isinstance(method, spec.Basic.Ack) else "nack", number) for number in numbers]
        elif isinstance(method, spec.Basic.Cancel):
            self.events.append(("cancelled", method.consumer_tag))
        elif isinstance(method, spec.Channel.Close):
            self.refused = Refused(method.reply_code, method.reply_text, "channel")
            self.send(spec.Channel.CloseOk())
        else:
            self.replies.append(method)

    def on_message(self, method, message):
        if isinstance(method, spec.Basic.GetOk):
            self.replies.append(message)
        elif isinstance(method, spec.Basic.Return):
            self.events.append(("return", message))
        else:
            self.events.append(("delivery", message))


class Wire:
    """One connection. `pump_until` of any wire moves all wires of its scenario along."""

    def __init__(self, options, vhost, wires):
        self.wires, self.lines, self.buffer, self.open = wires, {}, b"", True
        self.socket = socket.create_connection((options.host, options.port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wires.append(self)
        self.control = self.lines[0] = Line(self, 0)
        self.socket.sendall(frame.ProtocolHeader().marshal())
        start = self.await_control()
        self.server = start.server_properties
        plain = f"\0{options.user}\0{options.password}"
        capabilities = ("table", table({"consumer_cancel_notify": True, "publisher_confirms": True, "basic.nack": True,
                                        "exchange_exchange_bindings": True, "authentication_failure_close": True}))
        self.control.send(spec.Connection.StartOk({"capabilities": capabilities}, "PLAIN", plain, "en_US"))
        tune = self.await_control()
        self.control.send(spec.Connection.TuneOk(tune.channel_max, tune.frame_max, 0))
        self.control.call(spec.Connection.Open(vhost))

    def await_control(self):
        self.pump_until(lambda: self.control.replies, 10)
        if not self.control.replies:
            raise Differs("the broker does not answer")
        return self.control.replies.pop(0)

    def send(self, what):
        if self.open:
            self.socket.sendall(what.marshal())

    def open_line(self):
        line = self.lines[len(self.lines)] = Line(self, len(self.lines))
        line.call(spec.Channel.Open())
        return line

    def close(self):
        if self.open:
            self.control.call(spec.Connection.Close(200, "", 0, 0))
            self.abandon()

    def abandon(self):
        if self.open:
            self.open = False
            self.socket.close()

    def pump_until(self, done, seconds):
        """Reads what comes on any connection until `done` says so or the time is used up; tells which."""
        deadline = time.monotonic() + seconds
        while not done():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            sockets = {wire.socket: wire for wire in self.wires if wire.open}
            for ready in select.select(list(sockets), [], [], left)[0]:
                sockets[ready].receive()
        return True

    def receive(self):
        try:
            received = self.socket.recv(1 << 16)
        except ConnectionError:
            received = b""
        if not received:
            self.on_closed(Refused(320, "the socket was closed", "connection"))
        self.buffer += received
        while True:
            consumed, decoded = frame.decode_frame(self.buffer)
            if not decoded:
                return
            self.buffer = self.buffer[consumed:]
            if isinstance(decoded, frame.Method) and isinstance(decoded.method, spec.Connection.Close):
                self.control.send(spec.Connection.CloseOk())
                self.on_closed(Refused(decoded.method.reply_code, decoded.method.reply_text, "connection"))
                return
            if not isinstance(decoded, frame.Heartbeat):
                self.lines[decoded.channel_number].on_frame(decoded)

    def on_closed(self, refused):
        for line in self.lines.values():
            line.refused = line.refused or refused
        self.abandon()


# ---------------------------------------------------------------- one scenario


class Fields:
    """Strict reading of one JSON object."""

    def __init__(self, fields):
        self.fields = dict(fields)

    def take(self, name, *default):
        if name not in self.fields and not default:
            raise Differs(f"the field '{name}' is missing")
        return self.fields.pop(name, *default)

    def finish(self):
        if self.fields:
            raise Differs(f"fields that are not known here: {sorted(self.fields)}")


class Replay:
    """A scenario under way."""

    def __init__(self, options, vhost):
        self.options, self.vhost = options, vhost
        self.wires, self.connections, self.lines, self.saved = [], {}, {}, {}

    def run(self, scenario):
        try:
            if "steps" in scenario:
                self.run_steps(scenario["steps"])
            else:
                self.run_table(scenario)
        finally:
            for wire in self.wires:
                wire.abandon()

    def run_steps(self, steps):
        for number, step in enumerate(steps, 1):
            try:
                self.step(Fields(self.substituted(step)))
            except (Differs, Refused) as problem:
                raise Differs(f"step {number} {json.dumps(step)}: {problem}") from None
        for name, line in self.lines.items():
            if line.refused and not line.expected and not line.closed and line.refused.level == "channel":
                raise Differs(f"at its end channel '{name}' had been closed: {line.refused}")

    def substituted(self, value):
        if isinstance(value, str):
            for name in sorted(self.saved, key=len, reverse=True):
                value = value.replace(name, self.saved[name])
            return value
        if isinstance(value, list):
            return [self.substituted(item) for item in value]
        if isinstance(value, dict):
            return {key: item if key in ("save_as", "save_reply_to") else self.substituted(item) for key, item in value.items()}
        return value

    def wire(self, name):
        if name not in self.connections:
            self.connections[name] = Wire(self.options, self.vhost, self.wires)
        return self.connections[name]

    def line(self, name, connection):
        if name not in self.lines:
            self.lines[name] = self.wire(connection or "c1").open_line()
        line = self.lines[name]
        if connection and line.wire is not self.connections[connection]:
            raise Differs(f"channel '{name}' belongs to another connection")
        if line.closed or line.expected:
            raise Differs(f"channel '{name}' was closed before")
        return line

    def settle(self, ms=None):
        """Lets the broker's processes come to rest, and takes in what they send."""
        for wire in self.wires[:1]:
            wire.pump_until(lambda: False, (ms or self.options.settle_ms) / 1000)

    def step(self, fields):
        op, connection, channel = fields.take("op"), fields.take("conn", None), fields.take("ch", "1")
        note = fields.take("note", None) or ""
        text = note.removeprefix("reply text: ") if note.startswith("reply text: ") else None
        if hasattr(self, "wait_" + op):
            getattr(self, "wait_" + op)(fields, lambda: self.line(channel, connection))
        elif hasattr(self, "at_" + op):  # the virtual host or a whole connection
            getattr(self, "at_" + op)(fields, connection or "c1", text)
        elif op in ("publish", "ack", "nack", "reject"):
            line = self.line(channel, connection)
            if line.refused:
                raise line.refused
            getattr(self, "do_" + op)(fields, line)
            try:  # whatever the channel answers, it has done this step before
                line.call(spec.Exchange.Declare(exchange="amq.direct", passive=True))
            except Refused:
                pass
        else:
            line = self.line(channel, connection)
            expect = fields.take("expect", {})
            method = self.method(op, fields, line)
            save_as = fields.take("save_as", None) if op == "queue_declare" else None
            fields.finish()
            self.compare(op, Fields(expect), text, line, method, save_as)
        self.settle()

    # ------------------------------------------------ synchronous methods

    def method(self, op, fields, line):
        take = fields.take

        def arguments():
            return table(take("arguments", {}))

        if op == "exchange_declare":
            return spec.Exchange.Declare(exchange=take("exchange"), type=take("type"), passive=take("passive", False), durable=take("durable", False),
                                         auto_delete=take("auto_delete", False), internal=take("internal", False), arguments=arguments())
        if op == "exchange_delete":
            return spec.Exchange.Delete(exchange=take("exchange"), if_unused=take("if_unused", False))
        if op in ("exchange_bind", "exchange_unbind"):
            kind = spec.Exchange.Bind if op == "exchange_bind" else spec.Exchange.Unbind
            return kind(destination=take("destination"), source=take("source"), routing_key=take("routing_key", ""), arguments=arguments())
        if op == "queue_declare":
            return spec.Queue.Declare(queue=take("queue"), passive=take("passive", False), durable=take("durable", False),
                                      exclusive=take("exclusive", False), auto_delete=take("auto_delete", False), arguments=arguments())
        if op in ("queue_bind", "queue_unbind"):
            kind = spec.Queue.Bind if op == "queue_bind" else spec.Queue.Unbind
            return kind(queue=take("queue"), exchange=take("exchange"), routing_key=take("routing_key", ""), arguments=arguments())
        if op == "queue_purge":
            return spec.Queue.Purge(queue=take("queue"))
        if op == "queue_delete":
            return spec.Queue.Delete(queue=take("queue"), if_unused=take("if_unused", False), if_empty=take("if_empty", False))
        if op == "consume":
            return spec.Basic.Consume(queue=take("queue"), consumer_tag=take("consumer"), no_ack=take("auto_ack", False),
                                      exclusive=take("exclusive", False), no_local=take("no_local", False), arguments=arguments())
        if op == "cancel":
            return spec.Basic.Cancel(consumer_tag=take("consumer"))
        if op == "qos":
            return spec.Basic.Qos(prefetch_size=take("prefetch_size", 0), prefetch_count=take("prefetch_count"), global_qos=take("global", False))
        if op == "recover":
            return spec.Basic.Recover(requeue=take("requeue", True))
        if op == "get":
            return spec.Basic.Get(queue=take("queue"), no_ack=take("auto_ack", False))
        if op == "confirm_select":
            line.confirming = True
            return spec.Confirm.Select()
        if op in ("tx_select", "tx_commit", "tx_rollback"):
            return {"tx_select": spec.Tx.Select, "tx_commit": spec.Tx.Commit, "tx_rollback": spec.Tx.Rollback}[op]()
        if op == "close_channel":
            line.closed = True
            return spec.Channel.Close(200, "", 0, 0)
        raise Differs(f"the operation '{op}' is not supported")

    def compare(self, op, expect, text, line, method, save_as):
        failure = expect.take("error", None)
        level = expect.take("level", "channel")
        try:
            reply = line.call(method)
        except Refused as refused:
            line.expected = True
            expect.finish()
            if (refused.code, refused.level) != (failure, level) or text not in (None, self.text_of(refused)):
                raise
            return
        if failure:
            raise Differs(f"expected error {failure}, but it succeeded")
        if save_as:
            self.saved[save_as] = reply.queue
        for name, value in expect.take("ok", {}).items():
            if not hasattr(reply, name) or getattr(reply, name) != value:
                raise Differs(f"{name}: expected {value!r}, not {getattr(reply, name, None)!r}")
        if expect.take("empty", False) and not isinstance(reply, spec.Basic.GetEmpty):
            raise Differs(f"expected nothing, not {reply}")
        wanted = expect.take("message", None)
        expect.finish()
        if wanted is not None:
            if not isinstance(reply, Message):
                raise Differs(f"expected {wanted}, not an empty queue")
            self.check(wanted, reply)
        if op == "close_channel":
            self.settle(100)

    def text_of(self, refused):
        """The text as it would be on the virtual host "/", and in one line: Erlang breaks long ones."""
        return "".join(line.strip() for line in refused.text.replace(self.vhost, "/").split("\n"))

    def at_close_connection(self, fields, connection, _):
        fields.finish()
        wire = self.wire(connection)
        wire.close()
        for line in self.lines.values():
            line.closed = line.closed or line.wire is wire
        self.wires.remove(wire)
        self.pause(0.1)

    def at_set_policy(self, fields, _, text):
        name, pattern, definition = fields.take("name"), fields.take("pattern"), fields.take("definition")
        apply_to, priority = fields.take("apply_to", "all"), fields.take("priority", 0)
        expect = Fields(fields.take("expect", {}))
        invalid = expect.take("invalid", False)
        expect.finish()
        fields.finish()
        try:
            rabbitmqctl("set_policy", "-p", self.vhost, "--priority", str(priority), "--apply-to", apply_to, name, pattern, json.dumps(definition))
        except Differs as refused:
            if not invalid or text and text not in " ".join(str(refused).split()):
                raise
        else:
            if invalid:
                raise Differs("the policy was set")
        self.pause(0.1)

    def at_clear_policy(self, fields, *_):
        name = fields.take("name")
        fields.finish()
        rabbitmqctl("clear_policy", "-p", self.vhost, name)
        self.pause(0.1)

    # ------------------------------------------------ publishing and settling

    def do_publish(self, fields, line):
        exchange, key, body = fields.take("exchange", ""), fields.take("routing_key", ""), fields.take("body")
        mandatory, immediate, count = fields.take("mandatory", False), fields.take("immediate", False), fields.take("count", 1)
        properties = dict(fields.take("properties", {}))
        fields.finish()
        if "headers" in properties:
            properties["headers"] = table(properties["headers"])
        for number in range(1, count + 1):
            text = body.replace("{i}", str(number)) if count > 1 else body
            if line.confirming:
                line.published += 1
                line.unconfirmed.append(line.published)
            line.send(spec.Basic.Publish(exchange=exchange, routing_key=key, mandatory=mandatory, immediate=immediate),
                      spec.BasicProperties(**properties), text.encode())

    def do_ack(self, fields, line):
        method = spec.Basic.Ack(fields.take("delivery_tag"), fields.take("multiple", False))
        fields.finish()
        line.send(method)

    def do_nack(self, fields, line):
        method = spec.Basic.Nack(fields.take("delivery_tag"), fields.take("multiple", False), fields.take("requeue", True))
        fields.finish()
        line.send(method)

    def do_reject(self, fields, line):
        method = spec.Basic.Reject(fields.take("delivery_tag"), fields.take("requeue", True))
        fields.finish()
        line.send(method)

    # ------------------------------------------------ waiting

    def pause(self, seconds):
        if self.wires:
            self.wires[0].pump_until(lambda: False, seconds)
        else:
            time.sleep(seconds)

    def wait_sleep(self, fields, _):
        ms = fields.take("ms")
        fields.finish()
        self.pause(ms / 1000)

    def await_events(self, line, within_ms, count, wanted):
        def came():
            return [event for event in line.events if wanted(event)]
        line.wire.pump_until(lambda: len(came()) >= count or line.refused, within_ms / 1000)
        if line.refused:
            raise line.refused
        if len(came()) < count:
            raise Differs(f"{len(came())} of {count} came; the channel holds {describe(line.events)}")

    def wait_expect_deliveries(self, fields, line):
        consumer, messages = fields.take("consumer"), fields.take("messages")
        within_ms, any_order = fields.take("within_ms", 2000), fields.take("any_order", False)
        fields.finish()
        line = line()
        wanted = delivery_to(consumer)
        self.await_events(line, within_ms, len(messages), wanted)
        came = [message for _, message in line.take(wanted, len(messages))]
        for expected in messages:
            message = came[0]
            if any_order:
                message = next((message for message in came if self.suits(expected, message)), None)
            if message is None:
                raise Differs(f"none of these is {expected}: {'; '.join(map(str, came))}")
            self.check(expected, message)
            came.remove(message)

    def wait_expect_return(self, fields, line):
        code, expected, within_ms = fields.take("reply_code"), fields.take("message"), fields.take("within_ms", 2000)
        fields.finish()
        line = line()
        self.await_events(line, within_ms, 1, is_kind("return"))
        self.check_return(code, expected, line.take(is_kind("return"), 1)[0][1])

    def check_return(self, code, expected, message):
        if message.method.reply_code != code:
            raise Differs(f"expected a return with {code}, not {message.method.reply_code}")
        self.check(expected, message)

    def wait_expect_confirms(self, fields, line):
        acks, nacks, within_ms = fields.take("acks", []), fields.take("nacks", []), fields.take("within_ms", 2000)
        fields.finish()
        line = line()
        self.await_events(line, within_ms, len(acks) + len(nacks), is_kind("ack", "nack"))
        came = line.take(is_kind("ack", "nack"))
        if sorted(came) != sorted([("ack", number) for number in acks] + [("nack", number) for number in nacks]):
            raise Differs(f"there came {came}")

    def wait_expect_cancelled(self, fields, line):
        consumer, within_ms = fields.take("consumer"), fields.take("within_ms", 2000)
        fields.finish()
        line = line()
        self.await_events(line, within_ms, 1, lambda event: event == ("cancelled", consumer))
        line.take(lambda event: event == ("cancelled", consumer), 1)

    def wait_expect_events(self, fields, line):
        expected, within_ms = fields.take("events"), fields.take("within_ms", 2000)
        fields.finish()
        line = line()
        self.await_events(line, within_ms, len(expected), lambda event: True)
        came = line.take(lambda event: True, len(expected))
        for number, (wanted, (kind, detail)) in enumerate(zip(expected, came), 1):
            (wanted_kind, wanted_detail), = wanted.items()
            try:
                if wanted_kind != kind:
                    raise Differs(f"expected a {wanted_kind}")
                if kind == "delivery":
                    wanted_detail = Fields(wanted_detail)
                    consumer, message = wanted_detail.take("consumer"), wanted_detail.take("message")
                    wanted_detail.finish()
                    if detail.method.consumer_tag != consumer:
                        raise Differs(f"expected a delivery to {consumer}")
                    self.check(message, detail)
                elif kind == "return":
                    wanted_detail = Fields(wanted_detail)
                    code, message = wanted_detail.take("reply_code"), wanted_detail.take("message")
                    wanted_detail.finish()
                    self.check_return(code, message, detail)
                elif wanted_detail != detail:
                    raise Differs(f"expected {wanted_detail}")
            except Differs as problem:
                raise Differs(f"event {number}: {problem}; there came {describe(came)}") from None

    def expect_none(self, fields, line, for_ms, unwanted):
        for_ms = fields.take("for_ms", for_ms)
        fields.finish()
        line = line()
        self.pause(for_ms / 1000)
        if line.refused:
            raise line.refused
        came = [event for event in line.events if unwanted(event)]
        if came:
            raise Differs(f"there came {describe(came)}")

    def wait_expect_no_delivery(self, fields, line):
        self.expect_none(fields, line, 150, delivery_to(fields.take("consumer")))

    def wait_expect_no_return(self, fields, line):
        self.expect_none(fields, line, 100, is_kind("return"))

    def wait_expect_no_confirm(self, fields, line):
        self.expect_none(fields, line, 100, is_kind("ack", "nack"))

    def wait_expect_not_cancelled(self, fields, line):
        consumer = fields.take("consumer")
        self.expect_none(fields, line, 100, lambda event: event == ("cancelled", consumer))

    def wait_expect_channel_closed(self, fields, line):
        code, level, within_ms = fields.take("code"), fields.take("level", "channel"), fields.take("within_ms", 2000)
        text = fields.take("text", "")
        fields.finish()
        line = line()
        line.wire.pump_until(lambda: line.refused, within_ms / 1000)
        if not line.refused:
            raise Differs(f"expected error {code}, but the channel is open")
        line.expected = True
        if (line.refused.code, line.refused.level) != (code, level) or text not in line.refused.text:
            raise line.refused

    def wait_expect_depth(self, fields, line):
        queue, within_ms = fields.take("queue"), fields.take("within_ms", 2000)
        wanted = {name: fields.take(name) for name in ("message_count", "consumer_count") if name in fields.fields}
        fields.finish()
        line, deadline = line(), time.monotonic() + within_ms / 1000
        while True:
            reply = line.call(spec.Queue.Declare(queue=queue, passive=True))
            counts = {name: getattr(reply, name) for name in wanted}
            if counts == wanted:
                return
            if time.monotonic() > deadline:
                raise Differs(f"it has {counts}")
            self.pause(0.01)

    def at_expect_gone(self, fields, connection, _):
        queue, exchange, within_ms = fields.take("queue", None), fields.take("exchange", None), fields.take("within_ms", 2000)
        fields.finish()
        deadline = time.monotonic() + within_ms / 1000
        while True:
            line = self.wire(connection).open_line()
            try:
                line.call(spec.Queue.Declare(queue=queue, passive=True) if queue else spec.Exchange.Declare(exchange=exchange, passive=True))
                line.call(spec.Channel.Close(200, "", 0, 0))
            except Refused as refused:
                if refused.code == 404:
                    return
                if refused.code != 405:
                    raise
            if time.monotonic() > deadline:
                raise Differs("it is still there")
            self.pause(0.02)

    # ------------------------------------------------ messages

    def suits(self, expected, message):
        saved = dict(self.saved)
        try:
            self.check(expected, message)
            return True
        except Differs:
            return False
        finally:
            self.saved = saved

    def check(self, expected, message):
        fields = Fields(expected)
        try:
            if fields.take("body", message.body) != message.body:
                raise Differs(f"expected the body {expected['body']!r}")
            for name in ("exchange", "routing_key", "redelivered", "delivery_tag", "message_count"):
                actual = getattr(message.method, name, None)
                if fields.take(name, actual) != actual:
                    raise Differs(f"{name}: expected {expected[name]!r}, not {actual!r}")
            for name, value in fields.take("properties", {}).items():
                actual = getattr(message.properties, name)
                if actual != value and (value != "*" or actual is None):
                    raise Differs(f"property '{name}': expected {value!r}, not {actual!r}")
            headers = message.properties.headers or {}
            for name, value in fields.take("headers", {}).items():
                if name not in headers or not fits(value, headers[name]):
                    raise Differs(f"header '{name}': expected {value!r}, not {headers.get(name)!r}")
            for name in fields.take("headers_absent", []):
                if name in headers:
                    raise Differs(f"the header '{name}' is there")
            saved = fields.take("save_reply_to", None)
            fields.finish()
            if saved:
                self.saved[saved] = message.properties.reply_to
        except Differs as problem:
            raise Differs(f"{problem}; it was {message}") from None

    # ------------------------------------------------ routing tables

    def run_table(self, scenario):
        line = self.wire("c1").open_line()
        line.call(spec.Exchange.Declare(exchange="x", type=scenario["type"]))
        queues = sorted({binding["queue"] for binding in scenario["bindings"]})
        for queue in queues:
            line.call(spec.Queue.Declare(queue=queue))
        for binding in scenario["bindings"]:
            line.call(spec.Queue.Bind(queue=binding["queue"], exchange="x", routing_key=binding["routing_key"], arguments=table(binding.get("arguments", {}))))
        for number, case in enumerate(scenario["cases"], 1):
            properties = spec.BasicProperties(headers=table(case["headers"]) if "headers" in case else None)
            line.send(spec.Basic.Publish(exchange="x", routing_key=case["routing_key"]), properties, b"m")
            got = []
            for queue in queues:
                while isinstance(line.call(spec.Basic.Get(queue=queue, no_ack=True)), Message):
                    got.append(queue)
            if got != sorted(case["queues"]):
                raise Differs(f"case {number} {json.dumps(case)}: copies came to {got}")


def describe(events):
    return "; ".join(f"{kind} {detail}" for kind, detail in events) or "nothing"


def is_kind(*kinds):
    return lambda event: event[0] in kinds


def delivery_to(consumer):
    return lambda event: event[0] == "delivery" and event[1].method.consumer_tag == consumer


# ---------------------------------------------------------------- all of them


CONTROL = ["rabbitmqctl"]


def rabbitmqctl(*arguments):
    done = subprocess.run([*CONTROL, "--quiet", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise Differs(f"rabbitmqctl {arguments[0]}: {done.stdout}{done.stderr}")


def each_vhost(names, erlang):
    """Evaluates an Erlang function for every virtual host in one call: starting rabbitmqctl takes longer than making one."""
    listed = ",".join(f'<<"{name}">>' for name in names)
    rabbitmqctl("eval", f"lists:foreach({erlang}, [{listed}]).")


def make_vhosts(names, user):
    grant = f'rabbit_auth_backend_internal:set_permissions(<<"{user}">>, V, <<".*">>, <<".*">>, <<".*">>, <<"record">>)'
    each_vhost(names, f'fun(V) -> rabbit_vhost:add(V, <<"record">>), {grant} end')


def delete_vhosts(names):
    each_vhost(names, 'fun(V) -> catch rabbit_vhost:delete(V, <<"record">>) end')


def load(paths, only):
    for path in paths:
        with open(path, encoding="utf8") as file:
            area = json.load(file)
        for scenario in area["scenarios"]:
            if not only or any(text in scenario["id"] for text in only):
                yield area, scenario


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("files", nargs="+", help="scenario files")
    parser.add_argument("--only", action="append", help="replay only scenarios whose id contains this text")
    parser.add_argument("--times", type=int, default=1, help="how often each scenario is replayed")
    parser.add_argument("--jobs", type=int, default=4, help="how many scenarios are replayed at once")
    parser.add_argument("--settle-ms", type=int, default=10, help="the pause after each step")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5672)
    parser.add_argument("--user", default="guest")
    parser.add_argument("--password", default="guest")
    parser.add_argument("--control", default="rabbitmqctl", help="the command that runs rabbitmqctl, with its first arguments")
    options = parser.parse_args()
    CONTROL[:] = options.control.split()

    version = Wire(options, "/", []).server["version"][1]
    work = list(load(options.files, options.only)) * options.times
    passed, failed = 0, 0

    def replay(item):
        (area, scenario), vhost = item
        try:
            if area["recorded_on"] != f"RabbitMQ {version}":
                raise Differs(f"recorded on {area['recorded_on']}, but this is RabbitMQ {version}")
            Replay(options, vhost).run(scenario)
        except (Differs, Refused) as problem:
            return f"{scenario['id']}: {problem}"

    numbers = itertools.count(1)
    with ThreadPoolExecutor(options.jobs) as pool:
        while batch := [work.pop(0) for _ in range(min(40, len(work)))]:
            vhosts = [f"record-{os.getpid()}-{next(numbers)}" for _ in batch]
            make_vhosts(vhosts, options.user)
            try:
                for problem in pool.map(replay, zip(batch, vhosts)):
                    passed += problem is None
                    failed += problem is not None
                    if problem:
                        print("DIFFERS", problem, flush=True)
            finally:
                delete_vhosts(vhosts)
    print(f"RabbitMQ {version}: {passed} as expected, {failed} differ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
