/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent_parts.h"

#include "base/file.h"
#include "proto/refusal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void tell(struct agent *agent, const struct err *why)
{
    Muster__Event event = MUSTER__EVENT__INIT;
    event.kind = MUSTER__EVENT_KIND__EVENT_REFUSED;
    event.text = (char *)(uintptr_t)why->text;
    event.refusal = refusal_of(why);
    agent_record_event(agent, &event);
}

bool agent_open_roots(struct agent *agent, struct err *err)
{
    char dir[ROOTS_DIR_BYTES];
    const struct agent_settings *settings = agent->settings;
    if (!path_join(dir, sizeof dir, settings->state_dir, "registry", err) ||
        !roots_open(settings->root, dir, &agent->roots, err))
        return false;
    agent->trust = agent->roots.trust;
    return true;
}

void agent_tell_roots(struct agent *agent)
{
    const struct err *damage = &agent->roots.damage, *unread = &agent->roots.unread;
    if (unread->code != ERR_NONE) {
        log_error("%s; the copy that is kept of it stands in: install it again", unread->text);
        tell(agent, unread);
    }
    if (damage->code == ERR_NONE)
        return;
    log_warn("%s; root %" PRIu64 " is in force until the fleet has sent it again", damage->text,
             trust_version(agent->trust));
    tell(agent, damage);
}

void agent_check_roots(struct agent *agent)
{
    Muster__Event event = MUSTER__EVENT__INIT;
    uint64_t mended = 0;
    char text[96];
    struct err err = {0};
    if (!roots_mend(&agent->roots, &mended, &err)) {
        log_error("%s; tried again at the next check", err.text);
        return;
    }
    if (mended == 0)
        return;
    (void)snprintf(text, sizeof text,
                   "trust root %" PRIu64 " was gone or changed on the disk; written again", mended);
    log_warn("%s", text);
    event.kind = MUSTER__EVENT_KIND__EVENT_DRIFT;
    event.text = text;
    agent_record_event(agent, &event);
}

void agent_await_root(struct agent *agent)
{
    linkport_trust(agent->port, trust_version(agent->trust) + 1);
}

static void refused(struct agent *agent, uint64_t version, const struct err *why)
{
    if (why->reason == 0) { /* the disk, not the root: the next hello asks for it again */
        log_error("trust root %" PRIu64 " was not kept: %s", version, why->text);
        return;
    }
    registrar_refused(agent->registrar, "a trust root is not accepted", why);
}

/* Tells one set of directors from another: the set itself does not outlast a new root. */
static void digest_directors(const struct trust *trust, uint8_t ret_digest[32])
{
    const struct key_set *set = trust_keys(trust, MUSTER__ROLE__ROLE_DIRECTOR);
    struct sha256_state *state = sha256_begin();
    memset(ret_digest, 0, 32);
    if (state == NULL)
        return;
    for (size_t i = 0; i < set->count; i++)
        sha256_add(state, verify_key_spki(set->keys[i]));
    sha256_end(state, ret_digest);
}

/* What has to be asked and told again under another root. */
static void rooted(struct agent *agent, const uint8_t directors_before[32])
{
    int64_t now_ms = clock_boot_ms(agent->clock);
    uint8_t directors[32];
    digest_directors(agent->trust, directors);
    agent->put_off.why = (struct err){0}; /* it comes again, and is judged by the new root */
    if (memcmp(directors, directors_before, sizeof directors) != 0)
        freshness_rooted(&agent->freshness, trust_version(agent->trust));
    timekeeper_rooted(&agent->timekeeper, trust_issued_ms(agent->trust), now_ms);
    agent_tell_link_time(agent);
    agent_await_root(agent);
    registrar_rooted(agent->registrar);
    hello_anew(&agent->hello, now_ms, random_u64());
}

bool agent_take_root(struct agent *agent, uint64_t version, struct bytes envelope, struct err *err)
{
    struct err why = {0};
    bool taken = false;
    uint8_t directors[32];
    digest_directors(agent->trust, directors);
    if (!roots_take(&agent->roots, version, envelope, &taken, &why)) {
        refused(agent, version, &why);
        if (err != NULL)
            *err = why;
        return false;
    }
    if (!taken)
        return true;
    log_info("trust root %" PRIu64 " is in force, epoch %" PRIu64, trust_version(agent->trust),
             trust_epoch(agent->trust));
    rooted(agent, directors);
    return true;
}
