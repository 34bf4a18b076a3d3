/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_portrait.h"

#include "storage/fleetdb_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum query { DEVICE, STORE, QUERIES };

/* By name, and a name once: two portraits are gone through side by side. */
static const char *const texts[QUERIES] = {
    [DEVICE] =
        "SELECT 'state' AS name, life_cycle, NULL FROM device WHERE id = :device"
        " UNION ALL SELECT 'store', m.code || '/' || s.code, NULL FROM device d"
        "  JOIN store s ON s.id = d.store JOIN merchant m ON m.id = s.merchant"
        "  WHERE d.id = :device"
        " UNION ALL SELECT 'terminal ' || t.slot, l.acquirer || ':' || l.tid || ':' || l.mid, NULL"
        "  FROM device_terminal t JOIN logical_terminal l ON l.id = t.logical_terminal"
        "  WHERE t.device = :device AND t.to_ms IS NULL"
        " UNION ALL SELECT 'label ' || name, '\"' || value || '\"', NULL FROM device_label"
        "  WHERE device = :device"
        " UNION ALL SELECT * FROM (SELECT 'agent key', '', spki FROM agent_key"
        "  WHERE device = :device AND to_ms IS NULL ORDER BY from_ms DESC, id DESC LIMIT 1)"
        " ORDER BY name",
    [STORE] =
        "SELECT * FROM (WITH it AS (SELECT m.name AS merchant_name, s.name AS store_name,"
        "  r.name AS region, s.time_zone, s.opening_hours, s.address FROM store s"
        "  JOIN merchant m ON m.id = s.merchant LEFT JOIN region r ON r.id = s.region"
        "  WHERE m.code = :merchant AND s.code = :store)"
        " SELECT 'address' AS name, '\"' || nullif(address, '') || '\"' AS value, NULL FROM it"
        " UNION ALL SELECT 'merchant name', '\"' || merchant_name || '\"', NULL FROM it"
        " UNION ALL SELECT 'name', '\"' || store_name || '\"', NULL FROM it"
        " UNION ALL SELECT 'opening hours', nullif(opening_hours, ''), NULL FROM it"
        " UNION ALL SELECT 'region', region, NULL FROM it"
        " UNION ALL SELECT 'time zone', nullif(time_zone, ''), NULL FROM it)"
        " WHERE value IS NOT NULL ORDER BY name",
};

const struct fleetdb_queries fleetdb_portrait_queries = {texts, QUERIES};

/* ---- taking one ---- */

static bool add(struct buf *portrait, const char *text, struct err *err)
{
    return buf_append(portrait, text, strlen(text) + 1, err);
}

static bool take(struct fleetdb *db, sqlite3_stmt *row, portrait_key_name *name_key,
                 struct buf *portrait, struct err *err)
{
    bool more = false;
    buf_clear(portrait);
    while (sqlite_row(db->sqlite, row, &more, err)) {
        char key[PORTRAIT_KEY_CHARS + 1];
        const char *value = sqlite_column_text(row, 1);
        if (!more)
            return true;
        if (name_key != NULL && sqlite3_column_type(row, 2) != SQLITE_NULL) {
            name_key(sqlite_column_bytes(row, 2), key);
            value = key;
        }
        if (!add(portrait, sqlite_column_text(row, 0), err) || !add(portrait, value, err)) {
            (void)sqlite3_reset(row);
            return false;
        }
    }
    return false;
}

bool fleetdb_portrait_device(struct fleetdb *db, int64_t device, portrait_key_name *name_key,
                             struct buf *portrait, struct err *err)
{
    sqlite3_stmt *row = fleetdb_query(db, FLEETDB_PART_PORTRAIT, DEVICE);
    sqlite_bind_int(row, ":device", device);
    return take(db, row, name_key, portrait, err);
}

bool fleetdb_portrait_store(struct fleetdb *db, const char *merchant, const char *store,
                            struct buf *portrait, struct err *err)
{
    sqlite3_stmt *row = fleetdb_query(db, FLEETDB_PART_PORTRAIT, STORE);
    sqlite_bind_text(row, ":merchant", merchant);
    sqlite_bind_text(row, ":store", store);
    return take(db, row, NULL, portrait, err);
}

/* ---- telling two apart ---- */

struct line {
    const char *name, *value; /* NULL: there is no more */
    size_t next;
};

static struct line line_at(const struct buf *portrait, size_t at)
{
    if (at >= portrait->length)
        return (struct line){.next = at};
    const char *name = (const char *)portrait->data + at;
    const char *value = name + strlen(name) + 1;
    return (struct line){name, value, at + strlen(name) + strlen(value) + 2};
}

/* False: there is no room for it. */
static bool say(char text[PORTRAIT_TEXT_BYTES], const char *fmt, ...) MUSTER_PRINTF(2, 3);
static bool say(char text[PORTRAIT_TEXT_BYTES], const char *fmt, ...)
{
    static const char more[] = "; ...";
    const size_t length = strlen(text), room = PORTRAIT_TEXT_BYTES - sizeof more - length;
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(text + length, room, fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n < room)
        return true;
    strcpy(text + length, more);
    return false;
}

void fleetdb_portrait_tell(const struct buf *before, const struct buf *after,
                           char text[PORTRAIT_TEXT_BYTES])
{
    struct line was = line_at(before, 0), is = line_at(after, 0);
    const bool is_new = was.name == NULL && is.name != NULL;
    bool fits = true;
    strcpy(text, is_new ? "new" : "");
    while (fits && (was.name != NULL || is.name != NULL)) {
        const char *between = text[0] != '\0' ? "; " : "";
        const int order = was.name == NULL ? 1 : is.name == NULL ? -1 : strcmp(was.name, is.name);
        if (is_new)
            fits = say(text, "%s%s: %s", between, is.name, is.value);
        else if (order != 0 || strcmp(was.value, is.value) != 0)
            fits = say(text, "%s%s: %s -> %s", between, order <= 0 ? was.name : is.name,
                       order <= 0 ? was.value : "none", order >= 0 ? is.value : "none");
        if (order <= 0)
            was = line_at(before, was.next);
        if (order >= 0)
            is = line_at(after, is.next);
    }
}
