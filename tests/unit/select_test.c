/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/select.h"

#include "fleet/census.h"

#include "storage/fleetdb_labels.h"
#include "storage/fleetdb_places.h"
#include "storage/fleetdb_tokens.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

static const struct fleetdb_change change = {.who = "ops", .why = "test", .now_ms = 2000};

static struct fleetdb *db_of(void **state)
{
    return ((struct temp_fleet *)*state)->db;
}

struct chosen {
    char text[256];
    size_t length;
};

static bool note(void *ctx, int64_t device, const char *id, struct err *err)
{
    struct chosen *chosen = ctx;
    (void)err;
    assert_true(device > 0);
    chosen->length += (size_t)snprintf(chosen->text + chosen->length,
                                       sizeof chosen->text - chosen->length, "%s ", id);
    return true;
}

static bool read_census(struct census *census, struct err *err)
{
    bool done = false;
    while (!done)
        if (!census_turn(census, &clock_real, &done, err))
            return false;
    return true;
}

static bool select_devices(struct fleetdb *db, struct fleetdb_scope scope, const char *selector,
                           struct chosen *ret_chosen, struct err *err)
{
    struct select *select = NULL;
    bool done = false, ok = select_open(db, scope, selector, &select, err);
    while (ok && !done)
        ok = select_turn(select, &clock_real, &done, err);
    ok = ok && select_each(select, note, ret_chosen, err);
    select_close(select);
    return ok;
}

/* The same, of all that was read at once. */
static bool take_census(struct fleetdb *db, const char *text, int64_t *ret_count, struct err *err)
{
    static const char fields[] = "[\"device\",\"model\",\"state\",\"merchant\",\"store\","
                                 "\"region\",\"tid\",\"serial\",\"lane\",\"pilot\"]";
    struct census *census = NULL;
    struct selector selector;
    const struct fleetdb_scope whole = {0};
    if (!selector_parse(text, &selector, err) || !census_open(db, whole, fields, &census, err))
        return false;
    bool done = read_census(census, err) && census_count(census, &selector, ret_count, err);
    census_close(census);
    return done;
}

static int64_t words_in(const char *text)
{
    int64_t count = 0;
    for (; *text != '\0'; text++)
        count += *text == ' ';
    return count;
}

static void assert_chosen(struct fleetdb *db, const char *selector, const char *expected)
{
    struct chosen chosen = {0};
    struct err err = {0};
    if (!select_devices(db, (struct fleetdb_scope){0}, selector, &chosen, &err))
        fail_msg("%s: %s", selector, err.text);
    assert_string_equal(chosen.text, expected);
    int64_t count = -1;
    if (strstr(selector, "group") != NULL)
        return;
    if (!take_census(db, selector, &count, &err))
        fail_msg("%s: %s", selector, err.text);
    assert_int_equal(count, words_in(expected));
}

static enum err_code refusal(struct fleetdb *db, const char *selector)
{
    struct chosen chosen = {0};
    struct err err = {0};
    assert_false(select_devices(db, (struct fleetdb_scope){0}, selector, &chosen, &err));
    assert_int_equal(chosen.length, 0);
    int64_t count = -1;
    struct err why = {0};
    if (strstr(selector, "group") == NULL) {
        assert_false(take_census(db, selector, &count, &why));
        assert_string_equal(why.text, err.text);
    }
    return err.code;
}

/* d1 and d3 stand in m/s, d2 in m2/s2 of the north; d2 is a spare, d1 and d2 have a lane. */
static struct fleetdb *make_fleet(void **state)
{
    struct fleetdb *db = db_of(state);
    int64_t d1 = temp_fleet_device(*state, "d1"), d2 = temp_fleet_device(*state, "d2"), store = 0;
    (void)temp_fleet_device(*state, "d3");
    const struct fleetdb_store place = {.merchant = "m2", .store = "s2", .region = "north"};
    const struct fleetdb_label labels[] = {{"lane", "express"}, {"lane", "slow"}};
    struct fleetdb_device device;
    assert_true(fleetdb_device_find(db, "d2", &device, NULL));
    assert_true(fleetdb_store_put(db, &place, &change, &store, NULL));
    const struct fleetdb_move move = {.store = store, .keep_terminals = true};
    assert_true(fleetdb_device_move(db, &device, &move, &change, NULL));
    assert_true(fleetdb_device_live(db, &device, FLEETDB_SPARE, &change, NULL));
    assert_true(fleetdb_label_put(db, d1, &labels[0], NULL));
    assert_true(fleetdb_label_put(db, d2, &labels[1], NULL));
    return db;
}

static void devices_are_chosen_by_what_is_so_of_them(void **state)
{
    struct fleetdb *db = make_fleet(state);
    assert_chosen(db, "model=M1", "d1 d2 d3 ");
    assert_chosen(db, "store=s", "d1 d3 ");
    assert_chosen(db, "merchant=m2,region=north,store=s2", "d2 ");
    assert_chosen(db, "store=m2/s2", "d2 ");
    assert_chosen(db, "store!=m2/*", "d1 d3 ");
    assert_chosen(db, "state=spare", "d2 ");
    assert_chosen(db, "lane", "d1 d2 ");
    assert_chosen(db, "!lane", "d3 ");
    assert_chosen(db, "lane!=slow", "d1 d3 ");
    assert_chosen(db, "serial=d3|d1", "d1 d3 ");
    assert_chosen(db, "device=nobody", "");
}

static void a_group_is_whoever_its_selector_chooses_now(void **state)
{
    struct fleetdb *db = make_fleet(state);
    const struct fleetdb_label express = {"lane", "express"};
    struct fleetdb_device device;
    assert_true(fleetdb_group_put(db, "fast", "lane=express", &change, NULL));
    assert_true(fleetdb_group_put(db, "spares", "state=spare", &change, NULL));
    assert_chosen(db, "group=fast", "d1 ");
    assert_chosen(db, "group=fast|spares", "d1 d2 ");
    assert_chosen(db, "group!=fast,model=M1", "d2 d3 ");
    assert_true(fleetdb_device_find(db, "d3", &device, NULL));
    assert_true(fleetdb_label_put(db, device.device, &express, NULL));
    assert_chosen(db, "group=fast", "d1 d3 ");
    assert_true(fleetdb_group_put(db, "fast", "lane=slow", &change, NULL));
    assert_chosen(db, "group=fast", "d2 ");
    assert_true(fleetdb_group_remove(db, "fast", NULL));
    assert_int_equal(refusal(db, "group=fast"), ERR_NOT_FOUND);
    assert_false(fleetdb_group_remove(db, "fast", NULL));
}

/* "modle!=A920" would choose the whole fleet. */
static void a_word_that_no_device_knows_chooses_nobody(void **state)
{
    struct fleetdb *db = make_fleet(state);
    assert_int_equal(refusal(db, "modle!=M1"), ERR_NOT_FOUND);
    assert_int_equal(refusal(db, "model=M1,!lnae"), ERR_NOT_FOUND);
    assert_int_equal(refusal(db, "model="), ERR_INVALID);
    assert_int_equal(refusal(db, "group=No"), ERR_INVALID);
    assert_chosen(db, "region!=south", "d1 d2 d3 "); /* fields there are, if nobody has one */
    assert_chosen(db, "tid!=1", "d1 d2 d3 ");
}

static void there_are_so_many_groups(void **state)
{
    struct fleetdb *db = db_of(state);
    struct err err = {0};
    char name[16];
    for (int i = 0; i < FLEETDB_GROUPS_MAX; i++) {
        (void)snprintf(name, sizeof name, "g%d", i);
        assert_true(fleetdb_group_put(db, name, "model=M1", &change, NULL));
    }
    assert_false(fleetdb_group_put(db, "one-more", "model=M1", &change, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_true(fleetdb_group_put(db, "g0", "model=M2", &change, NULL)); /* none more */
    assert_true(fleetdb_group_remove(db, "g1", NULL));
    assert_true(fleetdb_group_put(db, "one-more", "model=M1", &change, NULL));
}

static void a_group_names_no_group(void **state)
{
    (void)state;
    struct err err = {0};
    assert_true(select_fit_for_group("lane=express,model=M1", NULL));
    assert_false(select_fit_for_group("group=fast", &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_false(select_fit_for_group("lane=", NULL));
}

static void move_to(struct fleetdb *db, const char *id, const char *merchant)
{
    const struct fleetdb_store store = {.merchant = merchant, .store = "s"};
    struct fleetdb_device device;
    struct fleetdb_move move = {0};
    assert_true(fleetdb_device_find(db, id, &device, NULL));
    assert_true(fleetdb_store_put(db, &store, &change, &move.store, NULL));
    assert_true(fleetdb_device_move(db, &device, &move, &change, NULL));
}

static void a_census_keeps_to_a_part(void **state)
{
    struct temp_fleet *fleet = *state;
    static const char *const places[] = {"m1"};
    static const char fields[] = "[\"device\",\"model\",\"state\"]";
    const uint8_t digest[32] = {1};
    const struct fleetdb_token_order order = {.name = "part",
                                              .sha256 = digest,
                                              .role = FLEETDB_VIEWER,
                                              .scope = FLEETDB_SCOPE_MERCHANT,
                                              .places = places,
                                              .place_count = 1};
    struct fleetdb_token token;
    struct selector selector;
    struct census *census = NULL;
    int64_t count = 0;
    (void)temp_fleet_device_at(fleet, "d1", "m1", "north");
    (void)temp_fleet_device_at(fleet, "d2", "m2", "north");
    (void)temp_fleet_device_at(fleet, "d3", "m1", "north");
    move_to(fleet->db, "d3", "m2");
    assert_true(fleetdb_token_add(fleet->db, &order, "uid 0", 1000, NULL));
    assert_true(fleetdb_token_find(fleet->db, digest, &token, NULL));
    const struct fleetdb_scope scope = {.token = token.token};
    assert_true(census_open(fleet->db, scope, fields, &census, NULL));
    assert_true(read_census(census, NULL));
    /* Of who has left it is known there what he always is, and he counts no more. */
    static const char *const selectors[] = {"state=in_service", "model=M1"};
    for (size_t i = 0; i < sizeof selectors / sizeof *selectors; i++) {
        assert_true(selector_parse(selectors[i], &selector, NULL));
        assert_true(census_count(census, &selector, &count, NULL));
        assert_int_equal(count, 1);
    }
    census_close(census);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_fleet_open, temp_fleet_close)
    const struct CMUnitTest tests[] = {
        TEST(devices_are_chosen_by_what_is_so_of_them),
        TEST(a_group_is_whoever_its_selector_chooses_now),
        TEST(a_word_that_no_device_knows_chooses_nobody),
        TEST(there_are_so_many_groups),
        TEST(a_group_names_no_group),
        TEST(a_census_keeps_to_a_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
