/* SPDX-License-Identifier: Apache-2.0 */
/* The loader killed before and after each key that it makes or removes, once and twice in a row:
 * the agent's judge puts the slot right by placing the same block again, and asks no person. */
#include "tests/unit/keyloader_world.h"

#include "agent/keys_say.h"
#include "tests/unit/tr31_made.h"
#include "tests/unit/tr31_vectors.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of the same protection key: a key before, and the one to be placed. */
static const struct tr31_vector *first(void)
{
    return &tr31_vectors[4];
}

static const struct tr31_vector *second(void)
{
    return &tr31_made[TR31_MADE_D32_K0];
}

static struct key_placement placement_of(const struct tr31_vector *vector)
{
    struct key_placement placement = {.slot = "tmk",
                                      .algorithm = vector->block[7],
                                      .mode = vector->block[8],
                                      .kcv_method = MUSTER__KCV_METHOD__KCV_AES_CMAC,
                                      .kcv_length = 3};
    memcpy(placement.usage, vector->block + 5, 2);
    placement.key_version =
        (unsigned)strtoul((char[]){vector->block[9], vector->block[10], 0}, NULL, 10);
    assert_true(hex_decode(vector->kcv, 6, placement.kcv, 3));
    return placement;
}

/* Loads in a process of its own; 0: it was killed. */
static int load_killed_at(struct keyloader_world *world, unsigned at)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char text[16];
        (void)snprintf(text, sizeof text, "%u", at);
        (void)setenv("MUSTER_TEST_KILL", text, 1);
        (void)snprintf(world->settings.module, sizeof world->settings.module, "%s",
                       MUSTER_TEST_SHIM);
        _exit(keyloader_world_load(world, "tmk", second()->block, NULL) ? 1 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return 0;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static struct key_verdict judge(struct keyloader_world *world, const struct key_floors *floors)
{
    struct key_inventory inventory;
    struct key_verdict verdict;
    struct err err = {0};
    const struct key_placement wanted = placement_of(second());
    if (!keys_say_inventory(keyloader_world_inventory(world), &inventory, &err))
        fail_msg("%s", err.text);
    keys_judge(&wanted, &inventory, floors, &verdict);
    return verdict;
}

/* Whatever is left: it is the key, or the block is placed again and it is. */
static void assert_heals(struct keyloader_world *world, const struct key_floors *floors,
                         unsigned one, unsigned other)
{
    struct key_verdict verdict = judge(world, floors);
    if (verdict.state != MUSTER__KEY_SLOT_STATE__KEY_SLOT_OK && !verdict.place)
        fail_msg("killed at %u and %u: %s\n%s", one, other, verdict.why, world->said);
    if (verdict.place) {
        struct err err = {0};
        if (!keyloader_world_load(world, "tmk", second()->block, &err))
            fail_msg("killed at %u and %u: %s", one, other, err.text);
    }
    assert_int_equal(judge(world, floors).state, MUSTER__KEY_SLOT_STATE__KEY_SLOT_OK);
}

static void begin(struct keyloader_world *world, struct key_floors *floors)
{
    struct key_placement before = placement_of(first());
    before.key_version = 1; /* as if: the published block has none */
    assert_true(keyloader_world_load(world, "tmk", first()->block, NULL));
    assert_true(keys_floor_raise(floors, &before));
}

/* 0: none. False: the loader came to its end. */
static bool kill_at(struct keyloader_world *world, unsigned one, unsigned other)
{
    struct key_floors floors = {0};
    begin(world, &floors);
    bool killed = one == 0 || load_killed_at(world, one) == 0;
    killed = killed && load_killed_at(world, other) == 0;
    assert_heals(world, &floors, one, other);
    keyloader_world_take(world, "tmk");
    return killed;
}

/* A key to try is made and removed, the lasting one is made, the one before is removed: four calls
 * and so eight points. A second time from what the cuts leave: both keys, and the new one. */
static void killed_at_each_call(void **state)
{
    struct keyloader_world *world = *state;
    static const unsigned ones[] = {0, 6, 8};
    keyloader_world_give(world, "kbpk", 'A', first()->protection);
    for (size_t i = 0; i < sizeof ones / sizeof *ones; i++) {
        unsigned other = 1;
        while (kill_at(world, ones[i], other))
            other++;
        assert_int_equal(other - 1, ones[i] == 6 ? 10 : 8);
    }
}

/* Two at once, as a loader that outlived its agent and the next: one waits for the other. */
static void two_loaders_leave_one_key(void **state)
{
    struct keyloader_world *world = *state;
    struct key_floors floors = {0};
    enum { LOADERS = 5 };
    pid_t children[LOADERS];
    keyloader_world_give(world, "kbpk", 'A', first()->protection);
    begin(world, &floors);
    for (size_t i = 0; i < LOADERS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0)
            _exit(keyloader_world_load(world, "tmk", second()->block, NULL) ? 0 : 1);
    }
    for (size_t i = 0; i < LOADERS; i++) {
        int status = 0;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    struct keytoken token;
    struct keytoken_found found;
    keyloader_world_open(world, &token);
    assert_true(keytoken_find(&token, "tmk", &found, NULL));
    keytoken_close(&token);
    assert_int_equal(found.count, 1);
    assert_int_equal(judge(world, &floors).state, MUSTER__KEY_SLOT_STATE__KEY_SLOT_OK);
}

/* A token that unwraps by itself is given the block as it is, and no key is ever outside. */
static void a_token_unwraps_by_itself(void **state)
{
    struct keyloader_world *world = *state;
    char block[160];
    struct err err = {0};
    keyloader_world_give(world, "kbpk", 'A', first()->protection);
    (void)snprintf(world->settings.module, sizeof world->settings.module, "%s", MUSTER_TEST_SHIM);
    (void)snprintf(world->settings.mechanism, sizeof world->settings.mechanism, "0x80000001");
    if (!keyloader_world_load(world, "tmk", second()->block, &err))
        fail_msg("%s", err.text);
    assert_non_null(strstr(world->said, "version 5"));
    assert_non_null(
        strstr(keyloader_world_inventory(world), "mode B version 5 kcv aes-cmac:3e451e"));
    (void)snprintf(block, sizeof block, "%s", second()->block);
    block[110] = block[110] == '0' ? '1' : '0';
    assert_false(keyloader_world_load(world, "tmk", block, &err));
    assert_int_equal(err.code, ERR_REFUSED);
}

/* What says nothing of the block is tried again; what is its fault is not. */
static void faults_of_the_token_may_pass(void **state)
{
    struct keyloader_world *world = *state;
    static const struct {
        CK_RV rv;
        enum err_code code;
    } rows[] = {
        {CKR_DEVICE_ERROR, ERR_IO},          {CKR_DEVICE_MEMORY, ERR_IO},
        {CKR_TOKEN_WRITE_PROTECTED, ERR_IO}, {CKR_USER_NOT_LOGGED_IN, ERR_IO},
        {CKR_GENERAL_ERROR, ERR_IO},         {CKR_TEMPLATE_INCONSISTENT, ERR_REFUSED},
        {CKR_KEY_SIZE_RANGE, ERR_REFUSED},   {CKR_ATTRIBUTE_VALUE_INVALID, ERR_REFUSED},
    };
    keyloader_world_give(world, "kbpk", 'A', first()->protection);
    (void)snprintf(world->settings.module, sizeof world->settings.module, "%s", MUSTER_TEST_SHIM);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[24];
        struct err err = {0};
        (void)snprintf(text, sizeof text, "%lu", (unsigned long)rows[i].rv);
        assert_int_equal(setenv("MUSTER_TEST_FAIL", text, 1), 0);
        assert_false(keyloader_world_load(world, "tmk", second()->block, &err));
        assert_int_equal(err.code, rows[i].code);
    }
    assert_int_equal(unsetenv("MUSTER_TEST_FAIL"), 0);
    keyloader_world_take(world, "kbpk");
    struct err err = {0};
    assert_false(keyloader_world_load(world, "tmk", second()->block, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE); /* the protection key is not there yet */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(killed_at_each_call, keyloader_world_set_up,
                                        keyloader_world_tear_down),
        cmocka_unit_test_setup_teardown(two_loaders_leave_one_key, keyloader_world_set_up,
                                        keyloader_world_tear_down),
        cmocka_unit_test_setup_teardown(a_token_unwraps_by_itself, keyloader_world_set_up,
                                        keyloader_world_tear_down),
        cmocka_unit_test_setup_teardown(faults_of_the_token_may_pass, keyloader_world_set_up,
                                        keyloader_world_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
