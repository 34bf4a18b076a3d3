/* SPDX-License-Identifier: Apache-2.0 */
/* What takes long for a large fleet is done in turns, and others are answered in between. */
#include "fleet/api_places.h"

#include "fleet/import_claims.h"
#include "storage/fleetdb_labels.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

enum { DEVICES = 600, LINES = 40, TURN_MS = 25 };

struct turns {
    struct fleetdb *db;
    struct clock clock;
    int64_t now_ms, step_ms; /* each look at the clock takes so long */
    struct api_fleet fleet;
    struct api_module module;
    struct api api;
    struct api_answer answer;
    size_t count; /* of turns */
};

static const struct api_caller caller = {.name = "uid 0", .role = API_ADMIN};

static int64_t now(void *ctx)
{
    struct turns *turns = ctx;
    turns->now_ms += turns->step_ms;
    return turns->now_ms;
}

static void open_turns(void **state, struct turns *turns)
{
    turns->db = ((struct temp_fleet *)*state)->db;
    turns->clock = (struct clock){now, now, turns};
    turns->fleet = (struct api_fleet){.db = turns->db, .clock = &turns->clock, .zone = "UTC"};
    turns->module = api_places_module(&turns->fleet);
    turns->api = (struct api){&turns->module, 1};
}

static void ask(struct turns *turns, const char *method, const char *path, const char *selector,
                json_t *body, struct api_answer *answer)
{
    const struct api_query query = {"selector", selector};
    struct api_request request = {.method = method,
                                  .path = path,
                                  .query = &query,
                                  .query_count = selector != NULL,
                                  .json = body,
                                  .now_ms = 5000,
                                  .caller = &caller};
    unsigned status = 0;
    void *ctx = NULL;
    const struct api_route *route = api_route_find(&turns->api, &request, &ctx, &status);
    assert_non_null(route);
    api_run(route, ctx, &request, answer);
}

static void turn(struct turns *turns, struct api_answer *answer)
{
    const struct api_request request = {.method = "GET", .path = "/"};
    assert_non_null(answer->work.step);
    api_continue(&request, answer);
    turns->count++;
}

static void go_on(struct turns *turns, struct api_answer *answer)
{
    while (answer->work.step != NULL)
        turn(turns, answer);
    if (answer->status != 200)
        fail_msg("%s", json_string_value(
                           json_object_get(json_object_get(answer->json, "error"), "text")));
}

/* ---- many devices ---- */

static void name_device(int number, char name[16])
{
    (void)snprintf(name, 16, "d%05d", number);
}

static void enrol_many(const struct turns *turns)
{
    assert_true(fleetdb_begin(turns->db, NULL));
    for (int i = 0; i < DEVICES; i++) {
        char name[16];
        int64_t device = 0;
        name_device(i, name);
        const struct fleetdb_enrolment enrolment = {.id = name,
                                                    .serial = name,
                                                    .model = "M1",
                                                    .merchant_id = "m",
                                                    .store_id = i % 2 == 0 ? "even" : "odd"};
        assert_true(fleetdb_enrol(turns->db, &enrolment, 1000, &device, NULL));
    }
    assert_true(fleetdb_commit(turns->db, NULL));
}

static int64_t row_of(const struct turns *turns, int number)
{
    char name[16];
    struct fleetdb_device device;
    name_device(number, name);
    assert_true(fleetdb_device_find(turns->db, name, &device, NULL));
    return device.device;
}

static size_t chosen(const struct api_answer *answer)
{
    return json_array_size(json_object_get(answer->json, "devices"));
}

static void a_selection_lets_others_have_their_turns(void **state)
{
    struct turns turns = {.step_ms = TURN_MS};
    struct api_answer other = {0};
    open_turns(state, &turns);
    enrol_many(&turns);
    ask(&turns, "GET", "/api/v1/selections", "store=m/even", NULL, &turns.answer);
    turn(&turns, &turns.answer);
    ask(&turns, "GET", "/api/v1/stores", NULL, NULL, &other);
    assert_int_equal(json_array_size(json_object_get(other.json, "stores")), 2);
    api_answer_done(&other);
    go_on(&turns, &turns.answer);
    assert_true(turns.count > 3);
    assert_int_equal(chosen(&turns.answer), DEVICES / 2);
    const json_t *ids = json_object_get(turns.answer.json, "devices");
    for (size_t i = 0; i < json_array_size(ids); i++) {
        char name[16];
        name_device(2 * (int)i, name);
        assert_string_equal(json_string_value(json_array_get(ids, i)), name);
    }
    api_answer_done(&turns.answer);
}

/* One that takes another's place between two turns is not chosen beside it. */
static void a_selection_is_of_one_moment(void **state)
{
    static const struct fleetdb_label label = {"lane", "express"};
    struct turns turns = {.step_ms = TURN_MS};
    open_turns(state, &turns);
    enrol_many(&turns);
    assert_true(fleetdb_label_put(turns.db, row_of(&turns, 0), &label, NULL));
    ask(&turns, "GET", "/api/v1/selections", "lane=express", NULL, &turns.answer);
    turn(&turns, &turns.answer);
    turn(&turns, &turns.answer); /* past the first */
    assert_true(fleetdb_label_remove(turns.db, row_of(&turns, 0), "lane", NULL));
    assert_true(fleetdb_label_put(turns.db, row_of(&turns, DEVICES - 1), &label, NULL));
    go_on(&turns, &turns.answer);
    assert_int_equal(chosen(&turns.answer), 1);
    api_answer_done(&turns.answer);
}

/* ---- whole lists ---- */

/* The caller decrefs. */
static json_t *list_of(struct turns *turns)
{
    go_on(turns, &turns->answer);
    json_t *reply =
        json_loadb((const char *)turns->answer.text.data, turns->answer.text.length, 0, NULL);
    assert_non_null(reply);
    const json_t *devices = json_object_get(reply, "devices");
    assert_int_equal(json_array_size(devices), DEVICES);
    for (size_t i = 0; i < DEVICES; i++) {
        char name[16];
        name_device((int)i, name);
        assert_string_equal(json_string_value(json_object_get(json_array_get(devices, i), "id")),
                            name);
    }
    assert_true(turns->count > 3);
    assert_string_equal(turns->answer.content_type, "application/json");
    api_answer_done(&turns->answer);
    return reply;
}

static void a_list_lets_others_have_their_turns(void **state)
{
    static const char *const paths[] = {"/api/v1/devices", "/api/v1/audit"};
    struct turns turns = {.step_ms = TURN_MS};
    open_turns(state, &turns);
    enrol_many(&turns);
    turns.module = api_fleet_module(&turns.fleet);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        turns.count = 0;
        ask(&turns, "GET", paths[i], NULL, NULL, &turns.answer);
        turn(&turns, &turns.answer);
        assert_true(fleetdb_begin(turns.db, NULL));
        assert_true(fleetdb_commit(turns.db, NULL));
        json_t *reply = list_of(&turns);
        assert_true(i == 0 || json_is_object(json_object_get(reply, "total")));
        json_decref(reply);
    }
}

/* What is moved while it is read stands where it stood, or it could not be read in again. */
static void an_inventory_is_of_one_moment(void **state)
{
    const struct fleetdb_change change = {.who = "test", .why = "", .now_ms = 2000};
    struct turns turns = {.step_ms = TURN_MS};
    struct fleetdb_device device;
    struct fleetdb_move move = {.keep_terminals = true};
    open_turns(state, &turns);
    enrol_many(&turns);
    ask(&turns, "GET", "/api/v1/inventory", NULL, NULL, &turns.answer);
    turn(&turns, &turns.answer);
    assert_true(fleetdb_device_find(turns.db, "d00599", &device, NULL));
    assert_true(fleetdb_store_find(turns.db, "m", "even", &move.store, NULL));
    assert_true(fleetdb_device_move(turns.db, &device, &move, &change, NULL));
    json_t *reply = list_of(&turns);
    const json_t *last = json_array_get(json_object_get(reply, "devices"), DEVICES - 1);
    assert_string_equal(json_string_value(json_object_get(json_object_get(last, "store"), "id")),
                        "odd");
    json_decref(reply);
}

/* ---- an import ---- */

static json_t *lines(void)
{
    json_t *list = json_array();
    for (int i = 0; i < LINES; i++) {
        char name[16];
        name_device(i, name);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:{s:s}, s:{s:s, s:s}, s:{s:s}}",
                                              "id", name, "serial", name, "model", "M1", "merchant",
                                              "id", "m", "store", "id", "s", "region", "north",
                                              "labels", "lane", "express"));
    }
    return json_pack("{s:o}", "devices", list);
}

static json_t *line_at(json_t *body, size_t line)
{
    return json_array_get(json_object_get(body, "devices"), line);
}

static int64_t number(const struct turns *turns, const char *name)
{
    return json_integer_value(json_object_get(turns->answer.json, name));
}

static void an_import_lets_others_have_their_turns(void **state)
{
    struct turns turns = {.step_ms = TURN_MS};
    struct api_answer other = {0};
    json_t *body = lines();
    open_turns(state, &turns);
    ask(&turns, "POST", "/api/v1/inventory", NULL, body, &turns.answer);
    for (int i = 0; i < LINES / 2; i++)
        turn(&turns, &turns.answer);
    /* Others read, and write. */
    ask(&turns, "GET", "/api/v1/stores", NULL, NULL, &other);
    assert_int_equal(json_array_size(json_object_get(other.json, "stores")), 0);
    api_answer_done(&other);
    assert_true(fleetdb_begin(turns.db, NULL));
    assert_true(fleetdb_commit(turns.db, NULL));
    go_on(&turns, &turns.answer);
    assert_int_equal(number(&turns, "new"), LINES);
    assert_true(json_is_true(json_object_get(turns.answer.json, "kept")));
    assert_true(row_of(&turns, LINES - 1) > 0);
    api_answer_done(&turns.answer);
    json_decref(body);
}

/* `what`: is told of line `other`; NULL: there is none. */
static bool is_told(const json_t *refused, size_t line, const char *why, int other,
                    const char *what)
{
    const json_t *first = json_array_get(json_object_get(refused, "others"), 0);
    return json_integer_value(json_object_get(refused, "row")) == (json_int_t)line &&
           strstr(json_string_value(json_object_get(refused, "text")), why) != NULL &&
           (what == NULL
                ? first == NULL
                : json_integer_value(json_object_get(first, "row")) == other &&
                      strcmp(json_string_value(json_object_get(first, "what")), what) == 0);
}

static void assert_refused(struct turns *turns, json_t *body, size_t line, const char *why,
                           int other, const char *what)
{
    struct fleetdb_device device;
    size_t i = 0;
    json_t *refused = NULL;
    bool told = false;
    ask(turns, "POST", "/api/v1/inventory", NULL, body, &turns->answer);
    go_on(turns, &turns->answer);
    json_array_foreach(json_object_get(turns->answer.json, "refused"), i, refused)
    {
        told = told || is_told(refused, line, why, other, what);
    }
    assert_true(told);
    assert_true(json_is_false(json_object_get(turns->answer.json, "kept")));
    assert_false(fleetdb_device_find(turns->db, "d00000", &device, NULL));
    api_answer_done(&turns->answer);
    json_decref(body);
}

static void an_import_is_kept_whole_or_not_at_all(void **state)
{
    struct turns turns = {0};
    open_turns(state, &turns);
    json_t *body = lines();
    json_object_set_new(line_at(body, LINES - 1), "state", json_string("asleep"));
    assert_refused(&turns, body, LINES - 1, "expected in_service", 0, NULL);
    body = lines(); /* what only the database can tell */
    json_object_set_new(line_at(body, LINES - 1), "serial", json_string("d00000"));
    assert_refused(&turns, body, LINES - 1, "is enrolled under another id", 0,
                   "serial number M1 d00000");
    body = lines();
    json_object_set_new(json_object_get(line_at(body, 7), "store"), "region", json_string("south"));
    assert_refused(&turns, body, 7, "another line says otherwise", 0, "region of store m/s");
    body = lines();
    json_object_set_new(line_at(body, 8), "id", json_string("d00009"));
    json_object_set_new(line_at(body, 8), "serial", json_string("d00009"));
    json_object_set_new(json_object_get(line_at(body, 8), "labels"), "lane", json_string("slow"));
    assert_refused(&turns, body, 8, "another line says otherwise", 9, "labels of device d00009");
    body = lines();
    for (size_t line = 3; line < 6; line += 2)
        json_object_set_new(line_at(body, line), "terminals",
                            json_pack("[{s:i, s:s, s:s, s:s}]", "index", 0, "acquirer", "u", "tid",
                                      line == 3 ? "T0000001" : "T0000002", "mid", "M1"));
    json_object_set_new(line_at(body, 5), "merchant", json_pack("{s:s}", "id", "m2"));
    assert_refused(&turns, body, 5, "M1", 3, "MID M1 of u, for merchant m");
}

/* ---- what lines claim ---- */

static void lines_clash_where_they_differ_of_one_thing(void **state)
{
    struct import_claims claims;
    json_t *body = lines(), *rows = json_object_get(body, "devices");
    (void)state;
    json_object_set_new(
        json_array_get(rows, 3), "terminals",
        json_pack("[{s:i, s:s, s:s, s:s}]", "index", 0, "acquirer", "u", "tid", "T1", "mid", "M1"));
    json_object_set(json_array_get(rows, 5), "terminals",
                    json_object_get(json_array_get(rows, 3), "terminals"));
    json_object_set_new(json_array_get(rows, 6), "merchant",
                        json_pack("{s:s, s:s}", "id", "m2", "name", "One"));
    json_object_set_new(json_array_get(rows, 7), "merchant",
                        json_pack("{s:s, s:s}", "id", "m2", "name", "Two"));
    assert_true(import_claims_init(&claims, rows, NULL));
    for (size_t line = 0; line < LINES; line++)
        assert_true(import_claims_add(&claims, line, NULL));
    for (size_t line = 0; line < LINES; line++)
        assert_int_equal(import_claims_clash(&claims, line),
                         line == 3 || line == 5 || line == 6 || line == 7);
    import_claims_done(&claims);
    json_decref(body);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_fleet_open, temp_fleet_close)
    const struct CMUnitTest tests[] = {
        TEST(a_selection_lets_others_have_their_turns),
        TEST(a_selection_is_of_one_moment),
        TEST(a_list_lets_others_have_their_turns),
        TEST(an_inventory_is_of_one_moment),
        TEST(an_import_lets_others_have_their_turns),
        TEST(an_import_is_kept_whole_or_not_at_all),
        TEST(lines_clash_where_they_differ_of_one_thing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
