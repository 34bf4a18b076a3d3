/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_SERVICE_KEYS_H
#define FLEET_SERVICE_KEYS_H

#include "fleet/settings.h"
#include "proto/trust.h"
#include "storage/fleetdb_roots.h"

enum { SERVICE_KEYS_MAX = 4 };

/* Key files of one role; the one in use is that which the newest root names. */
struct service_ring {
    Muster__Role role;
    const char *setting; /* "keys.director" */
    struct sign_key *keys[SERVICE_KEYS_MAX];
    size_t count, used;
};

/* The keys that musterd signs with, and the newest root. */
struct service_keys {
    struct service_ring director, receipt;
    struct trust *trust; /* stays the same object while it advances */
    struct buf root;     /* Envelope of the file */
};

/* The files; which of the keys is used says service_keys_choose. */
bool service_keys_read(const struct fleet_settings *settings, struct service_keys *ret_keys,
                       struct err *err) MUSTER_CHECK;
void service_keys_done(struct service_keys *keys);

/* Calls `each` with every file that such a setting names ("a, b"); false from it ends the walk. */
bool service_keys_paths(const char *list,
                        bool (*each)(void *ctx, const char *path, struct err *err), void *ctx,
                        struct err *err) MUSTER_CHECK;

/* Advances from the file's root along the database's chain, which gets the file's root if it is
 * the next of it. */
bool service_keys_follow(struct service_keys *keys, struct fleetdb *db, int64_t now_ms,
                         struct err *err) MUSTER_CHECK;
/* Of a fleet whose root keys are gone, whose terminals are given this root by hand: forgets the
 * database's chain and begins another with the file's root. Refused: the file's root is of the
 * chain or follows it, or is not above all that terminals have seen of it. */
bool service_keys_begin(struct service_keys *keys, struct fleetdb *db, int64_t now_ms,
                        struct err *err) MUSTER_CHECK;
/* Takes of each role the key that `trust` names. Refused, with nothing changed: there is none, one
 * is not enough, or a key is named for a role that is kept offline. */
bool service_keys_choose(struct service_keys *keys, const struct trust *trust,
                         struct err *err) MUSTER_CHECK;
/* The same for one role; what is chosen is told alone. */
bool service_ring_choose(const struct service_ring *ring, const struct trust *trust,
                         size_t *ret_used, struct err *err) MUSTER_CHECK;
/* Does the root name this key for this role? */
bool service_keys_named(const struct trust *trust, Muster__Role role, const struct sign_key *key);
const struct sign_key *service_ring_key(const struct service_ring *ring);

#endif
