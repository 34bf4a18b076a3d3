/* SPDX-License-Identifier: Apache-2.0 */
/* What results say of the generation in force, from the application's hand to the registry: by a
 * real spool. */
#include "agent/agent_parts.h"
#include "agent/registrar_internal.h"
#include "agent/settings.h"

#include "tests/unit/registrar_world.h"
#include "tests/unit/temp_spool.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CODES_1 "code\tgroup\tmeaning\n57\tsession\tnot allowed\n"
#define CODES_2 "code\tgroup\tmeaning\n57\tok\tnot allowed\n55\tpolicy\twrong PIN\n"

#define DOC(doc, text, of_version, of_kind)                                                        \
    {                                                                                              \
        .name = doc, .content = text, .version = of_version,                                       \
        .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR,                                                  \
        .kind = MUSTER__DOCUMENT_KIND__DOCUMENT_##of_kind                                          \
    }

static const struct world_doc first[] = {DOC("bin.tsv", "prefix\n62\n", 1, TABLE),
                                         DOC("codes.tsv", CODES_1, 1, CODE_PROFILE)};
static const struct world_doc second[] = {DOC("bin.tsv", "prefix\n43\n", 2, TABLE),
                                          DOC("codes.tsv", CODES_1, 1, CODE_PROFILE)};
static const struct world_doc other_codes[] = {DOC("bin.tsv", "prefix\n62\n", 1, TABLE),
                                               DOC("codes.tsv", CODES_2, 2, CODE_PROFILE)};

struct till {
    struct world *world;
    struct temp_spool temp;
    struct agent_settings settings;
    struct agent agent;
    unsigned given, stored, duplicates;
};

static void on_stored(void *ctx, enum haste haste)
{
    (void)ctx, (void)haste;
}

static void on_failed(void *ctx, size_t count, const struct err *err)
{
    (void)ctx, (void)count;
    fail_msg("%s", err->text);
}

/* As much of an agent as a result meets. */
static void agent_begins(struct till *till)
{
    static const struct recorder_events events = {.stored = on_stored, .failed = on_failed};
    struct err err = {0};
    till->agent = (struct agent){.clock = &till->world->clock,
                                 .settings = &till->settings,
                                 .registrar = till->world->registrar,
                                 .spool = till->temp.spool,
                                 .begun = true};
    if (!recorder_open(&till->world->loop, till->temp.spool, &events, till, &till->agent.recorder,
                       &err))
        fail_msg("%s", err.text);
    agent_load_profiles(&till->agent);
    agent_count_again(&till->agent);
}

static int set_up(void **state)
{
    struct till *till = calloc(1, sizeof *till);
    void *world = NULL;
    if (world_set_up(&world) != 0)
        return -1;
    till->world = world;
    till->world->settings.probation.policy = (struct probation_policy){
        .results = 20, .time_ms = 1000000000, .welcome_ms = 600, .crashes = 3, .starts = 4};
    world_reopen(till->world);
    temp_spool_open(&till->temp);
    agent_begins(till);
    *state = till;
    return 0;
}

static int tear_down(void **state)
{
    struct till *till = *state;
    void *world = till->world;
    recorder_close(till->agent.recorder);
    int clean = world_tear_down(&world);
    temp_spool_close(&till->temp);
    free(till);
    return clean;
}

static void on_done(void *ctx, const struct spool_record *record, const struct err *err)
{
    struct till *till = ctx;
    if (record == NULL)
        fail_msg("%s", err->text);
    till->stored += record->duplicate ? 0 : 1;
    till->duplicates += record->duplicate ? 1 : 0;
}

/* Made `at_ms`, and handed over now. */
static void sell_at(struct till *till, int64_t at_ms, const char *code)
{
    char key[16];
    uint8_t token[PROBATION_TOKEN_BYTES] = {0};
    struct err err = {0};
    Muster__TxnResult txn = MUSTER__TXN_RESULT__INIT;
    (void)snprintf(key, sizeof key, "%u", till->given++);
    token[0] = (uint8_t)till->given;
    txn.idempotency_key = (ProtobufCBinaryData){strlen(key), (uint8_t *)key};
    txn.card_token = (ProtobufCBinaryData){sizeof token, token};
    txn.boot_ms = (uint64_t)at_ms;
    txn.code = (char *)(uintptr_t)code;
    txn.code_source = MUSTER__CODE_SOURCE__CODE_SOURCE_HOST;
    txn.outcome = MUSTER__OUTCOME__OUTCOME_DECLINED;
    if (!agent_record_txn(&till->agent, &txn, on_done, till, &err))
        fail_msg("%s", err.text);
    recorder_flush(till->agent.recorder);
}

static void sell(struct till *till, unsigned count, const char *code)
{
    for (unsigned i = 0; i < count; i++)
        sell_at(till, 0, code);
}

static const struct probation *probation(const struct till *till)
{
    return &till->world->registrar->trial.probation;
}

static void assert_counted(const struct till *till, uint32_t results, uint32_t suspect)
{
    assert_int_equal(probation(till)->track.results, results);
    assert_int_equal(probation(till)->track.suspect, suspect);
}

/* The lease ends, the switch comes, and then what came of the sale. */
static void test_a_sale_that_is_told_late(void **state)
{
    struct till *till = *state;
    world_apply(till->world, 1, first, 2);
    const int64_t sold_ms = till->world->wall_ms;
    till->world->wall_ms += 1000;
    world_apply(till->world, 2, second, 2);
    for (unsigned i = 0; i < 5; i++) /* a backlog of what the one before did */
        sell_at(till, sold_ms, "57");
    assert_counted(till, 0, 0);
    assert_int_equal(probation(till)->before.suspect, 5);
    till->world->wall_ms += 1000;
    sell(till, 2, "57");
    sell_at(till, till->world->wall_ms - 500, "00");
    assert_counted(till, 3, 2);
    assert_int_equal(probation(till)->before.results, 5);
    assert_int_equal(till->stored, 8);
}

static void test_a_retry_counts_once(void **state)
{
    struct till *till = *state;
    world_apply(till->world, 1, first, 2);
    world_apply(till->world, 2, second, 2);
    sell(till, 1, "57");
    till->given = 0;
    sell(till, 1, "57");
    assert_int_equal(till->stored, 1);
    assert_int_equal(till->duplicates, 1);
    assert_counted(till, 1, 1);
}

static void test_held_to_the_measure_of_before(void **state)
{
    struct till *till = *state;
    world_apply(till->world, 1, first, 2);
    sell(till, 10, "55");
    assert_int_equal(probation(till)->before.suspect, 0);
    world_apply(till->world, 2, other_codes, 2);
    sell(till, 6, "55"); /* nobody called that suspect before */
    assert_counted(till, 6, 0);
    assert_int_equal(probation(till)->suspect_now, 6);
    sell(till, 2, "57"); /* and this was */
    assert_counted(till, 8, 2);
    assert_int_equal(probation(till)->suspect_now, 6);
    assert_int_equal(probation(till)->groups[SUSPECT_SESSION], 2);
    /* What is in a hurry is what is in force. */
    assert_int_equal(till->agent.suspect_results, 6);
}

static void keep_record(const struct till *till, struct buf *ret_record)
{
    char path[256];
    world_path(till->world, "probation", path);
    assert_true(file_read(path, 65536, ret_record, NULL));
}

/* The agent ends without a word: what it has counted since it kept it is in the spool. */
static void begin_again(struct till *till, struct buf *record)
{
    char path[256];
    recorder_close(till->agent.recorder);
    world_close(till->world);
    world_path(till->world, "probation", path);
    assert_true(file_write(path, buf_bytes(record), 0600, NULL));
    buf_done(record);
    temp_spool_reopen(&till->temp);
    world_open(till->world);
    agent_begins(till);
}

static void test_what_was_stored_is_counted_again(void **state)
{
    struct till *till = *state;
    struct buf record = {0};
    world_apply(till->world, 1, first, 2);
    sell(till, 5, "00");
    till->world->wall_ms += 1000;
    world_apply(till->world, 2, second, 2);
    sell(till, 1, "57");
    world_check(till->world);
    keep_record(till, &record);
    sell(till, 1, "57");
    sell(till, 3, "00");
    sell_at(till, till->world->wall_ms - 500, "57"); /* of the one before */
    begin_again(till, &record);
    assert_counted(till, 5, 2);
    assert_int_equal(probation(till)->before.results, 6);
    assert_int_equal(probation(till)->before.suspect, 1);
    /* In the next incarnation it goes on, and at the next start nothing is counted twice. */
    sell(till, 1, "00");
    assert_counted(till, 6, 2);
    world_check(till->world);
    keep_record(till, &record);
    begin_again(till, &record);
    assert_counted(till, 6, 2);
    assert_int_equal(probation(till)->before.results, 6);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_sale_that_is_told_late),
        TEST(test_a_retry_counts_once),
        TEST(test_held_to_the_measure_of_before),
        TEST(test_what_was_stored_is_counted_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
