/* SPDX-License-Identifier: Apache-2.0 */
/* Segments that are compressed: in a database of before, without the program's dictionary, damaged,
 * against the quotas, and when all has been drained. */
#include "storage/spool_segment.h"
#include "tests/unit/spool_world.h"
#include "tests/unit/testing.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

extern const char *const spool_schema[];

static const char words[] = "a result of the till, approved by the host at once, number ";

static void change(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    char *why = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int64_t number(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *row = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(row, 0);
    (void)sqlite3_finalize(row);
    (void)sqlite3_close(db);
    return value;
}

static void close_spool(struct spool_world *world)
{
    spool_close(world->spool);
    world->spool = NULL;
}

static void use(struct spool_world *world, const struct spool_dictionary *dictionary)
{
    world->settings.dictionaries = dictionary;
    world->settings.dictionary_count = dictionary != NULL;
    spool_world_reopen(world);
}

static struct spool_dictionary dictionary_of(uint32_t version, const char *content)
{
    return (struct spool_dictionary){version, text(content)};
}

enum { MANY = 100 };

static uint64_t push_many(struct spool *spool, unsigned from, size_t count)
{
    struct spool_record records[MANY];
    char bodies[MANY][96], keys[MANY][16];
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(bodies[i], sizeof bodies[i], "%s%u", words, from + (unsigned)i);
        (void)snprintf(keys[i], sizeof keys[i], "key-%u", from + (unsigned)i);
        records[i] =
            (struct spool_record){.lane = 1, .key = text(keys[i]), .body = text(bodies[i])};
    }
    struct err err = {0};
    if (!spool_push(spool, records, count, &err))
        fail_msg("%s", err.text);
    return records[0].seq;
}

static bool count_sound(void *ctx, uint64_t seq, struct bytes body, struct err *err)
{
    char expected[96];
    (void)err;
    (void)snprintf(expected, sizeof expected, "%s%ju", words, (uintmax_t)seq);
    assert_true(bytes_equal(body, text(expected)));
    ++*(size_t *)ctx;
    return true;
}

/* Reads all of a stream in which record N says so. */
static size_t read_all(struct spool *spool, uint64_t incarnation)
{
    size_t count = 0;
    struct spool_found found = {.first = 1, .count = 1};
    for (uint64_t from = 1; found.count > 0; from = found.first + found.count)
        assert_true(spool_read(spool, incarnation, 1, from, 1000, 1 << 20, count_sound, &count,
                               &found, NULL));
    return count;
}

static const struct spool_dictionary fitting = {1, {(const uint8_t *)words, sizeof words - 1}};

static void test_bodies_become_short_and_come_back(void **state)
{
    struct spool_world *world = *state;
    use(world, &fitting);
    uint64_t incarnation = spool_incarnation(world->spool);
    push_many(world->spool, 1, MANY);
    push_many(world->spool, MANY + 1, 10);
    assert_int_equal(read_all(world->spool, incarnation), MANY + 10);
    spool_world_reopen(world);
    assert_int_equal(read_all(world->spool, incarnation), MANY + 10);
    struct spool_record again = {.lane = 1, .key = text("key-77"), .body = text("once more")};
    assert_true(spool_push(world->spool, &again, 1, NULL));
    assert_true(again.duplicate && again.seq == 77 && again.incarnation == incarnation);
    close_spool(world);
    assert_int_equal(number(world->path, "SELECT min(codec) FROM segment"), 1);
    assert_true(number(world->path, "SELECT sum(length(body)) FROM segment") < 110 * 40);
}

/* What the version before this one left: no dictionaries, bodies as they are. */
static void make_old_database(const char *path, struct bytes body)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *row = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(sqlite3_exec(db, spool_schema[i], NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "PRAGMA user_version = 2; PRAGMA application_id = 1299403632;"
                                  "INSERT INTO meta (id, device, boot, base_ms, powered_ms, starts)"
                                  " VALUES (1, 'p-100001', zeroblob(16), 0, 0, 1);"
                                  "INSERT INTO stream (number, lane, incarnation, last_seq, acked)"
                                  " VALUES (1, 1, 4711, 0, x'')",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "INSERT INTO segment (id, count, codec, powered_ms, body)"
                                        " VALUES ((3 << 61) + (1 << 37) + 1, 2, 0, 0, ?)",
                                        -1, &row, NULL),
                     SQLITE_OK);
    (void)sqlite3_bind_blob(row, 1, body.data, (int)body.length, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(row), SQLITE_DONE);
    (void)sqlite3_finalize(row);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_a_database_of_before_is_read_and_gone_on_with(void **state)
{
    struct spool_world *world = *state;
    struct buf body = {0};
    char chain[128];
    close_spool(world);
    (void)snprintf(chain, sizeof chain, "%s.chain", world->path);
    assert_int_equal(remove(world->path) | remove(chain), 0);
    assert_true(spool_segment_put(&body, text("old-1"), text("the first"), NULL));
    assert_true(spool_segment_put(&body, text("old-2"), text("the second"), NULL));
    make_old_database(world->path, buf_bytes(&body));
    buf_done(&body);
    use(world, &fitting);
    assert_string_equal(spool_opened(world->spool), "");
    expect_read(world->spool, 4711, 1, 1, 9, 999, 1, "the first,the second,");
    struct spool_record again = push(world->spool, 1, "old-2", "a retry");
    assert_true(again.duplicate && again.incarnation == 4711 && again.seq == 2);
    push_many(world->spool, 1, MANY);
    assert_int_equal(read_all(world->spool, spool_incarnation(world->spool)), MANY);
    receipt(world->spool, 4711, 1, 2);
    world->boot_ms += LONG_AFTER_MS;
    assert_int_equal(forget(world->spool), 2);
    again = push(world->spool, 1, "old-1", "a retry");
    assert_true(again.duplicate && again.seq == 1);
}

static void test_the_database_keeps_what_it_was_compressed_with(void **state)
{
    struct spool_world *world = *state;
    const struct spool_dictionary newer = dictionary_of(2, "words that do not help at all");
    world->settings.key_window = 0; /* the same keys come again */
    use(world, &fitting);
    uint64_t first = spool_incarnation(world->spool);
    push_many(world->spool, 1, MANY);
    use(world, &newer);
    uint64_t second = spool_incarnation(world->spool);
    push_many(world->spool, 1, MANY);
    assert_int_equal(read_all(world->spool, first), MANY);
    use(world, NULL);
    assert_int_equal(read_all(world->spool, first), MANY);
    assert_int_equal(read_all(world->spool, second), MANY);
    close_spool(world);
    assert_int_equal(number(world->path, "SELECT count(*) FROM dictionary"), 2);
    change(world->path, "UPDATE dictionary SET content = zeroblob(20) WHERE version = 1");
    use(world, &fitting); /* the program's own counts */
    assert_int_equal(read_all(world->spool, first), MANY);
}

/* One bad byte costs a run of a segment, declared, and no more. */
static void test_damage_costs_a_run(void **state)
{
    struct spool_world *world = *state;
    use(world, &fitting);
    uint64_t incarnation = spool_incarnation(world->spool);
    push_many(world->spool, 1, MANY);
    close_spool(world);
    change(world->path, "UPDATE segment SET body = CAST(substr(body, 1, length(body) / 2) ||"
                        " x'a5a5' || substr(body, length(body) / 2 + 3) AS BLOB)");
    spool_world_reopen(world);
    size_t sound = read_all(world->spool, incarnation);
    assert_true(sound >= MANY - 32 && sound < MANY);
    struct spool_stats stats;
    spool_stats(world->spool, &stats);
    assert_int_equal(stats.records_lost, MANY - sound);
}

/* Quotas are of what stands on the disk. */
static void test_a_lane_takes_more(void **state)
{
    struct spool_world *world = *state;
    world->settings.lanes[0].quota_bytes = 8 * 1024;
    spool_world_reopen(world);
    for (unsigned i = 0; i < 6; i++)
        push_many(world->spool, 1 + i * MANY, MANY);
    uint64_t plain = held(world->spool);
    assert_true(plain < 200);
    use(world, &fitting);
    for (unsigned i = 0; i < 20; i++)
        push_many(world->spool, 1001 + i * MANY, MANY);
    uint64_t short_ones = held(world->spool);
    assert_true(short_ones > 2 * plain && short_ones < 1500);
    close_spool(world);
    int64_t bytes = number(world->path, "SELECT sum(length(body)) FROM segment");
    assert_true(bytes <= 8 * 1024 && bytes > 4 * 1024);
}

static int64_t bytes_of_files(const struct spool_world *world)
{
    struct stat database, wal;
    char path[128];
    (void)snprintf(path, sizeof path, "%s-wal", world->path);
    assert_int_equal(stat(world->path, &database) | stat(path, &wal), 0);
    return (int64_t)database.st_size + (int64_t)wal.st_size;
}

/* A backlog is drained, and the files are about as long as with nothing in them. */
static void test_files_shrink_when_all_is_drained(void **state)
{
    struct spool_world *world = *state;
    uint64_t incarnation = spool_incarnation(world->spool);
    for (unsigned i = 0; i < 1000; i++)
        push_many(world->spool, 1 + i * MANY, MANY);
    int64_t full = bytes_of_files(world);
    assert_true(full > 8 << 20);
    receipt(world->spool, incarnation, 1, 1000 * MANY);
    world->boot_ms += LONG_AFTER_MS;
    for (int64_t before = 0; before != bytes_of_files(world);) {
        before = bytes_of_files(world);
        while (forget(world->spool) > 0)
            ;
    }
    assert_int_equal(held(world->spool), 0);
    int64_t wal_most = 2 << 20, empty_most = 512 * 1024;
    if (bytes_of_files(world) > wal_most + empty_most)
        fail_msg("%jd bytes of %jd are left", (intmax_t)bytes_of_files(world), (intmax_t)full);
    struct spool_stats stats;
    spool_stats(world->spool, &stats);
    assert_true(stats.bytes - stats.wal_bytes <= (uint64_t)empty_most);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, spool_world_setup, spool_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_bodies_become_short_and_come_back),
        TEST(test_a_database_of_before_is_read_and_gone_on_with),
        TEST(test_the_database_keeps_what_it_was_compressed_with),
        TEST(test_damage_costs_a_run),
        TEST(test_a_lane_takes_more),
        TEST(test_files_shrink_when_all_is_drained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
