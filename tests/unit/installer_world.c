/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/installer_world.h"

#include "proto/seal.h"
#include "proto/unpack.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMAGE "the image of an operating system"

static size_t on_wanted(void *ctx, struct package_wanted *ret_wanted, size_t max)
{
    const struct install_world *world = ctx;
    size_t count = 0;
    assert_true(max > 0);
    for (; count < world->before && count < max; count++) {
        ret_wanted[count] = world->wanted;
        (void)snprintf(ret_wanted[count].name, sizeof ret_wanted[count].name, "app-%zu", count);
        (void)snprintf(ret_wanted[count].package_version, sizeof ret_wanted[count].package_version,
                       "4.1");
    }
    if (world->none || count == max)
        return count;
    ret_wanted[count] = world->wanted;
    return count + 1;
}

static bool on_path(void *ctx, const char *name, char *path, struct err *err)
{
    const struct install_world *world = ctx;
    (void)err;
    assert_string_equal(name, world->wanted.name);
    (void)snprintf(path, REGISTRY_PATH_BYTES, "%s", world->file);
    return true;
}

static void on_lease(void *ctx, struct gate_lease *ret_lease)
{
    const struct install_world *world = ctx;
    *ret_lease = world->lease;
}

static bool on_restarting(void *ctx)
{
    const struct install_world *world = ctx;
    return world->restarting;
}

static void on_ended(void *ctx)
{
    struct install_world *world = ctx;
    world->ended++;
    assert_false(installer_installing(world->installer));
}

static void on_event(void *ctx, const Muster__Event *event)
{
    static const struct unpack_limits limits = {.max_bytes = 4096};
    struct install_world *world = ctx;
    struct arena arena = {0};
    ProtobufCMessage *message = NULL;
    assert_int_equal(event->kind, MUSTER__EVENT_KIND__EVENT_PACKAGE);
    if (strncmp(event->item, "app-", 4) == 0)
        return; /* of one that was there before */
    assert_string_equal(event->item, world->wanted.name);
    assert_true(unpack(&muster__package_report__descriptor,
                       bytes_of(event->detail.data, event->detail.len), &limits, &arena, &message,
                       NULL));
    const Muster__PackageReport *report = (const Muster__PackageReport *)message;
    assert_string_equal(report->wanted, world->wanted.package_version);
    (void)snprintf(world->running, sizeof world->running, "%s", report->running);
    arena_done(&arena);
    world->events++;
    world->refusal = event->refusal;
    (void)snprintf(world->text, sizeof world->text, "%s", event->text);
}

static void on_changed(void *ctx)
{
    struct install_world *world = ctx;
    world->changes++;
}

void install_script(const struct install_world *world, const char *path, const char *text)
{
    char beside[160];
    (void)snprintf(beside, sizeof beside, "%s.new", path);
    FILE *file = fopen(beside, "we");
    assert_non_null(file);
    assert_true(fprintf(file, "#!/bin/sh\ncd %s\n%s", world->dir, text) > 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(beside, 0700), 0);
    assert_int_equal(rename(beside, path), 0);
}

void install_write(const struct install_world *world, const char *name, const char *text)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", world->dir, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

const char *install_text(const struct install_world *world, const char *name)
{
    static char text[16384];
    char path[160];
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

size_t install_calls(const struct install_world *world, const char *word)
{
    size_t count = 0;
    const char *line = install_text(world, "calls");
    while (line != NULL && *line != '\0') {
        count += strncmp(line, word, strlen(word)) == 0;
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return count;
}

void install_open(struct install_world *world)
{
    static const struct installer_events events = {.wanted = on_wanted,
                                                   .path = on_path,
                                                   .lease = on_lease,
                                                   .restarting = on_restarting,
                                                   .ended = on_ended,
                                                   .event = on_event,
                                                   .changed = on_changed};
    struct err err = {0};
    if (!installer_open(&world->loop, &world->clock, &world->settings, &events, world,
                        &world->installer, &err))
        fail_msg("%s", err.text);
    world->installer->boot_id[0] ^= world->boots;
}

static void on_closed(void *ctx)
{
    struct install_world *world = ctx;
    world->installer = NULL;
}

void install_close(struct install_world *world)
{
    installer_close(world->installer, on_closed, world);
    assert_int_equal(uv_run(&world->loop, UV_RUN_DEFAULT), 0);
    assert_null(world->installer);
}

static int64_t boot_ms(void *ctx)
{
    return ((const struct install_world *)ctx)->boot_ms;
}

static void fill(struct install_world *world)
{
    const char *dir = world->dir;
    (void)snprintf(world->state, sizeof world->state, "%s/state", dir);
    (void)snprintf(world->book, sizeof world->book, "%s/packages", world->state);
    (void)snprintf(world->folder, sizeof world->folder, "%s/install", world->state);
    (void)snprintf(world->hook, sizeof world->hook, "%s/hook", dir);
    (void)snprintf(world->version_hook, sizeof world->version_hook, "%s/version-hook", dir);
    (void)snprintf(world->gate_hook, sizeof world->gate_hook, "%s/gate-hook", dir);
    (void)snprintf(world->file, sizeof world->file, "%s/state/image", dir);
    world->settings = (struct installer_settings){.book = world->book,
                                                  .dir = world->folder,
                                                  .hook = world->hook,
                                                  .version_hook = world->version_hook,
                                                  .model = "P2",
                                                  .hook_limit_ms = 20000,
                                                  .version_limit_ms = 20000,
                                                  .limit_ms = 3600000,
                                                  .check_every_ms = 3600000,
                                                  .gate = {.patience_ms = 7200000},
                                                  .gate_every_ms = 3600000};
    world->wanted = (struct package_wanted){.name = "os",
                                            .kind = MUSTER__DOCUMENT_KIND__DOCUMENT_FIRMWARE,
                                            .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR,
                                            .package_version = "4.2"};
    sha256(bytes_of(IMAGE, strlen(IMAGE)), world->wanted.sha256);
}

void install_gate(struct install_world *world, const char *text)
{
    const struct gate_hook_settings settings = {
        .path = world->gate_hook, .limit_ms = 20000, .every_ms = 3600000};
    install_close(world);
    install_script(world, world->gate_hook, text);
    assert_true(gate_hook_open(&world->loop, &world->clock, &settings, &world->gate, NULL));
    world->settings.gate_hook = world->gate;
    install_open(world);
}

int install_set_up(void **state)
{
    struct install_world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    (void)snprintf(world->dir, sizeof world->dir, "/tmp/muster-install-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    fill(world);
    assert_true(file_make_dir(world->state, 0750, NULL));
    install_write(world, "state/image", IMAGE);
    install_write(world, "running", "4.1\n");
    /* It takes effect with a restart: "next". */
    install_script(world, world->hook,
                   "echo \"install $*\" >>calls\ncp \"$4\" got\necho \"$3\" >next\n");
    install_script(world, world->version_hook, "echo \"version $*\" >>calls\ncat running\n");
    world->clock = clock_real;
    world->clock.boot_ms = boot_ms;
    world->clock.ctx = world;
    world->boot_ms = 1000;
    assert_int_equal(uv_loop_init(&world->loop), 0);
    install_open(world);
    *state = world;
    return 0;
}

int install_tear_down(void **state)
{
    struct install_world *world = *state;
    if (world->installer != NULL)
        install_close(world);
    gate_hook_close(world->gate);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    assert_true(file_remove_tree(world->dir, NULL));
    free(world);
    return 0;
}

void install_settle(struct install_world *world)
{
    while (world->installer->doing != DOING_NOTHING ||
           (world->gate != NULL && world->installer->asker.step != ASKER_QUIET))
        (void)uv_run(&world->loop, UV_RUN_ONCE);
}

void install_look(struct install_world *world)
{
    installer_look(world->installer);
    install_settle(world);
}

struct install_said install_said(const struct install_world *world)
{
    struct arena arena = {0};
    Muster__StateReport state = MUSTER__STATE_REPORT__INIT;
    Muster__ItemReport item = MUSTER__ITEM_REPORT__INIT, *items[] = {&item};
    item.name = (char *)(uintptr_t)world->wanted.name;
    item.state = world->proving ? MUSTER__ITEM_STATE__ITEM_PROBATION : MUSTER__ITEM_STATE__ITEM_OK;
    state.items = items;
    state.n_items = 1;
    state.converged = true;
    assert_true(installer_state(world->installer, &arena, &state, NULL));
    struct install_said said = {
        .state = item.state, .refusal = item.refusal, .converged = state.converged};
    (void)snprintf(said.reason, sizeof said.reason, "%s", item.reason);
    arena_done(&arena);
    return said;
}

void install_reboot(struct install_world *world)
{
    if (world->installer != NULL)
        install_close(world);
    if (install_text(world, "next")[0] != '\0') {
        char version[128];
        (void)snprintf(version, sizeof version, "%s", install_text(world, "next"));
        install_write(world, "running", version);
    }
    world->boots++;
    world->boot_ms = 500;
    install_open(world);
}

void install_assert_placing(const struct install_world *world, const char *why)
{
    const struct install_said said = install_said(world);
    assert_int_equal(said.state, MUSTER__ITEM_STATE__ITEM_PLACING);
    assert_int_equal(said.refusal, MUSTER__REFUSAL__REFUSAL_NONE);
    assert_false(said.converged);
    if (strstr(said.reason, why) == NULL)
        fail_msg("%s", said.reason);
}
