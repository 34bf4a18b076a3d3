/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/lease_kept.h"

#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>

static const struct lease_speaker first = {.holder = "first connection", .uid = 7, .pid = 11};
static const struct lease_speaker second = {.holder = "second connection", .uid = 7, .pid = 12};

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct lease));
    return *state != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

static void say(struct lease *lease, struct lease_word word, struct lease_speaker by,
                int64_t now_ms)
{
    assert_true(lease_say(lease, &word, &by, now_ms, NULL));
}

static void set(struct lease *lease, uint32_t terminal, bool reversal, bool batch, int64_t now_ms)
{
    say(lease, (struct lease_word){.terminal = terminal, .reversal = reversal, .batch = batch},
        first, now_ms);
}

static bool gone(struct lease *lease, struct lease_speaker by, int64_t now_ms)
{
    struct lease_speaker who = {0};
    bool open = lease_gone(lease, by.holder, now_ms, &who);
    assert_true(!open || who.pid == by.pid);
    return open;
}

static bool in_sale(const struct lease *lease, int64_t now_ms)
{
    return lease_look(lease, now_ms).transaction;
}

#define SALE(of, ...)                                                                              \
    (struct lease_word)                                                                            \
    {                                                                                              \
        .terminal = of, .transaction = true, .as_before = true, __VA_ARGS__                        \
    }
#define END(of)                                                                                    \
    (struct lease_word)                                                                            \
    {                                                                                              \
        .terminal = of, .as_before = true                                                          \
    }

/* The agent starts again: what is kept is all that is left. */
static void restart(struct lease *lease, int64_t now_ms)
{
    struct buf kept = {0};
    assert_true(lease_pack(lease, now_ms, &kept, NULL));
    *lease = (struct lease){0};
    assert_true(lease_unpack(buf_bytes(&kept), now_ms, lease, NULL));
    buf_done(&kept);
}

static void a_transaction_ends(void **state)
{
    struct lease *lease = *state;
    assert_false(lease_look(lease, 0).known);
    say(lease, SALE(0), first, 100);
    assert_true(lease_look(lease, 100).known);
    assert_true(in_sale(lease, 100 + LEASE_HOLD_MS - 1));
    assert_true(lease_look(lease, 100).left_ms == LEASE_HOLD_MS);
    /* by its time */
    assert_false(in_sale(lease, 100 + LEASE_HOLD_MS));
    assert_true(lease_look(lease, 100 + LEASE_HOLD_MS).left_ms == 0);
    /* by a word */
    say(lease, SALE(0, .hold_ms = 50), first, 200);
    assert_true(in_sale(lease, 249));
    say(lease, END(0), first, 210);
    assert_false(in_sale(lease, 211));
    /* with its connection, and no other */
    say(lease, SALE(0), first, 300);
    assert_false(gone(lease, second, 301));
    assert_true(in_sale(lease, 302));
    assert_true(gone(lease, first, 303));
    assert_false(in_sale(lease, 304));
    assert_false(gone(lease, first, 305));
}

/* One that is over by its time is no sign of an application that died in it. */
static void a_connection_that_goes_later_is_no_crash(void **state)
{
    struct lease *lease = *state;
    say(lease, SALE(0, .hold_ms = 10), first, 0);
    assert_false(gone(lease, first, 10));
}

/* Two threads, or two programs, of one logical terminal. */
static void nobody_ends_the_sale_of_another(void **state)
{
    struct lease *lease = *state;
    say(lease, SALE(0), first, 0);
    say(lease, (struct lease_word){.reversal = true, .batch = true}, second, 1);
    assert_true(in_sale(lease, 2));
    say(lease, SALE(0, .hold_ms = 10), second, 3);
    say(lease, END(0), second, 4);
    assert_true(in_sale(lease, 5));
    say(lease, SALE(0), second, 6);
    assert_true(gone(lease, second, 7));
    assert_true(in_sale(lease, 8));
    say(lease, SALE(0), second, 9);
    assert_true(gone(lease, first, 10));
    assert_true(in_sale(lease, 11));
    say(lease, END(0), second, 12);
    struct gate_lease look = lease_look(lease, 13);
    assert_true(!look.transaction && look.reversal && look.batch);
}

static void reversal_and_batch_stay(void **state)
{
    struct lease *lease = *state;
    set(lease, 0, true, true, 0);
    gone(lease, first, 1);
    struct gate_lease look = lease_look(lease, INT64_MAX);
    assert_true(look.reversal && look.batch && !look.unsaid);
    say(lease, (struct lease_word){.batch = true}, second, 3);
    look = lease_look(lease, 4);
    assert_true(!look.reversal && look.batch);
}

static void terminals_count_together(void **state)
{
    struct lease *lease = *state;
    set(lease, 5, false, true, 0);
    assert_false(lease_look(lease, 0).several);
    say(lease, SALE(7, .hold_ms = 20), first, 0);
    say(lease, SALE(1, .hold_ms = 10), second, 0);
    struct gate_lease look = lease_look(lease, 15);
    assert_true(look.transaction && look.batch && look.several && look.left_ms == 5);
    assert_true(look.transaction_of == 7 && look.batch_of == 5 && look.unsaid_of == 7);
    assert_true(gone(lease, first, 15));
    assert_false(in_sale(lease, 15));
    assert_true(lease_look(lease, 15).batch);
}

/* Who begins and ends has not said that his batch is settled. */
static void silence_is_no_word(void **state)
{
    struct lease *lease = *state;
    say(lease, SALE(0), first, 0);
    say(lease, END(0), first, 1);
    assert_true(lease_look(lease, 2).unsaid);
    set(lease, 0, false, true, 2);
    say(lease, SALE(0), first, 3);
    struct gate_lease look = lease_look(lease, 4);
    assert_true(look.transaction && !look.reversal && look.batch && !look.unsaid);
    set(lease, 0, false, false, 5);
    assert_false(lease_look(lease, 6).unsaid);
    say(lease, END(1), first, 7);
    assert_true(lease_look(lease, 8).unsaid && lease_look(lease, 8).unsaid_of == 1);
    set(lease, 1, false, false, 9);
    assert_false(lease_look(lease, 10).unsaid);
}

static void who_speaks_for_the_first_time_may_have_more_to_say(void **state)
{
    struct lease *lease = *state;
    set(lease, 0, false, false, 1000);
    struct gate_lease look = lease_look(lease, 1500);
    assert_true(look.learning && look.learned_ms == 500);
    restart(lease, 2000);
    look = lease_look(lease, 2100);
    assert_true(look.learning && look.learned_ms == 100);
    /* In time that is no news any more. */
    restart(lease, 2000 + LEASE_HOLD_MAX_MS);
    assert_false(lease_look(lease, 2001 + LEASE_HOLD_MAX_MS).learning);
}

static void what_was_kept_counts_as_in_a_sale(void **state)
{
    struct lease *lease = *state;
    set(lease, 2, true, false, 0);
    set(lease, 3, false, true, 0);
    restart(lease, 1000);
    struct gate_lease look = lease_look(lease, 1000);
    assert_true(look.known && look.transaction && look.assumed && look.reversal && look.batch);
    assert_false(look.unsaid);
    assert_false(in_sale(lease, 1000 + LEASE_HOLD_MS));
    say(lease, END(2), first, 1001);
    assert_true(in_sale(lease, 1002));
    say(lease, END(3), first, 1003);
    assert_false(in_sale(lease, 1004));
    /* One that is known is told before one that is assumed. */
    restart(lease, 2000);
    say(lease, SALE(3), first, 2001);
    look = lease_look(lease, 2002);
    assert_true(look.transaction && !look.assumed && look.transaction_of == 3);
}

/* Its application need not speak again before that is over. */
static void a_long_sale_is_long_after_a_restart_too(void **state)
{
    struct lease *lease = *state;
    say(lease, SALE(0, .hold_ms = 5 * 60 * 1000 - 1), first, 0);
    say(lease, SALE(0), first, 1);
    restart(lease, 1000);
    assert_true(in_sale(lease, 1000 + 5 * 60 * 1000 - 1));
    assert_false(in_sale(lease, 1000 + 5 * 60 * 1000));
}

/* A word of one of them says nothing of a sale of the other, which is silent in it. */
static void several_connections_after_a_restart(void **state)
{
    struct lease *lease = *state;
    say(lease, SALE(0), first, 0);
    set(lease, 0, false, false, 1);
    gone(lease, first, 2);
    say(lease, END(0), second, 3); /* one after the other is one at a time */
    restart(lease, 1000);
    say(lease, END(0), second, 1001);
    assert_false(in_sale(lease, 1002));
    say(lease, SALE(0), first, 1003);
    restart(lease, 2000);
    say(lease, END(0), second, 2001);
    assert_true(in_sale(lease, 2000 + LEASE_HOLD_MS - 1));
    assert_false(in_sale(lease, 2000 + LEASE_HOLD_MS));
}

static void what_is_lost_may_have_been_anything(void **state)
{
    struct lease *lease = *state;
    lease_lose(lease, 1000);
    struct gate_lease look = lease_look(lease, 1000);
    assert_true(look.known && look.transaction && look.assumed && look.unsaid && look.learning);
    /* A word of one terminal says nothing of the others, nor one that leaves all as it was. */
    say(lease, END(3), first, 1001);
    look = lease_look(lease, 1002);
    assert_true(look.transaction && look.unsaid);
    set(lease, 3, false, false, 1003);
    look = lease_look(lease, 1004);
    assert_true(look.transaction && !look.unsaid && look.left_ms == LEASE_HOLD_MAX_MS - 4);
    restart(lease, 1005);
    assert_true(in_sale(lease, 1004 + LEASE_HOLD_MAX_MS));
    assert_false(in_sale(lease, 1005 + LEASE_HOLD_MAX_MS));
    /* Where nobody ever speaks it is for a person. */
    lease_lose(lease, 0);
    assert_true(lease_look(lease, INT64_MAX).unsaid);
    assert_true(lease_forget_all(lease, 1, NULL));
    assert_false(lease_look(lease, 2).known);
}

static void what_is_kept_and_not_good_is_not_taken(void **state)
{
    struct lease *lease = *state;
    struct buf kept = {0};
    set(lease, 0, false, true, 0);
    say(lease, SALE(1), second, 0);
    assert_true(lease_pack(lease, 0, &kept, NULL));
    for (size_t i = 0; i < kept.length; i++) {
        *lease = (struct lease){0};
        kept.data[i] ^= 1;
        assert_false(lease_unpack(buf_bytes(&kept), 0, lease, NULL));
        assert_true(!lease->known && lease->count == 0);
        kept.data[i] ^= 1;
        assert_false(lease_unpack(bytes_of(kept.data, i), 0, lease, NULL));
    }
    assert_true(lease_unpack(buf_bytes(&kept), 0, lease, NULL));
    struct gate_lease look = lease_look(lease, 0);
    assert_true(look.batch && look.batch_of == 0 && look.unsaid && look.unsaid_of == 1);
    buf_done(&kept);
}

static void what_has_nothing_open_makes_room(void **state)
{
    struct lease *lease = *state;
    struct err err = {0};
    for (uint32_t i = 0; i < LEASE_TERMINALS; i++)
        set(lease, i, false, i != 5, 10 + i);
    say(lease, SALE(5), first, 50);
    const struct lease_word word = SALE(99);
    assert_false(lease_say(lease, &word, &first, 51, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_non_null(strstr(err.text, "muster lease"));
    set(lease, 9, false, false, 52);
    say(lease, END(5), first, 53);
    set(lease, 5, false, false, 54);
    say(lease, SALE(99), first, 55); /* in the place of the one that has been idle for longer */
    assert_true(lease_look(lease, 56).transaction_of == 99);
    assert_true(lease_forget(lease, 5, 57, NULL));
    assert_false(lease_forget(lease, 9, 57, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void a_person_may_have_it_forgotten(void **state)
{
    struct lease *lease = *state;
    struct err err = {0};
    set(lease, 0, false, true, 0);
    set(lease, 1, true, false, 0);
    say(lease, SALE(1), first, 1);
    assert_false(lease_forget(lease, 1, 2, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_false(lease_forget_all(lease, 2, &err));
    assert_true(lease_forget(lease, 0, 2, NULL));
    struct gate_lease look = lease_look(lease, 2);
    assert_true(look.transaction && look.reversal && !look.batch);
    say(lease, END(1), first, 3);
    assert_true(lease_forget(lease, 1, 4, NULL));
    assert_false(lease_look(lease, 5).known);
}

static void what_makes_no_sense_changes_nothing(void **state)
{
    struct lease *lease = *state;
    struct err err = {0};
    const struct lease_word long_one = {.transaction = true, .hold_ms = LEASE_HOLD_MAX_MS + 1};
    assert_false(lease_say(lease, &long_one, &first, 0, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_true(!lease->known && lease->count == 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_transaction_ends),
        TEST(a_connection_that_goes_later_is_no_crash),
        TEST(nobody_ends_the_sale_of_another),
        TEST(reversal_and_batch_stay),
        TEST(terminals_count_together),
        TEST(silence_is_no_word),
        TEST(who_speaks_for_the_first_time_may_have_more_to_say),
        TEST(what_was_kept_counts_as_in_a_sale),
        TEST(a_long_sale_is_long_after_a_restart_too),
        TEST(several_connections_after_a_restart),
        TEST(what_is_lost_may_have_been_anything),
        TEST(what_is_kept_and_not_good_is_not_taken),
        TEST(what_has_nothing_open_makes_room),
        TEST(a_person_may_have_it_forgotten),
        TEST(what_makes_no_sense_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
