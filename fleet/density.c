/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/density.h"

#include <stdlib.h>
#include <zstd.h>

enum {
    EVERY = 16, /* parts */
    QUICK = 1,
    WORTH_HUNDREDTHS = 97,
    LEAST_BYTES = 1024 * 1024, /* tried, before anything is said */
};

void density_add(struct density *density, struct bytes part)
{
    if (density->parts++ % EVERY != 0)
        return;
    const size_t bound = ZSTD_compressBound(part.length);
    void *room = malloc(bound);
    if (room == NULL)
        return; /* nothing is said of it */
    const size_t packed = ZSTD_compress(room, bound, part.data, part.length, QUICK);
    free(room);
    if (ZSTD_isError(packed))
        return;
    density->raw += part.length;
    density->packed += packed;
}

bool density_dense(const struct density *density)
{
    return density->raw >= LEAST_BYTES && density->packed >= density->raw / 100 * WORTH_HUNDREDTHS;
}
