/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/settings.h"

#include "base/mqtt.h"
#include "fleet/truetime.h"
#include "fleet/zone.h"

#include <stddef.h>

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

#define DAY (24 * HOUR)
#define KEEP_MOST (36500 * DAY)
#define KEEP(kind) offsetof(struct fleet_settings, keep_ms[FLEETDB_KEPT_##kind]), sizeof(int64_t)
#define FIELD(name)                                                                                \
    offsetof(struct fleet_settings, name), sizeof(((struct fleet_settings *)NULL)->name)

static const char *const protocols[] = {
    [MQTT_AUTO] = "auto", [MQTT_5] = "5", [MQTT_311] = "3.1.1", NULL};
static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};

const struct setting fleet_settings_table[] = {
    {"broker", "servers", SETTING_TEXT, FIELD(brokers), NULL, 3, 511, NULL,
     "brokers to try in turn: host:port, host:port; IPv6 as [::1]:8883"},
    {"broker", "client_id", SETTING_TEXT, FIELD(client_id), "musterd", 1, 64, NULL,
     "MQTT client id, also the CN of the TLS certificate"},
    {"broker", "protocol", SETTING_CHOICE, FIELD(protocol), "auto", 0, 0, protocols,
     "MQTT version: 5, 3.1.1, or auto (5, and 3.1.1 where 5 is refused)"},
    {"broker", "retain", SETTING_BOOL, FIELD(retain), "yes", 0, 0, NULL,
     "no: never ask the broker to keep a message; for one that ends the session over it without "
     "saying why, as MQTT 3.1.1 does"},
    {"broker", "keepalive", SETTING_DURATION, FIELD(keepalive_ms), "30s", 5 * SECOND, 2 * HOUR,
     NULL, "a ping after this much silence"},
    {"broker", "retry_first", SETTING_DURATION, FIELD(retry_first_ms), "250ms", 10, 10 * MINUTE,
     NULL, "upper bound of the first wait before a new attempt; doubles, with full jitter"},
    {"broker", "retry_max", SETTING_DURATION, FIELD(retry_max_ms), "30s", 10, 24 * HOUR, NULL,
     "upper bound of every wait"},
    {"tls", "ca", SETTING_PATH, FIELD(ca), "/etc/musterd/tls/ca.pem", 1, 255, NULL,
     "certificates that may vouch for the broker (PEM)"},
    {"tls", "certificate", SETTING_PATH, FIELD(certificate), "/etc/musterd/tls/musterd.pem", 1, 255,
     NULL, "certificate and chain (PEM)"},
    {"tls", "key", SETTING_PATH, FIELD(tls_key), "/etc/musterd/tls/musterd.key", 1, 255, NULL,
     "its private key (PEM)"},
    {"keys", "director", SETTING_PATHS, FIELD(director_key), "/etc/musterd/director.pem", 1, 511,
     NULL,
     "private key of the role director (Ed25519, PEM): signs manifests and welcomes; of several "
     "files (a, b) the one that the newest root names is used"},
    {"keys", "receipt", SETTING_PATHS, FIELD(receipt_key), "/etc/musterd/receipt.pem", 1, 511, NULL,
     "private key of the role receipt (Ed25519, PEM), or several files likewise"},
    {"keys", "root", SETTING_PATH, FIELD(root), "/etc/musterd/root.bin", 1, 255, NULL,
     "the trust root as installed on the terminals; newer ones are in the database"},
    {"database", "path", SETTING_PATH, FIELD(database), "/var/lib/musterd/fleet.db", 1, 255, NULL,
     "the fleet database (SQLite); made if it is not there"},
    {"content", "withdraw_after", SETTING_DURATION, FIELD(withdraw_after_ms), "1h", SECOND,
     720 * HOUR, NULL, "blobs that no manifest names any more are taken from the broker then"},
    {"http", "socket", SETTING_PATH, FIELD(http_socket), "/run/musterd/api.sock", 1, 107, NULL,
     "unix socket of the API; who may open it may do everything without a token"},
    {"http", "open_to_group", SETTING_BOOL, FIELD(http_group), "yes", 0, 0, NULL,
     "whether the socket's group may use it, or its owner alone"},
    {"http", "listen", SETTING_TEXT, FIELD(http_listen), "", 0, 63, NULL,
     "also 127.0.0.1:PORT or [::1]:PORT, where a token is asked for (musterctl token add), but for "
     "/healthz, /metrics and /api/v1/openapi.json; empty: none"},
    {"http", "rate", SETTING_INT, FIELD(http_rate), "50", 1, 100000, NULL,
     "how many requests a second each token may make in the long run, and four times as many at "
     "once; who has none shares one such allowance"},
    {"http", "request_limit", SETTING_DURATION, FIELD(http_request_limit_ms), "60s", 20 * SECOND,
     HOUR, NULL, "how long a request and its answer may take on the line"},
    {"http", "question_limit", SETTING_DURATION, FIELD(http_question_limit_ms), "60s", 50, HOUR,
     NULL,
     "how much of musterd's time one question may take (errors, rates, top) before it is answered "
     "with an error; others have their turns meanwhile, and that does not count"},
    {"webhook", "retry_first", SETTING_DURATION, FIELD(webhook_retry_first_ms), "1s", 10, HOUR,
     NULL, "how long a webhook that failed waits at the most; doubles each time"},
    {"webhook", "retry_max", SETTING_DURATION, FIELD(webhook_retry_max_ms), "1h", 10, 24 * HOUR,
     NULL, "upper bound of that wait"},
    {"receipt", "coalesce", SETTING_DURATION, FIELD(receipt_coalesce_ms), "200ms", 0, 10 * SECOND,
     NULL, "at most one receipt for each device in this time ..."},
    {"receipt", "batches", SETTING_INT, FIELD(receipt_batches), "16", 1, 1000, NULL,
     "... but at once when this many of its batches wait"},
    {"clock", "drift_ppm", SETTING_INT, FIELD(clock_drift_ppm), "100", 1, TRUETIME_PPM_MAX, NULL,
     "how many parts in a million terminals' clocks may run wrong, for the bound of corrected "
     "times; more where chrony slews large steps"},
    {"retention", "results", SETTING_DURATION, KEEP(RESULTS), "180d", 0, KEEP_MOST, NULL,
     "how long single results are kept after they came; 0: for ever; at least 30d"},
    {"retention", "open_matters", SETTING_DURATION, FIELD(keep_open_ms), "540d", 0, KEEP_MOST, NULL,
     "and those with an open matter: a reversal pending, an outcome that nobody knows, other "
     "content sent under their id; 0: for ever; at least as long as results"},
    {"retention", "sums_minute", SETTING_DURATION, KEEP(SUMS_MINUTE), "35d", 0, KEEP_MOST, NULL,
     "sums over results by the minute; 0: for ever; at least 15d"},
    {"retention", "sums_hour", SETTING_DURATION, KEEP(SUMS_HOUR), "800d", 0, KEEP_MOST, NULL,
     "sums over results by the hour; 0: for ever; at least as long as results"},
    {"retention", "events", SETTING_DURATION, KEEP(EVENTS), "400d", 0, KEEP_MOST, NULL,
     "what terminals told of themselves; 0: for ever; at least 30d"},
    {"retention", "logs", SETTING_DURATION, KEEP(LOGS), "30d", 0, KEEP_MOST, NULL,
     "logs that terminals brought; 0: for ever; at least 1d"},
    {"retention", "health", SETTING_DURATION, KEEP(HEALTH), "35d", 0, KEEP_MOST, NULL,
     "health samples; 0: for ever; at least 1d"},
    {"retention", "audit", SETTING_DURATION, KEEP(AUDIT), "0", 0, KEEP_MOST, NULL,
     "who changed what; 0: for ever; at least 365d"},
    {"retention", "feed", SETTING_DURATION, KEEP(FEED), "30d", 0, KEEP_MOST, NULL,
     "what happened, for those who follow it, of which the newest 100,000 are kept; 0: those; at "
     "least 1d"},
    {"retention", "every", SETTING_DURATION, FIELD(keep_every_ms), "1h", SECOND, 24 * HOUR, NULL,
     "how long after one pass over all that is old the next begins"},
    {"retention", "spare", SETTING_SIZE, FIELD(keep_spare_bytes), "64M", 0, INT64_C(1) << 40, NULL,
     "free room that the database file keeps for new rows; what is beyond it is given back"},
    {"presence", "grace", SETTING_DURATION, FIELD(presence_grace_ms), "10m", 10, 24 * HOUR, NULL,
     "a terminal in service that is away for longer than this while its store is open is missing"},
    {"presence", "silence", SETTING_DURATION, FIELD(presence_silence_ms), "5m", 10, 24 * HOUR, NULL,
     "a terminal that says nothing for twice as long as it told is away, but not before this"},
    {"presence", "settle", SETTING_DURATION, FIELD(presence_settle_ms), "10m", 10, 24 * HOUR, NULL,
     "nobody is judged for so long after musterd's own line came: terminals need time to come "
     "back, "
     "more than their broker.retry_max"},
    {"presence", "hours", SETTING_TEXT, FIELD(presence_hours), "24/7", 1, 255, NULL,
     "opening hours of stores, and of devices without one, of which nobody has said them"},
    {"presence", "time_zone", SETTING_TEXT, FIELD(presence_zone), "UTC", 1, 64, NULL,
     "the time zone where neither store nor region has one"},
    {"presence", "history", SETTING_DURATION, KEEP(ABSENCES), "35d", HOUR, 9600 * HOUR, NULL,
     "how long it is kept who was away from when to when"},
    {"log", "level", SETTING_CHOICE, FIELD(log_level), "info", 0, 0, log_levels,
     "error, warn, info or debug"},
    {0},
};

/* ---- how long what is kept ---- */

static const struct {
    enum fleetdb_kept kept;
    int64_t least_ms;
} keep_least[] = {
    {FLEETDB_KEPT_RESULTS, 30 * DAY},     {FLEETDB_KEPT_EVENTS, 30 * DAY}, {FLEETDB_KEPT_LOGS, DAY},
    {FLEETDB_KEPT_HEALTH, DAY},           {FLEETDB_KEPT_AUDIT, 365 * DAY}, {FLEETDB_KEPT_FEED, DAY},
    {FLEETDB_KEPT_SUMS_MINUTE, 15 * DAY},
};

static bool is_shorter(int64_t age_ms, int64_t than_ms)
{
    return age_ms != 0 && (than_ms == 0 || age_ms < than_ms);
}

static bool check_keeping(const char *path, const struct fleet_settings *settings, struct err *err)
{
    const int64_t *keep_ms = settings->keep_ms;
    for (size_t i = 0; i < sizeof keep_least / sizeof *keep_least; i++) {
        const enum fleetdb_kept kept = keep_least[i].kept;
        if (is_shorter(keep_ms[kept], keep_least[i].least_ms))
            return err_set(err, ERR_INVALID,
                           "%s: retention.%s: expected at least %lldd, or 0: for ever", path,
                           fleetdb_kept_word(kept), (long long)(keep_least[i].least_ms / DAY));
    }
    if (is_shorter(keep_ms[FLEETDB_KEPT_SUMS_HOUR], keep_ms[FLEETDB_KEPT_RESULTS]))
        return err_set(err, ERR_INVALID,
                       "%s: retention.sums_hour is shorter than retention.results: sums outlive "
                       "the rows that they are of",
                       path);
    return !is_shorter(settings->keep_open_ms, keep_ms[FLEETDB_KEPT_RESULTS]) ||
           err_set(err, ERR_INVALID, "%s: retention.open_matters is shorter than retention.results",
                   path);
}

static bool check_hours(const struct fleet_settings *settings, struct err *err)
{
    struct opening opening;
    struct zone *zone = NULL;
    if (!opening_parse(settings->presence_hours, &opening, err) ||
        !zone_open(settings->presence_zone, &zone, err))
        return false;
    zone_close(zone);
    return true;
}

bool fleet_settings_load(const char *path, struct fleet_settings *ret_settings, struct err *err)
{
    struct fleet_settings settings = {0};
    if (!settings_load(path, fleet_settings_table, &settings, err) ||
        !check_keeping(path, &settings, err))
        return false;
    if (!check_hours(&settings, err))
        return err_context(err, "%s: presence", path);
    *ret_settings = settings;
    return true;
}
