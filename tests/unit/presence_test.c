/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/presence.h"

#include "fleet/presence_news.h"
#include "storage/fleetdb_places.h"
#include "storage/fleetdb_records.h"
#include "storage/fleetdb_views.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GRACE = 600000, SETTLE = 300000, MINUTE = 60000, HOUR = 3600000, MANY = 60 };
#define NOON INT64_C(1795435200000) /* Monday, 2026-11-23 12:00 UTC */

struct world {
    struct temp_fleet *fleet;
    struct presence *presence;
    struct metrics metrics;
    struct clock clock;
    int64_t boot_ms, wall_ms;
    int64_t devices[MANY];
};

static int64_t boot_of(void *ctx)
{
    return ((const struct world *)ctx)->boot_ms;
}

static int64_t wall_of(void *ctx)
{
    return ((const struct world *)ctx)->wall_ms;
}

static void start(struct world *world)
{
    const struct presence_settings settings = {.db = world->fleet->db,
                                               .clock = &world->clock,
                                               .metrics = &world->metrics,
                                               .grace_ms = GRACE,
                                               .silence_ms = MINUTE,
                                               .settle_ms = SETTLE,
                                               .hours = "24/7",
                                               .zone = "UTC"};
    assert_true(presence_open(&settings, &world->presence, NULL));
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    void *fleet = NULL;
    (void)temp_fleet_open(&fleet);
    world->fleet = fleet;
    world->boot_ms = 1000000;
    world->wall_ms = NOON;
    world->clock = (struct clock){wall_of, boot_of, world};
    start(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    void *fleet = world->fleet;
    presence_close(world->presence);
    (void)temp_fleet_close(&fleet);
    free(world);
    return 0;
}

/* Turns as the loop would, as often as it is asked for. */
static void turn_until(struct world *world, int64_t end_ms)
{
    for (;;) {
        int64_t wait_ms = presence_turn(world->presence);
        int64_t left_ms = end_ms - world->boot_ms;
        if (wait_ms < 0 || wait_ms > left_ms)
            wait_ms = left_ms;
        if (left_ms == 0 && wait_ms == 0 && presence_turn(world->presence) != 0)
            return;
        world->boot_ms += wait_ms;
        world->wall_ms += wait_ms;
    }
}

static void pass(struct world *world, int64_t ms)
{
    turn_until(world, world->boot_ms + ms);
}

/* With the line up, and all had their time. */
static void begin(struct world *world)
{
    presence_line_up(world->presence, true);
    pass(world, SETTLE + 1);
}

static void said(struct world *world, int64_t device, bool online, int64_t began_ms)
{
    const struct online_word word = {.online = online, .boot = 1, .began_ms = began_ms};
    presence_word(world->presence, device, &word, false);
}

static void kept(struct world *world, int64_t device, bool online, int64_t began_ms)
{
    const struct online_word word = {.online = online, .boot = 1, .began_ms = began_ms};
    presence_word(world->presence, device, &word, true);
}

static struct fleetdb_presence row_of(struct world *world, int64_t device)
{
    struct fleetdb_presence presence;
    assert_true(fleetdb_presence_read(world->fleet->db, device, &presence, NULL));
    return presence;
}

static int state_of(struct world *world, int64_t device)
{
    return (int)row_of(world, device).state;
}

static void enrol(struct world *world, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char id[24];
        (void)snprintf(id, sizeof id, "t-%03zu", i);
        world->devices[i] =
            temp_fleet_device_at(world->fleet, id, i % 3 ? "mn" : "ms", i % 3 ? "north" : "south");
    }
}

/* As the API's handlers leave it. */
static void changed(struct world *world)
{
    assert_true(
        fleetdb_audit(world->fleet->db, world->wall_ms, "uid 0", "device state", 0, "", NULL));
}

/* ---- what the feed says ---- */

struct feed {
    int64_t after;
    char text[4096];
    unsigned rows[FLEETDB_FEED_KINDS];
    char many[1024];
};

static bool take_feed(void *ctx, const struct fleetdb_feed_row *row, struct err *err)
{
    struct feed *feed = ctx;
    (void)err;
    feed->after = row->id;
    feed->rows[row->kind]++;
    if (row->kind == FLEETDB_FEED_MANY)
        (void)snprintf(feed->many, sizeof feed->many, "%s", row->text);
    return true;
}

static struct feed feed_from(struct world *world, int64_t after)
{
    struct feed feed = {.after = after};
    assert_true(fleetdb_feed_each(world->fleet->db, after, 100000, take_feed, &feed, NULL));
    return feed;
}

struct absences {
    size_t count;
    struct fleetdb_absence last;
};

static bool take_absence(void *ctx, const struct fleetdb_absence *absence, struct err *err)
{
    struct absences *absences = ctx;
    (void)err;
    absences->count++;
    absences->last = *absence;
    return true;
}

static struct absences absences_of(struct world *world, int64_t device)
{
    struct absences absences = {0};
    assert_true(fleetdb_absence_each(world->fleet->db, device, 0, take_absence, &absences, NULL));
    return absences;
}

/* ---- tests ---- */

static void a_device_goes_missing_and_comes_back(void **state)
{
    struct world *world = *state;
    enrol(world, 1);
    int64_t device = world->devices[0];
    begin(world);
    said(world, device, true, 100);
    pass(world, MINUTE);
    assert_int_equal(state_of(world, device), FLEETDB_ONLINE);
    struct feed feed = feed_from(world, 0);
    assert_int_equal(feed.rows[FLEETDB_FEED_ONLINE], 1);
    said(world, device, false, 100);
    int64_t went_ms = world->wall_ms;
    pass(world, GRACE - 1);
    assert_int_equal(state_of(world, device), FLEETDB_OFFLINE);
    pass(world, 1);
    struct fleetdb_presence row = row_of(world, device);
    assert_int_equal(row.state, FLEETDB_MISSING);
    assert_int_equal(row.since_ms, went_ms);
    assert_int_equal(row.missing_ms, went_ms + GRACE);
    feed = feed_from(world, feed.after);
    assert_int_equal(feed.rows[FLEETDB_FEED_OFFLINE], 1);
    assert_int_equal(feed.rows[FLEETDB_FEED_MISSING], 1);
    pass(world, 24 * HOUR);
    assert_int_equal(feed_from(world, feed.after).rows[FLEETDB_FEED_MISSING], 0); /* told once */
    assert_int_equal(absences_of(world, device).count, 0);
    presence_heard(world->presence, device, -1);
    pass(world, MINUTE);
    feed = feed_from(world, feed.after);
    assert_int_equal(feed.rows[FLEETDB_FEED_BACK], 1);
    assert_int_equal(feed.rows[FLEETDB_FEED_ONLINE], 1);
    struct absences absences = absences_of(world, device);
    assert_int_equal(absences.count, 1);
    assert_int_equal(absences.last.from_ms, went_ms);
    assert_int_equal(absences.last.missing_ms, went_ms + GRACE);
    assert_int_equal(absences.last.evidence, FLEETDB_BY_WILL);
    assert_int_equal(world->metrics.values[METRIC_MISSING], 1);
    assert_int_equal(world->metrics.values[METRIC_BACK], 1);
    /* A short one is none. */
    said(world, device, false, 100);
    pass(world, GRACE / 2);
    said(world, device, true, 200);
    pass(world, MINUTE);
    assert_int_equal(absences_of(world, device).count, 1);
    said(world, device, false, 100);
    assert_int_equal(world->metrics.values[METRIC_LATE_WORDS], 1);
    pass(world, MINUTE);
    assert_int_equal(state_of(world, device), FLEETDB_ONLINE);
}

static void its_store_says_when_it_is_expected(void **state)
{
    struct world *world = *state;
    enrol(world, 2);
    const struct fleetdb_store hours = {.merchant = "ms",
                                        .store = "s",
                                        .time_zone = "Asia/Shanghai",
                                        .opening_hours = "09:00-18:00"};
    const struct fleetdb_change change = {"uid 0", "", NOON};
    int64_t store = 0;
    begin(world);
    said(world, world->devices[0], true, 100);
    pass(world, MINUTE);
    said(world, world->devices[0], false, 100);
    pass(world, MINUTE);
    assert_int_equal(state_of(world, world->devices[0]), FLEETDB_OFFLINE);
    /* Somebody says its hours: 12:00 UTC is 20:00 there. */
    assert_true(fleetdb_store_put(world->fleet->db, &hours, &change, &store, NULL));
    changed(world);
    pass(world, MINUTE);
    assert_int_equal(state_of(world, world->devices[0]), FLEETDB_CLOSED);
    pass(world, 12 * HOUR); /* 08:03 there */
    assert_int_equal(state_of(world, world->devices[0]), FLEETDB_CLOSED);
    assert_int_equal(feed_from(world, 0).rows[FLEETDB_FEED_MISSING], 0);
    turn_until(world, world->boot_ms + NOON + 13 * HOUR - world->wall_ms); /* it opens */
    assert_int_equal(state_of(world, world->devices[0]), FLEETDB_OFFLINE);
    pass(world, GRACE);
    assert_int_equal(state_of(world, world->devices[0]), FLEETDB_MISSING);
    /* The other was never heard: nobody knows. */
    assert_int_equal(presence_status(world->presence).in_service[FLEETDB_UNKNOWN], 1);
    assert_int_equal(presence_status(world->presence).in_service[FLEETDB_MISSING], 1);
}

static void who_leaves_service_is_not_missed(void **state)
{
    struct world *world = *state;
    enrol(world, 1);
    begin(world);
    said(world, world->devices[0], true, 100);
    said(world, world->devices[0], false, 100);
    pass(world, GRACE);
    assert_int_equal(state_of(world, world->devices[0]), FLEETDB_MISSING);
    const struct fleetdb_change change = {"uid 0", "broken", world->wall_ms};
    struct fleetdb_device device;
    assert_true(fleetdb_device_find(world->fleet->db, "t-000", &device, NULL));
    assert_true(fleetdb_device_live(world->fleet->db, &device, FLEETDB_REPAIR, &change, NULL));
    changed(world);
    pass(world, MINUTE);
    assert_int_equal(state_of(world, world->devices[0]), FLEETDB_OFFLINE);
    assert_int_equal(presence_status(world->presence).in_service[FLEETDB_MISSING], 0);
    struct feed feed = feed_from(world, 0);
    assert_int_equal(feed.rows[FLEETDB_FEED_BACK], 1); /* whoever opened a ticket closes it */
    assert_int_equal(world->metrics.values[METRIC_BACK], 1);
    int64_t missed_ms = NOON + SETTLE + 1 + GRACE;
    assert_int_equal(row_of(world, world->devices[0]).missing_ms, missed_ms);
    /* In service again it comes back soon: that it was missed in its absence stays known. */
    assert_true(fleetdb_device_find(world->fleet->db, "t-000", &device, NULL));
    assert_true(fleetdb_device_live(world->fleet->db, &device, FLEETDB_IN_SERVICE, &change, NULL));
    changed(world);
    pass(world, MINUTE);
    said(world, world->devices[0], true, 200);
    pass(world, MINUTE);
    struct absences absences = absences_of(world, world->devices[0]);
    assert_int_equal(absences.count, 1);
    assert_int_equal(absences.last.missing_ms, missed_ms);
    assert_int_equal(row_of(world, world->devices[0]).missing_ms, 0);
    assert_int_equal(feed_from(world, feed.after).rows[FLEETDB_FEED_BACK], 0);
}

static void our_own_absence_is_nobodys(void **state)
{
    struct world *world = *state;
    enrol(world, 3);
    begin(world);
    for (size_t i = 0; i < 3; i++) {
        said(world, world->devices[i], true, 100);
        presence_heard(world->presence, world->devices[i], 60);
    }
    pass(world, MINUTE);
    struct feed feed = feed_from(world, 0);
    presence_line_down(world->presence);
    int64_t lost_ms = world->wall_ms;
    pass(world, 24 * HOUR);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(state_of(world, world->devices[i]), FLEETDB_ONLINE);
    assert_false(presence_status(world->presence).line);
    presence_line_up(world->presence, true);
    pass(world, 1);
    assert_int_equal(state_of(world, world->devices[0]), FLEETDB_UNKNOWN);
    for (size_t i = 0; i < 3; i++)
        kept(world, world->devices[i], i != 2, 100);
    pass(world, SETTLE - 2);
    assert_int_equal(state_of(world, world->devices[0]), FLEETDB_ONLINE);
    assert_int_equal(state_of(world, world->devices[2]), FLEETDB_OFFLINE); /* its will was kept */
    assert_false(presence_status(world->presence).judging);
    presence_heard(world->presence, world->devices[1], 60);
    pass(world, 2);
    feed = feed_from(world, feed.after);
    assert_int_equal(feed.rows[FLEETDB_FEED_ONLINE], 0); /* no news of who was there all the time */
    /* Only the time since our line came counts as silence: 0 has said nothing since. */
    assert_int_equal(state_of(world, world->devices[0]), FLEETDB_OFFLINE);
    assert_int_equal(row_of(world, world->devices[0]).evidence, FLEETDB_BY_SILENCE);
    assert_int_equal(state_of(world, world->devices[1]), FLEETDB_ONLINE);
    struct absences own = absences_of(world, 0);
    assert_int_equal(own.count, 1);
    assert_int_equal(own.last.from_ms, lost_ms);
    assert_int_equal(own.last.to_ms, lost_ms + 24 * HOUR);
}

static void a_restart_of_musterd_makes_no_news(void **state)
{
    struct world *world = *state;
    enrol(world, 3);
    begin(world);
    for (size_t i = 0; i < 3; i++)
        said(world, world->devices[i], true, 100);
    said(world, world->devices[2], false, 100);
    pass(world, GRACE + MINUTE);
    struct feed feed = feed_from(world, 0);
    assert_int_equal(feed.rows[FLEETDB_FEED_MISSING], 1);
    presence_close(world->presence);
    world->boot_ms = 77; /* another machine */
    world->wall_ms += HOUR;
    start(world);
    pass(world, MINUTE);
    presence_line_up(world->presence, true);
    for (size_t i = 0; i < 3; i++)
        kept(world, world->devices[i], i != 2, 100);
    pass(world, SETTLE + MINUTE);
    assert_int_equal(state_of(world, world->devices[0]), FLEETDB_ONLINE);
    assert_int_equal(state_of(world, world->devices[2]), FLEETDB_MISSING);
    feed = feed_from(world, feed.after);
    for (unsigned kind = 0; kind < FLEETDB_FEED_KINDS; kind++)
        assert_int_equal(feed.rows[kind], 0);
    assert_int_equal(row_of(world, world->devices[0]).known_ms,
                     row_of(world, world->devices[1]).known_ms);
}

/* With and without words that it kept over its restart. */
static void broker_restarts(struct world *world, bool words)
{
    enrol(world, 4);
    begin(world);
    for (size_t i = 0; i < 4; i++)
        said(world, world->devices[i], true, 100);
    pass(world, MINUTE);
    presence_line_down(world->presence);
    pass(world, MINUTE);
    int64_t lost_ms = world->wall_ms - MINUTE;
    presence_line_up(world->presence, true);
    for (size_t i = 0; words && i < 4; i++)
        kept(world, world->devices[i], true, 100);
    pass(world, MINUTE);
    for (size_t i = 0; i < 3; i++)
        said(world, world->devices[i], true, 200);
    pass(world, SETTLE);
    assert_int_equal(state_of(world, world->devices[0]), FLEETDB_ONLINE);
    struct fleetdb_presence row = row_of(world, world->devices[3]);
    assert_int_equal(row.state, FLEETDB_OFFLINE);
    assert_int_equal(row.evidence, FLEETDB_BY_BROKER);
    assert_int_equal(row.since_ms, lost_ms);
    pass(world, GRACE);
    assert_int_equal(state_of(world, world->devices[3]), FLEETDB_MISSING);
}

static void who_does_not_come_back_to_a_new_broker_is_away(void **state)
{
    broker_restarts(*state, false);
}

static void a_kept_word_of_before_the_restart_is_worth_nothing(void **state)
{
    broker_restarts(*state, true);
}

/* Our line goes for a minute; the first `came` come with a new session, the last `spoke` say
 * something in their old one. */
static void line_is_cut(struct world *world, size_t count, size_t came, size_t spoke)
{
    enrol(world, count);
    begin(world);
    for (size_t i = 0; i < count; i++)
        said(world, world->devices[i], true, 100);
    pass(world, MINUTE);
    presence_line_down(world->presence);
    pass(world, MINUTE);
    presence_line_up(world->presence, true);
    for (size_t i = 0; i < count; i++)
        kept(world, world->devices[i], true, 100);
    pass(world, MINUTE);
    for (size_t i = 0; i < came; i++)
        said(world, world->devices[i], true, 200);
    for (size_t i = count - spoke; i < count; i++)
        presence_heard(world->presence, world->devices[i], -1);
    pass(world, SETTLE);
}

static void all_are(struct world *world, size_t from, size_t to, enum fleetdb_presence_state state)
{
    for (size_t i = from; i < to; i++)
        assert_int_equal(state_of(world, world->devices[i]), state);
}

static void our_line_alone_was_cut(void **state)
{
    struct world *world = *state;
    line_is_cut(world, MANY, 2, 0); /* two came anew by chance */
    all_are(world, 0, MANY, FLEETDB_ONLINE);
}

static void a_part_of_the_network_was_cut(void **state)
{
    struct world *world = *state;
    line_is_cut(world, MANY, 12, 12);
    all_are(world, 0, MANY, FLEETDB_ONLINE);
}

static void one_alone_comes_by_chance(void **state)
{
    struct world *world = *state;
    line_is_cut(world, 3, 1, 0);
    all_are(world, 0, 3, FLEETDB_ONLINE);
}

static void most_do_not_come_back_to_a_restarted_broker(void **state)
{
    struct world *world = *state;
    line_is_cut(world, MANY, 4, 3); /* what three had said was still on its way */
    all_are(world, 4, MANY - 3, FLEETDB_OFFLINE);
    assert_int_equal(row_of(world, world->devices[4]).evidence, FLEETDB_BY_BROKER);
    pass(world, GRACE);
    all_are(world, 0, 4, FLEETDB_ONLINE);
    all_are(world, 4, MANY - 3, FLEETDB_MISSING);
}

static void many_at_once_are_one_event(void **state)
{
    struct world *world = *state;
    enrol(world, MANY);
    begin(world);
    for (size_t i = 0; i < MANY; i++)
        said(world, world->devices[i], true, 100);
    pass(world, 2 * MINUTE);
    struct feed feed = feed_from(world, 0);
    assert_int_equal(feed.rows[FLEETDB_FEED_ONLINE], PRESENCE_NEWS_NAMED);
    assert_int_equal(feed.rows[FLEETDB_FEED_MANY], 1);
    for (size_t i = 0; i < MANY; i++)
        said(world, world->devices[i], false, 100);
    pass(world, GRACE);
    feed = feed_from(world, feed.after);
    assert_int_equal(feed.rows[FLEETDB_FEED_OFFLINE], PRESENCE_NEWS_NAMED);
    assert_int_equal(feed.rows[FLEETDB_FEED_MISSING], PRESENCE_NEWS_NAMED);
    pass(world, MINUTE);
    feed = feed_from(world, feed.after);
    assert_int_equal(feed.rows[FLEETDB_FEED_MANY], 1);
    assert_non_null(strstr(feed.many, "\"kind\":\"missing\",\"count\":60,\"named\":20"));
    assert_non_null(strstr(feed.many, "{\"region\":\"north\",\"count\":40},"
                                      "{\"region\":\"south\",\"count\":20}"));
    assert_non_null(strstr(feed.many, "\"models\":[{\"model\":\"M1\",\"count\":60}]"));
    int64_t counts[FLEETDB_PRESENCE_STATES], others;
    const struct fleetdb_scope whole = {0};
    assert_true(fleetdb_presence_counts(world->fleet->db, whole, counts, &others, NULL));
    assert_int_equal(counts[FLEETDB_MISSING], MANY);
    assert_int_equal(others, 0);
}

static void history_is_bounded(void **state)
{
    struct world *world = *state;
    enrol(world, 1);
    begin(world);
    const int count = FLEETDB_ABSENCES_MAX + 20;
    for (int i = 0; i < count; i++) {
        said(world, world->devices[0], false, 100);
        pass(world, GRACE);
        presence_heard(world->presence, world->devices[0], -1);
        pass(world, MINUTE);
    }
    assert_int_equal(absences_of(world, world->devices[0]).count, FLEETDB_ABSENCES_MAX);
}

int main(void)
{
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_WORLD(a_device_goes_missing_and_comes_back),
        IN_WORLD(its_store_says_when_it_is_expected),
        IN_WORLD(who_leaves_service_is_not_missed),
        IN_WORLD(our_own_absence_is_nobodys),
        IN_WORLD(a_restart_of_musterd_makes_no_news),
        IN_WORLD(who_does_not_come_back_to_a_new_broker_is_away),
        IN_WORLD(a_kept_word_of_before_the_restart_is_worth_nothing),
        IN_WORLD(our_line_alone_was_cut),
        IN_WORLD(a_part_of_the_network_was_cut),
        IN_WORLD(one_alone_comes_by_chance),
        IN_WORLD(most_do_not_come_back_to_a_restarted_broker),
        IN_WORLD(many_at_once_are_one_event),
        IN_WORLD(history_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
