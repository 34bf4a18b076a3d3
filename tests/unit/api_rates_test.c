/* SPDX-License-Identifier: Apache-2.0 */
/* What errors, rates and top say beside the counts. */
#include "fleet/api_fleet.h"

#include "tests/unit/collector_world.h"
#include "tests/unit/testing.h"

#include <sqlite3.h>
#include <string.h>

static const int64_t hour_ms = INT64_C(3600) * 1000;

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
    struct api_fleet fleet = {
        .db = world->fleet->db, .clock = &clock_real, .question_limit_ms = 60000};
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(unsure_is_what_may_not_be_of_the_time_that_counts),
        TEST(the_rest_is_told_by_every_dimension),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
