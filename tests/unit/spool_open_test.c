/* SPDX-License-Identifier: Apache-2.0 */
/* What opening makes of files that were destroyed, restored, damaged or another device's. */
#include "base/file.h"
#include "storage/spool_chain.h"
#include "tests/unit/spool_world.h"
#include "tests/unit/testing.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void stop(struct spool_world *world)
{
    spool_close(world->spool);
    world->spool = NULL;
}

static const char *beside(const struct spool_world *world, const char *suffix, char name[128])
{
    snprintf(name, 128, "%s%s", world->path, suffix);
    return name;
}

static bool there(const struct spool_world *world, const char *suffix)
{
    char name[128];
    return file_exists(beside(world, suffix, name));
}

static void erase(const struct spool_world *world, const char *suffix)
{
    char name[128];
    assert_true(file_remove(beside(world, suffix, name), NULL));
}

static void copy(const char *from, const char *to)
{
    struct buf content = {.limit = 64 << 20};
    assert_true(file_read(from, 64 << 20, &content, NULL));
    assert_true(file_write(to, buf_bytes(&content), 0600, NULL));
    buf_done(&content);
}

static void overwrite(const struct spool_world *world, const char *suffix, size_t at, size_t length)
{
    char name[128];
    struct buf content = {.limit = 64 << 20};
    assert_true(file_read(beside(world, suffix, name), 64 << 20, &content, NULL));
    assert_true(at + length <= content.length);
    memset(content.data + at, 0x55, length);
    assert_true(file_write(name, buf_bytes(&content), 0600, NULL));
    buf_done(&content);
}

static uint64_t push_many(struct spool *spool, int lane, int count)
{
    uint64_t incarnation = 0;
    for (int i = 0; i < count; i++)
        incarnation = push(spool, lane, "", "x").incarnation;
    return incarnation;
}

static void expect_said(const struct spool_world *world, const char *what)
{
    if (strstr(spool_opened(world->spool), what) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", spool_opened(world->spool), what);
}

static struct spool_stats stats_of(const struct spool *spool)
{
    struct spool_stats stats;
    spool_stats(spool, &stats);
    return stats;
}

static void test_starts_are_counted(void **state)
{
    struct spool_world *world = *state;
    for (uint64_t starts = 1; starts < 4; starts++) {
        assert_int_equal(spool_starts(world->spool), starts);
        assert_string_equal(spool_opened(world->spool), "");
        assert_int_equal(spool_unclosed(world->spool, NULL, 0), 0);
        spool_world_reopen(world);
    }
    stop(world);
    erase(world, "");
    spool_world_reopen(world);
    assert_int_equal(spool_starts(world->spool), 5);
}

static void test_a_destroyed_database_leaves_a_bounded_tail(void **state)
{
    struct spool_world *world = *state;
    char chain[128], saved[128];
    uint64_t first = push_many(world->spool, 1, 10);
    push_many(world->spool, 2, 200);
    spool_world_reopen(world);
    uint64_t second = push_many(world->spool, 1, 70);
    /* Killed: a stop would write down how far it came. */
    copy(beside(world, ".chain", chain), beside(world, ".saved", saved));
    stop(world);
    copy(saved, chain);
    erase(world, "");
    for (int restart = 0; restart < 3; restart++) {
        spool_world_reopen(world);
        /* Exact for the earlier one; a ceiling for the one that was running. */
        expect_lost(world->spool, first, 1, 1, 1, 10, SPOOL_LOST_UNKNOWN);
        expect_lost(world->spool, first, 2, 1, 1, 200, SPOOL_LOST_UNKNOWN);
        expect_lost(world->spool, second, 1, 1, 1, 65 + 65, SPOOL_LOST_UNKNOWN);
        expect_lost(world->spool, second, 2, 1, 1, 64, SPOOL_LOST_UNKNOWN);
        expect_lost(world->spool, second, 3, 1, 1, 64, SPOOL_LOST_UNKNOWN);
        assert_int_equal(spool_starts(world->spool), 3 + restart);
        assert_int_equal(stats_of(world->spool).records_lost, 10 + 200 + 130 + 64 + 64);
        if (restart == 0)
            expect_said(world, "up to 468 records are unknown");
        else
            assert_string_equal(spool_opened(world->spool), "");
    }
    assert_int_equal(push(world->spool, 1, "", "a").seq, 1);
    assert_int_equal(spool_unclosed(world->spool, NULL, 0), 6);
}

static void test_what_a_stop_wrote_down_is_exact(void **state)
{
    struct spool_world *world = *state;
    uint64_t incarnation = push_many(world->spool, 1, 70);
    stop(world);
    erase(world, "");
    spool_world_reopen(world);
    expect_lost(world->spool, incarnation, 1, 1, 1, 70, SPOOL_LOST_UNKNOWN);
    assert_int_equal(stats_of(world->spool).records_lost, 70);
}

/* The database as the last checkpoint left it, the chain as it was when it was killed. */
static void test_a_lost_wal_leaves_a_bounded_tail(void **state)
{
    struct spool_world *world = *state;
    char chain[128], saved[128], saved_chain[128];
    spool_world_reopen(world);
    copy(world->path, beside(world, ".saved", saved));
    uint64_t incarnation = push_many(world->spool, 1, 5);
    copy(beside(world, ".chain", chain), beside(world, ".saved.chain", saved_chain));
    stop(world);
    copy(saved, world->path);
    copy(saved_chain, chain);
    assert_false(there(world, "-wal"));
    spool_world_reopen(world);
    expect_lost(world->spool, incarnation, 1, 1, 1, 64, SPOOL_LOST_UNKNOWN);
}

/* Whoever tidies up a folder: SQLite writes on into a file that no open would find. */
static void test_a_wal_deleted_under_the_spool_is_missed_and_kept(void **state)
{
    struct spool_world *world = *state;
    struct spool_record late = {.lane = 1, .body = text("late")};
    struct err err = {0};
    uint64_t incarnation = push_many(world->spool, 1, 3);
    assert_false(spool_must_reopen(world->spool, NULL));
    erase(world, "-wal");
    assert_false(spool_push(world->spool, &late, 1, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_non_null(strstr(err.text, "WAL"));
    assert_true(spool_must_reopen(world->spool, &err));
    spool_world_reopen(world);
    assert_string_equal(spool_opened(world->spool), "");
    expect_read(world->spool, incarnation, 1, 1, 9, 99, 1, "x,x,x,");
    assert_true(spool_push(world->spool, &late, 1, NULL));
    assert_false(spool_must_reopen(world->spool, NULL));
}

static void test_a_tail_closes_like_any_stream(void **state)
{
    struct spool_world *world = *state;
    uint64_t incarnation = push_many(world->spool, 1, 3);
    stop(world);
    erase(world, "");
    spool_world_reopen(world);
    for (int lane = 1; lane <= SPOOL_LANES; lane++)
        receipt(world->spool, incarnation, lane, 64);
    assert_int_equal(spool_streams(world->spool, NULL, 0), 0);
    world->boot_ms += LONG_AFTER_MS;
    forget(world->spool);
    assert_int_equal(spool_unclosed(world->spool, NULL, 0), 0);
    stop(world);
    erase(world, "");
    spool_world_reopen(world);
    expect_lost(world->spool, incarnation, 1, 1, 1, 0, SPOOL_HELD); /* it has left the chain */
}

static void test_an_older_copy_lacks_a_tail(void **state)
{
    struct spool_world *world = *state;
    char saved[128];
    uint64_t first = push_many(world->spool, 1, 5);
    stop(world);
    copy(world->path, beside(world, ".saved", saved));
    spool_world_reopen(world);
    uint64_t second = push_many(world->spool, 1, 3);
    spool_world_reopen(world);
    uint64_t third = push_many(world->spool, 2, 4);
    stop(world);
    copy(saved, world->path);
    for (int restart = 0; restart < 2; restart++) {
        spool_world_reopen(world);
        expect_read(world->spool, first, 1, 1, 100, 100, 1, "x,x,x,x,x,");
        expect_read(world->spool, first, 1, 6, 100, 100, 0, "");
        expect_lost(world->spool, second, 1, 1, 1, 3, SPOOL_LOST_UNKNOWN);
        expect_lost(world->spool, third, 2, 1, 1, 4, SPOOL_LOST_UNKNOWN);
        assert_int_equal(spool_starts(world->spool), 4 + restart);
        if (restart == 0)
            expect_said(world, "older copy");
    }
}

/* The copy was made while the incarnation went on. */
static void test_an_older_copy_lacks_the_end_of_a_stream(void **state)
{
    struct spool_world *world = *state;
    char saved[128];
    uint64_t incarnation = push_many(world->spool, 1, 5);
    sqlite3 *db = NULL;
    stop(world);
    copy(world->path, beside(world, ".saved", saved));
    /* What went on there: the same incarnation, more records. */
    assert_int_equal(sqlite3_open(world->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE stream SET last_seq = 9", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    spool_world_reopen(world);
    stop(world);
    copy(saved, world->path);
    spool_world_reopen(world);
    expect_read(world->spool, incarnation, 1, 1, 100, 100, 1, "x,x,x,x,x,");
    expect_lost(world->spool, incarnation, 1, 6, 6, 4, SPOOL_LOST_UNKNOWN);
    assert_int_equal(stats_of(world->spool).records, 5);
}

static void test_a_lost_chain_is_begun_anew(void **state)
{
    struct spool_world *world = *state;
    push_many(world->spool, 1, 5);
    stop(world);
    erase(world, ".chain");
    spool_world_reopen(world);
    assert_string_equal(spool_opened(world->spool), "");
    assert_int_equal(spool_starts(world->spool), 2);
    stop(world);
    overwrite(world, ".chain", 0, SPOOL_CHAIN_BYTES);
    spool_world_reopen(world);
    expect_said(world, "neither slot is sound");
    assert_int_equal(spool_starts(world->spool), 3);
    assert_int_equal(stats_of(world->spool).records, 5);
    stop(world);
    erase(world, "");
    spool_world_reopen(world);
    assert_int_equal(spool_starts(world->spool), 4);
    assert_int_equal(stats_of(world->spool).records_lost, 5);
}

static void test_a_damaged_file_is_set_aside(void **state)
{
    struct spool_world *world = *state;
    uint64_t incarnation = push_many(world->spool, 1, 5);
    stop(world);
    overwrite(world, "", 0, 100);
    spool_world_reopen(world);
    assert_true(there(world, ".damaged"));
    expect_said(world, ".damaged");
    expect_said(world, "5 records in it were sound and are kept, 0 are lost");
    assert_int_equal(spool_salvaged(world->spool).records, 5);
    expect_read(world->spool, incarnation, 1, 1, 100, 100, 1, "x,x,x,x,x,");
    expect_read(world->spool, incarnation, 1, 6, 100, 100, 0, "");
    assert_int_equal(push(world->spool, 1, "", "y").seq, 1);
    stop(world);
    overwrite(world, "", 0, 100);
    spool_world_reopen(world);
    expect_said(world, "in the place of an older one");
}

/* Every page in turn: the spool opens whatever is in it, and accounts for what it held. */
static void test_any_damaged_page_is_survived(void **state)
{
    struct spool_world *world = *state;
    char saved[128], chain[128], saved_chain[128];
    uint64_t incarnation = push_many(world->spool, 1, 40);
    struct stat held;
    stop(world);
    copy(world->path, beside(world, ".saved", saved));
    copy(beside(world, ".chain", chain), beside(world, ".saved.chain", saved_chain));
    assert_int_equal(stat(saved, &held), 0);
    int set_aside = 0;
    for (off_t at = 0; at < held.st_size; at += 512) {
        copy(saved, world->path);
        copy(saved_chain, chain);
        erase(world, ".damaged");
        overwrite(world, "", (size_t)at, 512);
        spool_world_reopen(world);
        set_aside += there(world, ".damaged");
        struct heard heard = {0};
        uint64_t from = 1, lost = 0;
        struct spool_found found = {.count = 1};
        struct err err = {0};
        while (found.count > 0) {
            if (!spool_read(world->spool, incarnation, 1, from, 100, 10000, hear, &heard, &found,
                            &err))
                fail_msg("%s", err.text);
            lost += found.lost != SPOOL_HELD ? found.count : 0;
            from = found.first + found.count;
        }
        assert_int_equal(heard.count + lost, 40);
        assert_in_range(lost, 0, 20); /* what one page can hold */
        assert_false(push(world->spool, 1, "", "z").duplicate);
        stop(world);
    }
    assert_in_range(set_aside, 1, held.st_size / 512);
}

static void test_another_devices_spool_is_set_aside(void **state)
{
    struct spool_world *world = *state;
    push_many(world->spool, 1, 5);
    stop(world);
    world->settings.device = "p-100002";
    spool_world_reopen(world);
    assert_true(there(world, ".foreign") && there(world, ".foreign.chain"));
    expect_said(world, "p-100001");
    assert_int_equal(spool_starts(world->spool), 1);
    assert_int_equal(spool_unclosed(world->spool, NULL, 0), 0);
    push_many(world->spool, 1, 2);
    stop(world);
    erase(world, ".chain"); /* the database alone tells it too */
    world->settings.device = "p-100003";
    spool_world_reopen(world);
    expect_said(world, "p-100002");
    expect_said(world, "in the place of an older one");
    assert_int_equal(spool_unclosed(world->spool, NULL, 0), 0);
    stop(world);
    erase(world, ""); /* and so does the chain */
    world->settings.device = "p-100004";
    spool_world_reopen(world);
    expect_said(world, "p-100003");
    assert_int_equal(spool_starts(world->spool), 1);
}

/* Put in the place of ours, it must not take what our chain knows of ours with it. */
static void test_a_foreign_database_leaves_our_tail(void **state)
{
    struct spool_world *world = *state;
    char foreign[128];
    uint64_t ours = push_many(world->spool, 1, 10);
    spool_world_reopen(world);
    stop(world);
    struct spool_settings settings = world->settings;
    settings.path = beside(world, ".other", foreign);
    settings.device = "p-100002";
    assert_true(spool_open(&settings, &world->clock, &world->spool, NULL));
    push_many(world->spool, 1, 2);
    stop(world);
    copy(foreign, world->path);
    for (int restart = 0; restart < 2; restart++) {
        spool_world_reopen(world);
        expect_lost(world->spool, ours, 1, 1, 1, 10, SPOOL_LOST_UNKNOWN);
        assert_int_equal(spool_starts(world->spool), 3 + restart);
        assert_true(there(world, ".foreign") && !there(world, ".foreign.chain"));
        if (restart == 0)
            expect_said(world, "p-100002");
    }
}

static void test_a_foreign_chain_leaves_our_records(void **state)
{
    struct spool_world *world = *state;
    char foreign[128], chain[128];
    uint64_t ours = push_many(world->spool, 1, 3);
    stop(world);
    struct spool_settings settings = world->settings;
    settings.path = beside(world, ".other", foreign);
    settings.device = "p-100002";
    for (int start = 0; start < 3; start++) {
        assert_true(spool_open(&settings, &world->clock, &world->spool, NULL));
        push_many(world->spool, 1, 2);
        stop(world);
    }
    char foreign_chain[128];
    copy(beside(world, ".other.chain", foreign_chain), beside(world, ".chain", chain));
    for (int restart = 0; restart < 2; restart++) {
        spool_world_reopen(world);
        expect_read(world->spool, ours, 1, 1, 9, 99, 1, "x,x,x,");
        assert_int_equal(spool_starts(world->spool), 2 + restart);
        assert_int_equal(spool_unclosed(world->spool, NULL, 0), 1);
        assert_true(there(world, ".foreign.chain") && !there(world, ".foreign"));
        if (restart == 0)
            expect_said(world, "another device's chain");
        else
            assert_string_equal(spool_opened(world->spool), "");
    }
}

static void test_what_is_set_aside_counts_against_the_quota(void **state)
{
    struct spool_world *world = *state;
    static char body[30000];
    world->settings.quota_bytes = SPOOL_QUOTA_MIN_BYTES;
    spool_world_reopen(world);
    struct spool_record record = {.lane = 1, .body = bytes_of(body, sizeof body)};
    for (int i = 0; i < 20; i++)
        assert_true(spool_push(world->spool, &record, 1, NULL));
    stop(world);
    overwrite(world, "", 0, 100);
    spool_world_reopen(world);
    assert_true(there(world, ".damaged"));
    for (int i = 0; i < 100; i++) {
        if (!spool_push(world->spool, &record, 1, NULL))
            fail();
    }
    assert_in_range(stats_of(world->spool).bytes, 1, SPOOL_QUOTA_MIN_BYTES - 600000);
    stop(world);
    overwrite(world, "", 0, 100); /* more than a quarter this time */
    spool_world_reopen(world);
    assert_false(there(world, ".damaged"));
    expect_said(world, "too large");
}

static void test_leftovers_of_a_power_cut_are_swept(void **state)
{
    struct spool_world *world = *state;
    char left[128], other[128];
    stop(world);
    snprintf(left, sizeof left, "%s/.spool.db.ballast.0123456789abcdef.new", world->dir);
    snprintf(other, sizeof other, "%s/.other.0123456789abcdef.new", world->dir);
    assert_true(file_write(left, text("x"), 0600, NULL));
    assert_true(file_write(other, text("x"), 0600, NULL));
    spool_world_reopen(world);
    assert_false(file_exists(left));
    assert_true(file_exists(other));
}

static uint64_t rows(const struct spool_world *world)
{
    static const char *const tables[] = {"stream", "segment", "lost", "spent"};
    uint64_t count = 0;
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(world->path, &db), SQLITE_OK);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        char sql[64];
        sqlite3_stmt *query = NULL;
        snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", tables[i]);
        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &query, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(query), SQLITE_ROW);
        count += (uint64_t)sqlite3_column_int64(query, 0);
        (void)sqlite3_finalize(query);
    }
    (void)sqlite3_close(db);
    return count;
}

static uint64_t size_of(const struct spool_world *world, const char *suffix)
{
    char name[128];
    struct stat held;
    assert_int_equal(stat(beside(world, suffix, name), &held), 0);
    return (uint64_t)held.st_size;
}

/* One record with a key in each incarnation, which the fleet receipts in the next. */
static void test_nothing_grows_with_the_number_of_restarts(void **state)
{
    enum { SETTLED = 500 };
    const char *wanted = getenv("SPOOL_RESTARTS");
    int restarts = wanted != NULL ? atoi(wanted) : 2000;
    struct spool_world *world = *state;
    uint64_t settled_rows = 0, settled_bytes = 0;
    world->settings.key_window = 100;
    for (int restart = 1; restart <= restarts; restart++) {
        char key[16];
        struct spool_stream stream;
        spool_world_reopen(world);
        snprintf(key, sizeof key, "%d", restart);
        assert_false(push(world->spool, 2, key, "the agent started").duplicate);
        assert_int_equal(spool_streams(world->spool, &stream, 1), 1 + (restart > 1));
        if (restart > 1)
            receipt(world->spool, stream.incarnation, 2, 1);
        world->boot_ms += LONG_AFTER_MS;
        forget(world->spool);
        assert_in_range(spool_unclosed(world->spool, NULL, 0), 1, 3);
        if (restart % SETTLED != 0)
            continue;
        stop(world);
        uint64_t count = rows(world), bytes = size_of(world, "");
        if (restart == SETTLED) {
            settled_rows = count;
            settled_bytes = bytes;
        }
        assert_in_range(count, 1, settled_rows);
        assert_in_range(bytes, 1, settled_bytes);
        assert_int_equal(size_of(world, ".chain"), SPOOL_CHAIN_BYTES);
    }
    spool_world_reopen(world);
    assert_int_equal(spool_starts(world->spool), restarts + 2);
    char key[16];
    snprintf(key, sizeof key, "%d", restarts - 99);
    assert_true(push(world->spool, 2, key, "x").duplicate);
    snprintf(key, sizeof key, "%d", restarts - 100);
    assert_false(push(world->spool, 2, key, "x").duplicate);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, spool_world_setup, spool_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_starts_are_counted),
        TEST(test_a_destroyed_database_leaves_a_bounded_tail),
        TEST(test_what_a_stop_wrote_down_is_exact),
        TEST(test_a_lost_wal_leaves_a_bounded_tail),
        TEST(test_a_wal_deleted_under_the_spool_is_missed_and_kept),
        TEST(test_a_tail_closes_like_any_stream),
        TEST(test_an_older_copy_lacks_a_tail),
        TEST(test_an_older_copy_lacks_the_end_of_a_stream),
        TEST(test_a_lost_chain_is_begun_anew),
        TEST(test_a_damaged_file_is_set_aside),
        TEST(test_any_damaged_page_is_survived),
        TEST(test_another_devices_spool_is_set_aside),
        TEST(test_a_foreign_database_leaves_our_tail),
        TEST(test_a_foreign_chain_leaves_our_records),
        TEST(test_what_is_set_aside_counts_against_the_quota),
        TEST(test_leftovers_of_a_power_cut_are_swept),
        TEST(test_nothing_grows_with_the_number_of_restarts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
