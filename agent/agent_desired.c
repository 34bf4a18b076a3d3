/* SPDX-License-Identifier: Apache-2.0 */
/* Desired state on its way to the registrar, and whether it is proved fresh. */
#include "agent/agent_parts.h"

#include "base/file.h"
#include "proto/limits.h"
#include "proto/refusal.h"

#include <string.h>

static struct freshness_manifest manifest_of(const struct registrar_desired *desired)
{
    struct freshness_manifest manifest = {.epoch = desired->epoch, .version = desired->version};
    memcpy(manifest.sha256, desired->sha256, sizeof manifest.sha256);
    return manifest;
}

/* What a signed manifest contradicts, or who cannot have signed it as far as is known here: the
 * director settles it once a hello tells how things stand. */
static bool is_doubt(Muster__Refusal reason)
{
    return reason == MUSTER__REFUSAL__REFUSAL_SIGNATURE ||
           reason == MUSTER__REFUSAL__REFUSAL_MANIFEST_ROOT ||
           reason == MUSTER__REFUSAL__REFUSAL_MANIFEST_EPOCH ||
           reason == MUSTER__REFUSAL__REFUSAL_MANIFEST_OLD ||
           reason == MUSTER__REFUSAL__REFUSAL_MANIFEST_OTHER;
}

/* After a rotation while this terminal was off, the manifest that is kept for it comes before the
 * root under which it is good. What the fleet has answered on this connection, or sent in a file,
 * comes in order. */
bool agent_put_off(struct agent *agent, const struct err *why)
{
    if (agent->put_off.from_file || !agent->hello.connected || agent->hello.welcomed)
        return false;
    if (agent->put_off.why.code == ERR_NONE)
        agent->put_off.since_ms = clock_boot_ms(agent->clock);
    agent->put_off.why = *why;
    return true;
}

void agent_tell_put_off(struct agent *agent, int64_t least_ms)
{
    const struct err why = agent->put_off.why;
    if (why.code == ERR_NONE || clock_boot_ms(agent->clock) < agent->put_off.since_ms + least_ms)
        return;
    agent->put_off.why = (struct err){0};
    registrar_refused(agent->registrar, REGISTRAR_NOT_ACCEPTED, &why);
}

bool agent_take_manifest(struct agent *agent, struct bytes envelope, bool from_file,
                         struct err *err)
{
    struct registrar_desired before, after;
    struct err why = {0};
    registrar_desired(agent->registrar, &before);
    agent->put_off.from_file = from_file;
    if (!registrar_manifest(agent->registrar, envelope, &why)) {
        if (is_doubt(refusal_of(&why)))
            hello_doubt(&agent->hello, clock_boot_ms(agent->clock));
        if (err != NULL)
            *err = why;
        return false;
    }
    hello_sure(&agent->hello);
    registrar_desired(agent->registrar, &after);
    struct freshness_manifest held = manifest_of(&after);
    if (after.version != before.version || after.epoch != before.epoch ||
        memcmp(after.sha256, before.sha256, sizeof after.sha256) != 0)
        freshness_accepted(&agent->freshness, &held, from_file);
    if (from_file) /* only the fleet can say whether it is the newest */
        hello_soon(&agent->hello, clock_boot_ms(agent->clock));
    return true;
}

static struct freshness_held held_now(const struct agent *agent)
{
    struct registrar_desired desired;
    registrar_desired(agent->registrar, &desired);
    return (struct freshness_held){
        .root_version = trust_version(agent->trust),
        .root_seen = desired.root_seen,
        .manifest = manifest_of(&desired),
        .outdated = desired.outdated,
        .below = desired.below,
        .refused = {.epoch = desired.refused_epoch, .version = desired.refused_version},
        .refused_why = desired.refused_why,
        .unanswered = agent->hello.connected && !agent->hello.welcomed,
        .now_ms = clock_boot_ms(agent->clock),
        .expires_ms = desired.expires_ms,
        .at_least_ms = timekeeper_at_least(&agent->timekeeper, clock_boot_ms(agent->clock)),
    };
}

bool agent_is_behind(const struct agent *agent, const Muster__Welcome *welcome)
{
    struct freshness asked = {
        .welcomed = true,
        .named = {.epoch = welcome->manifest_epoch, .version = welcome->manifest_version}};
    struct freshness_held held = held_now(agent);
    return welcome->root_version > held.root_version ||
           (welcome->manifest.len == 0 && freshness_behind(&asked, &held.manifest));
}

void agent_note_welcome(struct agent *agent, const Muster__Welcome *welcome)
{
    struct freshness_manifest named = {.epoch = welcome->manifest_epoch,
                                       .version = welcome->manifest_version};
    if (welcome->manifest_sha256.len == sizeof named.sha256)
        memcpy(named.sha256, welcome->manifest_sha256.data, sizeof named.sha256);
    freshness_welcomed(&agent->freshness, welcome->root_version, &named, welcome->wall_ms,
                       clock_boot_ms(agent->clock));
    registrar_welcomed(agent->registrar, agent->hello_asked_ms);
    struct freshness_held held = held_now(agent);
    if (freshness_names(&agent->freshness, &held.manifest))
        registrar_confirmed(agent->registrar);
    if (welcome->root_version <= trust_version(agent->trust))
        agent_tell_put_off(agent, 0);
}

void agent_look_at_freshness(struct agent *agent, char ret_why[FRESHNESS_WHY_CHARS])
{
    struct freshness_held held = held_now(agent);
    freshness_look(&agent->freshness, &held, ret_why);
}

bool agent_tell_trust(struct agent *agent, struct arena *arena, Muster__AgentStatus *status,
                      struct err *err)
{
    char why[FRESHNESS_WHY_CHARS];
    const struct refusals *refusals = registrar_refusals(agent->registrar);
    agent_look_at_freshness(agent, why);
    status->root_version = trust_version(agent->trust);
    status->epoch = trust_epoch(agent->trust);
    status->fresh_ms = agent->freshness.fresh_ms;
    status->fleet_manifest = agent->freshness.named.version;
    status->stale = arena_copy(arena, why, strlen(why) + 1);
    if (agent->freshness.fresh_ms != 0)
        status->fresh_age_ms = clock_boot_ms(agent->clock) - agent->freshness.fresh_at_ms;
    status->state_refused = refusals->count;
    status->welcomes_unasked = refusals->unasked;
    status->last_refusal = refusals->last;
    status->last_refused = (char *)(uintptr_t)refusals->why;
    return status->stale != NULL || err_set(err, ERR_NO_MEMORY, "no memory for a status");
}

/* Where the registry is a link to another disk, results are not in its way. */
bool agent_look_at_room(void *ctx, struct room *ret_room)
{
    struct agent *agent = ctx;
    const struct agent_settings *settings = agent->settings;
    struct spool_stats stats;
    struct disk disk, registrys;
    char dir[512];
    if (!path_join(dir, sizeof dir, settings->state_dir, "registry", NULL) ||
        !disk_look(settings->state_dir, &disk, NULL) || !disk_look(dir, &registrys, NULL) ||
        disk.id != registrys.id)
        return false;
    spool_stats(agent->spool, &stats);
    *ret_room = room_of(&disk, stats.bytes, (uint64_t)settings->spool_quota_bytes);
    return true;
}
