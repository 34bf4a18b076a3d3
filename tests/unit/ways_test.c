/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ways.h"

#include "proto/limits.h"
#include "proto/refusal.h"
#include "proto/seal.h"
#include "tests/unit/testing.h"

#include <string.h>

#define WHOLE MUSTER__CONTENT_CODING__CONTENT_ZSTD
#define DELTA MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA
#define SEALED MUSTER__CONTENT_CODING__CONTENT_CMS

enum { LENGTH = 1024 * 1024 };

static bool holds(void *ctx, const uint8_t sha256[32])
{
    return ctx != NULL && memcmp(ctx, sha256, 32) == 0;
}

static struct way way(Muster__ContentCoding coding, uint64_t size, uint8_t base)
{
    struct way made = {.coding = coding, .size = size};
    memset(made.base, base, sizeof made.base);
    return made;
}

static void test_cheapest_that_can_be_gone(void **state)
{
    (void)state;
    uint8_t base[32];
    struct ways ways = {.count = 3,
                        .list = {way(WHOLE, 9000, 0), way(DELTA, 100, 7), way(DELTA, 50, 8)}};
    assert_int_equal(ways_pick(&ways, holds, NULL), 0);
    memset(base, 7, sizeof base);
    assert_int_equal(ways_pick(&ways, holds, base), 1);
    memset(base, 8, sizeof base);
    assert_int_equal(ways_pick(&ways, holds, base), 2);
    ways.ruled_out = 1U << 2;
    assert_int_equal(ways_pick(&ways, holds, base), 0);
    ways.ruled_out |= 1U;
    assert_int_equal(ways_pick(&ways, holds, base), -1);
}

/* Each message costs more than its bytes, and what came with the manifest costs nothing. */
static void test_costs(void **state)
{
    (void)state;
    struct way one = way(WHOLE, 300 * 1024, 0), pieces = way(WHOLE, 3 * 32, 0);
    pieces.piece_bytes = LIMIT_PIECE_BYTES;
    pieces.pieces_size = one.size;
    assert_true(way_cost(&one) > one.size);
    assert_true(way_cost(&pieces) > way_cost(&one) + 96);
    one.inlined = true;
    assert_int_equal(way_cost(&one), 0);
}

/* One item with one encoding, both right until a test changes them. */
struct offer {
    uint8_t blob[32], base[32], data[8];
    Muster__Encoding encoding, *list[1];
    Muster__ManifestItem item;
    struct registry_item header;
};

static void offer_make(struct offer *offer, Muster__ContentCoding coding)
{
    memset(offer, 0, sizeof *offer);
    sha256(bytes_of(offer->data, sizeof offer->data), offer->blob);
    muster__encoding__init(&offer->encoding);
    muster__manifest_item__init(&offer->item);
    offer->encoding.coding = coding;
    offer->encoding.blob = (ProtobufCBinaryData){.data = offer->blob, .len = 32};
    offer->encoding.size = sizeof offer->data;
    if (coding == DELTA)
        offer->encoding.base_sha256 = (ProtobufCBinaryData){.data = offer->base, .len = 32};
    offer->list[0] = &offer->encoding;
    offer->item.encodings = offer->list;
    offer->item.n_encodings = 1;
    offer->header = (struct registry_item){.name = "bin.tsv", .length = LENGTH};
}

static size_t taken(const struct offer *offer, struct ways *ret_ways)
{
    struct buf inlined = {0};
    struct err err = {0};
    if (!ways_read(&offer->item, &offer->header, &inlined, ret_ways, &err))
        fail_msg("%s", err.text);
    buf_done(&inlined);
    return ret_ways->count;
}

static void assert_contradicts(const struct offer *offer)
{
    struct buf inlined = {0};
    struct ways ways;
    struct err err = {0};
    assert_false(ways_read(&offer->item, &offer->header, &inlined, &ways, &err));
    assert_int_equal(err.reason, MUSTER__REFUSAL__REFUSAL_DOCUMENT_ENCODING);
    buf_done(&inlined);
}

static void test_what_is_read(void **state)
{
    (void)state;
    struct offer offer;
    struct ways ways;
    offer_make(&offer, WHOLE);
    assert_true(taken(&offer, &ways) == 1 && ways.whole && !ways.list[0].inlined);
    offer.encoding.data = (ProtobufCBinaryData){.data = offer.data, .len = sizeof offer.data};
    assert_true(taken(&offer, &ways) == 1 && ways.list[0].inlined);
    offer_make(&offer, DELTA);
    assert_true(taken(&offer, &ways) == 1 && !ways.whole);
    offer.header.length = LIMIT_DOCUMENT_BYTES + 1; /* its base has no place in memory */
    assert_int_equal(taken(&offer, &ways), 0);
    offer_make(&offer, (Muster__ContentCoding)77); /* of a time to come */
    assert_true(taken(&offer, &ways) == 0 && !ways.whole);
    offer_make(&offer, SEALED);
    offer.header.sealed = true;
    offer.header.length = sizeof offer.data;
    assert_true(taken(&offer, &ways) == 1 && ways.whole);
}

static void test_what_contradicts_itself(void **state)
{
    (void)state;
    struct offer offer;
    offer_make(&offer, WHOLE);
    offer.encoding.blob.len = 31;
    assert_contradicts(&offer);
    offer_make(&offer, WHOLE);
    offer.encoding.size = LIMIT_BLOB_BYTES + 1;
    assert_contradicts(&offer);
    offer_make(&offer, WHOLE);
    offer.encoding.base_sha256 = (ProtobufCBinaryData){.data = offer.base, .len = 32};
    assert_contradicts(&offer);
    offer_make(&offer, DELTA);
    offer.encoding.base_sha256.len = 0;
    assert_contradicts(&offer);
    offer_make(&offer, SEALED);
    assert_contradicts(&offer);
    offer.header.sealed = true; /* and of another length than the header says */
    assert_contradicts(&offer);
    offer_make(&offer, WHOLE);
    offer.header.sealed = true;
    offer.header.length = sizeof offer.data;
    assert_contradicts(&offer);
}

static void test_pieces(void **state)
{
    (void)state;
    struct offer offer;
    struct ways ways;
    struct pieces *pieces = NULL;
    struct err err = {0};
    uint8_t list[96] = {1};
    offer_make(&offer, WHOLE);
    offer.encoding.size = sizeof list;
    offer.encoding.piece_bytes = LIMIT_PIECE_BYTES;
    offer.encoding.pieces_size = 2 * LIMIT_PIECE_BYTES + 5;
    assert_int_equal(taken(&offer, &ways), 1);
    assert_false(pieces_read(&ways.list[0], bytes_of(list, 64), &pieces, &err));
    assert_int_equal(err.reason, MUSTER__REFUSAL__REFUSAL_CONTENT_FORM);
    assert_true(pieces_read(&ways.list[0], bytes_of(list, sizeof list), &pieces, &err));
    assert_int_equal(pieces->count, 3);
    assert_int_equal(pieces_length(pieces, 1), LIMIT_PIECE_BYTES);
    assert_int_equal(pieces_length(pieces, 2), 5);
    ways.pieces = pieces;
    ways_done(&ways);
    /* All pieces together are not much more than what they unfold to. */
    offer.encoding.pieces_size = 8 * (uint64_t)LIMIT_PIECE_BYTES;
    offer.encoding.size = 8 * 32;
    assert_int_equal(taken(&offer, &ways), 1);
    offer.encoding.pieces_size *= 2;
    offer.encoding.size *= 2;
    assert_contradicts(&offer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cheapest_that_can_be_gone),
        cmocka_unit_test(test_costs),
        cmocka_unit_test(test_what_is_read),
        cmocka_unit_test(test_what_contradicts_itself),
        cmocka_unit_test(test_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
