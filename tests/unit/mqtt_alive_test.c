/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mqtt_alive.h"
#include "tests/unit/testing.h"

enum { KEEPALIVE_MS = 60000, TICK_MS = 7500 };

static void silence_without_a_ping_is_no_death(void **state)
{
    struct mqtt_alive alive;

    (void)state;
    mqtt_alive_begin(&alive, KEEPALIVE_MS, 1000);
    for (int64_t now_ms = 1000; now_ms < 10 * KEEPALIVE_MS; now_ms += TICK_MS) {
        assert_int_equal(mqtt_alive_look(&alive, 0, now_ms), MQTT_LIFE_GOOD);
    }
}

static void an_unanswered_ping_is_death_after_half_of_the_keepalive(void **state)
{
    struct mqtt_alive alive;

    (void)state;
    mqtt_alive_begin(&alive, KEEPALIVE_MS, 1000);
    mqtt_alive_ping(&alive, 61000);
    assert_int_equal(mqtt_alive_look(&alive, 0, 61000), MQTT_LIFE_BUSY);
    assert_int_equal(mqtt_alive_look(&alive, 0, 90999), MQTT_LIFE_BUSY);
    assert_int_equal(mqtt_alive_look(&alive, 0, 91000), MQTT_LIFE_DEAD);
}

static void an_answer_starts_anew(void **state)
{
    struct mqtt_alive alive;

    (void)state;
    mqtt_alive_begin(&alive, KEEPALIVE_MS, 1000);
    mqtt_alive_ping(&alive, 61000);
    mqtt_alive_packet(&alive, 24, 62000);
    mqtt_alive_answer(&alive);
    assert_int_equal(mqtt_alive_look(&alive, 24, 92000), MQTT_LIFE_GOOD);
    mqtt_alive_ping(&alive, 122000);
    assert_int_equal(mqtt_alive_look(&alive, 24, 151999), MQTT_LIFE_BUSY);
    assert_int_equal(mqtt_alive_look(&alive, 24, 152000), MQTT_LIFE_DEAD);
}

/* A table of 28 KB at 150 bytes a second: three minutes, with the ping's answer behind it. */
static void a_thin_line_is_waited_for_and_kept_awake(void **state)
{
    struct mqtt_alive alive;
    uint64_t bytes = 0;
    int stirred = 0;

    (void)state;
    mqtt_alive_begin(&alive, KEEPALIVE_MS, 1000);
    mqtt_alive_ping(&alive, 2000);
    for (int64_t now_ms = 2000; bytes < 28000; now_ms += TICK_MS) {
        bytes += 150 * TICK_MS / 1000;
        enum mqtt_life life = mqtt_alive_look(&alive, bytes, now_ms);
        assert_true(life == MQTT_LIFE_BUSY || life == MQTT_LIFE_STIR);
        stirred += life == MQTT_LIFE_STIR;
    }
    assert_int_equal(stirred, 3); /* once a keepalive */
}

static void a_line_that_stops_in_the_middle_is_dead(void **state)
{
    struct mqtt_alive alive;

    (void)state;
    mqtt_alive_begin(&alive, KEEPALIVE_MS, 1000);
    mqtt_alive_ping(&alive, 2000);
    assert_int_equal(mqtt_alive_look(&alive, 5000, 9000), MQTT_LIFE_BUSY);
    assert_int_equal(mqtt_alive_look(&alive, 5000, 38999), MQTT_LIFE_BUSY);
    assert_int_equal(mqtt_alive_look(&alive, 5000, 39000), MQTT_LIFE_DEAD);
}

static void one_byte_a_second_is_given_up(void **state)
{
    struct mqtt_alive alive;
    uint64_t bytes = 0;
    int64_t now_ms = 1000;
    enum mqtt_life life;

    (void)state;
    mqtt_alive_begin(&alive, KEEPALIVE_MS, now_ms);
    do {
        now_ms += 1000;
        life = mqtt_alive_look(&alive, ++bytes, now_ms);
    } while (life == MQTT_LIFE_GOOD);
    assert_int_equal(life, MQTT_LIFE_SLOW);
    /* twice the keepalive, and a hundredth of a second for each byte that came */
    assert_in_range(now_ms, 1000 + 2 * KEEPALIVE_MS, 1000 + 2 * KEEPALIVE_MS + 3000);
}

/* Tickets and key updates are bytes that no packet follows at once. */
static void bytes_between_packets_do_not_pile_up(void **state)
{
    struct mqtt_alive alive;
    uint64_t bytes = 0;
    int64_t now_ms = 1000;

    (void)state;
    mqtt_alive_begin(&alive, KEEPALIVE_MS, now_ms);
    for (int i = 0; i < 1000; i++) {
        bytes += 3;
        assert_int_equal(mqtt_alive_look(&alive, bytes, now_ms += KEEPALIVE_MS), MQTT_LIFE_GOOD);
        mqtt_alive_packet(&alive, bytes += 24, now_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_without_a_ping_is_no_death),
        cmocka_unit_test(an_unanswered_ping_is_death_after_half_of_the_keepalive),
        cmocka_unit_test(an_answer_starts_anew),
        cmocka_unit_test(a_thin_line_is_waited_for_and_kept_awake),
        cmocka_unit_test(a_line_that_stops_in_the_middle_is_dead),
        cmocka_unit_test(one_byte_a_second_is_given_up),
        cmocka_unit_test(bytes_between_packets_do_not_pile_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
