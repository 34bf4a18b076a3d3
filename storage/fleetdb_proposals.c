/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_proposals.h"

#include "storage/fleetdb_internal.h"

enum query { PROPOSALS, QUERIES };

/* 12: ITEM_PROPOSED, as the schema's partial index has it; 1: MODE_PROPOSE. What was asked about
 * another version than the one assigned now is no question any more. */
static const char *const texts[QUERIES] = {
    [PROPOSALS] =
        "SELECT d.name, i.name, k.kind, k.epoch, k.version, i.wanted_sha256, i.held_sha256,"
        " coalesce((SELECT max(f.version) FROM document f WHERE f.name = i.name"
        "  AND f.device IS NULL AND f.sha256 = i.held_sha256), 0),"
        " i.reason, i.updated_ms, k.id, " FLEETDB_DIFFERENCE " FROM device_item i"
        " JOIN assignment a ON a.device = i.device AND a.name = i.name AND a.mode = 1"
        " JOIN document k ON k.id = a.document AND k.sha256 = i.wanted_sha256"
        "  AND k.version = i.wanted_version"
        " JOIN device d ON d.id = i.device AND d.life_cycle <> 'retired'"
        " WHERE i.state = 12 AND (:device = 0 OR i.device = :device) ORDER BY d.name, i.name",
};

const struct fleetdb_queries fleetdb_proposal_queries = {texts, QUERIES};

static struct fleetdb_proposal proposal_of(sqlite3_stmt *row)
{
    return (struct fleetdb_proposal){
        .device = sqlite_column_text(row, 0),
        .name = sqlite_column_text(row, 1),
        .kind = sqlite3_column_int(row, 2),
        .epoch = sqlite_column_u64(row, 3),
        .version = sqlite_column_u64(row, 4),
        .wanted_sha256 = sqlite_column_bytes(row, 5),
        .held_sha256 = sqlite_column_bytes(row, 6),
        .found_version = sqlite_column_u64(row, 7),
        .reason = sqlite_column_text(row, 8),
        .told_ms = sqlite3_column_int64(row, 9),
        .document = sqlite3_column_int64(row, 10),
        .difference = fleetdb_difference_of(row, 11),
    };
}

bool fleetdb_view_proposals(struct fleetdb *db, int64_t device,
                            bool (*each)(void *ctx, const struct fleetdb_proposal *proposal,
                                         struct err *err),
                            void *ctx, struct err *err)
{
    bool more = false;
    sqlite3_stmt *row = fleetdb_query(db, FLEETDB_PART_PROPOSALS, PROPOSALS);
    sqlite_bind_int(row, ":device", device);
    while (sqlite_row(db->sqlite, row, &more, err)) {
        if (!more)
            return true;
        const struct fleetdb_proposal proposal = proposal_of(row);
        if (!each(ctx, &proposal, err)) {
            (void)sqlite3_reset(row);
            return false;
        }
    }
    return false;
}
