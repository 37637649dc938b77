#!/usr/bin/env bash
# oslo.messaging 18.3.1 (Python, PyPI): a remote call takes the process-wide configuration, whatever is given to the transport.
#
# A transport is made of a configuration, and a program may have several (`cfg.ConfigOpts()`), as every option of a transport
# is registered on the one that it is given. Seen with oslo.messaging 18.3.1 and oslo.config 10.7.0, on the in-process
# transport `fake://`:
# - `call` and `cast` of an RPC client whose transport has a configuration of its own raise NoSuchOptError for the group
#   oslo_messaging_tracing, before anything is sent. The options of tracing are registered on the global `cfg.CONF` alone,
#   when the library is imported, and looked up in the transport's configuration at each call.
# - The same program with `cfg.CONF` works. So does a notifier with a configuration of its own: it is not traced.
#
# So a bridge that embeds clients of several clusters in one process has to share the global configuration among them, or to
# register these options by hand.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check oslo.messaging==18.3.1 oslo.config==10.7.0 kombu==5.7.0

"$folder/venv/bin/python" -W ignore - <<'PYTHON' 2>/dev/null
import oslo_messaging
from oslo_config import cfg


class Endpoint:
    def double(self, ctxt, number):
        return 2 * number


def call(conf):
    transport = oslo_messaging.get_rpc_transport(conf, url="fake://")
    server = oslo_messaging.get_rpc_server(
        transport, oslo_messaging.Target(topic="numbers", server="one"), [Endpoint()], executor="threading"
    )
    server.start()
    try:
        client = oslo_messaging.get_rpc_client(transport, oslo_messaging.Target(topic="numbers"), timeout=5)
        return client.call({}, "double", number=21)
    finally:
        server.stop()
        server.wait()
        transport.cleanup()


cfg.CONF([], project="finding")
print("global configuration:", call(cfg.CONF))

own = cfg.ConfigOpts()
own([], project="finding")
try:
    call(own)
    raise SystemExit("changed: a configuration of its own works now")
except cfg.NoSuchOptError as error:
    print("own configuration:", error)
    assert "oslo_messaging_tracing" in str(error)

transport = oslo_messaging.get_notification_transport(own, url="fake://")
notifier = oslo_messaging.Notifier(transport, driver="messagingv2", topics=["t"], publisher_id="p")
notifier.info({}, "event", {"a": 1})
print("a notifier with a configuration of its own: sent")
PYTHON
echo "as described"
