/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/opener_thread.h"

#include "tests/unit/random_rows.h"
#include "tests/unit/testing.h"

#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 64 };

struct scene {
    struct sign_key *key, *other;
    struct opener_keys keys; /* `key` alone */
    struct opener *opener;   /* of this thread */
    struct opener_thread *thread;
    sem_t woken;
    struct buf messages[ROOM];
    struct opened opened[ROOM];
};

static void wake(void *ctx)
{
    assert_int_equal(sem_post(&((struct scene *)ctx)->woken), 0);
}

static struct sign_key *new_key(void)
{
    char dir[] = "/tmp/muster-opener-XXXXXX", path[64];
    struct sign_key *key = NULL;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/key", dir);
    assert_true(sign_key_make(path, &key, NULL));
    assert_int_equal(remove(path), 0);
    assert_int_equal(remove(dir), 0);
    return key;
}

static int open_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    scene->key = new_key();
    scene->other = new_key();
    struct bytes spki = sign_key_spki(scene->key);
    memcpy(scene->keys.list[0].spki, spki.data, spki.length);
    scene->keys.list[0].length = spki.length;
    scene->keys.count = 1;
    assert_true(opener_make(&scene->opener, NULL));
    assert_int_equal(sem_init(&scene->woken, 0, 0), 0);
    *state = scene;
    return 0;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    if (scene->thread != NULL)
        opener_thread_stop(scene->thread);
    for (size_t i = 0; i < ROOM; i++) {
        opened_done(&scene->opened[i]);
        buf_done(&scene->messages[i]);
    }
    opener_thread_free(scene->thread);
    opener_free(scene->opener);
    sign_key_free(scene->key);
    sign_key_free(scene->other);
    assert_int_equal(sem_destroy(&scene->woken), 0);
    free(scene);
    return 0;
}

static void start(struct scene *scene, size_t held_bytes)
{
    const struct opener_thread_settings settings = {
        .room = ROOM, .held_bytes = held_bytes, .wake = wake, .ctx = scene, .wake_at = 10};
    assert_true(opener_thread_start(&settings, &scene->thread, NULL));
}

/* Message i is one of: a batch, one of somebody else's key, no envelope, a batch that is none. */
enum { KINDS = 4 };
static void make_message_of(struct scene *scene, struct dice *dice, size_t i, size_t count)
{
    const struct sign_key *by[] = {i % KINDS == 1 ? scene->other : scene->key};
    struct arena arena = {0};
    struct lane_rows rows;
    struct buf body = {0};
    random_rows(dice, (Muster__Lane)(1 + i % 3), count, &arena, &rows);
    buf_clear(&scene->messages[i]);
    assert_true(batch_encode(&rows, 1, 1, &body, NULL));
    if (i % KINDS == 3)
        body.length /= 2;
    if (i % KINDS == 2)
        assert_true(buf_append(&scene->messages[i], "\xff\xff", 2, NULL));
    else
        assert_true(seal("batch", "t1", buf_bytes(&body), by, 1, false, &scene->messages[i], NULL));
    buf_done(&body);
    arena_done(&arena);
}

static void make_message(struct scene *scene, struct dice *dice, size_t i)
{
    make_message_of(scene, dice, i, 1 + dice_below(dice, 40));
}

static void give(struct scene *scene, size_t i)
{
    const struct opener_job job = {.domain = "batch",
                                   .id = "t1",
                                   .message = buf_bytes(&scene->messages[i]),
                                   .keys = scene->keys,
                                   .opened = &scene->opened[i]};
    opener_thread_give(scene->thread, &job);
}

static void same_as_here(struct scene *scene, size_t i)
{
    static const enum opened_as due[KINDS] = {OPENED_BATCH, OPENED_UNSIGNED, OPENED_NO_ENVELOPE,
                                              OPENED_UNDECODABLE};
    const struct opened *there = &scene->opened[i];
    struct opened here = {0};
    opener_open(scene->opener, "batch", "t1", buf_bytes(&scene->messages[i]), &scene->keys, &here);
    assert_int_equal(here.as, due[i % KINDS]);
    assert_int_equal(there->as, here.as);
    assert_true(opener_keys_equal(&there->keys, &here.keys));
    assert_string_equal(there->why.text, here.why.text);
    assert_memory_equal(there->digest, here.digest, sizeof here.digest);
    assert_int_equal(there->lane_count, here.lane_count);
    for (size_t lane = 0; lane < here.lane_count; lane++) {
        const struct opened_lane *a = &there->lanes[lane], *b = &here.lanes[lane];
        assert_true(same_rows(&a->rows, &b->rows));
        assert_memory_equal(a->ready.digests, b->ready.digests,
                            b->rows.count * sizeof *b->ready.digests);
    }
    opened_done(&here);
}

static void take(struct scene *scene, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++)
        opened_done(&scene->opened[i % ROOM]);
    opener_thread_take(scene->thread, count);
}

/* ---- the tests ---- */

static void what_it_opens_is_what_anybody_would(void **state)
{
    struct scene *scene = *state;
    struct dice dice = {.state = 5};
    start(scene, SIZE_MAX);
    for (size_t round = 0; round < 4; round++) {
        for (size_t i = 0; i < ROOM; i++) {
            make_message(scene, &dice, i);
            give(scene, i);
        }
        for (size_t done = 0; done < ROOM;) {
            size_t ready = opener_thread_wait(scene->thread, 1);
            assert_true(ready > 0 && done + ready <= ROOM);
            for (size_t end = done + ready; done < end; done++) {
                same_as_here(scene, done);
                take(scene, done, 1);
            }
        }
        assert_int_equal(opener_thread_ready(scene->thread), 0);
    }
}

static void what_is_ready_is_opened(void **state)
{
    struct scene *scene = *state;
    struct dice dice = {.state = 4};
    start(scene, SIZE_MAX);
    for (size_t i = 0; i < ROOM; i += KINDS) { /* batches all of them, that take long to open */
        make_message_of(scene, &dice, i, 500);
        give(scene, i);
        while (opener_thread_ready(scene->thread) == 0)
            (void)sched_yield();
        assert_int_equal(scene->opened[i].as, OPENED_BATCH);
        take(scene, i, 1);
    }
}

static void what_is_not_sealed_passes_through(void **state)
{
    struct scene *scene = *state;
    struct dice dice = {.state = 6};
    start(scene, SIZE_MAX);
    make_message(scene, &dice, 0);
    give(scene, 0);
    opener_thread_give(scene->thread, &(struct opener_job){.opened = &scene->opened[1]});
    assert_int_equal(opener_thread_wait(scene->thread, 2), 2);
    assert_int_equal(scene->opened[0].as, OPENED_BATCH);
    assert_int_equal(scene->opened[1].as, OPENED_NOT);
}

/* With 1 byte allowed there is one opened message, and the next after that is gone. */
static void no_more_is_opened_than_may_be_held(void **state)
{
    struct scene *scene = *state;
    struct dice dice = {.state = 7};
    start(scene, 1);
    for (size_t i = 0; i < 4 * KINDS; i += KINDS) { /* batches all of them */
        make_message(scene, &dice, i);
        give(scene, i);
    }
    for (size_t i = 0; i < 4 * KINDS; i += KINDS) {
        assert_int_equal(opener_thread_wait(scene->thread, 4), 1);
        same_as_here(scene, i);
        take(scene, i, 1);
    }
    assert_int_equal(opener_thread_wait(scene->thread, 1), 0); /* none is left */
}

/* What is gone makes room before it is taken back. */
static void what_is_released_makes_room(void **state)
{
    struct scene *scene = *state;
    struct dice dice = {.state = 12};
    start(scene, 1);
    for (size_t i = 0; i < 3 * KINDS; i += KINDS) {
        make_message(scene, &dice, i);
        give(scene, i);
    }
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(opener_thread_wait(scene->thread, 3), i + 1);
        same_as_here(scene, i * KINDS);
        opened_done(&scene->opened[i * KINDS]);
        opener_thread_release(scene->thread, i);
    }
    take(scene, 0, 3);
    assert_int_equal(opener_thread_ready(scene->thread), 0);
}

static void it_wakes_when_all_is_opened(void **state)
{
    struct scene *scene = *state;
    struct dice dice = {.state = 8};
    start(scene, SIZE_MAX);
    for (size_t i = 0; i < 3; i++) {
        make_message(scene, &dice, i);
        give(scene, i);
        while (opener_thread_ready(scene->thread) <= i)
            assert_int_equal(sem_wait(&scene->woken), 0);
    }
}

static void pass(struct scene *scene, size_t i)
{
    opener_thread_give(scene->thread, &(struct opener_job){.opened = &scene->opened[i]});
}

/* A thread that is never done says so all the same: here it waits for memory at the end. */
static void it_wakes_when_enough_is_opened(void **state)
{
    struct scene *scene = *state;
    struct dice dice = {.state = 9};
    static const size_t batches[] = {0, 12, 16};
    start(scene, 1);
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++)
        make_message(scene, &dice, batches[i]);
    give(scene, 0);
    pass(scene, 1);
    assert_int_equal(opener_thread_wait(scene->thread, 2), 1);
    while (sem_trywait(&scene->woken) == 0)
        ;
    for (size_t i = 2; i < 12; i++)
        pass(scene, i);
    give(scene, 12);
    give(scene, 16);
    take(scene, 0, 1);
    assert_int_equal(sem_wait(&scene->woken), 0);
    assert_int_equal(opener_thread_wait(scene->thread, 13), 12);
}

static void stopped_it_leaves_the_rest(void **state)
{
    struct scene *scene = *state;
    struct dice dice = {.state = 10};
    start(scene, 1);
    for (size_t i = 0; i < 2 * KINDS; i += KINDS) {
        make_message(scene, &dice, i);
        give(scene, i);
    }
    assert_int_equal(opener_thread_wait(scene->thread, 2), 1);
    opener_thread_stop(scene->thread);
    assert_int_equal(scene->opened[0].as, OPENED_BATCH);
    assert_int_equal(scene->opened[KINDS].as, OPENED_NOT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_it_opens_is_what_anybody_would), TEST(what_is_ready_is_opened),
        TEST(what_is_not_sealed_passes_through),   TEST(no_more_is_opened_than_may_be_held),
        TEST(it_wakes_when_all_is_opened),         TEST(what_is_released_makes_room),
        TEST(it_wakes_when_enough_is_opened),      TEST(stopped_it_leaves_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
