/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/director_act.h"

#include "base/clock.h"
#include "base/log.h"
#include "fleet/director_sign.h"
#include "proto/action.h"
#include "proto/limits.h"
#include "storage/fleetdb_told.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { DEVICES_A_STEP = 8, LOOK_MS = 60 * 1000, NAME_BYTES = 8 };

/* Not to be guessed, nor given again by a database that was restored. */
static void make_name(char name[FLEETDB_ACTION_NAME_CHARS + 1])
{
    uint8_t random[NAME_BYTES];
    random_bytes(random, sizeof random);
    hex_encode(random, sizeof random, name);
}

static bool count_one(void *ctx, const struct fleetdb_action *action, struct err *err)
{
    (void)action;
    (void)err;
    ++*(size_t *)ctx;
    return true;
}

struct waiting {
    size_t length;
    uint8_t digest[32];
};

static bool note_waiting(void *ctx, const struct fleetdb_apply *apply, struct err *err)
{
    struct waiting *waiting = ctx;
    (void)err;
    if (apply->digest.length == sizeof waiting->digest) {
        memcpy(waiting->digest, apply->digest.data, sizeof waiting->digest);
        waiting->length = sizeof waiting->digest;
    }
    return true;
}

static bool put(const struct director *director, const struct director_act *act,
                const struct fleetdb_device *device, int64_t now_ms, const char *name,
                struct err *err)
{
    size_t open = 0;
    struct waiting waiting = {0};
    if (act->kind == (int)MUSTER__ACTION_KIND__ACTION_APPLY &&
        !fleetdb_view_apply(director->db, device->device, note_waiting, &waiting, err))
        return false;
    const struct fleetdb_action action = {.name = name,
                                          .kind = act->kind,
                                          .note = act->note,
                                          .limit_bytes = act->limit_bytes,
                                          .made_ms = now_ms,
                                          .expires_ms = act->expires_ms,
                                          .digest = bytes_of(waiting.digest, waiting.length)};
    if (!fleetdb_actions_open(director->db, device->device, count_one, &open, err))
        return false;
    if (open >= LIMIT_MANIFEST_ACTIONS)
        return err_set(err, ERR_CONFLICT,
                       "device %s has %d open actions already: see musterctl get actions",
                       device->id, LIMIT_MANIFEST_ACTIONS);
    return fleetdb_action_put(director->db, device->device, &action, err);
}

static bool audit(const struct director *director, const struct director_act *act,
                  const struct director_outcome *outcome, const char *name, int64_t now_ms,
                  struct err *err)
{
    char text[320], when[96];
    if (outcome->waits_for[0] == '\0')
        (void)snprintf(when, sizeof when, "manifest %" PRIu64, outcome->manifest_version);
    else
        (void)snprintf(when, sizeof when, "no manifest before %s is signed again",
                       outcome->waits_for);
    (void)snprintf(text, sizeof text, "%s %s%s%s; %s", action_word(act->kind), name,
                   act->note[0] != '\0' ? ": " : "", act->note, when);
    return fleetdb_audit(director->db, now_ms, act->who, "action", outcome->device.device, text,
                         err);
}

static bool act_one(const struct director *director, const struct director_act *act, const char *id,
                    int64_t now_ms, struct director_outcome *outcome, char *name, struct err *err)
{
    struct fleetdb_manifest manifest = {0};
    struct buf envelope = {0};
    uint64_t floor = 0;
    *outcome = (struct director_outcome){.changed = true};
    make_name(name);
    if (!fleetdb_device_find(director->db, id, &outcome->device, err))
        return false;
    if (outcome->device.life == FLEETDB_RETIRED)
        return err_set(err, ERR_REFUSED, "device %s is retired; it does nothing any more", id);
    bool ok = put(director, act, &outcome->device, now_ms, name, err) &&
              director_floor(director, &outcome->device, &floor, err) &&
              director_sign_or_wait(director, &outcome->device, floor, now_ms, &manifest, &envelope,
                                    outcome->waits_for, err);
    buf_done(&envelope);
    outcome->manifest_version = manifest.version;
    return ok && audit(director, act, outcome, name, now_ms, err);
}

bool director_act(const struct director *director, const struct director_act *act,
                  const char *const *ids, size_t count, int64_t now_ms, bool dry_run,
                  struct director_outcome *ret_outcomes, struct director_acted *ret_acted,
                  struct err *err)
{
    bool ok = fleetdb_begin(director->db, err);
    if (!ok)
        return false;
    for (size_t i = 0; ok && i < count; i++)
        ok = act_one(director, act, ids[i], now_ms, &ret_outcomes[i], ret_acted[i].name, err);
    if (!ok || dry_run) {
        fleetdb_rollback(director->db);
        return ok;
    }
    return fleetdb_commit(director->db, err);
}

/* ---- out of the manifests again ---- */

void retirement_wake(struct retirement *retirement)
{
    retirement->more = retirement->again_ms == 0;
    retirement->again_ms = 0;
}

/* `*ret_signed`: there is a new manifest. */
static bool retire(const struct director *director, const char *id, int64_t now_ms,
                   struct fleetdb_device *device, bool *ret_signed, struct err *err)
{
    struct fleetdb_manifest before, manifest = {0};
    struct buf envelope = {0};
    char waits_for[FLEETDB_NAME_CHARS + 1] = "";
    uint64_t floor = 0;
    bool ok = fleetdb_device_find(director->db, id, device, err) &&
              fleetdb_actions_expire(director->db, device->device, now_ms,
                                     MUSTER__ACTION_STEP__ACTION_STEP_EXPIRED, err) &&
              fleetdb_manifest_get(director->db, device->device, &before, NULL, err);
    *ret_signed = ok && device->life != FLEETDB_RETIRED && before.version != 0;
    if (*ret_signed)
        ok = director_floor(director, device, &floor, err) &&
             director_sign_or_wait(director, device, floor, now_ms, &manifest, &envelope, waits_for,
                                   err);
    *ret_signed = *ret_signed && waits_for[0] == '\0';
    /* What is not signed again now is signed without them whenever it is. */
    if (ok && !*ret_signed)
        ok = fleetdb_actions_named(director->db, device->device, 0, 0, err);
    buf_done(&envelope);
    return ok;
}

static bool retire_one(struct retirement *retirement, int64_t now_ms,
                       void (*renewed)(void *ctx, const struct fleetdb_device *device), void *ctx,
                       bool *ret_found, struct err *err)
{
    const struct director *director = retirement->director;
    struct fleetdb_device device;
    char id[sizeof device.id];
    bool is_signed = false;
    if (!fleetdb_actions_due(director->db, retirement->after, now_ms, &retirement->after, id,
                             ret_found, err) ||
        !*ret_found)
        return *ret_found;
    if (!fleetdb_begin(director->db, err))
        return false;
    if (!retire(director, id, now_ms, &device, &is_signed, err)) {
        fleetdb_rollback(director->db);
        return err_context(err, "%s", id);
    }
    if (!fleetdb_commit(director->db, err))
        return false;
    if (is_signed)
        renewed(ctx, &device);
    return true;
}

/* When the next one expires, or in a while. */
static int64_t end_of_walk(struct retirement *retirement, int64_t now_ms)
{
    int64_t next_ms = 0, wait_ms = LOOK_MS;
    bool more = retirement->more && !retirement->failed;
    if (!retirement->failed && fleetdb_actions_next(retirement->director->db, &next_ms, NULL) &&
        next_ms != 0 && next_ms - now_ms < wait_ms)
        wait_ms = next_ms > now_ms ? next_ms - now_ms : 1;
    retirement->after = 0;
    retirement->failed = retirement->more = false;
    if (more)
        return 0;
    retirement->again_ms = clock_boot_ms(retirement->clock) + wait_ms;
    return wait_ms;
}

int64_t retirement_step(struct retirement *retirement,
                        void (*renewed)(void *ctx, const struct fleetdb_device *device), void *ctx)
{
    int64_t now_ms = clock_wall_ms(retirement->clock);
    int64_t left_ms = retirement->again_ms - clock_boot_ms(retirement->clock);
    if (retirement->again_ms != 0 && left_ms > 0)
        return left_ms;
    for (int i = 0; i < DEVICES_A_STEP; i++) {
        struct err err = {0};
        bool found = false;
        if (!retire_one(retirement, now_ms, renewed, ctx, &found, &err) && err.code != ERR_NONE) {
            log_error("an action that is over stays in a manifest for now: %s", err.text);
            retirement->failed = true;
        }
        if (!found)
            return end_of_walk(retirement, now_ms);
    }
    retirement->again_ms = 0;
    return 0;
}
