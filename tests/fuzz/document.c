/* SPDX-License-Identifier: Apache-2.0 */
/* A document's content: the first byte chooses the kind, the rest is what the terminal would
 * check before it applies it. What passes as a code profile must pass as a table too. */
#include "agent/validate.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    Muster__DocumentKind kind = (Muster__DocumentKind)(data[0] % 6);
    struct bytes content = bytes_of(data + 1, size - 1);
    struct err err = {0};
    if (!validate_document(kind, content, &err)) {
        HOLDS(err.code != ERR_NONE && err.text[0]);
        return 0;
    }
    HOLDS(kind != MUSTER__DOCUMENT_KIND__DOCUMENT_UNKNOWN && kind < 5);
    if (kind == MUSTER__DOCUMENT_KIND__DOCUMENT_CODE_PROFILE)
        HOLDS(validate_document(MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE, content, &err));
    return 0;
}
