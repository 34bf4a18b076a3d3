/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/actions.h"

#include "agent/actions_journal.h"
#include "base/file.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STARTED MUSTER__ACTION_STEP__ACTION_STEP_STARTED
#define DONE MUSTER__ACTION_STEP__ACTION_STEP_DONE
#define UNKNOWN MUSTER__ACTION_STEP__ACTION_STEP_OUTCOME_UNKNOWN

static const uint8_t boot[ACTIONS_BOOT_BYTES] = {1, 2, 3};
static const uint8_t next_boot[ACTIONS_BOOT_BYTES] = {4, 5, 6};

static struct action order(const char *id, uint64_t since)
{
    struct action action = {
        .kind = MUSTER__ACTION_KIND__ACTION_SIGN_ON, .since_epoch = 1, .since_version = since};
    (void)snprintf(action.id, sizeof action.id, "%s", id);
    return action;
}

static struct actions_moment now(const char *stale, int64_t earliest_ms, int64_t latest_ms)
{
    return (struct actions_moment){stale, earliest_ms, latest_ms};
}

static enum actions_verdict judge(const struct actions *actions, const struct action *action,
                                  struct actions_moment moment)
{
    return actions_judge(actions, action, &moment).verdict;
}

static void mark(struct actions *actions, const struct action *action, Muster__ActionStep step)
{
    struct err err = {0};
    if (!actions_mark(actions, action, step, boot, "", &err))
        fail_msg("%s", err.text);
}

static void test_only_with_proof_and_in_time(void **state)
{
    (void)state;
    struct actions actions = {0};
    struct action action = order("a-1", 5);
    assert_int_equal(judge(&actions, &action, now("", 1000, 1010)), ACTIONS_MAY);
    assert_int_equal(judge(&actions, &action, now("no welcome", 1000, 1010)), ACTIONS_WAITS);
    action.expires_ms = 1005;
    /* Neither is it proved to be over, nor that it is not. */
    assert_int_equal(judge(&actions, &action, now("", 1000, 1010)), ACTIONS_WAITS);
    assert_int_equal(judge(&actions, &action, now("", 1000, 1005)), ACTIONS_WAITS);
    assert_int_equal(judge(&actions, &action, now("", 1000, 1004)), ACTIONS_MAY);
    assert_int_equal(judge(&actions, &action, now("", 1000, INT64_MAX)), ACTIONS_WAITS);
    assert_int_equal(judge(&actions, &action, now("", 1005, 1010)), ACTIONS_EXPIRED);
    assert_int_equal(judge(&actions, &action, now("no welcome", 1005, 1010)), ACTIONS_EXPIRED);
    action = order("a-2", 5);
    action.kind = (Muster__ActionKind)77;
    struct actions_moment moment = now("", 1000, 1010);
    struct actions_judged judged = actions_judge(&actions, &action, &moment);
    assert_int_equal(judged.verdict, ACTIONS_REFUSED);
    assert_int_equal(judged.refusal, MUSTER__REFUSAL__REFUSAL_ACTION_UNKNOWN);
}

static void test_once(void **state)
{
    (void)state;
    struct actions actions = {0};
    struct err err = {0};
    const struct action action = order("a-1", 5);
    mark(&actions, &action, STARTED);
    assert_int_equal(judge(&actions, &action, now("", 1, 1)), ACTIONS_OVER);
    assert_false(actions_mark(&actions, &action, STARTED, boot, "", &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    actions_end(&actions, "a-1", DONE, NULL, "so it was");
    assert_string_equal(actions_find(&actions, "a-1")->text, "so it was");
    actions_end(&actions, "a-1", UNKNOWN, NULL, "no"); /* it is over */
    assert_int_equal(actions_find(&actions, "a-1")->step, DONE);
    actions_unmark(&actions, "a-1");
    assert_int_equal(judge(&actions, &action, now("", 1, 1)), ACTIONS_MAY);
    actions_done(&actions);
}

static void test_what_was_running_when_the_agent_ended(void **state)
{
    (void)state;
    struct actions actions = {0};
    struct action reboot = order("reboot", 1), other = order("other", 2), again = order("again", 3);
    reboot.kind = again.kind = MUSTER__ACTION_KIND__ACTION_REBOOT;
    mark(&actions, &reboot, STARTED);
    mark(&actions, &other, STARTED);
    assert_true(actions_restart(&actions, next_boot));
    assert_int_equal(actions_find(&actions, "reboot")->step, DONE);
    assert_int_equal(actions_find(&actions, "other")->step, UNKNOWN);
    assert_false(actions_restart(&actions, next_boot));
    mark(&actions, &again, STARTED);
    assert_true(actions_restart(&actions, boot)); /* the same boot: it did not restart */
    assert_int_equal(actions_find(&actions, "again")->step, UNKNOWN);
    assert_false(actions_find(&actions, "again")->told);
    actions_done(&actions);
}

static void mark_number(struct actions *actions, unsigned number)
{
    char id[16];
    (void)snprintf(id, sizeof id, "a-%u", number);
    const struct action action = order(id, number);
    mark(actions, &action, DONE);
}

static void test_what_is_forgotten_is_not_done_again(void **state)
{
    (void)state;
    struct actions actions = {0};
    const struct action long_one = order("long", 1), first = order("a-2", 2),
                        new_one = order("new", 3), later = order("later", 4);
    mark(&actions, &long_one, STARTED);
    for (unsigned i = 2; i < ACTIONS_KEPT + 3; i++)
        mark_number(&actions, i);
    assert_int_equal(actions.count, ACTIONS_KEPT);
    assert_non_null(actions_find(&actions, "long")); /* being done */
    assert_null(actions_find(&actions, "a-2"));
    struct actions_moment moment = now("", 1, 1);
    struct actions_judged judged = actions_judge(&actions, &first, &moment);
    assert_int_equal(judged.verdict, ACTIONS_REFUSED);
    assert_int_equal(judged.refusal, MUSTER__REFUSAL__REFUSAL_ACTION_REPEATED);
    assert_int_equal(judge(&actions, &new_one, moment), ACTIONS_REFUSED); /* nobody knows */
    assert_int_equal(judge(&actions, &later, moment), ACTIONS_MAY);
    struct action another_epoch = order("epoch", 1);
    another_epoch.since_epoch = 2;
    assert_int_equal(judge(&actions, &another_epoch, moment), ACTIONS_MAY);
    actions_done(&actions);
}

static void test_what_was_told_is_forgotten_first(void **state)
{
    (void)state;
    struct actions actions = {0};
    for (unsigned i = 1; i <= ACTIONS_KEPT; i++)
        mark_number(&actions, i);
    actions_find(&actions, "a-7")->told = true;
    mark_number(&actions, ACTIONS_KEPT + 1);
    assert_null(actions_find(&actions, "a-7"));
    assert_non_null(actions_find(&actions, "a-1")); /* the fleet does not know of its end yet */
    mark_number(&actions, ACTIONS_KEPT + 2);
    assert_null(actions_find(&actions, "a-1"));
    assert_int_equal(actions.count, ACTIONS_KEPT);
    actions_done(&actions);
}

static void test_a_lost_journal(void **state)
{
    (void)state;
    struct actions actions = {0};
    const struct action before = order("before", 7), after = order("after", 8);
    assert_int_equal(judge(&actions, &before, now("", 1, 1)), ACTIONS_MAY);
    actions_lost(&actions, 1, 7);
    assert_int_equal(judge(&actions, &before, now("", 1, 1)), ACTIONS_REFUSED);
    assert_int_equal(judge(&actions, &after, now("", 1, 1)), ACTIONS_MAY);
    actions_lost(&actions, 1, 3); /* never lower */
    assert_int_equal(judge(&actions, &before, now("", 1, 1)), ACTIONS_REFUSED);
}

static void fill(struct actions *actions)
{
    const struct action log = order("log", 9);
    const struct actions_log brought = {.bytes = 77, .pieces = 3, .sha256 = {9, 8, 7}};
    for (unsigned i = 1; i <= 20; i++)
        mark_number(actions, i);
    mark(actions, &log, STARTED);
    actions_end(actions, "log", DONE, &brought, "logs");
    actions_find(actions, "log")->told = true;
    actions_find(actions, "log")->told_version = 12;
    actions_find(actions, "a-3")->refusal = MUSTER__REFUSAL__REFUSAL_ACTION_EXPIRED;
    actions->floor_epoch = 1;
    actions->floor_version = 4;
}

static void assert_same(const struct actions_entry *a, const struct actions_entry *b)
{
    assert_string_equal(a->id, b->id);
    assert_string_equal(a->text, b->text);
    assert_memory_equal(a->boot_id, b->boot_id, sizeof a->boot_id);
    assert_memory_equal(a->log.sha256, b->log.sha256, sizeof a->log.sha256);
    assert_true(a->kind == b->kind && a->step == b->step && a->refusal == b->refusal &&
                a->since_epoch == b->since_epoch && a->since_version == b->since_version &&
                a->log.bytes == b->log.bytes && a->log.pieces == b->log.pieces &&
                a->told == b->told && a->told_epoch == b->told_epoch &&
                a->told_version == b->told_version);
}

static void test_what_the_journal_keeps(void **state)
{
    (void)state;
    char dir[] = "/tmp/muster-actions-XXXXXX", path[64];
    struct actions actions = {0}, read = {0};
    struct err err = {0};
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/actions", dir);
    assert_false(actions_journal_read(path, &read, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    fill(&actions);
    assert_true(actions_journal_write(path, &actions, &err));
    assert_true(actions_journal_read(path, &read, &err));
    assert_int_equal(read.count, actions.count);
    for (size_t i = 0; i < read.count; i++)
        assert_same(&read.entries[i], &actions.entries[i]);
    assert_int_equal(read.floor_version, 4);
    for (unsigned i = 30; i < ACTIONS_KEPT + 30; i++)
        mark_number(&read, i); /* it grows on from there */
    assert_true(actions_journal_write(path, &read, &err));
    actions_done(&actions);
    assert_true(actions_journal_read(path, &actions, &err));
    assert_int_equal(actions.count, ACTIONS_KEPT);
    assert_true(file_remove_tree(dir, NULL));
    actions_done(&actions);
    actions_done(&read);
}

static void test_a_damaged_journal(void **state)
{
    (void)state;
    char dir[] = "/tmp/muster-actions-XXXXXX", path[64];
    struct actions actions = {0}, read = {0};
    struct buf file = {0};
    struct err err = {0};
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/actions", dir);
    fill(&actions);
    assert_true(actions_journal_write(path, &actions, &err));
    assert_true(file_read(path, ACTIONS_JOURNAL_BYTES, &file, &err));
    for (size_t i = 0; i < file.length; i++) {
        file.data[i] ^= 1;
        assert_false(actions_journal_take(buf_bytes(&file), &read, &err));
        assert_int_equal(err.code, ERR_INVALID);
        file.data[i] ^= 1;
        assert_false(actions_journal_take(bytes_of(file.data, i), &read, &err));
    }
    assert_true(actions_journal_take(buf_bytes(&file), &read, &err));
    assert_true(file_remove_tree(dir, NULL));
    buf_done(&file);
    actions_done(&actions);
    actions_done(&read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_with_proof_and_in_time),
        cmocka_unit_test(test_once),
        cmocka_unit_test(test_what_was_running_when_the_agent_ended),
        cmocka_unit_test(test_what_is_forgotten_is_not_done_again),
        cmocka_unit_test(test_what_was_told_is_forgotten_first),
        cmocka_unit_test(test_a_lost_journal),
        cmocka_unit_test(test_what_the_journal_keeps),
        cmocka_unit_test(test_a_damaged_journal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
