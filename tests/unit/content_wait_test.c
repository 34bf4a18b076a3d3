/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/content_wait.h"
#include "tests/unit/testing.h"

#include <string.h>

static const int64_t minute_ms = 60000, hour_ms = INT64_C(3600000);
static const int64_t patience_ms = INT64_C(120000);
static const int64_t answer_ms = 3000; /* that a broker has, whatever the size */

static void want(struct content_wait *wait, const char *letters, uint64_t size, int64_t now_ms)
{
    uint8_t blobs[8][32];
    uint64_t sizes[8];
    size_t count = strlen(letters);
    for (size_t i = 0; i < count; i++) {
        memset(blobs[i], letters[i], 32);
        sizes[i] = size;
    }
    content_wait_set(wait, blobs, sizes, count, 0, now_ms);
}

static struct content_wait connected(int64_t now_ms)
{
    struct content_wait wait;
    content_wait_init(&wait, patience_ms);
    content_wait_connected(&wait, false, now_ms);
    return wait;
}

static int64_t deadline(const struct content_wait *wait, int64_t now_ms)
{
    return content_wait_deadline(wait, true, now_ms);
}

static void test_nothing_is_wanted(void **state)
{
    (void)state;
    struct content_wait wait = connected(5);
    assert_true(deadline(&wait, 5) == INT64_MAX);
    want(&wait, "a", 0, 10);
    want(&wait, "", 0, 20);
    assert_true(deadline(&wait, 20) == INT64_MAX);
    assert_false(content_wait_ask(&wait, hour_ms));
    assert_false(content_wait_late(&wait, hour_ms));
    assert_int_equal(content_wait_waited_ms(&wait, hour_ms), 0);
}

static void test_asked_for_once_and_then_ever_more_seldom(void **state)
{
    (void)state;
    struct content_wait wait = connected(0);
    int64_t now_ms = 1000, expected_ms = patience_ms;
    want(&wait, "a", 0, now_ms);
    assert_false(content_wait_ask(&wait, now_ms + answer_ms - 1)); /* it may be on its way */
    assert_int_equal(deadline(&wait, now_ms), now_ms + answer_ms);
    now_ms += answer_ms;
    assert_true(content_wait_ask(&wait, now_ms)); /* the broker may keep nothing */
    for (unsigned i = 0; i < 8; i++) {
        content_wait_asked(&wait, now_ms, 0);
        content_wait_named(&wait, now_ms + 1);
        assert_false(content_wait_ask(&wait, now_ms + expected_ms - 1));
        now_ms += expected_ms + (i == 0); /* named a little later, so that it has its time */
        assert_true(content_wait_ask(&wait, now_ms));
        expected_ms = 2 * expected_ms < hour_ms ? 2 * expected_ms : hour_ms;
    }
    content_wait_asked(&wait, now_ms, UINT64_MAX);
    assert_false(content_wait_ask(&wait, now_ms + hour_ms));
    assert_true(content_wait_ask(&wait, now_ms + hour_ms * 5 / 4));
}

static void test_late_is_told_once_and_over_once(void **state)
{
    (void)state;
    struct content_wait wait = connected(0);
    want(&wait, "ab", 0, 1000);
    assert_false(content_wait_late(&wait, 1000 + patience_ms - 1));
    assert_true(content_wait_late(&wait, 1000 + patience_ms));
    assert_false(content_wait_late(&wait, 1000 + 2 * patience_ms));
    assert_int_equal(content_wait_waited_ms(&wait, 1000 + patience_ms), patience_ms);
    content_wait_came(&wait, 1000 + 2 * patience_ms);
    want(&wait, "b", 0, 1000 + 2 * patience_ms);
    assert_false(content_wait_late(&wait, 1000 + 4 * patience_ms));
    assert_true(wait.late && wait.came);
    want(&wait, "", 0, 1000 + 4 * patience_ms);
    assert_true(content_wait_over(&wait));
    assert_false(content_wait_over(&wait));
}

static void test_a_thin_line_has_its_time(void **state)
{
    (void)state;
    struct content_wait wait = connected(0);
    want(&wait, "a", 1024 * 1024, 0);
    assert_false(content_wait_ask(&wait, answer_ms + CONTENT_WAIT_LAG_MS - 1));
    assert_true(content_wait_ask(&wait, answer_ms + CONTENT_WAIT_LAG_MS));
    assert_false(content_wait_late(&wait, patience_ms + 1024 * 1000 - 1));
    assert_true(content_wait_late(&wait, patience_ms + 1024 * 1000));
}

/* A hello for it would have the fleet send it a second time. */
static void test_what_is_on_its_way_is_not_asked_for(void **state)
{
    (void)state;
    struct content_wait wait = connected(0);
    uint64_t bytes = 0;
    int64_t now_ms;
    want(&wait, "a", 1024 * 1024, 0);
    for (now_ms = deadline(&wait, 0); now_ms < 100000; now_ms = deadline(&wait, now_ms)) {
        bytes += 20000;
        assert_true(content_wait_ask(&wait, now_ms));
        assert_true(content_wait_flows(&wait, bytes, now_ms));
        assert_false(content_wait_ask(&wait, now_ms));
    }
    assert_true(content_wait_ask(&wait, now_ms)); /* a receipt or two is no content */
    assert_false(content_wait_flows(&wait, bytes + 400, now_ms));
    assert_true(content_wait_ask(&wait, now_ms));
    assert_false(content_wait_flows(&wait, 0, now_ms + 1)); /* another link counts anew */
}

/* What came before is not what is waited for. */
static void test_only_what_comes_since_it_is_wanted_counts(void **state)
{
    (void)state;
    struct content_wait wait = connected(0);
    const uint8_t blob[1][32] = {{1}};
    const uint64_t size = 100000;
    content_wait_set(&wait, blob, &size, 1, 5000000, 1000);
    int64_t now_ms = deadline(&wait, 1000);
    assert_true(content_wait_ask(&wait, now_ms));
    assert_false(content_wait_flows(&wait, 5000000, now_ms));
}

/* It came in time: the fleet need not hear of it. */
static void test_what_came_is_not_asked_for(void **state)
{
    (void)state;
    struct content_wait wait = connected(0);
    want(&wait, "a", 2000, 0);
    content_wait_came(&wait, 2000);
    want(&wait, "", 0, 2010);
    assert_true(deadline(&wait, 2010) == INT64_MAX);
    assert_false(content_wait_ask(&wait, hour_ms));
}

static void test_only_time_with_a_session_counts(void **state)
{
    (void)state;
    struct content_wait wait;
    content_wait_init(&wait, patience_ms);
    want(&wait, "a", 0, 0);
    assert_false(content_wait_ask(&wait, hour_ms));
    assert_false(content_wait_late(&wait, hour_ms));
    assert_true(deadline(&wait, hour_ms) == INT64_MAX);
    content_wait_connected(&wait, false, hour_ms);
    content_wait_disconnected(&wait, hour_ms + minute_ms);
    assert_false(content_wait_late(&wait, 5 * hour_ms));
    content_wait_connected(&wait, false, 5 * hour_ms);
    content_wait_connected(&wait, false, 5 * hour_ms + 1); /* said again */
    assert_int_equal(content_wait_deadline(&wait, false, 5 * hour_ms), 5 * hour_ms + minute_ms);
    assert_false(content_wait_late(&wait, 5 * hour_ms + minute_ms - 1));
    assert_true(content_wait_late(&wait, 5 * hour_ms + minute_ms));
}

static void test_a_broker_that_keeps_nothing_is_not_waited_for(void **state)
{
    (void)state;
    struct content_wait wait = connected(0);
    want(&wait, "a", 1024 * 1024, 0);
    assert_false(content_wait_ask(&wait, answer_ms - 1));
    content_wait_disconnected(&wait, 1000);
    content_wait_connected(&wait, true, 2000);
    want(&wait, "ab", 1024 * 1024, 2000);
    assert_true(content_wait_ask(&wait, 2000));
    assert_false(content_wait_flows(&wait, 50000, 2000)); /* whatever that is: not this */
    content_wait_asked(&wait, 2000, 0);
    content_wait_named(&wait, 2000); /* it is on its way from the fleet now, and has its time */
    assert_false(content_wait_ask(&wait, 2000 + patience_ms + 1024 * 1000 - 1));
    assert_true(content_wait_ask(&wait, 2000 + patience_ms + 1024 * 1000));
    assert_true(content_wait_flows(&wait, 1 << 30, 2000 + patience_ms + 1024 * 1000));
}

/* Pieces: with each that comes, another is asked for. */
static void test_what_comes_is_not_asked_for_again(void **state)
{
    (void)state;
    struct content_wait wait = connected(0);
    want(&wait, "ab", 0, 0);
    content_wait_asked(&wait, 0, 0);
    content_wait_named(&wait, 0);
    content_wait_came(&wait, 1000);
    want(&wait, "bc", 0, 1001);
    assert_false(content_wait_ask(&wait, 1001));
    content_wait_came(&wait, 2000);
    want(&wait, "cd", 0, 2001); /* none of them was ever named, and nothing came before it */
    int64_t now_ms = 2001 + answer_ms;
    assert_true(content_wait_ask(&wait, now_ms));
    content_wait_asked(&wait, now_ms, 0);
    content_wait_named(&wait, now_ms);
    assert_false(content_wait_ask(&wait, now_ms + patience_ms - 1));
    assert_true(content_wait_ask(&wait, now_ms + patience_ms));
}

/* The last piece follows upon one of those that were named together; after them no other does. */
static void test_the_last_one_is_asked_for_when_all_that_was_named_has_come(void **state)
{
    (void)state;
    struct content_wait wait = connected(0);
    content_wait_connected(&wait, true, 0);
    want(&wait, "ab", 0, 0);
    content_wait_asked(&wait, 0, 0);
    content_wait_named(&wait, 0);
    content_wait_came(&wait, 1000);
    want(&wait, "bc", 0, 1001);
    assert_false(content_wait_ask(&wait, 1001));
    content_wait_came(&wait, 2000);
    want(&wait, "c", 0, 2001);
    assert_true(content_wait_ask(&wait, 2001));
}

static void test_another_manifest_does_not_wait_for_what_is_late(void **state)
{
    (void)state;
    struct content_wait wait = connected(0);
    want(&wait, "a", 0, 0);
    for (int64_t now_ms = 0; now_ms < 10 * hour_ms; now_ms += 10000) {
        if (content_wait_ask(&wait, now_ms)) {
            content_wait_asked(&wait, now_ms, 0);
            content_wait_named(&wait, now_ms);
        }
    }
    assert_false(content_wait_ask(&wait, 10 * hour_ms));
    want(&wait, "ab", 0, 10 * hour_ms);
    assert_true(content_wait_ask(&wait, 10 * hour_ms + answer_ms));
}

static void test_given_up_after_being_late_for_as_long_again(void **state)
{
    (void)state;
    struct content_wait wait = connected(0);
    want(&wait, "a", 0, 0);
    assert_false(content_wait_give_up(&wait, 3 * patience_ms)); /* it is told first */
    assert_true(content_wait_late(&wait, patience_ms));
    content_wait_asked(&wait, patience_ms, 0);
    content_wait_asked(&wait, patience_ms, 0);
    assert_int_equal(deadline(&wait, patience_ms), 2 * patience_ms);
    assert_false(content_wait_give_up(&wait, 2 * patience_ms - 1));
    assert_true(content_wait_give_up(&wait, 2 * patience_ms));
    want(&wait, "b", 0, 2 * patience_ms); /* another way to it */
    assert_false(content_wait_give_up(&wait, 4 * patience_ms));
}

static void test_a_broker_that_keeps_nothing_is_not_given_up_on(void **state)
{
    (void)state;
    struct content_wait wait;
    content_wait_init(&wait, patience_ms);
    content_wait_connected(&wait, true, 0);
    want(&wait, "a", 0, 0);
    assert_true(content_wait_late(&wait, patience_ms));
    assert_false(content_wait_give_up(&wait, 10 * patience_ms)); /* only the fleet has any of it */
}

/* A line that breaks says hello each time, and each would have it sent twice. */
static void test_what_comes_need_not_be_sent_by_the_fleet(void **state)
{
    (void)state;
    struct content_wait wait = connected(0);
    want(&wait, "abcd", 0, 0);
    assert_false(content_wait_comes(&wait)); /* nobody knows yet whether the broker has it */
    content_wait_came(&wait, 100);
    want(&wait, "bcde", 0, 100);
    assert_true(content_wait_comes(&wait));
    content_wait_disconnected(&wait, 200);
    content_wait_connected(&wait, false, 300);
    assert_true(content_wait_comes(&wait));
    content_wait_connected(&wait, true, 300); /* another broker, which keeps nothing */
    assert_false(content_wait_comes(&wait));
    content_wait_connected(&wait, false, 300);
    int64_t now_ms = 300 + 2 * patience_ms;
    assert_true(content_wait_ask(&wait, now_ms));
    content_wait_asked(&wait, now_ms, 0);
    assert_false(content_wait_comes(&wait));
    content_wait_came(&wait, now_ms + 1);
    assert_true(content_wait_comes(&wait));
    now_ms += 2 * patience_ms;
    assert_true(content_wait_late(&wait, now_ms));
    assert_false(content_wait_comes(&wait));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_wanted),
        cmocka_unit_test(test_asked_for_once_and_then_ever_more_seldom),
        cmocka_unit_test(test_late_is_told_once_and_over_once),
        cmocka_unit_test(test_a_thin_line_has_its_time),
        cmocka_unit_test(test_what_is_on_its_way_is_not_asked_for),
        cmocka_unit_test(test_only_what_comes_since_it_is_wanted_counts),
        cmocka_unit_test(test_what_came_is_not_asked_for),
        cmocka_unit_test(test_only_time_with_a_session_counts),
        cmocka_unit_test(test_a_broker_that_keeps_nothing_is_not_waited_for),
        cmocka_unit_test(test_what_comes_is_not_asked_for_again),
        cmocka_unit_test(test_the_last_one_is_asked_for_when_all_that_was_named_has_come),
        cmocka_unit_test(test_another_manifest_does_not_wait_for_what_is_late),
        cmocka_unit_test(test_given_up_after_being_late_for_as_long_again),
        cmocka_unit_test(test_a_broker_that_keeps_nothing_is_not_given_up_on),
        cmocka_unit_test(test_what_comes_need_not_be_sent_by_the_fleet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
