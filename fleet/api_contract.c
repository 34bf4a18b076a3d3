/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_contract.h"

#include "fleet/api_openapi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ROUTES_MAX = 96, PATTERN_CHARS = 96, NAMES_CHARS = 320 };

struct api_contract {
    json_t *file;
    size_t count;
    struct {
        const struct api_route *route;
        const json_t *parameters, *body; /* NULL: none; of the file */
    } rows[ROUTES_MAX];
};

/* ---- the file ---- */

/* What a {"$ref": "#/a/b"} stands for. */
static const json_t *followed(const struct api_contract *contract, const json_t *schema)
{
    const char *at = json_string_value(json_object_get(schema, "$ref"));
    if (at == NULL)
        return schema;
    const json_t *found = contract->file;
    char name[64];
    for (int length = 0; sscanf(at, "%*[#/]%63[^/]%n", name, &length) == 1; at += length)
        found = json_object_get(found, name);
    return found;
}

/* "/a/{device}/b" is "/a/{}/b". */
static void pattern_of(const char *path, char pattern[PATTERN_CHARS])
{
    size_t length = 0;
    for (bool inside = false; *path != '\0' && length + 1 < PATTERN_CHARS; path++) {
        inside = inside && *path != '}';
        if (!inside)
            pattern[length++] = *path;
        inside = inside || *path == '{';
    }
    pattern[length] = '\0';
}

static const json_t *operation_of(const struct api_contract *contract,
                                  const struct api_route *route)
{
    const char *path = NULL, *method = NULL;
    json_t *item = NULL, *operation = NULL;
    json_object_foreach(json_object_get(contract->file, "paths"), path, item)
    {
        char pattern[PATTERN_CHARS];
        pattern_of(path, pattern);
        if (strcmp(pattern, route->pattern) != 0)
            continue;
        json_object_foreach(item, method, operation)
        {
            if (strcasecmp(method, route->method) == 0)
                return operation;
        }
    }
    return NULL;
}

static bool add_route(struct api_contract *contract, const struct api_route *route, struct err *err)
{
    const json_t *operation = operation_of(contract, route);
    if (operation == NULL || contract->count == ROUTES_MAX)
        return err_set(err, ERR_INVALID, "fleet/openapi.json: nothing of %s %s", route->method,
                       route->pattern);
    const json_t *content = json_object_get(json_object_get(operation, "requestBody"), "content");
    const json_t *body = json_object_get(json_object_get(content, "application/json"), "schema");
    contract->rows[contract->count].route = route;
    contract->rows[contract->count].parameters = json_object_get(operation, "parameters");
    contract->rows[contract->count++].body = body;
    return true;
}

bool api_contract_open(const struct api *api, struct api_contract **ret_contract, struct err *err)
{
    json_error_t why;
    const char *text = api_openapi_text();
    struct api_contract *contract = calloc(1, sizeof *contract);
    if (contract == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for fleet/openapi.json");
    contract->file = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    bool done = contract->file != NULL ||
                err_set(err, ERR_INVALID, "fleet/openapi.json: line %d: %s", why.line, why.text);
    for (size_t m = 0; done && m < api->module_count; m++) {
        for (size_t r = 0; done && r < api->modules[m].route_count; r++)
            done = add_route(contract, &api->modules[m].routes[r], err);
    }
    if (!done) {
        api_contract_close(contract);
        return false;
    }
    *ret_contract = contract;
    return true;
}

void api_contract_close(struct api_contract *contract)
{
    if (contract == NULL)
        return;
    json_decref(contract->file);
    free(contract);
}

/* ---- parameters ---- */

static void list_name(char list[NAMES_CHARS], const char *name)
{
    size_t length = strlen(list);
    (void)snprintf(list + length, NAMES_CHARS - length, "%s%s", length > 0 ? ", " : "", name);
}

static bool is_in_query(const json_t *parameter)
{
    const char *in = json_string_value(json_object_get(parameter, "in"));
    return in != NULL && strcmp(in, "query") == 0;
}

static bool refuse_parameter(const json_t *parameters, const char *name, struct err *err)
{
    size_t i = 0;
    const json_t *parameter = NULL;
    char known[NAMES_CHARS] = "";
    json_array_foreach(parameters, i, parameter)
    {
        if (is_in_query(parameter))
            list_name(known, json_string_value(json_object_get(parameter, "name")));
    }
    return err_set(err, ERR_INVALID, "%.40s: there is no such parameter here; there is %s", name,
                   known[0] != '\0' ? known : "none");
}

/* A number too long for its type is beyond any maximum. */
static bool check_number(const json_t *schema, const struct api_query *query, struct err *err)
{
    const json_t *minimum = json_object_get(schema, "minimum");
    const json_t *maximum = json_object_get(schema, "maximum");
    if (query->value[0] == '\0' || strspn(query->value, "0123456789") != strlen(query->value))
        return err_set(err, ERR_INVALID, "%s: expected a whole number", query->name);
    const long long number = strtoll(query->value, NULL, 10);
    return minimum == NULL || maximum == NULL ||
           (number >= json_integer_value(minimum) && number <= json_integer_value(maximum)) ||
           err_set(err, ERR_INVALID, "%s: expected %lld to %lld", query->name,
                   (long long)json_integer_value(minimum), (long long)json_integer_value(maximum));
}

static bool check_parameter(const struct api_contract *contract, const json_t *parameters,
                            const struct api_query *query, struct err *err)
{
    size_t i = 0;
    const json_t *parameter = NULL;
    json_array_foreach(parameters, i, parameter)
    {
        const char *name = json_string_value(json_object_get(parameter, "name"));
        if (!is_in_query(parameter) || strcmp(name, query->name) != 0)
            continue;
        const json_t *schema = followed(contract, json_object_get(parameter, "schema"));
        const char *type = json_string_value(json_object_get(schema, "type"));
        return type == NULL || strcmp(type, "integer") != 0 || check_number(schema, query, err);
    }
    return refuse_parameter(parameters, query->name, err);
}

static bool check_query(const struct api_contract *contract, const json_t *parameters,
                        const struct api_request *request, struct err *err)
{
    for (size_t i = 0; i < request->query_count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(request->query[j].name, request->query[i].name) == 0)
                return err_set(err, ERR_INVALID, "%.40s: it is there twice",
                               request->query[i].name);
        }
        if (!check_parameter(contract, parameters, &request->query[i], err))
            return false;
    }
    return true;
}

/* ---- the body ---- */

static bool check_type(const json_t *schema, const json_t *value, struct err *err)
{
    static const struct {
        const char *type, *words;
        json_type is;
    } types[] = {
        {"string", "a text", JSON_STRING},       {"integer", "a whole number", JSON_INTEGER},
        {"object", "an object", JSON_OBJECT},    {"array", "an array", JSON_ARRAY},
        {"boolean", "true or false", JSON_TRUE},
    };
    const json_t *named = json_object_get(schema, "type");
    const char *type = named != NULL ? json_string_value(named) : "string"; /* an enum's words */
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].type, type) == 0)
            return json_typeof(value) == types[i].is ||
                   (types[i].is == JSON_TRUE && json_is_false(value)) ||
                   err_set(err, ERR_INVALID, "expected %s", types[i].words);
    }
    return err_set(err, ERR_INVALID, "fleet/openapi.json: a type that nothing has: %s", type);
}

static bool refuse_member(const json_t *schema, const char *name, struct err *err)
{
    const char *known = NULL;
    json_t *ignored = NULL;
    char list[NAMES_CHARS] = "";
    json_object_foreach(json_object_get(schema, "properties"), known, ignored)
        list_name(list, known);
    return err_set(err, ERR_INVALID, "%.40s: there is no such member here; there is %s", name,
                   list[0] != '\0' ? list : "none");
}

static bool check_value(const struct api_contract *contract, const json_t *said,
                        const json_t *value, struct err *err);

static bool check_members(const struct api_contract *contract, const json_t *schema,
                          const json_t *object, struct err *err)
{
    const char *name = NULL;
    json_t *value = NULL;
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *others = json_object_get(schema, "additionalProperties");
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        const json_t *member = json_object_get(properties, name);
        if (member == NULL && !json_is_object(others))
            return refuse_member(schema, name, err);
        if (!check_value(contract, member != NULL ? member : others, value, err))
            return err_context(err, "%.40s", name);
    }
    return true;
}

/* As deep as the file goes, which ends. */
static bool check_value(const struct api_contract *contract, const json_t *said,
                        const json_t *value, struct err *err)
{
    size_t i = 0;
    const json_t *item = NULL, *schema = followed(contract, said);
    if (!check_type(schema, value, err))
        return false;
    if (json_is_object(value))
        return check_members(contract, schema, value, err);
    json_array_foreach(value, i, item)
    {
        if (!check_value(contract, json_object_get(schema, "items"), item, err))
            return err_context(err, "entry %zu", i + 1);
    }
    return true;
}

/* ---- all of it ---- */

bool api_contract_check(const struct api_contract *contract, const struct api_route *route,
                        struct api_request *request, struct err *err)
{
    size_t at = 0;
    if (contract == NULL)
        return true;
    while (at < contract->count && contract->rows[at].route != route)
        at++;
    if (at == contract->count)
        return err_set(err, ERR_INVALID, "fleet/openapi.json: nothing of %s", route->pattern);
    if (!check_query(contract, contract->rows[at].parameters, request, err))
        return false;
    const json_t *body = contract->rows[at].body;
    return body == NULL || (api_body(request, &request->json, err) &&
                            check_value(contract, body, request->json, err));
}
