/* SPDX-License-Identifier: Apache-2.0 */
/* What errors, rates and top say beside the counts. */
#include "fleet/api_fleet.h"
#include "storage/fleetdb_places.h"

#include "tests/unit/collector_world.h"
#include "tests/unit/testing.h"

#include <sqlite3.h>
#include <string.h>
#include <time.h>

static const int64_t hour_ms = INT64_C(3600) * 1000;
static const char house_zone[] = "Africa/Lagos"; /* always an hour before UTC */

static void send_result(struct world *world, uint64_t number, const char *code, int64_t wall_ms)
{
    Muster__TxnResult txn = MUSTER__TXN_RESULT__INIT;
    txn.wall_ms = wall_ms;
    txn.currency = 156;
    txn.code = (char *)(uintptr_t)code;
    txn.outcome = strcmp(code, "00") == 0 ? MUSTER__OUTCOME__OUTCOME_APPROVED
                                          : MUSTER__OUTCOME__OUTCOME_DECLINED;
    ProtobufCMessage *rows[] = {&txn.base};
    const struct lane_rows lane = {.lane = MUSTER__LANE__LANE_TXN,
                                   .incarnation = number,
                                   .first_seq = 1,
                                   .count = 1,
                                   .rows = rows};
    struct buf batch = world_seal_lanes(world, "t1", &lane, 1);
    world_deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&batch));
    buf_done(&batch);
    (void)collector_turn(world->collector);
}

/* The caller decrefs. */
static json_t *ask_of(struct world *world, struct fleetdb_scope scope, const char *path,
                      const struct api_query *query, size_t count, unsigned status)
{
    const struct api_caller caller = {.name = "uid 0", .scope = scope};
    struct api_fleet fleet = {.db = world->fleet->db,
                              .clock = &clock_real,
                              .question_limit_ms = 60000,
                              .zone = house_zone};
    struct api_module module = api_fleet_module(&fleet);
    const struct api api = {&module, 1};
    struct api_request request = {.method = "GET",
                                  .path = path,
                                  .query = query,
                                  .query_count = count,
                                  .now_ms = WORLD_WALL_MS + hour_ms,
                                  .caller = &caller};
    struct api_answer answer;
    unsigned ignored = 0;
    void *ctx = NULL;
    const struct api_route *route = api_route_find(&api, &request, &ctx, &ignored);
    assert_non_null(route);
    api_run(route, ctx, &request, &answer);
    while (answer.work.step != NULL)
        api_continue(&request, &answer);
    if (answer.status != status)
        fail_msg("%u: %s", answer.status, json_dumps(answer.json, JSON_COMPACT));
    json_t *json = json_incref(answer.json);
    api_answer_done(&answer);
    return json;
}

static json_t *ask(struct world *world, const char *path, const struct api_query *query,
                   size_t count)
{
    return ask_of(world, (struct fleetdb_scope){0}, path, query, count, 200);
}

static int64_t number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static void write_rows(struct world *world, const char *sql)
{
    sqlite3 *db = NULL;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/fleet.db", world->fleet->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(db);
}

/* A sale in the 20th second of a minute, known to 25 s; the question ends in that minute's first
 * millisecond, and is answered for all of it. */
static void unsure_is_what_may_not_be_of_the_time_that_counts(void **state)
{
    struct world *world = *state;
    const int64_t minute_ms = WORLD_WALL_MS / 60000 * 60000;
    char from[24], to[24];
    (void)snprintf(from, sizeof from, "%lld", (long long)minute_ms);
    (void)snprintf(to, sizeof to, "%lld", (long long)minute_ms + 1);
    const struct api_query query[] = {{"by", "code"}, {"from_ms", "1"}, {"to_ms", to}};
    const struct api_query later[] = {{"by", "code"}, {"from_ms", from}, {"to_ms", to}};
    send_result(world, 1, "57", minute_ms + 20000);
    write_rows(world, "UPDATE result SET bound_ms = 25000");
    json_t *reply = ask(world, "/api/v1/errors", query, 3);
    assert_int_equal(number(reply, "to_ms"), minute_ms + 60000);
    assert_int_equal(number(reply, "total"), 1);
    assert_int_equal(number(reply, "unsure"), 0);
    json_decref(reply);
    reply = ask(world, "/api/v1/errors", later, 3); /* it may be of the minute before */
    assert_int_equal(number(reply, "unsure"), 1);
    json_decref(reply);
}

/* Musterd's clock is an hour on; what was sold then is of it. */
static void without_a_beginning_it_is_the_last_hour(void **state)
{
    struct world *world = *state;
    const int64_t now_minute_ms = (WORLD_WALL_MS + hour_ms) / 60000 * 60000;
    const struct api_query query[] = {{"by", "code"}, {"to_ms", "7200000"}};
    const struct api_query both[] = {{"by", "code"}, {"since_ms", "1"}, {"from_ms", "1"}};
    send_result(world, 1, "57", WORLD_WALL_MS + 1000);
    send_result(world, 2, "57", WORLD_WALL_MS - 60000);
    json_t *reply = ask(world, "/api/v1/errors", query, 1);
    assert_int_equal(number(reply, "from_ms"), now_minute_ms - hour_ms);
    assert_int_equal(number(reply, "to_ms"), now_minute_ms + 60000);
    assert_int_equal(number(reply, "total"), 1);
    json_decref(reply);
    reply = ask(world, "/api/v1/errors", query, 2); /* or the hour before its end */
    assert_int_equal(number(reply, "from_ms"), hour_ms);
    assert_int_equal(number(reply, "to_ms"), 2 * hour_ms);
    json_decref(reply);
    json_decref(ask_of(world, (struct fleetdb_scope){0}, "/api/v1/errors", both, 3, 400));
}

static const json_t *only_row(const json_t *reply)
{
    const json_t *rows = json_object_get(reply, "rows");
    assert_int_equal(json_array_size(rows), 1);
    return json_array_get(rows, 0);
}

/* Of what was chosen it has a share, and of what was not. */
static void the_rest_is_told_by_every_dimension(void **state)
{
    static const char *const dims[] = {
        "outcome",  "type", "currency",   "acquirer", "scheme", "entry",    "issuer", "model",
        "firmware", "app",  "generation", "device",   "store",  "merchant", "region", "tid"};
    struct world *world = *state;
    for (uint64_t i = 1; i <= 5; i++)
        send_result(world, i, i <= 2 ? "57" : "51", WORLD_WALL_MS - hour_ms);
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        const struct api_query query[] = {{"by", dims[i]}, {"from_ms", "1"}, {"code", "57"}};
        json_t *reply = ask(world, "/api/v1/errors", query, 3);
        const json_t *rest = json_object_get(only_row(reply), "rest");
        if (!json_is_object(rest))
            fail_msg("by %s: no rest", dims[i]);
        assert_int_equal(number(only_row(reply), "count"), 2);
        assert_int_equal(number(rest, "errors"), 3);
        assert_int_equal(number(rest, "results"), 3);
        json_decref(reply);
        reply = ask(world, "/api/v1/errors", query, 2); /* of all there is no rest */
        assert_true(json_is_null(json_object_get(only_row(reply), "rest")));
        json_decref(reply);
    }
}

/* ---- a week ago ---- */

static int64_t utc(const char *text)
{
    struct tm calendar = {0};
    assert_ptr_equal(strptime(text, "%Y-%m-%d %H:%M", &calendar), text + strlen(text));
    return (int64_t)timegm(&calendar) * 1000;
}

static void put_store(struct world *world, const char *merchant, const char *code,
                      const char *region, const char *zone)
{
    const struct fleetdb_store store = {
        .merchant = merchant, .store = code, .region = region, .time_zone = zone};
    const struct fleetdb_change change = {.who = "test", .why = "", .now_ms = WORLD_WALL_MS};
    int64_t row = 0;
    assert_true(fleetdb_store_put(world->fleet->db, &store, &change, &row, NULL));
}

/* Of the window that begins and ends then, with one choice: "" is no answer of a week ago. */
static void assert_week_ago(struct world *world, struct fleetdb_scope scope, const char *from,
                            const char *to, struct api_query choice, const char *zone,
                            const char *before_from, const char *before_to)
{
    char numbers[2][24];
    (void)snprintf(numbers[0], sizeof numbers[0], "%lld", (long long)utc(from));
    (void)snprintf(numbers[1], sizeof numbers[1], "%lld", (long long)utc(to));
    const struct api_query query[] = {
        {"by", "code"}, {"from_ms", numbers[0]}, {"to_ms", numbers[1]}, choice};
    json_t *reply = ask_of(world, scope, "/api/v1/rates", query, choice.name != NULL ? 4 : 3, 200);
    const json_t *ago = json_object_get(reply, "week_ago");
    if (zone[0] == '\0') {
        assert_true(json_is_null(ago));
    } else {
        assert_string_equal(json_string_value(json_object_get(ago, "zone")), zone);
        assert_int_equal(number(ago, "from_ms"), utc(before_from));
        assert_int_equal(number(ago, "to_ms"), utc(before_to));
    }
    json_decref(reply);
}

static void a_week_ago_it_was_the_same_hour_there(void **state)
{
    static const struct {
        const char *from, *to, *before_from, *before_to;
    } rows[] = {
        /* From nine to ten in the week after each change, and long after it. */
        {"2026-04-01 07:00", "2026-04-01 08:00", "2026-03-25 08:00", "2026-03-25 09:00"},
        {"2026-10-28 08:00", "2026-10-28 09:00", "2026-10-21 07:00", "2026-10-21 08:00"},
        {"2026-06-24 07:00", "2026-06-24 08:00", "2026-06-17 07:00", "2026-06-17 08:00"},
        /* The days of the changes, of 23 hours and of 25. */
        {"2026-03-28 23:00", "2026-03-29 22:00", "2026-03-21 23:00", "2026-03-22 23:00"},
        {"2026-10-24 22:00", "2026-10-25 23:00", "2026-10-17 22:00", "2026-10-18 22:00"},
        /* Whole weeks: they do not overlap. */
        {"2026-03-26 10:00", "2026-04-02 10:00", "2026-03-19 10:00", "2026-03-26 10:00"},
        {"2026-10-22 10:00", "2026-10-29 10:00", "2026-10-15 10:00", "2026-10-22 09:00"},
    };
    struct world *world = *state;
    const struct fleetdb_scope whole = {0};
    put_store(world, "n", "s", "north", "Europe/Berlin");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_week_ago(world, whole, rows[i].from, rows[i].to, (struct api_query){"store", "n/s"},
                        "Europe/Berlin", rows[i].before_from, rows[i].before_to);
    /* The last 7 days, as they are asked for: a moment longer. */
    assert_week_ago(world, whole, "2026-06-17 10:00", "2026-06-24 10:01",
                    (struct api_query){"store", "n/s"}, "Europe/Berlin", "2026-06-10 10:00",
                    "2026-06-17 10:00");
    assert_week_ago(world, whole, "2026-06-17 10:00", "2026-06-24 10:02",
                    (struct api_query){"store", "n/s"}, "", NULL, NULL);
    /* The hour that there was not. */
    assert_week_ago(world, whole, "2026-04-05 00:00", "2026-04-05 01:00",
                    (struct api_query){"store", "n/s"}, "", NULL, NULL);
    assert_week_ago(world, whole, "2026-04-01 00:00", "2026-04-09 00:00",
                    (struct api_query){"store", "n/s"}, "", NULL, NULL);
}

static void what_was_sold_then_is_beside_it(void **state)
{
    struct world *world = *state;
    char from[24], to[24];
    (void)snprintf(from, sizeof from, "%lld", (long long)utc("2026-04-01 07:00"));
    (void)snprintf(to, sizeof to, "%lld", (long long)utc("2026-04-01 08:00"));
    const struct api_query query[] = {
        {"by", "code"}, {"from_ms", from}, {"to_ms", to}, {"store", "m/s"}};
    put_store(world, "m", "s", "south", "Europe/Berlin");
    send_result(world, 1, "57", utc("2026-04-01 07:30"));
    for (uint64_t i = 2; i <= 3; i++)
        send_result(world, i, "57", utc("2026-03-25 08:30")); /* half past nine */
    for (uint64_t i = 4; i <= 8; i++)
        send_result(world, i, "57", utc("2026-03-25 07:30"));
    json_t *reply = ask(world, "/api/v1/errors", query, 4);
    const json_t *row = only_row(reply);
    assert_int_equal(number(row, "count"), 1);
    assert_int_equal(number(json_object_get(row, "before"), "results"), 2);
    json_decref(reply);
}

static void whose_clock_it_is(void **state)
{
    static const char from[] = "2026-04-01 07:00", to[] = "2026-04-01 08:00";
    static const char there[] = "2026-03-25 08:00", then[] = "2026-03-25 09:00";
    static const char house_from[] = "2026-03-25 07:00", house_to[] = "2026-03-25 08:00";
    static const struct api_query choices[] = {{"store", "n/s"},
                                               {"merchant", "n"},
                                               {"region", "north"},
                                               {"device", "t1"},
                                               {"devices", "device=t1"}};
    static const struct api_query none = {NULL, NULL};
    struct world *world = *state;
    const struct fleetdb_scope whole = {0};
    world_move_t1(world, WORLD_WALL_MS);
    const struct fleetdb_scope part = world_scope(world);
    /* The region was made by its name alone: nobody has said a zone. */
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
        assert_week_ago(world, whole, from, to, choices[i], house_zone, house_from, house_to);
    put_store(world, "n", "s", "north", "Europe/Berlin");
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
        assert_week_ago(world, whole, from, to, choices[i], "Europe/Berlin", there, then);
    assert_week_ago(world, part, from, to, none, "Europe/Berlin", there, then);
    /* Of all the fleet it is the house's, unless somebody says whose; and so it is of two. */
    assert_week_ago(world, whole, from, to, none, house_zone, house_from, house_to);
    assert_week_ago(world, whole, from, to, (struct api_query){"zone", "Europe/Berlin"},
                    "Europe/Berlin", there, then);
    /* A store without devices is none of them, whether it has a zone or not. */
    put_store(world, "n", "s2", "north", "Asia/Shanghai");
    put_store(world, "n", "s3", "", "");
    for (size_t i = 1; i < 3; i++)
        assert_week_ago(world, whole, from, to, choices[i], "Europe/Berlin", there, then);
    assert_week_ago(world, part, from, to, none, "Europe/Berlin", there, then);
    assert_week_ago(world, whole, from, to, (struct api_query){"store", "n/s2"}, "Asia/Shanghai",
                    house_from, house_to);
    write_rows(world, "UPDATE device SET store = (SELECT id FROM store WHERE code = 's2')"
                      " WHERE name = 't2'");
    for (size_t i = 1; i < 3; i++)
        assert_week_ago(world, whole, from, to, choices[i], house_zone, house_from, house_to);
    assert_week_ago(world, part, from, to, none, house_zone, house_from, house_to);
    assert_week_ago(world, whole, from, to, choices[0], "Europe/Berlin", there, then);
    /* Of a device that stands elsewhere a part is not told where. */
    put_store(world, "m2", "far", "south", "Europe/Berlin");
    write_rows(world, "UPDATE device SET store = (SELECT id FROM store WHERE code = 'far')"
                      " WHERE name = 't1'");
    assert_week_ago(world, part, from, to, choices[3], house_zone, house_from, house_to);
    const struct api_query wrong[] = {{"by", "code"}, {"from_ms", "1"}, {"zone", "UTC+8"}};
    json_t *reply = ask_of(world, whole, "/api/v1/rates", wrong, 3, 400);
    json_decref(reply);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(unsure_is_what_may_not_be_of_the_time_that_counts),
        TEST(without_a_beginning_it_is_the_last_hour),
        TEST(the_rest_is_told_by_every_dimension),
        TEST(a_week_ago_it_was_the_same_hour_there),
        TEST(what_was_sold_then_is_beside_it),
        TEST(whose_clock_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
