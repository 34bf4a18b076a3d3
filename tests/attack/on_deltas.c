/* SPDX-License-Identifier: Apache-2.0 */
/* What a thief's manifest says of the way to content that release signed: deltas, and what the
 * manifest carries itself. */
#include "proto/limits.h"
#include "tests/attack/strike.h"

#include <stdlib.h>
#include <string.h>

/* Of these every stage holds the first, in the generation in force or in the one before. */
enum { HELD = 1, NEWEST = 3 };

static struct bytes extra(uint64_t version)
{
    return document_content(DOCUMENT_EXTRA, version);
}

/* ---- deltas ---- */

/* One frame that claims to start from what is held. */
static void delta(struct strike *strike, struct bytes frame)
{
    static uint8_t base[32];
    Muster__Encoding *to = strike_encoding(strike, MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA);
    sha256(extra(HELD), base);
    to->base_sha256 = (ProtobufCBinaryData){.data = base, .len = sizeof base};
    to->blob = strike_publish(strike, frame);
    to->size = frame.length;
    strike->draft.items[DOCUMENT_EXTRA].beside = true;
}

static void delta_between(struct strike *strike, struct bytes from, struct bytes to)
{
    struct buf frame = {0};
    fleet_delta(&strike->fleet, from, to, &frame);
    delta(strike, buf_bytes(&frame));
    buf_done(&frame);
}

/* Somewhat longer than the one that is held, so that all lies elsewhere in it. */
static void from_another_base(struct strike *strike)
{
    struct buf base = {0};
    must(buf_append(&base, extra(HELD).data, extra(HELD).length, NULL) &&
             buf_append(&base, "and more", 8, NULL),
         "memory", NULL);
    delta_between(strike, buf_bytes(&base), extra(NEWEST));
    buf_done(&base);
}

static void to_an_older_result(struct strike *strike)
{
    delta_between(strike, extra(HELD), extra(HELD + 1));
}

/* As long as the right one. */
static void to_another_result(struct strike *strike)
{
    char content[256];
    struct bytes right = extra(NEWEST);
    must(right.length <= sizeof content, "too long", NULL);
    memcpy(content, right.data, right.length);
    content[10] ^= 1;
    delta_between(strike, extra(HELD), bytes_of(content, right.length));
}

static void delta_that_swells(struct strike *strike)
{
    size_t length = 512 * 1024; /* and still the cheapest way */
    uint8_t *zeros = calloc(1, length);
    must(zeros != NULL, "memory", NULL);
    delta_between(strike, extra(HELD), bytes_of(zeros, length));
    free(zeros);
}

static void no_delta(struct strike *strike)
{
    static const char nothing[] = "this is no frame of zstd's";
    delta(strike, bytes_of(nothing, sizeof nothing - 1));
}

static void delta_cut(struct strike *strike)
{
    struct buf frame = {0};
    fleet_delta(&strike->fleet, extra(HELD), extra(NEWEST), &frame);
    delta(strike, bytes_of(frame.data, frame.length - 3));
    buf_done(&frame);
}

/* Nobody can start from nothing with that. */
static void delta_alone(struct strike *strike)
{
    delta_between(strike, extra(HELD), extra(NEWEST));
    strike->draft.items[DOCUMENT_EXTRA].beside = false;
}

static void base_without_a_name(struct strike *strike)
{
    delta_between(strike, extra(HELD), extra(NEWEST));
    strike->encoding.base_sha256.len = 16;
}

static void whole_with_a_base(struct strike *strike)
{
    delta_between(strike, extra(HELD), extra(NEWEST));
    strike->encoding.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD;
}

static void delta_of_a_secret(struct strike *strike)
{
    delta_between(strike, extra(HELD), extra(NEWEST));
    strike->draft.items[DOCUMENT_EXTRA].encoding = NULL;
    strike->draft.items[DOCUMENT_EXTRA].beside = false;
    strike->draft.items[DOCUMENT_WIFI].encoding = &strike->encoding;
    strike->draft.items[DOCUMENT_WIFI].beside = true;
}

/* ---- what the manifest carries ---- */

/* The strike keeps what it points to. */
static void keep(struct strike *strike, const void *bytes, size_t length)
{
    buf_clear(&strike->scratch);
    must(buf_append(&strike->scratch, bytes, length, NULL), "memory", NULL);
}

static void inlined(struct strike *strike, struct bytes content)
{
    static uint8_t digest[32];
    Muster__Encoding *to;
    struct buf frame = {0};
    fleet_pack(&strike->fleet, content, &frame);
    keep(strike, frame.data, frame.length);
    buf_done(&frame);
    to = strike_encoding(strike, MUSTER__CONTENT_CODING__CONTENT_ZSTD);
    sha256(buf_bytes(&strike->scratch), digest);
    to->blob = (ProtobufCBinaryData){.data = digest, .len = sizeof digest};
    to->size = strike->scratch.length;
    to->data = (ProtobufCBinaryData){.data = strike->scratch.data, .len = strike->scratch.length};
}

static void inlined_older(struct strike *strike)
{
    inlined(strike, extra(HELD));
}

static void inlined_other(struct strike *strike)
{
    char content[256];
    struct bytes right = extra(NEWEST);
    memset(content, 'x', sizeof content);
    inlined(strike, bytes_of(content, right.length));
}

static void inlined_that_swells(struct strike *strike)
{
    size_t length = 1024 * 1024;
    uint8_t *zeros = calloc(1, length);
    must(zeros != NULL, "memory", NULL);
    inlined(strike, bytes_of(zeros, length));
    free(zeros);
}

static void inlined_longer(struct strike *strike)
{
    inlined(strike, extra(NEWEST));
    strike->encoding.size--;
}

static void inlined_shorter(struct strike *strike)
{
    inlined(strike, extra(NEWEST));
    strike->encoding.size++;
}

static void inlined_under_another_name(struct strike *strike)
{
    inlined(strike, extra(NEWEST));
    strike->encoding.blob = strike_publish(strike, extra(HELD));
}

static void inlined_too_much(struct strike *strike)
{
    uint8_t content[2 * LIMIT_INLINE_BYTES];
    random_bytes(content, sizeof content);
    inlined(strike, bytes_of(content, sizeof content));
}

#define DIRECTOR .message = MESSAGE_MANIFEST, .needs = NEED_DIRECTOR
#define HEALS .late = true, .heals = true
#define WHY(reason_name) .reason = MUSTER__REFUSAL__REFUSAL_##reason_name

static const struct variant list[] = {
    {ATTACK_MIX, "delta from another base", DIRECTOR, .mutate = from_another_base, HEALS,
     WHY(CONTENT_HASH)},
    {ATTACK_ROLLBACK, "delta to an older result", DIRECTOR, .mutate = to_an_older_result, HEALS,
     WHY(CONTENT_LENGTH)},
    {ATTACK_ARBITRARY, "delta to another result", DIRECTOR, .mutate = to_another_result, HEALS,
     WHY(CONTENT_HASH)},
    {ATTACK_ENDLESS, "delta that swells", DIRECTOR, .mutate = delta_that_swells, HEALS,
     WHY(CONTENT_LENGTH)},
    {ATTACK_MIRROR, "no delta", DIRECTOR, .mutate = no_delta, HEALS, WHY(CONTENT_FORM)},
    {ATTACK_PARTIAL, "delta cut", DIRECTOR, .mutate = delta_cut, HEALS, WHY(CONTENT_FORM)},
    {ATTACK_PARTIAL, "a delta alone", DIRECTOR, .mutate = delta_alone, WHY(DOCUMENT_ENCODING)},
    {ATTACK_WRONG, "base without a name", DIRECTOR, .mutate = base_without_a_name,
     WHY(DOCUMENT_ENCODING)},
    {ATTACK_EXTRANEOUS, "whole with a base", DIRECTOR, .mutate = whole_with_a_base,
     WHY(DOCUMENT_ENCODING)},
    {ATTACK_WRONG, "delta of a secret", DIRECTOR, .mutate = delta_of_a_secret,
     WHY(DOCUMENT_ENCODING)},
    {ATTACK_ROLLBACK, "older content inlined", DIRECTOR, .mutate = inlined_older, .late = true,
     WHY(CONTENT_LENGTH)},
    {ATTACK_ARBITRARY, "other content inlined", DIRECTOR, .mutate = inlined_other, .late = true,
     WHY(CONTENT_HASH)},
    {ATTACK_ENDLESS, "inlined, it swells", DIRECTOR, .mutate = inlined_that_swells, .late = true,
     WHY(CONTENT_LENGTH)},
    {ATTACK_ENDLESS, "inlined, longer than stated", DIRECTOR, .mutate = inlined_longer,
     WHY(DOCUMENT_ENCODING)},
    {ATTACK_PARTIAL, "inlined, shorter than stated", DIRECTOR, .mutate = inlined_shorter,
     WHY(DOCUMENT_ENCODING)},
    {ATTACK_MIXED_BUNDLES, "inlined under another name", DIRECTOR,
     .mutate = inlined_under_another_name, WHY(DOCUMENT_ENCODING)},
    {ATTACK_ENDLESS, "inlined too much", DIRECTOR, .mutate = inlined_too_much,
     WHY(DOCUMENT_ENCODING)},
};

const struct variants attacks_on_deltas = {list, sizeof list / sizeof list[0]};
