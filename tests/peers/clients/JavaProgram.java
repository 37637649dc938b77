import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.*;
import java.util.Map;
import java.util.concurrent.*;

/** Java's client: confirms, a consumer with acknowledgements, a return, an error, an RPC. */
public class JavaProgram {
    public static void main(String[] arguments) throws Exception {
        int passed = 0;
        var factory = new ConnectionFactory();
        factory.setUri(System.getenv("URL"));
        try (var connection = factory.newConnection()) {
            var channel = connection.createChannel();
            channel.confirmSelect();
            var queue = channel.queueDeclare().getQueue();
            for (int number = 0; number < 1000; number++) {
                var properties = new BasicProperties.Builder().headers(Map.of("n", number)).build();
                channel.basicPublish("", queue, properties, Integer.toString(number).getBytes());
            }
            channel.waitForConfirmsOrDie(10_000);
            var bodies = new LinkedBlockingQueue<String>();
            channel.basicQos(16);
            var tag = channel.basicConsume(queue, false, (consumer, delivery) -> {
                bodies.add(new String(delivery.getBody()));
                channel.basicAck(delivery.getEnvelope().getDeliveryTag(), false);
            }, consumer -> {});
            boolean inOrder = true;
            for (int number = 0; number < 1000; number++) {
                inOrder &= Integer.toString(number).equals(bodies.poll(10, TimeUnit.SECONDS));
            }
            channel.basicCancel(tag);
            passed += inOrder ? 1 : 0;
            var returned = new ArrayBlockingQueue<Integer>(1);
            channel.addReturnListener(message -> returned.add(message.getReplyCode()));
            channel.basicPublish("", "nowhere", true, null, new byte[0]);
            passed += returned.poll(10, TimeUnit.SECONDS) == 312 ? 1 : 0;
            try {
                connection.createChannel().queueDeclarePassive("no such queue");
            } catch (java.io.IOException error) {
                passed += error.getCause().getMessage().contains("404") ? 1 : 0;
            }
            var requests = channel.queueDeclare().getQueue();
            var server = new RpcServer(connection.createChannel(), requests) {
                @Override
                public byte[] handleCall(byte[] body, BasicProperties properties) {
                    return ("hello, " + new String(body)).getBytes();
                }
            };
            var serving = new Thread(() -> {
                try {
                    server.mainloop();
                } catch (Exception ended) {
                }
            });
            serving.start();
            var caller = connection.createChannel();
            var replies = new ArrayBlockingQueue<String>(1);
            var replyTo = "amq.rabbitmq.reply-to";
            caller.basicConsume(replyTo, true, (consumer, delivery) ->
                replies.add(new String(delivery.getBody())), consumer -> {});
            var asked = new BasicProperties.Builder().replyTo(replyTo).correlationId("1").build();
            caller.basicPublish("", requests, asked, "Ada".getBytes());
            passed += "hello, Ada".equals(replies.poll(10, TimeUnit.SECONDS)) ? 1 : 0;
            server.terminateMainloop();
            serving.join(10_000);
        }
        System.out.println(passed + " of 4");
        System.exit(passed == 4 ? 0 : 1);
    }
}
