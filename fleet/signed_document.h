/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_SIGNED_DOCUMENT_H
#define FLEET_SIGNED_DOCUMENT_H

#include "fleet/signers.h"
#include "proto/arena.h"
#include "proto/desired.pb-c.h"
#include "proto/trust.h"

/* A document that is signed away from musterd, by one person after the other, and published later:
 * the file of `musterctl doc sign` (proto/signed.proto). */

/* Who signs documents of this kind. */
Muster__Role document_role(Muster__DocumentKind kind);

/* Appends the header's Envelope, signed by all; for a dry run one that no terminal takes. */
bool document_header_seal(const Muster__DocumentHeader *header, const struct signers *signers,
                          bool dry_run, struct buf *out, struct err *err) MUSTER_CHECK;
/* ERR_REFUSED: one of the signers is no key of the role that signs this kind; its signature would
 * count for nothing. */
bool document_signers_check(const struct trust *trust, Muster__DocumentKind kind,
                            const struct signers *signers, struct err *err) MUSTER_CHECK;

struct signed_document {
    struct buf envelope; /* the header's */
    struct buf sealed;   /* what is sent of a sealed one */
    struct arena arena;
    const Muster__DocumentHeader *header; /* in `arena` */
};

/* Foreign bytes; the signatures are for who takes it. What is sealed is what its header names. */
bool signed_document_read(const char *path, struct signed_document *ret_document,
                          struct err *err) MUSTER_CHECK;
bool signed_document_parse(struct bytes file, struct signed_document *ret_document,
                           struct err *err) MUSTER_CHECK;
bool signed_document_write(const char *path, struct bytes envelope, struct bytes sealed,
                           struct err *err) MUSTER_CHECK;
void signed_document_done(struct signed_document *document);
/* How many different keys of the set have signed it. */
size_t signed_document_count(const struct signed_document *document, const struct key_set *keys);

/* Whether the file is the content that the header names; read in parts, it may be of any length. */
bool signed_document_names(const struct signed_document *document, const char *path,
                           struct err *err) MUSTER_CHECK;
/* Length and hash of a file of any length. */
bool content_file_hash(const char *path, uint64_t *ret_length, uint8_t ret_sha256[32],
                       struct err *err) MUSTER_CHECK;

#endif
