/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar_content.h"

#include "agent/unfold.h"
#include "proto/limits.h"
#include "proto/refusal.h"
#include "proto/seal.h"
#include "proto/sealed.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- what was sent ---- */

static enum content_outcome lose(const struct content_job *job, const uint8_t sha256[32],
                                 struct err *err)
{
    return blob_set_add(job->lost, sha256, err) ? CONTENT_NO_BLOB : CONTENT_BROKEN;
}

/* Nothing is looked into before its hash has matched: it was only bytes on a disk. */
static enum content_outcome blob_get(const struct content_job *job, const uint8_t sha256_wanted[32],
                                     struct buf *ret_blob, struct err *err)
{
    struct err why = {0};
    uint8_t digest[32];
    size_t limit = job->source->copy ? LIMIT_DOCUMENT_BYTES + LIMIT_BLOB_BYTES : LIMIT_BLOB_BYTES;
    if (!registry_blob_read(job->registry, sha256_wanted, limit, ret_blob, &why)) {
        if (why.code == ERR_NO_MEMORY) {
            *err = why;
            return CONTENT_BROKEN;
        }
        if (why.code == ERR_NOT_FOUND)
            return lose(job, sha256_wanted, err);
    } else {
        sha256(buf_bytes(ret_blob), digest);
        if (memcmp(digest, sha256_wanted, sizeof digest) == 0)
            return CONTENT_MADE;
        buf_done(ret_blob);
    }
    /* Unreadable or damaged: out of the way, so that it is fetched again. */
    return registry_blob_remove(job->registry, sha256_wanted, err) ? lose(job, sha256_wanted, err)
                                                                   : CONTENT_BROKEN;
}

static enum content_outcome list_get(const struct content_job *job, struct pieces **ret_pieces,
                                     struct err *err)
{
    struct buf list = {0};
    struct err why = {0};
    enum content_outcome outcome = blob_get(job, job->source->way.blob, &list, err);
    if (outcome == CONTENT_MADE &&
        !pieces_read(&job->source->way, buf_bytes(&list), ret_pieces, &why)) {
        outcome = why.code == ERR_INVALID ? CONTENT_REFUSED : CONTENT_BROKEN;
        *err = why;
    }
    buf_done(&list);
    return outcome;
}

struct taker {
    bool (*take)(void *ctx, struct bytes part, struct err *err);
    void *ctx;
};

static enum content_outcome give(const struct taker *taker, struct bytes part, struct err *err)
{
    struct err why = {0};
    if (taker->take(taker->ctx, part, &why))
        return CONTENT_MADE;
    *err = why;
    return why.code == ERR_INVALID ? CONTENT_REFUSED : CONTENT_BROKEN;
}

static enum content_outcome piece_give(const struct content_job *job, const struct pieces *pieces,
                                       size_t n, const struct taker *taker, struct err *err)
{
    struct buf piece = {0};
    enum content_outcome outcome = blob_get(job, pieces->sha256[n], &piece, err);
    if (outcome == CONTENT_MADE && piece.length != pieces_length(pieces, n)) {
        refuse(err, MUSTER__REFUSAL__REFUSAL_CONTENT_FORM, ERR_INVALID,
               "piece %zu has %zu bytes, %" PRIu64 " are expected", n + 1, piece.length,
               pieces_length(pieces, n));
        outcome = CONTENT_REFUSED;
    }
    if (outcome == CONTENT_MADE)
        outcome = give(taker, buf_bytes(&piece), err);
    buf_done(&piece);
    return outcome;
}

/* After a piece that is gone the others are still looked at, so that all that is damaged is fetched
 * again at once. */
static bool nobody(void *ctx, struct bytes part, struct err *err)
{
    (void)ctx, (void)part, (void)err;
    return true;
}

/* All that was sent, in order, a part at a time. */
static enum content_outcome sent_give(const struct content_job *job, struct taker taker,
                                      struct err *err)
{
    struct pieces *pieces = NULL;
    struct buf blob = {0};
    if (job->source->way.piece_bytes == 0) {
        enum content_outcome outcome = blob_get(job, job->source->way.blob, &blob, err);
        if (outcome == CONTENT_MADE)
            outcome = give(&taker, buf_bytes(&blob), err);
        buf_done(&blob);
        return outcome;
    }
    enum content_outcome all = list_get(job, &pieces, err);
    for (size_t i = 0; pieces != NULL && i < pieces->count; i++) {
        enum content_outcome outcome = piece_give(job, pieces, i, &taker, err);
        if (outcome == CONTENT_MADE)
            continue;
        all = outcome;
        if (outcome != CONTENT_NO_BLOB)
            break;
        taker.take = nobody;
    }
    free(pieces);
    return all;
}

static bool join(void *ctx, struct bytes part, struct err *err)
{
    return buf_append(ctx, part.data, part.length, err);
}

/* ---- what it leads to ---- */

static enum content_outcome refused(const struct registry_item *item, struct err *err)
{
    if (err->code != ERR_INVALID && err->code != ERR_REFUSED)
        return CONTENT_BROKEN;
    err_context(err, "%s", item->name);
    return CONTENT_REFUSED;
}

static bool hash_check(const uint8_t digest[32], const struct registry_item *item, struct err *err)
{
    return memcmp(digest, item->sha256, 32) == 0 ||
           refuse(err, MUSTER__REFUSAL__REFUSAL_CONTENT_HASH, ERR_INVALID,
                  "its content has another hash than the header says");
}

static bool base_get(const struct content_job *job, struct buf *ret_base, struct err *err)
{
    const struct content_source *source = job->source;
    char path[REGISTRY_PATH_BYTES];
    uint8_t digest[32];
    struct err why = {0};
    if (!registry_document_path(job->registry, source->base_generation, source->base_name, path,
                                err))
        return false;
    bool read = file_read(path, LIMIT_DOCUMENT_BYTES, ret_base, &why);
    if (!read && why.code == ERR_NO_MEMORY) {
        *err = why;
        return false;
    }
    if (read)
        sha256(buf_bytes(ret_base), digest);
    return (read && memcmp(digest, source->way.base, sizeof digest) == 0) ||
           refuse(err, MUSTER__REFUSAL__REFUSAL_CONTENT_FORM, ERR_INVALID,
                  "what the delta starts from is damaged here");
}

/* Opened only to be looked at: what lies on the disk of a key block is what was sent. */
static bool key_stays_sealed(const struct content_job *job, struct bytes sent, struct buf *content,
                             struct err *err)
{
    struct key_block_header header = {0};
    bool good = key_block_read(buf_bytes(content), &header, err) ||
                refuse_as(err, MUSTER__REFUSAL__REFUSAL_CONTENT_CHECK);
    if (good && job->source->key.slot[0] != '\0')
        good = key_placement_check(&job->source->key, &header, err);
    secret_done(content);
    *content = (struct buf){.limit = LIMIT_SEALED_BYTES};
    return good && buf_append(content, sent.data, sent.length, err);
}

/* What is not the document is no reason to look for a key. */
static bool content_unseal(const struct content_job *job, struct bytes sent, struct buf *content,
                           struct err *err)
{
    struct sealing_key *key = NULL;
    uint8_t digest[32];
    if (sent.length != job->item->length)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_CONTENT_LENGTH, ERR_INVALID,
                      "what was sent has %zu bytes, the header says %" PRIu64, sent.length,
                      job->item->length);
    sha256(sent, digest);
    if (!hash_check(digest, job->item, err))
        return false;
    if (!sealing_key_read(job->sealing_key, &key, err)) {
        refuse_as(err, MUSTER__REFUSAL__REFUSAL_CONTENT_SEALED);
        if (err->code != ERR_NO_MEMORY)
            err->code = ERR_UNAVAILABLE; /* says nothing of the content: tried again */
        return err_context(err, "%s is sealed, and the key that opens it cannot be used",
                           job->item->name);
    }
    bool opened = sealed_open(key, sent, content, err);
    sealing_key_free(key);
    if (opened && job->item->kind == (int)MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK)
        opened = key_stays_sealed(job, sent, content, err);
    return opened;
}

static bool content_unfold(const struct content_job *job, struct bytes sent, struct buf *content,
                           struct err *err)
{
    struct buf base = {0};
    uint8_t digest[32];
    bool delta = job->source->way.coding == MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA;
    bool good = (!delta || base_get(job, &base, err)) &&
                unfold(sent, buf_bytes(&base), job->item->length, content, err);
    buf_done(&base);
    if (!good)
        return false;
    sha256(buf_bytes(content), digest);
    return hash_check(digest, job->item, err);
}

/* Can what was sent be kept to make the content again, as it came? */
static bool keeps_as_sent(const struct content_source *source)
{
    return source->way.coding != MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA &&
           source->way.piece_bytes == 0;
}

enum content_outcome content_make(const struct content_job *job, struct buf *ret_content,
                                  struct buf *ret_copy, struct err *err)
{
    struct buf sent = {.limit = LIMIT_DOCUMENT_BYTES + LIMIT_BLOB_BYTES};
    struct buf content = {0};
    struct err why = {0};
    enum content_outcome outcome = sent_give(job, (struct taker){join, &sent}, &why);
    if (outcome == CONTENT_MADE &&
        !(job->item->sealed ? content_unseal(job, buf_bytes(&sent), &content, &why)
                            : content_unfold(job, buf_bytes(&sent), &content, &why)))
        outcome = CONTENT_REFUSED;
    bool delta = job->source->way.coding == MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA;
    if (outcome == CONTENT_MADE && delta && !fold(buf_bytes(&content), ret_copy, &why))
        outcome = CONTENT_BROKEN;
    if (outcome == CONTENT_REFUSED)
        outcome = refused(job->item, &why);
    if (outcome == CONTENT_MADE && !delta && !keeps_as_sent(job->source)) {
        *ret_copy = sent;
        sent = (struct buf){0};
    }
    buf_done(&sent);
    if (outcome == CONTENT_MADE) {
        *ret_content = content;
    } else {
        secret_done(&content);
        *err = why;
    }
    return outcome;
}

/* ---- content too long for memory ---- */

struct stream {
    struct file_writer *to;
    struct sha256_state *hash;
    struct unfolding *unfolding;
};

static bool stream_out(void *ctx, struct bytes part, struct err *err)
{
    struct stream *stream = ctx;
    sha256_add(stream->hash, part);
    return file_writer_add(stream->to, part, err);
}

static bool stream_in(void *ctx, struct bytes part, struct err *err)
{
    struct stream *stream = ctx;
    return unfolding_add(stream->unfolding, part, err);
}

enum content_outcome content_stream(const struct content_job *job, struct file_writer *to,
                                    struct err *err)
{
    struct stream stream = {.to = to, .hash = sha256_begin()};
    uint8_t digest[32];
    struct err why = {0};
    if (stream.hash == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory to hash %s", job->item->name);
        return CONTENT_BROKEN;
    }
    enum content_outcome outcome = CONTENT_BROKEN;
    if (unfolding_begin(job->item->length, stream_out, &stream, &stream.unfolding, &why))
        outcome = sent_give(job, (struct taker){stream_in, &stream}, &why);
    if (outcome == CONTENT_MADE && !unfolding_end(stream.unfolding, &why))
        outcome = CONTENT_REFUSED;
    unfolding_free(stream.unfolding);
    sha256_end(stream.hash, digest);
    if (outcome == CONTENT_MADE && !hash_check(digest, job->item, &why))
        outcome = CONTENT_REFUSED;
    if (outcome == CONTENT_REFUSED)
        outcome = refused(job->item, &why);
    if (outcome != CONTENT_MADE)
        *err = why;
    return outcome;
}

static void hash_part(void *ctx, struct bytes part)
{
    sha256_add(ctx, part);
}

bool content_hash_file(const char *path, uint8_t ret_sha256[32], struct err *err)
{
    uint8_t digest[32];
    struct sha256_state *state = sha256_begin();
    if (state == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to hash %s", path);
    bool read = file_scan(path, hash_part, state, err);
    sha256_end(state, digest);
    if (read)
        memcpy(ret_sha256, digest, sizeof digest);
    return read;
}

bool content_hash(const struct registry *registry, uint64_t generation, const char *name,
                  uint8_t ret_sha256[32], struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    struct registry_look look;
    if (!registry_document_path(registry, generation, name, path, err) ||
        !registry_look(registry, generation, name, &look, err))
        return false;
    if (!look.regular)
        return err_set(err, ERR_INVALID, "%s is not a regular file", path);
    return content_hash_file(path, ret_sha256, err);
}
