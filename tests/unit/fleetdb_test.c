/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb.h"

#include "storage/fleetdb_desired.h"
#include "storage/fleetdb_internal.h"
#include "storage/fleetdb_presence.h"
#include "storage/fleetdb_records.h"
#include "storage/fleetdb_streams.h"
#include "storage/fleetdb_views.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct fleetdb *db_of(void **state)
{
    return ((struct temp_fleet *)*state)->db;
}

static struct fleetdb_enrolment enrolment(const char *id, const char *serial, const char *key)
{
    return (struct fleetdb_enrolment){.id = id,
                                      .serial = serial,
                                      .model = "A920",
                                      .agent_key = bytes_of(key, strlen(key)),
                                      .merchant_id = "m1",
                                      .merchant_name = "Merchant",
                                      .store_id = "s1",
                                      .store_name = "Store",
                                      .region = "south"};
}

static int64_t enrol(struct fleetdb *db, const struct fleetdb_enrolment *with, int64_t now_ms)
{
    struct err err = {0};
    int64_t device = 0;
    if (!fleetdb_enrol(db, with, now_ms, &device, &err))
        fail_msg("%s", err.text);
    return device;
}

static enum err_code refusal(struct fleetdb *db, const struct fleetdb_enrolment *with)
{
    struct err err = {0};
    int64_t device = -1;
    assert_false(fleetdb_enrol(db, with, 5000, &device, &err));
    assert_int_equal(device, -1);
    return err.code;
}

/* SQLite's own hook, which that pragma puts in the place of ours, says nothing of a checkpoint
 * whose fsync failed; it answers 0 where its hook is not. */
static void its_own_hook_makes_the_checkpoints(void **state)
{
    int64_t pages = -1;
    assert_true(sqlite_pragma(db_of(state)->sqlite, &pages, NULL, "PRAGMA wal_autocheckpoint"));
    assert_int_equal(pages, 0);
}

static void enrolment_can_be_repeated(void **state)
{
    struct fleetdb *db = db_of(state);
    struct fleetdb_enrolment first = enrolment("d1", "SN1", "key-1");
    int64_t device = enrol(db, &first, 1000);
    assert_int_equal(enrol(db, &first, 2000), device);
    struct fleetdb_device found;
    assert_true(fleetdb_device_find(db, "d1", &found, NULL));
    assert_int_equal(found.device, device);
    assert_int_equal(found.life, FLEETDB_IN_SERVICE);
    struct err err = {0};
    assert_false(fleetdb_device_find(db, "d2", &found, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void what_is_anothers_is_a_conflict(void **state)
{
    struct fleetdb *db = db_of(state);
    struct fleetdb_enrolment first = enrolment("d1", "SN1", "key-1");
    enrol(db, &first, 1000);
    struct fleetdb_enrolment same_serial = enrolment("d2", "SN1", "key-2");
    assert_int_equal(refusal(db, &same_serial), ERR_CONFLICT);
    struct fleetdb_enrolment same_key = enrolment("d2", "SN2", "key-1");
    assert_int_equal(refusal(db, &same_key), ERR_CONFLICT);
    struct fleetdb_enrolment same_id = enrolment("d1", "SN2", "key-2");
    assert_int_equal(refusal(db, &same_id), ERR_CONFLICT);
    struct fleetdb_device found;
    assert_false(fleetdb_device_find(db, "d2", &found, NULL));
}

static void a_key_is_replaced_from_now_on(void **state)
{
    struct fleetdb *db = db_of(state);
    struct fleetdb_enrolment with = enrolment("d1", "SN1", "key-1");
    int64_t device = enrol(db, &with, 1000);
    with.agent_key = bytes_of("key-2", 5);
    enrol(db, &with, 2000);
    struct fleetdb_key keys[FLEETDB_KEYS_MAX];
    size_t count = 0;
    assert_true(fleetdb_agent_keys(db, device, 1500, keys, &count, NULL));
    assert_int_equal(count, 1);
    assert_memory_equal(keys[0].spki, "key-1", 5);
    assert_true(fleetdb_agent_keys(db, device, 2000, keys, &count, NULL));
    assert_int_equal(count, 1);
    assert_memory_equal(keys[0].spki, "key-2", 5);
    assert_true(fleetdb_agent_keys(db, device, 900, keys, &count, NULL));
    assert_int_equal(count, 0);
}

static bool list_terminal(void *ctx, const struct fleetdb_terminal_view *view, struct err *err)
{
    (void)err;
    char *text = ctx;
    (void)snprintf(text + strlen(text), 100 - strlen(text), "%u:%s:%s ", view->index,
                   view->acquirer, view->tid);
    return true;
}

static void assert_terminals(struct fleetdb *db, int64_t device, const char *expected)
{
    char text[100] = "";
    assert_true(fleetdb_view_terminals(db, device, list_terminal, text, NULL));
    assert_string_equal(text, expected);
}

static void a_logical_terminal_is_on_one_device(void **state)
{
    struct fleetdb *db = db_of(state);
    static const struct fleetdb_terminal two[] = {{0, "union", "T1", "M1"},
                                                  {1, "visa", "T2", "M1"}};
    struct fleetdb_enrolment old = enrolment("d1", "SN1", "key-1");
    old.terminals = two;
    old.terminal_count = 2;
    int64_t before = enrol(db, &old, 1000);
    enrol(db, &old, 1500);
    assert_terminals(db, before, "0:union:T1 1:visa:T2 ");
    struct fleetdb_enrolment next = enrolment("d2", "SN2", "key-2");
    next.terminals = two;
    next.terminal_count = 1;
    assert_int_equal(refusal(db, &next), ERR_CONFLICT);
    assert_terminals(db, before, "0:union:T1 1:visa:T2 ");
    old.terminals = two + 1;
    old.terminal_count = 1;
    enrol(db, &old, 2000);
    int64_t after = enrol(db, &next, 2000);
    assert_terminals(db, before, "1:visa:T2 ");
    assert_terminals(db, after, "0:union:T1 ");
    next.terminal_count = 0;
    enrol(db, &next, 3000);
    assert_terminals(db, after, "");
}

static void only_one_process_opens_it(void **state)
{
    struct temp_fleet *fleet = *state;
    char path[128];
    struct fleetdb *second = NULL;
    struct err err = {0};
    (void)snprintf(path, sizeof path, "%s/fleet.db", fleet->dir);
    assert_false(fleetdb_open(path, &second, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    fleetdb_close(fleet->db);
    assert_true(fleetdb_open(path, &fleet->db, &err));
}

static unsigned mode_of(const char *path, const char *suffix)
{
    char name[160];
    struct stat st;
    (void)snprintf(name, sizeof name, "%s%s", path, suffix);
    assert_int_equal(stat(name, &st), 0);
    return st.st_mode & 0777;
}

/* The secrets of webhooks are in it. */
static void nobody_else_reads_it(void **state)
{
    struct temp_fleet *fleet = *state;
    char path[128];
    struct fleetdb *db = NULL;
    (void)snprintf(path, sizeof path, "%s/private.db", fleet->dir);
    const mode_t before = umask(0);
    assert_true(fleetdb_open(path, &db, NULL));
    static const char *const files[] = {"", "-wal", "-shm", "-lock"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        assert_int_equal(mode_of(path, files[i]), 0600);
    fleetdb_close(db);
    /* A group that is let in stays, what all others could do does not. */
    assert_int_equal(chmod(path, 0646), 0);
    assert_true(fleetdb_open(path, &db, NULL));
    assert_int_equal(mode_of(path, ""), 0640);
    assert_int_equal(mode_of(path, "-wal"), 0640);
    fleetdb_close(db);
    (void)umask(before);
}

/* ---- records ---- */

struct event {
    uint64_t seq, digest;
    const char *text;
};

static enum fleetdb_insert insert_event(struct fleetdb *db, int64_t device,
                                        const struct event *event, bool expect_held)
{
    struct fleetdb_value values[FLEETDB_COLUMNS_MAX] = {0};
    size_t count = 0;
    const char *const *columns = fleetdb_columns(2, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(columns[i], "text") == 0 || strcmp(columns[i], "item") == 0)
            values[i] = fleetdb_bytes(FLEETDB_TEXT, bytes_of(event->text, strlen(event->text)));
        else if (strcmp(columns[i], "detail") == 0)
            values[i].type = FLEETDB_BLOB;
    }
    struct fleetdb_record record = {.device = device,
                                    .lane = 2,
                                    .incarnation = UINT64_MAX,
                                    .seq = event->seq,
                                    .digest = event->digest,
                                    .received_ms = 10,
                                    .values = values};
    enum fleetdb_insert outcome = FLEETDB_NEW;
    struct err err = {0};
    if (!fleetdb_insert(db, &record, 1, &expect_held, &outcome, &err))
        fail_msg("%s", err.text);
    return outcome;
}

static bool count_event(void *ctx, const struct fleetdb_event_view *view, struct err *err)
{
    (void)err;
    (void)view;
    ++*(int *)ctx;
    return true;
}

static int events(struct fleetdb *db, int64_t device)
{
    int count = 0;
    assert_true(fleetdb_view_events(db, device, 100, count_event, &count, NULL));
    return count;
}

static void an_id_is_held_once(void **state)
{
    struct fleetdb *db = db_of(state);
    int64_t device = temp_fleet_device(*state, "d1");
    const struct event one = {1, UINT64_C(0xffffffff00000001), "one"}, other = {1, 2, "other"};
    assert_int_equal(insert_event(db, device, &one, false), FLEETDB_NEW);
    assert_int_equal(insert_event(db, device, &one, false), FLEETDB_SAME);
    assert_int_equal(insert_event(db, device, &one, true), FLEETDB_SAME);
    assert_int_equal(insert_event(db, device, &other, false), FLEETDB_CONFLICT);
    assert_int_equal(insert_event(db, device, &other, true), FLEETDB_CONFLICT);
    assert_int_equal(events(db, device), 1);
    /* Committed once, and removed since. */
    const struct event gone = {9, 9, "gone"};
    assert_int_equal(insert_event(db, device, &gone, true), FLEETDB_SAME);
    assert_int_equal(events(db, device), 1);
    uint64_t seqs[4];
    size_t count = 0;
    assert_true(fleetdb_stream_conflicts(db, device, UINT64_MAX, 2, seqs, 4, &count, NULL));
    assert_int_equal(count, 1);
    assert_int_equal(seqs[0], 1);
}

static void what_is_not_committed_is_not_there(void **state)
{
    struct temp_fleet *fleet = *state;
    char path[128];
    int64_t device = temp_fleet_device(fleet, "d1");
    const struct event one = {1, 1, "one"}, two = {2, 2, "two"};
    assert_true(fleetdb_begin(fleet->db, NULL));
    insert_event(fleet->db, device, &one, false);
    assert_true(fleetdb_commit(fleet->db, NULL));
    assert_true(fleetdb_begin(fleet->db, NULL));
    insert_event(fleet->db, device, &two, false);
    fleetdb_close(fleet->db);
    (void)snprintf(path, sizeof path, "%s/fleet.db", fleet->dir);
    assert_true(fleetdb_open(path, &fleet->db, NULL));
    assert_int_equal(events(fleet->db, device), 1);
}

static void streams_are_read_as_written(void **state)
{
    struct fleetdb *db = db_of(state);
    int64_t device = temp_fleet_device(*state, "d1");
    struct fleetdb_stream stream, again;
    const struct fleetdb_claim claim = {.incarnation = UINT64_MAX, .lane = 1, .last_seq = 30};
    assert_true(fleetdb_stream_read(db, device, UINT64_MAX, 1, &stream, NULL));
    assert_int_equal(stream.stream, 0);
    stream.cumulative = 5;
    stream.range_count = 2;
    stream.ranges[0] = (struct fleetdb_range){7, 9};
    stream.ranges[1] = (struct fleetdb_range){20, INT64_MAX};
    assert_true(fleetdb_stream_write(db, device, &stream, 1000, NULL));
    assert_true(fleetdb_stream_read(db, device, UINT64_MAX, 1, &again, NULL));
    assert_int_equal(again.stream, stream.stream);
    assert_int_equal(again.cumulative, 5);
    assert_int_equal(again.range_count, 2);
    assert_memory_equal(again.ranges, stream.ranges, 2 * sizeof stream.ranges[0]);
    again.range_count = 0;
    assert_true(fleetdb_stream_write(db, device, &again, 2000, NULL));
    bool kept = false;
    assert_true(fleetdb_stream_claim(db, device, &claim, 3000, &kept, NULL));
    assert_true(kept);
    assert_true(fleetdb_stream_read(db, device, UINT64_MAX, 1, &stream, NULL));
    assert_int_equal(stream.cumulative, 5);
    assert_int_equal(stream.range_count, 0);
    assert_true(stream.last_seq == INT64_MAX); /* never lowered */
}

/* ---- views ---- */

struct seen {
    bool online, converged;
    int64_t seen_ms;
    uint64_t held_manifest_version, records, drift;
};

static bool take_view(void *ctx, const struct fleetdb_device_view *view, struct err *err)
{
    (void)err;
    *(struct seen *)ctx =
        (struct seen){view->online,  view->converged, view->seen_ms, view->held_manifest_version,
                      view->records, view->drift};
    return true;
}

static struct seen view_of(struct fleetdb *db, int64_t device)
{
    struct seen seen = {0};
    assert_true(fleetdb_view_device(db, device, take_view, &seen, NULL));
    return seen;
}

static void a_device_is_seen_as_reported(void **state)
{
    struct fleetdb *db = db_of(state);
    int64_t device = temp_fleet_device(*state, "d1");
    assert_false(view_of(db, device).converged);
    struct fleetdb_report report = {.received_ms = 500,
                                    .hello_ms = 500,
                                    .incarnation = 4,
                                    .boot_ms = 77,
                                    .manifest_version = 3,
                                    .converged = true};
    assert_true(fleetdb_report_write(db, device, &report, NULL));
    const struct fleetdb_item item = {
        .name = "bins", .state = 4, .reason = "hash", .held_sha256 = bytes_of("", 0)};
    assert_true(fleetdb_item_write(db, device, &item, 500, NULL));
    struct fleetdb_presence presence = {
        .device = device, .state = FLEETDB_ONLINE, .since_ms = 600, .seen_ms = 600, .known_ms = 1};
    assert_true(fleetdb_presence_write(db, &presence, NULL));
    struct seen seen = view_of(db, device);
    assert_true(seen.online && seen.converged);
    assert_int_equal(seen.seen_ms, 600);
    assert_int_equal(seen.drift, 1);
    assert_true(fleetdb_presence_doubt(db, NULL));
    assert_false(view_of(db, device).online);
    report.hello_ms = 0;
    assert_true(fleetdb_report_write(db, device, &report, NULL));
    assert_true(fleetdb_report_read(db, device, &report, NULL));
    assert_int_equal(report.hello_ms, 500);
    assert_int_equal(report.boot_ms, 77);
}

/* Versions begin again with an epoch: a device in an older one holds nothing of the newer. */
static void a_higher_epoch_is_newer_than_any_version(void **state)
{
    struct fleetdb *db = db_of(state);
    int64_t device = temp_fleet_device(*state, "d1");
    const struct fleetdb_manifest manifest = {.epoch = 2, .version = 1};
    struct fleetdb_report report = {.manifest_epoch = 1, .manifest_version = 9, .converged = true};
    assert_true(fleetdb_manifest_put(db, device, &manifest, bytes_of("m", 1), NULL));
    assert_true(fleetdb_report_write(db, device, &report, NULL));
    assert_false(view_of(db, device).converged);
    report.manifest_epoch = 2;
    report.manifest_version = 1;
    assert_true(fleetdb_report_write(db, device, &report, NULL));
    assert_true(view_of(db, device).converged);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_fleet_open, temp_fleet_close)
    const struct CMUnitTest tests[] = {
        TEST(its_own_hook_makes_the_checkpoints),
        TEST(enrolment_can_be_repeated),
        TEST(what_is_anothers_is_a_conflict),
        TEST(a_key_is_replaced_from_now_on),
        TEST(a_logical_terminal_is_on_one_device),
        TEST(only_one_process_opens_it),
        TEST(an_id_is_held_once),
        TEST(nobody_else_reads_it),
        TEST(an_id_is_held_once),
        TEST(what_is_not_committed_is_not_there),
        TEST(streams_are_read_as_written),
        TEST(a_device_is_seen_as_reported),
        TEST(a_higher_epoch_is_newer_than_any_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
