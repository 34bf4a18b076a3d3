/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_OWNED_H
#define AGENT_OWNED_H

#include "base/buf.h"
#include "proto/limits.h"
#include "proto/record.pb-c.h"

/*
 * Documents that another system of the terminal owns, and where it keeps them: `[owned]` in
 * agent.conf. The agent reads these files to compare them and never writes one.
 */
enum { OWNED_FILES = 32, OWNED_PATH_BYTES = 256 };

struct owned_file {
    char name[LIMIT_DOCUMENT_NAME_CHARS + 1];
    char path[OWNED_PATH_BYTES];
};

struct owned {
    size_t count;
    struct owned_file files[OWNED_FILES];
};

/* Of what the settings hold: "NAME=PATH", a line each. ERR_INVALID: a name that no document has, a
 * path that is another's already or below `state_dir`, which is Muster's own, or too many. */
bool owned_read(const char *text, const char *state_dir, struct owned *ret_owned,
                struct err *err) MUSTER_CHECK;
const char *owned_path(const struct owned *owned, const char *name); /* NULL: nobody owns it */

/* One look at a file, on a worker. */
struct owned_look {
    Muster__DifferenceKind kind; /* NONE: it was read */
    uint64_t length;
    uint8_t sha256[32]; /* of what was read */
    char why[64];       /* unreadable: why */
};

/* It is read where it has `wanted_bytes`, or no more than a document that is no package may have.
 * `content` (NULL: not needed) gets what is read while that is within its limit, and is cleared
 * when it is not. */
void owned_look(const char *path, uint64_t wanted_bytes, struct buf *content,
                struct owned_look *ret_look);

#endif
