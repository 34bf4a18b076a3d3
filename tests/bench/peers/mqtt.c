/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peers-mqtt: an application that hands its results to the broker on its own machine with QoS 1.
 * Accepted is what that broker acknowledged; what it did not before it died is handed over again.
 * Usage: peers-mqtt --port N --topic TOPIC --records FILE --marks FILE --count N
 */
#include "tests/bench/peers/load.h"
#include "tests/world/options.h"

#include <mosquitto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 256, QOS = 1, KEEPALIVE_S = 60, LOOP_MS = 5, RETRY_MS = 10, IDS = 65536 };

struct feed {
    struct load load;
    int port;
    const char *topic;
    uint64_t waiting[WINDOW]; /* handed over, not acknowledged; 0: free, else index + 1 */
    size_t slot_of[IDS];      /* by message id: slot + 1 */
    bool connected;
};

static void on_connect(struct mosquitto *client, void *ctx, int code)
{
    struct feed *feed = ctx;
    (void)client;
    feed->connected = code == 0;
}

static void on_disconnect(struct mosquitto *client, void *ctx, int code)
{
    struct feed *feed = ctx;
    (void)client;
    (void)code;
    feed->connected = false;
}

static void on_publish(struct mosquitto *client, void *ctx, int id)
{
    struct feed *feed = ctx;
    (void)client;
    size_t slot = feed->slot_of[id];
    if (slot == 0 || feed->waiting[slot - 1] == 0)
        return;
    load_accepted(&feed->load, feed->waiting[slot - 1] - 1);
    feed->waiting[slot - 1] = 0;
    feed->slot_of[id] = 0;
}

static bool publish(struct feed *feed, struct mosquitto *client, size_t slot,
                    const struct load_record *record)
{
    int id = 0;
    feed->waiting[slot] = record->index + 1;
    if (mosquitto_publish(client, &id, feed->topic, (int)record->length, record->body, QOS,
                          false) != MOSQ_ERR_SUCCESS)
        return false;
    feed->slot_of[id] = slot + 1;
    return true;
}

/* What an earlier session did not get through comes first. False: this session is over. */
static bool publish_again(struct feed *feed, struct mosquitto *client)
{
    struct load_record record;
    memset(feed->slot_of, 0, sizeof feed->slot_of);
    for (size_t slot = 0; slot < WINDOW; slot++) {
        if (feed->waiting[slot] == 0)
            continue;
        load_get(&feed->load, feed->waiting[slot] - 1, &record);
        if (!publish(feed, client, slot, &record))
            return false;
    }
    return true;
}

static bool publish_new(struct feed *feed, struct mosquitto *client)
{
    struct load_record record;
    for (size_t slot = 0; slot < WINDOW; slot++) {
        if (feed->waiting[slot] != 0)
            continue;
        if (!load_next(&feed->load, &record))
            return true;
        if (!publish(feed, client, slot, &record))
            return false;
    }
    return true;
}

static void run_session(struct feed *feed, struct mosquitto *client)
{
    bool again = true;
    feed->connected = false;
    mosquitto_connect_callback_set(client, on_connect);
    mosquitto_disconnect_callback_set(client, on_disconnect);
    mosquitto_publish_callback_set(client, on_publish);
    (void)mosquitto_max_inflight_messages_set(client, 0);
    if (mosquitto_connect(client, "127.0.0.1", feed->port, KEEPALIVE_S) != MOSQ_ERR_SUCCESS) {
        (void)poll(NULL, 0, RETRY_MS);
        return;
    }
    while (feed->load.accepted < feed->load.count &&
           mosquitto_loop(client, LOOP_MS, 1) == MOSQ_ERR_SUCCESS) {
        if (!feed->connected)
            continue;
        if ((again && !publish_again(feed, client)) || !publish_new(feed, client))
            return;
        again = false;
    }
}

static bool run(struct feed *feed, struct err *err)
{
    bool done = true;
    (void)mosquitto_lib_init();
    while (done && feed->load.accepted < feed->load.count) {
        struct mosquitto *client = mosquitto_new(NULL, true, feed);
        done = client != NULL || err_set(err, ERR_NO_MEMORY, "no memory for a client");
        if (done)
            run_session(feed, client);
        mosquitto_destroy(client);
    }
    (void)mosquitto_lib_cleanup();
    return done;
}

int main(int argc, char **argv)
{
    static struct feed feed;
    const char *port_text = NULL, *records = NULL, *marks = NULL, *count_text = NULL;
    const struct option_text options[] = {{"--port", &port_text},   {"--topic", &feed.topic},
                                          {"--records", &records},  {"--marks", &marks},
                                          {"--count", &count_text}, {0}};
    uint64_t port = 0, count = 0;
    struct err err = {0};
    bool done = options_read(argc, argv, options, &err) &&
                options_number("--port", port_text, &port, &err) &&
                options_number("--count", count_text, &count, &err) &&
                load_open(records, marks, count, &feed.load, &err);
    feed.port = (int)port;
    done = done && run(&feed, &err);
    load_close(&feed.load);
    if (!done)
        (void)fprintf(stderr, "peers-mqtt: %s\n", err.text);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
