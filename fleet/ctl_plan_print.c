/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_order.h"

#include "fleet/ctl_table.h"

#include <inttypes.h>
#include <string.h>

bool ctl_plan_ask(struct ctl *ctl, json_t *request, json_t **ret_plan, struct err *err)
{
    if (json_object_set_new(request, "dry_run", json_true()) != 0)
        return err_set(err, ERR_NO_MEMORY, "no memory for the request");
    return client_post(ctl->client, "/api/v1/assignments", request, ret_plan, err);
}

static bool is(const json_t *device, const char *name)
{
    return json_is_true(json_object_get(device, name));
}

/* "7", "7 (epoch 2)" from the second epoch on, or "-". */
static void add_version(struct ctl_table *table, const json_t *version)
{
    int64_t epoch = ctl_number(version, "epoch");
    if (!json_is_object(version))
        ctl_table_text(table, "-");
    else if (epoch > 1)
        ctl_table_format(table, "%" PRId64 " (epoch %" PRId64 ")", ctl_number(version, "version"),
                         epoch);
    else
        ctl_table_format(table, "%" PRId64, ctl_number(version, "version"));
}

/* "repair", or "observe -> repair" where it changes. */
static void add_mode(struct ctl_table *table, const json_t *device)
{
    const json_t *from = json_object_get(device, "from"), *to = json_object_get(device, "to");
    const char *before = ctl_text(from, "mode"), *after = ctl_text(to, "mode");
    if (json_is_object(from) && json_is_object(to) && strcmp(before, after) != 0)
        ctl_table_format(table, "%s -> %s", before, after);
    else
        ctl_table_text(table, json_is_object(to) ? after : before);
}

static const char *deed(const json_t *device)
{
    const json_t *to = json_object_get(device, "to");
    if (!is(device, "changed"))
        return "as before: nothing would change";
    if (!json_is_object(to))
        return is(device, "deletes") ? "the file is deleted" : "no longer wanted; no file goes";
    if (strcmp(ctl_text(to, "mode"), "repair") != 0)
        return "told apart, not touched";
    return strcmp(ctl_text(device, "way"), "held") == 0 ? "holds it already" : "is put in force";
}

static void add_what(struct ctl_table *table, const json_t *device, int64_t now_ms)
{
    const json_t *refused = json_object_get(device, "refused");
    const char *by = ctl_text(refused, "by");
    char seen[CTL_TEXT_BYTES];
    if (json_is_object(refused)) {
        bool terminal = strcmp(by, "terminal") == 0;
        ctl_table_format(table, "REFUSED by the %s%s%s: %s", by, terminal ? ", " : "",
                         ctl_text(refused, "reason"), ctl_text(refused, "text"));
        return;
    }
    if (*ctl_text(device, "waits_for") != '\0') {
        ctl_table_format(table, "%s, once %s is signed again (musterctl doc resign)", deed(device),
                         ctl_text(device, "waits_for"));
        return;
    }
    ctl_ago_text(ctl_number(device, "last_seen_ms"), now_ms, seen);
    if (is(device, "changed") && !is(device, "online"))
        ctl_table_format(table, "%s, once it connects (offline, last seen %s)", deed(device), seen);
    else
        ctl_table_format(table, "%s%s", deed(device),
                         is(device, "needs_roots") ? ", after the roots it does not know" : "");
}

static void add_device(struct ctl_table *table, const json_t *device, int64_t now_ms)
{
    ctl_table_text(table, ctl_text(device, "id"));
    add_version(table, json_object_get(device, "from"));
    add_version(table, json_object_get(device, "to"));
    add_mode(table, device);
    if (ctl_number(device, "held_version") == 0)
        ctl_table_text(table, "-");
    else
        ctl_table_format(table, "%" PRId64, ctl_number(device, "held_version"));
    ctl_table_count(table, ctl_number(device, "bytes"));
    ctl_table_text(table, ctl_text(device, "way"));
    add_what(table, device, now_ms);
}

struct sums {
    int64_t changed, same, refused, deleted, bytes;
};

static void count(struct sums *sums, const json_t *device)
{
    bool refused = json_is_object(json_object_get(device, "refused"));
    bool changed = !refused && is(device, "changed");
    sums->refused += refused;
    sums->changed += changed;
    sums->same += !refused && !changed;
    sums->deleted += changed && is(device, "deletes");
    sums->bytes += ctl_number(device, "bytes");
}

bool ctl_plan_print(struct ctl *ctl, const json_t *plan)
{
    size_t i;
    json_t *device;
    struct sums sums = {0};
    char bytes[CTL_TEXT_BYTES];
    int64_t now_ms = clock_wall_ms(ctl->clock);
    struct ctl_table *table =
        ctl_table_new("DEVICE|>FROM|>TO|MODE|>HELD|>BYTES|WAY|WHAT WOULD HAPPEN");
    json_array_foreach(json_object_get(plan, "devices"), i, device)
    {
        add_device(table, device, now_ms);
        count(&sums, device);
    }
    bool ok = ctl_print_table(ctl, table, "No devices.");
    ctl_count_text(sums.bytes, bytes);
    fprintf(ctl->out,
            "\n%" PRId64 " would change, %" PRId64 " files deleted, %" PRId64 " as before, %" PRId64
            " refused; %s bytes of content on the line.\n",
            sums.changed, sums.deleted, sums.same, sums.refused, bytes);
    if (sums.refused > 0)
        fputs("Given so, the whole order would be refused: it is carried out on all devices or on "
              "none.\n",
              ctl->out);
    if (sums.bytes > 0)
        fputs("Terminals do not report their free room: what does not fit is refused there "
              "(manifest_quota).\n",
              ctl->out);
    ctl_say_dry_run(ctl);
    return ok;
}

int ctl_plan_code(const json_t *plan, struct err *err)
{
    const json_t *devices = json_object_get(plan, "devices");
    size_t i, refused = 0, not_found = 0;
    json_t *device;
    json_array_foreach(devices, i, device)
    {
        const json_t *why = json_object_get(device, "refused");
        refused += json_is_object(why);
        not_found += is(why, "not_found");
    }
    if (refused == 0)
        return EXIT_OK;
    bool missing = not_found == refused;
    err_set(err, missing ? ERR_NOT_FOUND : ERR_REFUSED,
            "the order would be refused as a whole: for %zu of %zu devices %s", refused,
            json_array_size(devices),
            missing ? "there is no such device or document" : "it cannot be carried out");
    return missing ? EXIT_NOT_FOUND : EXIT_INPUT;
}
