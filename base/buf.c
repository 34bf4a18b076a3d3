/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_LIMIT_BYTES = 16 * 1024 * 1024,
    FIRST_CAPACITY_BYTES = 256,
    VARINT_MAX_BYTES = 10,
};

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static size_t limit_of(const struct buf *buf)
{
    return buf->limit != 0 ? buf->limit : DEFAULT_LIMIT_BYTES;
}

static size_t grown_capacity(const struct buf *buf, size_t wanted)
{
    size_t limit = limit_of(buf);
    size_t capacity = buf->capacity != 0 ? buf->capacity : FIRST_CAPACITY_BYTES;
    while (capacity < wanted && capacity <= limit / 2)
        capacity *= 2;
    return capacity < wanted || capacity > limit ? limit : capacity;
}

uint8_t *buf_reserve(struct buf *buf, size_t length, struct err *err)
{
    size_t limit = limit_of(buf);
    if (buf->length > limit || length > limit - buf->length) {
        err_set(err, ERR_FULL, "%zu bytes do not fit: %zu of at most %zu are used", length,
                buf->length, limit);
        return NULL;
    }
    size_t wanted = buf->length + length;
    if (wanted > buf->capacity || buf->data == NULL) {
        size_t capacity = grown_capacity(buf, wanted);
        uint8_t *data = realloc(buf->data, capacity);
        if (data == NULL) {
            err_set(err, ERR_NO_MEMORY, "no memory for %zu bytes", capacity);
            return NULL;
        }
        buf->data = data;
        buf->capacity = capacity;
    }
    return buf->data + buf->length;
}

bool buf_append(struct buf *buf, const void *data, size_t length, struct err *err)
{
    if (length == 0)
        return true;
    uint8_t *to = buf_reserve(buf, length, err);
    if (to == NULL)
        return false;
    memcpy(to, data, length);
    buf->length += length;
    return true;
}

void buf_consume(struct buf *buf, size_t length)
{
    if (length >= buf->length) {
        buf->length = 0;
        return;
    }
    if (length == 0)
        return;
    memmove(buf->data, buf->data + length, buf->length - length);
    buf->length -= length;
}

void buf_clear(struct buf *buf)
{
    buf->length = 0;
}

void buf_done(struct buf *buf)
{
    free(buf->data);
    buf->data = NULL;
    buf->length = 0;
    buf->capacity = 0;
}

void hex_encode(const void *data, size_t length, char *text)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = data;
    for (size_t i = 0; i < length; i++) {
        text[2 * i] = digits[from[i] >> 4];
        text[2 * i + 1] = digits[from[i] & 0x0f];
    }
    text[2 * length] = '\0';
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

bool hex_decode(const char *text, size_t text_length, void *data, size_t length)
{
    if (text_length % 2 != 0 || text_length / 2 != length)
        return false;
    for (size_t i = 0; i < text_length; i++)
        if (hex_value(text[i]) < 0)
            return false;
    uint8_t *to = data;
    for (size_t i = 0; i < length; i++)
        to[i] = (uint8_t)(hex_value(text[2 * i]) * 16 + hex_value(text[2 * i + 1]));
    return true;
}

size_t varint_put(uint64_t value, uint8_t *out)
{
    size_t n = 0;
    while (value >= 0x80) {
        out[n++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[n++] = (uint8_t)value;
    return n;
}

int varint_get(struct bytes in, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < in.length && i < VARINT_MAX_BYTES; i++) {
        uint8_t byte = in.data[i];
        /* The tenth byte has room for bit 63 only. */
        if (i == VARINT_MAX_BYTES - 1 && byte > 1)
            return -1;
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if ((byte & 0x80) == 0) {
            *ret_value = value;
            return (int)i + 1;
        }
    }
    return 0;
}
