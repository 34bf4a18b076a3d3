/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_actions.h"
#include "fleet/ctl_describe_csv.h"
#include "fleet/ctl_describe_told.h"
#include "fleet/ctl_place.h"
#include "fleet/ctl_proposals.h"
#include "fleet/ctl_table.h"

#include <inttypes.h>
#include <string.h>

static const char *yes_no(const json_t *device, const char *name)
{
    return json_is_true(json_object_get(device, name)) ? "yes" : "no";
}

/* "3", or "-" for what is not there. */
static void add_version(struct ctl_table *table, int64_t version)
{
    if (version == 0)
        ctl_table_text(table, "-");
    else
        ctl_table_count(table, version);
}

/* "document_floor: bin.tsv: version 3 is below the floor 4" */
static void add_refused(struct ctl_table *table, const json_t *row, const char *text)
{
    const char *refusal = ctl_text(row, "refusal");
    if (refusal[0] == '\0' || strcmp(refusal, "none") == 0)
        ctl_table_text(table, text);
    else
        ctl_table_format(table, "%s: %s", refusal, text);
}

/* "3m behind the fleet, +-120 ms, seen 2h ago", and what else is known. */
static void add_clock(struct ctl_table *table, const json_t *clock, int64_t now_ms)
{
    char off[CTL_TEXT_BYTES], when[CTL_TEXT_BYTES];
    char compared[128] = "not compared yet", drift[48] = "", set[128] = "";
    int64_t offset_ms = ctl_number(clock, "offset_ms"), jumps = ctl_number(clock, "jumps");
    if (ctl_number(clock, "checked_ms") != 0) {
        ctl_span_text(offset_ms, off);
        ctl_ago_text(ctl_number(clock, "checked_ms"), now_ms, when);
        (void)snprintf(compared, sizeof compared, "%s %s the fleet, +-%" PRId64 " ms, seen %s", off,
                       offset_ms < 0 ? "behind" : "ahead of", ctl_number(clock, "bound_ms"), when);
    }
    if (json_object_get(clock, "drift_ppm") != NULL)
        (void)snprintf(drift, sizeof drift, "; drifts %+.1f ppm, +-%.1f",
                       json_number_value(json_object_get(clock, "drift_ppm")),
                       json_number_value(json_object_get(clock, "drift_bound_ppm")));
    if (jumps != 0) {
        ctl_span_text(ctl_number(clock, "jump_ms"), off);
        ctl_ago_text(ctl_number(clock, "jumped_ms"), now_ms, when);
        (void)snprintf(set, sizeof set, "; set %" PRId64 " times, last %s by %s%s", jumps, when,
                       ctl_number(clock, "jump_ms") < 0 ? "-" : "+", off);
    }
    ctl_table_format(table, "%s%s%s", compared, drift, set);
}

/* When an event was, and how sure that is. */
static void add_when(struct ctl_table *table, const json_t *event, int64_t now_ms)
{
    char ago[CTL_TEXT_BYTES], bound[CTL_TEXT_BYTES];
    int64_t bound_ms = ctl_number(event, "bound_ms");
    ctl_ago_text(ctl_number(event, "at_ms"), now_ms, ago);
    ctl_span_text(bound_ms, bound);
    if (bound_ms < 0)
        ctl_table_format(table, "%s, unsure", ago);
    else if (bound_ms < 1000)
        ctl_table_text(table, ago);
    else
        ctl_table_format(table, "%s +-%s", ago, bound);
}

/* What a contract by volume is billed for. */
static void add_traffic(struct ctl_table *table, const json_t *device)
{
    char when[32] = "since install";
    int64_t month = ctl_number(device, "traffic_month");
    if (json_is_null(json_object_get(device, "traffic_bytes"))) {
        ctl_table_text(table, "-");
        return;
    }
    if (month != 0)
        (void)snprintf(when, sizeof when, "in %04d-%02d", (int)(month / 100), (int)(month % 100));
    ctl_table_format(table, "%" PRId64 " KB %s, %" PRId64 " KB of it payload",
                     ctl_kilobytes(ctl_number(device, "traffic_bytes")), when,
                     ctl_kilobytes(ctl_number(device, "traffic_payload_bytes")));
}

/* musterctl presence DEVICE tells more. */
static void add_presence(struct ctl_table *table, const json_t *device, int64_t now_ms)
{
    char ago[CTL_TEXT_BYTES];
    const char *evidence = ctl_text(device, "presence_evidence");
    ctl_ago_text(ctl_number(device, "presence_since_ms"), now_ms, ago);
    if (evidence[0] == '\0')
        ctl_table_text(table, ctl_text(device, "presence"));
    else
        ctl_table_format(table, "%s, since %s, by %s", ctl_text(device, "presence"), ago, evidence);
}

static void add_labels(struct ctl_table *table, const json_t *labels)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)labels, name, value)
    {
        ctl_table_text(table, "label");
        ctl_table_format(table, "%s=%s", name,
                         json_string_value(value) ? json_string_value(value) : "");
    }
}

static bool print_summary(struct ctl *ctl, const json_t *device, int64_t now_ms)
{
    if (ctl->csv != NULL)
        return ctl_describe_csv(ctl, device);
    struct ctl_table *table = ctl_table_new("DEVICE|");
    ctl_table_text(table, "id");
    ctl_table_format(table, "%s (%s)", ctl_text(device, "id"), ctl_text(device, "state"));
    ctl_table_text(table, "machine");
    ctl_table_format(table, "%s, serial %s", ctl_text(device, "model"), ctl_text(device, "serial"));
    ctl_table_text(table, "stands at");
    ctl_table_format(table, "%s, %s", ctl_text(device, "merchant"), ctl_text(device, "store"));
    add_labels(table, json_object_get(device, "labels"));
    ctl_table_text(table, "presence");
    add_presence(table, device, now_ms);
    ctl_table_text(table, "last seen");
    ctl_table_ago(table, ctl_number(device, "last_seen_ms"), now_ms);
    ctl_table_text(table, "clock");
    add_clock(table, json_object_get(device, "clock"), now_ms);
    ctl_table_text(table, "converged");
    ctl_table_text(table, yes_no(device, "converged"));
    ctl_table_text(table, "manifest");
    ctl_table_format(
        table, "%" PRId64 " of epoch %" PRId64 ", the device holds %" PRId64 " of epoch %" PRId64,
        ctl_number(device, "manifest_version"), ctl_number(device, "manifest_epoch"),
        ctl_number(device, "held_manifest_version"), ctl_number(device, "held_manifest_epoch"));
    ctl_table_text(table, "trust root");
    add_version(table, ctl_number(device, "root_version"));
    ctl_table_text(table, "generation");
    add_version(table, ctl_number(device, "generation"));
    ctl_describe_apply(table, device);
    ctl_table_text(table, "blobs lacking");
    ctl_table_count(table, ctl_number(device, "lacking"));
    ctl_table_text(table, "records");
    ctl_add_number(table, device, "records");
    ctl_table_text(table, "declared lost");
    ctl_add_number(table, device, "lost");
    ctl_table_text(table, "line has cost");
    add_traffic(table, device);
    return ctl_print_table(ctl, table, "");
}

static bool print_terminals(struct ctl *ctl, const json_t *device)
{
    size_t i;
    json_t *terminal;
    struct ctl_table *table = ctl_table_new(">TERMINAL|ACQUIRER|TID|MID");
    json_array_foreach(json_object_get(device, "terminals"), i, terminal)
    {
        ctl_table_count(table, ctl_number(terminal, "index"));
        ctl_table_text(table, ctl_text(terminal, "acquirer"));
        ctl_table_text(table, ctl_text(terminal, "tid"));
        ctl_table_text(table, ctl_text(terminal, "mid"));
    }
    return ctl_print_table(ctl, table, "No logical terminals.");
}

static bool print_items(struct ctl *ctl, const json_t *device)
{
    size_t i;
    json_t *item;
    struct ctl_table *table = ctl_table_new("DOCUMENT|KIND|MODE|>WANTED|>HELD|STATE|REASON");
    json_array_foreach(json_object_get(device, "items"), i, item)
    {
        ctl_table_text(table, ctl_text(item, "name"));
        bool assigned = json_is_true(json_object_get(item, "assigned"));
        ctl_table_text(table, assigned ? ctl_text(item, "kind") : "-");
        ctl_table_text(table, assigned ? ctl_text(item, "mode") : "not assigned");
        add_version(table, ctl_number(item, "wanted_version"));
        add_version(table, ctl_number(item, "held_version"));
        ctl_table_text(table, ctl_text(item, "state"));
        add_refused(table, item, ctl_text(item, "reason"));
    }
    return ctl_print_table(ctl, table, "No documents assigned.");
}

static bool print_streams(struct ctl *ctl, const json_t *device)
{
    size_t i;
    json_t *stream;
    struct ctl_table *table =
        ctl_table_new("STREAM|LANE|>GIVEN|>SETTLED UP TO|>RANGES BEYOND|>LOST");
    json_array_foreach(json_object_get(device, "streams"), i, stream)
    {
        ctl_table_text(table, ctl_text(stream, "incarnation"));
        ctl_table_text(table, ctl_text(stream, "lane"));
        ctl_table_count(table, ctl_number(stream, "last_seq"));
        ctl_table_count(table, ctl_number(stream, "cumulative"));
        ctl_table_count(table, ctl_number(stream, "ranges"));
        ctl_table_count(table, ctl_number(stream, "lost"));
    }
    return ctl_print_table(ctl, table, "No streams are open.");
}

static bool print_events(struct ctl *ctl, const json_t *device, int64_t now_ms)
{
    size_t i;
    json_t *event;
    if (ctl->csv != NULL)
        return ctl_describe_csv_events(ctl, device);
    struct ctl_table *table = ctl_table_new("WHEN|EVENT|DOCUMENT|TEXT");
    json_array_foreach(json_object_get(device, "events"), i, event)
    {
        add_when(table, event, now_ms);
        ctl_table_text(table, ctl_text(event, "kind"));
        ctl_table_text(table, ctl_text(event, "item"));
        add_refused(table, event, ctl_text(event, "text"));
    }
    return ctl_print_table(ctl, table, "No events yet.");
}

static bool print_device(struct ctl *ctl, const json_t *device)
{
    int64_t now_ms = clock_wall_ms(ctl->clock);
    bool ok = print_summary(ctl, device, now_ms);
    fputc('\n', ctl->out);
    ok = print_terminals(ctl, device) && ok;
    ok = ctl_print_duties(ctl, json_object_get(device, "duties"),
                          "Still to be told, or sales may be declined with 58 or 97:") &&
         ok;
    fputc('\n', ctl->out);
    ok = print_items(ctl, device) && ok;
    ok = ctl_describe_differences(ctl, device) && ok;
    ok = ctl_describe_keys(ctl, device, now_ms) && ok;
    ok = ctl_describe_packages(ctl, device, now_ms) && ok;
    fputc('\n', ctl->out);
    ok = print_streams(ctl, device) && ok;
    fputc('\n', ctl->out);
    ok = ctl_actions_print(ctl, json_object_get(device, "actions"), false) && ok;
    fputc('\n', ctl->out);
    return print_events(ctl, device, now_ms) && ok;
}

static int describe_device(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    char path[80];
    json_t *device;
    if (!ctl_device_id(args->arguments[0], err))
        return EXIT_USAGE;
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s", args->arguments[0]);
    if (!client_get(ctl->client, path, &device, err))
        return exit_code_of(err);
    int code = EXIT_OK;
    if (ctl->json)
        code = ctl_print_json(ctl, device, err);
    else if (!print_device(ctl, device))
        code = EXIT_SYSTEM;
    json_decref(device);
    return code;
}

const struct ctl_command ctl_describe_device = {
    .words = "describe device",
    .arguments = "ID",
    .summary = "All that is known of one device: place, documents, streams, newest events.",
    .argument_count = 1,
    .has_csv = true,
    .run = describe_device,
};
