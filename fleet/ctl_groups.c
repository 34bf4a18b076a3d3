/* SPDX-License-Identifier: Apache-2.0 */
/* Labels, groups, stores and regions. */
#include "fleet/ctl_choose.h"
#include "fleet/ctl_place.h"
#include "fleet/ctl_table.h"

#include <string.h>

static int post(struct ctl *ctl, const char *path, const json_t *request, const char *changed,
                struct err *err)
{
    json_t *reply = NULL;
    if (!client_post(ctl->client, path, request, &reply, err))
        return exit_code_of(err);
    int code = EXIT_OK;
    if (ctl->json)
        code = ctl_print_json(ctl, reply, err);
    else if (json_is_true(json_object_get(reply, "changed")))
        fprintf(ctl->out, "%s\n", changed);
    else
        fputs("It was so before: nothing changed.\n", ctl->out);
    json_decref(reply);
    return code;
}

static json_t *packed(json_t *request, struct err *err)
{
    if (request == NULL)
        err_set(err, ERR_INVALID, "an argument is not UTF-8");
    return request;
}

/* ---- device label ---- */

/* "lane=express", or "lane-" to take it off. */
static bool read_label(const char *text, json_t *set, json_t *remove, struct err *err)
{
    const char *value = strchr(text, '=');
    size_t length = strlen(text);
    if (value != NULL && value != text)
        return json_object_setn_new(set, text, (size_t)(value - text), json_string(value + 1)) ==
                   0 ||
               err_set(err, ERR_INVALID, "a label is not UTF-8");
    if (value == NULL && length > 1 && text[length - 1] == '-')
        return json_array_append_new(remove, json_stringn(text, length - 1)) == 0 ||
               err_set(err, ERR_INVALID, "a label is not UTF-8");
    return err_set(err, ERR_INVALID, "\"%.60s\": expected NAME=VALUE, or NAME- to take it off",
                   text);
}

/* Who is not there is named by that; of several, how far it came. */
static void say_which(const json_t *ids, size_t at, bool dry_run, struct err *err)
{
    if (err->code != ERR_NOT_FOUND)
        (void)err_context(err, "%s", json_string_value(json_array_get(ids, at)));
    if (json_array_size(ids) > 1)
        (void)err_context(err, "device %zu of %zu%s", at + 1, json_array_size(ids),
                          dry_run || at == 0 ? "" : " (those before it are labelled)");
}

static int label_all(struct ctl *ctl, const json_t *ids, const json_t *request, struct err *err)
{
    size_t i;
    json_t *id, *replies = json_array();
    int code = EXIT_OK;
    json_array_foreach(ids, i, id)
    {
        char path[96];
        json_t *reply = NULL;
        (void)snprintf(path, sizeof path, "/api/v1/devices/%s/labels", json_string_value(id));
        if (!client_post(ctl->client, path, request, &reply, err)) {
            say_which(ids, i, json_is_true(json_object_get(request, "dry_run")), err);
            json_decref(replies);
            return exit_code_of(err);
        }
        json_array_append_new(replies, reply);
    }
    if (ctl->json) {
        json_t *shown = json_pack("{s:O}", "devices", replies);
        code = ctl_print_json(ctl, shown, err);
        json_decref(shown);
    } else {
        fprintf(ctl->out, "Devices labelled: %zu.\n", json_array_size(replies));
        if (json_is_true(json_object_get(request, "dry_run")))
            ctl_say_dry_run(ctl);
    }
    json_decref(replies);
    return code;
}

static int device_label(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    json_t *set = json_object(), *remove = json_array(), *ids = json_array();
    json_t *request = json_pack("{s:o, s:o, s:b}", "set", set, "remove", remove, "dry_run",
                                (int)ctl_is_dry_run(args));
    int code = EXIT_OK;
    for (size_t i = 0; code == EXIT_OK && i < args->argument_count; i++) {
        if (!read_label(args->arguments[i], set, remove, err))
            code = EXIT_USAGE;
    }
    if (code == EXIT_OK && !ctl_chooses(args)) {
        err_set(err, ERR_INVALID, "say which devices: --device, --selector or --group");
        code = EXIT_USAGE;
    }
    if (code == EXIT_OK)
        code = ctl_choose(ctl, args, ids, err);
    if (code == EXIT_OK)
        code = label_all(ctl, ids, request, err);
    json_decref(ids);
    json_decref(request);
    return code;
}

static const struct ctl_option label_options[] = {CTL_CHOOSE_DEVICES, CTL_DRY_RUN, {0}};

const struct ctl_command ctl_device_label = {
    .words = "device label",
    .arguments = "NAME=VALUE|NAME-...",
    .summary = "Give devices labels, or take them off; selectors choose by them.",
    .options = label_options,
    .argument_count = 1,
    .optional_count = CTL_ARGUMENTS_MAX,
    .run = device_label,
};

/* ---- group add, group remove, get groups ---- */

static int group_add(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    json_t *request = packed(
        json_pack("{s:s, s:s}", "name", args->arguments[0], "selector", args->arguments[1]), err);
    if (request == NULL)
        return EXIT_USAGE;
    int code = post(ctl, "/api/v1/groups", request, "The group is kept.", err);
    json_decref(request);
    return code;
}

static int group_remove(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    json_t *request = packed(json_pack("{s:s, s:b}", "name", args->arguments[0], "remove", 1), err);
    if (request == NULL)
        return EXIT_USAGE;
    int code = post(ctl, "/api/v1/groups", request, "The group is removed; no device is.", err);
    json_decref(request);
    return code;
}

const struct ctl_command ctl_group_add = {
    .words = "group add",
    .arguments = "NAME SELECTOR",
    .summary = "Give a selector a name, or another selector to that name.",
    .notes =
        "A selector is terms that all have to hold, set apart by commas:\n"
        "  merchant=m1,state=in_service   both\n"
        "  model=A920|A80,lane!=express   one of these models, and not that lane\n"
        "  region=north*,lane,!pilot      shell patterns; has the label; does not have it\n"
        "Known of every device are device, serial, model, state, merchant, store (s1 or m1/s1),\n"
        "region, acquirer, tid, mid, group and presence (online, offline, closed, missing,\n"
        "unknown); any other word is a label. Who is in a group is asked anew each time:\n"
        "--selector and --group choose by how things are now.",
    .argument_count = 2,
    .run = group_add,
};
const struct ctl_command ctl_group_remove = {
    .words = "group remove",
    .arguments = "NAME",
    .summary = "Forget a group's name.",
    .argument_count = 1,
    .run = group_remove,
};

static bool print_groups(struct ctl *ctl, const json_t *reply)
{
    size_t i;
    json_t *group;
    int64_t now_ms = clock_wall_ms(ctl->clock);
    struct ctl_table *table = ctl_table_new("GROUP|>DEVICES|SELECTOR|CHANGED|WHO|TROUBLE");
    json_array_foreach(json_object_get(reply, "groups"), i, group)
    {
        ctl_table_text(table, ctl_text(group, "name"));
        ctl_table_count(table, ctl_number(group, "devices"));
        ctl_table_text(table, ctl_text(group, "selector"));
        ctl_table_ago(table, ctl_number(group, "changed_ms"), now_ms);
        ctl_table_text(table, ctl_text(group, "who"));
        ctl_table_text(table, ctl_text(group, "trouble"));
    }
    return ctl_print_table(ctl, table, "No groups; make one with group add.");
}

static int get_groups(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    (void)args;
    return ctl_show(ctl, "/api/v1/groups", print_groups, err);
}

const struct ctl_command ctl_get_groups = {
    .words = "get groups",
    .arguments = "",
    .summary = "List the groups, and how many devices are in each now.",
    .has_csv = true,
    .run = get_groups,
};

/* ---- stores and regions ---- */

static int store_set(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    json_t *request = json_object();
    int code = EXIT_USAGE;
    if (ctl_arg(args, "--merchant", NULL) == NULL)
        err_set(err, ERR_INVALID, "say which store: --merchant and --store");
    else if (ctl_place(args, request, err))
        code = post(ctl, "/api/v1/stores", request, "The store is kept so.", err);
    json_decref(request);
    return code;
}

static const struct ctl_option store_options[] = {CTL_STORE, {0}};

const struct ctl_command ctl_store_set = {
    .words = "store set",
    .arguments = "--merchant ID --store ID",
    .summary = "Make or change a store: names, region, time zone, opening hours, address.",
    .notes =
        "Hours are a part of OpenStreetMap's opening_hours: rules set apart by ';', the later\n"
        "one says all of a day that two of them name; times may go past midnight.\n"
        "  Mo-Fr 09:00-18:00; Sa 10:00-12:00,13:00-16:00\n"
        "  09:00-22:00; Fr,Sa 09:00-02:00; 2027 Feb 05-2027 Feb 12 off; Dec 25 off\n"
        "What is not given stays as it is; \"\" takes it away.",
    .options = store_options,
    .run = store_set,
};

static bool print_stores(struct ctl *ctl, const json_t *reply)
{
    size_t i;
    json_t *row;
    struct ctl_table *table = ctl_table_new(
        "MERCHANT|MERCHANT NAME|STORE|STORE NAME|REGION|TIME ZONE|HOURS|OPEN NOW|ADDRESS|>DEVICES");
    json_array_foreach(json_object_get(reply, "stores"), i, row)
    {
        const json_t *merchant = json_object_get(row, "merchant");
        const json_t *store = json_object_get(row, "store");
        const char *hours = ctl_text(store, "opening_hours");
        ctl_table_text(table, ctl_text(merchant, "id"));
        ctl_table_text(table, ctl_text(merchant, "name"));
        ctl_table_text(table, ctl_text(store, "id"));
        ctl_table_text(table, ctl_text(store, "name"));
        ctl_table_text(table, ctl_text(store, "region"));
        ctl_table_text(table, ctl_text(row, "zone_in_force"));
        const json_t *open = json_object_get(row, "open_now");
        if (hours[0] != '\0')
            ctl_table_text(table, hours);
        else
            ctl_table_plain(table, "not known", "");
        ctl_table_text(table, json_is_true(open) ? "yes" : json_is_false(open) ? "no" : "-");
        ctl_table_text(table, ctl_text(store, "address"));
        ctl_table_count(table, ctl_number(row, "devices"));
    }
    return ctl_print_table(ctl, table, "No stores.");
}

static int get_stores(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    (void)args;
    return ctl_show(ctl, "/api/v1/stores", print_stores, err);
}

const struct ctl_command ctl_get_stores = {
    .words = "get stores",
    .arguments = "",
    .summary = "List stores with region, time zone and opening hours.",
    .has_csv = true,
    .run = get_stores,
};

static int region_set(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    json_t *request = packed(json_pack("{s:s, s:s}", "name", args->arguments[0], "time_zone",
                                       ctl_arg(args, "--time-zone", "")),
                             err);
    if (request == NULL)
        return EXIT_USAGE;
    int code = post(ctl, "/api/v1/regions", request, "The region is kept so.", err);
    json_decref(request);
    return code;
}

static const struct ctl_option region_options[] = {
    {.name = "--time-zone",
     .value = "NAME",
     .help = "of its stores that have none of their own, such as Asia/Shanghai",
     .required = true},
    {0},
};

const struct ctl_command ctl_region_set = {
    .words = "region set",
    .arguments = "NAME",
    .summary = "Make a region, or change its time zone.",
    .options = region_options,
    .argument_count = 1,
    .run = region_set,
};

static bool print_regions(struct ctl *ctl, const json_t *reply)
{
    size_t i;
    json_t *region;
    struct ctl_table *table = ctl_table_new("REGION|TIME ZONE");
    json_array_foreach(json_object_get(reply, "regions"), i, region)
    {
        ctl_table_text(table, ctl_text(region, "name"));
        const char *zone = ctl_text(region, "time_zone");
        ctl_table_plain(table, zone[0] != '\0' ? zone : "not said", zone);
    }
    return ctl_print_table(ctl, table, "No regions.");
}

static int get_regions(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    (void)args;
    return ctl_show(ctl, "/api/v1/regions", print_regions, err);
}

const struct ctl_command ctl_get_regions = {
    .words = "get regions",
    .arguments = "",
    .summary = "List regions and their time zones.",
    .has_csv = true,
    .run = get_regions,
};
