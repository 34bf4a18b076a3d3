/* SPDX-License-Identifier: Apache-2.0 */
/* Documents that another system owns: compared where that keeps them, told, never written. */
#include "agent/registrar.h"

#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OBSERVE MUSTER__ASSIGN_MODE__MODE_OBSERVE
#define PROPOSE MUSTER__ASSIGN_MODE__MODE_PROPOSE
#define REPAIR MUSTER__ASSIGN_MODE__MODE_REPAIR
#define TABLE MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE
#define DRIFT MUSTER__EVENT_KIND__EVENT_DRIFT
#define PROPOSED MUSTER__EVENT_KIND__EVENT_PROPOSED

#define WANTED "prefix\tissuer\n62\tone\n43\ttwo\n"
#define OTHER "prefix\tissuer\n62\tone\n44\tthree\n45\tfour\n"

struct scene {
    struct world *world;
    struct owned owned;
    struct stat before; /* of the owner's file */
};

/* The owner keeps this; NULL: nothing. */
static void owner_writes(struct scene *scene, const char *text)
{
    const char *path = scene->owned.files[0].path;
    (void)unlink(path);
    if (text == NULL)
        return;
    assert_true(file_write(path, bytes_of(text, strlen(text)), 0600, NULL));
    assert_int_equal(stat(path, &scene->before), 0);
}

/* Not one bit of it, and nothing beside it. */
static void assert_untouched(const struct scene *scene, const char *text)
{
    struct buf content = {0};
    struct stat now;
    const char *path = scene->owned.files[0].path;
    assert_true(file_read(path, 65536, &content, NULL));
    assert_true(bytes_equal(buf_bytes(&content), bytes_of(text, strlen(text))));
    buf_done(&content);
    assert_int_equal(stat(path, &now), 0);
    assert_true(now.st_ino == scene->before.st_ino && now.st_mode == scene->before.st_mode);
    assert_true(now.st_ctim.tv_sec == scene->before.st_ctim.tv_sec &&
                now.st_ctim.tv_nsec == scene->before.st_ctim.tv_nsec);
}

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    void *world = NULL;
    if (world_set_up(&world) != 0)
        return -1;
    scene->world = world;
    scene->owned.count = 1;
    (void)snprintf(scene->owned.files[0].name, sizeof scene->owned.files[0].name, "bin.tsv");
    (void)snprintf(scene->owned.files[0].path, sizeof scene->owned.files[0].path, "%s/its.tsv",
                   scene->world->dir);
    world_close(scene->world);
    scene->world->settings.owned = &scene->owned;
    scene->world->settings.check_every_ms = 3600 * 1000;
    world_open(scene->world);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    void *world = scene->world;
    free(scene);
    return world_tear_down(&world);
}

static void apply(const struct scene *scene, uint64_t version, Muster__AssignMode mode)
{
    const struct world_doc doc = {
        .name = "bin.tsv", .content = WANTED, .version = version, .mode = mode, .kind = TABLE};
    world_apply(scene->world, version, &doc, 1);
}

/* Valid while the arena is. */
static const Muster__ItemReport *report_of(const struct scene *scene, struct arena *arena)
{
    Muster__StateReport state;
    struct err err = {0};
    if (!registrar_state(scene->world->registrar, arena, &state, &err))
        fail_msg("%s", err.text);
    assert_int_equal(state.n_items, 1);
    assert_int_equal(state.converged, state.items[0]->state == MUSTER__ITEM_STATE__ITEM_OK ? 1 : 0);
    return state.items[0];
}

static void assert_told(const struct scene *scene, Muster__ItemState state,
                        Muster__DifferenceKind kind, const char *reason)
{
    struct arena arena = {0};
    const Muster__ItemReport *item = report_of(scene, &arena);
    assert_int_equal(item->state, state);
    assert_int_equal(item->difference, kind);
    assert_true(item->owned);
    assert_string_equal(item->reason, reason);
    arena_done(&arena);
}

static void assert_as_wanted(const struct scene *scene)
{
    struct arena arena = {0};
    const Muster__ItemReport *item = report_of(scene, &arena);
    assert_int_equal(item->state, MUSTER__ITEM_STATE__ITEM_OK);
    assert_int_equal(item->difference, MUSTER__DIFFERENCE_KIND__DIFFERENCE_NONE);
    assert_int_equal(item->held_version, item->wanted_version);
    assert_int_equal(item->owned, registrar_mode(scene->world->registrar, "bin.tsv") != REPAIR);
    assert_int_equal(item->held_sha256.len, 32);
    assert_memory_equal(item->held_sha256.data, item->wanted_sha256.data, 32);
    arena_done(&arena);
}

static void test_its_file_is_what_counts(void **state)
{
    struct scene *scene = *state;
    owner_writes(scene, WANTED);
    apply(scene, 1, OBSERVE);
    assert_as_wanted(scene);
    assert_int_equal(world_events(scene->world, DRIFT, NULL), 0);
    assert_untouched(scene, WANTED);
    owner_writes(scene, OTHER);
    assert_as_wanted(scene); /* until the next check */
    world_check(scene->world);
    struct arena arena = {0};
    const Muster__ItemReport *item = report_of(scene, &arena);
    assert_int_equal(item->wanted_bytes, strlen(WANTED));
    assert_int_equal(item->found_bytes, strlen(OTHER));
    assert_false(item->rows_compared); /* what is wanted never came here */
    uint8_t digest[32];
    sha256(bytes_of(OTHER, strlen(OTHER)), digest);
    assert_memory_equal(item->held_sha256.data, digest, 32);
    assert_int_equal(item->held_version, 0);
    arena_done(&arena);
    assert_told(scene, MUSTER__ITEM_STATE__ITEM_DRIFT, MUSTER__DIFFERENCE_KIND__DIFFERENCE_CONTENT,
                "observed only; not written here: another content, 38 bytes, 28 wanted");
    world_check(scene->world);
    assert_int_equal(world_events(scene->world, DRIFT, "bin.tsv"), 1); /* said once */
    assert_non_null(strstr(world_last(scene->world, DRIFT)->text, "38 bytes, 28 wanted"));
    assert_true(world_last(scene->world, DRIFT)->has_held_hash);
    assert_untouched(scene, OTHER);
    world_assert_document(scene->world, "bin.tsv", NULL);
    assert_int_equal(scene->world->fetches, 0);
    owner_writes(scene, WANTED);
    world_check(scene->world);
    assert_as_wanted(scene);
}

static bool is_told(const struct world *world)
{
    return world_events(world, DRIFT, "bin.tsv") == 1;
}

/* No check is asked for, and the timer's is an hour away. */
static void test_a_newer_manifest_is_compared_at_once(void **state)
{
    struct scene *scene = *state;
    const struct world_doc doc = {
        .name = "bin.tsv", .content = WANTED, .version = 1, .mode = OBSERVE, .kind = TABLE};
    const struct world_doc next = {
        .name = "bin.tsv", .content = OTHER, .version = 2, .mode = OBSERVE, .kind = TABLE};
    world_check(scene->world); /* the one of the start is over */
    owner_writes(scene, OTHER);
    assert_true(world_push(scene->world, 1, &doc, 1, NULL));
    world_wait(scene->world, is_told);
    assert_told(scene, MUSTER__ITEM_STATE__ITEM_DRIFT, MUSTER__DIFFERENCE_KIND__DIFFERENCE_CONTENT,
                "observed only; not written here: another content, 38 bytes, 28 wanted");
    world_apply(scene->world, 2, &next, 1);
    assert_as_wanted(scene);
}

static void test_what_is_not_there_or_no_file_is_said(void **state)
{
    struct scene *scene = *state;
    const char *path = scene->owned.files[0].path;
    apply(scene, 1, OBSERVE);
    assert_told(scene, MUSTER__ITEM_STATE__ITEM_MISSING,
                MUSTER__DIFFERENCE_KIND__DIFFERENCE_MISSING,
                "observed only; not written here: there is no such file");
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(mkdir(path, 0755), 0);
    world_check(scene->world);
    assert_told(scene, MUSTER__ITEM_STATE__ITEM_DRIFT, MUSTER__DIFFERENCE_KIND__DIFFERENCE_NO_FILE,
                "observed only; not written here: what is at its path is no regular file, or a "
                "link to one");
    assert_int_equal(world_events(scene->world, DRIFT, "bin.tsv"), 2);
    assert_int_equal(rmdir(path), 0);
}

static void test_what_is_proposed_asks(void **state)
{
    struct scene *scene = *state;
    owner_writes(scene, OTHER);
    apply(scene, 1, PROPOSE);
    assert_told(scene, MUSTER__ITEM_STATE__ITEM_PROPOSED,
                MUSTER__DIFFERENCE_KIND__DIFFERENCE_CONTENT,
                "proposed to ops; not written here: another content, 38 bytes, 28 wanted");
    world_check(scene->world);
    assert_int_equal(world_events(scene->world, PROPOSED, "bin.tsv"), 1);
    assert_int_equal(world_events(scene->world, DRIFT, NULL), 0);
    assert_untouched(scene, OTHER);
    owner_writes(scene, NULL);
    world_check(scene->world);
    assert_int_equal(world_events(scene->world, PROPOSED, "bin.tsv"), 2);
    owner_writes(scene, WANTED);
    world_check(scene->world);
    assert_as_wanted(scene);
    assert_int_equal(world_events(scene->world, PROPOSED, "bin.tsv"), 2);
    assert_int_equal(scene->world->fetches, 0);
}

/* In force here, and not as wanted before its owner has taken it over. */
static void test_what_is_to_be_repaired_is_in_force_and_left_to_its_owner(void **state)
{
    struct scene *scene = *state;
    owner_writes(scene, OTHER);
    apply(scene, 1, REPAIR);
    world_assert_document(scene->world, "bin.tsv", WANTED);
    world_check(scene->world); /* rows are compared with the copy that came */
    assert_told(scene, MUSTER__ITEM_STATE__ITEM_PLACING,
                MUSTER__DIFFERENCE_KIND__DIFFERENCE_CONTENT,
                "in force; its owner has not taken it: another content, 38 bytes, 28 wanted; rows: "
                "2 only here, 1 only wanted, from line 3");
    struct arena arena = {0};
    const Muster__ItemReport *item = report_of(scene, &arena);
    assert_true(item->rows_compared);
    assert_int_equal(item->rows_only_found, 2);
    assert_int_equal(item->rows_only_wanted, 1);
    assert_int_equal(item->first_row, 3);
    arena_done(&arena);
    assert_untouched(scene, OTHER);
    owner_writes(scene, WANTED);
    world_check(scene->world);
    assert_as_wanted(scene);
}

static bool is_taken(const struct world *world)
{
    return world_item(world, "bin.tsv") == MUSTER__ITEM_STATE__ITEM_OK;
}

/* No check is asked for: he is given some seconds, and what he does then is seen. */
static void test_an_owner_who_takes_his_time(void **state)
{
    struct scene *scene = *state;
    owner_writes(scene, OTHER);
    apply(scene, 1, REPAIR);
    assert_int_equal(world_item(scene->world, "bin.tsv"), MUSTER__ITEM_STATE__ITEM_PLACING);
    assert_int_equal(world_events(scene->world, DRIFT, NULL), 0);
    owner_writes(scene, WANTED);
    world_wait(scene->world, is_taken);
    assert_as_wanted(scene);
    assert_int_equal(world_events(scene->world, DRIFT, NULL), 0);
}

/* He does not: that is told, once. */
static void test_an_owner_who_does_not_take_it(void **state)
{
    struct scene *scene = *state;
    owner_writes(scene, OTHER);
    apply(scene, 1, REPAIR);
    for (unsigned i = 0; i < 3; i++)
        world_check(scene->world);
    assert_true(is_told(scene->world));
    assert_non_null(strstr(world_last(scene->world, DRIFT)->text, "its owner has not taken it"));
    world_check(scene->world);
    assert_int_equal(world_events(scene->world, DRIFT, "bin.tsv"), 1);
}

/* The hook after the switch hands it over: at the end of the rollout all is as wanted, and was. */
static void test_a_hook_that_hands_it_over(void **state)
{
    struct scene *scene = *state;
    static char hook[96];
    static const char script[] = "#!/bin/sh\n"
                                 "cat \"$1/bin.tsv\" > \"${0%/*}/new\" &&\n"
                                 "mv \"${0%/*}/new\" \"${0%/*}/its.tsv\"\n";
    (void)snprintf(hook, sizeof hook, "%s/after", scene->world->dir);
    assert_true(file_write(hook, bytes_of(script, strlen(script)), 0700, NULL));
    scene->world->settings.probation.after_hook = hook;
    scene->world->settings.hook_limit_ms = 10000;
    scene->world->settings.check_every_ms = 0; /* by what follows the hook alone */
    world_reopen(scene->world);
    owner_writes(scene, OTHER);
    apply(scene, 1, REPAIR);
    assert_as_wanted(scene);
    assert_int_equal(world_events(scene->world, DRIFT, NULL), 0);
}

/* What is held here and nobody else owns is compared as it is held, and asks too. */
static void test_a_held_one_that_is_proposed(void **state)
{
    struct scene *scene = *state;
    struct world_doc doc = {
        .name = "own.tsv", .content = OTHER, .version = 1, .mode = REPAIR, .kind = TABLE};
    world_apply(scene->world, 1, &doc, 1);
    doc.content = WANTED;
    doc.version = 2;
    doc.mode = PROPOSE;
    world_apply(scene->world, 2, &doc, 1);
    struct arena arena = {0};
    const Muster__ItemReport *item = report_of(scene, &arena);
    assert_int_equal(item->state, MUSTER__ITEM_STATE__ITEM_PROPOSED);
    assert_int_equal(item->held_version, 1);
    assert_false(item->owned);
    assert_int_equal(item->found_bytes, strlen(OTHER));
    arena_done(&arena);
    assert_int_equal(world_events(scene->world, PROPOSED, "own.tsv"), 1);
    world_assert_document(scene->world, "own.tsv", OTHER);
    doc.content = OTHER; /* as it is held, until it is damaged */
    doc.version = 1;
    world_apply(scene->world, 3, &doc, 1);
    assert_int_equal(world_item(scene->world, "own.tsv"), MUSTER__ITEM_STATE__ITEM_OK);
    world_damage(scene->world, "current/own.tsv");
    world_check(scene->world);
    item = report_of(scene, &arena);
    assert_int_equal(item->state, MUSTER__ITEM_STATE__ITEM_PROPOSED);
    assert_string_equal(item->reason,
                        "proposed to ops; not written here: the held file is damaged");
    arena_done(&arena);
    assert_int_equal(world_events(scene->world, PROPOSED, "own.tsv"), 2);
    assert_int_equal(world_events(scene->world, MUSTER__EVENT_KIND__EVENT_REPAIR, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_its_file_is_what_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_newer_manifest_is_compared_at_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_not_there_or_no_file_is_said, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_proposed_asks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_what_is_to_be_repaired_is_in_force_and_left_to_its_owner, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_owner_who_takes_his_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_owner_who_does_not_take_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_hook_that_hands_it_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_held_one_that_is_proposed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
