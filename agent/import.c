/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/import.h"

#include "proto/limits.h"
#include "proto/refusal.h"

#include <inttypes.h>

/* 0: no such part. */
static uint64_t limit_of(Muster__ImportKind kind)
{
    switch (kind) {
    case MUSTER__IMPORT_KIND__IMPORT_ROOT:
        return LIMIT_ROOT_BYTES;
    case MUSTER__IMPORT_KIND__IMPORT_MANIFEST:
        return LIMIT_MANIFEST_BYTES;
    case MUSTER__IMPORT_KIND__IMPORT_BLOB:
        return LIMIT_BLOB_BYTES;
    default:
        return 0;
    }
}

static bool begin(struct import *import, const Muster__ImportQuery *query, struct err *err)
{
    uint64_t limit = limit_of(query->kind);
    if (limit == 0)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_MALFORMED, ERR_INVALID,
                      "kind %d is no part of a bundle that this version knows", (int)query->kind);
    if (query->size == 0 || query->size > limit)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_TOO_LARGE, ERR_INVALID,
                      "a part of %" PRIu64 " bytes, 1 to %" PRIu64 " are allowed", query->size,
                      limit);
    import->kind = query->kind;
    import->size = query->size;
    import->part.limit = query->size;
    return true;
}

static bool add(struct import *import, const Muster__ImportQuery *query, struct err *err)
{
    if (query->kind != import->kind || query->size != import->size ||
        query->offset != import->part.length)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_MALFORMED, ERR_INVALID,
                      "byte %" PRIu64 " of a part where byte %zu was due: begin it anew",
                      query->offset, import->part.length);
    if (query->data.len == 0 || query->data.len > import->size - import->part.length)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_MALFORMED, ERR_INVALID,
                      "%zu bytes at byte %" PRIu64 " of a part of %" PRIu64, query->data.len,
                      query->offset, query->size);
    return buf_append(&import->part, query->data.data, query->data.len, err);
}

bool import_add(struct import *import, const Muster__ImportQuery *query, bool *ret_whole,
                struct err *err)
{
    if (query->offset == 0)
        import_end(import);
    if ((query->offset == 0 && !begin(import, query, err)) || !add(import, query, err)) {
        import_end(import);
        return false;
    }
    *ret_whole = import->part.length == import->size;
    return true;
}

void import_end(struct import *import)
{
    buf_done(&import->part);
    *import = (struct import){0};
}
