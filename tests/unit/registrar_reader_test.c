/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever opens the link once reads one whole generation, while the registrar puts new ones in
 * force, takes some back, and is killed in the middle of it. */
#include "agent/registrar_internal.h"
#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILLS = 12, READS = 100, DOCUMENTS = 3, TEXT_BYTES = 64 };

static const char *const names[DOCUMENTS] = {"a", "b", "c"};

struct shared {
    volatile uint64_t version;  /* of the newest manifest */
    volatile uint64_t returned; /* generations so far, in all of the agent's lives */
};

/* ---- the agent's side, in a process that is killed ---- */

static void push(struct world *world, uint64_t version)
{
    static char text[TEXT_BYTES];
    struct world_doc docs[DOCUMENTS];
    (void)snprintf(text, sizeof text, "%" PRIu64 "\n", version);
    for (size_t i = 0; i < DOCUMENTS; i++)
        docs[i] = (struct world_doc){.name = names[i],
                                     .content = text,
                                     .version = version,
                                     .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR};
    for (size_t i = 0; i < world->blob_count; i++)
        buf_done(&world->blobs[i].bytes);
    world->event_count = world->blob_count = 0;
    world_apply(world, version, docs, DOCUMENTS);
}

static void take_back(struct world *world)
{
    for (uint64_t i = 1; i <= 4; i++) {
        const struct registrar_result result = {
            .incarnation = (uint64_t)getpid() << 20 | world->switches,
            .seq = i,
            .generation = registrar_generation_digest(world->registrar),
            .why = SUSPECT_TABLE_MISS,
            .suspect_now = true};
        registrar_result(world->registrar, &result);
    }
    world_check(world);
}

static void __attribute__((noreturn)) work(struct world *world, struct shared *shared)
{
    world_open(world);
    for (;;) {
        push(world, ++shared->version);
        if (shared->version % 2 == 0)
            continue;
        take_back(world);
        if (world->registrar->trial.returns.count > 0)
            shared->returned++;
    }
}

/* ---- the payment application's ---- */

/* False: it is not there any more. */
static bool read_one(int folder, const char *name, char text[TEXT_BYTES])
{
    int file = openat(folder, name, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        assert_int_equal(errno, ENOENT);
        return false;
    }
    ssize_t length = read(file, text, TEXT_BYTES - 1);
    assert_true(length > 0);
    text[length] = '\0';
    (void)close(file);
    return true;
}

static void link_of(const char *path, char target[TEXT_BYTES])
{
    ssize_t length = readlink(path, target, TEXT_BYTES - 1);
    target[length > 0 ? length : 0] = '\0';
}

/* True: all of it was there; then it is one generation. */
static bool read_all(const char *path)
{
    char text[DOCUMENTS][TEXT_BYTES], before[TEXT_BYTES], after[TEXT_BYTES];
    link_of(path, before);
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return false; /* before the first */
    bool whole = true;
    for (size_t i = 0; whole && i < DOCUMENTS; i++)
        whole = read_one(folder, names[i], text[i]);
    (void)close(folder);
    link_of(path, after);
    if (!whole) { /* only what is two switches old goes */
        assert_string_not_equal(before, after);
        return false;
    }
    assert_string_equal(text[0], text[1]);
    assert_string_equal(text[0], text[2]);
    return true;
}

static void test_one_generation_whatever_happens(void **state)
{
    struct world *world = *state;
    char path[256];
    unsigned whole = 0;
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    world->settings.probation.policy = (struct probation_policy){
        .results = 100, .time_ms = 1000000, .welcome_ms = 1000000, .crashes = 9, .starts = 1000};
    world_close(world);
    world_path(world, "current", path);
    for (unsigned round = 0; round < KILLS; round++) {
        pid_t child = fork();
        if (child == 0)
            work(world, shared);
        uint64_t least = shared->version + 2;
        for (unsigned i = 0; i < READS * (1 + round % 4) || shared->version < least; i++)
            whole += read_all(path) ? 1 : 0;
        assert_int_equal(kill(child, SIGKILL), 0);
        int how = 0;
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
        assert_true(read_all(path)); /* as it is left */
    }
    assert_true(whole > KILLS * READS / 2);
    assert_true(shared->returned > 0);
    world_open(world);
    world_check(world);
    assert_true(read_all(path));
    assert_int_equal(munmap(shared, sizeof *shared), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_generation_whatever_happens, world_set_up,
                                        world_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
