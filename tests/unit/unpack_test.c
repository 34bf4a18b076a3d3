/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/batch.pb-c.h"
#include "proto/desired.pb-c.h"
#include "proto/hello.pb-c.h"
#include "proto/unpack.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

static const struct unpack_limits usual = {.max_bytes = 64 * 1024};

static bool unpack_hex(const ProtobufCMessageDescriptor *type, const char *hex, struct err *err)
{
    uint8_t data[256];
    size_t length = strlen(hex) / 2;
    assert_true(hex_decode(hex, 2 * length, data, length));
    struct arena arena = {0};
    ProtobufCMessage *message = NULL;
    bool ok = unpack(type, bytes_of(data, length), &usual, &arena, &message, err);
    assert_true(ok == (message != NULL));
    arena_done(&arena);
    return ok;
}

static void refused(const ProtobufCMessageDescriptor *type, const char *hex, const char *text)
{
    struct err err = {0};
    if (unpack_hex(type, hex, &err))
        fail_msg("%s was accepted", hex);
    if (!strstr(err.text, text))
        fail_msg("%s: \"%s\" does not say \"%s\"", hex, err.text, text);
    assert_int_equal(err.code, ERR_INVALID);
}

static void malformed_bytes_are_refused_with_their_place(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *hello = &muster__hello__descriptor;
    refused(hello, "0001", "byte 0: field number 0");
    refused(hello, "180180", "byte 2: a varint ends in the middle");
    refused(hello, "18ffffffffffffffffffff01", "byte 0: a varint is longer than 10 bytes");
    refused(hello, "0a05aabb", "byte 0: field 1 wants 5 bytes where 2 are left");
    refused(hello, "0affffffffffffffffff01", "byte 0: field 1 wants");
    refused(hello, "2d0102", "byte 0: field 5 wants 4 bytes");
    refused(hello, "29aabb", "byte 0: field 5 wants 8 bytes where 2 are left");
    refused(hello, "0b0c", "groups");
    refused(hello, "0e", "wire type 6");
    refused(hello, "0f", "wire type 7");
    refused(hello, "0801", "byte 1: a value of another type");
    refused(hello, "1a0101", "byte 2: a value of another type");
    refused(hello, "f8ffffffff0101", "field number");
}

static void text_is_utf8_without_nul(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *hello = &muster__hello__descriptor;
    static const char *const bad[] = {"00",     "80",     "c3",       "c080",     "c1bf",
                                      "e08080", "eda080", "f0808080", "f4908080", "f5808080",
                                      "ff",     "e282",   "6100",     "c3c3",     "f09f98"};
    static const char *const good[] = {"61",     "c3a9",     "e282ac", "f09f9880",
                                       "efbfbf", "f48fbfbf", "ed9fbf", "ee8080"};
    char hex[64];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)snprintf(hex, sizeof hex, "3a%02zx%s", strlen(bad[i]) / 2, bad[i]);
        refused(hello, hex, "byte 2: text that is not UTF-8");
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        (void)snprintf(hex, sizeof hex, "3a%02zx%s", strlen(good[i]) / 2, good[i]);
        assert_true(unpack_hex(hello, hex, NULL));
    }
    refused(&muster__welcome__descriptor, "32026100", "NUL");
}

static void nothing_at_all_is_an_empty_message(void **state)
{
    (void)state;
    struct arena arena = {0};
    ProtobufCMessage *message = NULL;
    assert_true(
        unpack(&muster__hello__descriptor, bytes_of(NULL, 0), &usual, &arena, &message, NULL));
    assert_string_equal(((Muster__Hello *)message)->serial, "");
    arena_done(&arena);
}

static void unknown_fields_are_a_newer_senders(void **state)
{
    (void)state;
    struct err err = {0};
    assert_true(unpack_hex(&muster__hello__descriptor, "fa07030102033a0161", &err));
}

/* No message of ours contains itself; this one does. */
static const ProtobufCMessageDescriptor nest;
static const ProtobufCFieldDescriptor nest_fields[] = {{
    .name = "inner",
    .id = 1,
    .label = PROTOBUF_C_LABEL_REPEATED,
    .type = PROTOBUF_C_TYPE_MESSAGE,
    .quantifier_offset = sizeof(ProtobufCMessage),
    .offset = sizeof(ProtobufCMessage) + sizeof(size_t),
    .descriptor = &nest,
}};
static const unsigned nest_names[] = {0};
static const ProtobufCIntRange nest_ranges[] = {{1, 0}, {0, 1}};
static const ProtobufCMessageDescriptor nest = {
    .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    .name = "nest",
    .short_name = "nest",
    .c_name = "nest",
    .package_name = "",
    .sizeof_message = sizeof(ProtobufCMessage) + sizeof(size_t) + sizeof(void *),
    .n_fields = 1,
    .fields = nest_fields,
    .fields_sorted_by_name = nest_names,
    .n_field_ranges = 1,
    .field_ranges = nest_ranges,
};

static void depth_is_bounded(void **state)
{
    (void)state;
    struct err err = {0};
    assert_true(unpack_hex(&nest, "0a040a020a00", &err));
    refused(&nest, "0a060a040a020a00", "byte 8: messages nested too deep");
}

static void size_is_bounded(void **state)
{
    (void)state;
    struct err err = {0};
    struct arena arena = {0};
    ProtobufCMessage *message = NULL;
    static const struct unpack_limits tight = {.max_bytes = 3};
    static const uint8_t hello[] = {0x3a, 2, 'a', 'b'};
    assert_false(
        unpack(&muster__hello__descriptor, bytes_of(hello, 4), &tight, &arena, &message, &err));
    assert_string_equal(err.text, "muster.Hello: 4 bytes where 3 are the most");
    arena_done(&arena);
}

/* Two bytes of an empty element become a message and a pointer. */
static void many_empty_elements(size_t count, size_t max_elements, enum err_code expected)
{
    struct buf wire = {0};
    struct err err = {0};
    struct arena arena = {.limit_bytes = 256 * 1024};
    ProtobufCMessage *message = NULL;
    for (size_t i = 0; i < count; i++)
        assert_true(buf_append(&wire, "\x3a\x00", 2, &err));
    struct unpack_limits limits = {.max_bytes = 1 << 20, .max_elements = max_elements};
    bool ok =
        unpack(&muster__manifest__descriptor, buf_bytes(&wire), &limits, &arena, &message, &err);
    assert_int_equal(ok, expected == ERR_NONE);
    assert_int_equal(err.code, expected);
    assert_true(arena.used_bytes <= arena.limit_bytes);
    arena_done(&arena);
    buf_done(&wire);
}

static void count_and_memory_are_bounded(void **state)
{
    (void)state;
    many_empty_elements(1000, 0, ERR_NONE);
    many_empty_elements(4097, 0, ERR_INVALID);
    many_empty_elements(100000, 200000, ERR_NO_MEMORY);
}

/* How many numbers the Column holds, 0 if it is refused. */
static size_t count_numbers(const char *hex, size_t max_elements, uint64_t *ret_sum,
                            struct err *err)
{
    uint8_t data[64];
    size_t length = strlen(hex) / 2, count = 0;
    assert_true(hex_decode(hex, 2 * length, data, length));
    struct arena arena = {0};
    struct unpack_limits limits = {.max_bytes = 64, .max_elements = max_elements};
    ProtobufCMessage *message = NULL;
    *ret_sum = 0;
    if (unpack(&muster__column__descriptor, bytes_of(data, length), &limits, &arena, &message,
               err)) {
        const Muster__Column *column = (const Muster__Column *)message;
        for (; count < column->n_numbers; count++)
            *ret_sum += column->numbers[count];
    }
    arena_done(&arena);
    return count;
}

static void packed_lists_count_by_element(void **state)
{
    (void)state;
    struct err err = {0};
    uint64_t sum = 0;
    assert_int_equal(count_numbers("22050102800103", 4, &sum, &err), 4);
    assert_int_equal(sum, 1 + 2 + 128 + 3);
    assert_int_equal(count_numbers("22050102800103", 3, &sum, &err), 0);
    assert_non_null(strstr(err.text, "more than 3 fields"));
    assert_int_equal(count_numbers("20052006", 2, &sum, &err), 2); /* not packed */
    assert_int_equal(sum, 5 + 6);
    assert_int_equal(count_numbers("2203010280", 9, &sum, &err), 0);
    assert_non_null(strstr(err.text, "byte 4: a packed list holds a bad varint"));
}

static void hello_bytes(struct buf *out)
{
    Muster__Hello hello = MUSTER__HELLO__INIT;
    Muster__StateReport report = MUSTER__STATE_REPORT__INIT;
    Muster__ItemReport item = MUSTER__ITEM_REPORT__INIT, *items[] = {&item, &item};
    ProtobufCBinaryData lacks[] = {{.len = 4, .data = (uint8_t[]){1, 2, 3, 4}}};
    char name[] = "aid-table", serial[] = "SN\xc3\xa9";
    item.name = name;
    item.wanted_version = 300;
    report.items = items;
    report.n_items = 2;
    hello.serial = serial;
    hello.wall_ms = -5;
    hello.incarnation = UINT64_C(0x0102030405060708);
    hello.state = &report;
    hello.lacks = lacks;
    hello.n_lacks = 1;
    assert_true(pack(&hello.base, out, NULL));
}

/* Unpacks; what is accepted must fit its arena. */
static bool accepts(struct bytes wire, struct buf *again)
{
    struct arena arena = {.limit_bytes = 128 * 1024};
    ProtobufCMessage *message = NULL;
    bool ok = unpack(&muster__hello__descriptor, wire, &usual, &arena, &message, NULL);
    if (ok && again)
        assert_true(pack(message, again, NULL));
    assert_true(arena.used_bytes <= arena.limit_bytes);
    arena_done(&arena);
    return ok;
}

static void what_is_packed_comes_back(void **state)
{
    (void)state;
    struct buf wire = {0}, again = {0};
    hello_bytes(&wire);
    assert_true(accepts(buf_bytes(&wire), &again));
    assert_true(bytes_equal(buf_bytes(&wire), buf_bytes(&again)));
    buf_done(&wire);
    buf_done(&again);
}

static void a_cut_message_is_its_fields_so_far_or_refused(void **state)
{
    (void)state;
    struct buf wire = {0}, again = {0};
    size_t refusals = 0;
    hello_bytes(&wire);
    for (size_t length = 0; length < wire.length; length++) {
        buf_clear(&again);
        if (accepts(bytes_of(wire.data, length), &again))
            assert_true(bytes_equal(bytes_of(wire.data, length), buf_bytes(&again)));
        else
            refusals++;
    }
    assert_in_range(refusals, wire.length - 8, wire.length);
    buf_done(&wire);
    buf_done(&again);
}

static void flipped_bits_do_no_harm(void **state)
{
    (void)state;
    struct buf wire = {0};
    size_t refusals = 0;
    hello_bytes(&wire);
    for (size_t bit = 0; bit < 8 * wire.length; bit++) {
        wire.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        refusals += !accepts(buf_bytes(&wire), NULL);
        wire.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_in_range(refusals, 1, 8 * wire.length);
    assert_true(accepts(buf_bytes(&wire), NULL));
    buf_done(&wire);
}

static void a_full_buffer_stops_pack(void **state)
{
    (void)state;
    struct err err = {0};
    struct buf out = {.limit = 8};
    Muster__Hello hello = MUSTER__HELLO__INIT;
    char serial[] = "a serial number";
    hello.serial = serial;
    assert_false(pack(&hello.base, &out, &err));
    assert_int_equal(out.length, 0);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_bytes_are_refused_with_their_place),
        cmocka_unit_test(text_is_utf8_without_nul),
        cmocka_unit_test(nothing_at_all_is_an_empty_message),
        cmocka_unit_test(unknown_fields_are_a_newer_senders),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(size_is_bounded),
        cmocka_unit_test(count_and_memory_are_bounded),
        cmocka_unit_test(packed_lists_count_by_element),
        cmocka_unit_test(what_is_packed_comes_back),
        cmocka_unit_test(a_cut_message_is_its_fields_so_far_or_refused),
        cmocka_unit_test(flipped_bits_do_no_harm),
        cmocka_unit_test(a_full_buffer_stops_pack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
