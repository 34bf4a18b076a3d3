/* SPDX-License-Identifier: Apache-2.0 */
/* What was carried for one merchant, for another, and for both. */
#include "storage/fleetdb_places.h"
#include "tests/unit/erase_world.h"
#include "tests/unit/testing.h"

#define SHARED "SH000001"
#define ROWS_OF(device, more)                                                                      \
    "SELECT count(*) FROM device_terminal c JOIN logical_terminal l ON l.id = c.logical_terminal"  \
    " JOIN device d ON d.id = c.device WHERE l.tid = '" SHARED "' AND d.name = '" device "'" more

static void put_down(struct world *world, const char *device)
{
    int64_t row = 0;
    struct err err = {0};
    const struct fleetdb_enrolment enrolment = {
        .id = device, .serial = device, .model = "M1", .who = "uid 0", .why = "taken off"};
    if (!fleetdb_enrol(world->fleet->db, &enrolment, WORLD_WALL_MS + world->now_ms, &row, &err))
        fail_msg("%s", err.text);
}

/* An hour later than what was before; also with the MID of another, as an earlier musterd let it.
 */
static void carry(struct world *world, const char *device, const char *merchant)
{
    static const struct fleetdb_terminal carried[] = {{0, "unionpay", SHARED, "MIDSHARED"}};
    int64_t row = 0;
    struct err err = {0};
    const struct fleetdb_enrolment enrolment = {.id = device,
                                                .serial = device,
                                                .model = "M1",
                                                .merchant_id = merchant,
                                                .store_id = "s-9",
                                                .terminals = carried,
                                                .terminal_count = 1,
                                                .who = "uid 0",
                                                .why = "said so"};
    world->now_ms += 3600000;
    erase_doctor(world, "UPDATE logical_terminal SET merchant = NULL WHERE tid = '" SHARED "'");
    if (!fleetdb_enrol(world->fleet->db, &enrolment, WORLD_WALL_MS + world->now_ms, &row, &err))
        fail_msg("%s", err.text);
    world->now_ms += 3600000;
}

static void erase(struct world *world)
{
    erase_begin(world);
    erase_finish(world);
    erase_nothing_is_left(world);
    erase_sums_are_right(world);
}

static void sell(struct world *world)
{
    erase_send(world, "t2", 1 + ROUNDS * EACH);
    (void)collector_turn(world->collector);
}

#define SOLD                                                                                       \
    "SELECT count(*) FROM result r JOIN device_terminal c ON c.id = r.carried JOIN"                \
    " logical_terminal l ON l.id = c.logical_terminal WHERE r.device = 2 AND l.tid = '" SHARED "'"

/* A slip had the erased one carry it for a while. */
static void what_another_sold_under_it_stays(void **state)
{
    struct world *world = *state;
    struct fleetdb_erasure looked;
    erase_fill(world);
    carry(world, "t2", "other");
    sell(world);
    assert_true(fleetdb_audit(world->fleet->db, 5, "uid 0", "assign", 2,
                              "for " SHARED " of MIDSHARED", NULL));
    put_down(world, "t2");
    carry(world, "t1", "goldfinch");
    assert_true(erase_order(world, true, true, &looked, NULL));
    assert_int_equal(looked.terminals, 1); /* its own alone */
    erase(world);
    assert_int_equal(erase_number(world, SOLD), EACH);
    assert_int_equal(erase_number(world, ROWS_OF("t2", "")), 1);
    assert_int_equal(erase_number(world, ROWS_OF("t1", "")), 0);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM registration_duty WHERE device = 2"),
                     1); /* that it was taken from t2 */
    assert_int_equal(erase_number(world, "SELECT count(*) FROM registration_duty WHERE device = 1"),
                     0);
    assert_int_equal(
        erase_number(world, "SELECT count(*) FROM audit WHERE text LIKE '%for " SHARED " of%'"), 1);
}

/* A device moved and was told to carry the same there: that is one row. */
static void what_moved_with_its_device_stays_the_next_ones(void **state)
{
    struct world *world = *state;
    erase_fill(world);
    carry(world, "t2", "goldfinch");
    carry(world, "t2", "other");
    sell(world);
    erase(world);
    assert_int_equal(erase_number(world, SOLD), EACH);
    assert_int_equal(erase_number(world, ROWS_OF("t2", " AND c.to_ms IS NULL")), 1);
}

static void what_moved_to_it_is_carried_no_more(void **state)
{
    struct world *world = *state;
    erase_fill(world);
    carry(world, "t2", "other");
    sell(world);
    carry(world, "t2", "goldfinch");
    erase(world);
    assert_int_equal(erase_number(world, SOLD), EACH);
    assert_int_equal(erase_number(world, ROWS_OF("t2", "")), 1);
    assert_int_equal(erase_number(world, ROWS_OF("t2", " AND c.to_ms IS NULL")), 0);
}

/* The first of two goes, then the other. */
static void with_the_last_who_carried_it_it_goes(void **state)
{
    struct world *world = *state;
    const struct fleetdb_erase_order order = {.merchant = "other", .who = "uid 0", .force = true};
    struct fleetdb_erasure erasure;
    erase_fill(world);
    carry(world, "t2", "other");
    sell(world);
    put_down(world, "t2");
    carry(world, "t1", "goldfinch");
    erase(world);
    assert_true(fleetdb_erase_begin(world->fleet->db, &order, WORLD_WALL_MS + world->now_ms,
                                    &erasure, NULL));
    assert_int_equal(erasure.terminals, 1);
    erase_finish(world);
    assert_int_equal(erase_found(world, SHARED), 0);
    assert_int_equal(erase_found(world, "MIDSHARED"), 0);
}

/* Before somebody said whose it is. */
static void where_devices_wait_is_nobodys(void **state)
{
    struct world *world = *state;
    erase_fill(world);
    carry(world, "t2", FLEETDB_NOWHERE);
    put_down(world, "t2");
    carry(world, "t1", "goldfinch");
    assert_true(fleetdb_audit(world->fleet->db, 5, "uid 0", "assign", 2, "for " SHARED, NULL));
    erase(world);
    assert_int_equal(erase_found(world, SHARED), 0);
    assert_int_equal(erase_found(world, "MIDSHARED"), 0);
}

/* As others' are: it says nothing without its merchant's. */
static void the_code_of_a_store_is_no_word(void **state)
{
    struct world *world = *state;
    const struct fleetdb_change change = {.who = "uid 0", .why = "", .now_ms = 5};
    struct fleetdb_store store = {.merchant = "goldfinch", .store = "Lane"};
    int64_t row = 0;
    erase_fill(world);
    assert_true(fleetdb_store_put(world->fleet->db, &store, &change, &row, NULL));
    store.store = "a";
    assert_true(fleetdb_store_put(world->fleet->db, &store, &change, &row, NULL));
    store.store_name = "Arcade";
    assert_true(fleetdb_store_put(world->fleet->db, &store, &change, &row, NULL));
    erase_doctor(world, "INSERT INTO audit (at_ms, who, what, text) VALUES"
                        " (1, 'uid 0', 'state', 'went to a workshop'),"
                        " (1, 'uid 0', 'label', 'set lane=2'),"
                        " (1, 'uid 0', 'state', 'from goldfinch/a'),"
                        " (1, 'uid 0', 'state', 'from the arcade');"
                        "INSERT INTO device_group (name, selector, changed_ms, who)"
                        " VALUES ('tills', 'lane=a|b', 1, 'uid 0')");
    erase(world);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM audit WHERE text IN"
                                         " ('went to a workshop', 'set lane=2')"),
                     2);
    assert_int_equal(erase_found(world, "from goldfinch/a"), 0);
    assert_int_equal(erase_found(world, "from the arcade"), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(what_another_sold_under_it_stays),
        TEST(what_moved_with_its_device_stays_the_next_ones),
        TEST(what_moved_to_it_is_carried_no_more),
        TEST(with_the_last_who_carried_it_it_goes),
        TEST(where_devices_wait_is_nobodys),
        TEST(the_code_of_a_store_is_no_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
