/* SPDX-License-Identifier: Apache-2.0 */
/* The collector over the fleet's database, as musterd uses them, with a fault at every place. What
 * was sent is judged by the database's file alone: a receipt names nothing that is not there. */
#include "base/file.h"
#include "fleet/collector.h"
#include "proto/envelope.h"
#include "proto/unpack.h"
#include "tests/inject/sweep.h"
#include "tests/unit/collector_world.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TRIES_UNDER_FAULT = 2, /* then the fault is over */
    TRIES = 4,
    MESSAGES_MAX = 16,
    LOOK_AFTER = 16,
    PATH_BYTES = 128,
    RESULTS = 2,
    OLD = 7, /* incarnations */
    NEW = 8,
};

struct message {
    enum topic_kind kind;
    struct buf payload;
};

/* Made once, before any fault. */
static struct {
    struct world sealing; /* keys, and what was sent last */
    struct message messages[MESSAGES_MAX];
    size_t count;
} terminal;

enum {
    DB_MALLOC = 1 << FAULT_DB_MALLOC,
    MANY = 1 << FAULT_DB_READ | 1 << FAULT_DB_WRITE | 1 << FAULT_DB_SHM,
};

static struct {
    char path[PATH_BYTES];
    struct fleetdb *db;
    struct collector *collector;
    struct metrics metrics;
    struct clock clock;
    int64_t now_ms;
    bool failed, answered;
} desk;

static int64_t read_now_ms(void *ctx)
{
    (void)ctx;
    return WORLD_WALL_MS + desk.now_ms;
}

/* ---- the ports ---- */

static bool on_send(void *ctx, const char *topic, struct bytes payload)
{
    struct world *sent = &terminal.sealing;
    (void)ctx;
    faults_off();
    if (sent->sent == WORLD_SENT_MAX)
        abort();
    (void)snprintf(sent->topics[sent->sent], TOPIC_CHARS, "%s", topic);
    MUST(buf_append(&sent->payloads[sent->sent++], payload.data, payload.length, &err));
    faults_on();
    return true;
}

static void on_hello(void *ctx, const struct fleetdb_device *device, const Muster__Hello *hello,
                     struct wants *ret_wants, struct buf *ret_manifest)
{
    (void)ctx, (void)device, (void)hello, (void)ret_wants, (void)ret_manifest;
}

static void on_failed(void *ctx, const struct err *why)
{
    (void)ctx, (void)why;
    desk.failed = true;
}

static void stop(void)
{
    struct collector *collector = desk.collector;
    struct fleetdb *db = desk.db;
    desk.collector = NULL;
    desk.db = NULL;
    faults_on();
    collector_close(collector);
    fleetdb_close(db);
    faults_off();
}

static bool start(struct err *err)
{
    struct collector_settings settings = {
        .clock = &desk.clock,
        .metrics = &desk.metrics,
        .receipt_key = terminal.sealing.fleet->root_key,
        .director_key = terminal.sealing.fleet->director_key,
        .receipts = {.coalesce_ms = 200, .batches = 3},
    };
    const struct collector_ports ports = {.send = on_send, .hello = on_hello, .failed = on_failed};
    desk.failed = false;
    if (!UNDER_FAULTS(fleetdb_open(desk.path, &desk.db, err)))
        return false;
    settings.db = desk.db;
    if (UNDER_FAULTS(collector_open(&settings, &ports, &desk.collector, err)))
        return true;
    stop();
    return false;
}

/* ---- the verdict ---- */

static int64_t count_of(sqlite3 *db, const char *sql, uint64_t incarnation, uint64_t first,
                        uint64_t last)
{
    sqlite3_stmt *query = NULL;
    int64_t count = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &query, NULL) == SQLITE_OK &&
        sqlite3_bind_int64(query, 1, (int64_t)incarnation) == SQLITE_OK &&
        sqlite3_bind_int64(query, 2, (int64_t)first) == SQLITE_OK &&
        sqlite3_bind_int64(query, 3, (int64_t)last) == SQLITE_OK &&
        sqlite3_step(query) == SQLITE_ROW)
        count = sqlite3_column_int64(query, 0);
    else
        violation("the database cannot be read: %s", sqlite3_errmsg(db));
    (void)sqlite3_finalize(query);
    return count;
}

static void check_range(sqlite3 *db, const Muster__StreamReceipt *stream, uint64_t first,
                        uint64_t last)
{
    static const char results[] =
        "SELECT (SELECT count(*) FROM result WHERE incarnation = ?1 AND seq BETWEEN ?2 AND ?3) +"
        " (SELECT count(*) FROM result_duplicate WHERE incarnation = ?1 AND seq BETWEEN ?2 AND ?3)";
    /* One is declared lost; with its incarnation the declaration is closed. */
    static const char losses[] =
        "SELECT (SELECT count(*) FROM stream_lost JOIN stream ON stream.id = stream_lost.stream"
        " WHERE incarnation = ?1 AND lane = 1 AND first BETWEEN ?2 AND ?3) + (SELECT count(*) FROM"
        " closed_incarnation WHERE incarnation = ?1 AND txn_lost = 1 AND 3 BETWEEN ?2 AND ?3)";
    static const char events[] =
        "SELECT count(*) FROM event WHERE incarnation = ?1 AND seq BETWEEN ?2 AND ?3";
    bool is_txn = stream->lane == MUSTER__LANE__LANE_TXN;
    int64_t rows = count_of(db, is_txn ? results : events, stream->incarnation, first, last);
    if (is_txn)
        rows += count_of(db, losses, stream->incarnation, first, last);
    if (first <= last && rows != (int64_t)(last - first + 1))
        violation("receipted %" PRIu64 "..%" PRIu64 " of lane %d: %" PRId64 " of them are stored",
                  first, last, (int)stream->lane, rows);
}

static void check_receipt(sqlite3 *db, const Muster__Receipt *receipt)
{
    for (size_t i = 0; i < receipt->n_streams; i++) {
        const Muster__StreamReceipt *stream = receipt->streams[i];
        check_range(db, stream, 1, stream->cumulative);
        for (size_t k = 0; k < stream->n_ranges; k++)
            check_range(db, stream, stream->ranges[k]->first, stream->ranges[k]->last);
        if (stream->n_refused > 0 && (stream->refused[0]->first != 2 || stream->lane != 1))
            violation("a record is refused that no other stands in for");
    }
    if (receipt->n_undecodable > 0)
        violation("a sound batch is called undecodable");
}

/* Signatures are for other tests. */
static const ProtobufCMessage *opened(struct bytes sealed, const ProtobufCMessageDescriptor *type,
                                      struct arena *arena)
{
    const struct unpack_limits limits = {.max_bytes = 1 << 20};
    struct envelope envelope;
    ProtobufCMessage *message = NULL;
    MUST(envelope_read(sealed, &envelope, &err) &&
         unpack(type, envelope.body, &limits, arena, &message, &err));
    return message;
}

static void check_sealed_receipt(sqlite3 *db, struct bytes sealed)
{
    struct arena arena = {0};
    check_receipt(db,
                  (const Muster__Receipt *)opened(sealed, &muster__receipt__descriptor, &arena));
    arena_done(&arena);
}

static void check_welcome(sqlite3 *db, struct bytes sealed)
{
    struct arena arena = {0};
    const Muster__Welcome *welcome =
        (const Muster__Welcome *)opened(sealed, &muster__welcome__descriptor, &arena);
    if (welcome->n_again > 0)
        violation("a terminal shall send again what was never receipted");
    if (welcome->receipt.len > 0)
        check_sealed_receipt(db, bytes_of(welcome->receipt.data, welcome->receipt.len));
    arena_done(&arena);
}

static sqlite3 *read_file(void)
{
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(desk.path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        violation("the database does not open: %s", sqlite3_errmsg(db));
    return db;
}

/* What was sent since the last time, against the file; the database is closed. */
static void check_sent(void)
{
    struct world *sent = &terminal.sealing;
    if (sent->sent == 0)
        return;
    sqlite3 *db = read_file();
    for (size_t i = 0; i < sent->sent; i++) {
        if (strstr(sent->topics[i], "welcome") != NULL)
            check_welcome(db, buf_bytes(&sent->payloads[i]));
        else
            check_sealed_receipt(db, buf_bytes(&sent->payloads[i]));
    }
    (void)sqlite3_close(db);
    desk.answered = true;
    world_forget_sent(sent);
}

/* ---- a run ---- */

static void turn(void)
{
    faults_on();
    (void)collector_turn(desk.collector);
    faults_off();
    desk.now_ms += 300;
}

static bool running(void)
{
    struct err err = {0};
    for (int tries = 0; desk.db == NULL && tries < TRIES; tries++) {
        if (tries == TRIES_UNDER_FAULT)
            faults_end();
        if (!start(&err))
            check_sent();
    }
    if (desk.db == NULL)
        violation("does not recover: %s", err.text);
    return desk.db != NULL;
}

static void end_failed(void)
{
    if (!desk.failed)
        return;
    stop();
    check_sent();
}

static void deliver(size_t first, size_t count)
{
    char topic[TOPIC_CHARS];
    for (size_t i = first; i < first + count && i < terminal.count && running(); i++) {
        topic_device(terminal.messages[i].kind, "t1", topic);
        faults_on();
        collector_message(desk.collector, topic, buf_bytes(&terminal.messages[i].payload));
        faults_off();
    }
    if (!running())
        return;
    turn();
    end_failed();
}

/* How many results there are; each as it was sent. */
static int64_t results(void)
{
    static const char all[] =
        "SELECT count(*) FROM result WHERE incarnation = ?1 AND seq BETWEEN ?2 AND ?3";
    /* Of the two that claim seq 2 the first that was stored stays. */
    static const char wrong[] = "SELECT count(*) FROM result WHERE incarnation = ?1 AND seq BETWEEN"
                                " ?2 AND ?3 AND amount_minor <> seq AND seq <> 2";
    sqlite3 *db = read_file();
    int64_t count = count_of(db, all, OLD, 1, 100);
    if (count_of(db, wrong, OLD, 1, 100) != 0)
        violation("a result is not what was sent");
    (void)sqlite3_close(db);
    return count;
}

static void begin(const char *folder)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    memset(&desk, 0, sizeof desk);
    desk.clock = (struct clock){read_now_ms, read_now_ms, NULL};
    (void)snprintf(from, sizeof from, "%s/%s", sweep_dir(), folder);
    (void)snprintf(to, sizeof to, "%s/run", sweep_dir());
    (void)snprintf(desk.path, sizeof desk.path, "%s/run/fleet.db", sweep_dir());
    sweep_copy(from, to);
}

static void deliver_all(void)
{
    for (size_t i = 0; i < terminal.count; i += 2)
        deliver(i, 2);
    if (running())
        turn();
    stop();
    check_sent();
}

/* Opening is not counted here. */
static bool start_quietly(void)
{
    const struct fault fault = *faults_planned();
    struct err err = {0};
    faults_end();
    if (!start(&err))
        violation("does not open: %s", err.text);
    faults_plan(&fault);
    return desk.db != NULL;
}

/* Without the fault what is missing comes again, as from terminals that have no receipt. */
static void run_batches(void)
{
    begin("fleet");
    if (!start_quietly())
        return;
    deliver_all();
    faults_end();
    if (results() == RESULTS && desk.answered)
        return;
    deliver_all();
    if (results() != RESULTS || !desk.answered)
        violation("not every result is stored and answered in the end");
}

/* There are thousands of places. What the failed tries have left is looked at after some of them.
 */
static void run_open(void)
{
    static unsigned tries;
    struct err err = {0};
    bool look = ++tries % LOOK_AFTER == 0;
    if (tries % LOOK_AFTER == 1)
        begin("fleet");
    if (start(&err))
        stop();
    if (look && running())
        stop();
    if (look && results() != 0)
        violation("results out of nothing");
}

static void run_create(void)
{
    begin("empty");
    if (running())
        stop();
    if (results() != 0)
        violation("results out of nothing");
}

/* ---- what the terminal sends ---- */

static void add(enum topic_kind kind, struct buf payload)
{
    terminal.messages[terminal.count++] = (struct message){kind, payload};
}

static void add_results(uint64_t first, uint64_t last, uint64_t salt)
{
    add(TOPIC_UP_BATCH, world_seal_results(&terminal.sealing, "t1", OLD, first, last, salt));
}

static void add_both_lanes(void)
{
    Muster__TxnResult results[2];
    Muster__Event event = MUSTER__EVENT__INIT;
    ProtobufCMessage *txns[2], *events[] = {&event.base};
    const char *const keys[] = {"a key", "another key"};
    for (size_t i = 0; i < 2; i++) {
        results[i] = (Muster__TxnResult)MUSTER__TXN_RESULT__INIT;
        results[i].idempotency_key =
            (ProtobufCBinaryData){strlen(keys[i]), (uint8_t *)(uintptr_t)keys[i]};
        results[i].amount_minor = i + 1;
        results[i].wall_ms = WORLD_WALL_MS;
        txns[i] = &results[i].base;
    }
    event.wall_ms = WORLD_WALL_MS;
    event.kind = MUSTER__EVENT_KIND__EVENT_OPEN;
    event.text = (char *)(uintptr_t) "the agent started";
    const struct lane_rows lanes[] = {
        {.lane = MUSTER__LANE__LANE_TXN,
         .incarnation = OLD,
         .first_seq = 1,
         .count = 2,
         .rows = txns},
        {.lane = MUSTER__LANE__LANE_EVENT,
         .incarnation = OLD,
         .first_seq = 1,
         .count = 1,
         .rows = events},
    };
    add(TOPIC_UP_BATCH, world_seal_lanes(&terminal.sealing, "t1", lanes, 2));
}

static void add_loss(void)
{
    const struct lane_rows lane = {.lane = MUSTER__LANE__LANE_TXN,
                                   .incarnation = OLD,
                                   .first_seq = 3,
                                   .count = 1,
                                   .lost = MUSTER__LOSS_REASON__LOSS_QUOTA};
    add(TOPIC_UP_BATCH, world_seal_lanes(&terminal.sealing, "t1", &lane, 1));
}

/* Nothing of the incarnation before is open any more, it says: the fleet closes it. */
static void add_hello(void)
{
    uint8_t nonce[16] = "0123456789abcde";
    Muster__Hello hello = MUSTER__HELLO__INIT;
    struct buf body = {0};
    hello.nonce = (ProtobufCBinaryData){sizeof nonce, nonce};
    hello.incarnation = NEW;
    hello.boot_ms = 50;
    hello.starts = 2;
    MUST(pack(&hello.base, &body, &err));
    add(TOPIC_UP_HELLO, world_seal(&terminal.sealing, "hello", "t1", buf_bytes(&body)));
    buf_done(&body);
}

static void prepare(void)
{
    void *fleet = NULL;
    char from[PATH_BYTES], to[PATH_BYTES];
    (void)temp_fleet_open(&fleet);
    terminal.sealing.fleet = fleet;
    (void)temp_fleet_device(fleet, "t1");
    terminal.sealing.t1_key = world_key(&terminal.sealing, "t1");
    fleetdb_close(terminal.sealing.fleet->db);
    terminal.sealing.fleet->db = NULL;
    (void)snprintf(from, sizeof from, "%s/fleet.db", terminal.sealing.fleet->dir);
    (void)snprintf(to, sizeof to, "%s/fleet", sweep_dir());
    MUST(file_make_dir(to, 0755, &err));
    (void)snprintf(to, sizeof to, "%s/empty", sweep_dir());
    MUST(file_make_dir(to, 0755, &err));
    struct buf content = {0};
    (void)snprintf(to, sizeof to, "%s/fleet/fleet.db", sweep_dir());
    MUST(file_read(from, 64 << 20, &content, &err) &&
         file_write(to, buf_bytes(&content), 0600, &err));
    buf_done(&content);
    add_loss();
    add_both_lanes();
    add_results(2, 2, 9); /* other content */
    add_hello();
}

int main(int argc, char **argv)
{
    static const struct sweep_scene scenes[] = {
        /* Each want of memory once; one that lasts is the same wherever it begins, mostly. */
        {"batches", run_batches, 0, DB_MALLOC, 0},
        /* Opening prepares some 200 statements, which are all alike in this. */
        {"open", run_open, 0, DB_MALLOC, DB_MALLOC},
        /* What SQLite does to make tables is the spool's part too, and it is much of one kind. */
        {"create", run_create, DB_MALLOC, ~0u, MANY},
    };
    int code = sweep_main("fleet", prepare, scenes, sizeof scenes / sizeof *scenes, argc, argv);
    void *fleet = terminal.sealing.fleet;
    world_forget_sent(&terminal.sealing);
    sign_key_free(terminal.sealing.t1_key);
    for (size_t i = 0; i < terminal.count; i++)
        buf_done(&terminal.messages[i].payload);
    (void)temp_fleet_close(&fleet);
    return code;
}
