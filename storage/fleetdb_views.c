/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_views.h"

#include "storage/fleetdb_internal.h"

#include <stdlib.h>
#include <string.h>

enum query {
    DEVICE,
    DEVICES,
    TERMINALS,
    ITEMS,
    EVENTS,
    STREAMS,
    LIVES,
    QUERIES,
};

#define LOST_OPEN                                                                                  \
    "(SELECT coalesce(sum(l.last - l.first + 1), 0) FROM stream t"                                 \
    " JOIN stream_lost l ON l.stream = t.id WHERE t.device = d.id)"

/* What is committed is what is settled and not lost; second ids of one result count once. */
#define DEVICE_VIEW                                                                                \
    "SELECT d.id, d.name, d.serial, d.model, d.life_cycle, coalesce(m.code, ''),"                  \
    " coalesce(s.code, ''), coalesce(p.state, 'unknown'), coalesce(p.seen_ms, 0),"                 \
    " coalesce(r.converged AND (iif(r.manifest_epoch = 0, coalesce(f.epoch, 0),"                   \
    "   r.manifest_epoch), r.manifest_version)"                                                    \
    "  >= (coalesce(f.epoch, 0), coalesce(f.version, 0)), 0),"                                     \
    " coalesce(f.version, 0), r.manifest_version, r.generation, r.lacks,"                          \
    " (SELECT count(*) FROM device_item i WHERE i.device = d.id"                                   \
    "  AND i.state NOT IN (0, 1, 5)),"                                                             \
    " (SELECT coalesce(sum(cumulative - counted), 0) FROM stream t WHERE t.device = d.id)"         \
    " + (SELECT coalesce(sum(last - first + 1), 0) FROM stream t"                                  \
    "    JOIN stream_range g ON g.stream = t.id WHERE t.device = d.id)"                            \
    " - " LOST_OPEN " + (SELECT coalesce(sum(committed), 0) FROM account a"                        \
    "    WHERE a.device = d.id)"                                                                   \
    " - (SELECT count(*) FROM result_duplicate u WHERE u.device = d.id),"                          \
    " " LOST_OPEN " + (SELECT coalesce(sum(records), 0) FROM account_lost a"                       \
    "    WHERE a.device = d.id),"                                                                  \
    " coalesce(h.traffic_month, 0), coalesce(h.traffic_bytes, 0),"                                 \
    " coalesce(h.traffic_payload_bytes, 0),"                                                       \
    " coalesce(f.epoch, 0), r.manifest_epoch, r.root_version,"                                     \
    " p.evidence, p.since_ms"                                                                      \
    " FROM device d LEFT JOIN store s ON s.id = d.store"                                           \
    " LEFT JOIN merchant m ON m.id = s.merchant"                                                   \
    " LEFT JOIN presence p ON p.device = d.id"                                                     \
    " LEFT JOIN device_report r ON r.device = d.id"                                                \
    " LEFT JOIN manifest f ON f.device = d.id"                                                     \
    " LEFT JOIN health h ON h.id = (SELECT id FROM health WHERE device = d.id"                     \
    "  ORDER BY at_ms DESC, id DESC LIMIT 1)"

static const char *const texts[QUERIES] = {
    [DEVICE] = DEVICE_VIEW " WHERE d.id = :device",
    [DEVICES] = DEVICE_VIEW " WHERE d.name > :after ORDER BY d.name LIMIT :count",
    [TERMINALS] = "SELECT t.slot, l.acquirer, l.tid, l.mid FROM device_terminal t"
                  " JOIN logical_terminal l ON l.id = t.logical_terminal"
                  " WHERE t.device = :device AND t.to_ms IS NULL ORDER BY t.slot",
    [ITEMS] = "SELECT coalesce(w.name, h.name), coalesce(w.kind, 0), coalesce(w.mode, 0),"
              " coalesce(w.version, 0), h.held_version, coalesce(w.sha256, x''), h.held_sha256,"
              " h.state, h.reason, h.refusal, w.name IS NOT NULL"
              ", coalesce((SELECT max(f.version) FROM document f WHERE f.name = h.name"
              "  AND f.device IS NULL AND f.sha256 = h.held_sha256), 0), coalesce(h.updated_ms, "
              "0), " FLEETDB_DIFFERENCE
              " FROM (SELECT a.name, d.kind, a.mode, d.version, d.sha256 FROM assignment a"
              "       JOIN document d ON d.id = a.document WHERE a.device = :device) w"
              " FULL JOIN (SELECT * FROM device_item WHERE device = :device) h"
              " ON h.name = w.name ORDER BY 1",
    [EVENTS] = "SELECT wall_ms, kind, item, text, at_ms, bound_ms, refusal FROM event"
               " WHERE device = :device ORDER BY at_ms DESC, id DESC LIMIT :max",
    [STREAMS] =
        "SELECT t.incarnation, t.lane, t.cumulative, t.last_seq,"
        " (SELECT count(*) FROM stream_range g WHERE g.stream = t.id),"
        " (SELECT coalesce(sum(l.last - l.first + 1), 0) FROM stream_lost l"
        "  WHERE l.stream = t.id) + t.counted_lost,"
        " t.last_seq - t.cumulative - (SELECT coalesce(sum(g.last - g.first + 1), 0)"
        "  FROM stream_range g WHERE g.stream = t.id) AS missing, " FLEETDB_NAMED " AS named,"
        " t.first_ms"
        " FROM stream t LEFT JOIN hello h ON h.device = t.device WHERE t.device = :device"
        " ORDER BY missing > 0 AND NOT named DESC, t.first_ms DESC, t.incarnation, t.lane"
        " LIMIT 100",
    [LIVES] = "SELECT life_cycle, count(*) FROM device GROUP BY life_cycle",
};

const struct fleetdb_queries fleetdb_view_queries = {texts, QUERIES};

static sqlite3_stmt *query_of(struct fleetdb *db, unsigned query, int64_t device)
{
    sqlite3_stmt *statement = fleetdb_query(db, FLEETDB_PART_VIEWS, query);
    sqlite_bind_int(statement, ":device", device);
    return statement;
}

struct device_walk {
    bool (*each)(void *ctx, const struct fleetdb_device_view *view, struct err *err);
    void *ctx;
};

static bool give_device(void *ctx, sqlite3_stmt *row, struct err *err)
{
    struct device_walk *walk = ctx;
    struct fleetdb_device_view view = {
        .device = sqlite3_column_int64(row, 0),
        .id = sqlite_column_text(row, 1),
        .serial = sqlite_column_text(row, 2),
        .model = sqlite_column_text(row, 3),
        .life = sqlite_column_text(row, 4),
        .merchant = sqlite_column_text(row, 5),
        .store = sqlite_column_text(row, 6),
        .seen_ms = sqlite3_column_int64(row, 8),
        .converged = sqlite3_column_int64(row, 9) != 0,
        .manifest_version = sqlite_column_u64(row, 10),
        .held_manifest_version = sqlite_column_u64(row, 11),
        .generation = sqlite_column_u64(row, 12),
        .lacks = (uint32_t)sqlite3_column_int64(row, 13),
        .drift = sqlite_column_u64(row, 14),
        .records = sqlite_column_u64(row, 15),
        .lost = sqlite_column_u64(row, 16),
        .traffic_month = (uint32_t)sqlite3_column_int64(row, 17),
        .traffic_bytes = sqlite_column_u64(row, 18),
        .traffic_payload_bytes = sqlite_column_u64(row, 19),
        .manifest_epoch = sqlite_column_u64(row, 20),
        .held_manifest_epoch = sqlite_column_u64(row, 21),
        .root_version = sqlite_column_u64(row, 22),
        .evidence = (enum fleetdb_evidence)sqlite3_column_int(row, 23),
        .since_ms = sqlite3_column_int64(row, 24),
    };
    (void)fleetdb_presence_find(sqlite_column_text(row, 7), &view.presence);
    view.online = view.presence == FLEETDB_ONLINE;
    return walk->each(walk->ctx, &view, err);
}

bool fleetdb_view_device(struct fleetdb *db, int64_t device,
                         bool (*each)(void *ctx, const struct fleetdb_device_view *view,
                                      struct err *err),
                         void *ctx, struct err *err)
{
    struct device_walk devices = {each, ctx};
    return sqlite_each(db->sqlite, query_of(db, DEVICE, device), give_device, &devices, err);
}

bool fleetdb_view_devices(struct fleetdb *db, const char *after, size_t count,
                          bool (*each)(void *ctx, const struct fleetdb_device_view *view,
                                       struct err *err),
                          void *ctx, struct err *err)
{
    struct device_walk devices = {each, ctx};
    sqlite3_stmt *rows = fleetdb_query(db, FLEETDB_PART_VIEWS, DEVICES);
    sqlite_bind_text(rows, ":after", after);
    sqlite_bind_int(rows, ":count", (int64_t)count);
    return sqlite_each(db->sqlite, rows, give_device, &devices, err);
}

struct terminal_walk {
    bool (*each)(void *ctx, const struct fleetdb_terminal_view *view, struct err *err);
    void *ctx;
};

static bool give_terminal(void *ctx, sqlite3_stmt *row, struct err *err)
{
    struct terminal_walk *walk = ctx;
    struct fleetdb_terminal_view view = {
        .index = (uint32_t)sqlite3_column_int64(row, 0),
        .acquirer = sqlite_column_text(row, 1),
        .tid = sqlite_column_text(row, 2),
        .mid = sqlite_column_text(row, 3),
    };
    return walk->each(walk->ctx, &view, err);
}

bool fleetdb_view_terminals(struct fleetdb *db, int64_t device,
                            bool (*each)(void *ctx, const struct fleetdb_terminal_view *view,
                                         struct err *err),
                            void *ctx, struct err *err)
{
    struct terminal_walk terminals = {each, ctx};
    return sqlite_each(db->sqlite, query_of(db, TERMINALS, device), give_terminal, &terminals, err);
}

struct item_walk {
    bool (*each)(void *ctx, const struct fleetdb_item_view *view, struct err *err);
    void *ctx;
};

static bool give_item(void *ctx, sqlite3_stmt *row, struct err *err)
{
    struct item_walk *walk = ctx;
    struct fleetdb_item_view view = {
        .name = sqlite_column_text(row, 0),
        .kind = sqlite3_column_int(row, 1),
        .mode = sqlite3_column_int(row, 2),
        .wanted_version = sqlite_column_u64(row, 3),
        .held_version = sqlite_column_u64(row, 4),
        .wanted_sha256 = sqlite_column_bytes(row, 5),
        .held_sha256 = sqlite_column_bytes(row, 6),
        .state = sqlite3_column_int(row, 7),
        .reason = sqlite_column_text(row, 8),
        .refusal = sqlite3_column_int(row, 9),
        .assigned = sqlite3_column_int(row, 10) != 0,
        .found_version = sqlite_column_u64(row, 11),
        .told_ms = sqlite3_column_int64(row, 12),
        .difference = fleetdb_difference_of(row, 13),
    };
    return walk->each(walk->ctx, &view, err);
}

bool fleetdb_view_items(struct fleetdb *db, int64_t device,
                        bool (*each)(void *ctx, const struct fleetdb_item_view *view,
                                     struct err *err),
                        void *ctx, struct err *err)
{
    struct item_walk items = {each, ctx};
    return sqlite_each(db->sqlite, query_of(db, ITEMS, device), give_item, &items, err);
}

struct event_walk {
    bool (*each)(void *ctx, const struct fleetdb_event_view *view, struct err *err);
    void *ctx;
};

static bool give_event(void *ctx, sqlite3_stmt *row, struct err *err)
{
    struct event_walk *walk = ctx;
    struct fleetdb_event_view view = {
        .wall_ms = sqlite3_column_int64(row, 0),
        .kind = sqlite3_column_int(row, 1),
        .item = sqlite_column_text(row, 2),
        .text = sqlite_column_text(row, 3),
        .at_ms = sqlite3_column_int64(row, 4),
        .bound_ms = sqlite3_column_int64(row, 5),
        .refusal = sqlite3_column_int(row, 6),
    };
    return walk->each(walk->ctx, &view, err);
}

bool fleetdb_view_events(struct fleetdb *db, int64_t device, size_t max,
                         bool (*each)(void *ctx, const struct fleetdb_event_view *view,
                                      struct err *err),
                         void *ctx, struct err *err)
{
    struct event_walk events = {each, ctx};
    sqlite3_stmt *statement = query_of(db, EVENTS, device);
    sqlite_bind_int(statement, ":max", (int64_t)max);
    return sqlite_each(db->sqlite, statement, give_event, &events, err);
}

struct stream_walk {
    bool (*each)(void *ctx, const struct fleetdb_stream_view *view, struct err *err);
    void *ctx;
};

static bool give_stream(void *ctx, sqlite3_stmt *row, struct err *err)
{
    struct stream_walk *walk = ctx;
    struct fleetdb_stream_view view = {
        .incarnation = sqlite_column_u64(row, 0),
        .lane = sqlite3_column_int(row, 1),
        .cumulative = sqlite_column_u64(row, 2),
        .last_seq = sqlite_column_u64(row, 3),
        .ranges = sqlite_column_u64(row, 4),
        .lost = sqlite_column_u64(row, 5),
        .first_ms = sqlite3_column_int64(row, 8),
    };
    *(sqlite3_column_int(row, 7) ? &view.buffered : &view.unaccounted) = sqlite_column_u64(row, 6);
    return walk->each(walk->ctx, &view, err);
}

bool fleetdb_view_streams(struct fleetdb *db, int64_t device,
                          bool (*each)(void *ctx, const struct fleetdb_stream_view *view,
                                       struct err *err),
                          void *ctx, struct err *err)
{
    struct stream_walk streams = {each, ctx};
    return sqlite_each(db->sqlite, query_of(db, STREAMS, device), give_stream, &streams, err);
}

static bool give_life(void *ctx, sqlite3_stmt *row, struct err *err)
{
    (void)err;
    uint64_t *counts = ctx;
    for (unsigned life = 0; life < FLEETDB_LIVES; life++) {
        if (strcmp(sqlite_column_text(row, 0), fleetdb_life_name(life)) == 0)
            counts[life] = sqlite_column_u64(row, 1);
    }
    return true;
}

bool fleetdb_view_lives(struct fleetdb *db, uint64_t ret_counts[FLEETDB_LIVES], struct err *err)
{
    memset(ret_counts, 0, FLEETDB_LIVES * sizeof *ret_counts);
    sqlite3_stmt *statement = fleetdb_query(db, FLEETDB_PART_VIEWS, LIVES);
    return sqlite_each(db->sqlite, statement, give_life, ret_counts, err);
}
