/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/sse.h"

#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

struct heard {
    char text[512];
    int count, end_after;
};

static bool on_event(void *ctx, const struct sse_event *event)
{
    struct heard *heard = ctx;
    const size_t length = strlen(heard->text);
    (void)snprintf(heard->text + length, sizeof heard->text - length, "[%s|%.*s]", event->name,
                   (int)event->data.length, (const char *)event->data.data);
    return ++heard->count != heard->end_after;
}

static struct sse reader(struct heard *heard)
{
    struct sse sse = {.event = on_event, .ctx = heard};
    sse_begin(&sse);
    return sse;
}

static void events_come_in_any_pieces(void **state)
{
    static const char text[] =
        ": a comment\nretry: 3000\n\nid: 1-2\nevent: change\ndata: {\"a\":1}\n\n"
        "data:first\r\ndata: second\r\n\r\nid: 2-3\ndata\n\nevent: x\n\n";
    (void)state;
    for (size_t piece = 1; piece < sizeof text; piece++) {
        struct heard heard = {0};
        struct sse sse = reader(&heard);
        for (size_t at = 0; at < sizeof text - 1; at += piece) {
            const size_t left = sizeof text - 1 - at;
            assert_true(sse_take(&sse, bytes_of(text + at, left < piece ? left : piece)));
        }
        assert_string_equal(heard.text, "[change|{\"a\":1}][message|first\nsecond][message|]");
        assert_string_equal(sse.id, "2-3");
        sse_done(&sse);
    }
}

/* What broke off in the middle comes again: its id does not count yet. */
static void half_an_event_is_none(void **state)
{
    struct heard heard = {0};
    struct sse sse = reader(&heard);
    (void)state;
    assert_true(sse_take(&sse, bytes_of("id: 1-1\ndata: a\n\nid: 2-2\ndata: b\n", 33)));
    assert_string_equal(sse.id, "1-1");
    sse_begin(&sse);
    assert_true(sse_take(&sse, bytes_of("data: c\n\n", 9)));
    assert_string_equal(heard.text, "[message|a][message|c]");
    assert_string_equal(sse.id, "1-1");
    sse_done(&sse);
}

static void it_is_bounded(void **state)
{
    struct heard heard = {0};
    struct sse sse = reader(&heard);
    bool taken = true;
    (void)state;
    for (size_t i = 0; taken && i <= SSE_DATA_BYTES; i++)
        taken = sse_take(&sse, bytes_of("x", 1));
    assert_false(taken);
    sse_begin(&sse);
    taken = true;
    for (size_t i = 0; taken && i <= SSE_DATA_BYTES; i++)
        taken = sse_take(&sse, bytes_of("data: x\n", 8));
    assert_false(taken);
    assert_int_equal(heard.count, 0);
    sse_done(&sse);
}

static void who_listens_may_end_it(void **state)
{
    struct heard heard = {.end_after = 1};
    struct sse sse = reader(&heard);
    (void)state;
    assert_false(sse_take(&sse, bytes_of("data: a\n\ndata: b\n\n", 18)));
    assert_string_equal(heard.text, "[message|a]");
    sse_done(&sse);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_in_any_pieces),
        cmocka_unit_test(half_an_event_is_none),
        cmocka_unit_test(it_is_bounded),
        cmocka_unit_test(who_listens_may_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
