/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_chain.h"

#include "base/file.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct place {
    char dir[64];
    char path[96];
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    (void)snprintf(place->dir, sizeof place->dir, "/tmp/muster-test-XXXXXX");
    *state = place;
    if (mkdtemp(place->dir) == NULL)
        return -1;
    (void)snprintf(place->path, sizeof place->path, "%s/spool.db.chain", place->dir);
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    bool ok = file_remove_tree(place->dir, NULL);
    free(place);
    return ok ? 0 : -1;
}

/* A chain that tells its `starts` and its `count` in each entry. */
static struct spool_chain chain_of(uint64_t starts, size_t count)
{
    struct spool_chain chain = {.device = "term-0001", .starts = starts, .count = count};
    chain.entries = calloc(count + 1, sizeof *chain.entries);
    for (size_t i = 0; i < count; i++)
        chain.entries[i] = (struct spool_chain_entry){.incarnation = UINT64_MAX - i,
                                                      .ceiling = {starts, i, UINT64_MAX}};
    return chain;
}

static void write_chain(const char *path, struct spool_chain *chain)
{
    struct err err = {0};
    if (!spool_chain_write(path, chain, &err))
        fail_msg("%s", err.text);
}

static void assert_starts(const char *path, uint64_t starts)
{
    struct spool_chain chain;
    struct err err = {0};
    if (!spool_chain_read(path, &chain, &err))
        fail_msg("%s", err.text);
    assert_int_equal(chain.starts, starts);
    spool_chain_done(&chain);
}

static void assert_unreadable(const char *path, enum err_code code)
{
    struct spool_chain chain;
    struct err err = {0};
    assert_false(spool_chain_read(path, &chain, &err));
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.text, path));
}

static void damage(const char *path, uint64_t offset, size_t length)
{
    uint8_t junk[SPOOL_CHAIN_SLOT_BYTES];
    memset(junk, 0x5a, sizeof junk);
    assert_true(file_patch(path, offset, bytes_of(junk, length), NULL));
}

/* The slot that an edition stands in. */
static uint64_t slot_of(uint64_t edition)
{
    return edition % 2 * SPOOL_CHAIN_SLOT_BYTES;
}

static void what_is_written_is_read(void **state)
{
    struct place *place = *state;
    const size_t counts[] = {0, 1, 7, SPOOL_CHAIN_ENTRIES};
    uint64_t edition = 0;
    assert_unreadable(place->path, ERR_NOT_FOUND);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct spool_chain chain = chain_of(i + 1, counts[i]), held;
        chain.edition = edition;
        write_chain(place->path, &chain);
        assert_int_equal(chain.edition, ++edition);
        assert_true(spool_chain_read(place->path, &held, NULL));
        assert_string_equal(held.device, "term-0001");
        assert_int_equal(held.starts, i + 1);
        assert_int_equal(held.edition, edition);
        assert_int_equal(held.count, counts[i]);
        assert_memory_equal(held.entries, chain.entries, counts[i] * sizeof *held.entries);
        spool_chain_done(&held);
        spool_chain_done(&chain);
        assert_null(chain.entries);
    }
}

static void file_keeps_length_and_place(void **state)
{
    struct place *place = *state;
    struct spool_chain chain = chain_of(1, 3);
    struct stat before, after;
    write_chain(place->path, &chain);
    assert_int_equal(stat(place->path, &before), 0);
    assert_int_equal(before.st_size, SPOOL_CHAIN_BYTES);
    assert_int_equal(before.st_mode & 07777, 0600);
    for (int i = 0; i < 5; i++)
        write_chain(place->path, &chain);
    assert_int_equal(stat(place->path, &after), 0);
    assert_int_equal(after.st_ino, before.st_ino);
    assert_int_equal(after.st_size, SPOOL_CHAIN_BYTES);
    spool_chain_done(&chain);
}

static void torn_write_leaves_the_one_before(void **state)
{
    struct place *place = *state;
    struct spool_chain chain = chain_of(0, 20);
    for (uint64_t starts = 1; starts <= 6; starts++) {
        chain.starts = starts;
        write_chain(place->path, &chain);
        if (starts == 1)
            continue;
        /* Whichever byte is lost: of the head, of the first entry, of the last one. */
        const size_t at[] = {0, 8, 12, 16, 24, 32, 63, 64, 64 + 20 * 32 - 1};
        struct buf whole = {0};
        for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
            assert_true(file_read(place->path, SPOOL_CHAIN_BYTES, &whole, NULL));
            damage(place->path, slot_of(chain.edition) + at[i], 1);
            assert_starts(place->path, starts - 1);
            assert_true(file_patch(place->path, 0, buf_bytes(&whole), NULL));
            assert_starts(place->path, starts);
            buf_done(&whole);
        }
    }
    /* The one after a torn write goes into the same slot. */
    damage(place->path, slot_of(chain.edition), 512);
    struct spool_chain again;
    assert_true(spool_chain_read(place->path, &again, NULL));
    assert_int_equal(again.starts, 5);
    again.starts = 7;
    write_chain(place->path, &again);
    assert_int_equal(again.edition, chain.edition);
    assert_starts(place->path, 7);
    damage(place->path, slot_of(again.edition), 512);
    assert_starts(place->path, 5);
    spool_chain_done(&again);
    spool_chain_done(&chain);
}

static void both_slots_bad_is_said_and_overcome(void **state)
{
    struct place *place = *state;
    struct spool_chain chain = chain_of(8, 2), fresh = chain_of(9, 1);
    write_chain(place->path, &chain);
    write_chain(place->path, &chain);
    damage(place->path, slot_of(0), 100);
    damage(place->path, slot_of(1), 100);
    assert_unreadable(place->path, ERR_IO);
    write_chain(place->path, &fresh);
    assert_starts(place->path, 9);
    spool_chain_done(&fresh);
    spool_chain_done(&chain);
}

static void foreign_bytes_are_refused(void **state)
{
    struct place *place = *state;
    uint8_t junk[SPOOL_CHAIN_BYTES + 1];
    unsigned value = 1;
    for (size_t i = 0; i < sizeof junk; i++) {
        value = value * 1103515245 + 12345;
        junk[i] = (uint8_t)(value >> 16);
    }
    const size_t lengths[] = {0,          1, 8, 63, 64, SPOOL_CHAIN_SLOT_BYTES, sizeof junk - 1,
                              sizeof junk};
    for (size_t i = 0; i < 2 * sizeof lengths / sizeof *lengths; i++) {
        if (i >= sizeof lengths / sizeof *lengths) /* with a head that promises much */
            memcpy(junk, "MUSTERC1\0\0\0\0\xff\xff\xff\xff", 16);
        assert_true(file_write(place->path,
                               bytes_of(junk, lengths[i % (sizeof lengths / sizeof *lengths)]),
                               0600, NULL));
        assert_unreadable(place->path, ERR_IO);
    }
    struct spool_chain chain = chain_of(3, 1);
    write_chain(place->path, &chain); /* replaces it whole */
    assert_starts(place->path, 3);
    spool_chain_done(&chain);
    assert_true(file_remove(place->path, NULL));
    assert_int_equal(mkdir(place->path, 0700), 0);
    assert_unreadable(place->path, ERR_IO);
}

static void short_file_gives_the_slot_it_has(void **state)
{
    struct place *place = *state;
    struct spool_chain chain = chain_of(1, 2);
    struct buf whole = {0};
    write_chain(place->path, &chain);
    chain.starts = 2;
    write_chain(place->path, &chain); /* edition 2: the first slot */
    assert_true(file_read(place->path, SPOOL_CHAIN_BYTES, &whole, NULL));
    assert_true(file_write(place->path, bytes_of(whole.data, 64 + 2 * 32), 0600, NULL));
    assert_starts(place->path, 2);
    assert_true(file_write(place->path, bytes_of(whole.data, 64 + 2 * 32 - 1), 0600, NULL));
    assert_unreadable(place->path, ERR_IO);
    buf_done(&whole);
    chain.starts = 3;
    write_chain(place->path, &chain);
    assert_starts(place->path, 3);
    spool_chain_done(&chain);
}

static void slot_in_the_other_place_does_not_count(void **state)
{
    struct place *place = *state;
    struct spool_chain chain = chain_of(1, 2);
    struct buf whole = {0};
    write_chain(place->path, &chain);
    assert_true(file_read(place->path, SPOOL_CHAIN_BYTES, &whole, NULL));
    struct bytes slot = bytes_of(whole.data + slot_of(1), SPOOL_CHAIN_SLOT_BYTES);
    assert_true(file_patch(place->path, slot_of(0), slot, NULL));
    assert_starts(place->path, 1);
    damage(place->path, slot_of(1), 64);
    assert_unreadable(place->path, ERR_IO);
    buf_done(&whole);
    spool_chain_done(&chain);
}

static void fresh_chain_goes_on_from_the_edition_on_disk(void **state)
{
    struct place *place = *state;
    struct spool_chain chain = chain_of(5, 2);
    for (int i = 0; i < 4; i++)
        write_chain(place->path, &chain);
    struct spool_chain rebuilt = chain_of(6, 0);
    write_chain(place->path, &rebuilt);
    assert_int_equal(rebuilt.edition, 5);
    assert_starts(place->path, 6);
    spool_chain_done(&rebuilt);
    spool_chain_done(&chain);
}

static void of_too_many_the_newest_are_kept(void **state)
{
    struct place *place = *state;
    struct spool_chain chain = chain_of(1, SPOOL_CHAIN_ENTRIES + 5), held;
    write_chain(place->path, &chain);
    assert_true(spool_chain_read(place->path, &held, NULL));
    assert_int_equal(held.count, SPOOL_CHAIN_ENTRIES);
    assert_memory_equal(held.entries, chain.entries + 5, held.count * sizeof *held.entries);
    spool_chain_done(&held);
    spool_chain_done(&chain);
}

static void device_must_end(void **state)
{
    struct place *place = *state;
    struct spool_chain chain = chain_of(1, 1), held;
    struct err err = {0};
    memset(chain.device, 'x', sizeof chain.device);
    assert_false(spool_chain_write(place->path, &chain, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_int_equal(chain.edition, 0);
    chain.device[SPOOL_CHAIN_DEVICE_BYTES] = '\0';
    write_chain(place->path, &chain);
    assert_true(spool_chain_read(place->path, &held, NULL));
    assert_string_equal(held.device, chain.device);
    spool_chain_done(&held);
    spool_chain_done(&chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(file_keeps_length_and_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(torn_write_leaves_the_one_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(both_slots_bad_is_said_and_overcome, set_up, tear_down),
        cmocka_unit_test_setup_teardown(foreign_bytes_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(short_file_gives_the_slot_it_has, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slot_in_the_other_place_does_not_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fresh_chain_goes_on_from_the_edition_on_disk, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(of_too_many_the_newest_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(device_must_end, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
