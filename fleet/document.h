/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_DOCUMENT_H
#define FLEET_DOCUMENT_H

#include "proto/arena.h"
#include "proto/trust.h"
#include "storage/fleetdb_desired.h"

/* The gate that every document passes on its way into the fleet: what release did not sign, or
 * what is not what it signed, never gets further. */

/* Verifies the Envelope of a DocumentHeader against the release keys, of a key block against the
 * custodian keys, and checks every field; its epoch is that of the root in force. The header lives
 * in `arena`; the error's reason is a Refusal. */
bool document_open(const struct trust *trust, struct bytes envelope, struct arena *arena,
                   const Muster__DocumentHeader **ret_header, struct err *err) MUSTER_CHECK;

/*
 * A signed header and the encodings of its content, whose blobs have been uploaded, on their way
 * in. What is wrong with the header is said at once; then each encoding is unfolded, in steps and
 * within bounds, and compared with it (fleet/document_check.h); then all is kept in one
 * transaction, with an audit row. The version must be newer than the newest of its name in the
 * epoch, kind the same, minimum version not lower, at the beginning and at the end. A header that
 * is there to the byte is done, and not new, whatever has come since: a second try is safe.
 */
struct document_work;
struct document_order {
    const struct trust *trust; /* must live as long as the work, as the database must */
    struct bytes envelope;
    const struct fleetdb_encoding *encodings; /* sizes are filled in on the way */
    size_t count;
    const char *who; /* for the audit */
    int64_t now_ms;
};
bool document_begin(struct fleetdb *db, const struct document_order *order,
                    struct document_work **ret_work, struct err *err) MUSTER_CHECK;
/* What of an order can be judged before its blobs are there; nothing is kept. The header may be
 * sealed as SEAL_DOCUMENT_DRY_RUN. What is given lives as long as the order. */
bool document_try(struct fleetdb *db, const struct document_order *order,
                  struct fleetdb_document *ret_document, struct err *err) MUSTER_CHECK;
/* More ways to get a document that is published, checked like the first, with an audit row if one
 * is new; of the order neither trust nor envelope counts. */
bool document_begin_more(struct fleetdb *db, const struct fleetdb_wish *wish,
                         const struct document_order *order, struct document_work **ret_work,
                         struct err *err) MUSTER_CHECK;
/* Takes or makes so many bytes of content, or somewhat more. Done: it is kept. False, or done: no
 * step follows. */
bool document_step(struct document_work *work, uint64_t budget_bytes, bool *ret_done,
                   struct err *err) MUSTER_CHECK;
/* What was published, whether it was not there before, and how many ways were new to what was; once
 * it is done, and until it is freed. */
const struct fleetdb_document *document_published(const struct document_work *work);
bool document_is_new(const struct document_work *work);
size_t document_added(const struct document_work *work);
void document_free(struct document_work *work);

#endif
