/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/record.pb-c.h"
#include "tests/oracle/oracle_internal.h"
#include "tests/oracle/segment.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A spool's tables as sql/spool/ has them, a segment's framing as spool_segment.h has it, the
 * list of receipted ranges as spool_acked.h has it: read here once more, from their words. */

enum { LANE_TXN = 1, CRC_BYTES = 4 };

/* Where a segment's records stand. */
struct stream {
    const char *device;
    int64_t incarnation;
    int lane;
};

uint32_t segment_sum(uint32_t crc, struct bytes data)
{
    crc = ~crc;
    for (size_t i = 0; i < data.length; i++) {
        crc ^= data.data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

bool segment_varint(struct bytes *rest, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < rest->length && i < 10; i++) {
        value |= (uint64_t)(rest->data[i] & 0x7f) << (7 * i);
        if (rest->data[i] < 0x80) {
            *ret_value = value;
            *rest = bytes_of(rest->data + i + 1, rest->length - i - 1);
            return true;
        }
    }
    return false;
}

/* One record off a segment's body. False: damaged. */
static bool take_record(struct bytes *rest, struct bytes *ret_key, struct bytes *ret_record)
{
    struct bytes start = *rest;
    uint64_t length = 0;
    if (!segment_varint(rest, &length) || rest->length < CRC_BYTES ||
        length > rest->length - CRC_BYTES || length < 2)
        return false;
    const uint8_t *sum = rest->data, *inside = sum + CRC_BYTES;
    uint32_t crc = segment_sum(0, bytes_of(start.data, (size_t)(sum - start.data)));
    crc = segment_sum(crc, bytes_of(inside, (size_t)length));
    uint32_t said =
        (uint32_t)sum[0] | (uint32_t)sum[1] << 8 | (uint32_t)sum[2] << 16 | (uint32_t)sum[3] << 24;
    size_t key_length = inside[0];
    if (crc != said || key_length + 1 >= length)
        return false;
    *ret_key = bytes_of(inside + 1, key_length);
    *ret_record = bytes_of(inside + 1 + key_length, (size_t)length - 1 - key_length);
    *rest = bytes_of(inside + length, rest->length - CRC_BYTES - (size_t)length);
    return true;
}

static void bind_stream(sqlite3_stmt *insert, const struct stream *stream, int64_t seq)
{
    (void)sqlite3_clear_bindings(insert);
    (void)sqlite3_bind_text(insert, 1, stream->device, -1, SQLITE_TRANSIENT);
    (void)sqlite3_bind_int64(insert, 2, stream->incarnation);
    (void)sqlite3_bind_int(insert, 3, stream->lane);
    (void)sqlite3_bind_int64(insert, 4, seq);
}

static bool keep_record(struct oracle *oracle, sqlite3_stmt *insert, const struct stream *stream,
                        int64_t seq, struct bytes key, struct bytes record, struct err *err)
{
    Muster__TxnResult *txn = NULL;
    bind_stream(insert, stream, seq);
    if (stream->lane == LANE_TXN) {
        txn = muster__txn_result__unpack(NULL, record.length, record.data);
        if (txn == NULL)
            return err_set(err, ERR_IO, "seq %lld is no result", (long long)seq);
        (void)sqlite3_bind_blob(insert, 5, key.data, (int)key.length, SQLITE_TRANSIENT);
        (void)sqlite3_bind_int64(insert, 6, txn->stan);
        (void)sqlite3_bind_int64(insert, 7, (int64_t)txn->amount_minor);
        (void)sqlite3_bind_text(insert, 8, txn->code, -1, SQLITE_TRANSIENT);
        muster__txn_result__free_unpacked(txn, NULL);
    }
    return oracle_step(oracle, insert, err);
}

struct inserts {
    sqlite3_stmt *held, *damaged;
};

static bool read_segment(struct oracle *oracle, const struct inserts *inserts,
                         const struct stream *stream, int64_t first, int64_t count,
                         struct bytes body, struct err *err)
{
    struct bytes key, record;
    int64_t seq = first;
    while (body.length > 0 && seq < first + count && take_record(&body, &key, &record)) {
        if (!keep_record(oracle, inserts->held, stream, seq, key, record, err))
            return false;
        seq++;
    }
    if (seq == first + count && body.length == 0)
        return true;
    bind_stream(inserts->damaged, stream, seq);
    return oracle_step(oracle, inserts->damaged, err);
}

enum { CODEC_PLAIN = 0, CODEC_ZSTD = 1 };

/* Where what is read goes. */
struct reading {
    struct oracle *oracle;
    const char *device;
    struct inserts inserts;
    sqlite3_stmt *whose, *reached;
    struct buf plain;
};

static bool read_body(struct reading *reading, const struct stream *stream, sqlite3_int64 id,
                      int64_t first, int64_t count, int codec, struct bytes body, struct err *err)
{
    if (codec == CODEC_ZSTD) {
        if (!segment_inflate(reading->oracle, id, count, body, &reading->plain, err))
            return false;
        body = buf_bytes(&reading->plain);
    } else if (codec != CODEC_PLAIN) {
        body = bytes_of(NULL, 0);
    }
    return read_segment(reading->oracle, &reading->inserts, stream, first, count, body, err);
}

/* (incarnation, lane, first_seq, count, body, codec, id) */
static bool read_row(struct reading *reading, sqlite3_stmt *rows, struct err *err)
{
    const struct stream stream = {reading->device, sqlite3_column_int64(rows, 0),
                                  sqlite3_column_int(rows, 1)};
    struct bytes body =
        bytes_of(sqlite3_column_blob(rows, 4), (size_t)sqlite3_column_bytes(rows, 4));
    return read_body(reading, &stream, sqlite3_column_int64(rows, 6), sqlite3_column_int64(rows, 2),
                     sqlite3_column_int64(rows, 3), sqlite3_column_int(rows, 5), body, err);
}

/* Lane, number and seq are packed in the id as the columns of `segment` unpack them. */
static bool read_slots(void *ctx, sqlite3_int64 id, sqlite3_int64 records, int codec,
                       struct bytes body, struct err *err)
{
    struct reading *reading = ctx;
    int64_t first = id & 137438953471, number = id >> 37 & 16777215, incarnation = 0;
    int lane = (int)(4 - (id >> 61));
    (void)sqlite3_bind_int64(reading->whose, 1, number);
    (void)sqlite3_bind_int(reading->whose, 2, lane);
    if (sqlite3_step(reading->whose) == SQLITE_ROW)
        incarnation = sqlite3_column_int64(reading->whose, 0);
    (void)sqlite3_reset(reading->whose);
    const struct stream stream = {reading->device, incarnation, lane};
    if (!read_body(reading, &stream, id, first, records, codec, body, err))
        return false;
    bind_stream(reading->reached, &stream, first + records - 1);
    return oracle_step(reading->oracle, reading->reached, err);
}

static bool prepare(struct reading *reading, sqlite3_stmt **ret_rows, struct err *err)
{
    struct oracle *oracle = reading->oracle;
    return oracle_prepare(oracle, "INSERT INTO held VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                          &reading->inserts.held, err) &&
           oracle_prepare(oracle, "INSERT INTO damaged VALUES (?, ?, ?, ?)",
                          &reading->inserts.damaged, err) &&
           oracle_prepare(oracle,
                          "SELECT incarnation FROM place.stream WHERE number = ? AND lane = ?",
                          &reading->whose, err) &&
           oracle_prepare(oracle,
                          "UPDATE spool_stream SET last = max(last, ?4)"
                          " WHERE device = ?1 AND incarnation = ?2 AND lane = ?3",
                          &reading->reached, err) &&
           oracle_prepare(oracle,
                          "SELECT s.incarnation, g.lane, g.first_seq, g.count, g.body, g.codec,"
                          " g.id FROM place.segment g LEFT JOIN place.stream s"
                          " USING (number, lane)",
                          ret_rows, err);
}

static bool read_segments(struct oracle *oracle, const char *device, struct err *err)
{
    struct reading reading = {.oracle = oracle, .device = device};
    sqlite3_stmt *rows = NULL;
    bool ok = prepare(&reading, &rows, err);
    while (ok && sqlite3_step(rows) == SQLITE_ROW)
        ok = read_row(&reading, rows, err);
    if (sqlite3_finalize(rows) != SQLITE_OK && ok)
        ok = oracle_sql_fail(oracle, "segments", err);
    ok = ok && segment_slots(oracle, read_slots, &reading, err);
    buf_done(&reading.plain);
    (void)sqlite3_finalize(reading.inserts.held);
    (void)sqlite3_finalize(reading.inserts.damaged);
    (void)sqlite3_finalize(reading.whose);
    (void)sqlite3_finalize(reading.reached);
    return ok;
}

static bool read_acked(struct oracle *oracle, sqlite3_stmt *insert, const struct stream *stream,
                       struct bytes list, struct err *err)
{
    uint64_t step = 0, span = 0, at_ms = 0, before = 0;
    while (list.length > 0) {
        if (!segment_varint(&list, &step) || !segment_varint(&list, &span) ||
            !segment_varint(&list, &at_ms))
            return err_set(err, ERR_IO, "a list of receipted ranges is damaged");
        bind_stream(insert, stream, (int64_t)(before + step));
        (void)sqlite3_bind_int64(insert, 5, (int64_t)(before + step + span));
        if (!oracle_step(oracle, insert, err))
            return false;
        before += step + span;
    }
    return true;
}

static bool read_streams(struct oracle *oracle, const char *device, struct err *err)
{
    sqlite3_stmt *insert = NULL, *rows = NULL;
    bool ok =
        oracle_prepare(oracle, "INSERT INTO acked VALUES (?, ?, ?, ?, ?)", &insert, err) &&
        oracle_prepare(oracle, "SELECT incarnation, lane, acked FROM place.stream", &rows, err);
    while (ok && sqlite3_step(rows) == SQLITE_ROW) {
        const struct stream stream = {device, sqlite3_column_int64(rows, 0),
                                      sqlite3_column_int(rows, 1)};
        const struct bytes list =
            bytes_of(sqlite3_column_blob(rows, 2), (size_t)sqlite3_column_bytes(rows, 2));
        ok = read_acked(oracle, insert, &stream, list, err);
    }
    if (ok && sqlite3_finalize(rows) != SQLITE_OK)
        ok = oracle_sql_fail(oracle, "streams", err);
    (void)sqlite3_finalize(insert);
    return ok;
}

/* stream.last_seq of the incarnation that was running stays behind; the segments know better. */
/* Runs `sql`, whose one parameter is the device. */
static bool copy_rows(struct oracle *oracle, const char *sql, const char *device, struct err *err)
{
    sqlite3_stmt *copy = NULL;
    if (!oracle_prepare(oracle, sql, &copy, err))
        return false;
    (void)sqlite3_bind_text(copy, 1, device, -1, SQLITE_STATIC);
    bool ok = oracle_step(oracle, copy, err);
    (void)sqlite3_finalize(copy);
    return ok;
}

static bool read_last_seqs(struct oracle *oracle, const char *device, struct err *err)
{
    return copy_rows(oracle,
                     "INSERT INTO spool_stream SELECT ?, incarnation, lane, max(last_seq,"
                     " coalesce((SELECT max(g.first_seq + g.count - 1) FROM place.segment g"
                     " WHERE g.number = s.number AND g.lane = s.lane), 0)) FROM place.stream s",
                     device, err);
}

static bool read_lost(struct oracle *oracle, const char *device, struct err *err)
{
    return copy_rows(oracle,
                     "INSERT INTO lost SELECT 'spool', ?, s.incarnation, l.lane, l.first,"
                     " l.last, l.reason FROM place.lost l JOIN place.stream s"
                     " USING (number, lane)",
                     device, err);
}

/* The bytes of every file whose name begins with the spool's. */
static bool measure(const char *path, int64_t *ret_bytes, struct err *err)
{
    char folder[512], file[1024];
    const char *name = strrchr(path, '/');
    int length = name == NULL ? 1 : (int)(name - path);
    (void)snprintf(folder, sizeof folder, "%.*s", length, name == NULL ? "." : path);
    name = name == NULL ? path : name + 1;
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return err_errno(err, errno, "%s: cannot list", folder);
    int64_t bytes = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct stat held;
        (void)snprintf(file, sizeof file, "%s/%s", folder, entry->d_name);
        if (strncmp(entry->d_name, name, strlen(name)) == 0 && stat(file, &held) == 0)
            bytes += held.st_size;
    }
    (void)closedir(dir);
    *ret_bytes = bytes;
    return true;
}

static bool read_size(struct oracle *oracle, const struct oracle_spool *spool, struct err *err)
{
    int64_t bytes = 0;
    sqlite3_stmt *insert = NULL;
    if (!measure(spool->path, &bytes, err) ||
        !oracle_prepare(oracle, "INSERT INTO spool VALUES (?, ?, ?)", &insert, err))
        return false;
    (void)sqlite3_bind_text(insert, 1, spool->device, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(insert, 2, bytes);
    (void)sqlite3_bind_int64(insert, 3, spool->quota_bytes);
    bool ok = oracle_step(oracle, insert, err);
    (void)sqlite3_finalize(insert);
    return ok;
}

bool oracle_read_spool(struct oracle *oracle, const struct oracle_spool *spool, struct err *err)
{
    return read_size(oracle, spool, err) && read_last_seqs(oracle, spool->device, err) &&
           read_segments(oracle, spool->device, err) && read_streams(oracle, spool->device, err) &&
           read_lost(oracle, spool->device, err);
}
