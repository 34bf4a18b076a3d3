/* SPDX-License-Identifier: Apache-2.0 */
/* What this terminal's key does not open was sealed to another, or the key's file is not the one it
 * should be. It cannot be told from here, so it is refused, until the file holds another key. */
#include "agent/registrar_internal.h"

#include "proto/sealed.h"

#include <string.h>

static bool key_read(const char *path, uint8_t ret_sha256[32])
{
    struct sealing_key *key = NULL;
    bool read = sealing_key_read(path, &key, NULL) && sealing_key_digest(key, ret_sha256, NULL);
    sealing_key_free(key);
    return read;
}

static bool by_key(const struct registry_failure *failure)
{
    return failure->present && failure->refusal == MUSTER__REFUSAL__REFUSAL_CONTENT_SEALED;
}

void key_note(const char *sealing_key, struct registry_failure *failure)
{
    if (by_key(failure) && !key_read(sealing_key, failure->key))
        memset(failure->key, 0, sizeof failure->key);
}

bool key_is_another(const char *sealing_key, const struct registry_failure *failure)
{
    uint8_t now[32];
    return by_key(failure) && key_read(sealing_key, now) &&
           memcmp(now, failure->key, sizeof now) != 0;
}
