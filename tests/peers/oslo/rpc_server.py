"""A server of oslo.messaging with one endpoint."""
import os
import sys

import oslo_messaging
from oslo_config import cfg


def say(line):
    # One write, since threads print at the same time.
    sys.stdout.write(f"{line}\n")


class Unknown(Exception):
    pass


class Pictures:
    target = oslo_messaging.Target(namespace="pictures", version="1.2")

    def resize(self, ctxt, name, width):
        say(f" [.] resize {name} to {width} for {ctxt['user']}")
        return {"name": name, "width": width}

    @oslo_messaging.expected_exceptions(Unknown)
    def delete(self, ctxt, name):
        say(f" [.] delete {name}")
        raise Unknown(f"no picture is called {name}")

    def forget(self, ctxt):
        say(" [.] forget")


conf = cfg.CONF
conf([], project="peers")
transport = oslo_messaging.get_rpc_transport(conf, url=os.environ["AMQP_URL"].replace("amqp:", "rabbit:"))
target = oslo_messaging.Target(topic="pictures", server=sys.argv[1])
server = oslo_messaging.get_rpc_server(transport, target, [Pictures()])
server.start()
print(" [*] Awaiting calls")
try:
    server.wait()
except KeyboardInterrupt:
    server.stop()
    server.wait()
transport.cleanup()
