# Bunny: confirms, a consumer with acknowledgements, a return, an error, an RPC.
require 'bunny'
require 'timeout'

passed = 0
connection = Bunny.new(ENV.fetch('AMQP_URL').sub(%r{/*\z}, ''))
connection.start
channel = connection.create_channel
channel.confirm_select
queue = channel.queue('', exclusive: true)
1000.times { |number| queue.publish(number.to_s, persistent: true, headers: { 'number' => number }) }
passed += 1 if channel.wait_for_confirms

bodies = Queue.new
channel.prefetch(16)
consumer = queue.subscribe(manual_ack: true) do |delivery, properties, body|
  channel.ack(delivery.delivery_tag)
  bodies << [body, properties.headers['number']]
end
received = Timeout.timeout(30) { Array.new(1000) { bodies.pop } }
consumer.cancel
passed += 1 if received == Array.new(1000) { |number| [number.to_s, number] }

returned = Queue.new
exchange = channel.direct('amq.direct')
exchange.on_return { |info, _properties, _body| returned << info.reply_code }
exchange.publish('lost', routing_key: 'nowhere', mandatory: true)
passed += 1 if Timeout.timeout(30) { returned.pop } == 312

begin
  connection.create_channel.queue('no such queue', passive: true)
rescue Bunny::NotFound => error
  passed += 1 if error.channel_close.reply_code == 404
end

requests = channel.queue('', exclusive: true)
requests.subscribe do |_delivery, properties, body|
  channel.default_exchange.publish("hello, #{body}", routing_key: properties.reply_to, correlation_id: properties.correlation_id)
end
caller = connection.create_channel
replies = Queue.new
caller.basic_consume('amq.rabbitmq.reply-to', '', true) { |_delivery, properties, body| replies << [properties.correlation_id, body] }
caller.default_exchange.publish('Ada', routing_key: requests.name, reply_to: 'amq.rabbitmq.reply-to', correlation_id: '7')
passed += 1 if Timeout.timeout(30) { replies.pop } == ['7', 'hello, Ada']
connection.close
puts "#{passed} of 5"
exit passed == 5
