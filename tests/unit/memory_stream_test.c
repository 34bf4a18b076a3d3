/* SPDX-License-Identifier: Apache-2.0 */
/* What simulated terminals have for a socket: held to what base/stream.h says. */
#include "base/stream.h"
#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>

struct end {
    struct stream *stream;
    unsigned opened, closed;
    bool failed;
    char came[64];
};

struct world {
    uv_loop_t loop;
    struct stream_server *server;
    struct end client, taken;
    unsigned crowded;
    bool refuse, hang_up;
};

static struct end *end_of(struct world *world, const struct stream *stream)
{
    return stream == world->taken.stream ? &world->taken : &world->client;
}

static bool on_accepted(void *ctx, struct stream *stream, struct stream_peer peer)
{
    struct world *world = ctx;
    (void)peer;
    if (!world->refuse)
        world->taken.stream = stream;
    return !world->refuse;
}

static void on_crowded(void *ctx)
{
    ((struct world *)ctx)->crowded++;
}

static void on_opened(void *ctx, struct stream *stream)
{
    end_of(ctx, stream)->opened++;
}

static void on_frame(void *ctx, struct stream *stream, struct bytes frame)
{
    struct world *world = ctx;
    strncat(end_of(world, stream)->came, (const char *)frame.data, frame.length);
    if (world->hang_up)
        stream_close(stream);
}

static void on_closed(void *ctx, struct stream *stream, const struct err *why)
{
    struct end *end = end_of(ctx, stream);
    end->closed++;
    end->failed = why != NULL;
    end->stream = NULL;
}

static const struct stream_events events = {.accepted = on_accepted,
                                            .crowded = on_crowded,
                                            .opened = on_opened,
                                            .frame = on_frame,
                                            .closed = on_closed};
static const struct stream_limits limits = {
    .max_frame_bytes = 8, .max_queue_bytes = 20, .max_clients = 1};

static void turn(struct world *world)
{
    for (unsigned i = 0; i < 8; i++)
        uv_run(&world->loop, UV_RUN_NOWAIT);
}

static void begin(struct world *world, const char *path)
{
    assert_true(
        stream_connect(&world->loop, path, &limits, &events, world, &world->client.stream, NULL));
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    uv_loop_init(&world->loop);
    assert_true(stream_listen(&world->loop, "run/a.sock", 0600, &limits, &events, world,
                              &world->server, NULL));
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    if (world->client.stream != NULL)
        stream_close(world->client.stream);
    stream_server_close(world->server);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    free(world);
    return 0;
}

static bool say(struct stream *stream, const char *words)
{
    return stream_send(stream, bytes_of(words, strlen(words)), NULL);
}

static void test_frames_come_in_order_and_in_the_next_turn(void **state)
{
    struct world *world = *state;
    begin(world, "run/a.sock");
    assert_int_equal(world->client.opened, 0);
    turn(world);
    assert_int_equal(world->client.opened, 1);
    assert_true(say(world->client.stream, "one,") && say(world->client.stream, "two"));
    assert_true(say(world->taken.stream, "three"));
    assert_string_equal(world->taken.came, "");
    assert_true(stream_queued_bytes(world->client.stream) > 0);
    turn(world);
    assert_string_equal(world->taken.came, "one,two");
    assert_string_equal(world->client.came, "three");
    assert_int_equal(stream_queued_bytes(world->client.stream), 0);
}

static void test_what_was_sent_before_the_end_still_comes(void **state)
{
    struct world *world = *state;
    begin(world, "run/a.sock");
    turn(world);
    assert_true(say(world->client.stream, "last"));
    stream_close(world->client.stream);
    turn(world);
    assert_string_equal(world->taken.came, "last");
    assert_true(world->taken.closed == 1 && !world->taken.failed);
    assert_int_equal(world->client.closed, 1);
}

static void test_who_hangs_up_in_a_frame_hears_no_other(void **state)
{
    struct world *world = *state;
    begin(world, "run/a.sock");
    turn(world);
    world->hang_up = true;
    assert_true(say(world->client.stream, "a") && say(world->client.stream, "b"));
    turn(world);
    assert_string_equal(world->taken.came, "a");
    assert_true(world->taken.closed == 1 && world->client.closed == 1);
}

static void test_nobody_listens(void **state)
{
    struct world *world = *state;
    begin(world, "run/b.sock");
    turn(world);
    assert_true(world->client.opened == 0 && world->client.closed == 1 && world->client.failed);
}

static void test_one_that_is_refused_opens_and_ends(void **state)
{
    struct world *world = *state;
    world->refuse = true;
    begin(world, "run/a.sock");
    turn(world);
    assert_int_equal(world->client.closed, 1);
    assert_int_equal(world->taken.closed, 0); /* of what was refused nothing is said */
}

static void test_no_more_than_may_come(void **state)
{
    struct world *world = *state;
    begin(world, "run/a.sock");
    turn(world);
    struct stream *first = world->client.stream;
    begin(world, "run/a.sock");
    turn(world);
    assert_true(world->crowded == 1 && world->client.closed == 1);
    world->client.stream = first;
}

static void test_too_much_ends_it(void **state)
{
    struct world *world = *state;
    begin(world, "run/a.sock");
    turn(world);
    assert_false(say(world->client.stream, "nine bytes"));
    assert_true(say(world->client.stream, "12345678") && say(world->client.stream, "1234567"));
    assert_false(say(world->client.stream, "1234567"));
    turn(world);
    assert_true(world->client.closed == 1 && world->client.failed && world->taken.closed == 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_frames_come_in_order_and_in_the_next_turn),
        TEST(test_what_was_sent_before_the_end_still_comes),
        TEST(test_who_hangs_up_in_a_frame_hears_no_other),
        TEST(test_nobody_listens),
        TEST(test_one_that_is_refused_opens_and_ends),
        TEST(test_no_more_than_may_come),
        TEST(test_too_much_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
