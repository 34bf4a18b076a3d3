/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CONTENT_H
#define FLEET_CONTENT_H

#include "base/buf.h"
#include "proto/desired.pb-c.h"

/* A document's content on its way to the terminals: one zstd frame that states the content's
 * size (CONTENT_ZSTD). */

/* What can be said before signing: not empty, within LIMIT_DOCUMENT_BYTES, and text kinds are
 * UTF-8 without NUL. The terminal validates the rest against its own rules before it applies. */
bool content_check(Muster__DocumentKind kind, struct bytes content, struct err *err) MUSTER_CHECK;

/* Appends the frame; ERR_FULL if it exceeds LIMIT_BLOB_BYTES. */
bool content_encode(struct bytes content, struct buf *out, struct err *err) MUSTER_CHECK;

/* Foreign bytes: true if `blob` is exactly one frame of `length` bytes that hash to `sha256`.
 * Memory is bounded by the window, whatever the frame claims. */
bool content_verify(struct bytes blob, uint64_t length, const uint8_t sha256[32],
                    struct err *err) MUSTER_CHECK;

#endif
