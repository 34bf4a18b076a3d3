/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"
#include "fleet/ctl_table.h"

#include <inttypes.h>
#include <string.h>

/* ---- merchant erase ---- */

/* Without --confirm it is only looked at. */
static json_t *order_of(const struct ctl_args *args)
{
    const char *confirm = ctl_arg(args, "--confirm", NULL);
    const bool dry_run = confirm == NULL || ctl_is_dry_run(args);
    json_t *order = json_pack("{s:s, s:b, s:b}", "merchant", args->arguments[0], "force",
                              ctl_arg(args, "--force", NULL) != NULL, "dry_run", (int)dry_run);
    if (order != NULL && confirm != NULL)
        (void)json_object_set_new(order, "confirm", json_string(confirm));
    return order;
}

static void print_look(struct ctl *ctl, const json_t *reply, const char *merchant)
{
    fprintf(ctl->out,
            "There %s %" PRId64 " results, %" PRId64 " events and %" PRId64
            " texts (labels and authors too) to erase.\nNothing is erased yet. "
            "Nothing brings them back: to erase it all, --confirm %s.\n",
            json_is_true(json_object_get(reply, "in_part")) ? "are at least" : "are",
            ctl_number(reply, "results"), ctl_number(reply, "events"), ctl_number(reply, "texts"),
            merchant);
    if (json_is_true(json_object_get(reply, "in_part")))
        fprintf(ctl->out,
                "There was no time to count all. How many results: musterctl errors --by outcome "
                "--merchant %s --since 10000d.\n",
                merchant);
    size_t i;
    json_t *what;
    json_array_foreach(json_object_get(reply, "in_the_way"), i, what)
        fprintf(ctl->out, "In the way: %s.\n", json_string_value(what));
}

static void print_begun(struct ctl *ctl, const json_t *reply, const char *merchant)
{
    const int64_t erasure = ctl_number(reply, "erasure");
    fprintf(ctl->out,
            "%s: %" PRId64 " stores, %" PRId64 " devices that stand there, %" PRId64
            " logical terminals, %" PRId64 " tokens.\n",
            merchant, ctl_number(reply, "stores"), ctl_number(reply, "devices"),
            ctl_number(reply, "terminals"), ctl_number(reply, "tokens"));
    if (erasure == 0)
        print_look(ctl, reply, merchant);
    else
        fprintf(ctl->out,
                "Erasure %" PRId64 " has begun; how far it is: musterctl get erasures. Logs, "
                "backups and what webhooks were told are yours to see to.\n",
                erasure);
}

static int erase(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    json_t *reply, *order = order_of(args);
    const char *confirm = ctl_arg(args, "--confirm", NULL);
    if (order == NULL) {
        (void)err_set(err, ERR_INVALID, "MERCHANT is not UTF-8");
        return EXIT_USAGE;
    }
    if (confirm != NULL && strcmp(confirm, args->arguments[0]) != 0) {
        json_decref(order);
        (void)err_set(err, ERR_INVALID, "--confirm %.40s: expected %.40s once more", confirm,
                      args->arguments[0]);
        return EXIT_USAGE;
    }
    bool ok = client_post(ctl->client, "/api/v1/erasures", order, &reply, err);
    json_decref(order);
    if (!ok)
        return exit_code_of(err);
    int code = ctl->json ? ctl_print_json(ctl, reply, err) : EXIT_OK;
    if (!ctl->json)
        print_begun(ctl, reply, args->arguments[0]);
    json_decref(reply);
    return code;
}

static const struct ctl_option erase_options[] = {
    {.name = "--confirm", .value = "MERCHANT", .help = "its id once more: erase it"},
    {.name = "--force", .help = "devices that stand there become spares without a store"},
    CTL_DRY_RUN,
    {0},
};

const struct ctl_command ctl_merchant_erase = {
    .words = "merchant erase",
    .arguments = "MERCHANT",
    .summary = "Erase a merchant: names, stores, results, and every text that names it.",
    .notes =
        "Without --confirm it tells what there is and what stands in the way, and erases\n"
        "nothing. Where a device stands\n"
        "there that is not retired, or a group or a webhook names it, nothing begins. It goes\n"
        "on in the background, also after a restart, until the bytes are gone from the file.\n"
        "What its terminals still hold and send later is kept, as nobody's.",
    .options = erase_options,
    .argument_count = 1,
    .run = erase,
};

/* ---- get erasures ---- */

static bool print_erasures(struct ctl *ctl, const json_t *reply)
{
    size_t i;
    json_t *erasure;
    const int64_t now_ms = clock_wall_ms(ctl->clock);
    const char *trouble = ctl_text(reply, "trouble");
    struct ctl_table *table =
        ctl_table_new(">ERASURE|WHO|BEGUN|DONE|>STORES|>DEVICES|>TERMINALS|>TOKENS|>RESULTS|"
                      ">EVENTS|>TEXTS");
    json_array_foreach(json_object_get(reply, "erasures"), i, erasure)
    {
        static const char *const counts[] = {"stores",  "devices", "terminals", "tokens",
                                             "results", "events",  "texts"};
        ctl_table_format(table, "%" PRId64, ctl_number(erasure, "erasure"));
        ctl_table_text(table, ctl_text(erasure, "who"));
        ctl_table_ago(table, ctl_number(erasure, "begun_ms"), now_ms);
        if (ctl_number(erasure, "done_ms") > 0)
            ctl_table_ago(table, ctl_number(erasure, "done_ms"), now_ms);
        else
            ctl_table_format(table, "not yet: %s", ctl_text(erasure, "step"));
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
            ctl_table_count(table, ctl_number(erasure, counts[c]));
    }
    bool ok = ctl_print_table(ctl, table, "No erasures.");
    if (trouble[0] != '\0')
        fprintf(ctl_aside(ctl), "\nIt gets no further: %s\n", trouble);
    return ok;
}

static int list(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    (void)args;
    return ctl_show(ctl, "/api/v1/erasures", print_erasures, err);
}

const struct ctl_command ctl_get_erasures = {
    .words = "get erasures",
    .arguments = "",
    .summary = "List erasures of merchants: by whom, when, how much went.",
    .has_csv = true,
    .run = list,
};
