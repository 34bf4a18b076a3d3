/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"

#include "fleet/ctl_rates_csv.h"
#include "fleet/ctl_table.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* errors, rates and top: three ways to look at how often what happened. */
enum { PATH_CHARS = 2048, HEADINGS_CHARS = 200 };

/* Each is a dimension of the API under its own name. */
static const char *const dims[] = {"code",   "outcome",    "type",   "currency", "acquirer",
                                   "scheme", "entry",      "issuer", "model",    "firmware",
                                   "app",    "generation", "device", "store",    "merchant",
                                   "region", "tid"};
enum { DIMS = sizeof dims / sizeof *dims };
#define BY_HELP                                                                                    \
    "code, outcome, type, currency, acquirer, scheme, entry, issuer, model, firmware, app,"        \
    " generation, device, store, merchant, region or tid"

static bool check_by(const char *by, struct err *err)
{
    for (size_t i = 0; i < DIMS; i++)
        if (strcmp(by, dims[i]) == 0)
            return true;
    return err_set(err, ERR_INVALID, "--by %.40s: expected " BY_HELP, by);
}

/* ---- the question ---- */

static bool append(char *path, const char *name, const char *value, struct err *err)
{
    size_t length = strlen(path);
    int n = snprintf(path + length, PATH_CHARS - length, "&%s=", name);
    for (length += n > 0 ? (size_t)n : 0; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;
        if (length + 4 >= PATH_CHARS)
            return err_set(err, ERR_INVALID, "--%s: too long", name);
        if (isalnum(c) != 0 || strchr("-._~", c) != NULL)
            path[length++] = (char)c;
        else
            length += (size_t)snprintf(path + length, 4, "%%%02X", c);
        path[length] = '\0';
    }
    return true;
}

static bool append_time(char *path, const char *name, int64_t at_ms, struct err *err)
{
    char number[24];
    (void)snprintf(number, sizeof number, "%" PRId64, at_ms > 0 ? at_ms : 0);
    return append(path, name, number, err);
}

/* One end of the window: a moment, or so long ago. */
static bool read_end(struct ctl *ctl, const struct ctl_args *args, const char *moment,
                     const char *duration, const char *fallback, int64_t *ret_ms, struct err *err)
{
    const char *at = ctl_arg(args, moment, NULL), *ago = ctl_arg(args, duration, NULL);
    int64_t span_ms = 0;
    if (at != NULL && ago != NULL)
        return err_set(err, ERR_INVALID, "say one of %s and %s", moment, duration);
    if (at != NULL)
        return ctl_moment(moment, at, ret_ms, err);
    if (ago == NULL && fallback == NULL)
        return true;
    if (!ctl_duration(ago != NULL ? ago : fallback, &span_ms, err))
        return false;
    *ret_ms = clock_wall_ms(ctl->clock) - span_ms;
    return true;
}

static bool append_window(struct ctl *ctl, const struct ctl_args *args, char *path, struct err *err)
{
    int64_t from_ms = 0, to_ms = INT64_MAX;
    if (!read_end(ctl, args, "--from", "--since", "1h", &from_ms, err) ||
        !read_end(ctl, args, "--to", "--until", NULL, &to_ms, err))
        return false;
    if (to_ms <= from_ms)
        return err_set(err, ERR_INVALID,
                       "the window ends before it begins: nothing is between. It begins with --from"
                       " or --since [1h], and ends with --to or --until [now]");
    return append_time(path, "from_ms", from_ms, err) &&
           (to_ms == INT64_MAX || append_time(path, "to_ms", to_ms, err));
}

static bool append_devices(const struct ctl_args *args, char *path, struct err *err)
{
    const char *devices = ctl_arg(args, "--selector", NULL),
               *group = ctl_arg(args, "--group", NULL);
    char named[80];
    if (devices != NULL && group != NULL)
        return err_set(err, ERR_INVALID, "say one of --selector and --group");
    (void)snprintf(named, sizeof named, "group=%.64s", group != NULL ? group : "");
    if (group != NULL)
        devices = named;
    return devices == NULL || append(path, "devices", devices, err);
}

static bool make_path(struct ctl *ctl, const struct ctl_args *args, const char *what,
                      const char *by, char path[PATH_CHARS], struct err *err)
{
    (void)snprintf(path, PATH_CHARS, "/api/v1/%s?by=%s", what, by);
    if (!check_by(by, err) || !append_window(ctl, args, path, err))
        return false;
    const char *device = ctl_arg(args, "--device", NULL);
    if (device != NULL && !ctl_device_id(device, err))
        return false;
    for (size_t i = 0; i < DIMS; i++) {
        char option[32];
        (void)snprintf(option, sizeof option, "--%s", dims[i]);
        const char *value = ctl_arg(args, option, NULL);
        if (value != NULL && !append(path, dims[i], value, err))
            return false;
    }
    const char *limit = ctl_arg(args, "--limit", NULL), *zone = ctl_arg(args, "--zone", NULL);
    int64_t number = 0;
    if (limit != NULL && !ctl_arg_number(args, "--limit", 0, 1, 100000, &number, err))
        return false;
    return append_devices(args, path, err) && (zone == NULL || append(path, "zone", zone, err)) &&
           (limit == NULL || append(path, "limit", limit, err));
}

/* ---- the answer ---- */

static double real(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

static void add_percent(struct ctl_table *table, const json_t *share)
{
    if (json_is_object(share) && ctl_number(share, "results") > 0)
        ctl_table_format(table, "%.2f %%", 100 * real(share, "rate"));
    else
        ctl_table_text(table, "-");
}

/* "57.30 CNY" needs a table of currencies; ISO 4217's number and minor units say the same. No more
 * than fit are named, and then it says so. */
static void add_amounts(struct ctl_table *table, const json_t *row)
{
    char text[160] = "", one[CTL_TEXT_BYTES + 32];
    size_t i, length = 0;
    json_t *amount;
    const json_t *amounts = json_object_get(row, "amounts");
    json_array_foreach(amounts, i, amount)
    {
        char count[CTL_TEXT_BYTES];
        ctl_count_text(ctl_number(amount, "amount_minor"), count);
        int n = snprintf(one, sizeof one, "%s%s (%03" PRId64 ")", i > 0 ? ", " : "", count,
                         ctl_number(amount, "currency"));
        if (length + (size_t)n + 24 > sizeof text) {
            (void)snprintf(text + length, sizeof text - length, ", and %zu more",
                           json_array_size(amounts) - i);
            break;
        }
        strcpy(text + length, one);
        length += (size_t)n;
    }
    ctl_table_text(table, text[0] == '\0' ? "0" : text);
}

static void add_key(struct ctl_table *table, const json_t *row)
{
    const char *key = ctl_text(row, "key");
    ctl_table_text(table, key[0] == '\0' ? "(none)" : key);
}

static void add_interval(struct ctl_table *table, const json_t *row)
{
    ctl_table_format(table, "%.2f-%.2f %%", 100 * real(row, "low"), 100 * real(row, "high"));
}

static void add_error_row(struct ctl_table *table, const json_t *row)
{
    add_key(table, row);
    ctl_table_count(table, ctl_number(row, "count"));
    ctl_table_format(table, "%.2f %%", 100 * real(row, "share"));
    add_interval(table, row);
    add_percent(table, json_object_get(row, "before"));
    add_percent(table, json_object_get(row, "rest"));
    ctl_table_count(table, ctl_number(row, "declined"));
    add_amounts(table, row);
}

static void add_rate_row(struct ctl_table *table, const json_t *row)
{
    add_key(table, row);
    ctl_table_count(table, ctl_number(row, "results"));
    ctl_table_count(table, ctl_number(row, "errors"));
    ctl_table_format(table, "%.2f %%", 100 * real(row, "rate"));
    add_interval(table, row);
    add_percent(table, json_object_get(row, "before"));
    add_percent(table, json_object_get(row, "rest"));
    ctl_table_text(table, ctl_text(row, "verdict"));
    add_amounts(table, row);
}

static bool is_without_rest(const json_t *rows)
{
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row)
    {
        if (!json_is_null(json_object_get(row, "rest")))
            return false;
    }
    return json_array_size(rows) > 0;
}

static void print_week_ago(const json_t *reply, FILE *out, const char *nothing)
{
    static const int64_t week_ms = INT64_C(7) * 24 * 3600 * 1000, slack_ms = 3 * 60 * 1000;
    const json_t *ago = json_object_get(reply, "week_ago");
    const int64_t span_ms = ctl_number(reply, "to_ms") - ctl_number(reply, "from_ms");
    char from[32], to[32];
    if (json_is_object(ago)) {
        clock_format(ctl_number(ago, "from_ms"), from);
        clock_format(ctl_number(ago, "to_ms"), to);
        fprintf(out, "WEEK AGO is from %.16sZ to %.16sZ: the same hours by the clock of %s.\n",
                from, to, ctl_text(ago, "zone"));
    } else if (span_ms > week_ms + slack_ms) {
        fprintf(out, "WEEK AGO is %s: more than 7 days would overlap with the week before.\n",
                nothing);
    } else {
        fprintf(out,
                "WEEK AGO is %s: a week before there were no such hours by that clock (it was set "
                "forward), or they are not kept as these are.\n",
                nothing);
    }
}

/* What the figures are of. To people who read CSV as well. */
static void print_head(struct ctl *ctl, const json_t *reply)
{
    FILE *out = ctl_aside(ctl);
    char total[CTL_TEXT_BYTES], others[CTL_TEXT_BYTES], from[32], to[32];
    ctl_count_text(ctl_number(reply, "total"), total);
    ctl_count_text(ctl_number(reply, "not_in_service"), others);
    clock_format(ctl_number(reply, "from_ms"), from);
    clock_format(ctl_number(reply, "to_ms"), to);
    fprintf(out, "%s results from %.16sZ to %.16sZ; left out: %s of devices not in service.\n",
            total, from, to, others);
    if (ctl_number(reply, "kept_from_ms") > 0) {
        clock_format(ctl_number(reply, "kept_from_ms"), from);
        fprintf(out,
                "What was before %.16sZ is not kept for this question and is left out: see "
                "musterctl retention.\n",
                from);
    }
    if (ctl_number(reply, "unsure") > 0) {
        ctl_count_text(ctl_number(reply, "unsure"), others);
        fprintf(out, "Of %s nobody knows whether they are of that time: %s\n", others,
                "their terminals' clocks have not been compared with the fleet's.");
    }
    if (strstr(ctl_text(reply, "source"), "rows") != NULL)
        fprintf(out, "No sum knows all of that: read from %s in %" PRId64 " ms.\n",
                ctl_text(reply, "source"), ctl_number(reply, "took_ms"));
    print_week_ago(reply, out, ctl->csv != NULL ? "empty" : "-");
    if (is_without_rest(json_object_get(reply, "rows")))
        fprintf(out,
                "REST is %s: all results are counted here, and there are no others beside them.\n",
                ctl->csv != NULL ? "empty" : "-");
    if (ctl->csv == NULL)
        fputc('\n', out);
}

static int print_reply(struct ctl *ctl, const json_t *reply, bool rates, struct err *err)
{
    char headings[HEADINGS_CHARS], heading[CTL_TEXT_BYTES];
    size_t i;
    json_t *row;
    if (ctl->json)
        return ctl_print_json(ctl, reply, err);
    print_head(ctl, reply);
    if (ctl->csv != NULL)
        return ctl_rates_csv(ctl, reply, rates, err) ? EXIT_OK : exit_code_of(err);
    ctl_rates_heading(reply, heading);
    (void)snprintf(headings, sizeof headings,
                   rates ? "%s|>RESULTS|>ERRORS|>RATE|>95 %% BETWEEN|>WEEK AGO|>REST|BESIDE IT|"
                           ">AT RISK (MINOR UNITS)"
                         : "%s|>RESULTS|>SHARE|>95 %% BETWEEN|>WEEK AGO|>REST|>DECLINED|"
                           ">AT RISK (MINOR UNITS)",
                   heading);
    struct ctl_table *table = ctl_table_new(headings);
    json_array_foreach(json_object_get(reply, "rows"), i, row)
    {
        if (rates)
            add_rate_row(table, row);
        else
            add_error_row(table, row);
    }
    return ctl_print_table(ctl, table, "No results.") ? EXIT_OK : EXIT_SYSTEM;
}

static int ask(struct ctl *ctl, const struct ctl_args *args, const char *what, const char *by,
               struct err *err)
{
    char path[PATH_CHARS];
    json_t *reply;
    if (!make_path(ctl, args, what, ctl_arg(args, "--by", by), path, err))
        return EXIT_USAGE;
    if (!client_get(ctl->client, path, &reply, err))
        return exit_code_of(err);
    int code = print_reply(ctl, reply, strcmp(what, "errors") != 0, err);
    json_decref(reply);
    return code;
}

static int errors(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    return ask(ctl, args, "errors", "code", err);
}

static int rates(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    return ask(ctl, args, "rates", "acquirer", err);
}

static int top(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    return ask(ctl, args, "top", "device", err);
}

static const struct ctl_option options[] = {
    {.name = "--by", .value = "WHAT", .help = BY_HELP},
    {.name = "--since", .value = "DURATION", .help = "from so long ago: 15m, 1h, 7d [1h]"},
    {.name = "--until", .value = "DURATION", .help = "to so long ago [now]"},
    {.name = "--from", .value = "MOMENT", .help = "from then: 2026-11-23T14:05+08:00"},
    {.name = "--to", .value = "MOMENT", .help = "to then, which is not of it any more"},
    {.name = "--selector",
     .alias = "-l",
     .value = "SELECTOR",
     .help = "only devices that are so now: region=north,model=A9*; see group add --help"},
    {.name = "--group", .value = "NAME", .help = "only those that are in it now; see get groups"},
    {.name = "--zone",
     .value = "NAME",
     .help = "by whose clock a week ago is the same hour: Europe/Berlin [the stores']"},
    {.name = "--limit", .value = "N", .help = "no more than so many rows [all; top: 10]"},
    {.name = "--code", .value = "CODE", .help = "errors: only this code; rates, top: is the error"},
    {.name = "--outcome", .value = "WORD", .help = "the same by outcome [declined]"},
    {.name = "--type", .value = "WORD", .help = "only this type: sale, refund ..."},
    {.name = "--currency", .value = "NUMBER", .help = "only this currency (ISO 4217)"},
    {.name = "--acquirer", .value = "NUMBER", .help = "only this acquirer"},
    {.name = "--scheme", .value = "NUMBER", .help = "only this scheme"},
    {.name = "--entry", .value = "WORD", .help = "only what was read so: chip, contactless ..."},
    {.name = "--issuer", .value = "NAME", .help = "only this issuer's cards"},
    {.name = "--model", .value = "NAME", .help = "only this model"},
    {.name = "--firmware", .value = "VERSION", .help = "only this firmware"},
    {.name = "--app", .value = "VERSION", .help = "only this payment application"},
    {.name = "--generation", .value = "HEX", .help = "only this generation of documents"},
    {.name = "--device", .value = "ID", .help = "only this device"},
    {.name = "--store", .value = "MERCHANT/STORE", .help = "only what was sold in this store"},
    {.name = "--merchant", .value = "ID", .help = "only this merchant's"},
    {.name = "--region", .value = "NAME", .help = "only this region"},
    {.name = "--tid", .value = "TID", .help = "only this logical terminal, on whatever device"},
    {0},
};

static const char notes[] =
    "  WEEK AGO is the same window a week before by the clock on the wall: of --zone, or of the\n"
    "  store, merchant, region or devices that are chosen where these have one time zone, or else\n"
    "  of musterd's presence.time_zone. Which it was is said above the table.\n"
    "  REST is the rest of the fleet in this window. Of errors it is the share of the same among "
    "all\n"
    "  that was not chosen (by --code, --store ...): of all results there is no rest, and it is "
    "-.\n"
    "  The interval is Wilson's: with 95 % confidence the true share lies between. Only what was\n"
    "  made while its device was in service counts, and it counts for the store and the software "
    "of\n"
    "  that moment. Windows are widened to whole minutes, and where no minutes are kept to hours. "
    "A\n"
    "  token of a merchant or a region is told of what was sold there, and REST is the rest of\n"
    "  that.";

const struct ctl_command ctl_errors = {
    .words = "errors",
    .arguments = "",
    .summary = "Count results by code or any other dimension, and tell each one's share.",
    .notes = notes,
    .options = options,
    .has_csv = true,
    .run = errors,
};

const struct ctl_command ctl_rates = {
    .words = "rates",
    .arguments = "",
    .summary = "Tell how many of the results were errors, by any dimension.",
    .notes = notes,
    .options = options,
    .has_csv = true,
    .run = rates,
};

const struct ctl_command ctl_top = {
    .words = "top",
    .arguments = "",
    .summary = "Tell who stands out most from the rest of the fleet.",
    .notes = notes,
    .options = options,
    .has_csv = true,
    .run = top,
};
