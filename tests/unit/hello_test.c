/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/testing.h"

#include "agent/hello.h"

#include <string.h>

static const uint8_t nonce_a[16] = "nonce-a";
static const uint8_t nonce_b[16] = "nonce-b";
static const int64_t day_ms = INT64_C(86400000);

static void test_said_at_connect(void **state)
{
    (void)state;
    struct hello hello = {0};
    assert_false(hello_due(&hello, 1000));
    assert_true(hello_deadline(&hello) == INT64_MAX);
    hello_connected(&hello, 1000);
    assert_true(hello_due(&hello, 1000));
}

/* The wait after many hellos that nobody answered. */
static int64_t longest_wait(int64_t limit_ms)
{
    struct hello hello = {.longest_wait_ms = limit_ms};
    hello_connected(&hello, 1);
    int64_t now = 1;
    int64_t last_wait = 0;
    for (int i = 0; i < 16; i++) {
        assert_true(hello_due(&hello, now));
        hello_sent(&hello, nonce_a, now, UINT64_MAX);
        int64_t wait = hello_deadline(&hello) - now;
        assert_true(wait >= last_wait);
        assert_false(hello_due(&hello, now + wait - 1));
        last_wait = wait;
        now += wait;
    }
    return last_wait;
}

static void test_repeated_until_welcomed_with_growing_waits(void **state)
{
    (void)state;
    assert_int_equal(longest_wait(0), 600000);
    assert_int_equal(longest_wait(1000), 600000);
    assert_int_equal(longest_wait(3600000), 7200000);
}

static void test_a_new_root_is_told_soon_and_not_by_all_at_once(void **state)
{
    (void)state;
    struct hello hello = {0};
    hello_anew(&hello, 1000, 0);
    assert_true(hello_deadline(&hello) == INT64_MAX); /* said at the connect anyway */
    hello_connected(&hello, 1000);
    hello_anew(&hello, 1000, UINT64_MAX);
    assert_int_equal(hello_deadline(&hello), 1000);
    hello_sent(&hello, nonce_a, 1000, UINT64_MAX);
    hello_anew(&hello, 1000, UINT64_MAX); /* its welcome may not have been readable */
    assert_in_range(hello_deadline(&hello), 1500, 2000);
    hello_sent(&hello, nonce_b, 2000, 0);
    assert_true(hello_welcomed(&hello, nonce_b, 16, false, 2100, 0));
    hello_anew(&hello, 3000, 0);
    int64_t earliest = hello_deadline(&hello);
    assert_true(hello_welcomed(&hello, nonce_b, 16, false, 3100, 0) == false);
    hello_sent(&hello, nonce_a, earliest, 0);
    assert_true(hello_welcomed(&hello, nonce_a, 16, false, earliest, 0));
    hello_anew(&hello, earliest, UINT64_MAX);
    assert_true(hello_deadline(&hello) - earliest > earliest - 3000 + 5000);
    hello_anew(&hello, earliest, 0); /* the next root does not put it off */
    assert_true(hello_deadline(&hello) - earliest == earliest - 3000);
}

static void test_only_the_newest_nonce_welcomes(void **state)
{
    (void)state;
    struct hello hello = {0};
    hello_connected(&hello, 1);
    assert_false(hello_welcomed(&hello, nonce_a, 16, false, 1, 0));
    hello_sent(&hello, nonce_a, 1, 0);
    hello_sent(&hello, nonce_b, 2, 0);
    assert_false(hello_welcomed(&hello, nonce_a, 16, false, 3, 0));
    assert_false(hello_welcomed(&hello, nonce_b, 15, false, 3, 0));
    assert_false(hello.welcomed);
    assert_true(hello_welcomed(&hello, nonce_b, 16, false, 3, 0));
    assert_true(hello.welcomed);
    assert_false(hello_welcomed(&hello, nonce_b, 16, false, 4, 0)); /* a replay */
}

static void test_daily_after_the_welcome(void **state)
{
    (void)state;
    struct hello hello = {0};
    hello_connected(&hello, 1);
    hello_sent(&hello, nonce_a, 1, 0);
    assert_true(hello_welcomed(&hello, nonce_a, 16, false, 10, UINT64_MAX));
    assert_int_equal(hello_deadline(&hello), 10 + day_ms);
    assert_true(hello_due(&hello, 10 + day_ms));
}

static void test_the_next_hello_is_brought_forward(void **state)
{
    (void)state;
    struct hello hello = {0};
    hello_connected(&hello, 1);
    hello_sent(&hello, nonce_a, 1, 0);
    assert_true(hello_welcomed(&hello, nonce_a, 16, false, 10, 0));
    assert_true(hello_deadline(&hello) > 10 + day_ms / 3);
    hello_soon(&hello, 20);
    int64_t soon = hello_deadline(&hello);
    assert_in_range(soon, 21, 20 + 10000);
    hello_soon(&hello, 1000); /* asking again does not put it off */
    assert_int_equal(hello_deadline(&hello), soon);
}

/* Something came up while the answer was on its way: that one does not speak of it. */
static void test_an_answer_does_not_put_off_what_was_asked_for_since(void **state)
{
    (void)state;
    struct hello hello = {0};
    hello_connected(&hello, 1);
    hello_sent(&hello, nonce_a, 1, 0);
    assert_true(hello_welcomed(&hello, nonce_a, 16, false, 10, 0));
    hello_sent(&hello, nonce_b, 20, 0);
    hello_soon(&hello, 30);
    int64_t soon = hello_deadline(&hello);
    assert_true(hello_welcomed(&hello, nonce_b, 16, false, 40, 0));
    assert_int_equal(hello_deadline(&hello), soon);
    hello_sent(&hello, nonce_a, soon, 0);
    assert_true(hello_welcomed(&hello, nonce_a, 16, false, soon + 10, 0));
    assert_true(hello_deadline(&hello) > soon + day_ms / 3);
    hello_sent(&hello, nonce_b, soon + 20, 0);
    hello_anew(&hello, soon + 30, UINT64_MAX);
    int64_t anew = hello_deadline(&hello);
    assert_true(hello_welcomed(&hello, nonce_b, 16, false, soon + 40, 0));
    assert_int_equal(hello_deadline(&hello), anew);
}

static void test_a_hello_can_be_asked_for(void **state)
{
    (void)state;
    struct hello hello = {0};
    hello_soon(&hello, 1); /* without a session there is nobody to tell */
    assert_true(hello_deadline(&hello) == INT64_MAX);
    hello_connected(&hello, 1);
    hello_sent(&hello, nonce_a, 1, 0);
    assert_true(hello_welcomed(&hello, nonce_a, 16, false, 10, 0));
    hello_soon(&hello, 20);
    assert_in_range(hello_deadline(&hello), 20, 20 + 10000);
}

static void test_a_hello_can_be_due_at_once(void **state)
{
    (void)state;
    struct hello hello = {0};
    hello_now(&hello, 1);
    assert_true(hello_deadline(&hello) == INT64_MAX);
    hello_connected(&hello, 1);
    hello_sent(&hello, nonce_a, 1, 0);
    int64_t planned = hello_deadline(&hello);
    hello_now(&hello, 2); /* one is out that nobody has answered yet */
    assert_int_equal(hello_deadline(&hello), planned);
    assert_true(hello_welcomed(&hello, nonce_a, 16, false, 10, 0));
    hello_soon(&hello, 20);
    hello_now(&hello, 21);
    assert_true(hello_due(&hello, 21));
}

static void test_what_is_behind_is_asked_for_after_a_welcome(void **state)
{
    (void)state;
    struct hello hello = {0};
    hello_connected(&hello, 1);
    hello_sent(&hello, nonce_a, 1, 0);
    int64_t planned = hello_deadline(&hello);
    assert_true(hello_welcomed(&hello, nonce_a, 16, true, 10, 0));
    assert_int_equal(hello_deadline(&hello), planned);
}

static void test_nothing_after_disconnect(void **state)
{
    (void)state;
    struct hello hello = {0};
    hello_connected(&hello, 1);
    hello_sent(&hello, nonce_a, 1, 0);
    hello_disconnected(&hello);
    assert_true(hello_deadline(&hello) == INT64_MAX);
    assert_false(hello_welcomed(&hello, nonce_a, 16, false, 2, 0));
    hello_soon(&hello, 3);
    assert_false(hello_due(&hello, 1000000));
}

/* A broker that repeats what contradicts costs a hello now and then, not one each time. */
static void test_doubt_is_told_ever_more_seldom(void **state)
{
    (void)state;
    struct hello hello = {0};
    unsigned said = 0;
    hello_connected(&hello, 0);
    hello_doubt(&hello, 0); /* nobody has welcomed us yet: a hello is under way */
    assert_int_equal(hello.doubt_next_ms, 0);
    hello_sent(&hello, nonce_a, 0, 0);
    assert_true(hello_welcomed(&hello, nonce_a, 16, false, 0, 0));
    for (int64_t now_ms = 0; now_ms < day_ms; now_ms += 1000) {
        hello_doubt(&hello, now_ms);
        if (!hello_due(&hello, now_ms))
            continue;
        said++;
        hello_sent(&hello, nonce_a, now_ms, UINT64_MAX);
        assert_true(hello_welcomed(&hello, nonce_a, 16, false, now_ms, UINT64_MAX));
    }
    assert_in_range(said, 8, 14);
    hello_sure(&hello);
    hello_doubt(&hello, day_ms);
    assert_true(hello_due(&hello, day_ms + 3000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_said_at_connect),
        cmocka_unit_test(test_repeated_until_welcomed_with_growing_waits),
        cmocka_unit_test(test_only_the_newest_nonce_welcomes),
        cmocka_unit_test(test_a_new_root_is_told_soon_and_not_by_all_at_once),
        cmocka_unit_test(test_daily_after_the_welcome),
        cmocka_unit_test(test_the_next_hello_is_brought_forward),
        cmocka_unit_test(test_an_answer_does_not_put_off_what_was_asked_for_since),
        cmocka_unit_test(test_a_hello_can_be_asked_for),
        cmocka_unit_test(test_a_hello_can_be_due_at_once),
        cmocka_unit_test(test_what_is_behind_is_asked_for_after_a_welcome),
        cmocka_unit_test(test_doubt_is_told_ever_more_seldom),
        cmocka_unit_test(test_nothing_after_disconnect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
