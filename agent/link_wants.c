/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link_wants.h"

#include <inttypes.h>
#include <string.h>

/* wants->count: it is not there. */
static size_t place_of(const struct link_wants *wants, const uint8_t blob[32])
{
    size_t i = 0;

    while (i < wants->count && memcmp(wants->blobs[i], blob, 32) != 0) {
        i++;
    }
    return i;
}

bool link_wants_has(const struct link_wants *wants, const uint8_t blob[32])
{
    return place_of(wants, blob) < wants->count;
}

bool link_wants_takes(const struct link_wants *wants, const uint8_t blob[32], size_t length,
                      struct err *err)
{
    size_t i = place_of(wants, blob);

    if (i == wants->count) {
        return err_set(err, ERR_REFUSED, "a blob that nobody wants");
    }
    return length == wants->sizes[i] ||
           err_set(err, ERR_REFUSED, "a blob of %zu bytes where %" PRIu64 " are wanted", length,
                   wants->sizes[i]);
}

bool link_wants_add(struct link_wants *wants, const uint8_t blob[32], uint64_t size,
                    struct err *err)
{
    if (size == 0 || size > LIMIT_BLOB_BYTES) {
        return err_set(err, ERR_INVALID, "a blob of %" PRIu64 " bytes, %d are the most", size,
                       (int)LIMIT_BLOB_BYTES);
    }
    if (link_wants_has(wants, blob)) {
        return true;
    }
    if (wants->count == LIMIT_MANIFEST_ITEMS) {
        return err_set(err, ERR_FULL, "more than %d blobs wanted", LIMIT_MANIFEST_ITEMS);
    }
    wants->sizes[wants->count] = size;
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
