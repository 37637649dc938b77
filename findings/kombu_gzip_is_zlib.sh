#!/usr/bin/env bash
# kombu 5.7.0 (Python, PyPI): compression "gzip" is not gzip, and content_encoding does not tell of it.
#
# Seen with kombu 5.7.0, amqp 5.4.2 and vine 5.1.0:
# - `compression="gzip"` writes a zlib stream: it begins with 78 9c, where a gzip file begins with 1f 8b. The library calls it
#   application/x-gzip. Neither side reads the other's: Python's gzip refuses the stream of kombu, and kombu refuses a gzip
#   file that is given as application/x-gzip.
# - The compression is named in a header of the message, `compression`. The property content_encoding of AMQP says utf-8, as
#   without compression. A consumer in another language that goes by content_encoding, as AMQP means it, reads noise.
# - The other way round, kombu does not look at a content_encoding of gzip. It takes the compressed octets of a JSON message
#   for UTF-8, and raises DecodeError.
#
# So a program that exchanges compressed messages with kombu needs code of its own for them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check kombu==5.7.0 amqp==5.4.2 vine==5.1.0

"$folder/venv/bin/python" - <<'PYTHON'
import gzip
import zlib

from kombu import Connection, Exchange, Queue, compression
from kombu.exceptions import DecodeError
from kombu.serialization import loads

text = "a line of text, " * 64
packed, content_type = compression.compress(text.encode(), "gzip")
print("kombu's gzip:", content_type, packed[:2].hex())
assert content_type == "application/x-gzip"
assert packed[:2].hex() == "789c"
assert zlib.decompress(packed).decode() == text

try:
    gzip.decompress(packed)
    raise SystemExit("changed: it is gzip now")
except gzip.BadGzipFile as error:
    print("gzip reads kombu's:", error)

try:
    compression.decompress(gzip.compress(text.encode()), content_type)
    raise SystemExit("changed: it reads gzip now")
except zlib.error as error:
    print("kombu reads gzip's:", error)

with Connection("memory://") as connection:
    queue = Queue("texts", Exchange(""), routing_key="texts")(connection.default_channel)
    queue.declare()
    connection.Producer().publish(text, routing_key="texts", compression="gzip", serializer="json")
    message = queue.get()
    print("properties:", message.content_type, message.content_encoding, message.headers)
    assert message.content_encoding == "utf-8"
    assert message.headers == {"compression": "application/x-gzip"}
    assert message.payload == text

try:
    loads(gzip.compress(b'"text"'), "application/json", "gzip")
    raise SystemExit("changed: it knows content_encoding gzip now")
except DecodeError as error:
    print("content_encoding gzip:", error)
PYTHON
echo "as described"
