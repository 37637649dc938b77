"""Sends one text to a queue by its name."""
import os

from kombu import Connection

with Connection(os.environ["AMQP_URL"]) as connection:
    producer = connection.Producer()
    producer.publish("Hello World!", routing_key="hello", content_type="text/plain", content_encoding="utf-8")
    print(" [x] Sent 'Hello World!'")
