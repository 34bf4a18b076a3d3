/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_codec.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/* Small tables: what is compressed is a few KiB, and the memory stays. */
enum {
    LEVEL = 5, /* of 6 it has three quarters of the time, and one part in 200 more of bytes */
    WINDOW_LOG = 14,
    TABLE_LOG = 12,
    RUNS_MAX = SPOOL_PUSH_RECORDS + 1,
    /* A run of one record may be as long as a push, with its key and framing. */
    RUN_MAX_BYTES = SPOOL_PUSH_BYTES + 64,
    SCRATCH_KEPT_BYTES = 32 * 1024,
    CRC_BYTES = 4,
    VARINT_MAX = 10,
};

struct dictionary {
    uint32_t version;
    struct buf content;
    ZSTD_DDict *inflating; /* made when it is first needed */
};

struct spool_codec {
    struct dictionary *dictionaries; /* by version, ascending */
    size_t count;
    ZSTD_CCtx *deflater; /* with the newest dictionary loaded */
    ZSTD_DCtx *inflater; /* made when it is first needed */
    struct buf out;      /* of either direction */
};

/* A part of a body. */
struct run {
    size_t records;
    struct bytes bytes;
};

static bool no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "no memory for zstd");
}

bool spool_codec_open(struct spool_codec **ret_codec, struct err *err)
{
    struct spool_codec *codec = calloc(1, sizeof *codec);
    if (codec == NULL)
        return no_memory(err);
    *ret_codec = codec;
    return true;
}

void spool_codec_close(struct spool_codec *codec)
{
    if (codec == NULL)
        return;
    for (size_t i = 0; i < codec->count; i++) {
        (void)ZSTD_freeDDict(codec->dictionaries[i].inflating);
        buf_done(&codec->dictionaries[i].content);
    }
    free(codec->dictionaries);
    (void)ZSTD_freeCCtx(codec->deflater);
    (void)ZSTD_freeDCtx(codec->inflater);
    buf_done(&codec->out);
    free(codec);
}

static struct dictionary *find(const struct spool_codec *codec, uint64_t version)
{
    for (size_t i = 0; i < codec->count; i++) {
        if (codec->dictionaries[i].version == version)
            return &codec->dictionaries[i];
    }
    return NULL;
}

struct bytes spool_codec_content(const struct spool_codec *codec, uint32_t version)
{
    const struct dictionary *dictionary = find(codec, version);
    return dictionary == NULL ? bytes_of(NULL, 0) : buf_bytes(&dictionary->content);
}

bool spool_codec_learn(struct spool_codec *codec, uint32_t version, struct bytes content,
                       struct err *err)
{
    if (find(codec, version) != NULL)
        return true;
    if (version == 0 || content.length == 0)
        return err_set(err, ERR_INVALID, "a dictionary needs a version and content");
    struct dictionary dictionary = {.version = version};
    struct dictionary *grown =
        realloc(codec->dictionaries, (codec->count + 1) * sizeof *codec->dictionaries);
    if (grown == NULL)
        return no_memory(err);
    codec->dictionaries = grown;
    if (!buf_append(&dictionary.content, content.data, content.length, err))
        return false;
    size_t at = codec->count++;
    for (; at > 0 && grown[at - 1].version > version; at--)
        grown[at] = grown[at - 1];
    grown[at] = dictionary;
    /* Another one may be the newest now. */
    (void)ZSTD_freeCCtx(codec->deflater);
    codec->deflater = NULL;
    return true;
}

static bool set(ZSTD_CCtx *deflater, ZSTD_cParameter parameter, int value)
{
    return !ZSTD_isError(ZSTD_CCtx_setParameter(deflater, parameter, value));
}

static bool make_deflater(struct spool_codec *codec, struct err *err)
{
    const struct buf *newest = &codec->dictionaries[codec->count - 1].content;
    ZSTD_CCtx *deflater = ZSTD_createCCtx();
    if (deflater == NULL)
        return no_memory(err);
    if (set(deflater, ZSTD_c_compressionLevel, LEVEL) &&
        set(deflater, ZSTD_c_windowLog, WINDOW_LOG) && set(deflater, ZSTD_c_hashLog, TABLE_LOG) &&
        set(deflater, ZSTD_c_chainLog, TABLE_LOG) && set(deflater, ZSTD_c_dictIDFlag, 0) &&
        !ZSTD_isError(ZSTD_CCtx_loadDictionary(deflater, newest->data, newest->length))) {
        codec->deflater = deflater;
        return true;
    }
    (void)ZSTD_freeCCtx(deflater);
    return no_memory(err);
}

/* Whole records from the front of `rest`; never none. */
static bool next_run(struct bytes *rest, struct run *ret_run, struct err *err)
{
    struct bytes start = *rest;
    size_t records = 0;
    while (rest->length > 0 && records < SPOOL_RUN_RECORDS &&
           start.length - rest->length < SPOOL_RUN_BYTES) {
        if (!spool_segment_skip(rest, err))
            return false;
        records++;
    }
    *ret_run = (struct run){records, bytes_of(start.data, start.length - rest->length)};
    return true;
}

static uint32_t sum_of(int64_t id, size_t records, struct bytes head)
{
    uint8_t row[8 + VARINT_MAX];
    for (int i = 0; i < 8; i++)
        row[i] = (uint8_t)((uint64_t)id >> (8 * i));
    uint32_t crc = spool_segment_crc(0, bytes_of(row, 8 + varint_put(records, row + 8)));
    return spool_segment_crc(crc, head);
}

static size_t put_runs(uint8_t *out, uint32_t version, const struct run *runs, size_t count)
{
    size_t length = varint_put(version, out);
    length += varint_put(count, out + length);
    for (size_t i = 0; i + 1 < count; i++) {
        length += varint_put(runs[i].records, out + length);
        length += varint_put(runs[i].bytes.length, out + length);
    }
    return length;
}

static bool deflate(struct spool_codec *codec, struct bytes plain, struct buf *frames,
                    struct run *runs, size_t *ret_count, struct err *err)
{
    size_t count = 0;
    while (plain.length > 0) {
        struct run *run = &runs[count++];
        if (!next_run(&plain, run, err))
            return false;
        size_t room = ZSTD_compressBound(run->bytes.length);
        uint8_t *out = buf_reserve(frames, room, err);
        if (out == NULL)
            return false;
        size_t length =
            ZSTD_compress2(codec->deflater, out, room, run->bytes.data, run->bytes.length);
        if (ZSTD_isError(length))
            return no_memory(err);
        run->bytes.length = length;
        frames->length += length;
    }
    *ret_count = count;
    return true;
}

/* One that became large for one body is not kept. */
static void clear(struct buf *buf)
{
    if (buf->capacity > SCRATCH_KEPT_BYTES)
        buf_done(buf);
    buf_clear(buf);
}

bool spool_codec_encode(struct spool_codec *codec, int64_t id, struct bytes plain, size_t count,
                        int *ret_kind, struct bytes *ret_body, struct err *err)
{
    struct run runs[RUNS_MAX];
    uint8_t head[2 * VARINT_MAX * RUNS_MAX];
    const size_t gap = CRC_BYTES + 2 * VARINT_MAX * (count + 1);
    size_t run_count = 0;
    *ret_kind = SPOOL_CODEC_PLAIN;
    *ret_body = plain;
    if (codec->count == 0)
        return true;
    clear(&codec->out);
    if (count > SPOOL_PUSH_RECORDS || plain.length == 0)
        return err_set(err, ERR_INVALID, "%zu records in one segment", count);
    if ((codec->deflater == NULL && !make_deflater(codec, err)) ||
        buf_reserve(&codec->out, gap, err) == NULL)
        return false;
    /* The list of runs is known last and stands first. */
    codec->out.length = gap;
    if (!deflate(codec, plain, &codec->out, runs, &run_count, err))
        return false;
    uint32_t version = codec->dictionaries[codec->count - 1].version;
    size_t length = put_runs(head, version, runs, run_count);
    uint32_t crc = sum_of(id, count, bytes_of(head, length));
    uint8_t *start = codec->out.data + gap - length - CRC_BYTES;
    for (size_t i = 0; i < CRC_BYTES; i++)
        start[i] = (uint8_t)(crc >> (8 * i));
    memcpy(start + CRC_BYTES, head, length);
    length += CRC_BYTES + codec->out.length - gap;
    if (length >= plain.length)
        return true;
    *ret_kind = SPOOL_CODEC_ZSTD;
    *ret_body = bytes_of(start, length);
    return true;
}

static uint32_t get_u32(const uint8_t *in)
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

static bool take(struct bytes *rest, uint64_t *ret_value)
{
    int length = varint_get(*rest, ret_value);
    if (length <= 0)
        return false;
    *rest = bytes_of(rest->data + length, rest->length - (size_t)length);
    return true;
}

/* The runs of a body of `records`, which they must fill; false: it is damaged. */
static bool read_runs(int64_t id, struct bytes stored, size_t records, uint64_t *ret_version,
                      struct run runs[RUNS_MAX], size_t *ret_count)
{
    uint64_t count = 0, taken = 0, bytes = 0;
    if (stored.length < CRC_BYTES || records > SPOOL_PUSH_RECORDS)
        return false;
    const size_t all = records;
    struct bytes body = bytes_of(stored.data + CRC_BYTES, stored.length - CRC_BYTES);
    if (!take(&body, ret_version) || !take(&body, &count) || count == 0 || count > records)
        return false;
    for (size_t i = 0; i + 1 < count; i++) {
        if (!take(&body, &taken) || !take(&body, &bytes) || taken == 0 || taken >= records ||
            bytes > body.length)
            return false;
        runs[i] = (struct run){(size_t)taken, {.length = (size_t)bytes}};
        records -= (size_t)taken;
    }
    size_t head = (size_t)(body.data - stored.data) - CRC_BYTES;
    if (sum_of(id, all, bytes_of(stored.data + CRC_BYTES, head)) != get_u32(stored.data))
        return false;
    for (size_t i = 0; i + 1 < count; i++) {
        if (runs[i].bytes.length > body.length)
            return false;
        runs[i].bytes.data = body.data;
        body = bytes_of(body.data + runs[i].bytes.length, body.length - runs[i].bytes.length);
    }
    runs[count - 1] = (struct run){records, body};
    *ret_count = (size_t)count;
    return true;
}

/* What a run inflates to, as its frame says; 0: the frame is damaged. */
static size_t inflated_length(struct bytes frame)
{
    unsigned long long length = ZSTD_getFrameContentSize(frame.data, frame.length);
    return length > RUN_MAX_BYTES ? 0 : (size_t)length; /* so are the two that tell of an error */
}

static bool prepare(struct spool_codec *codec, struct dictionary *dictionary, struct err *err)
{
    if (codec->inflater == NULL)
        codec->inflater = ZSTD_createDCtx();
    if (dictionary->inflating == NULL)
        dictionary->inflating =
            ZSTD_createDDict(dictionary->content.data, dictionary->content.length);
    return (codec->inflater != NULL && dictionary->inflating != NULL) || no_memory(err);
}

/* All of them into one buffer, which then does not move any more. */
static bool inflate(struct spool_codec *codec, const struct dictionary *dictionary,
                    const struct run *runs, size_t count, struct spool_frame *frames,
                    struct err *err)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += inflated_length(runs[i].bytes);
    clear(&codec->out);
    if (total > 0 && buf_reserve(&codec->out, total, err) == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        size_t room = inflated_length(runs[i].bytes);
        uint8_t *out = codec->out.data + codec->out.length;
        size_t length =
            room == 0 ? 0
                      : ZSTD_decompress_usingDDict(codec->inflater, out, room, runs[i].bytes.data,
                                                   runs[i].bytes.length, dictionary->inflating);
        if (ZSTD_isError(length))
            length = 0;
        spool_segment_split(bytes_of(out, length), runs[i].records, frames);
        frames += runs[i].records;
        codec->out.length += length;
    }
    return true;
}

bool spool_codec_split(struct spool_codec *codec, int64_t kind, int64_t id, struct bytes body,
                       size_t count, struct spool_frame *ret_frames, struct err *err)
{
    struct run runs[RUNS_MAX];
    size_t run_count = 0;
    uint64_t version = 0;
    if (kind == SPOOL_CODEC_PLAIN) {
        spool_segment_split(body, count, ret_frames);
        return true;
    }
    memset(ret_frames, 0, count * sizeof *ret_frames);
    if (kind != SPOOL_CODEC_ZSTD || !read_runs(id, body, count, &version, runs, &run_count))
        return true;
    struct dictionary *dictionary = find(codec, version);
    return dictionary == NULL || (prepare(codec, dictionary, err) &&
                                  inflate(codec, dictionary, runs, run_count, ret_frames, err));
}
