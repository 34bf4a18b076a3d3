/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_account.h"
#include "storage/fleetdb_internal.h"

#include <stdlib.h>

enum query {
    DEVICES,
    OPEN,
    OPEN_LOST,
    CLOSED,
    CLOSED_LOST,
    CONFLICTS,
    CLOSED_EACH,
    INCOMPLETE,
    DUPLICATES,
    AGED,
    ROWS, /* + lane - 1 */
    QUERIES = ROWS + FLEETDB_LANES,
};

#define SETTLED                                                                                    \
    "t.cumulative + coalesce((SELECT sum(g.last - g.first + 1) FROM stream_range g"                \
    " WHERE g.stream = t.id), 0)"
#define ROWS_OF(table)                                                                             \
    "SELECT count(*) FROM " table " WHERE device = :device AND incarnation = :incarnation"         \
    " AND seq BETWEEN :first AND :last"

static const char *const texts[QUERIES] = {
    [DEVICES] = "SELECT id, name FROM device WHERE name > :after ORDER BY name LIMIT :count",
    [OPEN] = "SELECT t.lane, t.last_seq, t.counted, " SETTLED ", " FLEETDB_NAMED
             ", t.incarnation, t.counted_lost FROM stream t LEFT JOIN hello h"
             " ON h.device = t.device WHERE t.device = :device",
    [OPEN_LOST] = "SELECT t.lane, l.reason, sum(l.last - l.first + 1) FROM stream t"
                  " JOIN stream_lost l ON l.stream = t.id WHERE t.device = :device GROUP BY 1, 2",
    [CLOSED] = "SELECT lane, streams, submitted, committed FROM account WHERE device = :device",
    [CLOSED_LOST] = "SELECT lane, reason, records FROM account_lost WHERE device = :device",
    [CONFLICTS] =
        "SELECT s.lane, s.kept + s.gone + s.beyond, (SELECT count(*) FROM (SELECT DISTINCT"
        " incarnation, seq FROM conflict WHERE device = s.device AND lane = s.lane"
        " AND settled_ms = 0)) FROM conflict_sum s WHERE s.device = :device",
    [CLOSED_EACH] = "SELECT incarnation, txn_last, event_last, health_last, txn_lost, event_lost,"
                    " health_lost FROM closed_incarnation WHERE device = :device",
    [INCOMPLETE] = "SELECT t.last_seq - (" SETTLED ") FROM stream t JOIN hello h"
                   " ON h.device = t.device WHERE t.cumulative < t.last_seq AND NOT " FLEETDB_NAMED,
    [DUPLICATES] = ROWS_OF("result_duplicate"),
    [AGED] = "SELECT records FROM account_aged WHERE device = :device AND lane = :lane",
    [ROWS + 0] = "SELECT count(*) FROM result_run u JOIN result r ON " FLEETDB_ROWS_OF_RUN
                 " WHERE u.device = :device AND u.incarnation = :incarnation AND u.first_seq <="
                 " :last AND u.last_seq >= :first AND r.seq BETWEEN :first AND :last",
    [ROWS + 1] = ROWS_OF("event"),
    [ROWS + 2] = ROWS_OF("health"),
};

const struct fleetdb_queries fleetdb_sum_queries = {texts, QUERIES};

static void add(uint64_t *sum, uint64_t more)
{
    *sum = more > INT64_MAX - *sum ? INT64_MAX : *sum + more;
}

void fleetdb_account_add(struct fleetdb_account *sum, const struct fleetdb_account *more)
{
    add(&sum->submitted, more->submitted);
    add(&sum->committed, more->committed);
    add(&sum->buffered, more->buffered);
    for (size_t reason = 0; reason < FLEETDB_LOSSES; reason++)
        add(&sum->lost[reason], more->lost[reason]);
    add(&sum->unaccounted, more->unaccounted);
    add(&sum->open, more->open);
    add(&sum->closed, more->closed);
    add(&sum->conflicts, more->conflicts);
    add(&sum->refused, more->refused);
}

static sqlite3_stmt *query_of(struct fleetdb *db, unsigned query, int64_t device)
{
    sqlite3_stmt *statement = fleetdb_query(db, FLEETDB_PART_SUMS, query);
    sqlite_bind_int(statement, ":device", device);
    return statement;
}

/* Runs `each` over the rows of one query on a device. */
struct walk {
    struct fleetdb *db;
    int64_t device;
    struct fleetdb_account *lanes;
    struct fleetdb_losses *losses; /* of the stream in hand */
    uint64_t rowless[FLEETDB_LANES];
};
static bool walk(struct walk *walk, unsigned query,
                 bool (*each)(struct walk *walk, sqlite3_stmt *row, struct err *err),
                 struct err *err)
{
    sqlite3_stmt *row = query_of(walk->db, query, walk->device);
    bool more = false;
    while (sqlite_row(walk->db->sqlite, row, &more, err)) {
        if (!more)
            return true;
        if (!each(walk, row, err)) {
            (void)sqlite3_reset(row);
            return false;
        }
    }
    return false;
}

static struct fleetdb_account *account_of(struct walk *walk, sqlite3_stmt *row)
{
    int lane = sqlite3_column_int(row, 0);
    if (lane < 1 || lane > FLEETDB_LANES)
        abort();
    return &walk->lanes[lane - 1];
}

static bool add_open(struct walk *walk, sqlite3_stmt *row, struct err *err)
{
    (void)err;
    struct fleetdb_account *account = account_of(walk, row);
    uint64_t last = sqlite_column_u64(row, 1), counted = sqlite_column_u64(row, 2);
    uint64_t settled = sqlite_column_u64(row, 3), missing = last > settled ? last - settled : 0;
    bool held = sqlite3_column_int(row, 4) != 0;
    account->open += last > 0;
    add(&account->submitted, last - counted);
    add(&account->committed, settled - counted); /* and lost, which is taken off below */
    add(held ? &account->buffered : &account->unaccounted, missing);
    return true;
}

static bool add_closed(struct walk *walk, sqlite3_stmt *row, struct err *err)
{
    (void)err;
    struct fleetdb_account *account = account_of(walk, row);
    add(&account->closed, sqlite_column_u64(row, 1));
    add(&account->submitted, sqlite_column_u64(row, 2));
    add(&account->committed, sqlite_column_u64(row, 3));
    return true;
}

static uint64_t *loss_of(struct walk *walk, sqlite3_stmt *row)
{
    int64_t reason = sqlite3_column_int64(row, 1);
    if (reason < 1 || reason >= FLEETDB_LOSSES)
        reason = FLEETDB_LOST_UNKNOWN;
    return &account_of(walk, row)->lost[reason];
}

static bool add_open_lost(struct walk *walk, sqlite3_stmt *row, struct err *err)
{
    (void)err;
    uint64_t lost = sqlite_column_u64(row, 2);
    account_of(walk, row)->committed -= lost;
    add(loss_of(walk, row), lost);
    return true;
}

static bool add_closed_lost(struct walk *walk, sqlite3_stmt *row, struct err *err)
{
    (void)err;
    add(loss_of(walk, row), sqlite_column_u64(row, 2));
    return true;
}

static bool add_conflicts(struct walk *walk, sqlite3_stmt *row, struct err *err)
{
    (void)err;
    add(&account_of(walk, row)->conflicts, sqlite_column_u64(row, 1));
    add(&account_of(walk, row)->refused, sqlite_column_u64(row, 2));
    return true;
}

/* ---- are the rows there? ---- */

struct part {
    uint64_t incarnation;
    int lane;
    uint64_t first, last, lost; /* so many of them need no row */
};

/* Counts what the part lacks. */
static bool check_part(struct walk *walk, const struct part *part, struct err *err)
{
    uint64_t found = 0;
    const unsigned queries[] = {ROWS + (unsigned)part->lane - 1, DUPLICATES};
    for (size_t i = 0; part->last >= part->first && i < (part->lane == 1 ? 2 : 1); i++) {
        int64_t rows = 0;
        sqlite3_stmt *statement = query_of(walk->db, queries[i], walk->device);
        sqlite_bind_u64(statement, ":incarnation", part->incarnation);
        sqlite_bind_u64(statement, ":first", part->first);
        sqlite_bind_u64(statement, ":last", part->last);
        if (!sqlite_value(walk->db->sqlite, statement, 0, &rows, err))
            return false;
        found += (uint64_t)rows;
    }
    uint64_t due = part->last >= part->first ? part->last - part->first + 1 - part->lost : 0;
    if (found < due)
        add(&walk->rowless[part->lane - 1], due - found);
    return true;
}

static bool check_closed(struct walk *walk, sqlite3_stmt *row, struct err *err)
{
    for (int lane = 1; lane <= FLEETDB_LANES; lane++) {
        const struct part part = {.incarnation = sqlite_column_u64(row, 0),
                                  .lane = lane,
                                  .first = 1,
                                  .last = sqlite_column_u64(row, lane),
                                  .lost = sqlite_column_u64(row, FLEETDB_LANES + lane)};
        if (!check_part(walk, &part, err))
            return false;
    }
    return true;
}

/* first..last are settled: what of it is not lost must be there. `*at` is the first loss that may
 * lie in it. */
static bool check_settled(struct walk *walk, const struct fleetdb_stream *stream, uint64_t first,
                          uint64_t last, const struct fleetdb_losses *losses, size_t *at,
                          struct err *err)
{
    struct part part = {stream->incarnation, stream->lane, first, last, 0};
    for (; *at < losses->count && losses->ranges[*at].first <= last; ++*at) {
        part.last = losses->ranges[*at].first - 1;
        if (!check_part(walk, &part, err))
            return false;
        part.first = losses->ranges[*at].last + 1;
    }
    part.last = last;
    return check_part(walk, &part, err);
}

static bool check_stream(struct walk *walk, const struct fleetdb_stream *stream, uint64_t counted,
                         uint64_t counted_lost, struct err *err)
{
    const struct part before = {stream->incarnation, stream->lane, 1, counted, counted_lost};
    struct fleetdb_losses *losses = walk->losses;
    size_t at = 0;
    if (!fleetdb_losses_read(walk->db, stream->stream, losses, err) ||
        !check_part(walk, &before, err) ||
        !check_settled(walk, stream, counted + 1, stream->cumulative, losses, &at, err))
        return false;
    for (size_t i = 0; i < stream->range_count; i++) {
        if (!check_settled(walk, stream, stream->ranges[i].first, stream->ranges[i].last, losses,
                           &at, err))
            return false;
    }
    return true;
}

static bool check_open(struct walk *walk, sqlite3_stmt *row, struct err *err)
{
    struct fleetdb_stream stream;
    return fleetdb_stream_read(walk->db, walk->device, sqlite_column_u64(row, 5),
                               sqlite3_column_int(row, 0), &stream, err) &&
           check_stream(walk, &stream, sqlite_column_u64(row, 2), sqlite_column_u64(row, 6), err);
}

/* What has no row was removed by age, or nobody knows where it is. */
static bool judge_rowless(struct walk *walk, int lane, struct err *err)
{
    struct fleetdb_account *account = &walk->lanes[lane - 1];
    int64_t aged = 0;
    sqlite3_stmt *statement = query_of(walk->db, AGED, walk->device);
    sqlite_bind_int(statement, ":lane", lane);
    if (!sqlite_value(walk->db->sqlite, statement, 0, &aged, err))
        return false;
    uint64_t missing = walk->rowless[lane - 1];
    missing = missing > (uint64_t)aged ? missing - (uint64_t)aged : 0;
    account->committed -= missing;
    add(&account->unaccounted, missing);
    return true;
}

static bool check_rows_of(struct walk *of, struct err *err)
{
    of->losses = malloc(sizeof *of->losses);
    if (of->losses == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for an account");
    bool done = walk(of, OPEN, check_open, err) && walk(of, CLOSED_EACH, check_closed, err);
    free(of->losses);
    for (int lane = 1; done && lane <= FLEETDB_LANES; lane++)
        done = judge_rowless(of, lane, err);
    return done;
}

/* ---- the account ---- */

bool fleetdb_account_of(struct fleetdb *db, int64_t device, bool check_rows,
                        struct fleetdb_account ret_lanes[FLEETDB_LANES], struct err *err)
{
    for (int lane = 0; lane < FLEETDB_LANES; lane++)
        ret_lanes[lane] = (struct fleetdb_account){0};
    struct walk of = {.db = db, .device = device, .lanes = ret_lanes};
    return walk(&of, OPEN, add_open, err) && walk(&of, OPEN_LOST, add_open_lost, err) &&
           walk(&of, CLOSED, add_closed, err) && walk(&of, CLOSED_LOST, add_closed_lost, err) &&
           walk(&of, CONFLICTS, add_conflicts, err) && (!check_rows || check_rows_of(&of, err));
}

bool fleetdb_account_each(struct fleetdb *db, const char *after, size_t count,
                          bool (*each)(void *ctx, const char *id,
                                       const struct fleetdb_account lanes[FLEETDB_LANES],
                                       struct err *err),
                          void *ctx, struct err *err)
{
    struct fleetdb_account lanes[FLEETDB_LANES];
    sqlite3_stmt *row = fleetdb_query(db, FLEETDB_PART_SUMS, DEVICES);
    bool more = false;
    sqlite_bind_text(row, ":after", after);
    sqlite_bind_int(row, ":count", (int64_t)count);
    while (sqlite_row(db->sqlite, row, &more, err)) {
        if (!more)
            return true;
        if (!fleetdb_account_of(db, sqlite3_column_int64(row, 0), false, lanes, err) ||
            !each(ctx, sqlite_column_text(row, 1), lanes, err)) {
            (void)sqlite3_reset(row);
            return false;
        }
    }
    return false;
}

bool fleetdb_unaccounted(struct fleetdb *db, uint64_t *ret_records, struct err *err)
{
    sqlite3_stmt *row = fleetdb_query(db, FLEETDB_PART_SUMS, INCOMPLETE);
    uint64_t sum = 0;
    bool more = false;
    while (sqlite_row(db->sqlite, row, &more, err)) {
        if (!more) {
            *ret_records = sum;
            return true;
        }
        add(&sum, sqlite_column_u64(row, 0));
    }
    return false;
}
