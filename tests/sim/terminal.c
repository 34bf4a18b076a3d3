/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/terminal.h"

#include "agent/agent_key.h"
#include "base/file.h"
#include "tests/sim/crowd.h"

#include <stdio.h>
#include <string.h>

void terminal_name(size_t index, char ret_device[LIMIT_DEVICE_ID_CHARS + 1])
{
    (void)snprintf(ret_device, LIMIT_DEVICE_ID_CHARS + 1, "sim-%05zu", index + 1);
}

static bool folder_of(const char *dir, size_t index, char *path, size_t size, struct err *err)
{
    char device[LIMIT_DEVICE_ID_CHARS + 1];
    terminal_name(index, device);
    return path_join(path, size, dir, device, err);
}

bool terminal_make(const char *dir, size_t index, struct err *err)
{
    char folder[256], key[300], public[300];
    if (!folder_of(dir, index, folder, sizeof folder, err) ||
        !path_join(key, sizeof key, folder, "agent.pem", err) ||
        !path_join(public, sizeof public, folder, "agent.pub", err) ||
        !file_make_dir(folder, 0700, err))
        return false;
    FILE *out = fopen(public, "we");
    bool ok = out != NULL && agent_key_make(key, out, err);
    if (out == NULL)
        (void)err_set(err, ERR_IO, "%s cannot be written", public);
    else
        ok = fclose(out) == 0 && ok;
    return ok;
}

/* ---- settings ---- */

static bool write_settings(const char *path, const char *text, struct err *err)
{
    return file_write(path, bytes_of(text, strlen(text)), 0600, err);
}

/* Nothing here is restored from a backup, so there is no grace; no application holds up what is
 * fetched; retries are no part of this world, so few keys are remembered. */
static bool agent_conf(const char *path, const struct crowd_settings *settings, struct err *err)
{
    char text[1024];
    (void)snprintf(text, sizeof text,
                   "[device]\nid = sim\nserial = sim\nmodel = SIM-1\n"
                   "[keys]\nroot = %s\n"
                   "[spool]\nquota = 4M\nkey_window = 64\ngrace = 0s\n"
                   "[uplink]\npolicy = %s\nresend = %s\n"
                   "[gate]\nalone = 0s\n"
                   "[log]\nlevel = error\n",
                   settings->root, settings->policy, settings->resend);
    return write_settings(path, text, err);
}

static bool link_conf(const char *path, const char *broker, struct err *err)
{
    char text[512];
    (void)snprintf(text, sizeof text, "[device]\nid = sim\n[broker]\nservers = %s\n", broker);
    return write_settings(path, text, err);
}

bool terminal_settings(const struct crowd_settings *settings, struct terminal *ret_terminal,
                       struct err *err)
{
    char agent[256], link[256];
    return path_join(agent, sizeof agent, settings->dir, "agent.conf", err) &&
           path_join(link, sizeof link, settings->dir, "link.conf", err) &&
           agent_conf(agent, settings, err) && link_conf(link, settings->broker, err) &&
           agent_settings_load(agent, &ret_terminal->agent_settings, err) &&
           link_settings_load(link, &ret_terminal->link_settings, err);
}

static bool own_settings(struct terminal *terminal, const char *dir, size_t index, struct err *err)
{
    struct agent_settings *agent = &terminal->agent_settings;
    struct link_settings *link = &terminal->link_settings;
    char folder[256];
    terminal_name(index, terminal->device);
    (void)snprintf(agent->device, sizeof agent->device, "%s", terminal->device);
    (void)snprintf(agent->serial, sizeof agent->serial, "SN-%.20s", terminal->device);
    (void)snprintf(link->device, sizeof link->device, "%s", terminal->device);
    return folder_of(dir, index, folder, sizeof folder, err) &&
           path_join(agent->state_dir, sizeof agent->state_dir, folder, "state", err) &&
           path_join(agent->run_dir, sizeof agent->run_dir, folder, "run", err) &&
           path_join(agent->agent_key, sizeof agent->agent_key, folder, "agent.pem", err) &&
           path_join(agent->sealing_key, sizeof agent->sealing_key, folder, "sealing.pem", err) &&
           path_join(link->agent_socket, sizeof link->agent_socket, agent->run_dir, "link.sock",
                     err);
}

/* ---- open and close ---- */

bool terminal_open(struct terminal *terminal, uv_loop_t *loop, const char *dir, size_t index,
                   void (*failed)(void *ctx, enum agent_end end, const struct err *err), void *ctx,
                   struct err *err)
{
    if (!own_settings(terminal, dir, index, err) ||
        !agent_open(loop, &clock_real, &terminal->agent_settings, failed, ctx, &terminal->agent,
                    err))
        return err_context(err, "%s", terminal->device);
    if (!link_open(loop, &terminal->link_settings, &terminal->link, err))
        return err_context(err, "%s", terminal->device);
    (void)uv_timer_init(loop, &terminal->timer);
    terminal->timer.data = terminal;
    return true;
}

void terminal_close(struct terminal *terminal)
{
    if (terminal->link != NULL) {
        link_close(terminal->link);
        uv_close((uv_handle_t *)&terminal->timer, NULL);
    }
    if (terminal->agent != NULL)
        agent_close(terminal->agent);
}

void terminal_free(struct terminal *terminal)
{
    link_free(terminal->link);
    agent_free(terminal->agent);
}

/* ---- its life ---- */

bool terminal_is_settled(struct terminal *terminal)
{
    struct agent *agent = terminal->agent;
    struct arena arena = {0};
    Muster__StateReport state = MUSTER__STATE_REPORT__INIT;
    if (!terminal->settled && agent->hello.welcomed &&
        registrar_manifest_version(agent->registrar) > 0 &&
        registrar_state(agent->registrar, &arena, &state, NULL))
        terminal->settled = state.converged;
    arena_done(&arena);
    return terminal->settled;
}

bool terminal_record(struct terminal *terminal, struct world_result *result, struct err *err)
{
    Muster__TxnResult *txn = &result->txn;
    struct terminal_count *count = &terminal->count;
    if (!agent_record_txn(terminal->agent, txn, NULL, NULL, err))
        return err_context(err, "%s", terminal->device);
    count->results++;
    count->declined += txn->outcome == MUSTER__OUTCOME__OUTCOME_DECLINED;
    count->amount_minor += txn->amount_minor;
    count->suspects += strcmp(txn->code, "57") == 0;
    return true;
}
