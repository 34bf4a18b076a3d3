/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/testing.h"
#include "tests/unit/uplink_world.h"

#include <string.h>

static const struct uplink_policy policy = {
    .linger = {.linger_ms = 1000}, .resend_ms = 30000, .resend_max_ms = 600000};

static struct uplink connected_uplink(void)
{
    struct uplink uplink;
    struct uplink_plan plan;
    uplink_init(&uplink, &policy);
    uplink_connected(&uplink, 0);
    assert_false(uplink_next(&uplink, NULL, 0, 0, &plan)); /* nothing of an earlier session */
    return uplink;
}

static enum uplink_refusal refuse(struct uplink *uplink, uint64_t token, uint64_t *ret_alone)
{
    uint8_t digest[UPLINK_DIGEST_BYTES] = {0};
    struct uplink_part alone = {0};
    memcpy(digest, &token, sizeof token);
    enum uplink_refusal refusal = uplink_refused(uplink, digest, &alone);
    *ret_alone = alone.first;
    return refusal;
}

static void test_nothing_goes_without_a_session(void **state)
{
    (void)state;
    struct uplink uplink;
    struct uplink_plan plan;
    struct uplink_stream streams[] = {stream(10, 1)};
    uplink_init(&uplink, &policy);
    uplink_stored(&uplink, HASTE_URGENT, 0);
    assert_false(uplink_next(&uplink, streams, 1, 5000, &plan));
    assert_true(uplink_deadline(&uplink, 5000) == INT64_MAX);
}

static void test_a_backlog_goes_at_once_when_connected(void **state)
{
    (void)state;
    struct uplink uplink = connected_uplink();
    struct uplink_plan plan;
    struct uplink_stream streams[] = {stream(10, 4)};
    assert_true(uplink_next(&uplink, streams, 1, 0, &plan));
    assert_int_equal(plan.range_count, 1);
    assert_int_equal(plan.ranges[0].from_seq, 4);
    assert_int_equal(plan.ranges[0].max_records, 7);
    send_all(&uplink, &plan, 0);
    assert_false(uplink_next(&uplink, streams, 1, 0, &plan));
}

static void test_a_record_waits_for_company_then_goes(void **state)
{
    (void)state;
    struct uplink uplink = connected_uplink();
    struct uplink_plan plan;
    struct uplink_stream streams[] = {stream(1, 1)};
    uplink_stored(&uplink, HASTE_LINGERS, 100);
    assert_int_equal(uplink_deadline(&uplink, 100), 1100);
    assert_false(uplink_next(&uplink, streams, 1, 1099, &plan));
    streams[0].last_seq = 2;
    uplink_stored(&uplink, HASTE_LINGERS, 900); /* does not prolong the wait */
    assert_true(uplink_next(&uplink, streams, 1, 1100, &plan));
    assert_int_equal(plan.ranges[0].max_records, 2);
}

static void test_urgent_and_full_packets_do_not_wait(void **state)
{
    (void)state;
    struct uplink uplink = connected_uplink();
    struct uplink_plan plan;
    struct uplink_stream one[] = {stream(1, 1)};
    struct uplink_stream many[] = {stream(UPLINK_PACKET_RECORDS + 5, 1)};
    uplink_stored(&uplink, HASTE_LINGERS, 0);
    assert_false(uplink_next(&uplink, one, 1, 1, &plan));
    assert_true(uplink_next(&uplink, many, 1, 1, &plan));
    assert_int_equal(plan.ranges[0].max_records, UPLINK_PACKET_RECORDS);
    uplink_stored(&uplink, HASTE_URGENT, 2);
    assert_true(uplink_next(&uplink, one, 1, 2, &plan));
}

static void test_the_window_closes_and_a_puback_opens_it(void **state)
{
    (void)state;
    struct uplink uplink = connected_uplink();
    struct uplink_plan plan;
    struct uplink_plan first = {0};
    struct uplink_stream streams[] = {stream(100000, 1)};
    for (int i = 0; i < UPLINK_WINDOW; i++) {
        assert_true(uplink_next(&uplink, streams, 1, 0, &plan));
        if (i == 0)
            first = plan;
        send_all(&uplink, &plan, 0);
    }
    assert_false(uplink_next(&uplink, streams, 1, 0, &plan));
    uplink_puback(&uplink, 12345); /* nobody's token: nothing opens */
    assert_false(uplink_next(&uplink, streams, 1, 0, &plan));
    uplink_puback(&uplink, first.token);
    assert_true(uplink_next(&uplink, streams, 1, 0, &plan));
    assert_int_equal(plan.ranges[0].from_seq, UPLINK_WINDOW * UPLINK_PACKET_RECORDS + 1);
}

static void test_pubacks_alone_never_run_far_ahead_of_receipts(void **state)
{
    (void)state;
    struct uplink uplink = connected_uplink();
    struct uplink_plan plan;
    struct uplink_stream streams[] = {stream(1000000, 1)};
    uint64_t sent = 0;
    while (uplink_next(&uplink, streams, 1, 0, &plan)) {
        sent += plan.ranges[0].max_records;
        send_all(&uplink, &plan, 0);
        uplink_puback(&uplink, plan.token);
        assert_true(sent < 1000000);
    }
    assert_true(sent >= UPLINK_AHEAD_RECORDS);
    assert_true(sent < UPLINK_AHEAD_RECORDS + UPLINK_PACKET_RECORDS);
    streams[0].first_unsent = sent + 1; /* receipted: it goes on */
    assert_true(uplink_next(&uplink, streams, 1, 0, &plan));
}

static void test_a_hole_that_stays_does_not_end_the_stream(void **state)
{
    (void)state;
    struct uplink uplink = connected_uplink();
    struct uplink_plan plan;
    struct uplink_stream streams[] = {stream(100000, 1)};
    const struct uplink_plan hole = {.range_count = 1,
                                     .ranges = {{.incarnation = 7, .lane = 1, .from_seq = 1}}};
    uplink_skipped(&uplink, &hole, 0, 2, 0, 0);
    uint64_t sent = 1;
    while (sent < 100000) {
        assert_true(uplink_next(&uplink, streams, 1, 0, &plan));
        assert_int_equal(plan.ranges[0].from_seq, sent + 1);
        sent += plan.ranges[0].max_records;
        send_all(&uplink, &plan, 0);
        uplink_puback(&uplink, plan.token);
        streams[0].receipted_to = sent; /* and first_unsent stays at 1 */
    }
    assert_false(uplink_next(&uplink, streams, 1, 0, &plan));
}

static void test_what_is_not_receipted_in_time_is_sent_again(void **state)
{
    (void)state;
    struct uplink uplink = connected_uplink();
    struct uplink_plan plan;
    struct uplink_stream streams[] = {stream(3, 1)};
    assert_true(uplink_next(&uplink, streams, 1, 0, &plan));
    send_all(&uplink, &plan, 0);
    uplink_puback(&uplink, plan.token);
    int64_t deadline = uplink_deadline(&uplink, 0);
    assert_in_range(deadline, policy.resend_ms, 2 * policy.resend_ms);
    uplink_tick(&uplink, streams, 1, deadline - 1, 0);
    assert_false(uplink_next(&uplink, streams, 1, deadline - 1, &plan));
    uplink_tick(&uplink, streams, 1, deadline, 0);
    assert_true(uplink_next(&uplink, streams, 1, deadline, &plan));
    assert_int_equal(plan.ranges[0].from_seq, 1);
    assert_int_equal(uplink.resends, 1);
}

static void test_the_resend_wait_doubles_up_to_its_bound(void **state)
{
    (void)state;
    struct uplink uplink = connected_uplink();
    struct uplink_plan plan;
    struct uplink_stream streams[] = {stream(1, 1)};
    int64_t now = 0;
    int64_t longest = 0;
    assert_true(uplink_next(&uplink, streams, 1, now, &plan));
    send_all(&uplink, &plan, now);
    for (int i = 0; i < 12; i++) {
        int64_t deadline = uplink_deadline(&uplink, now);
        if (deadline - now > longest)
            longest = deadline - now;
        now = deadline;
        uplink_tick(&uplink, streams, 1, now, UINT64_MAX);
        assert_true(uplink_next(&uplink, streams, 1, now, &plan));
        send_all(&uplink, &plan, now);
    }
    assert_int_equal(longest, 2 * policy.resend_max_ms);
}

static void test_receipts_stop_the_resending(void **state)
{
    (void)state;
    struct uplink uplink = connected_uplink();
    struct uplink_plan plan;
    struct uplink_stream streams[] = {stream(3, 1)};
    assert_true(uplink_next(&uplink, streams, 1, 0, &plan));
    send_all(&uplink, &plan, 0);
    streams[0].first_unsent = 4;
    uplink_tick(&uplink, streams, 1, 100000000, 0);
    assert_true(uplink_deadline(&uplink, 100000000) == INT64_MAX);
    assert_false(uplink_next(&uplink, streams, 1, 100000000, &plan));
    assert_int_equal(uplink.resends, 0);
}

static void test_a_hole_is_sent_again_even_while_later_records_are_receipted(void **state)
{
    (void)state;
    struct uplink uplink = connected_uplink();
    struct uplink_plan plan;
    struct uplink_stream streams[] = {stream(10, 1)};
    assert_true(uplink_next(&uplink, streams, 1, 0, &plan));
    send_all(&uplink, &plan, 0);
    uplink_puback(&uplink, plan.token);
    /* Receipts fill in beyond the hole at 1: first_unsent stays. */
    int64_t deadline = uplink_deadline(&uplink, 0);
    streams[0].last_seq = 20;
    uplink_stored(&uplink, HASTE_URGENT, deadline - 1);
    assert_true(uplink_next(&uplink, streams, 1, deadline - 1, &plan));
    assert_int_equal(plan.ranges[0].from_seq, 11);
    send_all(&uplink, &plan, deadline - 1);
    uplink_tick(&uplink, streams, 1, deadline, 0);
    assert_true(uplink_next(&uplink, streams, 1, deadline, &plan));
    assert_int_equal(plan.ranges[0].from_seq, 1);
}

/* Its packet was lost while the broker and the session went on: a busy lane is no excuse. */
static void test_a_quiet_stream_is_sent_again_while_another_is_served(void **state)
{
    (void)state;
    struct uplink uplink = connected_uplink();
    struct uplink_plan plan;
    struct uplink_stream streams[] = {
        {.incarnation = 7, .lane = 1, .last_seq = 1, .first_unsent = 1},
        {.incarnation = 7, .lane = 3, .last_seq = 1, .first_unsent = 1},
    };
    bool again = false;
    assert_true(uplink_next(&uplink, streams, 2, 0, &plan));
    send_all(&uplink, &plan, 0);
    for (int64_t now = 1000; now < 4 * policy.resend_ms && !again; now += 1000) {
        streams[0].first_unsent = ++streams[0].last_seq; /* receipted, and a new one comes */
        uplink_tick(&uplink, streams, 2, now, UINT64_MAX);
        assert_true(uplink_next(&uplink, streams, 2, now, &plan));
        assert_int_equal(plan.ranges[0].lane, 1);
        assert_int_equal(plan.ranges[0].from_seq, streams[0].last_seq); /* never twice */
        again = plan.range_count == 2;
        send_all(&uplink, &plan, now);
        uplink_puback(&uplink, plan.token);
    }
    assert_true(again);
    assert_int_equal(uplink.resends, 1);
}

static void test_a_new_session_begins_at_the_first_record_without_receipt(void **state)
{
    (void)state;
    struct uplink uplink = connected_uplink();
    struct uplink_plan plan;
    struct uplink_stream streams[] = {stream(10, 3)};
    assert_true(uplink_next(&uplink, streams, 1, 0, &plan));
    send_all(&uplink, &plan, 0);
    uplink_disconnected(&uplink);
    assert_false(uplink_next(&uplink, streams, 1, 0, &plan));
    uplink_connected(&uplink, 0);
    assert_true(uplink_next(&uplink, streams, 1, 0, &plan));
    assert_int_equal(plan.ranges[0].from_seq, 3);
}

static void test_one_packet_carries_all_lanes(void **state)
{
    (void)state;
    struct uplink uplink = connected_uplink();
    struct uplink_plan plan;
    struct uplink_stream streams[] = {
        {.incarnation = 1, .lane = 1, .last_seq = 5, .first_unsent = 2},
        {.incarnation = 2, .lane = 1, .last_seq = 9, .first_unsent = 1},
        {.incarnation = 2, .lane = 3, .last_seq = 1, .first_unsent = 1},
    };
    assert_true(uplink_next(&uplink, streams, 3, 0, &plan));
    assert_int_equal(plan.range_count, 3);
    assert_int_equal(plan.ranges[2].lane, 3);
    send_all(&uplink, &plan, 0);
    assert_false(uplink_next(&uplink, streams, 3, 0, &plan));
}

static void test_many_streams_are_drained_in_turn(void **state)
{
    (void)state;
    enum { STREAMS = UPLINK_STREAMS * 2 };
    struct uplink uplink = connected_uplink();
    struct uplink_stream all[STREAMS];
    struct uplink_plan plan;
    for (size_t i = 0; i < STREAMS; i++)
        all[i] = (struct uplink_stream){
            .incarnation = i + 1, .lane = 1, .last_seq = 2, .first_unsent = 1};
    size_t at = 0;
    int64_t now = 0;
    while (at < STREAMS) {
        size_t count = STREAMS - at < UPLINK_STREAMS ? STREAMS - at : UPLINK_STREAMS;
        assert_true(uplink_next(&uplink, all + at, count, now, &plan));
        send_all(&uplink, &plan, now);
        uplink_puback(&uplink, plan.token);
        at += plan.range_count; /* their receipts arrive: they leave the list */
    }
    assert_false(uplink_next(&uplink, all, 0, now, &plan));
}

/* ---- refused, lost, asked for again ---- */

/* A collector that can decode anything but these, and tells so at once. */
static bool bad(const uint64_t *seqs, size_t count, const struct uplink_part *part)
{
    for (size_t i = 0; i < count; i++)
        if (part->first <= seqs[i] && seqs[i] <= part->last)
            return true;
    return false;
}

/* Sends until nothing is left to send; returns the packets. What stands alone goes to `alone`. */
static unsigned dialogue(struct uplink *uplink, struct uplink_stream *stream_of,
                         const uint64_t *bad_seqs, size_t bad_count, uint64_t *alone,
                         size_t *alone_count)
{
    struct uplink_plan plan;
    unsigned packets = 0;
    while (uplink_next(uplink, stream_of, 1, 0, &plan)) {
        const struct uplink_packet packet = packet_of(&plan);
        uint64_t seq = 0;
        assert_true(++packets < 2000);
        uplink_sent(uplink, &plan, &packet, 0, UINT64_MAX);
        uplink_puback(uplink, plan.token);
        if (!bad(bad_seqs, bad_count, &packet.parts[0]))
            continue;
        enum uplink_refusal refusal = refuse(uplink, plan.token, &seq);
        assert_int_not_equal(refusal, UPLINK_IGNORED);
        if (refusal == UPLINK_ALONE)
            alone[(*alone_count)++] = seq;
    }
    return packets;
}

static void test_what_nobody_decodes_is_halved_until_it_stands_alone(void **state)
{
    (void)state;
    static const struct {
        uint64_t last;
        uint64_t seqs[4];
        size_t count;
        unsigned packets; /* at the most: two for each halving of each of them */
    } cases[] = {
        {1, {1}, 1, 1},
        {2, {2}, 1, 3},
        {500, {1}, 1, 19},
        {500, {500}, 1, 19},
        {500, {77, 78}, 2, 30},
        {500, {1, 250, 251, 500}, 4, 70},
        {1700, {3, 900, 1699}, 3, 70},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct uplink uplink = connected_uplink();
        struct uplink_stream streams[] = {stream(cases[i].last, 1)};
        uint64_t alone[8];
        size_t alone_count = 0;
        unsigned packets =
            dialogue(&uplink, streams, cases[i].seqs, cases[i].count, alone, &alone_count);
        assert_int_equal(alone_count, cases[i].count);
        for (size_t k = 0; k < alone_count; k++)
            assert_true(bad(cases[i].seqs, cases[i].count,
                            &(struct uplink_part){.first = alone[k], .last = alone[k]}));
        assert_in_range(packets, 1, cases[i].packets);
        /* The rest is receipted: nothing is left of it, and nothing is sent again. */
        streams[0].first_unsent = cases[i].last + 1;
        uplink_tick(&uplink, streams, 1, 1000000, 0);
        assert_int_equal(uplink.apart.count, 0);
        assert_true(uplink_deadline(&uplink, 1000000) == INT64_MAX);
    }
}

static void test_when_nothing_can_be_decoded_every_record_stands_alone_once(void **state)
{
    (void)state;
    enum { RECORDS = 500 };
    struct uplink uplink = connected_uplink();
    struct uplink_stream streams[] = {stream(RECORDS, 1)};
    static uint64_t all[RECORDS], alone[RECORDS + 1];
    size_t alone_count = 0;
    bool seen[RECORDS + 1] = {false};
    for (size_t i = 0; i < RECORDS; i++)
        all[i] = i + 1;
    assert_in_range(dialogue(&uplink, streams, all, RECORDS, alone, &alone_count), 1,
                    2 * RECORDS + 9);
    assert_int_equal(alone_count, RECORDS);
    for (size_t i = 0; i < RECORDS; i++) {
        assert_false(seen[alone[i]]);
        seen[alone[i]] = true;
    }
}

static void test_the_halves_go_at_once_and_alone(void **state)
{
    (void)state;
    struct uplink uplink = connected_uplink();
    struct uplink_plan plan;
    uint64_t alone = 0;
    struct uplink_stream streams[] = {
        {.incarnation = 7, .lane = 1, .last_seq = 10, .first_unsent = 1},
        {.incarnation = 7, .lane = 3, .last_seq = 4, .first_unsent = 1},
    };
    assert_true(uplink_next(&uplink, streams, 2, 0, &plan));
    assert_int_equal(plan.range_count, 2);
    send_all(&uplink, &plan, 0);
    assert_int_equal(refuse(&uplink, plan.token, &alone), UPLINK_SMALLER);
    streams[0].last_seq = 12;
    uplink_stored(&uplink, HASTE_LINGERS, 0); /* new ones wait for company; these do not */
    const struct {
        int lane;
        uint64_t from, count;
    } expected[] = {{1, 1, 10}, {3, 1, 4}};
    for (size_t i = 0; i < 2; i++) {
        assert_true(uplink_next(&uplink, streams, 2, 1, &plan));
        assert_int_equal(plan.range_count, 1);
        assert_int_equal(plan.ranges[0].lane, expected[i].lane);
        assert_int_equal(plan.ranges[0].from_seq, expected[i].from);
        assert_int_equal(plan.ranges[0].max_records, expected[i].count);
        send_all(&uplink, &plan, 1);
    }
    assert_false(uplink_next(&uplink, streams, 2, 1, &plan));
    assert_true(uplink_next(&uplink, streams, 2, 1000, &plan));
    assert_int_equal(plan.ranges[0].from_seq, 11);
}

static void test_a_refusal_of_what_was_not_sent_now_is_ignored(void **state)
{
    (void)state;
    struct uplink uplink = connected_uplink();
    struct uplink_plan plan;
    uint64_t alone = 0;
    struct uplink_stream streams[] = {stream(10, 1)};
    assert_int_equal(refuse(&uplink, 99, &alone), UPLINK_IGNORED);
    assert_true(uplink_next(&uplink, streams, 1, 0, &plan));
    send_all(&uplink, &plan, 0);
    uint64_t token = plan.token;
    assert_int_equal(refuse(&uplink, token, &alone), UPLINK_SMALLER);
    assert_int_equal(refuse(&uplink, token, &alone), UPLINK_IGNORED); /* a replay */
    assert_true(uplink_next(&uplink, streams, 1, 0, &plan));
    send_all(&uplink, &plan, 0);
    uplink_connected(&uplink, 0);
    assert_int_equal(refuse(&uplink, plan.token, &alone), UPLINK_IGNORED);
    assert_int_equal(uplink.refusals_ignored, 3);
    /* All is still to be sent, and what is known of the refused ones is kept. */
    assert_true(uplink_next(&uplink, streams, 1, 0, &plan));
    assert_int_equal(plan.ranges[0].from_seq, 1);
    assert_int_equal(plan.ranges[0].max_records, 5);
}

/* Only the newest packets are remembered: a flood of them does not grow the agent. */
static void test_old_packets_are_forgotten(void **state)
{
    (void)state;
    struct uplink uplink = connected_uplink();
    struct uplink_plan plan;
    uint64_t alone = 0;
    struct uplink_stream streams[] = {stream(1, 1)};
    for (int i = 0; i <= UPLINK_REMEMBERED; i++) {
        assert_true(uplink_next(&uplink, streams, 1, 0, &plan));
        send_all(&uplink, &plan, 0);
        uplink_puback(&uplink, plan.token);
        streams[0].first_unsent = ++streams[0].last_seq;
    }
    assert_int_equal(refuse(&uplink, 1, &alone), UPLINK_IGNORED);
    assert_int_equal(refuse(&uplink, 2, &alone), UPLINK_ALONE);
    assert_int_equal(alone, 2);
}

static void test_a_refused_half_without_receipt_is_sent_again(void **state)
{
    (void)state;
    struct uplink uplink = connected_uplink();
    struct uplink_plan plan;
    uint64_t alone = 0, sent = 0;
    struct uplink_stream streams[] = {stream(4, 1)};
    assert_true(uplink_next(&uplink, streams, 1, 0, &plan));
    send_all(&uplink, &plan, 0);
    assert_int_equal(refuse(&uplink, plan.token, &alone), UPLINK_SMALLER);
    int64_t now = 0;
    for (int round = 0; round < 8; round++) {
        while (uplink_next(&uplink, streams, 1, now, &plan)) {
            assert_in_range(plan.ranges[0].max_records, 1, 2); /* never whole again */
            send_all(&uplink, &plan, now);
            uplink_puback(&uplink, plan.token);
            sent++;
        }
        now = uplink_deadline(&uplink, now);
        assert_true(now != INT64_MAX);
        uplink_tick(&uplink, streams, 1, now, UINT64_MAX);
    }
    assert_in_range(sent, 2 * 4, 2 * 8);
}

static void test_what_was_given_up_after_it_was_sent_is_declared_at_once(void **state)
{
    (void)state;
    struct uplink uplink = connected_uplink();
    struct uplink_plan plan;
    struct uplink_stream streams[] = {stream(20, 1)};
    assert_true(uplink_next(&uplink, streams, 1, 0, &plan));
    send_all(&uplink, &plan, 0);
    streams[0].first_unsent = 5;
    streams[0].receipted_to = 20;
    uplink_lost(&uplink, 7, 1, 5, 6);
    uplink_tick(&uplink, streams, 1, 1, 0);
    assert_true(uplink_next(&uplink, streams, 1, 1, &plan));
    assert_int_equal(plan.ranges[0].from_seq, 5);
    assert_int_equal(plan.ranges[0].to_seq, 6);
    send_all(&uplink, &plan, 1);
    assert_false(uplink_next(&uplink, streams, 1, 1, &plan));
}

static void test_a_stream_asked_for_again_starts_over(void **state)
{
    (void)state;
    struct uplink uplink = connected_uplink();
    struct uplink_plan plan;
    struct uplink_stream streams[] = {stream(20, 1)};
    assert_true(uplink_next(&uplink, streams, 1, 0, &plan));
    send_all(&uplink, &plan, 0);
    streams[0].first_unsent = 3;
    uplink_again(&uplink, 7, 1);
    assert_true(uplink_next(&uplink, streams, 1, 1, &plan));
    assert_int_equal(plan.ranges[0].from_seq, 3);
    assert_int_equal(plan.ranges[0].max_records, 18);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_goes_without_a_session),
        cmocka_unit_test(test_a_backlog_goes_at_once_when_connected),
        cmocka_unit_test(test_a_record_waits_for_company_then_goes),
        cmocka_unit_test(test_urgent_and_full_packets_do_not_wait),
        cmocka_unit_test(test_the_window_closes_and_a_puback_opens_it),
        cmocka_unit_test(test_pubacks_alone_never_run_far_ahead_of_receipts),
        cmocka_unit_test(test_a_hole_that_stays_does_not_end_the_stream),
        cmocka_unit_test(test_what_is_not_receipted_in_time_is_sent_again),
        cmocka_unit_test(test_the_resend_wait_doubles_up_to_its_bound),
        cmocka_unit_test(test_receipts_stop_the_resending),
        cmocka_unit_test(test_a_hole_is_sent_again_even_while_later_records_are_receipted),
        cmocka_unit_test(test_a_quiet_stream_is_sent_again_while_another_is_served),
        cmocka_unit_test(test_a_new_session_begins_at_the_first_record_without_receipt),
        cmocka_unit_test(test_one_packet_carries_all_lanes),
        cmocka_unit_test(test_many_streams_are_drained_in_turn),
        cmocka_unit_test(test_what_nobody_decodes_is_halved_until_it_stands_alone),
        cmocka_unit_test(test_when_nothing_can_be_decoded_every_record_stands_alone_once),
        cmocka_unit_test(test_the_halves_go_at_once_and_alone),
        cmocka_unit_test(test_a_refusal_of_what_was_not_sent_now_is_ignored),
        cmocka_unit_test(test_old_packets_are_forgotten),
        cmocka_unit_test(test_a_refused_half_without_receipt_is_sent_again),
        cmocka_unit_test(test_what_was_given_up_after_it_was_sent_is_declared_at_once),
        cmocka_unit_test(test_a_stream_asked_for_again_starts_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
