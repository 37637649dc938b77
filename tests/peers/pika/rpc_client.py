"""Calls the method `fib` by direct reply-to. An error of the service is a reply with a header."""
import json
import os
import sys

import pika


class Fibonacci:
    def __init__(self, channel):
        self.channel = channel
        self.reply = None
        channel.basic_consume("amq.rabbitmq.reply-to", self.replied, auto_ack=True)

    def replied(self, channel, method, properties, body):
        self.reply = properties, body

    def call(self, number):
        self.reply = None
        properties = pika.BasicProperties(
            content_type="application/json",
            type="fib",
            reply_to="amq.rabbitmq.reply-to",
            correlation_id=str(number),
        )
        body = json.dumps({"number": number})
        self.channel.basic_publish("", "rpc_queue", body, properties, mandatory=True)
        while self.reply is None:
            self.channel.connection.process_data_events(time_limit=30)
        properties, body = self.reply
        assert properties.correlation_id == str(number)
        kind = (properties.headers or {}).get("x-rpc-error")
        if kind == "Remote":
            return f" [!] {kind}: {body.decode()}"
        if kind:
            return f" [!] {kind}"
        return f" [.] fib({number}) = {json.loads(body)['result']}"


with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"][:-2] + "/%2F")) as connection:
    client = Fibonacci(connection.channel())
    for number in map(int, sys.argv[1:]):
        print(client.call(number))
