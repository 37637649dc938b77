"""Works on the tasks of a durable queue, one at a time. Each is acknowledged when it is done, and the second of
them fails once and is tried again."""
import os

from kombu import Connection, Exchange, Queue
from kombu.mixins import ConsumerMixin

TASKS = Queue("tasks", Exchange("tasks", type="direct"), routing_key="tasks")


class Worker(ConsumerMixin):
    def __init__(self, connection):
        self.connection = connection

    def get_consumers(self, Consumer, channel):
        return [Consumer([TASKS], callbacks=[self.work], accept=["json"], prefetch_count=1)]

    def on_consume_ready(self, connection, channel, consumers, **kwargs):
        print(" [*] Waiting for tasks. To exit press CTRL+C")

    def work(self, task, message):
        if message.headers["number"] == 1 and not message.delivery_info["redelivered"]:
            print(f" [!] Failed {task['picture']}")
            message.requeue()
            return
        print(f" [x] Resized {task['picture']} to {task['sizes']}, again: {message.delivery_info['redelivered']}")
        message.ack()


with Connection(os.environ["AMQP_URL"]) as connection:
    try:
        Worker(connection).run()
    except KeyboardInterrupt:
        pass
