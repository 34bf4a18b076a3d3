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

void renewal_begin(struct renewal *renewal)
{
    renewal->walking = true;
    renewal->after = 0;
    renewal->waiting = 0;
    renewal->document[0] = '\0';
    memset(renewal->verdicts, 0, sizeof renewal->verdicts);
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

static void end(struct renewal *renewal)
{
    renewal->walking = false;
    if (renewal->waiting > 0)
        log_warn("%" PRId64 " devices keep the manifest of an older root until their documents are "
                 "signed again, beginning with %s: see musterctl doc publish",
                 renewal->waiting, renewal->document);
}

bool renewal_step(struct renewal *renewal, int64_t now_ms,
                  void (*renewed)(void *ctx, const struct fleetdb_device *device), void *ctx)
{
    const struct director *director = renewal->director;
    for (int i = 0; renewal->walking && i < DEVICES_A_STEP; i++) {
        struct fleetdb_device device;
        struct err err = {0};
        bool found = false, waits = false;
        if (!fleetdb_manifest_behind_next(director->db, trust_version(director->trust),
                                          renewal->after, &device, &found, &err)) {
            log_error("manifests are not signed again: %s; the next start tries again", err.text);
            found = false;
        }
        if (!found) {
            end(renewal);
            return false;
        }
        renewal->after = device.device;
        if (!renew(renewal, &device, now_ms, &waits, &err))
            log_error("%s keeps its manifest: %s; the next start tries again", device.id, err.text);
        else if (waits)
            renewal->waiting++;
        else
            renewed(ctx, &device);
    }
    return renewal->walking;
}
