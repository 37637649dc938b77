"""Publishes a log line under its severity."""
import os
import sys

from kombu import Connection, Exchange

severity, line = sys.argv[1], " ".join(sys.argv[2:])
logs = Exchange("direct_logs", type="direct", durable=False)
with Connection(os.environ["AMQP_URL"]) as connection:
    connection.Producer(exchange=logs).publish(line, routing_key=severity)
    print(f" [x] Sent {severity}:{line}")
