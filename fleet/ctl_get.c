/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_choose.h"
#include "fleet/ctl_key.h"
#include "fleet/ctl_table.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

enum { POLL_MS = 200, NAMED_MAX = 5 };

/* ---- get devices ---- */

static bool is_true(const json_t *device, const char *name)
{
    return json_is_true(json_object_get(device, name));
}

/* Its own word counts only when it speaks of the newest manifest. */
static bool is_converged(const json_t *device)
{
    return is_true(device, "converged") &&
           ctl_number(device, "manifest_version") == ctl_number(device, "held_manifest_version") &&
           ctl_number(device, "manifest_epoch") == ctl_number(device, "held_manifest_epoch");
}

static bool is_online(const json_t *device)
{
    return is_true(device, "online");
}

static const struct condition {
    const char *name;
    bool (*holds)(const json_t *device);
} conditions[] = {{"converged", is_converged}, {"online", is_online}};

/* A device that was asked for and is not there is an error, not an empty answer. */
static bool check_found(const json_t *ids, const json_t *chosen, struct err *err)
{
    size_t i;
    json_t *one, *found = json_object();
    const char *missing = NULL;
    json_array_foreach(chosen, i, one)(void)
        json_object_set_new(found, ctl_text(one, "id"), json_true());
    json_array_foreach(ids, i, one)
    {
        if (missing == NULL && json_object_get(found, json_string_value(one)) == NULL)
            missing = json_string_value(one);
    }
    json_decref(found);
    return missing == NULL ||
           err_set(err, ERR_NOT_FOUND, "there is no device %s; see get devices", missing);
}

/* The devices of these ids, all if there are none: {"devices": [...]}. */
static bool fetch_devices(struct ctl *ctl, const json_t *ids, json_t **ret_shown, struct err *err)
{
    json_t *reply;
    if (!client_get(ctl->client, "/api/v1/devices", &reply, err))
        return false;
    json_t *chosen = ctl_keep_chosen(json_object_get(reply, "devices"), "id", ids);
    json_decref(reply);
    json_t *shown = json_pack("{s:o}", "devices", chosen);
    if (shown == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the list of devices");
    if (!check_found(ids, chosen, err)) {
        json_decref(shown);
        return false;
    }
    *ret_shown = shown;
    return true;
}

static int print_devices(struct ctl *ctl, const json_t *shown, struct err *err)
{
    size_t i;
    json_t *device;
    if (ctl->json)
        return ctl_print_json(ctl, shown, err);
    int64_t now_ms = clock_wall_ms(ctl->clock);
    struct ctl_table *table = ctl_table_new(
        "DEVICE|MODEL|STATE|MERCHANT|STORE|PRESENCE|SEEN|CONVERGED|>MANIFEST|>HELD|>GENERATION|"
        ">LACKS|>DRIFT|>RECORDS|>LINE KB");
    json_array_foreach(json_object_get(shown, "devices"), i, device)
    {
        static const char *const texts[] = {"id", "model", "state", "merchant", "store"};
        static const char *const numbers[] = {
            "manifest_version", "held_manifest_version", "generation", "lacking", "drift",
            "records"};
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
            ctl_table_text(table, ctl_text(device, texts[t]));
        ctl_table_text(table, ctl_text(device, "presence"));
        ctl_table_ago(table, ctl_number(device, "last_seen_ms"), now_ms);
        ctl_table_text(table, is_converged(device) ? "yes" : "no");
        for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++)
            ctl_add_number(table, device, numbers[n]);
        if (json_is_null(json_object_get(device, "traffic_bytes")))
            ctl_table_text(table, "-");
        else
            ctl_table_count(table, ctl_kilobytes(ctl_number(device, "traffic_bytes")));
    }
    return ctl_print_table(ctl, table, "No devices.") ? EXIT_OK : EXIT_SYSTEM;
}

/* Names the first few devices that `condition` does not hold for; returns how many there are. */
static size_t list_missing(const json_t *shown, const struct condition *condition, char *names,
                           size_t size)
{
    size_t i, count = 0, length = 0;
    json_t *device;
    names[0] = '\0';
    json_array_foreach(json_object_get(shown, "devices"), i, device)
    {
        if (condition->holds(device))
            continue;
        if (count++ < NAMED_MAX && length < size)
            length += (size_t)snprintf(
                names + length, size - length, "%s%s (manifest %" PRId64 ", holds %" PRId64 "%s)",
                count > 1 ? ", " : "", ctl_text(device, "id"),
                ctl_number(device, "manifest_version"), ctl_number(device, "held_manifest_version"),
                is_online(device) ? "" : ", offline");
    }
    return count;
}

/* Asks until the condition holds for all; EXIT_TIMEOUT says for which it does not. */
static int wait_for(struct ctl *ctl, const json_t *ids, const struct condition *condition,
                    int64_t timeout_ms, json_t **ret_shown, struct err *err)
{
    int64_t end_ms = clock_boot_ms(ctl->clock) + timeout_ms;
    for (;;) {
        char names[320];
        json_t *shown;
        if (!fetch_devices(ctl, ids, &shown, err))
            return exit_code_of(err);
        size_t all = json_array_size(json_object_get(shown, "devices"));
        size_t missing = list_missing(shown, condition, names, sizeof names);
        if (all > 0 && missing == 0) {
            *ret_shown = shown;
            return EXIT_OK;
        }
        json_decref(shown);
        if (clock_boot_ms(ctl->clock) >= end_ms) {
            err_set(err, ERR_TIMEOUT, "%zu of %zu devices are not %s within %" PRId64 " s: %s",
                    missing, all, condition->name, timeout_ms / 1000, names);
            return EXIT_TIMEOUT;
        }
        const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
        (void)nanosleep(&pause, NULL);
    }
}

static const struct condition *find_condition(const char *name, struct err *err)
{
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++)
        if (strcmp(conditions[i].name, name) == 0)
            return &conditions[i];
    err_set(err, ERR_INVALID, "--wait %.40s: expected converged or online", name);
    return NULL;
}

static int get_devices(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    const char *wanted = ctl_arg(args, "--wait", NULL);
    const struct condition *condition = wanted == NULL ? NULL : find_condition(wanted, err);
    int64_t timeout_ms;
    json_t *shown = NULL;
    if ((wanted != NULL && condition == NULL) ||
        !ctl_duration(ctl_arg(args, "--timeout", "60s"), &timeout_ms, err))
        return EXIT_USAGE;
    json_t *ids = json_array();
    int code = ctl_choose(ctl, args, ids, err);
    if (code == EXIT_OK && condition != NULL)
        code = wait_for(ctl, ids, condition, timeout_ms, &shown, err);
    else if (code == EXIT_OK && !fetch_devices(ctl, ids, &shown, err))
        code = exit_code_of(err);
    if (code == EXIT_OK)
        code = print_devices(ctl, shown, err);
    json_decref(ids);
    json_decref(shown);
    return code;
}

static const struct ctl_option device_options[] = {
    CTL_CHOOSE_DEVICES,
    {.name = "--wait",
     .value = "converged|online",
     .help = "return when all are so; exit code 5 when the time is over"},
    {.name = "--timeout", .value = "DURATION", .help = "how long to wait [60s]"},
    {0},
};

const struct ctl_command ctl_get_devices = {
    .words = "get devices",
    .arguments = "",
    .summary = "List the devices: who is there, and who holds what it should.",
    .options = device_options,
    .has_csv = true,
    .run = get_devices,
};

/* ---- get documents ---- */

static int print_documents(struct ctl *ctl, const json_t *reply, struct err *err)
{
    size_t i;
    json_t *document;
    if (ctl->json)
        return ctl_print_json(ctl, reply, err);
    int64_t now_ms = clock_wall_ms(ctl->clock);
    struct ctl_table *table =
        ctl_table_new("DOCUMENT|>VERSION|KIND|>BYTES|>SENT|>MINIMUM|PUBLISHED|SHA256|KEY");
    json_array_foreach(json_object_get(reply, "documents"), i, document)
    {
        ctl_table_text(table, ctl_text(document, "name"));
        ctl_table_count(table, ctl_number(document, "version"));
        ctl_table_text(table, ctl_text(document, "kind"));
        ctl_table_count(table, ctl_number(document, "length"));
        ctl_table_count(table, ctl_number(document, "blob_size"));
        ctl_table_count(table, ctl_number(document, "minimum_version"));
        ctl_table_ago(table, ctl_number(document, "published_ms"), now_ms);
        ctl_table_format(table, "%.16s", ctl_text(document, "sha256"));
        ctl_key_column(table, json_object_get(document, "key"));
    }
    return ctl_print_table(ctl, table, "No documents.") ? EXIT_OK : EXIT_SYSTEM;
}

static int get_documents(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    json_t *reply;
    (void)args;
    if (!client_get(ctl->client, "/api/v1/documents", &reply, err))
        return exit_code_of(err);
    int code = print_documents(ctl, reply, err);
    json_decref(reply);
    return code;
}

const struct ctl_command ctl_get_documents = {
    .words = "get documents",
    .arguments = "",
    .summary = "List the documents with all their versions, newest first.",
    .has_csv = true,
    .run = get_documents,
};
