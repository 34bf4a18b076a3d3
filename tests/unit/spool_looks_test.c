/* SPDX-License-Identifier: Apache-2.0 */
/* What a commit asks the file system of its own files: whether they still stand there, and nothing
 * of their times. Stands before the C library's stat and statx (the linker's --wrap). */
#include "tests/unit/spool_world.h"
#include "tests/unit/testing.h"

#include <stdlib.h>
#include <sys/stat.h>

enum { COMMITS = 10, FILES = 2 };

static unsigned looks; /* all of them */
static unsigned times; /* of them, those that are told when a file changed */

int __real_statx(int dir, const char *path, int flags, unsigned mask, struct statx *ret_held);
int __wrap_statx(int dir, const char *path, int flags, unsigned mask, struct statx *ret_held);
int __wrap_statx(int dir, const char *path, int flags, unsigned mask, struct statx *ret_held)
{
    looks++;
    times += (mask & (STATX_MTIME | STATX_CTIME)) != 0;
    return __real_statx(dir, path, flags, mask, ret_held);
}

/* The function that the linker calls instead of `name`: it tells all of a file. */
#define ALL_OF(name, type, parameter)                                                              \
    int __real_##name(type parameter, void *ret_held);                                             \
    int __wrap_##name(type parameter, void *ret_held);                                             \
    int __wrap_##name(type parameter, void *ret_held)                                              \
    {                                                                                              \
        looks++;                                                                                   \
        times++;                                                                                   \
        return __real_##name(parameter, ret_held);                                                 \
    }

ALL_OF(stat, const char *, path)
ALL_OF(stat64, const char *, path)
ALL_OF(lstat64, const char *, path)
ALL_OF(fstat64, int, fd)

static void a_commit_looks_at_no_times(void **state)
{
    struct spool_world *world = *state;
    struct spool_stats stats;
    /* The first one makes the WAL, and writes the chain. */
    (void)push(world->spool, 1, "", "first");
    looks = times = 0;
    for (unsigned i = 0; i < COMMITS; i++) {
        (void)push(world->spool, 1, "", "more");
        spool_stats(world->spool, &stats);
    }
    assert_int_equal(stats.records, COMMITS + 1);
    assert_true(stats.bytes > stats.wal_bytes && stats.wal_bytes > 0);
    assert_true(looks >= COMMITS * FILES);
    assert_int_equal(times, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_commit_looks_at_no_times, spool_world_setup,
                                        spool_world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
