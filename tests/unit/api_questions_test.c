/* SPDX-License-Identifier: Apache-2.0 */
/* What a question may take of musterd's time, and what does not count as that. */
#include "fleet/api_fleet.h"

#include "tests/unit/collector_world.h"
#include "tests/unit/testing.h"

#include <string.h>

enum { HOUR_MS = 3600 * 1000, LATER_MS = 600000 };

struct questions {
    struct world *world;
    struct clock clock;
    int64_t now_ms, step_ms; /* each look at the clock takes so long */
    struct api_fleet fleet;
    struct api_module module;
    struct api api;
    struct api_answer answer;
};

static int64_t now(void *ctx)
{
    struct questions *questions = ctx;
    questions->now_ms += questions->step_ms;
    return questions->now_ms;
}

static void send_result(struct questions *questions, int hour)
{
    Muster__TxnResult txn = MUSTER__TXN_RESULT__INIT;
    txn.wall_ms = WORLD_WALL_MS - (int64_t)hour * HOUR_MS;
    txn.stan = 7;
    txn.currency = 156;
    txn.code = (char *)"00";
    txn.outcome = MUSTER__OUTCOME__OUTCOME_APPROVED;
    ProtobufCMessage *rows[] = {&txn.base};
    const struct lane_rows lane = {.lane = MUSTER__LANE__LANE_TXN,
                                   .incarnation = 100 + (uint64_t)hour,
                                   .first_seq = 1,
                                   .count = 1,
                                   .rows = rows};
    struct buf batch = world_seal_lanes(questions->world, "t1", &lane, 1);
    world_deliver(questions->world, TOPIC_UP_BATCH, "t1", buf_bytes(&batch));
    buf_done(&batch);
    (void)collector_turn(questions->world->collector);
}

static void open_questions(void **state, struct questions *questions)
{
    questions->world = *state;
    questions->clock = (struct clock){now, now, questions};
    questions->now_ms = 1000;
    questions->fleet = (struct api_fleet){.zone = "UTC",
                                          .db = questions->world->fleet->db,
                                          .clock = &questions->clock,
                                          .question_limit_ms = 1000};
    questions->module = api_fleet_module(&questions->fleet);
    questions->api = (struct api){&questions->module, 1};
    for (int hour = 0; hour < 30; hour += 10)
        send_result(questions, hour);
}

static void begin(struct questions *questions, const char *path, const struct api_query *query,
                  size_t count)
{
    static const struct api_caller caller = {.name = "uid 0"};
    struct api_request request = {.method = "GET",
                                  .path = path,
                                  .query = query,
                                  .query_count = count,
                                  .now_ms = WORLD_WALL_MS + HOUR_MS,
                                  .caller = &caller};
    unsigned status = 0;
    void *ctx = NULL;
    const struct api_route *route = api_route_find(&questions->api, &request, &ctx, &status);
    assert_non_null(route);
    api_run(route, ctx, &request, &questions->answer);
    assert_non_null(questions->answer.work.step);
}

static void go_on(struct questions *questions)
{
    const struct api_request request = {.method = "GET", .path = "/"};
    while (questions->answer.work.step != NULL)
        api_continue(&request, &questions->answer);
}

static const struct api_query by_issuer[] = {
    {"by", "issuer"}, {"acquirer", "0"}, {"scheme", "0"}, {"from_ms", "1"}};

static void half_an_answer_is_none(void **state)
{
    struct questions questions = {0};
    open_questions(state, &questions);
    begin(&questions, "/api/v1/rates", by_issuer, 4);
    questions.step_ms = 400;
    go_on(&questions);
    assert_int_equal(questions.answer.status, 503);
    const json_t *error = json_object_get(questions.answer.json, "error");
    assert_string_equal(json_string_value(json_object_get(error, "code")), "timeout");
    const char *text = json_string_value(json_object_get(error, "text"));
    assert_non_null(strstr(text, "hours read from rows"));
    api_answer_done(&questions.answer);
}

static void others_turns_do_not_count_for_rates(void **state)
{
    struct questions questions = {0};
    open_questions(state, &questions);
    begin(&questions, "/api/v1/rates", by_issuer, 4);
    questions.now_ms += LATER_MS;
    go_on(&questions);
    assert_int_equal(questions.answer.status, 200);
    assert_int_equal(json_integer_value(json_object_get(questions.answer.json, "took_ms")),
                     LATER_MS);
    api_answer_done(&questions.answer);
}

static void others_turns_do_not_count_for_find(void **state)
{
    static const struct api_query query[] = {{"stan", "7"}, {"from_ms", "1"}};
    struct questions questions = {0};
    open_questions(state, &questions);
    begin(&questions, "/api/v1/find", query, 2);
    questions.now_ms += LATER_MS;
    go_on(&questions);
    assert_int_equal(questions.answer.status, 200);
    assert_true(json_is_true(json_object_get(questions.answer.json, "complete")));
    assert_int_equal(json_array_size(json_object_get(questions.answer.json, "results")), 3);
    api_answer_done(&questions.answer);
}

/* What comes between two turns is of another moment. */
static void a_question_is_about_one_moment(void **state)
{
    struct questions questions = {0};
    const struct api_request request = {.method = "GET", .path = "/"};
    open_questions(state, &questions);
    questions.fleet.question_limit_ms = LATER_MS;
    begin(&questions, "/api/v1/rates", by_issuer, 4);
    questions.step_ms = 25; /* a slice in each turn */
    api_continue(&request, &questions.answer);
    send_result(&questions, 1);
    go_on(&questions);
    assert_int_equal(questions.answer.status, 200);
    assert_int_equal(json_integer_value(json_object_get(questions.answer.json, "total")), 3);
    api_answer_done(&questions.answer);
    questions.step_ms = 0;
    begin(&questions, "/api/v1/rates", by_issuer, 4);
    go_on(&questions);
    assert_int_equal(json_integer_value(json_object_get(questions.answer.json, "total")), 4);
    api_answer_done(&questions.answer);
}

static size_t found(const struct questions *questions)
{
    return json_array_size(json_object_get(questions->answer.json, "results"));
}

static void a_search_is_about_one_moment(void **state)
{
    static const struct api_query query[] = {{"stan", "7"}, {"from_ms", "1"}};
    struct questions questions = {0};
    const struct api_request request = {.method = "GET", .path = "/"};
    open_questions(state, &questions);
    begin(&questions, "/api/v1/find", query, 2);
    questions.step_ms = 25; /* a slice in each turn */
    api_continue(&request, &questions.answer);
    send_result(&questions, 15); /* not looked through yet */
    go_on(&questions);
    assert_int_equal(questions.answer.status, 200);
    assert_true(json_is_true(json_object_get(questions.answer.json, "complete")));
    assert_int_equal(found(&questions), 3);
    api_answer_done(&questions.answer);
    questions.step_ms = 0;
    begin(&questions, "/api/v1/find", query, 2);
    go_on(&questions);
    assert_int_equal(found(&questions), 4);
    api_answer_done(&questions.answer);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(half_an_answer_is_none),
        TEST(a_question_is_about_one_moment),
        TEST(a_search_is_about_one_moment),
        TEST(others_turns_do_not_count_for_rates),
        TEST(others_turns_do_not_count_for_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
