/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CTL_CONTENT_H
#define FLEET_CTL_CONTENT_H

#include "fleet/ctl_publish.h"

/* The content of a public document as blobs at musterd: whole, and as deltas from and to the
 * versions before it. */

/* Compresses the file, of publish->length bytes, into blobs, and adds the encoding. A file of any
 * size passes through in parts. */
bool ctl_content_whole(struct ctl *ctl, struct ctl_publish *publish, const char *path,
                       struct err *err) MUSTER_CHECK;

/* Content of an earlier version that deltas start from, and lead to. */
enum { CTL_CONTENT_BASES = 4 };
/* Of musterd's list, newest first: what deltas to or from a public document with this content start
 * from or lead to. */
size_t ctl_content_bases(const json_t *documents, const uint8_t sha256[32],
                         const json_t *ret_bases[CTL_CONTENT_BASES]);

struct ctl_content_back {
    int64_t epoch, version;
    struct fleetdb_encoding encoding; /* from the new content to that version's */
};
/* Adds a delta from each of the last CTL_CONTENT_BASES contents that is worth it; and gives those
 * that lead back, for an undo, whose documents are there already. */
bool ctl_content_deltas(struct ctl *ctl, struct ctl_publish *publish, struct bytes content,
                        struct ctl_content_back ret_back[CTL_CONTENT_BASES], size_t *ret_count,
                        struct err *err) MUSTER_CHECK;
/* Of what is published already: the deltas that lead back from it and that are not there, since
 * whoever published it was interrupted. */
bool ctl_content_lacking(struct ctl *ctl, struct ctl_publish *publish, struct bytes content,
                         struct ctl_content_back ret_back[CTL_CONTENT_BASES], size_t *ret_count,
                         struct err *err) MUSTER_CHECK;
/* Once the document is published, since they start from its content. */
bool ctl_content_post_back(struct ctl *ctl, const struct ctl_publish *publish,
                           const struct ctl_content_back *back, size_t count,
                           struct err *err) MUSTER_CHECK;

/* GET /api/v1/documents for this name alone, which must be a document's. */
bool ctl_content_list(struct ctl *ctl, const char *name, json_t **ret_documents,
                      struct err *err) MUSTER_CHECK;
/* A file that is to be compared. ERR_REFUSED: it is too long for that; ERR_NOT_FOUND. */
bool ctl_content_read(const char *path, struct buf *out, struct err *err) MUSTER_CHECK;
/* Appends the content of a document in musterd's list: fetched, unfolded, compared with its hash.
 * ERR_REFUSED: it is too long to be compared. */
bool ctl_content_fetch(struct ctl *ctl, const json_t *document, struct buf *out,
                       struct err *err) MUSTER_CHECK;

#endif
