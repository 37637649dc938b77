"""Deletes what the programs leave behind in a broker, so that each run finds none of it."""
import os

from kombu import Connection

QUEUES = ["hello", "tasks", "rpc_queue", "notifications.info", "notifications.warn"]
QUEUES += ["pictures", "pictures.one", "pictures.two"]
EXCHANGES = ["tasks", "logs", "direct_logs", "topic_logs"]

with Connection(os.environ["AMQP_URL"]) as connection:
    for queue in QUEUES:
        connection.channel().queue_delete(queue)
    for exchange in EXCHANGES:
        connection.channel().exchange_delete(exchange)
