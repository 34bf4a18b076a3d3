/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_describe_told.h"

#include "fleet/ctl.h"

#include <inttypes.h>
#include <string.h>

static int64_t left_of(int64_t after_ms, int64_t waited_ms)
{
    return after_ms > waited_ms ? after_ms - waited_ms : 0;
}

/* "manifest 7 waits for open transaction since 3m; a person is asked in 11h" */
static void add_waits(struct ctl_table *table, const json_t *apply)
{
    char waited[CTL_TEXT_BYTES], left[CTL_TEXT_BYTES], then[96];
    int64_t waited_ms = ctl_number(apply, "waited_ms");
    int64_t opens_ms = ctl_number(apply, "opens_after_ms");
    ctl_span_text(waited_ms, waited);
    ctl_span_text(left_of(opens_ms > 0 ? opens_ms : ctl_number(apply, "asks_after_ms"), waited_ms),
                  left);
    if (strcmp(ctl_text(apply, "step"), "asking") == 0)
        (void)snprintf(then, sizeof then,
                       "a person should look at the terminal, then: muster apply");
    else if (opens_ms > 0)
        (void)snprintf(then, sizeof then, "put in force in %s at the latest", left);
    else
        (void)snprintf(then, sizeof then, "a person is asked in %s", left);
    const char *what = ctl_text(apply, "waits_for"), *why = ctl_text(apply, "why");
    if (why[0] != '\0') /* the last good one, which comes back */
        ctl_table_format(table,
                         "the return to generation %" PRId64 " (%s) waits for %s since %s; %s",
                         ctl_number(apply, "good_generation"), why,
                         what[0] != '\0' ? what : "its turn", waited, then);
    else
        ctl_table_format(table, "manifest %" PRId64 " waits for %s since %s; %s",
                         ctl_number(apply, "manifest_version"), what[0] != '\0' ? what : "its turn",
                         waited, then);
}

/* "12 of 50 results, 1 suspect (before: 3 of 980)" */
static void results_text(const json_t *apply, char text[128])
{
    (void)snprintf(text, 128,
                   "%" PRId64 " of %" PRId64 " results, %" PRId64 " suspect (before: %" PRId64
                   " of %" PRId64 ")",
                   ctl_number(apply, "results"), ctl_number(apply, "results_needed"),
                   ctl_number(apply, "suspect"), ctl_number(apply, "before_suspect"),
                   ctl_number(apply, "before_results"));
}

static void add_proof(struct ctl_table *table, const json_t *apply, const char *step)
{
    char results[128], left[CTL_TEXT_BYTES];
    const char *why = ctl_text(apply, "why"), *refusal = ctl_text(apply, "refusal");
    int64_t generation = ctl_number(apply, "generation");
    results_text(apply, results);
    ctl_span_text(ctl_number(apply, "probation_left_ms"), left);
    if (strcmp(step, "switched") == 0)
        ctl_table_format(table, "generation %" PRId64 " on probation for %s more: %s", generation,
                         left, results);
    else if (strcmp(step, "returned") == 0)
        ctl_table_format(table, "went back from generation %" PRId64 " to %" PRId64 ": %s%s%s",
                         generation, ctl_number(apply, "good_generation"),
                         strcmp(refusal, "none") == 0 ? "" : refusal,
                         strcmp(refusal, "none") == 0 ? "" : ": ", why);
    else
        ctl_table_format(table, "generation %" PRId64 " is %s: %s", generation, step, results);
}

void ctl_describe_apply(struct ctl_table *table, const json_t *device)
{
    const json_t *apply = json_object_get(device, "apply");
    if (!json_is_object(apply))
        return;
    const char *step = ctl_text(apply, "step");
    ctl_table_text(table, "in force");
    if (strcmp(step, "waiting") == 0 || strcmp(step, "asking") == 0)
        add_waits(table, apply);
    else
        add_proof(table, apply, step);
}

static void add_sign_on(struct ctl_table *table, const json_t *keys, int64_t now_ms)
{
    const json_t *age = json_object_get(keys, "sign_on_age_ms");
    char when[CTL_TEXT_BYTES], told[CTL_TEXT_BYTES];
    ctl_table_text(table, "sign-on");
    ctl_table_text(table, "");
    ctl_table_text(table, "");
    ctl_table_text(table, "");
    ctl_table_text(table, "");
    ctl_table_text(table, "");
    ctl_ago_text(ctl_number(keys, "received_ms"), now_ms, told);
    ctl_span_text(json_integer_value(age), when);
    if (json_is_integer(age))
        ctl_table_format(table, "the last approved one was %s before (told %s)", when, told);
    else
        ctl_table_format(table, "none was approved yet (told %s)", told);
}

bool ctl_describe_keys(struct ctl *ctl, const json_t *device, int64_t now_ms)
{
    size_t i;
    json_t *slot;
    const json_t *keys = json_object_get(device, "keys");
    if (!json_is_object(keys))
        return true;
    fputc('\n', ctl->out);
    struct ctl_table *table = ctl_table_new("KEY SLOT|USAGE|ALGORITHM|>VERSION|KCV|STATE|WHY");
    json_array_foreach(json_object_get(keys, "slots"), i, slot)
    {
        ctl_table_text(table, ctl_text(slot, "slot"));
        ctl_table_text(table, ctl_text(slot, "usage"));
        ctl_table_text(table, ctl_text(slot, "algorithm"));
        ctl_table_count(table, ctl_number(slot, "key_version"));
        ctl_table_text(table, ctl_text(slot, "kcv"));
        ctl_table_text(table, ctl_text(slot, "state"));
        ctl_table_text(table, ctl_text(slot, "why"));
    }
    if (ctl->csv == NULL) /* there it is among the device's facts */
        add_sign_on(table, keys, now_ms);
    if (ctl_text(keys, "why")[0] != '\0')
        fprintf(ctl->out, "What is in the key slots is not all known: %s\n", ctl_text(keys, "why"));
    return ctl_print_table(ctl, table, "");
}

bool ctl_describe_packages(struct ctl *ctl, const json_t *device, int64_t now_ms)
{
    size_t i;
    json_t *package;
    const json_t *packages = json_object_get(device, "packages");
    if (json_array_size(packages) == 0)
        return true;
    fputc('\n', ctl->out);
    struct ctl_table *table = ctl_table_new("PACKAGE|WANTED|RUNNING|TOLD|TEXT");
    json_array_foreach(packages, i, package)
    {
        ctl_table_text(table, ctl_text(package, "name"));
        ctl_table_text(table, ctl_text(package, "wanted"));
        ctl_table_text(table, ctl_text(package, "running"));
        ctl_table_ago(table, ctl_number(package, "received_ms"), now_ms);
        ctl_table_text(table, ctl_text(package, "text"));
    }
    return ctl_print_table(ctl, table, "");
}
