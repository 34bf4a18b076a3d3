/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that a thread opens beside the one that stores them, as in musterd. */
#include "proto/online.h"
#include "storage/fleetdb_places.h"
#include "tests/unit/collector_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>

enum { INCARNATION = 7 };

static void send(struct world *world, uint64_t seq)
{
    world_send_results(world, INCARNATION, seq, seq, 0);
}

/* t1's key is another one from now on; the one before is given back. */
static struct sign_key *new_key_of_t1(struct world *world)
{
    char path[128];
    struct sign_key *before = world->t1_key;
    (void)snprintf(path, sizeof path, "%s/new.pem", world->fleet->dir);
    assert_true(sign_key_make(path, &world->t1_key, NULL));
    return before;
}

static void enrol_t1(struct world *world, const struct sign_key *key)
{
    const struct fleetdb_enrolment enrolment = {.id = "t1",
                                                .serial = "t1",
                                                .model = "M1",
                                                .agent_key = sign_key_spki(key),
                                                .keep_terminals = true};
    int64_t device = 0;
    struct err err = {0};
    if (!fleetdb_enrol(world->fleet->db, &enrolment, world_wall(world), &device, &err))
        fail_msg("%s", err.text);
}

/* ---- the tests ---- */

static void many_messages_keep_their_order(void **state)
{
    enum { MESSAGES = 700 }; /* more than wait at any time */
    struct world *world = *state;
    for (uint64_t seq = 1; seq <= MESSAGES; seq++)
        send(world, seq);
    assert_true(world_results(world) > 0); /* of a full queue the older half is worked off */
    world_settle(world);
    assert_int_equal(world_results(world), MESSAGES);
    const struct fleetdb_stream stream = world_stream(world, INCARNATION, 1);
    assert_int_equal(stream.cumulative, MESSAGES);
    assert_int_equal(stream.range_count, 0);
    struct arena arena = {0};
    assert_int_equal(world_receipt(world, world->sent - 1, &arena)->streams[0]->cumulative,
                     MESSAGES);
    arena_done(&arena);
    /* Nobody is in the way of who cuts the WAL back. */
    assert_int_equal(temp_fleet_number(world->fleet, "PRAGMA wal_checkpoint(TRUNCATE)"), 0);
}

/* Handed over faster than they can be opened: what is stored waits for what is being opened. */
static void what_is_being_opened_is_waited_for(void **state)
{
    enum { MESSAGES = 400, RESULTS = 40 };
    struct world *world = *state;
    struct buf *sealed = calloc(MESSAGES, sizeof *sealed);
    assert_non_null(sealed);
    for (uint64_t i = 0; i < MESSAGES; i++)
        sealed[i] =
            world_seal_results(world, "t1", INCARNATION, i * RESULTS + 1, (i + 1) * RESULTS, 0);
    for (size_t i = 0; i < MESSAGES; i++)
        world_deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&sealed[i]));
    collector_flush(world->collector);
    assert_int_equal(world_results(world), MESSAGES * RESULTS);
    assert_int_equal(world_stream(world, INCARNATION, 1).cumulative, MESSAGES * RESULTS);
    for (size_t i = 0; i < MESSAGES; i++)
        buf_done(&sealed[i]);
    free(sealed);
}

/* What may wait: twice what a commit takes. */
enum { ROOM = 512 };

/* While others wait no more is taken of one that fills the queue, and nobody waits for all of it.
 */
static void one_that_floods_holds_up_no_other(void **state)
{
    enum { FLOOD = 2 * ROOM, OVER = FLOOD - (ROOM - 1) };
    struct world *world = *state;
    struct buf flood = world_seal_results(world, "t2", INCARNATION, 1, 1, 0);
    send(world, 1);
    for (size_t i = 0; i < FLOOD; i++)
        world_deliver(world, TOPIC_UP_BATCH, "t2", buf_bytes(&flood));
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_TOO_FAST), OVER);
    assert_int_equal(world_results(world), 0); /* the loop waited for none of it */
    send(world, 2);
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_TOO_FAST), OVER);
    assert_int_equal(world_results(world), 2);                     /* t1's first, and t2's */
    world_deliver(world, TOPIC_UP_BATCH, "t2", buf_bytes(&flood)); /* there is room again */
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_TOO_FAST), OVER);
    world_settle(world);
    assert_int_equal(world_results(world), 3);
    buf_done(&flood);
}

/* That a session ended is not said again: it is taken even then. */
static void what_a_flood_says_of_its_session_is_heard(void **state)
{
    struct world *world = *state;
    struct buf flood = world_seal_results(world, "t2", INCARNATION, 1, 1, 0), gone = {0};
    const struct online_word word = {.boot = 5, .began_ms = 1000};
    assert_true(online_write(&word, &gone, NULL));
    send(world, 1);
    for (size_t i = 0; i < ROOM - 1; i++)
        world_deliver(world, TOPIC_UP_BATCH, "t2", buf_bytes(&flood));
    const unsigned words = world->words;
    world_deliver(world, TOPIC_UP_ONLINE, "t2", buf_bytes(&gone));
    assert_int_equal(world_refused(world, REFUSED_ONLINE, REASON_TOO_FAST), 0);
    world_settle(world);
    assert_int_equal(world->words, words + 1);
    buf_done(&flood);
    buf_done(&gone);
}

static void nor_does_one_that_sends_much_at_once(void **state)
{
    enum { LONG = 100 * 1024, FIT = 10, MORE = 5 };
    struct world *world = *state;
    uint8_t *junk = calloc(1, LONG);
    assert_non_null(junk);
    send(world, 1);
    for (size_t i = 0; i < FIT; i++)
        world_deliver(world, TOPIC_UP_BATCH, "t2", bytes_of(junk, LONG));
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_TOO_FAST), 0);
    for (size_t i = 0; i < MORE; i++)
        world_deliver(world, TOPIC_UP_BATCH, "t2", bytes_of(junk, LONG));
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_TOO_FAST), MORE);
    assert_int_equal(world_results(world), 0);
    free(junk);
}

/* Two that fill it between them are both heard: neither has more than half. */
static void many_that_send_much_are_all_heard(void **state)
{
    struct world *world = *state;
    struct buf other = world_seal_results(world, "t2", INCARNATION, 1, 1, 0);
    struct buf one = world_seal_results(world, "t1", INCARNATION, 1, 1, 0);
    for (size_t i = 0; i < ROOM; i++) {
        world_deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&one));
        world_deliver(world, TOPIC_UP_BATCH, "t2", buf_bytes(&other));
    }
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_TOO_FAST), 0);
    world_settle(world);
    assert_int_equal(world->metrics.values[METRIC_BATCHES], 2 * ROOM);
    buf_done(&one);
    buf_done(&other);
}

/* Of two that contradict each other the one that came first counts, whatever came between them. */
static void the_first_of_two_counts(void **state)
{
    struct world *world = *state;
    for (uint64_t seq = 1; seq <= 40; seq++) {
        world_send_results(world, INCARNATION, seq, seq, 0);
        world_send_results(world, INCARNATION, seq, seq, 1);
    }
    world_settle(world);
    assert_int_equal(world_results(world), 40);
    assert_int_equal(world->metrics.values[METRIC_CONFLICTS], 40);
}

static void what_is_opened_waits_for_a_turn(void **state)
{
    struct world *world = *state;
    send(world, 1);
    world_opened_all(world);
    assert_int_equal(world_results(world), 0);
    (void)collector_turn(world->collector);
    assert_int_equal(world_results(world), 1);
}

/* Opened while the key was good, stored when it is not any more. */
static void a_key_taken_away_meanwhile_is_no_key(void **state)
{
    struct world *world = *state;
    send(world, 1);
    world_opened_all(world);
    struct sign_key *before = new_key_of_t1(world);
    enrol_t1(world, world->t1_key);
    world_settle(world);
    assert_int_equal(world_results(world), 0);
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_SIGNATURE), 1);
    send(world, 1); /* by the new one */
    world_settle(world);
    assert_int_equal(world_results(world), 1);
    sign_key_free(before);
}

/* And the other way round. */
static void a_key_given_meanwhile_is_one(void **state)
{
    struct world *world = *state;
    struct sign_key *before = new_key_of_t1(world);
    send(world, 1);
    world_opened_all(world);
    enrol_t1(world, world->t1_key);
    world_settle(world);
    assert_int_equal(world_results(world), 1);
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_SIGNATURE), 0);
    sign_key_free(before);
}

static void who_is_retired_meanwhile_is_refused(void **state)
{
    struct world *world = *state;
    struct fleetdb_device device;
    send(world, 1);
    world_opened_all(world);
    assert_true(fleetdb_device_find(world->fleet->db, "t1", &device, NULL));
    const struct fleetdb_change change = {.who = "x", .why = "gone", .now_ms = world_wall(world)};
    struct err err = {0};
    if (!fleetdb_device_live(world->fleet->db, &device, FLEETDB_RETIRED, &change, &err))
        fail_msg("%s", err.text);
    world_settle(world);
    assert_int_equal(world_results(world), 0);
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_RETIRED), 1);
}

static void what_is_not_committed_is_dropped(void **state)
{
    struct world *world = *state;
    for (uint64_t seq = 1; seq <= 20; seq++)
        send(world, seq);
    collector_close(world->collector);
    world_start(world);
    world_settle(world);
    assert_int_equal(world_results(world), 0);
    assert_int_equal(world->sent, 0);
}

/* At the end all that came is stored. */
static void finished_it_has_stored_all(void **state)
{
    struct world *world = *state;
    for (uint64_t seq = 1; seq <= 20; seq++)
        send(world, seq);
    collector_finish(world->collector);
    assert_int_equal(world_results(world), 20);
    collector_finish(world->collector); /* nothing more to do */
}

/* While more is opened what is opened waits, but not for long. */
static void what_is_opened_does_not_wait_for_ever(void **state)
{
    struct world *world = *state;
    send(world, 1);
    const int64_t wait_ms = collector_turn(world->collector);
    assert_true(wait_ms >= 1);
    if (world_results(world) == 0)
        assert_in_range(wait_ms, 1, 20);
    collector_flush(world->collector);
    assert_int_equal(world_results(world), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open_threaded, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(many_messages_keep_their_order),
        TEST(the_first_of_two_counts),
        TEST(what_is_opened_waits_for_a_turn),
        TEST(a_key_taken_away_meanwhile_is_no_key),
        TEST(a_key_given_meanwhile_is_one),
        TEST(who_is_retired_meanwhile_is_refused),
        TEST(what_is_not_committed_is_dropped),
        TEST(finished_it_has_stored_all),
        TEST(what_is_opened_does_not_wait_for_ever),
        TEST(what_is_being_opened_is_waited_for),
        TEST(one_that_floods_holds_up_no_other),
        TEST(what_a_flood_says_of_its_session_is_heard),
        TEST(nor_does_one_that_sends_much_at_once),
        TEST(many_that_send_much_are_all_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
