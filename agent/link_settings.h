/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_LINK_SETTINGS_H
#define AGENT_LINK_SETTINGS_H

#include "base/settings.h"

struct link_settings {
    char device[33];
    char brokers[512];
    int protocol; /* enum mqtt_protocol */
    bool retain;
    int64_t keepalive_ms;
    int64_t connect_limit_ms;
    int64_t retry_first_ms, retry_max_ms, stable_ms;
    char ca[256], certificate[256], key[256];
    int64_t time_floor_s;
    char agent_socket[108];
    int64_t inflight;
    int64_t queue_bytes;
    int64_t content_hold_ms;
    int log_level;
    /* Not settings: of this run. */
    const char *runtime_directory; /* NULL: none */
    unsigned restarts;             /* starts before this one that came to no stable session */
};

extern const struct setting link_settings_table[];

/* Also checks what the table cannot: the device id's form. */
bool link_settings_load(const char *path, struct link_settings *ret_settings,
                        struct err *err) MUSTER_CHECK;

#endif
