/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/director.h"

#include "fleet/director_sign.h"
#include "fleet/takes.h"
#include "fleet/words.h"
#include "proto/limits.h"
#include "proto/refusal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nobody gets beyond half of the numbers by counting: a device that says so would have us use up
 * those that are left. */
static bool is_believed(uint64_t version)
{
    return version < LIMIT_VERSION / 2;
}

/* The highest version in the epoch that the device may know: ours, or what it reported. */
bool director_floor(const struct director *director, const struct fleetdb_device *device,
                    uint64_t *ret_floor, struct err *err)
{
    const uint64_t epoch = trust_epoch(director->trust);
    struct fleetdb_manifest ours;
    uint64_t seen_epoch, seen;
    if (!fleetdb_manifest_get(director->db, device->device, &ours, NULL, err) ||
        !fleetdb_manifest_reported(director->db, device->device, &seen_epoch, &seen, err))
        return false;
    uint64_t floor = ours.epoch == epoch ? ours.version : 0;
    /* A device that does not say its epoch yet means the one it and we are in. */
    if ((seen_epoch == epoch || seen_epoch == 0) && seen > floor && is_believed(seen))
        floor = seen;
    *ret_floor = floor;
    return true;
}

/* ---- orders ---- */

static bool audit(const struct director *director, const struct director_order *order,
                  uint64_t version, const struct director_outcome *outcome, int64_t now_ms,
                  struct err *err)
{
    char text[320], what[96] = "", why[80] = "";
    if (!order->remove)
        (void)snprintf(what, sizeof what, " version %" PRIu64 " to %s", version,
                       word_of_mode(order->mode));
    if (order->note != NULL)
        (void)snprintf(why, sizeof why, "; %.64s", order->note);
    if (outcome->waits_for[0] == '\0')
        (void)snprintf(text, sizeof text, "%s%s; manifest %" PRIu64 "%s", order->document, what,
                       outcome->manifest_version, why);
    else
        (void)snprintf(text, sizeof text, "%s%s; no manifest before %s is signed again%s",
                       order->document, what, outcome->waits_for, why);
    return fleetdb_audit(director->db, now_ms, order->who, order->remove ? "unassign" : "assign",
                         outcome->device.device, text, err);
}

/* A new epoch may have given the version another content, which nobody who said this has seen. */
static bool is_meant(const struct director *director, const struct director_order *order,
                     int64_t document, struct err *err)
{
    return order->row == 0 || order->row == document ||
           err_set(err, ERR_CONFLICT,
                   "version %" PRIu64 " of %s is another document in epoch %" PRIu64
                   " than the one that is meant: assign what it should hold, and look again",
                   order->version, order->document, trust_epoch(director->trust));
}

static bool set(const struct director *director, const struct director_order *order,
                const struct fleetdb_device *device, int64_t now_ms, uint64_t *ret_version,
                bool *ret_changed, struct err *err)
{
    if (order->remove)
        return fleetdb_unassign(director->db, device->device, order->document, ret_changed, err);
    const struct fleetdb_wish wish = {.name = order->document,
                                      .device = device->device,
                                      .epoch = trust_epoch(director->trust),
                                      .version = order->version};
    int64_t document;
    return fleetdb_document_find(director->db, &wish, &document, ret_version, err) &&
           is_meant(director, order, document, err) &&
           fleetdb_assign(director->db, device->device, order->document, document, order->mode,
                          now_ms, ret_changed, err);
}

static bool check(const struct director *director, const struct director_order *order,
                  const struct fleetdb_device *device, uint64_t version, struct err *err)
{
    const struct fleetdb_wish wish = {.name = order->document,
                                      .device = device->device,
                                      .epoch = trust_epoch(director->trust),
                                      .version = version};
    return order->remove ? takes_removal(director->db, &wish, err)
                         : takes_document(director->db, &wish, err);
}

static bool carry_out(const struct director *director, const struct director_order *order,
                      uint64_t version, int64_t now_ms, struct director_outcome *outcome,
                      struct err *err)
{
    const struct fleetdb_device *device = &outcome->device;
    struct fleetdb_manifest manifest;
    struct buf envelope = {0};
    uint64_t floor;
    bool ok = fleetdb_manifest_get(director->db, device->device, &manifest, NULL, err);
    if (ok && outcome->changed)
        ok = director_floor(director, device, &floor, err) &&
             director_sign_or_wait(director, device, floor, now_ms, &manifest, &envelope,
                                   outcome->waits_for, err);
    buf_done(&envelope);
    outcome->manifest_version = ok ? manifest.version : 0;
    return ok && (!outcome->changed || audit(director, order, version, outcome, now_ms, err));
}

static bool assign_one(const struct director *director, const struct director_order *order,
                       const char *id, int64_t now_ms, struct director_outcome *ret_outcome,
                       struct err *err)
{
    struct director_outcome outcome = {0};
    uint64_t version = 0;
    if (!fleetdb_device_find(director->db, id, &outcome.device, err))
        return false;
    if (outcome.device.life == FLEETDB_RETIRED)
        return err_set(err, ERR_REFUSED, "device %s is retired; nothing can be assigned to it", id);
    if (!set(director, order, &outcome.device, now_ms, &version, &outcome.changed, err) ||
        (outcome.changed && !check(director, order, &outcome.device, version, err)) ||
        !carry_out(director, order, version, now_ms, &outcome, err))
        return false;
    *ret_outcome = outcome;
    return true;
}

bool director_assign(const struct director *director, const struct director_order *order,
                     const char *const *ids, size_t count, int64_t now_ms,
                     struct director_outcome *ret_outcomes, struct err *err)
{
    bool ok = fleetdb_begin(director->db, err);
    if (!ok)
        return false;
    for (size_t i = 0; ok && i < count; i++)
        ok = assign_one(director, order, ids[i], now_ms, &ret_outcomes[i], err);
    if (!ok)
        fleetdb_rollback(director->db);
    return ok && fleetdb_commit(director->db, err);
}

bool director_try(const struct director *director, const struct director_order *order,
                  const char *id, int64_t now_ms, struct director_outcome *ret_outcome,
                  struct err *err)
{
    if (!fleetdb_begin(director->db, err))
        return false;
    bool ok = assign_one(director, order, id, now_ms, ret_outcome, err);
    fleetdb_rollback(director->db);
    return ok;
}

bool director_renew(const struct director *director, const struct fleetdb_device *device,
                    int64_t now_ms, struct err *err)
{
    struct fleetdb_manifest manifest;
    struct buf envelope = {0};
    uint64_t floor;
    bool ok = director_floor(director, device, &floor, err) &&
              director_sign(director, device, floor, now_ms, &manifest, &envelope, err);
    buf_done(&envelope);
    return ok;
}

/* Is the body of our own envelope another one than the device says? An empty digest says nothing.
 */
static bool is_other(const struct director *director, const struct fleetdb_device *device,
                     struct bytes envelope, struct bytes seen_sha256)
{
    struct verify_key *key = NULL;
    struct bytes body;
    uint8_t digest[32];
    if (seen_sha256.length != sizeof digest ||
        !verify_key_of_spki(sign_key_spki(director->key), &key, NULL))
        return false;
    const struct key_set set = {.keys = &key, .count = 1, .threshold = 1};
    bool ours = unseal("manifest", device->id, envelope, &set, &body, NULL);
    verify_key_free(key);
    if (ours)
        sha256(body, digest);
    return ours && memcmp(digest, seen_sha256.data, sizeof digest) != 0;
}

/* Signs above what the device has seen; `envelope` stays empty where documents wait. */
static bool overtake(const struct director *director, const struct fleetdb_device *device,
                     uint64_t seen, int64_t now_ms, struct fleetdb_manifest *manifest,
                     struct buf *envelope, struct err *err)
{
    char text[160], waits_for[FLEETDB_NAME_CHARS + 1];
    const uint64_t before = manifest->version;
    if (!director_sign_or_wait(director, device, seen, now_ms, manifest, envelope, waits_for, err))
        return false;
    if (waits_for[0] != '\0')
        return true;
    (void)snprintf(text, sizeof text,
                   "it said that it holds manifest %" PRIu64 ", ours was %" PRIu64
                   "; manifest %" PRIu64,
                   seen, before, manifest->version);
    return fleetdb_audit(director->db, now_ms, "musterd", "overtake", device->device, text, err);
}

static bool keep_overtaken(const struct director *director, const struct fleetdb_device *device,
                           uint64_t seen, int64_t now_ms, struct fleetdb_manifest *manifest,
                           struct buf *envelope, struct err *err)
{
    if (!fleetdb_begin(director->db, err))
        return false;
    if (!overtake(director, device, seen, now_ms, manifest, envelope, err)) {
        fleetdb_rollback(director->db);
        return false;
    }
    return fleetdb_commit(director->db, err);
}

bool director_manifest(const struct director *director, const struct fleetdb_device *device,
                       const struct director_seen *seen, int64_t now_ms,
                       struct fleetdb_manifest *ret_manifest, struct buf *out, struct err *err)
{
    struct fleetdb_manifest ours;
    size_t before = out->length;
    if (!fleetdb_manifest_get(director->db, device->device, &ours, out, err))
        return false;
    /* Without a manifest of our own we know nothing about the device: to sign an empty one above
     * what it holds would take away what it lives on. */
    const uint64_t epoch = seen->epoch == 0 ? ours.epoch : seen->epoch;
    bool known = ours.version != 0 && epoch == ours.epoch;
    bool above = known && seen->version > ours.version && is_believed(seen->version);
    bool same = known && seen->version == ours.version;
    struct bytes envelope = ours.version == 0 ? bytes_of(NULL, 0) : buf_after(out, before);
    if (above || (same && is_other(director, device, envelope, seen->sha256))) {
        struct buf fresh = {0};
        bool ok = keep_overtaken(director, device, seen->version, now_ms, &ours, &fresh, err);
        if (ok && fresh.length > 0) {
            out->length = before;
            ok = buf_append(out, fresh.data, fresh.length, err);
        }
        buf_done(&fresh);
        if (!ok)
            return false;
    }
    *ret_manifest = ours;
    return true;
}
