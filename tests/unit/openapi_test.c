/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/openapi.json beside the routes that musterd has: neither tells of one that the other does
 * not know. What they answer is held against the file by tests/scenario/test_openapi.py. */
#include "fleet/api_all.h"
#include "tests/unit/testing.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { PATH_SIZE = 120, ROUTES_MIN = 30 };

struct world {
    struct api_all all;
    json_t *file;
};

static int open_world(void **state)
{
    static struct world world;
    struct api_request request = {.method = "GET", .path = "/api/v1/openapi.json"};
    struct api_answer answer;
    void *ctx = NULL;
    unsigned status = 0;
    api_all_init(&world.all);
    const struct api_route *route = api_route_find(&world.all.api, &request, &ctx, &status);
    assert_non_null(route);
    api_run(route, ctx, &request, &answer);
    assert_int_equal(answer.status, 200);
    json_error_t why;
    world.file = json_loadb((const char *)answer.text.data, answer.text.length,
                            JSON_REJECT_DUPLICATES, &why);
    if (world.file == NULL)
        fail_msg("line %d: %s", why.line, why.text);
    api_answer_done(&answer);
    *state = &world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;
    json_decref(world->file);
    return 0;
}

/* The pattern of a path of the file: "/a/{device}/b" is "/a/{}/b". */
static void pattern_of(const char *path, char pattern[PATH_SIZE])
{
    size_t length = 0;
    for (bool inside = false; *path != '\0' && length + 1 < PATH_SIZE; path++) {
        if (*path == '}')
            inside = false;
        if (!inside)
            pattern[length++] = *path;
        if (*path == '{')
            inside = true;
    }
    pattern[length] = '\0';
}

static bool is_method(const char *name, const char *method)
{
    for (; *name != '\0' && toupper((unsigned char)*name) == *method; name++)
        method++;
    return *name == '\0' && *method == '\0';
}

/* What the file says of a route; NULL: nothing. */
static json_t *said_of(const struct world *world, const struct api_route *route)
{
    const char *path = NULL, *method = NULL;
    json_t *item = NULL, *operation = NULL;
    json_object_foreach(json_object_get(world->file, "paths"), path, item)
    {
        char pattern[PATH_SIZE];
        pattern_of(path, pattern);
        if (strcmp(pattern, route->pattern) != 0)
            continue;
        json_object_foreach(item, method, operation)
        {
            if (is_method(method, route->method))
                return operation;
        }
    }
    return NULL;
}

static size_t route_count(const struct world *world)
{
    size_t count = 0;
    for (size_t m = 0; m < world->all.api.module_count; m++)
        count += world->all.api.modules[m].route_count;
    return count;
}

static void every_route_is_told_as_it_is(void **state)
{
    const struct world *world = *state;
    assert_true(route_count(world) >= ROUTES_MIN);
    for (size_t m = 0; m < world->all.api.module_count; m++) {
        const struct api_module *module = &world->all.api.modules[m];
        for (size_t r = 0; r < module->route_count; r++) {
            const struct api_route *route = &module->routes[r];
            const json_t *said = said_of(world, route);
            if (said == NULL)
                fail_msg("%s %s is not in fleet/openapi.json", route->method, route->pattern);
            const char *role = json_string_value(json_object_get(said, "x-muster-role"));
            const char *reach = json_string_value(json_object_get(said, "x-muster-reach"));
            const json_t *max = json_object_get(said, "x-muster-max-bytes");
            if (role == NULL || strcmp(role, api_role_name(route->role)) != 0)
                fail_msg("%s %s: role %s", route->method, route->pattern, role);
            if (reach == NULL || strcmp(reach, api_reach_name(route->reach)) != 0)
                fail_msg("%s %s: reach %s", route->method, route->pattern, reach);
            if ((size_t)json_integer_value(max) != route->max_body_bytes ||
                (json_object_get(said, "requestBody") != NULL) != (route->max_body_bytes > 0))
                fail_msg("%s %s: max bytes %zu", route->method, route->pattern,
                         route->max_body_bytes);
        }
    }
}

static void nothing_else_is_told(void **state)
{
    const struct world *world = *state;
    const char *path = NULL, *method = NULL;
    json_t *item = NULL, *operation = NULL;
    size_t told = 0;
    json_object_foreach(json_object_get(world->file, "paths"), path, item)
    {
        json_object_foreach(item, method, operation) told++;
    }
    assert_int_equal(told, route_count(world));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_told_as_it_is),
        cmocka_unit_test(nothing_else_is_told),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
