<?php
// php-amqplib: confirms, a consumer with acknowledgements, a return, an error, a transaction.
require_once 'PhpAmqpLib/autoload.php';

use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Exception\AMQPProtocolChannelException;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

$url = parse_url(getenv('AMQP_URL'));
$connection = new AMQPStreamConnection($url['host'], $url['port'], 'guest', 'guest');
$channel = $connection->channel();
$passed = 0;

$confirmed = 0;
$channel->set_ack_handler(function () use (&$confirmed) { $confirmed += 1; });
$channel->confirm_select();
[$queue] = $channel->queue_declare('', false, false, true, false);
for ($number = 0; $number < 1000; $number += 1) {
    $properties = ['delivery_mode' => 2, 'application_headers' => new AMQPTable(['number' => $number])];
    $channel->basic_publish(new AMQPMessage((string) $number, $properties), '', $queue);
}
$channel->wait_for_pending_acks_returns(30);
$passed += $confirmed === 1000;

$received = [];
$channel->basic_qos(0, 16, false);
$tag = $channel->basic_consume($queue, '', false, false, false, false, function ($message) use (&$received) {
    $received[] = [$message->getBody(), $message->get('application_headers')->getNativeData()['number']];
    $message->ack();
});
while (count($received) < 1000) {
    $channel->wait(null, false, 30);
}
$channel->basic_cancel($tag);
$passed += $received === array_map(fn ($number) => [(string) $number, $number], range(0, 999));

$returned = 0;
$channel->set_return_listener(function ($code) use (&$returned) { $returned = $code; });
$channel->basic_publish(new AMQPMessage('lost'), '', 'nowhere', true);
$channel->wait_for_pending_acks_returns(30);
$passed += $returned === 312;

try {
    $connection->channel()->queue_declare('no such queue', true);
} catch (AMQPProtocolChannelException $error) {
    $passed += $error->getCode() === 404;
}

$other = $connection->channel();
$other->tx_select();
$other->basic_publish(new AMQPMessage('undone'), '', $queue);
$other->tx_rollback();
$other->basic_publish(new AMQPMessage('done'), '', $queue);
$other->tx_commit();
$passed += $other->basic_get($queue, true)->getBody() === 'done' && $other->basic_get($queue, true) === null;

$connection->close();
echo "$passed of 5\n";
exit($passed === 5 ? 0 : 1);
