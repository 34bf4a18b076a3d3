/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_fleet.h"

#include "proto/record.pb-c.h"
#include "proto/sealed.h"
#include "storage/fleetdb_account.h"
#include "storage/fleetdb_views.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { ENROLMENT_BYTES = 64 * 1024 };

void api_word(const ProtobufCEnumDescriptor *type, const char *prefix, int value, char out[48])
{
    const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(type, value);
    if (known == NULL) {
        (void)snprintf(out, 48, "%d", value);
        return;
    }
    const char *name = known->name;
    if (strncmp(name, prefix, strlen(prefix)) == 0)
        name += strlen(prefix);
    (void)snprintf(out, 48, "%s", name);
    for (char *c = out; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
}

/* ---- GET /healthz ---- */

static bool show_health(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err)
{
    (void)request;
    const struct api_fleet *fleet = ctx;
    struct err why = {0};
    char broker[sizeof why.text] = "";
    bool answers = fleetdb_check(fleet->db, &why);
    bool connected = fleet->connected(fleet->ctx, broker, sizeof broker);
    answer->json = json_pack("{s:b, s:s, s:s}", "ok", answers && connected, "database",
                             answers ? "ok" : why.text, "broker", connected ? "ok" : broker);
    answer->status = answers && connected ? 200 : 503;
    return answer->json != NULL || err_set(err, ERR_NO_MEMORY, "no memory for the answer");
}

/* ---- GET /metrics ---- */

static bool write_lives(struct fleetdb *db, struct buf *out, struct err *err)
{
    static const char name[] = "muster_devices";
    uint64_t counts[FLEETDB_LIVES];
    if (!fleetdb_view_lives(db, counts, err) ||
        !metrics_write_head(name, "gauge", "Devices by state of life", out, err))
        return false;
    for (unsigned life = 0; life < FLEETDB_LIVES; life++) {
        char labels[48];
        (void)snprintf(labels, sizeof labels, "state=\"%s\"", fleetdb_life_name(life));
        if (!metrics_write_series(name, labels, counts[life], out, err))
            return false;
    }
    return true;
}

static bool write_unaccounted(struct fleetdb *db, struct buf *out, struct err *err)
{
    static const char name[] = "muster_unaccounted_records";
    uint64_t records = 0;
    return fleetdb_unaccounted(db, &records, err) &&
           metrics_write_head(name, "gauge",
                              "Records that terminals had and that are nowhere: not committed, not"
                              " buffered, not declared lost",
                              out, err) &&
           metrics_write_series(name, "", records, out, err);
}

static bool show_metrics(void *ctx, const struct api_request *request, struct api_answer *answer,
                         struct err *err)
{
    (void)request;
    struct api_fleet *fleet = ctx;
    char why[480];
    metrics_set(fleet->metrics, METRIC_CONNECTED, fleet->connected(fleet->ctx, why, sizeof why));
    metrics_set(fleet->metrics, METRIC_DATABASE_BYTES, (uint64_t)fleetdb_size_bytes(fleet->db));
    answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
    return metrics_write(fleet->metrics, &answer->text, err) &&
           write_lives(fleet->db, &answer->text, err) &&
           write_unaccounted(fleet->db, &answer->text, err) &&
           (fleet->more_metrics == NULL || fleet->more_metrics(fleet->ctx, &answer->text, err));
}

/* ---- GET /api/v1/errors ---- */

static const char *const by_words[FLEETDB_BYS] = {
    [FLEETDB_BY_CODE] = "code",       [FLEETDB_BY_DEVICE] = "device",
    [FLEETDB_BY_OUTCOME] = "outcome", [FLEETDB_BY_ISSUER] = "issuer",
    [FLEETDB_BY_ENTRY] = "entry",     [FLEETDB_BY_ACQUIRER] = "acquirer",
};

struct errors {
    enum fleetdb_errors_by by;
    json_t *rows;
    int64_t total;
};

static void key_of(const struct errors *errors, const struct fleetdb_errors_view *view, char *out,
                   size_t size)
{
    char word[48];
    if (errors->by == FLEETDB_BY_OUTCOME)
        api_word(&muster__outcome__descriptor, "OUTCOME_", (int)view->number, word);
    else if (errors->by == FLEETDB_BY_ENTRY)
        api_word(&muster__entry_mode__descriptor, "ENTRY_MODE_", (int)view->number, word);
    else
        (void)snprintf(word, sizeof word, "%lld", (long long)view->number);
    (void)snprintf(out, size, "%s", view->text != NULL ? view->text : word);
}

static bool add_error(void *ctx, const struct fleetdb_errors_view *view, struct err *err)
{
    struct errors *errors = ctx;
    char key[128];
    key_of(errors, view, key, sizeof key);
    errors->total += view->count;
    json_t *row =
        json_pack("{s:s, s:I, s:I, s:I}", "key", key, "count", (json_int_t)view->count, "declined",
                  (json_int_t)view->declined, "amount_minor", (json_int_t)view->amount_minor);
    return json_array_append_new(errors->rows, row) == 0 ||
           err_set(err, ERR_NO_MEMORY, "no memory for the answer");
}

static void add_shares(const struct errors *errors)
{
    size_t i = 0;
    json_t *row = NULL;
    json_array_foreach(errors->rows, i, row)
    {
        double count = (double)json_integer_value(json_object_get(row, "count"));
        (void)json_object_set_new(row, "share", json_real(count / (double)errors->total));
    }
}

static bool errors_question(const struct api_fleet *fleet, const struct api_request *request,
                            enum fleetdb_errors_by *ret_by, int64_t *ret_since_ms,
                            int64_t *ret_device, struct err *err)
{
    const char *word = api_query(request, "by");
    const char *id = api_query(request, "device");
    struct fleetdb_device device = {0};
    unsigned by = 0;
    while (by < FLEETDB_BYS && (word == NULL || strcmp(word, by_words[by]) != 0))
        by++;
    if (by == FLEETDB_BYS)
        return err_set(err, ERR_INVALID,
                       "by: expected code, device, outcome, issuer, entry or acquirer");
    if (id != NULL && !fleetdb_device_find(fleet->db, id, &device, err))
        return false;
    *ret_by = by;
    *ret_device = device.device;
    return api_query_number(request, "since_ms", 0, ret_since_ms, err);
}

static bool show_errors(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err)
{
    const struct api_fleet *fleet = ctx;
    struct errors errors = {0};
    int64_t since_ms = 0, device = 0, not_in_service = 0, unsure = 0;
    if (!errors_question(fleet, request, &errors.by, &since_ms, &device, err))
        return false;
    errors.rows = json_array();
    if (!fleetdb_view_errors(fleet->db, errors.by, since_ms, device, add_error, &errors,
                             &not_in_service, err) ||
        !fleetdb_view_unsure(fleet->db, since_ms, device, &unsure, err)) {
        json_decref(errors.rows);
        return false;
    }
    add_shares(&errors);
    answer->json =
        json_pack("{s:s, s:I, s:I, s:o, s:I, s:I}", "by", by_words[errors.by], "since_ms",
                  (json_int_t)since_ms, "total", (json_int_t)errors.total, "rows", errors.rows,
                  "not_in_service", (json_int_t)not_in_service, "unsure", (json_int_t)unsure);
    return answer->json != NULL || err_set(err, ERR_NO_MEMORY, "no memory for the answer");
}

struct api_module api_fleet_module(struct api_fleet *fleet)
{
    static const struct api_route routes[] = {
        {"GET", "/healthz", 0, show_health, API_ANYONE, API_NO_DEVICE},
        {"GET", "/metrics", 0, show_metrics, API_ANYONE, API_NO_DEVICE},
        {"GET", "/api/v1/devices", 0, api_list_devices, API_VIEWER, API_OWN_PART},
        {"POST", "/api/v1/devices", ENROLMENT_BYTES, api_enrol_device, API_OPERATOR,
         API_WHOLE_FLEET},
        {"GET", "/api/v1/devices/{}", 0, api_show_device, API_VIEWER, API_ONE_DEVICE},
        {"GET", "/api/v1/devices/{}/sealing-certificate", 0, api_show_sealing, API_VIEWER,
         API_ONE_DEVICE},
        {"PUT", "/api/v1/devices/{}/sealing-certificate", SEALED_CERTIFICATE_BYTES, api_put_sealing,
         API_OPERATOR, API_ONE_DEVICE},
        {"GET", "/api/v1/keys", 0, api_list_keys, API_VIEWER, API_OWN_PART},
        {"GET", "/api/v1/errors", 0, show_errors, API_VIEWER, API_WHOLE_FLEET},
        {"GET", "/api/v1/audit", 0, api_show_audit, API_VIEWER, API_OWN_PART},
    };
    return (struct api_module){
        .routes = routes, .route_count = sizeof routes / sizeof routes[0], .ctx = fleet};
}
