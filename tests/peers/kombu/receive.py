"""Prints each text that arrives in a queue."""
import os

from kombu import Connection, Queue
from kombu.mixins import ConsumerMixin


class Receiver(ConsumerMixin):
    def __init__(self, connection):
        self.connection = connection

    def get_consumers(self, Consumer, channel):
        return [Consumer([Queue("hello", durable=False)], callbacks=[self.received], no_ack=True)]

    def on_consume_ready(self, connection, channel, consumers, **kwargs):
        print(" [*] Waiting for messages. To exit press CTRL+C")

    def received(self, body, message):
        print(f" [x] Received {body!r}")


with Connection(os.environ["AMQP_URL"]) as connection:
    try:
        Receiver(connection).run()
    except KeyboardInterrupt:
        pass
