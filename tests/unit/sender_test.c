/* SPDX-License-Identifier: Apache-2.0 */
/* The sender between a real spool and a real link socket, whose other end is played here. */
#include "agent/sender.h"

#include "base/file.h"
#include "base/stream.h"
#include "proto/batch.h"
#include "proto/envelope.h"
#include "proto/limits.h"
#include "proto/local.pb-c.h"
#include "proto/unpack.h"
#include "tests/unit/temp_spool.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PACKETS = 32 };

struct world {
    struct temp_spool temp;
    uv_loop_t loop;
    struct linkport *port;
    struct stream *link;
    struct sign_key *key;
    struct sender sender;
    /* "lane/first+count " of each range that arrived; "!reason" when it is lost, "~n" when n seqs
     * lie behind it */
    char said[1024];
    unsigned packets;
    uint8_t digests[PACKETS][32]; /* as a collector would refuse them */
};

static const struct clock *const real = &clock_real;

/* ---- the link's end ---- */

static void say(struct world *world, const struct lane_rows *rows)
{
    char lost[16] = "", behind[32] = "";
    size_t at = strlen(world->said);
    if (rows->lost != MUSTER__LOSS_REASON__LOSS_NONE)
        snprintf(lost, sizeof lost, "!%d", (int)rows->lost);
    if (rows->behind > 0)
        snprintf(behind, sizeof behind, "~%llu", (unsigned long long)rows->behind);
    snprintf(world->said + at, sizeof world->said - at, "%d/%llu+%zu%s%s ", (int)rows->lane,
             (unsigned long long)rows->first_seq, rows->count, lost, behind);
}

static void hear_batch(struct world *world, struct bytes payload)
{
    struct arena arena = {0};
    struct envelope envelope;
    struct lane_rows *lanes = NULL;
    size_t count = 0;
    struct err err = {0};
    if (!envelope_read(payload, &envelope, &err) ||
        !batch_decode(envelope.body, &arena, &lanes, &count, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < count; i++)
        say(world, &lanes[i]);
    sha256(envelope.body, world->digests[world->packets % PACKETS]);
    world->packets++;
    arena_done(&arena);
}

static void on_frame(void *ctx, struct stream *stream, struct bytes frame)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_LINK_FRAME_BYTES};
    struct arena arena = {0};
    ProtobufCMessage *message = NULL;
    struct err err = {0};
    (void)stream;
    if (!unpack(&muster__link_down__descriptor, frame, &limits, &arena, &message, &err))
        fail_msg("%s", err.text);
    const Muster__LinkDown *down = (const Muster__LinkDown *)message;
    if (down->what_case == MUSTER__LINK_DOWN__WHAT_PUBLISH)
        hear_batch(ctx, bytes_of(down->publish->payload.data, down->publish->payload.len));
    arena_done(&arena);
}

static void on_opened(void *ctx, struct stream *stream)
{
    (void)ctx;
    Muster__LinkState state = MUSTER__LINK_STATE__INIT;
    Muster__LinkUp up = MUSTER__LINK_UP__INIT;
    struct buf frame = {0};
    struct err err = {0};
    state.connected = 1;
    up.what_case = MUSTER__LINK_UP__WHAT_STATE;
    up.state = &state;
    assert_true(pack(&up.base, &frame, &err) && stream_send(stream, buf_bytes(&frame), &err));
    buf_done(&frame);
}

/* ---- the agent's end ---- */

static void on_changed(void *ctx)
{
    struct world *world = ctx;
    if (linkport_state(world->port)->connected)
        uplink_connected(&world->sender.uplink, 0);
}

static void on_puback(void *ctx, uint64_t token, bool accepted)
{
    (void)ctx, (void)token, (void)accepted;
}

static void on_message(void *ctx, const char *topic, struct bytes payload)
{
    (void)ctx, (void)topic, (void)payload;
}

static void open_link(struct world *world)
{
    static const struct linkport_events port_events = {
        .changed = on_changed, .puback = on_puback, .message = on_message};
    static const struct stream_events link_events = {.opened = on_opened, .frame = on_frame};
    static const struct stream_limits limits = {.max_frame_bytes = LIMIT_LINK_FRAME_BYTES,
                                                .max_queue_bytes = LIMIT_LINK_FRAME_BYTES};
    char path[96];
    struct peers peers;
    struct err err = {0};
    snprintf(path, sizeof path, "%s/link.sock", world->temp.dir);
    if (!peers_parse("", &peers, &err) ||
        !linkport_open(&world->loop, path, &peers, &port_events, world, &world->port, &err) ||
        !stream_connect(&world->loop, path, &limits, &link_events, world, &world->link, &err))
        fail_msg("%s", err.text);
    while (!world->sender.uplink.connected)
        uv_run(&world->loop, UV_RUN_ONCE);
}

static int set_up(void **state)
{
    static const struct uplink_policy policy = {.resend_ms = 1000, .resend_max_ms = 8000};
    struct world *world = calloc(1, sizeof *world);
    char path[96];
    struct err err = {0};
    temp_spool_open(&world->temp);
    uv_loop_init(&world->loop);
    snprintf(path, sizeof path, "%s/agent.pem", world->temp.dir);
    assert_true(sign_key_make(path, &world->key, &err));
    open_link(world);
    world->sender.spool = world->temp.spool;
    world->sender.port = world->port;
    world->sender.key = world->key;
    world->sender.device = "term-0001";
    uplink_init(&world->sender.uplink, &policy);
    uplink_connected(&world->sender.uplink, 0);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    stream_close(world->link);
    linkport_close(world->port);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    linkport_free(world->port);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    sign_key_free(world->key);
    temp_spool_close(&world->temp);
    free(world);
    return 0;
}

/* The same, `count` times in one commit. */
static void push_bodies(struct world *world, int lane, struct bytes body, size_t count)
{
    static struct spool_record records[SPOOL_PUSH_RECORDS];
    struct err err = {0};
    for (size_t i = 0; i < count; i++)
        records[i] = (struct spool_record){.lane = lane, .body = body};
    if (!spool_push(world->temp.spool, records, count, &err))
        fail_msg("%s", err.text);
}

static void push_body(struct world *world, int lane, struct bytes body)
{
    push_bodies(world, lane, body, 1);
}

static void push_event(struct world *world, size_t detail_bytes)
{
    static uint8_t noise[LIMIT_RECORD_BYTES];
    Muster__Event event = MUSTER__EVENT__INIT;
    struct buf body = {0};
    struct err err = {0};
    random_bytes(noise, detail_bytes);
    event.kind = MUSTER__EVENT_KIND__EVENT_OPEN;
    event.detail = (ProtobufCBinaryData){.len = detail_bytes, .data = noise};
    assert_true(pack(&event.base, &body, &err));
    push_body(world, MUSTER__LANE__LANE_EVENT, buf_bytes(&body));
    buf_done(&body);
}

static void push_txns(struct world *world, const char *firmware_version, size_t count)
{
    Muster__TxnResult txn = MUSTER__TXN_RESULT__INIT;
    struct buf body = {0};
    struct err err = {0};
    txn.stan = 17;
    txn.firmware_version = (char *)(uintptr_t)firmware_version;
    assert_true(pack(&txn.base, &body, &err));
    push_bodies(world, MUSTER__LANE__LANE_TXN, buf_bytes(&body), count);
    buf_done(&body);
}

static void push_txn(struct world *world, const char *firmware_version)
{
    push_txns(world, firmware_version, 1);
}

/* What is no record of its lane, though the spool holds it whole. */
static void push_nonsense(struct world *world)
{
    push_body(world, MUSTER__LANE__LANE_TXN, bytes_of("\x0f\x0f\x0f", 3));
}

/* Pumps, and lets the link hear `packets` in all; the broker takes them. */
static void pump(struct world *world, unsigned packets, const char *said)
{
    sender_pump(&world->sender, clock_boot_ms(real));
    while (world->packets < packets)
        uv_run(&world->loop, UV_RUN_ONCE);
    for (uint64_t token = 1; token < world->sender.uplink.next_token; token++)
        uplink_puback(&world->sender.uplink, token);
    assert_int_equal(world->sender.batches, packets);
    assert_string_equal(world->said, said);
}

static void receipt(struct world *world, uint64_t cumulative, struct spool_range range)
{
    struct err err = {0};
    assert_true(spool_receipt(world->temp.spool, spool_incarnation(world->temp.spool), 1,
                              cumulative, &range, range.first > 0 ? 1 : 0, &err));
}

static uint64_t lost_records(const struct world *world)
{
    struct spool_stats stats;
    spool_stats(world->temp.spool, &stats);
    return stats.records_lost;
}

static void test_all_lanes_go_in_one_packet(void **state)
{
    struct world *world = *state;
    push_txn(world, "1");
    push_txn(world, "1");
    push_event(world, 10);
    pump(world, 1, "1/1+2 2/1+1 ");
    pump(world, 1, "1/1+2 2/1+1 "); /* and only once */
}

/* It is declared in its place, durably, and what lies behind it goes on. */
static void test_what_is_no_record_is_declared_lost(void **state)
{
    struct world *world = *state;
    push_txn(world, "1");
    push_nonsense(world);
    push_txn(world, "1");
    push_nonsense(world);
    push_event(world, 10);
    const char *said = "1/1+1~3 2/1+1 1/2+1!3~2 1/3+1~1 1/4+1!3 ";
    pump(world, 4, said);
    assert_int_equal(lost_records(world), 2);
    pump(world, 4, said);
}

static void test_what_no_batch_may_carry_is_declared_lost(void **state)
{
    struct world *world = *state;
    char overlong[LIMIT_TXN_BYTES + 100];
    memset(overlong, 'v', sizeof overlong - 1);
    overlong[sizeof overlong - 1] = '\0';
    push_txn(world, overlong);
    push_txn(world, "1");
    push_txn(world, "1");
    push_event(world, 10);
    pump(world, 2, "1/1+1!3~2 2/1+1 1/2+2 ");
    assert_int_equal(lost_records(world), 1);
}

static void test_a_long_loss_is_one_row_of_a_packet(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    push_txns(world, "1", 1000);
    assert_true(spool_lose(world->temp.spool, spool_incarnation(world->temp.spool), 1, 2, 999,
                           SPOOL_LOST_QUOTA, &err));
    push_event(world, 10);
    pump(world, 3, "1/1+1~999 1/2+998!1~1 1/1000+1 2/1+1 ");
}

static bool refuse(struct world *world, unsigned packet)
{
    struct uplink_part lost = {0};
    return sender_refused(&world->sender, world->digests[packet], &lost);
}

/* The second of four is what a collector chokes on; a resend of the whole would go on for ever. */
static void test_a_refused_packet_goes_in_halves_until_one_record_is_given_up(void **state)
{
    struct world *world = *state;
    push_txns(world, "1", 4);
    pump(world, 1, "1/1+4 ");
    assert_false(refuse(world, 0));
    pump(world, 3, "1/1+4 1/1+2~2 1/3+2 ");
    receipt(world, 0, (struct spool_range){3, 4});
    assert_false(refuse(world, 1));
    pump(world, 5, "1/1+4 1/1+2~2 1/3+2 1/1+1~3 1/2+1~2 ");
    assert_true(refuse(world, 4));
    receipt(world, 1, (struct spool_range){0});
    assert_int_equal(lost_records(world), 1);
    const char *said = "1/1+4 1/1+2~2 1/3+2 1/1+1~3 1/2+1~2 1/2+1!5~2 ";
    pump(world, 6, said);
    assert_false(refuse(world, 4)); /* said again: nothing new */
    receipt(world, 4, (struct spool_range){0});
    pump(world, 6, said);
    assert_int_equal(lost_records(world), 0);
}

/* Refused beyond all that was ever given: what there is of it is declared, and that is all. */
static void test_a_refusal_beyond_the_end_comes_to_an_end(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    uint64_t incarnation = spool_incarnation(world->temp.spool);
    push_txns(world, "1", 4);
    pump(world, 1, "1/1+4 ");
    assert_true(
        spool_lose(world->temp.spool, incarnation, 1, 3, UINT64_MAX, SPOOL_LOST_CONFLICT, &err));
    uplink_lost(&world->sender.uplink, incarnation, 1, 3, UINT64_MAX);
    pump(world, 2, "1/1+4 1/3+2!4 ");
    push_txns(world, "1", 1);
    pump(world, 3, "1/1+4 1/3+2!4 1/5+1 ");
}

/* A lost receipt, or a lost packet: after a while all without a receipt goes again, and no more. */
static void test_what_is_not_receipted_goes_again(void **state)
{
    struct world *world = *state;
    push_txns(world, "1", 4);
    pump(world, 1, "1/1+4 ");
    receipt(world, 1, (struct spool_range){3, 3});
    int64_t late_ms = uplink_deadline(&world->sender.uplink, clock_boot_ms(real));
    sender_pump(&world->sender, late_ms - 1);
    pump(world, 1, "1/1+4 ");
    sender_pump(&world->sender, late_ms); /* it has moved since: looked at again */
    late_ms = uplink_deadline(&world->sender.uplink, late_ms);
    sender_pump(&world->sender, late_ms);
    pump(world, 3, "1/1+4 1/2+1~2 1/4+1 ");
}

/* A hole that is sent again: what is receipted behind it is neither sent nor waited for. */
static void test_what_is_receipted_behind_a_hole_holds_nothing_up(void **state)
{
    struct world *world = *state;
    push_txns(world, "1", UPLINK_PACKET_RECORDS + 1);
    push_event(world, 10);
    receipt(world, 0, (struct spool_range){2, UPLINK_PACKET_RECORDS + 1});
    pump(world, 2, "1/1+1~500 2/1+1 ");
    assert_int_equal(world->sender.unreadable, 0);
}

static void test_large_records_that_cannot_be_compressed_fit(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 6; i++)
        push_event(world, LIMIT_RECORD_BYTES - 64);
    pump(world, 3, "2/1+2~4 2/3+2~2 2/5+2 ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_all_lanes_go_in_one_packet),
        TEST(test_what_is_no_record_is_declared_lost),
        TEST(test_what_no_batch_may_carry_is_declared_lost),
        TEST(test_a_long_loss_is_one_row_of_a_packet),
        TEST(test_a_refused_packet_goes_in_halves_until_one_record_is_given_up),
        TEST(test_a_refusal_beyond_the_end_comes_to_an_end),
        TEST(test_what_is_not_receipted_goes_again),
        TEST(test_what_is_receipted_behind_a_hole_holds_nothing_up),
        TEST(test_large_records_that_cannot_be_compressed_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
