"""Publishes a log line to everybody who listens."""
import os
import sys

from kombu import Connection, Exchange

line = " ".join(sys.argv[1:])
logs = Exchange("logs", type="fanout", durable=False)
with Connection(os.environ["AMQP_URL"]) as connection:
    connection.Producer(exchange=logs, auto_declare=True).publish(line)
    print(f" [x] Sent {line!r}")
