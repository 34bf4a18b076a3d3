/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/parcel.h"

#include "fleet/content.h"
#include "proto/limits.h"
#include "proto/seal.h"
#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>

enum { BLOBS = 32 };

/* Blobs by what they are named. */
struct shelf {
    size_t count;
    uint8_t sha256[BLOBS][32];
    struct buf blobs[BLOBS];
};

static bool put(void *ctx, const uint8_t digest[32], struct bytes blob, struct err *err)
{
    struct shelf *shelf = ctx;
    assert_true(shelf->count < BLOBS && blob.length <= LIMIT_BLOB_BYTES);
    memcpy(shelf->sha256[shelf->count], digest, 32);
    return buf_append(&shelf->blobs[shelf->count++], blob.data, blob.length, err);
}

static bool get(void *ctx, const uint8_t digest[32], struct buf *out, struct err *err)
{
    struct shelf *shelf = ctx;
    for (size_t i = 0; i < shelf->count; i++)
        if (memcmp(shelf->sha256[i], digest, 32) == 0)
            return buf_append(out, shelf->blobs[i].data, shelf->blobs[i].length, err);
    return err_set(err, ERR_NOT_FOUND, "no such blob");
}

static void shelf_done(struct shelf *shelf)
{
    for (size_t i = 0; i < shelf->count; i++)
        buf_done(&shelf->blobs[i]);
}

static uint8_t byte_at(size_t at)
{
    return (uint8_t)(at * 31 + at / 251);
}

static bool compare(void *ctx, struct bytes part, struct err *err)
{
    size_t *at = ctx;
    (void)err;
    for (size_t i = 0; i < part.length; i++)
        assert_int_equal(part.data[i], byte_at((*at)++));
    return true;
}

/* So many bytes, given in parts of `step`. */
static struct fleetdb_encoding pack_up(struct shelf *shelf, size_t length, size_t step)
{
    struct parcel parcel = {.put = put, .ctx = shelf};
    struct fleetdb_encoding encoding = {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD};
    uint8_t *bytes = malloc(length);
    assert_non_null(bytes);
    for (size_t i = 0; i < length; i++)
        bytes[i] = byte_at(i);
    for (size_t at = 0; at < length; at += step) {
        size_t left = length - at;
        assert_true(parcel_add(&parcel, bytes_of(bytes + at, left < step ? left : step), NULL));
    }
    assert_true(parcel_end(&parcel, &encoding, NULL));
    parcel_done(&parcel);
    free(bytes);
    return encoding;
}

static bool read_all(const struct parcel_source *source, const struct fleetdb_encoding *encoding,
                     bool (*each)(void *ctx, struct bytes part, struct err *err), void *ctx,
                     struct err *err)
{
    struct parcel_reader reader = {.source = *source, .encoding = encoding};
    struct bytes part = {.length = 1};
    bool ok = true;
    while (ok && part.length > 0)
        ok = parcel_next(&reader, &part, err) && (part.length == 0 || each(ctx, part, err));
    parcel_reader_done(&reader);
    return ok;
}

static void what_goes_in_comes_out(void **state)
{
    static const size_t lengths[] = {1,
                                     LIMIT_PIECE_BYTES,
                                     LIMIT_BLOB_BYTES,
                                     LIMIT_BLOB_BYTES + 1,
                                     LIMIT_BLOB_BYTES + LIMIT_PIECE_BYTES,
                                     3 * LIMIT_BLOB_BYTES + 17};
    static const size_t steps[] = {64 * 1024 - 1, SIZE_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        for (size_t j = 0; j < sizeof steps / sizeof *steps; j++) {
            struct shelf shelf = {0};
            struct err err = {0};
            size_t at = 0;
            size_t step = steps[j] < lengths[i] ? steps[j] : lengths[i];
            struct fleetdb_encoding encoding = pack_up(&shelf, lengths[i], step);
            const struct parcel_source source = {get, &shelf};
            if (!read_all(&source, &encoding, compare, &at, &err))
                fail_msg("%zu bytes: %s", lengths[i], err.text);
            assert_int_equal(at, lengths[i]);
            bool pieces = lengths[i] > LIMIT_BLOB_BYTES;
            assert_int_equal(encoding.piece_bytes, pieces ? LIMIT_PIECE_BYTES : 0);
            assert_int_equal(encoding.pieces_size, pieces ? lengths[i] : 0);
            shelf_done(&shelf);
        }
    }
}

static bool take(void *ctx, struct bytes part, struct err *err)
{
    (void)part, (void)err;
    ++*(size_t *)ctx;
    return true;
}

static void a_piece_that_is_another_ends_it(void **state)
{
    struct shelf shelf = {0};
    struct err err = {0};
    size_t given = 0;
    (void)state;
    struct fleetdb_encoding encoding =
        pack_up(&shelf, LIMIT_BLOB_BYTES + LIMIT_PIECE_BYTES, LIMIT_BLOB_BYTES);
    const struct parcel_source source = {get, &shelf};
    shelf.blobs[3].data[7] ^= 1;
    assert_false(read_all(&source, &encoding, take, &given, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_int_equal(given, 3);
    shelf_done(&shelf);
}

static void sizes_must_fit_each_other(void **state)
{
    const uint64_t piece = LIMIT_PIECE_BYTES;
    const struct fleetdb_encoding good[] = {
        {.size = 1},
        {.size = LIMIT_BLOB_BYTES},
        {.size = 32, .piece_bytes = LIMIT_PIECE_BYTES, .pieces_size = 1},
        {.size = 64, .piece_bytes = LIMIT_PIECE_BYTES, .pieces_size = 2 * piece},
    };
    const struct fleetdb_encoding wrong[] = {
        {.size = 0},
        {.size = LIMIT_BLOB_BYTES + 1},
        {.size = 1, .pieces_size = 1},
        {.size = 32, .piece_bytes = LIMIT_PIECE_BYTES},
        {.size = 32, .piece_bytes = LIMIT_PIECE_BYTES / 2, .pieces_size = 1},
        {.size = 64, .piece_bytes = LIMIT_PIECE_BYTES, .pieces_size = piece},
        {.size = 64, .piece_bytes = LIMIT_PIECE_BYTES, .pieces_size = 2 * piece + 1},
        {.size = 32, .piece_bytes = LIMIT_PIECE_BYTES, .pieces_size = UINT64_MAX},
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(parcel_check(&good[i], NULL));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct err err = {0};
        assert_false(parcel_check(&wrong[i], &err));
        assert_int_equal(err.code, ERR_INVALID);
    }
}

/* Blocks of nothing before the content: it unfolds to what was signed, and any length may have been
 * sent for it. Returns the length of a frame with so many of them. */
static size_t pad(uint8_t *frame, size_t blocks)
{
    static const uint8_t head[] = {0x28, 0xb5, 0x2f, 0xfd, 0x20, 1}; /* of one byte */
    static const uint8_t last[] = {1 | 1 << 3, 0, 0, 'x'};
    memcpy(frame, head, sizeof head);
    memset(frame + sizeof head, 0, 3 * blocks);
    memcpy(frame + sizeof head + 3 * blocks, last, sizeof last);
    return sizeof head + 3 * blocks + sizeof last;
}

static void a_frame_in_pieces_is_not_much_longer_than_its_content(void **state)
{
    enum { BLOCKS = LIMIT_FRAME_SLACK_BYTES / 3 };
    static uint8_t frame[3 * BLOCKS + 64];
    uint8_t signed_digest[32];
    (void)state;
    sha256(bytes_of("x", 1), signed_digest);
    for (size_t more = 0; more < 2; more++) {
        struct shelf shelf = {0};
        struct err err = {0};
        uint8_t piece[32], list[32];
        size_t length = pad(frame, BLOCKS - 3 + 3 * more);
        struct fleetdb_encoding encoding = {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD,
                                            .size = sizeof piece,
                                            .piece_bytes = LIMIT_PIECE_BYTES,
                                            .pieces_size = length};
        sha256(bytes_of(frame, length), piece);
        sha256(bytes_of(piece, sizeof piece), list);
        memcpy(encoding.blob, list, sizeof list);
        assert_true(put(&shelf, piece, bytes_of(frame, length), NULL));
        assert_true(put(&shelf, list, bytes_of(piece, sizeof piece), NULL));
        const struct parcel_source source = {get, &shelf};
        const struct content_spec spec = {.length = 1, .sha256 = signed_digest};
        bool taken = content_unfold(&source, &encoding, &spec, &err);
        if (taken != (more == 0))
            fail_msg("%zu bytes: %s", length, err.text);
        shelf_done(&shelf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(a_piece_that_is_another_ends_it),
        cmocka_unit_test(sizes_must_fit_each_other),
        cmocka_unit_test(a_frame_in_pieces_is_not_much_longer_than_its_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
