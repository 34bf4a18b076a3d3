/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/collector_internal.h"

#include <string.h>

bool collector_device(struct collector *collector, enum refusal_kind kind, const char *id,
                      struct fleetdb_device *ret_device, bool *ret_known, struct err *err)
{
    struct err why = {0};
    *ret_known = fleetdb_device_find(collector->settings.db, id, ret_device, &why);
    if (*ret_known)
        return true;
    if (why.code != ERR_NOT_FOUND)
        return err_set(err, why.code, "%s", why.text);
    collector_refuse(collector, kind, REASON_UNKNOWN_DEVICE, id, "it is not enrolled");
    return true;
}

bool collector_open_message(struct collector *collector, enum refusal_kind kind,
                            const struct fleetdb_device *device, struct collector_message *message,
                            bool *ret_good, struct err *err)
{
    struct opened *opened = &message->opened;
    struct opener_keys keys = {.count = 0};
    if (!fleetdb_agent_keys(collector->settings.db, device->device,
                            clock_wall_ms(collector->settings.clock), keys.list, &keys.count, err))
        return false;
    if (opened->as == OPENED_NOT || !opener_keys_equal(&opened->keys, &keys)) {
        opened_done(opened);
        opener_open(collector->opener, collector_domain(&message->topic), device->id,
                    buf_bytes(&message->payload), &keys, opened);
    }
    *ret_good = opened->as >= OPENED_SEALED;
    if (!*ret_good)
        collector_refuse(collector, kind,
                         opened->as == OPENED_UNSIGNED ? REASON_SIGNATURE : REASON_NOT_AN_ENVELOPE,
                         device->id, opened->why.text);
    return true;
}

bool collector_online(struct collector *collector, const struct topic *topic, struct bytes payload,
                      struct err *err)
{
    struct fleetdb_device device;
    bool known = false;
    if (payload.data[0] != '0' && payload.data[0] != '1') {
        collector_refuse(collector, REFUSED_ONLINE, REASON_MALFORMED, topic->device,
                         "neither 0 nor 1");
        return true;
    }
    if (!collector_device(collector, REFUSED_ONLINE, topic->device, &device, &known, err))
        return false;
    return !known || fleetdb_online(collector->settings.db, device.device, payload.data[0] == '1',
                                    clock_wall_ms(collector->settings.clock), err);
}
