/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/document.h"

#include "fleet/content.h"
#include "fleet/words.h"
#include "proto/limits.h"
#include "proto/topics.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* An upload without a document is somebody's interrupted publish; it may be taken up that long. */
enum { UPLOAD_KEPT_MS = 24 * 60 * 60 * 1000 };

static bool check_versions(const Muster__DocumentHeader *header, struct err *err)
{
    if (header->version == 0 || header->version > INT64_MAX)
        return err_set(err, ERR_INVALID, "document %s: version %" PRIu64 " is out of range",
                       header->name, header->version);
    if (header->minimum_version > header->version)
        return err_set(err, ERR_INVALID,
                       "document %s: its minimum version %" PRIu64 " is above its own version",
                       header->name, header->minimum_version);
    if (header->epoch == 0 || header->epoch > INT64_MAX)
        return err_set(err, ERR_INVALID, "document %s: epoch %" PRIu64 " is out of range",
                       header->name, header->epoch);
    return true;
}

static bool check_header(const Muster__DocumentHeader *header, struct err *err)
{
    Muster__DocumentKind kind;
    if (!document_name_valid(header->name))
        return err_set(err, ERR_INVALID,
                       "the document's name must match [a-z0-9][a-z0-9._-]{0,47}");
    if (!word_to_kind(word_of_kind((int)header->kind), &kind, NULL))
        return err_set(err, ERR_INVALID, "document %s: kind %d is not known", header->name,
                       (int)header->kind);
    if (header->scope != MUSTER__DOCUMENT_SCOPE__SCOPE_PUBLIC || header->device[0] != '\0')
        return err_set(err, ERR_INVALID, "document %s: only public documents are taken so far",
                       header->name);
    if (header->sha256.len != 32)
        return err_set(err, ERR_INVALID, "document %s: its sha256 has %zu bytes", header->name,
                       header->sha256.len);
    if (header->length == 0 || header->length > LIMIT_DOCUMENT_BYTES)
        return err_set(err, ERR_INVALID, "document %s: %" PRIu64 " bytes are not in 1..%d",
                       header->name, header->length, LIMIT_DOCUMENT_BYTES);
    return check_versions(header, err);
}

bool document_open(const struct trust *trust, struct bytes envelope, struct arena *arena,
                   const Muster__DocumentHeader **ret_header, struct err *err)
{
    struct bytes body;
    if (envelope.length > LIMIT_DOCUMENT_HEADER_BYTES)
        return err_set(err, ERR_INVALID, "a document header of %zu bytes is over the %d allowed",
                       envelope.length, LIMIT_DOCUMENT_HEADER_BYTES);
    if (!unseal("document", "", envelope, trust_keys(trust, MUSTER__ROLE__ROLE_RELEASE), &body,
                err))
        return err_context(err,
                           "document header, checked against the release keys of root %" PRIu64,
                           trust_version(trust));
    static const struct unpack_limits limits = {.max_bytes = LIMIT_DOCUMENT_HEADER_BYTES,
                                                .max_elements = 32};
    ProtobufCMessage *message;
    if (!unpack(&muster__document_header__descriptor, body, &limits, arena, &message, err))
        return err_context(err, "document header");
    const Muster__DocumentHeader *header = (const Muster__DocumentHeader *)message;
    if (!check_header(header, err))
        return false;
    *ret_header = header;
    return true;
}

static struct fleetdb_document row_of(const Muster__DocumentHeader *header, struct bytes envelope,
                                      int64_t now_ms)
{
    struct fleetdb_document row = {
        .kind = (int)header->kind,
        .epoch = header->epoch,
        .version = header->version,
        .scope = (int)header->scope,
        .irreversible = header->irreversible,
        .length = header->length,
        .minimum_version = header->minimum_version,
        .published_ms = now_ms,
        .header = envelope,
    };
    (void)snprintf(row.name, sizeof row.name, "%s", header->name);
    memcpy(row.sha256, header->sha256.data, sizeof row.sha256);
    return row;
}

/* Against what was published before under the name. */
static bool check_standing(struct fleetdb *db, const struct fleetdb_document *document,
                           struct err *err)
{
    struct fleetdb_standing standing;
    if (!fleetdb_document_standing(db, document->name, document->device, &standing, err))
        return false;
    if (standing.newest_version == 0)
        return true;
    if (document->version <= standing.newest_version)
        return err_set(err, ERR_CONFLICT,
                       "document %s: version %" PRIu64 " is not above the newest, %" PRIu64,
                       document->name, document->version, standing.newest_version);
    if (document->minimum_version < standing.minimum_version)
        return err_set(err, ERR_CONFLICT,
                       "document %s: minimum version %" PRIu64 " is below %" PRIu64
                       ", signed before; it never goes down",
                       document->name, document->minimum_version, standing.minimum_version);
    if (document->epoch < standing.epoch)
        return err_set(err, ERR_CONFLICT,
                       "document %s: epoch %" PRIu64 " is below %" PRIu64 ", signed before",
                       document->name, document->epoch, standing.epoch);
    if (document->kind != standing.kind)
        return err_set(err, ERR_CONFLICT, "document %s is of kind %s and stays so", document->name,
                       word_of_kind(standing.kind));
    return true;
}

/* Only what this musterd can check itself may be handed to terminals. */
static bool check_encoding(struct fleetdb *db, const struct fleetdb_document *document,
                           struct fleetdb_encoding *encoding, struct err *err)
{
    if (encoding->coding != MUSTER__CONTENT_CODING__CONTENT_ZSTD)
        return err_set(err, ERR_INVALID, "document %s: only the coding zstd is taken so far",
                       document->name);
    struct buf blob = {0};
    bool ok = fleetdb_blob_get(db, encoding->blob, &blob, err) &&
              content_verify(buf_bytes(&blob), document->length, document->sha256, err);
    encoding->size = blob.length;
    buf_done(&blob);
    return ok || err_context(err, "document %s", document->name);
}

static bool add(struct fleetdb *db, const struct fleetdb_document *document,
                struct fleetdb_encoding *encodings, struct err *err)
{
    if (!check_standing(db, document, err))
        return false;
    for (size_t i = 0; i < document->encoding_count; i++)
        if (!check_encoding(db, document, &encodings[i], err))
            return false;
    char text[160];
    (void)snprintf(text, sizeof text, "%s version %" PRIu64 ", %s, %" PRIu64 " bytes",
                   document->name, document->version, word_of_kind(document->kind),
                   document->length);
    int64_t row;
    return fleetdb_document_add(db, document, &row, err) &&
           fleetdb_blob_forget(db, document->published_ms - UPLOAD_KEPT_MS, err) &&
           fleetdb_audit(db, document->published_ms, "api", "publish", 0, text, err);
}

bool document_publish(struct fleetdb *db, const struct trust *trust, struct bytes envelope,
                      struct fleetdb_encoding *encodings, size_t encoding_count, int64_t now_ms,
                      struct fleetdb_document *ret_document, struct err *err)
{
    struct arena arena = {.limit_bytes = 64 * 1024};
    const Muster__DocumentHeader *header = NULL;
    struct fleetdb_document document;
    bool ok = document_open(trust, envelope, &arena, &header, err) && header != NULL;
    if (ok)
        document = row_of(header, envelope, now_ms);
    arena_done(&arena);
    if (!ok)
        return false;
    if (encoding_count == 0)
        return err_set(err, ERR_INVALID, "document %s: no encoding is given", document.name);
    document.encodings = encodings;
    document.encoding_count = encoding_count;
    if (!fleetdb_begin(db, err))
        return false;
    if (!add(db, &document, encodings, err)) {
        fleetdb_rollback(db);
        return false;
    }
    if (!fleetdb_commit(db, err))
        return false;
    *ret_document = document;
    return true;
}
