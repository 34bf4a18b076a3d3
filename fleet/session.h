/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_SESSION_H
#define FLEET_SESSION_H

#include "base/mqtt.h"
#include "fleet/settings.h"

/* musterd's session with the broker, as its settings have it; points into them. */
static inline struct mqtt_settings session_settings(const struct fleet_settings *settings)
{
    return (struct mqtt_settings){
        .brokers = settings->brokers,
        .client_id = settings->client_id,
        .ca_path = settings->ca,
        .certificate_path = settings->certificate,
        .key_path = settings->tls_key,
        .protocol = (enum mqtt_protocol)settings->protocol,
        .plain = !settings->retain,
        .keepalive_ms = settings->keepalive_ms,
        .retry_first_ms = settings->retry_first_ms,
        .retry_max_ms = settings->retry_max_ms,
        .max_inflight = MQTT_MAX_INFLIGHT,
    };
}

#endif
