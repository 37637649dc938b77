"""Calls the server: with a result, with an error, with neither, and all servers at once."""
import os

import oslo_messaging
from oslo_config import cfg

conf = cfg.CONF
conf([], project="peers")
transport = oslo_messaging.get_rpc_transport(
    conf,
    url=os.environ["AMQP_URL"].replace("amqp:", "rabbit:"),
    allowed_remote_exmods=["__main__"],
)
target = oslo_messaging.Target(topic="pictures", namespace="pictures", version="1.1")
client = oslo_messaging.get_rpc_client(transport, target, timeout=30)
context = {"user": "ann"}
print(f" [x] {client.call(context, 'resize', name='cat.png', width=64)}")
try:
    client.call(context, "delete", name="dog.png")
except oslo_messaging.RemoteError as error:
    print(f" [!] {error.exc_type}: {error.value}")
try:
    client.prepare(version="2.0").call(context, "forget")
except oslo_messaging.RemoteError as error:
    print(f" [!] {error.exc_type}")
client.prepare(server="one").cast(context, "forget")
client.prepare(fanout=True).cast(context, "forget")
print(" [x] Cast")
transport.cleanup()
