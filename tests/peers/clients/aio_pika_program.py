"""aio-pika: confirms, a consumer with acknowledgements, a return, an error, an RPC."""
import asyncio
import os
import sys

import aio_pika
from aio_pika.exceptions import ChannelNotFoundEntity, DeliveryError
from aio_pika.patterns import RPC

passed = 0


def check(is_so):
    global passed
    assert is_so
    passed += 1


async def double(*, number):
    return number * 2


async def main():
    connection = await aio_pika.connect_robust(os.environ["AMQP_URL"])
    async with connection:
        channel = await connection.channel(on_return_raises=True)
        await channel.set_qos(prefetch_count=10)
        queue = await channel.declare_queue("aio", exclusive=True)
        for number in range(100):
            message = aio_pika.Message(str(number).encode(), headers={"number": number}, priority=3)
            await channel.default_exchange.publish(message, routing_key="aio")
        seen = 0
        async with queue.iterator() as messages:
            async for message in messages:
                async with message.process():
                    assert message.headers["number"] == seen and int(message.body) == seen
                    seen += 1
                if seen == 100:
                    break
        check(seen == 100)
        try:
            await channel.default_exchange.publish(aio_pika.Message(b""), "nowhere")
            check(False)
        except DeliveryError:
            check(True)
        exchange = await channel.declare_exchange("aio_topic", aio_pika.ExchangeType.TOPIC, auto_delete=True)
        await queue.bind(exchange, "a.*")
        await exchange.publish(aio_pika.Message(b"topic", expiration=60), routing_key="a.b")
        got = await queue.get(timeout=5)
        await got.reject(requeue=True)
        again = await queue.get(timeout=5)
        check(again.redelivered and again.body == b"topic")
        await again.ack()
        async with connection.channel(publisher_confirms=False) as other:
            async with other.transaction():
                await other.default_exchange.publish(aio_pika.Message(b"tx"), routing_key="aio")
        got = await queue.get(timeout=5)
        check(got.body == b"tx")
        await got.ack()
        rpc = await RPC.create(channel)
        await rpc.register("double", double, auto_delete=True)
        check(await rpc.proxy.double(number=21) == 42)
        try:
            other = await connection.channel()
            await other.declare_queue("no such queue", passive=True)
            check(False)
        except ChannelNotFoundEntity:
            check(True)


asyncio.run(main())
print(f"{passed} of 6")
sys.exit(passed != 6)
