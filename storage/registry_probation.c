/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/registry_probation.h"

#include "storage/registry_internal.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define PROBATION_HEAD "muster-probation"
#define MORE_HEAD "more"
#define GROUPS_HEAD "groups"
#define RETURNED_HEAD "muster-returned"
#define CONNECTION_HEAD "connection"

/* ---- how far the one in force has proved itself ---- */

enum {
    FLAG_UNPROVED = 1,
    FLAG_CONNECTION = 2,
    FLAG_WELCOMED = 4,
    FLAG_AFTER = 8,
    FLAG_RUNNING = 16,
    FLAG_UNTOLD = 32,
    FLAG_STAYS = 64,
    FLAG_BEFORE = 128
};

static uint64_t flags_of(const struct registry_probation *probation)
{
    return (probation->unproved ? FLAG_UNPROVED : 0u) |
           (probation->connection ? FLAG_CONNECTION : 0u) |
           (probation->welcomed ? FLAG_WELCOMED : 0u) | (probation->after_due ? FLAG_AFTER : 0u) |
           (probation->running ? FLAG_RUNNING : 0u) | (probation->untold ? FLAG_UNTOLD : 0u) |
           (probation->stays ? FLAG_STAYS : 0u) | (probation->has_before ? FLAG_BEFORE : 0u);
}

static void flags_take(struct registry_probation *probation, uint64_t flags)
{
    probation->unproved = (flags & FLAG_UNPROVED) != 0;
    probation->connection = (flags & FLAG_CONNECTION) != 0;
    probation->welcomed = (flags & FLAG_WELCOMED) != 0;
    probation->after_due = (flags & FLAG_AFTER) != 0;
    probation->running = (flags & FLAG_RUNNING) != 0;
    probation->untold = (flags & FLAG_UNTOLD) != 0;
    probation->stays = (flags & FLAG_STAYS) != 0;
    probation->has_before = (flags & FLAG_BEFORE) != 0;
}

static bool numbers_parse(char *const *fields, size_t count, uint64_t *const *numbers,
                          size_t wanted)
{
    for (size_t i = 0; i < wanted; i++) {
        if (i >= count || !sheet_number(fields[i], numbers[i]))
            return false;
    }
    return count == wanted;
}

static size_t tokens_held(const struct registry_probation *probation)
{
    return probation->tokens < REGISTRY_TOKENS ? (size_t)probation->tokens : REGISTRY_TOKENS;
}

static bool tokens_parse(char **text, struct registry_probation *probation)
{
    char *fields[SHEET_FIELDS];
    for (size_t i = 0; i < tokens_held(probation); i++) {
        if (sheet_next(text, fields) != 1 ||
            !hex_decode(fields[0], strlen(fields[0]), probation->token[i], REGISTRY_TOKEN_BYTES))
            return false;
    }
    return true;
}

/* An older agent wrote no more. */
static bool more_parse(char **text, struct registry_probation *probation)
{
    char *fields[SHEET_FIELDS];
    uint64_t *const more[] = {&probation->suspect_now, &probation->waited_ms,
                              &probation->reader_ms,   &probation->watched_ms,
                              &probation->since_ms,    &probation->before_since_ms};
    uint64_t *groups[REGISTRY_GROUPS];
    size_t count = sheet_next(text, fields);
    if (count == 0)
        return true;
    if (count != 8 || strcmp(fields[0], MORE_HEAD) != 0 || !numbers_parse(fields + 1, 6, more, 6) ||
        !hex_decode(fields[7], strlen(fields[7]), probation->before, sizeof probation->before))
        return false;
    for (size_t i = 0; i < REGISTRY_GROUPS; i++)
        groups[i] = &probation->groups[i];
    count = sheet_next(text, fields);
    return count == REGISTRY_GROUPS + 1 && strcmp(fields[0], GROUPS_HEAD) == 0 &&
           numbers_parse(fields + 1, REGISTRY_GROUPS, groups, REGISTRY_GROUPS) &&
           sheet_next(text, fields) == 0;
}

static bool more_is_sound(const struct registry_probation *probation)
{
    for (size_t i = 0; i < REGISTRY_GROUPS; i++)
        if (probation->groups[i] > UINT32_MAX)
            return false;
    return probation->suspect_now <= probation->results && probation->waited_ms <= INT64_MAX &&
           probation->reader_ms <= INT64_MAX && probation->watched_ms <= INT64_MAX &&
           probation->since_ms <= INT64_MAX && probation->before_since_ms <= INT64_MAX;
}

static bool probation_parse(char *text, struct registry_probation *probation)
{
    char *fields[SHEET_FIELDS];
    uint64_t flags = 0;
    uint64_t *const first[] = {&probation->generation, &probation->good, &probation->highest,
                               &probation->manifest, &flags};
    uint64_t *const counts[] = {
        &probation->results,        &probation->suspect,     &probation->before_results,
        &probation->before_suspect, &probation->crashes,     &probation->starts,
        &probation->spent_ms,       &probation->incarnation, &probation->seq,
        &probation->tokens};
    size_t count = sheet_next(&text, fields);
    if (count != 7 || strcmp(fields[0], PROBATION_HEAD) != 0 ||
        !numbers_parse(fields + 1, 5, first, 5) ||
        !hex_decode(fields[6], strlen(fields[6]), probation->boot, sizeof probation->boot))
        return false;
    flags_take(probation, flags);
    count = sheet_next(&text, fields);
    return numbers_parse(fields, count, counts, sizeof counts / sizeof *counts) &&
           probation->results <= UINT32_MAX && probation->before_results <= UINT32_MAX &&
           probation->suspect <= probation->results &&
           probation->before_suspect <= probation->before_results &&
           probation->crashes <= UINT32_MAX && probation->starts <= UINT32_MAX &&
           probation->spent_ms <= INT64_MAX && probation->tokens <= UINT32_MAX &&
           tokens_parse(&text, probation) && more_parse(&text, probation) &&
           more_is_sound(probation);
}

bool registry_probation_read(const struct registry *registry,
                             struct registry_probation *ret_probation, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    struct buf sheet = {0};
    struct err why = {0};
    struct registry_probation probation = {.present = true};
    if (!registry_path(registry, NULL, "probation", path, err))
        return false;
    if (!sheet_read(registry, path, &sheet, &why)) {
        *ret_probation = (struct registry_probation){0};
        return why.code == ERR_NOT_FOUND || err_set(err, why.code, "%s", why.text);
    }
    bool good = probation_parse((char *)sheet.data, &probation);
    if (good)
        *ret_probation = probation;
    else
        err_set(err, ERR_INVALID, "%s: not a record of a probation", path);
    buf_done(&sheet);
    return good;
}

static bool more_lines(struct buf *sheet, const struct registry_probation *p, struct err *err)
{
    char before[2 * sizeof p->before + 1], groups[REGISTRY_GROUPS * 21 + 1];
    size_t used = 0;
    hex_encode(p->before, sizeof p->before, before);
    for (size_t i = 0; i < REGISTRY_GROUPS; i++)
        used += (size_t)snprintf(groups + used, sizeof groups - used, "\t%" PRIu64, p->groups[i]);
    return sheet_line(sheet, err,
                      MORE_HEAD "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64
                                "\t%" PRIu64 "\t%s",
                      p->suspect_now, p->waited_ms, p->reader_ms, p->watched_ms, p->since_ms,
                      p->before_since_ms, before) &&
           sheet_line(sheet, err, GROUPS_HEAD "%s", groups);
}

bool registry_probation_write(const struct registry *registry,
                              const struct registry_probation *probation, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    char text[2 * sizeof probation->boot + 1];
    struct buf sheet = {.limit = SHEET_LIMIT_BYTES};
    const struct registry_probation *p = probation;
    hex_encode(p->boot, sizeof p->boot, text);
    bool good = registry_path(registry, NULL, "probation", path, err) &&
                sheet_line(&sheet, err,
                           PROBATION_HEAD "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64
                                          "\t%" PRIu64 "\t%s",
                           p->generation, p->good, p->highest, p->manifest, flags_of(p), text) &&
                sheet_line(&sheet, err,
                           "%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64
                           "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64,
                           p->results, p->suspect, p->before_results, p->before_suspect, p->crashes,
                           p->starts, p->spent_ms, p->incarnation, p->seq, p->tokens);
    for (size_t i = 0; good && i < tokens_held(p); i++) {
        hex_encode(p->token[i], REGISTRY_TOKEN_BYTES, text);
        good = sheet_line(&sheet, err, "%s", text);
    }
    good = good && more_lines(&sheet, p, err) && sheet_write(registry, path, &sheet, err);
    buf_done(&sheet);
    return good;
}

/* ---- which one was good, when that record is lost ---- */

struct lowest {
    uint64_t above, below; /* both excluded */
    uint64_t number;       /* 0: none so far */
};

static bool lowest_entry(void *ctx, const char *name)
{
    struct lowest *lowest = ctx;
    uint64_t number = 0;
    if (sheet_number(name, &number) && number > lowest->above && number < lowest->below &&
        (lowest->number == 0 || number < lowest->number))
        lowest->number = number;
    return true;
}

bool registry_oldest(const struct registry *registry, uint64_t below,
                     struct registry_generation *ret_generation, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    struct lowest lowest = {.below = below};
    ret_generation->number = 0;
    if (!registry_path(registry, NULL, "generations", path, err))
        return false;
    do {
        struct err why = {0};
        lowest.above = lowest.number;
        lowest.number = 0;
        if (!file_list(path, lowest_entry, &lowest, err))
            return false;
        if (lowest.number == 0 ||
            registry_generation_read(registry, lowest.number, ret_generation, &why))
            return true;
        ret_generation->number = 0;
    } while (true);
}

/* ---- what was taken back ---- */

static bool item_parse(char *const *fields, struct registry_returned_item *item)
{
    size_t length = strlen(fields[1]);
    if (length == 0 || length > REGISTRY_NAME_CHARS)
        return false;
    memcpy(item->name, fields[1], length + 1);
    return sheet_number(fields[2], &item->version) && sheet_digest(fields[3], item->sha256);
}

static bool head_parse(char *const *fields, size_t count, struct registry_returned *returned)
{
    uint64_t refusal = 0;
    uint64_t *const numbers[] = {&returned->generation,       &returned->to,
                                 &returned->manifest_version, &returned->results,
                                 &returned->suspect,          &returned->before_results,
                                 &returned->before_suspect,   &refusal};
    if (count != 10 || !numbers_parse(fields + 1, 8, numbers, 8) || refusal > INT_MAX)
        return false;
    returned->refusal = (int)refusal;
    (void)snprintf(returned->reason, sizeof returned->reason, "%s", fields[9]);
    return true;
}

enum { RETURNED_WATCHED = 1, RETURNED_AGAIN = 2 };

static bool connection_parse(char *const *fields, struct registry_returned *returned)
{
    uint64_t flags = 0;
    uint64_t *const numbers[] = {&flags, &returned->faults, &returned->silences};
    if (!numbers_parse(fields + 1, 3, numbers, 3))
        return false;
    returned->watched = (flags & RETURNED_WATCHED) != 0;
    returned->again = (flags & RETURNED_AGAIN) != 0;
    return true;
}

/* Each begins with a line of its own, and its items follow. */
static bool returns_parse(char *text, struct registry_returns *returns)
{
    char *fields[SHEET_FIELDS];
    size_t count;
    while ((count = sheet_next(&text, fields)) > 0) {
        struct registry_returned *last =
            returns->count > 0 ? &returns->returned[returns->count - 1] : NULL;
        if (strcmp(fields[0], RETURNED_HEAD) == 0) {
            if (returns->count == REGISTRY_RETURNED ||
                !head_parse(fields, count, &returns->returned[returns->count++]))
                return false;
        } else if (count == 4 && last != NULL && strcmp(fields[0], CONNECTION_HEAD) == 0) {
            if (!connection_parse(fields, last))
                return false;
        } else if (count != 4 || last == NULL || last->count == REGISTRY_ITEMS ||
                   !item_parse(fields, &last->items[last->count++])) {
            return false;
        }
    }
    return true;
}

bool registry_returns_read(const struct registry *registry, struct registry_returns *ret_returns,
                           struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    struct buf sheet = {0};
    struct err why = {0};
    memset(ret_returns, 0, sizeof *ret_returns);
    if (!registry_path(registry, NULL, "returned", path, err))
        return false;
    if (!sheet_read(registry, path, &sheet, &why))
        return why.code == ERR_NOT_FOUND || err_set(err, why.code, "%s", why.text);
    bool good = returns_parse((char *)sheet.data, ret_returns);
    if (!good) {
        memset(ret_returns, 0, sizeof *ret_returns);
        err_set(err, ERR_INVALID, "%s: not a record of what was taken back", path);
    }
    buf_done(&sheet);
    return good;
}

static bool returned_lines(struct buf *sheet, const struct registry_returned *returned,
                           struct err *err)
{
    char reason[sizeof returned->reason], sha256[65];
    (void)snprintf(reason, sizeof reason, "%s", returned->reason);
    for (char *c = reason; *c != '\0'; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
    bool good = sheet_line(sheet, err,
                           RETURNED_HEAD "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64
                                         "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%d\t%s",
                           returned->generation, returned->to, returned->manifest_version,
                           returned->results, returned->suspect, returned->before_results,
                           returned->before_suspect, returned->refusal, reason);
    uint64_t flags =
        (returned->watched ? RETURNED_WATCHED : 0u) | (returned->again ? RETURNED_AGAIN : 0u);
    if (flags != 0 || returned->faults != 0 || returned->silences != 0)
        good =
            good && sheet_line(sheet, err, CONNECTION_HEAD "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64,
                               flags, returned->faults, returned->silences);
    for (size_t i = 0; good && i < returned->count; i++) {
        hex_encode(returned->items[i].sha256, 32, sha256);
        good = sheet_line(sheet, err, "item\t%s\t%" PRIu64 "\t%s", returned->items[i].name,
                          returned->items[i].version, sha256);
    }
    return good;
}

bool registry_returns_write(const struct registry *registry, const struct registry_returns *returns,
                            struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    struct buf sheet = {.limit = SHEET_LIMIT_BYTES};
    bool good = registry_path(registry, NULL, "returned", path, err);
    for (size_t i = 0; good && i < returns->count; i++)
        good = returned_lines(&sheet, &returns->returned[i], err);
    good = good && sheet_write(registry, path, &sheet, err);
    buf_done(&sheet);
    return good;
}
