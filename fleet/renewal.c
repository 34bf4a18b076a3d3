/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/renewal.h"

#include "base/log.h"
#include "fleet/document.h"
#include "proto/limits.h"
#include "storage/fleetdb_roots.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Each is a transaction of its own; together they are short for the loop. */
enum { DEVICES_A_STEP = 8 };

/* A disk that is full is so for minutes; a document that was mended should not wait for an hour. */
static const int64_t retry_first_ms = 2000, retry_max_ms = 300000;

void renewal_begin(struct renewal *renewal)
{
    renewal->walking = true;
    renewal->after = 0;
    renewal->waiting = 0;
    renewal->retry_ms = 0;
    renewal->failing = (struct renewal_failures){0};
    renewal->document[0] = '\0';
    memset(renewal->verdicts, 0, sizeof renewal->verdicts);
}

void renewal_changed(struct renewal *renewal)
{
    if (renewal != NULL && renewal->waiting > 0)
        renewal_begin(renewal);
}

/* Whether the root in force vouches for it; the same documents are assigned to many devices. */
static bool holds(struct renewal *renewal, int64_t document, struct bytes envelope)
{
    size_t at = (size_t)((uint64_t)document % RENEWAL_VERDICTS);
    const struct trust *trust = renewal->director->trust;
    if (renewal->verdicts[at].document != document) {
        const Muster__DocumentHeader *header = NULL;
        struct arena arena = {0};
        bool good = document_open(trust, envelope, &arena, &header, NULL) && header != NULL &&
                    header->epoch == trust_epoch(trust);
        arena_done(&arena);
        renewal->verdicts[at].document = document;
        renewal->verdicts[at].holds = good;
    }
    return renewal->verdicts[at].holds;
}

struct follow {
    struct renewal *renewal;
    bool waits;
    size_t count;
    struct {
        char name[FLEETDB_NAME_CHARS + 1];
        int64_t document;
    } moves[LIMIT_MANIFEST_ITEMS];
};

static bool look(void *ctx, const struct fleetdb_signed *row, struct err *err)
{
    struct follow *follow = ctx;
    struct renewal *renewal = follow->renewal;
    (void)err;
    if (holds(renewal, row->document, row->header))
        return true;
    if (row->newest != row->document && holds(renewal, row->newest, row->newest_header) &&
        follow->count < LIMIT_MANIFEST_ITEMS) {
        (void)snprintf(follow->moves[follow->count].name, sizeof follow->moves[0].name, "%s",
                       row->name);
        follow->moves[follow->count++].document = row->newest;
        return true;
    }
    if (renewal->document[0] == '\0')
        (void)snprintf(renewal->document, sizeof renewal->document, "%s", row->name);
    follow->waits = true;
    return true;
}

/* `*ret_waits`: for a document, and nothing has changed. */
static bool renew(struct renewal *renewal, const struct fleetdb_device *device, int64_t now_ms,
                  bool *ret_waits, struct err *err)
{
    struct fleetdb *db = renewal->director->db;
    struct follow follow = {.renewal = renewal};
    if (!fleetdb_signed_each(db, device->device, look, &follow, err))
        return false;
    *ret_waits = follow.waits;
    if (follow.waits)
        return true;
    if (!fleetdb_begin(db, err))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < follow.count; i++)
        ok = fleetdb_assignment_move(db, device->device, follow.moves[i].name,
                                     follow.moves[i].document, err);
    ok = ok && director_renew(renewal->director, device, now_ms, err);
    if (!ok)
        fleetdb_rollback(db);
    return ok && fleetdb_commit(db, err);
}

static void fail(struct renewal *renewal, const char *device, const struct err *why)
{
    struct renewal_failures *failing = &renewal->failing;
    bool whole = device == NULL;
    if (failing->devices == 0)
        (void)snprintf(failing->why, sizeof failing->why, "%s%s%.280s", whole ? "" : device,
                       whole ? "" : ": ", why->text);
    failing->devices = whole ? -1 : failing->devices + 1;
    renewal->failures_total++;
}

static void plan_retry(struct renewal *renewal)
{
    char more[48] = "the manifests";
    renewal->backoff.first_ms = retry_first_ms;
    renewal->backoff.max_ms = retry_max_ms;
    if (renewal->failed.devices == 0) {
        backoff_reset(&renewal->backoff);
        return;
    }
    int64_t wait_ms = backoff_ceiling_ms(&renewal->backoff);
    renewal->backoff.failures++;
    renewal->retry_ms = clock_boot_ms(renewal->clock) + wait_ms;
    if (renewal->failed.devices > 0)
        (void)snprintf(more, sizeof more, "%" PRId64 " manifests", renewal->failed.devices);
    log_error("%s are not signed again under root %" PRIu64 ", beginning with %s; the next "
              "attempt is in %" PRId64 " s",
              more, trust_version(renewal->director->trust), renewal->failed.why, wait_ms / 1000);
}

static void end(struct renewal *renewal)
{
    renewal->walking = false;
    renewal->failed = renewal->failing;
    plan_retry(renewal);
    if (renewal->waiting > 0)
        log_warn("%" PRId64 " devices keep the manifest of an older root until their documents are "
                 "signed again, beginning with %s: see musterctl doc resign",
                 renewal->waiting, renewal->document);
}

/* The next device that is behind. */
static void serve_one(struct renewal *renewal,
                      void (*renewed)(void *ctx, const struct fleetdb_device *device), void *ctx)
{
    const struct director *director = renewal->director;
    struct fleetdb_device device;
    struct err err = {0};
    bool found = false, waits = false;
    bool read = fleetdb_manifest_behind_next(director->db, trust_version(director->trust),
                                             renewal->after, &device, &found, &err);
    if (!read)
        fail(renewal, NULL, &err);
    if (!read || !found) {
        end(renewal);
        return;
    }
    renewal->after = device.device;
    if (!renew(renewal, &device, clock_wall_ms(renewal->clock), &waits, &err))
        fail(renewal, device.id, &err);
    else if (waits)
        renewal->waiting++;
    else
        renewed(ctx, &device);
}

int64_t renewal_step(struct renewal *renewal,
                     void (*renewed)(void *ctx, const struct fleetdb_device *device), void *ctx)
{
    if (!renewal->walking && renewal->retry_ms != 0) {
        int64_t left_ms = renewal->retry_ms - clock_boot_ms(renewal->clock);
        if (left_ms > 0)
            return left_ms;
        renewal_begin(renewal);
    }
    for (int i = 0; renewal->walking && i < DEVICES_A_STEP; i++)
        serve_one(renewal, renewed, ctx);
    if (renewal->walking)
        return 0;
    return renewal->retry_ms == 0 ? -1 : renewal->retry_ms - clock_boot_ms(renewal->clock);
}

int64_t renewal_next_ms(const struct renewal *renewal)
{
    if (renewal->retry_ms == 0)
        return 0;
    return clock_wall_ms(renewal->clock) + renewal->retry_ms - clock_boot_ms(renewal->clock);
}
