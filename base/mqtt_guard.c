/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mqtt_guard.h"

#include <string.h>

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* "PUBLISH (d0, q2, ..." */
static bool above_qos_1(const char *publish)
{
    const char *qos = strstr(publish, ", q");

    return qos != NULL && qos[3] != '0' && qos[3] != '1';
}

static bool take_one(unsigned *count)
{
    if (*count == 0) {
        return false;
    }
    (*count)--;
    return true;
}

static const char *judge(struct mqtt_guard *guard, const char *packet)
{
    if (starts(packet, "PUBLISH ")) {
        return above_qos_1(packet) ? "broker used QoS 2" : NULL;
    }
    if (starts(packet, "PUBACK")) {
        guard->pubacks++;
        return NULL;
    }
    if (starts(packet, "PUBREC") || starts(packet, "PUBREL") || starts(packet, "PUBCOMP")) {
        return "broker used QoS 2";
    }
    if (starts(packet, "SUBACK")) {
        return take_one(&guard->subscribes)
                   ? NULL
                   : "broker acknowledged a subscription that was not asked for";
    }
    if (starts(packet, "UNSUBACK")) {
        return take_one(&guard->unsubscribes)
                   ? NULL
                   : "broker acknowledged the end of a subscription that was not asked for";
    }
    if (starts(packet, "CONNACK")) {
        bool second = guard->connack;
        guard->connack = true;
        return second ? "broker sent a second CONNACK" : NULL;
    }
    if (starts(packet, "PINGREQ")) {
        return "broker sent a PINGREQ, which only clients may";
    }
    if (starts(packet, "AUTH")) {
        return "broker sent an AUTH, which nobody began";
    }
    return NULL; /* PINGRESP; libmosquitto ends what it does not know by itself */
}

bool mqtt_guard_is(const char *line, const char *client_id, const char *words)
{
    static const char client[] = "Client ";

    return starts(line, client) && starts(line + strlen(client), client_id) &&
           starts(line + strlen(client) + strlen(client_id), words);
}

const char *mqtt_guard_line(struct mqtt_guard *guard, const char *line, const char *client_id,
                            bool *ret_packet)
{
    static const char received[] = " received ";

    *ret_packet = mqtt_guard_is(line, client_id, received);
    if (!*ret_packet) {
        return NULL;
    }
    /* The publish of a PUBACK is found before the next packet is read. */
    const char *before = mqtt_guard_settle(guard);
    return before != NULL ? before : judge(guard, strstr(line, received) + strlen(received));
}

const char *mqtt_guard_settle(const struct mqtt_guard *guard)
{
    return guard->pubacks > 0 ? "broker acknowledged what was never sent" : NULL;
}
