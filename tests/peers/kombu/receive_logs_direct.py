"""Prints the log lines of the severities that its arguments name."""
import os
import sys

from kombu import Connection, Exchange, Queue, binding
from kombu.mixins import ConsumerMixin

LOGS = Exchange("direct_logs", type="direct", durable=False)


class Receiver(ConsumerMixin):
    def __init__(self, connection, severities):
        self.connection = connection
        self.severities = severities

    def get_consumers(self, Consumer, channel):
        bindings = [binding(LOGS, routing_key=severity) for severity in self.severities]
        return [Consumer([Queue("", bindings=bindings, exclusive=True)], callbacks=[self.received])]

    def on_consume_ready(self, connection, channel, consumers, **kwargs):
        print(" [*] Waiting for logs. To exit press CTRL+C")

    def received(self, body, message):
        print(f" [x] {message.delivery_info['routing_key']}:{body}")
        message.ack()


with Connection(os.environ["AMQP_URL"]) as connection:
    try:
        Receiver(connection, sys.argv[1:]).run()
    except KeyboardInterrupt:
        pass
