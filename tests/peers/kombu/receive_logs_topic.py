"""Prints the log lines whose topics match the patterns of its arguments."""
import os
import sys

from kombu import Connection, Exchange, Queue, binding
from kombu.mixins import ConsumerMixin

LOGS = Exchange("topic_logs", type="topic", durable=False)


class Receiver(ConsumerMixin):
    def __init__(self, connection, patterns):
        self.connection = connection
        self.patterns = patterns

    def get_consumers(self, Consumer, channel):
        bindings = [binding(LOGS, routing_key=pattern) for pattern in self.patterns]
        queue = Queue("", bindings=bindings, exclusive=True, auto_delete=True)
        return [Consumer([queue], callbacks=[self.received], prefetch_count=10)]

    def on_consume_ready(self, connection, channel, consumers, **kwargs):
        print(" [*] Waiting for logs. To exit press CTRL+C")

    def received(self, body, message):
        print(f" [x] {message.delivery_info['routing_key']}: {body['line']} ({body['words']} words)")
        message.ack()


with Connection(os.environ["AMQP_URL"]) as connection:
    try:
        Receiver(connection, sys.argv[1:]).run()
    except KeyboardInterrupt:
        pass
