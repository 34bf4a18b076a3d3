/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar.h"

#include "base/utf8.h"
#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define REPAIR MUSTER__ASSIGN_MODE__MODE_REPAIR
#define OBSERVE MUSTER__ASSIGN_MODE__MODE_OBSERVE
#define TABLE MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define BIN_1 "prefix\tissuer\n62\tone\n"
#define BIN_2 "prefix\tissuer\n62\tone\n43\ttwo\n"

static const struct world_doc first[] = {
    {.name = "aid.tsv",
     .content = "aid\tscheme\nA0\t1\n",
     .version = 1,
     .mode = REPAIR,
     .kind = TABLE},
    {.name = "bin.tsv", .content = BIN_1, .version = 1, .mode = REPAIR, .kind = TABLE},
};
static const struct world_doc second[] = {
    {.name = "aid.tsv",
     .content = "aid\tscheme\nA0\t1\n",
     .version = 1,
     .mode = REPAIR,
     .kind = TABLE},
    {.name = "bin.tsv", .content = BIN_2, .version = 2, .mode = REPAIR, .kind = TABLE},
};

static void test_nothing_yet(void **state)
{
    struct world *world = *state;
    struct world_state now;
    static const uint8_t zeros[32];
    world_check(world);
    world_state(world, &now);
    assert_int_equal(now.count, 0);
    assert_int_equal(now.generation, 0);
    assert_false(now.converged);
    assert_int_equal(registrar_manifest_version(world->registrar), 0);
    assert_memory_equal(registrar_generation_digest(world->registrar), zeros, 32);
}

static void test_apply_and_update(void **state)
{
    struct world *world = *state;
    struct world_state now;
    uint8_t digest[32];
    world_apply(world, 1, first, COUNT(first));
    world_assert_document(world, "bin.tsv", BIN_1);
    world_state(world, &now);
    assert_true(now.converged);
    assert_int_equal(now.generation, 1);
    assert_int_equal(now.manifest_version, 1);
    assert_int_equal(world->fetches, 2);
    assert_int_equal(world->asked_count, 0);
    assert_true(world->changes > 0);
    assert_string_equal(world_last(world, MUSTER__EVENT_KIND__EVENT_STATE)->text,
                        "generation 1, manifest 1, all as wanted");
    memcpy(digest, registrar_generation_digest(world->registrar), 32);
    world_apply(world, 2, second, COUNT(second));
    world_assert_document(world, "bin.tsv", BIN_2);
    assert_int_equal(world->fetches, 3); /* aid.tsv was carried over */
    assert_memory_not_equal(registrar_generation_digest(world->registrar), digest, 32);
    assert_true(world_has(world, "generations/00000001/bin.tsv"));
    world_apply(world, 3, first, COUNT(first));
    assert_memory_equal(registrar_generation_digest(world->registrar), digest, 32);
    assert_false(world_has(world, "generations/00000001"));
    assert_true(world_has(world, "generations/00000002"));
    assert_int_equal(world->fetches, 3); /* the old blob was kept with the old generation */
}

static void test_dropped_item_goes(void **state)
{
    struct world *world = *state;
    world_apply(world, 1, first, COUNT(first));
    world_apply(world, 2, first, 1);
    world_assert_document(world, "bin.tsv", NULL);
    world_assert_document(world, "aid.tsv", first[0].content);
    world_apply(world, 3, NULL, 0);
    world_assert_document(world, "aid.tsv", NULL);
    struct world_state now;
    world_state(world, &now);
    assert_true(now.converged && now.count == 0 && now.generation == 3);
}

static void assert_refused(struct world *world, uint64_t version, const struct world_doc *docs,
                           size_t count, enum err_code code, const char *why)
{
    struct err err = {0};
    assert_false(world_push(world, version, docs, count, &err));
    if (err.code != code || strstr(err.text, why) == NULL)
        fail_msg("%s: \"%s\", expected \"%s\"", err_code_name(err.code), err.text, why);
}

static void test_versions(void **state)
{
    struct world *world = *state;
    world_apply(world, 5, first, COUNT(first));
    size_t events = world->event_count;
    struct err err = {0};
    assert_true(world_push(world, 5, first, COUNT(first), &err)); /* known */
    assert_refused(world, 4, second, COUNT(second), ERR_REFUSED, "older than 5");
    assert_refused(world, 5, second, COUNT(second), ERR_CONFLICT, "differs from the one accepted");
    world_reopen(world);
    assert_true(world_push(world, 5, first, COUNT(first), &err));
    assert_refused(world, 4, second, COUNT(second), ERR_REFUSED, "older than 5");
    /* The manifest itself lost: its version is not. */
    world_close(world);
    char path[256];
    world_path(world, "desired", path);
    assert_true(file_remove(path, NULL));
    world_open(world);
    assert_refused(world, 4, second, COUNT(second), ERR_REFUSED, "older than 5");
    assert_refused(world, 5, second, COUNT(second), ERR_CONFLICT, "differs from the one accepted");
    assert_true(world_push(world, 5, first, COUNT(first), &err));
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_APPLY_FAILED, NULL), 0);
    assert_true(world->event_count > events);
}

static void test_floor(void **state)
{
    struct world *world = *state;
    struct world_doc docs[1] = {{.name = "bin.tsv",
                                 .content = BIN_1,
                                 .version = 7,
                                 .minimum = 4,
                                 .mode = REPAIR,
                                 .kind = TABLE}};
    world_apply(world, 1, docs, 1);
    docs[0].version = 3;
    docs[0].minimum = 0;
    assert_refused(world, 2, docs, 1, ERR_REFUSED, "bin.tsv: version 3 is below the floor 4");
    docs[0].version = 4; /* not the last held, but an undo that release allows */
    world_apply(world, 3, docs, 1);
    world_apply(world, 4, NULL, 0);
    docs[0].version = 3;
    assert_refused(world, 5, docs, 1, ERR_REFUSED, "below the floor 4");
    world_reopen(world);
    assert_refused(world, 5, docs, 1, ERR_REFUSED, "below the floor 4");
}

static void test_wrong_keys_and_devices(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    struct world_doc docs[2] = {first[0], first[1]};
    docs[1].signer = world->director; /* a stolen musterd cannot make documents */
    assert_refused(world, 1, docs, 2, ERR_REFUSED, "item 2: document");
    struct sign_key *director = world->director;
    world->director = world->release; /* and release cannot aim */
    assert_refused(world, 1, first, 2, ERR_REFUSED, "manifest");
    world->director = director;
    world->settings.device = "t-0002";
    assert_refused(world, 1, first, 2, ERR_REFUSED, "manifest");
    world->settings.device = "t-0001";
    assert_false(registrar_manifest(world->registrar, bytes_of("\xff\xff", 2), &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_int_equal(registrar_manifest_version(world->registrar), 0);
    world_check(world);
    assert_int_equal(world->fetches, 0);
    assert_false(world_has(world, "desired"));
}

static void test_bad_items(void **state)
{
    struct world *world = *state;
    struct world_doc docs[2] = {second[1], second[0]};
    assert_refused(world, 1, docs, 2, ERR_INVALID, "aid.tsv does not come after bin.tsv");
    docs[1] = docs[0];
    assert_refused(world, 1, docs, 2, ERR_INVALID, "bin.tsv does not come after bin.tsv");
    docs[0].name = "../bin.tsv";
    assert_refused(world, 1, docs, 1, ERR_INVALID, "name is not valid");
    docs[0] = first[1];
    docs[0].kind = (Muster__DocumentKind)99;
    assert_refused(world, 1, docs, 1, ERR_REFUSED, "kind 99 is not known");
    docs[0] = first[1];
    docs[0].scope = MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED;
    assert_refused(world, 1, docs, 1, ERR_REFUSED, "for another device");
    docs[0] = first[1];
    docs[0].length = 16 * 1024 * 1024 + 1;
    assert_refused(world, 1, docs, 1, ERR_REFUSED, "16777217 bytes");
    docs[0] = first[1];
    docs[0].no_encoding = true;
    assert_refused(world, 1, docs, 1, ERR_REFUSED, "no encoding");
    docs[0] = first[1];
    docs[0].minimum = 2;
    assert_refused(world, 1, docs, 1, ERR_INVALID, "below its own minimum 2");
}

static void test_blobs_not_wanted_or_wrong(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    uint8_t zeros[32] = {0};
    assert_false(registrar_blob(world->registrar, zeros, bytes_of("x", 1), &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    world->broker_up = false;
    assert_true(world_push(world, 1, first, COUNT(first), NULL));
    world_wait(world, world_was_asked);
    assert_int_equal(world->asked_count, 2);
    uint8_t lacks[1][32];
    assert_int_equal(registrar_lacks(world->registrar, lacks, 1), 2);
    assert_memory_equal(lacks[0], world->asked[0], 32);
    assert_int_equal(world_item(world, "bin.tsv"), MUSTER__ITEM_STATE__ITEM_FETCHING);
    assert_false(registrar_blob(world->registrar, lacks[0], bytes_of("x", 1), &err));
    assert_int_equal(err.code, ERR_REFUSED);
    assert_int_equal(registrar_lacks(world->registrar, lacks, 1), 2);
}

/* The content that came is not what release signed: said once, not tried again, not even after a
 * restart, until there is a newer manifest. */
static void refused_content(struct world *world, const struct world_doc *bad, const char *why)
{
    struct world_doc docs[2] = {second[0], *bad};
    world_apply(world, 1, first, COUNT(first));
    world_apply(world, 2, docs, 2);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_int_equal(world_item(world, "bin.tsv"), MUSTER__ITEM_STATE__ITEM_REFUSED);
    const struct world_event *event = world_last(world, MUSTER__EVENT_KIND__EVENT_REFUSED);
    assert_string_equal(event->item, "bin.tsv");
    assert_int_equal(event->state, MUSTER__ITEM_STATE__ITEM_REFUSED);
    if (strstr(event->text, why) == NULL)
        fail_msg("\"%s\", expected \"%s\"", event->text, why);
    unsigned fetches = world->fetches;
    world_check(world);
    world_reopen(world);
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_REFUSED, NULL), 1);
    assert_int_equal(world->fetches, fetches);
    assert_int_equal(world_item(world, "bin.tsv"), MUSTER__ITEM_STATE__ITEM_REFUSED);
    assert_false(world_has(world, "generations/00000002.tmp"));
    world_apply(world, 3, second, COUNT(second));
    world_assert_document(world, "bin.tsv", BIN_2);
}

static void test_bomb(void **state)
{
    char packed[4096];
    char *zeros = calloc(1, 8 * 1024 * 1024);
    size_t length = ZSTD_compress(packed, sizeof packed, zeros, 8 * 1024 * 1024, 3);
    free(zeros);
    assert_false(ZSTD_isError(length));
    struct world_doc bad = second[1];
    bad.blob = bytes_of(packed, length);
    refused_content(*state, &bad, "unfolds to 8388608 bytes, the header says 28");
}

/* The same without the size in its frame: it must not be believed, nor unfolded. */
static void test_bomb_without_size(void **state)
{
    static char zeros[1024 * 1024];
    char packed[4096];
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    (void)ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, 0);
    size_t length = ZSTD_compress2(ctx, packed, sizeof packed, zeros, sizeof zeros);
    ZSTD_freeCCtx(ctx);
    assert_false(ZSTD_isError(length));
    struct world_doc bad = second[1];
    bad.blob = bytes_of(packed, length);
    refused_content(*state, &bad, "unfolds to more than 28 bytes");
}

static void test_not_zstd(void **state)
{
    struct world_doc bad = second[1];
    bad.blob = bytes_of("plainly not a frame", 19);
    refused_content(*state, &bad, "not a zstd frame");
}

static void test_other_content(void **state)
{
    char packed[256];
    char other[] = BIN_2;
    other[strlen(other) - 2] = 'X';
    struct world_doc bad = second[1];
    bad.blob = bytes_of(packed, ZSTD_compress(packed, sizeof packed, other, strlen(other), 3));
    refused_content(*state, &bad, "another hash than the header says");
}

static void test_invalid_table(void **state)
{
    struct world *world = *state;
    struct world_doc docs[2] = {first[0], second[1]};
    docs[1].content = "prefix\tissuer\n62\n";
    world_apply(world, 1, first, COUNT(first));
    world_apply(world, 2, docs, 2);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_string_equal(world_last(world, MUSTER__EVENT_KIND__EVENT_APPLY_FAILED)->text,
                        "manifest 2 is not applied: bin.tsv 2: row 2: 1 columns, the header has 2");
    world_reopen(world);
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_APPLY_FAILED, NULL), 1);
    struct world_state now;
    world_state(world, &now);
    assert_false(now.converged);
    assert_int_equal(now.manifest_version, 2);
    assert_int_equal(now.generation, 1);
    assert_int_equal(now.items[1].state, MUSTER__ITEM_STATE__ITEM_DRIFT);
    assert_non_null(strstr(now.items[1].reason, "row 2: 1 columns"));
}

static void test_hook_sees_all_and_says_no(void **state)
{
    struct world *world = *state;
    world_close(world);
    world_hook(world,
               "#!/bin/sh\n"
               "[ \"$(pwd)\" -ef \"$1\" ] && [ -s bin.tsv ] && [ -s aid.tsv ] || exit 9\n"
               "grep -q two bin.tsv || exit 0\necho no two here\nexit 3\n",
               10000);
    world_open(world);
    world_apply(world, 1, first, COUNT(first));
    world_assert_document(world, "bin.tsv", BIN_1);
    world_apply(world, 2, second, COUNT(second));
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_string_equal(world_last(world, MUSTER__EVENT_KIND__EVENT_APPLY_FAILED)->text,
                        "manifest 2 is not applied: the hook said no (exit 3): no two here");
    world_reopen(world);
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_APPLY_FAILED, NULL), 1);
    world_apply(world, 3, first, COUNT(first));
    struct world_state now;
    world_state(world, &now);
    assert_true(now.converged);
}

/* No message may carry other text: neither the event nor any hello would be understood. */
static void test_hook_speaks_anything(void **state)
{
    struct world *world = *state;
    struct world_state now;
    world_close(world);
    world_hook(world,
               "#!/bin/sh\n"
               "for i in 1 2 3 4 5 6 7 8 9 10; do printf 'x商户终端号不对 \\311\\314 '; done\n"
               "exit 3\n",
               10000);
    world_open(world);
    world_apply(world, 1, first, COUNT(first));
    const char *told = world_last(world, MUSTER__EVENT_KIND__EVENT_APPLY_FAILED)->text;
    assert_non_null(strstr(told, "商户终端号不对 "));
    assert_true(utf8_valid(bytes_of(told, strlen(told))));
    world_state(world, &now);
    for (size_t i = 0; i < now.count; i++)
        assert_true(utf8_valid(bytes_of(now.items[i].reason, strlen(now.items[i].reason))));
}

/* The hook and a child of its own hold a pipe open: its end is theirs. */
static void test_hook_hangs(void **state)
{
    struct world *world = *state;
    char path[256];
    world_close(world);
    assert_true(path_join(path, sizeof path, world->dir, "held-open", NULL));
    assert_int_equal(mkfifo(path, 0600), 0);
    struct pollfd pipe = {.fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
    world_hook(world, "#!/bin/sh\nexec 3>../../../held-open\necho >&3\nsleep 600 &\nwait\n", 1000);
    world_open(world);
    world_apply(world, 1, first, COUNT(first));
    assert_non_null(strstr(world_last(world, MUSTER__EVENT_KIND__EVENT_APPLY_FAILED)->text,
                           "did not end within 1000 ms and was killed"));
    world_assert_document(world, "bin.tsv", NULL);
    char line[2];
    assert_int_equal(read(pipe.fd, line, sizeof line), 1);
    assert_int_equal(poll(&pipe, 1, 10000), 1);
    assert_int_equal(read(pipe.fd, line, sizeof line), 0);
    (void)close(pipe.fd);
}

static void test_hook_missing_is_tried_again(void **state)
{
    struct world *world = *state;
    world_close(world);
    (void)snprintf(world->hook, sizeof world->hook, "%s/no-such-hook", world->dir);
    world_open(world);
    world_apply(world, 1, first, COUNT(first));
    world_assert_document(world, "bin.tsv", NULL);
    world_check(world);
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_APPLY_FAILED, NULL), 1);
    char path[256];
    assert_true(path_join(path, sizeof path, world->dir, "no-such-hook", NULL));
    assert_true(file_write(path, bytes_of("#!/bin/sh\n", 10), 0700, NULL));
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
}

static void test_superseded_while_fetching(void **state)
{
    struct world *world = *state;
    world->broker_up = false;
    assert_true(world_push(world, 1, first, COUNT(first), NULL));
    world_wait(world, world_was_asked);
    world->broker_up = true;
    assert_true(world_push(world, 2, second, COUNT(second), NULL));
    assert_true(world_push(world, 3, second, 1, NULL)); /* and at once by another */
    world_check(world);
    world_assert_document(world, "aid.tsv", first[0].content);
    world_assert_document(world, "bin.tsv", NULL);
    struct world_state now;
    world_state(world, &now);
    assert_true(now.converged);
    assert_int_equal(now.manifest_version, 3);
    assert_int_equal(now.generation, 1);
}

static void test_observed_is_carried_over(void **state)
{
    struct world *world = *state;
    struct world_doc docs[3] = {
        second[0],
        second[1],
        {.name = "capk.tsv", .content = "rid\nA0\n", .version = 1, .mode = OBSERVE, .kind = TABLE}};
    world_apply(world, 1, first, COUNT(first));
    unsigned fetches = world->fetches;
    docs[0].mode = OBSERVE;
    docs[1].mode = OBSERVE;
    world_apply(world, 2, docs, 3);
    world_assert_document(world, "bin.tsv", BIN_1);
    world_assert_document(world, "capk.tsv", NULL);
    assert_int_equal(world->fetches, fetches);
    assert_int_equal(world_item(world, "aid.tsv"), MUSTER__ITEM_STATE__ITEM_OK);
    assert_int_equal(world_item(world, "bin.tsv"), MUSTER__ITEM_STATE__ITEM_DRIFT);
    assert_int_equal(world_item(world, "capk.tsv"), MUSTER__ITEM_STATE__ITEM_MISSING);
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_DRIFT, "bin.tsv"), 1);
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_DRIFT, "capk.tsv"), 1);
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_DRIFT, "aid.tsv"), 0);
    world_check(world);
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_DRIFT, NULL), 2);
    docs[0].mode = REPAIR; /* another item's repair takes the observed one along */
    docs[0].version = 2;
    world_apply(world, 3, docs, 3);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_int_equal(world_item(world, "aid.tsv"), MUSTER__ITEM_STATE__ITEM_OK);
    world_damage(world, "current/bin.tsv"); /* damage to it is told and left */
    world_check(world);
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_DRIFT, "bin.tsv"), 3);
    assert_non_null(strstr(world_last(world, MUSTER__EVENT_KIND__EVENT_DRIFT)->text,
                           "the held file is damaged")); /* which is another difference */
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_REPAIR, NULL), 0);
}

static void test_quota(void **state)
{
    struct world *world = *state;
    char big[2001];
    memset(big, 'x', 2000);
    big[2000] = '\0';
    world_close(world);
    world->settings.quota_bytes = 2500;
    world_open(world);
    struct world_doc docs[1] = {{.name = "big", .content = big, .version = 1, .mode = REPAIR}};
    world_apply(world, 1, docs, 1);
    big[0] = 'y';
    docs[0].version = 2;
    size_t told = world_events(world, MUSTER__EVENT_KIND__EVENT_REFUSED, "");
    assert_refused(world, 2, docs, 1, ERR_REFUSED, "the quota is 2500");
    assert_refused(world, 2, docs, 1, ERR_REFUSED, "the quota is 2500"); /* with each connect */
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_REFUSED, ""), told + 1);
    const struct world_event *event = world_last(world, MUSTER__EVENT_KIND__EVENT_REFUSED);
    assert_non_null(strstr(event->text, "a manifest is not accepted: manifest 2 needs"));
    struct world_state state_now;
    struct registrar_desired desired;
    world_state(world, &state_now);
    assert_false(state_now.converged);
    registrar_desired(world->registrar, &desired);
    assert_int_equal(desired.refused_version, 2);
    assert_non_null(strstr(desired.refused_why, "the quota is 2500"));
    big[0] = 'x';
    world_assert_document(world, "big", big);
    docs[0].version = 3; /* the old content under a new version needs no room */
    world_apply(world, 2, docs, 1);
    world_state(world, &state_now);
    assert_true(state_now.converged);
    assert_int_equal(world_item(world, "big"), MUSTER__ITEM_STATE__ITEM_OK);
}

/* Over quota with three generations: the spare one goes before the new one is built. */
static void test_quota_takes_the_spare(void **state)
{
    struct world *world = *state;
    char big[1001];
    big[1000] = '\0';
    world_close(world);
    world->settings.quota_bytes = 2500;
    world_hook(world, "#!/bin/sh\n[ $(ls -d ../0* | wc -l) -le 2 ]\n", 10000);
    world_open(world);
    struct world_doc docs[1] = {{.name = "big", .content = big, .version = 1, .mode = REPAIR}};
    for (uint64_t version = 1; version <= 3; version++) {
        memset(big, (int)('a' + version), 1000);
        docs[0].version = version;
        world_apply(world, version, docs, 1);
        world_assert_document(world, "big", big);
    }
    assert_true(world_has(world, "generations/00000002"));
    assert_false(world_has(world, "generations/00000001"));
}

static void on_done(void *ctx)
{
    (*(int *)ctx)++;
}

static void test_check_limit_and_close(void **state)
{
    struct world *world = *state;
    int done = 0;
    world->broker_up = false;
    assert_true(world_push(world, 1, first, COUNT(first), NULL));
    world_wait(world, world_was_asked);
    assert_true(registrar_check(world->registrar, 1, on_done, &done, NULL));
    while (done == 0)
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    assert_int_equal(world_item(world, "bin.tsv"), MUSTER__ITEM_STATE__ITEM_FETCHING);
    assert_true(registrar_check(world->registrar, 60000, on_done, &done, NULL));
    world_close(world);
    assert_int_equal(done, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_yet),
        TEST(test_apply_and_update),
        TEST(test_dropped_item_goes),
        TEST(test_versions),
        TEST(test_floor),
        TEST(test_wrong_keys_and_devices),
        TEST(test_bad_items),
        TEST(test_blobs_not_wanted_or_wrong),
        TEST(test_bomb),
        TEST(test_bomb_without_size),
        TEST(test_not_zstd),
        TEST(test_other_content),
        TEST(test_invalid_table),
        TEST(test_hook_sees_all_and_says_no),
        TEST(test_hook_speaks_anything),
        TEST(test_hook_hangs),
        TEST(test_hook_missing_is_tried_again),
        TEST(test_superseded_while_fetching),
        TEST(test_observed_is_carried_over),
        TEST(test_quota),
        TEST(test_quota_takes_the_spare),
        TEST(test_check_limit_and_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
