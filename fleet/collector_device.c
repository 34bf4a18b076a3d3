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

bool collector_online(struct collector *collector, const struct collector_message *message,
                      struct err *err)
{
    const char *id = message->topic.device;
    struct fleetdb_device device;
    struct online_word word;
    struct err why = {0};
    bool known = false;
    if (!online_read(buf_bytes(&message->payload), &word, &why)) {
        collector_refuse(collector, REFUSED_ONLINE, REASON_MALFORMED, id, why.text);
        return true;
    }
    if (!collector_device(collector, REFUSED_ONLINE, id, &device, &known, err))
        return false;
    if (known && collector->ports.online != NULL)
        collector->ports.online(collector->ports.ctx, device.device, &word, message->kept);
    return true;
}

void collector_heard(struct collector *collector, int64_t device, int64_t silence_s)
{
    if (collector->ports.heard != NULL)
        collector->ports.heard(collector->ports.ctx, device, silence_s);
}
