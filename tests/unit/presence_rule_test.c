/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/presence_rule.h"

#include "fleet/agenda.h"
#include "tests/unit/random_rows.h"
#include "tests/unit/testing.h"

enum { GRACE = 600000, LEAST = 120000, QUARTER = 900000 };

static const struct presence_rule rule = {.grace_ms = GRACE, .silence_least_ms = LEAST};

/* A device, its store and the two clocks, of which one may be set. */
struct scene {
    struct presence_sight sight;
    struct presence_place place;
    struct presence_time now;
    int64_t due_ms;
};

static struct scene scene_new(void)
{
    return (struct scene){.place = {.in_service = true, .open = true},
                          .now = {.boot_ms = 5000, .wall_ms = 1790000000000}};
}

static enum fleetdb_presence_state after(struct scene *scene, int64_t ms)
{
    scene->now.boot_ms += ms;
    scene->now.wall_ms += ms;
    scene->place.until_ms = scene->now.boot_ms + QUARTER;
    return presence_rule_judge(&scene->sight, &rule, &scene->place, &scene->now, &scene->due_ms);
}

static void heard(struct scene *scene, int64_t silence_s)
{
    presence_rule_heard(&scene->sight, silence_s, &scene->now);
}

static bool said(struct scene *scene, bool online, uint64_t boot, int64_t began_ms)
{
    const struct online_word word = {.online = online, .boot = boot, .began_ms = began_ms};
    return presence_rule_word(&scene->sight, &word, false, &scene->now);
}

static bool kept(struct scene *scene, bool online, uint64_t boot, int64_t began_ms)
{
    const struct online_word word = {.online = online, .boot = boot, .began_ms = began_ms};
    return presence_rule_word(&scene->sight, &word, true, &scene->now);
}

static void its_will_takes_a_device_away(void **state)
{
    (void)state;
    struct scene scene = scene_new();
    assert_int_equal(after(&scene, 0), FLEETDB_UNKNOWN);
    assert_true(said(&scene, true, 1, 100));
    assert_int_equal(after(&scene, 0), FLEETDB_ONLINE);
    assert_int_equal(scene.sight.evidence, FLEETDB_BY_BIRTH);
    int64_t seen_ms = scene.sight.seen_ms;
    (void)after(&scene, 5000);
    assert_true(said(&scene, false, 1, 100));
    assert_int_equal(after(&scene, 0), FLEETDB_OFFLINE);
    assert_int_equal(scene.sight.evidence, FLEETDB_BY_WILL);
    assert_int_equal(scene.sight.since_ms, scene.now.wall_ms);
    assert_int_equal(scene.sight.seen_ms, seen_ms); /* the broker's word, not its own */
    const struct online_word goodbye = {.goodbye = true, .boot = 1, .began_ms = 100};
    assert_true(presence_rule_word(&scene.sight, &goodbye, false, &scene.now));
    assert_int_equal(scene.sight.evidence, FLEETDB_BY_WILL); /* the first word stands */
    heard(&scene, -1);
    assert_int_equal(after(&scene, 0), FLEETDB_ONLINE);
    assert_int_equal(scene.sight.evidence, FLEETDB_BY_MESSAGE);
}

static void a_word_of_a_session_before_says_nothing(void **state)
{
    (void)state;
    struct scene scene = scene_new();
    assert_true(said(&scene, true, 1, 100));
    assert_true(said(&scene, true, 1, 200));
    assert_false(said(&scene, false, 1, 100)); /* late, of the same boot */
    assert_int_equal(after(&scene, 0), FLEETDB_ONLINE);
    assert_true(said(&scene, true, 2, 50)); /* it has restarted */
    assert_false(said(&scene, false, 1, 200));
    assert_false(said(&scene, true, 1, 200));
    assert_false(kept(&scene, false, 1, 200));
    assert_int_equal(after(&scene, 0), FLEETDB_ONLINE);
    assert_true(said(&scene, false, 2, 50));
    assert_int_equal(after(&scene, 0), FLEETDB_OFFLINE);
    assert_false(said(&scene, true, 1, 200));
    assert_int_equal(after(&scene, 0), FLEETDB_OFFLINE);
    /* An earlier terminal's word tells of no session, and is taken as it is. */
    assert_true(said(&scene, true, 0, 0));
    assert_int_equal(after(&scene, 0), FLEETDB_ONLINE);
    assert_true(said(&scene, false, 0, 0));
    assert_int_equal(after(&scene, 0), FLEETDB_OFFLINE);
    assert_int_equal(scene.sight.boot, 2);
    /* A will of a session whose birth nobody heard. */
    scene = scene_new();
    assert_true(said(&scene, true, 1, 100));
    assert_true(said(&scene, false, 1, 109));
    assert_int_equal(after(&scene, 0), FLEETDB_OFFLINE);
    scene = scene_new();
    heard(&scene, 60);
    assert_true(said(&scene, false, 3, 9));
    assert_int_equal(after(&scene, 0), FLEETDB_OFFLINE);
}

static void a_will_of_two_boots_ago_says_nothing(void **state)
{
    (void)state;
    struct scene scene = scene_new();
    for (uint64_t boot = 1; boot <= 3; boot++)
        assert_true(said(&scene, true, boot, 100));
    assert_false(said(&scene, false, 1, 100));
    assert_int_equal(after(&scene, 0), FLEETDB_ONLINE);
    assert_true(said(&scene, true, 3, 200));
    assert_true(said(&scene, false, 3, 200));
    assert_int_equal(after(&scene, 0), FLEETDB_OFFLINE);
    /* Nor does it take the place of the session that ended. */
    assert_true(said(&scene, false, 1, 100));
    assert_true(said(&scene, true, 3, 300));
    assert_int_equal(after(&scene, 0), FLEETDB_ONLINE);
}

static void silence_is_measured_by_what_it_told(void **state)
{
    (void)state;
    struct scene scene = scene_new();
    heard(&scene, 905);
    int64_t last_ms = scene.now.wall_ms;
    assert_int_equal(after(&scene, 1), FLEETDB_ONLINE);
    assert_int_equal(scene.due_ms, scene.now.boot_ms - 1 + 2 * 905000);
    assert_int_equal(after(&scene, 2 * 905000 - 2), FLEETDB_ONLINE);
    scene.now.wall_ms += INT64_C(400) * 86400000; /* somebody sets the clock: it says nothing */
    assert_int_equal(after(&scene, 0), FLEETDB_ONLINE);
    assert_int_equal(after(&scene, 1), FLEETDB_OFFLINE);
    assert_int_equal(scene.sight.evidence, FLEETDB_BY_SILENCE);
    assert_int_equal(scene.sight.since_ms, last_ms);
    /* Who does not say is awaited each day; nonsense has bounds. */
    scene = scene_new();
    heard(&scene, 0);
    (void)after(&scene, 0);
    assert_int_equal(scene.due_ms, scene.now.boot_ms + 2 * 86400000);
    heard(&scene, 1);
    (void)after(&scene, 0);
    assert_int_equal(scene.due_ms, scene.now.boot_ms + LEAST);
    heard(&scene, UINT32_MAX);
    (void)after(&scene, 0);
    assert_int_equal(scene.due_ms, scene.now.boot_ms + INT64_C(16) * 86400000);
    heard(&scene, -1); /* a batch says nothing of it */
    assert_int_equal(scene.sight.silence_s, 8 * 86400);
}

static void who_is_away_in_opening_hours_is_missing(void **state)
{
    (void)state;
    struct scene scene = scene_new();
    assert_true(said(&scene, true, 1, 100));
    assert_true(said(&scene, false, 1, 100));
    assert_int_equal(after(&scene, 0), FLEETDB_OFFLINE);
    assert_int_equal(scene.due_ms, scene.now.boot_ms + GRACE);
    assert_int_equal(after(&scene, GRACE - 1), FLEETDB_OFFLINE);
    scene.place.open = false; /* it closes before anybody misses it */
    assert_int_equal(after(&scene, 1), FLEETDB_CLOSED);
    assert_int_equal(after(&scene, 10 * GRACE), FLEETDB_CLOSED);
    scene.place.open = true;
    assert_int_equal(after(&scene, 0), FLEETDB_OFFLINE); /* it has just opened */
    assert_int_equal(after(&scene, GRACE), FLEETDB_MISSING);
    scene.place.open = false; /* and stays so overnight: it is not repaired by closing */
    assert_int_equal(after(&scene, 0), FLEETDB_MISSING);
    heard(&scene, -1);
    assert_int_equal(after(&scene, 0), FLEETDB_ONLINE);
    assert_true(said(&scene, false, 1, 100));
    assert_int_equal(after(&scene, 10 * GRACE), FLEETDB_CLOSED);
}

static void nobody_expects_what_is_not_in_service(void **state)
{
    (void)state;
    struct scene scene = scene_new();
    assert_true(said(&scene, true, 1, 100));
    assert_true(said(&scene, false, 1, 100));
    (void)after(&scene, 0);
    assert_int_equal(after(&scene, GRACE), FLEETDB_MISSING);
    scene.place.in_service = false;
    assert_int_equal(after(&scene, 0), FLEETDB_OFFLINE);
    assert_int_equal(after(&scene, 10 * GRACE), FLEETDB_OFFLINE);
    assert_int_equal(scene.due_ms, -1);
    scene.place.in_service = true;
    assert_int_equal(after(&scene, 0), FLEETDB_OFFLINE); /* awaited anew */
    assert_int_equal(after(&scene, GRACE), FLEETDB_MISSING);
}

static void nobody_is_judged_while_we_are_blind(void **state)
{
    (void)state;
    struct scene scene = scene_new();
    heard(&scene, 60);
    scene.place.blind = true;
    assert_int_equal(after(&scene, INT64_C(10) * 86400000), FLEETDB_ONLINE);
    presence_rule_line(&scene.sight, scene.now.boot_ms);
    assert_int_equal(after(&scene, 1000), FLEETDB_UNKNOWN); /* in doubt */
    scene.place.blind = false;
    assert_int_equal(after(&scene, 1000), FLEETDB_UNKNOWN);
    assert_int_equal(after(&scene, 120000), FLEETDB_OFFLINE); /* silent since our line came */
    scene = scene_new();
    scene.place.blind = true;
    assert_true(said(&scene, true, 1, 100));
    assert_true(said(&scene, false, 1, 100));
    assert_int_equal(after(&scene, 0), FLEETDB_OFFLINE);
    assert_int_equal(after(&scene, 10 * GRACE), FLEETDB_OFFLINE);
    scene.place.blind = false;
    assert_int_equal(after(&scene, 0), FLEETDB_OFFLINE); /* the grace begins now */
    assert_int_equal(after(&scene, GRACE), FLEETDB_MISSING);
}

static const struct presence_broker went_on = {.keeps = true},
                                    was_new = {.keeps = true, .restarted = true},
                                    forgetful = {.restarted = true};

static void kept_words_clear_up_the_doubt(void **state)
{
    (void)state;
    struct scene scene = scene_new();
    assert_true(said(&scene, true, 1, 100));
    int64_t since_ms = scene.sight.since_ms;
    (void)after(&scene, 3600000);
    struct presence_sight before = scene.sight;
    presence_rule_line(&scene.sight, scene.now.boot_ms);
    assert_true(kept(&scene, true, 1, 100));
    assert_int_equal(after(&scene, 0), FLEETDB_ONLINE);
    assert_int_equal(scene.sight.evidence, FLEETDB_BY_KEPT);
    assert_int_equal(scene.sight.since_ms, since_ms);
    presence_rule_settle(&scene.sight, &went_on);
    assert_int_equal(after(&scene, 0), FLEETDB_ONLINE);
    /* The broker was restarted, and kept the word of a session that ended with it. */
    presence_rule_settle(&scene.sight, &was_new);
    assert_int_equal(after(&scene, 0), FLEETDB_OFFLINE);
    assert_int_equal(scene.sight.evidence, FLEETDB_BY_BROKER);
    assert_true(kept(&scene, true, 1, 100)); /* heard again when our line comes again */
    assert_int_equal(after(&scene, 0), FLEETDB_OFFLINE);
    assert_true(said(&scene, true, 1, 300));
    assert_int_equal(after(&scene, 0), FLEETDB_ONLINE);
    /* Who has said something since is there, whatever its session. */
    scene.sight = before;
    presence_rule_line(&scene.sight, scene.now.boot_ms);
    assert_true(kept(&scene, true, 1, 100));
    heard(&scene, -1);
    presence_rule_settle(&scene.sight, &was_new);
    assert_int_equal(after(&scene, 0), FLEETDB_ONLINE);
}

static void who_has_no_kept_word_is_away_where_words_are_kept(void **state)
{
    (void)state;
    struct scene scene = scene_new();
    assert_true(said(&scene, true, 1, 100));
    presence_rule_line(&scene.sight, scene.now.boot_ms);
    presence_rule_settle(&scene.sight, &forgetful);
    assert_int_equal(after(&scene, 1000), FLEETDB_UNKNOWN);
    presence_rule_settle(&scene.sight, &went_on);
    assert_int_equal(after(&scene, 0), FLEETDB_OFFLINE);
    assert_int_equal(scene.sight.evidence, FLEETDB_BY_BROKER);
    /* A late word stands where its own would: nobody knows. */
    assert_true(said(&scene, true, 2, 100));
    presence_rule_line(&scene.sight, scene.now.boot_ms);
    assert_false(kept(&scene, false, 1, 100));
    presence_rule_settle(&scene.sight, &went_on);
    assert_int_equal(after(&scene, 0), FLEETDB_UNKNOWN);
    /* Of who was never heard nothing is said. */
    struct scene other = scene_new();
    presence_rule_line(&other.sight, other.now.boot_ms);
    presence_rule_settle(&other.sight, &went_on);
    assert_int_equal(after(&other, INT64_C(30) * 86400000), FLEETDB_UNKNOWN);
    assert_int_equal(other.due_ms, -1);
}

static void the_agenda_has_the_first_first(void **state)
{
    (void)state;
    struct agenda agenda = {0};
    struct dice dice = {17};
    int64_t due_ms[200], first_ms;
    size_t thing;
    assert_true(agenda_begin(&agenda, 200, NULL));
    assert_false(agenda_first(&agenda, &thing, &first_ms));
    for (size_t i = 0; i < 200; i++)
        due_ms[i] = -1;
    for (int turn = 0; turn < 5000; turn++) {
        size_t at = (size_t)dice_below(&dice, 200);
        due_ms[at] = dice_below(&dice, 4) == 0 ? -1 : (int64_t)dice_below(&dice, 1000);
        agenda_set(&agenda, at, due_ms[at]);
        int64_t least_ms = -1;
        for (size_t i = 0; i < 200; i++) {
            if (due_ms[i] >= 0 && (least_ms < 0 || due_ms[i] < least_ms))
                least_ms = due_ms[i];
        }
        assert_int_equal(agenda_first(&agenda, &thing, &first_ms), least_ms >= 0);
        if (least_ms >= 0) {
            assert_int_equal(first_ms, least_ms);
            assert_int_equal(due_ms[thing], least_ms);
        }
    }
    agenda_done(&agenda);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_will_takes_a_device_away),
        cmocka_unit_test(a_word_of_a_session_before_says_nothing),
        cmocka_unit_test(a_will_of_two_boots_ago_says_nothing),
        cmocka_unit_test(silence_is_measured_by_what_it_told),
        cmocka_unit_test(who_is_away_in_opening_hours_is_missing),
        cmocka_unit_test(nobody_expects_what_is_not_in_service),
        cmocka_unit_test(nobody_is_judged_while_we_are_blind),
        cmocka_unit_test(kept_words_clear_up_the_doubt),
        cmocka_unit_test(who_has_no_kept_word_is_away_where_words_are_kept),
        cmocka_unit_test(the_agenda_has_the_first_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
