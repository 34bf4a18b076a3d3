/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"
#include "fleet/ctl_table.h"
#include "fleet/sse.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { AGAIN_S = 3, PATH_CHARS = 300 };

struct watch {
    struct ctl *ctl;
    struct sse sse;
    int64_t left; /* events to be shown; -1: without end */
    bool written; /* false: nobody reads us any more */
};

/* ---- an event as a line ---- */

static void print_presence(FILE *out, const char *kind, const json_t *detail)
{
    char since[32];
    clock_format(ctl_number(detail, "since_ms"), since);
    fprintf(out, "%s since %s, by %s", strcmp(kind, "missing") == 0 ? "away" : "so", since,
            ctl_text(detail, "evidence"));
}

static void print_shares(FILE *out, const json_t *list, const char *name)
{
    size_t i;
    json_t *share;
    json_array_foreach(list, i, share)
    {
        const char *text = ctl_text(share, name);
        fprintf(out, "%s%s %lld", i > 0 ? ", " : "", text[0] != '\0' ? text : "-",
                (long long)ctl_number(share, "count"));
    }
}

static void print_many(FILE *out, const json_t *detail)
{
    fprintf(out, "%lld %s within a minute: regions ", (long long)ctl_number(detail, "count"),
            ctl_text(detail, "kind"));
    print_shares(out, json_object_get(detail, "regions"), "region");
    fprintf(out, "; models ");
    print_shares(out, json_object_get(detail, "models"), "model");
}

static void print_detail(FILE *out, const char *kind, const json_t *detail)
{
    if (strcmp(kind, "change") == 0)
        fprintf(out, "%s: %s: %s", ctl_text(detail, "who"), ctl_text(detail, "what"),
                ctl_text(detail, "text"));
    else if (strcmp(kind, "event") == 0)
        fprintf(out, "%s %s %s", ctl_text(detail, "kind"), ctl_text(detail, "item"),
                ctl_text(detail, "text"));
    else if (strcmp(kind, "result") == 0)
        fprintf(out, "%s %s, %s, amount %lld of currency %lld", ctl_text(detail, "outcome"),
                ctl_text(detail, "code"), ctl_text(detail, "entry"),
                (long long)ctl_number(detail, "amount_minor"),
                (long long)ctl_number(detail, "currency"));
    else if (strcmp(kind, "many") == 0)
        print_many(out, detail);
    else if (detail != NULL)
        print_presence(out, kind, detail);
}

/* Foreign text may hold what moves a terminal's cursor. */
static void print_clean(FILE *out, const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        fputc((unsigned char)line[i] < 0x20 || line[i] == 0x7f ? '?' : line[i], out);
    fputc('\n', out);
}

static void print_line(FILE *out, const json_t *event)
{
    char when[32], *line = NULL;
    size_t length = 0;
    const char *kind = ctl_text(event, "kind"), *device = ctl_text(event, "device");
    FILE *text = open_memstream(&line, &length);
    if (text == NULL)
        return;
    clock_format(ctl_number(event, "at_ms"), when);
    fprintf(text, "%s  %-7s  %-12s  ", when, kind, device[0] != '\0' ? device : "-");
    print_detail(text, kind, json_object_get(event, kind));
    if (fclose(text) == 0)
        print_clean(out, line, length);
    free(line);
}

static void print_word(const char *name, const json_t *word)
{
    fprintf(stderr, "musterctl watch: %s: %s\n", name, ctl_text(word, "why"));
}

static bool on_event(void *ctx, const struct sse_event *event)
{
    struct watch *watch = ctx;
    json_t *json = json_loadb((const char *)event->data.data, event->data.length, 0, NULL);
    if (json == NULL)
        return true;
    FILE *out = watch->ctl->out;
    if (json_object_get(json, "kind") == NULL) {
        print_word(event->name, json);
    } else {
        if (watch->ctl->json) {
            (void)json_dumpf(json, out, JSON_COMPACT);
            fputc('\n', out);
        } else {
            print_line(out, json);
        }
        watch->written = fflush(out) == 0;
        watch->left -= watch->left > 0;
    }
    json_decref(json);
    return watch->written && watch->left != 0;
}

static bool on_part(void *ctx, struct bytes part)
{
    struct watch *watch = ctx;
    return sse_take(&watch->sse, part);
}

/* ---- again and again ---- */

/* Where musterd was away we go on where we were; what it refuses it would refuse again. */
static int follow(struct watch *watch, const char *path, struct err *err)
{
    const struct timespec again = {.tv_sec = AGAIN_S};
    bool began = false;
    while (watch->left != 0 && watch->written) {
        struct err why = {0};
        sse_begin(&watch->sse);
        bool ok = client_follow(watch->ctl->client, path, watch->sse.id, on_part, watch, &why);
        if (!ok && (!began || (why.code != ERR_UNAVAILABLE && why.code != ERR_TIMEOUT))) {
            (void)err_set(err, why.code, "%s", why.text);
            return exit_code_of(err);
        }
        began = true;
        if (watch->left != 0 && watch->written)
            (void)nanosleep(&again, NULL);
    }
    return watch->written ? EXIT_OK : EXIT_SYSTEM;
}

static int watch_events(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    char path[PATH_CHARS];
    struct watch watch = {.ctl = ctl, .left = -1, .written = true};
    const char *device = ctl_arg(args, "--device", NULL), *kinds = ctl_arg(args, "--kinds", NULL);
    const char *since = ctl_arg(args, "--since", "");
    if (device != NULL && !ctl_device_id(device, err))
        return EXIT_USAGE;
    if (!ctl_arg_number(args, "--count", -1, 1, INT64_MAX, &watch.left, err))
        return EXIT_USAGE;
    if (strspn(since, "0123456789-") != strlen(since) || strlen(since) > SSE_ID_CHARS ||
        (kinds != NULL && strspn(kinds, "abcdefghijklmnopqrstuvwxyz,") != strlen(kinds))) {
        (void)err_set(err, ERR_INVALID, "--since is an event's id, --kinds words set apart by ','");
        return EXIT_USAGE;
    }
    (void)snprintf(path, sizeof path, "/api/v1/events%s%.64s%s%.64s",
                   device != NULL ? "?device=" : "", device != NULL ? device : "",
                   kinds == NULL    ? ""
                   : device != NULL ? "&kinds="
                                    : "?kinds=",
                   kinds != NULL ? kinds : "");
    watch.sse = (struct sse){.event = on_event, .ctx = &watch};
    (void)snprintf(watch.sse.id, sizeof watch.sse.id, "%s", since);
    int code = follow(&watch, path, err);
    sse_done(&watch.sse);
    return code;
}

static const struct ctl_option options[] = {
    {.name = "--kinds",
     .value = "KIND,...",
     .help =
         "only online, offline, missing, back, many, change, event, result (a sale that failed)"},
    {.name = "--device", .value = "ID", .help = "only of this device"},
    {.name = "--since", .value = "EVENT", .help = "what came after this one too, by its id"},
    {.name = "--count", .value = "N", .help = "end after so many"},
    {0},
};

const struct ctl_command ctl_watch = {
    .words = "watch",
    .arguments = "",
    .summary = "Print what happens in the fleet, a line each, as it happens.",
    .notes =
        "With -o json each line is a JSON object, whose id --since takes. When the connection\n"
        "is lost it goes on where it was.",
    .options = options,
    .run = watch_events,
};
