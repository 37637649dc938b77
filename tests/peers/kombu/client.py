"""Sends tasks to a durable work queue: a name, its arguments, and how long the work takes."""
import os

from kombu import Connection, Exchange, Queue

TASKS = Queue("tasks", Exchange("tasks", type="direct"), routing_key="tasks")

with Connection(os.environ["AMQP_URL"]) as connection:
    with connection.Producer(serializer="json") as producer:
        for number, compression in enumerate([None, "gzip", None, "bzip2", None, "zlib"]):
            task = {"task": "resize", "picture": f"cat-{number}.png", "sizes": [16, 32, 64 * number]}
            producer.publish(
                task,
                exchange=TASKS.exchange,
                routing_key=TASKS.routing_key,
                declare=[TASKS],
                priority=number % 3,
                headers={"number": number},
                compression=compression,
                delivery_mode="persistent",
                retry=True,
            )
            print(f" [x] Sent {task}")
