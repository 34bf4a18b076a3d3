/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link_wants.h"

#include <string.h>

bool link_wants_has(const struct link_wants *wants, const uint8_t blob[32])
{
    for (size_t i = 0; i < wants->count; i++) {
        if (memcmp(wants->blobs[i], blob, 32) == 0) {
            return true;
        }
    }
    return false;
}

bool link_wants_add(struct link_wants *wants, const uint8_t blob[32], struct err *err)
{
    if (link_wants_has(wants, blob)) {
        return true;
    }
    if (wants->count == LIMIT_MANIFEST_ITEMS) {
        return err_set(err, ERR_FULL, "more than %d blobs wanted", LIMIT_MANIFEST_ITEMS);
    }
    memcpy(wants->blobs[wants->count++], blob, 32);
    return true;
}

void link_wants_diff(const struct link_wants *in, const struct link_wants *other,
                     void (*each)(void *ctx, const uint8_t blob[32]), void *ctx)
{
    for (size_t i = 0; i < in->count; i++) {
        if (!link_wants_has(other, in->blobs[i])) {
            each(ctx, in->blobs[i]);
        }
    }
}
