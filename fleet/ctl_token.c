/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"
#include "fleet/ctl_table.h"

#include <string.h>

/* ---- token add ---- */

/* All values of an option that repeats, under `name`; nothing where there are none. */
static void add_list(const struct ctl_args *args, const char *option, json_t *request,
                     const char *name)
{
    size_t at = 0;
    const char *value;
    while ((value = ctl_arg_next(args, option, &at)) != NULL) {
        json_t *list = json_object_get(request, name);
        if (list == NULL) {
            list = json_array();
            (void)json_object_set_new(request, name, list);
        }
        (void)json_array_append_new(list, json_string(value));
    }
}

static json_t *request_of(const struct ctl_args *args, struct err *err)
{
    const char *expires = ctl_arg(args, "--expires", "90d");
    int64_t expires_ms = 0;
    if (strcmp(expires, "never") != 0 && !ctl_duration(expires, &expires_ms, err)) {
        (void)err_context(err, "--expires");
        return NULL;
    }
    json_t *request = json_pack("{s:s, s:s}", "name", args->arguments[0], "role",
                                ctl_arg(args, "--role", "viewer"));
    if (request == NULL) {
        (void)err_set(err, ERR_INVALID, "NAME is not UTF-8");
        return NULL;
    }
    if (expires_ms > 0)
        (void)json_object_set_new(request, "expires_in_ms", json_integer(expires_ms));
    add_list(args, "--merchant", request, "merchants");
    add_list(args, "--region", request, "regions");
    return request;
}

static int add_token(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    json_t *reply;
    json_t *request = request_of(args, err);
    if (request == NULL)
        return EXIT_USAGE;
    bool ok = ctl_guard_output(ctl, err) &&
              client_post(ctl->client, "/api/v1/tokens", request, &reply, err);
    json_decref(request);
    if (!ok)
        return exit_code_of(err);
    int code = EXIT_OK;
    if (ctl->json)
        code = ctl_print_json(ctl, reply, err);
    else
        fprintf(ctl->out, "%s\n", ctl_text(reply, "token"));
    json_decref(reply);
    if (code == EXIT_OK && !ctl->json)
        fputs("This is the only time that it is shown; musterd keeps its hash alone.\n", stderr);
    return code;
}

static const struct ctl_option add_options[] = {
    {.name = "--role",
     .value = "viewer|operator|admin",
     .help = "reads; changes what devices hold and do; gives tokens too [viewer]"},
    {.name = "--merchant",
     .value = "ID",
     .help = "for the devices of this merchant alone",
     .repeats = true},
    {.name = "--region",
     .value = "NAME",
     .help = "for the devices of this region alone",
     .repeats = true},
    {.name = "--expires", .value = "DURATION", .help = "good for so long, or never [90d]"},
    {0},
};

const struct ctl_command ctl_token_add = {
    .words = "token add",
    .arguments = "NAME",
    .summary = "Make a token with which somebody else may ask musterd.",
    .notes = "Printed once; a file that it is printed into becomes yours alone (0600). Shown to\n"
             "musterd as \"Authorization: Bearer TOKEN\", or by musterctl (--token-file,\n"
             "$MUSTERCTL_TOKEN). A name is given once; changes carry it.",
    .options = add_options,
    .argument_count = 1,
    .run = add_token,
};

/* ---- token list ---- */

static void add_places(struct ctl_table *table, const json_t *token)
{
    const json_t *places = json_object_get(token, "places");
    const char *first = json_string_value(json_array_get(places, 0));
    const size_t count = json_array_size(places);
    if (strcmp(ctl_text(token, "scope"), "fleet") == 0)
        ctl_table_text(table, "whole fleet");
    else if (count > 1)
        ctl_table_format(table, "%s %s and %zu more", ctl_text(token, "scope"), first, count - 1);
    else
        ctl_table_format(table, "%s %s", ctl_text(token, "scope"), first != NULL ? first : "gone");
}

static bool print_tokens(struct ctl *ctl, const json_t *reply)
{
    size_t i;
    json_t *token;
    const int64_t now_ms = clock_wall_ms(ctl->clock);
    struct ctl_table *table = ctl_table_new("TOKEN|ROLE|FOR|MADE|BY|USED|EXPIRES|STATE");
    json_array_foreach(json_object_get(reply, "tokens"), i, token)
    {
        const int64_t expires_ms = ctl_number(token, "expires_ms");
        ctl_table_text(table, ctl_text(token, "name"));
        ctl_table_text(table, ctl_text(token, "role"));
        add_places(table, token);
        ctl_table_ago(table, ctl_number(token, "made_ms"), now_ms);
        ctl_table_text(table, ctl_text(token, "made_by"));
        ctl_table_ago(table, ctl_number(token, "used_ms"), now_ms);
        ctl_table_ago(table, expires_ms, now_ms);
        if (ctl_number(token, "revoked_ms") != 0)
            ctl_table_text(table, "revoked");
        else
            ctl_table_text(table, expires_ms == 0 || expires_ms > now_ms ? "good" : "expired");
    }
    return ctl_print_table(ctl, table, "No tokens.");
}

static int list_tokens(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    (void)args;
    return ctl_show(ctl, "/api/v1/tokens", print_tokens, err);
}

const struct ctl_command ctl_token_list = {
    .words = "token list",
    .arguments = "",
    .summary = "List the tokens: whose, for what, and when they were used.",
    .has_csv = true,
    .run = list_tokens,
};

/* ---- token revoke ---- */

static int revoke_token(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    char path[120];
    json_t *reply;
    const char *name = args->arguments[0];
    if (name[0] == '\0' || strlen(name) > 40 ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != strlen(name)) {
        (void)err_set(err, ERR_INVALID, "\"%.40s\" is not a token's name", name);
        return EXIT_USAGE;
    }
    (void)snprintf(path, sizeof path, "/api/v1/tokens/%s", name);
    if (!client_delete(ctl->client, path, &reply, err))
        return exit_code_of(err);
    int code = ctl->json ? ctl_print_json(ctl, reply, err) : EXIT_OK;
    if (!ctl->json)
        fprintf(ctl->out, "Token %s is good for nothing any more.\n", name);
    json_decref(reply);
    return code;
}

const struct ctl_command ctl_token_revoke = {
    .words = "token revoke",
    .arguments = "NAME",
    .summary = "End a token; what it asks from now on is refused.",
    .argument_count = 1,
    .run = revoke_token,
};
