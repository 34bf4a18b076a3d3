/* SPDX-License-Identifier: Apache-2.0 */
/* When attempts are made. Brokers that answer are met in tests/scenario. */
#include "base/clock.h"
#include "base/mqtt.h"
#include "tests/unit/testing.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

struct seen {
    uv_loop_t loop;
    struct mqtt *mqtt;
    int failures, wanted;
    int64_t longest_ms;
    char reason[MQTT_REASON_CHARS];
};

static void on_disconnected(void *ctx, const char *reason, int64_t next_attempt_ms)
{
    struct seen *seen = ctx;
    int64_t wait_ms = next_attempt_ms - clock_wall_ms(&clock_real);

    (void)snprintf(seen->reason, sizeof seen->reason, "%s", reason);
    seen->longest_ms = wait_ms > seen->longest_ms ? wait_ms : seen->longest_ms;
    if (++seen->failures == seen->wanted) {
        mqtt_close(seen->mqtt);
    }
}

static void open_mqtt(struct seen *seen, const char *brokers, unsigned failures_before,
                      int64_t retry_first_ms, int64_t retry_max_ms)
{
    static const struct mqtt_events events = {.disconnected = on_disconnected};
    const struct mqtt_settings settings = {
        .brokers = brokers,
        .client_id = "term-1",
        .ca_path = "/nonexistent/ca.pem",
        .certificate_path = "/nonexistent/own.pem",
        .key_path = "/nonexistent/own.key",
        .failures_before = failures_before,
        .retry_first_ms = retry_first_ms,
        .retry_max_ms = retry_max_ms,
    };
    struct err err;

    (void)uv_loop_init(&seen->loop);
    assert_true(mqtt_open(&seen->loop, &settings, &events, seen, &seen->mqtt, &err));
}

static void run_out(struct seen *seen)
{
    (void)uv_run(&seen->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&seen->loop), 0);
}

static int64_t first_wait_ms(unsigned failures_before)
{
    struct seen seen = {0};

    open_mqtt(&seen, "localhost:1", failures_before, 1000, 3600000);
    mqtt_start(seen.mqtt);
    assert_int_equal(mqtt_status(seen.mqtt)->state, MQTT_WAITING);
    int64_t wait_ms = mqtt_status(seen.mqtt)->next_attempt_ms - clock_wall_ms(&clock_real);
    mqtt_close(seen.mqtt);
    run_out(&seen);
    return wait_ms;
}

static void failures_of_an_earlier_process_make_the_first_attempt_wait(void **state)
{
    int64_t longest_ms = 0;

    (void)state;
    assert_true(first_wait_ms(0) <= 0);
    for (int i = 0; i < 4; i++) { /* each is below a second once in 3600 times */
        int64_t wait_ms = first_wait_ms(16);
        longest_ms = wait_ms > longest_ms ? wait_ms : longest_ms;
    }
    assert_in_range(longest_ms, 1000, 3600000);
}

/* Also where it fails before a packet was sent: files that are gone, names that do not resolve. */
static void every_failure_counts_and_waits_longer(void **state)
{
    struct seen seen = {.wanted = 8};

    (void)state;
    open_mqtt(&seen, "127.0.0.1:1", 0, 1, 128);
    mqtt_start(seen.mqtt);
    run_out(&seen);
    assert_int_equal(seen.failures, 8);
    assert_non_null(strstr(seen.reason, "127.0.0.1:1: CA file /nonexistent/ca.pem"));
    assert_in_range(seen.longest_ms, 2,
                    128); /* of 2, 4 .. 128: all at most 1 is out of the question */
}

static void brokers_are_tried_in_turn(void **state)
{
    struct seen seen = {.wanted = 2};

    (void)state;
    open_mqtt(&seen, "127.0.0.1:1, 127.0.0.2:2", 0, 1, 1);
    mqtt_start(seen.mqtt);
    run_out(&seen);
    assert_non_null(strstr(seen.reason, "127.0.0.2:2: "));
}

static void stopping_and_starting_is_no_way_around_the_wait(void **state)
{
    struct seen seen = {.wanted = 1};
    int64_t now_ms = clock_wall_ms(&clock_real);

    (void)state;
    open_mqtt(&seen, "127.0.0.1:1", 20, 3600000, 3600000);
    for (int i = 0; i < 4; i++) {
        mqtt_start(seen.mqtt);
        int64_t next_ms = mqtt_status(seen.mqtt)->next_attempt_ms;
        seen.longest_ms = next_ms > seen.longest_ms ? next_ms : seen.longest_ms;
        mqtt_stop(seen.mqtt);
        assert_int_equal(mqtt_status(seen.mqtt)->next_attempt_ms, 0);
    }
    assert_true(seen.longest_ms > now_ms + 1000);
    mqtt_close(seen.mqtt);
    run_out(&seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_of_an_earlier_process_make_the_first_attempt_wait),
        cmocka_unit_test(every_failure_counts_and_waits_longer),
        cmocka_unit_test(brokers_are_tried_in_turn),
        cmocka_unit_test(stopping_and_starting_is_no_way_around_the_wait),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
