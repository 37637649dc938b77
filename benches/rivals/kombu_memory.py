"""Publishes messages to kombu's memory transport, receives and acknowledges them; prints nanoseconds per message."""

import sys
import time

from kombu import Connection, Exchange, Queue

messages = int(sys.argv[1])
exchange = Exchange("floor", type="direct")
queue = Queue("floor", exchange, routing_key="floor")
got = []


def received(body, message):
    got.append(body["id"])
    message.ack()


with Connection("memory://") as connection:
    channel = connection.channel()
    producer = connection.Producer(channel)
    with connection.Consumer(queue, callbacks=[received], channel=channel):
        began = time.perf_counter_ns()
        for number in range(messages):
            body = {"id": number, "at": number ^ 0x5555, "name": "sixteen letters!"}
            producer.publish(body, exchange=exchange, routing_key="floor", declare=[queue] if number == 0 else [])
            if number % 100 == 99:
                while len(got) <= number:
                    connection.drain_events(timeout=10)
        while len(got) < messages:
            connection.drain_events(timeout=10)
        print((time.perf_counter_ns() - began) / messages)
assert got == list(range(messages))
