/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api.h"

#include "base/log.h"
#include "fleet/base64.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_DEPTH_MAX = 16 };

/* ---- routes ---- */

/* Fills `args` with what each {} of the pattern stands for. */
static bool matches(const char *pattern, const char *path, char args[API_ARGS_MAX][API_ARG_SIZE])
{
    size_t count = 0;
    while (*pattern != '\0') {
        if (strncmp(pattern, "{}", 2) != 0) {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        size_t length = strcspn(path, "/");
        if (length == 0 || length >= API_ARG_SIZE || count == API_ARGS_MAX)
            return false;
        memcpy(args[count], path, length);
        args[count++][length] = '\0';
        pattern += 2;
        path += length;
    }
    return *path == '\0';
}

const struct api_route *api_route_find(const struct api *api, struct api_request *request,
                                       void **ret_ctx, unsigned *ret_status)
{
    unsigned status = 404;
    for (size_t m = 0; m < api->module_count; m++) {
        const struct api_module *module = &api->modules[m];
        for (size_t r = 0; r < module->route_count; r++) {
            const struct api_route *route = &module->routes[r];
            if (!matches(route->pattern, request->path, request->args))
                continue;
            if (strcmp(route->method, request->method) == 0) {
                *ret_ctx = module->ctx;
                return route;
            }
            status = 405;
        }
    }
    *ret_status = status;
    return NULL;
}

void api_methods(const struct api *api, const char *path, char ret_methods[API_METHODS_CHARS])
{
    char args[API_ARGS_MAX][API_ARG_SIZE];
    size_t length = 0;
    ret_methods[0] = '\0';
    for (size_t m = 0; m < api->module_count; m++) {
        for (size_t r = 0; r < api->modules[m].route_count; r++) {
            const struct api_route *route = &api->modules[m].routes[r];
            if (!matches(route->pattern, path, args))
                continue;
            int n = snprintf(ret_methods + length, API_METHODS_CHARS - length, "%s%s",
                             length > 0 ? ", " : "", route->method);
            length += (size_t)n < API_METHODS_CHARS - length ? (size_t)n : 0;
        }
    }
}

/* ---- who may ---- */

const char *api_role_name(enum api_role role)
{
    static const char *const names[API_ROLES] = {"admin", "operator", "viewer", "anyone"};
    return names[role];
}

const char *api_reach_name(enum api_reach reach)
{
    static const char *const names[API_REACHES] = {"fleet", "part", "device", "none"};
    return names[reach];
}

bool api_allows(const struct api_route *route, const struct api_caller *caller, struct err *err)
{
    if (caller->role == API_ANYONE && route->role != API_ANYONE)
        return err_set(err, ERR_REFUSED,
                       "this takes a token of role %s (Authorization: Bearer TOKEN); musterctl "
                       "token add makes one",
                       api_role_name(route->role));
    if (caller->role > route->role)
        return err_set(err, ERR_REFUSED, "%s is %s; this takes %s", caller->name,
                       api_role_name(caller->role), api_role_name(route->role));
    if (route->reach == API_WHOLE_FLEET && !fleetdb_scope_is_whole(caller->scope))
        return err_set(err, ERR_REFUSED, "%s is for a part of the fleet; this is about all of it",
                       caller->name);
    return true;
}

/* ---- answers ---- */

static unsigned status_of(enum err_code code)
{
    switch (code) {
    case ERR_INVALID:
        return 400;
    case ERR_REFUSED:
        return 403;
    case ERR_NOT_FOUND:
        return 404;
    case ERR_CONFLICT:
        return 409;
    case ERR_FULL:
        return 413;
    case ERR_TIMEOUT:
    case ERR_UNAVAILABLE:
        return 503;
    default:
        return 500;
    }
}

void api_answer_error(struct api_answer *answer, unsigned status, const char *code,
                      const char *text)
{
    api_answer_done(answer);
    answer->status = status;
    answer->json = json_pack("{s:{s:s, s:s}}", "error", "code", code, "text", text);
    if (answer->json == NULL) /* the text is not UTF-8: it quoted what was sent */
        answer->json = json_pack("{s:{s:s, s:s}}", "error", "code", code, "text", "malformed text");
}

static void end_work(struct api_answer *answer)
{
    if (answer->work.step != NULL)
        answer->work.free(answer->work.ctx);
    answer->work = (struct api_work){0};
}

void api_answer_done(struct api_answer *answer)
{
    end_work(answer);
    if (answer->stream.next != NULL)
        answer->stream.free(answer->stream.ctx);
    answer->stream = (struct api_stream){0};
    json_decref(answer->json);
    answer->json = NULL;
    buf_done(&answer->text);
}

static void fail(const struct api_request *request, struct api_answer *answer,
                 const struct err *err)
{
    unsigned status = status_of(err->code);
    if (status == 500)
        log_error("%s %s: %s", request->method, request->path, err->text);
    api_answer_error(answer, status, err_code_name(err->code), err->text);
}

void api_run(const struct api_route *route, void *ctx, const struct api_request *request,
             struct api_answer *answer)
{
    struct err err = {0};
    *answer = (struct api_answer){.status = 200};
    if (!route->handle(ctx, request, answer, &err))
        fail(request, answer, &err);
}

void api_continue(const struct api_request *request, struct api_answer *answer)
{
    struct err err = {0};
    bool done = false;
    if (!answer->work.step(answer->work.ctx, answer, &done, &err))
        fail(request, answer, &err);
    else if (done)
        end_work(answer);
}

/* ---- what handlers answer ---- */

bool api_give(struct api_answer *answer, json_t *json, struct err *err)
{
    answer->json = json;
    return json != NULL || api_no_memory(err);
}

bool api_append(json_t *list, json_t *value, struct err *err)
{
    return json_array_append_new(list, value) == 0 || api_no_memory(err);
}

bool api_put(json_t *object, const char *name, json_t *value, struct err *err)
{
    return json_object_set_new(object, name, value) == 0 || api_no_memory(err);
}

json_t *api_list(struct api_answer *answer, const char *name, struct err *err)
{
    json_t *list = json_array();
    return api_give(answer, json_pack("{s:o}", name, list), err) ? list : NULL;
}

/* ---- what handlers read ---- */

const char *api_query(const struct api_request *request, const char *name)
{
    for (size_t i = 0; i < request->query_count; i++) {
        if (strcmp(request->query[i].name, name) == 0)
            return request->query[i].value;
    }
    return NULL;
}

bool api_query_number(const struct api_request *request, const char *name, int64_t fallback,
                      int64_t *ret_value, struct err *err)
{
    const char *text = api_query(request, name);
    char *end = NULL;
    if (text == NULL) {
        *ret_value = fallback;
        return true;
    }
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0)
        return err_set(err, ERR_INVALID, "%s: expected a whole number", name);
    *ret_value = value;
    return true;
}

bool api_query_ms(const struct api_request *request, const char *name, int64_t fallback,
                  int64_t *ret_ms, struct err *err)
{
    int64_t at_ms = 0;
    if (!api_query_number(request, name, fallback, &at_ms, err))
        return false;
    if (at_ms > API_MS_MAX)
        return err_set(err, ERR_INVALID, "%s: expected ms since 1970, up to the year 9999", name);
    *ret_ms = at_ms;
    return true;
}

/* Jansson's parser recurses: what is nested too deep is refused before it sees it. */
static bool depth_bearable(struct bytes json)
{
    size_t depth = 0;
    bool in_text = false;
    for (size_t i = 0; i < json.length; i++) {
        uint8_t c = json.data[i];
        if (in_text && c == '\\')
            i++;
        else if (c == '"')
            in_text = !in_text;
        else if (!in_text && (c == '[' || c == '{') && ++depth > JSON_DEPTH_MAX)
            return false;
        else if (!in_text && (c == ']' || c == '}') && depth > 0)
            depth--;
    }
    return true;
}

/* The library speaks of its own switches. */
static const char *words_of(const json_error_t *why)
{
    const enum json_error_code code = json_error_code(why);
    return code == json_error_null_character || code == json_error_null_byte_in_key
               ? "a text holds \\u0000, which is not taken"
               : why->text;
}

bool api_body(const struct api_request *request, json_t **ret_object, struct err *err)
{
    json_error_t why;
    if (request->json != NULL) {
        *ret_object = json_incref(request->json);
        return true;
    }
    if (!depth_bearable(request->body))
        return err_set(err, ERR_INVALID, "the body is nested deeper than %d", JSON_DEPTH_MAX);
    const char *text = request->body.length > 0 ? (const char *)request->body.data : "";
    json_t *object = json_loadb(text, request->body.length, JSON_REJECT_DUPLICATES, &why);
    if (object == NULL)
        return err_set(err, ERR_INVALID, "line %d: %s", why.line, words_of(&why));
    if (!json_is_object(object)) {
        json_decref(object);
        return err_set(err, ERR_INVALID, "expected a JSON object");
    }
    *ret_object = object;
    return true;
}

bool api_text(const json_t *object, const char *name, size_t max, const char **ret_text,
              struct err *err)
{
    const json_t *value = json_object_get(object, name);
    size_t length = json_string_length(value);
    if (!json_is_string(value) || length == 0 || length > max)
        return err_set(err, ERR_INVALID, "%s: expected a text of 1 to %zu characters", name, max);
    const char *text = json_string_value(value);
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return err_set(err, ERR_INVALID, "%s: holds a control character", name);
    }
    *ret_text = text;
    return true;
}

bool api_number(const json_t *object, const char *name, int64_t min, int64_t max,
                int64_t *ret_value, struct err *err)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_integer(value) || json_integer_value(value) < min ||
        json_integer_value(value) > max)
        return err_set(err, ERR_INVALID, "%s: expected a whole number from %lld to %lld", name,
                       (long long)min, (long long)max);
    *ret_value = json_integer_value(value);
    return true;
}

bool api_base64(const json_t *object, const char *name, size_t limit, struct buf *out,
                struct err *err)
{
    const json_t *value = json_object_get(object, name);
    size_t before = out->length;
    if (!json_is_string(value) || json_string_length(value) / 4 * 3 > limit + 2)
        return err_set(err, ERR_INVALID, "%s: expected at most %zu bytes in base64", name, limit);
    if (!base64_decode(json_string_value(value), json_string_length(value), out, err))
        return err_context(err, "%s", name);
    return out->length - before <= limit ||
           err_set(err, ERR_INVALID, "%s: more than %zu bytes", name, limit);
}
