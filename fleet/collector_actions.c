/* SPDX-License-Identifier: Apache-2.0 */
/* What terminals say of the actions that they were given, and the logs they send. */
#include "fleet/collector_internal.h"

#include "proto/action.h"
#include "storage/fleetdb_actions.h"

#include <string.h>

enum { TEXT_BYTES = 480, SHA256_LENGTH = 32 };

static void refuse_id(struct collector *collector, const struct fleetdb_device *device)
{
    collector_refuse(collector, REFUSED_EVENT_DETAIL, REASON_MALFORMED, device->id,
                     "an action whose id is none");
}

/* One that was never given to this device is its own affair: it stays in the events. */
bool collector_action(struct collector *collector, const struct fleetdb_device *device,
                      const Muster__ActionReport *report, struct arena *arena, struct err *err)
{
    bool masked = false, known = false;
    const char *text = rows_text(report->text, TEXT_BYTES, arena, &masked);
    if (!action_id_valid(report->id)) {
        refuse_id(collector, device);
        return true;
    }
    if (text == NULL)
        return err_set(err, ERR_NO_MEMORY, "an action's report needs too much memory");
    struct fleetdb_action row = {.name = report->id,
                                 .text = text,
                                 .step = (int)report->step,
                                 .log_bytes = report->log_bytes,
                                 .log_pieces = report->log_pieces};
    if (report->log_sha256.len == SHA256_LENGTH)
        row.log_sha256 = bytes_of(report->log_sha256.data, SHA256_LENGTH);
    if (!fleetdb_action_report(collector->settings.db, device->device, &row,
                               action_is_over(row.step), clock_wall_ms(collector->settings.clock),
                               &known, err))
        return false;
    collector->acted = collector->acted || known;
    return true;
}

bool collector_log_piece(struct collector *collector, const struct fleetdb_device *device,
                         uint64_t incarnation, uint64_t seq, const Muster__LogPiece *piece,
                         struct err *err)
{
    if (!action_id_valid(piece->action)) {
        refuse_id(collector, device);
        return true;
    }
    return fleetdb_action_piece(collector->settings.db, device->device, piece->action,
                                piece->number, incarnation, seq, err);
}

bool collector_acted(struct collector *collector)
{
    bool acted = collector->acted;
    collector->acted = false;
    return acted;
}
