/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_asked.h"

#include "storage/fleetdb_internal.h"
#include "storage/rollups.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *word, *key;
    unsigned needs; /* 1 << rollup_column */
} dims[FLEETDB_DIMS] = {
#define DIM(id, word, key, needs) {word, key, needs},
#include "storage/dims.def"
#undef DIM
};

const char *fleetdb_dim_word(enum fleetdb_dim dim)
{
    return dims[dim].word;
}

bool fleetdb_dim_is_number(enum fleetdb_dim dim)
{
    return dim == FLEETDB_DIM_OUTCOME || dim == FLEETDB_DIM_TYPE || dim == FLEETDB_DIM_CURRENCY ||
           dim == FLEETDB_DIM_ACQUIRER || dim == FLEETDB_DIM_SCHEME || dim == FLEETDB_DIM_ENTRY;
}

enum query { REGION, MERCHANT, STORE, TID, QUERIES };

static const char *const texts[QUERIES] = {
    [REGION] = "SELECT count(*) FROM region WHERE name = :text",
    [MERCHANT] = "SELECT count(*) FROM merchant WHERE code = :text",
    [STORE] = ("SELECT count(*) FROM store s JOIN merchant m ON m.id = s.merchant"
               " WHERE m.code || '/' || s.code = :text"),
    [TID] = "SELECT count(*) FROM logical_terminal WHERE tid = :text",
};

const struct fleetdb_queries fleetdb_asked_queries = {texts, QUERIES};

bool fleetdb_dim_known(struct fleetdb *db, enum fleetdb_dim dim, const char *text, bool *ret_known,
                       struct err *err)
{
    static const struct {
        enum fleetdb_dim dim;
        enum query query;
    } places[] = {{FLEETDB_DIM_REGION, REGION},
                  {FLEETDB_DIM_MERCHANT, MERCHANT},
                  {FLEETDB_DIM_STORE, STORE},
                  {FLEETDB_DIM_TID, TID}};
    int64_t count = 1;
    for (size_t i = 0; text[0] != '\0' && i < sizeof places / sizeof *places; i++) {
        if (places[i].dim != dim)
            continue;
        sqlite3_stmt *statement = fleetdb_query(db, FLEETDB_PART_ASKED, places[i].query);
        sqlite_bind_text(statement, ":text", text);
        if (!sqlite_value(db->sqlite, statement, 0, &count, err))
            return false;
    }
    *ret_known = count > 0;
    return true;
}

unsigned fleetdb_asked_needs(const struct fleetdb_question *question)
{
    unsigned needs = dims[question->by].needs;
    for (size_t i = 0; i < question->choice_count; i++)
        needs |= dims[question->choices[i].dim].needs;
    bool places = question->devices != NULL || !fleetdb_scope_is_whole(question->scope);
    return places ? needs | 1u << ROLLUP_STANDING : needs;
}

bool fleetdb_asked_text(struct buf *sql, const char *text, struct err *err)
{
    return buf_append(sql, text, strlen(text), err);
}

bool fleetdb_asked_key(struct buf *sql, enum fleetdb_dim dim, struct err *err)
{
    return fleetdb_asked_text(sql, dims[dim].key, err);
}

bool fleetdb_asked_joins(struct buf *sql, const struct fleetdb_question *question, struct err *err)
{
    unsigned needs = fleetdb_asked_needs(question);
    return ((needs & 1u << ROLLUP_STANDING) == 0 ||
            fleetdb_asked_text(
                sql,
                " JOIN standing t ON t.id = r.standing JOIN device d ON d.id = t.device"
                " LEFT JOIN store s ON s.id = t.store LEFT JOIN merchant m ON m.id = t.merchant"
                " LEFT JOIN region g ON g.id = t.region",
                err)) &&
           ((needs & 1u << ROLLUP_CARRIED) == 0 ||
            fleetdb_asked_text(sql,
                               " LEFT JOIN device_terminal c ON c.id = r.carried"
                               " LEFT JOIN logical_terminal l ON l.id = c.logical_terminal",
                               err)) &&
           ((needs & 1u << ROLLUP_SOFTWARE) == 0 ||
            fleetdb_asked_text(sql, " LEFT JOIN software w ON w.id = r.software", err));
}

bool fleetdb_asked_choices(struct buf *sql, const struct fleetdb_question *question,
                           struct err *err)
{
    bool done = (question->devices == NULL ||
                 fleetdb_asked_text(sql, " AND t.device IN (SELECT value FROM json_each(:devices))",
                                    err)) &&
                (fleetdb_scope_is_whole(question->scope) ||
                 fleetdb_asked_text(sql, " AND " FLEETDB_IN_SCOPE, err));
    for (size_t i = 0; done && i < question->choice_count; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, " = :c%zu", i);
        done = fleetdb_asked_text(sql, " AND ", err) &&
               fleetdb_asked_key(sql, question->choices[i].dim, err) &&
               fleetdb_asked_text(sql, name, err);
    }
    return done;
}

void fleetdb_asked_bind(sqlite3_stmt *statement, const struct fleetdb_question *question)
{
    if (question->devices != NULL)
        sqlite_bind_text(statement, ":devices", question->devices);
    if (!fleetdb_scope_is_whole(question->scope))
        sqlite_bind_int(statement, ":token", question->scope.token);
    for (size_t i = 0; i < question->choice_count; i++) {
        const struct fleetdb_choice *choice = &question->choices[i];
        char name[32];
        (void)snprintf(name, sizeof name, ":c%zu", i);
        if (fleetdb_dim_is_number(choice->dim))
            sqlite_bind_int(statement, name, choice->number);
        else
            sqlite_bind_text(statement, name, choice->text);
    }
}
