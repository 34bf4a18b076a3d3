/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/service_keys.h"

#include "base/file.h"
#include "proto/limits.h"

#include <string.h>

/* A key that the root does not name would sign what every terminal refuses. */
static bool check_role(const struct trust *trust, Muster__Role role, const struct sign_key *key,
                       const char *setting, const char *path, struct err *err)
{
    const struct key_set *set = trust_keys(trust, role);
    for (size_t i = 0; i < set->count; i++) {
        if (bytes_equal(verify_key_spki(set->keys[i]), sign_key_spki(key)))
            return true;
    }
    return err_set(err, ERR_INVALID, "%s = %s: the root does not name this key for its role",
                   setting, path);
}

static bool read_all(const struct fleet_settings *settings, struct service_keys *keys,
                     struct err *err)
{
    if (!sign_key_read(settings->director_key, &keys->director, err))
        return err_context(err, "keys.director");
    if (!sign_key_read(settings->receipt_key, &keys->receipt, err))
        return err_context(err, "keys.receipt");
    if (!file_read(settings->root, LIMIT_ROOT_BYTES, &keys->root, err) ||
        !trust_open(buf_bytes(&keys->root), &keys->trust, err))
        return err_context(err, "keys.root = %s", settings->root);
    return check_role(keys->trust, MUSTER__ROLE__ROLE_DIRECTOR, keys->director, "keys.director",
                      settings->director_key, err) &&
           check_role(keys->trust, MUSTER__ROLE__ROLE_RECEIPT, keys->receipt, "keys.receipt",
                      settings->receipt_key, err);
}

bool service_keys_read(const struct fleet_settings *settings, struct service_keys *ret_keys,
                       struct err *err)
{
    struct service_keys keys = {0};
    if (!read_all(settings, &keys, err)) {
        service_keys_done(&keys);
        return false;
    }
    *ret_keys = keys;
    return true;
}

void service_keys_done(struct service_keys *keys)
{
    sign_key_free(keys->director);
    sign_key_free(keys->receipt);
    trust_free(keys->trust);
    buf_done(&keys->root);
    memset(keys, 0, sizeof *keys);
}
