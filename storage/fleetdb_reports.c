/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_internal.h"
#include "storage/fleetdb_records.h"

#include <stdio.h>
#include <string.h>

enum query {
    REPORT_READ,
    REPORT_WRITE,
    ITEMS_CLEAR,
    ITEM_WRITE,
    ITEM_ROOM,
    QUERIES,
};

static const char *const texts[QUERIES] = {
    [REPORT_READ] = "SELECT received_ms, hello_ms, incarnation, boot_id, wall_ms, boot_ms,"
                    " agent_version, root_version, manifest_version, generation,"
                    " generation_digest, converged, lacks, manifest_epoch"
                    " FROM device_report WHERE device = :device",
    [REPORT_WRITE] = "INSERT INTO device_report (device, received_ms, hello_ms, incarnation,"
                     " boot_id, wall_ms, boot_ms, agent_version, root_version, manifest_version,"
                     " generation, generation_digest, converged, lacks, manifest_epoch)"
                     " VALUES (:device, :received, :hello, :incarnation, :boot_id, :wall, :boot,"
                     " :agent_version, :root_version, :manifest_version, :generation, :digest,"
                     " :converged, :lacks, :manifest_epoch)"
                     " ON CONFLICT (device) DO UPDATE SET received_ms = excluded.received_ms,"
                     " hello_ms = max(hello_ms, excluded.hello_ms),"
                     " incarnation = excluded.incarnation, boot_id = excluded.boot_id,"
                     " wall_ms = excluded.wall_ms, boot_ms = excluded.boot_ms,"
                     " agent_version = excluded.agent_version,"
                     " root_version = excluded.root_version,"
                     " manifest_version = excluded.manifest_version,"
                     " manifest_epoch = excluded.manifest_epoch,"
                     " generation = excluded.generation,"
                     " generation_digest = excluded.generation_digest,"
                     " converged = excluded.converged, lacks = excluded.lacks",
    [ITEMS_CLEAR] = "DELETE FROM device_item WHERE device = :device",
    [ITEM_ROOM] = ("SELECT count(*) < :max OR coalesce(sum(name = :name), 0) > 0 FROM device_item"
                   " WHERE device = :device"),
    [ITEM_WRITE] = "INSERT INTO device_item (device, name, wanted_version, held_version,"
                   " wanted_sha256, held_sha256, state, source, reason, refusal, updated_ms,"
                   " difference, owned, wanted_bytes, found_bytes, rows_compared,"
                   " rows_only_found, rows_only_wanted, first_row)"
                   " VALUES (:device, :name, :wanted_version, :held_version, :wanted_sha256,"
                   " :held_sha256, :state, :source, :reason, :refusal, :now, :difference, :owned,"
                   " :wanted_bytes, :found_bytes, :rows_compared, :only_found, :only_wanted,"
                   " :first_row)"
                   " ON CONFLICT (device, name) DO UPDATE SET"
                   " wanted_version = excluded.wanted_version,"
                   " held_version = excluded.held_version,"
                   " wanted_sha256 = excluded.wanted_sha256, held_sha256 = excluded.held_sha256,"
                   " state = excluded.state, source = excluded.source, reason = excluded.reason,"
                   " refusal = excluded.refusal, difference = excluded.difference,"
                   " owned = excluded.owned, wanted_bytes = excluded.wanted_bytes,"
                   " found_bytes = excluded.found_bytes,"
                   " rows_compared = excluded.rows_compared,"
                   " rows_only_found = excluded.rows_only_found,"
                   " rows_only_wanted = excluded.rows_only_wanted,"
                   " first_row = excluded.first_row,"
                   " updated_ms = excluded.updated_ms",
};

const struct fleetdb_queries fleetdb_report_queries = {texts, QUERIES};

static sqlite3_stmt *query_of(struct fleetdb *db, enum query query)
{
    return fleetdb_query(db, FLEETDB_PART_REPORTS, query);
}

static size_t copy_bytes(sqlite3_stmt *row, int column, uint8_t *out, size_t size)
{
    struct bytes bytes = sqlite_column_bytes(row, column);
    if (bytes.length > size)
        return 0;
    if (bytes.length > 0)
        memcpy(out, bytes.data, bytes.length);
    return bytes.length;
}

bool fleetdb_report_read(struct fleetdb *db, int64_t device, struct fleetdb_report *ret_report,
                         struct err *err)
{
    sqlite3_stmt *row = query_of(db, REPORT_READ);
    sqlite_bind_int(row, ":device", device);
    bool found = false;
    if (!sqlite_row(db->sqlite, row, &found, err))
        return false;
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "the device has not reported yet");
    struct fleetdb_report report = {
        .received_ms = sqlite3_column_int64(row, 0),
        .hello_ms = sqlite3_column_int64(row, 1),
        .incarnation = sqlite_column_u64(row, 2),
        .wall_ms = sqlite3_column_int64(row, 4),
        .boot_ms = sqlite3_column_int64(row, 5),
        .root_version = sqlite_column_u64(row, 7),
        .manifest_version = sqlite_column_u64(row, 8),
        .generation = sqlite_column_u64(row, 9),
        .converged = sqlite3_column_int64(row, 11) != 0,
        .lacks = (uint32_t)sqlite3_column_int64(row, 12),
        .manifest_epoch = sqlite_column_u64(row, 13),
    };
    report.boot_id_length = copy_bytes(row, 3, report.boot_id, sizeof report.boot_id);
    (void)snprintf(report.agent_version, sizeof report.agent_version, "%s",
                   sqlite_column_text(row, 6));
    report.generation_digest_length =
        copy_bytes(row, 10, report.generation_digest, sizeof report.generation_digest);
    (void)sqlite3_reset(row);
    *ret_report = report;
    return true;
}

bool fleetdb_report_write(struct fleetdb *db, int64_t device, const struct fleetdb_report *report,
                          struct err *err)
{
    sqlite3_stmt *statement = query_of(db, REPORT_WRITE);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_int(statement, ":received", report->received_ms);
    sqlite_bind_int(statement, ":hello", report->hello_ms);
    sqlite_bind_u64(statement, ":incarnation", report->incarnation);
    sqlite_bind_bytes(statement, ":boot_id", bytes_of(report->boot_id, report->boot_id_length));
    sqlite_bind_int(statement, ":wall", report->wall_ms);
    sqlite_bind_int(statement, ":boot", report->boot_ms);
    sqlite_bind_text(statement, ":agent_version", report->agent_version);
    sqlite_bind_u64(statement, ":root_version", report->root_version);
    sqlite_bind_u64(statement, ":manifest_version", report->manifest_version);
    sqlite_bind_u64(statement, ":manifest_epoch", report->manifest_epoch);
    sqlite_bind_u64(statement, ":generation", report->generation);
    sqlite_bind_bytes(statement, ":digest",
                      bytes_of(report->generation_digest, report->generation_digest_length));
    sqlite_bind_int(statement, ":converged", report->converged);
    sqlite_bind_int(statement, ":lacks", report->lacks);
    return sqlite_run(db->sqlite, statement, err);
}

bool fleetdb_items_clear(struct fleetdb *db, int64_t device, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, ITEMS_CLEAR);
    sqlite_bind_int(statement, ":device", device);
    return sqlite_run(db->sqlite, statement, err);
}

static void bind_difference(sqlite3_stmt *statement, const struct fleetdb_difference *difference)
{
    sqlite_bind_int(statement, ":difference", difference->kind);
    sqlite_bind_int(statement, ":owned", difference->owned);
    sqlite_bind_u64(statement, ":wanted_bytes", difference->wanted_bytes);
    sqlite_bind_u64(statement, ":found_bytes", difference->found_bytes);
    sqlite_bind_int(statement, ":rows_compared", difference->rows_compared);
    sqlite_bind_u64(statement, ":only_found", difference->rows_only_found);
    sqlite_bind_u64(statement, ":only_wanted", difference->rows_only_wanted);
    sqlite_bind_u64(statement, ":first_row", difference->first_row);
}

bool fleetdb_item_write(struct fleetdb *db, int64_t device, const struct fleetdb_item *item,
                        int64_t now_ms, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, ITEM_WRITE);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_text(statement, ":name", item->name);
    sqlite_bind_u64(statement, ":wanted_version", item->wanted_version);
    sqlite_bind_u64(statement, ":held_version", item->held_version);
    sqlite_bind_bytes(statement, ":wanted_sha256", item->wanted_sha256);
    sqlite_bind_bytes(statement, ":held_sha256", item->held_sha256);
    sqlite_bind_int(statement, ":state", item->state);
    sqlite_bind_int(statement, ":source", item->source);
    sqlite_bind_text(statement, ":reason", item->reason);
    sqlite_bind_int(statement, ":refusal", item->refusal);
    bind_difference(statement, &item->difference);
    sqlite_bind_int(statement, ":now", now_ms);
    return sqlite_run(db->sqlite, statement, err);
}

bool fleetdb_item_room(struct fleetdb *db, int64_t device, const char *name, int64_t max,
                       bool *ret_room, struct err *err)
{
    int64_t room;
    sqlite3_stmt *statement = query_of(db, ITEM_ROOM);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_text(statement, ":name", name);
    sqlite_bind_int(statement, ":max", max);
    if (!sqlite_value(db->sqlite, statement, 0, &room, err))
        return false;
    *ret_room = room != 0;
    return true;
}
