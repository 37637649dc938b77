"""Prints all log lines. The queue is the program's own, and the broker names it."""
import os
import socket

from kombu import Connection, Consumer, Exchange, Queue

logs = Exchange("logs", type="fanout", durable=False)
with Connection(os.environ["AMQP_URL"]) as connection:
    queue = Queue("", logs, exclusive=True)
    with Consumer(connection.channel(), [queue], callbacks=[lambda body, _: print(f" [x] {body}")], no_ack=True):
        print(" [*] Waiting for logs. To exit press CTRL+C")
        try:
            while True:
                try:
                    connection.drain_events(timeout=1)
                except socket.timeout:
                    connection.heartbeat_check()
        except KeyboardInterrupt:
            pass
