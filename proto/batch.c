/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/batch.h"

#include "proto/columns.h"
#include "proto/dictionary.h"
#include "proto/frames.h"
#include "proto/lane.h"
#include "proto/limits.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <stdlib.h>

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

static size_t row_limit(const struct lane_rows *rows)
{
    return rows->lane == MUSTER__LANE__LANE_TXN ? LIMIT_TXN_BYTES : LIMIT_RECORD_BYTES;
}

/* Equal columns cost nothing to send: a few bytes could stand for gigabytes of rows. */
static bool check_row_sizes(const struct lane_rows *lanes, size_t lane_count, enum err_code total,
                            struct err *err)
{
    size_t sum = 0;
    for (size_t i = 0; i < lane_count; i++) {
        for (size_t row = 0; row < rows_in(&lanes[i]); row++) {
            size_t size = protobuf_c_message_get_packed_size(lanes[i].rows[row]);
            if (size > row_limit(&lanes[i]))
                return err_set(err, ERR_INVALID, "lane %s: row %zu has %zu bytes, %zu are the most",
                               lane_name(lanes[i].lane), row, size, row_limit(&lanes[i]));
            sum += size;
        }
        if (sum > LIMIT_BATCH_BODY_BYTES)
            return err_set(err, total, "rows of more than %d bytes in all", LIMIT_BATCH_BODY_BYTES);
    }
    return true;
}

/* ---- encode ---- */

static bool compose_part(const struct lane_rows *rows, const Muster__Dictionary *dictionary,
                         struct arena *arena, struct lane_out *out, Muster__LaneBatch *part,
                         struct err *err)
{
    if (rows->lost == MUSTER__LOSS_REASON__LOSS_NONE) {
        if (!lane_pack(rows, dictionary, arena, out, part, err))
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

static bool compose_body(const struct lane_rows *lanes, size_t lane_count,
                         const Muster__Dictionary *dictionary, struct arena *arena,
                         struct batch_streams *streams, struct err *err)
{
    Muster__BatchBody body = MUSTER__BATCH_BODY__INIT;
    Muster__LaneBatch *parts = arena_alloc(arena, lane_count * sizeof *parts);
    body.lanes = arena_alloc(arena, lane_count * sizeof(Muster__LaneBatch *));
    if (!parts || !body.lanes)
        return err_set(err, ERR_NO_MEMORY, "no memory for a batch");
    struct lane_out out = {streams->raw, streams->marks, streams->steps};
    bool ok = true;
    for (; ok && body.n_lanes < lane_count; body.n_lanes++) {
        body.lanes[body.n_lanes] = &parts[body.n_lanes];
        ok = compose_part(&lanes[body.n_lanes], dictionary, arena, &out, &parts[body.n_lanes], err);
    }
    streams->raw = out.raw;
    streams->marks = out.marks;
    streams->steps = out.steps;
    if (!ok)
        return false;
    size_t total = muster__batch_body__get_packed_size(&body) + out.raw.length + out.marks.length +
                   out.steps.length;
    if (total > LIMIT_BATCH_BODY_BYTES)
        return err_set(err, ERR_FULL, "columns of more than %d bytes", LIMIT_BATCH_BODY_BYTES);
    return pack(&body.base, &streams->body, err);
}

bool batch_compose(const struct lane_rows *lanes, size_t lane_count,
                   const Muster__Dictionary *dictionary, struct batch_streams *streams,
                   struct err *err)
{
    struct arena arena = {.limit_bytes = ENCODE_ARENA_BYTES};
    bool ok = check_rows(lanes, lane_count, err) &&
              compose_body(lanes, lane_count, dictionary, &arena, streams, err) &&
              check_row_sizes(lanes, lane_count, ERR_FULL, err);
    arena_done(&arena);
    return ok;
}

void batch_streams_done(struct batch_streams *streams)
{
    buf_done(&streams->body);
    buf_done(&streams->marks);
    buf_done(&streams->steps);
    buf_done(&streams->raw);
}

static struct bytes bytes_in(ProtobufCBinaryData data)
{
    return bytes_of(data.data, data.len);
}

static ProtobufCBinaryData data_in(const struct buf *buf)
{
    return (ProtobufCBinaryData){.len = buf->length, .data = buf->data};
}

bool batch_pack_streams(const struct batch_streams *streams, const Muster__Dictionary *dictionary,
                        int level, struct buf *out, struct err *err)
{
    struct buf body = {0}, marks = {0}, steps = {0};
    Muster__Batch batch = MUSTER__BATCH__INIT;
    const struct frame_way text = {.level = level}, noise = {.level = level, .patternless = true};
    bool ok =
        frame_pack(buf_bytes(&streams->body), bytes_in(dictionary->body), &text, &body, err) &&
        frame_pack(buf_bytes(&streams->marks), bytes_in(dictionary->marks), &noise, &marks, err) &&
        frame_pack(buf_bytes(&streams->steps), bytes_in(dictionary->steps), &noise, &steps, err);
    batch.dictionary = dictionary->version;
    batch.body = data_in(&body);
    batch.marks = data_in(&marks);
    batch.steps = data_in(&steps);
    batch.raw = data_in(&streams->raw);
    if (ok && muster__batch__get_packed_size(&batch) > LIMIT_BATCH_WIRE_BYTES - SEAL_BYTES)
        ok = err_set(err, ERR_FULL, "%zu bytes on the wire, %d are the most",
                     muster__batch__get_packed_size(&batch), LIMIT_BATCH_WIRE_BYTES - SEAL_BYTES);
    ok = ok && pack(&batch.base, out, err);
    buf_done(&steps);
    buf_done(&marks);
    buf_done(&body);
    return ok;
}

static bool check_level(int level, struct err *err)
{
    return (level >= 1 && level <= 19) ||
           err_set(err, ERR_INVALID, "zstd level %d, 1 to 19 are allowed", level);
}

bool batch_encode(const struct lane_rows *lanes, size_t lane_count, int level, struct buf *out,
                  struct err *err)
{
    struct arena arena = {0};
    struct batch_streams streams = {0};
    const Muster__Dictionary *dictionary = NULL;
    bool ok = check_level(level, err) &&
              dictionary_find(DICTIONARY_NEWEST, &arena, &dictionary, err) &&
              batch_compose(lanes, lane_count, dictionary, &streams, err) &&
              batch_pack_streams(&streams, dictionary, level, out, err);
    batch_streams_done(&streams);
    arena_done(&arena);
    return ok || err_context(err, "batch");
}

/* ---- decode ---- */

/* What is the same for all batches, and room that they take one after the other. */
struct batch_decoder {
    struct arena arena; /* of the dictionary */
    struct lane_known known;
    struct frame_dictionary *body_with, *marks_with, *steps_with;
    struct frame_room *room;
    struct buf body, marks, steps;
};

static bool read_dictionary(struct batch_decoder *decoder, struct err *err)
{
    const Muster__Dictionary *dictionary = NULL;
    if (!dictionary_find(DICTIONARY_NEWEST, &decoder->arena, &dictionary, err))
        return false;
    decoder->known = (struct lane_known){.dictionary = dictionary, .arena = &decoder->arena};
    return frame_dictionary_read(bytes_in(dictionary->body), &decoder->body_with, err) &&
           frame_dictionary_read(bytes_in(dictionary->marks), &decoder->marks_with, err) &&
           frame_dictionary_read(bytes_in(dictionary->steps), &decoder->steps_with, err);
}

bool batch_decoder_open(struct batch_decoder **ret_decoder, struct err *err)
{
    struct batch_decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder)
        return err_set(err, ERR_NO_MEMORY, "no memory to decode batches");
    if (!frame_room_make(&decoder->room, err) || !read_dictionary(decoder, err)) {
        batch_decoder_close(decoder);
        return false;
    }
    *ret_decoder = decoder;
    return true;
}

void batch_decoder_close(struct batch_decoder *decoder)
{
    if (!decoder)
        return;
    buf_done(&decoder->body);
    buf_done(&decoder->marks);
    buf_done(&decoder->steps);
    frame_dictionary_free(decoder->body_with);
    frame_dictionary_free(decoder->marks_with);
    frame_dictionary_free(decoder->steps_with);
    frame_room_free(decoder->room);
    arena_done(&decoder->arena);
    free(decoder);
}

struct decoding {
    struct batch_decoder *decoder;
    struct arena *arena;
    struct lane_known *known, none; /* with a dictionary that is empty */
    struct lane_in in;
};

/* All frames together unfold to no more than LIMIT_BATCH_BODY_BYTES. */
static bool open_frames(const Muster__Batch *batch, struct decoding *decoding, struct err *err)
{
    struct batch_decoder *decoder = decoding->decoder;
    size_t limit = LIMIT_BATCH_BODY_BYTES;
    if (batch->dictionary == 0)
        return frame_unpack(decoder->room, bytes_in(batch->frame), NULL, limit, &decoder->body,
                            err);
    if (!frame_unpack(decoder->room, bytes_in(batch->marks), decoder->marks_with, limit,
                      &decoder->marks, err))
        return err_context(err, "marks");
    limit -= decoder->marks.length;
    if (!frame_unpack(decoder->room, bytes_in(batch->steps), decoder->steps_with, limit,
                      &decoder->steps, err))
        return err_context(err, "steps");
    limit -= decoder->steps.length;
    if (!frame_unpack(decoder->room, bytes_in(batch->body), decoder->body_with, limit,
                      &decoder->body, err))
        return err_context(err, "body");
    decoding->in = (struct lane_in){.raw = bytes_in(batch->raw),
                                    .marks = buf_bytes(&decoder->marks),
                                    .steps = buf_bytes(&decoder->steps)};
    return true;
}

static bool decode_frames(struct bytes in, struct decoding *decoding, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_BATCH_WIRE_BYTES,
                                                .max_elements = 16};
    static const Muster__Dictionary none = MUSTER__DICTIONARY__INIT;
    ProtobufCMessage *message = NULL;
    if (!unpack(&muster__batch__descriptor, in, &limits, decoding->arena, &message, err))
        return false;
    const Muster__Batch *batch = (const Muster__Batch *)message;
    decoding->none = (struct lane_known){.dictionary = &none};
    decoding->known = batch->dictionary == 0 ? &decoding->none : &decoding->decoder->known;
    return (batch->dictionary == 0 || dictionary_known(batch->dictionary, err)) &&
           open_frames(batch, decoding, err);
}

/* What a later version may have added. */
static bool check_known(const Muster__LaneBatch *part, struct err *err)
{
    if (part->lane > MUSTER__LANE__LANE_HEALTH || part->lost > MUSTER__LOSS_REASON__LOSS_UNKNOWN)
        return err_set(err, ERR_NEWER, "lane %d, loss reason %d: not known here", (int)part->lane,
                       (int)part->lost);
    return true;
}

static bool decode_part(const Muster__LaneBatch *part, struct decoding *decoding,
                        struct lane_rows *ret_rows, struct err *err)
{
    if (!check_known(part, err))
        return false;
    if (part->lost == MUSTER__LOSS_REASON__LOSS_NONE) {
        if (!rows_of_columns(part, decoding->arena, ret_rows, err) ||
            !lane_unpack(part, decoding->known, &decoding->in, decoding->arena, ret_rows, err))
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
    ret_rows->sizes = arena_alloc(decoding->arena, rows_in(ret_rows) * sizeof *ret_rows->sizes);
    return ret_rows->sizes || lane_no_memory(err);
}

static bool decode_lanes(const Muster__BatchBody *body, struct decoding *decoding,
                         struct lane_rows *lanes, struct err *err)
{
    size_t rows = 0;
    for (size_t i = 0; i < body->n_lanes; i++) {
        rows += body->lanes[i]->lost == MUSTER__LOSS_REASON__LOSS_NONE ? body->lanes[i]->count : 0;
        if (rows > LIMIT_BATCH_ROWS) /* before memory is taken for them */
            return err_set(err, ERR_INVALID, "more than %d rows", LIMIT_BATCH_ROWS);
        if (!decode_part(body->lanes[i], decoding, &lanes[i], err))
            return false;
    }
    const struct lane_in *left = &decoding->in;
    if (left->raw.length + left->marks.length + left->steps.length > 0)
        return err_set(err, ERR_INVALID, "%zu bytes behind the last row",
                       left->raw.length + left->marks.length + left->steps.length);
    return true;
}

/* What rows of a lane need at the most, packed: to count it exactly takes as long as to pack them.
 */
struct row_room {
    const ProtobufCFieldDescriptor *texts[LANE_FIELDS_MAX]; /* and bytes: as long as they are */
    size_t count, others; /* all else in bytes, whatever it holds */
};
enum { HEAD_BYTES = 10, NUMBER_BYTES = 15 }; /* tag and length, tag and value */

static struct row_room row_room_of(const ProtobufCMessageDescriptor *type)
{
    struct row_room room;
    room.count = room.others = 0;
    for (unsigned i = 0; i < type->n_fields; i++) {
        enum form form = form_of(&type->fields[i]);
        room.others += form == FORM_NUMBER ? NUMBER_BYTES : HEAD_BYTES;
        if (form == FORM_TEXT || form == FORM_BYTES)
            room.texts[room.count++] = &type->fields[i];
    }
    return room;
}

static size_t room_for(const struct row_room *room, const ProtobufCMessage *row)
{
    size_t size = room->others;
    for (size_t i = 0; i < room->count; i++)
        size += cell_value(row, room->texts[i]).len;
    return size;
}

/* Notes what room each row needs. Where that is more than rows may take, it is counted exactly. */
static bool measure_rows(const struct lane_rows *lanes, size_t lane_count, struct err *err)
{
    size_t sum = 0;
    bool fit = true;
    for (size_t i = 0; i < lane_count; i++) {
        const struct row_room room = row_room_of(lane_message(lanes[i].lane));
        for (size_t row = 0; row < rows_in(&lanes[i]); row++) {
            size_t size = room_for(&room, lanes[i].rows[row]);
            fit = fit && size <= row_limit(&lanes[i]);
            lanes[i].sizes[row] = (uint32_t)(size < UINT32_MAX ? size : UINT32_MAX);
            sum += size;
        }
    }
    return (fit && sum <= LIMIT_BATCH_BODY_BYTES) ||
           check_row_sizes(lanes, lane_count, ERR_INVALID, err);
}

/* The columns stay in the arena: bytes of the rows point into them. */
static bool decode_body(struct decoding *decoding, struct lane_rows **ret_lanes,
                        size_t *ret_lane_count, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_BATCH_BODY_BYTES,
                                                .max_elements = LIMIT_BATCH_ROWS * ROW_ELEMENTS};
    ProtobufCMessage *message = NULL;
    if (!unpack(&muster__batch_body__descriptor, buf_bytes(&decoding->decoder->body), &limits,
                decoding->arena, &message, err))
        return false;
    const Muster__BatchBody *body = (const Muster__BatchBody *)message;
    if (body->n_lanes > LIMIT_BATCH_LANES)
        return err_set(err, ERR_INVALID, "%zu streams, %d are the most", body->n_lanes,
                       LIMIT_BATCH_LANES);
    struct lane_rows *lanes = arena_alloc(decoding->arena, body->n_lanes * sizeof *lanes);
    if (!lanes)
        return err_set(err, ERR_NO_MEMORY, "needs more memory than is allowed for it");
    if (!decode_lanes(body, decoding, lanes, err) || !check_rows(lanes, body->n_lanes, err) ||
        !measure_rows(lanes, body->n_lanes, err))
        return false;
    *ret_lanes = lanes;
    *ret_lane_count = body->n_lanes;
    return true;
}

bool batch_decoder_read(struct batch_decoder *decoder, struct bytes in, struct arena *arena,
                        struct lane_rows **ret_lanes, size_t *ret_lane_count, struct err *err)
{
    struct decoding decoding = {.decoder = decoder, .arena = arena};
    buf_clear(&decoder->body);
    buf_clear(&decoder->marks);
    buf_clear(&decoder->steps);
    bool ok =
        decode_frames(in, &decoding, err) && decode_body(&decoding, ret_lanes, ret_lane_count, err);
    return ok || err_context(err, "batch");
}

bool batch_decode(struct bytes in, struct arena *arena, struct lane_rows **ret_lanes,
                  size_t *ret_lane_count, struct err *err)
{
    struct batch_decoder *decoder = NULL;
    if (!batch_decoder_open(&decoder, err))
        return err_context(err, "batch");
    decoder->known.arena = arena; /* its records outlive this decoder */
    bool ok = batch_decoder_read(decoder, in, arena, ret_lanes, ret_lane_count, err);
    batch_decoder_close(decoder);
    return ok;
}
