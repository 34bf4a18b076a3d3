/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MQTT_GUARD_H
#define BASE_MQTT_GUARD_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What a broker may send us, packet by packet, judged before libmosquitto acts on it: some packets
 * make it hoard memory (QoS 2, PUBACKs for nothing, PINGREQs whose answers nobody reads), some
 * make us work for nothing. Its log is the only place that tells of every packet. Pure.
 */
struct mqtt_guard { /* zeroed: a new session */
    bool connack;
    unsigned subscribes, unsubscribes; /* sent, and not yet acknowledged */
    unsigned pubacks;                  /* read, and no publish of ours found for them yet */
};

/* One line of libmosquitto's log of this client. NULL: allowed, or not about a packet from the
 * broker; else why the session must end. `ret_packet` says whether it was a packet. */
const char *mqtt_guard_line(struct mqtt_guard *guard, const char *line, const char *client_id,
                            bool *ret_packet);
/* Whether a line is about this client, and goes on with `words`. */
bool mqtt_guard_is(const char *line, const char *client_id, const char *words);
/* After libmosquitto has returned: NULL, or why the session must end. */
const char *mqtt_guard_settle(const struct mqtt_guard *guard);

#endif
