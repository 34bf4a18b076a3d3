/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/account.h"

#include "tests/unit/testing.h"

static struct traffic counts(uint64_t up, uint64_t down)
{
    return (struct traffic){.up = {up, up + 10, up + 20, up + 30},
                            .down = {down, down + 1, down + 2, down + 3}};
}

static void look(struct account *account, uint64_t link_start, uint64_t up, uint64_t down)
{
    const struct traffic counted = counts(up, down);
    account_look(account, link_start, &counted);
}

static void test_months_are_those_of_the_calendar(void **state)
{
    (void)state;
    assert_int_equal(account_month_of(0), 197001);
    assert_int_equal(account_month_of(INT64_C(1798761599999)), 202612);
    assert_int_equal(account_month_of(INT64_C(1798761600000)), 202701);
}

static void test_counts_outlive_the_link(void **state)
{
    (void)state;
    struct account account = {0};
    look(&account, 0, 5000, 5000); /* a link that has not said who it is */
    assert_int_equal(account.now.traffic.up.payload, 0);
    look(&account, 7, 100, 1000);
    look(&account, 7, 150, 1000);
    assert_int_equal(account.now.traffic.up.payload, 150);
    assert_int_equal(account.now.traffic.up.tcpip, 180);
    look(&account, 9, 40, 200); /* another one */
    assert_int_equal(account.now.traffic.up.payload, 190);
    assert_int_equal(account.now.traffic.down.payload, 1200);
    look(&account, 9, 30, 200); /* nonsense */
    assert_int_equal(account.now.traffic.up.payload, 190);
}

static void test_what_was_spent_before_the_month_was_known_belongs_to_it(void **state)
{
    (void)state;
    struct account account = {0};
    look(&account, 7, 100, 0);
    account_month_is(&account, 0);
    assert_int_equal(account.now.month, 0);
    account_month_is(&account, 202611);
    assert_int_equal(account.now.traffic.up.payload, 100);
    look(&account, 7, 120, 0);
    account_month_is(&account, 202612);
    look(&account, 7, 125, 0);
    assert_int_equal(account.before.month, 202611);
    assert_int_equal(account.before.traffic.up.payload, 120);
    assert_int_equal(account.now.month, 202612);
    assert_int_equal(account.now.traffic.up.payload, 5);
}

static void test_what_is_kept_goes_on_where_it_was(void **state)
{
    (void)state;
    struct account account = {0}, again;
    struct buf note = {0};
    struct err err = {0};
    account_month_is(&account, 202611);
    look(&account, 7, 100, 50);
    account_month_is(&account, 202612);
    look(&account, 7, 130, 60);
    assert_true(account.unsaved);
    assert_true(account_pack(&account, &note, &err));
    assert_true(account_unpack(buf_bytes(&note), &again, &err));
    assert_false(again.unsaved);
    account.unsaved = false;
    look(&account, 7, 130, 60);
    assert_false(account.unsaved); /* nothing new: not worth a write */
    /* The link went on while the agent was away. */
    look(&again, 7, 145, 60);
    assert_int_equal(again.now.traffic.up.payload, 45);
    assert_int_equal(again.before.traffic.up.payload, 100);
    assert_int_equal(again.before.month, 202611);
    assert_false(account_unpack(bytes_of("\xff\xff\xff", 3), &again, &err));
    assert_int_equal(again.link_start, 0);
    buf_done(&note);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_months_are_those_of_the_calendar),
        cmocka_unit_test(test_counts_outlive_the_link),
        cmocka_unit_test(test_what_was_spent_before_the_month_was_known_belongs_to_it),
        cmocka_unit_test(test_what_is_kept_goes_on_where_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
