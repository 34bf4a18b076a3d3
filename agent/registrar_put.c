/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar_content.h"

#include "proto/seal.h"
#include "proto/sealed.h"

#include <string.h>

/* A copy here that does not lead to the content is no reason to refuse what the fleet sends. */
static enum content_outcome copy_judge(const struct content_job *job, enum content_outcome outcome,
                                       struct err *err)
{
    if (outcome != CONTENT_REFUSED || !job->source->copy)
        return outcome;
    const uint8_t *blob = job->source->way.blob;
    return registry_blob_remove(job->registry, blob, err) && blob_set_add(job->lost, blob, err)
               ? CONTENT_NO_BLOB
               : CONTENT_BROKEN;
}

/* So that a file that is damaged later can be made again without the fleet. */
static bool copy_keep(const struct content_job *job, const struct buf *copy,
                      struct registry_item *item, struct err *err)
{
    memcpy(item->blob, job->source->way.blob, 32);
    item->blob_size = job->source->way.size;
    if (copy->length == 0)
        return true;
    sha256(buf_bytes(copy), item->blob);
    item->blob_size = copy->length;
    return registry_blob_write(job->registry, item->blob, buf_bytes(copy), err);
}

static bool document_write(const struct content_job *job, uint64_t generation, bool replace,
                           struct bytes content, struct err *err)
{
    const struct registry_item *item = job->item;
    return replace
               ? registry_replace(job->registry, generation, item->name, item->sealed, content, err)
               : registry_build_write(job->registry, generation, item->name, item->sealed, content,
                                      err);
}

static enum content_outcome put_short(const struct content_job *job, uint64_t generation,
                                      bool replace, bool (*check)(void *ctx, struct bytes content),
                                      void *ctx, struct registry_item *ret_item, struct err *err)
{
    struct buf content = {0};
    struct buf copy = {0};
    enum content_outcome outcome = copy_judge(job, content_make(job, &content, &copy, err), err);
    if (outcome == CONTENT_MADE && check(ctx, buf_bytes(&content))) {
        if (ret_item->sealed)
            sha256(buf_bytes(&content), ret_item->opened);
        if (!document_write(job, generation, replace, buf_bytes(&content), err) ||
            !copy_keep(job, &copy, ret_item, err))
            outcome = CONTENT_BROKEN;
    }
    secret_done(&content);
    buf_done(&copy);
    return outcome;
}

/* The bytes of a long one are right when their hash is: its kind has no form to be looked at. */
static enum content_outcome put_long(const struct content_job *job, uint64_t generation,
                                     bool replace, struct registry_item *ret_item, struct err *err)
{
    struct file_writer *writer;
    bool opened =
        replace ? registry_replace_stream(job->registry, generation, job->item->name, &writer, err)
                : registry_build_stream(job->registry, generation, job->item->name, &writer, err);
    if (!opened)
        return CONTENT_BROKEN;
    enum content_outcome outcome = content_stream(job, writer, err);
    if (outcome != CONTENT_MADE)
        file_writer_drop(writer);
    else if (!file_writer_keep(writer, err))
        outcome = CONTENT_BROKEN;
    /* It is not kept twice: the fleet sends again what is damaged. */
    memset(ret_item->blob, 0, sizeof ret_item->blob);
    ret_item->blob_size = 0;
    return outcome;
}

enum content_outcome content_put(const struct content_job *job, uint64_t generation, bool replace,
                                 bool (*check)(void *ctx, struct bytes content), void *ctx,
                                 struct registry_item *ret_item, struct err *err)
{
    return ways_is_long(job->item) ? put_long(job, generation, replace, ret_item, err)
                                   : put_short(job, generation, replace, check, ctx, ret_item, err);
}
