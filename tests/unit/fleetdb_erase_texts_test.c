/* SPDX-License-Identifier: Apache-2.0 */
/* Where a merchant is named, in all that is kept. */
#include "storage/fleetdb_places.h"
#include "tests/unit/erase_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

extern const char *const fleetdb_migrations[];
enum { BEFORE_THIS = 26 }; /* the newest migration without erasure by whose it is */

/* ---- what it was called ---- */

static void call(struct world *world, const char *merchant, const char *store, const char *address)
{
    int64_t row = 0;
    const struct fleetdb_change change = {.who = "uid 0", .why = "", .now_ms = 5};
    const struct fleetdb_store what = {.merchant = "goldfinch",
                                       .merchant_name = merchant,
                                       .store = "gf-1",
                                       .store_name = store,
                                       .address = address};
    assert_true(fleetdb_store_put(world->fleet->db, &what, &change, &row, NULL));
}

static void note(struct world *world, const char *text)
{
    assert_true(fleetdb_audit(world->fleet->db, 5, "uid 0", "assign", 2, text, NULL));
}

static void former_names_go_too(void **state)
{
    static const char *const former[] = {"Finken Handel", "Linnet Hall", "9 Linnet Lane"};
    struct world *world = *state;
    erase_fill(world);
    call(world, former[0], NULL, NULL);
    call(world, "Goldfinch Trading 金翅", former[1], NULL);
    call(world, former[0], NULL, former[2]); /* once more */
    call(world, "Now", "Now", "Nowhere");
    for (size_t i = 0; i < 3; i++)
        note(world, former[i]);
    note(world, "at 7 Finch Lane, once");
    note(world, "nothing to do with it");
    assert_int_equal(erase_number(world, "SELECT count(*) FROM former_name"), 6);
    erase_begin(world);
    erase_finish(world);
    erase_nothing_is_left(world);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(erase_found(world, former[i]), 0);
    assert_true(erase_found(world, "nothing to do with it") > 0);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM former_name"), 0);
}

static void a_group_by_a_former_name_is_removed_first(void **state)
{
    struct world *world = *state;
    struct fleetdb_erasure erasure;
    struct err err = {0};
    erase_fill(world);
    call(world, "Finken", NULL, NULL);
    erase_doctor(world, "INSERT INTO device_group (name, selector, changed_ms, who)"
                        " VALUES ('plaza', 'shop=goldfinch plaza', 1, 'uid 0')");
    call(world, NULL, "Now", NULL);
    assert_false(erase_order(world, true, false, &erasure, &err));
    assert_non_null(strstr(err.text, "group plaza"));
}

static void any_case_of_its_letters_goes(void **state)
{
    struct world *world = *state;
    erase_fill(world);
    note(world, "called GOLDFINCH PLAZA about gf000001");
    note(world, "at 7 FINCH lane");
    erase_begin(world);
    erase_finish(world);
    assert_int_equal(erase_found(world, "GOLDFINCH PLAZA"), 0);
    assert_int_equal(erase_found(world, "7 FINCH lane"), 0);
}

/* ---- what devices told ---- */

/* Of t1 while it stood there and after; of t2, which names it, and which does not. */
static void tell(struct world *world)
{
    char sql[4096];
    (void)snprintf(
        sql, sizeof sql,
        "DELETE FROM device_apply; DELETE FROM device_keys; DELETE FROM key_slot;"
        "DELETE FROM device_package; DELETE FROM device_item;"
        "CREATE TEMP TABLE said (device, name, at_ms, text);"
        "INSERT INTO said VALUES (1, 'a', %lld, 'the drawer is open'), (1, 'b', %lld, 'all well'),"
        " (2, 'a', %lld, 'no way to GOLDFINCH'), (2, 'b', %lld, 'all well');"
        "INSERT INTO device_keys SELECT device, 1, 1, 1, 0, 0, at_ms, text FROM said"
        " WHERE name = 'a';"
        "INSERT INTO key_slot SELECT device, name, '', '', 1, 1, x'', 1, text FROM said"
        " WHERE name = 'a';"
        "INSERT INTO device_package SELECT device, name, 1, 1, 1, '1', '1', text, at_ms FROM said;"
        "INSERT INTO device_item (device, name, wanted_version, held_version, wanted_sha256,"
        " held_sha256, state, source, reason, updated_ms) SELECT device, name, 1, 1, x'', x'', 1,"
        " 1, text, at_ms FROM said;"
        "INSERT INTO device_apply (device, step, manifest_version, generation, good_generation,"
        " waits_for, waited_ms, asks_after_ms, opens_after_ms, results, suspect, before_results,"
        " before_suspect, results_needed, probation_left_ms, why, refusal, received_ms)"
        " SELECT device, 1, 1, 1, 1, text, 0, 0, 0, 0, 0, 0, 0, 0, 0, text, 0, at_ms FROM said"
        " WHERE name = 'a'",
        (long long)WORLD_WALL_MS + 7200000, (long long)WORLD_WALL_MS + world->now_ms,
        (long long)WORLD_WALL_MS, (long long)WORLD_WALL_MS);
    erase_doctor(world, sql);
}

static void what_devices_told_of_themselves_goes(void **state)
{
    struct world *world = *state;
    erase_fill(world);
    erase_enrol(world, "other", "o-1");
    tell(world);
    struct fleetdb_erasure erasure;
    assert_true(erase_order(world, false, false, &erasure, NULL));
    erase_finish(world);
    erase_nothing_is_left(world);
    assert_int_equal(erase_found(world, "the drawer is open"), 0);
    assert_int_equal(erase_found(world, "no way to"), 0);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM device_package"
                                         " WHERE name = 'b' AND text = 'all well'"),
                     2);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM device_item"
                                         " WHERE name = 'b' AND reason = 'all well'"),
                     2);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM device_apply"
                                         " WHERE why = 'erased' AND waits_for = 'erased'"),
                     2);
}

/* ---- the look ---- */

static void a_look_counts_what_would_go(void **state)
{
    struct world *world = *state;
    struct fleetdb_erasure looked, done;
    erase_fill(world);
    note(world, "called GOLDFINCH PLAZA");
    tell(world);
    erase_doctor(world, "INSERT INTO device_label (device, name, value) VALUES (1, 'a', 'b')");
    struct fleetdb_erase_order order = {
        .merchant = "goldfinch", .who = "uid 0", .force = true, .dry_run = true, .look_ms = 60000};
    const int64_t now_ms = WORLD_WALL_MS + world->now_ms;
    assert_true(fleetdb_erase_begin(world->fleet->db, &order, now_ms, &looked, NULL));
    assert_false(looked.in_part);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM device_label"), 1);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM erased_author"), 0);
    order.dry_run = false;
    assert_true(fleetdb_erase_begin(world->fleet->db, &order, now_ms, &done, NULL));
    assert_int_equal(done.results, 0);
    erase_finish(world);
    assert_true(looked.texts > 10);
    assert_int_equal(looked.texts, erase_number(world, "SELECT texts FROM erasure"));
    assert_int_equal(looked.events, erase_number(world, "SELECT events FROM erasure"));
    assert_int_equal(looked.results, ROUNDS * EACH);
    erase_nothing_is_left(world);
}

static void a_look_without_time_says_so(void **state)
{
    struct world *world = *state;
    struct fleetdb_erasure looked;
    erase_fill(world);
    assert_true(erase_order(world, true, true, &looked, NULL));
    assert_true(looked.in_part);
    assert_int_equal(looked.results, 0);
    assert_int_equal(looked.stores, 1);
}

/* ---- in the midst ---- */

/* As after a kill between any two steps. */
static void a_restart_forgets_none_of_it(void **state)
{
    struct world *world = *state;
    char path[PATH_CHARS];
    erase_path(world, "", path);
    erase_fill(world);
    call(world, "Finken Handel", "Linnet Hall", NULL);
    note(world, "linnet hall has called");
    note(world, "FINKEN HANDEL too");
    tell(world);
    erase_begin(world);
    collector_close(world->collector);
    for (int steps = 0; fleetdb_erasing(world->fleet->db); steps++) {
        assert_true(steps < 2000);
        assert_true(fleetdb_erase_step(world->fleet->db, 20, WORLD_WALL_MS, NULL));
        fleetdb_close(world->fleet->db);
        assert_true(fleetdb_open(path, &world->fleet->db, NULL));
    }
    world_start(world);
    erase_nothing_is_left(world);
    assert_int_equal(erase_found(world, "linnet hall"), 0);
    assert_int_equal(erase_found(world, "FINKEN HANDEL"), 0);
    assert_int_equal(erase_found(world, "the drawer is open"), 0);
    assert_int_equal(erase_number(world, "SELECT count(*) FROM audit"
                                         " WHERE who GLOB 'token erased-[0-9]*'"),
                     1);
}

/* As an earlier musterd left it amid its walk over texts, with its tokens renamed already. */
static void make_older(const char *path)
{
    static const char past[] =
        "INSERT INTO merchant (id, code, name) VALUES (3, 'erased-3', '');"
        "INSERT INTO device (id, name, serial, model, enrolled_ms, updated_ms)"
        " VALUES (1, 't1', 's', 'M1', 1, 1);"
        "INSERT INTO standing (id, device, merchant, life, from_ms, to_ms, why, who)"
        " VALUES (1, 1, NULL, 'in_service', 1, 9, 'erased', ''),"
        " (2, 1, NULL, 'spare', 9, NULL, 'erased', 'musterd');"
        "INSERT INTO device_label (device, name, value) VALUES (1, 'shop', 'the corner one');"
        "INSERT INTO token (id, name, sha256, role, scope, made_ms, made_by, revoked_ms)"
        " VALUES (1, 'erased-1', x'01', 'viewer', 'merchant', 1, 'token goldfinch-till', 9),"
        " (2, 'goldfinch-ops', x'02', 'admin', 'fleet', 1, 'uid 0', 0);"
        "INSERT INTO audit (at_ms, who, what, text) VALUES (1, 'token goldfinch-till', 'a',"
        " 'Goldfinch'), (2, 'token goldfinch-ops', 'a', 'b');"
        "INSERT INTO erasure (who, begun_ms, merchant, step, after, stores, devices, terminals,"
        " tokens) VALUES ('uid 0', 9, 3, 3, 9000000000000000, 1, 1, 0, 1);"
        "INSERT INTO erased_word (word) VALUES ('goldfinch'), ('Goldfinch');"
        "INSERT INTO erased_standing (standing, device, from_ms, to_ms) VALUES (1, 1, 1, 9);"
        "PRAGMA application_id = 0x4d736644";
    sqlite3 *raw = NULL;
    char *why = NULL, version[32];
    assert_int_equal(sqlite3_open(path, &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw, "PRAGMA auto_vacuum = INCREMENTAL", NULL, NULL, NULL),
                     SQLITE_OK);
    for (size_t i = 0; i < BEFORE_THIS; i++)
        assert_int_equal(sqlite3_exec(raw, fleetdb_migrations[i], NULL, NULL, NULL), SQLITE_OK);
    (void)snprintf(version, sizeof version, "PRAGMA user_version = %d", BEFORE_THIS);
    if (sqlite3_exec(raw, past, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s", why);
    assert_int_equal(sqlite3_exec(raw, version, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(raw), SQLITE_OK);
}

static void one_of_an_earlier_musterd_comes_to_its_end(void **state)
{
    struct world *world = *state;
    char path[PATH_CHARS];
    erase_path(world, "-older", path);
    collector_close(world->collector);
    fleetdb_close(world->fleet->db);
    make_older(path);
    assert_true(fleetdb_open(path, &world->fleet->db, NULL));
    assert_true(fleetdb_erasing(world->fleet->db));
    erase_finish(world);
    fleetdb_close(world->fleet->db);
    erase_path(world, "", path);
    assert_true(fleetdb_open(path, &world->fleet->db, NULL));
    world_start(world);
    sqlite3 *older = NULL;
    sqlite3_stmt *row = NULL;
    erase_path(world, "-older", path);
    assert_int_equal(sqlite3_open(path, &older), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(older,
                           "SELECT group_concat(who || '/' || text, ' '), (SELECT"
                           " group_concat(name || '/' || made_by, ' ') FROM token), (SELECT"
                           " count(*) FROM device_label) + (SELECT count(*) FROM merchant)"
                           " FROM (SELECT * FROM audit WHERE what = 'a' ORDER BY id)",
                           -1, &row, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(row, 0),
                        "erased/erased token goldfinch-ops/b");
    assert_string_equal((const char *)sqlite3_column_text(row, 1),
                        "erased-1/erased goldfinch-ops/uid 0");
    assert_int_equal(sqlite3_column_int(row, 2), 0);
    (void)sqlite3_finalize(row);
    (void)sqlite3_close(older);
}

/* ---- all texts there are ---- */

/* Where people, or devices in words of their own, may have named a merchant, an erasure looks; why
 * it need not elsewhere. */
static const struct {
    const char *columns, *why;
} decided[] = {
    {"action.note action.text audit.text device_apply.waits_for device_apply.why "
     "device_item.reason device_keys.why device_label.value device_package.text key_slot.why "
     "registration_duty.note registration_duty.why standing.why webhook.trouble",
     "walked, by its words"},
    {"audit.who device_group.who erasure.who registration_duty.done_who registration_duty.who "
     "standing.who token.made_by webhook.made_by token.name",
     "by whose token it is"},
    {"event.item event.text result.auth_code result.code result.issuer_bucket result.rrn "
     "result.app_version result.firmware_version logical_terminal.acquirer logical_terminal.mid "
     "logical_terminal.tid merchant.code merchant.name store.address store.code store.name "
     "store.opening_hours store.time_zone former_name.name erased_word.word erased_author.who "
     "erased_author.becomes",
     "rows that go whole"},
    {"device_group.name device_group.selector webhook.name webhook.url",
     "nothing begins while one names it"},
    {"device.name device.serial device.model device_label.name document.name assignment.name "
     "final.name region.name region.time_zone device_item.name device_package.name key_slot.slot",
     "names that ops give, told in README"},
    {"action.name audit.what device.life_cycle device_package.running device_package.wanted "
     "device_report.agent_version erased_table.name kept.kind key_slot.algorithm key_slot.usage "
     "presence.state presence_news.detail registration_duty.act rollup_device_hour.code "
     "rollup_key.code rollup_key.issuer rollup_key.name software.app software.firmware "
     "software.model standing.life token.role token.scope",
     "words of a list, numbers, versions, regions and models"},
};

static bool is_decided(const char *column)
{
    char all[2048], *rest = NULL;
    for (size_t i = 0; i < sizeof decided / sizeof *decided; i++) {
        (void)snprintf(all, sizeof all, "%s", decided[i].columns);
        for (char *name = strtok_r(all, " ", &rest); name != NULL;
             name = strtok_r(NULL, " ", &rest))
            if (strcmp(name, column) == 0)
                return true;
    }
    return false;
}

static void it_is_known_of_each_text_whether_it_is_looked_at(void **state)
{
    struct world *world = *state;
    unsigned texts = 0;
    sqlite3 *db = temp_fleet_beside(world->fleet);
    sqlite3_stmt *row = NULL;
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT m.name || '.' || c.name FROM sqlite_master m,"
                                        " pragma_table_info(m.name) c WHERE m.type = 'table'"
                                        " AND c.type = 'TEXT'",
                                        -1, &row, NULL),
                     SQLITE_OK);
    for (; sqlite3_step(row) == SQLITE_ROW; texts++) {
        const char *column = (const char *)sqlite3_column_text(row, 0);
        if (!is_decided(column))
            fail_msg("%s: may it name a merchant? (storage/fleetdb_erase_texts.c)", column);
    }
    assert_true(texts > 75);
    (void)sqlite3_finalize(row);
    (void)sqlite3_close(db);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(former_names_go_too),
        TEST(a_group_by_a_former_name_is_removed_first),
        TEST(any_case_of_its_letters_goes),
        TEST(what_devices_told_of_themselves_goes),
        TEST(a_look_counts_what_would_go),
        TEST(a_look_without_time_says_so),
        TEST(a_restart_forgets_none_of_it),
        TEST(one_of_an_earlier_musterd_comes_to_its_end),
        TEST(it_is_known_of_each_text_whether_it_is_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
