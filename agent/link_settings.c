/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link_settings.h"

#include "base/mqtt.h"
#include "proto/limits.h"
#include "proto/topics.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define KIB INT64_C(1024)
#define MIB (1024 * KIB)

#define FIELD(name)                                                                                \
    offsetof(struct link_settings, name), sizeof(((struct link_settings *)NULL)->name)

static const char *const protocols[] = {
    [MQTT_AUTO] = "auto", [MQTT_5] = "5", [MQTT_311] = "3.1.1", NULL};
static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};

const struct setting link_settings_table[] = {
    {"device", "id", SETTING_TEXT, FIELD(device), NULL, 1, LIMIT_DEVICE_ID_CHARS, NULL,
     "device id, also the CN of the TLS certificate: [a-z0-9-]{1,32}"},
    {"broker", "servers", SETTING_TEXT, FIELD(brokers), NULL, 3, 511, NULL,
     "brokers to try in turn: host:port, host:port; IPv6 as [::1]:8883"},
    {"broker", "protocol", SETTING_CHOICE, FIELD(protocol), "auto", 0, 0, protocols,
     "MQTT version: 5, 3.1.1, or auto (5, and 3.1.1 where 5 is refused)"},
    {"broker", "retain", SETTING_BOOL, FIELD(retain), "yes", 0, 0, NULL,
     "no: never ask the broker to keep a message; for one that ends the session over it without "
     "saying why, as MQTT 3.1.1 does"},
    {"broker", "keepalive", SETTING_DURATION, FIELD(keepalive_ms), "5m", 5 * SECOND, 2 * HOUR, NULL,
     "a ping after this much silence; each costs about 200 bytes"},
    {"broker", "connect_limit", SETTING_DURATION, FIELD(connect_limit_ms), "30s", SECOND,
     10 * MINUTE, NULL, "from the first packet to the broker's yes"},
    {"broker", "retry_first", SETTING_DURATION, FIELD(retry_first_ms), "1s", 10, 10 * MINUTE, NULL,
     "upper bound of the first wait before a new attempt; doubles, with full jitter"},
    {"broker", "retry_max", SETTING_DURATION, FIELD(retry_max_ms), "5m", 10, 24 * HOUR, NULL,
     "upper bound of every wait"},
    {"broker", "stable", SETTING_DURATION, FIELD(stable_ms), "30s", SECOND, HOUR, NULL,
     "a session must last this long before waits start small again"},
    {"tls", "ca", SETTING_PATH, FIELD(ca), "/etc/muster/tls/ca.pem", 1, 255, NULL,
     "certificates that may vouch for the broker (PEM)"},
    {"tls", "certificate", SETTING_PATH, FIELD(certificate), "/etc/muster/tls/device.pem", 1, 255,
     NULL, "this device's certificate and chain (PEM)"},
    {"tls", "key", SETTING_PATH, FIELD(key), "/etc/muster/tls/device.key", 1, 255, NULL,
     "its private key (PEM)"},
    {"tls", "time_floor", SETTING_INT, FIELD(time_floor_s), "0", 0, INT32_MAX, NULL,
     "judge certificates at this time (Unix seconds) while the clock is before it"},
    {"agent", "socket", SETTING_PATH, FIELD(agent_socket), "/run/muster/link.sock", 1, 107, NULL,
     "where muster-agent listens"},
    {"limits", "inflight", SETTING_INT, FIELD(inflight), "16", 1, MQTT_MAX_INFLIGHT, NULL,
     "publishes that may wait for the broker's acknowledgement"},
    {"limits", "queue", SETTING_SIZE, FIELD(queue_bytes), "8M", 2 * MIB, 64 * MIB, NULL,
     "bytes that may wait for an agent that does not read"},
    {"content", "hold", SETTING_DURATION, FIELD(content_hold_ms), "1m", 10, HOUR, NULL,
     "after a message without an end broke the session no content is asked for so long; doubles, "
     "to "
     "1h, until content has come whole; records go on"},
    {"log", "level", SETTING_CHOICE, FIELD(log_level), "info", 0, 0, log_levels,
     "error, warn, info or debug"},
    {0},
};

bool link_settings_load(const char *path, struct link_settings *ret_settings, struct err *err)
{
    struct link_settings settings = {.protocol = MQTT_AUTO};

    if (!settings_load(path, link_settings_table, &settings, err)) {
        return false;
    }
    if (!device_id_valid(settings.device)) {
        return err_set(err, ERR_INVALID,
                       "%s: device.id = %s: expected 1 to 32 of a-z, 0-9 and '-', as in the CN of "
                       "the device's certificate",
                       path, settings.device);
    }
    *ret_settings = settings;
    return true;
}
