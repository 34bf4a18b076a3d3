/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"
#include "fleet/ctl_table.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOOK_EVERY_MS = 200, NAME_CHARS = 40 };

/* It becomes part of a path. */
static bool check_name(const char *name, struct err *err)
{
    return (name[0] != '\0' && strlen(name) <= NAME_CHARS &&
            strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") == strlen(name)) ||
           err_set(err, ERR_INVALID,
                   "\"%.40s\" is not a webhook's name: expected a-z, 0-9, - and .", name);
}

/* ---- webhook add ---- */

static void add_kinds(const char *kinds, json_t *request)
{
    json_t *list = json_array();
    size_t from = 0;
    for (;;) {
        const size_t length = strcspn(kinds + from, ",");
        (void)json_array_append_new(list, json_stringn(kinds + from, length));
        if (kinds[from + length] == '\0')
            break;
        from += length + 1;
    }
    (void)json_object_set_new(request, "kinds", list);
}

static int add_webhook(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    json_t *reply;
    const char *kinds = ctl_arg(args, "--kinds", NULL);
    json_t *request =
        json_pack("{s:s, s:s}", "name", args->arguments[0], "url", args->arguments[1]);
    if (request == NULL) {
        (void)err_set(err, ERR_INVALID, "NAME or URL is not UTF-8");
        return EXIT_USAGE;
    }
    if (kinds != NULL)
        add_kinds(kinds, request);
    bool ok = ctl_guard_output(ctl, err) &&
              client_post(ctl->client, "/api/v1/webhooks", request, &reply, err);
    json_decref(request);
    if (!ok)
        return exit_code_of(err);
    int code = ctl->json ? ctl_print_json(ctl, reply, err) : EXIT_OK;
    if (!ctl->json) {
        fprintf(ctl->out, "%s\n", ctl_text(reply, "secret"));
        fputs("This is the only time that it is shown; verify what comes with it.\n", stderr);
    }
    json_decref(reply);
    return code;
}

static const struct ctl_option add_options[] = {
    {.name = "--kinds",
     .value = "KIND,...",
     .help =
         "only online, offline, missing, back, many, change, event, result (a sale that failed)"},
    {0},
};

const struct ctl_command ctl_webhook_add = {
    .words = "webhook add",
    .arguments = "NAME URL",
    .summary = "Have musterd tell a server of yours what happens, from now on.",
    .notes = "Prints the secret that its requests are signed with, by the Standard Webhooks\n"
             "specification (webhook-id, webhook-timestamp, webhook-signature); a file that it is\n"
             "printed into becomes yours alone (0600). URL is https, or http on musterd's own\n"
             "machine.",
    .options = add_options,
    .argument_count = 2,
    .run = add_webhook,
};

/* ---- webhook list ---- */

static bool print_webhooks(struct ctl *ctl, const json_t *reply)
{
    size_t i;
    json_t *hook;
    const int64_t now_ms = clock_wall_ms(ctl->clock);
    struct ctl_table *table = ctl_table_new("WEBHOOK|>DELIVERED|LAST|>BEHIND|>MISSED|STATE|URL");
    json_array_foreach(json_object_get(reply, "webhooks"), i, hook)
    {
        const int64_t failing_ms = ctl_number(hook, "failing_ms");
        char since[CTL_TEXT_BYTES];
        ctl_ago_text(failing_ms, now_ms, since);
        ctl_table_text(table, ctl_text(hook, "name"));
        ctl_table_count(table, ctl_number(hook, "delivered"));
        ctl_table_ago(table, ctl_number(hook, "ok_ms"), now_ms);
        ctl_table_count(table, ctl_number(hook, "behind"));
        ctl_table_count(table, ctl_number(hook, "missed"));
        if (failing_ms == 0)
            ctl_table_text(table, "well");
        else
            ctl_table_format(table, "failing since %s: %s", since, ctl_text(hook, "trouble"));
        ctl_table_text(table, ctl_text(hook, "url"));
    }
    return ctl_print_table(ctl, table, "No webhooks.");
}

static int list_webhooks(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    (void)args;
    return ctl_show(ctl, "/api/v1/webhooks", print_webhooks, err);
}

const struct ctl_command ctl_webhook_list = {
    .words = "webhook list",
    .arguments = "",
    .summary = "List the webhooks, how far each has come, and what keeps it.",
    .has_csv = true,
    .run = list_webhooks,
};

/* ---- webhook remove ---- */

static int remove_webhook(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    char path[120];
    json_t *reply;
    const char *name = args->arguments[0];
    if (!check_name(name, err))
        return EXIT_USAGE;
    (void)snprintf(path, sizeof path, "/api/v1/webhooks/%s", name);
    if (!client_delete(ctl->client, path, &reply, err))
        return exit_code_of(err);
    int code = ctl->json ? ctl_print_json(ctl, reply, err) : EXIT_OK;
    if (!ctl->json)
        fprintf(ctl->out, "%s is told nothing any more.\n", name);
    json_decref(reply);
    return code;
}

const struct ctl_command ctl_webhook_remove = {
    .words = "webhook remove",
    .arguments = "NAME",
    .summary = "Tell a server nothing any more; what it has not been told is dropped.",
    .argument_count = 1,
    .run = remove_webhook,
};

/* ---- webhook test ---- */

/* The caller decrefs; NULL: there is none of that name. */
static bool find_webhook(struct ctl *ctl, const char *name, json_t **ret_hook, struct err *err)
{
    size_t i;
    json_t *reply, *hook;
    *ret_hook = NULL;
    if (!client_get(ctl->client, "/api/v1/webhooks", &reply, err))
        return false;
    json_array_foreach(json_object_get(reply, "webhooks"), i, hook)
    {
        if (strcmp(ctl_text(hook, "name"), name) == 0)
            *ret_hook = json_incref(hook);
    }
    json_decref(reply);
    return *ret_hook != NULL ||
           err_set(err, ERR_NOT_FOUND, "no webhook %s; see musterctl webhook list", name);
}

/* Until one more has arrived, or failed, than before. */
static int wait_for_it(struct ctl *ctl, const char *name, const json_t *before, int64_t limit_ms,
                       struct err *err)
{
    const struct timespec look = {.tv_nsec = LOOK_EVERY_MS * 1000000L};
    const int64_t end_ms = clock_boot_ms(ctl->clock) + limit_ms;
    while (clock_boot_ms(ctl->clock) < end_ms) {
        json_t *hook;
        if (!find_webhook(ctl, name, &hook, err))
            return exit_code_of(err);
        const bool ok = ctl_number(hook, "delivered") > ctl_number(before, "delivered");
        const bool bad = ctl_number(hook, "failures") > ctl_number(before, "failures");
        if (ok && !ctl->json)
            fprintf(ctl->out, "%s has answered well.\n", name);
        if (bad && !ok)
            (void)err_set(err, ERR_REFUSED, "%s: %s", name, ctl_text(hook, "trouble"));
        const int printed = (ok || bad) && ctl->json ? ctl_print_json(ctl, hook, err) : EXIT_OK;
        json_decref(hook);
        if (ok || bad)
            return printed != EXIT_OK ? printed : ok ? EXIT_OK : EXIT_NO;
        (void)nanosleep(&look, NULL);
    }
    (void)err_set(err, ERR_TIMEOUT, "%s has not answered yet; see musterctl webhook list", name);
    return exit_code_of(err);
}

static bool order_test(struct ctl *ctl, const char *name, struct err *err)
{
    char path[120];
    json_t *reply, *nothing = json_object();
    (void)snprintf(path, sizeof path, "/api/v1/webhooks/%s/test", name);
    bool ok = client_post(ctl->client, path, nothing, &reply, err);
    json_decref(nothing);
    if (ok)
        json_decref(reply);
    return ok;
}

static int test_webhook(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    json_t *before;
    int64_t limit_ms;
    const char *name = args->arguments[0];
    if (!check_name(name, err) || !ctl_duration(ctl_arg(args, "--timeout", "30s"), &limit_ms, err))
        return EXIT_USAGE;
    if (!find_webhook(ctl, name, &before, err))
        return exit_code_of(err);
    int code = order_test(ctl, name, err) ? wait_for_it(ctl, name, before, limit_ms, err)
                                          : exit_code_of(err);
    json_decref(before);
    return code;
}

static const struct ctl_option test_options[] = {
    {.name = "--timeout", .value = "DURATION", .help = "wait so long for the answer [30s]"},
    {0},
};

const struct ctl_command ctl_webhook_test = {
    .words = "webhook test",
    .arguments = "NAME",
    .summary = "Send a webhook a request without events now, and see what it answers.",
    .options = test_options,
    .argument_count = 1,
    .run = test_webhook,
};
