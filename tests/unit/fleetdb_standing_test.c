/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_standing.h"

#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

static struct fleetdb *db_of(void **state)
{
    return ((struct temp_fleet *)*state)->db;
}

/* What a change of the fleet's own rows is, seen from outside. */
static void change_rows(void **state, const char *sql)
{
    temp_fleet_change(*state, sql);
}

static void follow(struct fleetdb *db, int64_t device, const char *why, int64_t now_ms)
{
    const struct fleetdb_change change = {.who = "ops", .why = why, .now_ms = now_ms};
    assert_true(fleetdb_standing_follow(db, device, &change, NULL));
}

static struct fleetdb_stand at(struct fleetdb *db, int64_t device, int64_t at_ms)
{
    struct fleetdb_stand standing;
    assert_true(fleetdb_standing_at(db, device, at_ms, &standing, NULL));
    assert_true(standing.from_ms <= at_ms && at_ms < standing.to_ms);
    return standing;
}

static struct fleetdb_carried carried_at(struct fleetdb *db, int64_t device, uint32_t slot,
                                         int64_t at_ms)
{
    struct fleetdb_carried carried;
    assert_true(fleetdb_carried_at(db, device, slot, at_ms, &carried, NULL));
    assert_true(carried.from_ms <= at_ms && at_ms < carried.to_ms);
    assert_int_equal(carried.carried == 0, carried.logical_terminal == 0);
    return carried;
}

static int64_t enrol(struct fleetdb *db, const char *id, const char *store, const char *region,
                     const char *tid, int64_t now_ms)
{
    const struct fleetdb_terminal terminal = {3, "union", tid == NULL ? "" : tid, "M1"};
    const struct fleetdb_enrolment enrolment = {.id = id,
                                                .serial = id,
                                                .model = "A920",
                                                .agent_key = bytes_of(id, strlen(id)),
                                                .merchant_id = "m1",
                                                .merchant_name = "Merchant",
                                                .store_id = store,
                                                .store_name = store,
                                                .region = region,
                                                .terminals = &terminal,
                                                .terminal_count = tid == NULL ? 0 : 1};
    int64_t device = 0;
    assert_true(fleetdb_enrol(db, &enrolment, now_ms, &device, NULL));
    return device;
}

struct story {
    char text[512];
    size_t length;
};

static bool tell(void *ctx, const struct fleetdb_standing_view *view, struct err *err)
{
    struct story *story = ctx;
    (void)err;
    story->length += (size_t)snprintf(
        story->text + story->length, sizeof story->text - story->length,
        "%lld-%lld %s %s/%s/%s %s by %s;", (long long)view->from_ms, (long long)view->to_ms,
        view->life, view->merchant, view->store, view->region, view->why, view->who);
    return true;
}

static bool tell_carried(void *ctx, const struct fleetdb_carried_view *view, struct err *err)
{
    struct story *story = ctx;
    (void)err;
    story->length += (size_t)snprintf(
        story->text + story->length, sizeof story->text - story->length, "%lld-%lld %s:%u %s;",
        (long long)view->from_ms, (long long)view->to_ms, view->device, view->slot, view->tid);
    return true;
}

static const struct fleetdb_scope whole;

static void assert_story(struct fleetdb *db, int64_t device, const char *expected)
{
    struct story story = {0};
    assert_true(fleetdb_standing_each(db, whole, device, tell, &story, NULL));
    assert_string_equal(story.text, expected);
}

static void a_sale_counts_where_it_was_made(void **state)
{
    struct fleetdb *db = db_of(state);
    int64_t device = enrol(db, "d1", "s1", "south", NULL, 1000);
    assert_int_equal(enrol(db, "d1", "s2", "north", NULL, 2000), device);
    struct fleetdb_stand first = at(db, device, 1500), second = at(db, device, 2000);
    assert_int_equal(first.to_ms, 2000);
    assert_int_equal(second.from_ms, 2000);
    assert_int_equal(second.to_ms, INT64_MAX);
    assert_int_equal(first.merchant, second.merchant);
    assert_int_not_equal(first.store, second.store);
    assert_int_not_equal(first.region, second.region);
    assert_int_equal(at(db, device, 1999).standing, first.standing);
    assert_int_equal(at(db, device, INT64_MAX - 1).standing, second.standing);
    assert_story(db, device,
                 "1000-2000 in_service m1/s1/south enrolled by musterd;"
                 "2000-0 in_service m1/s2/north enrolled by musterd;");
}

static void before_the_first_it_stood_where_the_first_says(void **state)
{
    struct fleetdb *db = db_of(state);
    int64_t device = enrol(db, "d1", "s1", "south", NULL, 1000);
    struct fleetdb_stand first = at(db, device, 1000), before = at(db, device, 3);
    assert_int_equal(before.standing, first.standing);
    assert_int_equal(before.from_ms, INT64_MIN);
    assert_int_equal(before.to_ms, 1000);
}

static void a_device_that_is_none_stood_nowhere(void **state)
{
    struct fleetdb_stand standing;
    struct err err = {0};
    assert_false(fleetdb_standing_at(db_of(state), 77, 1000, &standing, &err));
    assert_int_equal(err.code, ERR_IO);
}

static void what_did_not_change_begins_nothing(void **state)
{
    struct fleetdb *db = db_of(state);
    int64_t device = enrol(db, "d1", "s1", "south", NULL, 1000);
    int64_t nowhere = temp_fleet_device(*state, "d2"); /* its store has no region */
    enrol(db, "d1", "s1", "south", NULL, 2000);
    follow(db, device, "again", 3000);
    follow(db, nowhere, "again", 3000);
    assert_int_equal(at(db, device, 5000).from_ms, 1000);
    assert_int_equal(at(db, nowhere, 5000).from_ms, 1000);
}

static void a_life_has_its_span(void **state)
{
    struct fleetdb *db = db_of(state);
    int64_t device = enrol(db, "d1", "s1", "south", NULL, 1000);
    int64_t other = enrol(db, "d2", "s1", "south", NULL, 1000);
    change_rows(state, "UPDATE device SET life_cycle = 'repair' WHERE name = 'd1'");
    follow(db, device, "printer jams", 4000);
    assert_int_equal(at(db, device, 3999).life, FLEETDB_IN_SERVICE);
    assert_int_equal(at(db, device, 4000).life, FLEETDB_REPAIR);
    assert_int_equal(at(db, other, 4000).life, FLEETDB_IN_SERVICE);
    assert_story(db, device,
                 "1000-4000 in_service m1/s1/south enrolled by musterd;"
                 "4000-0 repair m1/s1/south printer jams by ops;");
}

/* The fleet's clock may be set back as well: spans still follow one another without a gap. */
static void a_clock_that_goes_back_leaves_no_gap(void **state)
{
    struct fleetdb *db = db_of(state);
    int64_t device = enrol(db, "d1", "s1", "south", NULL, 1000);
    enrol(db, "d1", "s2", "south", NULL, 2000);
    enrol(db, "d1", "s3", "south", NULL, 500);
    struct fleetdb_stand last = at(db, device, 2000);
    assert_int_equal(last.from_ms, 2000);
    assert_int_equal(last.to_ms, INT64_MAX);
    assert_int_equal(at(db, device, 1999).to_ms, 2000);
    assert_story(db, device,
                 "1000-2000 in_service m1/s1/south enrolled by musterd;"
                 "2000-0 in_service m1/s3/south enrolled by musterd;");
}

/* A store that gets another region rewrites nothing, and takes along all that stand in it. */
static void a_stores_new_region_begins_new_spans(void **state)
{
    struct fleetdb *db = db_of(state);
    int64_t one = enrol(db, "d1", "s1", "south", NULL, 1000);
    int64_t two = enrol(db, "d2", "s1", "", NULL, 1100);
    int64_t elsewhere = enrol(db, "d3", "s2", "south", NULL, 1000);
    enrol(db, "d2", "s1", "north", NULL, 3000);
    assert_story(db, one,
                 "1000-3000 in_service m1/s1/south enrolled by musterd;"
                 "3000-0 in_service m1/s1/north enrolled by musterd;");
    assert_int_equal(at(db, two, 2999).region, at(db, elsewhere, 9000).region);
    assert_int_equal(at(db, two, 3000).region, at(db, one, 3000).region);
    assert_int_equal(at(db, elsewhere, 9000).from_ms, 1000);
}

static void a_swap_keeps_the_terminals_story(void **state)
{
    struct fleetdb *db = db_of(state);
    struct story story = {0};
    int64_t before = enrol(db, "d1", "s1", "", "T1", 1000);
    int64_t after = enrol(db, "d2", "s1", "", NULL, 1000);
    enrol(db, "d1", "s1", "", NULL, 2000);
    enrol(db, "d2", "s1", "", "T1", 2000);
    struct fleetdb_carried first = carried_at(db, before, 3, 1500);
    struct fleetdb_carried second = carried_at(db, after, 3, 2500);
    assert_int_not_equal(first.carried, second.carried);
    assert_int_equal(first.logical_terminal, second.logical_terminal);
    assert_int_equal(first.to_ms, 2000);
    assert_int_equal(second.from_ms, 2000);
    assert_int_equal(second.to_ms, INT64_MAX);
    assert_int_equal(carried_at(db, before, 3, 2000).carried, 0);
    assert_int_equal(carried_at(db, before, 3, 2000).to_ms, INT64_MAX);
    assert_int_equal(carried_at(db, before, 2, 1500).carried, 0); /* another slot */
    assert_true(fleetdb_carriers_each(db, whole, "T1", tell_carried, &story, NULL));
    assert_string_equal(story.text, "1000-2000 d1:3 T1;2000-0 d2:3 T1;");
}

static void a_slot_that_was_empty_carried_nothing(void **state)
{
    struct fleetdb *db = db_of(state);
    struct story story = {0};
    int64_t device = enrol(db, "d1", "s1", "", "T1", 1000);
    enrol(db, "d1", "s1", "", NULL, 2000);
    enrol(db, "d1", "s1", "", "T2", 3000);
    struct fleetdb_carried empty = carried_at(db, device, 3, 2500);
    assert_int_equal(empty.carried, 0);
    assert_int_equal(empty.from_ms, 2000);
    assert_int_equal(empty.to_ms, 3000);
    assert_true(fleetdb_carried_each(db, whole, device, tell_carried, &story, NULL));
    assert_string_equal(story.text, "1000-2000 d1:3 T1;3000-0 d1:3 T2;");
}

/* A sale from before the fleet heard of the terminal is the first one's, unless another device
 * carried that before. */
static void before_the_first_a_slot_carried_the_first(void **state)
{
    struct fleetdb *db = db_of(state);
    int64_t before = enrol(db, "d1", "s1", "", "T1", 1000);
    enrol(db, "d1", "s1", "", NULL, 2000);
    int64_t after = enrol(db, "d2", "s1", "", "T1", 2000);
    assert_int_equal(carried_at(db, before, 3, 10).carried,
                     carried_at(db, before, 3, 1000).carried);
    assert_int_equal(carried_at(db, after, 3, 1500).carried, 0);
    assert_int_equal(carried_at(db, after, 3, 1500).to_ms, 2000);
}

static void a_slot_that_was_never_in_force_carried_nothing(void **state)
{
    struct fleetdb *db = db_of(state);
    int64_t device = enrol(db, "d1", "s1", "", "T1", 2000);
    enrol(db, "d1", "s1", "", "T2", 500); /* the clock went back */
    struct fleetdb_carried now = carried_at(db, device, 3, 3000);
    assert_int_equal(now.from_ms, 500);
    assert_int_equal(carried_at(db, device, 3, 700).carried, now.carried);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_fleet_open, temp_fleet_close)
    const struct CMUnitTest tests[] = {
        TEST(a_sale_counts_where_it_was_made),
        TEST(before_the_first_it_stood_where_the_first_says),
        TEST(a_device_that_is_none_stood_nowhere),
        TEST(what_did_not_change_begins_nothing),
        TEST(a_life_has_its_span),
        TEST(a_clock_that_goes_back_leaves_no_gap),
        TEST(a_stores_new_region_begins_new_spans),
        TEST(a_swap_keeps_the_terminals_story),
        TEST(a_slot_that_was_empty_carried_nothing),
        TEST(before_the_first_a_slot_carried_the_first),
        TEST(a_slot_that_was_never_in_force_carried_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
