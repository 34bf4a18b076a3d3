/* SPDX-License-Identifier: Apache-2.0 */
/* The newest segments, in slots: what a power cut, damage and a full ring make of them. */
#include "base/file.h"
#include "storage/spool_slots.h"
#include "tests/unit/spool_world.h"
#include "tests/unit/testing.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { FRAME_BYTES = 24 + 512 }; /* of the WAL, for one page */

static uint64_t wal_bytes(const struct spool_world *world)
{
    char name[128];
    struct stat held;
    (void)snprintf(name, sizeof name, "%s-wal", world->path);
    assert_int_equal(stat(name, &held), 0);
    return (uint64_t)held.st_size;
}

static void push_some(struct spool_world *world, int lane, uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last; seq++) {
        char key[16], body[32];
        (void)snprintf(key, sizeof key, "k%d-%u", lane, (unsigned)seq);
        (void)snprintf(body, sizeof body, "%d.%u", lane, (unsigned)seq);
        assert_int_equal(push(world->spool, lane, key, body).seq, seq);
    }
}

struct expected {
    int lane;
    uint64_t next;
};

static bool as_pushed(void *ctx, uint64_t seq, struct bytes body, struct err *err)
{
    struct expected *expected = ctx;
    char wanted[32];
    (void)err;
    (void)snprintf(wanted, sizeof wanted, "%d.%u", expected->lane, (unsigned)seq);
    assert_int_equal(seq, expected->next++);
    assert_true(bytes_equal(body, text(wanted)));
    return true;
}

static void expect_all(struct spool *spool, uint64_t incarnation, int lane, uint64_t first,
                       uint64_t last)
{
    struct expected expected = {lane, first};
    while (expected.next <= last) {
        struct spool_found found;
        uint64_t before = expected.next;
        assert_true(spool_read(spool, incarnation, lane, before, 1000, 1 << 20, as_pushed,
                               &expected, &found, NULL));
        assert_true(found.lost == SPOOL_HELD && expected.next > before);
    }
    assert_int_equal(expected.next, last + 1);
}

static int64_t number(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return value;
}

/* The files as they are now, somewhere else: as kill -9 leaves them. */
struct copy {
    char dir[64];
    char path[96];
    struct spool_settings settings;
    struct spool *spool;
};

static void copy_files(const struct spool_world *world, struct copy *copy)
{
    static const char *const suffixes[] = {"", "-wal", ".chain", ".ballast"};
    spool_world_dir(copy->dir);
    (void)snprintf(copy->path, sizeof copy->path, "%s/spool.db", copy->dir);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char from[128], to[128];
        struct buf content = {0};
        (void)snprintf(from, sizeof from, "%s%s", world->path, suffixes[i]);
        (void)snprintf(to, sizeof to, "%s%s", copy->path, suffixes[i]);
        if (!file_exists(from))
            continue;
        assert_true(file_read(from, 16 << 20, &content, NULL));
        assert_true(file_write(to, buf_bytes(&content), 0600, NULL));
        buf_done(&content);
    }
    copy->settings = world->settings;
    copy->settings.path = copy->path;
}

static void open_copy(const struct spool_world *world, struct copy *copy)
{
    struct err err = {0};
    if (!spool_open(&copy->settings, &world->clock, &copy->spool, &err))
        fail_msg("%s", err.text);
}

static void drop_copy(struct copy *copy)
{
    spool_close(copy->spool);
    assert_true(file_remove_tree(copy->dir, NULL));
    *copy = (struct copy){0};
}

/* ---- one slot ---- */

static void test_a_slot_comes_out_as_it_went_in(void **state)
{
    (void)state;
    uint8_t body[SPOOL_SLOT_BYTES], content[1000];
    memset(content, 7, sizeof content);
    const struct spool_slot slot = {.round = 0x80000001,
                                    .id = INT64_MAX - 5,
                                    .powered_ms = 1234567890123,
                                    .count = 1024,
                                    .length = sizeof content,
                                    .part = 2,
                                    .codec = 1,
                                    .bytes =
                                        bytes_of(content, sizeof content - 2 * SPOOL_SLOT_ROOM)};
    struct spool_slot found;
    spool_slot_encode(300, &slot, body);
    assert_true(spool_slot_decode(300, bytes_of(body, sizeof body), &found));
    assert_true(found.round == slot.round && found.id == slot.id && found.count == slot.count);
    assert_true(found.powered_ms == slot.powered_ms && found.length == slot.length);
    assert_true(found.part == slot.part && found.codec == slot.codec);
    assert_true(bytes_equal(found.bytes, slot.bytes));
}

static void test_a_changed_bit_or_place_is_noticed(void **state)
{
    (void)state;
    uint8_t body[SPOOL_SLOT_BYTES];
    const struct spool_slot slot = {
        .round = 1, .id = 77, .count = 1, .length = 3, .bytes = text("abc")};
    struct spool_slot found;
    spool_slot_encode(256, &slot, body);
    for (size_t bit = 0; bit < 8 * sizeof body; bit++) {
        body[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(spool_slot_decode(256, bytes_of(body, sizeof body), &found));
        body[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_false(spool_slot_decode(257, bytes_of(body, sizeof body), &found));
    assert_false(spool_slot_decode(256, bytes_of(body, sizeof body - 1), &found));
    assert_true(spool_slot_decode(256, bytes_of(body, sizeof body), &found));
}

/* ---- in a spool ---- */

/* The reason for slots. */
static void test_a_commit_writes_the_page_of_its_own_bytes(void **state)
{
    struct spool_world *world = *state;
    /* The first round makes the rows; the second begins with a commit that empties it. */
    push_some(world, 1, 1, SPOOL_SLOTS + 1);
    uint64_t before = wal_bytes(world);
    push_some(world, 1, SPOOL_SLOTS + 2, SPOOL_SLOTS + 50);
    assert_int_equal(wal_bytes(world) - before, 49 * FRAME_BYTES);
}

static void test_rounds_are_read_and_known_like_rows(void **state)
{
    struct spool_world *world = *state;
    uint64_t incarnation = spool_incarnation(world->spool);
    const uint64_t last = 3 * SPOOL_SLOTS + 10;
    push_some(world, 1, 1, last);
    expect_all(world->spool, incarnation, 1, 1, last);
    expect_all(world->spool, incarnation, 1, last - 20, last);
    expect_all(world->spool, incarnation, 1, last, last);
    /* A key of this round, and one that has become a row. */
    assert_int_equal(push(world->spool, 1, "k1-394", "again").seq, 394);
    assert_int_equal(push(world->spool, 1, "k1-5", "again").seq, 5);
    struct heard heard = {0};
    assert_true(spool_newest(world->spool, 1, 12, hear_newest, &heard, NULL));
    assert_int_equal(heard.count, 12);
    assert_int_equal(held(world->spool), last);
}

/* Where a round ends and another begins, and within it. */
static void test_a_power_cut_leaves_all_of_it(void **state)
{
    struct spool_world *world = *state;
    uint64_t incarnation = spool_incarnation(world->spool);
    for (uint64_t last = 1; last < 2 * SPOOL_SLOTS_OTHERS + 5; last++) {
        struct copy copy = {0};
        push_some(world, 2, last, last);
        if (last % SPOOL_SLOTS_OTHERS > 2 && last % SPOOL_SLOTS_OTHERS < SPOOL_SLOTS_OTHERS - 1)
            continue;
        copy_files(world, &copy);
        open_copy(world, &copy);
        assert_string_equal(spool_opened(copy.spool), "");
        assert_int_equal(held(copy.spool), last);
        expect_all(copy.spool, incarnation, 2, 1, last);
        drop_copy(&copy);
    }
}

static bool keep_first_byte(void *ctx, uint64_t seq, struct bytes body, struct err *err)
{
    (void)seq;
    (void)err;
    *(uint8_t *)ctx = body.data[0];
    return true;
}

/* Several slots each, some of them too long for slots, between short ones. */
static void test_long_segments_keep_their_order(void **state)
{
    struct spool_world *world = *state;
    static char body[20000];
    uint64_t incarnation = spool_incarnation(world->spool);
    for (size_t i = 0; i < 60; i++) {
        size_t length = i * i * 7 % sizeof body + 1;
        memset(body, 'a' + (int)(i % 26), length);
        struct spool_record record = {.lane = 1, .body = bytes_of(body, length)};
        assert_true(spool_push(world->spool, &record, 1, NULL));
    }
    struct copy copy = {0};
    copy_files(world, &copy);
    open_copy(world, &copy);
    struct spool *const spools[] = {world->spool, copy.spool};
    for (size_t s = 0; s < 2; s++) {
        for (uint64_t seq = 1; seq <= 60; seq++) {
            uint8_t first = 0;
            struct spool_found found;
            assert_true(spool_read(spools[s], incarnation, 1, seq, 1, 1, keep_first_byte, &first,
                                   &found, NULL));
            assert_int_equal(found.first, seq);
            assert_int_equal(found.lost, SPOOL_HELD);
            assert_int_equal(first, 'a' + (int)((seq - 1) % 26));
        }
    }
    drop_copy(&copy);
}

/* All of it, or a part. */
static void test_what_is_forgotten_does_not_come_back(void **state)
{
    struct spool_world *world = *state;
    uint64_t incarnation = spool_incarnation(world->spool);
    world->settings.grace_ms = 0;
    spool_world_reopen(world);
    incarnation = spool_incarnation(world->spool);
    for (uint64_t upto = 20; upto <= 40; upto += 5) {
        struct copy copy = {0};
        push_some(world, 1, upto - (upto == 20 ? 19 : 4), upto);
        receipt(world->spool, incarnation, 1, upto == 40 ? 40 : upto - 3);
        while (forget(world->spool) > 0)
            continue;
        assert_int_equal(held(world->spool), upto == 40 ? 0 : 3);
        copy_files(world, &copy);
        open_copy(world, &copy);
        assert_int_equal(held(copy.spool), upto == 40 ? 0 : 3);
        struct spool_stats stats;
        spool_stats(copy.spool, &stats);
        assert_int_equal(stats.records_kept, 0);
        assert_int_equal(push(copy.spool, 1, "k1-7", "again").seq, 7);
        drop_copy(&copy);
    }
}

static void test_a_close_makes_rows_of_them(void **state)
{
    struct spool_world *world = *state;
    push_some(world, 1, 1, 5);
    push_some(world, 3, 1, 5);
    spool_close(world->spool);
    world->spool = NULL;
    assert_int_equal(number(world->path, "SELECT sum(count) FROM segment"), 10);
    spool_world_reopen(world);
    assert_int_equal(held(world->spool), 10);
}

static uint64_t owed(const struct spool *spool)
{
    struct spool_stats stats;
    spool_stats(spool, &stats);
    return stats.records;
}

/* What the fleet has lost is asked for again, wherever it stands. */
static void test_what_is_asked_for_again_is_sent_out_of_slots(void **state)
{
    struct spool_world *world = *state;
    uint64_t incarnation = spool_incarnation(world->spool);
    push_some(world, 1, 1, 9);
    receipt(world->spool, incarnation, 1, 9);
    assert_int_equal(owed(world->spool), 0);
    assert_true(spool_again(world->spool, incarnation, 1, 3, NULL, 0, NULL));
    assert_int_equal(owed(world->spool), 6);
    expect_all(world->spool, incarnation, 1, 4, 9);
}

/* A flip in the database itself, once the WAL has been written back: nothing is believed that is
 * not sound, what is sound in other slots is salvaged, and what is missing is declared. */
static void test_a_damaged_slot_is_declared_and_the_others_salvaged(void **state)
{
    struct spool_world *world = *state;
    uint64_t incarnation = spool_incarnation(world->spool);
    push_some(world, 1, 1, 20);
    struct copy copy = {0};
    copy_files(world, &copy);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(copy.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "UPDATE slot SET body = CAST(substr(body, 1, 29) || x'a5a5' ||"
                                  " substr(body, 32) AS BLOB) WHERE slot = 256 + 11",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    open_copy(world, &copy);
    assert_non_null(strstr(spool_opened(copy.spool), "19 records in it were sound"));
    expect_all(copy.spool, incarnation, 1, 1, 11);
    expect_lost(copy.spool, incarnation, 1, 12, 12, 1, SPOOL_LOST_DAMAGED);
    expect_all(copy.spool, incarnation, 1, 13, 20);
    drop_copy(&copy);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, spool_world_setup, spool_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_slot_comes_out_as_it_went_in),
        cmocka_unit_test(test_a_changed_bit_or_place_is_noticed),
        TEST(test_a_commit_writes_the_page_of_its_own_bytes),
        TEST(test_rounds_are_read_and_known_like_rows),
        TEST(test_a_power_cut_leaves_all_of_it),
        TEST(test_long_segments_keep_their_order),
        TEST(test_what_is_forgotten_does_not_come_back),
        TEST(test_a_close_makes_rows_of_them),
        TEST(test_what_is_asked_for_again_is_sent_out_of_slots),
        TEST(test_a_damaged_slot_is_declared_and_the_others_salvaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
