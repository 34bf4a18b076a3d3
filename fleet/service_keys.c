/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/service_keys.h"

#include "base/file.h"
#include "fleet/ed25519.h"
#include "proto/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- files ---- */

bool service_keys_paths(const char *list,
                        bool (*each)(void *ctx, const char *path, struct err *err), void *ctx,
                        struct err *err)
{
    char text[sizeof((struct fleet_settings *)NULL)->director_key];
    char *rest = text;
    (void)snprintf(text, sizeof text, "%s", list);
    for (char *path; (path = strsep(&rest, ",")) != NULL;)
        if (!each(ctx, path, err))
            return false;
    return true;
}

static bool read_one(void *ctx, const char *path, struct err *err)
{
    struct service_ring *ring = ctx;
    if (ring->count == SERVICE_KEYS_MAX)
        return err_set(err, ERR_INVALID, "more than %d files", SERVICE_KEYS_MAX);
    if (!sign_key_read(path, &ring->keys[ring->count], err))
        return false;
    return ed25519_sign_through(ring->keys[ring->count++], err);
}

/* As SETTING_PATHS leaves them: "/etc/musterd/old.pem,/etc/musterd/new.pem". */
static bool read_ring(struct service_ring *ring, const char *list, struct err *err)
{
    if (!service_keys_paths(list, read_one, ring, err))
        return err_context(err, "%s", ring->setting);
    return ring->count > 0 || err_set(err, ERR_INVALID, "%s names no file", ring->setting);
}

static bool read_all(const struct fleet_settings *settings, struct service_keys *keys,
                     struct err *err)
{
    keys->director =
        (struct service_ring){.role = MUSTER__ROLE__ROLE_DIRECTOR, .setting = "keys.director"};
    keys->receipt =
        (struct service_ring){.role = MUSTER__ROLE__ROLE_RECEIPT, .setting = "keys.receipt"};
    if (!read_ring(&keys->director, settings->director_key, err) ||
        !read_ring(&keys->receipt, settings->receipt_key, err))
        return false;
    return (file_read(settings->root, LIMIT_ROOT_BYTES, &keys->root, err) &&
            trust_open(buf_bytes(&keys->root), &keys->trust, err)) ||
           err_context(err, "keys.root = %s", settings->root);
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

static void ring_done(struct service_ring *ring)
{
    for (size_t i = 0; i < ring->count; i++)
        sign_key_free(ring->keys[i]);
}

void service_keys_done(struct service_keys *keys)
{
    ring_done(&keys->director);
    ring_done(&keys->receipt);
    trust_free(keys->trust);
    buf_done(&keys->root);
    memset(keys, 0, sizeof *keys);
}

/* ---- the chain ---- */

static bool advance(struct service_keys *keys, struct fleetdb *db, uint64_t newest, struct err *err)
{
    while (trust_version(keys->trust) < newest) {
        struct buf root = {.limit = LIMIT_ROOT_BYTES};
        bool ok = fleetdb_root_get(db, trust_version(keys->trust) + 1, &root, err) &&
                  trust_advance(keys->trust, buf_bytes(&root), err);
        buf_done(&root);
        if (!ok)
            return err_context(err, "the chain of roots in the database");
    }
    return true;
}

/* Before the file's root is the newest of the chain, the one before it must agree. */
static bool check_follows(struct fleetdb *db, uint64_t newest, struct bytes root, struct err *err)
{
    struct buf before = {.limit = LIMIT_ROOT_BYTES};
    struct trust *trust = NULL;
    bool ok = fleetdb_root_get(db, newest, &before, err) &&
              trust_open(buf_bytes(&before), &trust, err) && trust_would_advance(trust, root, err);
    trust_free(trust);
    buf_done(&before);
    return ok;
}

/* The file's root as the database keeps it. */
static struct fleetdb_root own_root(const struct service_keys *keys, int64_t now_ms)
{
    return (struct fleetdb_root){.version = trust_version(keys->trust),
                                 .epoch = trust_epoch(keys->trust),
                                 .issued_ms = trust_issued_ms(keys->trust),
                                 .published_ms = now_ms,
                                 .envelope = buf_bytes(&keys->root)};
}

static bool follow(struct service_keys *keys, struct fleetdb *db, int64_t now_ms, struct err *err)
{
    uint64_t first, newest;
    bool added = false;
    const struct fleetdb_root root = own_root(keys, now_ms);
    return fleetdb_root_range(db, &first, &newest, err) &&
           (newest == 0 || root.version != newest + 1 ||
            check_follows(db, newest, root.envelope, err)) &&
           fleetdb_root_add(db, &root, &added, err) && advance(keys, db, newest, err);
}

/* In one transaction: a root before the first is only known to belong there once the chain has been
 * followed from it, and one that does not must not stay, to be handed to terminals. */
bool service_keys_follow(struct service_keys *keys, struct fleetdb *db, int64_t now_ms,
                         struct err *err)
{
    if (!fleetdb_begin(db, err))
        return false;
    if (!follow(keys, db, now_ms, err)) {
        fleetdb_rollback(db);
        return err_context(err, "keys.root and the database");
    }
    return fleetdb_commit(db, err);
}

static bool last_root(struct fleetdb *db, struct fleetdb_root *ret_last, struct err *err)
{
    struct fleetdb_root last = {0};
    bool found = true, ok = true;
    while (ok && found) {
        struct buf envelope = {.limit = LIMIT_ROOT_BYTES};
        ok = fleetdb_root_next(db, last.version, &last, &envelope, &found, err);
        buf_done(&envelope);
    }
    last.envelope = bytes_of(NULL, 0);
    *ret_last = last;
    return ok;
}

/* Terminals take nothing under a root below the highest they have seen, and nothing of an epoch
 * below the last. */
static bool check_above(const struct fleetdb_root *root, const struct fleetdb_root *last,
                        struct err *err)
{
    if (last->version == 0)
        return err_set(err, ERR_REFUSED, "the database has no roots: there is nothing to forget");
    return (root->version > last->version && root->epoch > last->epoch) ||
           err_set(err, ERR_REFUSED,
                   "it is root %" PRIu64 " of epoch %" PRIu64 ", and terminals have seen root "
                   "%" PRIu64 " of epoch %" PRIu64 ": make one above both, musterctl keys make "
                   "--version %" PRIu64 " --epoch %" PRIu64 ", or higher where a thief was at work",
                   root->version, root->epoch, last->version, last->epoch, last->version + 1,
                   last->epoch + 1);
}

bool service_keys_begin(struct service_keys *keys, struct fleetdb *db, int64_t now_ms,
                        struct err *err)
{
    struct fleetdb_root last;
    const struct fleetdb_root root = own_root(keys, now_ms);
    if (!last_root(db, &last, err))
        return false;
    if (last.version != 0 && root.version == last.version + 1 &&
        check_follows(db, last.version, root.envelope, NULL))
        return err_set(err, ERR_REFUSED,
                       "keys.root: root %" PRIu64 " follows the newest of the database: nothing "
                       "needs to be forgotten, musterctl root publish",
                       root.version);
    return (check_above(&root, &last, err) && fleetdb_roots_begin(db, &root, err)) ||
           err_context(err, "keys.root");
}

/* ---- which of the keys ---- */

bool service_keys_named(const struct trust *trust, Muster__Role role, const struct sign_key *key)
{
    const struct key_set *set = trust_keys(trust, role);
    for (size_t i = 0; i < set->count; i++)
        if (bytes_equal(verify_key_spki(set->keys[i]), sign_key_spki(key)))
            return true;
    return false;
}

static bool check_offline(const struct service_ring *ring, const struct trust *trust,
                          struct err *err)
{
    static const Muster__Role offline[] = {MUSTER__ROLE__ROLE_ROOT, MUSTER__ROLE__ROLE_RELEASE,
                                           MUSTER__ROLE__ROLE_CUSTODIAN};
    for (size_t i = 0; i < ring->count; i++)
        for (size_t r = 0; r < sizeof offline / sizeof *offline; r++)
            if (service_keys_named(trust, offline[r], ring->keys[i]))
                return err_set(err, ERR_REFUSED,
                               "%s: root %" PRIu64 " names this key for a role that is kept "
                               "offline: musterd must not hold it",
                               ring->setting, trust_version(trust));
    return true;
}

/* "none", or the first of them: which file is missing is told by its key's id. */
static void id_of_first(const struct key_set *set, char text[2 * KEY_ID_BYTES + 1])
{
    (void)snprintf(text, 2 * KEY_ID_BYTES + 1, "none");
    if (set->count > 0)
        hex_encode(verify_key_id(set->keys[0]), KEY_ID_BYTES, text);
}

bool service_ring_choose(const struct service_ring *ring, const struct trust *trust,
                         size_t *ret_used, struct err *err)
{
    char id[2 * KEY_ID_BYTES + 1];
    const struct key_set *set = trust_keys(trust, ring->role);
    if (!check_offline(ring, trust, err))
        return false;
    if (set->threshold > 1)
        return err_set(err, ERR_REFUSED,
                       "%s: root %" PRIu64 " asks for %zu keys, musterd signs with one",
                       ring->setting, trust_version(trust), set->threshold);
    for (size_t i = 0; i < ring->count; i++)
        if (service_keys_named(trust, ring->role, ring->keys[i])) {
            *ret_used = i;
            return true;
        }
    id_of_first(set, id);
    return err_set(err, ERR_INVALID,
                   "%s: root %" PRIu64 " names key %s for this role, and none of the files named "
                   "here holds it: add the file that does, and start musterd again",
                   ring->setting, trust_version(trust), id);
}

bool service_keys_choose(struct service_keys *keys, const struct trust *trust, struct err *err)
{
    size_t director = 0, receipt = 0;
    if (!service_ring_choose(&keys->director, trust, &director, err) ||
        !service_ring_choose(&keys->receipt, trust, &receipt, err))
        return false;
    keys->director.used = director;
    keys->receipt.used = receipt;
    return true;
}

const struct sign_key *service_ring_key(const struct service_ring *ring)
{
    return ring->keys[ring->used];
}
