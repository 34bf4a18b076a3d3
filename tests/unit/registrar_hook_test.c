/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal's own programs, before a switch and after it: what they do to their disk and time.
 */
#include "agent/registrar.h"

#include "agent/registrar_internal.h"
#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define APPLY MUSTER__EVENT_KIND__EVENT_APPLY
#define APPLY_FAILED MUSTER__EVENT_KIND__EVENT_APPLY_FAILED
#define BIN_1 "prefix\tissuer\n62\tone\n"
#define BIN_2 "prefix\tissuer\n62\tone\n43\ttwo\n"

static const struct world_doc first[] = {{.name = "bin.tsv",
                                          .content = BIN_1,
                                          .version = 1,
                                          .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR,
                                          .kind = MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE}};
static const struct world_doc second[] = {{.name = "bin.tsv",
                                           .content = BIN_2,
                                           .version = 2,
                                           .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR,
                                           .kind = MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE}};

/* ---- before the switch, on a disk that is soon full ---- */

static bool own_mounts; /* only root may have them */

static bool own_disk(struct world *world)
{
    world_close(world);
    return own_mounts && mount("tmpfs", world->registry, "tmpfs", 0, "size=2m") == 0;
}

static uint64_t free_bytes(const struct world *world)
{
    struct statvfs disk;
    assert_int_equal(statvfs(world->registry, &disk), 0);
    return (uint64_t)disk.f_bavail * disk.f_bsize;
}

static void end_disk(struct world *world)
{
    world_close(world);
    assert_int_equal(umount(world->registry), 0);
    world_open(world);
}

#define FILL "dd if=/dev/zero of=fill bs=64k 2>/dev/null\n"

static void test_a_hook_fills_the_disk_and_says_no(void **state)
{
    struct world *world = *state;
    if (!own_disk(world)) {
        world_open(world);
        skip();
    }
    world_open(world);
    world_apply(world, 1, first, 1);
    world_close(world);
    world_hook(world, "#!/bin/sh\n" FILL "echo the disk is full\nexit 1\n", 10000);
    world_open(world);
    world_apply(world, 2, second, 1);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_non_null(strstr(world_last(world, APPLY_FAILED)->text, "the disk is full"));
    assert_true(free_bytes(world) > 1024 * 1024);
    world_reopen(world); /* kept, in the room that was made for it */
    world_check(world);
    assert_int_equal(world_events(world, APPLY_FAILED, NULL), 1);
    end_disk(world);
}

static void test_a_hook_fills_the_disk_and_says_yes(void **state)
{
    struct world *world = *state;
    if (!own_disk(world)) {
        world_open(world);
        skip();
    }
    world_hook(world, "#!/bin/sh\n" FILL "exit 0\n", 10000);
    world_open(world);
    world_apply(world, 1, first, 1);
    world_assert_document(world, "bin.tsv", BIN_1);
    world_apply(world, 2, second, 1);
    world_assert_document(world, "bin.tsv", BIN_2);
    assert_false(world_has(world, "current/fill"));
    assert_true(free_bytes(world) > 1024 * 1024);
    end_disk(world);
}

/* ---- after it ---- */

static void after_script(struct world *world, const char *script, int64_t limit_ms)
{
    static char path[96];
    (void)snprintf(path, sizeof path, "%s/after", world->dir);
    assert_true(file_write(path, bytes_of(script, strlen(script)), 0700, NULL));
    world->settings.probation = (struct registrar_probation){
        .policy = {.results = 10, .time_ms = 1000000, .crashes = 3, .starts = 3},
        .after_hook = path};
    world->settings.hook_limit_ms = limit_ms;
    world_reopen(world);
}

static void assert_returned(const struct world *world, const char *why)
{
    const struct world_event *told = world_last(world, APPLY);
    assert_int_equal(told->refusal, MUSTER__REFUSAL__REFUSAL_PROBATION_HOOK);
    assert_non_null(strstr(told->text, "was taken back"));
    assert_non_null(strstr(told->text, why));
}

static void test_it_says_no(void **state)
{
    struct world *world = *state;
    after_script(world,
                 "#!/bin/sh\necho \"$1\" >> \"${0%/*}/after.log\"\n"
                 "grep -q 43 bin.tsv && echo no such issuer && exit 1\nexit 0\n",
                 10000);
    world_apply(world, 1, first, 1);
    world_apply(world, 2, second, 1);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_returned(world, "said no (exit 1): no such issuer");
    assert_null(strpbrk(world_last(world, APPLY)->text, "?\n"));
    struct buf log = {0};
    char path[96];
    (void)snprintf(path, sizeof path, "%s/after.log", world->dir);
    assert_true(file_read(path, 4096, &log, NULL));
    assert_true(buf_append(&log, "", 1, NULL));
    const char *new = strstr((char *)log.data, "generations/00000002\n");
    assert_non_null(new);
    assert_non_null(strstr(new, "generations/00000001\n")); /* and of the return it hears too */
    buf_done(&log);
}

static void test_it_hangs(void **state)
{
    struct world *world = *state;
    after_script(world, "#!/bin/sh\ngrep -q 43 bin.tsv || exit 0\nsleep 600 &\nwait\n", 1000);
    world_apply(world, 1, first, 1);
    world_apply(world, 2, second, 1);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_returned(world, "did not end within 1000 ms and was killed");
}

static void test_it_falls_over(void **state)
{
    struct world *world = *state;
    after_script(world, "#!/bin/sh\ngrep -q 43 bin.tsv || exit 0\nkill -SEGV $$\n", 10000);
    world_apply(world, 1, first, 1);
    world_apply(world, 2, second, 1);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_returned(world, "ended by signal 11");
}

static void test_there_is_nothing_to_go_back_to(void **state)
{
    struct world *world = *state;
    after_script(world, "#!/bin/sh\nexit 1\n", 10000);
    world_apply(world, 1, first, 1);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_int_equal(world_events(world, APPLY_FAILED, NULL), 1);
    assert_non_null(strstr(world_last(world, APPLY_FAILED)->text, "nothing to go back to"));
    world_reopen(world); /* it has said so */
    assert_int_equal(world_events(world, APPLY_FAILED, NULL), 1);
}

static void test_that_it_is_gone_is_no_reason(void **state)
{
    struct world *world = *state;
    after_script(world, "#!/bin/sh\nexit 0\n", 10000);
    world_apply(world, 1, first, 1);
    assert_true(file_remove(world->settings.probation.after_hook, NULL));
    world_apply(world, 2, second, 1);
    world_assert_document(world, "bin.tsv", BIN_2);
    assert_int_equal(world_events(world, APPLY_FAILED, NULL), 1);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_hook_fills_the_disk_and_says_no),
        TEST(test_a_hook_fills_the_disk_and_says_yes),
        TEST(test_it_says_no),
        TEST(test_it_hangs),
        TEST(test_it_falls_over),
        TEST(test_there_is_nothing_to_go_back_to),
        TEST(test_that_it_is_gone_is_no_reason),
    };
    /* Before there is a second thread: each has its own. */
    own_mounts =
        unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
