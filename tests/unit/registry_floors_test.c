/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "proto/seal.h"
#include "storage/registry_internal.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct place {
    char dir[64];
    char paths[2][80];
    struct registry *registry;
    struct registry_floors *now, *read;
    char lost[REGISTRY_LOST_CHARS];
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(place->dir, sizeof place->dir, "%s/floors_test.XXXXXX",
                   tmp != NULL ? tmp : "/tmp");
    place->now = calloc(1, sizeof *place->now);
    place->read = calloc(1, sizeof *place->read);
    *state = place;
    if (mkdtemp(place->dir) == NULL)
        return -1;
    (void)snprintf(place->paths[0], sizeof place->paths[0], "%s/floors", place->dir);
    (void)snprintf(place->paths[1], sizeof place->paths[1], "%s/second", place->dir);
    return registry_open(place->dir, place->paths[1], sha256, &place->registry, NULL) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    registry_close(place->registry);
    bool removed = file_remove_tree(place->dir, NULL);
    free(place->now);
    free(place->read);
    free(place);
    return removed ? 0 : -1;
}

static void put(struct registry_floors *floors, const char *name, uint64_t epoch, uint64_t minimum,
                uint64_t version)
{
    struct registry_floor *row = registry_floor_row(floors, name);
    assert_non_null(row);
    row->epoch = epoch;
    row->minimum = minimum;
    row->version = version;
    row->final = minimum / 2;
    memset(row->sha256, (int)version, sizeof row->sha256);
}

static void read_again(struct place *place)
{
    struct err err = {0};
    if (!registry_floors_read(place->registry, place->read, place->lost, &err))
        fail_msg("%s", err.text);
}

static void write_now(struct place *place)
{
    struct err err = {0};
    if (!registry_floors_write(place->registry, place->now, &err))
        fail_msg("%s", err.text);
}

static void plant(const struct place *place, size_t which, const char *text)
{
    assert_true(file_write(place->paths[which], bytes_of(text, strlen(text)), 0600, NULL));
}

static void test_none_yet(void **state)
{
    struct place *place = *state;
    place->read->count = 5;
    read_again(place);
    assert_int_equal(place->read->count, 0);
    assert_int_equal(place->read->epoch, 0);
    assert_string_equal(place->lost, "");
}

static void test_kept(void **state)
{
    struct place *place = *state;
    char name[REGISTRY_NAME_CHARS + 1];
    place->now->root_version = UINT64_MAX;
    place->now->epoch = UINT64_MAX;
    place->now->manifest_version = UINT64_MAX;
    memset(place->now->manifest_digest, 5, 32);
    for (unsigned i = 0; i < REGISTRY_FLOORS; i++) {
        (void)snprintf(name, sizeof name, "name-of-forty-eight-characters-at-the-most-%05u", i);
        put(place->now, name, UINT64_MAX, UINT64_MAX, UINT64_MAX);
    }
    assert_null(registry_floor_row(place->now, "one-more"));
    assert_null(registry_floor_of(place->now, "one-more"));
    write_now(place);
    read_again(place);
    assert_string_equal(place->lost, "");
    assert_memory_equal(place->now, place->read, sizeof *place->now);
}

/* Either place alone is enough, and its loss is told until it is written again. */
static void test_one_lost(void **state)
{
    struct place *place = *state;
    place->now->epoch = 1;
    place->now->manifest_version = 12;
    put(place->now, "bin.tsv", 1, 8, 9);
    for (size_t which = 0; which < 2; which++) {
        write_now(place);
        assert_true(file_remove(place->paths[which], NULL));
        read_again(place);
        assert_memory_equal(place->now, place->read, sizeof *place->now);
        assert_non_null(strstr(place->lost, place->paths[which]));
        assert_non_null(strstr(place->lost, "is gone"));
        plant(place, which, "floors\t0\t9\t99\n");
        read_again(place);
        assert_memory_equal(place->now, place->read, sizeof *place->now);
        assert_non_null(strstr(place->lost, "damaged"));
        write_now(place);
        read_again(place);
        assert_string_equal(place->lost, "");
    }
    plant(place, 0, "");
    plant(place, 1, "");
    read_again(place);
    assert_int_equal(place->read->epoch, 0);
    assert_non_null(strstr(place->lost, place->paths[0]));
    assert_non_null(strstr(place->lost, place->paths[1]));
}

/* One of them put back to an older state lowers nothing. The first is never written after the
 * second, so only there it cannot come from a power cut. */
static void test_one_put_back(void **state)
{
    struct place *place = *state;
    struct buf older = {0};
    place->now->epoch = 1;
    place->now->root_version = 1;
    place->now->manifest_version = 4;
    put(place->now, "aid.tsv", 1, 6, 7);
    put(place->now, "bin.tsv", 1, 8, 9);
    write_now(place);
    assert_true(file_read(place->paths[0], 4096, &older, NULL));
    place->now->epoch = 2;
    place->now->root_version = 3;
    place->now->manifest_version = 2;
    put(place->now, "aid.tsv", 2, 1, 2);
    put(place->now, "new.tsv", 2, 0, 1);
    for (size_t which = 0; which < 2; which++) {
        write_now(place);
        assert_true(file_write(place->paths[which], buf_bytes(&older), 0600, NULL));
        read_again(place);
        assert_int_equal(strstr(place->lost, "put back") != NULL, which == 0);
        assert_int_equal(place->lost[0] == '\0', which == 1);
        assert_int_equal(place->read->root_version, 3);
        assert_int_equal(place->read->epoch, 2);
        assert_int_equal(place->read->manifest_version, 2);
        assert_int_equal(registry_floor_of(place->read, "aid.tsv")->minimum, 1);
        assert_int_equal(registry_floor_of(place->read, "bin.tsv")->minimum, 8);
        assert_int_equal(registry_floor_of(place->read, "new.tsv")->version, 1);
    }
    buf_done(&older);
}

/* What was written is there to the byte, or it is said which place is not. */
static void test_looked_at(void **state)
{
    struct place *place = *state;
    char lost[REGISTRY_LOST_CHARS] = "";
    struct buf lower = {0};
    struct err err = {0};
    place->now->epoch = 1;
    place->now->manifest_version = 12;
    put(place->now, "bin.tsv", 1, 8, 9);
    write_now(place);
    assert_true(file_read(place->paths[0], 4096, &lower, NULL));
    assert_true(registry_floors_look(place->registry, place->now, lost, &err));
    assert_string_equal(lost, "");
    registry_floor_row(place->now, "bin.tsv")->minimum = 9;
    for (size_t which = 0; which < 2; which++) {
        write_now(place);
        assert_true(file_write(place->paths[which], buf_bytes(&lower), 0600, NULL));
        assert_true(registry_floors_look(place->registry, place->now, lost, &err));
        assert_non_null(strstr(lost, place->paths[which]));
        assert_null(strstr(lost, place->paths[1 - which]));
        assert_non_null(strstr(lost, "is not as it was written"));
    }
    write_now(place);
    assert_true(file_remove(place->paths[0], NULL) && file_remove(place->paths[1], NULL));
    assert_true(registry_floors_look(place->registry, place->now, lost, &err));
    assert_non_null(strstr(lost, place->paths[0]));
    assert_non_null(strstr(lost, place->paths[1]));
    buf_done(&lower);
}

static void test_merge_row_by_row(void **state)
{
    struct place *place = *state;
    put(place->now, "a", 1, 10, 10);
    put(place->now, "b", 2, 3, 4);
    put(place->read, "a", 1, 4, 12);
    put(place->read, "b", 1, 99, 99);
    assert_true(registry_floors_merge(place->now, place->read, NULL));
    const struct registry_floor *row = registry_floor_of(place->now, "a");
    assert_int_equal(row->minimum, 10);
    assert_int_equal(row->final, 5);
    assert_int_equal(row->version, 12);
    assert_int_equal(row->sha256[0], 12);
    row = registry_floor_of(place->now, "b");
    assert_int_equal(row->epoch, 2);
    assert_int_equal(row->minimum, 3);
    assert_int_equal(row->version, 4);
}

static void plant_summed(const struct place *place, const char *text)
{
    struct buf sheet = {0};
    assert_true(buf_append(&sheet, text, strlen(text), NULL));
    assert_true(sheet_write(place->registry, place->paths[0], &sheet, NULL));
    buf_done(&sheet);
}

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

/* A terminal that was updated has one place, without epochs: nothing of it is lost. */
static void test_before_epochs(void **state)
{
    struct place *place = *state;
    plant_summed(place, "manifest\t7\t" ZEROS "\naid.tsv\t3\n");
    read_again(place);
    assert_string_equal(place->lost, "");
    assert_int_equal(place->read->epoch, 1);
    assert_int_equal(place->read->manifest_version, 7);
    assert_int_equal(registry_floor_of(place->read, "aid.tsv")->minimum, 3);
    assert_int_equal(registry_floor_of(place->read, "aid.tsv")->epoch, 1);
}

static void test_malformed(void **state)
{
    struct place *place = *state;
    static const char *const texts[] = {
        "manifest\t0\n",
        "floors\t1\t1\t1\n",
        "floors\t1\t1\tx\t" ZEROS "\n",
        "floors\t1\t1\t1\t" ZEROS "\naid.tsv\t1\t2\t3\n",
        "floors\t1\t1\t1\t" ZEROS "\naid.tsv\t1\t2\t3\t-4\t" ZEROS "\n",
        "floors\t1\t1\t1\t" ZEROS
        "\na-name-that-is-longer-than-forty-eight-characters.tsv\t1\t2\t3\t4\t" ZEROS "\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        plant_summed(place, texts[i]);
        read_again(place);
        assert_int_equal(place->read->epoch, 0);
        assert_int_equal(place->read->count, 0);
        assert_non_null(strstr(place->lost, "not a list of version floors"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_none_yet, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_put_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_looked_at, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_merge_row_by_row, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_before_epochs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_malformed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
