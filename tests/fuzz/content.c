/* SPDX-License-Identifier: Apache-2.0 */
/* A blob as it is uploaded to the fleet and as a terminal unfolds it. What the fleet takes every
 * terminal must be able to make, and nobody makes more than the signed header says. The first
 * bytes say how far the header is off the truth. */
#include "fleet/content.h"
#include "agent/registrar_internal.h"
#include "agent/unfold.h"
#include "tests/fuzz/world.h"

#include <string.h>
#include <zstd.h>

enum { UNFOLDED_MAX = 1 << 20 };

/* What zstd itself makes of it, as far as that fits. */
static size_t zstd_makes(struct bytes blob, uint8_t *out)
{
    size_t made = ZSTD_decompress(out, UNFOLDED_MAX, blob.data, blob.length);
    return ZSTD_isError(made) ? 0 : made;
}

static bool make(const struct registry_item *item, struct bytes blob, struct buf *ret_content)
{
    struct content_source source = {.present = true, .last = true};
    struct blob_set lost = {0};
    struct buf copy = {0};
    struct registry *registry = NULL;
    char floors[FUZZ_PATH_BYTES];
    const char *dir = fuzz_dir();
    fuzz_path("second", floors);
    struct err err = {0};
    HOLDS(registry_open(dir, floors, sha256, &registry, NULL));
    HOLDS(registry_blob_write(registry, item->blob, blob, NULL));
    source.way.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD;
    source.way.size = item->blob_size;
    memcpy(source.way.blob, item->blob, sizeof item->blob);
    const struct content_job job = {
        .registry = registry, .sealing_key = "", .item = item, .source = &source, .lost = &lost};
    enum content_outcome outcome = content_make(&job, ret_content, &copy, &err);
    HOLDS(copy.length == 0 && lost.count == 0); /* it can be kept as it came */
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
    size_t made = zstd_makes(blob, out);
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

/* What unfolds in parts comes out as in one, and never as more than the header says. */
static bool part_take(void *ctx, struct bytes part, struct err *err)
{
    return buf_append(ctx, part.data, part.length, err);
}

static void try_parts(struct bytes in)
{
    const uint64_t length = (uint64_t)fuzz_byte(&in) << 4;
    const size_t step = 1U + fuzz_byte(&in);
    struct buf whole = {0}, parts = {.limit = length};
    struct unfolding *unfolding;
    bool taken = unfold(in, bytes_of(NULL, 0), length, &whole, NULL);
    HOLDS(unfolding_begin(length, part_take, &parts, &unfolding, NULL));
    bool good = true;
    for (size_t at = 0; good && at < in.length; at += step)
        good = unfolding_add(
            unfolding, bytes_of(in.data + at, step < in.length - at ? step : in.length - at), NULL);
    good = good && unfolding_end(unfolding, NULL);
    unfolding_free(unfolding);
    HOLDS(taken || !good); /* in parts, a window may be too large */
    HOLDS(!good || bytes_equal(buf_bytes(&whole), buf_bytes(&parts)));
    buf_done(&whole);
    buf_done(&parts);
}

/* A delta from foreign bytes, which start with their base. */
static void try_delta(struct bytes in)
{
    const uint64_t length = (uint64_t)fuzz_byte(&in) << 4;
    size_t base = fuzz_byte(&in);
    struct buf content = {0};
    struct err err = {0};
    base = base < in.length ? base : in.length;
    if (unfold(bytes_of(in.data + base, in.length - base), bytes_of(in.data, base), length,
               &content, &err))
        HOLDS(content.length == length);
    else
        HOLDS(err.code == ERR_INVALID && content.data == NULL);
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
    else if (how == 0x41)
        try_parts(in);
    else if (how == 0x42)
        try_delta(in);
    else
        try_blob(in, how);
    return 0;
}
