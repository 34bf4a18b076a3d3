/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/decode.h"

#include "base/file.h"
#include "proto/batch.h"
#include "proto/local.pb-c.h"
#include "proto/unpack.h"
#include "storage/spool_chain.h"
#include "tests/unit/receipts_world.h"
#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>

#define DEVICE "term-0001"

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct receipts_world));
    receipts_world_open(*state);
    return 0;
}

static int tear_down(void **state)
{
    receipts_world_close(*state);
    free(*state);
    return 0;
}

/* What `path`, "body.streams.0.lane", leads to; numbers count in arrays. */
static const json_t *at(const json_t *tree, const char *path)
{
    char copy[128], *rest = copy;
    (void)snprintf(copy, sizeof copy, "%s", path);
    for (char *name; tree != NULL && (name = strsep(&rest, ".")) != NULL;)
        tree = json_is_array(tree) ? json_array_get(tree, (size_t)atoi(name))
                                   : json_object_get(tree, name);
    return tree;
}

static void assert_text(const json_t *tree, const char *path, const char *wanted)
{
    const char *text = json_string_value(at(tree, path));
    assert_non_null(text);
    assert_string_equal(text, wanted);
}

static void assert_number(const json_t *tree, const char *path, int64_t wanted)
{
    assert_true(json_is_integer(at(tree, path)));
    assert_int_equal(json_integer_value(at(tree, path)), wanted);
}

static struct decoded decode(struct bytes in, const struct decode_options *options)
{
    static const struct decode_options none;
    struct decoded decoded = {0};
    struct buf tried = {0};
    struct err err = {0};
    if (!decode_bytes(in, options != NULL ? options : &none, &decoded, &tried, &err))
        fail_msg("%s\n%.*s", err.text, (int)tried.length, (const char *)tried.data);
    buf_done(&tried);
    return decoded;
}

/* That it is refused, with `text` in the error or among what was tried. */
static void assert_refused(struct bytes in, const struct decode_options *options, const char *text)
{
    static const struct decode_options none;
    struct decoded decoded = {0};
    struct buf tried = {0};
    struct err err = {0};
    assert_false(decode_bytes(in, options != NULL ? options : &none, &decoded, &tried, &err));
    assert_true(buf_append(&tried, err.text, strlen(err.text) + 1, NULL));
    assert_int_equal(err.code, ERR_INVALID);
    if (strstr((const char *)tried.data, text) == NULL)
        fail_msg("%s\n%s", (const char *)tried.data, text);
    assert_null(decoded.root);
    buf_done(&tried);
}

static struct buf packed(const ProtobufCMessage *message)
{
    struct buf out = {0};
    assert_true(pack(message, &out, NULL));
    return out;
}

static struct buf sealed_receipt(const struct receipts_world *world)
{
    char device[] = DEVICE;
    Muster__StreamReceipt stream = MUSTER__STREAM_RECEIPT__INIT, *streams[] = {&stream};
    Muster__Receipt receipt = MUSTER__RECEIPT__INIT;
    stream.incarnation = 42;
    stream.lane = MUSTER__LANE__LANE_EVENT;
    stream.cumulative = 7;
    receipt.device = device;
    receipt.issued_ms = 1795351139123;
    receipt.streams = streams;
    receipt.n_streams = 1;
    return receipts_sealed(&receipt, "receipt", DEVICE, world->receipt);
}

static void a_sealed_message_is_found_out(void **state)
{
    struct buf in = sealed_receipt(*state);
    struct decoded decoded = decode(buf_bytes(&in), NULL);
    assert_text(decoded.root, "what", "receipt");
    assert_text(decoded.root, "body.device", DEVICE);
    assert_number(decoded.root, "body.issued_ms", 1795351139123);
    assert_text(decoded.root, "body.issued_ms_iso", "2026-11-22T12:38:59.123Z");
    assert_text(decoded.root, "body.streams.0.incarnation", "000000000000002a");
    assert_text(decoded.root, "body.streams.0.lane", "event");
    assert_number(decoded.root, "body.streams.0.cumulative", 7);
    assert_null(at(decoded.root, "body.streams.0.ranges"));
    assert_non_null(strstr(json_string_value(at(decoded.root, "signature")), "not checked"));
    assert_false(decoded.refused);
    json_decref(decoded.root);
    buf_done(&in);
}

static void its_signature_is_checked_with_what_is_given(void **state)
{
    const struct receipts_world *world = *state;
    struct buf in = sealed_receipt(world);
    struct verify_key *key = NULL, *other = NULL;
    assert_true(verify_key_of_spki(sign_key_spki(world->receipt), &key, NULL));
    assert_true(verify_key_of_spki(sign_key_spki(world->director), &other, NULL));
    const struct {
        struct decode_options options;
        bool good;
    } rows[] = {{{.trust = world->trust}, true},
                {{.key = key}, true},
                {{.key = other}, false},
                {{.trust = world->trust, .device = "term-0002"}, false},
                {{.as = "manifest", .trust = world->trust}, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].options.as != NULL) {
            assert_refused(buf_bytes(&in), &rows[i].options, "no manifest");
            continue;
        }
        struct decoded decoded = decode(buf_bytes(&in), &rows[i].options);
        const char *signature = json_string_value(at(decoded.root, "signature"));
        assert_int_equal(decoded.refused, !rows[i].good);
        assert_int_equal(strcmp(signature, "good") == 0, rows[i].good);
        assert_true(rows[i].good || strncmp(signature, "BAD: ", 5) == 0);
        json_decref(decoded.root);
    }
    verify_key_free(key);
    verify_key_free(other);
    buf_done(&in);
}

static void messages_within_messages_are_shown(void **state)
{
    char device[] = DEVICE;
    uint8_t nonce[16] = {0};
    struct buf receipt = sealed_receipt(*state);
    Muster__Welcome welcome = MUSTER__WELCOME__INIT;
    Muster__LinkMessage message = MUSTER__LINK_MESSAGE__INIT;
    Muster__LinkUp up = MUSTER__LINK_UP__INIT;
    char topic[] = "muster/v1/down/" DEVICE "/receipt";
    welcome.device = device;
    welcome.nonce = (ProtobufCBinaryData){sizeof nonce, nonce};
    welcome.receipt = (ProtobufCBinaryData){receipt.length, receipt.data};
    struct buf in = packed(&welcome.base);
    struct decoded decoded = decode(buf_bytes(&in), NULL);
    assert_text(decoded.root, "what", "welcome");
    assert_number(decoded.root, "body.receipt.body.streams.0.cumulative", 7);
    json_decref(decoded.root);
    buf_done(&in);
    message.topic = topic;
    message.payload = welcome.receipt;
    up.what_case = MUSTER__LINK_UP__WHAT_MESSAGE;
    up.message = &message;
    in = packed(&up.base);
    decoded = decode(buf_bytes(&in), NULL);
    assert_text(decoded.root, "what", "link-up");
    assert_text(decoded.root, "body.message.payload.what", "receipt");
    json_decref(decoded.root);
    buf_done(&in);
    buf_done(&receipt);
}

static struct buf batch_of_results(void)
{
    /* The schemes' published test number, as text and two digits to a byte. */
    char version[] = "4111111111111111", code[] = "57";
    uint8_t token[8] = {0x41, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11};
    Muster__TxnResult txns[2];
    ProtobufCMessage *rows[2];
    struct buf out = {0};
    for (size_t i = 0; i < 2; i++) {
        muster__txn_result__init(&txns[i]);
        txns[i].outcome = MUSTER__OUTCOME__OUTCOME_NO_ANSWER;
        txns[i].code = code;
        txns[i].app_version = version;
        txns[i].card_token = (ProtobufCBinaryData){sizeof token, token};
        rows[i] = &txns[i].base;
    }
    struct lane_rows lanes[] = {{.lane = MUSTER__LANE__LANE_TXN,
                                 .incarnation = 1,
                                 .first_seq = 10,
                                 .count = 2,
                                 .rows = rows},
                                {.lane = MUSTER__LANE__LANE_HEALTH,
                                 .incarnation = 1,
                                 .first_seq = 3,
                                 .count = 4,
                                 .lost = MUSTER__LOSS_REASON__LOSS_AGE}};
    assert_true(batch_encode(lanes, 2, 1, &out, NULL));
    return out;
}

static void a_batch_is_shown_as_rows_without_card_numbers(void **state)
{
    (void)state;
    struct buf in = batch_of_results();
    struct decoded decoded = decode(buf_bytes(&in), NULL);
    assert_text(decoded.root, "what", "batch");
    assert_text(decoded.root, "body.lanes.0.lane", "txn");
    assert_number(decoded.root, "body.lanes.0.rows.1.seq", 11);
    assert_text(decoded.root, "body.lanes.0.rows.1.outcome", "no_answer");
    assert_text(decoded.root, "body.lanes.0.rows.1.code", "57");
    assert_text(decoded.root, "body.lanes.0.rows.1.app_version", "****************");
    assert_text(decoded.root, "body.lanes.0.rows.1.card_token", "****************");
    assert_text(decoded.root, "body.lanes.1.lost", "age");
    assert_number(decoded.root, "body.lanes.1.count", 4);
    json_decref(decoded.root);
    in.data[in.length - 5] ^= 0x55; /* what does not decode is said in its place */
    const struct decode_options options = {.as = "batch"};
    decoded = decode(buf_bytes(&in), &options);
    assert_non_null(at(decoded.root, "body.undecodable"));
    json_decref(decoded.root);
    buf_done(&in);
}

static struct buf frames_of(const ProtobufCMessage *const *messages, size_t count)
{
    struct buf out = {0};
    for (size_t i = 0; i < count; i++) {
        uint8_t head[10];
        struct buf body = packed(messages[i]);
        assert_true(buf_append(&out, head, varint_put(body.length, head), NULL));
        assert_true(buf_append(&out, body.data, body.length, NULL));
        buf_done(&body);
    }
    return out;
}

static void frames_of_a_socket_are_told_apart(void **state)
{
    Muster__TxnResult txn = MUSTER__TXN_RESULT__INIT;
    Muster__ClientRequest first = MUSTER__CLIENT_REQUEST__INIT, second = first;
    const ProtobufCMessage *const both[] = {&first.base, &second.base};
    (void)state;
    txn.outcome = MUSTER__OUTCOME__OUTCOME_APPROVED;
    first.id = 1;
    second.id = 2;
    first.what_case = second.what_case = MUSTER__CLIENT_REQUEST__WHAT_TXN;
    first.txn = second.txn = &txn;
    struct buf in = frames_of(both, 2);
    struct decoded decoded = decode(buf_bytes(&in), NULL);
    assert_text(decoded.root, "what", "client-request");
    assert_number(decoded.root, "frames", 2);
    assert_text(decoded.root, "messages.1.txn.outcome", "approved");
    json_decref(decoded.root);
    const struct decode_options told = {.as = "client-request", .frames = true};
    decoded = decode(buf_bytes(&in), &told);
    assert_number(decoded.root, "messages.1.id", 2);
    json_decref(decoded.root);
    /* Cut off, it says at which frame. */
    assert_refused(bytes_of(in.data, in.length - 1), &told, "byte 8: expected a frame's length");
    buf_done(&in);
}

static void what_may_be_several_is_not_guessed(void **state)
{
    /* An empty field 2: a puback of the link without a token, or that the agent wants no blobs. */
    static const uint8_t either[] = {0x12, 0x00};
    const struct decode_options told = {.as = "link-down"};
    (void)state;
    assert_refused(bytes_of(either, sizeof either), NULL, "one of: link-up, link-down; say");
    struct decoded decoded = decode(bytes_of(either, sizeof either), &told);
    assert_non_null(at(decoded.root, "body.fetch"));
    json_decref(decoded.root);
}

static void foreign_bytes_say_where_and_what(void **state)
{
    struct buf in = sealed_receipt(*state);
    static const char pem[] = "-----BEGIN PUBLIC KEY-----\n";
    assert_refused(bytes_of("SQLite format 3", 16), NULL, "muster status");
    assert_refused(bytes_of(pem, sizeof pem - 1), NULL, "openssl");
    assert_refused(bytes_of(NULL, 0), NULL, "empty");
    assert_refused(bytes_of("#!/bin/sh\n", 10), NULL, "sealed: envelope: ");
    assert_refused(bytes_of("#!/bin/sh\n", 10), NULL, "frames of link-up: byte 0: ");
    assert_refused(bytes_of(in.data, in.length / 2), NULL, "sealed: envelope: field 2 wants");
    assert_refused(bytes_of("\x28\xb5\x2f\xfd\x24", 5), NULL, "ends in the middle");
    buf_done(&in);
}

static void fields_of_a_later_version_are_shown(void **state)
{
    static const uint8_t later[] = {0x2a, 0x03, 'n', 'e', 'w', 0xfa, 0x0f, 0x01, 'x'};
    const struct decode_options options = {.as = "event"};
    (void)state;
    struct decoded decoded = decode(bytes_of(later, sizeof later), &options);
    assert_text(decoded.root, "body.text", "new");
    assert_text(decoded.root, "body.unknown_field_255", "0178"); /* with its length */
    json_decref(decoded.root);
}

static void a_terminal_obeys_nothing_of_it(void **state)
{
    char text[] = "\x1b[2J \xe2\x80\xaelive", *printed = NULL;
    size_t length = 0;
    Muster__Event event = MUSTER__EVENT__INIT;
    const struct decode_options options = {.as = "event"};
    (void)state;
    event.text = text;
    struct buf in = packed(&event.base);
    struct decoded decoded = decode(buf_bytes(&in), &options);
    FILE *out = open_memstream(&printed, &length);
    assert_true(decode_print(decoded.root, out));
    (void)fclose(out);
    assert_non_null(strstr(printed, "text: ?[2J ?live\n"));
    free(printed);
    json_decref(decoded.root);
    buf_done(&in);
}

static void the_chain_is_shown(void **state)
{
    const struct receipts_world *world = *state;
    char path[128];
    struct buf in = {0};
    (void)snprintf(path, sizeof path, "%s/spool.db.chain", world->temp.dir);
    assert_true(file_read(path, SPOOL_CHAIN_BYTES, &in, NULL));
    struct decoded decoded = decode(buf_bytes(&in), NULL);
    assert_text(decoded.root, "what", "chain");
    assert_text(decoded.root, "device", DEVICE);
    assert_number(decoded.root, "starts", 1);
    assert_non_null(at(decoded.root, "incarnations.0.txn_ceiling"));
    json_decref(decoded.root);
    memset(in.data, 0, in.length);
    memcpy(in.data, "MUSTERC1", 8);
    assert_refused(buf_bytes(&in), NULL, "neither slot is sound");
    buf_done(&in);
}

static void every_kind_can_be_told(void **state)
{
    char names[512], *rest = names;
    size_t count = 0;
    (void)state;
    decode_names(names, sizeof names);
    for (char *name; (name = strsep(&rest, ",")) != NULL; count++)
        assert_true(decode_name_known(name + (name[0] == ' ' ? 1 : 0)));
    assert_true(count >= 15);
    assert_false(decode_name_known("guard"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sealed_message_is_found_out),
        cmocka_unit_test(its_signature_is_checked_with_what_is_given),
        cmocka_unit_test(messages_within_messages_are_shown),
        cmocka_unit_test(a_batch_is_shown_as_rows_without_card_numbers),
        cmocka_unit_test(frames_of_a_socket_are_told_apart),
        cmocka_unit_test(what_may_be_several_is_not_guessed),
        cmocka_unit_test(foreign_bytes_say_where_and_what),
        cmocka_unit_test(fields_of_a_later_version_are_shown),
        cmocka_unit_test(a_terminal_obeys_nothing_of_it),
        cmocka_unit_test(the_chain_is_shown),
        cmocka_unit_test(every_kind_can_be_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
