"""Publishes a log line under a topic, with a confirm, and tells whether anybody listens to it."""
import os
import sys

from kombu import Connection, Exchange

topic, line = sys.argv[1], " ".join(sys.argv[2:])
logs = Exchange("topic_logs", type="topic", durable=False)
returned = []
with Connection(os.environ["AMQP_URL"], transport_options={"confirm_publish": True}) as connection:
    producer = connection.Producer(exchange=logs, on_return=lambda *reply: returned.append(reply[0]))
    producer.publish({"line": line, "words": len(line.split())}, routing_key=topic, mandatory=True)
    print(f" [x] Sent {topic}:{line}")
    if returned:
        print(f" [!] Returned: {returned[0]}")
