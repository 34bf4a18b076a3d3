/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar_internal.h"

#include "agent/floors.h"
#include "base/log.h"
#include "proto/refusal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for the new generation beside the one in force: the spare one may go. */
static bool quota_check(const struct registrar *registrar, const struct desired *desired,
                        struct err *err)
{
    struct registry_items target;
    sync_target(&desired->wants, &registrar->held.current.list, &target);
    const struct registry_items *lists[] = {&target, &registrar->held.current.list,
                                            &trial_good(registrar)->list};
    uint64_t needed = sync_bytes(lists, 3);
    if (registrar->quota_bytes <= 0 || needed <= (uint64_t)registrar->quota_bytes)
        return true;
    const struct registry_items **now = lists + 1; /* and what comes back if it is no good */
    return refuse(err, MUSTER__REFUSAL__REFUSAL_MANIFEST_QUOTA, ERR_REFUSED,
                  "manifest %" PRIu64 " needs %" PRIu64 " bytes beside what is in force (%" PRIu64
                  "), the quota is %" PRId64,
                  desired->version, needed, sync_bytes(now, 2), registrar->quota_bytes);
}

/* A chain of roots that was damaged or put back leaves older keys in force, which a newer root may
 * have withdrawn. */
static bool root_check(const struct registrar *registrar, struct err *err)
{
    uint64_t seen = registrar->floors.root_version, known = trust_version(registrar->trust);
    return known >= seen ||
           refuse(err, MUSTER__REFUSAL__REFUSAL_MANIFEST_ROOT, ERR_REFUSED,
                  "root %" PRIu64 " was in force here and only %" PRIu64
                  " is left: no manifest is accepted before the chain of roots has come again",
                  seen, known);
}

bool accepted_stands(const struct registrar *registrar, const struct desired *desired,
                     struct err *err)
{
    return root_check(registrar, err) && floors_check(&registrar->floors, desired, err);
}

static bool desired_accept(struct registrar *registrar, struct desired *desired, struct err *err)
{
    struct registry_floors *floors = malloc(sizeof *floors);
    if (floors == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a manifest");
    bool good = root_check(registrar, err) &&
                floors_take(&registrar->floors, desired, floors, err) &&
                quota_check(registrar, desired, err);
    if (good) {
        registrar->floors = *floors;
        desired_free(registrar->desired);
        registrar->desired = desired;
        registrar->outdated = false;
        registrar->refused_version = 0;
        registrar->below[0] = '\0';
        registrar->unsaved = true;
        registrar_go_on(registrar);
    }
    free(floors);
    return good;
}

/* NULL: refused. The registrar keeps what it gives. */
static const struct desired *manifest_take(struct registrar *registrar, struct bytes envelope,
                                           struct bytes body, struct err *err)
{
    struct desired *desired = NULL;
    if (!desired_parse(registrar->trust, registrar->device, envelope, body, &desired, err))
        return NULL;
    if (!desired_accept(registrar, desired, err)) {
        desired_free(desired);
        return NULL;
    }
    return desired;
}

static bool is_held(const struct registrar *registrar, struct bytes body)
{
    uint8_t digest[32];
    sha256(body, digest);
    return registrar->desired != NULL && !registrar->outdated &&
           memcmp(digest, registrar->desired->digest, 32) == 0;
}

/* The broker keeps it until the fleet has signed again; that it counts no more was told then. */
static bool is_outdated_one(const struct registrar *registrar, struct bytes envelope)
{
    return registrar->outdated && bytes_equal(envelope, buf_bytes(&registrar->desired->envelope));
}

static bool is_unsettled(const struct registrar *registrar, const struct err *why)
{
    return refusal_of(why) == MUSTER__REFUSAL__REFUSAL_SIGNATURE &&
           registrar->events.unsettled != NULL && registrar->events.unsettled(registrar->ctx, why);
}

static bool manifest_refused(struct registrar *registrar, struct bytes envelope,
                             const struct err *why, struct err *err)
{
    if (!is_outdated_one(registrar, envelope) && !is_unsettled(registrar, why))
        registrar_refused(registrar, REGISTRAR_NOT_ACCEPTED, why);
    if (err != NULL)
        *err = *why;
    return false;
}

/* Above what is held: until another is accepted, this terminal is not as the fleet wants it. */
static void note_refused(struct registrar *registrar, struct bytes body, const struct err *why)
{
    uint64_t epoch, version, held_epoch = 0, held_version = 0;
    if (why->code == ERR_NO_MEMORY || /* nothing was judged */
        refusal_of(why) == MUSTER__REFUSAL__REFUSAL_MANIFEST_OLD)
        return;
    desired_number(body, &epoch, &version);
    if (registrar->desired != NULL) {
        held_epoch = registrar->desired->epoch;
        held_version = registrar->desired->version;
    }
    if (epoch != trust_epoch(registrar->trust) || epoch < held_epoch ||
        (epoch == held_epoch && version <= held_version) ||
        (epoch == registrar->refused_epoch && version < registrar->refused_version))
        return;
    registrar->refused_epoch = epoch;
    registrar->refused_version = version;
    (void)snprintf(registrar->refused_why, sizeof registrar->refused_why, "%.190s", why->text);
    registrar_wake(registrar); /* it is not converged any more */
}

bool registrar_manifest(struct registrar *registrar, struct bytes envelope, struct err *err)
{
    struct bytes body;
    struct err why = {0};
    if (!desired_body(registrar->trust, registrar->device, envelope, &body, &why))
        return manifest_refused(registrar, envelope, &why, err);
    if (is_held(registrar, body))
        return true;
    const struct desired *desired = manifest_take(registrar, envelope, body, &why);
    if (desired == NULL) {
        note_refused(registrar, body, &why);
        return manifest_refused(registrar, envelope, &why, err);
    }
    log_info("registry: manifest %" PRIu64 " of epoch %" PRIu64 " accepted, %zu items",
             desired->version, desired->epoch, desired->wants.count);
    owned_note_keys(registrar);
    owned_look_soon(registrar);
    registrar_wake(registrar);
    return true;
}

void registrar_confirmed(struct registrar *registrar)
{
    if (registrar->refused_version == 0)
        return;
    registrar->refused_version = 0;
    registrar_wake(registrar);
}

void registrar_rooted(struct registrar *registrar)
{
    struct desired *again = NULL;
    struct err why = {0};
    registrar->refused_version = 0; /* if it still counts, it comes again */
    if (trust_version(registrar->trust) > registrar->floors.root_version) {
        registrar->floors.root_version = trust_version(registrar->trust);
        registrar->floors_unsaved = true;
    }
    if (registrar->desired != NULL) {
        registrar->outdated = !desired_open(registrar->trust, registrar->device,
                                            buf_bytes(&registrar->desired->envelope), &again, &why);
        desired_free(again);
        accepted_note_below(registrar);
    }
    if (registrar->outdated)
        log_info("registry: what is held stays; its manifest is not good under root %" PRIu64
                 " any more: %s",
                 trust_version(registrar->trust), why.text);
    registrar_wake(registrar);
}

void registrar_refused(struct registrar *registrar, const char *what, const struct err *why)
{
    if (refusals_add(&registrar->refusals, why, clock_boot_ms(registrar->clock)))
        report_refusal(registrar, MUSTER__EVENT_KIND__EVENT_REFUSED, "", NULL, refusal_of(why),
                       "%s: %s", what, why->text);
}

const struct refusals *registrar_refusals(const struct registrar *registrar)
{
    return &registrar->refusals;
}

void registrar_desired(const struct registrar *registrar, struct registrar_desired *ret_desired)
{
    const struct desired *desired = registrar->desired;
    *ret_desired = (struct registrar_desired){.root_seen = registrar->floors.root_version,
                                              .floor_epoch = registrar->floors.epoch,
                                              .floor_version = registrar->floors.manifest_version,
                                              .outdated = registrar->outdated,
                                              .refused_epoch = registrar->refused_epoch,
                                              .refused_version = registrar->refused_version,
                                              .refused_why = registrar->refused_why,
                                              .below = registrar->below};
    if (desired == NULL)
        return;
    ret_desired->epoch = desired->epoch;
    ret_desired->version = desired->version;
    ret_desired->expires_ms = desired->expires_ms;
    memcpy(ret_desired->sha256, desired->digest, sizeof ret_desired->sha256);
}
