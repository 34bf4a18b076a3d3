/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_DECODE_H
#define AGENT_DECODE_H

#include "proto/trust.h"

#include <jansson.h>
#include <stdio.h>

/*
 * Any bytes of this system as a tree for people and scripts: sealed messages, bare ones, local
 * frames, blobs, bundles, the spool's chain. Made by the messages' descriptors, so that a field
 * added to one needs no code here. For diagnosis only: unlike everything else here it looks into an
 * envelope whose signature nobody has checked, within the same bounds, and says so.
 */
struct decode_options {
    const char *as;               /* a name of decode_names; NULL: found out */
    bool frames;                  /* length-delimited messages, as on a local socket */
    const char *device;           /* whose: what its signatures cover; NULL: as the message says */
    const struct trust *trust;    /* its keys check what the fleet signs; may be NULL */
    const struct verify_key *key; /* checks everything, in the place of `trust`; may be NULL */
};

struct decoded {
    json_t *root;
    bool refused; /* a signature was checked and is not good */
};

/* ERR_INVALID: `err` says what it may be, and `tried` one line for each way that was tried, with
 * the byte at which it ended. The caller decrefs the root. */
bool decode_bytes(struct bytes in, const struct decode_options *options,
                  struct decoded *ret_decoded, struct buf *tried, struct err *err) MUSTER_CHECK;
/* A bundle of any length, of which no more than a part is in memory. */
bool decode_bundle_file(FILE *file, const struct decode_options *options,
                        struct decoded *ret_decoded, struct err *err) MUSTER_CHECK;
/* Whether a file that begins like this is one. */
bool decode_bundle_begins(struct bytes in);
/* "root, document, ...": what --as takes, in the order in which it is tried. */
void decode_names(char *out, size_t size);
bool decode_name_known(const char *name);

/* ---- for the decoder's own files ---- */

/* The message by its descriptor: fields that hold their default are left out, bytes are hex, enums
 * words, wall times have a NAME_iso beside them, card numbers are masked. `nested` may give the
 * tree of a bytes field that holds a message itself; NULL: it does not. */
struct decode_nest {
    json_t *(*nested)(void *ctx, const ProtobufCMessage *message,
                      const ProtobufCFieldDescriptor *field, struct bytes value);
    void *ctx;
};
json_t *decode_message(const ProtobufCMessage *message, const struct decode_nest *nest);
/* Whether there is any field that this program does not know. */
bool decode_has_unknown(const ProtobufCMessage *message);
json_t *decode_hex(struct bytes value);
/* Masked; "?" for what is not UTF-8. */
json_t *decode_text(struct bytes text);
/* Zeros in front, as incarnations are written. */
json_t *decode_id(uint64_t id);
json_t *decode_number(uint64_t value);

/* A zstd frame: what it is named by, what it unfolds to. */
bool decode_blob(struct bytes in, json_t **ret_root, struct err *err) MUSTER_CHECK;
/* The spool's chain of incarnations. */
bool decode_chain(struct bytes in, json_t **ret_root, struct err *err) MUSTER_CHECK;

/* As indented text; what a terminal would obey becomes '?'. False: it could not be written. */
bool decode_print(const json_t *root, FILE *out) MUSTER_CHECK;

#endif
