/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/root_draft.h"

#include "proto/envelope.pb-c.h"
#include "proto/limits.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <string.h>

/* What fits into LIMIT_DOCUMENT_HEADER_BYTES beside the header itself. */
enum { HEADER_SIGNATURES = 8 };

static const char *const names[ROOT_ROLES] = {
    [MUSTER__ROLE__ROLE_UNKNOWN] = "",          [MUSTER__ROLE__ROLE_ROOT] = "root",
    [MUSTER__ROLE__ROLE_RELEASE] = "release",   [MUSTER__ROLE__ROLE_CUSTODIAN] = "custodian",
    [MUSTER__ROLE__ROLE_DIRECTOR] = "director", [MUSTER__ROLE__ROLE_RECEIPT] = "receipt",
};

const char *root_role_name(size_t role)
{
    return role < ROOT_ROLES ? names[role] : "";
}

bool root_role_of(const char *name, size_t *ret_role, struct err *err)
{
    for (size_t role = 1; role < ROOT_ROLES; role++) {
        if (strcmp(names[role], name) == 0) {
            *ret_role = role;
            return true;
        }
    }
    return err_set(err, ERR_INVALID,
                   "\"%.20s\" is not a role: expected root, release, custodian, director or "
                   "receipt",
                   name);
}

/* ---- keys of roles ---- */

static bool same_key(const struct verify_key *key, const uint8_t id[KEY_ID_BYTES])
{
    return memcmp(verify_key_id(key), id, KEY_ID_BYTES) == 0;
}

size_t root_draft_role_of(const struct root_draft *draft, const uint8_t id[KEY_ID_BYTES])
{
    for (size_t role = 1; role < ROOT_ROLES; role++)
        for (size_t i = 0; i < draft->roles[role].count; i++)
            if (same_key(draft->roles[role].keys[i], id))
                return role;
    return 0;
}

static bool add_spki(struct root_draft *draft, size_t role, struct bytes spki, struct err *err)
{
    struct root_role *keys = &draft->roles[role];
    if (keys->count == ENVELOPE_SIGNATURES)
        return err_set(err, ERR_INVALID, "%s: %d keys are the most", names[role],
                       ENVELOPE_SIGNATURES);
    if (!verify_key_of_spki(spki, &keys->keys[keys->count], err))
        return false;
    keys->count++;
    return true;
}

bool root_draft_add(struct root_draft *draft, size_t role, const struct verify_key *key,
                    struct err *err)
{
    size_t has = root_draft_role_of(draft, verify_key_id(key));
    if (has != 0)
        return err_set(err, ERR_CONFLICT,
                       "the key for %s is one of %s already: each role has keys of its own",
                       names[role], names[has]);
    return add_spki(draft, role, verify_key_spki(key), err);
}

bool root_draft_remove(struct root_draft *draft, size_t role, const uint8_t id[KEY_ID_BYTES],
                       struct err *err)
{
    struct root_role *keys = &draft->roles[role];
    for (size_t i = 0; i < keys->count; i++) {
        if (!same_key(keys->keys[i], id))
            continue;
        verify_key_free(keys->keys[i]);
        keys->count--;
        for (size_t j = i; j < keys->count; j++)
            keys->keys[j] = keys->keys[j + 1];
        return true;
    }
    char text[2 * KEY_ID_BYTES + 1];
    hex_encode(id, KEY_ID_BYTES, text);
    return err_set(err, ERR_NOT_FOUND, "root %" PRIu64 " has no key %s for %s", draft->version,
                   text, names[role]);
}

void root_draft_done(struct root_draft *draft)
{
    for (size_t role = 0; role < ROOT_ROLES; role++)
        for (size_t i = 0; i < draft->roles[role].count; i++)
            verify_key_free(draft->roles[role].keys[i]);
    memset(draft, 0, sizeof *draft);
}

/* ---- to and from bytes ---- */

static bool read_role(struct root_draft *draft, const Muster__RoleKeys *role, struct err *err)
{
    unsigned number = (unsigned)role->role;
    if (number == 0 || number >= ROOT_ROLES)
        return err_set(err, ERR_NEWER, "a role that this musterctl does not know (%u): update it",
                       number);
    if (draft->roles[number].threshold != 0 || draft->roles[number].count != 0)
        return err_set(err, ERR_INVALID, "%s twice", names[number]);
    draft->roles[number].threshold = role->threshold;
    for (size_t i = 0; i < role->n_keys; i++) {
        const Muster__PublicKey *key = role->keys[i];
        if (key->algorithm != MUSTER__KEY_ALGORITHM__KEY_ALGORITHM_ED25519)
            return err_set(err, ERR_NEWER,
                           "%s: a kind of key (%d) that this musterctl does not "
                           "know: update it",
                           names[number], (int)key->algorithm);
        if (!add_spki(draft, number, bytes_of(key->spki.data, key->spki.len), err))
            return err_context(err, "%s, key %zu", names[number], i + 1);
    }
    return true;
}

static bool read_body(struct bytes body, struct root_draft *draft, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_ROOT_BYTES};
    struct arena arena = {.limit_bytes = 512 * 1024};
    ProtobufCMessage *message = NULL;
    bool ok = unpack(&muster__root__descriptor, body, &limits, &arena, &message, err);
    const Muster__Root *root = (const Muster__Root *)message;
    if (ok) {
        draft->version = root->version;
        draft->epoch = root->epoch;
        draft->issued_ms = root->issued_ms;
        if (root->version == 0 || root->epoch == 0)
            ok = err_set(err, ERR_INVALID, "no version or no epoch");
    }
    for (size_t i = 0; ok && i < root->n_roles; i++)
        ok = read_role(draft, root->roles[i], err);
    arena_done(&arena);
    return ok;
}

bool root_draft_read(struct bytes envelope, struct root_draft *ret_draft, struct err *err)
{
    struct envelope read;
    struct root_draft draft = {0};
    if (envelope.length > LIMIT_ROOT_BYTES)
        return err_set(err, ERR_INVALID, "%zu bytes are no root: %d are the most", envelope.length,
                       LIMIT_ROOT_BYTES);
    if (!envelope_read_any(envelope, &read, err) || !read_body(read.body, &draft, err)) {
        root_draft_done(&draft);
        return err_context(err, "not a root");
    }
    *ret_draft = draft;
    return true;
}

/* A message of a root, with all that it points to. */
struct root_message {
    Muster__Root root;
    Muster__RoleKeys roles[ROOT_ROLES];
    Muster__RoleKeys *role_list[ROOT_ROLES];
    Muster__PublicKey keys[ROOT_ROLES][ENVELOPE_SIGNATURES];
    Muster__PublicKey *key_lists[ROOT_ROLES][ENVELOPE_SIGNATURES];
};

static void fill_role(struct root_message *message, const struct root_draft *draft, size_t role)
{
    const struct root_role *from = &draft->roles[role];
    Muster__RoleKeys *to = &message->roles[role];
    muster__role_keys__init(to);
    to->role = (Muster__Role)role;
    to->threshold = (uint32_t)from->threshold;
    to->n_keys = from->count;
    to->keys = message->key_lists[role];
    for (size_t i = 0; i < from->count; i++) {
        struct bytes spki = verify_key_spki(from->keys[i]);
        Muster__PublicKey *key = &message->keys[role][i];
        muster__public_key__init(key);
        key->algorithm = MUSTER__KEY_ALGORITHM__KEY_ALGORITHM_ED25519;
        key->spki = (ProtobufCBinaryData){spki.length, (uint8_t *)(uintptr_t)spki.data};
        message->key_lists[role][i] = key;
    }
    message->role_list[message->root.n_roles++] = to;
}

bool root_draft_pack(const struct root_draft *draft, struct buf *out, struct err *err)
{
    struct root_message message;
    Muster__Envelope envelope = MUSTER__ENVELOPE__INIT;
    struct buf body = {0};
    muster__root__init(&message.root);
    message.root.version = draft->version;
    message.root.epoch = draft->epoch;
    message.root.issued_ms = draft->issued_ms;
    message.root.roles = message.role_list;
    for (size_t role = 1; role < ROOT_ROLES; role++)
        if (draft->roles[role].count > 0)
            fill_role(&message, draft, role);
    bool ok = pack(&message.root.base, &body, err);
    envelope.body = (ProtobufCBinaryData){body.length, body.data};
    ok = ok && pack(&envelope.base, out, err);
    buf_done(&body);
    return ok;
}

/* ---- whether it will do ---- */

static bool check_role(const struct root_draft *draft, size_t role, struct err *err)
{
    const struct root_role *keys = &draft->roles[role];
    bool is_online = role == MUSTER__ROLE__ROLE_DIRECTOR || role == MUSTER__ROLE__ROLE_RECEIPT;
    if (keys->count == 0 && role == MUSTER__ROLE__ROLE_CUSTODIAN)
        return true; /* a fleet without key blocks */
    if (keys->threshold == 0 || keys->threshold > keys->count)
        return err_set(err, ERR_INVALID,
                       "%s: %zu must sign and it has %zu keys; add one, or change the threshold",
                       names[role], keys->threshold, keys->count);
    if (is_online && keys->threshold != 1)
        return err_set(err, ERR_INVALID,
                       "%s: musterd signs with one key, so its threshold is 1, not %zu",
                       names[role], keys->threshold);
    if (role != MUSTER__ROLE__ROLE_ROOT && keys->threshold > HEADER_SIGNATURES)
        return err_set(err, ERR_INVALID,
                       "%s: a document has room for %d signatures, so its threshold is not %zu",
                       names[role], HEADER_SIGNATURES, keys->threshold);
    for (size_t i = 0; i < keys->count; i++) {
        size_t first = root_draft_role_of(draft, verify_key_id(keys->keys[i]));
        for (size_t j = 0; j < i; j++)
            if (same_key(keys->keys[j], verify_key_id(keys->keys[i])))
                first = 0;
        if (first != role)
            return err_set(err, ERR_INVALID, "%s: its key %zu is listed before: each key once",
                           names[role], i + 1);
    }
    return true;
}

bool root_draft_check(const struct root_draft *draft, struct err *err)
{
    for (size_t role = 1; role < ROOT_ROLES; role++)
        if (!check_role(draft, role, err))
            return err_context(err, "root %" PRIu64, draft->version);
    return true;
}

bool root_draft_follows(const struct root_draft *draft, const struct root_draft *previous,
                        struct err *err)
{
    if (draft->version != previous->version + 1)
        return err_set(err, ERR_CONFLICT,
                       "root %" PRIu64 " does not follow %" PRIu64 ": versions have no gaps",
                       draft->version, previous->version);
    if (draft->epoch != previous->epoch && draft->epoch != previous->epoch + 1)
        return err_set(err, ERR_CONFLICT, "epoch %" PRIu64 " does not follow %" PRIu64,
                       draft->epoch, previous->epoch);
    return draft->issued_ms >= previous->issued_ms ||
           err_set(err, ERR_CONFLICT,
                   "root %" PRIu64 " says that it is older than root %" PRIu64
                   ": was a clock wrong when one of them was made?",
                   draft->version, previous->version);
}
