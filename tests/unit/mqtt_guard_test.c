/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mqtt_guard.h"
#include "tests/unit/testing.h"

#include <string.h>

static const char *feed(struct mqtt_guard *guard, const char *line)
{
    bool packet = false;
    const char *why = mqtt_guard_line(guard, line, "term-1", &packet);

    assert_true(packet);
    return why;
}

static void each_packet_is_judged(void **state)
{
    static const struct {
        const char *line;
        const char *why; /* part of it; NULL: allowed */
    } cases[] = {
        {"Client term-1 received CONNACK (0)", NULL},
        {"Client term-1 received PUBLISH (d0, q0, r0, m0, 'a', ... (1 bytes))", NULL},
        {"Client term-1 received PUBLISH (d1, q1, r1, m7, 'a', ... (1 bytes))", NULL},
        {"Client term-1 received PUBLISH (d0, q2, r0, m7, 'a', ... (1 bytes))", "QoS 2"},
        {"Client term-1 received PUBLISH (d1, q2, r0, m7, 'a', ... (1 bytes))", "QoS 2"},
        {"Client term-1 received PUBREC (Mid: 1)", "QoS 2"},
        {"Client term-1 received PUBREL (Mid: 1)", "QoS 2"},
        {"Client term-1 received PUBCOMP (Mid: 1, RC:0)", "QoS 2"},
        {"Client term-1 received SUBACK", "not asked for"},
        {"Client term-1 received UNSUBACK", "not asked for"},
        {"Client term-1 received PINGREQ", "PINGREQ"},
        {"Client term-1 received PINGRESP", NULL},
        {"Client term-1 received AUTH", "AUTH"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mqtt_guard guard = {0};
        const char *why = feed(&guard, cases[i].line);
        if ((why == NULL) != (cases[i].why == NULL) ||
            (why != NULL && strstr(why, cases[i].why) == NULL)) {
            fail_msg("%s: %s", cases[i].line, why != NULL ? why : "allowed");
        }
    }
}

static void what_is_no_packet_is_left_alone(void **state)
{
    static const char *const lines[] = {
        "Client term-1 sending PINGREQ",
        "Client term-10 received PINGREQ", /* of another client */
        "Client term-",
        "Error: Unrecognised command 0",
        "",
    };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct mqtt_guard guard = {0};
        bool packet = true;
        assert_null(mqtt_guard_line(&guard, lines[i], "term-1", &packet));
        assert_false(packet);
    }
}

static void an_answer_is_good_for_one_question(void **state)
{
    struct mqtt_guard guard = {.subscribes = 2, .unsubscribes = 1};

    (void)state;
    assert_null(feed(&guard, "Client term-1 received SUBACK"));
    assert_null(feed(&guard, "Client term-1 received UNSUBACK"));
    assert_non_null(feed(&guard, "Client term-1 received UNSUBACK"));
    assert_null(feed(&guard, "Client term-1 received SUBACK"));
    assert_non_null(feed(&guard, "Client term-1 received SUBACK"));
    assert_null(feed(&guard, "Client term-1 received CONNACK (0)"));
    assert_non_null(feed(&guard, "Client term-1 received CONNACK (0)"));
}

static void a_puback_must_find_its_publish(void **state)
{
    struct mqtt_guard guard = {0};

    (void)state;
    assert_null(feed(&guard, "Client term-1 received PUBACK (Mid: 3, RC:0)"));
    assert_non_null(mqtt_guard_settle(&guard));
    guard.pubacks--; /* its publish was found */
    assert_null(mqtt_guard_settle(&guard));
    assert_null(feed(&guard, "Client term-1 received PUBACK (Mid: 4, RC:0)"));
    assert_non_null(feed(&guard, "Client term-1 received PINGRESP"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_packet_is_judged),
        cmocka_unit_test(what_is_no_packet_is_left_alone),
        cmocka_unit_test(an_answer_is_good_for_one_question),
        cmocka_unit_test(a_puback_must_find_its_publish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
