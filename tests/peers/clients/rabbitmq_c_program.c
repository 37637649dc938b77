/* rabbitmq-c: a publish with a confirm, a consumer with acknowledgements, an error. */
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGES = 1000 };

static void check(int good, const char *what) {
  if (!good) {
    fprintf(stderr, "%s has failed\n", what);
    exit(1);
  }
}

static int is_normal(amqp_connection_state_t connection) {
  return amqp_get_rpc_reply(connection).reply_type == AMQP_RESPONSE_NORMAL;
}

int main(void) {
  struct amqp_connection_info info;
  char *url = strdup(getenv("URL"));
  check(amqp_parse_url(url, &info) == AMQP_STATUS_OK, "the URL");
  amqp_connection_state_t connection = amqp_new_connection();
  amqp_socket_t *socket = amqp_tcp_socket_new(connection);
  check(socket && amqp_socket_open(socket, info.host, info.port) == AMQP_STATUS_OK, "connecting");
  amqp_rpc_reply_t login = amqp_login(connection, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, info.user, info.password);
  check(login.reply_type == AMQP_RESPONSE_NORMAL, "the login");
  amqp_channel_open(connection, 1);
  check(is_normal(connection), "the channel");
  amqp_confirm_select(connection, 1);
  amqp_queue_declare_ok_t *declared = amqp_queue_declare(connection, 1, amqp_empty_bytes, 0, 0, 1, 0, amqp_empty_table);
  check(is_normal(connection), "the queue");
  amqp_bytes_t queue = amqp_bytes_malloc_dup(declared->queue);
  int passed = 0;

  uint64_t confirmed = 0;
  for (int number = 0; number < MESSAGES; number++) {
    char body[16];
    snprintf(body, sizeof body, "%d", number);
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 2};
    check(!amqp_basic_publish(connection, 1, amqp_empty_bytes, queue, 0, 0, &properties, amqp_cstring_bytes(body)), "a publish");
  }
  while (confirmed < MESSAGES) {
    amqp_frame_t frame;
    check(amqp_simple_wait_frame(connection, &frame) == AMQP_STATUS_OK, "waiting for a confirm");
    check(frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_BASIC_ACK_METHOD, "a confirm");
    amqp_basic_ack_t *ack = frame.payload.method.decoded;
    confirmed = ack->multiple ? ack->delivery_tag : confirmed + 1;
  }
  passed += confirmed == MESSAGES;

  amqp_basic_qos(connection, 1, 0, 16, 0);
  amqp_basic_consume(connection, 1, queue, amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
  check(is_normal(connection), "the consumer");
  int in_order = 1;
  for (int number = 0; number < MESSAGES; number++) {
    amqp_envelope_t envelope;
    char body[16];
    snprintf(body, sizeof body, "%d", number);
    check(amqp_consume_message(connection, &envelope, NULL, 0).reply_type == AMQP_RESPONSE_NORMAL, "a delivery");
    in_order &= envelope.message.body.len == strlen(body) && !memcmp(envelope.message.body.bytes, body, strlen(body));
    amqp_basic_ack(connection, 1, envelope.delivery_tag, 0);
    amqp_destroy_envelope(&envelope);
  }
  passed += in_order;

  amqp_channel_open(connection, 2);
  amqp_queue_declare(connection, 2, amqp_cstring_bytes("no such queue"), 1, 0, 0, 0, amqp_empty_table);
  amqp_rpc_reply_t reply = amqp_get_rpc_reply(connection);
  if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
    amqp_channel_close_t *closed = reply.reply.decoded;
    passed += closed->reply_code == 404;
    amqp_channel_close_ok_t ok = {0};
    amqp_send_method(connection, 2, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
  }

  amqp_rpc_reply_t end = amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
  passed += end.reply_type == AMQP_RESPONSE_NORMAL;
  amqp_destroy_connection(connection);
  amqp_bytes_free(queue);
  free(url);
  printf("%d of 4\n", passed);
  return passed == 4 ? 0 : 1;
}
