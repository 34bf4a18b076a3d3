/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/erase_world.h"

#include "storage/fleetdb_rollups.h"
#include "storage/fleetdb_spans.h"
#include "storage/fleetdb_tokens.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Everything that names it, or was its. */
const char *const erase_traces[ERASE_TRACES] = {
    "goldfinch", "Goldfinch", "金翅", "7 Finch Lane", "GF000001", "MIDGOLD0000001", "RGF", "gf-1"};

void erase_path(const struct world *world, const char *end, char path[PATH_CHARS])
{
    (void)snprintf(path, PATH_CHARS, "%s/fleet.db%s", world->fleet->dir, end);
}

int64_t erase_number(struct world *world, const char *sql)
{
    return temp_fleet_number(world->fleet, sql);
}

void erase_doctor(struct world *world, const char *sql)
{
    temp_fleet_change(world->fleet, sql);
}

void erase_sums_are_right(struct world *world)
{
    char text[120] = "";
    uint64_t wrong = 0;
    assert_true(fleetdb_rollups_check(world->fleet->db, &wrong, text, sizeof text, NULL));
    if (wrong != 0)
        fail_msg("%s", text);
    assert_true(fleetdb_spans_check(world->fleet->db, &wrong, NULL));
    assert_int_equal(wrong, 0);
}

/* ---- a merchant with a past ---- */

void erase_enrol(struct world *world, const char *merchant, const char *store)
{
    static const struct fleetdb_terminal carried[] = {
        {0, "unionpay", "GF000001", "MIDGOLD0000001"}};
    int64_t device = 0;
    struct err err = {0};
    const bool its = strcmp(merchant, "goldfinch") == 0;
    const struct fleetdb_enrolment enrolment = {
        .id = "t1",
        .serial = "t1",
        .model = "M1",
        .merchant_id = merchant,
        .merchant_name = its ? "Goldfinch Trading 金翅" : "Other",
        .store_id = store,
        .store_name = its ? "Goldfinch Plaza" : "Elsewhere",
        .address = its ? "7 Finch Lane" : "",
        .terminals = carried,
        .terminal_count = its,
        .who = "uid 0",
        .why = its ? "opened at 7 Finch Lane" : "moved from goldfinch/gf-1",
    };
    if (!fleetdb_enrol(world->fleet->db, &enrolment, WORLD_WALL_MS + world->now_ms, &device, &err))
        fail_msg("%s", err.text);
}

void erase_send(struct world *world, const char *device, uint64_t first)
{
    Muster__TxnResult txns[EACH];
    ProtobufCMessage *rows[EACH];
    char rrns[EACH][13];
    for (size_t i = 0; i < EACH; i++) {
        muster__txn_result__init(&txns[i]);
        (void)snprintf(rrns[i], sizeof rrns[i], "%s%07u", strcmp(device, "t1") == 0 ? "RGF" : "ROT",
                       (unsigned)(first + i));
        txns[i].wall_ms = WORLD_WALL_MS + world->now_ms;
        txns[i].outcome = MUSTER__OUTCOME__OUTCOME_DECLINED;
        txns[i].code = (char *)"57";
        txns[i].rrn = rrns[i];
        txns[i].amount_minor = 100 + i;
        rows[i] = &txns[i].base;
    }
    const struct lane_rows lane = {.lane = MUSTER__LANE__LANE_TXN,
                                   .incarnation = 5,
                                   .first_seq = first,
                                   .count = EACH,
                                   .rows = rows};
    struct buf batch = world_seal_lanes(world, device, &lane, 1);
    world_deliver(world, TOPIC_UP_BATCH, device, buf_bytes(&batch));
    buf_done(&batch);
}

/* Rows of both are side by side in every page. */
static void send_rounds(struct world *world)
{
    for (uint64_t round = 0; round < ROUNDS; round++) {
        erase_send(world, "t1", 1 + round * EACH);
        erase_send(world, "t2", 1 + round * EACH);
        (void)collector_turn(world->collector);
        world->now_ms += 600000;
    }
}

static void add_token(struct world *world)
{
    static const char *const places[] = {"goldfinch"};
    static const uint8_t sha256[32] = {7};
    const struct fleetdb_token_order order = {.name = "goldfinch-desk",
                                              .sha256 = sha256,
                                              .scope = FLEETDB_SCOPE_MERCHANT,
                                              .places = places,
                                              .place_count = 1};
    assert_true(fleetdb_token_add(world->fleet->db, &order, "uid 0", 5, NULL));
}

void erase_fill(struct world *world)
{
    erase_enrol(world, "goldfinch", "gf-1");
    world->now_ms += 3600000;
    add_token(world);
    send_rounds(world);
    world_send_event(world, 1, MUSTER__EVENT_KIND__EVENT_DRIFT, NULL,
                     WORLD_WALL_MS + world->now_ms);
    (void)collector_turn(world->collector);
    assert_true(fleetdb_audit(world->fleet->db, 5, "token goldfinch-desk", "assign", 0,
                              "bin-table for Goldfinch Plaza", NULL));
    world->now_ms += 3600000;
}

bool erase_order(struct world *world, bool force, bool dry_run, struct fleetdb_erasure *erasure,
                 struct err *err)
{
    const struct fleetdb_erase_order what = {
        .merchant = "goldfinch", .who = "uid 0", .force = force, .dry_run = dry_run};
    return fleetdb_erase_begin(world->fleet->db, &what, WORLD_WALL_MS + world->now_ms, erasure,
                               err);
}

void erase_begin(struct world *world)
{
    struct fleetdb_erasure erasure;
    struct err err = {0};
    if (!erase_order(world, true, false, &erasure, &err))
        fail_msg("%s", err.text);
    assert_true(erasure.erasure > 0);
}

void erase_finish(struct world *world)
{
    struct err err = {0};
    for (int steps = 0; fleetdb_erasing(world->fleet->db); steps++) {
        assert_true(steps < 10000);
        if (!fleetdb_erase_step(world->fleet->db, 50, WORLD_WALL_MS + world->now_ms, &err))
            fail_msg("%s", err.text);
    }
}

/* In the file or in its WAL. */
unsigned erase_found(struct world *world, const char *trace)
{
    static const char *const ends[] = {"", "-wal"};
    unsigned count = 0;
    for (size_t i = 0; i < 2; i++) {
        char path[PATH_CHARS];
        erase_path(world, ends[i], path);
        FILE *file = fopen(path, "rb");
        if (file == NULL)
            continue;
        assert_int_equal(fseek(file, 0, SEEK_END), 0);
        size_t length = (size_t)ftell(file);
        char *bytes = malloc(length + 1);
        rewind(file);
        assert_int_equal(fread(bytes, 1, length, file), length);
        (void)fclose(file);
        const char *at = bytes;
        while ((at = memmem(at, length - (size_t)(at - bytes), trace, strlen(trace))) != NULL) {
            count++;
            at++;
        }
        free(bytes);
    }
    return count;
}

void erase_nothing_is_left(struct world *world)
{
    for (size_t i = 0; i < ERASE_TRACES; i++)
        if (erase_found(world, erase_traces[i]) > 0)
            fail_msg("%s is still in the file", erase_traces[i]);
}
