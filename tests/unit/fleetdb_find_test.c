/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_find.h"

#include "tests/unit/collector_world.h"
#include "tests/unit/testing.h"
#include "tests/world/rng.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS, RESULTS = 80, ROUNDS = 400, ALL = 500 };
/* Results lie in so many hours before now; in the middle t1 moves to another merchant's store. */
static const int64_t span_ms = 30 * (int64_t)HOUR_MS;
static const int64_t moved_ms = WORLD_WALL_MS - 15 * (int64_t)HOUR_MS;

struct find_world {
    struct world *world;
    sqlite3 *db;
    struct rng rng;
    struct fleetdb_scope scope; /* the second merchant's part */
};

static const char *const rrns[] = {"632714000001", "632714000002", "", "X"};
static const char *const auths[] = {"", "123456", "654321"};
static const char *const codes[] = {"00", "57", "51"};

static void send_random(struct find_world *find, const char *device, uint64_t incarnation)
{
    Muster__TxnResult txns[RESULTS];
    ProtobufCMessage *rows[RESULTS];
    for (size_t i = 0; i < RESULTS; i++) {
        Muster__TxnResult *txn = &txns[i];
        muster__txn_result__init(txn);
        txn->wall_ms = WORLD_WALL_MS - (int64_t)rng_below(&find->rng, (uint64_t)span_ms);
        txn->rrn = (char *)(uintptr_t)rrns[rng_below(&find->rng, 4)];
        txn->auth_code = (char *)(uintptr_t)auths[rng_below(&find->rng, 3)];
        txn->code = (char *)(uintptr_t)codes[rng_below(&find->rng, 3)];
        txn->outcome = (Muster__Outcome)(1 + rng_below(&find->rng, 2));
        txn->currency = rng_below(&find->rng, 2) == 0 ? 156 : 840;
        txn->amount_minor = 100 * rng_below(&find->rng, 3);
        txn->stan = (uint32_t)rng_below(&find->rng, 4);
        txn->terminal = (uint32_t)rng_below(&find->rng, 2);
        rows[i] = &txn->base;
    }
    const struct lane_rows lane = {.lane = MUSTER__LANE__LANE_TXN,
                                   .incarnation = incarnation,
                                   .first_seq = 1,
                                   .count = RESULTS,
                                   .rows = rows};
    struct buf batch = world_seal_lanes(find->world, device, &lane, 1);
    world_deliver(find->world, TOPIC_UP_BATCH, device, buf_bytes(&batch));
    buf_done(&batch);
    (void)collector_turn(find->world->collector);
}

static void open_world(void **state, struct find_world *find)
{
    char path[128];
    *find = (struct find_world){.world = *state, .rng = rng_of(1611)};
    (void)snprintf(path, sizeof path, "%s/fleet.db", find->world->fleet->dir);
    assert_int_equal(sqlite3_open_v2(path, &find->db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    world_move_t1(find->world, moved_ms);
    find->scope = world_scope(find->world);
    for (uint64_t i = 1; i <= 4; i++)
        send_random(find, i % 2 == 0 ? "t1" : "t2", i);
}

static struct fleetdb_wanted nothing(void)
{
    return (struct fleetdb_wanted){.stan = -1,
                                   .amount_minor = -1,
                                   .currency = -1,
                                   .outcome = -1,
                                   .from_ms = WORLD_WALL_MS - span_ms,
                                   .to_ms = WORLD_WALL_MS + 1};
}

/* ---- the same by a plain look at the rows, with SQL of the test's own ---- */

static void say(char where[1024], const char *column, const char *text, int64_t number)
{
    size_t length = strlen(where);
    if (text != NULL)
        (void)snprintf(where + length, 1024 - length, " AND %s = '%s'", column, text);
    else if (number >= 0)
        (void)snprintf(where + length, 1024 - length, " AND %s = %lld", column, (long long)number);
}

static size_t look(struct find_world *find, const struct fleetdb_wanted *wanted, int64_t ids[ALL])
{
    char where[1024] = "";
    sqlite3_stmt *statement = NULL;
    size_t count = 0;
    say(where, "r.rrn", wanted->rrn, -1);
    say(where, "r.auth_code", wanted->auth_code, -1);
    say(where, "r.code", wanted->code, -1);
    say(where, "r.stan", NULL, wanted->stan);
    say(where, "r.amount_minor", NULL, wanted->amount_minor);
    say(where, "r.currency", NULL, wanted->currency);
    say(where, "r.outcome", NULL, wanted->outcome);
    say(where, "(SELECT name FROM device WHERE id = r.device)", wanted->device, -1);
    say(where, "(SELECT serial FROM device WHERE id = r.device)", wanted->serial, -1);
    say(where,
        "(SELECT m.code FROM standing t JOIN merchant m ON m.id = t.merchant WHERE t.id = "
        "r.standing)",
        wanted->scope.token != 0 ? "n" : wanted->merchant, -1);
    say(where,
        "(SELECT l.tid FROM device_terminal c JOIN logical_terminal l ON l.id = c.logical_terminal"
        " WHERE c.id = r.carried)",
        wanted->tid, -1);
    char *sql = sqlite3_mprintf("SELECT r.id FROM result r WHERE r.at_ms BETWEEN %lld AND %lld%s"
                                " ORDER BY r.at_ms DESC, r.id DESC",
                                wanted->from_ms, wanted->to_ms - 1, where);
    if (sqlite3_prepare_v2(find->db, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(find->db));
    while (sqlite3_step(statement) == SQLITE_ROW)
        ids[count++] = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    sqlite3_free(sql);
    return count;
}

/* ---- asking ---- */

struct page {
    size_t count;
    int64_t ids[ALL];
    bool more, by_time;
    struct fleetdb_place_in_time last;
};

static void ask(struct find_world *find, const struct fleetdb_wanted *wanted, size_t limit,
                struct page *page)
{
    struct fleetdb_find *answer = NULL;
    struct err err = {0};
    *page = (struct page){0};
    if (!fleetdb_find_open(find->world->fleet->db, wanted, limit, &answer, &err))
        fail_msg("%s", err.text);
    for (bool done = false; !done;)
        assert_true(fleetdb_find_step(answer, &done, NULL));
    const struct fleetdb_found *list = fleetdb_find_list(answer, &page->count);
    for (size_t i = 0; i < page->count; i++)
        page->ids[i] = list[i].result;
    page->more = fleetdb_find_more(answer);
    page->by_time = fleetdb_find_by_time(answer);
    if (page->count > 0)
        page->last = (struct fleetdb_place_in_time){list[page->count - 1].at_ms,
                                                    list[page->count - 1].result};
    fleetdb_find_close(answer);
}

/* Page after page, what the rows say and nothing twice. */
static void compare(struct find_world *find, struct fleetdb_wanted wanted, size_t limit,
                    size_t ways[2])
{
    int64_t ids[ALL];
    size_t count = look(find, &wanted, ids), at = 0;
    struct page page = {.more = true};
    while (page.more) {
        ask(find, &wanted, limit, &page);
        ways[page.by_time]++;
        assert_true(page.count <= limit && at + page.count <= count);
        for (size_t i = 0; i < page.count; i++)
            assert_int_equal(page.ids[i], ids[at + i]);
        at += page.count;
        wanted.before = page.last;
    }
    assert_int_equal(at, count);
}

static bool coin(struct find_world *find)
{
    return rng_below(&find->rng, 3) == 0;
}

static struct fleetdb_wanted random_question(struct find_world *find)
{
    struct fleetdb_wanted wanted = nothing();
    wanted.rrn = coin(find) ? rrns[rng_below(&find->rng, 4)] : NULL;
    wanted.auth_code = coin(find) ? auths[rng_below(&find->rng, 3)] : NULL;
    wanted.code = coin(find) ? codes[rng_below(&find->rng, 3)] : NULL;
    wanted.stan = coin(find) ? (int64_t)rng_below(&find->rng, 4) : -1;
    wanted.amount_minor = coin(find) ? (int64_t)(100 * rng_below(&find->rng, 3)) : -1;
    wanted.currency = coin(find) ? 156 : -1;
    wanted.outcome = coin(find) ? 2 : -1;
    wanted.device = coin(find) ? "t1" : NULL;
    wanted.serial = coin(find) ? (coin(find) ? "t2" : "t1") : NULL;
    wanted.merchant = coin(find) ? (coin(find) ? "m" : "n") : NULL;
    wanted.store = wanted.merchant != NULL && coin(find) ? "s" : NULL;
    wanted.tid = coin(find) ? (coin(find) ? "T0000001" : "T0000002") : NULL;
    if (wanted.merchant == NULL && coin(find))
        wanted.scope = find->scope;
    wanted.from_ms += (int64_t)rng_below(&find->rng, (uint64_t)span_ms - 1);
    if (coin(find))
        wanted.to_ms = wanted.from_ms + 1 + (int64_t)rng_below(&find->rng, 2 * (uint64_t)HOUR_MS);
    return wanted;
}

static void whatever_is_asked_the_rows_say_it(void **state)
{
    struct find_world find;
    size_t ways[2] = {0};
    open_world(state, &find);
    for (size_t round = 0; round < ROUNDS; round++)
        compare(&find, random_question(&find), round % 2 == 0 ? 3 : ALL - 1, ways);
    assert_true(ways[0] > 50 && ways[1] > 50);
    (void)sqlite3_close(find.db);
}

/* A sale is found under the terminal and the shop of its moment, and under no later ones. */
static void a_sale_stays_where_it_was_made(void **state)
{
    struct find_world find;
    struct page first, second;
    open_world(state, &find);
    struct fleetdb_wanted wanted = nothing();
    wanted.tid = "T0000001";
    ask(&find, &wanted, ALL - 1, &first);
    assert_true(first.count > 0);
    wanted.from_ms = moved_ms;
    ask(&find, &wanted, ALL - 1, &second);
    assert_int_equal(second.count, 0);
    wanted.tid = "T0000002";
    wanted.merchant = "n";
    ask(&find, &wanted, ALL - 1, &second);
    assert_true(second.count > 0);
    (void)sqlite3_close(find.db);
}

/* Empty years cost one look each way, not one for each slice of time. */
static void nothing_is_looked_through_where_nothing_was(void **state)
{
    struct find_world find;
    struct fleetdb_find *answer = NULL;
    size_t steps = 0;
    open_world(state, &find);
    struct fleetdb_wanted wanted = nothing();
    wanted.rrn = "no such";
    wanted.from_ms = 0;
    wanted.to_ms = WORLD_WALL_MS + INT64_C(3650) * 24 * HOUR_MS;
    assert_true(fleetdb_find_open(find.world->fleet->db, &wanted, 10, &answer, NULL));
    for (bool done = false; !done; steps++)
        assert_true(fleetdb_find_step(answer, &done, NULL));
    assert_true(steps <= (size_t)(span_ms / (5 * MINUTE_MS)) + 2);
    assert_int_equal(fleetdb_find_looked_ms(answer), 0);
    fleetdb_find_close(answer);
    (void)sqlite3_close(find.db);
}

static void what_no_device_has_is_known_at_once(void **state)
{
    struct find_world find;
    struct fleetdb_find *answer = NULL;
    size_t count = 1;
    bool known = false, done = false;
    open_world(state, &find);
    struct fleetdb_wanted wanted = nothing();
    wanted.tid = "T0000009";
    assert_true(fleetdb_find_open(find.world->fleet->db, &wanted, 10, &answer, NULL));
    (void)fleetdb_find_devices(answer, &count, &known);
    assert_true(known && count == 0);
    assert_true(fleetdb_find_step(answer, &done, NULL) && done);
    fleetdb_find_close(answer);
    (void)sqlite3_close(find.db);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(whatever_is_asked_the_rows_say_it),
        TEST(a_sale_stays_where_it_was_made),
        TEST(nothing_is_looked_through_where_nothing_was),
        TEST(what_no_device_has_is_known_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
