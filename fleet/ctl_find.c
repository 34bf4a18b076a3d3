/* SPDX-License-Identifier: Apache-2.0 */
/* A shop is on the phone: which sale was it, and how is its terminal now? */
#include "fleet/ctl.h"
#include "fleet/ctl_find_csv.h"
#include "fleet/ctl_table.h"

#include <ctype.h>
#include <curl/curl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_CHARS = 4096, AMOUNT_DIGITS = 12 };

/* ---- the question ---- */

static bool append(char path[PATH_CHARS], const char *name, const char *value, struct err *err)
{
    size_t length = strlen(path);
    char *escaped = curl_easy_escape(NULL, value, 0);
    if (escaped == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the question");
    int n = snprintf(path + length, PATH_CHARS - length, "&%s=%s", name, escaped);
    curl_free(escaped);
    return n < (int)(PATH_CHARS - length) || err_set(err, ERR_INVALID, "--%s: too long", name);
}

static bool append_number(char path[PATH_CHARS], const char *name, int64_t number, struct err *err)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, number);
    return append(path, name, text, err);
}

/* As the slip has it, with all decimals of its currency: "45.00" is 4500 minor units. */
static bool append_amount(const char *text, char path[PATH_CHARS], struct err *err)
{
    char digits[AMOUNT_DIGITS + 1];
    size_t length = 0, points = 0;
    for (const char *c = text; *c != '\0'; c++) {
        points += *c == '.';
        if ((*c != '.' && isdigit((unsigned char)*c) == 0) || points > 1 ||
            (*c != '.' && length == AMOUNT_DIGITS))
            return err_set(err, ERR_INVALID,
                           "--amount %.40s: expected it as the slip has it, such as 45.00", text);
        if (*c != '.')
            digits[length++] = *c;
    }
    digits[length] = '\0';
    return length > 0 ? append(path, "amount_minor", digits, err)
                      : err_set(err, ERR_INVALID, "--amount: expected it as the slip has it");
}

static bool append_window(struct ctl *ctl, const struct ctl_args *args, char path[PATH_CHARS],
                          struct err *err)
{
    const char *at = ctl_arg(args, "--at", NULL), *until = ctl_arg(args, "--until", NULL);
    const char *within = ctl_arg(args, "--within", NULL), *since = ctl_arg(args, "--since", NULL);
    int64_t at_ms = 0, span_ms = 0, until_ms = 0, now_ms = clock_wall_ms(ctl->clock);
    if (at != NULL && (since != NULL || until != NULL))
        return err_set(err, ERR_INVALID, "--at stands alone: no --since and no --until");
    if (at == NULL && within != NULL)
        return err_set(err, ERR_INVALID, "--within goes with --at");
    if (at != NULL)
        return ctl_moment("--at", at, &at_ms, err) &&
               ctl_duration(within != NULL ? within : "30m", &span_ms, err) &&
               append_number(path, "from_ms", at_ms > span_ms ? at_ms - span_ms : 0, err) &&
               append_number(path, "to_ms", at_ms + span_ms > 0 ? at_ms + span_ms + 1 : 1, err);
    if (!ctl_duration(since != NULL ? since : "7d", &span_ms, err) ||
        (until != NULL && !ctl_duration(until, &until_ms, err)))
        return false;
    if (until_ms >= span_ms)
        return err_set(err, ERR_INVALID, "--until %s ago is not after --since: nothing is between",
                       until);
    return append_number(path, "from_ms", now_ms > span_ms ? now_ms - span_ms : 0, err) &&
           (until == NULL || append_number(path, "to_ms", now_ms - until_ms, err));
}

static bool make_path(struct ctl *ctl, const struct ctl_args *args, char path[PATH_CHARS],
                      struct err *err)
{
    static const struct {
        const char *option, *name;
        bool asks; /* alone, too */
    } texts[] = {
        {"--tid", "tid", true},
        {"--serial", "serial", true},
        {"--device", "device", true},
        {"--store", "store", true},
        {"--merchant", "merchant", true},
        {"--rrn", "rrn", true},
        {"--auth", "auth_code", true},
        {"--stan", "stan", true},
        {"--code", "code", true},
        {"--outcome", "outcome", true},
        {"--currency", "currency", false},
        {"--limit", "limit", false},
        {"--before", "before", false},
    };
    const char *device = ctl_arg(args, "--device", NULL);
    const char *amount = ctl_arg(args, "--amount", NULL);
    bool asks = amount != NULL;
    (void)snprintf(path, PATH_CHARS, "/api/v1/find?");
    if (device != NULL && !ctl_device_id(device, err))
        return false;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *value = ctl_arg(args, texts[i].option, NULL);
        if (value != NULL && !append(path, texts[i].name, value, err))
            return false;
        asks = asks || (value != NULL && texts[i].asks);
    }
    if (!asks)
        return err_set(err, ERR_INVALID,
                       "say what to find: --tid, --serial, --device, --store, --merchant, --rrn,"
                       " --auth, --stan, --amount, --code or --outcome");
    if ((amount != NULL && !append_amount(amount, path, err)) ||
        !append_window(ctl, args, path, err))
        return false;
    char *first = strchr(path, '&');
    memmove(first, first + 1, strlen(first));
    return true;
}

/* ---- the answer ---- */

static void add_when(struct ctl_table *table, const json_t *result)
{
    char when[32], bound[CTL_TEXT_BYTES];
    int64_t bound_ms = ctl_number(result, "bound_ms");
    clock_format(ctl_number(result, "at_ms"), when);
    ctl_span_text(bound_ms, bound);
    if (bound_ms < 0)
        ctl_table_format(table, "%.19sZ, unsure", when);
    else
        ctl_table_format(table, "%.19sZ +-%s", when, bound);
}

/* What a host's code means is its acquirer's to say, in a code profile. What the terminal says
 * itself is EMV's (Book 4, authorisation response code). */
static void add_code(struct ctl_table *table, const json_t *result)
{
    static const struct {
        const char *word, *text;
    } codes[] = {{"Y1", "approved offline"},
                 {"Z1", "declined offline"},
                 {"Y3", "host not reached, approved offline"},
                 {"Z3", "host not reached, declined offline"}},
      sources[] = {{"host", "from the host"},
                   {"offline", "the terminal's own"},
                   {"timeout", "no answer in time"},
                   {"reversal", "of a reversal"}};
    const char *code = ctl_text(result, "code"), *text = NULL;
    bool is_host = strcmp(ctl_text(result, "code_source"), "host") == 0;
    for (size_t i = 0; !is_host && i < sizeof codes / sizeof *codes; i++)
        if (strcmp(code, codes[i].word) == 0)
            text = codes[i].text;
    for (size_t i = 0; text == NULL && i < sizeof sources / sizeof *sources; i++)
        if (strcmp(ctl_text(result, "code_source"), sources[i].word) == 0)
            text = sources[i].text;
    const char *meaning = ctl_text(result, "code_meaning");
    if (text == NULL)
        ctl_table_text(table, code);
    else if (is_host && meaning[0] != '\0')
        ctl_table_format(table, "%s, from the host: %s", code, meaning);
    else
        ctl_table_format(table, "%s%s%s", code, code[0] != '\0' ? ", " : "", text);
}

static void add_result(struct ctl_table *table, const json_t *result)
{
    add_when(table, result);
    ctl_table_text(table, ctl_text(result, "device"));
    ctl_table_format(table, "%s/%s %s", ctl_text(result, "merchant"), ctl_text(result, "store"),
                     ctl_text(result, "store_name"));
    ctl_table_text(table, ctl_text(result, "tid"));
    ctl_table_text(table, ctl_text(result, "type"));
    ctl_table_count(table, ctl_number(result, "amount_minor"));
    ctl_table_format(table, "%03d", (int)ctl_number(result, "currency"));
    ctl_table_format(
        table, "%s%s", ctl_text(result, "outcome"),
        json_is_true(json_object_get(result, "reversal_pending")) ? ", reversal pending" : "");
    add_code(table, result);
    ctl_table_text(table, ctl_text(result, "rrn"));
    ctl_table_text(table, ctl_text(result, "auth_code"));
    ctl_add_stan(table, result);
}

static bool print_results(struct ctl *ctl, const json_t *reply)
{
    size_t i;
    json_t *result;
    if (ctl->csv != NULL)
        return ctl_find_csv(ctl, reply);
    struct ctl_table *table = ctl_table_new(
        "WHEN|DEVICE|STORE|TID|TYPE|>AMOUNT (MINOR UNITS)|CURRENCY|OUTCOME|CODE|RRN|AUTH|>STAN");
    json_array_foreach(json_object_get(reply, "results"), i, result) add_result(table, result);
    return ctl_print_table(ctl, table, "Nothing matches.");
}

static bool print_devices(struct ctl *ctl, const json_t *reply)
{
    size_t i;
    json_t *device;
    const json_t *devices = json_object_get(reply, "devices");
    if (ctl->csv != NULL || json_array_size(devices) == 0)
        return true;
    fputs("\nIts terminal now:\n", ctl->out);
    struct ctl_table *table =
        ctl_table_new("DEVICE|SERIAL|MODEL|STATE|STORE|PRESENCE|SEEN|CONVERGED|>DRIFT|>LACKS");
    json_array_foreach(devices, i, device)
    {
        ctl_table_text(table, ctl_text(device, "id"));
        ctl_table_text(table, ctl_text(device, "serial"));
        ctl_table_text(table, ctl_text(device, "model"));
        ctl_table_text(table, ctl_text(device, "state"));
        ctl_table_format(table, "%s/%s", ctl_text(device, "merchant"), ctl_text(device, "store"));
        ctl_table_text(table, ctl_text(device, "presence"));
        ctl_table_ago(table, ctl_number(device, "last_seen_ms"), clock_wall_ms(ctl->clock));
        ctl_table_text(table, json_is_true(json_object_get(device, "converged")) ? "yes" : "no");
        ctl_table_count(table, ctl_number(device, "drift"));
        ctl_table_count(table, ctl_number(device, "lacking"));
    }
    return ctl_print_table(ctl, table, "");
}

/* Where it looked, and what to do when that is not all. To people who read CSV as well. */
static void print_end(struct ctl *ctl, const json_t *reply)
{
    FILE *out = ctl_aside(ctl);
    char from[32], to[32], looked[32];
    const char *next = ctl_text(reply, "next");
    clock_format(ctl_number(reply, "from_ms"), from);
    clock_format(ctl_number(reply, "to_ms"), to);
    clock_format(ctl_number(reply, "looked_from_ms"), looked);
    if (ctl->csv == NULL)
        fputc('\n', out);
    fprintf(out, "Looked for from %.16sZ to %.16sZ.\n", from, to);
    if (ctl_number(reply, "kept_from_ms") > 0) {
        clock_format(ctl_number(reply, "kept_from_ms"), from);
        fprintf(out,
                "From before %.16sZ only results with an open matter are kept: see musterctl "
                "retention.\n",
                from);
    }
    if (json_is_true(json_object_get(reply, "more")))
        fprintf(out, "More match than --limit: say more of it, or go on with --before %s.\n", next);
    else if (next[0] != '\0')
        fprintf(out,
                "Looked back to %.16sZ in %" PRId64 " s, which is not all: say the device, TID,"
                " store or time, or go on with --before %s.\n",
                looked, ctl_number(reply, "took_ms") / 1000, next);
}

static bool print_found(struct ctl *ctl, const json_t *reply)
{
    bool ok = print_results(ctl, reply);
    ok = print_devices(ctl, reply) && ok;
    print_end(ctl, reply);
    return ok;
}

static int find(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    char path[PATH_CHARS];
    if (!make_path(ctl, args, path, err))
        return EXIT_USAGE;
    return ctl_show(ctl, path, print_found, err);
}

static const struct ctl_option options[] = {
    {.name = "--tid", .value = "TID", .help = "of this logical terminal, on whatever device"},
    {.name = "--serial", .value = "NUMBER", .help = "of the device with this serial number"},
    {.name = "--device", .value = "ID", .help = "of this device"},
    {.name = "--store", .value = "MERCHANT/STORE", .help = "made in this store"},
    {.name = "--merchant", .value = "ID", .help = "made for this merchant"},
    {.name = "--rrn", .value = "RRN", .help = "with this retrieval reference number"},
    {.name = "--auth", .value = "CODE", .help = "with this authorisation code"},
    {.name = "--stan", .value = "NUMBER", .help = "with this trace number"},
    {.name = "--amount", .value = "45.00", .help = "as the slip has it, with all its decimals"},
    {.name = "--currency", .value = "NUMBER", .help = "in this currency (ISO 4217)"},
    {.name = "--code", .value = "CODE", .help = "with this code"},
    {.name = "--outcome", .value = "WORD", .help = "that ended so: approved, declined ..."},
    {.name = "--at", .value = "MOMENT", .help = "about then: 2026-11-23T14:05+08:00"},
    {.name = "--within", .value = "DURATION", .help = "so long before or after --at [30m]"},
    {.name = "--since", .value = "DURATION", .help = "from so long ago [7d]"},
    {.name = "--until", .value = "DURATION", .help = "to so long ago [now]"},
    {.name = "--limit", .value = "N", .help = "no more than so many, 500 at most [20]"},
    {.name = "--before", .value = "PLACE", .help = "go on where the last answer ended"},
    {0},
};

const struct ctl_command ctl_find = {
    .words = "find",
    .arguments = "",
    .summary = "Find single results: a shop is on the phone.",
    .notes = "  Newest first. All that is said must match. Where the device, TID, serial number, "
             "store or\n"
             "  merchant is said, the answer comes at once; without one, a narrow --at or --since "
             "helps:\n"
             "  after 5 seconds it tells how far it has looked. Store, merchant and TID are those "
             "of the\n"
             "  moment of the sale. +- tells how well the moment is known. What a host's code "
             "means, the\n"
             "  code profile says that the device is assigned.",
    .options = options,
    .has_csv = true,
    .run = find,
};
