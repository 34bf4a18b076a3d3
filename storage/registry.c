/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/registry.h"

#include "storage/registry_internal.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool registry_path(const struct registry *registry, const char *folder, const char *name,
                   char *path, struct err *err)
{
    if (folder == NULL)
        return path_join(path, REGISTRY_PATH_BYTES, registry->dir, name, err);
    char base[REGISTRY_PATH_BYTES];
    return path_join(base, sizeof base, registry->dir, folder, err) &&
           path_join(path, REGISTRY_PATH_BYTES, base, name, err);
}

bool registry_is_folder(const char *path)
{
    struct stat found;
    return lstat(path, &found) == 0 && S_ISDIR(found.st_mode);
}

bool registry_folder(const char *path, bool *mended, struct err *err)
{
    if (registry_is_folder(path))
        return true;
    *mended = true;
    return (!file_exists(path) || file_remove(path, err)) && file_make_dir(path, 0755, err);
}

/* Results are taken whatever has become of the registry: what stands in its folders' places goes. A
 * link that leads nowhere yet is somebody's disk that is not mounted. */
static bool open_folders(const struct registry *registry, struct err *err)
{
    static const char *const folders[] = {"generations", "blobs"};
    char path[REGISTRY_PATH_BYTES];
    bool mended = false;
    struct stat st;
    bool is_link = lstat(registry->dir, &st) == 0 && S_ISLNK(st.st_mode);
    if (!is_link && !registry_folder(registry->dir, &mended, err))
        return false;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (!registry_path(registry, NULL, folders[i], path, err) ||
            !registry_folder(path, &mended, err))
            return false;
    }
    return true;
}

bool registry_open(const char *dir, const char *floors,
                   void (*digest)(struct bytes data, uint8_t ret_digest[32]),
                   struct registry **ret_registry, struct err *err)
{
    if (strlen(dir) >= REGISTRY_DIR_BYTES || strlen(floors) >= REGISTRY_DIR_BYTES)
        return err_set(err, ERR_INVALID, "registry folder %.64s...: more than %d characters", dir,
                       REGISTRY_DIR_BYTES - 1);
    struct registry *registry = calloc(1, sizeof *registry);
    if (registry == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the registry");
    memcpy(registry->dir, dir, strlen(dir) + 1);
    memcpy(registry->floors, floors, strlen(floors) + 1);
    registry->digest = digest;
    if (!open_folders(registry, err)) {
        registry_close(registry);
        return false;
    }
    *ret_registry = registry;
    return true;
}

void registry_close(struct registry *registry)
{
    free(registry);
}

static bool blob_path(const struct registry *registry, const uint8_t sha256[32], char *path,
                      struct err *err)
{
    char name[65];
    hex_encode(sha256, 32, name);
    return registry_path(registry, "blobs", name, path, err);
}

bool registry_blob_write(const struct registry *registry, const uint8_t sha256[32],
                         struct bytes blob, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    return blob_path(registry, sha256, path, err) && file_write(path, blob, 0600, err);
}

bool registry_blob_read(const struct registry *registry, const uint8_t sha256[32], size_t limit,
                        struct buf *ret_blob, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    return blob_path(registry, sha256, path, err) && file_read(path, limit, ret_blob, err);
}

bool registry_blob_remove(const struct registry *registry, const uint8_t sha256[32],
                          struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    return blob_path(registry, sha256, path, err) && file_remove(path, err);
}

struct blob_walk {
    void (*each)(void *ctx, const uint8_t sha256[32]);
    void *ctx;
};

static bool blob_seen(void *ctx, const char *name)
{
    struct blob_walk *walk = ctx;
    uint8_t sha256[32];
    if (hex_decode(name, strlen(name), sha256, sizeof sha256))
        walk->each(walk->ctx, sha256);
    return true;
}

bool registry_blobs(const struct registry *registry,
                    void (*each)(void *ctx, const uint8_t sha256[32]), void *ctx, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    struct blob_walk walk = {.each = each, .ctx = ctx};
    return registry_path(registry, NULL, "blobs", path, err) &&
           file_list(path, blob_seen, &walk, err);
}

bool registry_desired_read(const struct registry *registry, size_t limit, struct buf *ret_envelope,
                           struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    return registry_path(registry, NULL, "desired", path, err) &&
           file_read(path, limit, ret_envelope, err);
}

bool registry_desired_write(const struct registry *registry, struct bytes envelope, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    return registry_path(registry, NULL, "desired", path, err) &&
           file_write(path, envelope, 0600, err);
}

bool registry_manifest_read(const struct registry *registry, uint64_t number, size_t limit,
                            struct buf *ret_envelope, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    return registry_document_path(registry, number, ".manifest", path, err) &&
           file_read(path, limit, ret_envelope, err);
}

bool registry_manifest_write(const struct registry *registry, uint64_t number,
                             struct bytes envelope, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    return registry_document_path(registry, number, ".manifest", path, err) &&
           file_write(path, envelope, 0600, err);
}

bool registry_failure_read(const struct registry *registry, struct registry_failure *ret_failure,
                           struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    struct buf sheet = {0};
    struct err why = {0};
    if (!registry_path(registry, NULL, "failure", path, err))
        return false;
    if (!sheet_read(registry, path, &sheet, &why)) {
        if (why.code != ERR_NOT_FOUND)
            return err_set(err, why.code, "%s", why.text);
        *ret_failure = (struct registry_failure){0};
        return true;
    }
    char *text = (char *)sheet.data;
    char *fields[SHEET_FIELDS];
    struct registry_failure failure = {.present = true};
    size_t count = sheet_next(&text, fields);
    uint64_t refusal = 0;
    bool good = count == 7 && sheet_digest(fields[0], failure.digest) &&
                sheet_number(fields[4], &refusal) && refusal <= INT_MAX &&
                sheet_digest(fields[5], failure.key) &&
                sheet_number(fields[6], &failure.manifest_version);
    if (good) {
        failure.refusal = (int)refusal;
        failure.content = strcmp(fields[1], "content") == 0;
        snprintf(failure.item, sizeof failure.item, "%s", fields[2]);
        snprintf(failure.reason, sizeof failure.reason, "%s", fields[3]);
        *ret_failure = failure;
    } else {
        err_set(err, ERR_INVALID, "%s: not a failure record", path);
    }
    buf_done(&sheet);
    return good;
}

bool registry_failure_remove(const struct registry *registry, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    return registry_path(registry, NULL, "failure", path, err) && file_remove(path, err);
}

bool registry_failure_write(const struct registry *registry, const struct registry_failure *failure,
                            struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    char digest[65];
    char key[65];
    char reason[sizeof failure->reason];
    struct buf sheet = {.limit = SHEET_LIMIT_BYTES};
    hex_encode(failure->digest, 32, digest);
    hex_encode(failure->key, 32, key);
    snprintf(reason, sizeof reason, "%s", failure->reason);
    for (char *c = reason; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ')
            *c = ' ';
    }
    bool good = registry_path(registry, NULL, "failure", path, err) &&
                sheet_line(&sheet, err, "%s\t%s\t%s\t%s\t%d\t%s\t%" PRIu64, digest,
                           failure->content ? "content" : "generation", failure->item, reason,
                           failure->refusal, key, failure->manifest_version) &&
                sheet_write(registry, path, &sheet, err);
    buf_done(&sheet);
    return good;
}
