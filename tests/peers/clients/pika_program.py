"""pika: confirms, returns, consumers, errors, transactions, direct reply-to."""
import os
import sys

import pika
from pika.exceptions import ChannelClosedByBroker, UnroutableError

passed = 0
parameters = pika.URLParameters(os.environ["AMQP_URL"][:-2] + "/%2F")
with pika.BlockingConnection(parameters) as connection:
    channel = connection.channel()
    channel.confirm_delivery()
    queue = channel.queue_declare("", exclusive=True).method.queue
    for number in range(1000):
        channel.basic_publish("", queue, str(number), pika.BasicProperties(headers={"n": number}))
    for expected, (method, properties, body) in enumerate(channel.consume(queue)):
        assert properties.headers["n"] == expected == int(body)
        channel.basic_ack(method.delivery_tag)
        if expected == 999:
            break
    channel.cancel()
    passed += 1
    try:
        channel.basic_publish("", "nowhere", "", mandatory=True)
    except UnroutableError:
        passed += 1
    try:
        connection.channel().queue_declare("no such queue", passive=True)
    except ChannelClosedByBroker as error:
        passed += error.reply_code == 404
    other = connection.channel()
    other.tx_select()
    other.basic_publish("", queue, "lost")
    other.tx_rollback()
    other.basic_publish("", queue, "kept")
    other.tx_commit()
    method, _, body = other.basic_get(queue, auto_ack=True)
    passed += body == b"kept" and method.message_count == 0
    replies = []
    channel.basic_consume("amq.rabbitmq.reply-to", lambda *reply: replies.append(reply[3]), auto_ack=True)
    channel.basic_publish("", queue, "ask", pika.BasicProperties(reply_to="amq.rabbitmq.reply-to"))
    _, properties, _ = other.basic_get(queue, auto_ack=True)
    other.basic_publish("", properties.reply_to, "answer")
    other.tx_commit()
    while not replies:
        connection.process_data_events(time_limit=5)
    passed += replies == [b"answer"]
print(f"{passed} of 5")
sys.exit(passed != 5)
