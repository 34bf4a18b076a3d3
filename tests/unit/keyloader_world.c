/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/keyloader_world.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void keyloader_world_put(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

int keyloader_world_set_up(void **state)
{
    struct keyloader_world *world = calloc(1, sizeof *world);
    char path[96], text[256], command[256];
    assert_non_null(world);
    (void)snprintf(world->dir, sizeof world->dir, "/tmp/muster-token-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    (void)snprintf(path, sizeof path, "%s/tokens", world->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(text, sizeof text, "directories.tokendir = %s\nobjectstore.backend = file\n",
                   path);
    (void)snprintf(path, sizeof path, "%s/softhsm2.conf", world->dir);
    keyloader_world_put(path, text);
    assert_int_equal(setenv("SOFTHSM2_CONF", path, 1), 0);
    (void)snprintf(command, sizeof command,
                   "softhsm2-util --init-token --free --label T --so-pin so-7418 --pin 7418 "
                   ">/dev/null");
    assert_int_equal(system(command), 0);
    (void)snprintf(world->pin, sizeof world->pin, "%s/pin", world->dir);
    keyloader_world_put(world->pin, "7418\n");
    assert_int_equal(chmod(world->pin, 0600), 0);
    world->settings = (struct keyloader_settings){.module = KEYLOADER_LIBRARY,
                                                  .label = "T",
                                                  .protection = "kbpk",
                                                  .mechanism = "0",
                                                  .own = "pik,mak"};
    (void)snprintf(world->settings.pin_file, sizeof world->settings.pin_file, "%s", world->pin);
    *state = world;
    return 0;
}

int keyloader_world_tear_down(void **state)
{
    struct keyloader_world *world = *state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -r %s", world->dir);
    assert_int_equal(system(command), 0);
    free(world);
    return 0;
}

void keyloader_world_open(const struct keyloader_world *world, struct keytoken *token)
{
    struct err err = {0};
    if (!keytoken_open(token, KEYLOADER_LIBRARY, "T", world->pin, &err))
        fail_msg("%s", err.text);
}

/* A key that is there before any loader comes. */
void keyloader_world_give(const struct keyloader_world *world, const char *label, char algorithm,
                          const char *hex)
{
    struct keytoken token;
    struct err err = {0};
    uint8_t key[32];
    CK_OBJECT_HANDLE object = 0;
    const struct keytoken_order order = {
        .slot = label,
        .facts = {.usage = "D0",
                  .algorithm = algorithm,
                  .mode = 'N',
                  .kcv_method = algorithm == 'A' ? MUSTER__KCV_METHOD__KCV_AES_CMAC
                                                 : MUSTER__KCV_METHOD__KCV_TDES_ECB}};
    assert_true(hex_decode(hex, strlen(hex), key, strlen(hex) / 2));
    keyloader_world_open(world, &token);
    if (!keytoken_create(&token, &order, bytes_of(key, strlen(hex) / 2), true, &object, &err))
        fail_msg("%s", err.text);
    keytoken_close(&token);
}

void keyloader_world_take(const struct keyloader_world *world, const char *label)
{
    struct keytoken token;
    struct keytoken_found found;
    keyloader_world_open(world, &token);
    assert_true(keytoken_find(&token, label, &found, NULL));
    for (size_t i = 0; i < found.count; i++)
        assert_true(keytoken_destroy(&token, found.objects[i], NULL));
    keytoken_close(&token);
}

static FILE *open_said(struct keyloader_world *world)
{
    memset(world->said, 0, sizeof world->said);
    FILE *out = fmemopen(world->said, sizeof world->said, "w");
    assert_non_null(out);
    return out;
}

bool keyloader_world_load(struct keyloader_world *world, const char *slot, const char *block,
                          struct err *err)
{
    int pipes[2];
    FILE *out = open_said(world);
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(write(pipes[1], block, strlen(block)), strlen(block));
    assert_int_equal(close(pipes[1]), 0);
    bool ok = keyloader_load(&world->settings, slot, pipes[0], out, err);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(close(pipes[0]), 0);
    return ok;
}

const char *keyloader_world_inventory(struct keyloader_world *world)
{
    FILE *out = open_said(world);
    struct err err = {0};
    bool ok = keyloader_inventory(&world->settings, out, &err);
    assert_int_equal(fclose(out), 0);
    if (!ok)
        fail_msg("%s", err.text);
    return world->said;
}
