/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/oracle/oracle_internal.h"
#include "tests/oracle/segment.h"

#include <zstd.h>

/* The runs of a body with codec 1, as spool_codec.h words it, put end to end again. */

enum { SUM_BYTES = 4, RUN_LIMIT = 1 << 20 };

struct body {
    sqlite3_int64 id, records;
    struct bytes all, frames; /* `frames`: what is behind the list of runs */
    uint64_t version, runs;
    struct bytes list;
};

static bool sum_fits(const struct body *body)
{
    uint8_t row[8 + 10];
    for (int i = 0; i < 8; i++)
        row[i] = (uint8_t)((uint64_t)body->id >> 8 * i);
    size_t length = 8 + varint_put((uint64_t)body->records, row + 8);
    const uint8_t *said = body->all.data;
    uint32_t sum = segment_sum(0, bytes_of(row, length));
    sum = segment_sum(sum,
                      bytes_of(said + SUM_BYTES, (size_t)(body->frames.data - said) - SUM_BYTES));
    return sum == ((uint32_t)said[0] | (uint32_t)said[1] << 8 | (uint32_t)said[2] << 16 |
                   (uint32_t)said[3] << 24);
}

static bool open_body(struct body *body)
{
    if (body->all.length < SUM_BYTES)
        return false;
    struct bytes rest = bytes_of(body->all.data + SUM_BYTES, body->all.length - SUM_BYTES);
    if (!segment_varint(&rest, &body->version) || !segment_varint(&rest, &body->runs) ||
        body->runs == 0)
        return false;
    body->list = rest;
    for (uint64_t i = 0; i < 2 * (body->runs - 1); i++) {
        uint64_t skipped = 0;
        if (!segment_varint(&rest, &skipped))
            return false;
    }
    body->frames = rest;
    return sum_fits(body);
}

static bool read_dictionary(struct oracle *oracle, uint64_t version, struct buf *ret_content,
                            struct err *err)
{
    sqlite3_stmt *row = NULL;
    if (!oracle_prepare(oracle, "SELECT content FROM place.dictionary WHERE version = ?", &row,
                        err))
        return false;
    (void)sqlite3_bind_int64(row, 1, (sqlite3_int64)version);
    bool ok = sqlite3_step(row) == SQLITE_ROW
                  ? buf_append(ret_content, sqlite3_column_blob(row, 0),
                               (size_t)sqlite3_column_bytes(row, 0), err)
                  : err_set(err, ERR_IO, "the spool lacks its own dictionary %llu",
                            (unsigned long long)version);
    (void)sqlite3_finalize(row);
    return ok;
}

/* False with an err only for want of memory; a frame that is damaged ends the plain body. */
static bool inflate_frames(struct body *body, struct bytes dictionary, struct buf *plain,
                           struct err *err)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    bool ok = context != NULL || err_set(err, ERR_NO_MEMORY, "no memory for zstd");
    for (uint64_t i = 0; ok && i < body->runs; i++) {
        uint64_t records = 0, length = body->frames.length;
        if (i + 1 < body->runs &&
            (!segment_varint(&body->list, &records) || !segment_varint(&body->list, &length) ||
             length > body->frames.length))
            break;
        uint8_t *out = buf_reserve(plain, RUN_LIMIT, err);
        ok = out != NULL;
        size_t got =
            ok ? ZSTD_decompress_usingDict(context, out, RUN_LIMIT, body->frames.data,
                                           (size_t)length, dictionary.data, dictionary.length)
               : 0;
        if (ZSTD_isError(got))
            break;
        plain->length += got;
        body->frames = bytes_of(body->frames.data + length, body->frames.length - (size_t)length);
    }
    (void)ZSTD_freeDCtx(context);
    return ok;
}

bool segment_inflate(struct oracle *oracle, sqlite3_int64 id, sqlite3_int64 records,
                     struct bytes stored, struct buf *ret_plain, struct err *err)
{
    struct body body = {.id = id, .records = records, .all = stored};
    struct buf dictionary = {0};
    buf_clear(ret_plain);
    if (!open_body(&body))
        return true;
    bool ok = read_dictionary(oracle, body.version, &dictionary, err) &&
              inflate_frames(&body, buf_bytes(&dictionary), ret_plain, err);
    buf_done(&dictionary);
    return ok;
}
