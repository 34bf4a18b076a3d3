/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_feed.h"
#include "storage/fleetdb_keeping.h"
#include "storage/fleetdb_places.h"
#include "storage/fleetdb_room.h"
#include "tests/unit/erase_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

/* ---- may it begin? ---- */

static void a_look_changes_nothing(void **state)
{
    struct world *world = *state;
    struct fleetdb_erasure erasure;
    erase_fill(world);
    const int64_t audits = erase_number(world, "SELECT count(*) FROM audit");
    assert_true(erase_order(world, true, true, &erasure, NULL));
    assert_int_equal(erasure.erasure, 0);
    assert_int_equal(erasure.stores, 1);
    assert_int_equal(erasure.devices, 1);
    assert_int_equal(erasure.terminals, 1);
    assert_int_equal(erasure.tokens, 1);
    assert_false(fleetdb_erasing(world->fleet->db));
    assert_int_equal(erase_number(world, "SELECT count(*) FROM merchant WHERE code = 'goldfinch'"),
                     1);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM erased_word"), 0);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM audit"), audits);
}

static void who_stands_there_is_asked_for_first(void **state)
{
    struct world *world = *state;
    struct fleetdb_erasure erasure;
    struct err err = {0};
    erase_fill(world);
    assert_false(erase_order(world, false, false, &erasure, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.text, "t1"));
    assert_false(erase_order(world, false, true, &erasure, &err));
    erase_doctor(world, "UPDATE device SET life_cycle = 'retired' WHERE name = 't1'");
    assert_true(erase_order(world, false, true, &erasure, &err));
}

static void what_chooses_by_it_is_removed_first(void **state)
{
    struct world *world = *state;
    struct fleetdb_erasure erasure;
    struct err err = {0};
    erase_fill(world);
    erase_doctor(world, "INSERT INTO device_group (name, selector, changed_ms, who)"
                        " VALUES ('finches', 'merchant=goldfinch', 1, 'uid 0')");
    assert_false(erase_order(world, true, false, &erasure, &err));
    assert_non_null(strstr(err.text, "group finches"));
    erase_doctor(world,
                 "DELETE FROM device_group; INSERT INTO webhook (name, url, secret, kinds, made_ms,"
                 " made_by, after) VALUES ('desk', 'https://goldfinch.example/', x'00', 0, 1, '',"
                 " 0)");
    assert_false(erase_order(world, true, false, &erasure, &err));
    assert_non_null(strstr(err.text, "webhook desk"));
}

struct told {
    unsigned count;
    char text[512];
};

static bool tell(void *ctx, const char *what, struct err *err)
{
    struct told *told = ctx;
    (void)err;
    told->count++;
    const size_t used = strlen(told->text);
    (void)snprintf(told->text + used, sizeof told->text - used, "%s;", what);
    return true;
}

static void a_look_tells_all_that_is_in_the_way(void **state)
{
    struct world *world = *state;
    struct told told = {0};
    struct fleetdb_erasure looked;
    struct fleetdb_erase_order order = {.merchant = "goldfinch",
                                        .who = "uid 0",
                                        .dry_run = true,
                                        .look_ms = 60000,
                                        .in_the_way = tell,
                                        .ctx = &told};
    erase_fill(world);
    erase_doctor(world, "INSERT INTO device_group (name, selector, changed_ms, who) VALUES"
                        " ('finches', 'merchant=goldfinch', 1, 'uid 0'),"
                        " ('others', 'merchant=m', 1, 'uid 0'),"
                        " ('tills', 'merchant=goldfinch|m', 1, 'uid 0')");
    assert_true(fleetdb_erase_begin(world->fleet->db, &order, 5, &looked, NULL));
    assert_int_equal(looked.results, ROUNDS * EACH);
    assert_int_equal(told.count, 3);
    assert_non_null(strstr(told.text, "1 devices stand with goldfinch"));
    assert_non_null(strstr(told.text, "group finches"));
    assert_non_null(strstr(told.text, "group tills"));
    order.dry_run = false;
    assert_false(fleetdb_erase_begin(world->fleet->db, &order, 5, &looked, NULL));
    assert_int_equal(told.count, 3);
    assert_false(fleetdb_erasing(world->fleet->db));
}

static void where_devices_wait_is_no_merchant(void **state)
{
    struct world *world = *state;
    struct fleetdb_erasure erasure;
    struct err err = {0};
    const struct fleetdb_erase_order order = {
        .merchant = FLEETDB_NOWHERE, .who = "uid 0", .force = true};
    erase_enrol(world, FLEETDB_NOWHERE, FLEETDB_NOWHERE);
    assert_false(fleetdb_erase_begin(world->fleet->db, &order, 5, &erasure, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_non_null(strstr(err.text, "device move"));
}

static void one_at_a_time(void **state)
{
    struct world *world = *state;
    struct fleetdb_erasure erasure;
    struct err err = {0};
    const struct fleetdb_erase_order nobody = {.merchant = "nobody", .who = "uid 0"};
    erase_fill(world);
    assert_false(fleetdb_erase_begin(world->fleet->db, &nobody, 1, &erasure, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    erase_begin(world);
    assert_false(fleetdb_erase_begin(world->fleet->db, &nobody, 1, &erasure, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    erase_finish(world);
}

/* ---- what is left ---- */

static void is_erased(struct world *world)
{
    erase_nothing_is_left(world);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM result WHERE device = 1"), 0);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM result"), ROUNDS * EACH);
    assert_int_equal(erase_number(world, "SELECT sum(results) FROM rollup_code_hour"),
                     ROUNDS * EACH);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM event"), 0);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM merchant"), 1);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM logical_terminal WHERE tid <> ''"),
                     0);
    assert_int_equal(
        erase_number(world, "SELECT count(*) FROM device_terminal WHERE to_ms IS NULL"), 0);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM token_place"), 0);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM token WHERE revoked_ms = 0"), 0);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM erased_word"), 0);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM erased_standing"), 0);
    assert_int_equal(erase_number(world, "SELECT results FROM erasure WHERE done_ms > 0"),
                     ROUNDS * EACH);
    assert_int_equal(
        erase_number(world, "SELECT count(*) FROM audit WHERE what = 'merchant erase'"), 2);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM device WHERE name = 't1'"
                                         " AND store IS NULL AND life_cycle = 'spare'"),
                     1);
    erase_sums_are_right(world);
    const struct fleetdb_account account = world_account(world);
    assert_int_equal(account.unaccounted, 0);
    assert_int_equal(account.committed, ROUNDS * EACH + 1);
}

static void its_bytes_are_gone(void **state)
{
    struct world *world = *state;
    erase_fill(world);
    for (size_t i = 0; i < ERASE_TRACES; i++)
        if (erase_found(world, erase_traces[i]) == 0)
            fail_msg("%s is not there to begin with", erase_traces[i]);
    erase_begin(world);
    erase_finish(world);
    is_erased(world);
}

/* As after a kill, between any two steps. */
static void a_restart_goes_on_where_it_stopped(void **state)
{
    struct world *world = *state;
    char path[PATH_CHARS];
    erase_path(world, "", path);
    erase_fill(world);
    erase_begin(world);
    collector_close(world->collector);
    for (int steps = 0; fleetdb_erasing(world->fleet->db); steps++) {
        assert_true(steps < 1000);
        assert_true(fleetdb_erase_step(world->fleet->db, 300, WORLD_WALL_MS, NULL));
        fleetdb_close(world->fleet->db);
        assert_true(fleetdb_open(path, &world->fleet->db, NULL));
    }
    world_start(world);
    is_erased(world);
}

static void its_names_are_free_at_once(void **state)
{
    struct world *world = *state;
    erase_fill(world);
    erase_begin(world);
    erase_enrol(world, "goldfinch", "gf-1"); /* another of that name */
    erase_finish(world);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM merchant WHERE code = 'goldfinch'"),
                     1);
    assert_int_equal(erase_number(world,
                                  "SELECT count(*) FROM device d JOIN store s ON s.id = d.store"
                                  " WHERE d.name = 't1' AND s.code = 'gf-1'"),
                     1);
    assert_int_equal(
        erase_number(world, "SELECT count(*) FROM device_terminal WHERE to_ms IS NULL"), 1);
}

static void what_it_carried_is_free_at_once(void **state)
{
    struct world *world = *state;
    static const struct fleetdb_terminal same = {1, "unionpay", "GF000001", "MIDGOLD0000001"};
    const struct fleetdb_enrolment enrolment = {.id = "t9",
                                                .serial = "t9",
                                                .model = "M1",
                                                .merchant_id = "starling",
                                                .store_id = "st-1",
                                                .terminals = &same,
                                                .terminal_count = 1};
    int64_t device = 0;
    struct err err = {0};
    erase_fill(world);
    assert_false(fleetdb_enrol(world->fleet->db, &enrolment, WORLD_WALL_MS, &device, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    erase_begin(world);
    assert_true(fleetdb_enrol(world->fleet->db, &enrolment, WORLD_WALL_MS, &device, &err));
    erase_finish(world);
    assert_int_equal(
        erase_number(world,
                     "SELECT count(*) FROM device_terminal t JOIN device d ON d.id = t.device"
                     " WHERE t.to_ms IS NULL AND d.name = 't9'"),
        1);
}

/* What it sold elsewhere stays. */
static void only_what_was_sold_there_goes(void **state)
{
    struct world *world = *state;
    erase_fill(world);
    world->now_ms += 3600000;
    erase_enrol(world, "other", "o-1");
    world->now_ms += 3600000;
    erase_send(world, "t1", 1 + ROUNDS * EACH);
    (void)collector_turn(world->collector);
    struct fleetdb_erasure erasure;
    assert_true(erase_order(world, false, false, &erasure, NULL));
    assert_int_equal(erasure.devices, 0);
    erase_finish(world);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM result WHERE device = 1"), EACH);
    assert_int_equal(erase_found(world, "goldfinch"), 0);
    assert_int_equal(erase_found(world, "7 Finch Lane"), 0);
    erase_sums_are_right(world);
}

/* Its terminal held them back. */
static void what_comes_late_is_nobodys(void **state)
{
    struct world *world = *state;
    erase_fill(world);
    erase_begin(world);
    erase_finish(world);
    const int64_t now_ms = world->now_ms;
    world->now_ms = 7200000; /* sold while it stood there */
    erase_send(world, "t1", 1 + ROUNDS * EACH);
    (void)collector_turn(world->collector);
    world->now_ms = now_ms;
    erase_send(world, "t1", 1); /* again: it has been told all that it held */
    (void)collector_turn(world->collector);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM result WHERE device = 1"), EACH);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM result r JOIN standing t"
                                         " ON t.id = r.standing WHERE r.device = 1"
                                         " AND t.merchant IS NULL AND t.store IS NULL"),
                     EACH);
    assert_int_equal(erase_number(world, ERASE_NAMES_A_TID), 0);
    erase_sums_are_right(world);
}

/* They came while the erasure went on. */
static void what_comes_meanwhile_goes_too(void **state)
{
    struct world *world = *state;
    erase_fill(world);
    erase_begin(world);
    assert_true(fleetdb_erase_step(world->fleet->db, 50, WORLD_WALL_MS, NULL));
    const int64_t now_ms = world->now_ms;
    world->now_ms = 7200000;
    erase_send(world, "t1", 1 + ROUNDS * EACH);
    (void)collector_turn(world->collector);
    world->now_ms = now_ms;
    erase_finish(world);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM result WHERE device = 1"), 0);
    erase_nothing_is_left(world);
    erase_sums_are_right(world);
}

static void sums_of_aged_rows_go_by_their_place(void **state)
{
    static const int64_t day_ms = 24 * 3600 * 1000;
    struct world *world = *state;
    int64_t after = 0;
    erase_fill(world);
    world->now_ms += 100 * day_ms;
    for (bool more = true; more;) {
        const struct fleetdb_ageing ageing = {
            .before_ms = WORLD_WALL_MS + world->now_ms - 30 * day_ms, .rows = 500};
        uint64_t removed = 0;
        assert_true(fleetdb_age(world->fleet->db, FLEETDB_KEPT_RESULTS, &ageing, &after, &removed,
                                &more, NULL));
    }
    assert_int_equal(erase_number(world, "SELECT sum(results) FROM rollup_device_hour"),
                     2 * ROUNDS * EACH);
    erase_begin(world);
    erase_finish(world);
    assert_int_equal(erase_number(world, "SELECT sum(results) FROM rollup_device_hour"),
                     ROUNDS * EACH);
    /* These name nobody. */
    assert_int_equal(erase_number(world, "SELECT sum(results) FROM rollup_code_hour"),
                     2 * ROUNDS * EACH);
    erase_nothing_is_left(world);
    erase_sums_are_right(world);
}

struct seen {
    unsigned gone, left;
};

static bool see(void *ctx, const struct fleetdb_feed_row *row, struct err *err)
{
    struct seen *seen = ctx;
    (void)err;
    if (row->kind == FLEETDB_FEED_RESULT && row->device == 1)
        *(row->gone ? &seen->gone : &seen->left) += 1;
    return true;
}

/* The numbers of its newest results are given again. */
static void the_feed_tells_nothing_else_under_its_rows(void **state)
{
    struct world *world = *state;
    struct seen seen = {0};
    erase_fill(world);
    erase_send(world, "t1", 1 + ROUNDS * EACH);
    (void)collector_turn(world->collector);
    const int64_t newest = erase_number(world, "SELECT max(id) FROM result");
    erase_begin(world);
    erase_finish(world);
    erase_send(world, "t2", 1 + ROUNDS * EACH);
    (void)collector_turn(world->collector);
    assert_true(erase_number(world, "SELECT max(id) FROM result") <= newest);
    assert_true(fleetdb_feed_each(world->fleet->db, 0, 100000, see, &seen, NULL));
    assert_int_equal(seen.gone, (ROUNDS + 1) * EACH);
    assert_int_equal(seen.left, 0);
}

static void when_it_was_away_from_there_is_forgotten(void **state)
{
    struct world *world = *state;
    erase_fill(world);
    erase_doctor(world, "INSERT INTO absence (device, from_ms, to_ms, evidence, missing_ms)"
                        " SELECT device, from_ms + 1, from_ms + 2, 0, 0 FROM standing");
    erase_begin(world);
    erase_doctor(world, "INSERT INTO absence (device, from_ms, to_ms, evidence, missing_ms)"
                        " SELECT device, from_ms + 1, from_ms + 2, 0, 0 FROM standing"
                        " WHERE device = 1 AND to_ms IS NULL");
    erase_finish(world);
    /* Before it stood there, and after. */
    assert_int_equal(erase_number(world, "SELECT count(*) FROM absence WHERE device = 1"), 2);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM absence WHERE device = 2"), 1);
}

/* ---- what keeps it from its end ---- */

static void a_reader_keeps_it_from_its_end(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    bool waited = false;
    erase_fill(world);
    sqlite3 *reader = temp_fleet_beside(world->fleet);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM merchant", NULL, NULL, NULL),
                     SQLITE_OK);
    erase_begin(world);
    for (int steps = 0; fleetdb_erasing(world->fleet->db) && !waited; steps++) {
        assert_true(steps < 10000);
        waited = !fleetdb_erase_step(world->fleet->db, 500, WORLD_WALL_MS, &err);
    }
    assert_true(waited);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM erasure WHERE done_ms > 0"), 0);
    (void)sqlite3_close(reader);
    erase_finish(world);
    is_erased(world);
}

static void an_old_file_is_to_be_written_anew(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    char path[PATH_CHARS];
    erase_path(world, "", path);
    erase_fill(world);
    collector_close(world->collector);
    fleetdb_close(world->fleet->db);
    erase_doctor(world, "PRAGMA journal_mode=DELETE; PRAGMA auto_vacuum=NONE; VACUUM");
    assert_true(fleetdb_open(path, &world->fleet->db, NULL));
    world_start(world);
    erase_begin(world);
    bool waited = false;
    for (int steps = 0; fleetdb_erasing(world->fleet->db) && !waited; steps++) {
        assert_true(steps < 10000);
        waited = !fleetdb_erase_step(world->fleet->db, 500, WORLD_WALL_MS, &err);
    }
    assert_true(waited);
    assert_non_null(strstr(err.text, "musterd --vacuum"));
    assert_true(fleetdb_vacuum(world->fleet->db, NULL));
    erase_finish(world);
    is_erased(world);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(a_look_changes_nothing),
        TEST(who_stands_there_is_asked_for_first),
        TEST(what_chooses_by_it_is_removed_first),
        TEST(a_look_tells_all_that_is_in_the_way),
        TEST(where_devices_wait_is_no_merchant),
        TEST(one_at_a_time),
        TEST(its_bytes_are_gone),
        TEST(a_restart_goes_on_where_it_stopped),
        TEST(its_names_are_free_at_once),
        TEST(what_it_carried_is_free_at_once),
        TEST(only_what_was_sold_there_goes),
        TEST(what_comes_late_is_nobodys),
        TEST(what_comes_meanwhile_goes_too),
        TEST(sums_of_aged_rows_go_by_their_place),
        TEST(the_feed_tells_nothing_else_under_its_rows),
        TEST(when_it_was_away_from_there_is_forgotten),
        TEST(a_reader_keeps_it_from_its_end),
        TEST(an_old_file_is_to_be_written_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
