// amqplib: confirms, a consumer with acknowledgements, a return, an error.
const assert = require('node:assert');
const amqplib = require('amqplib');

async function main() {
  let passed = 0;
  const connection = await amqplib.connect(process.env.AMQP_URL.replace(/\/\/$/, '/%2F'));
  const channel = await connection.createConfirmChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  for (let number = 0; number < 1000; number += 1) {
    channel.sendToQueue(queue, Buffer.from(String(number)), { headers: { number }, persistent: true });
  }
  await channel.waitForConfirms();
  await new Promise((resolve) => {
    let expected = 0;
    channel.consume(queue, (message) => {
      assert.equal(message.properties.headers.number, expected);
      assert.equal(message.content.toString(), String(expected));
      channel.ack(message);
      expected += 1;
      if (expected === 1000) resolve();
    });
  });
  passed += 1;
  const returned = new Promise((resolve) => channel.on('return', resolve));
  channel.publish('', 'nowhere', Buffer.from('lost'), { mandatory: true });
  passed += (await returned).fields.replyCode === 312;
  const other = await connection.createChannel();
  const failed = new Promise((resolve) => other.on('error', resolve));
  await other.checkQueue('no such queue').catch(() => {});
  passed += (await failed).code === 404;
  await connection.close();
  console.log(`${passed} of 3`);
  process.exit(passed === 3 ? 0 : 1);
}

main();
