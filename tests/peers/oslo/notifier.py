"""Publishes notifications of two publishers, at two priorities."""
import os

import oslo_messaging
from oslo_config import cfg

conf = cfg.CONF
conf([], project="peers")
transport = oslo_messaging.get_notification_transport(conf, url=os.environ["AMQP_URL"].replace("amqp:", "rabbit:"))
notifier = oslo_messaging.Notifier(transport, driver="messagingv2", topics=["notifications"])
for publisher in ["compute.host-1", "network.host-2"]:
    prepared = notifier.prepare(publisher_id=publisher)
    prepared.info({}, "instance.created", {"cores": 4})
    prepared.warn({}, "disk.low", {"free": 0.5, "volumes": ["a", "b"]})
    print(f" [x] Notified as {publisher}")
transport.cleanup()
