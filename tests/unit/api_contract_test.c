/* SPDX-License-Identifier: Apache-2.0 */
/* Requests beside fleet/openapi.json. That each name and each type of the file is held against a
 * running musterd is tests/scenario/test_contract.py's to see. */
#include "fleet/api_all.h"
#include "fleet/api_contract.h"
#include "tests/unit/testing.h"

#include <string.h>

enum { QUERY_MAX = 4 };

struct world {
    struct api_all all;
    struct api_contract *contract;
    struct err err;
};

static int open_world(void **state)
{
    static struct world world;
    api_all_init(&world.all);
    assert_true(api_contract_open(&world.all.api, &world.contract, &world.err));
    *state = &world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;
    api_contract_close(world->contract);
    return 0;
}

static bool check(struct world *world, struct api_request *request)
{
    void *ctx = NULL;
    unsigned status = 0;
    const struct api_route *route = api_route_find(&world->all.api, request, &ctx, &status);
    assert_non_null(route);
    memset(&world->err, 0, sizeof world->err);
    const bool kept = api_contract_check(world->contract, route, request, &world->err);
    json_decref(request->json);
    if (!kept)
        assert_int_equal(world->err.code, ERR_INVALID);
    return kept;
}

static bool post(struct world *world, const char *path, const char *body)
{
    struct api_request request = {
        .method = "POST", .path = path, .body = bytes_of(body, strlen(body))};
    return check(world, &request);
}

static bool get(struct world *world, const char *path, const struct api_query query[QUERY_MAX])
{
    struct api_request request = {.method = "GET", .path = path, .query = query};
    while (request.query_count < QUERY_MAX && query[request.query_count].name != NULL)
        request.query_count++;
    return check(world, &request);
}

static void assert_said(const struct world *world, const char *text)
{
    if (strstr(world->err.text, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", world->err.text, text);
}

static void what_the_file_says_passes(void **state)
{
    struct world *world = *state;
    assert_true(post(world, "/api/v1/tokens",
                     "{\"name\":\"t\",\"role\":\"viewer\",\"merchants\":[\"m1\"],"
                     "\"expires_in_ms\":1}"));
    assert_true(post(world, "/api/v1/devices/term-1/labels",
                     "{\"set\":{\"any\":\"thing\"},\"dry_run\":true}"));
    assert_true(post(world, "/api/v1/webhooks/desk/test", "{}"));
    assert_true(get(world, "/api/v1/devices", (struct api_query[QUERY_MAX]){{0}}));
    assert_true(
        get(world, "/api/v1/rates",
            (struct api_query[QUERY_MAX]){{"by", "code"}, {"device", "term-1"}, {"to_ms", "12"}}));
}

/* Mistyped, it would be as if nothing had been said. */
static void a_member_that_is_none_is_refused(void **state)
{
    struct world *world = *state;
    assert_false(post(world, "/api/v1/tokens",
                      "{\"name\":\"t\",\"role\":\"viewer\",\"merchant\":[\"m1\"]}"));
    assert_said(world, "merchant: there is no such member here; there is name, role, merchants");
    assert_false(post(world, "/api/v1/webhooks/desk/test", "{\"dry_run\":true}"));
    assert_said(world, "dry_run: there is no such member here; there is none");
    assert_false(post(world, "/api/v1/stores",
                      "{\"merchant\":{\"id\":\"m\"},\"store\":{\"id\":\"s\",\"reigon\":\"n\"}}"));
    assert_said(world, "store: reigon: there is no such member here");
    assert_false(post(world, "/api/v1/inventory",
                      "{\"devices\":[{\"id\":\"a\"},{\"id\":\"b\",\"modell\":\"m\"}]}"));
    assert_said(world, "devices: entry 2: modell");
}

static void a_member_of_another_type_is_refused(void **state)
{
    struct world *world = *state;
    assert_false(post(world, "/api/v1/devices/term-1/state",
                      "{\"state\":\"suspended\",\"dry_run\":\"true\"}"));
    assert_said(world, "dry_run: expected true or false");
    assert_false(post(world, "/api/v1/webhooks", "{\"kinds\":\"change\"}"));
    assert_said(world, "kinds: expected an array");
    assert_false(post(world, "/api/v1/tokens", "{\"expires_in_ms\":\"1\"}"));
    assert_said(world, "expires_in_ms: expected a whole number");
    assert_false(post(world, "/api/v1/tokens", "{\"expires_in_ms\":1.5}"));
    assert_false(post(world, "/api/v1/tokens", "{\"role\":null}"));
    assert_said(world, "role: expected a text");
    assert_false(post(world, "/api/v1/devices/term-1/labels", "{\"set\":{\"any\":1}}"));
    assert_said(world, "set: any: expected a text");
    assert_false(post(world, "/api/v1/webhooks/desk/test", "[]"));
}

static void a_member_that_is_there_twice_is_refused(void **state)
{
    struct world *world = *state;
    assert_false(post(world, "/api/v1/tokens",
                      "{\"name\":\"t\",\"role\":\"viewer\","
                      "\"role\":\"admin\"}"));
    assert_said(world, "duplicate");
}

static void a_parameter_is_one_of_the_route_and_there_once(void **state)
{
    struct world *world = *state;
    assert_false(get(world, "/api/v1/rates",
                     (struct api_query[QUERY_MAX]){{"by", "code"}, {"devcie", "term-1"}}));
    assert_said(world, "devcie: there is no such parameter here; there is by, since_ms");
    assert_false(get(world, "/api/v1/devices", (struct api_query[QUERY_MAX]){{"limit", "1"}}));
    assert_said(world, "there is none");
    assert_false(
        get(world, "/api/v1/rates", (struct api_query[QUERY_MAX]){{"by", "code"}, {"by", "tid"}}));
    assert_said(world, "by: it is there twice");
    assert_false(get(world, "/api/v1/duties", (struct api_query[QUERY_MAX]){{"all", "yes"}}));
    assert_said(world, "all: expected a whole number");
    assert_false(
        get(world, "/api/v1/devices/term-1", (struct api_query[QUERY_MAX]){{"device", "term-1"}}));
}

/* One rule for all who ask, and it is in the file. */
static void a_number_keeps_to_its_bounds(void **state)
{
    static const char *const paths[] = {"/api/v1/errors",  "/api/v1/find",    "/api/v1/top",
                                        "/api/v1/changes", "/api/v1/actions", "/api/v1/presence"};
    static const char *const wrong[] = {"0", "100001", "9999999999999999999999"};
    struct world *world = *state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_true(get(world, paths[i], (struct api_query[QUERY_MAX]){{"limit", "500"}}));
        for (size_t j = 0; j < sizeof wrong / sizeof *wrong; j++) {
            assert_false(get(world, paths[i], (struct api_query[QUERY_MAX]){{"limit", wrong[j]}}));
            assert_said(world, "limit: expected 1 to ");
        }
    }
    assert_true(get(world, "/api/v1/errors", (struct api_query[QUERY_MAX]){{"limit", "100000"}}));
    assert_false(get(world, "/api/v1/changes", (struct api_query[QUERY_MAX]){{"limit", "1001"}}));
    assert_said(world, "limit: expected 1 to 1000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_file_says_passes),
        cmocka_unit_test(a_member_that_is_none_is_refused),
        cmocka_unit_test(a_member_of_another_type_is_refused),
        cmocka_unit_test(a_member_that_is_there_twice_is_refused),
        cmocka_unit_test(a_parameter_is_one_of_the_route_and_there_once),
        cmocka_unit_test(a_number_keeps_to_its_bounds),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
