/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peers-mqttsink: subscribes with a session that the broker keeps, and writes what arrives to the
 * sink's database. Runs until SIGTERM.
 * Usage: peers-mqttsink --port N --topic FILTER --ca FILE --cert FILE --key FILE --database FILE
 */
#include "tests/bench/peers/sink.h"
#include "tests/world/options.h"

#include <mosquitto.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { QOS = 1, KEEPALIVE_S = 60, LOOP_MS = 10, RETRY_MS = 20 };

struct subscriber {
    struct sink *sink;
    const char *topic, *ca, *certificate, *key, *database;
    int port;
    bool connected, ok;
    struct err err;
};

static volatile sig_atomic_t ending;

static void on_signal(int number)
{
    (void)number;
    ending = 1;
}

static void on_connect(struct mosquitto *client, void *ctx, int code)
{
    struct subscriber *subscriber = ctx;
    subscriber->connected = code == 0;
    if (code == 0)
        (void)mosquitto_subscribe(client, NULL, subscriber->topic, QOS);
}

static void on_disconnect(struct mosquitto *client, void *ctx, int code)
{
    struct subscriber *subscriber = ctx;
    (void)client;
    (void)code;
    subscriber->connected = false;
}

static void on_subscribe(struct mosquitto *client, void *ctx, int id, int count, const int *granted)
{
    (void)client;
    (void)ctx;
    (void)id;
    (void)printf("%s\n", count == 1 && granted[0] == QOS ? "subscribed" : "not subscribed");
    (void)fflush(stdout);
}

static void on_message(struct mosquitto *client, void *ctx, const struct mosquitto_message *message)
{
    struct subscriber *subscriber = ctx;
    (void)client;
    const struct bytes body = bytes_of(message->payload, (size_t)message->payloadlen);
    subscriber->ok = subscriber->ok && sink_add(subscriber->sink, body, &subscriber->err) &&
                     sink_turn(subscriber->sink, &subscriber->err);
}

static bool run(struct subscriber *subscriber, struct err *err)
{
    struct mosquitto *client = mosquitto_new("musterd", false, subscriber);
    if (client == NULL || mosquitto_tls_set(client, subscriber->ca, NULL, subscriber->certificate,
                                            subscriber->key, NULL) != MOSQ_ERR_SUCCESS)
        return err_set(err, ERR_INVALID, "TLS: the certificates cannot be used");
    mosquitto_connect_callback_set(client, on_connect);
    mosquitto_disconnect_callback_set(client, on_disconnect);
    mosquitto_subscribe_callback_set(client, on_subscribe);
    mosquitto_message_callback_set(client, on_message);
    while (subscriber->ok && !ending) {
        int code = subscriber->connected || mosquitto_socket(client) >= 0
                       ? mosquitto_loop(client, LOOP_MS, 1)
                       : mosquitto_connect(client, "localhost", subscriber->port, KEEPALIVE_S);
        if (code != MOSQ_ERR_SUCCESS) {
            subscriber->connected = false;
            (void)poll(NULL, 0, RETRY_MS);
        }
        subscriber->ok = subscriber->ok && sink_turn(subscriber->sink, &subscriber->err);
    }
    (void)mosquitto_disconnect(client);
    mosquitto_destroy(client);
    *err = subscriber->err;
    return subscriber->ok;
}

int main(int argc, char **argv)
{
    struct subscriber subscriber = {.ok = true};
    const char *port_text = NULL;
    const struct option_text options[] = {{"--port", &port_text},
                                          {"--topic", &subscriber.topic},
                                          {"--ca", &subscriber.ca},
                                          {"--cert", &subscriber.certificate},
                                          {"--key", &subscriber.key},
                                          {"--database", &subscriber.database},
                                          {0}};
    const struct sigaction end = {.sa_handler = on_signal};
    uint64_t port = 0;
    struct err err = {0};
    (void)sigaction(SIGTERM, &end, NULL);
    (void)mosquitto_lib_init();
    bool done = options_read(argc, argv, options, &err) &&
                options_number("--port", port_text, &port, &err) &&
                sink_open(subscriber.database, &subscriber.sink, &err);
    subscriber.port = (int)port;
    done = done && run(&subscriber, &err);
    sink_close(subscriber.sink);
    (void)mosquitto_lib_cleanup();
    if (!done)
        (void)fprintf(stderr, "peers-mqttsink: %s\n", err.text);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
