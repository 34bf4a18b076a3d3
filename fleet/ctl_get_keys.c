/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_choose.h"
#include "fleet/ctl_table.h"

#include <inttypes.h>
#include <string.h>

/* As it was placed, or nobody's but the application's. */
static bool is_amiss(const json_t *slot)
{
    const char *state = ctl_text(slot, "state");
    return ctl_text(slot, "why")[0] != '\0' || strcmp(state, "differs") == 0 ||
           strcmp(state, "stale") == 0;
}

static json_t *choose(const struct ctl_args *args, const json_t *ids, const json_t *reply)
{
    size_t i;
    json_t *slot, *amiss = json_array();
    json_t *chosen = ctl_keep_chosen(json_object_get(reply, "slots"), "device", ids);
    bool all = ctl_arg(args, "--amiss", NULL) == NULL;
    json_array_foreach(chosen, i, slot)
    {
        if (all || is_amiss(slot))
            (void)json_array_append(amiss, slot);
    }
    json_decref(chosen);
    return json_pack("{s:o, s:O}", "slots", amiss, "silent", json_object_get(reply, "silent"));
}

static int print_keys(struct ctl *ctl, const json_t *shown)
{
    size_t i;
    json_t *slot;
    const int64_t now_ms = clock_wall_ms(ctl->clock), silent = ctl_number(shown, "silent");
    struct ctl_table *table =
        ctl_table_new("DEVICE|KEY SLOT|USAGE|ALGORITHM|>VERSION|KCV|STATE|TOLD|WHY");
    json_array_foreach(json_object_get(shown, "slots"), i, slot)
    {
        static const char *const before[] = {"device", "slot", "usage", "algorithm"};
        for (size_t t = 0; t < sizeof before / sizeof *before; t++)
            ctl_table_text(table, ctl_text(slot, before[t]));
        if (ctl_number(slot, "key_version") != 0)
            ctl_table_count(table, ctl_number(slot, "key_version"));
        else
            ctl_table_text(table, "-");
        ctl_table_text(table, ctl_text(slot, "kcv"));
        ctl_table_text(table, ctl_text(slot, "state"));
        ctl_table_ago(table, ctl_number(slot, "received_ms"), now_ms);
        ctl_table_text(table, ctl_text(slot, "why"));
    }
    bool ok = ctl_print_table(ctl, table, "No key slots.");
    if (silent > 0)
        fprintf(ctl->out, "%" PRId64 " devices in service have told nothing of their key slots.\n",
                silent);
    return ok ? EXIT_OK : EXIT_SYSTEM;
}

static int get_keys(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    json_t *reply = NULL, *ids = json_array();
    int chosen = ctl_choose(ctl, args, ids, err);
    if (chosen == EXIT_OK && !client_get(ctl->client, "/api/v1/keys", &reply, err))
        chosen = exit_code_of(err);
    json_t *shown = chosen == EXIT_OK ? choose(args, ids, reply) : NULL;
    json_decref(reply);
    json_decref(ids);
    if (chosen != EXIT_OK)
        return chosen;
    if (shown == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory for the key slots");
        return exit_code_of(err);
    }
    int code = ctl->json ? ctl_print_json(ctl, shown, err) : print_keys(ctl, shown);
    json_decref(shown);
    return code;
}

static const struct ctl_option options[] = {
    CTL_CHOOSE_DEVICES,
    {.name = "--amiss", .help = "only what is not in its slot, and own keys that are stale"},
    {0},
};

const struct ctl_command ctl_get_keys = {
    .words = "get keys",
    .arguments = "",
    .summary = "List the key slots of all devices: version, check value, and what is amiss.",
    .options = options,
    .has_csv = true,
    .run = get_keys,
};
