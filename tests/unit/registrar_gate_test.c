/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar.h"

#include "agent/registrar_internal.h"
#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define REPAIR MUSTER__ASSIGN_MODE__MODE_REPAIR
#define TABLE MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE
#define PARAMS MUSTER__DOCUMENT_KIND__DOCUMENT_PARAMS
#define APPLY MUSTER__EVENT_KIND__EVENT_APPLY
#define WAITING MUSTER__ITEM_STATE__ITEM_WAITING

#define AID "aid\tscheme\nA0\t1\n"
#define BIN_1 "prefix\tissuer\n62\tone\n"
#define BIN_2 "prefix\tissuer\n62\tone\n43\ttwo\n"
#define PARAMS_1 "[terminal]\ntid = 1\n"
#define PARAMS_2 "[terminal]\ntid = 2\n"

#define DOC(doc, text, of_version, of_kind)                                                        \
    {                                                                                              \
        .name = doc, .content = text, .version = of_version, .mode = REPAIR, .kind = of_kind       \
    }

static const struct world_doc first[] = {DOC("aid.tsv", AID, 1, TABLE),
                                         DOC("bin.tsv", BIN_1, 1, TABLE),
                                         DOC("params", PARAMS_1, 1, PARAMS)};
static const struct world_doc new_table[] = {DOC("aid.tsv", AID, 1, TABLE),
                                             DOC("bin.tsv", BIN_2, 2, TABLE),
                                             DOC("params", PARAMS_1, 1, PARAMS)};
static const struct world_doc new_both[] = {DOC("aid.tsv", AID, 1, TABLE),
                                            DOC("bin.tsv", BIN_2, 2, TABLE),
                                            DOC("params", PARAMS_2, 2, PARAMS)};
static const struct world_doc other_table[] = {DOC("aid.tsv", AID, 1, TABLE),
                                               DOC("bin.tsv", AID, 3, TABLE),
                                               DOC("params", PARAMS_1, 1, PARAMS)};

enum { ALL = 3, ALONE_MS = 600, PATIENCE_MS = 43200, LOOK_HOLDS_MS = 300000 };

static void open_with(struct world *world, struct registrar_gate gate)
{
    world_close(world);
    gate.policy = (struct gate_policy){.alone_ms = ALONE_MS, .patience_ms = PATIENCE_MS};
    world->settings.gate = gate;
    world_open(world);
}

/* The first is in force, and an application is known. */
static struct world *begin(void **state)
{
    struct world *world = *state;
    open_with(world, (struct registrar_gate){0});
    world_apply(world, 1, first, ALL);
    world_assert_document(world, "bin.tsv", BIN_1);
    world->lease.known = true;
    return world;
}

static void test_a_sale_holds_a_table_back(void **state)
{
    struct world *world = begin(state);
    world->lease.transaction = true;
    world_apply(world, 2, new_table, ALL);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_int_equal(world_item(world, "bin.tsv"), WAITING);
    assert_int_equal(world_events(world, APPLY, NULL), 1);
    assert_non_null(strstr(world_last(world, APPLY)->text, "waits for the open transaction"));
    world_check(world);
    assert_int_equal(world_events(world, APPLY, NULL), 1);
    assert_int_equal(world->switches, 1);
    assert_false(registrar_switching(world->registrar));
    /* Its end is enough, and no other sale comes in between. */
    world->lease.transaction = false;
    registrar_look(world->registrar);
    assert_true(registrar_switching(world->registrar));
    world->lease.transaction = true;
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_2);
    assert_int_equal(world->switches, 2);
    struct world_state now;
    world_state(world, &now);
    assert_true(now.converged);
}

static void test_only_what_changes_counts(void **state)
{
    struct world *world = begin(state);
    world->lease.batch = true;
    world_apply(world, 2, new_table, ALL); /* the parameters do not change */
    world_assert_document(world, "bin.tsv", BIN_2);
    world_apply(world, 3, new_both, ALL);
    world_assert_document(world, "params", PARAMS_1);
    world->lease.batch = false;
    world->lease.reversal = true;
    registrar_look(world->registrar);
    world_check(world);
    world_assert_document(world, "params", PARAMS_1);
    world->lease.reversal = false;
    registrar_look(world->registrar);
    world_check(world);
    world_assert_document(world, "params", PARAMS_2);
    /* What goes away changes too. */
    world->lease.batch = true;
    world_apply(world, 4, new_both, 2);
    world_assert_document(world, "params", PARAMS_2);
    world->lease.batch = false;
    world_check(world);
    world_assert_document(world, "params", NULL);
}

static void test_the_newer_replaces_what_waits(void **state)
{
    struct world *world = begin(state);
    world->lease.transaction = true;
    world_apply(world, 2, new_table, ALL);
    world_apply(world, 3, other_table, ALL);
    assert_int_equal(world_events(world, APPLY, NULL), 2);
    world_assert_document(world, "bin.tsv", BIN_1);
    world->lease.transaction = false;
    registrar_look(world->registrar);
    world_check(world);
    world_assert_document(world, "bin.tsv", AID);
    /* And what is in force again has nothing to wait for. */
    world->lease.transaction = true;
    world_apply(world, 4, new_both, ALL);
    world_apply(world, 5, other_table, ALL);
    struct err err = {0};
    assert_false(registrar_decide(world->registrar, NULL, "root", &err));
    assert_int_equal(err.code, ERR_CONFLICT);
}

static void test_a_restart_finds_it_again(void **state)
{
    struct world *world = begin(state);
    world->lease.transaction = true;
    world_apply(world, 2, new_table, ALL);
    world->wall_ms += PATIENCE_MS / 2;
    struct registrar_gate gate = {0};
    registrar_waited(world->registrar, &gate.waited);
    assert_true(gate.waited.ms == PATIENCE_MS / 2);
    world->broker_up = false; /* all of it is here */
    open_with(world, gate);
    world_check(world);
    assert_int_equal(world_item(world, "bin.tsv"), WAITING);
    assert_int_equal(world_events(world, APPLY, NULL), 1); /* told before */
    world->wall_ms += PATIENCE_MS / 2;
    world_check(world);
    assert_non_null(strstr(world_last(world, APPLY)->text, "a person should look"));
    world->lease.transaction = false;
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_2);
    registrar_waited(world->registrar, &gate.waited);
    assert_true(gate.waited.ms == 0);
}

static bool is_new(const struct world *world)
{
    return world->switches == 2;
}

static void test_alone_it_opens_by_itself(void **state)
{
    struct world *world = begin(state);
    world->lease.known = false;
    world_apply(world, 2, new_table, ALL);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_int_equal(world_item(world, "bin.tsv"), WAITING);
    world->wall_ms += ALONE_MS - 1;
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    world->wall_ms += 1;
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_2);
}

static void look_after(struct world *world, int64_t ms)
{
    world->wall_ms += ms;
    registrar_look(world->registrar);
    world_check(world);
}

/* One more report where a batch holds up what waited for a sale, and none for each sale in it. */
static void test_another_reason_is_another_state(void **state)
{
    enum { EVERY_MS = 10000 };
    const Muster__EventKind told = MUSTER__EVENT_KIND__EVENT_STATE;
    struct world *world = begin(state);
    open_with(world, (struct registrar_gate){.every_ms = EVERY_MS});
    world->lease.transaction = true;
    world_apply(world, 2, new_both, ALL);
    look_after(world, EVERY_MS);
    size_t events = world_events(world, told, NULL);
    unsigned changes = world->changes;
    world->lease = (struct gate_lease){.known = true, .batch = true};
    look_after(world, EVERY_MS - 1);
    assert_int_equal(world_events(world, told, NULL), events); /* it may be over at once */
    look_after(world, 1);
    assert_int_equal(world_events(world, told, NULL), events + 1);
    assert_int_equal(world->changes, changes + 1);
    struct arena arena = {0};
    Muster__StateReport report;
    assert_true(registrar_state(world->registrar, &arena, &report, NULL));
    assert_string_equal(report.apply->waits_for, "the batch to be settled");
    arena_done(&arena);
    for (int i = 0; i < 2; i++) {
        world->lease.transaction = !world->lease.transaction;
        look_after(world, EVERY_MS);
    }
    assert_int_equal(world_events(world, told, NULL), events + 1);
    assert_int_equal(world->changes, changes + 1);
}

/* ---- what happens to it while it waits ---- */

static void let_it(struct world *world)
{
    world->lease.transaction = false;
    registrar_look(world->registrar);
    world_wait(world, is_new);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_2);
    world_assert_document(world, "aid.tsv", AID);
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_APPLY_FAILED, NULL), 0);
}

static void test_what_it_shares_is_damaged(void **state)
{
    struct world *world = begin(state);
    world->lease.transaction = true;
    world_apply(world, 2, new_table, ALL);
    world_damage(world, "current/aid.tsv"); /* one file with that of the generation that waits */
    world_check(world);
    world_assert_document(world, "aid.tsv", AID);
    world->lease.transaction = false;
    registrar_look(world->registrar);
    world_wait(world, is_new);
    world_assert_document(world, "aid.tsv", AID);
    let_it(world);
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_DRIFT, "aid.tsv"), 1);
}

static uint64_t inode(const struct world *world, const char *name)
{
    char path[256];
    struct stat found;
    world_path(world, name, path);
    assert_int_equal(stat(path, &found), 0);
    return found.st_ino;
}

static void test_what_waits_is_looked_at_before_it_is_put_in_force(void **state)
{
    struct world *world = begin(state);
    world->lease.transaction = true;
    world_apply(world, 2, new_table, ALL);
    world_damage(world, "generations/00000002.tmp/bin.tsv");
    world->wall_ms += LOOK_HOLDS_MS + 1;
    world->lease.transaction = false;
    registrar_look(world->registrar);
    assert_false(registrar_switching(world->registrar));
    let_it(world);
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_DRIFT, "bin.tsv"), 1);
    assert_non_null(strstr(world_last(world, MUSTER__EVENT_KIND__EVENT_DRIFT)->text,
                           "the file that waits is damaged"));
}

static void test_a_sale_that_begins_in_the_look_is_waited_for(void **state)
{
    struct world *world = begin(state);
    world->lease.transaction = true;
    world_apply(world, 2, new_table, ALL);
    world->wall_ms += LOOK_HOLDS_MS + 1;
    world->lease.transaction = false;
    registrar_look(world->registrar);
    world->lease.transaction = true;
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    let_it(world);
}

/* Each check looks at it, and nothing is built again that is as it was. */
static void test_what_is_only_observed_does_not_build_it_again(void **state)
{
    struct world *world = begin(state);
    struct world_doc docs[ALL];
    memcpy(docs, new_table, sizeof docs);
    docs[2].mode = MUSTER__ASSIGN_MODE__MODE_OBSERVE;
    world->lease.transaction = true;
    world_apply(world, 2, docs, ALL);
    world_damage(world, "current/params");
    world_check(world); /* news: it goes along as its owner has it */
    uint64_t built = inode(world, "generations/00000002.tmp/bin.tsv");
    world_check(world);
    world_check(world);
    assert_true(inode(world, "generations/00000002.tmp/bin.tsv") == built);
    assert_true(inode(world, "generations/00000002.tmp/params") == inode(world, "current/params"));
    /* What it does not have is no reason either. */
    world_damage(world, "current/bin.tsv");
    world_check(world);
    assert_true(inode(world, "generations/00000002.tmp/bin.tsv") == built);
    /* Its owner writes it anew. */
    char path[256];
    world_path(world, "current/params", path);
    assert_true(file_write(path, bytes_of(PARAMS_2, sizeof PARAMS_2 - 1), 0640, NULL));
    world_check(world);
    world->lease.transaction = false;
    registrar_look(world->registrar);
    world_wait(world, is_new);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_2);
    world_assert_document(world, "params", PARAMS_2);
}

static void assert_same_file(const struct world *world, const char *name, const char *other)
{
    const char *names[] = {name, other};
    struct buf files[2] = {{.limit = 65536}, {.limit = 65536}};
    for (size_t i = 0; i < 2; i++) {
        char path[256];
        world_path(world, names[i], path);
        assert_true(file_read(path, 65536, &files[i], NULL));
    }
    assert_int_equal(files[0].length, files[1].length);
    assert_memory_equal(files[0].data, files[1].data, files[0].length);
    buf_done(&files[0]);
    buf_done(&files[1]);
}

static void test_a_manifest_that_wants_the_same_leaves_it_as_it_is(void **state)
{
    struct world *world = begin(state);
    world->lease.transaction = true;
    world_apply(world, 2, new_table, ALL);
    uint64_t built = inode(world, "generations/00000002.tmp/bin.tsv");
    world_apply(world, 3, new_table, ALL);
    assert_true(inode(world, "generations/00000002.tmp/bin.tsv") == built);
    assert_int_equal(world_events(world, APPLY, NULL), 1); /* it has been said */
    assert_same_file(world, "generations/00000002.tmp/.manifest", "desired");
    let_it(world);
    struct world_state now;
    world_state(world, &now);
    assert_true(now.converged && now.manifest_version == 3);
    assert_same_file(world, "current/.manifest", "desired");
    /* From what it was made it can be made again. */
    world->broker_up = false;
    world_damage(world, "current/bin.tsv");
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_2);
}

/* Who begins a sale waits for the switch, and not for what is removed after it. */
static void test_nobody_waits_for_what_is_swept(void **state)
{
    struct world *world = begin(state);
    world_apply(world, 2, new_table, ALL);
    world->spare = "generations/00000001";
    world_apply(world, 3, other_table, ALL);
    assert_true(world->spare_held);
    assert_false(world_has(world, world->spare));
    assert_true(world_has(world, "generations/00000002"));
}

static void test_the_manifest_is_written_again(void **state)
{
    struct world *world = begin(state);
    char path[256];
    world->lease.transaction = true;
    world_apply(world, 2, new_table, ALL);
    world_path(world, "desired", path);
    assert_true(file_remove(path, NULL));
    world_check(world);
    let_it(world);
}

static void test_results_come_first(void **state)
{
    struct world *world = begin(state);
    world->lease.transaction = true;
    world_apply(world, 2, new_table, ALL);
    unsigned fetches = world->fetches;
    world->room.results_short = true;
    registrar_yield(world->registrar);
    world_check(world);
    world->room.results_short = false;
    world_check(world);
    assert_true(world->fetches > fetches);
    let_it(world);
}

/* ---- the hook form ---- */

static void gate_script(struct world *world, const char *script, int64_t limit_ms)
{
    (void)snprintf(world->gate_hook, sizeof world->gate_hook, "%s/gate", world->dir);
    assert_true(file_write(world->gate_hook, bytes_of(script, strlen(script)), 0700, NULL));
    world->gate_hook_limit_ms = limit_ms;
    open_with(world, (struct registrar_gate){0});
}

static bool is_told(const struct world *world)
{
    return world_events(world, APPLY, NULL) > 0;
}

static bool is_switched(const struct world *world)
{
    return world->switches > 0;
}

static bool is_failed(const struct world *world)
{
    return world_events(world, MUSTER__EVENT_KIND__EVENT_APPLY_FAILED, NULL) > 0;
}

static void test_the_hook_says_busy_then_yes(void **state)
{
    struct world *world = *state;
    char path[96];
    gate_script(
        world,
        "#!/bin/sh\n[ \"$1\" = settled ] || exit 9\n"
        "[ -e \"${0%/*}/go\" ] && exit 0\necho a refund is being typed in\necho by hand\nexit 1\n",
        10000);
    assert_true(world_push(world, 1, first, ALL, NULL));
    world_wait(world, is_told);
    world_check(world);
    world_assert_document(world, "params", NULL);
    char said[160];
    while (registrar_waits(world->registrar, said, sizeof said) && strstr(said, "refund") == NULL)
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    assert_string_equal(said, "manifest 1 waits for the gate hook: a refund is being typed in");
    (void)snprintf(path, sizeof path, "%s/go", world->dir);
    assert_true(file_write(path, bytes_of("", 0), 0600, NULL));
    world_wait(world, is_switched);
    world_check(world);
    world_assert_document(world, "params", PARAMS_1);
}

static void test_both_forms_must_say_yes(void **state)
{
    struct world *world = *state;
    world->lease = (struct gate_lease){.known = true, .batch = true};
    gate_script(world, "#!/bin/sh\nexit 0\n", 10000);
    assert_true(world_push(world, 1, first, ALL, NULL));
    world_wait(world, is_told);
    world_check(world);
    world_assert_document(world, "params", NULL);
    world->lease.batch = false;
    registrar_look(world->registrar);
    world_wait(world, is_switched);
    world_check(world);
    world_assert_document(world, "params", PARAMS_1);
}

static void asked_path(const struct world *world, char path[96])
{
    (void)snprintf(path, 96, "%s/asked", world->dir);
}

static bool is_asked(const struct world *world)
{
    char path[96];
    asked_path(world, path);
    return file_exists(path);
}

static bool has_answered(const struct world *world)
{
    return gate_hook_due_ms(&world->registrar->gate.asker) < INT64_MAX;
}

/* It says yes when the test does. */
static const char asked_one[] =
    "#!/bin/sh\n: >\"${0%/*}/asked\"\nread -r said <\"${0%/*}/answer\"\n";

static void answered_by_the_test(struct world *world)
{
    char path[96];
    (void)snprintf(path, sizeof path, "%s/answer", world->dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    gate_script(world, asked_one, 10000);
}

static void say_yes(struct world *world)
{
    char path[96];
    asked_path(world, path);
    assert_true(file_remove(path, NULL));
    (void)snprintf(path, sizeof path, "%s/answer", world->dir);
    FILE *answer = fopen(path, "w");
    assert_non_null(answer);
    assert_true(fputs("yes\n", answer) >= 0 && fclose(answer) == 0);
}

/* A batch was opened while the hook looked; it is settled long after. */
static void test_what_the_hook_said_is_soon_no_news(void **state)
{
    struct world *world = *state;
    world->lease.known = true;
    answered_by_the_test(world);
    assert_true(world_push(world, 1, first, ALL, NULL));
    world_wait(world, is_asked);
    world->lease.batch = true;
    say_yes(world);
    world_wait(world, has_answered);
    world->wall_ms += 60 * 1000;
    world->lease.batch = false;
    registrar_look(world->registrar);
    assert_false(registrar_switching(world->registrar));
    world_wait(world, is_asked);
    say_yes(world);
    world_wait(world, is_switched);
    world_check(world);
    world_assert_document(world, "params", PARAMS_1);
}

/* It was asked about a table; what waits by now needs a settled batch. */
static void test_what_the_hook_said_of_another_is_no_answer(void **state)
{
    struct world *world = begin(state);
    answered_by_the_test(world);
    world_check(world);
    assert_true(world_push(world, 2, new_table, ALL, NULL));
    world_wait(world, is_asked);
    world_apply(world, 3, new_both, ALL);
    say_yes(world);
    world_wait(world, is_asked);
    world_check(world);
    world_assert_document(world, "params", PARAMS_1);
    say_yes(world);
    world_wait(world, is_new);
    world_check(world);
    world_assert_document(world, "params", PARAMS_2);
}

static void fails_as(void **state, const char *script, int64_t limit_ms, const char *why)
{
    struct world *world = *state;
    gate_script(world, script, limit_ms);
    assert_true(world_push(world, 1, first, ALL, NULL));
    world_wait(world, is_failed);
    const char *told = world_last(world, MUSTER__EVENT_KIND__EVENT_APPLY_FAILED)->text;
    if (strstr(told, why) == NULL)
        fail_msg("%s", told);
    world_check(world);
    world_check(world);
    world_assert_document(world, "params", NULL);
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_APPLY_FAILED, NULL), 1);
}

static void test_a_hook_that_fails_is_busy(void **state)
{
    fails_as(state, "#!/bin/sh\nexit 7\n", 10000, "ended with exit 7");
}

static void test_a_hook_that_hangs_is_busy(void **state)
{
    fails_as(state, "#!/bin/sh\nsleep 600 &\nwait\n", 200, "did not end in time");
}

static void test_a_hook_that_is_no_program_is_busy(void **state)
{
    fails_as(state, "\x7f no program", 10000, "the gate hook, which");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_sale_holds_a_table_back),
        TEST(test_only_what_changes_counts),
        TEST(test_the_newer_replaces_what_waits),
        TEST(test_a_restart_finds_it_again),
        TEST(test_alone_it_opens_by_itself),
        TEST(test_another_reason_is_another_state),
        TEST(test_what_it_shares_is_damaged),
        TEST(test_what_waits_is_looked_at_before_it_is_put_in_force),
        TEST(test_a_sale_that_begins_in_the_look_is_waited_for),
        TEST(test_what_is_only_observed_does_not_build_it_again),
        TEST(test_a_manifest_that_wants_the_same_leaves_it_as_it_is),
        TEST(test_nobody_waits_for_what_is_swept),
        TEST(test_the_manifest_is_written_again),
        TEST(test_results_come_first),
        TEST(test_the_hook_says_busy_then_yes),
        TEST(test_both_forms_must_say_yes),
        TEST(test_what_the_hook_said_is_soon_no_news),
        TEST(test_what_the_hook_said_of_another_is_no_answer),
        TEST(test_a_hook_that_fails_is_busy),
        TEST(test_a_hook_that_hangs_is_busy),
        TEST(test_a_hook_that_is_no_program_is_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
