/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/sealer.h"

#include "base/file.h"
#include "tests/unit/testing.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 512, SOME = 60 };

struct scene {
    struct sign_key *key;
    struct sealer *sealer;
    sem_t woken;
};

static void wake(void *ctx)
{
    assert_int_equal(sem_post(&((struct scene *)ctx)->woken), 0);
}

static int open_scene(void **state)
{
    char dir[] = "/tmp/muster-sealer-XXXXXX", path[64];
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/key", dir);
    assert_true(sign_key_make(path, &scene->key, NULL));
    assert_true(file_remove_tree(dir, NULL));
    assert_int_equal(sem_init(&scene->woken, 0, 0), 0);
    *state = scene;
    return 0;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    sealer_free(scene->sealer);
    sign_key_free(scene->key);
    assert_int_equal(sem_destroy(&scene->woken), 0);
    free(scene);
    return 0;
}

static void start(struct scene *scene, bool threaded)
{
    assert_true(sealer_make(threaded ? wake : NULL, scene, &scene->sealer, NULL));
}

static struct bytes body_of(size_t i, char text[32])
{
    (void)snprintf(text, 32, "receipt %zu", i);
    return bytes_of(text, strlen(text));
}

static void give(struct scene *scene, size_t i)
{
    char text[32];
    struct sealer_reply reply = {.topic = "a topic", .id = "t1", .domain = "receipt"};
    reply.key = scene->key;
    struct bytes body = body_of(i, text);
    assert_true(buf_append(&reply.body, body.data, body.length, NULL));
    sealer_give(scene->sealer, &reply);
}

/* What is taken is what seal() makes of it, for Ed25519 has no chance in it. */
static void take(struct scene *scene, size_t i)
{
    char text[32];
    const struct sign_key *keys[] = {scene->key};
    struct buf due = {0};
    assert_true(seal("receipt", "t1", body_of(i, text), keys, 1, true, &due, NULL));
    const struct sealer_reply *first = sealer_first(scene->sealer);
    assert_non_null(first);
    assert_true(bytes_equal(buf_bytes(&first->message), buf_bytes(&due)));
    assert_string_equal(first->topic, "a topic");
    sealer_drop(scene->sealer);
    buf_done(&due);
}

static void they_come_signed_and_in_order(void **state)
{
    struct scene *scene = *state;
    size_t taken = 0;
    start(scene, true);
    assert_null(sealer_first(scene->sealer));
    for (size_t i = 0; i < SOME; i++)
        give(scene, i);
    while (taken < SOME) {
        assert_int_equal(sem_wait(&scene->woken), 0);
        for (; sealer_first(scene->sealer) != NULL; taken++)
            take(scene, taken);
    }
    assert_true(sealer_empty(scene->sealer));
}

static void without_a_thread_all_is_signed_at_once(void **state)
{
    struct scene *scene = *state;
    start(scene, false);
    for (size_t i = 0; i < SOME; i++) {
        give(scene, i);
        assert_false(sealer_empty(scene->sealer));
        take(scene, i);
    }
    assert_true(sealer_empty(scene->sealer));
    sealer_stop(scene->sealer);
}

static void whoever_waits_finds_all_signed(void **state)
{
    struct scene *scene = *state;
    start(scene, true);
    for (size_t i = 0; i < SOME; i++)
        give(scene, i);
    sealer_settle(scene->sealer);
    for (size_t i = 0; i < SOME; i++)
        take(scene, i);
}

static void it_stops_with_all_signed_and_goes_on_without(void **state)
{
    struct scene *scene = *state;
    start(scene, true);
    for (size_t i = 0; i < SOME; i++)
        give(scene, i);
    sealer_stop(scene->sealer);
    give(scene, SOME);
    for (size_t i = 0; i <= SOME; i++)
        take(scene, i);
    give(scene, 1); /* and what nobody takes is gone with it */
}

static void it_holds_so_many_and_so_much(void **state)
{
    struct scene *scene = *state;
    start(scene, true);
    for (size_t i = 0; i < ROOM; i++) {
        assert_false(sealer_full(scene->sealer));
        give(scene, i);
    }
    assert_true(sealer_full(scene->sealer));
    sealer_settle(scene->sealer);
    take(scene, 0);
    assert_false(sealer_full(scene->sealer));
    for (size_t i = 1; i < ROOM; i++)
        take(scene, i);
    size_t given = 0;
    for (; !sealer_full(scene->sealer); given++) {
        struct sealer_reply ready = {.topic = "a topic", .id = "t1", .welcome = true};
        assert_non_null(buf_reserve(&ready.message, 100000, NULL));
        memset(ready.message.data, 'w', 100000);
        ready.message.length = 100000;
        sealer_give(scene->sealer, &ready);
    }
    assert_in_range(given, 40, 50);
    sealer_settle(scene->sealer);
    assert_int_equal(sealer_first(scene->sealer)->message.length, 100000);
    sealer_drop(scene->sealer);
    assert_false(sealer_full(scene->sealer));
}

static bool sign_late(void *ctx, struct bytes text, uint8_t ret_signature[64], struct err *err)
{
    (void)text;
    assert_int_equal(sem_wait(ctx), 0);
    memset(ret_signature, 0, 64);
    return err_set(err, ERR_IO, "too late");
}

static void what_is_not_signed_yet_is_not_there(void **state)
{
    struct scene *scene = *state;
    struct sign_key *late = NULL;
    sem_t let_go;
    assert_int_equal(sem_init(&let_go, 0, 0), 0);
    const struct signer signer = {.sign = sign_late, .ctx = &let_go};
    assert_true(sign_key_of_signer(sign_key_spki(scene->key), signer, &late, NULL));
    start(scene, true);
    struct sealer_reply reply = {.id = "t1", .domain = "receipt", .key = late};
    assert_true(buf_append(&reply.body, "x", 1, NULL));
    sealer_give(scene->sealer, &reply);
    give(scene, 1);
    bool early = sealer_first(scene->sealer) != NULL, empty = sealer_empty(scene->sealer);
    assert_int_equal(sem_post(&let_go), 0);
    sealer_settle(scene->sealer);
    assert_false(early);
    assert_false(empty);
    assert_non_null(strstr(sealer_first(scene->sealer)->why.text, "too late"));
    sealer_drop(scene->sealer);
    take(scene, 1);
    sign_key_free(late);
    assert_int_equal(sem_destroy(&let_go), 0);
}

static void what_cannot_be_signed_says_why(void **state)
{
    struct scene *scene = *state;
    const struct sealer_reply empty = {.id = "t1", .domain = "receipt", .key = scene->key};
    start(scene, true);
    sealer_give(scene->sealer, &empty);
    give(scene, 1);
    sealer_settle(scene->sealer);
    const struct sealer_reply *first = sealer_first(scene->sealer);
    assert_int_equal(first->message.length, 0);
    assert_non_null(strstr(first->why.text, "an empty body"));
    sealer_drop(scene->sealer);
    take(scene, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_scene, close_scene)
    const struct CMUnitTest tests[] = {
        TEST(they_come_signed_and_in_order),
        TEST(without_a_thread_all_is_signed_at_once),
        TEST(whoever_waits_finds_all_signed),
        TEST(it_stops_with_all_signed_and_goes_on_without),
        TEST(it_holds_so_many_and_so_much),
        TEST(what_cannot_be_signed_says_why),
        TEST(what_is_not_signed_yet_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
