/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_place.h"

#include "fleet/ctl_table.h"

#include <stdlib.h>
#include <string.h>

json_t *ctl_terminal(const char *text, struct err *err)
{
    char copy[256];
    char *rest = copy, *end;
    if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy) {
        err_set(err, ERR_INVALID, "terminal %.40s...: too long", text);
        return NULL;
    }
    const char *index = strsep(&rest, ":"), *acquirer = strsep(&rest, ":");
    const char *tid = strsep(&rest, ":"), *mid = strsep(&rest, ":");
    unsigned long number = strtoul(index, &end, 10);
    bool whole = mid != NULL && rest == NULL && end != index && *end == '\0' && number <= 255 &&
                 *acquirer != '\0' && *tid != '\0' && *mid != '\0';
    if (!whole) {
        err_set(err, ERR_INVALID, "terminal %s: expected INDEX:ACQUIRER:TID:MID, index 0 to 255",
                text);
        return NULL;
    }
    json_t *terminal = json_pack("{s:I, s:s, s:s, s:s}", "index", (json_int_t)number, "acquirer",
                                 acquirer, "tid", tid, "mid", mid);
    if (terminal == NULL)
        err_set(err, ERR_INVALID, "terminal: the text is not UTF-8");
    return terminal;
}

bool ctl_terminals(const struct ctl_args *args, json_t *request, struct err *err)
{
    size_t at = 0;
    if (ctl_arg(args, "--terminal", NULL) == NULL)
        return true;
    json_t *list = json_array();
    json_object_set_new(request, "terminals", list);
    for (const char *text; (text = ctl_arg_next(args, "--terminal", &at)) != NULL;) {
        json_t *terminal = ctl_terminal(text, err);
        if (terminal == NULL)
            return err_context(err, "--terminal");
        json_array_append_new(list, terminal);
    }
    return true;
}

static bool put(const struct ctl_args *args, const char *option, json_t *object, const char *name,
                struct err *err)
{
    const char *text = ctl_arg(args, option, NULL);
    return text == NULL || json_object_set_new(object, name, json_string(text)) == 0 ||
           err_set(err, ERR_INVALID, "%s: not UTF-8", option);
}

bool ctl_place(const struct ctl_args *args, json_t *request, struct err *err)
{
    static const struct {
        const char *option, *name;
    } fields[] = {
        {"--store", "id"},
        {"--store-name", "name"},
        {"--region", "region"},
        {"--time-zone", "time_zone"},
        {"--opening-hours", "opening_hours"},
        {"--address", "address"},
    };
    enum { FIELDS = sizeof fields / sizeof *fields };
    const char *merchant = ctl_arg(args, "--merchant", NULL),
               *store = ctl_arg(args, "--store", NULL);
    if (merchant == NULL && store == NULL) {
        for (size_t i = 0; i < FIELDS; i++) {
            if (ctl_arg(args, fields[i].option, NULL) != NULL)
                return err_set(err, ERR_INVALID, "%s: of which store? Say --merchant and --store",
                               fields[i].option);
        }
        return true;
    }
    if (merchant == NULL || store == NULL)
        return err_set(err, ERR_INVALID,
                       "a store is one of a merchant's: say both --merchant and --store");
    json_t *merchant_json = json_object(), *store_json = json_object();
    json_object_set_new(request, "merchant", merchant_json);
    json_object_set_new(request, "store", store_json);
    if (!put(args, "--merchant", merchant_json, "id", err) ||
        !put(args, "--merchant-name", merchant_json, "name", err))
        return false;
    for (size_t i = 0; i < FIELDS; i++) {
        if (!put(args, fields[i].option, store_json, fields[i].name, err))
            return false;
    }
    return true;
}

static const char *words_of(const char *act)
{
    if (strcmp(act, "bind") == 0)
        return "register this serial number";
    return strcmp(act, "unbind") == 0 ? "release this serial number" : "register its new address";
}

bool ctl_print_duties(struct ctl *ctl, const json_t *duties, const char *first)
{
    size_t i;
    json_t *duty;
    if (json_array_size(duties) == 0 && ctl->csv == NULL)
        return true;
    fprintf(ctl->out, "\n%s\n", first);
    struct ctl_table *table = ctl_table_new(">DUTY|TELL|TO|DEVICE|MODEL|SERIAL|TID|MID|AT|DONE");
    json_array_foreach(duties, i, duty)
    {
        ctl_table_count(table, ctl_number(duty, "id"));
        ctl_table_text(table, ctl_text(duty, "acquirer"));
        ctl_table_text(table, words_of(ctl_text(duty, "act")));
        static const char *const texts[] = {"device", "model", "serial", "tid", "mid"};
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
            ctl_table_text(table, ctl_text(duty, texts[t]));
        const char *address = ctl_text(duty, "address");
        ctl_table_format(table, "%s/%s%s%s", ctl_text(duty, "merchant"), ctl_text(duty, "store"),
                         address[0] != '\0' ? ", " : "", address);
        if (ctl_number(duty, "done_ms") == 0)
            ctl_table_text(table, "not yet");
        else
            ctl_table_format(table, "by %s%s%s", ctl_text(duty, "done_who"),
                             ctl_text(duty, "note")[0] != '\0' ? ": " : "", ctl_text(duty, "note"));
    }
    return ctl_print_table(ctl, table, "");
}
