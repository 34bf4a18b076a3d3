/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_places.h"

#include "storage/fleetdb_labels.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

static struct fleetdb *db_of(void **state)
{
    return ((struct temp_fleet *)*state)->db;
}

static struct fleetdb_change at(int64_t now_ms)
{
    return (struct fleetdb_change){.who = "ops", .why = "test", .now_ms = now_ms};
}

/* Carries a logical terminal in the slot, unless `tid` is NULL. */
static struct fleetdb_device device_with(struct fleetdb *db, const char *id, const char *merchant,
                                         const char *store, const char *tid, uint32_t slot)
{
    const struct fleetdb_terminal terminal = {slot, "union", tid != NULL ? tid : "", "M1"};
    const struct fleetdb_enrolment enrolment = {.id = id,
                                                .serial = id,
                                                .model = "A920",
                                                .agent_key = bytes_of(id, strlen(id)),
                                                .merchant_id = merchant,
                                                .store_id = store,
                                                .terminals = &terminal,
                                                .terminal_count = tid != NULL};
    struct fleetdb_device device;
    int64_t row = 0;
    assert_true(fleetdb_enrol(db, &enrolment, 1000, &row, NULL));
    assert_true(fleetdb_device_find(db, id, &device, NULL));
    return device;
}

static struct fleetdb_device device_in(struct fleetdb *db, const char *id, const char *merchant,
                                       const char *store, const char *tid)
{
    return device_with(db, id, merchant, store, tid, 2);
}

static struct fleetdb_device found(struct fleetdb *db, const char *id)
{
    struct fleetdb_device device;
    assert_true(fleetdb_device_find(db, id, &device, NULL));
    return device;
}

static struct fleetdb_stand stand(struct fleetdb *db, const char *id, int64_t at_ms)
{
    struct fleetdb_stand standing;
    assert_true(fleetdb_standing_at(db, found(db, id).device, at_ms, &standing, NULL));
    return standing;
}

static int64_t carried(struct fleetdb *db, const char *id, int64_t at_ms)
{
    struct fleetdb_carried in_slot;
    assert_true(fleetdb_carried_at(db, found(db, id).device, 2, at_ms, &in_slot, NULL));
    return in_slot.logical_terminal;
}

static const struct fleetdb_scope whole;

struct told {
    char text[512];
    size_t length;
};

static bool tell_duty(void *ctx, const struct fleetdb_duty_view *view, struct err *err)
{
    struct told *told = ctx;
    (void)err;
    told->length += (size_t)snprintf(told->text + told->length, sizeof told->text - told->length,
                                     "%s %s %s;", view->act, view->device, view->tid);
    return true;
}

static void assert_duties(struct fleetdb *db, const char *expected)
{
    struct told told = {0};
    assert_true(fleetdb_duties_each(db, whole, 0, false, tell_duty, &told, NULL));
    assert_string_equal(told.text, expected);
}

static bool tell_store(void *ctx, const struct fleetdb_store_view *view, struct err *err)
{
    struct told *told = ctx;
    (void)err;
    told->length += (size_t)snprintf(
        told->text + told->length, sizeof told->text - told->length, "%s/%s %s/%s %s|%s|%s|%s %d;",
        view->store.merchant, view->store.store, view->store.merchant_name, view->store.store_name,
        view->store.region, view->zone, view->store.opening_hours, view->store.address,
        (int)view->devices);
    return true;
}

static void assert_stores(struct fleetdb *db, const char *expected)
{
    struct told told = {0};
    assert_true(fleetdb_stores_each(db, tell_store, &told, NULL));
    assert_string_equal(told.text, expected);
}

static void a_store_keeps_what_nobody_changes(void **state)
{
    struct fleetdb *db = db_of(state);
    const struct fleetdb_change now = at(2000);
    int64_t row = 0, again = 0;
    struct fleetdb_store store = {.merchant = "m1",
                                  .merchant_name = "Corner Shop",
                                  .store = "s1",
                                  .region = "north",
                                  .opening_hours = "Mo-Fr 09:00-18:00"};
    assert_true(fleetdb_store_put(db, &store, &now, &row, NULL));
    assert_stores(db, "m1/s1 Corner Shop/s1 north||Mo-Fr 09:00-18:00| 0;");
    assert_true(fleetdb_region_put(db, "north", "Asia/Shanghai", NULL));
    store = (struct fleetdb_store){.merchant = "m1", .store = "s1", .address = "1 Main Street"};
    assert_true(fleetdb_store_put(db, &store, &now, &again, NULL));
    assert_int_equal(again, row);
    assert_stores(db,
                  "m1/s1 Corner Shop/s1 north|Asia/Shanghai|Mo-Fr 09:00-18:00|1 Main Street 0;");
    store.region = "";
    store.time_zone = "Europe/Berlin";
    assert_true(fleetdb_store_put(db, &store, &now, &again, NULL));
    assert_stores(db, "m1/s1 Corner Shop/s1 |Europe/Berlin|Mo-Fr 09:00-18:00|1 Main Street 0;");
    const int64_t writes = fleetdb_writes(db);
    assert_true(fleetdb_store_put(db, &store, &now, &again, NULL));
    assert_int_equal(fleetdb_writes(db), writes);
    assert_false(fleetdb_store_find(db, "m1", "s2", &again, NULL));
}

static void a_device_moves_and_its_address_is_to_be_told(void **state)
{
    struct fleetdb *db = db_of(state);
    const struct fleetdb_change now = at(2000);
    struct fleetdb_device device = device_in(db, "d1", "m1", "s1", "T1");
    struct fleetdb_move move = {.keep_terminals = true};
    const struct fleetdb_store store = {.merchant = "m1", .store = "s2"};
    assert_duties(db, ""); /* the first registration is no change of one */
    assert_true(fleetdb_store_put(db, &store, &now, &move.store, NULL));
    assert_true(fleetdb_device_move(db, &device, &move, &now, NULL));
    assert_int_equal(stand(db, "d1", 2000).store, move.store);
    assert_int_not_equal(stand(db, "d1", 1999).store, move.store);
    assert_int_not_equal(carried(db, "d1", 3000), 0);
    assert_duties(db, "address d1 T1;");
    const int64_t writes = fleetdb_writes(db);
    assert_true(fleetdb_device_move(db, &device, &move, &now, NULL)); /* it stands there */
    assert_int_equal(fleetdb_writes(db), writes);
}

static void a_mid_stays_with_its_merchant(void **state)
{
    struct fleetdb *db = db_of(state);
    const struct fleetdb_change now = at(2000);
    struct fleetdb_device device = device_in(db, "d1", "m1", "s1", "T1");
    const struct fleetdb_terminal next = {2, "union", "T2", "M2"};
    const struct fleetdb_store store = {.merchant = "m2", .store = "s1"};
    struct fleetdb_move move = {.keep_terminals = true};
    struct err err = {0};
    assert_true(fleetdb_store_put(db, &store, &now, &move.store, NULL));
    assert_false(fleetdb_device_move(db, &device, &move, &now, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_int_not_equal(stand(db, "d1", 2000).store, move.store);
    const int64_t before = carried(db, "d1", 1500);
    move = (struct fleetdb_move){.store = move.store, .terminals = &next, .terminal_count = 1};
    assert_true(fleetdb_device_move(db, &device, &move, &now, NULL));
    assert_int_equal(stand(db, "d1", 2000).store, move.store);
    assert_int_equal(carried(db, "d1", 1999), before);
    assert_int_not_equal(carried(db, "d1", 2000), before);
    assert_duties(db, "unbind d1 T1;"); /* nobody was ever told of T2 */
}

static void a_swap_hands_everything_over(void **state)
{
    struct fleetdb *db = db_of(state);
    const struct fleetdb_change now = at(2000);
    struct fleetdb_device from = device_in(db, "d1", "m1", "s1", "T1");
    struct fleetdb_device to = device_in(db, "d2", "m1", "depot", NULL);
    const int64_t terminal = carried(db, "d1", 1500);
    assert_true(fleetdb_device_live(db, &to, FLEETDB_SPARE, &now, NULL));
    to = found(db, "d2");
    assert_true(fleetdb_device_swap(db, &from, &to, FLEETDB_REPAIR, &now, NULL));
    assert_int_equal(carried(db, "d1", 1999), terminal);
    assert_int_equal(carried(db, "d1", 2000), 0);
    assert_int_equal(carried(db, "d2", 2000), terminal);
    assert_int_equal(stand(db, "d2", 2000).store, stand(db, "d1", 1500).store);
    assert_int_equal(stand(db, "d2", 2000).life, FLEETDB_IN_SERVICE);
    assert_int_equal(stand(db, "d1", 2000).life, FLEETDB_REPAIR);
    assert_int_equal(found(db, "d1").life, FLEETDB_REPAIR);
    assert_int_equal(found(db, "d2").life, FLEETDB_IN_SERVICE);
    assert_duties(db, "unbind d1 T1;bind d2 T1;");
}

/* Nobody was told, so nobody needs to be. */
static void a_swap_that_is_undone_leaves_nothing_to_tell(void **state)
{
    struct fleetdb *db = db_of(state);
    const struct fleetdb_change now = at(2000), later = at(3000);
    struct fleetdb_device from = device_in(db, "d1", "m1", "s1", "T1");
    struct fleetdb_device to = device_in(db, "d2", "m1", "s1", NULL);
    assert_true(fleetdb_device_swap(db, &from, &to, FLEETDB_REPAIR, &now, NULL));
    from = found(db, "d1");
    to = found(db, "d2");
    assert_true(fleetdb_device_swap(db, &to, &from, FLEETDB_SPARE, &later, NULL));
    assert_duties(db, "");
    assert_int_equal(found(db, "d1").life, FLEETDB_IN_SERVICE);
    assert_int_not_equal(carried(db, "d1", 3000), 0);
}

static void who_cannot_take_over_does_not(void **state)
{
    struct fleetdb *db = db_of(state);
    const struct fleetdb_change now = at(2000);
    struct fleetdb_device from = device_in(db, "d1", "m1", "s1", "T1");
    struct fleetdb_device busy = device_with(db, "d2", "m1", "s1", "T2", 5);
    struct fleetdb_device gone = device_in(db, "d3", "m1", "s1", NULL);
    struct err err = {0};
    assert_true(fleetdb_device_live(db, &gone, FLEETDB_RETIRED, &now, NULL));
    gone = found(db, "d3");
    assert_false(fleetdb_device_swap(db, &from, &busy, FLEETDB_REPAIR, &now, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_false(fleetdb_device_swap(db, &from, &gone, FLEETDB_REPAIR, &now, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_false(fleetdb_device_swap(db, &from, &from, FLEETDB_REPAIR, &now, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_int_not_equal(carried(db, "d1", 3000), 0);
    assert_int_equal(found(db, "d1").life, FLEETDB_IN_SERVICE);
    assert_duties(db, "");
}

static void a_suspended_shop_stays_suspended_through_a_swap(void **state)
{
    struct fleetdb *db = db_of(state);
    const struct fleetdb_change now = at(2000);
    struct fleetdb_device from = device_in(db, "d1", "m1", "s1", "T1");
    struct fleetdb_device to = device_in(db, "d2", "m1", "s1", NULL);
    assert_true(fleetdb_device_live(db, &from, FLEETDB_SUSPENDED, &now, NULL));
    from = found(db, "d1");
    assert_true(fleetdb_device_swap(db, &from, &to, FLEETDB_RETIRED, &now, NULL));
    assert_int_equal(found(db, "d2").life, FLEETDB_SUSPENDED);
    assert_int_equal(found(db, "d1").life, FLEETDB_RETIRED);
}

static void a_retired_device_carries_nothing_and_comes_back_as_a_spare(void **state)
{
    struct fleetdb *db = db_of(state);
    const struct fleetdb_change now = at(2000), later = at(3000);
    struct fleetdb_device device = device_in(db, "d1", "m1", "s1", "T1");
    struct err err = {0};
    assert_true(fleetdb_device_live(db, &device, FLEETDB_RETIRED, &now, NULL));
    device = found(db, "d1");
    assert_int_equal(carried(db, "d1", 2000), 0);
    assert_duties(db, "unbind d1 T1;");
    assert_false(fleetdb_device_live(db, &device, FLEETDB_IN_SERVICE, &later, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    const struct fleetdb_move move = {.store = stand(db, "d1", 2000).store};
    assert_false(fleetdb_device_move(db, &device, &move, &later, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_true(fleetdb_device_live(db, &device, FLEETDB_SPARE, &later, NULL));
    assert_int_equal(stand(db, "d1", 2999).life, FLEETDB_RETIRED);
    assert_int_equal(stand(db, "d1", 3000).life, FLEETDB_SPARE);
}

static bool first_duty(void *ctx, const struct fleetdb_duty_view *view, struct err *err)
{
    (void)err;
    if (*(int64_t *)ctx == 0)
        *(int64_t *)ctx = view->duty;
    return true;
}

static void a_duty_is_done_once(void **state)
{
    struct fleetdb *db = db_of(state);
    const struct fleetdb_change now = at(2000);
    struct fleetdb_device device = device_in(db, "d1", "m1", "s1", "T1");
    int64_t duty = 0;
    struct err err = {0};
    assert_true(fleetdb_device_live(db, &device, FLEETDB_RETIRED, &now, NULL));
    assert_true(fleetdb_duties_each(db, whole, device.device, false, first_duty, &duty, NULL));
    assert_true(fleetdb_duty_done(db, duty, &now, NULL));
    assert_duties(db, "");
    assert_false(fleetdb_duty_done(db, duty, &now, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_false(fleetdb_duty_done(db, 99, &now, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    struct told told = {0};
    assert_true(fleetdb_duties_each(db, whole, 0, true, tell_duty, &told, NULL));
    assert_string_equal(told.text, "unbind d1 T1;");
}

/* A new key alone leaves it where it stands, with what it carries. */
static void what_an_enrolment_does_not_say_stays(void **state)
{
    struct fleetdb *db = db_of(state);
    struct fleetdb_device device = device_in(db, "d1", "m1", "s1", "T1");
    const struct fleetdb_stand before = stand(db, "d1", 1000);
    struct fleetdb_enrolment again = {.id = "d1",
                                      .serial = "d1",
                                      .model = "A920",
                                      .agent_key = bytes_of("next", 4),
                                      .keep_terminals = true};
    struct fleetdb_key keys[FLEETDB_KEYS_MAX];
    size_t count = 0;
    int64_t row = 0;
    assert_true(fleetdb_enrol(db, &again, 2000, &row, NULL));
    assert_int_equal(row, device.device);
    assert_int_equal(stand(db, "d1", 3000).standing, before.standing);
    assert_int_not_equal(carried(db, "d1", 3000), 0);
    again.agent_key = bytes_of("", 0);
    again.merchant_id = "m1";
    again.store_id = "s1";
    const int64_t writes = fleetdb_writes(db);
    assert_true(fleetdb_enrol(db, &again, 2000, &row, NULL));
    assert_int_equal(fleetdb_writes(db), writes);
    assert_int_not_equal(carried(db, "d1", 3000), 0);
    assert_true(fleetdb_agent_keys(db, device.device, 2500, keys, &count, NULL));
    assert_int_equal(count, 1);
    assert_memory_equal(keys[0].spki, "next", 4);
}

static bool tell_label(void *ctx, const struct fleetdb_label *label, struct err *err)
{
    struct told *told = ctx;
    (void)err;
    told->length += (size_t)snprintf(told->text + told->length, sizeof told->text - told->length,
                                     "%s=%s;", label->name, label->value);
    return true;
}

static void labels_are_set_changed_and_taken_off(void **state)
{
    struct fleetdb *db = db_of(state);
    const int64_t device = temp_fleet_device(*state, "d1");
    const struct fleetdb_label first[] = {{"lane", "express"}, {"floor", "2"}, {"pilot", "yes"}};
    const struct fleetdb_label next[] = {{"pilot", "no"}, {"age", "3"}};
    struct told told = {0};
    assert_true(fleetdb_labels_only(db, device, first, 3, NULL));
    assert_true(fleetdb_label_remove(db, device, "floor", NULL));
    assert_true(fleetdb_label_remove(db, device, "floor", NULL));
    assert_true(fleetdb_labels_each(db, device, tell_label, &told, NULL));
    assert_string_equal(told.text, "lane=express;pilot=yes;");
    told = (struct told){0};
    assert_true(fleetdb_labels_only(db, device, next, 2, NULL));
    assert_true(fleetdb_labels_each(db, device, tell_label, &told, NULL));
    assert_string_equal(told.text, "age=3;pilot=no;");
    const int64_t writes = fleetdb_writes(db);
    assert_true(fleetdb_labels_only(db, device, next, 2, NULL));
    assert_int_equal(fleetdb_writes(db), writes);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_fleet_open, temp_fleet_close)
    const struct CMUnitTest tests[] = {
        TEST(a_store_keeps_what_nobody_changes),
        TEST(a_device_moves_and_its_address_is_to_be_told),
        TEST(a_mid_stays_with_its_merchant),
        TEST(a_swap_hands_everything_over),
        TEST(a_swap_that_is_undone_leaves_nothing_to_tell),
        TEST(who_cannot_take_over_does_not),
        TEST(a_suspended_shop_stays_suspended_through_a_swap),
        TEST(a_retired_device_carries_nothing_and_comes_back_as_a_spare),
        TEST(a_duty_is_done_once),
        TEST(what_an_enrolment_does_not_say_stays),
        TEST(labels_are_set_changed_and_taken_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
