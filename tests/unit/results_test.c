/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/world/retail.h"

#include "agent/txn.h"
#include "tests/unit/testing.h"
#include "tests/world/entropy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DRAWS = 60000 };

struct fixture {
    struct retail retail;
};

static int open_world(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct err err = {0};
    const struct retail_settings settings = {.routing = MUSTER_ROUTING_TABLE,
                                             .ca_keys = MUSTER_CA_KEYS_TABLE,
                                             .world_seed = 3,
                                             .seed = 4};
    assert_true(retail_open(&fixture->retail, &settings, &err));
    *state = fixture;
    return 0;
}

static int close_world(void **state)
{
    struct fixture *fixture = *state;
    retail_close(&fixture->retail);
    free(fixture);
    return 0;
}

static void test_rewind_repeats_the_sequence(void **state)
{
    struct fixture *fixture = *state;
    struct world_result result;
    uint8_t packed[500][512], again[512];
    size_t lengths[500];
    for (size_t i = 0; i < 500; i++) {
        results_next(fixture->retail.results, &result);
        assert_in_range(muster__txn_result__get_packed_size(&result.txn), 1, sizeof *packed);
        lengths[i] = muster__txn_result__pack(&result.txn, packed[i]);
    }
    assert_true(lengths[0] != lengths[1] || memcmp(packed[0], packed[1], lengths[0]) != 0);
    results_rewind(fixture->retail.results);
    for (size_t i = 0; i < 500; i++) {
        results_next(fixture->retail.results, &result);
        assert_int_equal(muster__txn_result__pack(&result.txn, again), lengths[i]);
        assert_memory_equal(again, packed[i], lengths[i]);
    }
}

static void test_an_agent_would_take_every_result(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 5000; i++) {
        struct world_result result;
        struct err err = {0};
        results_next(fixture->retail.results, &result);
        if (!txn_check(&result.txn, &err))
            fail_msg("result %d: %s", i, err.text);
    }
}

/* Entropy of what was counted; `values` are small numbers. */
struct tally {
    unsigned counts[4096];
};

static double tally_bits(const struct tally *tally)
{
    double bits = 0;
    for (size_t i = 0; i < sizeof tally->counts / sizeof *tally->counts; i++)
        if (tally->counts[i] > 0) {
            double share = (double)tally->counts[i] / DRAWS;
            bits -= share * log2(share);
        }
    return bits;
}

static double bits_named(const struct entropy_field *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(fields[i].name, name) == 0)
            return fields[i].bits;
    fail_msg("no field %s", name);
    return 0;
}

static void assert_near(double value, double expected, double tolerance)
{
    if (fabs(value - expected) > tolerance)
        fail_msg("%f, expected %f within %f", value, expected, tolerance);
}

/* The bound is computed from the distributions; the generator must agree with it. Counting
 * underestimates entropy by about (values - 1) / (2 ln 2 draws) bits, far below the tolerance. */
static void test_entropy_is_that_of_what_is_drawn(void **state)
{
    struct fixture *fixture = *state;
    struct entropy_field fields[ENTROPY_MAX_FIELDS];
    size_t count = entropy_of_results(fixture->retail.results, fields);
    struct tally *code = calloc(1, sizeof *code), *entry = calloc(1, sizeof *entry);
    struct tally *tls = calloc(1, sizeof *tls);
    double repeats = 0, strangers = 0, first_route = 0;
    uint64_t newest = 0;
    for (int i = 0; i < DRAWS; i++) {
        struct world_result result;
        results_next(fixture->retail.results, &result);
        code->counts[(unsigned)result.txn.code[0] % 64 * 64 + (unsigned)result.txn.code[1] % 64]++;
        entry->counts[result.txn.entry_mode]++;
        tls->counts[result.txn.tls_ms < 4095 ? result.txn.tls_ms : 4095]++;
        repeats += result.card.ordinal <= newest;
        newest = result.card.ordinal > newest ? result.card.ordinal : newest;
        strangers += result.txn.issuer_unknown;
        first_route += result.card.range->route == 1;
    }
    assert_near(tally_bits(code), bits_named(fields, count, "code"), 0.03);
    assert_near(tally_bits(entry), bits_named(fields, count, "entry_mode"), 0.02);
    assert_near(tally_bits(tls), bits_named(fields, count, "tls_ms"), 0.03);
    assert_near(repeats / DRAWS, DECK_REPEAT_SHARE, 0.005);
    assert_near(strangers / DRAWS, RESULTS_STRANGER_SHARE, 0.003);
    assert_near(first_route / DRAWS, deck_route_shares[0], 0.01);
    free(code);
    free(entry);
    free(tls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rewind_repeats_the_sequence, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_an_agent_would_take_every_result, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(test_entropy_is_that_of_what_is_drawn, open_world,
                                        close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
