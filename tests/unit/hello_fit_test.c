/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/testing.h"

#include "agent/hello_fit.h"
#include "proto/limits.h"

#include <string.h>

enum { RECEIPTS = 3, STREAMS = 64 };

/* The longest that a terminal can have to say. */
struct longest {
    Muster__Hello hello;
    Muster__StateReport state;
    Muster__ItemReport items[LIMIT_MANIFEST_ITEMS];
    Muster__ItemReport *list[LIMIT_MANIFEST_ITEMS];
    char name[LIMIT_DOCUMENT_NAME_CHARS + 1], reason[481];
    uint8_t digest[32], receipt[LIMIT_RECEIPT_BYTES];
    ProtobufCBinaryData receipts[RECEIPTS];
    Muster__OpenStream streams[STREAMS];
    Muster__OpenStream *stream_list[STREAMS];
};

static void make_longest(struct longest *longest, size_t receipt_bytes)
{
    *longest = (struct longest){.hello = MUSTER__HELLO__INIT, .state = MUSTER__STATE_REPORT__INIT};
    memset(longest->name, 'n', sizeof longest->name - 1);
    memset(longest->reason, 'r', sizeof longest->reason - 1);
    for (size_t i = 0; i < LIMIT_MANIFEST_ITEMS; i++) {
        Muster__ItemReport *item = &longest->items[i];
        *item = (Muster__ItemReport)MUSTER__ITEM_REPORT__INIT;
        item->name = longest->name;
        item->reason = longest->reason;
        item->wanted_version = item->held_version = UINT64_MAX;
        item->wanted_sha256 = item->held_sha256 =
            (ProtobufCBinaryData){.len = sizeof longest->digest, .data = longest->digest};
        longest->list[i] = item;
    }
    longest->state.items = longest->list;
    longest->state.n_items = LIMIT_MANIFEST_ITEMS;
    longest->hello.state = &longest->state;
    for (size_t i = 0; i < RECEIPTS; i++)
        longest->receipts[i] =
            (ProtobufCBinaryData){.len = receipt_bytes, .data = longest->receipt};
    longest->hello.receipts = longest->receipts;
    longest->hello.n_receipts = RECEIPTS;
    for (size_t i = 0; i < STREAMS; i++) {
        longest->streams[i] = (Muster__OpenStream)MUSTER__OPEN_STREAM__INIT;
        longest->streams[i].incarnation = i + 1;
        longest->streams[i].lane = MUSTER__LANE__LANE_TXN;
        longest->streams[i].last_seq = UINT64_MAX;
        longest->stream_list[i] = &longest->streams[i];
    }
    longest->hello.streams = longest->stream_list;
    longest->hello.n_streams = STREAMS;
}

static size_t packed_bytes(const struct longest *longest)
{
    return protobuf_c_message_get_packed_size(&longest->hello.base);
}

static void test_what_fits_is_left_as_it_is(void **state)
{
    (void)state;
    static struct longest longest;
    make_longest(&longest, 100);
    size_t bytes = packed_bytes(&longest);
    hello_fit(&longest.hello, bytes);
    assert_int_equal(packed_bytes(&longest), bytes);
}

static void test_the_oldest_receipt_goes_first(void **state)
{
    (void)state;
    static struct longest longest;
    make_longest(&longest, 100);
    hello_fit(&longest.hello, packed_bytes(&longest) - 1);
    assert_int_equal(longest.hello.n_receipts, RECEIPTS - 1);
    hello_fit(&longest.hello, packed_bytes(&longest) - 110);
    assert_int_equal(longest.hello.n_receipts, 0);
    assert_string_equal(longest.items[0].reason, longest.reason);
    assert_int_equal(longest.hello.n_streams, STREAMS);
    assert_false(longest.hello.streams_cut);
}

/* Last of all the streams, oldest first: and the fleet is told that there are more. */
static void test_streams_go_last_and_it_is_said(void **state)
{
    (void)state;
    static struct longest longest;
    make_longest(&longest, 100);
    hello_fit(&longest.hello, packed_bytes(&longest));
    assert_false(longest.hello.streams_cut);
    longest.hello.n_receipts = 0;
    for (size_t i = 0; i < LIMIT_MANIFEST_ITEMS; i++)
        longest.items[i].reason[0] = '\0';
    size_t bytes = packed_bytes(&longest);
    hello_fit(&longest.hello, bytes - 1);
    assert_int_equal(longest.hello.n_streams, STREAMS - 1);
    assert_true(longest.hello.streams_cut);
    assert_int_equal(longest.hello.streams[0]->incarnation, 1);
}

static void test_the_longest_hello_fits_and_names_every_item(void **state)
{
    (void)state;
    static struct longest longest;
    make_longest(&longest, sizeof longest.receipt);
    assert_true(packed_bytes(&longest) > LIMIT_HELLO_BYTES);
    hello_fit(&longest.hello, LIMIT_HELLO_BYTES - 256);
    assert_true(packed_bytes(&longest) <= LIMIT_HELLO_BYTES - 256);
    assert_int_equal(longest.hello.state->n_items, LIMIT_MANIFEST_ITEMS);
    assert_string_equal(longest.items[0].name, longest.name);
    assert_int_equal(longest.hello.n_streams, STREAMS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_fits_is_left_as_it_is),
        cmocka_unit_test(test_the_oldest_receipt_goes_first),
        cmocka_unit_test(test_streams_go_last_and_it_is_said),
        cmocka_unit_test(test_the_longest_hello_fits_and_names_every_item),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
