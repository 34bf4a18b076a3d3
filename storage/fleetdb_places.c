/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_places.h"

#include "storage/erase_words.h"
#include "storage/fleetdb_carry.h"
#include "storage/fleetdb_internal.h"
#include "storage/fleetdb_portrait.h"
#include "storage/fleetdb_snapshot.h"

#include <stdio.h>
#include <stdlib.h>

enum query {
    MERCHANT_PUT,
    MERCHANT_FIND,
    REGION_NAME,
    REGION_PUT,
    STORE_PUT,
    STORE_FIND,
    STORE_MERCHANT,
    STORE_OF,
    STORES,
    REGIONS,
    SET_LIFE,
    SET_STORE,
    LACKING,
    QUERIES,
};

static const char *const texts[QUERIES] = {
    [MERCHANT_PUT] = "INSERT INTO merchant (code, name) VALUES (:code, coalesce(:name, :code))"
                     " ON CONFLICT (code) DO UPDATE SET name = :name"
                     " WHERE :name IS NOT NULL AND name <> :name",
    [MERCHANT_FIND] = "SELECT id FROM merchant WHERE code = :code",
    [REGION_NAME] = "INSERT INTO region (name, time_zone) VALUES (:name, '')"
                    " ON CONFLICT (name) DO NOTHING",
    [REGION_PUT] = "INSERT INTO region (name, time_zone) VALUES (:name, :zone)"
                   " ON CONFLICT (name) DO UPDATE SET time_zone = excluded.time_zone"
                   " WHERE time_zone <> excluded.time_zone",
    [STORE_PUT] =
        "INSERT INTO store (merchant, code, name, region, time_zone, opening_hours, address)"
        " VALUES (:merchant, :code, coalesce(:name, :code),"
        "  (SELECT id FROM region WHERE name = :region), coalesce(:zone, ''),"
        "  coalesce(:hours, ''), coalesce(:address, ''))"
        " ON CONFLICT (merchant, code) DO UPDATE SET"
        "  (name, region, time_zone, opening_hours, address) = (coalesce(:name, name),"
        "  iif(:region IS NULL, region, excluded.region), coalesce(:zone, time_zone),"
        "  coalesce(:hours, opening_hours), coalesce(:address, address))"
        " WHERE (name, region, time_zone, opening_hours, address) IS NOT (coalesce(:name, name),"
        "  iif(:region IS NULL, region, excluded.region), coalesce(:zone, time_zone),"
        "  coalesce(:hours, opening_hours), coalesce(:address, address))",
    [STORE_FIND] = "SELECT s.id FROM store s JOIN merchant m ON m.id = s.merchant"
                   " WHERE m.code = :merchant AND s.code = :code",
    [STORE_MERCHANT] = "SELECT merchant FROM store WHERE id = :store",
    [STORE_OF] = "SELECT store FROM device WHERE id = :device",
    [STORES] = "SELECT m.code, m.name, s.code, s.name, r.name, s.time_zone, s.opening_hours,"
               " s.address, coalesce(nullif(s.time_zone, ''), r.time_zone, ''),"
               " (SELECT count(*) FROM device d WHERE d.store = s.id AND d.life_cycle <> 'retired')"
               " FROM store s JOIN merchant m ON m.id = s.merchant"
               " LEFT JOIN region r ON r.id = s.region ORDER BY m.code, s.code",
    /* Of a part of the fleet, where it has stores, or what it is made of. */
    [REGIONS] = "SELECT name, time_zone FROM region r WHERE :token = 0 OR EXISTS"
                " (SELECT 1 FROM token_place p WHERE p.token = :token AND (p.region = r.id"
                "  OR p.merchant IN (SELECT s.merchant FROM store s WHERE s.region = r.id)))"
                " ORDER BY name",
    [SET_LIFE] = "UPDATE device SET life_cycle = :life, updated_ms = :now"
                 " WHERE id = :device AND life_cycle <> :life",
    [SET_STORE] = "UPDATE device SET store = :store, updated_ms = :now"
                  " WHERE id = :device AND store IS NOT :store",
    [LACKING] = "SELECT a.name, d.version, d.device IS NOT NULL FROM assignment a"
                " JOIN document d ON d.id = a.document WHERE a.device = :from AND NOT EXISTS"
                "  (SELECT 1 FROM assignment b WHERE b.device = :to AND b.name = a.name)"
                " ORDER BY a.name",
};

static const char inventory_rows[] =
    "SELECT d.name, d.serial, d.model, d.life_cycle, m.code, m.name, s.code, s.name, r.name,"
    " s.time_zone, s.opening_hours, s.address,"
    " (SELECT json_group_array(json_object('index', c.slot, 'acquirer', c.acquirer,"
    "   'tid', c.tid, 'mid', c.mid)) FROM (SELECT t.slot, l.* FROM device_terminal t"
    "  JOIN logical_terminal l ON l.id = t.logical_terminal"
    "  WHERE t.device = d.id AND t.to_ms IS NULL ORDER BY t.slot) c),"
    " (SELECT json_group_object(b.name, b.value) FROM device_label b WHERE b.device = d.id),"
    " (SELECT k.spki FROM agent_key k WHERE k.device = d.id AND k.to_ms IS NULL"
    "  ORDER BY k.from_ms DESC, k.id DESC LIMIT 1)"
    " FROM device d LEFT JOIN store s ON s.id = d.store LEFT JOIN merchant m"
    "  ON m.id = s.merchant LEFT JOIN region r ON r.id = s.region ORDER BY d.name";

const struct fleetdb_queries fleetdb_place_queries = {texts, QUERIES};

static sqlite3_stmt *query_of(struct fleetdb *db, enum query query)
{
    return fleetdb_query(db, FLEETDB_PART_PLACES, query);
}

/* ---- merchants, stores, regions ---- */

static bool put_merchant(struct fleetdb *db, const struct fleetdb_store *store,
                         int64_t *ret_merchant, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, MERCHANT_PUT);
    sqlite_bind_text(statement, ":code", store->merchant);
    sqlite_bind_text(statement, ":name", store->merchant_name);
    if (!sqlite_run(db->sqlite, statement, err))
        return false;
    statement = query_of(db, MERCHANT_FIND);
    sqlite_bind_text(statement, ":code", store->merchant);
    return sqlite_value(db->sqlite, statement, 0, ret_merchant, err);
}

static bool put_region(struct fleetdb *db, const char *name, struct err *err)
{
    if (name == NULL || name[0] == '\0')
        return true;
    sqlite3_stmt *statement = query_of(db, REGION_NAME);
    sqlite_bind_text(statement, ":name", name);
    return sqlite_run(db->sqlite, statement, err);
}

static bool write_store(struct fleetdb *db, const struct fleetdb_store *store,
                        const struct fleetdb_change *change, int64_t *ret_store, struct err *err)
{
    int64_t merchant = 0, row = 0;
    if (!put_merchant(db, store, &merchant, err) || !put_region(db, store->region, err))
        return false;
    sqlite3_stmt *statement = query_of(db, STORE_PUT);
    sqlite_bind_int(statement, ":merchant", merchant);
    sqlite_bind_text(statement, ":code", store->store);
    sqlite_bind_text(statement, ":name", store->store_name);
    sqlite_bind_text(statement, ":region", store->region);
    sqlite_bind_text(statement, ":zone", store->time_zone);
    sqlite_bind_text(statement, ":hours", store->opening_hours);
    sqlite_bind_text(statement, ":address", store->address);
    if (!sqlite_run(db->sqlite, statement, err) ||
        !fleetdb_store_find(db, store->merchant, store->store, &row, err) ||
        !fleetdb_standing_follow_store(db, row, change, err) ||
        !fleetdb_duties_follow_store(db, row, err))
        return false;
    *ret_store = row;
    return true;
}

static bool audit_store(struct fleetdb *db, const struct fleetdb_store *store,
                        const struct buf *before, const struct buf *after,
                        const struct fleetdb_change *change, struct err *err)
{
    char told[PORTRAIT_TEXT_BYTES], text[PORTRAIT_TEXT_BYTES + 256];
    fleetdb_portrait_tell(before, after, told);
    (void)snprintf(text, sizeof text, "%.64s/%.64s: %s", store->merchant, store->store, told);
    return told[0] == '\0' || fleetdb_audit(db, change->now_ms, change->who, "store", 0, text, err);
}

static bool put_store(struct fleetdb *db, const struct fleetdb_store *store,
                      const struct fleetdb_change *change, int64_t *ret_store, struct err *err)
{
    struct buf before = {0}, after = {0};
    bool done = fleetdb_portrait_store(db, store->merchant, store->store, &before, err) &&
                write_store(db, store, change, ret_store, err) &&
                fleetdb_portrait_store(db, store->merchant, store->store, &after, err) &&
                audit_store(db, store, &before, &after, change, err);
    buf_done(&before);
    buf_done(&after);
    return done;
}

/* Nothing new may stand with one that is being erased. */
static bool check_names(const struct fleetdb_store *store, struct err *err)
{
    return erase_name_is_free(store->merchant, "merchant", err) &&
           erase_name_is_free(store->store, "store", err);
}

bool fleetdb_store_put(struct fleetdb *db, const struct fleetdb_store *store,
                       const struct fleetdb_change *change, int64_t *ret_store, struct err *err)
{
    bool own = false;
    if (!fleetdb_enter(db, &own, err))
        return false;
    bool done = check_names(store, err) && put_store(db, store, change, ret_store, err);
    return fleetdb_leave(db, own, done, err);
}

bool fleetdb_store_find(struct fleetdb *db, const char *merchant, const char *store,
                        int64_t *ret_store, struct err *err)
{
    int64_t row = 0;
    sqlite3_stmt *statement = query_of(db, STORE_FIND);
    sqlite_bind_text(statement, ":merchant", merchant);
    sqlite_bind_text(statement, ":code", store);
    if (!sqlite_value(db->sqlite, statement, 0, &row, err))
        return false;
    if (row == 0)
        return err_set(err, ERR_NOT_FOUND, "no store %s of merchant %s", store, merchant);
    *ret_store = row;
    return true;
}

bool fleetdb_region_put(struct fleetdb *db, const char *name, const char *time_zone,
                        struct err *err)
{
    sqlite3_stmt *statement = query_of(db, REGION_PUT);
    sqlite_bind_text(statement, ":name", name);
    sqlite_bind_text(statement, ":zone", time_zone);
    return sqlite_run(db->sqlite, statement, err);
}

bool fleetdb_stores_each(struct fleetdb *db,
                         bool (*each)(void *ctx, const struct fleetdb_store_view *view,
                                      struct err *err),
                         void *ctx, struct err *err)
{
    bool more = false;
    sqlite3_stmt *row = query_of(db, STORES);
    while (sqlite_row(db->sqlite, row, &more, err)) {
        if (!more)
            return true;
        const struct fleetdb_store_view view = {
            .store = {.merchant = sqlite_column_text(row, 0),
                      .merchant_name = sqlite_column_text(row, 1),
                      .store = sqlite_column_text(row, 2),
                      .store_name = sqlite_column_text(row, 3),
                      .region = sqlite_column_text(row, 4),
                      .time_zone = sqlite_column_text(row, 5),
                      .opening_hours = sqlite_column_text(row, 6),
                      .address = sqlite_column_text(row, 7)},
            .zone = sqlite_column_text(row, 8),
            .devices = sqlite_column_u64(row, 9),
        };
        if (!each(ctx, &view, err)) {
            (void)sqlite3_reset(row);
            return false;
        }
    }
    return false;
}

bool fleetdb_regions_each(struct fleetdb *db, struct fleetdb_scope scope,
                          bool (*each)(void *ctx, const char *name, const char *time_zone,
                                       struct err *err),
                          void *ctx, struct err *err)
{
    bool more = false;
    sqlite3_stmt *row = query_of(db, REGIONS);
    sqlite_bind_int(row, ":token", scope.token);
    while (sqlite_row(db->sqlite, row, &more, err)) {
        if (!more)
            return true;
        if (!each(ctx, sqlite_column_text(row, 0), sqlite_column_text(row, 1), err)) {
            (void)sqlite3_reset(row);
            return false;
        }
    }
    return false;
}

/* ---- devices ---- */

static bool set(struct fleetdb *db, enum query query, int64_t device,
                const struct fleetdb_change *change, const char *life, int64_t store,
                struct err *err)
{
    sqlite3_stmt *statement = query_of(db, query);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_int(statement, ":now", change->now_ms);
    if (query == SET_LIFE)
        sqlite_bind_text(statement, ":life", life);
    else if (store != 0)
        sqlite_bind_int(statement, ":store", store);
    return sqlite_run(db->sqlite, statement, err);
}

static bool live(struct fleetdb *db, const struct fleetdb_device *device, enum fleetdb_life life,
                 const struct fleetdb_change *change, struct err *err)
{
    if (device->life == FLEETDB_RETIRED && life != FLEETDB_RETIRED && life != FLEETDB_SPARE)
        return err_set(err, ERR_CONFLICT, "%s is retired: make it a spare first", device->id);
    return set(db, SET_LIFE, device->device, change, fleetdb_life_name(life), 0, err) &&
           (life != FLEETDB_RETIRED ||
            fleetdb_carry_only(db, device->device, NULL, 0, change, err)) &&
           fleetdb_standing_follow(db, device->device, change, err) &&
           fleetdb_duties_follow(db, device->device, err);
}

bool fleetdb_device_live(struct fleetdb *db, const struct fleetdb_device *device,
                         enum fleetdb_life life, const struct fleetdb_change *change,
                         struct err *err)
{
    bool own = false;
    if (!fleetdb_enter(db, &own, err))
        return false;
    bool done = live(db, device, life, change, err);
    return fleetdb_leave(db, own, done, err);
}

static bool value_of(struct fleetdb *db, enum query query, const char *name, int64_t row,
                     int64_t *ret_value, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, query);
    sqlite_bind_int(statement, name, row);
    return sqlite_value(db->sqlite, statement, 0, ret_value, err);
}

static bool carry_there(struct fleetdb *db, const struct fleetdb_device *device,
                        const struct fleetdb_move *move, int64_t merchant,
                        const struct fleetdb_change *change, struct err *err)
{
    bool done =
        fleetdb_carry_only(db, device->device, move->terminals, move->terminal_count, change, err);
    for (size_t i = 0; done && i < move->terminal_count; i++)
        done = fleetdb_carry(db, device->device, &move->terminals[i], merchant, change, err);
    return done;
}

/* As long as it still stands where it stood: its own MIDs do not come along either. */
static bool check_mids(struct fleetdb *db, const struct fleetdb_move *move, int64_t merchant,
                       struct err *err)
{
    for (size_t i = 0; !move->keep_terminals && i < move->terminal_count; i++) {
        if (!fleetdb_carry_check_mid(db, &move->terminals[i], merchant, err))
            return false;
    }
    return true;
}

static bool move_to(struct fleetdb *db, const struct fleetdb_device *device,
                    const struct fleetdb_move *move, const struct fleetdb_change *change,
                    struct err *err)
{
    int64_t before = 0, from = 0, to = 0, carried = 0, store = move->store;
    if (device->life == FLEETDB_RETIRED)
        return err_set(err, ERR_CONFLICT, "%s is retired: make it a spare first", device->id);
    if (!value_of(db, STORE_OF, ":device", device->device, &before, err))
        return false;
    if (store == 0)
        store = before;
    if (!value_of(db, STORE_MERCHANT, ":store", before, &from, err) ||
        !value_of(db, STORE_MERCHANT, ":store", store, &to, err) ||
        !fleetdb_carry_count(db, device->device, &carried, err))
        return false;
    if (move->keep_terminals && from != to && carried > 0)
        return err_set(err, ERR_CONFLICT,
                       "%s carries %lld logical terminals of another merchant, whose MIDs stay with"
                       " that one: say what it carries at the new merchant (--terminal), or that "
                       "it carries none"
                       " (--no-terminals)",
                       device->id, (long long)carried);
    return check_mids(db, move, to, err) &&
           (store == 0 || set(db, SET_STORE, device->device, change, NULL, store, err)) &&
           (before == store || before == 0 ||
            fleetdb_carry_moved(db, device->device, change, err)) &&
           (move->keep_terminals || carry_there(db, device, move, to, change, err)) &&
           fleetdb_standing_follow(db, device->device, change, err) &&
           fleetdb_duties_follow(db, device->device, err);
}

bool fleetdb_device_move(struct fleetdb *db, const struct fleetdb_device *device,
                         const struct fleetdb_move *move, const struct fleetdb_change *change,
                         struct err *err)
{
    bool own = false;
    if (!fleetdb_enter(db, &own, err))
        return false;
    bool done = move_to(db, device, move, change, err);
    return fleetdb_leave(db, own, done, err);
}

bool fleetdb_device_let_go(struct fleetdb *db, const struct fleetdb_device *device,
                           const struct fleetdb_terminal *keeps, size_t count,
                           const struct fleetdb_change *change, struct err *err)
{
    bool own = false;
    if (!fleetdb_enter(db, &own, err))
        return false;
    bool done = fleetdb_carry_only(db, device->device, keeps, count, change, err);
    return fleetdb_leave(db, own, done, err);
}

static bool swap(struct fleetdb *db, const struct fleetdb_device *from,
                 const struct fleetdb_device *to, enum fleetdb_life life,
                 const struct fleetdb_change *change, struct err *err)
{
    int64_t carried = 0, store = 0;
    if (from->device == to->device)
        return err_set(err, ERR_INVALID, "%s cannot take its own place", from->id);
    if (from->life == FLEETDB_RETIRED || to->life == FLEETDB_RETIRED)
        return err_set(err, ERR_CONFLICT, "%s is retired: make it a spare first",
                       to->life == FLEETDB_RETIRED ? to->id : from->id);
    if (!fleetdb_carry_count(db, to->device, &carried, err) ||
        !value_of(db, STORE_OF, ":device", from->device, &store, err))
        return false;
    if (carried > 0)
        return err_set(err, ERR_CONFLICT,
                       "%s carries %lld logical terminals already, which would be left without a"
                       " device: take them off it first (device move --no-terminals)",
                       to->id, (long long)carried);
    enum fleetdb_life next =
        from->life == FLEETDB_SUSPENDED ? FLEETDB_SUSPENDED : FLEETDB_IN_SERVICE;
    return fleetdb_carry_over(db, from->device, to->device, change, err) &&
           set(db, SET_STORE, to->device, change, NULL, store, err) &&
           live(db, to, next, change, err) && live(db, from, life, change, err);
}

bool fleetdb_device_swap(struct fleetdb *db, const struct fleetdb_device *from,
                         const struct fleetdb_device *to, enum fleetdb_life life,
                         const struct fleetdb_change *change, struct err *err)
{
    bool own = false;
    if (!fleetdb_enter(db, &own, err))
        return false;
    bool done = swap(db, from, to, life, change, err);
    return fleetdb_leave(db, own, done, err);
}

bool fleetdb_lacking_each(struct fleetdb *db, int64_t from, int64_t to,
                          bool (*each)(void *ctx, const struct fleetdb_lacking *lacking,
                                       struct err *err),
                          void *ctx, struct err *err)
{
    bool more = false;
    sqlite3_stmt *row = query_of(db, LACKING);
    sqlite_bind_int(row, ":from", from);
    sqlite_bind_int(row, ":to", to);
    while (sqlite_row(db->sqlite, row, &more, err)) {
        if (!more)
            return true;
        const struct fleetdb_lacking lacking = {
            sqlite_column_text(row, 0), sqlite_column_u64(row, 1), sqlite3_column_int(row, 2) != 0};
        if (!each(ctx, &lacking, err)) {
            (void)sqlite3_reset(row);
            return false;
        }
    }
    return false;
}

struct fleetdb_inventory {
    struct fleetdb_snapshot *snapshot;
    struct sqlite *sqlite;
    sqlite3_stmt *rows;
};

bool fleetdb_inventory_open(struct fleetdb *db, struct fleetdb_inventory **ret_inventory,
                            struct err *err)
{
    struct fleetdb_inventory *inventory = calloc(1, sizeof *inventory);
    if (inventory == NULL)
        return err_set(err, ERR_NO_MEMORY, "fleet database: out of memory");
    if (!fleetdb_snapshot_open(db, &inventory->snapshot, err)) {
        free(inventory);
        return false;
    }
    inventory->sqlite = fleetdb_read_from(db, inventory->snapshot);
    if (!sqlite_compile(inventory->sqlite, inventory_rows, &inventory->rows, err)) {
        fleetdb_inventory_close(inventory);
        return false;
    }
    *ret_inventory = inventory;
    return true;
}

static struct fleetdb_inventory_view inventory_view(sqlite3_stmt *row)
{
    return (struct fleetdb_inventory_view){
        .id = sqlite_column_text(row, 0),
        .serial = sqlite_column_text(row, 1),
        .model = sqlite_column_text(row, 2),
        .life = sqlite_column_text(row, 3),
        .store = {.merchant = sqlite_column_text(row, 4),
                  .merchant_name = sqlite_column_text(row, 5),
                  .store = sqlite_column_text(row, 6),
                  .store_name = sqlite_column_text(row, 7),
                  .region = sqlite_column_text(row, 8),
                  .time_zone = sqlite_column_text(row, 9),
                  .opening_hours = sqlite_column_text(row, 10),
                  .address = sqlite_column_text(row, 11)},
        .terminals = sqlite_column_text(row, 12),
        .labels = sqlite_column_text(row, 13),
        .agent_key = sqlite_column_bytes(row, 14),
    };
}

bool fleetdb_inventory_step(struct fleetdb_inventory *inventory, size_t count,
                            bool (*each)(void *ctx, const struct fleetdb_inventory_view *view,
                                         struct err *err),
                            void *ctx, struct err *err)
{
    bool more = true;
    while (count-- > 0 && more) {
        if (!sqlite_row(inventory->sqlite, inventory->rows, &more, err))
            return false;
        const struct fleetdb_inventory_view view = inventory_view(inventory->rows);
        if (more && !each(ctx, &view, err))
            return false;
    }
    return true;
}

void fleetdb_inventory_close(struct fleetdb_inventory *inventory)
{
    if (inventory == NULL)
        return;
    (void)sqlite3_finalize(inventory->rows);
    fleetdb_snapshot_close(inventory->snapshot);
    free(inventory);
}
