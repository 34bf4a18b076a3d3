/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_BUNDLE_H
#define PROTO_BUNDLE_H

#include "base/buf.h"

#include <stdio.h>

/* Bundles (bundle.proto), part by part: a file of any length needs no more memory than its longest
 * part. Who calls opens and closes the file. */

enum bundle_what { BUNDLE_ROOT, BUNDLE_MANIFEST, BUNDLE_BLOB, BUNDLE_END };

struct bundle_part {
    enum bundle_what what;
    struct bytes content;
    const char *device; /* of a manifest, else "" */
    uint64_t at;        /* where it stands in the file */
};

/* ---- reading: the file is foreign ---- */

struct bundle_reader;

/* Reads the start; ERR_INVALID: the file is not a bundle, or of a newer format. */
bool bundle_open(FILE *file, struct bundle_reader **ret_reader, struct err *err) MUSTER_CHECK;
void bundle_close(struct bundle_reader *reader);
int64_t bundle_made_ms(const struct bundle_reader *reader);
/* The next part, valid until the next call; BUNDLE_END when all were given and none is missing.
 * ERR_INVALID: cut short, out of order, too long, malformed. */
bool bundle_next(struct bundle_reader *reader, struct bundle_part *ret_part,
                 struct err *err) MUSTER_CHECK;
/* A part once more, by where it stands; bundle_next must have come to the end before. */
bool bundle_again(struct bundle_reader *reader, uint64_t at, struct bundle_part *ret_part,
                  struct err *err) MUSTER_CHECK;

/* ---- writing ---- */

struct bundle_writer {
    FILE *file;
    uint64_t parts;
};

bool bundle_begin(struct bundle_writer *writer, FILE *file, int64_t made_ms,
                  struct err *err) MUSTER_CHECK;
/* Roots first, then manifests, then blobs. */
bool bundle_add(struct bundle_writer *writer, const struct bundle_part *part,
                struct err *err) MUSTER_CHECK;
bool bundle_finish(struct bundle_writer *writer, struct err *err) MUSTER_CHECK;

#endif
