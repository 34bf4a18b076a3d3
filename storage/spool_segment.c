/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_segment.h"

#include <string.h>

enum { CRC_BYTES = 4, KEY_LENGTH_BYTES = 1, VARINT_MAX = 10 };

static uint32_t get_u32(const uint8_t *in)
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

static void put_u32(uint8_t *out, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

bool spool_segment_put(struct buf *body, struct bytes key, struct bytes record, struct err *err)
{
    if (key.length > SPOOL_KEY_BYTES)
        return err_set(err, ERR_INVALID, "idempotency key of %zu bytes, at most %d", key.length,
                       SPOOL_KEY_BYTES);
    size_t length = KEY_LENGTH_BYTES + key.length + record.length;
    uint8_t *out = buf_reserve(body, VARINT_MAX + CRC_BYTES + length, err);
    if (out == NULL)
        return false;
    size_t head = varint_put(length, out);
    uint8_t *payload = out + head + CRC_BYTES;
    payload[0] = (uint8_t)key.length;
    if (key.length > 0)
        memcpy(payload + KEY_LENGTH_BYTES, key.data, key.length);
    memcpy(payload + KEY_LENGTH_BYTES + key.length, record.data, record.length);
    uint32_t crc = spool_segment_crc(0, bytes_of(out, head));
    put_u32(out + head, spool_segment_crc(crc, bytes_of(payload, length)));
    body->length += head + CRC_BYTES + length;
    return true;
}

/* The payload's bounds by its length, whatever else is wrong; false if there is none. */
static bool payload_of(struct bytes rest, struct bytes *ret_payload, size_t *ret_head)
{
    uint64_t length = 0;
    int head = varint_get(rest, &length);
    if (head <= 0 || rest.length - (size_t)head < CRC_BYTES ||
        length > rest.length - (size_t)head - CRC_BYTES || length <= KEY_LENGTH_BYTES)
        return false;
    *ret_payload = bytes_of(rest.data + head + CRC_BYTES, (size_t)length);
    *ret_head = (size_t)head;
    return true;
}

static bool check(struct bytes rest, size_t head, struct bytes payload, struct err *err)
{
    uint32_t crc = spool_segment_crc(0, bytes_of(rest.data, head));
    if (spool_segment_crc(crc, payload) != get_u32(rest.data + head))
        return err_set(err, ERR_IO, "a record's checksum does not match");
    if (payload.data[0] > SPOOL_KEY_BYTES ||
        (size_t)payload.data[0] + KEY_LENGTH_BYTES >= payload.length)
        return err_set(err, ERR_IO, "a record's key length is damaged");
    return true;
}

static struct spool_frame frame_of(struct bytes payload)
{
    size_t key = payload.data[0];
    return (struct spool_frame){
        .key = bytes_of(payload.data + KEY_LENGTH_BYTES, key),
        .record = bytes_of(payload.data + KEY_LENGTH_BYTES + key,
                           payload.length - KEY_LENGTH_BYTES - key),
    };
}

static struct bytes behind(struct bytes rest, struct bytes payload)
{
    const uint8_t *end = payload.data + payload.length;
    return bytes_of(end, rest.length - (size_t)(end - rest.data));
}

bool spool_segment_skip(struct bytes *rest, struct err *err)
{
    struct bytes payload = {0};
    size_t head = 0;
    if (!payload_of(*rest, &payload, &head))
        return err_set(err, ERR_IO, "a record's length is damaged");
    *rest = behind(*rest, payload);
    return true;
}

bool spool_segment_next(struct bytes *rest, struct spool_frame *ret_frame, struct err *err)
{
    struct bytes payload = {0};
    size_t head = 0;
    if (!payload_of(*rest, &payload, &head))
        return err_set(err, ERR_IO, "a record's length is damaged");
    if (!check(*rest, head, payload, err))
        return false;
    *ret_frame = frame_of(payload);
    *rest = behind(*rest, payload);
    return true;
}

void spool_segment_split(struct bytes body, size_t count, struct spool_frame *ret_frames)
{
    size_t found = 0, damaged = count;
    for (; found < count && body.length > 0; found++) {
        struct bytes payload = {0};
        size_t head = 0;
        if (!payload_of(body, &payload, &head))
            break;
        bool sound = check(body, head, payload, NULL);
        ret_frames[found] = sound ? frame_of(payload) : (struct spool_frame){0};
        if (!sound && damaged == count)
            damaged = found;
        body = behind(body, payload);
    }
    if (found == count && body.length == 0)
        return;
    for (size_t i = damaged < found ? damaged : found; i < count; i++)
        ret_frames[i] = (struct spool_frame){0};
}
