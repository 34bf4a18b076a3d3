/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent_parts.h"
#include "agent/settings.h"

#include "tests/unit/keyring_world.h"
#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define BIN_1 "prefix\tissuer\n62\tone\n"
#define BIN_2 "prefix\tissuer\n62\tone\n43\ttwo\n"

static const struct world_doc first[] = {{.name = "bin.tsv",
                                          .content = BIN_1,
                                          .version = 1,
                                          .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR,
                                          .kind = MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE}};
static const struct world_doc second[] = {{.name = "bin.tsv",
                                           .content = BIN_2,
                                           .version = 2,
                                           .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR,
                                           .kind = MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE}};

static const char till[] = "a connection";
static const struct intake_speaker speaker = {.holder = till, .uid = 1000, .pid = 4711};

static void tell_gate(void *ctx, struct gate_lease *ret_lease)
{
    const struct agent *agent = ctx;
    *ret_lease = lease_look(&agent->lease, clock_boot_ms(agent->clock));
}

static void on_switched(void *ctx)
{
    agent_answer_leases(ctx);
}

/* As much of an agent as a word of the application meets. */
static struct agent *agent_on(struct world *world)
{
    static struct agent_settings settings;
    static struct agent agent;
    struct err err = {0};
    (void)snprintf(settings.state_dir, sizeof settings.state_dir, "%s", world->dir);
    agent = (struct agent){
        .clock = &world->clock, .settings = &settings, .registrar = world->registrar};
    if (!agent_open_lease(&agent, &err))
        fail_msg("%s", err.text);
    world->lease_ctx = &agent;
    world->lease_by = tell_gate; /* as agent.c has it */
    world->switched = on_switched;
    return &agent;
}

static void on_done(void *ctx)
{
    ++*(unsigned *)ctx;
}

enum { AS_BEFORE = 2, REVERSAL }; /* instead of a batch */

static bool try_say(struct agent *agent, const struct intake_speaker *by, uint32_t terminal,
                    bool transaction, int batch, unsigned *answered, struct err *err)
{
    Muster__LeaseQuery query = MUSTER__LEASE_QUERY__INIT;
    query.terminal = terminal;
    query.transaction = transaction;
    query.as_before = batch == AS_BEFORE;
    query.batch = batch == 1;
    query.reversal = batch == REVERSAL;
    return agent_take_lease(agent, &query, by, on_done, answered, err);
}

static unsigned say(struct agent *agent, uint32_t terminal, bool transaction, int batch,
                    unsigned *answered)
{
    struct err err = {0};
    if (!try_say(agent, &speaker, terminal, transaction, batch, answered, &err))
        fail_msg("%s", err.text);
    return *answered;
}

static struct gate_lease look(const struct agent *agent)
{
    return lease_look(&agent->lease, clock_boot_ms(agent->clock));
}

static void test_who_begins_during_a_switch_is_answered_after_it(void **state)
{
    struct world *world = *state;
    unsigned answered = 0;
    world_apply(world, 1, first, 1);
    struct agent *agent = agent_on(world);
    assert_int_equal(say(agent, 0, true, false, &answered), 1);
    world_apply(world, 2, second, 1);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_int_equal(say(agent, 0, false, AS_BEFORE, &answered), 2); /* which begins it */
    assert_true(registrar_switching(world->registrar));
    assert_int_equal(say(agent, 0, true, AS_BEFORE, &answered), 2);
    assert_true(look(agent).transaction); /* noted all the same */
    world_check(world);
    assert_false(registrar_switching(world->registrar));
    assert_int_equal(answered, 3);
    agent_answer_leases(agent);
    assert_int_equal(answered, 3);
    struct arena arena = {0};
    Muster__ClientReply reply = MUSTER__CLIENT_REPLY__INIT;
    assert_true(agent_tell_lease(agent, &arena, &reply, NULL));
    assert_true(reply.lease->generation == 2);
    assert_non_null(strstr(reply.lease->path, "/registry/generations/00000002"));
    assert_memory_equal(reply.lease->generation_digest.data,
                        registrar_generation_digest(world->registrar), 32);
    assert_string_equal(reply.lease->waiting, "");
    arena_done(&arena);
}

static void test_who_begins_while_a_key_is_replaced_is_answered_after_it(void **state)
{
    struct world *world = *state;
    void *made = NULL;
    unsigned answered = 0;
    assert_int_equal(keyring_world_set_up(&made), 0);
    struct keyring_world *slots = made;
    struct agent *agent = agent_on(world);
    agent->keyring = slots->keyring;
    keyring_look(slots->keyring);
    assert_int_equal(say(agent, 0, true, AS_BEFORE, &answered), 1); /* only asked so far */
    while (!keyring_placing(slots->keyring))
        (void)uv_run(&slots->loop, UV_RUN_ONCE);
    assert_int_equal(say(agent, 0, false, AS_BEFORE, &answered), 2);
    assert_int_equal(say(agent, 0, true, AS_BEFORE, &answered), 2);
    agent_answer_leases(agent);
    assert_int_equal(answered, 2);
    while (keyring_placing(slots->keyring))
        (void)uv_run(&slots->loop, UV_RUN_ONCE);
    agent_answer_leases(agent);
    assert_int_equal(answered, 3);
    keyring_world_settle(slots);
    assert_int_equal(keyring_world_tear_down(&made), 0);
}

/* A second thread or program, which says what it says, or goes. */
static void test_nothing_is_switched_under_the_sale_of_another(void **state)
{
    struct world *world = *state;
    unsigned answered = 0;
    static const struct intake_speaker other = {.holder = "another", .uid = 1000, .pid = 4712};
    world_apply(world, 1, first, 1);
    struct agent *agent = agent_on(world);
    (void)say(agent, 0, true, AS_BEFORE, &answered);
    world_apply(world, 2, second, 1);
    assert_true(try_say(agent, &other, 0, false, 1, &answered, NULL));
    world_check(world);
    assert_true(try_say(agent, &other, 0, true, AS_BEFORE, &answered, NULL));
    agent_lease_gone(agent, other.holder);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    (void)say(agent, 0, false, AS_BEFORE, &answered);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_2);
}

static unsigned order[4], ordered;

static void in_order(void *ctx)
{
    order[ordered++] = *(const unsigned *)ctx;
}

static void test_who_asked_first_is_answered_first(void **state)
{
    struct world *world = *state;
    unsigned answered = 0, numbers[] = {0, 1, 2};
    Muster__LeaseQuery query = MUSTER__LEASE_QUERY__INIT;
    world_apply(world, 1, first, 1);
    struct agent *agent = agent_on(world);
    (void)say(agent, 0, true, AS_BEFORE, &answered);
    world_apply(world, 2, second, 1);
    (void)say(agent, 0, false, AS_BEFORE, &answered);
    query.transaction = query.as_before = true;
    for (size_t i = 0; i < 3; i++)
        assert_true(agent_take_lease(agent, &query, &speaker, in_order, &numbers[i], NULL));
    assert_int_equal(ordered, 0);
    world_check(world);
    assert_int_equal(ordered, 3);
    assert_true(order[0] == 0 && order[1] == 1 && order[2] == 2);
}

static void test_what_outlives_the_agent(void **state)
{
    struct world *world = *state;
    unsigned answered = 0;
    struct agent *agent = agent_on(world);
    assert_false(look(agent).known);
    (void)say(agent, 3, false, false, &answered);
    (void)say(agent, 4, true, true, &answered);
    (void)say(agent, 5, true, AS_BEFORE, &answered);
    agent = agent_on(world);
    struct gate_lease now = look(agent);
    assert_true(now.known && now.batch && now.unsaid && now.unsaid_of == 5);
    /* Nobody knows whether a sale is under way, until each has spoken or one would be over. */
    assert_true(now.transaction && now.assumed);
    (void)say(agent, 3, false, AS_BEFORE, &answered);
    (void)say(agent, 4, false, false, &answered);
    assert_true(look(agent).transaction);
    world->wall_ms += LEASE_HOLD_MS;
    now = look(agent);
    assert_true(!now.transaction && now.unsaid && !now.batch);
    agent = agent_on(world);
    assert_true(look(agent).unsaid && !look(agent).batch);
}

/* With all that there is to say of each. */
static void test_all_terminals_outlive_the_agent(void **state)
{
    struct world *world = *state;
    unsigned answered = 0;
    struct agent *agent = agent_on(world);
    for (uint32_t i = 0; i < LEASE_TERMINALS; i++)
        assert_true(say(agent, UINT32_MAX - i, true, true, &answered));
    agent = agent_on(world);
    assert_int_equal(agent->lease.count, LEASE_TERMINALS);
    assert_false(agent->lease.lost);
    for (uint32_t i = 0; i < LEASE_TERMINALS; i++)
        assert_true(say(agent, UINT32_MAX - i, false, false, &answered));
    agent = agent_on(world);
    assert_false(agent->lease.lost || look(agent).batch || look(agent).unsaid);
}

static void lease_path(const struct world *world, char path[256])
{
    assert_true(path_join(path, 256, world->dir, "lease", NULL));
}

static void test_what_was_kept_is_damaged(void **state)
{
    struct world *world = *state;
    unsigned answered = 0;
    char path[256];
    struct agent *agent = agent_on(world);
    (void)say(agent, 3, false, false, &answered);
    lease_path(world, path);
    struct buf kept = {0};
    assert_true(file_read(path, 1024, &kept, NULL));
    kept.data[kept.length - 1] ^= 1;
    assert_true(file_write(path, buf_bytes(&kept), 0640, NULL));
    buf_done(&kept);
    agent = agent_on(world);
    struct gate_lease now = look(agent);
    assert_true(now.known && now.transaction && now.assumed && now.unsaid);
    agent = agent_on(world); /* and again */
    assert_true(look(agent).unsaid);
    (void)say(agent, 3, false, false, &answered);
    (void)say(agent, 3, true, AS_BEFORE, &answered);
    (void)say(agent, 3, false, AS_BEFORE, &answered);
    now = look(agent);
    assert_true(now.transaction && now.learning && !now.unsaid);
    agent = agent_on(world);
    assert_true(look(agent).transaction);
    world->wall_ms += LEASE_HOLD_MAX_MS;
    assert_false(look(agent).transaction);
}

static void test_flash_is_not_worn_by_sales(void **state)
{
    struct world *world = *state;
    unsigned answered = 0;
    char path[256];
    struct stat before, after;
    struct agent *agent = agent_on(world);
    (void)say(agent, 0, false, true, &answered);
    lease_path(world, path);
    assert_int_equal(stat(path, &before), 0);
    for (int i = 0; i < 3; i++) {
        (void)say(agent, 0, true, AS_BEFORE, &answered);
        (void)say(agent, 0, true, true, &answered);
        (void)say(agent, 0, false, AS_BEFORE, &answered);
    }
    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_ino == after.st_ino);
    (void)say(agent, 0, false, false, &answered);
    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_ino != after.st_ino);
}

/* A sale goes on, with its path; who says that a batch is open hears that it was not kept. */
static void test_the_disk_refuses(void **state)
{
    struct world *world = *state;
    unsigned answered = 0;
    char path[256], inside[256];
    struct err err = {0};
    world_apply(world, 1, first, 1);
    struct agent *agent = agent_on(world);
    lease_path(world, path);
    assert_true(path_join(inside, sizeof inside, path, "in-the-way", NULL));
    assert_true(file_make_dir(inside, 0700, NULL));
    assert_false(try_say(agent, &speaker, 0, true, true, &answered, &err));
    assert_int_equal(answered, 0);
    assert_true(look(agent).transaction && look(agent).batch);
    /* In the middle of a switch too it is not told to go on. */
    world_apply(world, 2, second, 1);
    assert_int_equal(say(agent, 0, false, AS_BEFORE, &answered), 1);
    assert_true(registrar_switching(world->registrar));
    assert_int_equal(say(agent, 0, true, AS_BEFORE, &answered), 1);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_2);
    assert_int_equal(answered, 2);
    assert_false(try_say(agent, &speaker, 0, true, true, &answered, &err));
    assert_true(file_remove_tree(path, NULL));
    assert_int_equal(say(agent, 0, true, AS_BEFORE, &answered), 3); /* which makes good for it */
    agent = agent_on(world);
    assert_true(look(agent).batch);
}

static void test_a_connection_that_goes_ends_its_transaction(void **state)
{
    struct world *world = *state;
    unsigned answered = 0;
    struct agent *agent = agent_on(world);
    (void)say(agent, 0, true, true, &answered);
    agent_lease_gone(agent, "another");
    assert_true(look(agent).transaction);
    agent_lease_gone(agent, till);
    assert_true(!look(agent).transaction && look(agent).batch);
}

/* As of an action that is being done, or would be. */
static struct action action_of(Muster__ActionKind kind)
{
    struct action action = {.kind = kind};
    (void)snprintf(action.id, sizeof action.id, "a-1");
    return action;
}

static void test_a_sale_does_not_begin_beside_a_restart(void **state)
{
    struct world *world = *state;
    unsigned answered = 0;
    struct agent *agent = agent_on(world);
    agent->actions.running = action_of(MUSTER__ACTION_KIND__ACTION_RESTART_APPLICATION);
    assert_int_equal(say(agent, 0, true, false, &answered), 0);
    agent_answer_leases(agent);
    assert_int_equal(answered, 0);
    agent->actions.running = (struct action){0};
    agent_answer_leases(agent);
    assert_int_equal(answered, 1);
    agent->actions.running = action_of(MUSTER__ACTION_KIND__ACTION_SELFCHECK); /* harms nobody */
    assert_int_equal(say(agent, 0, true, false, &answered), 2);
}

static void test_no_action_begins_beside_what_it_harms(void **state)
{
    struct world *world = *state;
    unsigned answered = 0;
    char why[FRESHNESS_WHY_CHARS];
    struct agent *agent = agent_on(world);
    const struct action restart = action_of(MUSTER__ACTION_KIND__ACTION_RESTART_APPLICATION),
                        sign_on = action_of(MUSTER__ACTION_KIND__ACTION_SIGN_ON),
                        selfcheck = action_of(MUSTER__ACTION_KIND__ACTION_SELFCHECK);
    (void)say(agent, 0, true, false, &answered);
    assert_false(agent_action_may(agent, &restart, 0, why));
    assert_string_equal(why, "the open transaction");
    assert_true(agent_action_may(agent, &selfcheck, 0, why));
    (void)say(agent, 0, false, REVERSAL, &answered);
    assert_false(agent_action_may(agent, &restart, 0, why));
    assert_string_equal(why, "the open reversal");
    (void)say(agent, 0, false, true, &answered);
    assert_true(agent_action_may(agent, &restart, 0, why));
    assert_false(agent_action_may(agent, &sign_on, 0, why));
    assert_string_equal(why, "the batch to be settled");
    (void)say(agent, 0, false, false, &answered);
    assert_true(agent_action_may(agent, &sign_on, 0, why));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_who_begins_during_a_switch_is_answered_after_it),
        TEST(test_who_begins_while_a_key_is_replaced_is_answered_after_it),
        TEST(test_nothing_is_switched_under_the_sale_of_another),
        TEST(test_who_asked_first_is_answered_first),
        TEST(test_what_outlives_the_agent),
        TEST(test_all_terminals_outlive_the_agent),
        TEST(test_what_was_kept_is_damaged),
        TEST(test_flash_is_not_worn_by_sales),
        TEST(test_the_disk_refuses),
        TEST(test_a_connection_that_goes_ends_its_transaction),
        TEST(test_a_sale_does_not_begin_beside_a_restart),
        TEST(test_no_action_begins_beside_what_it_harms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
