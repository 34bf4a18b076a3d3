/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/trust.h"

#include "proto/envelope.h"
#include "proto/limits.h"
#include "proto/refusal.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <stdlib.h>

enum { ROLES = MUSTER__ROLE__ROLE_RECEIPT + 1 };

struct trust {
    uint64_t version;
    uint64_t epoch;
    int64_t issued_ms;
    struct key_set roles[ROLES];
};

/* Unsigned, since a foreign role may be any number and C leaves the sign of enums open. */
static bool known_role(Muster__Role role)
{
    unsigned number = (unsigned)role;
    return number > MUSTER__ROLE__ROLE_UNKNOWN && number < ROLES;
}

static bool add_key(struct key_set *set, const Muster__PublicKey *key, struct err *err)
{
    struct verify_key *fresh = NULL;
    /* A newer root may hold keys that this program cannot use; they just do not count. */
    if (key->algorithm != MUSTER__KEY_ALGORITHM__KEY_ALGORITHM_ED25519)
        return true;
    if (!verify_key_of_spki(bytes_of(key->spki.data, key->spki.len), &fresh, err))
        return false;
    for (size_t i = 0; i < set->count; i++) {
        if (bytes_equal(verify_key_spki(set->keys[i]), verify_key_spki(fresh))) {
            verify_key_free(fresh);
            return refuse(err, MUSTER__REFUSAL__REFUSAL_ROOT_ROLES, ERR_INVALID,
                          "the same key twice");
        }
    }
    set->keys[set->count++] = fresh;
    return true;
}

static bool fill_role(struct key_set *set, const Muster__RoleKeys *role, struct err *err)
{
    if (set->keys)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_ROOT_ROLES, ERR_INVALID, "role %d twice",
                      (int)role->role);
    if (role->n_keys > ENVELOPE_SIGNATURES)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_ROOT_ROLES, ERR_INVALID,
                      "role %d has %zu keys, %d are the most", (int)role->role, role->n_keys,
                      ENVELOPE_SIGNATURES);
    if (role->threshold == 0 || role->threshold > role->n_keys)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_ROOT_ROLES, ERR_INVALID,
                      "role %d: %u of %zu keys cannot sign", (int)role->role, role->threshold,
                      role->n_keys);
    set->keys = calloc(role->n_keys, sizeof(struct verify_key *));
    if (!set->keys)
        return err_set(err, ERR_NO_MEMORY, "no memory for keys");
    set->threshold = role->threshold;
    for (size_t i = 0; i < role->n_keys; i++)
        if (!add_key(set, role->keys[i], err))
            return err_context(err, "role %d, key %zu", (int)role->role, i + 1);
    return true;
}

static bool fill(struct trust *trust, struct bytes body, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_ROOT_BYTES};
    struct arena arena = {.limit_bytes = 512 * 1024};
    ProtobufCMessage *message = NULL;
    bool ok = unpack(&muster__root__descriptor, body, &limits, &arena, &message, err);
    const Muster__Root *root = (const Muster__Root *)message;
    if (ok && root->version == 0)
        ok = refuse(err, MUSTER__REFUSAL__REFUSAL_MALFORMED, ERR_INVALID, "no version");
    if (ok) {
        trust->version = root->version;
        trust->epoch = root->epoch;
        trust->issued_ms = root->issued_ms;
    }
    for (size_t i = 0; ok && i < root->n_roles; i++)
        if (known_role(root->roles[i]->role))
            ok = fill_role(&trust->roles[root->roles[i]->role], root->roles[i], err);
    arena_done(&arena);
    return ok;
}

/* The keys come from the very bytes whose signatures they check: that proves only that the root
 * is whole and that its own keepers agreed on it. */
static bool open_root(struct trust *trust, struct bytes root, struct err *err)
{
    struct envelope envelope;
    struct bytes body;
    if (root.length > LIMIT_ROOT_BYTES)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_TOO_LARGE, ERR_INVALID,
                      "%zu bytes where %d are the most", root.length, LIMIT_ROOT_BYTES);
    if (!envelope_read(root, &envelope, err) || !fill(trust, envelope.body, err))
        return refuse_as(err, MUSTER__REFUSAL__REFUSAL_MALFORMED);
    return unseal("root", "", root, &trust->roles[MUSTER__ROLE__ROLE_ROOT], &body, err) ||
           (err_context(err, "its own root keys"),
            refuse_as(err, MUSTER__REFUSAL__REFUSAL_ROOT_OWN_KEYS));
}

/* NULL: `err` says why. */
static struct trust *opened(struct bytes root, struct err *err)
{
    struct trust *trust = calloc(1, sizeof *trust);
    if (!trust) {
        (void)err_set(err, ERR_NO_MEMORY, "no memory for the trust root");
    } else if (!open_root(trust, root, err)) {
        (void)err_context(err, "trust root");
        trust_free(trust);
        trust = NULL;
    }
    return trust;
}

bool trust_open(struct bytes root, struct trust **ret_trust, struct err *err)
{
    struct trust *trust = opened(root, err);
    if (trust)
        *ret_trust = trust;
    return trust != NULL;
}

/* Whether the keepers of the root in force agree to the next one is asked before anything else in
 * it counts. */
static bool may_follow(const struct trust *trust, const struct trust *next, struct bytes root,
                       struct err *err)
{
    struct bytes body;
    if (!unseal("root", "", root, &trust->roles[MUSTER__ROLE__ROLE_ROOT], &body, err)) {
        (void)err_context(err, "the root keys in force");
        return refuse_as(err, MUSTER__REFUSAL__REFUSAL_ROOT_OLD_KEYS);
    }
    if (next->version != trust->version + 1)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_ROOT_ORDER, ERR_REFUSED,
                      "version %" PRIu64 " does not follow %" PRIu64 ", which is in force",
                      next->version, trust->version);
    if (next->epoch != trust->epoch && next->epoch != trust->epoch + 1)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_ROOT_EPOCH, ERR_REFUSED,
                      "epoch %" PRIu64 " does not follow %" PRIu64, next->epoch, trust->epoch);
    return true;
}

/* NULL: `err` says why. */
static struct trust *next_of(const struct trust *trust, struct bytes root, struct err *err)
{
    struct trust *next = opened(root, err);
    if (next && !may_follow(trust, next, root, err)) {
        (void)err_context(err, "trust root %" PRIu64, next->version);
        trust_free(next);
        next = NULL;
    }
    return next;
}

bool trust_would_advance(const struct trust *trust, struct bytes root, struct err *err)
{
    struct trust *next = next_of(trust, root, err);
    bool would = next != NULL;
    trust_free(next);
    return would;
}

bool trust_advance(struct trust *trust, struct bytes root, struct err *err)
{
    struct trust *next = next_of(trust, root, err);
    if (!next)
        return false;
    struct trust old = *trust;
    *trust = *next;
    *next = old;
    trust_free(next);
    return true;
}

void trust_free(struct trust *trust)
{
    if (!trust)
        return;
    for (size_t role = 0; (int)role < (int)ROLES; role++) {
        for (size_t i = 0; i < trust->roles[role].count; i++)
            verify_key_free(trust->roles[role].keys[i]);
        free(trust->roles[role].keys);
    }
    free(trust);
}

uint64_t trust_version(const struct trust *trust)
{
    return trust->version;
}

uint64_t trust_epoch(const struct trust *trust)
{
    return trust->epoch;
}

int64_t trust_issued_ms(const struct trust *trust)
{
    return trust->issued_ms;
}

const struct key_set *trust_keys(const struct trust *trust, Muster__Role role)
{
    return &trust->roles[known_role(role) ? role : MUSTER__ROLE__ROLE_UNKNOWN];
}
