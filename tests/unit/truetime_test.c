/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/truetime.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>

#define SECOND INT64_C(1000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define NOW INT64_C(1790000000000)

/* ---- tables ---- */

static struct truetime_judged judge(const struct fleetdb_boot *boot, int64_t boot_ms,
                                    int64_t wall_ms)
{
    const struct truetime_record record = {boot_ms, wall_ms, NOW};
    return truetime_judge(boot, &record, TRUETIME_PPM);
}

static void a_welcome_bounds_a_boot(void **state)
{
    struct fleetdb_boot boot = {.boot = 1};
    (void)state;
    assert_true(truetime_sight(&boot, NOW - DAY, 10 * SECOND, 10 * SECOND + 200, TRUETIME_PPM));
    struct truetime_judged at = judge(&boot, 10 * SECOND + 100, 0);
    assert_in_range(at.at_ms, NOW - DAY - 3, NOW - DAY + 3);
    assert_in_range(at.bound_ms, 100, 105);
    /* Twelve hours later the crystal may have gone 4.3 s wrong. */
    at = judge(&boot, 12 * HOUR, 0);
    assert_in_range(at.at_ms, NOW - DAY / 2 - 11 * SECOND, NOW - DAY / 2 - 9 * SECOND);
    assert_in_range(at.bound_ms, 4400, 4500);
}

static void what_a_clock_says_proves_nothing(void **state)
{
    struct fleetdb_boot boot = {.boot = 1};
    (void)state;
    assert_int_equal(judge(NULL, 5, NOW - HOUR).bound_ms, FLEETDB_BOUND_UNKNOWN);
    assert_int_equal(judge(NULL, 5, NOW - HOUR).at_ms, NOW - HOUR);
    assert_int_equal(judge(NULL, 5, 17 * SECOND).at_ms, NOW); /* 1970 */
    assert_int_equal(judge(NULL, 5, NOW + 3650 * DAY).at_ms, NOW);
    assert_int_equal(judge(&boot, 5, NOW - HOUR).bound_ms, FLEETDB_BOUND_UNKNOWN);
    /* A hello alone says only that it was not later. */
    assert_true(truetime_add(&boot, (struct fleetdb_fact){HOUR, NOW - DAY, false}, TRUETIME_PPM));
    assert_int_equal(judge(&boot, HOUR, NOW - HOUR).bound_ms, FLEETDB_BOUND_UNKNOWN);
    assert_in_range(judge(&boot, HOUR, NOW - HOUR).at_ms, NOW - DAY, NOW - DAY + 2);
    /* Without time since boot there is nothing to go by. */
    assert_true(truetime_sight(&boot, NOW - DAY, HOUR, HOUR + 9, TRUETIME_PPM));
    assert_int_equal(judge(&boot, 0, NOW - HOUR).bound_ms, FLEETDB_BOUND_UNKNOWN);
    assert_in_range(judge(&boot, HOUR, 17).bound_ms, 1, 10);
}

/* A broker that delays, and one that plays back, can only leave the bound as it is. */
static void a_replayed_hello_moves_nothing(void **state)
{
    struct fleetdb_boot boot = {.boot = 1};
    (void)state;
    assert_true(truetime_sight(&boot, NOW - DAY, HOUR, HOUR + 100, TRUETIME_PPM));
    struct truetime_judged before = judge(&boot, 2 * HOUR, 0);
    assert_false(truetime_add(&boot, (struct fleetdb_fact){HOUR, NOW, false}, TRUETIME_PPM));
    assert_false(truetime_sight(&boot, NOW - DAY, HOUR, HOUR + 100, TRUETIME_PPM));
    assert_false(
        truetime_sight(&boot, NOW - DAY, HOUR - 10 * SECOND, HOUR + 20 * SECOND, TRUETIME_PPM));
    struct truetime_judged after = judge(&boot, 2 * HOUR, 0);
    assert_int_equal(before.at_ms, after.at_ms);
    assert_int_equal(before.bound_ms, after.bound_ms);
}

static void boots_bound_each_other(void **state)
{
    struct fleetdb_boot first = {.boot = 1}, between = {.boot = 2}, last = {.boot = 3};
    (void)state;
    assert_true(truetime_sight(&first, NOW - 3 * DAY, HOUR, HOUR + 100, TRUETIME_PPM));
    assert_true(truetime_sight(&last, NOW - DAY, 60 * SECOND, 60 * SECOND + 100, TRUETIME_PPM));
    assert_true(truetime_follows(&between, &first, 5 * HOUR, TRUETIME_PPM));
    assert_in_range(judge(&between, HOUR, 0).bound_ms, DAY, 3 * DAY / 2); /* before it came */
    /* It ran for 40 hours of the 44 between. */
    assert_true(truetime_precedes(&between, &last, 40 * HOUR, TRUETIME_PPM));
    struct truetime_judged at = judge(&between, HOUR, 0);
    assert_in_range(at.bound_ms, 2 * HOUR - 60 * SECOND, 2 * HOUR + 60 * SECOND);
    assert_in_range(at.at_ms, NOW - 3 * DAY + 7 * HOUR - 60 * SECOND,
                    NOW - 3 * DAY + 7 * HOUR + 60 * SECOND);
    /* Where its clock may be right it is taken, with the bound that it leaves. */
    at = judge(&between, HOUR, NOW - 3 * DAY + 8 * HOUR);
    assert_int_equal(at.at_ms, NOW - 3 * DAY + 8 * HOUR);
    assert_in_range(at.bound_ms, 3 * HOUR - 90 * SECOND, 3 * HOUR + 90 * SECOND);
    at = judge(&between, HOUR, NOW);
    assert_in_range(at.bound_ms, 2 * HOUR - 60 * SECOND, 2 * HOUR + 60 * SECOND);
}

static void a_liar_spoils_itself(void **state)
{
    struct fleetdb_boot boot = {.boot = 1};
    (void)state;
    const struct fleetdb_fact no_moments[] = {{-1, NOW, true},      {INT64_MAX, NOW, true},
                                              {5, 0, true},         {5, INT64_MIN, false},
                                              {5, INT64_MAX, true}, {INT64_MIN, INT64_MAX, false}};
    for (size_t i = 0; i < sizeof no_moments / sizeof *no_moments; i++)
        assert_false(truetime_add(&boot, no_moments[i], TRUETIME_PPM));
    assert_false(truetime_sight(&boot, NOW, 10, 9, TRUETIME_PPM));
    assert_true(
        truetime_add(&boot, (struct fleetdb_fact){HOUR, NOW + 3650 * DAY, true}, TRUETIME_PPM));
    assert_int_equal(judge(&boot, HOUR, NOW - HOUR).bound_ms, FLEETDB_BOUND_UNKNOWN);
    assert_int_equal(judge(&boot, HOUR, NOW - HOUR).at_ms, NOW - HOUR);
    assert_int_equal(judge(&boot, INT64_MAX, INT64_MIN).at_ms, NOW);
}

/* One that claims to have been switched on since 1970, or to have kept what it made for so long. */
static void nothing_is_older_than_terminals_are(void **state)
{
    static const int64_t walls[] = {-1, -59999, -3599999, INT64_MIN, 0, 1};
    struct fleetdb_boot boot = {.boot = 1}, hello = {.boot = 2}, after = {.boot = 3};
    (void)state;
    assert_true(truetime_sight(&boot, NOW, NOW, NOW, TRUETIME_PPM));
    assert_true(truetime_add(&hello, (struct fleetdb_fact){10 * NOW, NOW, false}, TRUETIME_PPM));
    for (size_t i = 0; i < sizeof walls / sizeof *walls; i++) {
        assert_int_equal(judge(&boot, 1, walls[i]).at_ms, NOW);
        assert_int_equal(judge(&boot, 1, walls[i]).bound_ms, FLEETDB_BOUND_UNKNOWN);
        assert_int_equal(judge(&hello, 1, walls[i]).at_ms, NOW);
        const struct truetime_record early = {1, walls[i], DAY}; /* by a clock of ours */
        assert_in_range(truetime_judge(NULL, &early, TRUETIME_PPM).at_ms, 0, DAY);
    }
    assert_int_equal(judge(&boot, NOW - 1600 * DAY, 0).at_ms, NOW);
    assert_in_range(judge(&boot, NOW - 1400 * DAY, 0).at_ms, NOW - 1401 * DAY, NOW - 1399 * DAY);
    /* What may be as old is taken to be no older. */
    assert_true(truetime_add(&after, (struct fleetdb_fact){0, DAY, true}, TRUETIME_PPM));
    assert_int_equal(judge(&after, HOUR, -1).at_ms, NOW - 750 * DAY);
    assert_int_equal(judge(&after, HOUR, -1).bound_ms, 750 * DAY);
}

/* A terminal that is never switched off, welcomed daily for three years: few facts, spread out. */
static void facts_stay_few(void **state)
{
    struct fleetdb_boot boot = {.boot = 1};
    int64_t begun = NOW - 1100 * DAY, ppb = 0, known = 0;
    (void)state;
    for (int64_t day = 0; day < 1000; day++) {
        int64_t boot_ms = day * DAY + HOUR;
        int64_t fleet = begun + boot_ms + boot_ms * 60 / 1000000; /* slow by 60 ppm */
        (void)truetime_sight(&boot, fleet, boot_ms - 100, boot_ms + 100, TRUETIME_PPM);
        assert_true(boot.fact_count <= FLEETDB_FACTS_MAX);
    }
    for (int64_t day = 0; day < 1000; day++) {
        int64_t boot_ms = day * DAY + 13 * HOUR, really = begun + boot_ms + boot_ms * 60 / 1000000;
        struct truetime_judged at = judge(&boot, boot_ms, 0);
        assert_in_range(at.bound_ms, 0, HOUR); /* of records that come years late */
        assert_in_range(at.at_ms, really - at.bound_ms, really + at.bound_ms);
    }
    assert_true(truetime_drift(&boot, &ppb, &known));
    assert_in_range(-ppb, 60000 - known - 10, 60000 + known + 10);
    assert_in_range(known, 0, 100);
}

/* ---- a fleet of terminals with wrong clocks ---- */

enum { DEVICES = 400, BOOTS_MAX = 40, RECORDS_MAX = 200, SPOIL = 2 };

struct sim_record {
    int64_t really_ms, boot_ms, wall_ms;
    int boot;
};

struct sim {
    uint64_t random;
    double rate; /* of time since boot, by true time */
    int64_t really_ms;
    struct fleetdb_boot boots[BOOTS_MAX];
    int64_t last_ms[BOOTS_MAX];
    struct sim_record records[BOOTS_MAX * RECORDS_MAX];
    size_t record_count, boot_count;
};

static int64_t below(struct sim *sim, int64_t n)
{
    sim->random ^= sim->random << 13;
    sim->random ^= sim->random >> 7;
    sim->random ^= sim->random << 17;
    return (int64_t)(sim->random % (uint64_t)n);
}

/* By its own clock, which is anything: right, 1970, ten years on, standing still while off. */
static int64_t wrong_by(struct sim *sim)
{
    const int64_t wrong[] = {
        0, -NOW, 3650 * DAY, DAY, -below(sim, 30 * DAY), below(sim, 9 * SECOND)};
    return wrong[below(sim, 6)];
}

static int64_t boot_clock(const struct sim *sim, int64_t since_ms)
{
    return (int64_t)((double)since_ms * sim->rate) + 1;
}

/* Asks, and is answered: a way there, a way back; sometimes the broker keeps it for hours, and
 * sometimes it plays an old hello back. */
static void session(struct sim *sim, struct fleetdb_boot *boot, int64_t begun_ms, int64_t ppm)
{
    int64_t asked_ms = sim->really_ms;
    int64_t there = below(sim, 10) == 0 ? below(sim, 5 * HOUR) : below(sim, 3 * SECOND);
    int64_t fleet_ms = asked_ms + there;
    int64_t asked = boot_clock(sim, asked_ms - begun_ms);
    (void)truetime_add(boot, (struct fleetdb_fact){asked, fleet_ms, false}, ppm);
    sim->really_ms = fleet_ms + below(sim, 3 * SECOND);
    int64_t came = boot_clock(sim, sim->really_ms - begun_ms);
    if (below(sim, 8) != 0)
        (void)truetime_sight(boot, fleet_ms, asked, came, ppm);
    if (below(sim, 4) == 0)
        (void)truetime_add(
            boot, (struct fleetdb_fact){asked, fleet_ms + below(sim, 9 * DAY), false}, ppm);
}

static void run_boot(struct sim *sim, int64_t ppm)
{
    int at = (int)sim->boot_count++;
    struct fleetdb_boot *boot = &sim->boots[at];
    int64_t begun_ms = sim->really_ms, off_ms = wrong_by(sim);
    int64_t steps = 1 + below(sim, RECORDS_MAX - 1), longest = below(sim, 3) == 0 ? DAY : HOUR;
    bool online = below(sim, 3) != 0;
    boot->boot = at + 1;
    for (int64_t i = 0; i < steps; i++) {
        sim->really_ms += 1 + below(sim, longest);
        if (below(sim, 50) == 0)
            off_ms = wrong_by(sim);
        if (online && below(sim, 20) == 0)
            session(sim, boot, begun_ms, ppm);
        int64_t boot_ms = boot_clock(sim, sim->really_ms - begun_ms);
        sim->records[sim->record_count++] = (struct sim_record){
            .really_ms = sim->really_ms,
            .boot_ms = boot_ms,
            .wall_ms = sim->really_ms + off_ms,
            .boot = at,
        };
        sim->last_ms[at] = boot_ms;
    }
    sim->really_ms += below(sim, 4) == 0 ? below(sim, 3 * DAY) : below(sim, 10 * 60 * SECOND);
}

/* What a boot says of its neighbours, as far as they are known to be that. */
static void link_boots(struct sim *sim, int64_t ppm)
{
    for (size_t i = 1; i < sim->boot_count; i++)
        (void)truetime_follows(&sim->boots[i], &sim->boots[i - 1], sim->last_ms[i - 1], ppm);
    for (size_t i = sim->boot_count; i-- > 1;)
        (void)truetime_precedes(&sim->boots[i - 1], &sim->boots[i], sim->last_ms[i - 1], ppm);
}

struct tally {
    size_t records, known, within, wall_within;
    int64_t *bounds;
};

static int by_size(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return a < b ? -1 : a > b;
}

static void judge_all(const struct sim *sim, int64_t ppm, struct tally *tally)
{
    for (size_t i = 0; i < sim->record_count; i++) {
        const struct sim_record *made = &sim->records[i];
        const struct truetime_record record = {made->boot_ms, made->wall_ms, sim->really_ms + DAY};
        struct truetime_judged at = truetime_judge(&sim->boots[made->boot], &record, ppm);
        tally->records++;
        if (at.bound_ms < 0)
            continue;
        tally->bounds[tally->known++] = at.bound_ms;
        tally->within += llabs(at.at_ms - made->really_ms) <= at.bound_ms;
        tally->wall_within += llabs(made->wall_ms - made->really_ms) <= at.bound_ms;
    }
}

/* `ppm` is what the fleet takes crystals to be; theirs are within 100. */
static struct tally simulate(int64_t ppm)
{
    static struct sim sim;
    struct tally tally = {.bounds = calloc((size_t)DEVICES * BOOTS_MAX * RECORDS_MAX, 8)};
    assert_non_null(tally.bounds);
    for (int device = 0; device < DEVICES; device++) {
        sim = (struct sim){.random = 0x9e3779b97f4a7c15u * (uint64_t)(device + 1),
                           .really_ms = NOW - 400 * DAY};
        sim.rate = 1 + (double)(below(&sim, 200001) - 100000) / 1e9;
        int boots = 1 + (int)below(&sim, BOOTS_MAX / SPOIL);
        for (int i = 0; i < boots; i++)
            run_boot(&sim, ppm);
        link_boots(&sim, ppm);
        judge_all(&sim, ppm, &tally);
    }
    qsort(tally.bounds, tally.known, sizeof *tally.bounds, by_size);
    return tally;
}

static void records_are_within_their_bounds(void **state)
{
    struct tally tally = simulate(TRUETIME_PPM);
    (void)state;
    printf("clock.records %zu count\n", tally.records);
    printf("clock.within_bound %.4f %%\n", 100.0 * (double)tally.within / (double)tally.known);
    printf("clock.wall_within_bound %.4f %%\n",
           100.0 * (double)tally.wall_within / (double)tally.known);
    printf("clock.unknown_percent %.2f %%\n",
           100.0 * (double)(tally.records - tally.known) / (double)tally.records);
    printf("clock.median_bound_ms %lld ms\n", (long long)tally.bounds[tally.known / 2]);
    printf("clock.p90_bound_ms %lld ms\n", (long long)tally.bounds[tally.known / 10 * 9]);
    assert_int_equal(tally.within, tally.known);
    assert_true(tally.records > 300000);
    assert_true(tally.records - tally.known < tally.records / 5); /* else it says nothing */
    assert_true(tally.wall_within < tally.known / 2);             /* else clocks were not wrong */
    free(tally.bounds);
}

/* The simulation tells a fleet that is too sure of itself. */
static void crystals_worse_than_stated_are_told(void **state)
{
    struct tally tally = simulate(20);
    (void)state;
    assert_true(tally.within < tally.known);
    free(tally.bounds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_welcome_bounds_a_boot),
        cmocka_unit_test(what_a_clock_says_proves_nothing),
        cmocka_unit_test(a_replayed_hello_moves_nothing),
        cmocka_unit_test(boots_bound_each_other),
        cmocka_unit_test(a_liar_spoils_itself),
        cmocka_unit_test(nothing_is_older_than_terminals_are),
        cmocka_unit_test(facts_stay_few),
        cmocka_unit_test(records_are_within_their_bounds),
        cmocka_unit_test(crystals_worse_than_stated_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
