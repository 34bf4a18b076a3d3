/* SPDX-License-Identifier: Apache-2.0 */
/* Content that is sent in pieces: what a thief's manifest says of them, and what a broker does. */
#include "proto/limits.h"
#include "tests/attack/strike.h"

#include <stdlib.h>
#include <string.h>

enum { LONG_BYTES = 300 * 1024, PIECES = 3 };

/* A document that release signed, of bytes that nothing makes shorter. */
static struct bytes long_content(void)
{
    static uint8_t content[LONG_BYTES];
    uint64_t state = 88172645463325252U;
    for (size_t i = 0; content[LONG_BYTES - 1] == 0 && i < LONG_BYTES; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content[i] = (uint8_t)(state >> 32 | 1);
    }
    return bytes_of(content, sizeof content);
}

struct cutting {
    struct buf frame;
    uint8_t hashes[PIECES][32];
};

static void cut_up(struct strike *strike, struct cutting *cutting)
{
    struct item *item = &strike->draft.items[DOCUMENT_EXTRA];
    item->document.version = 4;
    item->document.content = long_content();
    *cutting = (struct cutting){0};
    fleet_pack(&strike->fleet, item->document.content, &cutting->frame);
    for (size_t i = 0; i < PIECES; i++) {
        size_t at = i * LIMIT_PIECE_BYTES, left = cutting->frame.length - at;
        struct bytes piece = bytes_of(cutting->frame.data + at,
                                      left < LIMIT_PIECE_BYTES ? left : (size_t)LIMIT_PIECE_BYTES);
        memcpy(cutting->hashes[i], blobs_add(&strike->blobs, piece), 32);
    }
}

/* A list that somebody made; the content whole is not to be had. */
static void list_of(struct strike *strike, const struct cutting *cutting, size_t count)
{
    Muster__Encoding *to = strike_encoding(strike, MUSTER__CONTENT_CODING__CONTENT_ZSTD);
    struct bytes list = bytes_of(cutting->hashes, 32 * count);
    to->blob = strike_publish(strike, list);
    to->size = list.length;
    to->piece_bytes = LIMIT_PIECE_BYTES;
    to->pieces_size = cutting->frame.length;
}

static void two_exchanged(struct strike *strike)
{
    struct cutting cutting;
    uint8_t first[32];
    cut_up(strike, &cutting);
    memcpy(first, cutting.hashes[0], 32);
    memcpy(cutting.hashes[0], cutting.hashes[1], 32);
    memcpy(cutting.hashes[1], first, 32);
    list_of(strike, &cutting, PIECES);
    buf_done(&cutting.frame);
}

/* Within a block that zstd did not make shorter: only the content's hash tells. */
static void one_replaced(struct strike *strike)
{
    struct cutting cutting;
    cut_up(strike, &cutting);
    cutting.frame.data[LIMIT_PIECE_BYTES + 1000] ^= 1;
    memcpy(cutting.hashes[1],
           blobs_add(&strike->blobs,
                     bytes_of(cutting.frame.data + LIMIT_PIECE_BYTES, (size_t)LIMIT_PIECE_BYTES)),
           32);
    list_of(strike, &cutting, PIECES);
    buf_done(&cutting.frame);
}

/* A piece of another length than its place has. */
static void one_shorter(struct strike *strike)
{
    struct cutting cutting;
    cut_up(strike, &cutting);
    memcpy(
        cutting.hashes[1],
        blobs_add(&strike->blobs, bytes_of(cutting.frame.data + LIMIT_PIECE_BYTES, (size_t)1000)),
        32);
    list_of(strike, &cutting, PIECES);
    buf_done(&cutting.frame);
}

static void with_list(struct strike *strike, size_t count, size_t more)
{
    struct cutting cutting;
    cut_up(strike, &cutting);
    list_of(strike, &cutting, count);
    strike->encoding.pieces_size += more;
    buf_done(&cutting.frame);
}

static void too_few_pieces(struct strike *strike)
{
    with_list(strike, PIECES - 1, 0);
}

/* More than its size can hold. */
static void too_many_pieces(struct strike *strike)
{
    with_list(strike, PIECES, PIECES * (size_t)LIMIT_PIECE_BYTES);
}

static void endless_pieces(struct strike *strike)
{
    with_list(strike, PIECES, (size_t)1 << 40);
}

/* The frame has ended, and one byte more is asked for. */
static void more_than_the_frame(struct strike *strike)
{
    struct cutting cutting;
    size_t at = (size_t)(PIECES - 1) * LIMIT_PIECE_BYTES;
    cut_up(strike, &cutting);
    must(buf_append(&cutting.frame, "!", 1, NULL), "memory", NULL);
    memcpy(cutting.hashes[PIECES - 1],
           blobs_add(&strike->blobs, bytes_of(cutting.frame.data + at, cutting.frame.length - at)),
           32);
    list_of(strike, &cutting, PIECES);
    buf_done(&cutting.frame);
}

static void small_pieces(struct strike *strike)
{
    with_list(strike, PIECES, 0);
    strike->encoding.piece_bytes = 1024;
    strike->encoding.size = 32 * ((strike->encoding.pieces_size + 1023) / 1024);
}

static void inlined_list(struct strike *strike)
{
    with_list(strike, PIECES, 0);
    const struct buf *list = blobs_find(&strike->blobs, strike->encoding.blob.data);
    must(list != NULL, "no list", NULL);
    strike->encoding.data = (ProtobufCBinaryData){.data = list->data, .len = list->length};
}

/* ---- pieces on their way: the manifest is the fleet's own ---- */

static void in_pieces(struct strike *strike)
{
    struct buf envelope = {0};
    struct err err = {0};
    uint8_t list[1][32];
    strike_draft(strike, strike->version, &strike->draft);
    with_list(strike, PIECES, 0);
    strike->draft.forged = false;
    fleet_manifest(&strike->fleet, NULL, &strike->draft, &strike->blobs, &envelope);
    must(terminal_manifest(&strike->terminal, buf_bytes(&envelope), &err), "a manifest", &err);
    buf_done(&envelope);
    /* All but its pieces. */
    terminal_settle(&strike->terminal);
    while (registrar_lacks(strike->terminal.registrar, list, 1) > 0 &&
           blobs_find(&strike->blobs, list[0])->length < LIMIT_PIECE_BYTES)
        terminal_fetch(&strike->terminal, &strike->blobs, 1);
}

static void piece_changed(struct strike *strike, struct buf *blob)
{
    (void)strike;
    must(blob->length == LIMIT_PIECE_BYTES, "not a piece", NULL);
    blob->data[blob->length / 2] ^= 1;
}

static void piece_cut(struct strike *strike, struct buf *blob)
{
    (void)strike;
    blob->length--;
}

static void piece_longer(struct strike *strike, struct buf *blob)
{
    (void)strike;
    must(buf_append(blob, "\0", 1, NULL), "memory", NULL);
}

static void another_piece(struct strike *strike, struct buf *blob)
{
    struct cutting cutting;
    cut_up(strike, &cutting);
    memcpy(blob->data, cutting.frame.data + LIMIT_PIECE_BYTES, LIMIT_PIECE_BYTES);
    buf_done(&cutting.frame);
}

#define DIRECTOR .message = MESSAGE_MANIFEST, .needs = NEED_DIRECTOR
#define PIECE .message = MESSAGE_BLOB, .prepare = in_pieces
#define WHY(reason_name) .reason = MUSTER__REFUSAL__REFUSAL_##reason_name

static const struct variant list[] = {
    {ATTACK_MIX, "two pieces exchanged", DIRECTOR, .mutate = two_exchanged, .late = true,
     WHY(CONTENT_FORM)},
    {ATTACK_ARBITRARY, "a piece replaced", DIRECTOR, .mutate = one_replaced, .late = true,
     WHY(CONTENT_HASH)},
    {ATTACK_PARTIAL, "a piece too short", DIRECTOR, .mutate = one_shorter, .late = true,
     WHY(BLOB_SIZE)},
    {ATTACK_PARTIAL, "a piece too few", DIRECTOR, .mutate = too_few_pieces, WHY(DOCUMENT_ENCODING)},
    {ATTACK_EXTRANEOUS, "more pieces than content", DIRECTOR, .mutate = too_many_pieces,
     WHY(DOCUMENT_ENCODING)},
    {ATTACK_ENDLESS, "pieces", DIRECTOR, .mutate = endless_pieces, WHY(DOCUMENT_ENCODING)},
    {ATTACK_EXTRANEOUS, "more than the frame", DIRECTOR, .mutate = more_than_the_frame,
     .late = true, WHY(CONTENT_FORM)},
    {ATTACK_SLOW, "small pieces", DIRECTOR, .mutate = small_pieces, WHY(DOCUMENT_ENCODING)},
    {ATTACK_WRONG, "a list inlined", DIRECTOR, .mutate = inlined_list, WHY(DOCUMENT_ENCODING)},
    {ATTACK_MIRROR, "piece changed", PIECE, .spoil = piece_changed, WHY(BLOB_HASH)},
    {ATTACK_PARTIAL, "piece cut", PIECE, .spoil = piece_cut, WHY(BLOB_SIZE)},
    {ATTACK_SLOW, "piece longer", PIECE, .spoil = piece_longer, WHY(BLOB_SIZE)},
    {ATTACK_MIX, "another piece", PIECE, .spoil = another_piece, WHY(BLOB_HASH)},
};

const struct variants attacks_on_pieces = {list, sizeof list / sizeof list[0]};
