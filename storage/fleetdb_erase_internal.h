/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_ERASE_INTERNAL_H
#define STORAGE_FLEETDB_ERASE_INTERNAL_H

#include "storage/erase_words.h"
#include "storage/fleetdb_erase.h"
#include "storage/fleetdb_places.h"

/* For the files of fleetdb_erase only. */

/* The merchant's own tokens: those that are for it and for nothing else. */
#define FLEETDB_ERASE_ITS_TOKENS                                                                   \
    "(SELECT token FROM token_place GROUP BY token HAVING sum(merchant IS NOT :merchant) = 0)"
/* Whether c, of device_terminal, was so while t was, of standing or erased_standing; one that is
 * over at once was so for a moment. */
#define FLEETDB_ERASE_WHILE(c, t)                                                                  \
    t ".device = " c ".device AND " c ".from_ms < max(coalesce(" t                                 \
      ".to_ms, 9223372036854775807), " t ".from_ms + 1) AND " t ".from_ms < max(coalesce(" c       \
      ".to_ms, 9223372036854775807), " c ".from_ms + 1)"
/* Whether c was carried for another merchant, also if not for that one alone. */
#define FLEETDB_ERASE_ANOTHERS(c, its)                                                             \
    "EXISTS (SELECT 1 FROM standing t WHERE " FLEETDB_ERASE_WHILE(                                 \
        c, "t") " AND t.merchant <> " its " AND t.merchant NOT IN (SELECT id FROM merchant"        \
                " WHERE code = '" FLEETDB_NOWHERE "'))"
/* Whether any was that names the logical terminal of c. */
#define FLEETDB_ERASE_ANOTHER_CARRIED(c, its)                                                      \
    "EXISTS (SELECT 1 FROM device_terminal o WHERE o.logical_terminal = " c                        \
    ".logical_terminal AND " FLEETDB_ERASE_ANOTHERS("o", its) ")"
/* The next rows, and whether they are its. */
#define FLEETDB_ERASE_NEXT_RESULTS                                                                 \
    "SELECT r.id AS id, r.device, e.standing IS NOT NULL AS its, r.incarnation, r.seq, r.at_ms"    \
    " FROM result r LEFT JOIN erased_standing e ON e.standing = r.standing"                        \
    " WHERE r.id > :after ORDER BY r.id LIMIT :rows"
#define FLEETDB_ERASE_NEXT_EVENTS                                                                  \
    "SELECT v.id AS id, v.device, EXISTS (SELECT 1 FROM erased_standing e"                         \
    " WHERE e.device = v.device AND v.at_ms >= e.from_ms AND v.at_ms < e.to_ms) AS its,"           \
    " v.incarnation, v.seq, v.at_ms FROM event v WHERE v.id > :after ORDER BY v.id LIMIT :rows"

/* Where an erasure is, and what a step adds to it. */
struct fleetdb_erase_mark {
    int64_t erasure;
    enum fleetdb_erase_step step;
    int64_t after; /* in it */
    int64_t results, events, texts;
    int64_t done_ms;
};
void fleetdb_erase_next(struct fleetdb_erase_mark *mark);

/* What it is called, or was; read once, until they are forgotten. */
bool fleetdb_erase_words(struct fleetdb *db, struct erase_words **ret_words,
                         struct err *err) MUSTER_CHECK;
void fleetdb_erase_words_forget(struct fleetdb *db);

/* Takes the names of the places where it sold out of history. */
bool fleetdb_erase_places(struct fleetdb *db, struct err *err) MUSTER_CHECK;

/* Writes down what the walk over texts goes by, before anything has changed its name. */
bool fleetdb_erase_texts_begin(struct fleetdb *db, int64_t merchant, struct err *err) MUSTER_CHECK;
/* Goes on with it, `limit` texts, or devices, further; at its end comes the next step. */
bool fleetdb_erase_texts(struct fleetdb *db, int64_t limit, struct fleetdb_erase_mark *mark,
                         struct err *err) MUSTER_CHECK;
bool fleetdb_erase_texts_end(struct fleetdb *db, struct err *err) MUSTER_CHECK;
/* Labels that were set where it was. */
bool fleetdb_erase_labels(struct fleetdb *db, struct fleetdb_erase_mark *mark,
                          struct err *err) MUSTER_CHECK;

/* Of one that has just begun and will be taken back: counts what it would take. */
bool fleetdb_erase_look(struct fleetdb *db, int64_t look_ms, struct fleetdb_erasure *erasure,
                        struct err *err) MUSTER_CHECK;

#endif
