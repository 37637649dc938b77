"""Answers calls for Fibonacci numbers. Those that are too large are errors."""
import json
import os

import pika


def fibonacci(number):
    last, following = 0, 1
    for _ in range(number):
        last, following = following, last + following
    if last >= 2**64:
        raise OverflowError(f"{number} is too large")
    return last


def asked(channel, method, properties, body):
    number = json.loads(body)["number"]
    print(f" [.] fib({number})")
    reply = pika.BasicProperties(correlation_id=properties.correlation_id)
    try:
        answer = json.dumps({"result": fibonacci(number)})
        reply.content_type = "application/json"
    except OverflowError as error:
        answer = str(error)
        reply.headers = {"x-rpc-error": "Remote", "x-rpc-error-type": type(error).__name__}
    channel.basic_publish("", properties.reply_to, answer, reply)
    channel.basic_ack(method.delivery_tag)


with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"][:-2] + "/%2F")) as connection:
    channel = connection.channel()
    channel.queue_declare("rpc_queue")
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume("rpc_queue", asked)
    print(" [*] Waiting for calls")
    try:
        channel.start_consuming()
    except KeyboardInterrupt:
        pass
