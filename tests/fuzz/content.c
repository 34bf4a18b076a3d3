/* SPDX-License-Identifier: Apache-2.0 */
/* A blob as it is uploaded to the fleet and as a terminal unfolds it. What the fleet takes every
 * terminal must be able to make, and nobody makes more than the signed header says. The first
 * bytes say how far the header is off the truth. */
#include "fleet/content.h"
#include "agent/registrar_internal.h"
#include "tests/fuzz/world.h"

#include <string.h>
#include <zstd.h>

enum { UNFOLDED_MAX = 1 << 20 };

/* What zstd itself makes of it, as far as that fits. */
static size_t unfold(struct bytes blob, uint8_t *out)
{
    size_t made = ZSTD_decompress(out, UNFOLDED_MAX, blob.data, blob.length);
    return ZSTD_isError(made) ? 0 : made;
}

static bool make(const struct registry_item *item, struct bytes blob, struct buf *ret_content)
{
    struct registry *registry = NULL;
    char floors[FUZZ_PATH_BYTES];
    const char *dir = fuzz_dir();
    fuzz_path("second", floors);
    struct err err = {0};
    HOLDS(registry_open(dir, floors, sha256, &registry, NULL));
    HOLDS(registry_blob_write(registry, item->blob, blob, NULL));
    enum content_outcome outcome = content_make(registry, "", item, ret_content, &err);
    HOLDS(outcome == CONTENT_MADE || outcome == CONTENT_REFUSED);
    HOLDS(outcome == CONTENT_MADE || (err.code == ERR_INVALID && !ret_content->data));
    registry_close(registry);
    return outcome == CONTENT_MADE;
}

static void try_blob(struct bytes blob, uint8_t how)
{
    static uint8_t out[UNFOLDED_MAX];
    struct registry_item item = {.name = "aid.tsv", .blob_size = blob.length};
    struct buf content = {0};
    size_t made = unfold(blob, out);
    item.length = made + (how >> 4 & 3);
    sha256(bytes_of(out, made), item.sha256);
    if (how & 0x80)
        item.sha256[how & 15] ^= 1;
    sha256(blob, item.blob);
    bool verified = content_verify(blob, item.length, item.sha256, NULL);
    bool taken = make(&item, blob, &content);
    HOLDS(taken || !verified);
    if (taken) {
        HOLDS(bytes_equal(buf_bytes(&content), bytes_of(out, made)));
        HOLDS(item.length == made && !(how & 0x80));
    }
    buf_done(&content);
}

/* Bytes as content: encoded by the fleet, they arrive as they were. */
static void go_round(struct bytes in)
{
    struct buf blob = {0}, content = {0};
    struct registry_item item = {.name = "aid.tsv", .length = in.length};
    if (!content_check(MUSTER__DOCUMENT_KIND__DOCUMENT_FILE, in, NULL))
        return;
    HOLDS(content_encode(in, &blob, NULL));
    sha256(in, item.sha256);
    sha256(buf_bytes(&blob), item.blob);
    HOLDS(content_verify(buf_bytes(&blob), in.length, item.sha256, NULL));
    HOLDS(make(&item, buf_bytes(&blob), &content));
    HOLDS(bytes_equal(buf_bytes(&content), in));
    buf_done(&blob);
    buf_done(&content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    if (size < 2)
        return 0;
    uint8_t how = fuzz_byte(&in);
    if (how == 0x40)
        go_round(in);
    else
        try_blob(in, how);
    return 0;
}
