/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_events.h"

#include "fleet/access.h"
#include "fleet/feed_json.h"
#include "storage/fleetdb_presence.h"
#include "storage/fleetdb_records.h"
#include "storage/fleetdb_tokens.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world {
    struct temp_fleet *fleet;
    struct clock clock;
    int64_t now_ms;
    struct api_events events;
    struct api_module module;
    struct api api;
    struct api_caller caller;
};

static int64_t now(void *ctx)
{
    return ((struct world *)ctx)->now_ms;
}

static int open_world(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    void *fleet = NULL;
    assert_non_null(world);
    (void)temp_fleet_open(&fleet);
    world->fleet = fleet;
    world->now_ms = 1000000;
    world->clock = (struct clock){now, now, world};
    world->events = (struct api_events){.db = world->fleet->db, .clock = &world->clock};
    world->module = api_events_module(&world->events);
    world->api = (struct api){&world->module, 1};
    world->caller = (struct api_caller){.name = "uid 0"};
    *state = world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;
    void *fleet = world->fleet;
    (void)temp_fleet_close(&fleet);
    free(world);
    return 0;
}

static struct api_answer follow(struct world *world, const char *last, const char *kinds)
{
    const struct api_query query = {"kinds", kinds};
    struct api_request request = {.method = "GET",
                                  .path = "/api/v1/events",
                                  .query = &query,
                                  .query_count = kinds != NULL,
                                  .caller = &world->caller,
                                  .last_event_id = last};
    struct api_answer answer;
    void *ctx = NULL;
    unsigned status = 0;
    const struct api_route *route = api_route_find(&world->api, &request, &ctx, &status);
    assert_non_null(route);
    api_run(route, ctx, &request, &answer);
    return answer;
}

/* What is said now, in one go; the caller frees. */
static char *hear(struct api_answer *answer, bool stopping, bool *ret_end)
{
    struct buf out = {0};
    struct err err = {0};
    bool end = false;
    assert_non_null(answer->stream.next);
    if (!answer->stream.next(answer->stream.ctx, stopping, &out, &end, &err))
        fail_msg("%s", err.text);
    assert_true(buf_append(&out, "", 1, NULL));
    if (ret_end != NULL)
        *ret_end = end;
    return (char *)out.data;
}

static void says(struct api_answer *answer, const char *wanted)
{
    char *said = hear(answer, false, NULL);
    if (strstr(said, wanted) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", wanted, said);
    free(said);
}

static void says_nothing(struct api_answer *answer)
{
    char *said = hear(answer, false, NULL);
    assert_string_equal(said, "");
    free(said);
}

static void change(struct world *world, int64_t device, const char *text)
{
    assert_true(
        fleetdb_audit(world->fleet->db, world->now_ms, "uid 7", "test", device, text, NULL));
}

static void newest_place(struct world *world, char place[FEED_PLACE_CHARS])
{
    int64_t oldest = 0, newest = 0, at_ms = 0;
    assert_true(fleetdb_feed_range(world->fleet->db, &oldest, &newest, NULL));
    assert_true(fleetdb_feed_when(world->fleet->db, newest, &at_ms, NULL));
    feed_place(newest, at_ms, place);
}

static void what_comes_is_told(void **state)
{
    struct world *world = *state;
    change(world, 0, "before");
    struct api_answer answer = follow(world, NULL, NULL);
    says(&answer, "retry: ");
    says_nothing(&answer);
    change(world, 0, "first");
    change(world, 0, "sec\nond");
    char *said = hear(&answer, false, NULL);
    assert_null(strstr(said, "before"));
    assert_non_null(strstr(said, "event: change\ndata: {\"id\":\""));
    assert_non_null(
        strstr(said, "\"change\":{\"who\":\"uid 7\",\"what\":\"test\",\"text\":\"first\"}}\n\n"));
    assert_non_null(strstr(said, "sec\\nond")); /* a line stays a line */
    free(said);
    says_nothing(&answer);
    api_answer_done(&answer);
}

static void who_comes_back_goes_on(void **state)
{
    struct world *world = *state;
    char place[FEED_PLACE_CHARS];
    change(world, 0, "one");
    newest_place(world, place);
    change(world, 0, "two");
    change(world, 0, "three");
    struct api_answer answer = follow(world, place, NULL);
    says(&answer, "retry: ");
    char *said = hear(&answer, false, NULL);
    assert_null(strstr(said, "\"one\""));
    assert_true(strstr(said, "\"two\"") < strstr(said, "\"three\""));
    free(said);
    says_nothing(&answer);
    api_answer_done(&answer);
}

static void only_a_place_is_a_place(void **state)
{
    static const char *const wrong[] = {
        "", "x", "1", "1-", "-1-1", "1-1x", "9999999999999999999-1"};
    struct world *world = *state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct api_answer answer = follow(world, wrong[i], NULL);
        assert_int_equal(answer.status, 400);
        api_answer_done(&answer);
    }
    struct api_answer answer = follow(world, NULL, "change,colour");
    assert_int_equal(answer.status, 400);
    api_answer_done(&answer);
}

/* A row of that number, but written at another time; or a number that is still to come. */
static void a_place_of_another_history_is_told(void **state)
{
    static const char *const places[] = {"1-5", "99-1000000"};
    struct world *world = *state;
    change(world, 0, "one");
    change(world, 0, "two");
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct api_answer answer = follow(world, places[i], NULL);
        says(&answer, "event: missed\ndata: {\"why\":\"that event is of another history");
        says_nothing(&answer);
        change(world, 0, "three");
        says(&answer, "three");
        api_answer_done(&answer);
    }
}

static void what_is_not_kept_is_told(void **state)
{
    struct world *world = *state;
    char place[FEED_PLACE_CHARS];
    change(world, 0, "long ago");
    newest_place(world, place);
    assert_true(fleetdb_begin(world->fleet->db, NULL));
    for (int i = 0; i < FLEETDB_FEED_ROWS + 600; i++)
        assert_true(
            fleetdb_feed_add(world->fleet->db, FLEETDB_FEED_ONLINE, 0, 0, world->now_ms, NULL));
    assert_true(fleetdb_commit(world->fleet->db, NULL));
    int64_t oldest = 0, newest = 0;
    assert_true(fleetdb_feed_range(world->fleet->db, &oldest, &newest, NULL));
    assert_true(newest - oldest < FLEETDB_FEED_ROWS + 256);
    struct api_answer answer = follow(world, place, NULL);
    says(&answer, "event: missed\ndata: {\"why\":\"what came before is not kept any more\"}");
    char *said = hear(&answer, false, NULL);
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, "id: %lld-", (long long)oldest);
    assert_non_null(strstr(said, wanted));
    free(said);
    api_answer_done(&answer);
}

static void who_reads_too_slowly_is_dropped_with_a_word(void **state)
{
    struct world *world = *state;
    struct api_answer answer = follow(world, NULL, NULL);
    bool end = false;
    says(&answer, "retry: ");
    says_nothing(&answer); /* he was there */
    assert_true(fleetdb_begin(world->fleet->db, NULL));
    for (int i = 0; i < 5001; i++)
        assert_true(
            fleetdb_feed_add(world->fleet->db, FLEETDB_FEED_ONLINE, 0, 0, world->now_ms, NULL));
    assert_true(fleetdb_commit(world->fleet->db, NULL));
    char *said = hear(&answer, false, &end);
    assert_true(end);
    assert_non_null(strstr(said, "event: end\ndata: {\"why\":\"you read too slowly"));
    free(said);
    api_answer_done(&answer);
}

static void a_part_hears_of_its_own(void **state)
{
    struct world *world = *state;
    static const char *const places[] = {"m1"};
    uint8_t digest[32] = {1};
    struct fleetdb_token token;
    const int64_t one = temp_fleet_device_at(world->fleet, "term-1", "m1", "");
    const int64_t two = temp_fleet_device_at(world->fleet, "term-2", "m2", "");
    const struct fleetdb_token_order order = {.name = "part",
                                              .sha256 = digest,
                                              .scope = FLEETDB_SCOPE_MERCHANT,
                                              .places = places,
                                              .place_count = 1};
    assert_true(fleetdb_token_add(world->fleet->db, &order, "uid 0", 1, NULL));
    assert_true(fleetdb_token_find(world->fleet->db, digest, &token, NULL));
    world->caller = (struct api_caller){
        .name = "token part", .token = token.token, .scope = {.token = token.token}};
    struct api_answer answer = follow(world, NULL, NULL);
    says(&answer, "retry: ");
    change(world, two, "of another");
    change(world, 0, "of all");
    says_nothing(&answer);
    change(world, one, "of his own");
    says(&answer, "of his own");
    bool end = false;
    assert_true(fleetdb_token_revoke(world->fleet->db, "part", "uid 0", 1, NULL));
    char *said = hear(&answer, false, &end);
    assert_true(end);
    assert_non_null(strstr(said, "event: end\ndata: {\"why\":\"the token is over\"}"));
    free(said);
    api_answer_done(&answer);
}

static void kinds_are_chosen(void **state)
{
    struct world *world = *state;
    const int64_t device = temp_fleet_device(world->fleet, "term-1");
    struct api_answer answer = follow(world, NULL, "online,offline");
    says(&answer, "retry: ");
    change(world, device, "not asked for");
    assert_true(fleetdb_presence_tell(world->fleet->db, FLEETDB_FEED_ONLINE, device, 77,
                                      FLEETDB_BY_BIRTH, world->now_ms, NULL));
    char *said = hear(&answer, false, NULL);
    assert_non_null(strstr(said, "event: online\ndata: {\"id\":"));
    assert_non_null(strstr(said, "\"device\":\"term-1\",\"online\":{\"since_ms\":77,"
                                 "\"evidence\":\"birth\"}}\n\n"));
    assert_null(strstr(strstr(said, "event: ") + 1, "event: ")); /* told once */
    free(said);
    api_answer_done(&answer);
}

static void silence_is_broken_and_the_end_is_said(void **state)
{
    struct world *world = *state;
    struct api_answer answer = follow(world, NULL, NULL);
    bool end = false;
    says(&answer, "retry: ");
    world->now_ms += 14999;
    says_nothing(&answer);
    world->now_ms += 1;
    says(&answer, ":\n\n");
    says_nothing(&answer);
    char *said = hear(&answer, true, &end);
    assert_true(end);
    assert_non_null(strstr(said, "event: end\ndata: {\"why\":\"musterd stops\"}"));
    free(said);
    api_answer_done(&answer);
}

/* What is rolled back has not happened. */
static void only_what_is_committed_is_told(void **state)
{
    struct world *world = *state;
    struct api_answer answer = follow(world, NULL, NULL);
    says(&answer, "retry: ");
    const int64_t last = fleetdb_feed_last(world->fleet->db);
    assert_true(fleetdb_begin(world->fleet->db, NULL));
    change(world, 0, "never");
    fleetdb_rollback(world->fleet->db);
    assert_true(fleetdb_feed_last(world->fleet->db) > last);
    says_nothing(&answer);
    api_answer_done(&answer);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        TEST(what_comes_is_told),
        TEST(who_comes_back_goes_on),
        TEST(only_a_place_is_a_place),
        TEST(a_place_of_another_history_is_told),
        TEST(what_is_not_kept_is_told),
        TEST(who_reads_too_slowly_is_dropped_with_a_word),
        TEST(a_part_hears_of_its_own),
        TEST(kinds_are_chosen),
        TEST(silence_is_broken_and_the_end_is_said),
        TEST(only_what_is_committed_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
