/* SPDX-License-Identifier: Apache-2.0 */
/* The trust root is read before its signatures can be checked: it carries the keys. The operators'
 * command reads it before anybody has signed it, and must not lose anything of it. What documents'
 * signers carry about is read there too: nothing of it is believed but its form. */
#include "fleet/root_draft.h"
#include "fleet/signed_document.h"
#include "proto/limits.h"
#include "proto/trust.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void check_same(const struct root_draft *draft, const struct root_draft *again)
{
    HOLDS(draft->version == again->version && draft->epoch == again->epoch);
    HOLDS(draft->issued_ms == again->issued_ms);
    for (size_t role = 1; role < ROOT_ROLES; role++) {
        const struct root_role *a = &draft->roles[role], *b = &again->roles[role];
        HOLDS(a->count == b->count && (a->count == 0 || a->threshold == b->threshold));
        for (size_t i = 0; i < a->count; i++)
            HOLDS(bytes_equal(verify_key_spki(a->keys[i]), verify_key_spki(b->keys[i])));
    }
}

static void check_draft(struct bytes root)
{
    struct root_draft draft, again;
    struct buf packed = {0};
    struct err err = {0};
    if (!root_draft_read(root, &draft, &err)) {
        HOLDS(err.code != ERR_NONE);
        return;
    }
    HOLDS(root_draft_pack(&draft, &packed, NULL));
    HOLDS(root_draft_read(buf_bytes(&packed), &again, NULL));
    check_same(&draft, &again);
    if (root_draft_check(&draft, NULL))
        HOLDS(draft.roles[MUSTER__ROLE__ROLE_ROOT].count > 0);
    root_draft_done(&again);
    root_draft_done(&draft);
    buf_done(&packed);
}

static void check_signed(struct bytes file)
{
    struct signed_document document;
    struct err err = {0};
    if (!signed_document_parse(file, &document, &err)) {
        HOLDS(err.code != ERR_NONE);
        return;
    }
    uint8_t digest[32];
    bool is_sealed = document.header->scope == MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED;
    HOLDS(document.envelope.length <= LIMIT_DOCUMENT_HEADER_BYTES);
    HOLDS(document.header->name[0] != '\0' && document.header->sha256.len == sizeof digest);
    HOLDS(is_sealed == (document.sealed.length > 0));
    sha256(buf_bytes(&document.sealed), digest);
    HOLDS(!is_sealed || memcmp(digest, document.header->sha256.data, sizeof digest) == 0);
    signed_document_done(&document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trust *trust = NULL;
    struct err err = {0};
    check_draft(bytes_of(data, size));
    check_signed(bytes_of(data, size));
    if (!trust_open(bytes_of(data, size), &trust, &err)) {
        HOLDS(!trust && err.code != ERR_NONE);
        return 0;
    }
    HOLDS(trust_version(trust) > 0);
    HOLDS(trust_keys(trust, MUSTER__ROLE__ROLE_ROOT)->count > 0);
    trust_free(trust);
    return 0;
}
