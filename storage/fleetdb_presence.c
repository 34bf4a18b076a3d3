/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_presence.h"

#include "storage/fleetdb_internal.h"

#include <string.h>

enum { NEWS_EVERY = 256 };

enum query {
    PLACES,
    LAST,
    WRITE,
    DOUBT,
    ADD,
    TRIM,
    ABSENCES,
    OWN_ABSENCES,
    STOOD,
    NEWS,
    NEWS_TRIM,
    NEWS_MANY,
    COUNTS,
    LIST,
    READ,
    QUERIES,
};

#define KEPT                                                                                       \
    "coalesce(p.state, 'unknown'), p.evidence, p.since_ms, p.seen_ms, p.missing_ms, p.known_ms,"   \
    " p.silence_s, p.boot, p.boot_before, p.began_ms, p.told"
#define IN_SCOPE                                                                                   \
    " (:token = 0 OR EXISTS (SELECT 1 FROM token_place t WHERE t.token = :token"                   \
    "  AND (t.merchant = s.merchant OR t.region = s.region)))"
#define BY(what)                                                                                   \
    "(SELECT json_group_array(json_object('" what "', name, 'count', number)) FROM"                \
    " (SELECT " what " AS name, count(*) AS number FROM chosen GROUP BY " what                     \
    "  ORDER BY number DESC, name LIMIT 100))"

static const char *const texts[QUERIES] = {
    [PLACES] = "SELECT d.id, " KEPT ", d.life_cycle = 'in_service', coalesce(s.opening_hours, ''),"
               " coalesce(nullif(s.time_zone, ''), r.time_zone, '') AS zone"
               " FROM device d LEFT JOIN presence p ON p.device = d.id"
               " LEFT JOIN store s ON s.id = d.store LEFT JOIN region r ON r.id = s.region"
               " ORDER BY s.opening_hours, zone",
    [LAST] = "SELECT max(id) FROM audit",
    [WRITE] =
        "INSERT INTO presence (device, state, evidence, since_ms, seen_ms, missing_ms, known_ms,"
        " silence_s, boot, boot_before, began_ms, told) VALUES (:device, :state, :evidence,"
        " :since, :seen, :missing, :known, :silence, :boot, :before, :began, :told)"
        " ON CONFLICT (device) DO UPDATE SET (state, evidence, since_ms, seen_ms, missing_ms,"
        " silence_s, boot, boot_before, began_ms, told) = (excluded.state, excluded.evidence,"
        " excluded.since_ms, excluded.seen_ms, excluded.missing_ms, excluded.silence_s,"
        " excluded.boot, excluded.boot_before, excluded.began_ms, excluded.told)",
    [DOUBT] = "UPDATE presence SET state = 'unknown' WHERE state = 'online'",
    [ADD] = "INSERT INTO absence (device, from_ms, to_ms, evidence, missing_ms)"
            " VALUES (nullif(:device, 0), :from, :to, :evidence, :missing)",
    [TRIM] = "DELETE FROM absence WHERE device IS nullif(:device, 0) AND to_ms <"
             " (SELECT to_ms FROM absence WHERE device IS nullif(:device, 0)"
             "  ORDER BY to_ms DESC LIMIT 1 OFFSET :max)",
    [ABSENCES] = "SELECT from_ms, to_ms, evidence, missing_ms FROM absence"
                 " WHERE device = :device AND to_ms > :from ORDER BY to_ms",
    [OWN_ABSENCES] = "SELECT from_ms, to_ms, evidence, missing_ms FROM absence"
                     " WHERE device IS NULL AND to_ms > :from ORDER BY to_ms",
    [STOOD] = "SELECT max(t.from_ms, :from), min(coalesce(t.to_ms, :to), :to),"
              " coalesce(s.opening_hours, ''), coalesce(nullif(s.time_zone, ''), r.time_zone, '')"
              " FROM standing t LEFT JOIN store s ON s.id = t.store"
              " LEFT JOIN region r ON r.id = s.region"
              " WHERE t.device = :device AND t.life = 'in_service' AND t.from_ms < :to"
              " AND coalesce(t.to_ms, :to) > :from ORDER BY t.from_ms, t.id",
    [NEWS] = "INSERT INTO presence_news (since_ms, evidence, detail)"
             " VALUES (:since, :evidence, '') RETURNING id",
    [NEWS_TRIM] = "DELETE FROM presence_news WHERE id <= :last",
    [NEWS_MANY] =
        "WITH chosen AS (SELECT coalesce(r.name, '') AS region, d.model AS model"
        "  FROM (SELECT DISTINCT value FROM json_each(:devices)) j JOIN device d ON d.id = j.value"
        "  LEFT JOIN store s ON s.id = d.store LEFT JOIN region r ON r.id = s.region)"
        " INSERT INTO presence_news (since_ms, evidence, detail) SELECT :since, 0,"
        " json_object('kind', :word, 'count', (SELECT count(*) FROM chosen), 'named', :named,"
        "  'since_ms', :since, 'regions', " BY("region") ", 'models', " BY("model") ")"
                                                                                    " RETURNING id",
    [COUNTS] = "SELECT iif(d.life_cycle = 'in_service', coalesce(p.state, 'unknown'), ''), count(*)"
               " FROM device d LEFT JOIN presence p ON p.device = d.id"
               " LEFT JOIN store s ON s.id = d.store WHERE" IN_SCOPE " GROUP BY 1",
    [LIST] = "SELECT d.id, " KEPT ", d.name, d.model, d.life_cycle, m.code, s.code, r.name"
             " FROM device d LEFT JOIN presence p ON p.device = d.id"
             " LEFT JOIN store s ON s.id = d.store LEFT JOIN merchant m ON m.id = s.merchant"
             " LEFT JOIN region r ON r.id = s.region WHERE d.life_cycle = 'in_service'"
             " AND coalesce(p.state, 'unknown') = :state AND" IN_SCOPE
             " ORDER BY p.since_ms, d.name LIMIT :limit",
    [READ] = "SELECT p.device, " KEPT " FROM presence p WHERE p.device = :device",
};

const struct fleetdb_queries fleetdb_presence_queries = {texts, QUERIES};

static const char *const states[FLEETDB_PRESENCE_STATES] = {
    [FLEETDB_UNKNOWN] = "unknown", [FLEETDB_ONLINE] = "online",   [FLEETDB_OFFLINE] = "offline",
    [FLEETDB_CLOSED] = "closed",   [FLEETDB_MISSING] = "missing",
};

static const char *const evidences[FLEETDB_EVIDENCES] = {
    [FLEETDB_BY_NOTHING] = "",        [FLEETDB_BY_BIRTH] = "birth",
    [FLEETDB_BY_KEPT] = "kept",       [FLEETDB_BY_MESSAGE] = "message",
    [FLEETDB_BY_WILL] = "will",       [FLEETDB_BY_GOODBYE] = "goodbye",
    [FLEETDB_BY_SILENCE] = "silence", [FLEETDB_BY_BROKER] = "broker",
};

const char *fleetdb_presence_name(enum fleetdb_presence_state state)
{
    return states[state];
}

bool fleetdb_presence_find(const char *name, enum fleetdb_presence_state *ret_state)
{
    for (unsigned i = 0; i < FLEETDB_PRESENCE_STATES; i++) {
        if (strcmp(states[i], name) == 0) {
            *ret_state = (enum fleetdb_presence_state)i;
            return true;
        }
    }
    return false;
}

const char *fleetdb_evidence_name(enum fleetdb_evidence evidence)
{
    return (unsigned)evidence < FLEETDB_EVIDENCES ? evidences[evidence] : "";
}

static sqlite3_stmt *query_of(struct fleetdb *db, enum query query)
{
    return fleetdb_query(db, FLEETDB_PART_PRESENCE, query);
}

/* The device, and KEPT behind it. */
static struct fleetdb_presence presence_of(sqlite3_stmt *row)
{
    struct fleetdb_presence presence = {
        .device = sqlite3_column_int64(row, 0),
        .evidence = (enum fleetdb_evidence)sqlite3_column_int(row, 2),
        .since_ms = sqlite3_column_int64(row, 3),
        .seen_ms = sqlite3_column_int64(row, 4),
        .missing_ms = sqlite3_column_int64(row, 5),
        .known_ms = sqlite3_column_int64(row, 6),
        .silence_s = sqlite3_column_int64(row, 7),
        .boot = sqlite_column_u64(row, 8),
        .boot_before = sqlite_column_u64(row, 9),
        .began_ms = sqlite3_column_int64(row, 10),
        .told = sqlite3_column_int(row, 11) != 0,
    };
    (void)fleetdb_presence_find(sqlite_column_text(row, 1), &presence.state);
    return presence;
}
enum { AFTER_KEPT = 12 };

/* ---- all devices ---- */

struct place_walk {
    bool (*each)(void *ctx, const struct fleetdb_presence_place *place, struct err *err);
    void *ctx;
};

static bool give_place(void *ctx, sqlite3_stmt *row, struct err *err)
{
    const struct place_walk *places = ctx;
    const struct fleetdb_presence_place place = {
        .presence = presence_of(row),
        .in_service = sqlite3_column_int(row, AFTER_KEPT) != 0,
        .hours = sqlite_column_text(row, AFTER_KEPT + 1),
        .zone = sqlite_column_text(row, AFTER_KEPT + 2),
    };
    return places->each(places->ctx, &place, err);
}

bool fleetdb_presence_each(struct fleetdb *db,
                           bool (*each)(void *ctx, const struct fleetdb_presence_place *place,
                                        struct err *err),
                           void *ctx, struct err *err)
{
    struct place_walk places = {each, ctx};
    return sqlite_each(db->sqlite, query_of(db, PLACES), give_place, &places, err);
}

bool fleetdb_changes_last(struct fleetdb *db, int64_t *ret_change, struct err *err)
{
    return sqlite_value(db->sqlite, query_of(db, LAST), 0, ret_change, err);
}

bool fleetdb_presence_write(struct fleetdb *db, const struct fleetdb_presence *presence,
                            struct err *err)
{
    sqlite3_stmt *statement = query_of(db, WRITE);
    sqlite_bind_int(statement, ":device", presence->device);
    sqlite_bind_text(statement, ":state", fleetdb_presence_name(presence->state));
    sqlite_bind_int(statement, ":evidence", presence->evidence);
    sqlite_bind_int(statement, ":since", presence->since_ms);
    sqlite_bind_int(statement, ":seen", presence->seen_ms);
    sqlite_bind_int(statement, ":missing", presence->missing_ms);
    sqlite_bind_int(statement, ":known", presence->known_ms);
    sqlite_bind_int(statement, ":silence", presence->silence_s);
    sqlite_bind_u64(statement, ":boot", presence->boot);
    sqlite_bind_u64(statement, ":before", presence->boot_before);
    sqlite_bind_int(statement, ":began", presence->began_ms);
    sqlite_bind_int(statement, ":told", presence->told);
    return sqlite_run(db->sqlite, statement, err);
}

bool fleetdb_presence_doubt(struct fleetdb *db, struct err *err)
{
    return sqlite_run(db->sqlite, query_of(db, DOUBT), err);
}

/* ---- history ---- */

bool fleetdb_absence_add(struct fleetdb *db, int64_t device, const struct fleetdb_absence *absence,
                         struct err *err)
{
    sqlite3_stmt *add = query_of(db, ADD), *trim = query_of(db, TRIM);
    sqlite_bind_int(add, ":device", device);
    sqlite_bind_int(add, ":from", absence->from_ms);
    sqlite_bind_int(add, ":to", absence->to_ms);
    sqlite_bind_int(add, ":evidence", absence->evidence);
    sqlite_bind_int(add, ":missing", absence->missing_ms);
    if (!sqlite_run(db->sqlite, add, err))
        return false;
    sqlite_bind_int(trim, ":device", device);
    sqlite_bind_int(trim, ":max", FLEETDB_ABSENCES_MAX - 1);
    return sqlite_run(db->sqlite, trim, err);
}

struct absence_walk {
    bool (*each)(void *ctx, const struct fleetdb_absence *absence, struct err *err);
    void *ctx;
};

static bool give_absence(void *ctx, sqlite3_stmt *row, struct err *err)
{
    const struct absence_walk *absences = ctx;
    const struct fleetdb_absence absence = {
        .from_ms = sqlite3_column_int64(row, 0),
        .to_ms = sqlite3_column_int64(row, 1),
        .evidence = (enum fleetdb_evidence)sqlite3_column_int(row, 2),
        .missing_ms = sqlite3_column_int64(row, 3),
    };
    return absences->each(absences->ctx, &absence, err);
}

bool fleetdb_absence_each(struct fleetdb *db, int64_t device, int64_t from_ms,
                          bool (*each)(void *ctx, const struct fleetdb_absence *absence,
                                       struct err *err),
                          void *ctx, struct err *err)
{
    struct absence_walk absences = {each, ctx};
    sqlite3_stmt *rows = query_of(db, device != 0 ? ABSENCES : OWN_ABSENCES);
    if (device != 0)
        sqlite_bind_int(rows, ":device", device);
    sqlite_bind_int(rows, ":from", from_ms);
    return sqlite_each(db->sqlite, rows, give_absence, &absences, err);
}

struct stood_walk {
    bool (*each)(void *ctx, const struct fleetdb_stood *stood, struct err *err);
    void *ctx;
};

static bool give_stood(void *ctx, sqlite3_stmt *row, struct err *err)
{
    const struct stood_walk *walk = ctx;
    const struct fleetdb_stood stood = {
        .from_ms = sqlite3_column_int64(row, 0),
        .to_ms = sqlite3_column_int64(row, 1),
        .hours = sqlite_column_text(row, 2),
        .zone = sqlite_column_text(row, 3),
    };
    return walk->each(walk->ctx, &stood, err);
}

bool fleetdb_stood_each(struct fleetdb *db, int64_t device, int64_t from_ms, int64_t to_ms,
                        bool (*each)(void *ctx, const struct fleetdb_stood *stood, struct err *err),
                        void *ctx, struct err *err)
{
    struct stood_walk stood = {each, ctx};
    sqlite3_stmt *rows = query_of(db, STOOD);
    sqlite_bind_int(rows, ":device", device);
    sqlite_bind_int(rows, ":from", from_ms);
    sqlite_bind_int(rows, ":to", to_ms);
    return sqlite_each(db->sqlite, rows, give_stood, &stood, err);
}

/* ---- what is told ---- */

static bool tell(struct fleetdb *db, sqlite3_stmt *news, enum fleetdb_feed_kind kind,
                 int64_t device, int64_t now_ms, struct err *err)
{
    int64_t id = 0;
    if (!sqlite_value(db->sqlite, news, 0, &id, err) ||
        !fleetdb_feed_add(db, kind, device, id, now_ms, err))
        return false;
    if (id % NEWS_EVERY != 0)
        return true;
    sqlite3_stmt *trim = query_of(db, NEWS_TRIM);
    sqlite_bind_int(trim, ":last", id - FLEETDB_FEED_ROWS);
    return sqlite_run(db->sqlite, trim, err);
}

bool fleetdb_presence_tell(struct fleetdb *db, enum fleetdb_feed_kind kind, int64_t device,
                           int64_t since_ms, enum fleetdb_evidence evidence, int64_t now_ms,
                           struct err *err)
{
    sqlite3_stmt *news = query_of(db, NEWS);
    sqlite_bind_int(news, ":since", since_ms);
    sqlite_bind_int(news, ":evidence", evidence);
    return tell(db, news, kind, device, now_ms, err);
}

bool fleetdb_presence_tell_many(struct fleetdb *db, const char *word, const char *devices,
                                int64_t named, int64_t since_ms, int64_t now_ms, struct err *err)
{
    sqlite3_stmt *news = query_of(db, NEWS_MANY);
    sqlite_bind_text(news, ":word", word);
    sqlite_bind_text(news, ":devices", devices);
    sqlite_bind_int(news, ":named", named);
    sqlite_bind_int(news, ":since", since_ms);
    return tell(db, news, FLEETDB_FEED_MANY, 0, now_ms, err);
}

/* ---- what people ask ---- */

struct counting {
    int64_t *counts, *not_in_service;
};

static bool count_state(void *ctx, sqlite3_stmt *row, struct err *err)
{
    const struct counting *counting = ctx;
    enum fleetdb_presence_state state;
    (void)err;
    if (fleetdb_presence_find(sqlite_column_text(row, 0), &state))
        counting->counts[state] = sqlite3_column_int64(row, 1);
    else
        *counting->not_in_service = sqlite3_column_int64(row, 1);
    return true;
}

bool fleetdb_presence_counts(struct fleetdb *db, struct fleetdb_scope scope,
                             int64_t ret_counts[FLEETDB_PRESENCE_STATES],
                             int64_t *ret_not_in_service, struct err *err)
{
    struct counting counting = {ret_counts, ret_not_in_service};
    sqlite3_stmt *rows = query_of(db, COUNTS);
    memset(ret_counts, 0, FLEETDB_PRESENCE_STATES * sizeof *ret_counts);
    *ret_not_in_service = 0;
    sqlite_bind_int(rows, ":token", scope.token);
    return sqlite_each(db->sqlite, rows, count_state, &counting, err);
}

struct list_walk {
    bool (*each)(void *ctx, const struct fleetdb_presence_row *row, struct err *err);
    void *ctx;
};

static bool give_row(void *ctx, sqlite3_stmt *row, struct err *err)
{
    const struct list_walk *list = ctx;
    const struct fleetdb_presence_row given = {
        .presence = presence_of(row),
        .id = sqlite_column_text(row, AFTER_KEPT),
        .model = sqlite_column_text(row, AFTER_KEPT + 1),
        .life = sqlite_column_text(row, AFTER_KEPT + 2),
        .merchant = sqlite_column_text(row, AFTER_KEPT + 3),
        .store = sqlite_column_text(row, AFTER_KEPT + 4),
        .region = sqlite_column_text(row, AFTER_KEPT + 5),
    };
    return list->each(list->ctx, &given, err);
}

bool fleetdb_presence_list(struct fleetdb *db, struct fleetdb_scope scope,
                           enum fleetdb_presence_state state, int64_t limit,
                           bool (*each)(void *ctx, const struct fleetdb_presence_row *row,
                                        struct err *err),
                           void *ctx, struct err *err)
{
    struct list_walk list = {each, ctx};
    sqlite3_stmt *rows = query_of(db, LIST);
    sqlite_bind_int(rows, ":token", scope.token);
    sqlite_bind_text(rows, ":state", fleetdb_presence_name(state));
    sqlite_bind_int(rows, ":limit", limit);
    return sqlite_each(db->sqlite, rows, give_row, &list, err);
}

bool fleetdb_presence_read(struct fleetdb *db, int64_t device,
                           struct fleetdb_presence *ret_presence, struct err *err)
{
    bool found = false;
    sqlite3_stmt *row = query_of(db, READ);
    sqlite_bind_int(row, ":device", device);
    if (!sqlite_row(db->sqlite, row, &found, err))
        return false;
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "nothing was heard of the device yet");
    *ret_presence = presence_of(row);
    (void)sqlite3_reset(row);
    return true;
}
