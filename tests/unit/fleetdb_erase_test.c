/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_erase.h"

#include "storage/fleetdb_feed.h"
#include "storage/fleetdb_keeping.h"
#include "storage/fleetdb_labels.h"
#include "storage/fleetdb_rollups.h"
#include "storage/fleetdb_room.h"
#include "storage/fleetdb_tokens.h"
#include "tests/unit/collector_world.h"
#include "tests/unit/testing.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_CHARS = 160, EACH = 60, ROUNDS = 20 };

/* Everything that names it, or was its. */
static const char *const traces[] = {"goldfinch", "Goldfinch",      "金翅", "7 Finch Lane",
                                     "GF000001",  "MIDGOLD0000001", "RGF",  "gf-1"};

static void path_of(const struct world *world, const char *end, char path[PATH_CHARS])
{
    (void)snprintf(path, PATH_CHARS, "%s/fleet.db%s", world->fleet->dir, end);
}

static sqlite3 *open_beside(struct world *world)
{
    char path[PATH_CHARS];
    sqlite3 *db = NULL;
    path_of(world, "", path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    return db;
}

static int64_t number(struct world *world, const char *sql)
{
    sqlite3 *db = open_beside(world);
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return value;
}

static void doctor(struct world *world, const char *sql)
{
    sqlite3 *db = open_beside(world);
    char *why = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
    (void)sqlite3_close(db);
}

static void sums_are_right(struct world *world)
{
    char text[120] = "";
    uint64_t wrong = 0;
    assert_true(fleetdb_rollups_check(world->fleet->db, &wrong, text, sizeof text, NULL));
    if (wrong != 0)
        fail_msg("%s", text);
}

/* ---- a merchant with a past ---- */

static void enrol(struct world *world, const char *merchant, const char *store)
{
    static const struct fleetdb_terminal carried[] = {
        {0, "unionpay", "GF000001", "MIDGOLD0000001"}};
    int64_t device = 0;
    struct err err = {0};
    const bool its = strcmp(merchant, "goldfinch") == 0;
    const struct fleetdb_enrolment enrolment = {
        .id = "t1",
        .serial = "t1",
        .model = "M1",
        .merchant_id = merchant,
        .merchant_name = its ? "Goldfinch Trading 金翅" : "Other",
        .store_id = store,
        .store_name = its ? "Goldfinch Plaza" : "Elsewhere",
        .address = its ? "7 Finch Lane" : "",
        .terminals = carried,
        .terminal_count = its,
        .who = "uid 0",
        .why = its ? "opened at 7 Finch Lane" : "moved from goldfinch/gf-1",
    };
    if (!fleetdb_enrol(world->fleet->db, &enrolment, WORLD_WALL_MS + world->now_ms, &device, &err))
        fail_msg("%s", err.text);
}

static void send(struct world *world, const char *device, uint64_t first)
{
    Muster__TxnResult txns[EACH];
    ProtobufCMessage *rows[EACH];
    char rrns[EACH][13];
    for (size_t i = 0; i < EACH; i++) {
        muster__txn_result__init(&txns[i]);
        (void)snprintf(rrns[i], sizeof rrns[i], "%s%07u", strcmp(device, "t1") == 0 ? "RGF" : "ROT",
                       (unsigned)(first + i));
        txns[i].wall_ms = WORLD_WALL_MS + world->now_ms;
        txns[i].outcome = MUSTER__OUTCOME__OUTCOME_DECLINED;
        txns[i].code = (char *)"57";
        txns[i].rrn = rrns[i];
        txns[i].amount_minor = 100 + i;
        rows[i] = &txns[i].base;
    }
    const struct lane_rows lane = {.lane = MUSTER__LANE__LANE_TXN,
                                   .incarnation = 5,
                                   .first_seq = first,
                                   .count = EACH,
                                   .rows = rows};
    struct buf batch = world_seal_lanes(world, device, &lane, 1);
    world_deliver(world, TOPIC_UP_BATCH, device, buf_bytes(&batch));
    buf_done(&batch);
}

/* Rows of both are side by side in every page. */
static void send_rounds(struct world *world)
{
    for (uint64_t round = 0; round < ROUNDS; round++) {
        send(world, "t1", 1 + round * EACH);
        send(world, "t2", 1 + round * EACH);
        (void)collector_turn(world->collector);
        world->now_ms += 600000;
    }
}

static void add_token(struct world *world)
{
    static const char *const places[] = {"goldfinch"};
    static const uint8_t sha256[32] = {7};
    const struct fleetdb_token_order order = {.name = "goldfinch-desk",
                                              .sha256 = sha256,
                                              .scope = FLEETDB_SCOPE_MERCHANT,
                                              .places = places,
                                              .place_count = 1};
    assert_true(fleetdb_token_add(world->fleet->db, &order, "uid 0", 5, NULL));
}

static void fill(struct world *world)
{
    enrol(world, "goldfinch", "gf-1");
    world->now_ms += 3600000;
    add_token(world);
    send_rounds(world);
    world_send_event(world, 1, MUSTER__EVENT_KIND__EVENT_DRIFT, NULL,
                     WORLD_WALL_MS + world->now_ms);
    (void)collector_turn(world->collector);
    assert_true(fleetdb_audit(world->fleet->db, 5, "token goldfinch-desk", "assign", 0,
                              "bin-table for Goldfinch Plaza", NULL));
    world->now_ms += 3600000;
}

static bool order(struct world *world, bool force, bool dry_run, struct fleetdb_erasure *erasure,
                  struct err *err)
{
    const struct fleetdb_erase_order what = {
        .merchant = "goldfinch", .who = "uid 0", .force = force, .dry_run = dry_run};
    return fleetdb_erase_begin(world->fleet->db, &what, WORLD_WALL_MS + world->now_ms, erasure,
                               err);
}

static void begin(struct world *world)
{
    struct fleetdb_erasure erasure;
    struct err err = {0};
    if (!order(world, true, false, &erasure, &err))
        fail_msg("%s", err.text);
    assert_true(erasure.erasure > 0);
}

static void finish(struct world *world)
{
    struct err err = {0};
    for (int steps = 0; fleetdb_erasing(world->fleet->db); steps++) {
        assert_true(steps < 10000);
        if (!fleetdb_erase_step(world->fleet->db, 50, WORLD_WALL_MS + world->now_ms, &err))
            fail_msg("%s", err.text);
    }
}

/* In the file or in its WAL. */
static unsigned found(struct world *world, const char *trace)
{
    static const char *const ends[] = {"", "-wal"};
    unsigned count = 0;
    for (size_t i = 0; i < 2; i++) {
        char path[PATH_CHARS];
        path_of(world, ends[i], path);
        FILE *file = fopen(path, "rb");
        if (file == NULL)
            continue;
        assert_int_equal(fseek(file, 0, SEEK_END), 0);
        size_t length = (size_t)ftell(file);
        char *bytes = malloc(length + 1);
        rewind(file);
        assert_int_equal(fread(bytes, 1, length, file), length);
        (void)fclose(file);
        const char *at = bytes;
        while ((at = memmem(at, length - (size_t)(at - bytes), trace, strlen(trace))) != NULL) {
            count++;
            at++;
        }
        free(bytes);
    }
    return count;
}

static void nothing_is_left(struct world *world)
{
    for (size_t i = 0; i < sizeof traces / sizeof *traces; i++)
        if (found(world, traces[i]) > 0)
            fail_msg("%s is still in the file", traces[i]);
}

/* ---- may it begin? ---- */

static void a_look_changes_nothing(void **state)
{
    struct world *world = *state;
    struct fleetdb_erasure erasure;
    fill(world);
    const int64_t audits = number(world, "SELECT count(*) FROM audit");
    assert_true(order(world, true, true, &erasure, NULL));
    assert_int_equal(erasure.erasure, 0);
    assert_int_equal(erasure.stores, 1);
    assert_int_equal(erasure.devices, 1);
    assert_int_equal(erasure.terminals, 1);
    assert_int_equal(erasure.tokens, 1);
    assert_false(fleetdb_erasing(world->fleet->db));
    assert_int_equal(number(world, "SELECT count(*) FROM merchant WHERE code = 'goldfinch'"), 1);
    assert_int_equal(number(world, "SELECT count(*) FROM erased_word"), 0);
    assert_int_equal(number(world, "SELECT count(*) FROM audit"), audits);
}

static void who_stands_there_is_asked_for_first(void **state)
{
    struct world *world = *state;
    struct fleetdb_erasure erasure;
    struct err err = {0};
    fill(world);
    assert_false(order(world, false, false, &erasure, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.text, "t1"));
    assert_false(order(world, false, true, &erasure, &err));
    doctor(world, "UPDATE device SET life_cycle = 'retired' WHERE name = 't1'");
    assert_true(order(world, false, true, &erasure, &err));
}

static void what_chooses_by_it_is_removed_first(void **state)
{
    struct world *world = *state;
    struct fleetdb_erasure erasure;
    struct err err = {0};
    fill(world);
    doctor(world, "INSERT INTO device_group (name, selector, changed_ms, who)"
                  " VALUES ('finches', 'merchant=goldfinch', 1, 'uid 0')");
    assert_false(order(world, true, false, &erasure, &err));
    assert_non_null(strstr(err.text, "group finches"));
    doctor(world,
           "DELETE FROM device_group; INSERT INTO webhook (name, url, secret, kinds, made_ms,"
           " made_by, after) VALUES ('desk', 'https://goldfinch.example/', x'00', 0, 1, '',"
           " 0)");
    assert_false(order(world, true, false, &erasure, &err));
    assert_non_null(strstr(err.text, "webhook desk"));
}

static void one_at_a_time(void **state)
{
    struct world *world = *state;
    struct fleetdb_erasure erasure;
    struct err err = {0};
    const struct fleetdb_erase_order nobody = {.merchant = "nobody", .who = "uid 0"};
    fill(world);
    assert_false(fleetdb_erase_begin(world->fleet->db, &nobody, 1, &erasure, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    begin(world);
    assert_false(fleetdb_erase_begin(world->fleet->db, &nobody, 1, &erasure, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    finish(world);
}

/* ---- what is left ---- */

static void is_erased(struct world *world)
{
    nothing_is_left(world);
    assert_int_equal(number(world, "SELECT count(*) FROM result WHERE device = 1"), 0);
    assert_int_equal(number(world, "SELECT count(*) FROM result"), ROUNDS * EACH);
    assert_int_equal(number(world, "SELECT sum(results) FROM rollup_code_hour"), ROUNDS * EACH);
    assert_int_equal(number(world, "SELECT count(*) FROM event"), 0);
    assert_int_equal(number(world, "SELECT count(*) FROM merchant"), 1);
    assert_int_equal(number(world, "SELECT count(*) FROM logical_terminal"), 0);
    assert_int_equal(number(world, "SELECT count(*) FROM token_place"), 0);
    assert_int_equal(number(world, "SELECT count(*) FROM token WHERE revoked_ms = 0"), 0);
    assert_int_equal(number(world, "SELECT count(*) FROM erased_word"), 0);
    assert_int_equal(number(world, "SELECT count(*) FROM erased_standing"), 0);
    assert_int_equal(number(world, "SELECT results FROM erasure WHERE done_ms > 0"), ROUNDS * EACH);
    assert_int_equal(number(world, "SELECT count(*) FROM audit WHERE what = 'merchant erase'"), 2);
    assert_int_equal(number(world, "SELECT count(*) FROM device WHERE name = 't1'"
                                   " AND store IS NULL AND life_cycle = 'spare'"),
                     1);
    sums_are_right(world);
    const struct fleetdb_account account = world_account(world);
    assert_int_equal(account.unaccounted, 0);
    assert_int_equal(account.committed, ROUNDS * EACH + 1);
}

static void its_bytes_are_gone(void **state)
{
    struct world *world = *state;
    fill(world);
    for (size_t i = 0; i < sizeof traces / sizeof *traces; i++)
        if (found(world, traces[i]) == 0)
            fail_msg("%s is not there to begin with", traces[i]);
    begin(world);
    finish(world);
    is_erased(world);
}

/* As after a kill, between any two steps. */
static void a_restart_goes_on_where_it_stopped(void **state)
{
    struct world *world = *state;
    char path[PATH_CHARS];
    path_of(world, "", path);
    fill(world);
    begin(world);
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
    fill(world);
    begin(world);
    enrol(world, "goldfinch", "gf-1"); /* another of that name */
    finish(world);
    assert_int_equal(number(world, "SELECT count(*) FROM merchant WHERE code = 'goldfinch'"), 1);
    assert_int_equal(number(world, "SELECT count(*) FROM device d JOIN store s ON s.id = d.store"
                                   " WHERE d.name = 't1' AND s.code = 'gf-1'"),
                     1);
    assert_int_equal(number(world, "SELECT count(*) FROM device_terminal WHERE to_ms IS NULL"), 1);
}

/* What it sold elsewhere stays. */
static void only_what_was_sold_there_goes(void **state)
{
    struct world *world = *state;
    fill(world);
    world->now_ms += 3600000;
    enrol(world, "other", "o-1");
    world->now_ms += 3600000;
    send(world, "t1", 1 + ROUNDS * EACH);
    (void)collector_turn(world->collector);
    struct fleetdb_erasure erasure;
    assert_true(order(world, false, false, &erasure, NULL));
    assert_int_equal(erasure.devices, 0);
    finish(world);
    assert_int_equal(number(world, "SELECT count(*) FROM result WHERE device = 1"), EACH);
    assert_int_equal(found(world, "goldfinch"), 0);
    assert_int_equal(found(world, "7 Finch Lane"), 0);
    sums_are_right(world);
}

/* Its terminal held them back. */
static void what_comes_late_is_nobodys(void **state)
{
    struct world *world = *state;
    fill(world);
    begin(world);
    finish(world);
    const int64_t now_ms = world->now_ms;
    world->now_ms = 7200000; /* sold while it stood there */
    send(world, "t1", 1 + ROUNDS * EACH);
    (void)collector_turn(world->collector);
    world->now_ms = now_ms;
    send(world, "t1", 1); /* again: it has been told all that it held */
    (void)collector_turn(world->collector);
    assert_int_equal(number(world, "SELECT count(*) FROM result WHERE device = 1"), EACH);
    assert_int_equal(number(world, "SELECT count(*) FROM result r JOIN standing t"
                                   " ON t.id = r.standing WHERE r.device = 1"
                                   " AND t.merchant IS NULL AND t.store IS NULL"),
                     EACH);
    assert_int_equal(number(world, "SELECT count(*) FROM result WHERE carried <> 0"), 0);
    sums_are_right(world);
}

/* They came while the erasure went on. */
static void what_comes_meanwhile_goes_too(void **state)
{
    struct world *world = *state;
    fill(world);
    begin(world);
    assert_true(fleetdb_erase_step(world->fleet->db, 50, WORLD_WALL_MS, NULL));
    const int64_t now_ms = world->now_ms;
    world->now_ms = 7200000;
    send(world, "t1", 1 + ROUNDS * EACH);
    (void)collector_turn(world->collector);
    world->now_ms = now_ms;
    finish(world);
    assert_int_equal(number(world, "SELECT count(*) FROM result WHERE device = 1"), 0);
    nothing_is_left(world);
    sums_are_right(world);
}

static void sums_of_aged_rows_go_by_their_place(void **state)
{
    static const int64_t day_ms = 24 * 3600 * 1000;
    struct world *world = *state;
    int64_t after = 0;
    fill(world);
    world->now_ms += 100 * day_ms;
    for (bool more = true; more;) {
        const struct fleetdb_ageing ageing = {
            .before_ms = WORLD_WALL_MS + world->now_ms - 30 * day_ms, .rows = 500};
        uint64_t removed = 0;
        assert_true(fleetdb_age(world->fleet->db, FLEETDB_KEPT_RESULTS, &ageing, &after, &removed,
                                &more, NULL));
    }
    assert_int_equal(number(world, "SELECT sum(results) FROM rollup_device_hour"),
                     2 * ROUNDS * EACH);
    begin(world);
    finish(world);
    assert_int_equal(number(world, "SELECT sum(results) FROM rollup_device_hour"), ROUNDS * EACH);
    /* These name nobody. */
    assert_int_equal(number(world, "SELECT sum(results) FROM rollup_code_hour"), 2 * ROUNDS * EACH);
    nothing_is_left(world);
    sums_are_right(world);
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
    fill(world);
    send(world, "t1", 1 + ROUNDS * EACH);
    (void)collector_turn(world->collector);
    const int64_t newest = number(world, "SELECT max(id) FROM result");
    begin(world);
    finish(world);
    send(world, "t2", 1 + ROUNDS * EACH);
    (void)collector_turn(world->collector);
    assert_true(number(world, "SELECT max(id) FROM result") <= newest);
    assert_true(fleetdb_feed_each(world->fleet->db, 0, 100000, see, &seen, NULL));
    assert_int_equal(seen.gone, (ROUNDS + 1) * EACH);
    assert_int_equal(seen.left, 0);
}

static void when_it_was_away_from_there_is_forgotten(void **state)
{
    struct world *world = *state;
    fill(world);
    doctor(world, "INSERT INTO absence (device, from_ms, to_ms, evidence, missing_ms)"
                  " SELECT device, from_ms + 1, from_ms + 2, 0, 0 FROM standing");
    begin(world);
    doctor(world, "INSERT INTO absence (device, from_ms, to_ms, evidence, missing_ms)"
                  " SELECT device, from_ms + 1, from_ms + 2, 0, 0 FROM standing"
                  " WHERE device = 1 AND to_ms IS NULL");
    finish(world);
    /* Before it stood there, and after. */
    assert_int_equal(number(world, "SELECT count(*) FROM absence WHERE device = 1"), 2);
    assert_int_equal(number(world, "SELECT count(*) FROM absence WHERE device = 2"), 1);
}

/* ---- what keeps it from its end ---- */

static void a_reader_keeps_it_from_its_end(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    bool waited = false;
    fill(world);
    sqlite3 *reader = open_beside(world);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM merchant", NULL, NULL, NULL),
                     SQLITE_OK);
    begin(world);
    for (int steps = 0; fleetdb_erasing(world->fleet->db) && !waited; steps++) {
        assert_true(steps < 10000);
        waited = !fleetdb_erase_step(world->fleet->db, 500, WORLD_WALL_MS, &err);
    }
    assert_true(waited);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_int_equal(number(world, "SELECT count(*) FROM erasure WHERE done_ms > 0"), 0);
    (void)sqlite3_close(reader);
    finish(world);
    is_erased(world);
}

static void an_old_file_is_to_be_written_anew(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    char path[PATH_CHARS];
    path_of(world, "", path);
    fill(world);
    collector_close(world->collector);
    fleetdb_close(world->fleet->db);
    doctor(world, "PRAGMA journal_mode=DELETE; PRAGMA auto_vacuum=NONE; VACUUM");
    assert_true(fleetdb_open(path, &world->fleet->db, NULL));
    world_start(world);
    begin(world);
    bool waited = false;
    for (int steps = 0; fleetdb_erasing(world->fleet->db) && !waited; steps++) {
        assert_true(steps < 10000);
        waited = !fleetdb_erase_step(world->fleet->db, 500, WORLD_WALL_MS, &err);
    }
    assert_true(waited);
    assert_non_null(strstr(err.text, "musterd --vacuum"));
    assert_true(fleetdb_vacuum(world->fleet->db, NULL));
    finish(world);
    is_erased(world);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(a_look_changes_nothing),
        TEST(who_stands_there_is_asked_for_first),
        TEST(what_chooses_by_it_is_removed_first),
        TEST(one_at_a_time),
        TEST(its_bytes_are_gone),
        TEST(a_restart_goes_on_where_it_stopped),
        TEST(its_names_are_free_at_once),
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
