/* SPDX-License-Identifier: Apache-2.0 */
/* kill -9 at every point of placing a key: whatever was going on, the next start finds out what the
 * slot holds, places what is to be there, and forgets nothing that was placed. */
#include "tests/unit/keyring_world.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Kills the agent at the point that the file `kill` names, and goes on: a loader outlives it. */
#define LOADER                                                                                     \
    "cd %s || exit 6\n"                                                                            \
    "at() { [ \"$(cat kill 2>/dev/null)\" != \"$1\" ] || kill -9 $PPID; }\n"                       \
    "echo \"$*\" >>calls; at begin-$1\n"                                                           \
    "if [ \"$1\" = load ]; then cat >given; at given\n"                                            \
    "[ ! -s given ] && exit 6\n"                                                                   \
    "echo \"slot $2 usage $MUSTER_KEY_USAGE version $MUSTER_KEY_VERSION kcv $MUSTER_KEY_KCV\" "    \
    ">slots.$$; at replacing; mv slots.$$ slots; at replaced\n"                                    \
    "echo \"kcv $MUSTER_KEY_KCV\"; at answered\n"                                                  \
    "elif [ -e slots ]; then cat slots; echo end; at said; else echo end; fi\n"

static const char *const loader_points[] = {"begin-inventory", "said",     "begin-load", "given",
                                            "replacing",       "replaced", "answered"};
enum { LOADER_POINTS = sizeof loader_points / sizeof *loader_points };

static void second_key(struct keyring_world *world)
{
    static const uint8_t kcv[] = {0x12, 0x34, 0x56};
    world->wanted.placement.key_version = 2;
    world->wanted.sha256[0] = 2;
    memcpy(world->wanted.placement.kcv, kcv, sizeof kcv);
}

static void put(const struct keyring_world *world, const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", world->dir, name);
    assert_true(file_write(path, bytes_of(text, strlen(text)), 0600, NULL));
}

/* The block names version 1; what is loaded here is not unwrapped, so it may be said to be 2. */
static void seal_again(struct keyring_world *world)
{
    char block[256];
    (void)snprintf(block, sizeof block, "%s", KEYRING_BLOCK);
    memcpy(block + 9, "02", 2);
    keyring_world_seal(world, block);
}

/* A first key in its slot, a second one to be placed. */
static void prepare(struct keyring_world *world)
{
    char text[1024];
    (void)snprintf(text, sizeof text, LOADER, world->dir);
    keyring_world_script(world, text);
    keyring_world_look(world);
    keyring_world_assert_ok(world);
    keyring_world_close(world);
    second_key(world);
    seal_again(world);
}

/* Runs in a process of its own until that is killed. */
static bool was_killed(struct keyring_world *world)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        assert_int_equal(uv_loop_fork(&world->loop), 0);
        keyring_world_open(world);
        keyring_world_look(world);
        keyring_world_close(world);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static unsigned count_of(const char *text, const char *what)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
        count++;
    return count;
}

/* One start later all is as it should be, and no older key gets in any more. */
static void assert_healed(struct keyring_world *world)
{
    struct keys_book book;
    bool lost = true;
    const char *slots = keyring_world_text_of(world, "slots");
    assert_true(strstr(slots, "version 1 ") != NULL || strstr(slots, "version 2 ") != NULL);
    assert_true(keys_book_read(world->book, &book, &lost, NULL));
    assert_false(lost);
    assert_int_equal(book.floors.count, 1);
    assert_true(book.floors.rows[0].key_version >= 1);
    keyring_world_open(world);
    keyring_world_look(world);
    keyring_world_assert_ok(world);
    assert_int_equal(world->refusal, MUSTER__REFUSAL__REFUSAL_NONE);
    assert_non_null(strstr(keyring_world_text_of(world, "slots"), "version 2 "));
    assert_true(count_of(keyring_world_text_of(world, "calls"), "load tmk") <= 3);
    world->wanted.placement.key_version = 1;
    world->wanted.sha256[0] = 1;
    keyring_world_look(world);
    keyring_world_assert_refused(world, MUSTER__REFUSAL__REFUSAL_KEY_VERSION, "not above 2");
}

static void tear_down(struct keyring_world *world)
{
    void *made = world;
    while (waitpid(-1, NULL, 0) > 0) {
    }
    assert_int_equal(keyring_world_tear_down(&made), 0);
}

static void killed_while_a_loader_runs(void **state)
{
    (void)state;
    for (size_t i = 0; i < LOADER_POINTS; i++) {
        void *made = NULL;
        assert_int_equal(keyring_world_set_up(&made), 0);
        struct keyring_world *world = made;
        prepare(world);
        put(world, "kill", loader_points[i]);
        if (!was_killed(world))
            fail_msg("%s", loader_points[i]);
        put(world, "kill", "never");
        assert_healed(world); /* beside the loader that goes on */
        tear_down(world);
    }
}

/* In each call of the machine to the rest of the agent, the first, the second ... */
static void killed_between(void **state)
{
    (void)state;
    bool killed = true;
    unsigned at = 0;
    while (killed) {
        void *made = NULL;
        assert_int_equal(keyring_world_set_up(&made), 0);
        struct keyring_world *world = made;
        prepare(world);
        world->kill_at = ++at;
        world->calls = 0;
        killed = was_killed(world);
        world->kill_at = 0;
        assert_healed(world);
        tear_down(world);
    }
    assert_true(at > 8); /* there are that many at least */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_while_a_loader_runs),
        cmocka_unit_test(killed_between),
    };
    /* What a killed agent leaves is waited for here. */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
