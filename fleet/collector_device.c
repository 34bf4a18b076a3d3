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

/* The device's keys as a set of which one must have signed. */
static void free_keys(struct key_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        verify_key_free(set->keys[i]);
    set->count = 0;
}

static bool read_keys(struct collector *collector, int64_t device, struct key_set *set,
                      struct err *err)
{
    struct fleetdb_key keys[FLEETDB_KEYS_MAX];
    size_t count = 0;
    if (!fleetdb_agent_keys(collector->settings.db, device,
                            clock_wall_ms(collector->settings.clock), keys, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct bytes spki = bytes_of(keys[i].spki, keys[i].length);
        if (verify_key_of_spki(spki, &set->keys[set->count], NULL))
            set->count++;
    }
    return true;
}

bool collector_unseal(struct collector *collector, enum refusal_kind kind, const char *domain,
                      const struct fleetdb_device *device, struct bytes payload,
                      struct bytes *ret_body, bool *ret_good, struct err *err)
{
    struct verify_key *keys[FLEETDB_KEYS_MAX];
    struct key_set set = {.keys = keys, .threshold = 1};
    struct err why = {0};
    if (!read_keys(collector, device->device, &set, err)) {
        free_keys(&set);
        return false;
    }
    *ret_good = unseal(domain, device->id, payload, &set, ret_body, &why);
    free_keys(&set);
    if (!*ret_good)
        collector_refuse(collector, kind,
                         why.code == ERR_REFUSED ? REASON_SIGNATURE : REASON_NOT_AN_ENVELOPE,
                         device->id, why.text);
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
