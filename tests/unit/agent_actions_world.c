/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/agent_actions_world.h"

#include "base/file.h"
#include "proto/action.h"
#include "tests/attack/terminal.h"
#include "tests/unit/deadly_effects.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIGN_ON MUSTER__ACTION_KIND__ACTION_SIGN_ON

void path_in(const struct world *world, const char *name, char path[128])
{
    (void)snprintf(path, 128, "%s/%s", world->dir, name);
}

void write_hook(const struct world *world, const char *more)
{
    char path[128], script[300];
    int length =
        snprintf(script, sizeof script, "#!/bin/sh\necho ran >> %s/ran\n%s\n", world->dir, more);
    path_in(world, "sign-on", path);
    assert_true(file_write(path, bytes_of(script, (size_t)length), 0700, NULL));
}

unsigned times_ran(const struct world *world)
{
    char path[128];
    struct buf file = {0};
    path_in(world, "ran", path);
    unsigned lines = 0;
    if (file_read(path, 4096, &file, NULL))
        for (size_t i = 0; i < file.length; i++)
            lines += file.data[i] == '\n' ? 1 : 0;
    buf_done(&file);
    return lines;
}

void set_hook(struct world *world)
{
    struct agent_settings *settings = &world->session.settings;
    char path[128];
    path_in(world, "sign-on", path);
    (void)snprintf(settings->sign_on_hook, sizeof settings->sign_on_hook, "%s", path);
    settings->sign_on_hook_limit_ms = 20000;
    settings->gate_every_ms = 20;
}

int actions_set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    char path[128];
    if (world == NULL)
        return 1;
    /* No power is cut here: what is synced may as well be in memory. */
    (void)snprintf(world->dir, sizeof world->dir, "%s/muster-act-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(world->dir) == NULL)
        return 1;
    fleet_open(&world->fleet, world->dir);
    fleet_enrol(&world->fleet, world->dir, DEVICE);
    muster__action__init(&world->order);
    world->order.id = (char *)(uintptr_t) "a-1";
    world->order.kind = SIGN_ON;
    world->order.since_epoch = 1;
    world->orders[0] = &world->order;
    write_hook(world, "");
    path_in(world, "term", path);
    deadly_left = -1;
    *state = world;
    return 0;
}

int actions_tear_down(void **state)
{
    struct world *world = *state;
    fleet_close(&world->fleet);
    bool removed = file_remove_tree(world->dir, NULL);
    free(world);
    return !removed;
}

void open_session(struct world *world)
{
    char path[128];
    path_in(world, "term", path);
    session_open(&world->session, &world->fleet, path, DEVICE);
    set_hook(world);
}

void give_order(struct world *world, bool welcomed)
{
    struct session *session = &world->session;
    session->orders = world->orders;
    session->order_count = 1;
    world->order.since_version = session->strike.version + 1;
    session_plan(session);
    session_send_manifest(session);
    session_fetch(session);
    if (welcomed)
        assert_null(session_answered(session));
}

const struct actions_entry *entry_of(const struct world *world, const char *id)
{
    return actions_find(&world->session.agent->actions.book, id);
}

bool is_over(const struct world *world, const char *id)
{
    const struct actions_entry *entry = entry_of(world, id);
    return entry != NULL && action_is_over((int)entry->step);
}

void wait_over(struct world *world, const char *id)
{
    while (!is_over(world, id))
        (void)uv_run(&world->session.loop, UV_RUN_ONCE);
    recorder_flush(world->session.agent->recorder);
    session_turn(&world->session);
}

const char *waits_for(const struct world *world)
{
    const struct action_wait *waits = world->session.agent->actions.waits;
    for (size_t i = 0; i < LIMIT_MANIFEST_ACTIONS; i++)
        if (strcmp(waits[i].id, world->order.id) == 0)
            return waits[i].why;
    return "";
}
void give_receipt(struct world *world)
{
    struct answer answer;
    struct buf receipt = {0};
    struct err err = {0};
    recorder_flush(world->session.agent->recorder);
    session_turn(&world->session);
    session_receipt(&world->session, &answer);
    session_seal_receipt(&world->session, NULL, &answer, &receipt);
    if (!session_take(&world->session, TOPIC_DOWN_RECEIPT, DEVICE, buf_bytes(&receipt), &err))
        fail_msg("%s", err.text);
    buf_done(&receipt);
}
