/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_describe_csv.h"

#include "fleet/ctl_table.h"

static const struct fact {
    const char *name;
    const char *object; /* of the device; NULL: itself */
    const char *member;
    enum { TEXT, NUMBER, ONE_UP, REAL, MOMENT, YES } form; /* ONE_UP: 0 is not known */
} facts[] = {
    {"id", NULL, "id", TEXT},
    {"state", NULL, "state", TEXT},
    {"model", NULL, "model", TEXT},
    {"serial", NULL, "serial", TEXT},
    {"merchant", NULL, "merchant", TEXT},
    {"store", NULL, "store", TEXT},
    {"presence", NULL, "presence", TEXT},
    {"presence since", NULL, "presence_since_ms", MOMENT},
    {"presence by", NULL, "presence_evidence", TEXT},
    {"last seen", NULL, "last_seen_ms", MOMENT},
    {"clock compared", "clock", "checked_ms", MOMENT},
    {"clock ahead (ms)", "clock", "offset_ms", NUMBER},
    {"clock bound (ms)", "clock", "bound_ms", NUMBER},
    {"clock drift (ppm)", "clock", "drift_ppm", REAL},
    {"clock drift bound (ppm)", "clock", "drift_bound_ppm", REAL},
    {"clock set (times)", "clock", "jumps", NUMBER},
    {"clock set last", "clock", "jumped_ms", MOMENT},
    {"clock set last by (ms)", "clock", "jump_ms", NUMBER},
    {"converged", NULL, "converged", YES},
    {"manifest", NULL, "manifest_version", ONE_UP},
    {"manifest epoch", NULL, "manifest_epoch", ONE_UP},
    {"manifest held", NULL, "held_manifest_version", ONE_UP},
    {"manifest epoch held", NULL, "held_manifest_epoch", ONE_UP},
    {"trust root", NULL, "root_version", ONE_UP},
    {"generation", NULL, "generation", ONE_UP},
    {"in force", "apply", "step", TEXT},
    {"in force waits for", "apply", "waits_for", TEXT},
    {"in force waited (ms)", "apply", "waited_ms", NUMBER},
    {"in force results", "apply", "results", NUMBER},
    {"in force suspect", "apply", "suspect", NUMBER},
    {"in force why", "apply", "why", TEXT},
    {"blobs lacking", NULL, "lacking", NUMBER},
    {"records", NULL, "records", NUMBER},
    {"declared lost", NULL, "lost", NUMBER},
    {"traffic (bytes)", NULL, "traffic_bytes", NUMBER},
    {"traffic payload (bytes)", NULL, "traffic_payload_bytes", NUMBER},
    {"traffic month", NULL, "traffic_month", ONE_UP},
    {"keys told", "keys", "received_ms", MOMENT},
    {"sign-on before that (ms)", "keys", "sign_on_age_ms", NUMBER},
};

static void add_number(struct ctl_table *table, const json_t *value, bool one_up)
{
    if (!json_is_integer(value) || (one_up && json_integer_value(value) == 0))
        ctl_table_text(table, "");
    else
        ctl_table_count(table, json_integer_value(value));
}

static void add_value(struct ctl_table *table, const struct fact *fact, const json_t *value)
{
    if (fact->form == TEXT)
        ctl_table_text(table, json_is_string(value) ? json_string_value(value) : "");
    else if (fact->form == MOMENT)
        ctl_table_moment(table, "", json_integer_value(value));
    else if (fact->form == YES)
        ctl_table_text(table, json_is_true(value) ? "yes" : "no");
    else if (fact->form == REAL && json_is_number(value))
        ctl_table_number(table, "%.3f", json_number_value(value));
    else
        add_number(table, value, fact->form == ONE_UP);
}

static void add_labels(struct ctl_table *table, const json_t *labels)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)labels, name, value)
    {
        ctl_table_format(table, "label %s", name);
        ctl_table_text(table, json_is_string(value) ? json_string_value(value) : "");
    }
}

bool ctl_describe_csv(struct ctl *ctl, const json_t *device)
{
    struct ctl_table *table = ctl_table_new("FACT|VALUE");
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        const char *name = facts[i].object;
        const json_t *object = name != NULL ? json_object_get(device, name) : device;
        ctl_table_text(table, facts[i].name);
        add_value(table, &facts[i], json_object_get(object, facts[i].member));
    }
    add_labels(table, json_object_get(device, "labels"));
    return ctl_print_table(ctl, table, "");
}

bool ctl_describe_csv_events(struct ctl *ctl, const json_t *device)
{
    static const char *const texts[] = {"kind", "item", "refusal", "text"};
    size_t i;
    json_t *event;
    struct ctl_table *table = ctl_table_new("AT|BOUND (MS)|EVENT|DOCUMENT|REFUSAL|TEXT");
    json_array_foreach(json_object_get(device, "events"), i, event)
    {
        const json_t *bound = json_object_get(event, "bound_ms");
        ctl_table_moment(table, "", ctl_number(event, "at_ms"));
        add_number(table, json_integer_value(bound) < 0 ? NULL : bound, false);
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
            ctl_table_text(table, ctl_text(event, texts[t]));
    }
    return ctl_print_table(ctl, table, "");
}
