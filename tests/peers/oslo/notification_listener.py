"""Prints the notifications of a topic, and asks for each warning a second time."""
import os
import sys

import oslo_messaging
from oslo_config import cfg


def say(line):
    # One write, since threads print at the same time.
    sys.stdout.write(f"{line}\n")


class Endpoint:
    filter_rule = oslo_messaging.NotificationFilter(publisher_id=r"^compute\.")
    warned = set()

    def info(self, ctxt, publisher_id, event_type, payload, metadata):
        say(f" [x] info {publisher_id} {event_type} {payload}")

    def warn(self, ctxt, publisher_id, event_type, payload, metadata):
        say(f" [x] warn {publisher_id} {event_type} {payload}")
        if metadata["message_id"] in self.warned:
            return oslo_messaging.NotificationResult.HANDLED
        self.warned.add(metadata["message_id"])
        return oslo_messaging.NotificationResult.REQUEUE


conf = cfg.CONF
conf([], project="peers")
transport = oslo_messaging.get_notification_transport(conf, url=os.environ["AMQP_URL"].replace("amqp:", "rabbit:"))
targets = [oslo_messaging.Target(topic="notifications")]
listener = oslo_messaging.get_notification_listener(
    transport, targets, [Endpoint()], allow_requeue=True
)
listener.start()
print(" [*] Waiting for notifications")
try:
    listener.wait()
except KeyboardInterrupt:
    listener.stop()
    listener.wait()
transport.cleanup()
