/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_keeping.h"

#include "storage/fleetdb_clock.h"
#include "storage/fleetdb_feed.h"
#include "storage/fleetdb_presence.h"
#include "storage/fleetdb_rates.h"
#include "storage/fleetdb_rollups.h"
#include "storage/fleetdb_room.h"
#include "storage/fleetdb_spans.h"
#include "tests/unit/collector_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const int64_t hour_ms = 3600 * 1000, day_ms = 24 * 3600 * 1000;

static int64_t number(struct world *world, const char *sql)
{
    return temp_fleet_number(world->fleet, sql);
}

static void doctor(struct world *world, const char *sql)
{
    temp_fleet_change(world->fleet, sql);
}

static void sums_are_right(struct world *world)
{
    char text[120] = "";
    uint64_t wrong = 0;
    assert_true(fleetdb_rollups_check(world->fleet->db, &wrong, text, sizeof text, NULL));
    if (wrong != 0)
        fail_msg("%s", text);
    assert_true(fleetdb_spans_check(world->fleet->db, &wrong, NULL));
    assert_int_equal(wrong, 0);
}

/* All that is older than `before_ms`, in small steps; returns how many were removed. */
static uint64_t age(struct world *world, enum fleetdb_kept kept, int64_t before_ms,
                    int64_t open_before_ms)
{
    const struct fleetdb_ageing ageing = {
        .before_ms = before_ms, .open_before_ms = open_before_ms, .rows = 7};
    struct err err = {0};
    uint64_t sum = 0, removed = 0;
    int64_t after = 0;
    for (bool more = true; more; sum += removed) {
        if (!fleetdb_age(world->fleet->db, kept, &ageing, &after, &removed, &more, &err))
            fail_msg("%s", err.text);
        assert_true(removed <= 7);
    }
    return sum;
}

/* As t1, made now. */
static void send_now(struct world *world, uint64_t first, uint64_t last)
{
    enum { MAX = 100 };
    Muster__TxnResult txns[MAX];
    ProtobufCMessage *rows[MAX];
    const size_t count = (size_t)(last - first + 1);
    for (size_t i = 0; i < count; i++) {
        muster__txn_result__init(&txns[i]);
        txns[i].wall_ms = WORLD_WALL_MS + world->now_ms;
        txns[i].outcome = MUSTER__OUTCOME__OUTCOME_DECLINED;
        txns[i].code = (char *)"57";
        rows[i] = &txns[i].base;
    }
    const struct lane_rows lane = {.lane = MUSTER__LANE__LANE_TXN,
                                   .incarnation = 5,
                                   .first_seq = first,
                                   .count = count,
                                   .rows = rows};
    struct buf batch = world_seal_lanes(world, "t1", &lane, 1);
    world_deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&batch));
    buf_done(&batch);
    (void)collector_turn(world->collector);
}

static int64_t rows_of(struct world *world)
{
    return number(world, "SELECT count(*) FROM result");
}

/* Twenty results today, and five a hundred days later, which are of that day. */
static void two_days(struct world *world)
{
    world_send_results(world, 5, 1, 20, 0);
    (void)collector_turn(world->collector);
    world->now_ms += 100 * day_ms;
    send_now(world, 21, 25);
    assert_int_equal(rows_of(world), 25);
}

static int64_t ago(const struct world *world, int64_t days)
{
    return WORLD_WALL_MS + world->now_ms - days * day_ms;
}

static void old_rows_go_and_their_sums_stay(void **state)
{
    struct world *world = *state;
    two_days(world);
    assert_int_equal(fleetdb_whole_from_ms(world->fleet->db, FLEETDB_KEPT_RESULTS), 0);
    assert_int_equal(age(world, FLEETDB_KEPT_RESULTS, ago(world, 30), ago(world, 30)), 20);
    assert_int_equal(number(world, "SELECT count(*) FROM result"), 5);
    assert_int_equal(number(world, "SELECT sum(results) FROM rollup_code_hour"), 25);
    assert_int_equal(number(world, "SELECT sum(results) FROM rollup_code_minute"), 25);
    /* The next hour is whole. */
    assert_int_equal(fleetdb_whole_from_ms(world->fleet->db, FLEETDB_KEPT_RESULTS),
                     (WORLD_WALL_MS / hour_ms + 1) * hour_ms);
    sums_are_right(world);
    /* Nothing more is old. */
    assert_int_equal(age(world, FLEETDB_KEPT_RESULTS, ago(world, 30), ago(world, 30)), 0);
}

static void since_when_they_are_whole_outlives_a_restart(void **state)
{
    struct world *world = *state;
    struct fleetdb_kept_view view;
    char path[128];
    two_days(world);
    (void)age(world, FLEETDB_KEPT_RESULTS, ago(world, 30), ago(world, 30));
    (void)snprintf(path, sizeof path, "%s/fleet.db", world->fleet->dir);
    collector_close(world->collector);
    fleetdb_close(world->fleet->db);
    assert_true(fleetdb_open(path, &world->fleet->db, NULL));
    world_start(world);
    assert_int_equal(fleetdb_whole_from_ms(world->fleet->db, FLEETDB_KEPT_RESULTS),
                     (WORLD_WALL_MS / hour_ms + 1) * hour_ms);
    assert_true(fleetdb_kept_look(world->fleet->db, FLEETDB_KEPT_RESULTS, &view, NULL));
    assert_int_equal(view.removed, 20);
    assert_int_equal(view.rows, 5);
    assert_int_equal(view.oldest_ms, WORLD_WALL_MS + 100 * day_ms);
    sums_are_right(world);
}

/* Sums that differ from whole rows are still found. */
static void a_wrong_sum_of_whole_rows_is_found(void **state)
{
    struct world *world = *state;
    char text[120] = "";
    uint64_t wrong = 0;
    two_days(world);
    (void)age(world, FLEETDB_KEPT_RESULTS, ago(world, 30), ago(world, 30));
    world->now_ms += 2 * hour_ms;
    doctor(world, "INSERT INTO rollup_code_hour_sum SELECT id + (2600 << 30), 1, 1"
                  " FROM rollup_code_hour_sum LIMIT 1");
    assert_true(fleetdb_rollups_check(world->fleet->db, &wrong, text, sizeof text, NULL));
    assert_int_equal(wrong, 1);
}

static void what_comes_again_after_its_row_went_is_a_repeat(void **state)
{
    struct world *world = *state;
    two_days(world);
    (void)age(world, FLEETDB_KEPT_RESULTS, ago(world, 30), ago(world, 30));
    world_send_results(world, 5, 1, 20, 0);
    world_send_results(world, 5, 3, 4, 99); /* what it differs from is not known any more */
    (void)collector_turn(world->collector);
    assert_int_equal(rows_of(world), 5);
    assert_int_equal(number(world, "SELECT sum(results) FROM rollup_code_hour"), 25);
    assert_int_equal(world->metrics.values[METRIC_REPEATS], 22);
    sums_are_right(world);
}

static void the_account_still_counts_them(void **state)
{
    struct world *world = *state;
    two_days(world);
    (void)age(world, FLEETDB_KEPT_RESULTS, ago(world, 30), ago(world, 30));
    struct fleetdb_account account = world_account(world);
    assert_int_equal(account.committed, 25);
    assert_int_equal(account.unaccounted, 0);
    /* One more that nobody has removed by age. */
    doctor(world, "DELETE FROM result WHERE seq = 23");
    struct fleetdb_account lanes[FLEETDB_LANES];
    assert_true(fleetdb_account_of(world->fleet->db, 1, true, lanes, NULL));
    assert_int_equal(lanes[0].unaccounted, 1);
}

static void duplicates_go_with_their_result(void **state)
{
    struct world *world = *state;
    world_send_results(world, 5, 1001, 1002, 0); /* keys 6001, 6002 */
    world_send_results(world, 6, 1, 2, 0);       /* the same keys */
    (void)collector_turn(world->collector);
    world->now_ms += 100 * day_ms;
    assert_int_equal(number(world, "SELECT count(*) FROM result_duplicate"), 2);
    assert_int_equal(age(world, FLEETDB_KEPT_RESULTS, ago(world, 30), ago(world, 30)), 2);
    assert_int_equal(number(world, "SELECT count(*) FROM result_duplicate"), 0);
    assert_int_equal(number(world, "SELECT records FROM account_aged"), 4);
    (void)world_account(world);
}

static void open_matters_are_kept_longer(void **state)
{
    struct world *world = *state;
    world_send_results(world, 5, 1, 20, 0);
    (void)collector_turn(world->collector);
    world_send_results(world, 5, 4, 4, 77); /* other content: somebody's question */
    (void)collector_turn(world->collector);
    doctor(world, "UPDATE result SET reversal_pending = 1 WHERE seq = 9");
    doctor(world, "UPDATE result SET outcome = 0 WHERE seq = 12");
    world->now_ms += 100 * day_ms;
    assert_int_equal(age(world, FLEETDB_KEPT_RESULTS, ago(world, 30), ago(world, 200)), 17);
    assert_int_equal(number(world, "SELECT count(*) FROM result WHERE seq IN (4, 9, 12)"), 3);
    assert_int_equal(age(world, FLEETDB_KEPT_RESULTS, ago(world, 30), ago(world, 50)), 3);
}

/* What is known of other content goes with the record that it differs from, and stays counted. */
static void conflicts_go_with_their_records(void **state)
{
    struct world *world = *state;
    world_send_results(world, 5, 1001, 1003, 0);
    world_send_results(world, 6, 1, 2, 0); /* duplicates of the first two */
    world_send_event(world, 1, MUSTER__EVENT_KIND__EVENT_DRIFT, NULL, WORLD_WALL_MS);
    world_send_event(world, 2, MUSTER__EVENT_KIND__EVENT_LOG, NULL, WORLD_WALL_MS);
    (void)collector_turn(world->collector);
    world_send_results(world, 5, 1001, 1003, 88);
    world_send_results(world, 6, 1, 1, 88);
    world_send_event(world, 1, MUSTER__EVENT_KIND__EVENT_DRIFT, NULL, WORLD_WALL_MS + 1);
    world_send_event(world, 2, MUSTER__EVENT_KIND__EVENT_LOG, NULL, WORLD_WALL_MS + 1);
    (void)collector_turn(world->collector);
    assert_int_equal(number(world, "SELECT count(*) FROM conflict"), 6);
    world->now_ms += 100 * day_ms;
    assert_int_equal(age(world, FLEETDB_KEPT_RESULTS, ago(world, 30), ago(world, 30)), 3);
    assert_int_equal(number(world, "SELECT count(*) FROM conflict WHERE lane = 1"), 0);
    assert_int_equal(number(world, "SELECT count(*) FROM conflict"), 2);
    assert_int_equal(age(world, FLEETDB_KEPT_LOGS, ago(world, 30), 0), 1);
    assert_int_equal(age(world, FLEETDB_KEPT_EVENTS, ago(world, 30), 0), 1);
    assert_int_equal(number(world, "SELECT count(*) FROM conflict"), 0);
    const struct fleetdb_account account = world_account(world);
    assert_int_equal(account.conflicts, 6);
    assert_int_equal(account.refused, 0);
}

/* An old sale that came today is as new as any. */
static void what_came_late_is_kept_as_long(void **state)
{
    struct world *world = *state;
    world->now_ms += 100 * day_ms;
    world_send_results(world, 5, 1, 3, 0); /* of WORLD_WALL_MS */
    (void)collector_turn(world->collector);
    assert_int_equal(age(world, FLEETDB_KEPT_RESULTS, ago(world, 30), ago(world, 30)), 0);
}

static void sums_by_the_minute_are_not_begun_again(void **state)
{
    struct world *world = *state;
    two_days(world);
    assert_int_equal(age(world, FLEETDB_KEPT_SUMS_MINUTE, ago(world, 30), 0), 1);
    assert_int_equal(number(world, "SELECT sum(results) FROM rollup_code_minute"), 5);
    assert_int_equal(number(world, "SELECT sum(results) FROM rollup_code_hour"), 25);
    world->now_ms = 40 * day_ms; /* a result of the removed time comes late */
    world_send_results(world, 5, 26, 26, 0);
    (void)collector_turn(world->collector);
    assert_int_equal(number(world, "SELECT sum(results) FROM rollup_code_minute"), 5);
    assert_int_equal(number(world, "SELECT sum(results) FROM rollup_code_hour"), 26);
    sums_are_right(world);
}

static void sums_by_the_hour_go_from_all_tables(void **state)
{
    struct world *world = *state;
    two_days(world);
    assert_int_equal(age(world, FLEETDB_KEPT_RESULTS, ago(world, 30), ago(world, 30)), 20);
    assert_int_equal(age(world, FLEETDB_KEPT_SUMS_HOUR, ago(world, 50), 0), 5); /* tables */
    assert_int_equal(number(world, "SELECT sum(results) FROM rollup_device_hour"), 5);
    sums_are_right(world);
}

/* What no sum is of any more needs no number. */
static void numbers_go_with_their_last_sums(void **state)
{
    static const char numbers[] = "SELECT count(*) FROM rollup_key WHERE name = 'code'";
    struct world *world = *state;
    two_days(world);
    doctor(world, "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 30)"
                  " INSERT INTO rollup_key (name, acquirer, software, scheme, entry, issuer, type,"
                  " outcome, code, currency, in_service, hour) SELECT 'code', 900 + i, 0, 0, 0, '',"
                  " 1, 1, '00', 156, 1, 1 FROM n"); /* more than go in a step */
    const int64_t before = number(world, numbers);
    (void)age(world, FLEETDB_KEPT_SUMS_HOUR, ago(world, 30), 0);
    assert_int_equal(number(world, numbers), before); /* sums by the minute may be of it */
    (void)age(world, FLEETDB_KEPT_SUMS_MINUTE, ago(world, 30), 0);
    assert_int_equal(number(world, numbers), before - 30);
    assert_int_equal(number(world, "SELECT count(*) FROM rollup_code_hour WHERE code IS NULL"), 0);
    sums_are_right(world);
}

static void the_newest_of_the_feed_stays(void **state)
{
    struct world *world = *state;
    int64_t oldest = 0, newest = 0, then = 0;
    two_days(world);
    world->now_ms += 100 * day_ms;
    assert_true(fleetdb_feed_range(world->fleet->db, &oldest, &then, NULL));
    (void)age(world, FLEETDB_KEPT_FEED, ago(world, 30), 0);
    assert_true(fleetdb_feed_range(world->fleet->db, &oldest, &newest, NULL));
    assert_int_equal(newest, then);
    assert_int_equal(oldest, then);
}

/* Also of a device that writes no more of them, and those of nobody. */
static void absences_go_by_age(void **state)
{
    struct world *world = *state;
    const int64_t now_ms = WORLD_WALL_MS + 100 * day_ms;
    for (int64_t device = 0; device < 3; device++) {
        const struct fleetdb_absence absence = {
            .from_ms = WORLD_WALL_MS, .to_ms = now_ms - (40 - 20 * (device / 2)) * day_ms};
        assert_true(fleetdb_absence_add(world->fleet->db, device, &absence, NULL));
    }
    world->now_ms += 100 * day_ms;
    assert_int_equal(age(world, FLEETDB_KEPT_ABSENCES, ago(world, 35), 0), 2);
    assert_int_equal(number(world, "SELECT count(*) FROM absence WHERE device = 2"), 1);
    assert_int_equal(number(world, "SELECT count(*) FROM absence"), 1);
}

static void logs_go_before_other_events(void **state)
{
    struct world *world = *state;
    world_send_event(world, 1, MUSTER__EVENT_KIND__EVENT_LOG, NULL, WORLD_WALL_MS);
    world_send_event(world, 2, MUSTER__EVENT_KIND__EVENT_DRIFT, NULL, WORLD_WALL_MS);
    (void)collector_turn(world->collector);
    world->now_ms += 100 * day_ms;
    assert_int_equal(age(world, FLEETDB_KEPT_LOGS, ago(world, 30), 0), 1);
    assert_int_equal(number(world, "SELECT count(*) FROM event WHERE kind <> 13"), 1);
    assert_int_equal(age(world, FLEETDB_KEPT_EVENTS, ago(world, 30), 0), 1);
    (void)world_account(world);
}

/* ---- what is asked of that time ---- */

struct answer {
    int64_t results, kept_from_ms, from_ms, to_ms;
    char source[32];
};

static struct answer ask(struct world *world, const struct fleetdb_question *question)
{
    struct fleetdb_rates *rates = NULL;
    struct answer answer = {0};
    size_t count = 0;
    assert_true(fleetdb_rates_open(world->fleet->db, question, &rates, NULL));
    for (bool done = false; !done;)
        assert_true(fleetdb_rates_step(rates, &done, NULL));
    const struct fleetdb_rate *list = fleetdb_rates_list(rates, &count);
    for (size_t i = 0; i < count; i++)
        answer.results += list[i].results + list[i].not_in_service;
    answer.kept_from_ms = fleetdb_rates_kept_from_ms(rates);
    fleetdb_rates_window(rates, &answer.from_ms, &answer.to_ms);
    (void)snprintf(answer.source, sizeof answer.source, "%s", fleetdb_rates_source(rates));
    fleetdb_rates_close(rates);
    return answer;
}

static void what_the_sums_know_is_answered_as_before(void **state)
{
    struct world *world = *state;
    const struct fleetdb_question all = {.to_ms = WORLD_WALL_MS + 200 * day_ms};
    struct fleetdb_question minutes = {.from_ms = WORLD_WALL_MS - 60000,
                                       .to_ms = WORLD_WALL_MS + 60000};
    two_days(world);
    (void)age(world, FLEETDB_KEPT_RESULTS, ago(world, 30), ago(world, 30));
    struct answer answer = ask(world, &all);
    assert_int_equal(answer.results, 25);
    assert_int_equal(answer.kept_from_ms, 0);
    /* Minutes too, as long as there are sums of them; then it is the whole hour, and says so. */
    assert_int_equal(ask(world, &minutes).to_ms - ask(world, &minutes).from_ms, 3 * 60000);
    (void)age(world, FLEETDB_KEPT_SUMS_MINUTE, ago(world, 30), 0);
    answer = ask(world, &minutes);
    assert_int_equal(answer.from_ms % hour_ms, 0);
    assert_int_equal(answer.to_ms % hour_ms, 0);
    assert_int_equal(answer.results, 20);
    assert_int_equal(answer.kept_from_ms, 0);
}

static void what_only_rows_know_is_said_to_be_gone(void **state)
{
    static const struct fleetdb_choice issuer = {.dim = FLEETDB_DIM_ISSUER, .text = ""};
    struct world *world = *state;
    const struct fleetdb_question question = {.by = FLEETDB_DIM_DEVICE,
                                              .choices = &issuer,
                                              .choice_count = 1,
                                              .error_outcome = -1,
                                              .to_ms = WORLD_WALL_MS + 200 * day_ms};
    two_days(world);
    struct answer answer = ask(world, &question);
    assert_string_equal(answer.source, "rows");
    assert_int_equal(answer.results, 25);
    assert_int_equal(answer.kept_from_ms, 0);
    (void)age(world, FLEETDB_KEPT_RESULTS, ago(world, 30), ago(world, 30));
    answer = ask(world, &question);
    assert_int_equal(answer.results, 5);
    assert_int_equal(answer.kept_from_ms, (WORLD_WALL_MS / hour_ms + 1) * hour_ms);
    assert_int_equal(answer.from_ms, answer.kept_from_ms);
}

static void sums_that_are_gone_are_said_to_be(void **state)
{
    struct world *world = *state;
    const struct fleetdb_question all = {.error_outcome = -1,
                                         .to_ms = WORLD_WALL_MS + 200 * day_ms};
    two_days(world);
    (void)age(world, FLEETDB_KEPT_RESULTS, ago(world, 30), ago(world, 30));
    (void)age(world, FLEETDB_KEPT_SUMS_HOUR, ago(world, 50), 0);
    struct answer answer = ask(world, &all);
    assert_int_equal(answer.results, 5);
    assert_int_equal(answer.kept_from_ms, ago(world, 50) / hour_ms * hour_ms);
}

/* ---- room ---- */

static int64_t file_bytes(struct world *world)
{
    char path[128];
    struct stat file;
    (void)snprintf(path, sizeof path, "%s/fleet.db", world->fleet->dir);
    assert_int_equal(stat(path, &file), 0);
    return file.st_size;
}

static void fill(struct world *world)
{
    for (uint64_t i = 0; i < 30; i++)
        world_send_results(world, 5, 1 + i * 100, 100 + i * 100, 0);
    (void)collector_turn(world->collector);
    world->now_ms += 100 * day_ms;
    send_now(world, 3001, 3005);
    assert_true(fleetdb_room_checkpoint(world->fleet->db, true, NULL));
}

static void give_back(struct world *world, int64_t spare_bytes)
{
    int64_t bytes = 0;
    for (bool more = true; more;) {
        assert_true(
            fleetdb_room_give_back(world->fleet->db, spare_bytes, 64 * 1024, &bytes, &more, NULL));
        assert_true(bytes <= 64 * 1024);
    }
    assert_true(fleetdb_room_checkpoint(world->fleet->db, false, NULL));
}

static void the_file_shrinks(void **state)
{
    struct world *world = *state;
    struct fleetdb_room room;
    fill(world);
    const int64_t before = file_bytes(world);
    (void)age(world, FLEETDB_KEPT_RESULTS, ago(world, 30), ago(world, 30));
    assert_true(fleetdb_room_look(world->fleet->db, &room, NULL));
    assert_true(room.shrinks);
    assert_true(room.free_bytes > before / 4);
    give_back(world, 128 * 1024);
    assert_true(fleetdb_room_look(world->fleet->db, &room, NULL));
    assert_in_range(room.free_bytes, 120 * 1024, 128 * 1024);
    give_back(world, 0);
    assert_true(fleetdb_room_look(world->fleet->db, &room, NULL));
    assert_int_equal(room.free_bytes, 0);
    assert_int_equal(file_bytes(world), room.file_bytes);
    assert_true(file_bytes(world) < before * 2 / 3);
    (void)world_account(world);
    sums_are_right(world);
}

/* One that was made before it could shrink. */
static void an_old_file_shrinks_after_it_was_written_anew(void **state)
{
    struct world *world = *state;
    struct fleetdb_room room;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/fleet.db", world->fleet->dir);
    fill(world);
    collector_close(world->collector);
    fleetdb_close(world->fleet->db);
    doctor(world, "PRAGMA journal_mode=DELETE; PRAGMA auto_vacuum=NONE; VACUUM");
    assert_true(fleetdb_open(path, &world->fleet->db, NULL));
    world_start(world);
    (void)age(world, FLEETDB_KEPT_RESULTS, ago(world, 30), ago(world, 30));
    const int64_t before = file_bytes(world);
    assert_true(fleetdb_room_look(world->fleet->db, &room, NULL));
    assert_false(room.shrinks);
    give_back(world, 0);
    assert_int_equal(file_bytes(world), before);
    assert_true(fleetdb_vacuum(world->fleet->db, NULL));
    assert_true(fleetdb_room_look(world->fleet->db, &room, NULL));
    assert_true(room.shrinks);
    assert_int_equal(room.free_bytes, 0);
    assert_true(file_bytes(world) < before * 2 / 3);
    assert_int_equal(rows_of(world), 5);
    sums_are_right(world);
}

/* A file that says to be larger than any disk here, most of it a hole. */
static void grow(const char *path)
{
    enum { COUNT_AT = 28, PAGES = 1 << 29 }; /* the file format's "database size in pages" */
    const uint8_t count[4] = {PAGES >> 24, (PAGES >> 16) & 0xff, (PAGES >> 8) & 0xff, PAGES & 0xff};
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, COUNT_AT, SEEK_SET), 0);
    assert_int_equal(fwrite(count, 1, sizeof count, file), sizeof count);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(truncate(path, (int64_t)PAGES * 4096), 0);
}

static void where_there_is_no_room_nothing_is_written_anew(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    char path[128];
    (void)snprintf(path, sizeof path, "%s/fleet.db", world->fleet->dir);
    collector_close(world->collector);
    fleetdb_close(world->fleet->db);
    grow(path);
    assert_true(fleetdb_open(path, &world->fleet->db, NULL));
    world_start(world);
    assert_false(fleetdb_vacuum(world->fleet->db, &err));
    assert_int_equal(err.code, ERR_FULL);
    assert_non_null(strstr(err.text, "MiB free"));
}

/* Row 4 is corrected before row 3: so their spans, of one quarter, lie side by side. */
static void spans_side_by_side_both_go(void **state)
{
    struct world *world = *state;
    struct fleetdb *db = world->fleet->db;
    struct fleetdb_device device;
    uint64_t wrong = 1, removed = 0;
    int64_t after = 0;
    bool more = true;
    const int64_t quarter_ms = 1000 * fleetdb_span_ms, late_ms = quarter_ms + day_ms;
    assert_true(fleetdb_device_find(db, "t1", &device, NULL));
    for (int64_t row = 1; row <= 4; row++)
        (void)temp_fleet_result(world->fleet,
                                (struct fleetdb_record){.device = device.device,
                                                        .incarnation = 1,
                                                        .seq = (uint64_t)row,
                                                        .received_ms = quarter_ms,
                                                        .at_ms = row > 2 ? late_ms : quarter_ms,
                                                        .bound_ms = row > 2 ? -1 : 0});
    for (int64_t row = 4; row >= 3; row--) {
        const struct fleetdb_loose judged = {.id = row, .at_ms = quarter_ms};
        assert_true(fleetdb_redo_write(db, 1, &judged, NULL));
    }
    assert_int_equal(number(world, "SELECT count(*) FROM result_span"), 2);
    const struct fleetdb_ageing ageing = {late_ms, late_ms, 100};
    assert_true(fleetdb_age(db, FLEETDB_KEPT_RESULTS, &ageing, &after, &removed, &more, NULL));
    assert_int_equal(removed, 4);
    assert_true(fleetdb_spans_check(db, &wrong, NULL));
    assert_int_equal(wrong, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(old_rows_go_and_their_sums_stay),
        TEST(since_when_they_are_whole_outlives_a_restart),
        TEST(a_wrong_sum_of_whole_rows_is_found),
        TEST(what_comes_again_after_its_row_went_is_a_repeat),
        TEST(the_account_still_counts_them),
        TEST(duplicates_go_with_their_result),
        TEST(open_matters_are_kept_longer),
        TEST(conflicts_go_with_their_records),
        TEST(what_came_late_is_kept_as_long),
        TEST(spans_side_by_side_both_go),
        TEST(sums_by_the_minute_are_not_begun_again),
        TEST(sums_by_the_hour_go_from_all_tables),
        TEST(numbers_go_with_their_last_sums),
        TEST(the_newest_of_the_feed_stays),
        TEST(absences_go_by_age),
        TEST(logs_go_before_other_events),
        TEST(what_the_sums_know_is_answered_as_before),
        TEST(what_only_rows_know_is_said_to_be_gone),
        TEST(sums_that_are_gone_are_said_to_be),
        TEST(the_file_shrinks),
        TEST(an_old_file_shrinks_after_it_was_written_anew),
        TEST(where_there_is_no_room_nothing_is_written_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
