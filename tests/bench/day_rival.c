/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link_settings.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mqtt.h"
#include "proto/seal.h"
#include "tests/bench/figures.h"
#include "tests/bench/warp.h"
#include "tests/world/retail.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The same busy day as most would build it: each result a JSON object, published at once with QoS 1
 * over the same mutual TLS, and a keepalive of 60 s. No receipts, no health, nothing signed.
 */
enum {
    DAY_MS = 24 * 3600 * 1000,
    BUSY_RESULTS = 1180,
    SEED = 20260101,
    KEEPALIVE_MS = 60000,
    QUIET_REAL_MS = 8, /* acknowledgements that come later ride along: in the rival's favour */
    PATIENCE_REAL_MS = 20000,
};

struct rival {
    uv_loop_t loop;
    struct mqtt *mqtt;
    struct retail retail;
    struct world_result result;
    unsigned pubacks;
};

static void on_puback(void *ctx, uint64_t token, bool accepted)
{
    struct rival *rival = ctx;
    (void)token;
    rival->pubacks += accepted ? 1 : 0;
}

/* ---- JSON ---- */

static void add(struct buf *out, const char *fmt, ...) MUSTER_PRINTF(2, 3);
static void add(struct buf *out, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (length < 0 || (size_t)length >= sizeof text ||
        !buf_append(out, text, (size_t)length, NULL)) {
        fprintf(stderr, "bench-day: no memory for JSON\n");
        exit(1);
    }
}

/* Fields that are not set are left out: the fair rival. */
static void add_field(struct buf *out, const char *name, const void *at, ProtobufCType type)
{
    char hex[2 * 32 + 1];
    const ProtobufCBinaryData *data = at;
    if (type == PROTOBUF_C_TYPE_STRING && **(char *const *)at != '\0') {
        add(out, ",\"%s\":\"%s\"", name, *(char *const *)at);
    } else if (type == PROTOBUF_C_TYPE_BYTES && data->len > 0) {
        hex_encode(data->data, data->len <= 32 ? data->len : 32, hex);
        add(out, ",\"%s\":\"%s\"", name, hex);
    } else if (type == PROTOBUF_C_TYPE_SINT64 || type == PROTOBUF_C_TYPE_UINT64) {
        if (*(const int64_t *)at != 0)
            add(out, ",\"%s\":%" PRId64, name, *(const int64_t *)at);
    } else if (type == PROTOBUF_C_TYPE_BOOL) {
        if (*(const protobuf_c_boolean *)at)
            add(out, ",\"%s\":true", name);
    } else if (type != PROTOBUF_C_TYPE_STRING && type != PROTOBUF_C_TYPE_BYTES) {
        if (*(const int32_t *)at != 0)
            add(out, ",\"%s\":%" PRId32, name, *(const int32_t *)at);
    }
}

static void json_of(const Muster__TxnResult *txn, struct buf *out)
{
    const ProtobufCMessageDescriptor *type = txn->base.descriptor;
    for (unsigned i = 0; i < type->n_fields; i++)
        add_field(out, type->fields[i].name, (const char *)txn + type->fields[i].offset,
                  type->fields[i].type);
    out->data[0] = '{';
    add(out, "}");
}

/* ---- the day ---- */

static uint64_t spent(const struct rival *rival)
{
    struct traffic traffic = mqtt_traffic(rival->mqtt);
    return traffic.up.tcpip + traffic.down.tcpip;
}

static void settle(struct rival *rival)
{
    uint64_t known = spent(rival);
    int64_t last_ms = 0;
    do {
        uv_run(&rival->loop, UV_RUN_NOWAIT);
        uint64_t now = spent(rival);
        if (now != known)
            last_ms = warp_real_ms();
        known = now;
        struct pollfd wait = {.fd = uv_backend_fd(&rival->loop), .events = POLLIN};
        if (last_ms != 0)
            poll(&wait, 1, 1);
    } while (warp_real_ms() - last_ms < QUIET_REAL_MS);
}

static void advance(struct rival *rival, int64_t until_ms)
{
    for (;;) {
        uv_update_time(&rival->loop);
        int timeout = uv_backend_timeout(&rival->loop);
        int64_t next_ms = warp_ms() + (timeout < 0 ? DAY_MS : timeout > 0 ? timeout : 1);
        if (next_ms > until_ms)
            break;
        warp_to(next_ms);
        settle(rival);
    }
    warp_to(until_ms);
    settle(rival);
}

static bool live(struct rival *rival, const char *topic, struct err *err)
{
    int64_t begin_ms = warp_ms();
    for (unsigned i = 0; i < BUSY_RESULTS; i++) {
        struct buf json = {0};
        advance(rival, begin_ms + (int64_t)DAY_MS * i / BUSY_RESULTS);
        results_next(rival->retail.results, &rival->result);
        json_of(&rival->result.txn, &json);
        bool ok = mqtt_publish(rival->mqtt, i + 1, topic, buf_bytes(&json), false, err);
        buf_done(&json);
        if (!ok)
            return false;
        settle(rival);
    }
    advance(rival, begin_ms + DAY_MS);
    return rival->pubacks == BUSY_RESULTS ||
           err_set(err, ERR_IO, "%u of %d results were taken", rival->pubacks, BUSY_RESULTS);
}

static bool open_rival(struct rival *rival, const char *conf, struct err *err)
{
    static const struct mqtt_events events = {.puback = on_puback};
    struct link_settings link;
    struct retail_settings world = {
        .routing = MUSTER_ROUTING_TABLE, .ca_keys = MUSTER_CA_KEYS_TABLE, .seed = SEED};
    if (!link_settings_load(conf, &link, err))
        return false;
    warp_segments(1348);
    warp_start(clock_wall_ms(&clock_real));
    world.start_wall_ms = warp_wall_ms();
    uv_loop_init(&rival->loop);
    const struct mqtt_settings settings = {.brokers = link.brokers,
                                           .client_id = link.device,
                                           .ca_path = link.ca,
                                           .certificate_path = link.certificate,
                                           .key_path = link.key,
                                           .keepalive_ms = KEEPALIVE_MS};
    return retail_open(&rival->retail, &world, err) &&
           mqtt_open(&rival->loop, &settings, &events, rival, &rival->mqtt, err);
}

static bool connect_rival(struct rival *rival, struct err *err)
{
    int64_t end_ms = warp_real_ms() + PATIENCE_REAL_MS;
    mqtt_start(rival->mqtt);
    while (mqtt_status(rival->mqtt)->state != MQTT_CONNECTED) {
        if (warp_real_ms() > end_ms)
            return err_set(err, ERR_TIMEOUT, "no session with the broker");
        advance(rival, warp_ms() + 10);
        poll(NULL, 0, 2);
    }
    return true;
}

int main(int argc, char **argv)
{
    struct rival rival = {0};
    struct err err = {0};
    if (argc != 3) {
        fprintf(stderr, "usage: day-rival LINK_CONF TOPIC: started by bench-day\n");
        return 2;
    }
    log_init("bench-day", LOG_ERROR);
    if (!open_rival(&rival, argv[1], &err) || !connect_rival(&rival, &err) ||
        !live(&rival, argv[2], &err)) {
        fprintf(stderr, "bench-day: %s\n", err.text);
        return 1;
    }
    struct traffic traffic = mqtt_traffic(rival.mqtt);
    uint64_t payload = traffic.up.payload;
    printf(
        "# rival: each result as JSON at once, evenly over the day, keepalive 60 s; %.0f KB of it "
        "payload\n",
        (double)payload / 1024);
    figure("wire.busy_json_kb_per_day", (double)spent(&rival) / 1024, "KB");
    mqtt_close(rival.mqtt);
    uv_run(&rival.loop, UV_RUN_DEFAULT);
    retail_close(&rival.retail);
    return 0;
}
