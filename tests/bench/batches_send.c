/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batches-send: publishes the batches of a file, as fast as the broker takes them, and ends when
 * receipts with a good signature have come for all of them.
 * Usage: batches-send --port N --ca FILE --cert FILE --key FILE --receipt-key FILE --batches FILE
 */
#include "base/file.h"
#include "proto/hello.pb-c.h"
#include "proto/seal.h"
#include "proto/topics.h"
#include "tests/bench/batches_file.h"
#include "tests/bench/figures.h"
#include "tests/world/options.h"

#include <mosquitto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QOS = 1, KEEPALIVE_S = 60, LOOP_MS = 100, DEVICES_MAX = 1 << 20 };
static const int64_t quiet_ns = INT64_C(120) * 1000000000; /* without a receipt: it has failed */

struct device {
    uint64_t last_seq, receipted;
};

struct sending {
    struct buf file;
    struct device *devices;
    struct verify_key *key; /* of receipts */
    size_t open;            /* devices that are owed a receipt */
    bool subscribed, wrong;
    int64_t heard_ns;
};

static struct bytes left_of(const struct sending *sending, size_t at)
{
    return bytes_of(sending->file.data + at, sending->file.length - at);
}

/* `*at` moves behind the batch. */
static bool next_batch(const struct sending *sending, size_t *at, struct batches_head *ret_head,
                       struct bytes *ret_batch)
{
    struct bytes left = left_of(sending, *at);
    if (left.length < sizeof *ret_head)
        return false;
    memcpy(ret_head, left.data, sizeof *ret_head);
    if (ret_head->bytes > left.length - sizeof *ret_head || ret_head->device >= DEVICES_MAX ||
        memchr(ret_head->id, '\0', sizeof ret_head->id) == NULL)
        return false;
    *ret_batch = bytes_of(left.data + sizeof *ret_head, ret_head->bytes);
    *at += sizeof *ret_head + ret_head->bytes;
    return true;
}

static bool read_file(struct sending *sending, const char *path, struct err *err)
{
    struct batches_head head;
    struct bytes batch;
    size_t at = 0;
    sending->file.limit = SIZE_MAX;
    sending->devices = calloc(DEVICES_MAX, sizeof *sending->devices);
    if (sending->devices == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the devices");
    if (!file_read(path, SIZE_MAX, &sending->file, err))
        return false;
    while (next_batch(sending, &at, &head, &batch)) {
        struct device *device = &sending->devices[head.device];
        sending->open += device->last_seq == 0;
        device->last_seq = head.last_seq;
    }
    return (at > 0 && at == sending->file.length) ||
           err_set(err, ERR_INVALID, "%s: no batch at %zu", path, at);
}

/* ---- receipts ---- */

/* The world's devices are called d and their number. */
static struct device *device_of(struct sending *sending, const struct topic *topic)
{
    char *end = NULL;
    unsigned long number = strtoul(topic->device + 1, &end, 10);
    return *end == '\0' && number < DEVICES_MAX ? &sending->devices[number] : NULL;
}

static void take_receipt(struct sending *sending, struct device *device,
                         const Muster__Receipt *receipt)
{
    bool was_open = device->receipted < device->last_seq;
    for (size_t i = 0; i < receipt->n_streams; i++) {
        if (receipt->streams[i]->lane == MUSTER__LANE__LANE_TXN &&
            receipt->streams[i]->cumulative > device->receipted)
            device->receipted = receipt->streams[i]->cumulative;
    }
    sending->wrong = sending->wrong || receipt->n_undecodable > 0;
    sending->open -= was_open && device->receipted >= device->last_seq;
}

static bool read_receipt(struct sending *sending, const char *topic_text, struct bytes payload,
                         struct err *err)
{
    const struct key_set keys = {&sending->key, 1, 1};
    struct topic topic;
    struct bytes body;
    if (!topic_parse(topic_text, &topic, err) ||
        !unseal("receipt", topic.device, payload, &keys, &body, err))
        return false;
    struct device *device = device_of(sending, &topic);
    Muster__Receipt *receipt = muster__receipt__unpack(NULL, body.length, body.data);
    bool done = device != NULL && receipt != NULL;
    if (done)
        take_receipt(sending, device, receipt);
    muster__receipt__free_unpacked(receipt, NULL);
    return done || err_set(err, ERR_INVALID, "%s: no receipt", topic_text);
}

static void on_message(struct mosquitto *client, void *ctx, const struct mosquitto_message *message)
{
    struct sending *sending = ctx;
    struct err err = {0};
    (void)client;
    sending->heard_ns = figures_now_ns();
    if (read_receipt(sending, message->topic,
                     bytes_of(message->payload, (size_t)message->payloadlen), &err))
        return;
    (void)fprintf(stderr, "batches-send: %s\n", err.text);
    sending->wrong = true;
}

/* ---- the session ---- */

static void on_connect(struct mosquitto *client, void *ctx, int code)
{
    struct sending *sending = ctx;
    if (code != 0 ||
        mosquitto_subscribe(client, NULL, "muster/v1/down/+/receipt", QOS) != MOSQ_ERR_SUCCESS)
        sending->wrong = true;
}

static void on_subscribe(struct mosquitto *client, void *ctx, int id, int count, const int *granted)
{
    struct sending *sending = ctx;
    (void)client, (void)id;
    sending->subscribed = count == 1 && granted[0] == QOS;
    sending->wrong = !sending->subscribed;
}

static bool turn(struct sending *sending, struct mosquitto *client, struct err *err)
{
    int code = mosquitto_loop(client, LOOP_MS, 1);
    if (code != MOSQ_ERR_SUCCESS)
        return err_set(err, ERR_UNAVAILABLE, "the broker: %s", mosquitto_strerror(code));
    if (sending->wrong)
        return err_set(err, ERR_INVALID, "not subscribed, or a receipt that says no");
    if (figures_now_ns() - sending->heard_ns > quiet_ns)
        return err_set(err, ERR_TIMEOUT, "no receipt for two minutes; %zu devices are owed one",
                       sending->open);
    return true;
}

static bool publish_all(struct sending *sending, struct mosquitto *client, struct err *err)
{
    struct batches_head head;
    struct bytes batch;
    size_t at = 0;
    while (next_batch(sending, &at, &head, &batch)) {
        char topic[TOPIC_CHARS];
        topic_device(TOPIC_UP_BATCH, head.id, topic);
        if (mosquitto_publish(client, NULL, topic, (int)batch.length, batch.data, QOS, false) !=
            MOSQ_ERR_SUCCESS)
            return err_set(err, ERR_UNAVAILABLE, "the broker takes no more");
        while (mosquitto_want_write(client)) {
            if (!turn(sending, client, err))
                return false;
        }
    }
    return true;
}

static bool send_all(struct sending *sending, struct mosquitto *client, int port, struct err *err)
{
    (void)mosquitto_max_inflight_messages_set(client, 0);
    mosquitto_connect_callback_set(client, on_connect);
    mosquitto_subscribe_callback_set(client, on_subscribe);
    mosquitto_message_callback_set(client, on_message);
    sending->heard_ns = figures_now_ns();
    int code = mosquitto_connect(client, "localhost", port, KEEPALIVE_S);
    if (code != MOSQ_ERR_SUCCESS)
        return err_set(err, ERR_UNAVAILABLE, "the broker: %s", mosquitto_strerror(code));
    while (!sending->subscribed) {
        if (!turn(sending, client, err))
            return false;
    }
    int64_t begun_ns = figures_now_ns();
    if (!publish_all(sending, client, err))
        return false;
    while (sending->open > 0) {
        if (!turn(sending, client, err))
            return false;
    }
    (void)printf("stored %.3f s\n", (double)(sending->heard_ns - begun_ns) / 1e9);
    return true;
}

int main(int argc, char **argv)
{
    const char *port_text = NULL, *ca = NULL, *certificate = NULL, *key = NULL, *batches = NULL,
               *receipt_key = NULL;
    const struct option_text options[] = {{"--port", &port_text},
                                          {"--ca", &ca},
                                          {"--cert", &certificate},
                                          {"--key", &key},
                                          {"--batches", &batches},
                                          {"--receipt-key", &receipt_key},
                                          {0}};
    struct sending sending = {0};
    uint64_t port = 0;
    struct err err = {0};
    (void)mosquitto_lib_init();
    bool done = options_read(argc, argv, options, &err) &&
                options_number("--port", port_text, &port, &err) &&
                verify_key_read(receipt_key, &sending.key, &err) &&
                read_file(&sending, batches, &err);
    struct mosquitto *client = done ? mosquitto_new(NULL, true, &sending) : NULL;
    if (done && (client == NULL ||
                 mosquitto_tls_set(client, ca, NULL, certificate, key, NULL) != MOSQ_ERR_SUCCESS))
        done = err_set(&err, ERR_INVALID, "TLS: the certificates cannot be used");
    done = done && send_all(&sending, client, (int)port, &err);
    mosquitto_destroy(client);
    (void)mosquitto_lib_cleanup();
    verify_key_free(sending.key);
    buf_done(&sending.file);
    free(sending.devices);
    if (!done)
        (void)fprintf(stderr, "batches-send: %s\n", err.text);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
