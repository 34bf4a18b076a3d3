/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bundle_index.h"

#include "proto/desired.pb-c.h"
#include "proto/envelope.h"
#include "proto/seal.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROOTS_MAX = 4096,
    BLOBS_MAX = 1 << 20,
    FIRST_ROOM = 64,
};

/* Room for one more of `size` bytes in a list that holds `count`. */
static bool make_room(void **list, size_t *room, size_t count, size_t size, size_t max,
                      struct err *err)
{
    if (count == max)
        return err_set(err, ERR_INVALID, "more than %zu parts of a kind", max);
    if (count < *room)
        return true;
    size_t more = *room == 0 ? FIRST_ROOM : *room * 2;
    void *grown = realloc(*list, more * size);
    if (grown == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for %zu parts", more);
    *list = grown;
    *room = more;
    return true;
}

/* Only to know which roots are older than the one in force: whoever takes it verifies it. */
static bool stated_version(const struct bundle_part *part, uint64_t *ret_version, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_ROOT_BYTES};
    struct arena arena = {.limit_bytes = 512 * 1024};
    struct envelope envelope;
    ProtobufCMessage *message = NULL;
    bool ok = envelope_read(part->content, &envelope, err) &&
              unpack(&muster__root__descriptor, envelope.body, &limits, &arena, &message, err);
    if (ok)
        *ret_version = ((const Muster__Root *)message)->version;
    arena_done(&arena);
    return ok || err_context(err, "the root at byte %" PRIu64, part->at);
}

static bool add_root(struct bundle_index *index, const struct bundle_part *part, struct err *err)
{
    void *list = index->roots;
    uint64_t version = 0;
    if (!stated_version(part, &version, err))
        return false;
    bool ok = make_room(&list, &index->root_room, index->root_count, sizeof *index->roots,
                        ROOTS_MAX, err);
    index->roots = list;
    if (!ok)
        return false;
    if (index->root_count > 0 && version <= index->roots[index->root_count - 1].version)
        return err_set(err, ERR_INVALID, "the root at byte %" PRIu64 " is out of order", part->at);
    index->roots[index->root_count++] = (struct bundle_root){.version = version, .at = part->at};
    return true;
}

static bool add_manifest(struct bundle_index *index, const char *device,
                         const struct bundle_part *part, struct err *err)
{
    if (index->device_count < BUNDLE_DEVICES_NAMED)
        memcpy(index->devices[index->device_count], part->device, strlen(part->device) + 1);
    index->device_count++;
    if (strcmp(part->device, device) != 0)
        return true;
    if (index->has_manifest)
        return err_set(err, ERR_INVALID, "two manifests for %s", device);
    index->has_manifest = true;
    index->manifest_at = part->at;
    return true;
}

static bool add_blob(struct bundle_index *index, const struct bundle_part *part, struct err *err)
{
    void *list = index->blobs;
    bool ok = make_room(&list, &index->blob_room, index->blob_count, sizeof *index->blobs,
                        BLOBS_MAX, err);
    index->blobs = list;
    if (!ok)
        return false;
    struct bundle_place *place = &index->blobs[index->blob_count++];
    *place = (struct bundle_place){.at = part->at};
    sha256(part->content, place->sha256);
    return true;
}

static int compare_places(const void *a, const void *b)
{
    return memcmp(((const struct bundle_place *)a)->sha256,
                  ((const struct bundle_place *)b)->sha256, 32);
}

static void sort_blobs(struct bundle_index *index)
{
    size_t kept = 0;
    if (index->blob_count == 0)
        return;
    qsort(index->blobs, index->blob_count, sizeof *index->blobs, compare_places);
    for (size_t i = 1; i < index->blob_count; i++)
        if (compare_places(&index->blobs[kept], &index->blobs[i]) != 0)
            index->blobs[++kept] = index->blobs[i];
    index->blob_count = kept + 1;
}

static bool add_part(struct bundle_index *index, const char *device, const struct bundle_part *part,
                     struct err *err)
{
    switch (part->what) {
    case BUNDLE_ROOT:
        return add_root(index, part, err);
    case BUNDLE_MANIFEST:
        return add_manifest(index, device, part, err);
    default:
        return add_blob(index, part, err);
    }
}

bool bundle_index_open(FILE *file, const char *device, struct bundle_index *ret_index,
                       struct err *err)
{
    struct bundle_index index = {0};
    struct bundle_part part = {.what = BUNDLE_ROOT};
    bool ok = bundle_open(file, &index.reader, err);
    while (ok && part.what != BUNDLE_END) {
        ok = bundle_next(index.reader, &part, err);
        if (ok && part.what != BUNDLE_END)
            ok = add_part(&index, device, &part, err);
    }
    if (!ok) {
        bundle_index_close(&index);
        return false;
    }
    sort_blobs(&index);
    *ret_index = index;
    return true;
}

void bundle_index_close(struct bundle_index *index)
{
    bundle_close(index->reader);
    free(index->roots);
    free(index->blobs);
    *index = (struct bundle_index){0};
}

struct bundle_place *bundle_index_find(const struct bundle_index *index, const uint8_t sha256[32])
{
    struct bundle_place key;
    if (index->blob_count == 0)
        return NULL;
    memcpy(key.sha256, sha256, sizeof key.sha256);
    return bsearch(&key, index->blobs, index->blob_count, sizeof *index->blobs, compare_places);
}

bool bundle_index_read(const struct bundle_index *index, uint64_t at, struct bytes *ret_content,
                       struct err *err)
{
    struct bundle_part part;
    if (!bundle_again(index->reader, at, &part, err))
        return false;
    *ret_content = part.content;
    return true;
}
