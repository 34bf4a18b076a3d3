/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_SERVICE_KEYS_H
#define FLEET_SERVICE_KEYS_H

#include "fleet/settings.h"
#include "proto/trust.h"

/* The keys that musterd signs with, checked against the root that the terminals know. */
struct service_keys {
    struct sign_key *director, *receipt;
    struct trust *trust;
    struct buf root; /* Envelope */
};

bool service_keys_read(const struct fleet_settings *settings, struct service_keys *ret_keys,
                       struct err *err) MUSTER_CHECK;
void service_keys_done(struct service_keys *keys);

#endif
