"""Answers requests for Fibonacci numbers."""
import os

from kombu import Connection, Queue
from kombu.mixins import ConsumerProducerMixin


def fib(number):
    one, next_one = 0, 1
    for _ in range(number):
        one, next_one = next_one, one + next_one
    return one


class Server(ConsumerProducerMixin):
    def __init__(self, connection):
        self.connection = connection

    def get_consumers(self, Consumer, channel):
        queue = Queue("rpc_queue", durable=False)
        return [Consumer([queue], callbacks=[self.request], accept={"application/json"}, prefetch_count=1)]

    def on_consume_ready(self, connection, channel, consumers, **kwargs):
        print(" [*] Awaiting RPC requests")

    def request(self, body, message):
        print(f" [.] fib({body['number']})")
        self.producer.publish(
            {"result": fib(body["number"])},
            exchange="",
            routing_key=message.properties["reply_to"],
            correlation_id=message.properties["correlation_id"],
            serializer="json",
            retry=True,
        )
        message.ack()


with Connection(os.environ["AMQP_URL"]) as connection:
    try:
        Server(connection).run()
    except KeyboardInterrupt:
        pass
