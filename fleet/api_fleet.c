/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_fleet.h"

#include "proto/record.pb-c.h"
#include "proto/sealed.h"
#include "storage/fleetdb_account.h"
#include "storage/fleetdb_rollups.h"
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
    return answer->json != NULL || api_no_memory(err);
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
    metrics_set(fleet->metrics, METRIC_FOLDED, fleetdb_folded(fleet->db));
    metrics_set(fleet->metrics, METRIC_DATABASE_BYTES, (uint64_t)fleetdb_size_bytes(fleet->db));
    answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
    return metrics_write(fleet->metrics, &answer->text, err) &&
           write_lives(fleet->db, &answer->text, err) &&
           write_unaccounted(fleet->db, &answer->text, err) &&
           (fleet->more_metrics == NULL || fleet->more_metrics(fleet->ctx, &answer->text, err));
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
        {"GET", "/api/v1/errors", 0, api_show_errors, API_VIEWER, API_OWN_PART},
        {"GET", "/api/v1/rates", 0, api_show_rates, API_VIEWER, API_OWN_PART},
        {"GET", "/api/v1/top", 0, api_show_top, API_VIEWER, API_OWN_PART},
        {"GET", "/api/v1/find", 0, api_find, API_VIEWER, API_OWN_PART},
        {"GET", "/api/v1/audit", 0, api_show_audit, API_VIEWER, API_OWN_PART},
    };
    return (struct api_module){
        .routes = routes, .route_count = sizeof routes / sizeof routes[0], .ctx = fleet};
}
