/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_proposals.h"

#include "proto/record.pb-c.h"
#include "storage/fleetdb_views.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OBSERVE, PROPOSE, REPAIR };

/* The module as musterd has it, over a real database and a broker that is not there. */
struct world {
    struct temp_fleet *fleet;
    struct director director;
    struct publisher *publisher;
    struct api_desired desired;
    struct api_module module;
    struct api api;
    int64_t device;
};

static bool not_connected(void *ctx, uint64_t token, const char *topic, struct bytes payload,
                          struct err *err)
{
    (void)ctx, (void)token, (void)topic, (void)payload;
    return err_set(err, ERR_UNAVAILABLE, "no broker");
}

static int open_world(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    void *fleet = NULL;
    assert_non_null(world);
    assert_int_equal(temp_fleet_open(&fleet), 0);
    world->fleet = fleet;
    world->director = (struct director){
        .db = world->fleet->db, .key = world->fleet->director_key, .trust = world->fleet->trust};
    const struct publisher_settings settings = {.director = &world->director,
                                                .sink = {not_connected, world},
                                                .withdraw_after_ms = 1000,
                                                .window = 1};
    assert_true(publisher_open(&settings, &world->publisher, NULL));
    world->desired = (struct api_desired){.db = world->fleet->db,
                                          .trust = world->fleet->trust,
                                          .director = &world->director,
                                          .publisher = world->publisher};
    world->module = api_desired_module(&world->desired);
    world->api = (struct api){.modules = &world->module, .module_count = 1};
    world->device = temp_fleet_device(world->fleet, "term-1");
    (void)temp_fleet_device(world->fleet, "term-2");
    temp_fleet_publish(world->fleet, "bins", 1, "one");
    temp_fleet_publish(world->fleet, "bins", 2, "two");
    *state = world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;
    void *fleet = world->fleet;
    publisher_close(world->publisher);
    free(world);
    return temp_fleet_close(&fleet);
}

static json_t *call(struct world *world, const char *method, const char *path, const char *body,
                    unsigned status)
{
    static const struct api_caller ops = {.name = "uid 0"};
    struct api_request request = {.method = method,
                                  .path = path,
                                  .body = bytes_of(body, strlen(body)),
                                  .now_ms = 7000,
                                  .caller = &ops};
    struct api_answer answer = {0};
    void *ctx = NULL;
    unsigned found = 0;
    const struct api_route *route = api_route_find(&world->api, &request, &ctx, &found);
    assert_non_null(route);
    api_run(route, ctx, &request, &answer);
    json_t *json = json_incref(answer.json);
    unsigned got = answer.status == 0 ? 200 : answer.status;
    if (got != status)
        fail_msg("%s: %u: %s", body, got, json_dumps(json, 0));
    api_answer_done(&answer);
    return json;
}

static void assign(struct world *world, uint64_t version, int mode)
{
    static const char *const ids[] = {"term-1"};
    struct director_outcome outcome;
    const struct director_order order = {.document = "bins", .version = version, .mode = mode};
    assert_true(director_assign(&world->director, &order, ids, 1, 5000, &outcome, NULL));
}

/* As the device would tell: `found` bytes, where `version` is wanted. */
static void tell(struct world *world, uint64_t version, Muster__ItemState state,
                 const char *content)
{
    uint8_t wanted[32], held[32];
    const char *text = version == 1 ? "one" : "two";
    sha256(bytes_of(text, 3), wanted);
    sha256(bytes_of(content, strlen(content)), held);
    const struct fleetdb_item item = {
        .name = "bins",
        .wanted_version = version,
        .wanted_sha256 = bytes_of(wanted, 32),
        .held_sha256 = bytes_of(held, 32),
        .state = (int)state,
        .reason = "proposed",
        .difference = {.kind = (int)MUSTER__DIFFERENCE_KIND__DIFFERENCE_CONTENT,
                       .owned = true,
                       .rows_compared = true,
                       .rows_only_found = 3,
                       .rows_only_wanted = 1,
                       .first_row = 2,
                       .wanted_bytes = 3,
                       .found_bytes = strlen(content)}};
    assert_true(fleetdb_item_write(world->fleet->db, world->device, &item, 6000, NULL));
}

static size_t listed(struct world *world, char seen[32])
{
    json_t *reply = call(world, "GET", "/api/v1/proposals", "", 200);
    const json_t *list = json_object_get(reply, "proposals");
    size_t count = json_array_size(list);
    seen[0] = '\0';
    if (count > 0)
        (void)snprintf(seen, 32, "%s",
                       json_string_value(json_object_get(json_array_get(list, 0), "seen")));
    json_decref(reply);
    return count;
}

static void answer(struct world *world, const char *device, const char *seen, const char *word,
                   unsigned status)
{
    char body[256];
    (void)snprintf(body, sizeof body,
                   "{\"device\":\"%s\",\"document\":\"bins\",\"seen\":\"%s\",\"answer\":\"%s\"}",
                   device, seen, word);
    json_decref(call(world, "POST", "/api/v1/proposals", body, status));
}

static bool keep_mode(void *ctx, const struct fleetdb_item_view *view, struct err *err)
{
    (void)err;
    *(int *)ctx = view->mode;
    return true;
}

static int mode_of(struct world *world)
{
    int mode = -1;
    assert_true(fleetdb_view_items(world->fleet->db, world->device, keep_mode, &mode, NULL));
    return mode;
}

static void last_audit(struct world *world, char text[320])
{
    char path[96];
    sqlite3 *raw = NULL;
    sqlite3_stmt *row = NULL;
    (void)snprintf(path, sizeof path, "%s/fleet.db", world->fleet->dir);
    assert_int_equal(sqlite3_open(path, &raw), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(raw,
                                        "SELECT text FROM audit WHERE what = 'assign'"
                                        " ORDER BY id DESC LIMIT 1",
                                        -1, &row, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    (void)snprintf(text, 320, "%s", (const char *)sqlite3_column_text(row, 0));
    assert_int_equal(sqlite3_finalize(row), SQLITE_OK);
    assert_int_equal(sqlite3_close(raw), SQLITE_OK);
}

static void a_proposal_is_listed_with_its_difference(void **state)
{
    struct world *world = *state;
    char seen[32];
    assign(world, 2, PROPOSE);
    assert_int_equal(listed(world, seen), 0);
    tell(world, 2, MUSTER__ITEM_STATE__ITEM_PROPOSED, "one");
    json_t *reply = call(world, "GET", "/api/v1/proposals", "", 200);
    const json_t *first = json_array_get(json_object_get(reply, "proposals"), 0);
    const json_t *rows = json_object_get(json_object_get(first, "difference"), "rows");
    assert_string_equal(json_string_value(json_object_get(first, "device")), "term-1");
    assert_int_equal(json_integer_value(json_object_get(first, "wanted_version")), 2);
    assert_int_equal(json_integer_value(json_object_get(first, "found_version")), 1);
    assert_int_equal(json_integer_value(json_object_get(rows, "only_found")), 3);
    assert_int_equal(json_integer_value(json_object_get(rows, "first")), 2);
    json_decref(reply);
}

static void what_is_accepted_is_repaired_and_audited(void **state)
{
    struct world *world = *state;
    char seen[32], text[320], expected[400];
    assign(world, 2, PROPOSE);
    tell(world, 2, MUSTER__ITEM_STATE__ITEM_PROPOSED, "old");
    assert_int_equal(listed(world, seen), 1);
    answer(world, "term-1", seen, "accept", 200);
    assert_int_equal(mode_of(world), REPAIR);
    last_audit(world, text);
    (void)snprintf(expected, sizeof expected,
                   "bins version 2 to repair; manifest 2; proposal %s accepted", seen);
    assert_string_equal(text, expected);
    assert_int_equal(listed(world, seen), 0); /* no question any more, whatever it still tells */
    answer(world, "term-1", "0123456789abcdef", "accept", 409);
}

static void what_is_refused_is_observed(void **state)
{
    struct world *world = *state;
    char seen[32], text[320];
    assign(world, 2, PROPOSE);
    tell(world, 2, MUSTER__ITEM_STATE__ITEM_PROPOSED, "old");
    assert_int_equal(listed(world, seen), 1);
    answer(world, "term-1", seen, "refuse", 200);
    assert_int_equal(mode_of(world), OBSERVE);
    last_audit(world, text);
    assert_non_null(strstr(text, "to observe"));
    assert_non_null(strstr(text, "refused"));
}

/* Ops said yes to what they had looked at, and to nothing else. */
static void what_changed_since_is_not_answered(void **state)
{
    struct world *world = *state;
    char before[32], seen[32];
    assign(world, 2, PROPOSE);
    tell(world, 2, MUSTER__ITEM_STATE__ITEM_PROPOSED, "old");
    assert_int_equal(listed(world, before), 1);
    tell(world, 2, MUSTER__ITEM_STATE__ITEM_PROPOSED, "odd"); /* as long as that */
    assert_int_equal(listed(world, seen), 1);
    assert_string_not_equal(seen, before);
    answer(world, "term-1", before, "accept", 409);
    assert_int_equal(mode_of(world), PROPOSE);
    tell(world, 2, MUSTER__ITEM_STATE__ITEM_PROPOSED, "old");
    assert_int_equal(listed(world, seen), 1);
    assert_string_equal(seen, before); /* the same question again */
    tell(world, 2, MUSTER__ITEM_STATE__ITEM_OK, "two");
    answer(world, "term-1", before, "accept", 409);
    assert_int_equal(mode_of(world), PROPOSE);
}

/* Asked about version 1, while 2 is assigned by now: nobody has looked at that. */
static void what_is_assigned_now_is_what_counts(void **state)
{
    struct world *world = *state;
    char seen[32], none[32];
    assign(world, 1, PROPOSE);
    tell(world, 1, MUSTER__ITEM_STATE__ITEM_PROPOSED, "old");
    assert_int_equal(listed(world, seen), 1);
    assign(world, 2, PROPOSE);
    assert_int_equal(listed(world, none), 0);
    answer(world, "term-1", seen, "accept", 409);
    assign(world, 1, OBSERVE);
    assert_int_equal(listed(world, none), 0);
    answer(world, "term-1", seen, "accept", 409);
    assert_int_equal(mode_of(world), OBSERVE);
}

static bool keep_wanted(void *ctx, const struct fleetdb_item_view *view, struct err *err)
{
    (void)err;
    assert_int_equal(view->wanted_sha256.length, 32);
    memcpy(ctx, view->wanted_sha256.data, 32);
    return true;
}

/* Ops looked at version 2 of the epoch before; another content has that version in the new one. */
static void a_new_epoch_answers_nothing(void **state)
{
    static const char *const words[] = {"accept", "refuse"};
    struct world *world = *state;
    char seen[32], text[320];
    uint8_t looked_at[32], assigned[32];
    sha256(bytes_of("two", 3), looked_at);
    assign(world, 2, PROPOSE);
    last_audit(world, text);
    tell(world, 2, MUSTER__ITEM_STATE__ITEM_PROPOSED, "old");
    temp_fleet_change(world->fleet, "UPDATE document SET epoch = 0"); /* as after a new root */
    assert_int_equal(listed(world, seen), 1);
    answer(world, "term-1", seen, "accept", 404); /* and what was looked at is not signed again */
    temp_fleet_publish(world->fleet, "bins", 2, "six");
    for (size_t i = 0; i < 2; i++) {
        char after[320];
        answer(world, "term-1", seen, words[i], 409);
        assert_int_equal(mode_of(world), PROPOSE);
        assert_true(
            fleetdb_view_items(world->fleet->db, world->device, keep_wanted, assigned, NULL));
        assert_memory_equal(assigned, looked_at, 32);
        last_audit(world, after);
        assert_string_equal(after, text);
    }
}

static void what_is_asked_wrongly_is_refused(void **state)
{
    struct world *world = *state;
    char seen[32];
    assign(world, 2, PROPOSE);
    tell(world, 2, MUSTER__ITEM_STATE__ITEM_PROPOSED, "old");
    assert_int_equal(listed(world, seen), 1);
    answer(world, "term-1", seen, "maybe", 400);
    answer(world, "term-2", seen, "accept", 409); /* another's */
    answer(world, "nobody", seen, "accept", 404);
    json_decref(call(world, "POST", "/api/v1/proposals", "{\"device\":\"term-1\"}", 400));
    assert_int_equal(mode_of(world), PROPOSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_proposal_is_listed_with_its_difference, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(what_is_accepted_is_repaired_and_audited, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(what_is_refused_is_observed, open_world, close_world),
        cmocka_unit_test_setup_teardown(what_changed_since_is_not_answered, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(what_is_assigned_now_is_what_counts, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(a_new_epoch_answers_nothing, open_world, close_world),
        cmocka_unit_test_setup_teardown(what_is_asked_wrongly_is_refused, open_world, close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
