/* SPDX-License-Identifier: Apache-2.0 */
/* Spools with known records, damaged at random and opened again: spool_damage_test [ROUNDS [SEED]].
 * What was taken is given back as it was or is declared; nothing is invented and nothing doubled.
 */
#include "base/file.h"
#include "tests/unit/spool_world.h"
#include "tests/unit/testing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    STREAMS = 3 * SPOOL_LANES,
    SEQS_MAX = 400,
    HEAD_BYTES = 29, /* "#incarnation.lane.seq:" */
    BODY_MAX = 1600,
    SMALL_BYTES = 100, /* mostly */
    PAGE_BYTES = 512,
    SCENES = 3,
    FILES = 3,
};

static unsigned long rounds = 150;
static uint64_t seed = 20261122;
static uint64_t state_of_random;

/* SplitMix64. */
static uint64_t next_random(void)
{
    uint64_t z = state_of_random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}
static uint64_t below(uint64_t limit)
{
    return next_random() % limit;
}

enum fate { FATE_NONE, FATE_OWED, FATE_RECEIPTED, FATE_LOST };

struct told {
    uint64_t incarnation;
    int lane;
    uint64_t last;
    uint8_t fate[SEQS_MAX + 1];
};

/* A spool as it was when it was left: its files, and all that it was told. */
struct scene {
    struct told streams[STREAMS];
    size_t stream_count;
    struct buf files[FILES];
    bool there[FILES];
};

static const char *const suffixes[FILES] = {"", "-wal", ".chain"};
enum { DATABASE, WAL, CHAIN };

struct figures {
    uint64_t owed, sound, kept, declared, cut, wrong, missing, told;
};

static size_t body_of(uint64_t incarnation, int lane, uint64_t seq, char out[BODY_MAX])
{
    uint64_t mixed = (incarnation ^ seq * 2654435761U) + (uint64_t)lane;
    size_t length = mixed % 23 == 0 ? 500 + mixed % 1000 : HEAD_BYTES + mixed % SMALL_BYTES;
    memset(out, 'a' + (int)(mixed % 26), length);
    char head[HEAD_BYTES + 1];
    (void)snprintf(head, sizeof head, "#%016" PRIx64 ".%u.%08u:", incarnation, (unsigned)lane % 10,
                   (unsigned)(seq % 100000000));
    memcpy(out, head, HEAD_BYTES);
    return length;
}

/* ---- making a scene ---- */

static struct told *told_of(struct scene *scene, uint64_t incarnation, int lane)
{
    for (size_t i = 0; i < scene->stream_count; i++) {
        if (scene->streams[i].incarnation == incarnation && scene->streams[i].lane == lane)
            return &scene->streams[i];
    }
    struct told *told = &scene->streams[scene->stream_count++];
    *told = (struct told){.incarnation = incarnation, .lane = lane};
    return told;
}

static void push_some(struct spool_world *world, struct scene *scene)
{
    static char bodies[16][BODY_MAX];
    struct spool_record records[16];
    uint64_t incarnation = spool_incarnation(world->spool);
    size_t count = 1 + below(below(3) == 0 ? 16 : 4);
    uint64_t last[SPOOL_LANES + 1] = {0};
    for (size_t i = 0; i < count; i++) {
        int lane = 1 + (int)below(SPOOL_LANES);
        struct told *told = told_of(scene, incarnation, lane);
        uint64_t seq = told->last + ++last[lane];
        records[i] = (struct spool_record){.lane = lane};
        records[i].body = bytes_of(bodies[i], body_of(incarnation, lane, seq, bodies[i]));
        records[i].key = below(2) == 0 ? bytes_of(bodies[i], HEAD_BYTES) : bytes_of(NULL, 0);
    }
    struct err err = {0};
    if (!spool_push(world->spool, records, count, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < count; i++) {
        struct told *told = told_of(scene, incarnation, records[i].lane);
        assert_int_equal(records[i].seq, ++told->last);
        told->fate[told->last] = FATE_OWED;
    }
}

static void settle_some(struct spool_world *world, struct scene *scene)
{
    struct told *told = &scene->streams[below(scene->stream_count)];
    if (told->last < 4)
        return;
    uint64_t first = 1 + below(told->last - 2), last = first + below(3);
    struct err err = {0};
    if (below(3) == 0) {
        assert_true(spool_lose(world->spool, told->incarnation, told->lane, first, last,
                               SPOOL_LOST_CONFLICT, &err));
        for (uint64_t seq = first; seq <= last; seq++)
            told->fate[seq] = told->fate[seq] == FATE_OWED ? FATE_LOST : told->fate[seq];
        return;
    }
    receipt(world->spool, told->incarnation, told->lane, first);
    for (uint64_t seq = 1; seq <= first; seq++)
        told->fate[seq] = FATE_RECEIPTED;
    if (below(4) == 0)
        world->boot_ms += LONG_AFTER_MS;
    (void)forget(world->spool);
}

static const char *name_of(const struct spool_world *world, int file, char name[128])
{
    (void)snprintf(name, 128, "%s%s", world->path, suffixes[file]);
    return name;
}

static void keep_files(const struct spool_world *world, struct scene *scene)
{
    char name[128];
    for (int i = 0; i < FILES; i++) {
        scene->files[i] = (struct buf){.limit = 8 << 20};
        scene->there[i] = file_exists(name_of(world, i, name));
        if (scene->there[i])
            assert_true(file_read(name, 8 << 20, &scene->files[i], NULL));
    }
}

static void make_scene(struct spool_world *world, struct scene *scene, int number)
{
    for (int start = 0; start < 3; start++) {
        spool_world_reopen(world);
        for (int i = 0; i < 60; i++) {
            push_some(world, scene);
            if (below(6) == 0)
                settle_some(world, scene);
        }
    }
    if (number == 0) { /* stopped; else killed */
        spool_close(world->spool);
        world->spool = NULL;
    }
    keep_files(world, scene);
}

/* ---- damage ---- */

struct harm {
    bool database, wal, chain;
};

static void harm_bytes(struct buf *file, uint64_t page_bytes)
{
    if (file->length == 0)
        return;
    size_t at = below(file->length), length = 1;
    switch (below(4)) {
    case 0:
        file->data[at] ^= (uint8_t)(1U << below(8));
        return;
    case 1:
        at = at / page_bytes * page_bytes;
        length = page_bytes;
        break;
    case 2:
        at = at / 4096 * 4096;
        length = 4096;
        break;
    default:
        length = 1 + below(64);
        break;
    }
    length = length < file->length - at ? length : file->length - at;
    uint8_t zero = below(3) == 0 ? 0 : 0xff;
    for (size_t i = 0; i < length; i++)
        file->data[at + i] = (uint8_t)(next_random() & zero);
}

static void harm_file(struct buf *file, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        harm_bytes(file, PAGE_BYTES);
    if (below(8) == 0)
        file->length = below(file->length + 1);
}

static struct harm harm(struct buf files[FILES], const bool there[FILES])
{
    struct harm harm = {.database = true};
    uint64_t choice = below(10);
    harm.wal = there[WAL] && choice < 4;
    harm.database = !harm.wal || choice < 2;
    harm.chain = choice == 9;
    if (harm.database)
        harm_file(&files[DATABASE], 1 + (unsigned)below(6));
    if (harm.wal)
        harm_file(&files[WAL], 1 + (unsigned)below(3));
    if (harm.chain)
        harm_file(&files[CHAIN], 1);
    return harm;
}

/* ---- judging ---- */

struct reading {
    struct told *told;
    struct figures *figures;
    uint8_t seen[SEQS_MAX + 1];
};

static bool judge_record(void *ctx, uint64_t seq, struct bytes body, struct err *err)
{
    struct reading *reading = ctx;
    static char expected[BODY_MAX];
    const struct told *told = reading->told;
    (void)err;
    if (seq == 0 || seq > told->last || reading->seen[seq] != 0) {
        reading->figures->wrong++;
        print_error("seq %" PRIu64 " of lane %d was never given, or twice\n", seq, told->lane);
        return true;
    }
    size_t length = body_of(told->incarnation, told->lane, seq, expected);
    if (!bytes_equal(body, bytes_of(expected, length))) {
        reading->figures->wrong++;
        print_error("seq %" PRIu64 " of lane %d has changed\n", seq, told->lane);
    }
    reading->seen[seq] = 1;
    return true;
}

static void read_stream(struct spool *spool, struct reading *reading)
{
    uint64_t from = 1;
    struct spool_found found = {.count = 1};
    while (found.count > 0) {
        struct err err = {0};
        if (!spool_read(spool, reading->told->incarnation, reading->told->lane, from, 50, 20000,
                        judge_record, reading, &found, &err))
            fail_msg("%s", err.text);
        for (uint64_t i = 0; found.lost != SPOOL_HELD && i < found.count; i++) {
            if (found.first + i <= SEQS_MAX)
                reading->seen[found.first + i] = 2;
        }
        from = found.first + found.count;
    }
}

static void judge(struct spool *spool, struct scene *scene, const struct harm *harm,
                  struct figures *figures)
{
    static struct reading readings[STREAMS];
    for (size_t i = 0; i < scene->stream_count; i++) {
        readings[i] = (struct reading){.told = &scene->streams[i], .figures = figures};
        read_stream(spool, &readings[i]);
    }
    for (size_t i = 0; i < scene->stream_count; i++) {
        const struct told *told = &scene->streams[i];
        for (uint64_t seq = 1; seq <= told->last; seq++) {
            if (told->fate[seq] != FATE_OWED)
                continue;
            uint8_t seen = readings[i].seen[seq];
            figures->owed++;
            figures->kept += seen == 1;
            figures->declared += seen == 2;
            if (seen != 0)
                continue;
            /* A WAL's end may be what a power cut tore, which was never acknowledged; and without a
             * chain nobody knows of the end of a stream that is gone. */
            if (harm->wal || harm->chain)
                figures->cut++;
            else
                figures->missing++;
        }
    }
}

/* Whose bytes are still somewhere in the files, in one piece. */
static uint64_t count_sound(const struct scene *scene, const struct buf files[FILES])
{
    static uint8_t found[STREAMS][SEQS_MAX + 1];
    static char expected[BODY_MAX];
    uint64_t sound = 0;
    memset(found, 0, sizeof found);
    for (int f = DATABASE; f <= WAL; f++) {
        for (size_t at = 0; at + HEAD_BYTES <= files[f].length; at++) {
            const uint8_t *in = files[f].data + at;
            if (in[0] != '#' || in[17] != '.' || in[HEAD_BYTES - 1] != ':')
                continue;
            for (size_t i = 0; i < scene->stream_count; i++) {
                const struct told *told = &scene->streams[i];
                char number[9] = {0};
                memcpy(number, in + 20, 8);
                uint64_t seq = strtoul(number, NULL, 10);
                if (seq == 0 || seq > told->last || found[i][seq] != 0)
                    continue;
                size_t length = body_of(told->incarnation, told->lane, seq, expected);
                if (length > files[f].length - at || memcmp(in, expected, length) != 0)
                    continue;
                found[i][seq] = 1;
                sound += told->fate[seq] == FATE_OWED;
            }
        }
    }
    return sound;
}

static void write_files(struct spool_world *world, struct buf files[FILES], const bool there[FILES])
{
    char name[128];
    assert_true(file_remove_tree(world->dir, NULL));
    assert_int_equal(mkdir(world->dir, 0700), 0);
    for (int i = 0; i < FILES; i++) {
        FILE *out = there[i] ? fopen(name_of(world, i, name), "wb") : NULL;
        if (out == NULL)
            continue;
        assert_int_equal(fwrite(files[i].data, 1, files[i].length, out), files[i].length);
        assert_int_equal(fclose(out), 0);
    }
}

static void play_round(struct spool_world *world, struct scene *scene, struct figures *figures)
{
    struct buf files[FILES] = {0};
    for (int i = 0; i < FILES; i++)
        assert_true(buf_append(&files[i], scene->files[i].data, scene->files[i].length, NULL));
    struct harm harmed = harm(files, scene->there);
    figures->sound += count_sound(scene, files);
    write_files(world, files, scene->there);
    for (int i = 0; i < FILES; i++)
        buf_done(&files[i]);
    struct err err = {0};
    if (!spool_open(&world->settings, &world->clock, &world->spool, &err))
        fail_msg("a damaged spool does not open: %s", err.text);
    figures->told += spool_opened(world->spool)[0] != '\0';
    judge(world->spool, scene, &harmed, figures);
    assert_int_equal(push(world->spool, 1, "", "goes on").seq, 1);
    spool_close(world->spool);
    world->spool = NULL;
}

static void test_damage_at_random(void **state)
{
    struct spool_world *world = *state;
    static struct scene scenes[SCENES];
    struct figures figures = {0};
    state_of_random = seed;
    for (int i = 0; i < SCENES; i++) {
        spool_close(world->spool);
        world->spool = NULL;
        write_files(world, scenes[i].files, scenes[i].there);
        make_scene(world, &scenes[i], i);
    }
    spool_close(world->spool);
    world->spool = NULL;
    for (unsigned long round = 0; round < rounds; round++) {
        uint64_t wrong = figures.wrong + figures.missing;
        state_of_random = seed + round * 1000003;
        play_round(world, &scenes[round % SCENES], &figures);
        if (figures.wrong + figures.missing > wrong)
            print_error("in round %lu of seed %" PRIu64 "\n", round, seed);
    }
    for (int i = 0; i < SCENES * FILES; i++)
        buf_done(&scenes[i / FILES].files[i % FILES]);
    spool_world_reopen(world);
    printf("salvage.rounds %lu rounds\nsalvage.told %" PRIu64 " rounds\n", rounds, figures.told);
    printf("salvage.records_owed %" PRIu64 " records\n", figures.owed);
    printf("salvage.records_sound %" PRIu64 " records\n", figures.sound);
    printf("salvage.records_salvaged %" PRIu64 " records\n", figures.kept);
    printf("salvage.records_declared %" PRIu64 " records\n", figures.declared);
    printf("salvage.records_cut %" PRIu64 " records\n", figures.cut);
    printf("salvage.missing %" PRIu64 " records\nsalvage.wrong %" PRIu64 " records\n",
           figures.missing, figures.wrong);
    assert_int_equal(figures.wrong, 0);
    assert_int_equal(figures.missing, 0);
    assert_true(figures.kept * 100 >= figures.sound * 90);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_damage_at_random, spool_world_setup,
                                        spool_world_teardown),
    };
    if (argc > 1)
        rounds = strtoul(argv[1], NULL, 10);
    if (argc > 2)
        seed = strtoull(argv[2], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
