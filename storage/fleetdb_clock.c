/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_clock.h"

#include "storage/fleetdb_internal.h"
#include "storage/fleetdb_rollups.h"

#include <stdlib.h>

enum { LANES = 3, LANE_TXN = 1, INCARNATIONS_MAX = 1024 };

enum query {
    BOOT_FIND,
    BOOT_ADD,
    BOOTS_OLD,
    FACTS_DELETE,
    INCARNATIONS_DELETE,
    BOOT_DELETE,
    BOOT_READ,
    FACTS_READ,
    FACT_ADD,
    BOOT_BEFORE,
    BOOT_REDO,
    BOOT_AFTER,
    BOOT_LAST,
    BOOT_OF,
    BOOT_IS,
    CLAIM,
    CLAIMS_TRIM,
    REDO_NEXT,
    REDO_SET,
    LOOSE,                 /* + lane - 1 */
    JUDGE = LOOSE + LANES, /* + lane - 1 */
    STAMP_READ = JUDGE + LANES,
    STAMP_WRITE,
    CLOCK_READ,
    CLOCK_WRITE,
    QUERIES,
};

/* As the schema's partial indexes have it, FLEETDB_LOOSE_MS. */
#define LOOSE_OF(table)                                                                            \
    "SELECT id, seq, boot_ms, wall_ms, received_ms, at_ms, bound_ms FROM " table                   \
    " WHERE device = :device AND incarnation = :incarnation AND seq > :seq"                        \
    " AND (bound_ms = -1 OR bound_ms > 10000) ORDER BY seq LIMIT :max"
#define JUDGE_OF(table) "UPDATE " table " SET at_ms = :at, bound_ms = :bound WHERE id = :id"
#define LAST_OF(table)                                                                             \
    "SELECT (SELECT r.boot_ms FROM " table " r WHERE r.device = i.device"                          \
    " AND r.incarnation = i.incarnation ORDER BY r.seq DESC LIMIT 1) AS last"                      \
    " FROM clock_incarnation i WHERE i.boot = :boot"

static const char *const texts[QUERIES] = {
    [BOOT_FIND] = "SELECT id FROM clock_boot WHERE device = :device AND boot_id = :boot_id",
    [BOOT_ADD] = "INSERT INTO clock_boot (device, boot_id, heard_ms)"
                 " VALUES (:device, :boot_id, :now) RETURNING id",
    [BOOTS_OLD] = "SELECT id FROM clock_boot WHERE device = :device ORDER BY id DESC"
                  " LIMIT 1 OFFSET :keep",
    [FACTS_DELETE] = "DELETE FROM clock_fact WHERE boot = :boot",
    [INCARNATIONS_DELETE] = "DELETE FROM clock_incarnation WHERE boot = :boot",
    [BOOT_DELETE] = "DELETE FROM clock_boot WHERE id = :boot",
    [BOOT_READ] = "SELECT before FROM clock_boot WHERE id = :boot",
    [FACTS_READ] = "SELECT boot_ms, fleet_ms, at_least FROM clock_fact WHERE boot = :boot"
                   " ORDER BY at_least, boot_ms",
    /* Others may still name a boot that was forgotten as the one before them. */
    [FACT_ADD] = "INSERT INTO clock_fact (boot, at_least, boot_ms, fleet_ms)"
                 " SELECT id, :at_least, :boot_ms, :fleet FROM clock_boot WHERE id = :boot"
                 " ON CONFLICT DO NOTHING",
    [BOOT_BEFORE] = "UPDATE clock_boot SET before = :before WHERE id = :boot",
    [BOOT_REDO] = "UPDATE clock_incarnation SET redo_lane = 1, redo_seq = 0 WHERE boot = :boot",
    [BOOT_AFTER] = "SELECT id FROM clock_boot WHERE before = :boot AND before <> 0"
                   " ORDER BY id DESC LIMIT :max",
    [BOOT_LAST] = "SELECT max(last) FROM (" LAST_OF("event") " UNION ALL " LAST_OF(
        "health") " UNION ALL SELECT boot_ms FROM clock_fact WHERE boot = :boot)",
    [BOOT_OF] = "SELECT boot FROM clock_incarnation"
                " WHERE device = :device AND incarnation = :incarnation",
    [BOOT_IS] = "SELECT count(*) FROM clock_boot WHERE id = :boot AND boot_id = :boot_id",
    [CLAIM] = "INSERT INTO clock_incarnation (device, incarnation, boot, redo_lane)"
              " VALUES (:device, :incarnation, :boot, 1) ON CONFLICT DO NOTHING",
    [CLAIMS_TRIM] = "DELETE FROM clock_incarnation WHERE device = :device AND id <="
                    " (SELECT id FROM clock_incarnation WHERE device = :device ORDER BY id DESC"
                    "  LIMIT 1 OFFSET :keep)",
    [REDO_NEXT] = "SELECT id, device, incarnation, boot, redo_lane, redo_seq"
                  " FROM clock_incarnation WHERE redo_lane <> 0 AND device > :device"
                  " ORDER BY device, id LIMIT 1",
    [REDO_SET] = "UPDATE clock_incarnation SET redo_lane = :lane, redo_seq = :seq WHERE id = :id",
    [LOOSE + 0] = LOOSE_OF("result"),
    [LOOSE + 1] = LOOSE_OF("event"),
    [LOOSE + 2] = LOOSE_OF("health"),
    [JUDGE + 0] = JUDGE_OF("result"),
    [JUDGE + 1] = JUDGE_OF("event"),
    [JUDGE + 2] = JUDGE_OF("health"),
    [STAMP_READ] = "SELECT device, terminal, firmware_version, app_version, at_ms, received_ms"
                   " FROM result"
                   " WHERE id = :id",
    [STAMP_WRITE] = "UPDATE result SET standing = :standing, carried = :carried,"
                    " software = iif(software < 0, software, :software) WHERE id = :id",
    [CLOCK_READ] = "SELECT checked_ms, offset_ms, width_ms, drift_ppb, drift_known_ppb, jumps,"
                   " jump_ms, jumped_ms FROM device_clock WHERE device = :device",
    [CLOCK_WRITE] = "INSERT OR REPLACE INTO device_clock (device, checked_ms, offset_ms, width_ms,"
                    " drift_ppb, drift_known_ppb, jumps, jump_ms, jumped_ms) VALUES (:device,"
                    " :checked, :offset, :width, :drift, :drift_known, :jumps, :jump, :jumped)",
};

const struct fleetdb_queries fleetdb_clock_queries = {texts, QUERIES};

static sqlite3_stmt *query_of(struct fleetdb *db, unsigned query)
{
    return fleetdb_query(db, FLEETDB_PART_CLOCK, query);
}

static sqlite3_stmt *query_boot(struct fleetdb *db, enum query query, int64_t boot)
{
    sqlite3_stmt *statement = query_of(db, query);
    sqlite_bind_int(statement, ":boot", boot);
    return statement;
}

/* ---- boots ---- */

static bool run_of_boot(struct fleetdb *db, enum query query, int64_t boot, struct err *err)
{
    return sqlite_run(db->sqlite, query_boot(db, query, boot), err);
}

/* A device that boots for ever leaves no more than this behind. */
static bool trim_boots(struct fleetdb *db, int64_t device, struct err *err)
{
    static const enum query steps[] = {FACTS_DELETE, INCARNATIONS_DELETE, BOOT_DELETE};
    int64_t old = 0;
    sqlite3_stmt *statement = query_of(db, BOOTS_OLD);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_int(statement, ":keep", FLEETDB_BOOTS_MAX);
    if (!sqlite_value(db->sqlite, statement, 0, &old, err))
        return false;
    for (size_t i = 0; old != 0 && i < sizeof steps / sizeof *steps; i++)
        if (!run_of_boot(db, steps[i], old, err))
            return false;
    return true;
}

bool fleetdb_boot_find(struct fleetdb *db, int64_t device, struct bytes boot_id, int64_t now_ms,
                       int64_t *ret_boot, struct err *err)
{
    int64_t boot = 0;
    for (unsigned query = BOOT_FIND; query <= BOOT_ADD && boot == 0; query++) {
        sqlite3_stmt *statement = query_of(db, query);
        sqlite_bind_int(statement, ":device", device);
        sqlite_bind_bytes(statement, ":boot_id", boot_id);
        if (query == BOOT_ADD)
            sqlite_bind_int(statement, ":now", now_ms);
        if (!sqlite_value(db->sqlite, statement, 0, &boot, err) ||
            (query == BOOT_ADD && !trim_boots(db, device, err)))
            return false;
    }
    *ret_boot = boot;
    return true;
}

bool fleetdb_boot_read(struct fleetdb *db, int64_t boot, struct fleetdb_boot *ret_boot,
                       struct err *err)
{
    struct fleetdb_boot read = {.boot = boot};
    bool more = true;
    if (!sqlite_value(db->sqlite, query_boot(db, BOOT_READ, boot), 0, &read.before, err))
        return false;
    sqlite3_stmt *row = query_boot(db, FACTS_READ, boot);
    while (more) {
        if (!sqlite_row(db->sqlite, row, &more, err))
            return false;
        if (more && read.fact_count < FLEETDB_FACTS_MAX)
            read.facts[read.fact_count++] = (struct fleetdb_fact){
                .boot_ms = sqlite3_column_int64(row, 0),
                .fleet_ms = sqlite3_column_int64(row, 1),
                .at_least = sqlite3_column_int(row, 2) != 0,
            };
    }
    *ret_boot = read;
    return true;
}

bool fleetdb_boot_write(struct fleetdb *db, const struct fleetdb_boot *boot, struct err *err)
{
    if (!run_of_boot(db, FACTS_DELETE, boot->boot, err))
        return false;
    for (size_t i = 0; i < boot->fact_count; i++) {
        sqlite3_stmt *statement = query_boot(db, FACT_ADD, boot->boot);
        sqlite_bind_int(statement, ":at_least", boot->facts[i].at_least);
        sqlite_bind_int(statement, ":boot_ms", boot->facts[i].boot_ms);
        sqlite_bind_int(statement, ":fleet", boot->facts[i].fleet_ms);
        if (!sqlite_run(db->sqlite, statement, err))
            return false;
    }
    sqlite3_stmt *statement = query_boot(db, BOOT_BEFORE, boot->boot);
    sqlite_bind_int(statement, ":before", boot->before);
    return sqlite_run(db->sqlite, statement, err) && run_of_boot(db, BOOT_REDO, boot->boot, err);
}

bool fleetdb_boot_after(struct fleetdb *db, int64_t boot, int64_t ret_boots[FLEETDB_BOOTS_AFTER],
                        size_t *ret_count, struct err *err)
{
    size_t count = 0;
    bool more = true;
    sqlite3_stmt *row = query_boot(db, BOOT_AFTER, boot);
    sqlite_bind_int(row, ":max", FLEETDB_BOOTS_AFTER);
    while (more) {
        if (!sqlite_row(db->sqlite, row, &more, err))
            return false;
        if (more)
            ret_boots[count++] = sqlite3_column_int64(row, 0);
    }
    *ret_count = count;
    return true;
}

bool fleetdb_boot_last(struct fleetdb *db, int64_t boot, int64_t *ret_boot_ms, struct err *err)
{
    return sqlite_value(db->sqlite, query_boot(db, BOOT_LAST, boot), 0, ret_boot_ms, err);
}

/* ---- incarnations ---- */

bool fleetdb_boot_of(struct fleetdb *db, int64_t device, uint64_t incarnation, int64_t *ret_boot,
                     struct err *err)
{
    sqlite3_stmt *statement = query_of(db, BOOT_OF);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_u64(statement, ":incarnation", incarnation);
    return sqlite_value(db->sqlite, statement, 0, ret_boot, err);
}

bool fleetdb_boot_is(struct fleetdb *db, int64_t boot, struct bytes boot_id, bool *ret_is,
                     struct err *err)
{
    int64_t found = 0;
    sqlite3_stmt *statement = query_boot(db, BOOT_IS, boot);
    sqlite_bind_bytes(statement, ":boot_id", boot_id);
    if (!sqlite_value(db->sqlite, statement, 0, &found, err))
        return false;
    *ret_is = found != 0;
    return true;
}

bool fleetdb_boot_claim(struct fleetdb *db, int64_t device, uint64_t incarnation, int64_t boot,
                        struct err *err)
{
    sqlite3_stmt *statement = query_boot(db, CLAIM, boot);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_u64(statement, ":incarnation", incarnation);
    if (!sqlite_run(db->sqlite, statement, err))
        return false;
    if (sqlite_changes(db->sqlite) == 0)
        return true;
    statement = query_of(db, CLAIMS_TRIM);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_int(statement, ":keep", INCARNATIONS_MAX);
    return sqlite_run(db->sqlite, statement, err);
}

/* ---- judging again ---- */

static unsigned of_lane(unsigned query, int lane)
{
    if (lane < 1 || lane > LANES)
        abort();
    return query + (unsigned)lane - 1;
}

static bool read_loose(struct fleetdb *db, struct fleetdb_redo *redo, sqlite3_stmt *row,
                       struct err *err)
{
    bool more = true;
    redo->count = 0;
    sqlite_bind_int(row, ":max", (int64_t)redo->max);
    while (more) {
        if (!sqlite_row(db->sqlite, row, &more, err))
            return false;
        if (more)
            redo->loose[redo->count++] = (struct fleetdb_loose){
                .id = sqlite3_column_int64(row, 0),
                .seq = sqlite_column_u64(row, 1),
                .boot_ms = sqlite3_column_int64(row, 2),
                .wall_ms = sqlite3_column_int64(row, 3),
                .received_ms = sqlite3_column_int64(row, 4),
                .at_ms = sqlite3_column_int64(row, 5),
                .bound_ms = sqlite3_column_int64(row, 6),
            };
    }
    return true;
}

bool fleetdb_redo_next(struct fleetdb *db, struct fleetdb_redo *redo, bool *ret_any,
                       struct err *err)
{
    sqlite3_stmt *next = query_of(db, REDO_NEXT);
    sqlite_bind_int(next, ":device", redo->device);
    if (!sqlite_row(db->sqlite, next, ret_any, err))
        return false;
    if (!*ret_any)
        return true;
    redo->id = sqlite3_column_int64(next, 0);
    redo->device = sqlite3_column_int64(next, 1);
    redo->boot = sqlite3_column_int64(next, 3);
    redo->lane = sqlite3_column_int(next, 4);
    const int64_t incarnation = sqlite3_column_int64(next, 2);
    int64_t seq = sqlite3_column_int64(next, 5);
    (void)sqlite3_reset(next);
    for (redo->count = 0;; redo->lane++, seq = 0) {
        sqlite3_stmt *row = query_of(db, of_lane(LOOSE, redo->lane));
        sqlite_bind_int(row, ":device", redo->device);
        sqlite_bind_int(row, ":incarnation", incarnation);
        sqlite_bind_int(row, ":seq", seq);
        if (!read_loose(db, redo, row, err))
            return false;
        if (redo->count > 0 || redo->lane == LANES)
            return true;
    }
}

/* At another moment its device may have stood elsewhere, and carried something else. */
static bool stamp_again(struct fleetdb *db, const struct fleetdb_loose *judged, int64_t *ret_was_ms,
                        struct err *err)
{
    struct fleetdb_stamp stamp;
    bool found = false;
    sqlite3_stmt *row = query_of(db, STAMP_READ);
    sqlite_bind_int(row, ":id", judged->id);
    if (!sqlite_row(db->sqlite, row, &found, err))
        return false;
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "fleet database: no result %lld", (long long)judged->id);
    const struct fleetdb_sale sale = {
        .device = sqlite3_column_int64(row, 0),
        .at_ms = judged->at_ms,
        .received_ms = sqlite3_column_int64(row, 5),
        .slot = (uint32_t)sqlite3_column_int64(row, 1),
        .firmware = sqlite_column_bytes(row, 2),
        .app = sqlite_column_bytes(row, 3),
    };
    bool done = fleetdb_stamp_at(db, &sale, &stamp, err);
    *ret_was_ms = sqlite3_column_int64(row, 4);
    (void)sqlite3_reset(row);
    if (!done)
        return false;
    sqlite3_stmt *statement = query_of(db, STAMP_WRITE);
    sqlite_bind_int(statement, ":id", judged->id);
    sqlite_bind_int(statement, ":standing", stamp.standing);
    sqlite_bind_int(statement, ":carried", stamp.carried);
    sqlite_bind_int(statement, ":software", stamp.software);
    return sqlite_run(db->sqlite, statement, err);
}

static bool judge(struct fleetdb *db, int lane, const struct fleetdb_loose *judged, struct err *err)
{
    const bool is_result = lane == LANE_TXN;
    int64_t was_ms = 0;
    if (is_result && (!fleetdb_rollup_row(db, judged->id, FLEETDB_TAKE, err) ||
                      !stamp_again(db, judged, &was_ms, err)))
        return false;
    sqlite3_stmt *statement = query_of(db, of_lane(JUDGE, lane));
    sqlite_bind_int(statement, ":id", judged->id);
    sqlite_bind_int(statement, ":at", judged->at_ms);
    sqlite_bind_int(statement, ":bound", judged->bound_ms);
    return sqlite_run(db->sqlite, statement, err) &&
           (!is_result || (fleetdb_span_move(db, was_ms, judged->at_ms, judged->id, err) &&
                           fleetdb_rollup_row(db, judged->id, FLEETDB_ADD, err)));
}

bool fleetdb_redo_write(struct fleetdb *db, int lane, const struct fleetdb_loose *judged,
                        struct err *err)
{
    bool own = false;
    if (!fleetdb_enter(db, &own, err))
        return false;
    return fleetdb_leave(db, own, judge(db, lane, judged, err), err);
}

bool fleetdb_redo_done(struct fleetdb *db, const struct fleetdb_redo *redo, struct err *err)
{
    bool lane_done = redo->count < redo->max;
    int lane = lane_done ? (redo->lane + 1) % (LANES + 1) : redo->lane;
    sqlite3_stmt *statement = query_of(db, REDO_SET);
    sqlite_bind_int(statement, ":id", redo->id);
    sqlite_bind_int(statement, ":lane", lane);
    sqlite_bind_u64(statement, ":seq", lane_done ? 0 : redo->loose[redo->count - 1].seq);
    return sqlite_run(db->sqlite, statement, err);
}

/* ---- a device's clock ---- */

bool fleetdb_clock_read(struct fleetdb *db, int64_t device, struct fleetdb_device_clock *ret_clock,
                        struct err *err)
{
    bool found = false;
    sqlite3_stmt *row = query_of(db, CLOCK_READ);
    sqlite_bind_int(row, ":device", device);
    if (!sqlite_row(db->sqlite, row, &found, err))
        return false;
    *ret_clock = (struct fleetdb_device_clock){0};
    if (!found)
        return true;
    *ret_clock = (struct fleetdb_device_clock){
        .checked_ms = sqlite3_column_int64(row, 0),
        .offset_ms = sqlite3_column_int64(row, 1),
        .width_ms = sqlite3_column_int64(row, 2),
        .drift_ppb = sqlite3_column_int64(row, 3),
        .drift_known_ppb = sqlite3_column_int64(row, 4),
        .jumps = sqlite3_column_int64(row, 5),
        .jump_ms = sqlite3_column_int64(row, 6),
        .jumped_ms = sqlite3_column_int64(row, 7),
    };
    (void)sqlite3_reset(row);
    return true;
}

bool fleetdb_clock_write(struct fleetdb *db, int64_t device,
                         const struct fleetdb_device_clock *clock, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, CLOCK_WRITE);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_int(statement, ":checked", clock->checked_ms);
    sqlite_bind_int(statement, ":offset", clock->offset_ms);
    sqlite_bind_int(statement, ":width", clock->width_ms);
    sqlite_bind_int(statement, ":drift", clock->drift_ppb);
    sqlite_bind_int(statement, ":drift_known", clock->drift_known_ppb);
    sqlite_bind_int(statement, ":jumps", clock->jumps);
    sqlite_bind_int(statement, ":jump", clock->jump_ms);
    sqlite_bind_int(statement, ":jumped", clock->jumped_ms);
    return sqlite_run(db->sqlite, statement, err);
}
