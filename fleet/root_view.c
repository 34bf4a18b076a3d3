/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/root_view.h"

#include "base/file.h"
#include "proto/envelope.pb-c.h"
#include "proto/limits.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <string.h>

static const struct root_role *root_keys(const struct root_draft *draft)
{
    return &draft->roles[MUSTER__ROLE__ROLE_ROOT];
}

bool root_view_signed_by(const struct root_view *view, const struct verify_key *key)
{
    return sealed_by("root", "", buf_bytes(&view->envelope), key);
}

/* ---- reading ---- */

static const struct verify_key *find_root_key(const struct root_draft *draft, struct bytes id)
{
    const struct root_role *keys = root_keys(draft);
    for (size_t i = 0; i < keys->count; i++)
        if (bytes_equal(id, bytes_of(verify_key_id(keys->keys[i]), KEY_ID_BYTES)))
            return keys->keys[i];
    return NULL;
}

/* A root that was changed after somebody signed it must not gather the others' signatures. */
static bool check_signatures(const struct root_view *view, struct err *err)
{
    struct envelope envelope;
    if (!envelope_read_any(buf_bytes(&view->envelope), &envelope, err))
        return false;
    for (size_t i = 0; i < envelope.signature_count; i++) {
        struct bytes id = envelope.signatures[i].key_id;
        char text[2 * KEY_ID_BYTES + 1] = "";
        hex_encode(id.data, id.length, text);
        const struct verify_key *key = find_root_key(&view->draft, id);
        if (key == NULL && view->has_previous)
            key = find_root_key(&view->previous, id);
        if (key == NULL && (view->has_previous || view->draft.version == 1))
            return err_set(err, ERR_REFUSED,
                           "it is signed by %s, which is no root key: it was changed since, or the "
                           "key is not one for this",
                           text);
        if (key != NULL && !root_view_signed_by(view, key))
            return err_set(err, ERR_REFUSED, "it was changed since %s signed it", text);
    }
    return true;
}

/* A root in force, whose own keepers must have agreed on it. */
static bool read_in_force(const char *path, struct buf *envelope, struct root_draft *draft,
                          struct err *err)
{
    struct trust *trust = NULL;
    if (!file_read(path, LIMIT_ROOT_BYTES, envelope, err))
        return false;
    bool ok = trust_open(buf_bytes(envelope), &trust, err) &&
              root_draft_read(buf_bytes(envelope), draft, err);
    trust_free(trust);
    return ok || err_context(err, "%s", path);
}

bool root_view_read(struct root_view *view, const char *path, const char *previous, struct err *err)
{
    struct root_view read = {.has_previous = previous != NULL};
    bool ok =
        previous == NULL || read_in_force(previous, &read.previous_envelope, &read.previous, err);
    ok = ok && file_read(path, LIMIT_ROOT_BYTES, &read.envelope, err);
    if (ok) {
        ok = root_draft_read(buf_bytes(&read.envelope), &read.draft, err) &&
             root_draft_check(&read.draft, err) &&
             (previous == NULL || root_draft_follows(&read.draft, &read.previous, err)) &&
             check_signatures(&read, err);
        if (!ok)
            (void)err_context(err, "%s", path);
    }
    if (!ok) {
        root_view_done(&read);
        return false;
    }
    *view = read;
    return true;
}

bool root_view_next(struct root_view *view, const char *path, int64_t now_ms, struct err *err)
{
    struct root_view next = {.has_previous = true};
    if (!read_in_force(path, &next.previous_envelope, &next.previous, err) ||
        !root_draft_read(buf_bytes(&next.previous_envelope), &next.draft, err)) {
        root_view_done(&next);
        return false;
    }
    next.draft.version++;
    next.draft.issued_ms = now_ms;
    *view = next;
    return true;
}

bool root_view_pack(struct root_view *view, struct err *err)
{
    buf_clear(&view->envelope);
    return root_draft_pack(&view->draft, &view->envelope, err);
}

static bool has_signature(const struct envelope *envelope, struct bytes key_id)
{
    for (size_t i = 0; i < envelope->signature_count; i++)
        if (bytes_equal(envelope->signatures[i].key_id, key_id))
            return true;
    return false;
}

static ProtobufCBinaryData binary(struct bytes bytes)
{
    return (ProtobufCBinaryData){bytes.length, (uint8_t *)(uintptr_t)bytes.data};
}

bool root_view_merge(struct root_view *view, const struct root_view *copy, struct err *err)
{
    struct envelope all, more;
    if (!envelope_read_any(buf_bytes(&view->envelope), &all, err) ||
        !envelope_read_any(buf_bytes(&copy->envelope), &more, err))
        return false;
    if (!bytes_equal(all.body, more.body))
        return err_set(err, ERR_CONFLICT, "it is another root, not a copy of the same one");
    for (size_t i = 0; i < more.signature_count; i++) {
        if (has_signature(&all, more.signatures[i].key_id))
            continue;
        if (all.signature_count == ENVELOPE_SIGNATURES)
            return err_set(err, ERR_INVALID, "more than %d signatures", ENVELOPE_SIGNATURES);
        all.signatures[all.signature_count++] = more.signatures[i];
    }
    Muster__Envelope envelope = MUSTER__ENVELOPE__INIT;
    Muster__Signature signatures[ENVELOPE_SIGNATURES];
    Muster__Signature *list[ENVELOPE_SIGNATURES];
    struct buf merged = {0};
    for (size_t i = 0; i < all.signature_count; i++) {
        muster__signature__init(&signatures[i]);
        signatures[i].key_id = binary(all.signatures[i].key_id);
        signatures[i].signature = binary(all.signatures[i].signature);
        list[i] = &signatures[i];
    }
    envelope.body = binary(all.body);
    envelope.n_signatures = all.signature_count;
    envelope.signatures = list;
    bool ok = pack(&envelope.base, &merged, err);
    buf_done(&view->envelope);
    view->envelope = merged;
    return ok;
}

void root_view_done(struct root_view *view)
{
    root_draft_done(&view->draft);
    root_draft_done(&view->previous);
    buf_done(&view->envelope);
    buf_done(&view->previous_envelope);
    memset(view, 0, sizeof *view);
}

bool root_view_complete(const struct root_view *view, struct err *err)
{
    struct trust *trust = NULL;
    if (!trust_open(buf_bytes(view->has_previous ? &view->previous_envelope : &view->envelope),
                    &trust, err))
        return false;
    bool ok = !view->has_previous || trust_advance(trust, buf_bytes(&view->envelope), err);
    trust_free(trust);
    return ok;
}

bool root_key_path(char path[ROOT_PATH_BYTES], const char *dir, size_t role, size_t index,
                   struct err *err)
{
    char name[48];
    if (index == 0)
        (void)snprintf(name, sizeof name, "%s.pem", root_role_name(role));
    else
        (void)snprintf(name, sizeof name, "%s-%zu.pem", root_role_name(role), index + 1);
    return path_join(path, ROOT_PATH_BYTES, dir, name, err);
}
