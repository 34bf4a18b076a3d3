/* SPDX-License-Identifier: Apache-2.0 */
/* What a device tells of itself beside its documents. */
#include "fleet/collector_internal.h"

#include "proto/key_placement.h"
#include "proto/limits.h"
#include "storage/fleetdb_told.h"

#include <stdio.h>

enum { TEXT_CHARS = 480, WORD_CHARS = 64, SLOTS_KEPT = 128, KCV_BYTES = 16, DIGEST_BYTES = 32 };

static uint64_t number(uint64_t value)
{
    return value > INT64_MAX ? INT64_MAX : value;
}

static bool full(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "what a device tells of itself needs too much memory");
}

bool collector_apply(struct collector *collector, int64_t device, const Muster__ApplyReport *report,
                     struct arena *arena, struct err *err)
{
    bool masked = false;
    if (report == NULL)
        return fleetdb_apply_write(collector->settings.db, device, NULL, err);
    const struct fleetdb_apply row = {
        .step = (int)report->step,
        .manifest_version = number(report->manifest_version),
        .generation = number(report->generation),
        .good_generation = number(report->good_generation),
        .waits_for = rows_text(report->waits_for, TEXT_CHARS, arena, &masked),
        .waited_ms = number(report->waited_ms),
        .asks_after_ms = number(report->asks_after_ms),
        .opens_after_ms = number(report->opens_after_ms),
        .results = report->results,
        .suspect = report->suspect,
        .before_results = report->before_results,
        .before_suspect = report->before_suspect,
        .results_needed = report->results_needed,
        .probation_left_ms = number(report->probation_left_ms),
        .why = rows_text(report->why, TEXT_CHARS, arena, &masked),
        .refusal = (int)report->refusal,
        .received_ms = clock_wall_ms(collector->settings.clock),
        .digest = bytes_of(report->generation_digest.data,
                           report->generation_digest.len == DIGEST_BYTES ? DIGEST_BYTES : 0),
    };
    if (row.waits_for == NULL || row.why == NULL)
        return full(err);
    return fleetdb_apply_write(collector->settings.db, device, &row, err);
}

static struct collector_moment moment_of(uint64_t incarnation, const Muster__Event *event)
{
    return (struct collector_moment){incarnation, (int64_t)number(event->boot_ms), event->wall_ms};
}

/* `known` is when what is held was said. */
static bool is_older(struct collector *collector, const struct fleetdb_device *device,
                     const struct collector_moment *then, const struct fleetdb_moment *known,
                     bool *ret_older, struct err *err)
{
    const struct collector_moment held = {known->incarnation, known->boot_ms, known->wall_ms};
    return collector_clock_before(collector, device, then, &held, ret_older, err);
}

static bool write_slot(struct collector *collector, const struct fleetdb_device *device,
                       const Muster__KeySlot *slot, struct arena *arena, struct err *err)
{
    bool masked = false;
    if (!key_slot_valid(slot->slot) || slot->kcv.len > KCV_BYTES) {
        collector_refuse(collector, REFUSED_EVENT_DETAIL, REASON_MALFORMED, device->id,
                         "a key slot whose name or check value is none");
        return true;
    }
    const struct fleetdb_key_slot row = {
        .slot = slot->slot,
        .usage = rows_text(slot->usage, WORD_CHARS, arena, &masked),
        .algorithm = rows_text(slot->algorithm, WORD_CHARS, arena, &masked),
        .key_version = slot->key_version,
        .kcv_method = (int)slot->kcv_method,
        .kcv = bytes_of(slot->kcv.data, slot->kcv.len),
        .state = (int)slot->state,
        .why = rows_text(slot->why, TEXT_CHARS, arena, &masked),
    };
    if (row.usage == NULL || row.algorithm == NULL || row.why == NULL)
        return full(err);
    return fleetdb_key_slot_write(collector->settings.db, device->device, &row, err);
}

bool collector_key_slots(struct collector *collector, const struct fleetdb_device *device,
                         uint64_t incarnation, const Muster__Event *event,
                         const Muster__KeyInventory *inventory, struct arena *arena,
                         struct err *err)
{
    const struct collector_moment then = moment_of(incarnation, event);
    struct fleetdb_keys keys;
    struct err why = {0};
    bool older = false, masked = false;
    if (fleetdb_keys_read(collector->settings.db, device->device, &keys, &why)) {
        if (!is_older(collector, device, &then, &keys.said, &older, err) || older)
            return older;
    } else if (why.code != ERR_NOT_FOUND) {
        return err_set(err, why.code, "%s", why.text);
    }
    keys = (struct fleetdb_keys){
        .said = {then.incarnation, then.boot_ms, then.wall_ms},
        .sign_on_known = inventory->sign_on_known,
        .sign_on_age_ms = number(inventory->sign_on_age_ms),
        .received_ms = clock_wall_ms(collector->settings.clock),
    };
    const char *why_not_all = rows_text(inventory->why, sizeof keys.why - 1, arena, &masked);
    if (why_not_all == NULL)
        return full(err);
    (void)snprintf(keys.why, sizeof keys.why, "%s", why_not_all);
    if (!fleetdb_keys_write(collector->settings.db, device->device, &keys, err))
        return false;
    for (size_t i = 0; i < inventory->n_slots && i < SLOTS_KEPT; i++) {
        if (!write_slot(collector, device, inventory->slots[i], arena, err))
            return false;
    }
    return true;
}

bool collector_package(struct collector *collector, const struct fleetdb_device *device,
                       uint64_t incarnation, const Muster__Event *event,
                       const Muster__PackageReport *report, struct arena *arena, struct err *err)
{
    const struct collector_moment then = moment_of(incarnation, event);
    struct fleetdb_moment known;
    struct err why = {0};
    bool older = false, masked = false;
    if (!document_name_valid(report->name)) {
        collector_refuse(collector, REFUSED_EVENT_DETAIL, REASON_MALFORMED, device->id,
                         "a package whose name is none");
        return true;
    }
    if (fleetdb_package_said(collector->settings.db, device->device, report->name, &known, &why)) {
        if (!is_older(collector, device, &then, &known, &older, err) || older)
            return older;
    } else if (why.code != ERR_NOT_FOUND) {
        return err_set(err, why.code, "%s", why.text);
    }
    const struct fleetdb_package row = {
        .name = report->name,
        .wanted = rows_text(report->wanted, WORD_CHARS, arena, &masked),
        .running = rows_text(report->running, WORD_CHARS, arena, &masked),
        .text = rows_text(report->text, TEXT_CHARS, arena, &masked),
        .said = {then.incarnation, then.boot_ms, then.wall_ms},
        .received_ms = clock_wall_ms(collector->settings.clock),
    };
    if (row.wanted == NULL || row.running == NULL || row.text == NULL)
        return full(err);
    return fleetdb_package_write(collector->settings.db, device->device, &row, err);
}
