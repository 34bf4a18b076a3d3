/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/service.h"

#include "base/log.h"
#include "base/notify.h"
#include "fleet/access.h"
#include "fleet/api_all.h"
#include "fleet/api_contract.h"
#include "fleet/collector.h"
#include "fleet/http.h"
#include "fleet/keeping.h"
#include "fleet/presence.h"
#include "fleet/publisher.h"
#include "fleet/service_keys.h"
#include "fleet/session.h"
#include "proto/topics.h"
#include "storage/fleetdb_feed.h"
#include "storage/fleetdb_records.h"

#include <stdio.h>
#include <stdlib.h>

/* Content may fill half of the session's window, so that receipts always find room. */
enum { PUBLISHER_WINDOW = MQTT_MAX_INFLIGHT / 2 };

struct service {
    struct service_keys keys;
    struct fleetdb *db;
    struct metrics metrics;
    struct collector *collector;
    struct presence *presence;
    struct director director;
    struct publisher *publisher;
    struct renewal renewal;
    struct retirement retirement;
    struct keeping keeping;
    struct mqtt *mqtt;
    uint64_t next_token;
    struct log_gate hellos; /* of lines about what a hello was not answered with */
    char trouble[480];      /* why records do not come though connected; "": they do */

    struct api_all api;
    struct api_contract *contract;
    struct access access;
    struct http *http;
    struct webhooks *webhooks;
    int64_t told; /* of what has happened, to those who follow it */

    uv_check_t turn;  /* after the sockets were read: commit and answer */
    uv_idle_t kick;   /* keeps the loop from sleeping before a turn that is due */
    uv_timer_t timer; /* receipts that wait for company, manifests that failed */
    uv_async_t wake;  /* messages are opened: a turn of the loop */
    bool handles_open;

    void (*failed)(void *ctx, const struct err *why);
    void *ctx;
};

/* ---- the turn of the loop ---- */

static void on_idle(uv_idle_t *kick)
{
    (void)kick;
}

static void on_timer(uv_timer_t *timer)
{
    struct service *service = timer->data;
    (void)uv_idle_start(&service->kick, on_idle);
}

static void kick(struct service *service)
{
    (void)uv_idle_start(&service->kick, on_idle);
}

static void on_renewed(void *ctx, const struct fleetdb_device *device)
{
    struct service *service = ctx;
    publisher_renewed(service->publisher, device);
}

/* Of two waits, -1 being for ever. */
static int64_t sooner(int64_t a_ms, int64_t b_ms)
{
    if (a_ms < 0 || b_ms < 0)
        return a_ms < 0 ? b_ms : a_ms;
    return a_ms < b_ms ? a_ms : b_ms;
}

/* What was committed since the last turn, by whomever. */
static void tell_followers(struct service *service)
{
    const int64_t last = fleetdb_feed_last(service->db);
    if (last == service->told)
        return;
    service->told = last;
    http_wake(service->http);
    webhooks_wake(service->webhooks);
}

static void on_turn(uv_check_t *turn)
{
    struct service *service = turn->data;
    int64_t wait_ms = collector_turn(service->collector);
    if (!service->handles_open) /* it failed, and was closed */
        return;
    wait_ms = sooner(wait_ms, presence_turn(service->presence));
    publisher_withdraw(service->publisher, clock_wall_ms(&clock_real));
    tell_followers(service);
    if (collector_acted(service->collector))
        retirement_wake(&service->retirement);
    int64_t renewal_ms = renewal_step(&service->renewal, on_renewed, service);
    int64_t retirement_ms = retirement_step(&service->retirement, on_renewed, service);
    if (renewal_ms == 0 || retirement_ms == 0)
        kick(service);
    else
        (void)uv_idle_stop(&service->kick);
    wait_ms =
        sooner(sooner(sooner(wait_ms, renewal_ms), retirement_ms), keeping_step(&service->keeping));
    if (wait_ms >= 0)
        (void)uv_timer_start(&service->timer, on_timer, (uint64_t)wait_ms, 0);
}

/* ---- what the collector needs ---- */

static bool send_message(void *ctx, const char *topic, struct bytes payload)
{
    struct service *service = ctx;
    struct err err = {0};
    if (mqtt_publish(service->mqtt, ++service->next_token, topic, payload, false, &err))
        return true;
    if (err.code == ERR_FULL || err.code == ERR_UNAVAILABLE)
        return false;
    log_error("%s: %s", topic, err.text); /* would fail again: the device will ask anew */
    return true;
}

static void on_hello(void *ctx, const struct fleetdb_device *device, const Muster__Hello *hello,
                     struct wants *ret_wants, struct buf *ret_manifest)
{
    struct service *service = ctx;
    struct err err = {0};
    const char *left_out = "no manifest";
    bool ok = publisher_hello(service->publisher, device, hello, clock_wall_ms(&clock_real),
                              ret_manifest, &err);
    if (ok) {
        left_out = "no word of manifests";
        ok = wants_read(&service->director, device->device, ret_wants, &err);
    }
    if (!ok && log_gate_pass(&service->hellos, clock_boot_ms(&clock_real), "musterctl get devices"))
        log_error("%s in the answer to %s: %s", left_out, device->id, err.text);
}

/* From the collector's thread. */
static void on_opened(void *ctx)
{
    struct service *service = ctx;
    (void)uv_async_send(&service->wake);
}

/* The turn comes by itself, after whatever was read. */
static void on_wake(uv_async_t *wake)
{
    (void)wake;
}

static void on_heard(void *ctx, int64_t device, int64_t silence_s)
{
    const struct service *service = ctx;
    presence_heard(service->presence, device, silence_s);
}

static void on_online(void *ctx, int64_t device, const struct online_word *word, bool kept)
{
    const struct service *service = ctx;
    presence_word(service->presence, device, word, kept);
}

static void on_failed(void *ctx, const struct err *why)
{
    struct service *service = ctx;
    service->failed(service->ctx, why);
}

/* ---- what the publisher needs ---- */

static bool publish_retained(void *ctx, uint64_t token, const char *topic, struct bytes payload,
                             struct err *err)
{
    struct service *service = ctx;
    return mqtt_publish(service->mqtt, token, topic, payload, true, err);
}

/* ---- the broker session ---- */

static void on_connected(void *ctx, const char *broker)
{
    static const char *const filters[] = {TOPIC_FILTER_BATCH, TOPIC_FILTER_HELLO,
                                          TOPIC_FILTER_ONLINE};
    struct service *service = ctx;
    log_info("connected to %s", broker);
    service->trouble[0] = '\0';
    struct err err = {0};
    if (!mqtt_subscribe(service->mqtt, filters, sizeof filters / sizeof filters[0], &err)) {
        log_error("subscribe to what terminals say: %s", err.text);
        (void)snprintf(service->trouble, sizeof service->trouble, "%s", err.text);
    }
    bool keeps = mqtt_status(service->mqtt)->keeps;
    if (!keeps)
        log_warn("%s keeps no retained messages: terminals get what they lack when they say hello",
                 broker);
    presence_line_up(service->presence, keeps);
    publisher_connected(service->publisher);
    collector_ready(service->collector);
    kick(service);
}

static void on_disconnected(void *ctx, const char *reason, int64_t next_attempt_ms)
{
    (void)next_attempt_ms;
    struct service *service = ctx;
    log_warn("no broker: %s", reason);
    presence_line_down(service->presence);
    publisher_disconnected(service->publisher);
}

static void on_message(void *ctx, const char *topic, struct bytes payload, bool kept)
{
    struct service *service = ctx;
    if (kept)
        collector_kept(service->collector, topic, payload);
    else
        collector_message(service->collector, topic, payload);
    kick(service);
}

static void on_puback(void *ctx, uint64_t token, bool accepted)
{
    struct service *service = ctx;
    if (!accepted && (token & PUBLISHER_TOKEN) == 0)
        log_warn("the broker refused a receipt or welcome: see its access rules");
    publisher_puback(service->publisher, token, accepted);
    collector_ready(service->collector);
    kick(service);
}

static void on_refused(void *ctx, const char *reason)
{
    struct service *service = ctx;
    log_error("the broker refused a subscription: %s", reason);
    (void)snprintf(service->trouble, sizeof service->trouble, "%s", reason);
}

/* ---- what the API asks ---- */

static bool is_connected(void *ctx, char *why, size_t size)
{
    const struct service *service = ctx;
    const struct mqtt_status *status = mqtt_status(service->mqtt);
    bool connected = status->state == MQTT_CONNECTED;
    const char *reason = connected                ? service->trouble
                         : status->reason[0] != 0 ? status->reason
                                                  : "not connected yet";
    (void)snprintf(why, size, "%s", reason);
    return connected && service->trouble[0] == '\0';
}

static bool write_presence(const struct service *service, struct buf *out, struct err *err)
{
    static const char name[] = "muster_presence";
    const struct presence_status status = presence_status(service->presence);
    bool done =
        metrics_write_head(name, "gauge", "Devices in service by whether they are there", out, err);
    for (unsigned i = 0; done && i < FLEETDB_PRESENCE_STATES; i++) {
        char labels[48];
        (void)snprintf(labels, sizeof labels, "state=\"%s\"",
                       fleetdb_presence_name((enum fleetdb_presence_state)i));
        done = metrics_write_series(name, labels, (uint64_t)status.in_service[i], out, err);
    }
    return done &&
           metrics_write_head("muster_presence_judging", "gauge",
                              "Whether musterd has a line for long enough to miss anybody", out,
                              err) &&
           metrics_write_series("muster_presence_judging", "", status.judging, out, err);
}

static bool write_more(void *ctx, struct buf *out, struct err *err)
{
    const struct service *service = ctx;
    struct publisher_stats stats = publisher_stats(service->publisher);
    const struct mqtt_status *status = mqtt_status(service->mqtt);
    const struct traffic traffic = mqtt_traffic(service->mqtt);
    const struct renewal *renewal = &service->renewal;
    int64_t behind = 0;
    if (!fleetdb_manifests_behind(service->db, trust_version(service->keys.trust), &behind, err))
        return false;
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } list[] = {
        {"muster_published_total", "counter", "Retained messages the broker took", stats.published},
        {"muster_publish_refused_total", "counter", "Retained messages the broker refused",
         stats.refused},
        {"muster_publish_failed_total", "counter", "Retained messages given up", stats.failed},
        {"muster_withdrawn_total", "counter", "Blobs taken back from the broker", stats.withdrawn},
        {"muster_deltas_given_up_total", "counter",
         "Documents that a device is given whole, since no delta led anywhere there", stats.fallen},
        {"muster_publish_waiting", "gauge", "Changes not yet sent", stats.waiting},
        {"muster_root_version", "gauge", "Version of the newest trust root",
         trust_version(service->keys.trust)},
        {"muster_manifests_behind", "gauge", "Manifests still made under an older trust root",
         (uint64_t)behind},
        {"muster_manifests_waiting", "gauge",
         "Of those the ones that wait for a document to be signed again",
         (uint64_t)renewal->waiting},
        {"muster_manifest_failures_total", "counter",
         "Attempts to sign a manifest again under a new root that failed", renewal->failures_total},
        {"muster_broker_keeps_messages", "gauge", "Whether the broker keeps retained messages",
         status->state == MQTT_CONNECTED && status->keeps},
        {"muster_broker_sessions_total", "counter", "Sessions with the broker", status->sessions},
        {"muster_broker_failures_total", "counter", "Attempts and sessions that ended",
         status->failures},
        {"muster_broker_sent_bytes_total", "counter", "Payload sent", traffic.up.payload},
        {"muster_broker_received_bytes_total", "counter", "Payload received", traffic.down.payload},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        if (!metrics_write_head(list[i].name, list[i].type, list[i].help, out, err) ||
            !metrics_write_series(list[i].name, "", list[i].value, out, err))
            return false;
    }
    return write_presence(service, out, err);
}

/* What is signed from here on is signed with the keys that the newest root names. */
static bool on_root(void *ctx, uint64_t version, bool newest, struct err *err)
{
    struct service *service = ctx;
    publisher_root(service->publisher, version);
    if (!newest)
        return true;
    log_info("root %llu is in force", (unsigned long long)version);
    service->director.key = service_ring_key(&service->keys.director);
    renewal_begin(&service->renewal);
    kick(service);
    return collector_keys(service->collector, service->director.key,
                          service_ring_key(&service->keys.receipt), err);
}

/* ---- opening ---- */

static bool open_collector(struct service *service, const struct clock *clock,
                           const struct fleet_settings *settings, struct err *err)
{
    struct collector_settings collector = {
        .db = service->db,
        .clock = clock,
        .metrics = &service->metrics,
        .receipt_key = service_ring_key(&service->keys.receipt),
        .director_key = service_ring_key(&service->keys.director),
        .clock_ppm = settings->clock_drift_ppm,
        .receipts = {.coalesce_ms = settings->receipt_coalesce_ms,
                     .batches = (unsigned)settings->receipt_batches},
    };
    struct collector_ports ports = {.ctx = service,
                                    .send = send_message,
                                    .hello = on_hello,
                                    .heard = on_heard,
                                    .online = on_online,
                                    .failed = on_failed,
                                    .wake = on_opened};
    return collector_open(&collector, &ports, &service->collector, err);
}

static bool open_presence(struct service *service, const struct clock *clock,
                          const struct fleet_settings *settings, struct err *err)
{
    const struct presence_settings presence = {.db = service->db,
                                               .clock = clock,
                                               .metrics = &service->metrics,
                                               .grace_ms = settings->presence_grace_ms,
                                               .silence_ms = settings->presence_silence_ms,
                                               .settle_ms = settings->presence_settle_ms,
                                               .hours = settings->presence_hours,
                                               .zone = settings->presence_zone};
    return presence_open(&presence, &service->presence, err);
}

static bool open_publisher(struct service *service, const struct clock *clock,
                           const struct fleet_settings *settings, struct err *err)
{
    service->director = (struct director){.db = service->db,
                                          .key = service_ring_key(&service->keys.director),
                                          .trust = service->keys.trust};
    service->renewal.director = &service->director;
    service->renewal.clock = clock;
    service->retirement.director = &service->director;
    service->retirement.clock = clock;
    renewal_begin(&service->renewal); /* what a restart has interrupted */
    struct publisher_settings publisher = {
        .director = &service->director,
        .sink = {.publish = publish_retained, .ctx = service},
        .withdraw_after_ms = settings->withdraw_after_ms,
        .window = PUBLISHER_WINDOW,
    };
    return fleetdb_blob_sweep(service->db, clock_wall_ms(&clock_real), err) &&
           publisher_open(&publisher, &service->publisher, err);
}

static bool open_webhooks(struct service *service, uv_loop_t *loop, const struct clock *clock,
                          const struct fleet_settings *settings, struct err *err)
{
    const struct webhooks_settings webhooks = {.db = service->db,
                                               .clock = clock,
                                               .metrics = &service->metrics,
                                               .retry_first_ms = settings->webhook_retry_first_ms,
                                               .retry_max_ms = settings->webhook_retry_max_ms};
    return webhooks_open(loop, &webhooks, &service->webhooks, err);
}

static bool open_http(struct service *service, uv_loop_t *loop, const struct clock *clock,
                      const struct fleet_settings *settings, struct err *err)
{
    service->api.fleet = (struct api_fleet){.db = service->db,
                                            .metrics = &service->metrics,
                                            .clock = clock,
                                            .question_limit_ms = settings->http_question_limit_ms,
                                            .zone = settings->presence_zone,
                                            .connected = is_connected,
                                            .more_metrics = write_more,
                                            .ctx = service};
    service->api.desired = (struct api_desired){.db = service->db,
                                                .trust = service->keys.trust,
                                                .director = &service->director,
                                                .publisher = service->publisher,
                                                .renewal = &service->renewal};
    service->api.roots = (struct api_roots){.db = service->db,
                                            .keys = &service->keys,
                                            .renewal = &service->renewal,
                                            .added = on_root,
                                            .ctx = service};
    service->api.actions = (struct api_actions){.db = service->db,
                                                .clock = &clock_real,
                                                .director = &service->director,
                                                .publisher = service->publisher,
                                                .retirement = &service->retirement};
    service->api.access = (struct api_access){.db = service->db, .clock = &clock_real};
    service->api.presence = (struct api_presence){.db = service->db,
                                                  .presence = service->presence,
                                                  .hours = settings->presence_hours,
                                                  .zone = settings->presence_zone};
    service->api.webhooks = (struct api_webhooks){.db = service->db, .webhooks = service->webhooks};
    service->api.keeping = (struct api_keeping){.db = service->db, .keeping = &service->keeping};
    service->api.events = (struct api_events){.db = service->db, .clock = clock};
    api_all_init(&service->api);
    if (!api_contract_open(&service->api.api, &service->contract, err))
        return false;
    access_init(&service->access, service->db, &service->metrics, settings->http_rate);
    struct http_settings http = {
        .socket_path = settings->http_socket,
        .socket_mode = settings->http_group ? 0660 : 0600,
        .listen = settings->http_listen,
        .request_limit_ms = settings->http_request_limit_ms,
        .contract = service->contract,
        .access = &service->access,
        .clock = clock,
        .metrics = &service->metrics,
    };
    return http_open(loop, &http, &service->api.api, &service->http, err);
}

static void open_keeping(struct service *service, const struct clock *clock,
                         const struct fleet_settings *settings)
{
    service->keeping.settings = (struct keeping_settings){
        .db = service->db,
        .clock = clock,
        .metrics = &service->metrics,
        .open_age_ms = settings->keep_open_ms,
        .every_ms = settings->keep_every_ms,
        .spare_bytes = settings->keep_spare_bytes,
    };
    for (enum fleetdb_kept kept = 0; kept < FLEETDB_KEPTS; kept++)
        service->keeping.settings.age_ms[kept] = settings->keep_ms[kept];
}

static bool open_handles(struct service *service, uv_loop_t *loop, struct err *err)
{
    if (uv_async_init(loop, &service->wake, on_wake) != 0)
        return err_set(err, ERR_NO_MEMORY, "musterd: no descriptors left");
    (void)uv_check_init(loop, &service->turn);
    (void)uv_idle_init(loop, &service->kick);
    (void)uv_timer_init(loop, &service->timer);
    service->turn.data = service->kick.data = service->timer.data = service;
    (void)uv_check_start(&service->turn, on_turn);
    service->handles_open = true;
    return true;
}

static bool open_parts(struct service *service, uv_loop_t *loop, const struct clock *clock,
                       const struct fleet_settings *settings, struct err *err)
{
    static const struct mqtt_events events = {.connected = on_connected,
                                              .disconnected = on_disconnected,
                                              .message = on_message,
                                              .puback = on_puback,
                                              .refused = on_refused};
    struct mqtt_settings session = session_settings(settings);
    if (!service_keys_read(settings, &service->keys, err) ||
        !fleetdb_open(settings->database, &service->db, err) ||
        !service_keys_follow(&service->keys, service->db, clock_wall_ms(clock), err) ||
        !service_keys_choose(&service->keys, service->keys.trust, err) ||
        !open_presence(service, clock, settings, err) ||
        !open_collector(service, clock, settings, err) ||
        !open_publisher(service, clock, settings, err) ||
        !mqtt_open(loop, &session, &events, service, &service->mqtt, err) ||
        !open_webhooks(service, loop, clock, settings, err) ||
        !open_http(service, loop, clock, settings, err) || !open_handles(service, loop, err))
        return false;
    open_keeping(service, clock, settings);
    mqtt_start(service->mqtt);
    return true;
}

bool service_open(uv_loop_t *loop, const struct clock *clock, const struct fleet_settings *settings,
                  void (*failed)(void *ctx, const struct err *why), void *ctx,
                  struct service **ret_service, struct err *err)
{
    struct service *service = calloc(1, sizeof *service);
    if (service == NULL)
        return err_set(err, ERR_NO_MEMORY, "musterd: out of memory");
    service->failed = failed;
    service->ctx = ctx;
    if (!open_parts(service, loop, clock, settings, err)) {
        service_close(service);
        (void)uv_run(loop, UV_RUN_DEFAULT);
        service_free(service);
        return false;
    }
    *ret_service = service;
    return true;
}

bool service_begin_roots(const struct fleet_settings *settings, const struct clock *clock,
                         FILE *out, struct err *err)
{
    struct service_keys keys = {0};
    struct fleetdb *db = NULL;
    bool ok = service_keys_read(settings, &keys, err) &&
              service_keys_choose(&keys, keys.trust, err) &&
              fleetdb_open(settings->database, &db, err) &&
              service_keys_begin(&keys, db, clock_wall_ms(clock), err);
    if (ok)
        fprintf(out,
                "root %llu, epoch %llu, begins another chain. Install it on every terminal, start "
                "musterd, and sign the documents again: musterctl doc resign.\n",
                (unsigned long long)trust_version(keys.trust),
                (unsigned long long)trust_epoch(keys.trust));
    fleetdb_close(db);
    service_keys_done(&keys);
    return ok;
}

/* ---- closing ---- */

void service_close(struct service *service)
{
    if (service->handles_open) {
        service->handles_open = false; /* a failing commit calls this again */
        collector_finish(service->collector);
        (void)collector_turn(service->collector);
        uv_close((uv_handle_t *)&service->wake, NULL);
        uv_close((uv_handle_t *)&service->turn, NULL);
        uv_close((uv_handle_t *)&service->kick, NULL);
        uv_close((uv_handle_t *)&service->timer, NULL);
    }
    http_close(service->http);
    service->http = NULL;
    webhooks_close(service->webhooks);
    service->webhooks = NULL;
    mqtt_close(service->mqtt);
    service->mqtt = NULL;
}

void service_free(struct service *service)
{
    if (service == NULL)
        return;
    publisher_close(service->publisher);
    presence_close(service->presence);
    collector_close(service->collector);
    fleetdb_close(service->db);
    api_contract_close(service->contract);
    service_keys_done(&service->keys);
    free(service);
}
