/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/director.h"

#include "fleet/manifest.h"
#include "fleet/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Epochs rise only with a root that says so; until roots rotate there is the first. */
enum { FIRST_EPOCH = 1 };

static bool add_assigned(void *ctx, const struct fleetdb_document *document, int mode,
                         struct err *err)
{
    return manifest_add(ctx, document, mode, err);
}

/* Signs what is assigned now as the version after `floor`, and keeps it. */
static bool renew(const struct director *director, const struct fleetdb_device *device,
                  uint64_t floor, int64_t now_ms, uint64_t *ret_version, struct buf *out,
                  struct err *err)
{
    const struct manifest_stamp stamp = {
        .device = device->id,
        .epoch = FIRST_EPOCH,
        .version = floor + 1,
        .root_version = director->root_version,
        .issued_ms = now_ms,
    };
    struct manifest manifest = {0};
    size_t before = out->length;
    bool ok = fleetdb_assigned_each(director->db, device->device, add_assigned, &manifest, err) &&
              manifest_seal(&manifest, &stamp, director->key, out, err);
    manifest_done(&manifest);
    struct bytes envelope = bytes_of(out->data + before, out->length - before);
    if (!ok ||
        !fleetdb_manifest_put(director->db, device->device, stamp.version, envelope, now_ms, err)) {
        out->length = before;
        return err_context(err, "manifest of %s", device->id);
    }
    *ret_version = stamp.version;
    return true;
}

/* The highest version that the device may know: ours, or what it reported of itself. */
static bool version_floor(const struct director *director, const struct fleetdb_device *device,
                          uint64_t *ret_floor, struct err *err)
{
    uint64_t ours, reported;
    if (!fleetdb_manifest_get(director->db, device->device, &ours, NULL, err) ||
        !fleetdb_manifest_reported(director->db, device->device, &reported, err))
        return false;
    *ret_floor = reported > ours && reported <= DIRECTOR_VERSION_MAX ? reported : ours;
    return true;
}

static bool audit(const struct director *director, const struct director_order *order,
                  uint64_t version, const struct director_outcome *outcome, int64_t now_ms,
                  struct err *err)
{
    char text[160];
    if (order->remove)
        (void)snprintf(text, sizeof text, "%s; manifest %" PRIu64, order->document,
                       outcome->manifest_version);
    else
        (void)snprintf(text, sizeof text, "%s version %" PRIu64 " to %s; manifest %" PRIu64,
                       order->document, version, word_of_mode(order->mode),
                       outcome->manifest_version);
    return fleetdb_audit(director->db, now_ms, "api", order->remove ? "unassign" : "assign",
                         outcome->device.device, text, err);
}

static bool assign_one(const struct director *director, const struct director_order *order,
                       uint64_t version, const char *id, int64_t now_ms,
                       struct director_outcome *ret_outcome, struct err *err)
{
    struct fleetdb_device device;
    struct director_outcome outcome = {0};
    if (!fleetdb_device_find(director->db, id, &device, err))
        return false;
    if (device.life == FLEETDB_RETIRED)
        return err_set(err, ERR_REFUSED, "device %s is retired; nothing can be assigned to it", id);
    outcome.device = device;
    bool ok = order->remove ? fleetdb_unassign(director->db, device.device, order->document,
                                               &outcome.changed, err)
                            : fleetdb_assign(director->db, device.device, order->document, version,
                                             order->mode, now_ms, &outcome.changed, err);
    if (!ok)
        return false;
    if (!outcome.changed) {
        ok =
            fleetdb_manifest_get(director->db, device.device, &outcome.manifest_version, NULL, err);
    } else {
        uint64_t floor;
        struct buf envelope = {0};
        ok = version_floor(director, &device, &floor, err) &&
             renew(director, &device, floor, now_ms, &outcome.manifest_version, &envelope, err) &&
             audit(director, order, version, &outcome, now_ms, err);
        buf_done(&envelope);
    }
    if (ok)
        *ret_outcome = outcome;
    return ok;
}

static bool find_version(const struct director *director, const struct director_order *order,
                         uint64_t *ret_version, struct err *err)
{
    struct fleetdb_standing standing;
    *ret_version = order->version;
    if (order->remove || order->version != 0)
        return true;
    if (!fleetdb_document_standing(director->db, order->document, &standing, err))
        return false;
    if (standing.newest_version == 0)
        return err_set(err, ERR_NOT_FOUND, "there is no document %s; publish it first",
                       order->document);
    *ret_version = standing.newest_version;
    return true;
}

bool director_assign(const struct director *director, const struct director_order *order,
                     const char *const *ids, size_t count, int64_t now_ms,
                     struct director_outcome *ret_outcomes, struct err *err)
{
    uint64_t version;
    if (!fleetdb_begin(director->db, err))
        return false;
    bool ok = find_version(director, order, &version, err);
    for (size_t i = 0; ok && i < count; i++)
        ok = assign_one(director, order, version, ids[i], now_ms, &ret_outcomes[i], err);
    if (!ok)
        fleetdb_rollback(director->db);
    return ok && fleetdb_commit(director->db, err);
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

bool director_manifest(const struct director *director, const struct fleetdb_device *device,
                       const struct director_seen *seen, int64_t now_ms, uint64_t *ret_version,
                       struct buf *out, struct err *err)
{
    uint64_t version;
    size_t before = out->length;
    const uint64_t seen_version = seen->version;
    if (!fleetdb_manifest_get(director->db, device->device, &version, out, err))
        return false;
    /* Without a manifest of our own we know nothing about the device: to sign an empty one above
     * what it holds would take away what it lives on. */
    bool above = seen_version > version && seen_version <= DIRECTOR_VERSION_MAX;
    bool same = version != 0 && seen_version == version;
    struct bytes envelope =
        version == 0 ? bytes_of(NULL, 0) : bytes_of(out->data + before, out->length - before);
    if (version != 0 && (above || (same && is_other(director, device, envelope, seen->sha256)))) {
        out->length = before;
        if (!renew(director, device, seen_version, now_ms, &version, out, err))
            return false;
    }
    *ret_version = version;
    return true;
}
