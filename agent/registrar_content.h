/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_REGISTRAR_CONTENT_H
#define AGENT_REGISTRAR_CONTENT_H

#include "agent/blob_set.h"
#include "agent/registrar_plan.h"
#include "base/file.h"

/* Making content out of what is in the store, on a worker. */
enum content_outcome {
    CONTENT_MADE,
    CONTENT_NO_BLOB, /* not in the store, or damaged there (and removed): in `lost` */
    CONTENT_REFUSED, /* the blobs are right and what they lead to is not what the header says */
    CONTENT_BROKEN,  /* disk or memory */
};

struct content_job {
    const struct registry *registry;
    const char *sealing_key; /* file of the key that opens what is sealed */
    const struct registry_item *item;
    const struct content_source *source;
    struct blob_set *lost;
};

/* The content may be secret: secret_done. `ret_copy` is not empty where what was sent cannot be
 * kept as it came: it unfolds to the content by itself. */
enum content_outcome content_make(const struct content_job *job, struct buf *ret_content,
                                  struct buf *ret_copy, struct err *err);
/* The same for content too long for memory; there is no copy of it. */
enum content_outcome content_stream(const struct content_job *job, struct file_writer *to,
                                    struct err *err);
/* Writes it to where the document belongs, in the generation being built or, `replace`, in one that
 * stands, and keeps the copy: `ret_item`, which is `job->item` or one like it, then says which. */
enum content_outcome content_put(const struct content_job *job, uint64_t generation, bool replace,
                                 bool (*check)(void *ctx, struct bytes content), void *ctx,
                                 struct registry_item *ret_item, struct err *err);
/* Hash of a file. */
bool content_hash_file(const char *path, uint8_t ret_sha256[32], struct err *err) MUSTER_CHECK;
/* Hash of a document's file in a generation; ERR_INVALID: what stands there is no regular file. */
bool content_hash(const struct registry *registry, uint64_t generation, const char *name,
                  uint8_t ret_sha256[32], struct err *err) MUSTER_CHECK;

#endif
