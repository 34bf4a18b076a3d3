/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_SETTINGS_H
#define FLEET_SETTINGS_H

#include "base/settings.h"
#include "storage/fleetdb_keeping.h"

/* musterd.conf. Everything musterd may be told; `musterd --print-settings` explains it. */
struct fleet_settings {
    char client_id[65];
    char brokers[512];
    int protocol; /* enum mqtt_protocol */
    bool retain;
    int64_t keepalive_ms;
    int64_t retry_first_ms, retry_max_ms;

    char ca[256];
    char certificate[256];
    char tls_key[256];

    char director_key[512]; /* one file, or several: a, b */
    char receipt_key[512];
    char root[256];

    char database[256];

    int64_t withdraw_after_ms;

    char http_socket[108];
    bool http_group;
    char http_listen[64];
    int64_t http_rate;
    int64_t http_request_limit_ms, http_question_limit_ms;
    int64_t webhook_retry_first_ms, webhook_retry_max_ms;

    int64_t receipt_coalesce_ms;
    int64_t receipt_batches;

    int64_t clock_drift_ppm;

    int64_t keep_ms[FLEETDB_KEPTS]; /* 0: for ever */
    int64_t keep_open_ms;
    int64_t keep_every_ms;
    int64_t keep_spare_bytes;
    int64_t presence_grace_ms, presence_silence_ms, presence_settle_ms;
    char presence_hours[256], presence_zone[65];

    int log_level;
};

extern const struct setting fleet_settings_table[];

bool fleet_settings_load(const char *path, struct fleet_settings *ret_settings,
                         struct err *err) MUSTER_CHECK;

#endif
