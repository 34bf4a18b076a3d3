/* SPDX-License-Identifier: Apache-2.0 */
/* A person puts in force just what he has looked at: a table, a key and firmware all wait. */
#include "agent/agent_parts.h"
#include "agent/settings.h"

#include "tests/unit/installer_world.h"
#include "tests/unit/keyring_world.h"
#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <string.h>

#define BIN_1 "prefix\tissuer\n62\tone\n"
#define BIN_2 "prefix\tissuer\n62\tone\n43\ttwo\n"

static const struct world_doc table[] = {{.name = "bin.tsv",
                                          .content = BIN_1,
                                          .version = 1,
                                          .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR,
                                          .kind = MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE},
                                         {.name = "bin.tsv",
                                          .content = BIN_2,
                                          .version = 2,
                                          .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR,
                                          .kind = MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE}};

/* Each of the three beside a batch and a sale that are open. */
struct terminal {
    struct world *world;
    struct keyring_world *slots;
    struct install_world *packages;
    struct agent agent;
    struct arena arena;
};

static void settle(struct terminal *terminal)
{
    world_check(terminal->world);
    keyring_world_settle(terminal->slots);
    install_settle(terminal->packages);
}

static int set_up(void **state)
{
    static struct terminal terminal;
    static const struct gate_lease busy = {.known = true, .transaction = true, .batch = true};
    void *world = NULL, *slots = NULL, *packages = NULL;
    if (world_set_up(&world) != 0 || keyring_world_set_up(&slots) != 0 ||
        install_set_up(&packages) != 0)
        return -1;
    terminal = (struct terminal){.world = world, .slots = slots, .packages = packages};
    world_apply(terminal.world, 1, &table[0], 1);
    terminal.world->lease = terminal.slots->lease = terminal.packages->lease = busy;
    world_apply(terminal.world, 2, &table[1], 1);
    keyring_world_look(terminal.slots);
    install_look(terminal.packages);
    terminal.agent = (struct agent){.clock = &terminal.world->clock,
                                    .registrar = terminal.world->registrar,
                                    .keyring = terminal.slots->keyring,
                                    .installer = terminal.packages->installer};
    *state = &terminal;
    return 0;
}

static int tear_down(void **state)
{
    struct terminal *terminal = *state;
    void *world = terminal->world, *slots = terminal->slots, *packages = terminal->packages;
    arena_done(&terminal->arena);
    int ended = install_tear_down(&packages);
    ended += keyring_world_tear_down(&slots);
    return ended + world_tear_down(&world);
}

/* All that `muster plan` shows. */
static struct agent_seen look(struct terminal *terminal)
{
    static uint8_t generation[32];
    static ProtobufCBinaryData digests[KEYS_SLOTS + 1];
    struct agent_seen seen = {.placing = digests};
    Muster__Placing **list = NULL;
    if (registrar_waiting(terminal->world->registrar, generation))
        seen.generation = bytes_of(generation, sizeof generation);
    assert_true(
        agent_list_placings(&terminal->agent, &terminal->arena, &list, &seen.placing_count, NULL));
    for (size_t i = 0; i < seen.placing_count; i++)
        digests[i] = list[i]->digest;
    return seen;
}

static void assert_table(struct terminal *terminal, const char *content)
{
    world_assert_document(terminal->world, "bin.tsv", content);
}

static bool has_key(struct terminal *terminal)
{
    return terminal->slots->placed > 0;
}

static size_t handed(struct terminal *terminal)
{
    return install_calls(terminal->packages, "install");
}

static void all_that_waits_is_shown(void **state)
{
    struct terminal *terminal = *state;
    Muster__Placing **list = NULL;
    size_t count = 0;
    assert_true(agent_list_placings(&terminal->agent, &terminal->arena, &list, &count, NULL));
    assert_int_equal(count, 2);
    assert_string_equal(list[0]->name, "tmk.key");
    assert_string_equal(list[0]->slot, "tmk");
    assert_string_equal(list[0]->version, "1");
    assert_string_equal(list[0]->waits_for, "the open transaction");
    assert_int_equal(list[0]->asks_after_ms, 3600000);
    assert_string_equal(list[1]->name, "os");
    assert_string_equal(list[1]->slot, "");
    assert_string_equal(list[1]->version, "4.2");
    assert_string_equal(list[1]->waits_for, "the open transaction");
    assert_true(list[1]->asks_after_ms > 0);
    assert_int_equal(look(terminal).generation.length, 32);
}

static void only_what_was_looked_at_is_put_in_force(void **state)
{
    struct terminal *terminal = *state;
    struct err err = {0};
    const struct agent_seen all = look(terminal);
    const struct agent_seen generation = {.generation = all.generation};
    assert_true(agent_decide(&terminal->agent, &generation, "user 0", &err));
    settle(terminal);
    assert_table(terminal, BIN_2);
    assert_false(has_key(terminal));
    assert_int_equal(handed(terminal), 0);
    const struct agent_seen package = {.placing = &all.placing[1], .placing_count = 1};
    assert_true(agent_decide(&terminal->agent, &package, "user 0", &err));
    assert_non_null(strstr(terminal->packages->text, "user 0 has decided: 4.2 is handed to the "
                                                     "installer now, though it waited for the "
                                                     "open transaction"));
    settle(terminal);
    assert_int_equal(handed(terminal), 1);
    assert_false(has_key(terminal));
    const struct agent_seen key = {.placing = &all.placing[0], .placing_count = 1};
    assert_true(agent_decide(&terminal->agent, &key, "user 0", &err));
    settle(terminal);
    assert_true(has_key(terminal));
}

static void all_of_it_is_put_in_force_at_once(void **state)
{
    struct terminal *terminal = *state;
    const struct agent_seen all = look(terminal);
    assert_true(agent_decide(&terminal->agent, &all, "user 0", NULL));
    settle(terminal);
    assert_table(terminal, BIN_2);
    assert_true(has_key(terminal));
    assert_int_equal(handed(terminal), 1);
}

static void nothing_is_done_where_one_of_it_is_another_since(void **state)
{
    struct terminal *terminal = *state;
    struct err err = {0};
    const struct agent_seen all = look(terminal), none = {0};
    uint8_t other[32];
    assert_false(agent_decide(&terminal->agent, &none, "user 0", &err)); /* as an order without */
    for (size_t i = 0; i < all.placing_count; i++) {
        ProtobufCBinaryData digests[] = {all.placing[0], all.placing[1]};
        memcpy(other, digests[i].data, sizeof other);
        other[31] ^= 1;
        digests[i].data = other;
        const struct agent_seen seen = {all.generation, digests, 2};
        err = (struct err){0};
        assert_false(agent_decide(&terminal->agent, &seen, "user 0", &err));
        assert_int_equal(err.code, ERR_CONFLICT);
        assert_non_null(strstr(err.text, "another key or package"));
        digests[i].len = 31;
        assert_false(agent_decide(&terminal->agent, &seen, "user 0", &err));
    }
    memcpy(other, all.generation.data, sizeof other);
    other[31] ^= 1;
    const struct agent_seen seen = {bytes_of(other, sizeof other), all.placing, 2};
    assert_false(agent_decide(&terminal->agent, &seen, "user 0", &err));
    settle(terminal);
    assert_table(terminal, BIN_1);
    assert_false(has_key(terminal));
    assert_int_equal(handed(terminal), 0);
}

/* Cut short twice, a package would be given up. */
static void no_restart_begins_beside_the_installer(void **state)
{
    struct terminal *terminal = *state;
    static const struct agent_settings settings;
    static const struct action restarts[] = {
        {.id = "a-1", .kind = MUSTER__ACTION_KIND__ACTION_REBOOT},
        {.id = "a-2", .kind = MUSTER__ACTION_KIND__ACTION_RESTART_APPLICATION},
    };
    static const struct action selfcheck = {.id = "a-3",
                                            .kind = MUSTER__ACTION_KIND__ACTION_SELFCHECK};
    char why[FRESHNESS_WHY_CHARS];
    terminal->agent.settings = &settings;
    terminal->packages->lease = (struct gate_lease){.known = true};
    installer_look_at_gate(terminal->agent.installer);
    while (!installer_installing(terminal->agent.installer))
        (void)uv_run(&terminal->packages->loop, UV_RUN_ONCE);
    for (size_t i = 0; i < 2; i++) {
        assert_false(agent_action_may(&terminal->agent, &restarts[i], 0, why));
        assert_string_equal(why, "the installer");
    }
    assert_true(agent_action_may(&terminal->agent, &selfcheck, 0, why));
    install_settle(terminal->packages);
    for (size_t i = 0; i < 2; i++)
        assert_true(agent_action_may(&terminal->agent, &restarts[i], 0, why));
}

static void a_restart_counts_from_its_announcement(void **state)
{
    struct terminal *terminal = *state;
    struct agent *agent = &terminal->agent;
    assert_false(agent_restarts(agent));
    agent->actions.running =
        (struct action){.id = "a-1", .kind = MUSTER__ACTION_KIND__ACTION_REBOOT};
    agent->actions.word.awaited = true;
    assert_true(agent_restarts(agent));
    assert_false(agent_interrupts(agent)); /* sales go on until it begins */
    agent->actions.running.kind = MUSTER__ACTION_KIND__ACTION_SELFCHECK;
    assert_false(agent_restarts(agent));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_that_waits_is_shown),
        TEST(only_what_was_looked_at_is_put_in_force),
        TEST(all_of_it_is_put_in_force_at_once),
        TEST(nothing_is_done_where_one_of_it_is_another_since),
        TEST(no_restart_begins_beside_the_installer),
        TEST(a_restart_counts_from_its_announcement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
