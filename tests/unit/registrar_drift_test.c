/* SPDX-License-Identifier: Apache-2.0 */
/* The registrar when what it holds is damaged, and when it was interrupted. */
#include "agent/registrar.h"

#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REPAIR MUSTER__ASSIGN_MODE__MODE_REPAIR
#define DRIFT MUSTER__EVENT_KIND__EVENT_DRIFT
#define REPAIRED MUSTER__EVENT_KIND__EVENT_REPAIR
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define AID "aid\tscheme\nA0\t1\n"
#define BIN_1 "prefix\tissuer\n62\tone\n"
#define BIN_2 "prefix\tissuer\n62\tone\n43\ttwo\n"

static const struct world_doc first[] = {
    {.name = "aid.tsv", .content = AID, .version = 1, .mode = REPAIR},
    {.name = "bin.tsv", .content = BIN_1, .version = 1, .mode = REPAIR},
};
static const struct world_doc second[] = {
    {.name = "aid.tsv", .content = AID, .version = 1, .mode = REPAIR},
    {.name = "bin.tsv", .content = BIN_2, .version = 2, .mode = REPAIR},
};

static void remove_file(const struct world *world, const char *name)
{
    char path[256];
    world_path(world, name, path);
    assert_true(file_exists(path));
    assert_true(file_remove_tree(path, NULL));
}

static void blob_name(const struct world *world, size_t i, char name[80])
{
    char hex[65];
    hex_encode(world->blobs[i].sha256, 32, hex);
    (void)snprintf(name, 80, "blobs/%s", hex);
}

static void write_text(const struct world *world, const char *name, const char *text)
{
    char path[256];
    world_path(world, name, path);
    assert_true(file_write(path, bytes_of(text, strlen(text)), 0644, NULL));
}

static void assert_in(const struct world *world, const char *name, const char *text)
{
    char path[256];
    struct buf content = {0};
    world_path(world, name, path);
    assert_true(file_read(path, 65536, &content, NULL));
    assert_int_equal(content.length, strlen(text));
    assert_memory_equal(content.data, text, content.length);
    buf_done(&content);
}

static void test_damage_from_the_store(void **state)
{
    struct world *world = *state;
    world_apply(world, 1, first, COUNT(first));
    world_apply(world, 2, second, COUNT(second));
    unsigned fetches = world->fetches;
    size_t states = world_events(world, MUSTER__EVENT_KIND__EVENT_STATE, NULL);
    world->broker_up = false;
    world_damage(world, "current/aid.tsv"); /* shared with generation 1 */
    world_check(world);
    world_assert_document(world, "aid.tsv", AID);
    assert_in(world, "generations/00000001/aid.tsv", AID);
    assert_int_equal(world->fetches, fetches);
    const struct world_event *drift = world_last(world, DRIFT);
    assert_int_equal(drift->state, MUSTER__ITEM_STATE__ITEM_DAMAGED);
    assert_non_null(strstr(drift->text, "aid.tsv: the file is damaged: expected sha256 "));
    assert_true(drift->has_held_hash);
    const struct world_event *repair = world_last(world, REPAIRED);
    assert_string_equal(repair->item, "aid.tsv");
    assert_int_equal(repair->source, MUSTER__REPAIR_SOURCE__REPAIR_SOURCE_STORE);
    assert_int_equal(world_item(world, "aid.tsv"), MUSTER__ITEM_STATE__ITEM_REPAIRED);
    world_check(world);
    assert_int_equal(world_item(world, "aid.tsv"), MUSTER__ITEM_STATE__ITEM_OK);
    assert_int_equal(world_events(world, DRIFT, NULL), 1);
    assert_int_equal(world_events(world, REPAIRED, NULL), 1);
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_STATE, NULL), states);
}

static void test_missing_from_the_store(void **state)
{
    struct world *world = *state;
    world_apply(world, 1, first, COUNT(first));
    remove_file(world, "current/bin.tsv");
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_int_equal(world_last(world, DRIFT)->state, MUSTER__ITEM_STATE__ITEM_MISSING);
}

static void on_answered(void *ctx)
{
    *(bool *)ctx = true;
}

static bool is_repaired(const struct world *world)
{
    return world_events(world, REPAIRED, "bin.tsv") == 1;
}

/* The broker is away for the first two checks: told once, asked for all the time. */
static void test_broker_repairs(void **state)
{
    struct world *world = *state;
    world_apply(world, 1, first, COUNT(first));
    char name[80];
    blob_name(world, 1, name);
    remove_file(world, name);
    remove_file(world, "current/bin.tsv");
    world->broker_up = false;
    world_close(world);
    world_open(world); /* the check at boot finds it */
    world_wait(world, world_was_asked);
    bool answered = false;
    assert_true(registrar_check(world->registrar, 1, on_answered, &answered, NULL));
    while (!answered)
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    assert_int_equal(world_events(world, DRIFT, "bin.tsv"), 1);
    assert_int_equal(world_events(world, REPAIRED, NULL), 0);
    assert_true(registrar_blob(world->registrar, world->blobs[1].sha256,
                               buf_bytes(&world->blobs[1].bytes), NULL));
    world_wait(world, is_repaired);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_int_equal(world_last(world, REPAIRED)->source,
                     MUSTER__REPAIR_SOURCE__REPAIR_SOURCE_BROKER);
    assert_int_equal(world_item(world, "bin.tsv"), MUSTER__ITEM_STATE__ITEM_REPAIRED);
    assert_int_equal(world->asked_count, 0);
    assert_true(world_has(world, name));
}

/* One selfcheck tells both what came from the store and what came from the broker. */
static void test_one_check_repairs_both_ways(void **state)
{
    struct world *world = *state;
    char name[80];
    world_apply(world, 1, first, COUNT(first));
    blob_name(world, 1, name);
    world_damage(world, name);
    world_damage(world, "current/bin.tsv");
    world_damage(world, "current/aid.tsv");
    world_check(world);
    world_assert_document(world, "aid.tsv", AID);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_int_equal(world_item(world, "aid.tsv"), MUSTER__ITEM_STATE__ITEM_REPAIRED);
    assert_int_equal(world_item(world, "bin.tsv"), MUSTER__ITEM_STATE__ITEM_REPAIRED);
    assert_int_equal(world_last(world, REPAIRED)->source,
                     MUSTER__REPAIR_SOURCE__REPAIR_SOURCE_BROKER);
    struct world_state now;
    world_state(world, &now);
    assert_true(now.converged);
}

/* A new manifest meets a carried file that was damaged since the last check. */
static void test_damage_found_while_building(void **state)
{
    struct world *world = *state;
    world_apply(world, 1, first, COUNT(first));
    world_damage(world, "current/aid.tsv");
    struct err err = {0};
    assert_true(world_push(world, 2, second, COUNT(second), &err));
    world_check(world);
    world_assert_document(world, "aid.tsv", AID);
    world_assert_document(world, "bin.tsv", BIN_2);
    assert_int_equal(world_events(world, DRIFT, "aid.tsv"), 1);
    assert_int_equal(world_events(world, REPAIRED, "aid.tsv"), 1);
}

static void test_timer(void **state)
{
    struct world *world = *state;
    world_apply(world, 1, first, COUNT(first));
    world_close(world);
    world->settings.check_every_ms = 20;
    world_open(world);
    world_check(world); /* the check at boot is over */
    world_damage(world, "current/bin.tsv");
    world_wait(world, is_repaired);
    world_assert_document(world, "bin.tsv", BIN_1);
}

static void test_strays(void **state)
{
    struct world *world = *state;
    struct world_doc docs[2] = {first[0], first[1]};
    docs[1].mode = MUSTER__ASSIGN_MODE__MODE_OBSERVE;
    world_apply(world, 1, docs, 2);
    write_text(world, "current/bin.tsv", "somebody else's");
    write_text(world, "current/left-behind", "x");
    world_check(world);
    world_check(world);
    assert_false(world_has(world, "current/left-behind"));
    assert_true(world_has(world, "current/bin.tsv"));
    const struct world_event *event = world_last(world, DRIFT);
    assert_non_null(strstr(event->text, "left-behind: a file that is no document"));
    assert_int_equal(world_events(world, DRIFT, ""), 1);
}

/* ---- restarts ---- */

static void test_restart_before_any_blob(void **state)
{
    struct world *world = *state;
    world->broker_up = false;
    assert_true(world_push(world, 1, first, COUNT(first), NULL));
    world_wait(world, world_was_asked); /* so the manifest is on the medium */
    world_close(world);
    world_open(world);
    assert_int_equal(registrar_manifest_version(world->registrar), 1);
    world->broker_up = true;
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
}

static bool asked_for_one(const struct world *world)
{
    return world->asked_count == 1;
}

static void test_restart_with_one_blob_of_two(void **state)
{
    struct world *world = *state;
    world->broker_up = false;
    assert_true(world_push(world, 1, first, COUNT(first), NULL));
    world_wait(world, world_was_asked);
    assert_true(registrar_blob(world->registrar, world->blobs[0].sha256,
                               buf_bytes(&world->blobs[0].bytes), NULL));
    world_wait(world, asked_for_one);
    world_close(world);
    world->broker_up = true;
    world_open(world);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_true(world->fetches == 1 || world->fetches == 2); /* closed while it was being stored */
}

static bool is_converged(const struct world *world)
{
    struct world_state now;
    world_state(world, &now);
    return now.converged;
}

static void assert_one_or_other(const struct world *world)
{
    char path[256];
    struct buf content = {0};
    world_path(world, "current/bin.tsv", path);
    assert_true(file_read(path, 4096, &content, NULL));
    struct bytes held = buf_bytes(&content);
    assert_true(bytes_equal(held, bytes_of(BIN_1, strlen(BIN_1))) ||
                bytes_equal(held, bytes_of(BIN_2, strlen(BIN_2))));
    buf_done(&content);
}

/* At every step that leaves something on the medium: close at once, go on, and it is all there. */
static void test_restart_at_any_turn(void **state)
{
    struct world *world = *state;
    world_apply(world, 1, first, COUNT(first));
    for (uint64_t turns = 0; turns < 24; turns++) {
        const struct world_doc *docs = turns % 2 == 0 ? second : first;
        assert_true(world_push(world, 2 + turns, docs, 2, NULL));
        for (uint64_t turn = 0; turn < turns && !is_converged(world); turn++)
            (void)uv_run(&world->loop, UV_RUN_ONCE);
        world_close(world);
        assert_one_or_other(world);
        world_open(world);
        assert_true(world_push(world, 2 + turns, docs, 2, NULL));
        world_check(world);
        world_assert_document(world, "bin.tsv", docs[1].content);
        world_assert_document(world, "aid.tsv", AID);
        assert_int_equal(world_events(world, DRIFT, NULL), 0);
        world->event_count = 0;
    }
}

static void test_planted_leftovers(void **state)
{
    struct world *world = *state;
    char path[256];
    world_apply(world, 1, first, COUNT(first));
    world_close(world);
    world_path(world, "generations/00000002.tmp", path);
    assert_true(file_make_dir(path, 0755, NULL));
    world_path(world, "generations/00000003", path);
    assert_true(file_make_dir(path, 0755, NULL));
    write_text(world, "generations/00000002.tmp/bin.tsv", "half");
    write_text(world, "generations/00000003/bin.tsv", "whole, but without its list");
    write_text(world, ".floors.0011223344556677.new", "half");
    write_text(world, "blobs/junk", "x");
    write_text(world, "current/.bin.tsv.0011223344556677.new", "half");
    world_open(world);
    world_check(world);
    assert_false(world_has(world, "generations/00000002.tmp"));
    assert_false(world_has(world, "generations/00000003"));
    assert_false(world_has(world, ".floors.0011223344556677.new"));
    assert_false(world_has(world, "blobs/junk"));
    assert_false(world_has(world, "current/.bin.tsv.0011223344556677.new"));
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_int_equal(world_events(world, DRIFT, NULL), 0);
    world_apply(world, 2, second, COUNT(second));
    world_assert_document(world, "bin.tsv", BIN_2);
}

static void test_current_is_gone(void **state)
{
    struct world *world = *state;
    world_apply(world, 1, first, COUNT(first));
    world_apply(world, 2, second, COUNT(second));
    world_close(world);
    remove_file(world, "generations/00000002");
    world_open(world);
    world_assert_document(world, "bin.tsv", BIN_1); /* at once the one before */
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_2); /* and then what is wanted again */
    assert_non_null(
        strstr(world_last(world, DRIFT)->text, "damaged or gone; back to generation 1"));
}

static void test_nothing_is_left(void **state)
{
    struct world *world = *state;
    world_apply(world, 1, first, COUNT(first));
    world_close(world);
    remove_file(world, "generations/00000001/.items");
    world->broker_up = false; /* its own blobs are enough */
    world_open(world);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    struct world_state now;
    world_state(world, &now);
    assert_true(now.converged);
    assert_int_equal(now.generation, 2);
    assert_false(world_has(world, "generations/00000001"));
}

/* Without a manifest that verifies, what was applied is kept, and kept whole. */
static void test_damaged_manifest(void **state)
{
    struct world *world = *state;
    world_apply(world, 1, first, COUNT(first));
    world_close(world);
    write_text(world, "desired", "not an envelope");
    write_text(world, "current/.manifest", "nor this");
    world_damage(world, "current/bin.tsv");
    world_open(world);
    world_check(world);
    assert_int_equal(registrar_manifest_version(world->registrar), 0);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_int_equal(world_events(world, REPAIRED, "bin.tsv"), 1);
    struct err err = {0};
    assert_true(world_push(world, 1, first, COUNT(first), &err)); /* the broker has it retained */
    world_check(world);
    struct world_state now;
    world_state(world, &now);
    assert_true(now.converged);
    assert_int_equal(now.generation, 1);
}

static void test_damaged_floors(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    struct world_doc docs[1] = {
        {.name = "bin.tsv", .content = BIN_1, .version = 7, .minimum = 5, .mode = REPAIR}};
    world_apply(world, 3, docs, 1);
    world_close(world);
    write_text(world, "floors", "manifest\t0\t00\n");
    world_open(world);
    world_check(world);
    docs[0].version = 4;
    docs[0].minimum = 0;
    assert_false(world_push(world, 4, docs, 1, &err)); /* made again from the manifest held */
    assert_non_null(strstr(err.text, "below the floor 5"));
    assert_false(world_push(world, 2, docs, 1, &err));
    assert_non_null(strstr(err.text, "older than 3"));
}

/* What is around the documents is lost while the agent runs: the application reads nothing. */
static void test_surroundings_are_put_back(void **state)
{
    static const char *const lost[] = {"current",     "generations/00000002/.items",
                                       "blobs",       "generations/00000002",
                                       "generations", "desired",
                                       "floors"};
    struct world *world = *state;
    world_apply(world, 1, first, COUNT(first));
    world_apply(world, 2, second, COUNT(second));
    for (size_t i = 0; i < COUNT(lost); i++) {
        remove_file(world, lost[i]);
        world_check(world);
        assert_true(world_has(world, lost[i]));
        world_assert_document(world, "aid.tsv", AID);
        world_assert_document(world, "bin.tsv", BIN_2);
    }
    assert_non_null(strstr(world_last(world, DRIFT)->text, "floors is gone; written again"));
    assert_true(world_events(world, DRIFT, "bin.tsv") > 0);
    assert_true(file_remove(world->floors, NULL)); /* the second place of the floors */
    world_check(world);
    assert_true(file_exists(world->floors));
    assert_non_null(strstr(world_last(world, DRIFT)->text, world->floors));
    size_t told = world_events(world, DRIFT, "");
    assert_true(told > 0);
    world_check(world);
    assert_int_equal(world_events(world, DRIFT, ""), told); /* all is in place again */
    world_reopen(world);
    world_check(world);
    assert_int_equal(world_events(world, DRIFT, ""), told);
    assert_int_equal(registrar_manifest_version(world->registrar), 2);
}

static void test_current_leads_elsewhere(void **state)
{
    struct world *world = *state;
    char link[256], other[256];
    world_apply(world, 1, first, COUNT(first));
    world_path(world, "current", link);
    assert_true(file_point(link, "/etc", NULL));
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_true(file_remove(link, NULL));
    assert_true(path_join(other, sizeof other, link, "bin.tsv", NULL));
    assert_true(file_make_dir(other, 0755, NULL)); /* a folder in the link's place, and not empty */
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
}

static void test_a_folder_in_a_documents_place(void **state)
{
    struct world *world = *state;
    char path[256], inside[256];
    world_apply(world, 1, first, COUNT(first));
    remove_file(world, "current/bin.tsv");
    world_path(world, "current/bin.tsv", path);
    assert_true(path_join(inside, sizeof inside, path, "x", NULL));
    assert_true(file_make_dir(inside, 0755, NULL));
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_int_equal(world_events(world, REPAIRED, "bin.tsv"), 1);
}

/* A start offline that finds all as it was leaves nothing in the spool. */
static void test_what_is_held_is_told_only_when_asked(void **state)
{
    struct world *world = *state;
    const struct world_doc docs[] = {
        {.name = "aid.tsv", .content = AID, .version = 1, .mode = REPAIR},
        {.name = "bin.tsv", .content = BIN_2, .version = 2},
    };
    world_apply(world, 1, docs, COUNT(docs));
    world->quiet = true;
    world_close(world);
    size_t events = world->event_count;
    for (int start = 0; start < 3; start++) {
        world_open(world);
        world_check(world);
        assert_int_equal(world->event_count, events);
        if (start < 2)
            world_close(world);
    }
    registrar_tell(world->registrar);
    world_check(world);
    assert_int_equal(world->event_count, events + 2);
    assert_string_equal(world_last(world, DRIFT)->item, "bin.tsv");
    assert_non_null(world_last(world, MUSTER__EVENT_KIND__EVENT_STATE));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_damage_from_the_store),
        TEST(test_missing_from_the_store),
        TEST(test_broker_repairs),
        TEST(test_one_check_repairs_both_ways),
        TEST(test_damage_found_while_building),
        TEST(test_timer),
        TEST(test_strays),
        TEST(test_restart_before_any_blob),
        TEST(test_restart_with_one_blob_of_two),
        TEST(test_restart_at_any_turn),
        TEST(test_planted_leftovers),
        TEST(test_current_is_gone),
        TEST(test_nothing_is_left),
        TEST(test_damaged_manifest),
        TEST(test_damaged_floors),
        TEST(test_surroundings_are_put_back),
        TEST(test_current_leads_elsewhere),
        TEST(test_a_folder_in_a_documents_place),
        TEST(test_what_is_held_is_told_only_when_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
