/* SPDX-License-Identifier: Apache-2.0 */
/* When packets go: the uplink with its linger. */
#include "tests/unit/testing.h"
#include "tests/unit/uplink_world.h"

/* A plan for everything, also what is not full; it was sent and the broker has it. */
static void flush(struct uplink *uplink, const struct uplink_stream *stream, int64_t now_ms)
{
    struct uplink_plan plan;
    while (uplink_next(uplink, stream, 1, now_ms, &plan)) {
        send_all(uplink, &plan, now_ms);
        uplink_puback(uplink, plan.token);
    }
}

/* A disk that could not be read for a moment: nothing was sent, so no receipt is missed either. */
static void test_what_was_skipped_is_tried_again_though_nothing_was_sent(void **state)
{
    (void)state;
    struct uplink uplink;
    struct uplink_plan plan;
    struct uplink_stream one = stream(3, 1);
    const struct uplink_policy wired = {.resend_ms = 30000, .resend_max_ms = 600000};
    uplink_init(&uplink, &wired);
    assert_false(uplink_owes(&uplink, 0));
    uplink_connected(&uplink, 0);
    assert_true(uplink_owes(&uplink, 0));
    assert_true(uplink_next(&uplink, &one, 1, 0, &plan));
    uplink_skipped(&uplink, &plan, 0, 4, 0, UINT64_MAX);
    assert_false(uplink_next(&uplink, &one, 1, 0, &plan));
    assert_true(uplink_owes(&uplink, 0));
    int64_t again_ms = uplink_deadline(&uplink, 0);
    assert_in_range(again_ms, wired.resend_ms, 2 * wired.resend_ms);
    uplink_tick(&uplink, &one, 1, again_ms, 0);
    assert_true(uplink_next(&uplink, &one, 1, again_ms, &plan));
    assert_int_equal(plan.ranges[0].from_seq, 1);
}

static void test_what_lingers_is_not_owed(void **state)
{
    (void)state;
    struct uplink uplink;
    struct uplink_plan plan;
    const struct uplink_policy metered = {.linger = {.linger_ms = 900000}};
    uplink_init(&uplink, &metered);
    uplink_connected(&uplink, 0);
    assert_false(uplink_next(&uplink, NULL, 0, 0, &plan));
    uplink_stored(&uplink, HASTE_LINGERS, 100);
    assert_false(uplink_owes(&uplink, 900099));
    assert_true(uplink_owes(&uplink, 900100));
}

static void test_a_suspect_takes_along_what_waits_and_then_there_is_a_quiet_minute(void **state)
{
    (void)state;
    struct uplink uplink;
    struct uplink_plan plan;
    struct uplink_stream one = stream(3, 1);
    const struct uplink_policy metered = {.linger = {.linger_ms = 900000, .quiet_ms = 60000},
                                          .resend_ms = 5400000,
                                          .resend_max_ms = 5400000};
    uplink_init(&uplink, &metered);
    uplink_connected(&uplink, 0);
    assert_false(uplink_next(&uplink, NULL, 0, 0, &plan)); /* nothing of an earlier session */
    uplink_stored(&uplink, HASTE_LINGERS, 100);
    assert_false(uplink_next(&uplink, &one, 1, 5000, &plan));
    uplink_stored(&uplink, HASTE_URGENT, 5000);
    assert_true(uplink_next(&uplink, &one, 1, 5000, &plan));
    assert_int_equal(plan.ranges[0].max_records, 3);
    flush(&uplink, &one, 5000);
    one.last_seq = 5;
    uplink_stored(&uplink, HASTE_URGENT, 6000);
    assert_int_equal(uplink_deadline(&uplink, 6000), 65000);
    assert_false(uplink_next(&uplink, &one, 1, 64999, &plan));
    assert_true(uplink_next(&uplink, &one, 1, 65000, &plan));
    /* A backlog is not held up by it. */
    one.last_seq = 5 + UPLINK_PACKET_RECORDS;
    assert_true(uplink_next(&uplink, &one, 1, 6000, &plan));
}

static void test_what_was_sent_before_waits_for_the_welcome(void **state)
{
    (void)state;
    struct uplink uplink;
    struct uplink_plan plan;
    struct uplink_stream one = stream(10, 1);
    const struct uplink_policy metered = {.welcome_ms = 10000};
    uplink_init(&uplink, &metered);
    uplink_connected(&uplink, 1000);
    assert_false(uplink_next(&uplink, &one, 1, 10999, &plan));
    assert_int_equal(uplink_deadline(&uplink, 1000), 11000);
    assert_true(uplink_next(&uplink, &one, 1, 11000, &plan)); /* nobody welcomes us */
    uplink_connected(&uplink, 1000);
    one.first_unsent = 8; /* the receipt in the welcome */
    uplink_welcomed(&uplink);
    assert_true(uplink_next(&uplink, &one, 1, 1001, &plan));
    assert_int_equal(plan.ranges[0].from_seq, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_suspect_takes_along_what_waits_and_then_there_is_a_quiet_minute),
        cmocka_unit_test(test_what_was_sent_before_waits_for_the_welcome),
        cmocka_unit_test(test_what_was_skipped_is_tried_again_though_nothing_was_sent),
        cmocka_unit_test(test_what_lingers_is_not_owed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
