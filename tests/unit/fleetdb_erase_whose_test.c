/* SPDX-License-Identifier: Apache-2.0 */
/* What is the merchant's goes, and what only sounds like it stays. */
#include "storage/fleetdb_labels.h"
#include "storage/fleetdb_places.h"
#include "storage/fleetdb_tokens.h"
#include "tests/unit/erase_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

/* Wherever somebody is named as the one who did something. */
#define AUTHORS                                                                                    \
    "(SELECT who FROM audit UNION ALL SELECT who FROM standing"                                    \
    " UNION ALL SELECT who FROM registration_duty UNION ALL SELECT done_who FROM "                 \
    "registration_duty"                                                                            \
    " UNION ALL SELECT made_by FROM token UNION ALL SELECT who FROM device_group"                  \
    " UNION ALL SELECT made_by FROM webhook UNION ALL SELECT who FROM erasure)"
enum { PLACES = 8 };

static void add_token(struct world *world, const char *name, const char *merchant)
{
    uint8_t sha256[32] = {0};
    struct err err = {0};
    (void)snprintf((char *)sha256, sizeof sha256, "%s", name);
    const struct fleetdb_token_order order = {.name = name,
                                              .sha256 = sha256,
                                              .role = FLEETDB_ADMIN,
                                              .scope = merchant == NULL ? FLEETDB_SCOPE_FLEET
                                                                        : FLEETDB_SCOPE_MERCHANT,
                                              .places = &merchant,
                                              .place_count = merchant != NULL};
    if (!fleetdb_token_add(world->fleet->db, &order, "uid 0", 5, &err))
        fail_msg("%s", err.text);
}

/* In each of the places. */
static void has_done_it_all(struct world *world, const char *who)
{
    char sql[2048];
    (void)snprintf(
        sql, sizeof sql,
        "INSERT INTO audit (at_ms, who, what, text) VALUES (1, '%s', 'assign', 'bins');"
        "INSERT INTO logical_terminal (acquirer, tid, mid) VALUES ('by-%zu', 'X1', 'X2');"
        "INSERT INTO registration_duty (device, logical_terminal, act, why, since_ms, who, done_ms,"
        " done_who) VALUES (2, last_insert_rowid(), 'bind', 'new', 1, '%s', 2, '%s');"
        "INSERT INTO standing (device, life, from_ms, to_ms, why, who)"
        " VALUES (2, 'spare', 0, 0, 'new', '%s');"
        "INSERT INTO token (name, sha256, role, scope, made_ms, made_by)"
        " VALUES ('by-%zu', randomblob(32), 'viewer', 'fleet', 1, '%s');"
        "INSERT INTO device_group (name, selector, changed_ms, who)"
        " VALUES ('by %zu', 'model=M1', 1, '%s');"
        "INSERT INTO webhook (name, url, secret, kinds, made_ms, made_by, after)"
        " VALUES ('by %zu', 'https://ops.example/', x'00', 0, 1, '%s', 0);"
        "INSERT INTO erasure (who, begun_ms, done_ms, merchant, step, stores, devices, terminals,"
        " tokens) VALUES ('%s', 1, 2, 99, 6, 0, 0, 0, 0)",
        who, strlen(who), who, who, who, strlen(who), who, strlen(who), who, strlen(who), who, who);
    erase_doctor(world, sql);
}

static int64_t times(struct world *world, const char *who)
{
    char sql[1024];
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM " AUTHORS " WHERE who = '%s'", who);
    return erase_number(world, sql);
}

static void its_tokens_are_named_by_number(void **state)
{
    struct world *world = *state;
    char was[64];
    erase_fill(world);
    has_done_it_all(world, "token goldfinch-desk");
    assert_true(fleetdb_token_revoke(world->fleet->db, "goldfinch-desk", "uid 0", 6, NULL));
    const int64_t token = erase_number(world, "SELECT id FROM token WHERE name = 'goldfinch-desk'");
    erase_begin(world);
    erase_finish(world);
    erase_nothing_is_left(world);
    (void)snprintf(was, sizeof was, "token erased-%lld", (long long)token);
    assert_int_equal(times(world, was), PLACES + 1); /* and what the world had it do */
    assert_int_equal(erase_number(world, "SELECT count(*) FROM audit WHERE text = 'erased'"
                                         " AND what IN ('token add', 'token revoke')"),
                     2);
}

/* A name with the merchant's in it is not the merchant's. */
static void a_strangers_token_keeps_its_name(void **state)
{
    struct world *world = *state;
    erase_fill(world);
    add_token(world, "goldfinch-ops", NULL);
    add_token(world, "goldfinch-and-m", "m");
    has_done_it_all(world, "token goldfinch-ops");
    has_done_it_all(world, "token goldfinch");
    assert_true(fleetdb_token_revoke(world->fleet->db, "goldfinch-and-m", "uid 0", 6, NULL));
    erase_begin(world);
    erase_finish(world);
    assert_int_equal(times(world, "token goldfinch-ops"), PLACES);
    assert_int_equal(times(world, "token goldfinch"), PLACES);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM token WHERE revoked_ms = 0"
                                         " AND name = 'goldfinch-ops'"),
                     1);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM audit WHERE what = 'token add'"
                                         " AND text = 'goldfinch-ops: admin of the whole fleet'"),
                     1);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM audit WHERE what = 'token revoke'"
                                         " AND text = 'goldfinch-and-m'"),
                     1);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM audit WHERE what = 'token add'"
                                         " AND text LIKE 'goldfinch-desk%'"),
                     0);
}

/* It is for others too, of whom one goes. */
static void a_token_for_others_too_keeps_its_name(void **state)
{
    static const char *const places[] = {"goldfinch", "m"};
    static const uint8_t sha256[32] = {9};
    const struct fleetdb_token_order order = {.name = "both-desks",
                                              .sha256 = sha256,
                                              .scope = FLEETDB_SCOPE_MERCHANT,
                                              .places = places,
                                              .place_count = 2};
    struct world *world = *state;
    erase_fill(world);
    assert_true(fleetdb_token_add(world->fleet->db, &order, "uid 0", 5, NULL));
    has_done_it_all(world, "token both-desks");
    erase_begin(world);
    erase_finish(world);
    erase_nothing_is_left(world);
    assert_int_equal(times(world, "token both-desks"), PLACES);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM token t JOIN token_place p"
                                         " ON p.token = t.id WHERE t.name = 'both-desks'"
                                         " AND t.revoked_ms = 0"),
                     1);
}

/* Or what it does would be taken for what the other did. */
static void its_tokens_names_are_free_at_the_end(void **state)
{
    struct world *world = *state;
    static const uint8_t sha256[32] = {9};
    const struct fleetdb_token_order order = {.name = "goldfinch-desk", .sha256 = sha256};
    struct err err = {0};
    erase_fill(world);
    erase_begin(world);
    assert_false(fleetdb_token_add(world->fleet->db, &order, "uid 0", 5, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.text, "is being erased"));
    erase_finish(world);
    assert_true(fleetdb_token_add(world->fleet->db, &order, "uid 0", 5, NULL));
}

/* Of the same name, and by the same words. */
static void who_is_set_up_anew_is_another(void **state)
{
    struct world *world = *state;
    const struct fleetdb_label label = {"shop", "Goldfinch Plaza"};
    erase_fill(world);
    erase_begin(world);
    erase_enrol(world, "goldfinch", "gf-1");
    assert_true(fleetdb_label_put(world->fleet->db, 1, &label, NULL));
    assert_true(fleetdb_audit(world->fleet->db, 5, "uid 0", "assign", 1,
                              "bin-table for Goldfinch Plaza", NULL));
    erase_doctor(world, "INSERT INTO registration_duty (device, logical_terminal, act, why,"
                        " since_ms, who, note) SELECT 2, max(id), 'bind', 'Goldfinch', 1, 'uid 0',"
                        " 'at 7 Finch Lane' FROM logical_terminal;"
                        "INSERT INTO action (device, name, kind, note, made_ms, expires_ms,"
                        " limit_bytes, text)"
                        " VALUES (1, 'a1', 1, 'Goldfinch', 1, 0, 0, 'Goldfinch')");
    erase_finish(world);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM audit"
                                         " WHERE text = 'bin-table for Goldfinch Plaza'"),
                     1);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM standing WHERE device = 1"
                                         " AND to_ms IS NULL AND why = 'opened at 7 Finch Lane'"),
                     1);
    assert_int_equal(
        erase_number(world, "SELECT count(*) FROM device_label WHERE value = 'Goldfinch Plaza'"),
        1);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM registration_duty"
                                         " WHERE why = 'Goldfinch' AND note = 'at 7 Finch Lane'"),
                     1);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM action WHERE note = 'Goldfinch'"
                                         " AND text = 'Goldfinch'"),
                     1);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM store WHERE address ="
                                         " '7 Finch Lane'"),
                     1);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM former_name"), 0);
}

/* ---- labels ---- */

static void label(struct world *world, const char *name, const char *value)
{
    const struct fleetdb_label label = {name, value};
    assert_true(fleetdb_label_put(world->fleet->db, 1, &label, NULL));
}

static bool has_label(struct world *world, const char *name)
{
    char sql[128];
    (void)snprintf(sql, sizeof sql,
                   "SELECT count(*) FROM device_label WHERE device = 1 AND name = '%s'"
                   " AND value <> 'erased'",
                   name);
    return erase_number(world, sql) == 1;
}

static void labels_go_by_where_they_were_set(void **state)
{
    struct world *world = *state;
    label(world, "batch", "2026-09"); /* before it stood there */
    erase_fill(world);
    label(world, "shop", "the corner one");
    label(world, "floor", "2");
    label(world, "till", "3");
    assert_true(fleetdb_audit(world->fleet->db, WORLD_WALL_MS + world->now_ms, "uid 0", "label", 1,
                              "set shop=the corner one", NULL));
    world->now_ms += 3600000;
    erase_enrol(world, "other", "o-1");
    label(world, "floor", "2"); /* said again there */
    label(world, "till", "4");
    label(world, "was", "GOLDFINCH plaza");
    label(world, "since", "2026");
    struct fleetdb_erasure erasure;
    assert_true(erase_order(world, false, false, &erasure, NULL));
    erase_finish(world);
    assert_true(has_label(world, "batch"));
    assert_false(has_label(world, "shop"));
    assert_true(has_label(world, "floor"));
    assert_true(has_label(world, "till"));
    assert_false(has_label(world, "was"));
    assert_true(has_label(world, "since"));
    assert_int_equal(erase_found(world, "the corner one"), 0);
}

/* From before it was written down where they were set. */
static void labels_of_unknown_time_go_with_whoever_was_there(void **state)
{
    struct world *world = *state;
    erase_fill(world);
    label(world, "shop", "the corner one");
    erase_enrol(world, "other", "o-1");
    erase_doctor(world, "UPDATE device_label SET standing = -(SELECT id FROM standing"
                        " WHERE device = 1 AND to_ms IS NULL)");
    struct fleetdb_erasure erasure;
    assert_true(erase_order(world, false, false, &erasure, NULL));
    erase_finish(world);
    assert_int_equal(erase_found(world, "the corner one"), 0);
}

/* ---- runs of results ---- */

static void runs_say_nothing_of_what_is_erased(void **state)
{
    struct world *world = *state;
    erase_fill(world);
    assert_true(erase_number(world, "SELECT count(*) FROM result_run WHERE device = 1") > 1);
    const int64_t others = erase_number(world, "SELECT count(*) FROM result_run WHERE device = 2");
    erase_begin(world);
    erase_finish(world);
    /* That they were, so that none of them comes again as a new one; and no row. */
    assert_int_equal(erase_number(world, "SELECT count(*) FROM result_run WHERE device = 1"), 1);
    assert_int_equal(erase_number(world, "SELECT last_seq FROM result_run WHERE device = 1"
                                         " AND first_seq = 1 AND first_row < 0"),
                     ROUNDS * EACH);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM result_run WHERE device = 2"),
                     others);
    erase_send(world, "t2", 1 + ROUNDS * EACH); /* takes numbers of rows that went */
    for (uint64_t round = 0; round < ROUNDS; round++)
        erase_send(world, "t1", 1 + round * EACH);
    (void)collector_turn(world->collector);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM result WHERE device = 1"), 0);
    erase_send(world, "t1", 1 + ROUNDS * EACH);
    (void)collector_turn(world->collector);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM result WHERE device = 1"), EACH);
    erase_sums_are_right(world);
    assert_int_equal(world_account(world).unaccounted, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(its_tokens_are_named_by_number),
        TEST(a_strangers_token_keeps_its_name),
        TEST(a_token_for_others_too_keeps_its_name),
        TEST(its_tokens_names_are_free_at_the_end),
        TEST(who_is_set_up_anew_is_another),
        TEST(labels_go_by_where_they_were_set),
        TEST(labels_of_unknown_time_go_with_whoever_was_there),
        TEST(runs_say_nothing_of_what_is_erased),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
