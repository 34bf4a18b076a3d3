/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/registry_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t registry_floor(const struct registry_floors *floors, const char *name)
{
    for (size_t i = 0; i < floors->count; i++) {
        if (strcmp(floors->rows[i].name, name) == 0)
            return floors->rows[i].version;
    }
    return 0;
}

bool registry_floor_raise(struct registry_floors *floors, const char *name, uint64_t version,
                          struct err *err)
{
    for (size_t i = 0; i < floors->count; i++) {
        if (strcmp(floors->rows[i].name, name) != 0)
            continue;
        if (version > floors->rows[i].version)
            floors->rows[i].version = version;
        return true;
    }
    if (version == 0)
        return true;
    if (floors->count == REGISTRY_FLOORS)
        return err_set(err, ERR_FULL, "%s: the floors of %d names are kept, no more fit", name,
                       REGISTRY_FLOORS);
    struct registry_floor *row = &floors->rows[floors->count++];
    snprintf(row->name, sizeof row->name, "%s", name);
    row->version = version;
    return true;
}

static bool floors_parse(char *text, struct registry_floors *floors)
{
    char *fields[SHEET_FIELDS];
    if (sheet_next(&text, fields) != 3 || strcmp(fields[0], "manifest") != 0 ||
        !sheet_number(fields[1], &floors->manifest_version) ||
        !sheet_digest(fields[2], floors->manifest_digest))
        return false;
    size_t count;
    while ((count = sheet_next(&text, fields)) > 0) {
        uint64_t version;
        if (count != 2 || strlen(fields[0]) > REGISTRY_NAME_CHARS ||
            !sheet_number(fields[1], &version) ||
            !registry_floor_raise(floors, fields[0], version, NULL))
            return false;
    }
    return true;
}

bool registry_floors_read(const struct registry *registry, struct registry_floors *ret_floors,
                          struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    struct buf sheet = {0};
    struct err why = {0};
    if (!registry_path(registry, NULL, "floors", path, err))
        return false;
    if (!sheet_read(registry, path, &sheet, &why)) {
        if (why.code != ERR_NOT_FOUND)
            return err_set(err, why.code, "%s", why.text);
        memset(ret_floors, 0, sizeof *ret_floors);
        return true;
    }
    struct registry_floors *floors = calloc(1, sizeof *floors);
    bool good = floors != NULL && floors_parse((char *)sheet.data, floors);
    if (good)
        *ret_floors = *floors;
    else if (floors == NULL)
        err_set(err, ERR_NO_MEMORY, "no memory for the version floors");
    else
        err_set(err, ERR_INVALID, "%s: not a list of version floors", path);
    free(floors);
    buf_done(&sheet);
    return good;
}

bool registry_floors_write(const struct registry *registry, const struct registry_floors *floors,
                           struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    char digest[65];
    struct buf sheet = {.limit = SHEET_LIMIT_BYTES};
    hex_encode(floors->manifest_digest, 32, digest);
    bool good =
        registry_path(registry, NULL, "floors", path, err) &&
        sheet_line(&sheet, err, "manifest\t%" PRIu64 "\t%s", floors->manifest_version, digest);
    for (size_t i = 0; good && i < floors->count; i++)
        good =
            sheet_line(&sheet, err, "%s\t%" PRIu64, floors->rows[i].name, floors->rows[i].version);
    good = good && sheet_write(registry, path, &sheet, err);
    buf_done(&sheet);
    return good;
}
