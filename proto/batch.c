/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/batch.h"

#include "proto/columns.h"
#include "proto/limits.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum {
    ENCODE_ARENA_BYTES = 16 * 1024 * 1024,
    ROW_ELEMENTS = 64, /* columns times rows: no record has more fields */
    SEAL_BYTES = 256,  /* what the envelope adds, generously */
};

const ProtobufCMessageDescriptor *lane_message(Muster__Lane lane)
{
    switch (lane) {
    case MUSTER__LANE__LANE_TXN:
        return &muster__txn_result__descriptor;
    case MUSTER__LANE__LANE_EVENT:
        return &muster__event__descriptor;
    case MUSTER__LANE__LANE_HEALTH:
        return &muster__health__descriptor;
    default:
        return NULL;
    }
}

const char *lane_name(Muster__Lane lane)
{
    switch (lane) {
    case MUSTER__LANE__LANE_TXN:
        return "txn";
    case MUSTER__LANE__LANE_EVENT:
        return "event";
    case MUSTER__LANE__LANE_HEALTH:
        return "health";
    default:
        return "unknown";
    }
}

/* ---- what both directions check ---- */

static size_t rows_in(const struct lane_rows *rows)
{
    return rows->lost == MUSTER__LOSS_REASON__LOSS_NONE ? rows->count : 0;
}

static bool check_loss(const Muster__LaneBatch *part, struct err *err)
{
    if (lane_message(part->lane) == NULL || part->n_columns > 0 || part->first_seq == 0 ||
        part->count == 0 || part->count > LIMIT_LOST_RANGE ||
        part->first_seq > UINT64_MAX - (part->count - 1) ||
        protobuf_c_enum_descriptor_get_value(&muster__loss_reason__descriptor, (int)part->lost) ==
            NULL)
        return err_set(err, ERR_INVALID,
                       "lane %s: %u records lost from seq %" PRIu64
                       " on, reason %d: no declaration of a loss",
                       lane_name(part->lane), part->count, part->first_seq, (int)part->lost);
    return true;
}

static bool check_rows(const struct lane_rows *lanes, size_t lane_count, struct err *err)
{
    size_t rows = 0;
    if (lane_count == 0 || lane_count > LIMIT_BATCH_LANES)
        return err_set(err, ERR_INVALID, "%zu streams, 1 to %d are allowed", lane_count,
                       LIMIT_BATCH_LANES);
    for (size_t i = 0; i < lane_count; i++) {
        rows += rows_in(&lanes[i]);
        if (rows_in(&lanes[i]) > LIMIT_BATCH_ROWS || rows > LIMIT_BATCH_ROWS)
            return err_set(err, ERR_INVALID, "more than %d rows", LIMIT_BATCH_ROWS);
        for (size_t j = 0; j < i; j++)
            if (lanes[i].lane == lanes[j].lane && lanes[i].incarnation == lanes[j].incarnation)
                return err_set(err, ERR_INVALID, "two parts of lane %s, incarnation %016" PRIx64,
                               lane_name(lanes[i].lane), lanes[i].incarnation);
    }
    return true;
}

/* Equal columns cost nothing to send: a few bytes could stand for gigabytes of rows. */
static bool check_row_sizes(const struct lane_rows *lanes, size_t lane_count, enum err_code total,
                            struct err *err)
{
    size_t sum = 0;
    for (size_t i = 0; i < lane_count; i++) {
        size_t limit =
            lanes[i].lane == MUSTER__LANE__LANE_TXN ? LIMIT_TXN_BYTES : LIMIT_RECORD_BYTES;
        for (size_t row = 0; row < rows_in(&lanes[i]); row++) {
            size_t size = protobuf_c_message_get_packed_size(lanes[i].rows[row]);
            if (size > limit)
                return err_set(err, ERR_INVALID, "lane %s: row %zu has %zu bytes, %zu are the most",
                               lane_name(lanes[i].lane), row, size, limit);
            sum += size;
        }
        if (sum > LIMIT_BATCH_BODY_BYTES)
            return err_set(err, total, "rows of more than %d bytes in all", LIMIT_BATCH_BODY_BYTES);
    }
    return true;
}

/* ---- encode ---- */

static bool encode_part(const struct lane_rows *rows, struct arena *arena, Muster__LaneBatch *part,
                        struct err *err)
{
    if (rows->lost == MUSTER__LOSS_REASON__LOSS_NONE) {
        if (!columns_of_rows(rows, arena, part, err))
            return false;
    } else {
        muster__lane_batch__init(part);
        part->lane = rows->lane;
        part->incarnation = rows->incarnation;
        part->first_seq = rows->first_seq;
        part->count = rows->count > UINT32_MAX ? UINT32_MAX : (uint32_t)rows->count;
        part->lost = rows->lost;
        if (!check_loss(part, err))
            return false;
    }
    part->behind = rows->behind;
    return true;
}

static bool encode_body(const struct lane_rows *lanes, size_t lane_count, struct arena *arena,
                        struct buf *out, struct err *err)
{
    Muster__BatchBody body = MUSTER__BATCH_BODY__INIT;
    Muster__LaneBatch *parts = arena_alloc(arena, lane_count * sizeof *parts);
    body.lanes = arena_alloc(arena, lane_count * sizeof(Muster__LaneBatch *));
    if (!parts || !body.lanes)
        return err_set(err, ERR_NO_MEMORY, "no memory for a batch");
    for (; body.n_lanes < lane_count; body.n_lanes++) {
        body.lanes[body.n_lanes] = &parts[body.n_lanes];
        if (!encode_part(&lanes[body.n_lanes], arena, &parts[body.n_lanes], err))
            return false;
    }
    if (muster__batch_body__get_packed_size(&body) > LIMIT_BATCH_BODY_BYTES)
        return err_set(err, ERR_FULL, "columns of more than %d bytes", LIMIT_BATCH_BODY_BYTES);
    return pack(&body.base, out, err);
}

static bool compress(struct bytes body, int level, struct buf *out, struct err *err)
{
    size_t room = ZSTD_compressBound(body.length);
    uint8_t *frame = buf_reserve(out, room, err);
    if (!frame)
        return false;
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    if (!zstd)
        return err_set(err, ERR_NO_MEMORY, "no memory for zstd");
    /* The seal vouches for the bytes, so no checksum; the size lets the receiver refuse early. */
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 0);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_contentSizeFlag, 1);
    size_t size = ZSTD_compress2(zstd, frame, room, body.data, body.length);
    ZSTD_freeCCtx(zstd);
    if (ZSTD_isError(size))
        return err_set(err, ERR_NO_MEMORY, "zstd: %s", ZSTD_getErrorName(size));
    out->length += size;
    return true;
}

static bool encode(const struct lane_rows *lanes, size_t lane_count, int level, struct arena *arena,
                   struct buf *body, struct buf *frame, struct err *err)
{
    if (level < 1 || level > 19)
        return err_set(err, ERR_INVALID, "zstd level %d, 1 to 19 are allowed", level);
    return check_rows(lanes, lane_count, err) && encode_body(lanes, lane_count, arena, body, err) &&
           check_row_sizes(lanes, lane_count, ERR_FULL, err) &&
           compress(buf_bytes(body), level, frame, err);
}

bool batch_encode(const struct lane_rows *lanes, size_t lane_count, int level, struct buf *out,
                  struct err *err)
{
    struct arena arena = {.limit_bytes = ENCODE_ARENA_BYTES};
    struct buf body = {0}, frame = {0};
    bool ok = encode(lanes, lane_count, level, &arena, &body, &frame, err);
    Muster__Batch batch = MUSTER__BATCH__INIT;
    batch.frame = (ProtobufCBinaryData){.len = frame.length, .data = frame.data};
    if (ok && muster__batch__get_packed_size(&batch) > LIMIT_BATCH_WIRE_BYTES - SEAL_BYTES)
        ok = err_set(err, ERR_FULL, "%zu bytes on the wire, %d are the most", frame.length,
                     LIMIT_BATCH_WIRE_BYTES - SEAL_BYTES);
    ok = ok && pack(&batch.base, out, err);
    buf_done(&frame);
    buf_done(&body);
    arena_done(&arena);
    return ok || err_context(err, "batch");
}

/* ---- decode ---- */

/* One whole zstd frame, needing no dictionary, of a stated and bearable size. */
static bool check_frame(struct bytes frame, size_t *ret_size, struct err *err)
{
    unsigned long long size = ZSTD_getFrameContentSize(frame.data, frame.length);
    if (size == ZSTD_CONTENTSIZE_ERROR)
        return err_set(err, ERR_INVALID, "not a zstd frame");
    if (size == ZSTD_CONTENTSIZE_UNKNOWN)
        return err_set(err, ERR_INVALID, "a zstd frame that does not say its size");
    if (size > LIMIT_BATCH_BODY_BYTES)
        return err_set(err, ERR_INVALID, "a zstd frame of %llu bytes, %d are the most", size,
                       LIMIT_BATCH_BODY_BYTES);
    unsigned dictionary = ZSTD_getDictID_fromFrame(frame.data, frame.length);
    if (dictionary)
        return err_set(err, ERR_INVALID, "a zstd frame for dictionary %u, which is not known",
                       dictionary);
    if (ZSTD_findFrameCompressedSize(frame.data, frame.length) != frame.length)
        return err_set(err, ERR_INVALID, "not one whole zstd frame");
    *ret_size = (size_t)size;
    return true;
}

static bool decompress(struct bytes frame, struct buf *out, struct err *err)
{
    size_t size = 0;
    if (!check_frame(frame, &size, err))
        return false;
    uint8_t *room = buf_reserve(out, size ? size : 1, err);
    if (!room)
        return false;
    size_t got = ZSTD_decompress(room, size, frame.data, frame.length);
    /* Our own want of memory must not read as a batch that nobody can decode. */
    if (ZSTD_isError(got) && ZSTD_getErrorCode(got) == ZSTD_error_memory_allocation)
        return err_set(err, ERR_NO_MEMORY, "zstd: %s", ZSTD_getErrorName(got));
    if (ZSTD_isError(got))
        return err_set(err, ERR_INVALID, "zstd: %s", ZSTD_getErrorName(got));
    out->length += got;
    return true;
}

static bool decode_frame(struct bytes in, struct arena *arena, struct buf *body, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_BATCH_WIRE_BYTES,
                                                .max_elements = 16};
    ProtobufCMessage *message = NULL;
    if (!unpack(&muster__batch__descriptor, in, &limits, arena, &message, err))
        return false;
    const Muster__Batch *batch = (const Muster__Batch *)message;
    if (batch->dictionary)
        return err_set(err, ERR_INVALID, "dictionary %u is not known", batch->dictionary);
    return decompress(bytes_of(batch->frame.data, batch->frame.len), body, err);
}

static bool decode_part(const Muster__LaneBatch *part, struct arena *arena,
                        struct lane_rows *ret_rows, struct err *err)
{
    if (part->lost == MUSTER__LOSS_REASON__LOSS_NONE) {
        if (!rows_of_columns(part, arena, ret_rows, err))
            return false;
    } else {
        if (!check_loss(part, err))
            return false;
        *ret_rows = (struct lane_rows){.lane = part->lane,
                                       .incarnation = part->incarnation,
                                       .first_seq = part->first_seq,
                                       .count = part->count,
                                       .lost = part->lost};
    }
    ret_rows->behind = part->behind;
    return true;
}

/* The columns stay in the arena: bytes of the rows point into them. */
static bool decode_body(struct bytes in, struct arena *arena, struct lane_rows **ret_lanes,
                        size_t *ret_lane_count, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_BATCH_BODY_BYTES,
                                                .max_elements = LIMIT_BATCH_ROWS * ROW_ELEMENTS};
    ProtobufCMessage *message = NULL;
    if (!unpack(&muster__batch_body__descriptor, in, &limits, arena, &message, err))
        return false;
    const Muster__BatchBody *body = (const Muster__BatchBody *)message;
    if (body->n_lanes > LIMIT_BATCH_LANES)
        return err_set(err, ERR_INVALID, "%zu streams, %d are the most", body->n_lanes,
                       LIMIT_BATCH_LANES);
    struct lane_rows *lanes = arena_alloc(arena, body->n_lanes * sizeof *lanes);
    if (!lanes)
        return err_set(err, ERR_NO_MEMORY, "needs more memory than is allowed for it");
    size_t rows = 0;
    for (size_t i = 0; i < body->n_lanes; i++) {
        rows += body->lanes[i]->lost == MUSTER__LOSS_REASON__LOSS_NONE ? body->lanes[i]->count : 0;
        if (rows > LIMIT_BATCH_ROWS) /* before memory is taken for them */
            return err_set(err, ERR_INVALID, "more than %d rows", LIMIT_BATCH_ROWS);
        if (!decode_part(body->lanes[i], arena, &lanes[i], err))
            return false;
    }
    if (!check_rows(lanes, body->n_lanes, err) ||
        !check_row_sizes(lanes, body->n_lanes, ERR_INVALID, err))
        return false;
    *ret_lanes = lanes;
    *ret_lane_count = body->n_lanes;
    return true;
}

bool batch_decode(struct bytes in, struct arena *arena, struct lane_rows **ret_lanes,
                  size_t *ret_lane_count, struct err *err)
{
    struct buf body = {.limit = LIMIT_BATCH_BODY_BYTES};
    bool ok = decode_frame(in, arena, &body, err) &&
              decode_body(buf_bytes(&body), arena, ret_lanes, ret_lane_count, err);
    buf_done(&body);
    return ok || err_context(err, "batch");
}
