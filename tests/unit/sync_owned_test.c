/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of a file that another system owns, from what a look at it saw. */
#include "agent/sync.h"

#include "tests/unit/testing.h"

#include <string.h>

#define OBSERVE MUSTER__ASSIGN_MODE__MODE_OBSERVE
#define PROPOSE MUSTER__ASSIGN_MODE__MODE_PROPOSE
#define REPAIR MUSTER__ASSIGN_MODE__MODE_REPAIR
#define NONE MUSTER__DIFFERENCE_KIND__DIFFERENCE_NONE

struct bench {
    struct sync_wants wants;
    struct registry_items held;
    struct sync_seen seen;
    const struct registry_items *before; /* on probation beside this */
    struct sync_report row;
    bool converged;
};

static const uint8_t wanted[32] = {1}, other[32] = {2}, opened[32] = {3};

/* One document, wanted in version 7, owned by another system. */
static void begin(struct bench *bench, Muster__AssignMode mode, bool sealed)
{
    memset(bench, 0, sizeof *bench);
    struct registry_item *item = &bench->wants.wants[0].item;
    bench->wants.count = 1;
    bench->wants.wants[0].mode = mode;
    memcpy(item->name, "bin", 4);
    item->version = 7;
    item->length = 100;
    item->sealed = sealed;
    memcpy(item->sha256, wanted, 32);
    bench->seen = (struct sync_seen){.owned = true, .length = 90};
}

static void hold(struct bench *bench, uint64_t version, const uint8_t sha256[32], bool sealed)
{
    struct registry_item *item = &bench->held.items[0];
    bench->held.count = 1;
    memcpy(item->name, "bin", 4);
    item->version = version;
    item->sealed = sealed;
    memcpy(item->sha256, sha256, 32);
    if (sealed)
        memcpy(item->opened, opened, 32);
}

static void report(struct bench *bench, const struct sync_seen *look, enum sync_finding finding)
{
    const enum sync_finding findings[] = {finding};
    static const Muster__RepairSource sources[1];
    static const struct registry_failure failure;
    static const struct sync_blobs lacks;
    struct sync_report rows[2];
    const struct sync_seen *seen[] = {look};
    const struct sync_report_input input = {.wants = &bench->wants,
                                            .seen = seen,
                                            .held = {.list = &bench->held, .findings = findings},
                                            .sources = sources,
                                            .failure = &failure,
                                            .lacks = &lacks,
                                            .before = bench->before};
    assert_int_equal(sync_reports(&input, rows, &bench->converged), 1);
    bench->row = rows[0];
}

static void saw(struct bench *bench, Muster__DifferenceKind kind, const uint8_t sha256[32])
{
    bench->seen.kind = kind;
    memcpy(bench->seen.sha256, sha256, 32);
    report(bench, &bench->seen, SYNC_SOUND);
}

static bool is_zero(const uint8_t sha256[32])
{
    static const uint8_t zeros[32];
    return memcmp(sha256, zeros, 32) == 0;
}

static void test_the_file_counts_and_not_the_copy(void **state)
{
    struct bench bench;
    (void)state;
    begin(&bench, OBSERVE, false);
    hold(&bench, 7, wanted, false); /* as wanted, and nobody reads it */
    saw(&bench, NONE, other);
    assert_int_equal(bench.row.state, MUSTER__ITEM_STATE__ITEM_DRIFT);
    assert_int_equal(bench.row.difference.kind, MUSTER__DIFFERENCE_KIND__DIFFERENCE_CONTENT);
    assert_memory_equal(bench.row.held_sha256, other, 32);
    assert_int_equal(bench.row.held_version, 0);
    assert_false(bench.converged);
    hold(&bench, 3, other, false);
    saw(&bench, NONE, other);
    assert_int_equal(bench.row.held_version, 3); /* known here as that */
    saw(&bench, NONE, wanted);
    assert_int_equal(bench.row.state, MUSTER__ITEM_STATE__ITEM_OK);
    assert_int_equal(bench.row.held_version, 7);
    assert_string_equal(bench.row.reason, "");
    assert_true(bench.row.difference.owned); /* what is told as held is not the registry's */
    assert_true(bench.converged);
}

/* Ops are asked about what is known to differ, and not about what nobody could look at. */
static void test_only_what_is_known_to_differ_is_proposed(void **state)
{
    static const struct {
        Muster__DifferenceKind kind;
        Muster__ItemState observed, proposed;
    } cases[] = {
        {MUSTER__DIFFERENCE_KIND__DIFFERENCE_MISSING, MUSTER__ITEM_STATE__ITEM_MISSING,
         MUSTER__ITEM_STATE__ITEM_PROPOSED},
        {MUSTER__DIFFERENCE_KIND__DIFFERENCE_NO_FILE, MUSTER__ITEM_STATE__ITEM_DRIFT,
         MUSTER__ITEM_STATE__ITEM_PROPOSED},
        {MUSTER__DIFFERENCE_KIND__DIFFERENCE_TOO_LONG, MUSTER__ITEM_STATE__ITEM_DRIFT,
         MUSTER__ITEM_STATE__ITEM_PROPOSED},
        {MUSTER__DIFFERENCE_KIND__DIFFERENCE_UNREADABLE, MUSTER__ITEM_STATE__ITEM_UNKNOWN,
         MUSTER__ITEM_STATE__ITEM_UNKNOWN},
        {MUSTER__DIFFERENCE_KIND__DIFFERENCE_CHANGING, MUSTER__ITEM_STATE__ITEM_UNKNOWN,
         MUSTER__ITEM_STATE__ITEM_UNKNOWN},
        {MUSTER__DIFFERENCE_KIND__DIFFERENCE_NOT_LOOKED, MUSTER__ITEM_STATE__ITEM_UNKNOWN,
         MUSTER__ITEM_STATE__ITEM_UNKNOWN},
    };
    struct bench bench;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(&bench, OBSERVE, false);
        saw(&bench, cases[i].kind, other);
        assert_int_equal(bench.row.state, cases[i].observed);
        begin(&bench, PROPOSE, false);
        saw(&bench, cases[i].kind, other);
        assert_int_equal(bench.row.state, cases[i].proposed);
        assert_int_equal(bench.row.difference.kind, cases[i].kind);
        assert_true(is_zero(bench.row.held_sha256)); /* what was not read has none */
        assert_false(bench.converged);
    }
}

static void test_rows_count_only_against_what_is_wanted_now(void **state)
{
    struct bench bench;
    (void)state;
    begin(&bench, OBSERVE, false);
    bench.seen.rows = true;
    bench.seen.diff = (struct rowdiff){.only_found = 4, .only_wanted = 2, .first = 9};
    memcpy(bench.seen.rows_with, wanted, 32);
    saw(&bench, NONE, other);
    assert_true(bench.row.difference.rows);
    assert_int_equal(bench.row.difference.diff.first, 9);
    assert_non_null(strstr(bench.row.reason, "4 only here, 2 only wanted, from line 9"));
    memcpy(bench.seen.rows_with, opened, 32); /* of an earlier manifest */
    saw(&bench, NONE, other);
    assert_false(bench.row.difference.rows);
}

/* Of what is secret no hash leaves, nor a length; without the content there is no comparison. */
static void test_what_is_sealed(void **state)
{
    struct bench bench;
    (void)state;
    begin(&bench, PROPOSE, true);
    saw(&bench, NONE, opened);
    assert_int_equal(bench.row.difference.kind, MUSTER__DIFFERENCE_KIND__DIFFERENCE_SEALED);
    assert_int_equal(bench.row.state, MUSTER__ITEM_STATE__ITEM_UNKNOWN);
    assert_true(is_zero(bench.row.held_sha256));
    hold(&bench, 7, wanted, true);
    saw(&bench, NONE, other);
    assert_int_equal(bench.row.difference.kind, MUSTER__DIFFERENCE_KIND__DIFFERENCE_CONTENT);
    assert_int_equal(bench.row.state, MUSTER__ITEM_STATE__ITEM_PROPOSED);
    assert_true(is_zero(bench.row.held_sha256));
    assert_int_equal(bench.row.difference.wanted_bytes, 0);
    assert_int_equal(bench.row.difference.found_bytes, 0);
    assert_string_equal(bench.row.reason, "proposed to ops; not written here: another content");
    saw(&bench, MUSTER__DIFFERENCE_KIND__DIFFERENCE_TOO_LONG, other);
    assert_int_equal(bench.row.difference.found_bytes, 0);
    assert_null(strpbrk(bench.row.reason, "0123456789"));
    saw(&bench, NONE, opened);
    assert_int_equal(bench.row.state, MUSTER__ITEM_STATE__ITEM_OK);
    assert_memory_equal(bench.row.held_sha256, wanted, 32); /* what its header names */
}

/* What is held of another version may be as bad as any. */
static void test_a_held_file_that_is_not_what_it_was(void **state)
{
    static const Muster__AssignMode modes[] = {OBSERVE, PROPOSE};
    struct bench bench;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const bool asks = modes[i] == PROPOSE;
        begin(&bench, modes[i], false);
        hold(&bench, 3, other, false);
        bench.held.items[0].length = 90;
        report(&bench, NULL, SYNC_SOUND);
        assert_int_equal(bench.row.difference.kind, MUSTER__DIFFERENCE_KIND__DIFFERENCE_CONTENT);
        assert_int_equal(bench.row.difference.found_bytes, 90);
        report(&bench, NULL, SYNC_DAMAGED);
        assert_int_equal(bench.row.state,
                         asks ? MUSTER__ITEM_STATE__ITEM_PROPOSED : MUSTER__ITEM_STATE__ITEM_DRIFT);
        assert_int_equal(bench.row.difference.kind, MUSTER__DIFFERENCE_KIND__DIFFERENCE_DAMAGED);
        assert_int_equal(bench.row.difference.found_bytes, 0);
        assert_true(is_zero(bench.row.held_sha256));
        assert_non_null(strstr(bench.row.reason, ": the held file is damaged"));
        report(&bench, NULL, SYNC_MISSING);
        assert_int_equal(bench.row.state, asks ? MUSTER__ITEM_STATE__ITEM_PROPOSED
                                               : MUSTER__ITEM_STATE__ITEM_MISSING);
        assert_int_equal(bench.row.difference.kind, MUSTER__DIFFERENCE_KIND__DIFFERENCE_MISSING);
        assert_true(is_zero(bench.row.held_sha256));
        assert_non_null(strstr(bench.row.reason, ": the held file is missing"));
    }
}

static void test_in_force_is_not_taken_over(void **state)
{
    struct bench bench;
    (void)state;
    begin(&bench, REPAIR, false);
    hold(&bench, 7, wanted, false);
    saw(&bench, NONE, other);
    assert_int_equal(bench.row.state, MUSTER__ITEM_STATE__ITEM_PLACING);
    assert_int_equal(bench.row.held_version, 7);
    assert_false(bench.converged);
    saw(&bench, NONE, wanted);
    assert_int_equal(bench.row.state, MUSTER__ITEM_STATE__ITEM_OK);
    assert_true(bench.converged);
}

/* Probation hides nothing. */
static void test_on_probation_and_not_taken_over(void **state)
{
    static const struct registry_items nothing;
    struct bench bench;
    (void)state;
    begin(&bench, REPAIR, false);
    hold(&bench, 7, wanted, false);
    bench.before = &nothing;
    saw(&bench, NONE, wanted);
    assert_int_equal(bench.row.state, MUSTER__ITEM_STATE__ITEM_PROBATION);
    assert_true(bench.converged);
    saw(&bench, NONE, other);
    assert_int_equal(bench.row.state, MUSTER__ITEM_STATE__ITEM_PLACING);
    assert_false(sync_as_wanted(bench.row.state));
    assert_non_null(strstr(bench.row.reason, "its owner has not taken it: another content"));
    assert_false(bench.converged);
}

/* What nobody could look at may be taken over, or not. */
static void test_nobody_knows_whether_it_is_taken_over(void **state)
{
    static const Muster__DifferenceKind unknown[] = {
        MUSTER__DIFFERENCE_KIND__DIFFERENCE_UNREADABLE,
        MUSTER__DIFFERENCE_KIND__DIFFERENCE_CHANGING,
        MUSTER__DIFFERENCE_KIND__DIFFERENCE_NOT_LOOKED};
    struct bench bench;
    (void)state;
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        begin(&bench, REPAIR, false);
        hold(&bench, 7, wanted, false);
        saw(&bench, unknown[i], other);
        assert_int_equal(bench.row.state, MUSTER__ITEM_STATE__ITEM_PLACING);
        assert_non_null(
            strstr(bench.row.reason, "in force; whether its owner took it is not known: its file"));
    }
    saw(&bench, MUSTER__DIFFERENCE_KIND__DIFFERENCE_MISSING, other);
    assert_string_equal(bench.row.reason,
                        "in force; its owner has not taken it: there is no such file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_file_counts_and_not_the_copy),
        cmocka_unit_test(test_only_what_is_known_to_differ_is_proposed),
        cmocka_unit_test(test_rows_count_only_against_what_is_wanted_now),
        cmocka_unit_test(test_what_is_sealed),
        cmocka_unit_test(test_a_held_file_that_is_not_what_it_was),
        cmocka_unit_test(test_in_force_is_not_taken_over),
        cmocka_unit_test(test_on_probation_and_not_taken_over),
        cmocka_unit_test(test_nobody_knows_whether_it_is_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
