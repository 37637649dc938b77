"""Asks the server for Fibonacci numbers. Replies come to a queue of the client's own."""
import os
import sys

from kombu import Connection, Queue, uuid


class Fibonacci:
    def __init__(self, connection):
        self.connection = connection
        self.replies = Queue(uuid(), exclusive=True, auto_delete=True)
        self.waiting_for = None
        self.reply = None

    def replied(self, body, message):
        if message.properties["correlation_id"] == self.waiting_for:
            self.reply = body
        message.ack()

    def call(self, number):
        self.reply, self.waiting_for = None, uuid()
        with self.connection.Consumer([self.replies], callbacks=[self.replied]):
            self.connection.Producer().publish(
                {"number": number},
                routing_key="rpc_queue",
                declare=[self.replies],
                reply_to=self.replies.name,
                correlation_id=self.waiting_for,
                expiration=30,
            )
            while self.reply is None:
                self.connection.drain_events(timeout=30)
        return self.reply


with Connection(os.environ["AMQP_URL"]) as connection:
    client = Fibonacci(connection)
    for number in map(int, sys.argv[1:]):
        print(f" [x] Requesting fib({number})")
        print(f" [.] Got {client.call(number)}")
