/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api.h"

#include "fleet/api_fleet.h"
#include "proto/record.pb-c.h"
#include "tests/unit/testing.h"

#include <string.h>

static bool answer_args(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err)
{
    (void)err;
    answer->json = json_pack("{s:s, s:s}", "ctx", (const char *)ctx, "arg", request->args[0]);
    return answer->json != NULL;
}

static bool fail_as_told(void *ctx, const struct api_request *request, struct api_answer *answer,
                         struct err *err)
{
    (void)request;
    answer->json = json_object(); /* must not leak, must not be shown */
    return err_set(err, *(enum err_code *)ctx, "because");
}

static const struct api_route first_routes[] = {
    {"GET", "/a", 0, answer_args, API_VIEWER, API_NO_DEVICE},
    {"GET", "/a/{}", 0, answer_args, API_VIEWER, API_NO_DEVICE},
    {"PUT", "/a/{}/b/{}", 10, answer_args, API_VIEWER, API_NO_DEVICE}};
static const struct api_route second_routes[] = {
    {"POST", "/a", 5, answer_args, API_VIEWER, API_NO_DEVICE}};
static const struct api_module modules[] = {{first_routes, 3, "one"}, {second_routes, 1, "two"}};
static const struct api api = {modules, 2};

static const struct api_route *find(const char *method, const char *path,
                                    struct api_request *request, void **ctx, unsigned *status)
{
    *request = (struct api_request){.method = method, .path = path};
    return api_route_find(&api, request, ctx, status);
}

static void routes_are_found(void **state)
{
    (void)state;
    struct api_request request;
    void *ctx = NULL;
    unsigned status = 0;
    assert_ptr_equal(find("GET", "/a", &request, &ctx, &status), &first_routes[0]);
    assert_ptr_equal(find("POST", "/a", &request, &ctx, &status), &second_routes[0]);
    assert_string_equal(ctx, "two");
    assert_ptr_equal(find("PUT", "/a/x1/b/y2", &request, &ctx, &status), &first_routes[2]);
    assert_string_equal(request.args[0], "x1");
    assert_string_equal(request.args[1], "y2");
}

static void what_has_no_route_says_why(void **state)
{
    (void)state;
    struct api_request request;
    void *ctx = NULL;
    unsigned status = 0;
    static const char *const missing[] = {"/", "/a/", "/ab", "/a//b/y", "/a/x/b", "/a/x/b/y/z", ""};
    for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++) {
        assert_null(find("GET", missing[i], &request, &ctx, &status));
        assert_int_equal(status, 404);
    }
    assert_null(find("DELETE", "/a", &request, &ctx, &status));
    assert_int_equal(status, 405);
    char path[200] = "/a/";
    memset(path + 3, 'x', 150);
    path[153] = '\0';
    assert_null(find("GET", path, &request, &ctx, &status));
    assert_int_equal(status, 404);
}

static void failures_become_errors(void **state)
{
    (void)state;
    static const struct {
        enum err_code code;
        unsigned status;
        const char *word;
    } cases[] = {{ERR_INVALID, 400, "invalid"},     {ERR_REFUSED, 403, "refused"},
                 {ERR_NOT_FOUND, 404, "not_found"}, {ERR_CONFLICT, 409, "conflict"},
                 {ERR_FULL, 413, "full"},           {ERR_IO, 500, "io"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum err_code code = cases[i].code;
        const struct api_route route = {"GET", "/", 0, fail_as_told, API_VIEWER, API_NO_DEVICE};
        const struct api_request request = {.method = "GET", .path = "/"};
        struct api_answer answer;
        api_run(&route, &code, &request, &answer);
        assert_int_equal(answer.status, cases[i].status);
        const json_t *error = json_object_get(answer.json, "error");
        assert_string_equal(json_string_value(json_object_get(error, "code")), cases[i].word);
        assert_string_equal(json_string_value(json_object_get(error, "text")), "because");
        api_answer_done(&answer);
    }
    /* A text that quotes foreign bytes must not make the answer disappear. */
    struct api_answer answer = {0};
    api_answer_error(&answer, 400, "invalid", "no: \xff");
    assert_non_null(json_object_get(answer.json, "error"));
    api_answer_done(&answer);
}

static void only_who_may_may(void **state)
{
    static const struct {
        enum api_role asked, has;
        bool may;
    } rows[] = {
        {API_ADMIN, API_ADMIN, true},       {API_ADMIN, API_OPERATOR, false},
        {API_ADMIN, API_ANYONE, false},     {API_OPERATOR, API_ADMIN, true},
        {API_OPERATOR, API_OPERATOR, true}, {API_OPERATOR, API_VIEWER, false},
        {API_VIEWER, API_OPERATOR, true},   {API_VIEWER, API_ANYONE, false},
        {API_ANYONE, API_ANYONE, true},     {API_ANYONE, API_VIEWER, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct api_route route = {"GET", "/", 0, answer_args, rows[i].asked, API_NO_DEVICE};
        const struct api_caller caller = {.name = "token t", .role = rows[i].has};
        struct err err = {0};
        assert_int_equal(api_allows(&route, &caller, &err), rows[i].may);
        assert_int_equal(err.code, rows[i].may ? ERR_NONE : ERR_REFUSED);
    }
}

/* What a route does not say is the most: one that was forgotten is open to nobody else. */
static void a_route_that_says_nothing_is_for_the_admin_of_all(void **state)
{
    const struct api_route route = {.method = "GET", .pattern = "/", .handle = answer_args};
    const struct api_caller ops = {.name = "uid 0"};
    const struct api_caller part = {.name = "token t", .scope = {.token = 7}};
    const struct api_caller lesser = {.name = "token t", .role = API_OPERATOR};
    (void)state;
    assert_true(api_allows(&route, &ops, NULL));
    assert_false(api_allows(&route, &part, NULL));
    assert_false(api_allows(&route, &lesser, NULL));
}

static void a_path_tells_its_methods(void **state)
{
    char methods[API_METHODS_CHARS];
    (void)state;
    api_methods(&api, "/a", methods);
    assert_string_equal(methods, "GET, POST");
    api_methods(&api, "/a/1/b/2", methods);
    assert_string_equal(methods, "PUT");
    api_methods(&api, "/b", methods);
    assert_string_equal(methods, "");
}

static bool parses(const char *text, size_t length)
{
    struct api_request request = {.body = bytes_of(text, length)};
    json_t *object = NULL;
    bool ok = api_body(&request, &object, NULL);
    if (ok)
        json_decref(object);
    return ok;
}

static void bodies_are_bounded(void **state)
{
    (void)state;
    static const char *const good[] = {"{}", "{\"a\":[[[]]]}",
                                       "{\"[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[\":1}"};
    static const char *const bad[] = {
        "", "[]", "1", "{", "{\"a\":1,\"a\":2}", "{}x", "{\"a\":\"\xff\"}"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(parses(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(parses(bad[i], strlen(bad[i])));
    char deep[100] = "{\"a\":";
    memset(deep + 5, '[', 40);
    memset(deep + 45, ']', 40);
    deep[85] = '}';
    assert_false(parses(deep, 86));
}

static void fields_are_checked(void **state)
{
    (void)state;
    const char *text = NULL;
    int64_t number = 0;
    struct buf bytes = {0};
    json_t *object = json_pack("{s:s, s:s, s:s, s:i, s:s, s:s}", "name", "term", "empty", "",
                               "control", "a\nb", "n", 7, "key", "AAEC", "bad", "A=");
    assert_true(api_text(object, "name", 4, &text, NULL));
    assert_string_equal(text, "term");
    assert_false(api_text(object, "name", 3, &text, NULL));
    assert_false(api_text(object, "empty", 9, &text, NULL));
    assert_false(api_text(object, "control", 9, &text, NULL));
    assert_false(api_text(object, "n", 9, &text, NULL));
    assert_false(api_text(object, "missing", 9, &text, NULL));
    assert_true(api_number(object, "n", 0, 7, &number, NULL));
    assert_int_equal(number, 7);
    assert_false(api_number(object, "n", 0, 6, &number, NULL));
    assert_false(api_number(object, "name", 0, 6, &number, NULL));
    assert_true(api_base64(object, "key", 3, &bytes, NULL));
    assert_true(bytes_equal(buf_bytes(&bytes), bytes_of("\0\1\2", 3)));
    assert_false(api_base64(object, "key", 2, &bytes, NULL));
    assert_false(api_base64(object, "bad", 9, &bytes, NULL));
    buf_done(&bytes);
    json_decref(object);
}

static void query_numbers_are_whole(void **state)
{
    (void)state;
    static const struct api_query query[] = {
        {"a", "12"}, {"b", "-1"}, {"c", "1x"}, {"d", ""}, {"e", "99999999999999999999"}};
    const struct api_request request = {.query = query, .query_count = 5};
    int64_t value = 0;
    assert_true(api_query_number(&request, "a", 5, &value, NULL));
    assert_int_equal(value, 12);
    assert_true(api_query_number(&request, "z", 5, &value, NULL));
    assert_int_equal(value, 5);
    for (size_t i = 1; i < 5; i++)
        assert_false(api_query_number(&request, query[i].name, 5, &value, NULL));
}

static void moments_end_with_the_year_9999(void **state)
{
    (void)state;
    static const struct api_query query[] = {{"last", "253402300799999"},
                                             {"beyond", "253402300800000"},
                                             {"end", "9223372036854775807"},
                                             {"before", "-1"}};
    const struct api_request request = {.query = query, .query_count = 4};
    int64_t at_ms = 0;
    assert_true(api_query_ms(&request, "last", 5, &at_ms, NULL));
    assert_int_equal(at_ms, API_MS_MAX);
    assert_true(api_query_ms(&request, "none", 5, &at_ms, NULL));
    assert_int_equal(at_ms, 5);
    for (size_t i = 1; i < 4; i++)
        assert_false(api_query_ms(&request, query[i].name, 5, &at_ms, NULL));
}

static void enum_values_have_words(void **state)
{
    (void)state;
    char word[48];
    api_word(&muster__outcome__descriptor, "OUTCOME_", MUSTER__OUTCOME__OUTCOME_NO_ANSWER, word);
    assert_string_equal(word, "no_answer");
    api_word(&muster__outcome__descriptor, "OUTCOME_", 77, word);
    assert_string_equal(word, "77");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_are_found),
        cmocka_unit_test(what_has_no_route_says_why),
        cmocka_unit_test(failures_become_errors),
        cmocka_unit_test(only_who_may_may),
        cmocka_unit_test(a_route_that_says_nothing_is_for_the_admin_of_all),
        cmocka_unit_test(a_path_tells_its_methods),
        cmocka_unit_test(bodies_are_bounded),
        cmocka_unit_test(fields_are_checked),
        cmocka_unit_test(query_numbers_are_whole),
        cmocka_unit_test(moments_end_with_the_year_9999),
        cmocka_unit_test(enum_values_have_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
