/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_roots.h"

#include "fleet/base64.h"
#include "proto/limits.h"
#include "tests/unit/temp_rooted.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The module as musterd has it, over a real database; what it says on is noted. */
struct world {
    struct temp_rooted *rooted;
    struct service_keys keys;
    struct director director;
    struct renewal renewal;
    struct api_roots roots;
    struct api_module module;
    struct api api;
    uint64_t added;
    bool newest;
};

static bool on_added(void *ctx, uint64_t version, bool newest, struct err *err)
{
    struct world *world = ctx;
    (void)err;
    world->added = version;
    world->newest = newest;
    return true;
}

static int open_world(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    void *rooted = *state;
    assert_non_null(world);
    assert_int_equal(temp_rooted_open(&rooted), 0);
    world->rooted = rooted;
    temp_rooted_install(world->rooted, &(struct temp_root){.version = 2});
    temp_rooted_keys(world->rooted, &world->keys);
    world->director = (struct director){.db = world->rooted->fleet->db, .trust = world->keys.trust};
    world->renewal = (struct renewal){.director = &world->director, .clock = &clock_real};
    world->roots = (struct api_roots){.db = world->rooted->fleet->db,
                                      .keys = &world->keys,
                                      .renewal = &world->renewal,
                                      .added = on_added,
                                      .ctx = world};
    world->module = api_roots_module(&world->roots);
    world->api = (struct api){.modules = &world->module, .module_count = 1};
    *state = world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;
    void *rooted = world->rooted;
    service_keys_done(&world->keys);
    (void)temp_rooted_close(&rooted);
    free(world);
    return 0;
}

/* The answer's JSON; the caller decrefs. */
static json_t *call(struct world *world, const char *method, struct bytes body, unsigned status)
{
    static const struct api_caller ops = {.name = "uid 0"};
    struct api_request request = {
        .method = method, .path = "/api/v1/roots", .body = body, .now_ms = 7000, .caller = &ops};
    struct api_answer answer = {0};
    void *ctx = NULL;
    unsigned found = 0;
    const struct api_route *route = api_route_find(&world->api, &request, &ctx, &found);
    assert_non_null(route);
    api_run(route, ctx, &request, &answer);
    json_t *json = json_incref(answer.json);
    unsigned got = answer.status == 0 ? 200 : answer.status;
    if (got != status) {
        char *text = json_dumps(json, 0);
        fail_msg("%u, expected %u: %s", got, status, text);
    }
    api_answer_done(&answer);
    return json;
}

static json_t *post_text(struct world *world, const char *text, unsigned status)
{
    return call(world, "POST", bytes_of(text, strlen(text)), status);
}

static json_t *post(struct world *world, const struct temp_root *root, bool dry_run,
                    unsigned status)
{
    struct buf sealed = {0}, text = {0};
    struct err err = {0};
    temp_root_seal(world->rooted->roots, root, &sealed);
    assert_true(base64_encode(buf_bytes(&sealed), &text, &err));
    json_t *body = json_pack("{s:s, s:b}", "root", (const char *)text.data, "dry_run", dry_run);
    char *dump = json_dumps(body, 0);
    json_t *answer = post_text(world, dump, status);
    free(dump);
    json_decref(body);
    buf_done(&text);
    buf_done(&sealed);
    return answer;
}

static void range_is(const struct world *world, uint64_t first, uint64_t newest)
{
    uint64_t is_first, is_newest;
    assert_true(fleetdb_root_range(world->rooted->fleet->db, &is_first, &is_newest, NULL));
    assert_int_equal(is_first, first);
    assert_int_equal(is_newest, newest);
    assert_int_equal(trust_version(world->keys.trust), newest);
}

static void refused(struct world *world, const struct temp_root *root, unsigned status,
                    const char *words)
{
    json_t *answer = post(world, root, false, status);
    const char *text = json_string_value(json_object_get(json_object_get(answer, "error"), "text"));
    if (text == NULL || strstr(text, words) == NULL)
        fail_msg("\"%s\", expected \"%s\"", text == NULL ? "" : text, words);
    json_decref(answer);
    range_is(world, 2, 2);
    assert_int_equal(world->added, 0);
    assert_int_equal(world->keys.director.used, 0);
}

static bool says(const json_t *answer, const char *name)
{
    return json_is_true(json_object_get(answer, name));
}

static void the_next_root_is_kept_and_its_keys_are_used(void **state)
{
    struct world *world = *state;
    json_t *answer = post(world, &(struct temp_root){.version = 3, .director = 1}, false, 200);
    assert_true(says(answer, "new"));
    assert_int_equal(json_integer_value(json_object_get(answer, "version")), 3);
    json_decref(answer);
    range_is(world, 2, 3);
    assert_int_equal(world->added, 3);
    assert_true(world->newest);
    assert_int_equal(world->keys.director.used, 1);
    assert_int_equal(world->keys.receipt.used, 0);
    world->added = 0;
    answer = post(world, &(struct temp_root){.version = 3, .director = 1}, false, 200);
    assert_false(says(answer, "new"));
    json_decref(answer);
    assert_int_equal(world->added, 0);
}

static void a_dry_run_goes_all_the_way_and_changes_nothing(void **state)
{
    struct world *world = *state;
    json_t *answer = post(world, &(struct temp_root){.version = 3, .director = 1}, true, 200);
    assert_true(says(answer, "new"));
    assert_true(says(answer, "dry_run"));
    json_decref(answer);
    range_is(world, 2, 2);
    assert_int_equal(world->added, 0);
    assert_int_equal(world->keys.director.used, 0);
    json_decref(post(world, &(struct temp_root){.version = 3, .director = 3}, true, 400));
    json_decref(post(world, &(struct temp_root){.version = 4}, true, 403));
    range_is(world, 2, 2);
}

static void what_must_not_be_kept_is_refused_before(void **state)
{
    struct world *world = *state;
    refused(world, &(struct temp_root){.version = 4}, 403, "does not follow");
    refused(world, &(struct temp_root){.version = 3, .epoch = 3}, 403, "epoch");
    refused(world, &(struct temp_root){.version = 3, .signers = "3"}, 403, "root keys");
    refused(world, &(struct temp_root){.version = 3, .root_keys = "3", .signers = "3"}, 403,
            "in force");
    refused(world, &(struct temp_root){.version = 2, .release = 1}, 403, "follow");
    /* It holds, and would silence musterd. */
    refused(world, &(struct temp_root){.version = 3, .director = 3}, 400, "keys.director");
    refused(world, &(struct temp_root){.version = 3, .receipt = 3}, 400, "keys.receipt");
}

static void bodies_that_are_none_are_refused(void **state)
{
    struct world *world = *state;
    static const char *const bodies[] = {"", "[]", "{}", "{\"root\":7}", "{\"root\":\"A=\"}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        json_decref(post_text(world, bodies[i], 400));
    json_decref(post_text(world, "{\"root\":\"AAEC\"}", 400));
    char *long_text = malloc(LIMIT_ROOT_BYTES * 2);
    assert_non_null(long_text);
    int head = snprintf(long_text, 32, "{\"root\":\"");
    const size_t digits = (size_t)LIMIT_ROOT_BYTES / 3 * 4 + 8;
    memset(long_text + head, 'A', digits);
    memcpy(long_text + (size_t)head + digits, "\"}", 3);
    json_decref(post_text(world, long_text, 400));
    free(long_text);
    range_is(world, 2, 2);
}

/* For terminals that were made before the first root known here. */
static void an_earlier_root_is_kept_and_not_taken_for_the_newest(void **state)
{
    struct world *world = *state;
    json_decref(post(world, &(struct temp_root){.version = 1, .root_keys = "3", .signers = "3"},
                     false, 403));
    range_is(world, 2, 2);
    json_t *answer = post(world, &(struct temp_root){.version = 1, .director = 3}, false, 200);
    assert_true(says(answer, "new"));
    json_decref(answer);
    range_is(world, 1, 2);
    assert_int_equal(world->added, 1);
    assert_false(world->newest);
    assert_int_equal(world->keys.director.used, 0);
}

static void the_list_says_who_knows_which(void **state)
{
    struct world *world = *state;
    json_decref(post(world, &(struct temp_root){.version = 3}, false, 200));
    world->renewal.failed =
        (struct renewal_failures){.devices = 3, .why = "term-1: the disk is full"};
    world->renewal.retry_ms = clock_boot_ms(&clock_real) + 60000;
    json_t *answer = call(world, "GET", bytes_of(NULL, 0), 200);
    const json_t *list = json_object_get(answer, "roots");
    assert_int_equal(json_array_size(list), 2);
    const json_t *last = json_array_get(list, 1);
    assert_int_equal(json_integer_value(json_object_get(last, "version")), 3);
    assert_int_equal(json_integer_value(json_object_get(last, "published_ms")), 7000);
    assert_int_equal(json_integer_value(json_object_get(answer, "devices_failed")), 3);
    assert_string_equal(json_string_value(json_object_get(answer, "failure")),
                        "term-1: the disk is full");
    assert_true(json_integer_value(json_object_get(answer, "next_attempt_ms")) >
                clock_wall_ms(&clock_real));
    json_decref(answer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_next_root_is_kept_and_its_keys_are_used),
        TEST(a_dry_run_goes_all_the_way_and_changes_nothing),
        TEST(what_must_not_be_kept_is_refused_before),
        TEST(bodies_that_are_none_are_refused),
        TEST(an_earlier_root_is_kept_and_not_taken_for_the_newest),
        TEST(the_list_says_who_knows_which),
    };
    return cmocka_run_group_tests(tests, temp_roots_open, temp_roots_close);
}
