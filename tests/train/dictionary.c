/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/train/dictionary.h"

#include <stdlib.h>
#include <string.h>
#define ZDICT_STATIC_LINKING_ONLY
#include <zdict.h>
#include <zstd.h>

enum {
    TRAIN_BYTES = 4 * 1024 * 1024, /* of samples that content is chosen from */
    SAMPLES_LIMIT_BYTES = 256 * 1024 * 1024,
    TABLES_BYTES = 512,
};

bool samples_add(struct samples *samples, struct bytes sample, struct err *err)
{
    if (samples->count == samples->room) {
        size_t room = samples->room ? 2 * samples->room : 1024;
        size_t *sizes = realloc(samples->sizes, room * sizeof *sizes);
        if (!sizes)
            return err_set(err, ERR_NO_MEMORY, "no memory for %zu samples", room);
        samples->sizes = sizes;
        samples->room = room;
    }
    samples->data.limit = SAMPLES_LIMIT_BYTES;
    if (!buf_append(&samples->data, sample.data, sample.length, err))
        return false;
    samples->sizes[samples->count++] = sample.length;
    return true;
}

void samples_done(struct samples *samples)
{
    buf_done(&samples->data);
    free(samples->sizes);
    *samples = (struct samples){0};
}

static bool good(size_t result, const char *what, struct err *err)
{
    return !ZDICT_isError(result) ||
           err_set(err, ERR_INVALID, "%s: %s", what, ZDICT_getErrorName(result));
}

/* Every n-th sample, so that all terminals have their say. */
static bool thin(const struct samples *samples, struct samples *ret_thin, struct err *err)
{
    size_t step = samples->data.length / TRAIN_BYTES + 1, at = 0;
    for (size_t i = 0; i < samples->count; i++) {
        if (i % step == 0 &&
            !samples_add(ret_thin, bytes_of(samples->data.data + at, samples->sizes[i]), err))
            return false;
        at += samples->sizes[i];
    }
    return true;
}

static bool train_content(const struct samples *samples, const struct dictionary_plan *plan,
                          struct buf *ret_content, struct err *err)
{
    ZDICT_cover_params_t fixed = {.k = plan->segment, .d = 8, .zParams = {0}};
    ZDICT_fastCover_params_t tried = {.steps = 16, .splitPoint = 0.75, .zParams = {0}};
    uint8_t *room = buf_reserve(ret_content, plan->bytes, err);
    if (!room)
        return false;
    unsigned count = (unsigned)samples->count;
    size_t size = plan->segment > 0
                      ? ZDICT_trainFromBuffer_cover(room, plan->bytes, samples->data.data,
                                                    samples->sizes, count, fixed)
                      : ZDICT_optimizeTrainFromBuffer_fastCover(
                            room, plan->bytes, samples->data.data, samples->sizes, count, &tried);
    if (!good(size, "choosing the content", err))
        return false;
    size_t head = ZDICT_getDictHeaderSize(room, size);
    if (!good(head, "reading the trained dictionary", err))
        return false;
    memmove(room, room + head, size - head);
    ret_content->length += size - head;
    return true;
}

static bool finalize(const struct samples *samples, const struct dictionary_plan *plan,
                     struct bytes content, struct buf *ret_dictionary, struct err *err)
{
    ZDICT_params_t params = {.compressionLevel = plan->level, .dictID = plan->id};
    size_t most = plan->segment > 0 ? plan->bytes + TABLES_BYTES : plan->bytes;
    uint8_t *room = buf_reserve(ret_dictionary, most, err);
    if (!room)
        return false;
    size_t size =
        ZDICT_finalizeDictionary(room, most, content.data, content.length, samples->data.data,
                                 samples->sizes, (unsigned)samples->count, params);
    if (!good(size, "making the entropy tables", err))
        return false;
    ret_dictionary->length += size;
    return true;
}

bool dictionary_train(const struct samples *samples, const struct samples *more,
                      const struct dictionary_plan *plan, struct buf *ret_dictionary,
                      struct err *err)
{
    struct samples thinned = {0};
    struct buf content = {0};
    struct dictionary_plan part = *plan;
    part.bytes = more ? plan->bytes / 3 : plan->bytes;
    bool ok = true;
    if (more)
        ok = thin(more, &thinned, err) && train_content(&thinned, &part, &content, err);
    samples_done(&thinned);
    part.bytes = plan->bytes - content.length;
    ok = ok && thin(samples, &thinned, err) && train_content(&thinned, &part, &content, err) &&
         finalize(samples, plan, buf_bytes(&content), ret_dictionary, err);
    samples_done(&thinned);
    buf_done(&content);
    return ok;
}

bool dictionary_tables(const struct samples *samples, const struct dictionary_plan *plan,
                       struct buf *ret_dictionary, struct err *err)
{
    uint8_t content[128]; /* ZDICT wants some: bytes that no sample repeats */
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (uint8_t)(128 + i);
    return finalize(samples, plan, bytes_of(content, sizeof content), ret_dictionary, err);
}

static bool try_all(const struct samples *samples, ZSTD_CCtx *zstd, struct bytes dictionary,
                    int level, double *ret_mean, struct err *err)
{
    size_t at = 0, sum = 0;
    for (size_t i = 0; i < samples->count; i++) {
        size_t bound = ZSTD_compressBound(samples->sizes[i]);
        void *out = malloc(bound);
        size_t size = out ? ZSTD_compress_usingDict(zstd, out, bound, samples->data.data + at,
                                                    samples->sizes[i], dictionary.data,
                                                    dictionary.length, level)
                          : (size_t)-1;
        free(out);
        if (ZSTD_isError(size))
            return err_set(err, ERR_NO_MEMORY, "zstd does not compress");
        sum += size;
        at += samples->sizes[i];
    }
    *ret_mean = samples->count ? (double)sum / (double)samples->count : 0;
    return true;
}

bool dictionary_try(const struct samples *samples, struct bytes dictionary, int level,
                    double *ret_plain, double *ret_with, struct err *err)
{
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    bool ok = zstd && try_all(samples, zstd, bytes_of(NULL, 0), level, ret_plain, err) &&
              try_all(samples, zstd, dictionary, level, ret_with, err);
    ZSTD_freeCCtx(zstd);
    return ok || err_context(err, "trying the dictionary");
}
