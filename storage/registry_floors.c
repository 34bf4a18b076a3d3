/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/registry_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct registry_floor *row_find(struct registry_floors *floors, const char *name)
{
    for (size_t i = 0; i < floors->count; i++) {
        if (strcmp(floors->rows[i].name, name) == 0)
            return &floors->rows[i];
    }
    return NULL;
}

const struct registry_floor *registry_floor_of(const struct registry_floors *floors,
                                               const char *name)
{
    return row_find((struct registry_floors *)(uintptr_t)floors, name);
}

struct registry_floor *registry_floor_row(struct registry_floors *floors, const char *name)
{
    struct registry_floor *row = row_find(floors, name);
    if (row != NULL || floors->count == REGISTRY_FLOORS)
        return row;
    row = &floors->rows[floors->count++];
    *row = (struct registry_floor){0};
    snprintf(row->name, sizeof row->name, "%s", name);
    return row;
}

static void lift(uint64_t *floor, uint64_t to)
{
    if (to > *floor)
        *floor = to;
}

static void row_merge(struct registry_floor *row, const struct registry_floor *other)
{
    if (other->epoch < row->epoch)
        return;
    if (other->epoch > row->epoch) {
        *row = *other;
        return;
    }
    lift(&row->minimum, other->minimum);
    lift(&row->final, other->final);
    if (other->version > row->version) {
        row->version = other->version;
        memcpy(row->sha256, other->sha256, sizeof row->sha256);
    }
}

static bool is_newer(const struct registry_floors *floors, const struct registry_floors *than)
{
    return floors->epoch > than->epoch ||
           (floors->epoch == than->epoch && floors->manifest_version > than->manifest_version);
}

bool registry_floors_merge(struct registry_floors *floors, const struct registry_floors *other,
                           struct err *err)
{
    bool newer = is_newer(other, floors);
    for (size_t i = 0; i < other->count; i++) {
        struct registry_floor *row = registry_floor_row(floors, other->rows[i].name);
        if (row == NULL)
            return err_set(err, ERR_FULL, "%s: the floors of %d names are kept, no more fit",
                           other->rows[i].name, REGISTRY_FLOORS);
        row_merge(row, &other->rows[i]);
    }
    lift(&floors->root_version, other->root_version);
    if (newer) {
        floors->epoch = other->epoch;
        floors->manifest_version = other->manifest_version;
        memcpy(floors->manifest_digest, other->manifest_digest, sizeof floors->manifest_digest);
    }
    return true;
}

/* ---- as files ---- */

static bool row_parse(char *fields[SHEET_FIELDS], size_t count, struct registry_floors *floors)
{
    struct registry_floor read = {.epoch = 1};
    if (strlen(fields[0]) > REGISTRY_NAME_CHARS)
        return false;
    /* From before there were epochs: a name and its minimum. */
    bool good = count == 2 ? sheet_number(fields[1], &read.minimum)
                           : count == 6 && sheet_number(fields[1], &read.epoch) &&
                                 sheet_number(fields[2], &read.minimum) &&
                                 sheet_number(fields[3], &read.final) &&
                                 sheet_number(fields[4], &read.version) &&
                                 sheet_digest(fields[5], read.sha256);
    struct registry_floor *row = good ? registry_floor_row(floors, fields[0]) : NULL;
    if (row == NULL)
        return false;
    memcpy(read.name, row->name, sizeof read.name);
    row_merge(row, &read);
    return true;
}

static bool head_parse(char *fields[SHEET_FIELDS], size_t count, struct registry_floors *floors)
{
    if (count == 3 && strcmp(fields[0], "manifest") == 0) {
        floors->epoch = 1; /* from before there were epochs */
        return sheet_number(fields[1], &floors->manifest_version) &&
               sheet_digest(fields[2], floors->manifest_digest);
    }
    return count == 5 && strcmp(fields[0], "floors") == 0 &&
           sheet_number(fields[1], &floors->root_version) &&
           sheet_number(fields[2], &floors->epoch) &&
           sheet_number(fields[3], &floors->manifest_version) &&
           sheet_digest(fields[4], floors->manifest_digest);
}

static bool floors_parse(char *text, struct registry_floors *floors, bool *ret_single)
{
    char *fields[SHEET_FIELDS];
    size_t count = sheet_next(&text, fields);
    if (count == 0 || !head_parse(fields, count, floors))
        return false;
    *ret_single = strcmp(fields[0], "manifest") == 0;
    while ((count = sheet_next(&text, fields)) > 0) {
        if (!row_parse(fields, count, floors))
            return false;
    }
    return true;
}

struct copy {
    struct registry_floors floors;
    bool there;
    bool single; /* of the time when there was one place only */
    struct err lost;
};

/* False: memory. */
static bool copy_read(const struct registry *registry, const char *path, struct copy *copy,
                      struct err *err)
{
    struct buf sheet = {0};
    struct err why = {0};
    if (!sheet_read(registry, path, &sheet, &why)) {
        if (why.code == ERR_NO_MEMORY)
            return err_set(err, why.code, "%s", why.text);
        if (why.code == ERR_NOT_FOUND)
            err_set(&why, ERR_NOT_FOUND, "%s is gone", path);
        copy->lost = why;
        return true;
    }
    copy->there = floors_parse((char *)sheet.data, &copy->floors, &copy->single);
    if (!copy->there) {
        memset(&copy->floors, 0, sizeof copy->floors);
        err_set(&copy->lost, ERR_INVALID, "%s is not a list of version floors", path);
    }
    buf_done(&sheet);
    return true;
}

static void put_lost(const struct err *first, const struct err *second,
                     char ret_lost[REGISTRY_LOST_CHARS])
{
    bool both = first->code != ERR_NONE && second->code != ERR_NONE;
    ret_lost[0] = '\0';
    if (first->code != ERR_NONE || second->code != ERR_NONE)
        snprintf(ret_lost, REGISTRY_LOST_CHARS, "version floors: %.140s%s%.140s", first->text,
                 both ? "; " : "", second->text);
}

/* Neither there: nothing was ever accepted, or all of it is lost; who knows a manifest will tell.
 */
static void say_lost(const struct copy copies[2], char ret_lost[REGISTRY_LOST_CHARS])
{
    const struct err *first = &copies[0].lost, *second = &copies[1].lost;
    bool none = first->code == ERR_NOT_FOUND && second->code == ERR_NOT_FOUND;
    bool one = copies[0].single && second->code == ERR_NOT_FOUND;
    ret_lost[0] = '\0';
    if (!none && !one)
        put_lost(first, second, ret_lost);
}

/* The first place is written first, so that no power cut leaves the second ahead of it. */
static void look_put_back(const char *first, struct copy copies[2])
{
    const struct registry_floors *one = &copies[0].floors, *two = &copies[1].floors;
    if (copies[0].there && copies[1].there &&
        (is_newer(two, one) || two->root_version > one->root_version))
        err_set(&copies[0].lost, ERR_CONFLICT, "%s is older than the second place: it was put back",
                first);
}

bool registry_floors_read(const struct registry *registry, struct registry_floors *ret_floors,
                          char ret_lost[REGISTRY_LOST_CHARS], struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    struct copy *copies = calloc(2, sizeof *copies);
    if (copies == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the version floors");
    bool good = registry_path(registry, NULL, "floors", path, err) &&
                copy_read(registry, path, &copies[0], err) &&
                copy_read(registry, registry->floors, &copies[1], err);
    if (good) {
        struct err *lost = &copies[1].lost;
        look_put_back(path, copies);
        if (!registry_floors_merge(&copies[0].floors, &copies[1].floors, lost))
            err_context(lost, "%s", registry->floors);
        *ret_floors = copies[0].floors;
        say_lost(copies, ret_lost);
    }
    free(copies);
    return good;
}

static bool row_line(struct buf *sheet, const struct registry_floor *row, struct err *err)
{
    char digest[65];
    hex_encode(row->sha256, 32, digest);
    return sheet_line(sheet, err, "%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%s",
                      row->name, row->epoch, row->minimum, row->final, row->version, digest);
}

static bool floors_lines(const struct registry_floors *floors, struct buf *sheet, struct err *err)
{
    char digest[65];
    hex_encode(floors->manifest_digest, 32, digest);
    bool good = sheet_line(sheet, err, "floors\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%s",
                           floors->root_version, floors->epoch, floors->manifest_version, digest);
    for (size_t i = 0; good && i < floors->count; i++)
        good = row_line(sheet, &floors->rows[i], err);
    return good;
}

bool registry_floors_write(const struct registry *registry, const struct registry_floors *floors,
                           struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    struct buf sheet = {.limit = SHEET_LIMIT_BYTES};
    bool good = floors_lines(floors, &sheet, err);
    size_t length = sheet.length;
    good = good && registry_path(registry, NULL, "floors", path, err) &&
           sheet_write(registry, path, &sheet, err);
    sheet.length = length; /* without the sum */
    good = good && sheet_write(registry, registry->floors, &sheet, err);
    buf_done(&sheet);
    return good;
}

/* Why the place does not hold these bytes, in `lost`. False: memory. */
static bool place_look(const char *path, struct bytes wanted, struct err *lost, struct err *err)
{
    struct buf found = {.limit = SHEET_LIMIT_BYTES + 1};
    struct err why = {0};
    bool read = file_read(path, SHEET_LIMIT_BYTES, &found, &why);
    if (!read && why.code == ERR_NOT_FOUND)
        err_set(lost, ERR_NOT_FOUND, "%s is gone", path);
    else if (!read)
        *lost = why;
    else if (!bytes_equal(buf_bytes(&found), wanted))
        err_set(lost, ERR_INVALID, "%s is not as it was written", path);
    buf_done(&found);
    return why.code != ERR_NO_MEMORY || err_set(err, why.code, "%s", why.text);
}

bool registry_floors_look(const struct registry *registry, const struct registry_floors *floors,
                          char ret_lost[REGISTRY_LOST_CHARS], struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    struct buf sheet = {.limit = SHEET_LIMIT_BYTES};
    struct err first = {0}, second = {0};
    bool good = floors_lines(floors, &sheet, err) && sheet_sum(registry, &sheet, err) &&
                registry_path(registry, NULL, "floors", path, err) &&
                place_look(path, buf_bytes(&sheet), &first, err) &&
                place_look(registry->floors, buf_bytes(&sheet), &second, err);
    if (good)
        put_lost(&first, &second, ret_lost);
    buf_done(&sheet);
    return good;
}
