/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/keyring_world.h"

#include "proto/sealed.h"
#include "tests/unit/device_ca.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Keeps what was said of the key, and what it could see of it. */
#define GOOD                                                                                       \
    "cd %s\n"                                                                                      \
    "echo \"$*\" >>calls; env >>seen; echo \"$*\" >>seen\n"                                        \
    "if [ \"$1\" = load ]; then cat >given\n"                                                      \
    "echo \"slot $2 usage $MUSTER_KEY_USAGE version $MUSTER_KEY_VERSION kcv $MUSTER_KEY_KCV\" "    \
    ">slots\n"                                                                                     \
    "echo \"kcv $MUSTER_KEY_KCV\"; else [ ! -e slots ] || cat slots; echo end; fi\n"

/* ---- its surroundings ---- */

static void called(struct keyring_world *world)
{
    if (world->kill_at != 0 && ++world->calls == world->kill_at)
        (void)kill(getpid(), SIGKILL);
}

static size_t on_wanted(void *ctx, struct key_wanted *ret_wanted, size_t max)
{
    struct keyring_world *world = ctx;
    called(world);
    assert_true(max > 0);
    if (world->none)
        return 0;
    *ret_wanted = world->wanted;
    for (size_t i = 0; i < world->others && i + 1 < max; i++)
        ret_wanted[i + 1] = world->other[i];
    if (world->surplus == 0)
        return 1 + world->others;
    for (size_t i = 1; i < max; i++) {
        ret_wanted[i] = world->wanted;
        (void)snprintf(ret_wanted[i].name, sizeof ret_wanted[i].name, "%zu.key", i);
    }
    return max + world->surplus;
}

static bool on_document(void *ctx, const char *name, struct buf *ret_sealed, struct err *err)
{
    struct keyring_world *world = ctx;
    called(world);
    assert_non_null(strstr(name, ".key"));
    return buf_append(ret_sealed, world->sealed.data, world->sealed.length, err);
}

static void on_lease(void *ctx, struct gate_lease *ret_lease)
{
    struct keyring_world *world = ctx;
    called(world);
    *ret_lease = world->lease;
}

static void on_placed(void *ctx)
{
    struct keyring_world *world = ctx;
    called(world);
    assert_false(keyring_placing(world->keyring));
    world->placed++;
}

static void on_event(void *ctx, const Muster__Event *event)
{
    struct keyring_world *world = ctx;
    called(world);
    assert_int_equal(event->kind, MUSTER__EVENT_KIND__EVENT_KEYS);
    world->events++;
    world->refusal = event->refusal;
    (void)snprintf(world->text, sizeof world->text, "%s", event->text);
    if (event->detail.len == 0)
        return;
    Muster__KeyInventory *inventory =
        muster__key_inventory__unpack(NULL, event->detail.len, event->detail.data);
    assert_non_null(inventory);
    world->asked = inventory->asked;
    world->slots = inventory->n_slots;
    (void)snprintf(world->why, sizeof world->why, "%s", inventory->why);
    muster__key_inventory__free_unpacked(inventory, NULL);
}

static void on_changed(void *ctx)
{
    struct keyring_world *world = ctx;
    called(world);
    world->changes++;
}

void keyring_world_seal(struct keyring_world *world, const char *block)
{
    char content[256];
    int length = snprintf(content, sizeof content, "%s\n", block);
    struct device_ca ca;
    struct sealing_key *key = NULL;
    struct buf request = {0}, certificate = {0};
    const struct device_ca_order order = {.name = "t-0001"};
    buf_clear(&world->sealed);
    (void)unlink(world->sealing);
    assert_true(sealing_key_make(world->sealing, &key, NULL));
    device_ca_make(&ca, "devices");
    assert_true(sealing_key_request(key, "t-0001", &request, NULL));
    assert_true(buf_append(&request, "", 1, NULL));
    device_ca_sign_request(&ca, (const char *)request.data, &order, &certificate);
    assert_true(sealed_make(buf_bytes(&certificate), bytes_of(content, (size_t)length),
                            &world->sealed, NULL));
    buf_done(&request);
    buf_done(&certificate);
    sealing_key_free(key);
    device_ca_done(&ca);
}

void keyring_world_write_script(const char *where, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s.new", where);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fprintf(file, "#!/bin/sh\n") > 0);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0700), 0);
    assert_int_equal(rename(path, where), 0);
}

void keyring_world_script(struct keyring_world *world, const char *text)
{
    keyring_world_write_script(world->loader, text);
}

void keyring_world_good_loader(struct keyring_world *world)
{
    char text[1024];
    (void)snprintf(text, sizeof text, GOOD, world->dir);
    keyring_world_script(world, text);
}

void keyring_world_open(struct keyring_world *world)
{
    static const struct keyring_events events = {.wanted = on_wanted,
                                                 .document = on_document,
                                                 .lease = on_lease,
                                                 .placed = on_placed,
                                                 .event = on_event,
                                                 .changed = on_changed};
    struct err err = {0};
    const struct gate_hook_settings hook = {
        .path = world->gate_hook, .limit_ms = 20000, .every_ms = world->settings.gate_every_ms};
    world->settings.gate_hook = NULL;
    if (hook.path[0] != '\0' &&
        !gate_hook_open(&world->loop, &clock_real, &hook, &world->settings.gate_hook, &err))
        fail_msg("%s", err.text);
    if (!keyring_open(&world->loop, world->clock != NULL ? world->clock : &clock_real,
                      &world->settings, &events, world, &world->keyring, &err))
        fail_msg("%s", err.text);
}

static void on_closed(void *ctx)
{
    struct keyring_world *world = ctx;
    world->keyring = NULL;
}

void keyring_world_close(struct keyring_world *world)
{
    keyring_close(world->keyring, on_closed, world);
    gate_hook_close(world->settings.gate_hook);
    assert_int_equal(uv_run(&world->loop, UV_RUN_DEFAULT), 0);
    assert_null(world->keyring);
}

struct keyring_world *keyring_world_in(const char *dir)
{
    struct keyring_world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    (void)snprintf(world->dir, sizeof world->dir, "%s", dir);
    (void)snprintf(world->book, sizeof world->book, "%s/keys", world->dir);
    (void)snprintf(world->loader, sizeof world->loader, "%s/loader", world->dir);
    (void)snprintf(world->sealing, sizeof world->sealing, "%s/sealing.pem", world->dir);
    world->settings = (struct keyring_settings){.book = world->book,
                                                .loader = world->loader,
                                                .sealing_key = world->sealing,
                                                .limit_ms = 20000,
                                                .check_every_ms = 3600000,
                                                .sign_on_limit_ms = 3600000,
                                                .patience_ms = 3600000,
                                                .gate_every_ms = 3600000};
    world->wanted =
        (struct key_wanted){.name = "tmk.key",
                            .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR,
                            .sha256 = {1},
                            .placement = {.slot = "tmk",
                                          .usage = "P0",
                                          .algorithm = 'A',
                                          .mode = 'E',
                                          .key_version = 1,
                                          .kcv_method = MUSTER__KCV_METHOD__KCV_AES_CMAC,
                                          .kcv = {0x08, 0x79, 0x3e},
                                          .kcv_length = 3}};
    assert_int_equal(uv_loop_init(&world->loop), 0);
    return world;
}

int keyring_world_set_up(void **state)
{
    char dir[] = "/tmp/muster-keyring-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct keyring_world *world = keyring_world_in(dir);
    keyring_world_seal(world, KEYRING_BLOCK);
    keyring_world_good_loader(world);
    keyring_world_open(world);
    *state = world;
    return 0;
}

int keyring_world_tear_down(void **state)
{
    struct keyring_world *world = *state;
    if (world->keyring != NULL)
        keyring_world_close(world);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    assert_true(file_remove_tree(world->dir, NULL));
    buf_done(&world->sealed);
    free(world);
    return 0;
}

/* Until no loader runs. */
void keyring_world_look(struct keyring_world *world)
{
    keyring_look(world->keyring);
    while (world->keyring->running)
        (void)uv_run(&world->loop, UV_RUN_ONCE);
}

void keyring_world_check(struct keyring_world *world)
{
    keyring_check(world->keyring);
    while (world->keyring->running)
        (void)uv_run(&world->loop, UV_RUN_ONCE);
}

void keyring_world_settle(struct keyring_world *world)
{
    while (world->keyring->running)
        (void)uv_run(&world->loop, UV_RUN_ONCE);
}

void keyring_world_leased(struct keyring_world *world)
{
    keyring_leased(world->keyring);
    keyring_world_settle(world);
}

const char *keyring_world_text_of(const struct keyring_world *world, const char *name)
{
    static char text[16384];
    char path[128];
    struct buf file = {0};
    (void)snprintf(path, sizeof path, "%s/%s", world->dir, name);
    text[0] = '\0';
    if (file_read(path, sizeof text - 1, &file, NULL)) {
        memcpy(text, file.data, file.length);
        text[file.length] = '\0';
    }
    buf_done(&file);
    return text;
}

/* What a report says of a document that is in force. */
struct keyring_said keyring_world_state_now(const struct keyring_world *world)
{
    struct arena arena = {0};
    Muster__StateReport state = MUSTER__STATE_REPORT__INIT;
    Muster__ItemReport item = MUSTER__ITEM_REPORT__INIT, *items[] = {&item};
    item.name = (char *)(uintptr_t) "tmk.key";
    item.state = world->proving ? MUSTER__ITEM_STATE__ITEM_PROBATION : MUSTER__ITEM_STATE__ITEM_OK;
    state.items = items;
    state.n_items = 1;
    state.converged = true;
    assert_true(keyring_state(world->keyring, &arena, &state, NULL));
    struct keyring_said said = {.state = item.state,
                                .refusal = item.refusal,
                                .converged = state.converged,
                                .keys = state.n_keys};
    (void)snprintf(said.reason, sizeof said.reason, "%s", item.reason);
    arena_done(&arena);
    return said;
}

void keyring_world_assert_ok(const struct keyring_world *world)
{
    const struct keyring_said said = keyring_world_state_now(world);
    assert_int_equal(said.state, MUSTER__ITEM_STATE__ITEM_OK);
    assert_true(said.converged);
    assert_int_equal(said.keys, 0);
}

void keyring_world_assert_refused(const struct keyring_world *world, Muster__Refusal refusal,
                                  const char *why)
{
    const struct keyring_said said = keyring_world_state_now(world);
    assert_int_equal(said.state, MUSTER__ITEM_STATE__ITEM_REFUSED);
    assert_int_equal(said.refusal, refusal);
    assert_int_equal(world->refusal, refusal);
    assert_false(said.converged);
    assert_int_equal(said.keys, 1);
    if (strstr(said.reason, why) == NULL)
        fail_msg("%s", said.reason);
}

void keyring_world_run_until_said(struct keyring_world *world, const char *reason)
{
    while (strstr(keyring_world_state_now(world).reason, reason) == NULL)
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    keyring_world_settle(world);
}
