/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/package_taken.h"

#include "proto/envelope.h"
#include "proto/limits.h"
#include "proto/package.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <string.h>

/* Of a document that is kept here, which was looked at when it was published; NULL: it is no
 * package.
 */
static const Muster__DocumentHeader *header_of(const struct fleetdb_document *document,
                                               struct arena *arena)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_DOCUMENT_HEADER_BYTES,
                                                .max_elements = 32};
    struct envelope envelope;
    ProtobufCMessage *message = NULL;
    if (!package_kind((Muster__DocumentKind)document->kind) ||
        !envelope_read(document->header, &envelope, NULL) ||
        !unpack(&muster__document_header__descriptor, envelope.body, &limits, arena, &message,
                NULL))
        return NULL;
    return (const Muster__DocumentHeader *)message;
}

static bool check_one(void *ctx, const struct fleetdb_document *document, struct err *err)
{
    const Muster__DocumentHeader *wanted = ctx;
    struct arena arena = {.limit_bytes = 64 * 1024};
    const Muster__DocumentHeader *there = header_of(document, &arena);
    const bool taken = there != NULL &&
                       strcmp(there->package_version, wanted->package_version) == 0 &&
                       package_models_meet(there->model, wanted->model) &&
                       memcmp(document->sha256, wanted->sha256.data, sizeof document->sha256) != 0;
    arena_done(&arena);
    return !taken ||
           err_set(err, ERR_CONFLICT,
                   "document %s: package version %s is that of version %" PRIu64
                   ", which has another content: terminals that run it would install nothing; give "
                   "it a package version of its own",
                   wanted->name, wanted->package_version, document->version);
}

bool package_taken_check(struct fleetdb *db, const Muster__DocumentHeader *header, struct err *err)
{
    return !package_kind(header->kind) ||
           fleetdb_document_each(db, header->name, check_one, (void *)(uintptr_t)header, err);
}
