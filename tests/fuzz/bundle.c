/* SPDX-License-Identifier: Apache-2.0 */
/* A bundle as a technician's stick holds it. */
#include "agent/bundle_index.h"
#include "proto/seal.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define DEVICE "t-01"

/* Whatever was found is found again, and is what it is named after. */
static void check_index(const struct bundle_index *index)
{
    struct bytes content;
    uint8_t digest[32];
    for (size_t i = 0; i < index->blob_count; i++) {
        HOLDS(bundle_index_read(index, index->blobs[i].at, &content, NULL));
        HOLDS(content.length > 0 && content.length <= LIMIT_BLOB_BYTES);
        sha256(content, digest);
        HOLDS(memcmp(digest, index->blobs[i].sha256, sizeof digest) == 0);
        HOLDS(bundle_index_find(index, digest) == &index->blobs[i]);
        HOLDS(i == 0 || memcmp(index->blobs[i - 1].sha256, digest, sizeof digest) < 0);
    }
    for (size_t i = 0; i < index->root_count; i++) {
        HOLDS(i == 0 || index->roots[i - 1].version < index->roots[i].version);
        HOLDS(bundle_index_read(index, index->roots[i].at, &content, NULL));
        HOLDS(content.length <= LIMIT_ROOT_BYTES);
    }
    if (index->has_manifest) {
        HOLDS(index->device_count > 0);
        HOLDS(bundle_index_read(index, index->manifest_at, &content, NULL));
        HOLDS(content.length > 0 && content.length <= LIMIT_MANIFEST_BYTES);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bundle_index index;
    struct err err = {0};
    if (size == 0)
        return 0;
    FILE *file = fmemopen((void *)(uintptr_t)data, size, "rb");
    if (file == NULL)
        return 0;
    if (bundle_index_open(file, DEVICE, &index, &err)) {
        check_index(&index);
        bundle_index_close(&index);
    } else {
        HOLDS(err.code != ERR_NONE && err.text[0]);
    }
    (void)fclose(file);
    return 0;
}
