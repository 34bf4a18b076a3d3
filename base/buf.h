/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/err.h"

#include <stdint.h>

/* Bytes that somebody else owns. */
struct bytes {
    const uint8_t *data;
    size_t length;
};

static inline struct bytes bytes_of(const void *data, size_t length)
{
    return (struct bytes){.data = data, .length = length};
}
bool bytes_equal(struct bytes a, struct bytes b);

/* A growing byte array with a hard limit; zero-initialised plus limit is ready to use. */
struct buf {
    uint8_t *data;
    size_t length;
    size_t capacity;
    size_t limit; /* bytes; 0 means 16 MiB */
};

bool buf_append(struct buf *buf, const void *data, size_t length, struct err *err) MUSTER_CHECK;
/* Makes room for `length` more bytes and returns where they go, or NULL; length is not changed. */
uint8_t *buf_reserve(struct buf *buf, size_t length, struct err *err) MUSTER_CHECK;
/* Removes the first `length` bytes. */
void buf_consume(struct buf *buf, size_t length);
void buf_clear(struct buf *buf); /* keeps the memory */
void buf_done(struct buf *buf);
static inline struct bytes buf_bytes(const struct buf *buf)
{
    return bytes_of(buf->data, buf->length);
}
/* What stands behind the first `from` bytes: what was appended since the length was `from`. */
static inline struct bytes buf_after(const struct buf *buf, size_t from)
{
    if (from >= buf->length) /* C knows no offset, not even 0, from a place that is none */
        return bytes_of(NULL, 0);
    return bytes_of(buf->data + from, buf->length - from);
}

/* Lower-case hex; `text` takes 2 * length + 1 bytes. */
void hex_encode(const void *data, size_t length, char *text);
/* Exactly `length` bytes from 2 * length hex digits of either case; false otherwise. */
bool hex_decode(const char *text, size_t text_length, void *data, size_t length) MUSTER_CHECK;

/* LEB128 as protobuf writes it. put: `out` takes 10 bytes, returns the bytes written.
 * get: returns the bytes read, 0 if more are needed, -1 if it is longer than 10 bytes
 * or does not fit into 64 bits. */
size_t varint_put(uint64_t value, uint8_t *out);
int varint_get(struct bytes in, uint64_t *ret_value);

#endif
