/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_BUNDLE_INDEX_H
#define AGENT_BUNDLE_INDEX_H

#include "proto/bundle.h"
#include "proto/limits.h"

/*
 * What a bundle holds for one device, and where. The file is read to its end once, so that one that
 * was cut short or damaged is found before anything of it is used; nothing in it is believed, it is
 * only found again.
 */
struct bundle_place {
    uint8_t sha256[32];
    uint64_t at;
    bool used; /* for the caller */
};

struct bundle_root {
    uint64_t version; /* as it says; its signatures are not looked at */
    uint64_t at;
};

enum { BUNDLE_DEVICES_NAMED = 4 };

struct bundle_index {
    struct bundle_reader *reader;
    struct bundle_root *roots;
    size_t root_count, root_room;
    struct bundle_place *blobs; /* ascending by hash, each once */
    size_t blob_count, blob_room;
    bool has_manifest; /* of the device */
    uint64_t manifest_at;
    char devices[BUNDLE_DEVICES_NAMED][LIMIT_DEVICE_ID_CHARS + 1]; /* the first of all */
    size_t device_count;                                           /* all of them */
};

/* `file` must be one that can be gone back in, and outlives the index. */
bool bundle_index_open(FILE *file, const char *device, struct bundle_index *ret_index,
                       struct err *err) MUSTER_CHECK;
void bundle_index_close(struct bundle_index *index);
/* NULL: it is not there. */
struct bundle_place *bundle_index_find(const struct bundle_index *index, const uint8_t sha256[32]);
/* The content that stands there, valid until the next call. */
bool bundle_index_read(const struct bundle_index *index, uint64_t at, struct bytes *ret_content,
                       struct err *err) MUSTER_CHECK;

#endif
