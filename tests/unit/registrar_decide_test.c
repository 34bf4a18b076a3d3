/* SPDX-License-Identifier: Apache-2.0 */
/* What a person decides, and what it is about. */
#include "agent/registrar_internal.h"
#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <string.h>

#define AID "aid\tscheme\nA0\t1\n"
#define BIN_1 "prefix\tissuer\n62\tone\n"
#define BIN_2 "prefix\tissuer\n62\tone\n43\ttwo\n"
#define PARAMS_1 "[terminal]\ntid = 1\n"
#define PARAMS_2 "[terminal]\ntid = 2\n"

#define DOC(doc, text, of_version, of_kind)                                                        \
    {                                                                                              \
        .name = doc, .content = text, .version = of_version,                                       \
        .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR,                                                  \
        .kind = MUSTER__DOCUMENT_KIND__DOCUMENT_##of_kind                                          \
    }
#define DOCS(bin, bin_version, params, params_version)                                             \
    {                                                                                              \
        DOC("aid.tsv", AID, 1, TABLE), DOC("bin.tsv", bin, bin_version, TABLE),                    \
            DOC("params", params, params_version, PARAMS)                                          \
    }

#define APPLY MUSTER__EVENT_KIND__EVENT_APPLY
enum { ALL = 3, PATIENCE_MS = 43200 };
static const struct world_doc first[ALL] = DOCS(BIN_1, 1, PARAMS_1, 1);
static const struct world_doc new_table[ALL] = DOCS(BIN_2, 2, PARAMS_1, 1);
static const struct world_doc new_both[ALL] = DOCS(BIN_2, 2, PARAMS_2, 2);
static const struct world_doc other_table[ALL] = DOCS(AID, 3, PARAMS_1, 1);

/* The first is in force, and an application is known. */
static struct world *begin(void **state)
{
    struct world *world = *state;
    world_close(world);
    world->settings.gate = (struct registrar_gate){.policy.patience_ms = PATIENCE_MS};
    world_open(world);
    world_apply(world, 1, first, ALL);
    world_assert_document(world, "bin.tsv", BIN_1);
    world->lease.known = true;
    return world;
}

static bool is_new(const struct world *world)
{
    return world->switches == 2;
}

static struct bytes waiting(const struct world *world, uint8_t digest[32])
{
    assert_true(registrar_waiting(world->registrar, digest));
    return bytes_of(digest, 32);
}

/* What was looked at, and nothing that came since. */
static void test_a_decision_is_about_what_was_looked_at(void **state)
{
    struct world *world = begin(state);
    struct err err = {0};
    uint8_t looked_at[32], none[32];
    assert_false(registrar_waiting(world->registrar, none));
    world->lease.transaction = world->lease.batch = true;
    world_apply(world, 2, new_table, ALL);
    const struct bytes table = waiting(world, looked_at);
    assert_true(registrar_decide(world->registrar, &table, "root", &err));
    world_apply(world, 3, new_both, ALL); /* before it was done */
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_false(registrar_decide(world->registrar, &table, "root", &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    const struct bytes nothing = {0};
    assert_false(registrar_decide(world->registrar, &nothing, "root", &err));
    world_check(world);
    world_assert_document(world, "params", PARAMS_1);
    const struct bytes both = waiting(world, looked_at);
    assert_true(registrar_decide(world->registrar, &both, "root", &err));
    world_check(world);
    world_assert_document(world, "params", PARAMS_2);
}

/* What shares a damaged file is built again, and is the same that was looked at. */
static void test_a_decision_outlives_a_check(void **state)
{
    struct world *world = begin(state);
    struct err err = {0};
    uint8_t looked_at[32];
    world->lease.transaction = true;
    world_apply(world, 2, new_table, ALL);
    const struct bytes table = waiting(world, looked_at);
    world_damage(world, "current/aid.tsv");
    world->registrar->check_due = CHECK_ALL;
    assert_true(registrar_decide(world->registrar, &table, "root", &err));
    world_wait(world, is_new);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_2);
    world_assert_document(world, "aid.tsv", AID);
    /* But not what was decided of: the same again is another matter. */
    world_apply(world, 3, first, ALL);
    world_apply(world, 4, new_table, ALL);
    world_assert_document(world, "bin.tsv", BIN_2);
    world_apply(world, 5, other_table, ALL);
    world_assert_document(world, "bin.tsv", BIN_2);
}

static void test_it_asks_and_never_forces(void **state)
{
    struct world *world = begin(state);
    struct err err = {0};
    world->lease.transaction = true;
    world_apply(world, 2, new_table, ALL);
    world->wall_ms += PATIENCE_MS - 1;
    world_check(world);
    assert_int_equal(world_events(world, APPLY, NULL), 1);
    world->wall_ms += 1;
    world_check(world);
    assert_int_equal(world_events(world, APPLY, NULL), 2);
    world->wall_ms += 100 * PATIENCE_MS;
    world_check(world);
    assert_int_equal(world_events(world, APPLY, NULL), 2);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_true(registrar_decide(world->registrar, NULL, "root", &err));
    world_check(world);
    assert_string_equal(world_last(world, APPLY)->text,
                        "manifest 2 is put in force now: root has decided, though it waited for "
                        "the open transaction");
    world_assert_document(world, "bin.tsv", BIN_2);
    /* That was for this one: the next waits its own time. */
    world_apply(world, 3, other_table, ALL);
    world_assert_document(world, "bin.tsv", BIN_2);
    assert_non_null(strstr(world_last(world, APPLY)->text, "waits for the open transaction; "));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_it_asks_and_never_forces),
        TEST(test_a_decision_is_about_what_was_looked_at),
        TEST(test_a_decision_outlives_a_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
