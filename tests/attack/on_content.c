/* SPDX-License-Identifier: Apache-2.0 */
/* What a broker or a mirror does to content, and what a thief's manifest says of it. */
#include "proto/limits.h"
#include "tests/attack/strike.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/* ---- on the way ---- */

static void flip(struct strike *strike, struct buf *blob)
{
    (void)strike;
    blob->data[blob->length / 2] ^= 0x10;
}

static void flip_last(struct strike *strike, struct buf *blob)
{
    (void)strike;
    blob->data[blob->length - 1] ^= 1;
}

static void cut(struct strike *strike, struct buf *blob)
{
    (void)strike;
    blob->length--;
}

static void empty(struct strike *strike, struct buf *blob)
{
    (void)strike;
    blob->length = 0;
}

static void longer(struct strike *strike, struct buf *blob)
{
    (void)strike;
    must(buf_append(blob, "\0", 1, NULL), "memory", NULL);
}

static void endless(struct strike *strike, struct buf *blob)
{
    static const uint8_t more[65536];
    (void)strike;
    while (blob->length <= LIMIT_BLOB_BYTES)
        must(buf_append(blob, more, sizeof more, NULL), "memory", NULL);
}

/* Another document's, or an older one's, under the name of the one that is wanted. */
static void instead(struct strike *strike, struct buf *blob, size_t document, uint64_t version)
{
    buf_clear(blob);
    fleet_pack(&strike->fleet, document_content(document, version), blob);
}

static void older(struct strike *strike, struct buf *blob)
{
    size_t length = blob->length;
    instead(strike, blob, DOCUMENT_BIN, 1);
    /* As long as the right one: only its hash tells. */
    while (blob->length < length)
        must(buf_append(blob, "\0", 1, NULL), "memory", NULL);
    blob->length = length;
}

static void of_another(struct strike *strike, struct buf *blob)
{
    instead(strike, blob, DOCUMENT_LIMITS, 2);
}

static void unasked(struct strike *strike, struct buf *blob)
{
    instead(strike, blob, DOCUMENT_LIMITS, 1);
    buf_clear(&strike->scratch);
    uint8_t digest[32];
    sha256(buf_bytes(blob), digest);
    must(buf_append(&strike->scratch, digest, sizeof digest, NULL), "memory", NULL);
}

/* ---- what a manifest says ---- */

static void names(struct strike *strike, const void *blob, size_t length)
{
    struct item *item = &strike->draft.items[DOCUMENT_EXTRA];
    strike->draft.forged = true;
    buf_clear(&strike->scratch);
    must(buf_append(&strike->scratch, blob, length, NULL), "memory", NULL);
    item->blob = buf_bytes(&strike->scratch);
}

static void packed(struct strike *strike, struct bytes content)
{
    struct buf blob = {0};
    fleet_pack(&strike->fleet, content, &blob);
    names(strike, blob.data, blob.length);
    buf_done(&blob);
}

static void same_length(struct strike *strike)
{
    char content[256];
    struct bytes right = strike->draft.items[DOCUMENT_EXTRA].document.content;
    must(right.length <= sizeof content, "too long", NULL);
    memset(content, 'x', sizeof content);
    packed(strike, bytes_of(content, right.length));
}

static void older_version(struct strike *strike)
{
    packed(strike, document_content(DOCUMENT_EXTRA, 1));
}

static void of_another_document(struct strike *strike)
{
    packed(strike, document_content(DOCUMENT_BIN, 4));
}

static void no_frame(struct strike *strike)
{
    names(strike, "this is no frame of zstd's", 26);
}

static void half_a_frame(struct strike *strike)
{
    struct buf blob = {0};
    fleet_pack(&strike->fleet, strike->draft.items[DOCUMENT_EXTRA].document.content, &blob);
    names(strike, blob.data, blob.length - 4);
    buf_done(&blob);
}

/* A few KiB that unfold to 8 MiB. */
static void bomb(struct strike *strike)
{
    size_t length = 8 * 1024 * 1024;
    uint8_t *zeros = calloc(1, length);
    must(zeros != NULL, "memory", NULL);
    packed(strike, bytes_of(zeros, length));
    free(zeros);
}

/* The same, and its frame does not say so. */
static void silent_bomb(struct strike *strike)
{
    static uint8_t out[65536];
    size_t length = 4 * 1024 * 1024;
    uint8_t *zeros = calloc(1, length);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    must(zeros != NULL && context != NULL, "memory", NULL);
    must(!ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0)), "zstd", NULL);
    size_t made = ZSTD_compress2(context, out, sizeof out, zeros, length);
    must(!ZSTD_isError(made), "zstd", NULL);
    names(strike, out, made);
    ZSTD_freeCCtx(context);
    free(zeros);
}

static void swapped(struct strike *strike)
{
    packed(strike, strike->draft.items[DOCUMENT_BIN].document.content);
    strike->draft.items[DOCUMENT_EXTRA].mode = MUSTER__ASSIGN_MODE__MODE_REPAIR;
}

static void too_large(struct strike *strike)
{
    strike->draft.forged = true;
    strike->draft.items[DOCUMENT_EXTRA].size = LIMIT_BLOB_BYTES + 1;
}

/* Release signed it, and it is not what its kind should be. */
static void not_a_table(struct strike *strike)
{
    static const char ragged[] = "prefix\tissuer\n62\n";
    struct item *item = &strike->draft.items[DOCUMENT_BIN];
    strike->draft.forged = true;
    item->forged = true;
    item->document.version = 5;
    item->document.content = bytes_of(ragged, sizeof ragged - 1);
}

#define BLOB .message = MESSAGE_BLOB
#define DIRECTOR .message = MESSAGE_MANIFEST, .needs = NEED_DIRECTOR
#define WHY(reason_name) .reason = MUSTER__REFUSAL__REFUSAL_##reason_name

static const struct variant list[] = {
    {ATTACK_MIRROR, "one bit", BLOB, .spoil = flip, WHY(BLOB_HASH)},
    {ATTACK_MIRROR, "last bit", BLOB, .spoil = flip_last, WHY(BLOB_HASH)},
    {ATTACK_PARTIAL, "blob cut", BLOB, .spoil = cut, WHY(BLOB_SIZE)},
    {ATTACK_DROP, "blob emptied", BLOB, .spoil = empty, WHY(BLOB_SIZE)},
    {ATTACK_SLOW, "one byte more", BLOB, .spoil = longer, WHY(BLOB_SIZE)},
    {ATTACK_ENDLESS, "blob", BLOB, .spoil = endless, WHY(BLOB_SIZE)},
    {ATTACK_ROLLBACK, "an older blob", BLOB, .spoil = older, WHY(BLOB_HASH)},
    {ATTACK_MIX, "another blob", BLOB, .spoil = of_another, WHY(BLOB_SIZE)},
    {ATTACK_EXTRANEOUS, "a blob unasked", BLOB, .spoil = unasked, WHY(BLOB_UNWANTED)},
    {ATTACK_ARBITRARY, "content of the same length", DIRECTOR, .mutate = same_length, .late = true,
     WHY(CONTENT_HASH)},
    {ATTACK_ROLLBACK, "older content under the header", DIRECTOR, .mutate = older_version,
     .late = true, WHY(CONTENT_LENGTH)},
    {ATTACK_MIX, "content of another document", DIRECTOR, .mutate = of_another_document,
     .late = true, WHY(CONTENT_LENGTH)},
    {ATTACK_MIXED_BUNDLES, "two contents exchanged", DIRECTOR, .mutate = swapped, .late = true,
     WHY(CONTENT_LENGTH)},
    {ATTACK_MIRROR, "no frame", DIRECTOR, .mutate = no_frame, .late = true, WHY(CONTENT_FORM)},
    {ATTACK_PARTIAL, "half a frame", DIRECTOR, .mutate = half_a_frame, .late = true,
     WHY(CONTENT_FORM)},
    {ATTACK_ENDLESS, "a frame that swells", DIRECTOR, .mutate = bomb, .late = true,
     WHY(CONTENT_LENGTH)},
    {ATTACK_ENDLESS, "a frame that does not say", DIRECTOR, .mutate = silent_bomb, .late = true,
     WHY(CONTENT_LENGTH)},
    {ATTACK_ENDLESS, "a blob too large", DIRECTOR, .mutate = too_large, WHY(DOCUMENT_ENCODING)},
    {ATTACK_WRONG, "not a table", .needs = NEED_DIRECTOR | NEED_RELEASE, .mutate = not_a_table,
     .late = true, WHY(CONTENT_CHECK)},
};

const struct variants attacks_on_content = {list, sizeof list / sizeof list[0]};
