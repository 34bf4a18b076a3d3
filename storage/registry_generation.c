/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/registry.h"

#include "storage/registry_internal.h"
#include "storage/registry_probation.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ITEMS_HEAD "muster-generation"

enum { NUMBER_CHARS = 8, BUILDING_BYTES = 32, TARGET_BYTES = BUILDING_BYTES + 16 };

static void number_format(uint64_t number, char text[BUILDING_BYTES])
{
    snprintf(text, BUILDING_BYTES, "%08" PRIu64, number);
}

static void building_format(uint64_t number, char text[BUILDING_BYTES])
{
    snprintf(text, BUILDING_BYTES, "%08" PRIu64 ".tmp", number);
}

static bool number_parse(const char *name, uint64_t *ret_number)
{
    return strlen(name) >= NUMBER_CHARS && sheet_number(name, ret_number) && *ret_number > 0;
}

bool registry_building_path(const struct registry *registry, uint64_t number, char *path,
                            struct err *err)
{
    char name[BUILDING_BYTES];
    building_format(number, name);
    return registry_path(registry, "generations", name, path, err);
}

bool registry_generation_path(const struct registry *registry, uint64_t number, char *path,
                              struct err *err)
{
    char name[BUILDING_BYTES];
    number_format(number, name);
    return registry_path(registry, "generations", name, path, err);
}

bool registry_document_path(const struct registry *registry, uint64_t number, const char *name,
                            char *path, struct err *err)
{
    char dir[REGISTRY_PATH_BYTES];
    return registry_generation_path(registry, number, dir, err) &&
           path_join(path, REGISTRY_PATH_BYTES, dir, name, err);
}

static bool building_document_path(const struct registry *registry, uint64_t number,
                                   const char *name, char *path, struct err *err)
{
    char dir[REGISTRY_PATH_BYTES];
    return registry_building_path(registry, number, dir, err) &&
           path_join(path, REGISTRY_PATH_BYTES, dir, name, err);
}

const uint8_t *registry_item_content(const struct registry_item *item)
{
    return item->sealed ? item->opened : item->sha256;
}

/* Lists from before documents were sealed end with the blob. */
enum { ITEM_FIELDS_PUBLIC = 7, ITEM_FIELDS = 10 };

static bool item_parse_sealed(char *fields[SHEET_FIELDS], size_t count, struct registry_item *item)
{
    uint64_t sealed = 0;
    item->epoch = 0;
    memset(item->opened, 0, sizeof item->opened);
    if (count == ITEM_FIELDS &&
        (!sheet_number(fields[7], &item->epoch) || !sheet_number(fields[8], &sealed) ||
         sealed > 1 || !sheet_digest(fields[9], item->opened)))
        return false;
    item->sealed = sealed == 1;
    return true;
}

static bool item_parse(char *fields[SHEET_FIELDS], size_t count, struct registry_item *item)
{
    uint64_t kind;
    bool known = count == ITEM_FIELDS_PUBLIC || count == ITEM_FIELDS;
    size_t length = known ? strlen(fields[0]) : 0;
    if (length == 0 || length > REGISTRY_NAME_CHARS || fields[0][0] == '.' ||
        strchr(fields[0], '/') != NULL || !sheet_number(fields[1], &kind) || kind > INT32_MAX)
        return false;
    memcpy(item->name, fields[0], length + 1);
    item->kind = (int)kind;
    return sheet_number(fields[2], &item->version) && sheet_number(fields[3], &item->length) &&
           sheet_digest(fields[4], item->sha256) && sheet_digest(fields[5], item->blob) &&
           sheet_number(fields[6], &item->blob_size) && item_parse_sealed(fields, count, item);
}

static bool generation_parse(char *text, struct registry_generation *generation)
{
    char *fields[SHEET_FIELDS];
    if (sheet_next(&text, fields) != 3 || strcmp(fields[0], ITEMS_HEAD) != 0 ||
        !sheet_number(fields[1], &generation->number) || generation->number == 0 ||
        !sheet_digest(fields[2], generation->digest))
        return false;
    struct registry_items *list = &generation->list;
    list->count = 0;
    size_t count;
    while ((count = sheet_next(&text, fields)) > 0) {
        if (list->count == REGISTRY_ITEMS || !item_parse(fields, count, &list->items[list->count]))
            return false;
        list->count++;
    }
    return true;
}

/* `dir` may be the link `current`: the number is in the list itself. */
static bool generation_read(const struct registry *registry, const char *dir,
                            struct registry_generation *ret_generation, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    struct buf sheet = {0};
    if (!path_join(path, sizeof path, dir, ".items", err) ||
        !sheet_read(registry, path, &sheet, err))
        return false;
    bool good = generation_parse((char *)sheet.data, ret_generation);
    if (!good)
        err_set(err, ERR_INVALID, "%s: not a list of items", path);
    buf_done(&sheet);
    return good;
}

bool registry_generation_read(const struct registry *registry, uint64_t number,
                              struct registry_generation *ret_generation, struct err *err)
{
    char dir[REGISTRY_PATH_BYTES];
    return registry_generation_path(registry, number, dir, err) &&
           generation_read(registry, dir, ret_generation, err) &&
           (ret_generation->number == number ||
            err_set(err, ERR_INVALID, "%s: the list there is of generation %" PRIu64, dir,
                    ret_generation->number));
}

struct load {
    uint64_t below;   /* look at numbers below this one */
    uint64_t newest;  /* found so far */
    uint64_t highest; /* of all */
};

static bool load_entry(void *ctx, const char *name)
{
    struct load *load = ctx;
    uint64_t number;
    if (!number_parse(name, &number))
        return true;
    if (number > load->highest)
        load->highest = number;
    if (number < load->below && number > load->newest)
        load->newest = number;
    return true;
}

/* The newest whole generation below `below`; `number` stays 0 if there is none. */
static bool newest_whole(const struct registry *registry, uint64_t below,
                         struct registry_generation *ret_generation, uint64_t *ret_highest,
                         struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    ret_generation->number = 0;
    if (!registry_path(registry, NULL, "generations", path, err))
        return false;
    for (;;) {
        struct load load = {.below = below};
        if (!file_list(path, load_entry, &load, err))
            return false;
        if (ret_highest != NULL)
            *ret_highest = load.highest;
        if (load.newest == 0)
            return true;
        char dir[REGISTRY_PATH_BYTES];
        if (!registry_generation_path(registry, load.newest, dir, err))
            return false;
        struct err why = {0};
        if (generation_read(registry, dir, ret_generation, &why) &&
            ret_generation->number == load.newest)
            return true;
        ret_generation->number = 0;
        if (why.code == ERR_NO_MEMORY) /* says nothing of the generation */
            return err_set(err, why.code, "%s", why.text);
        below = load.newest;
    }
}

struct sweep {
    const struct registry *registry;
    const uint64_t *keep; /* NULL: everything up to `above` */
    size_t keep_count;
    uint64_t above;
    struct err *err;
    bool failed;
};

static bool is_named(uint64_t number, const char *name)
{
    char whole[BUILDING_BYTES], building[BUILDING_BYTES];
    number_format(number, whole);
    building_format(number, building);
    return number > 0 && (strcmp(name, whole) == 0 || strcmp(name, building) == 0);
}

static bool sweep_keeps(const struct sweep *sweep, const char *name)
{
    uint64_t number;
    if (sweep->keep == NULL) /* at a start nothing is being built */
        return number_parse(name, &number) && number <= sweep->above;
    for (size_t i = 0; i < sweep->keep_count; i++) {
        if (is_named(sweep->keep[i], name))
            return true;
    }
    return false;
}

static bool sweep_entry(void *ctx, const char *name)
{
    struct sweep *sweep = ctx;
    char path[REGISTRY_PATH_BYTES];
    if (sweep_keeps(sweep, name))
        return true;
    sweep->failed = !registry_path(sweep->registry, "generations", name, path, sweep->err) ||
                    !file_remove_tree(path, sweep->err);
    return !sweep->failed;
}

static bool sweep_generations(struct sweep *sweep)
{
    char path[REGISTRY_PATH_BYTES];
    return registry_path(sweep->registry, NULL, "generations", path, sweep->err) &&
           file_list(path, sweep_entry, sweep, sweep->err) && !sweep->failed;
}

/* What the link `current` says when the generation is in force. */
static void target_format(uint64_t number, char target[TARGET_BYTES])
{
    char name[BUILDING_BYTES];
    number_format(number, name);
    snprintf(target, TARGET_BYTES, "generations/%s", name);
}

static bool point_current(const struct registry *registry, uint64_t number, struct err *err)
{
    char link[REGISTRY_PATH_BYTES];
    char target[TARGET_BYTES];
    target_format(number, target);
    /* A folder, as a copy that followed the link leaves it, is in the way of a rename. */
    return registry_path(registry, NULL, "current", link, err) &&
           (!registry_is_folder(link) || file_remove_tree(link, err)) &&
           file_point(link, target, err);
}

static bool leftover_entry(void *ctx, const char *name)
{
    struct sweep *sweep = ctx;
    char path[REGISTRY_PATH_BYTES];
    if (name[0] != '.')
        return true;
    sweep->failed = !registry_path(sweep->registry, NULL, name, path, sweep->err) ||
                    !file_remove_tree(path, sweep->err);
    return !sweep->failed;
}

/* What interrupted writes of the registry's own files left behind. */
static bool sweep_leftovers(const struct registry *registry, struct err *err)
{
    struct sweep sweep = {.registry = registry, .err = err};
    return file_list(registry->dir, leftover_entry, &sweep, err) && !sweep.failed &&
           file_sweep_beside(registry->floors, err);
}

/* The generation in force. Its list must be its own: what is older or newer than it goes. */
static bool current_read(const struct registry *registry, struct registry_generation *ret_current,
                         struct err *err)
{
    char link[REGISTRY_PATH_BYTES], target[TARGET_BYTES], held[TARGET_BYTES] = "";
    if (!registry_path(registry, NULL, "current", link, err) ||
        !generation_read(registry, link, ret_current, err))
        return false;
    target_format(ret_current->number, target);
    ssize_t length = readlink(link, held, sizeof held - 1);
    held[length > 0 ? length : 0] = '\0';
    return strcmp(held, target) == 0 ||
           err_set(err, ERR_INVALID, "%s: the list there is of generation %" PRIu64, link,
                   ret_current->number);
}

bool registry_load(const struct registry *registry, struct registry_held *ret_held, struct err *err)
{
    struct registry_generation *current = &ret_held->current;
    struct err why = {0};
    ret_held->recovered = false;
    bool whole = current_read(registry, current, &why);
    if (!whole && why.code == ERR_NO_MEMORY)
        return err_set(err, why.code, "%s", why.text);
    /* A generation newer than the one in force was renamed but never switched to: build again. */
    struct sweep sweep = {
        .registry = registry, .above = whole ? current->number : UINT64_MAX, .err = err};
    if (!sweep_leftovers(registry, err) || !sweep_generations(&sweep))
        return false;
    if (!whole) {
        if (!newest_whole(registry, UINT64_MAX, current, &ret_held->highest, err))
            return false;
        if (current->number > 0 && !point_current(registry, current->number, err))
            return false;
        ret_held->recovered = current->number > 0 || ret_held->highest > 0;
    }
    return newest_whole(registry, current->number, &ret_held->previous, &ret_held->highest, err);
}

bool registry_build_begin(const struct registry *registry, uint64_t number, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    return registry_building_path(registry, number, path, err) && file_remove_tree(path, err) &&
           file_make_dir(path, 0755, err);
}

bool registry_build_carry(const struct registry *registry, uint64_t number, uint64_t from,
                          const char *name, struct err *err)
{
    char old[REGISTRY_PATH_BYTES];
    char path[REGISTRY_PATH_BYTES];
    return registry_document_path(registry, from, name, old, err) &&
           building_document_path(registry, number, name, path, err) && file_link(old, path, err);
}

static unsigned document_mode(bool sealed)
{
    return sealed ? 0640 : 0644;
}

unsigned registry_item_mode(const struct registry_item *item)
{
    return document_mode(item->sealed);
}

bool registry_build_write(const struct registry *registry, uint64_t number, const char *name,
                          bool sealed, struct bytes content, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    return building_document_path(registry, number, name, path, err) &&
           file_write(path, content, document_mode(sealed), err);
}

bool registry_build_stream(const struct registry *registry, uint64_t number, const char *name,
                           struct file_writer **ret_writer, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    return building_document_path(registry, number, name, path, err) &&
           file_writer_open(path, document_mode(false), ret_writer, err);
}

static bool item_line(struct buf *sheet, const struct registry_item *item, struct err *err)
{
    char sha256[65];
    char blob[65];
    char opened[65];
    hex_encode(item->sha256, 32, sha256);
    hex_encode(item->blob, 32, blob);
    hex_encode(item->opened, 32, opened);
    return sheet_line(sheet, err,
                      "%s\t%d\t%" PRIu64 "\t%" PRIu64 "\t%s\t%s\t%" PRIu64 "\t%" PRIu64 "\t%d\t%s",
                      item->name, item->kind, item->version, item->length, sha256, blob,
                      item->blob_size, item->epoch, item->sealed ? 1 : 0, opened);
}

/* The list of what the generation holds, into its folder `dir`. */
static bool generation_write(const struct registry *registry, const char *dir,
                             const struct registry_generation *generation, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    char digest[65];
    struct buf sheet = {.limit = SHEET_LIMIT_BYTES};
    hex_encode(generation->digest, 32, digest);
    bool good = sheet_line(&sheet, err, ITEMS_HEAD "\t%" PRIu64 "\t%s", generation->number, digest);
    for (size_t i = 0; good && i < generation->list.count; i++)
        good = item_line(&sheet, &generation->list.items[i], err);
    good = good && path_join(path, sizeof path, dir, ".items", err) &&
           sheet_write(registry, path, &sheet, err);
    buf_done(&sheet);
    return good;
}

bool registry_build_finish(const struct registry *registry,
                           const struct registry_generation *generation, struct bytes manifest,
                           struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    char dir[REGISTRY_PATH_BYTES];
    return building_document_path(registry, generation->number, ".manifest", path, err) &&
           file_write(path, manifest, 0600, err) &&
           registry_building_path(registry, generation->number, dir, err) &&
           generation_write(registry, dir, generation, err);
}

bool registry_relist(const struct registry *registry, const struct registry_generation *generation,
                     struct err *err)
{
    char dir[REGISTRY_PATH_BYTES];
    return registry_generation_path(registry, generation->number, dir, err) &&
           generation_write(registry, dir, generation, err);
}

bool registry_build_drop(const struct registry *registry, uint64_t number, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    return registry_building_path(registry, number, path, err) && file_remove_tree(path, err);
}

bool registry_switch(const struct registry *registry, uint64_t number, struct err *err)
{
    char building[REGISTRY_PATH_BYTES];
    char path[REGISTRY_PATH_BYTES];
    return registry_building_path(registry, number, building, err) &&
           registry_generation_path(registry, number, path, err) &&
           file_rename(building, path, err) && point_current(registry, number, err);
}

/* Where the document of a generation is, with nothing in the way that no rename replaces. */
static bool replace_path(const struct registry *registry, uint64_t number, const char *name,
                         char path[REGISTRY_PATH_BYTES], struct err *err)
{
    return registry_document_path(registry, number, name, path, err) &&
           (!registry_is_folder(path) || file_remove_tree(path, err));
}

bool registry_replace(const struct registry *registry, uint64_t number, const char *name,
                      bool sealed, struct bytes content, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    return replace_path(registry, number, name, path, err) &&
           file_write(path, content, document_mode(sealed), err);
}

bool registry_replace_stream(const struct registry *registry, uint64_t number, const char *name,
                             struct file_writer **ret_writer, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    return replace_path(registry, number, name, path, err) &&
           file_writer_open(path, document_mode(false), ret_writer, err);
}

static bool mend_link(const struct registry *registry, uint64_t number, bool *mended,
                      struct err *err)
{
    char link[REGISTRY_PATH_BYTES];
    char wanted[TARGET_BYTES];
    char found[TARGET_BYTES] = "";
    if (!registry_path(registry, NULL, "current", link, err))
        return false;
    target_format(number, wanted);
    ssize_t length = readlink(link, found, sizeof found - 1);
    if (length > 0 && strcmp(found, wanted) == 0)
        return true;
    *mended = true;
    return point_current(registry, number, err);
}

static bool mend_list(const struct registry *registry, const char *dir,
                      const struct registry_generation *generation, bool *mended, struct err *err)
{
    struct registry_generation *found = calloc(1, sizeof *found);
    if (found == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to read a list of items");
    struct err why = {0};
    bool same = generation_read(registry, dir, found, &why) && found->number == generation->number;
    free(found);
    if (why.code == ERR_NO_MEMORY)
        return err_set(err, why.code, "%s", why.text);
    if (same)
        return true;
    *mended = true;
    return generation_write(registry, dir, generation, err);
}

bool registry_mend(const struct registry *registry, const struct registry_generation *generation,
                   bool *ret_mended, struct err *err)
{
    char blobs[REGISTRY_PATH_BYTES];
    char dir[REGISTRY_PATH_BYTES];
    bool mended = false;
    if (!registry_path(registry, NULL, "blobs", blobs, err) ||
        !registry_folder(blobs, &mended, err))
        return false;
    if (generation->number > 0 &&
        (!registry_generation_path(registry, generation->number, dir, err) ||
         !registry_folder(dir, &mended, err) ||
         !mend_list(registry, dir, generation, &mended, err) ||
         !mend_link(registry, generation->number, &mended, err)))
        return false;
    *ret_mended = mended;
    return true;
}

bool registry_share(const struct registry *registry, uint64_t number, uint64_t from,
                    const char *name, struct err *err)
{
    char good[REGISTRY_PATH_BYTES];
    char path[REGISTRY_PATH_BYTES];
    char beside[REGISTRY_PATH_BYTES];
    return registry_document_path(registry, from, name, good, err) &&
           replace_path(registry, number, name, path, err) &&
           registry_document_path(registry, number, ".share", beside, err) &&
           file_remove(beside, err) && file_link(good, beside, err) &&
           file_rename(beside, path, err);
}

struct strays {
    const char *dir;
    const struct registry_generation *generation;
    bool (*stray)(void *ctx, const char *name);
    void *ctx;
    struct err *err;
    bool failed;
};

static bool stray_entry(void *ctx, const char *name)
{
    struct strays *strays = ctx;
    if (strcmp(name, ".items") == 0 || strcmp(name, ".manifest") == 0)
        return true;
    for (size_t i = 0; i < strays->generation->list.count; i++) {
        if (strcmp(strays->generation->list.items[i].name, name) == 0)
            return true;
    }
    if (name[0] != '.' && strays->stray != NULL && !strays->stray(strays->ctx, name))
        return true;
    char path[REGISTRY_PATH_BYTES];
    strays->failed = !path_join(path, sizeof path, strays->dir, name, strays->err) ||
                     !file_remove_tree(path, strays->err);
    return !strays->failed;
}

bool registry_strays(const struct registry *registry, const struct registry_generation *generation,
                     bool (*stray)(void *ctx, const char *name), void *ctx, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    struct strays strays = {
        .dir = path, .generation = generation, .stray = stray, .ctx = ctx, .err = err};
    return registry_generation_path(registry, generation->number, path, err) &&
           file_list(path, stray_entry, &strays, err) && !strays.failed;
}

bool registry_build_sweep(const struct registry *registry,
                          const struct registry_generation *generation, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    struct strays strays = {.dir = path, .generation = generation, .err = err};
    return registry_building_path(registry, generation->number, path, err) &&
           file_list(path, stray_entry, &strays, err) && !strays.failed;
}

struct blob_sweep {
    const struct registry *registry;
    bool (*needed)(void *ctx, const uint8_t sha256[32]);
    void *ctx;
    struct err *err;
    bool failed;
};

static bool blob_sweep_entry(void *ctx, const char *name)
{
    struct blob_sweep *sweep = ctx;
    uint8_t sha256[32];
    if (hex_decode(name, strlen(name), sha256, sizeof sha256) && sweep->needed(sweep->ctx, sha256))
        return true;
    char path[REGISTRY_PATH_BYTES];
    sweep->failed = !registry_path(sweep->registry, "blobs", name, path, sweep->err) ||
                    !file_remove(path, sweep->err);
    return !sweep->failed;
}

bool registry_prune(const struct registry *registry, const uint64_t *keep, size_t keep_count,
                    bool (*needed)(void *ctx, const uint8_t sha256[32]), void *ctx, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    struct sweep sweep = {.registry = registry, .keep = keep, .keep_count = keep_count, .err = err};
    struct blob_sweep blobs = {.registry = registry, .needed = needed, .ctx = ctx, .err = err};
    return (keep_count == 0 || sweep_generations(&sweep)) &&
           registry_path(registry, NULL, "blobs", path, err) &&
           file_list(path, blob_sweep_entry, &blobs, err) && !blobs.failed;
}
