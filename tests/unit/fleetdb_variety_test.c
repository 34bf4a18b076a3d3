/* SPDX-License-Identifier: Apache-2.0 */
/* How many different things the sums tell apart that one terminal tells of. */
#include "storage/fleetdb_clock.h"
#include "storage/fleetdb_internal.h"
#include "storage/fleetdb_rates.h"
#include "storage/fleetdb_rollups.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

static const int64_t hour_ms = 3600 * INT64_C(1000), begun_ms = INT64_C(1767225600000);

enum { OUTCOME_DECLINED = 2, MORE = 300 };

static size_t place_of(const char *name)
{
    size_t count = 0, at = 0;
    const char *const *columns = fleetdb_columns(1, &count);
    while (at < count && strcmp(columns[at], name) != 0)
        at++;
    assert_true(at < count);
    return at;
}

struct told {
    int64_t device, hour;
    const char *code, *issuer;
    int64_t outcome, currency;
};

static void sell(struct temp_fleet *fleet, struct told told)
{
    static uint64_t seq;
    struct fleetdb_value values[FLEETDB_COLUMNS_MAX];
    struct err err = {0};
    const bool expect_held = false;
    enum fleetdb_insert outcome = FLEETDB_SAME;
    const int64_t now_ms = begun_ms + told.hour * hour_ms;
    temp_fleet_nothing(values);
    values[place_of("code")] = fleetdb_bytes(FLEETDB_TEXT, bytes_of(told.code, strlen(told.code)));
    values[place_of("issuer_bucket")] =
        fleetdb_bytes(FLEETDB_TEXT, bytes_of(told.issuer, strlen(told.issuer)));
    values[place_of("outcome")].integer = told.outcome;
    values[place_of("currency")].integer = told.currency;
    values[place_of("amount_minor")].integer = 100;
    const struct fleetdb_record record = {.device = told.device,
                                          .lane = 1,
                                          .incarnation = 7,
                                          .seq = ++seq,
                                          .received_ms = now_ms,
                                          .at_ms = now_ms,
                                          .values = values};
    if (!fleetdb_insert(fleet->db, &record, 1, &expect_held, &outcome, &err))
        fail_msg("%s", err.text);
    assert_int_equal(outcome, FLEETDB_NEW);
}

/* As a hostile terminal does: `count` results, each with another code and issuer. */
static void invent(struct temp_fleet *fleet, int64_t device, int64_t hour, int count)
{
    char code[8], issuer[16];
    assert_true(fleetdb_begin(fleet->db, NULL));
    for (int i = 0; i < count; i++) {
        (void)snprintf(code, sizeof code, "%c%c", 'a' + i % 26, 'a' + i / 26 % 26);
        (void)snprintf(issuer, sizeof issuer, "bank %d", i);
        sell(fleet, (struct told){device, hour, code, issuer, i % 2 == 0 ? OUTCOME_DECLINED : 77,
                                  i % 1000});
    }
    assert_true(fleetdb_commit(fleet->db, NULL));
}

static void sums_are_right(struct temp_fleet *fleet)
{
    char why[120] = "";
    uint64_t wrong = 1;
    assert_true(fleetdb_rollups_check(fleet->db, &wrong, why, sizeof why, NULL));
    assert_string_equal(why, "");
    assert_int_equal(wrong, 0);
}

static int64_t number(struct temp_fleet *fleet, const char *sql)
{
    return temp_fleet_number(fleet, sql);
}

static void what_is_ever_another_is_one(void **state)
{
    static const char *const tables[] = {"rollup_code_minute",   "rollup_code_hour",
                                         "rollup_issuer_hour",   "rollup_entry_hour",
                                         "rollup_software_hour", "rollup_device_hour"};
    struct temp_fleet *fleet = *state;
    int64_t device = temp_fleet_device(fleet, "t1"), honest = temp_fleet_device(fleet, "t2");
    char sql[96];
    invent(fleet, device, 0, VARIETY_MAX + MORE);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", tables[i]);
        assert_in_range(number(fleet, sql), 1, VARIETY_MAX + 2); /* beyond: by two outcomes */
        (void)snprintf(sql, sizeof sql, "SELECT sum(results) FROM %s", tables[i]);
        assert_int_equal(number(fleet, sql), VARIETY_MAX + MORE);
    }
    assert_int_equal(fleetdb_folded(fleet->db), MORE);
    assert_int_equal(number(fleet, "SELECT sum(results) FROM rollup_code_hour WHERE code = '?'"
                                   " AND outcome = 2 AND currency = 0 AND amount_minor = 0"),
                     MORE / 2);
    /* What it told before goes on to be told apart, and what others tell; the row says it all. */
    invent(fleet, device, 0, 10);
    sell(fleet, (struct told){honest, 0, "zz", "new", OUTCOME_DECLINED, 156});
    assert_int_equal(fleetdb_folded(fleet->db), MORE);
    assert_int_equal(number(fleet, "SELECT count(*) FROM result WHERE issuer_bucket = '?'"), 0);
    sums_are_right(fleet);
}

static void the_next_hour_is_another(void **state)
{
    struct temp_fleet *fleet = *state;
    int64_t device = temp_fleet_device(fleet, "t1");
    invent(fleet, device, 0, VARIETY_MAX + MORE);
    sell(fleet, (struct told){device, 1, "new", "new", OUTCOME_DECLINED, 156});
    assert_int_equal(fleetdb_folded(fleet->db), MORE);
    assert_int_equal(number(fleet, "SELECT count(*) FROM rollup_code_hour WHERE code = 'new'"), 1);
    sums_are_right(fleet);
}

static int64_t count_of(struct temp_fleet *fleet, const struct fleetdb_question *question,
                        const char *key, const char *source)
{
    struct fleetdb_rates *rates = NULL;
    int64_t sum = 0;
    size_t count = 0;
    assert_true(fleetdb_rates_open(fleet->db, question, &rates, NULL));
    for (bool done = false; !done;)
        assert_true(fleetdb_rates_step(rates, &done, NULL));
    assert_string_equal(fleetdb_rates_source(rates), source);
    const struct fleetdb_rate *list = fleetdb_rates_list(rates, &count);
    for (size_t i = 0; i < count; i++)
        sum += strcmp(list[i].key, key) == 0 ? list[i].results + list[i].not_in_service : 0;
    fleetdb_rates_close(rates);
    return sum;
}

/* Whatever it is read from. */
static void all_answers_say_the_same(void **state)
{
    struct temp_fleet *fleet = *state;
    int64_t device = temp_fleet_device(fleet, "t1");
    const struct fleetdb_choice code = {.dim = FLEETDB_DIM_CODE, .text = "?"};
    const struct fleetdb_choice both[] = {code, {.dim = FLEETDB_DIM_ISSUER, .text = "?"}};
    struct fleetdb_question question = {
        .from_ms = begun_ms, .to_ms = begun_ms + hour_ms, .error_outcome = -1, .choices = both};
    invent(fleet, device, 0, VARIETY_MAX + MORE);
    question.by = FLEETDB_DIM_CODE;
    assert_int_equal(count_of(fleet, &question, "?", "code"), MORE);
    question.by = FLEETDB_DIM_MODEL;
    assert_int_equal(count_of(fleet, &question, "?", "software"), MORE);
    question.by = FLEETDB_DIM_FIRMWARE;
    question.choice_count = 2;
    assert_int_equal(count_of(fleet, &question, "?", "rows"), MORE);
}

/* Nor does another time of it tell it apart again. */
static void a_corrected_time_changes_nothing_of_it(void **state)
{
    struct temp_fleet *fleet = *state;
    int64_t device = temp_fleet_device(fleet, "t1");
    invent(fleet, device, 5, VARIETY_MAX + MORE);
    const int64_t row = number(fleet, "SELECT max(id) FROM result");
    const struct fleetdb_loose judged = {.id = row, .at_ms = begun_ms};
    assert_true(fleetdb_redo_write(fleet->db, 1, &judged, NULL));
    assert_int_equal(number(fleet, "SELECT count(*) FROM result WHERE software = -1"), MORE);
    assert_int_equal(number(fleet, "SELECT count(*) FROM rollup_code_hour WHERE code = '?'"
                                   " AND bucket = (SELECT min(bucket) FROM rollup_code_hour)"),
                     1);
    sums_are_right(fleet);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_fleet_open, temp_fleet_close)
    const struct CMUnitTest tests[] = {
        TEST(what_is_ever_another_is_one),
        TEST(the_next_hour_is_another),
        TEST(all_answers_say_the_same),
        TEST(a_corrected_time_changes_nothing_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
