/* SPDX-License-Identifier: Apache-2.0 */
/* However much a terminal has sent of one moment, a question is read in slices of few rows. */
#include "storage/fleetdb_rates.h"
#include "storage/fleetdb_unsure.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <stdio.h>

static const int64_t hour_ms = 3600 * INT64_C(1000), begun_ms = INT64_C(1767225600000);

enum { LOOSE = 5000, HOURS = 48, SUMS_AN_HOUR = 2000 };

static void sell(struct temp_fleet *fleet, int64_t device, uint64_t first, uint64_t count,
                 int64_t bound_ms)
{
    assert_true(fleetdb_begin(fleet->db, NULL));
    for (uint64_t seq = first; seq < first + count; seq++) {
        const struct fleetdb_record record = {.device = device,
                                              .incarnation = 7 + seq % 2,
                                              .seq = seq,
                                              .received_ms = begun_ms,
                                              .at_ms = begun_ms,
                                              .bound_ms = bound_ms};
        assert_int_equal(temp_fleet_result(fleet, record), FLEETDB_NEW);
    }
    assert_true(fleetdb_commit(fleet->db, NULL));
}

struct answer {
    int64_t results, steps, first_ms, second_ms; /* of the window, in the first two steps */
};

static struct answer ask(struct temp_fleet *fleet, const struct fleetdb_question *question,
                         const char *source)
{
    struct fleetdb_rates *rates = NULL;
    struct answer answer = {0};
    int64_t read_ms = 0, all_ms = 0;
    size_t count = 0;
    assert_true(fleetdb_rates_open(fleet->db, question, &rates, NULL));
    assert_string_equal(fleetdb_rates_source(rates), source);
    for (bool done = false; !done; answer.steps++) {
        assert_true(fleetdb_rates_step(rates, &done, NULL));
        fleetdb_rates_progress(rates, &read_ms, &all_ms);
        if (answer.steps == 0)
            answer.first_ms = read_ms;
        if (answer.steps == 1)
            answer.second_ms = read_ms - answer.first_ms;
    }
    const struct fleetdb_rate *list = fleetdb_rates_list(rates, &count);
    for (size_t i = 0; i < count; i++)
        answer.results += list[i].results + list[i].not_in_service;
    fleetdb_rates_close(rates);
    return answer;
}

/* Two results, and between them the places of many; one lies at the end of a slice, and one at the
 * beginning of another. */
static void rows_of_one_moment_are_many_slices(void **state)
{
    struct temp_fleet *fleet = *state;
    const struct fleetdb_choice code = {.dim = FLEETDB_DIM_CODE, .text = ""};
    const struct fleetdb_question question = {
        .by = FLEETDB_DIM_FIRMWARE,
        .choices = (const struct fleetdb_choice[]){code, {.dim = FLEETDB_DIM_ISSUER, .text = ""}},
        .choice_count = 2,
        .error_outcome = -1,
        .from_ms = begun_ms,
        .to_ms = begun_ms + hour_ms};
    sell(fleet, temp_fleet_device(fleet, "t1"), 1, 4, 0);
    const struct answer few = ask(fleet, &question, "rows");
    assert_int_equal(few.results, 4);
    temp_fleet_change(fleet,
                      "UPDATE result SET id = 90000 WHERE id = 4;"
                      "UPDATE result SET id = 10001 WHERE id = 3;"
                      "UPDATE result SET id = 10000 WHERE id = 2;"
                      "UPDATE result_span SET last_row = 5000;"
                      "INSERT INTO result_span SELECT bucket, 5001, 100000 FROM result_span");
    const struct answer many = ask(fleet, &question, "rows");
    assert_int_equal(many.results, 4);
    assert_in_range(many.steps, few.steps + 9, few.steps + 11);
}

/* One stray sum long before, then much at once: neither takes more than its share of a turn. */
static void sums_are_read_in_slices_of_few(void **state)
{
    struct temp_fleet *fleet = *state;
    char sql[400];
    const struct fleetdb_question question = {.by = FLEETDB_DIM_CODE,
                                              .error_outcome = -1,
                                              .from_ms = begun_ms,
                                              .to_ms = begun_ms + 100 * 24 * hour_ms};
    (void)snprintf(
        sql, sizeof sql,
        "WITH RECURSIVE n (i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
        " INSERT INTO rollup_key SELECT 1 + i, 'code', i, 0, 0, 0, '', 1, 1, '00', 156, 1, 0 FROM "
        "n;"
        "WITH RECURSIVE n (i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
        " INSERT INTO rollup_code_hour_sum SELECT (%lld + i / %d << 30) + 1 + i %% %d, 1, 0 FROM n",
        SUMS_AN_HOUR - 1, HOURS * SUMS_AN_HOUR - 1, (long long)(begun_ms / hour_ms), SUMS_AN_HOUR,
        SUMS_AN_HOUR);
    temp_fleet_change(fleet, sql);
    const struct answer heavy = ask(fleet, &question, "code");
    assert_int_equal(heavy.results, HOURS * SUMS_AN_HOUR);
    assert_int_equal(heavy.first_ms, 5 * hour_ms);
    assert_int_equal(heavy.second_ms, 5 * hour_ms);
    assert_int_equal(heavy.steps, 10);
    temp_fleet_change(fleet, "INSERT INTO rollup_code_hour_sum SELECT min(id) - (9600 << 30), 1, 0"
                             " FROM rollup_code_hour_sum");
    const struct fleetdb_question longer = {.by = FLEETDB_DIM_CODE,
                                            .error_outcome = -1,
                                            .from_ms = begun_ms - 400 * 24 * hour_ms,
                                            .to_ms = begun_ms + 100 * 24 * hour_ms};
    const struct answer stray = ask(fleet, &longer, "code");
    assert_int_equal(stray.results, HOURS * SUMS_AN_HOUR + 1);
    assert_int_equal(stray.first_ms, 400 * 24 * hour_ms + 4 * hour_ms);
    assert_int_equal(stray.second_ms, 5 * hour_ms);
    assert_int_equal(stray.steps, 10);
    /* Much time with little in it is one. */
    temp_fleet_change(fleet, "DELETE FROM rollup_code_hour_sum WHERE id IN"
                             " (SELECT id FROM rollup_code_hour WHERE acquirer > 0);"
                             "INSERT INTO rollup_code_hour_sum SELECT max(id) + (2400 << 30), 1, 0"
                             " FROM rollup_code_hour_sum");
    const struct answer light = ask(fleet, &question, "code");
    assert_int_equal(light.results, HOURS);
    assert_int_equal(light.steps, 1);
}

static void results_of_no_sure_time_are_looked_at_by_and_by(void **state)
{
    struct temp_fleet *fleet = *state;
    int64_t device = temp_fleet_device(fleet, "t1"), other = temp_fleet_device(fleet, "t2");
    struct fleetdb_unsure *unsure = NULL;
    const struct fleetdb_question question = {.from_ms = begun_ms, .to_ms = begun_ms + hour_ms};
    int64_t steps = 0;
    temp_fleet_change(fleet, "UPDATE standing SET life = 'in_service'");
    sell(fleet, device, 1, LOOSE, -1);
    sell(fleet, other, 1, 10, -1);
    sell(fleet, other, 11, 10, 0);
    assert_true(fleetdb_unsure_open(fleet->db, &question, &unsure, NULL));
    for (bool done = false; !done; steps++)
        assert_true(fleetdb_unsure_step(unsure, &done, NULL));
    assert_int_equal(fleetdb_unsure_count(unsure), LOOSE + 10);
    assert_int_equal(steps, 3);
    fleetdb_unsure_close(unsure);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_fleet_open, temp_fleet_close)
    const struct CMUnitTest tests[] = {
        TEST(rows_of_one_moment_are_many_slices),
        TEST(sums_are_read_in_slices_of_few),
        TEST(results_of_no_sure_time_are_looked_at_by_and_by),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
