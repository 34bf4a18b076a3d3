/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_zone.h"

#include "storage/fleetdb_internal.h"

#include <stdio.h>
#include <string.h>

enum query { OF_MERCHANT, OF_REGION, OF_DEVICES, OF_DEVICE, OF_SCOPE, QUERIES };

#define ZONES "SELECT DISTINCT coalesce(" SAID ", '') FROM "
#define SAID "nullif(s.time_zone, ''), nullif(r.time_zone, '')"
#define REGION " LEFT JOIN region r ON r.id = s.region WHERE "
/* Where a device stands that has left is no more a part's to know. Two are several. A set is read
 * once, however many stores there are. */
#define PLACES(what)                                                                               \
    "(SELECT " what " FROM token_place WHERE token = :token AND " what " IS NOT NULL)"
/* Nothing is sold in a store without a device; of a place without any, what was said of it. */
#define PEOPLED                                                                                    \
    " AND iif(:empty, coalesce(" SAID ") IS NOT NULL,"                                             \
    " EXISTS (SELECT 1 FROM device d WHERE d.store = s.id))"
#define SEEN                                                                                       \
    " AND (:token = 0 OR s.merchant IN " PLACES("merchant") " OR s.region IN " PLACES(             \
        "region") ") LIMIT 2"

static const char *const texts[QUERIES] = {
    [OF_MERCHANT] = ZONES "merchant m JOIN store s ON s.merchant = m.id" REGION
                          "m.code = :merchant AND (:store IS NULL OR s.code = :store)"
                          " AND (:region IS NULL OR r.name = :region)" PEOPLED SEEN,
    [OF_REGION] =
        ZONES "region r JOIN store s ON s.region = r.id WHERE r.name = :region" PEOPLED SEEN,
    [OF_DEVICES] = ZONES "json_each(:devices) j JOIN device d ON d.id = j.value"
                         " JOIN store s ON s.id = d.store" REGION "1" SEEN,
    [OF_DEVICE] = ZONES "device d JOIN store s ON s.id = d.store" REGION "d.name = :device" SEEN,
    [OF_SCOPE] = ZONES "store s" REGION "1" PEOPLED SEEN,
};

const struct fleetdb_queries fleetdb_zone_queries = {texts, QUERIES};

struct places {
    char merchant[256];
    const char *store, *region, *device;
};

/* A store is chosen as "merchant/store". */
static void read_places(const struct fleetdb_question *question, struct places *places)
{
    for (size_t i = 0; i < question->choice_count; i++) {
        const struct fleetdb_choice *choice = &question->choices[i];
        if (choice->dim == FLEETDB_DIM_MERCHANT || choice->dim == FLEETDB_DIM_STORE)
            (void)snprintf(places->merchant, sizeof places->merchant, "%s", choice->text);
        if (choice->dim == FLEETDB_DIM_STORE) {
            const size_t length = strcspn(places->merchant, "/");
            places->merchant[length] = '\0';
            places->store = choice->text + length + (choice->text[length] == '/');
        }
        if (choice->dim == FLEETDB_DIM_REGION)
            places->region = choice->text;
        if (choice->dim == FLEETDB_DIM_DEVICE)
            places->device = choice->text;
    }
}

static enum query query_of(const struct fleetdb_question *question, const struct places *places)
{
    return places->merchant[0] != '\0' ? OF_MERCHANT
           : places->region != NULL    ? OF_REGION
           : places->device != NULL    ? OF_DEVICE
           : question->devices != NULL ? OF_DEVICES
                                       : OF_SCOPE;
}

static sqlite3_stmt *bind(struct fleetdb *db, enum query query,
                          const struct fleetdb_question *question, const struct places *places)
{
    sqlite3_stmt *row = fleetdb_query(db, FLEETDB_PART_ZONE, query);
    sqlite_bind_int(row, ":token", question->scope.token);
    if (query == OF_MERCHANT) {
        sqlite_bind_text(row, ":merchant", places->merchant);
        sqlite_bind_text(row, ":store", places->store);
    }
    if (query == OF_MERCHANT || query == OF_REGION)
        sqlite_bind_text(row, ":region", places->region);
    if (query == OF_DEVICE)
        sqlite_bind_text(row, ":device", places->device);
    if (query == OF_DEVICES)
        sqlite_bind_text(row, ":devices", question->devices);
    return row;
}

/* The first one's name, and how many: two are several. */
static bool read_zones(struct fleetdb *db, sqlite3_stmt *row, char zone[FLEETDB_ZONE_BYTES],
                       size_t *count, struct err *err)
{
    bool more = false;
    *count = 0;
    while (sqlite_row(db->sqlite, row, &more, err)) {
        if (!more)
            return true;
        (*count)++;
        (void)snprintf(zone, FLEETDB_ZONE_BYTES, "%s", sqlite_column_text(row, 0));
    }
    return false;
}

bool fleetdb_zone_of(struct fleetdb *db, const struct fleetdb_question *question,
                     char ret_zone[FLEETDB_ZONE_BYTES], struct err *err)
{
    struct places places = {0};
    size_t count = 0;
    read_places(question, &places);
    const enum query query = query_of(question, &places);
    const bool of_stores = query == OF_MERCHANT || query == OF_REGION || query == OF_SCOPE;
    ret_zone[0] = '\0';
    if (query == OF_SCOPE && fleetdb_scope_is_whole(question->scope))
        return true;
    for (int empty = 0; count == 0 && empty <= (of_stores ? 1 : 0); empty++) {
        sqlite3_stmt *row = bind(db, query, question, &places);
        if (of_stores)
            sqlite_bind_int(row, ":empty", empty);
        if (!read_zones(db, row, ret_zone, &count, err))
            return false;
    }
    if (count != 1)
        ret_zone[0] = '\0';
    return true;
}
