/* SPDX-License-Identifier: Apache-2.0 */
/* The spool under full disks, kills, damage and other people's files. */
#include "base/file.h"
#include "storage/spool.h"
#include "tests/unit/spool_world.h"
#include "tests/unit/testing.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_a_newer_schema_is_refused_untouched(void **state)
{
    struct spool_world *world = *state;
    push(world->spool, 1, "", "a");
    spool_close(world->spool);
    world->spool = NULL;
    struct buf content = {0}, after = {0};
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(world->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE later (id INTEGER); PRAGMA user_version = 99",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_true(file_read(world->path, 1 << 20, &content, NULL));
    struct err err = {0};
    assert_false(spool_open(&world->settings, &world->clock, &world->spool, &err));
    assert_int_equal(err.code, ERR_REFUSED);
    assert_true(file_read(world->path, 1 << 20, &after, NULL));
    assert_true(bytes_equal(buf_bytes(&content), buf_bytes(&after)));
    buf_done(&content);
    buf_done(&after);
}

/* The tables are ours, so the number is what is wrong: of the schema, or of the program. */
static void test_flips_in_the_marks_are_damage(void **state)
{
    struct spool_world *world = *state;
    /* The version that may write, and the ends of user_version and application_id. */
    static const size_t places[] = {18, 63, 71};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct spool_record record = push(world->spool, 1, "", "a");
        struct buf content = {0};
        spool_close(world->spool);
        world->spool = NULL;
        assert_true(file_read(world->path, 1 << 20, &content, NULL));
        content.data[places[i]] ^= 0x40;
        assert_true(file_write(world->path, buf_bytes(&content), 0600, NULL));
        buf_done(&content);
        spool_world_reopen(world);
        assert_non_null(strstr(spool_opened(world->spool), "is damaged"));
        expect_read(world->spool, record.incarnation, 1, 1, 10, 100, 1, "a,");
    }
}

/* Flips bits in the middle of the only copy of `needle`. */
static void damage(const char *path, const char *needle)
{
    struct buf content = {0};
    assert_true(file_read(path, 16 << 20, &content, NULL));
    uint8_t *at = memmem(content.data, content.length, needle, strlen(needle));
    assert_non_null(at);
    at[strlen(needle) / 2] ^= 0x20;
    assert_true(file_write(path, buf_bytes(&content), 0600, NULL));
    buf_done(&content);
}

static void change(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_changes(db), 1);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_a_damaged_record_is_never_given(void **state)
{
    struct spool_world *world = *state;
    uint64_t incarnation = push(world->spool, 1, "k1", "a sound one").incarnation;
    push(world->spool, 1, "k2", "to be damaged");
    push(world->spool, 1, "k3", "and one behind");
    spool_close(world->spool);
    world->spool = NULL;
    damage(world->path, "to be damaged");
    spool_world_reopen(world);
    struct heard newest = {0};
    assert_true(spool_newest(world->spool, 1, 10, hear_newest, &newest, NULL));
    assert_string_equal(newest.bodies, "and one behind,a sound one,");
    expect_read(world->spool, incarnation, 1, 1, 10, 1000, 1, "a sound one,");
    expect_lost(world->spool, incarnation, 1, 2, 2, 1, SPOOL_LOST_DAMAGED);
    spool_world_reopen(world);
    struct spool_stats stats;
    spool_stats(world->spool, &stats);
    assert_true(stats.records == 2 && stats.records_lost == 1);
    expect_lost(world->spool, incarnation, 1, 2, 2, 1, SPOOL_LOST_DAMAGED);
    expect_read(world->spool, incarnation, 1, 3, 10, 1000, 3, "and one behind,");
    assert_true(push(world->spool, 1, "k3", "and one behind").duplicate);
}

static void test_sound_records_of_a_damaged_segment_are_given(void **state)
{
    struct spool_world *world = *state;
    struct spool_record records[4] = {{.lane = 1, .body = text("the first")},
                                      {.lane = 1, .body = text("to be damaged")},
                                      {.lane = 1, .body = text("behind it")},
                                      {.lane = 1, .body = text("the last")}};
    assert_true(spool_push(world->spool, records, 4, NULL));
    uint64_t incarnation = spool_incarnation(world->spool);
    spool_close(world->spool);
    world->spool = NULL;
    damage(world->path, "to be damaged");
    spool_world_reopen(world);
    expect_lost(world->spool, incarnation, 1, 2, 2, 1, SPOOL_LOST_DAMAGED);
    expect_read(world->spool, incarnation, 1, 1, 10, 1000, 1, "the first,");
    expect_read(world->spool, incarnation, 1, 3, 10, 1000, 3, "behind it,the last,");
}

/* Without its length nobody knows where the next record begins. */
static void test_a_damaged_length_takes_the_rest_with_it(void **state)
{
    struct spool_world *world = *state;
    struct spool_record records[4] = {{.lane = 1, .body = text("the first")},
                                      {.lane = 1, .body = text("to be damaged")},
                                      {.lane = 1, .body = text("behind it")},
                                      {.lane = 1, .body = text("the last")}};
    assert_true(spool_push(world->spool, records, 4, NULL));
    uint64_t incarnation = push(world->spool, 1, "", "another").incarnation;
    spool_close(world->spool);
    world->spool = NULL;
    struct buf content = {0};
    assert_true(file_read(world->path, 16 << 20, &content, NULL));
    uint8_t *at = memmem(content.data, content.length, "to be damaged", 13);
    assert_non_null(at);
    at[-6] ^= 1; /* varint, crc, key length */
    assert_true(file_write(world->path, buf_bytes(&content), 0600, NULL));
    buf_done(&content);
    spool_world_reopen(world);
    expect_read(world->spool, incarnation, 1, 1, 10, 1000, 1, "the first,");
    expect_lost(world->spool, incarnation, 1, 2, 2, 3, SPOOL_LOST_DAMAGED);
    expect_read(world->spool, incarnation, 1, 5, 10, 1000, 5, "another,");
}

/* What a stream lacks is never made up for from the one that lies before it in the file. */
static void test_a_lost_segment_is_a_hole_and_nothing_else(void **state)
{
    struct spool_world *world = *state;
    uint64_t incarnation = push(world->spool, 2, "", "lane two").incarnation;
    push(world->spool, 1, "", "lost");
    push(world->spool, 1, "", "behind");
    spool_close(world->spool);
    world->spool = NULL;
    change(world->path, "DELETE FROM segment WHERE lane = 1 AND first_seq = 1");
    spool_world_reopen(world);
    expect_lost(world->spool, incarnation, 1, 1, 1, 1, SPOOL_LOST_DAMAGED);
    expect_read(world->spool, incarnation, 1, 2, 10, 1000, 2, "behind,");
    receipt(world->spool, incarnation, 1, 2);
    receipt(world->spool, incarnation, 2, 1);
    world->boot_ms += LONG_AFTER_MS;
    forget(world->spool);
    assert_int_equal(spool_unclosed(world->spool, NULL, 0), 0);
}

static void test_a_hole_at_the_end_is_declared_too(void **state)
{
    struct spool_world *world = *state;
    uint64_t incarnation = push(world->spool, 1, "", "a").incarnation;
    push(world->spool, 1, "", "b");
    push(world->spool, 1, "", "c");
    receipt(world->spool, incarnation, 1, 1); /* writes last_seq down */
    spool_close(world->spool);
    world->spool = NULL;
    change(world->path, "DELETE FROM segment WHERE first_seq = 3");
    spool_world_reopen(world);
    expect_read(world->spool, incarnation, 1, 1, 10, 1000, 2, "b,");
    expect_lost(world->spool, incarnation, 1, 3, 3, 1, SPOOL_LOST_DAMAGED);
}

/* A disk that had not kept what it promised: the fleet has more of the stream than is left. */
static void test_a_receipt_for_a_lost_tail_covers_what_is_left(void **state)
{
    struct spool_world *world = *state;
    char wal[sizeof world->path + 4];
    struct buf database = {0}, log = {0};
    struct err err = {0};
    snprintf(wal, sizeof wal, "%s-wal", world->path);
    uint64_t incarnation = push(world->spool, 1, "", "a").incarnation;
    push(world->spool, 1, "", "b");
    assert_true(file_read(world->path, 1 << 20, &database, &err));
    assert_true(file_read(wal, 1 << 20, &log, &err));
    push(world->spool, 1, "", "c");
    push(world->spool, 1, "", "d");
    spool_close(world->spool);
    world->spool = NULL;
    assert_true(file_write(world->path, buf_bytes(&database), 0600, &err));
    assert_true(file_write(wal, buf_bytes(&log), 0600, &err));
    spool_world_reopen(world);
    assert_int_equal(held(world->spool), 2);
    const struct spool_range beyond[] = {{4, 4}};
    if (!spool_receipt(world->spool, incarnation, 1, 1, beyond, 1, &err) ||
        !spool_receipt(world->spool, incarnation, 1, 3, beyond, 1, &err))
        fail_msg("%s", err.text);
    assert_int_equal(spool_streams(world->spool, NULL, 0), 0);
    world->boot_ms += LONG_AFTER_MS;
    assert_int_equal(forget(world->spool), 2);
    buf_done(&database);
    buf_done(&log);
}

static uint64_t lost(const struct spool *spool)
{
    struct spool_stats stats;
    spool_stats(spool, &stats);
    return stats.records_lost;
}

/* Pushes until something has had to give way; returns the last seq that was taken. */
static uint64_t fill_up(struct spool *spool, size_t body_bytes)
{
    static char body[4096];
    struct spool_record record = {.lane = 1, .body = bytes_of(body, body_bytes)};
    struct err err = {0};
    uint64_t before = lost(spool);
    while (lost(spool) == before) {
        if (!spool_push(spool, &record, 1, &err))
            fail_msg("%s", err.text);
        assert_in_range(record.seq, 1, 200000);
    }
    return record.seq;
}

static bool count_only(void *ctx, uint64_t seq, struct bytes body, struct err *err)
{
    (void)body;
    (void)err;
    assert_true(seq == ++*(uint64_t *)ctx);
    return true;
}

static void expect_readable(struct spool *spool, uint64_t incarnation, uint64_t first,
                            uint64_t last)
{
    uint64_t seq = first - 1;
    struct spool_found found = {.count = 1};
    while (found.count > 0)
        assert_true(spool_read(spool, incarnation, 1, seq + 1, 500, 1 << 20, count_only, &seq,
                               &found, NULL));
    assert_int_equal(seq, last);
}

static void forget_all(struct spool *spool)
{
    while (forget(spool) > 0)
        continue;
    assert_int_equal(held(spool), 0);
}

/* Health cannot make a sale's result give way, however full it is. */
static void expect_full(struct spool *spool)
{
    static char body[65536];
    struct spool_record record = {.lane = 3, .body = bytes_of(body, sizeof body)};
    struct err err = {0};
    uint64_t before = lost(spool);
    uint64_t seq = 0;
    while (spool_push(spool, &record, 1, &err)) {
        assert_true(lost(spool) == before || seq > 0);
        if (lost(spool) > before)
            return; /* there was room for some, and the oldest of these gave way */
        seq = record.seq;
    }
    assert_int_equal(err.code, ERR_FULL);
    assert_int_equal(lost(spool), before);
}

static void test_over_quota_nothing_breaks_and_room_comes_back(void **state)
{
    struct spool_world *world = *state;
    world->settings.quota_bytes = SPOOL_QUOTA_MIN_BYTES;
    world->settings.grace_ms = 0;
    spool_world_reopen(world);
    struct spool *spool = world->spool;
    uint64_t incarnation = spool_incarnation(spool);
    struct spool_stats stats;
    uint64_t last = fill_up(spool, 1000);
    spool_stats(spool, &stats);
    assert_in_range(stats.bytes, 1 << 20, SPOOL_QUOTA_MIN_BYTES);
    assert_int_equal(stats.records + stats.records_lost, last);
    assert_in_range(stats.records_lost, 1, 100);
    expect_lost(spool, incarnation, 1, 1, 1, stats.records_lost, SPOOL_LOST_QUOTA);
    expect_readable(spool, incarnation, 1 + stats.records_lost, last);
    expect_full(spool);
    assert_true(spool_note_write(spool, "n", text("works when full"), NULL));
    for (uint64_t seq = 10; seq < last && seq < 2000; seq += 10) {
        const struct spool_range range = {seq, seq};
        assert_true(spool_receipt(spool, incarnation, 1, 0, &range, 1, NULL));
    }
    receipt(spool, incarnation, 1, last);
    struct spool_stream health = {0};
    if (spool_streams(spool, &health, 1) == 1)
        receipt(spool, incarnation, 3, health.last_seq);
    forget_all(spool);
    spool_stats(spool, &stats);
    assert_in_range(stats.bytes, 0, SPOOL_QUOTA_MIN_BYTES / 2);
    assert_int_equal(stats.records_lost, 0);
    assert_int_equal(push(spool, 1, "", "again").seq, last + 1);
    assert_in_range(fill_up(spool, 1000), last + last / 2, 200000);
    spool_world_reopen(world);
    assert_in_range(held(world->spool), last / 2, 2 * last);
}

static void test_a_failed_write_takes_nothing_back(void **state)
{
    struct spool_world *world = *state;
    struct rlimit before, tight;
    push(world->spool, 1, "kept", "the first");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = before;
    tight.rlim_cur = 100 * 1024; /* neither WAL nor database grow beyond that */
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    /* A failed push must not cost the window its keys. */
    struct spool_record records[100];
    int keys[100];
    static char body[4096];
    for (int round = 0; round < 25; round++) {
        for (int i = 0; i < 100; i++) {
            keys[i] = 100 * round + i;
            records[i] = (struct spool_record){.lane = 1,
                                               .key = bytes_of(&keys[i], sizeof keys[i]),
                                               .body = bytes_of(body, sizeof body)};
        }
        struct err err = {0};
        assert_false(spool_push(world->spool, records, 100, &err));
        assert_int_equal(err.code, ERR_FULL);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, handler);
    assert_int_equal(push(world->spool, 1, "", "after").seq, 2);
    assert_true(push(world->spool, 1, "kept", "the first").duplicate);
    /* Nor is anything given up for what finds no room all the same. */
    assert_int_equal(lost(world->spool), 0);
    expect_readable(world->spool, spool_incarnation(world->spool), 1, 2);
}

static void test_a_full_disk_at_the_start_says_what_to_do(void **state)
{
    struct spool_world *world = *state;
    struct rlimit before, tight;
    struct err err = {0};
    struct spool *spool = NULL;
    push(world->spool, 1, "", "kept");
    uint64_t incarnation = spool_incarnation(world->spool);
    spool_close(world->spool);
    world->spool = NULL;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = before;
    tight.rlim_cur = 100;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    assert_false(spool_open(&world->settings, &world->clock, &spool, &err));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, handler);
    assert_int_equal(err.code, ERR_FULL);
    assert_non_null(strstr(err.text, world->path));
    assert_non_null(strstr(err.text, "KiB free"));
    spool_world_reopen(world);
    expect_read(world->spool, incarnation, 1, 1, 9, 99, 1, "kept,");
}

enum { CANNOT_MOUNT = 77 };

static bool write_text(const char *path, const char *content)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t written = write(fd, content, strlen(content));
    close(fd);
    return written == (ssize_t)strlen(content);
}

/* Mounts of our own: root may, others may as root of a user namespace, if the kernel lets them. */
static bool enter_mount_namespace(void)
{
    char uid_map[32], gid_map[32];
    snprintf(uid_map, sizeof uid_map, "0 %u 1", geteuid());
    snprintf(gid_map, sizeof gid_map, "0 %u 1", getegid());
    if (geteuid() == 0)
        return unshare(CLONE_NEWNS) == 0;
    return unshare(CLONE_NEWNS | CLONE_NEWUSER) == 0 &&
           write_text("/proc/self/setgroups", "deny") &&
           write_text("/proc/self/uid_map", uid_map) && write_text("/proc/self/gid_map", gid_map);
}

static int explain(int status, const struct err *err)
{
    fprintf(stderr, "on a full disk: %s\n", err->text);
    return status;
}

static bool fill_disk(const char *dir)
{
    char name[128];
    static const char zeros[4096];
    (void)snprintf(name, sizeof name, "%s/filler", dir);
    int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (fd >= 0 && write(fd, zeros, sizeof zeros) > 0)
        continue;
    return fd >= 0 && close(fd) == 0;
}

/* In a child, on a file system of its own that really is full. */
static int on_a_full_disk(struct spool_world *world)
{
    if (!enter_mount_namespace() || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", world->dir, "tmpfs", 0, "size=6m") != 0)
        return CANNOT_MOUNT;
    struct spool *spool = NULL;
    struct err err = {0};
    world->settings.grace_ms = 0;
    if (!spool_open(&world->settings, &world->clock, &spool, &err))
        return explain(1, &err);
    /* Somebody else fills it: what is small may grow by what the ballast leaves. */
    if (!fill_disk(world->dir))
        return explain(7, &err);
    for (int i = 0; i < 300; i++) {
        struct spool_record early = {.lane = 1, .body = bytes_of(world, 64)};
        if (!spool_push(spool, &early, 1, &err) || lost(spool) > 0)
            return explain(8, &err);
    }
    for (int round = 0; round < 3; round++) {
        struct spool_record record = {.lane = 1, .body = bytes_of(world, sizeof *world)};
        while (lost(spool) == 0) {
            if (!spool_push(spool, &record, 1, &err))
                return explain(2, &err);
        }
        /* Full as it is, results go on being taken. */
        for (int i = 0; i < 5000; i++) {
            if (!spool_push(spool, &record, 1, &err))
                return explain(3, &err);
        }
        if (!spool_receipt(spool, record.incarnation, 1, record.seq, NULL, 0, &err))
            return explain(4, &err);
        uint64_t last = record.seq;
        size_t removed = 1;
        while (removed > 0) {
            if (!spool_forget(spool, &removed, &err))
                return explain(5, &err);
        }
        if (held(spool) != 0 || !spool_push(spool, &record, 1, &err) || record.seq != last + 1)
            return explain(6, &err);
    }
    spool_close(spool);
    return 0;
}

static void test_a_full_disk_can_be_emptied(void **state)
{
    struct spool_world *world = *state;
    spool_close(world->spool);
    world->spool = NULL;
    pid_t child = fork();
    if (child == 0)
        _exit(on_a_full_disk(world));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CANNOT_MOUNT)
        skip(); /* no right to mount here */
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void push_until_killed(struct spool_world *world, int to_parent)
{
    struct spool *spool = NULL;
    if (!spool_open(&world->settings, &world->clock, &spool, NULL))
        _exit(1);
    for (;;) {
        struct spool_record records[3];
        for (size_t i = 0; i < 3; i++)
            records[i] = (struct spool_record){.lane = 1, .body = text("as it was given")};
        if (!spool_push(spool, records, 3, NULL) ||
            write(to_parent, &records[2].seq, sizeof records[2].seq) != sizeof records[2].seq)
            _exit(2);
    }
}

static void test_kill_9_loses_nothing_acknowledged(void **state)
{
    struct spool_world *world = *state;
    spool_close(world->spool);
    world->spool = NULL;
    for (uint64_t wanted = 30; wanted <= 300; wanted += 90) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            close(ends[0]);
            push_until_killed(world, ends[1]);
        }
        close(ends[1]);
        uint64_t answered = 0, seq = 0;
        while (read(ends[0], &seq, sizeof seq) == sizeof seq) {
            answered = seq;
            if (answered >= wanted)
                kill(child, SIGKILL);
        }
        close(ends[0]);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && answered >= wanted);
        spool_world_reopen(world);
        struct spool_stream streams[8];
        size_t count = spool_streams(world->spool, streams, 8);
        assert_in_range(count, 1, 8);
        const struct spool_stream *stream = &streams[count - 1];
        assert_in_range(stream->last_seq, answered, answered + 3);
        expect_readable(world->spool, stream->incarnation, 1, stream->last_seq);
        spool_close(world->spool);
        world->spool = NULL;
    }
}

static void test_age_survives_a_power_cut(void **state)
{
    struct spool_world *world = *state;
    spool_close(world->spool);
    world->spool = NULL;
    pid_t child = fork();
    if (child == 0) {
        struct spool_record record = {.lane = 1, .body = text("a")};
        if (!spool_open(&world->settings, &world->clock, &world->spool, NULL))
            _exit(1);
        world->boot_ms += 50000;
        _exit(spool_push(world->spool, &record, 1, NULL) ? 0 : 2); /* nothing is closed */
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    spool_world_power_cycle(world, 70);
    struct spool_stats stats;
    spool_stats(world->spool, &stats);
    assert_int_equal(stats.oldest_ms, 70);
}

/* One bit of one row: else all that is held would be too old at once, and all grace over. */
static void test_a_damaged_time_ages_nothing(void **state)
{
    struct spool_world *world = *state;
    world->settings.lanes[0].age_ms = INT64_C(400) * 24 * 3600 * 1000;
    for (int i = 0; i < 3; i++)
        push(world->spool, 1, "", "x");
    uint64_t incarnation = spool_incarnation(world->spool);
    spool_close(world->spool);
    world->spool = NULL;
    change(world->path, "UPDATE segment SET powered_ms = powered_ms | 1 << 61"
                        " WHERE id = (SELECT max(id) FROM segment)");
    spool_world_reopen(world);
    push(world->spool, 1, "", "y");
    forget(world->spool);
    expect_read(world->spool, incarnation, 1, 1, 9, 99, 1, "x,x,x,");
    receipt(world->spool, incarnation, 1, 3);
    assert_int_equal(forget(world->spool), 0); /* in grace */
    world->boot_ms += LONG_AFTER_MS;
    assert_int_equal(forget(world->spool), 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, spool_world_setup, spool_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_newer_schema_is_refused_untouched),
        TEST(test_flips_in_the_marks_are_damage),
        TEST(test_a_damaged_record_is_never_given),
        TEST(test_a_damaged_time_ages_nothing),
        TEST(test_sound_records_of_a_damaged_segment_are_given),
        TEST(test_a_damaged_length_takes_the_rest_with_it),
        TEST(test_a_hole_at_the_end_is_declared_too),
        TEST(test_a_lost_segment_is_a_hole_and_nothing_else),
        TEST(test_a_receipt_for_a_lost_tail_covers_what_is_left),
        TEST(test_over_quota_nothing_breaks_and_room_comes_back),
        TEST(test_a_failed_write_takes_nothing_back),
        TEST(test_a_full_disk_at_the_start_says_what_to_do),
        TEST(test_a_full_disk_can_be_emptied),
        TEST(test_kill_9_loses_nothing_acknowledged),
        TEST(test_age_survives_a_power_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
