/* SPDX-License-Identifier: Apache-2.0 */
/* An agent that has placed a key has nothing of its block in memory, so no dump of it has: neither
 * while the loader runs nor afterwards. Who seals is another process than who is searched. */
#include "tests/unit/keyring_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* From the middle of KEYRING_BLOCK, disguised: who searches for it must not have it. */
static const uint8_t hidden[] = {
    0x1c, 0x6d, 0x1f, 0x68, 0x6f, 0x6a, 0x1c, 0x19, 0x1f, 0x1b, 0x6e, 0x69,
    0x1c, 0x62, 0x6b, 0x6a, 0x1e, 0x68, 0x6b, 0x6f, 0x1c, 0x62, 0x1e, 0x68,
};
enum { DISGUISE = 0x5a, HUGE_BYTES = 1 << 30 };

/* Memory is read as what it is, whatever the sanitizer knows of it. */
__attribute__((no_sanitize_address)) static size_t count_in(uintptr_t from, uintptr_t to)
{
    size_t count = 0;
    const uint8_t first = hidden[0] ^ DISGUISE;
    for (const uint8_t *at = (const uint8_t *)from; (uintptr_t)at + sizeof hidden <= to; at++) {
        size_t same = 0;
        if (*at != first)
            continue;
        while (same < sizeof hidden && (at[same] ^ DISGUISE) == hidden[same])
            same++;
        count += same == sizeof hidden;
    }
    return count;
}

/* All that this process may write to; a mapping of a gigabyte is the sanitizer's own account. */
static size_t count_here(void)
{
    size_t count = 0, searched = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    static char line[512];
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from = 0, to = 0;
        char access[8] = "";
        if (sscanf(line, "%lx-%lx %7s", &from, &to, access) != 3 || strncmp(access, "rw", 2) != 0 ||
            to - from >= HUGE_BYTES || strstr(line, "[vvar]") != NULL)
            continue;
        size_t one = count_in(from, to);
        if (one > 0)
            printf("%zu in %s", one, line);
        count += one;
        searched += to - from;
    }
    (void)fclose(maps);
    assert_true(searched > 1 << 16);
    return count;
}

/* ---- the process that is searched ---- */

static void read_sealed(struct keyring_world *world)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/sealed.der", world->dir);
    world->sealed.limit = 1 << 20;
    assert_true(file_read(path, 1 << 20, &world->sealed, NULL));
}

static int search(const char *dir)
{
    struct keyring_world *world = keyring_world_in(dir);
    size_t during = 0, rounds = 0;
    read_sealed(world);
    keyring_world_open(world);
    keyring_look(world->keyring);
    while (world->keyring->running) {
        if (keyring_placing(world->keyring) && rounds++ == 0)
            during = count_here();
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    keyring_world_assert_ok(world);
    size_t after = count_here();
    volatile uint8_t *left = malloc(sizeof hidden); /* the search finds what is there */
    assert_non_null(left);
    for (size_t i = 0; i < sizeof hidden; i++)
        left[i] = hidden[i] ^ DISGUISE;
    size_t seen = count_here();
    free((void *)left);
    printf(
        "in memory: %zu times while the loader runs, %zu times afterwards; of one put there %zu\n",
        during, after, seen - after);
    keyring_world_close(world);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    buf_done(&world->sealed);
    free(world);
    return during == 0 && after == 0 && seen == 1 && rounds > 0 ? 0 : 1;
}

/* ---- the one that seals ---- */

static char *program;

static void nothing_of_a_block_stays_in_memory(void **state)
{
    struct keyring_world *world = *state;
    char path[128], search_word[] = "--search";
    int status = 0;
    for (size_t i = 0; i < sizeof hidden; i++)
        assert_int_equal(hidden[i] ^ DISGUISE, KEYRING_BLOCK[40 + i]);
    (void)snprintf(path, sizeof path, "%s/sealed.der", world->dir);
    assert_true(file_write(path, buf_bytes(&world->sealed), 0600, NULL));
    char *const argv[] = {program, search_word, world->dir, NULL};
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)execv("/proc/self/exe", argv);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_of_a_block_stays_in_memory, keyring_world_set_up,
                                        keyring_world_tear_down),
    };
    program = argv[0];
    if (argc == 3 && strcmp(argv[1], "--search") == 0)
        return search(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
