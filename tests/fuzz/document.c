/* SPDX-License-Identifier: Apache-2.0 */
/* A document's content: the first byte chooses the kind, the rest is what the terminal would
 * check before it applies it. What passes as a code profile, AIDs or CA keys must
 * pass as a table too. */
#include "agent/suspect.h"
#include "proto/validate.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/* What it makes suspect; a code that was taken in is found again. */
static void try_profile(struct bytes content)
{
    static struct suspect_profile profile;
    struct err err = {0};
    memset(&profile, 0, sizeof profile);
    bool whole = suspect_profile_add(&profile, content, &err);
    HOLDS(whole || err.code == ERR_INVALID || err.code == ERR_FULL);
    HOLDS(profile.count <= SUSPECT_CODES);
    for (size_t i = 0; i < profile.count; i++) {
        struct suspect_code *code = &profile.codes[i];
        Muster__TxnResult txn = MUSTER__TXN_RESULT__INIT;
        HOLDS(memchr(code->code, 0, sizeof code->code) && code->group != SUSPECT_NOT);
        txn.outcome = MUSTER__OUTCOME__OUTCOME_DECLINED;
        txn.code = code->code;
        txn.acquirer = code->acquirer;
        enum suspect why = suspect_of(&profile, &txn);
        HOLDS(code->code[0] == 0 || why != SUSPECT_NOT);
        HOLDS(suspect_words(why));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    Muster__DocumentKind kind = (Muster__DocumentKind)(data[0] % 11);
    struct bytes content = bytes_of(data + 1, size - 1);
    struct err err = {0};
    if (kind == MUSTER__DOCUMENT_KIND__DOCUMENT_CODE_PROFILE)
        try_profile(content);
    if (!validate_document(kind, content, &err)) {
        HOLDS(err.code != ERR_NONE && err.text[0]);
        return 0;
    }
    HOLDS(strcmp(validate_kind_name(kind), "unknown") != 0);
    if (kind == MUSTER__DOCUMENT_KIND__DOCUMENT_CODE_PROFILE ||
        kind == MUSTER__DOCUMENT_KIND__DOCUMENT_AID_LIST ||
        kind == MUSTER__DOCUMENT_KIND__DOCUMENT_CA_KEYS)
        HOLDS(validate_document(MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE, content, &err));
    return 0;
}
