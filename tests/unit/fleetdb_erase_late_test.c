/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_places.h"
#include "storage/fleetdb_tokens.h"
#include "tests/unit/erase_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

static void elsewhere(struct world *world)
{
    static const struct fleetdb_terminal carried[] = {{0, "unionpay", "OT000001", "MIDOTHER"}};
    int64_t device = 0;
    struct err err = {0};
    const struct fleetdb_enrolment enrolment = {.id = "t1",
                                                .serial = "t1",
                                                .model = "M1",
                                                .merchant_id = "other",
                                                .store_id = "o-1",
                                                .terminals = carried,
                                                .terminal_count = 1,
                                                .who = "uid 0",
                                                .why = "moved"};
    if (!fleetdb_enrol(world->fleet->db, &enrolment, WORLD_WALL_MS + world->now_ms, &device, &err))
        fail_msg("%s", err.text);
}

/* What it carries for another is not what it always carried. */
static void what_comes_late_is_not_the_next_ones(void **state)
{
    struct world *world = *state;
    erase_fill(world);
    elsewhere(world);
    erase_begin(world);
    erase_finish(world);
    const int64_t now_ms = world->now_ms;
    world->now_ms = 7200000; /* sold while it stood there */
    erase_send(world, "t1", 1 + ROUNDS * EACH);
    (void)collector_turn(world->collector);
    world->now_ms = now_ms;
    assert_int_equal(erase_number(world, "SELECT count(*) FROM result WHERE device = 1"), EACH);
    assert_int_equal(erase_number(world, ERASE_NAMES_A_TID), 0);
    erase_sums_are_right(world);
}

/* Sold as a spare, while the rows of the terminals were still there. */
static void no_row_of_a_terminal_is_given_again(void **state)
{
    struct world *world = *state;
    erase_fill(world);
    erase_begin(world);
    world->now_ms += 3600000;
    erase_send(world, "t1", 1 + ROUNDS * EACH);
    (void)collector_turn(world->collector);
    erase_finish(world);
    world->now_ms += 3600000;
    elsewhere(world);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM result WHERE device = 1"), EACH);
    assert_int_equal(erase_number(world, ERASE_NAMES_A_TID), 0);
    assert_int_equal(erase_number(world,
                                  "SELECT count(*) FROM device_terminal c JOIN logical_terminal l"
                                  " ON l.id = c.logical_terminal WHERE l.tid = 'OT000001'"),
                     1);
}

static void nothing_stands_anew_with_what_is_erased(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    int64_t store = 0;
    const struct fleetdb_change change = {.who = "uid 0", .why = "", .now_ms = 5};
    char code[32];
    const struct fleetdb_store there = {.merchant = code, .store = "s1"},
                               beside = {.merchant = "other", .store = "erased-7"};
    static const uint8_t sha256[32] = {8};
    const struct fleetdb_token_order token = {.name = "erased-9", .sha256 = sha256};
    erase_fill(world);
    erase_begin(world);
    (void)snprintf(code, sizeof code, "erased-%lld",
                   (long long)erase_number(world, "SELECT id FROM merchant WHERE name = ''"));
    assert_false(fleetdb_store_put(world->fleet->db, &there, &change, &store, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.text, "is being erased"));
    assert_false(fleetdb_store_put(world->fleet->db, &beside, &change, &store, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_false(fleetdb_token_add(world->fleet->db, &token, "uid 0", 5, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    erase_finish(world);
}

/* As an earlier musterd let it. */
static void who_got_there_meanwhile_leaves_too(void **state)
{
    struct world *world = *state;
    erase_fill(world);
    erase_begin(world);
    erase_doctor(world,
                 "UPDATE device SET store = (SELECT id FROM store WHERE code = 'erased-' || id)"
                 " WHERE name = 't2';"
                 "INSERT INTO standing (device, store, merchant, life, from_ms, to_ms, why, who)"
                 " SELECT d.id, s.id, s.merchant, 'in_service', 7, 8, 'here', 'uid 0'"
                 " FROM device d JOIN store s ON s.id = d.store WHERE d.name = 't2'");
    erase_finish(world);
    erase_nothing_is_left(world);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM device WHERE name = 't2'"
                                         " AND store IS NULL AND life_cycle = 'spare'"),
                     1);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM merchant"), 1);
}

/* The last step is a full one, and takes the newest rows with it. */
static void numbers_given_again_are_looked_at_too(void **state)
{
    struct world *world = *state;
    erase_fill(world);
    erase_send(world, "t1", 1 + ROUNDS * EACH);
    (void)collector_turn(world->collector);
    erase_begin(world);
    const int64_t newest = erase_number(world, "SELECT max(id) FROM result");
    for (bool its = true; its;) {
        assert_true(fleetdb_erase_step(world->fleet->db, EACH, WORLD_WALL_MS, NULL));
        its = erase_number(world, "SELECT after FROM erasure") < newest &&
              erase_number(world, "SELECT step FROM erasure") == FLEETDB_ERASE_RESULTS;
    }
    assert_true(erase_number(world, "SELECT max(id) FROM result") < newest);
    /* What comes from here on is nobody's. */
    assert_true(erase_number(world, "SELECT step FROM erasure") > FLEETDB_ERASE_RESULTS);
    const int64_t now_ms = world->now_ms;
    world->now_ms = 7200000;
    erase_send(world, "t1", 1 + (ROUNDS + 1) * EACH);
    (void)collector_turn(world->collector);
    world->now_ms = now_ms;
    erase_finish(world);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM result r JOIN standing t"
                                         " ON t.id = r.standing WHERE r.device = 1"
                                         " AND t.why <> 'erased'"),
                     0);
    erase_sums_are_right(world);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(what_comes_late_is_not_the_next_ones),    TEST(no_row_of_a_terminal_is_given_again),
        TEST(nothing_stands_anew_with_what_is_erased), TEST(who_got_there_meanwhile_leaves_too),
        TEST(numbers_given_again_are_looked_at_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
