/* SPDX-License-Identifier: Apache-2.0 */
/* Applications and firmware: what is in force goes to the installer, and what runs into the state.
 */
#include "agent/agent_parts.h"

#include "base/file.h"

#include <string.h>

static size_t on_wanted(void *ctx, struct package_wanted *ret_wanted, size_t max)
{
    const struct agent *agent = ctx;
    return agent->registrar != NULL ? registrar_packages(agent->registrar, ret_wanted, max) : 0;
}

static bool on_path(void *ctx, const char *name, char *path, struct err *err)
{
    const struct agent *agent = ctx;
    return registrar_file(agent->registrar, name, path, err);
}

static void on_event(void *ctx, const Muster__Event *event)
{
    agent_record_event(ctx, event);
}

static void on_changed(void *ctx)
{
    struct agent *agent = ctx;
    if (agent->registrar != NULL && !agent->closing)
        registrar_amended(agent->registrar);
}

static bool on_restarting(void *ctx)
{
    return agent_restarts(ctx);
}

static void on_ended(void *ctx)
{
    agent_look_at_actions(ctx);
}

bool agent_open_installer(struct agent *agent, struct err *err)
{
    char book[512], dir[512];
    const struct agent_settings *settings = agent->settings;
    static const struct installer_events events = {.wanted = on_wanted,
                                                   .path = on_path,
                                                   .lease = agent_look_at_lease,
                                                   .restarting = on_restarting,
                                                   .ended = on_ended,
                                                   .event = on_event,
                                                   .changed = on_changed};
    if (!path_join(book, sizeof book, settings->state_dir, "packages", err) ||
        !path_join(dir, sizeof dir, settings->state_dir, "install", err))
        return false;
    const struct installer_settings installer = {
        .book = book,
        .dir = dir,
        .hook = settings->install_hook,
        .version_hook = settings->install_version_hook,
        .model = settings->model,
        .hook_limit_ms = settings->install_hook_limit_ms,
        .version_limit_ms = settings->install_version_limit_ms,
        .limit_ms = settings->install_limit_ms,
        .check_every_ms = settings->check_every_ms,
        .gate = {.alone_ms = settings->gate_alone_ms, .patience_ms = settings->gate_patience_ms},
        .gate_hook = agent->gate_hook,
        .gate_every_ms = settings->gate_every_ms,
    };
    return installer_open(agent->loop, agent->clock, &installer, &events, agent, &agent->installer,
                          err);
}

static void on_closed(void *ctx)
{
    struct agent *agent = ctx;
    agent->installer = NULL;
}

void agent_close_installer(struct agent *agent)
{
    if (agent->installer != NULL)
        installer_close(agent->installer, on_closed, agent);
}

void agent_ask_what_runs(struct agent *agent)
{
    if (agent->installer != NULL)
        installer_look(agent->installer);
}

/* Which packages are in force; zeros at first, so that the first look asks what runs. */
static bool in_force_differs(struct agent *agent)
{
    struct package_wanted wanted[PACKAGES_MAX];
    uint8_t hash[32];
    struct buf text = {0};
    size_t count = registrar_packages(agent->registrar, wanted, PACKAGES_MAX);
    bool ok = buf_append(&text, "p", 1, NULL);
    for (size_t i = 0; ok && i < count; i++)
        ok = buf_append(&text, &wanted[i], sizeof wanted[i], NULL);
    if (ok)
        sha256(buf_bytes(&text), hash);
    buf_done(&text);
    if (!ok || memcmp(hash, agent->packages_of, sizeof hash) == 0)
        return !ok;
    memcpy(agent->packages_of, hash, sizeof hash);
    return true;
}

void agent_look_at_packages(struct agent *agent)
{
    if (agent->installer != NULL && agent->registrar != NULL && in_force_differs(agent))
        installer_look(agent->installer);
}
