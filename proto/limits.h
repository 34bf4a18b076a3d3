/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_LIMITS_H
#define PROTO_LIMITS_H

#include <stdint.h>

/* Bounds of the contract, in one place. A sender keeps within them, a receiver refuses beyond. */
enum {
    LIMIT_CLIENT_FRAME_BYTES = 64 * 1024,
    LIMIT_LINK_FRAME_BYTES = 1100 * 1024, /* a blob and its topic */
    LIMIT_RECORD_BYTES = 36 * 1024,       /* one packed record; an event's detail is 32 KiB */
    LIMIT_TXN_BYTES = 2 * 1024,           /* one packed TxnResult */
    LIMIT_BATCH_WIRE_BYTES = 128 * 1024,
    LIMIT_BATCH_BODY_BYTES = 1024 * 1024, /* after decompression */
    LIMIT_BATCH_ROWS = 2000,              /* of all lanes together */
    LIMIT_BATCH_LANES = 64,               /* streams in one batch */
    LIMIT_LOST_RANGE = 1 << 30,           /* seqs in one declaration of a loss */
    LIMIT_UNDECODABLE = 32,               /* refused batches named in one receipt */
    LIMIT_HELLO_BYTES = 64 * 1024,
    LIMIT_ONLINE_BYTES = 64,
    LIMIT_RECEIPT_BYTES = 64 * 1024,
    LIMIT_MANIFEST_BYTES = 64 * 1024,
    LIMIT_WELCOME_BYTES = 160 * 1024, /* a receipt and a manifest */
    LIMIT_ROOT_BYTES = 32 * 1024,
    LIMIT_BLOB_BYTES = 1024 * 1024,
    LIMIT_DOCUMENT_BYTES = 16 * 1024 * 1024, /* longer content streams, and is never a delta */
    LIMIT_SEALED_BYTES =
        4 * 1024 * 1024, /* as it is sent: to open it takes several times as much */
    LIMIT_CONTENT_BYTES = 512 * 1024 * 1024, /* of one document, unfolded */
    LIMIT_CONTENT_WINDOW_LOG = 23,           /* zstd's window where content streams: 8 MiB */
    LIMIT_PIECE_BYTES = 128 * 1024,          /* so each is, and the last one what is left */
    LIMIT_FRAME_SLACK_BYTES = 64 * 1024,     /* of all pieces, above content and a 128th */
    LIMIT_COMPARED_ROWS = 100000,            /* of a table: more are not counted */
    LIMIT_INLINE_BYTES = 512,                /* of a blob that the manifest carries itself */
    LIMIT_DOCUMENT_HEADER_BYTES = 1024,
    LIMIT_MANIFEST_ITEMS = 128,
    LIMIT_MANIFEST_ACTIONS = 16,
    LIMIT_ACTION_ID_CHARS = 36,
    LIMIT_ACTION_NOTE_BYTES = 120,
    LIMIT_HELPER_FRAME_BYTES = 8 * 1024,
    LIMIT_LOG_BUNDLE_BYTES = 1024 * 1024,   /* of a log bundle, as it is sent */
    LIMIT_LOG_TEXT_BYTES = 4 * 1024 * 1024, /* unfolded */
    LIMIT_LOG_PIECE_BYTES = 24 * 1024,
    LIMIT_DEVICE_ID_CHARS = 32,
    LIMIT_DOCUMENT_NAME_CHARS = 48,
};

/* Of documents and manifests; a higher one would use up the numbers. */
#define LIMIT_VERSION (UINT64_C(1) << 53)

#endif
