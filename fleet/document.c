/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/document.h"

#include "fleet/content.h"
#include "fleet/encodings.h"
#include "fleet/words.h"
#include "proto/limits.h"
#include "proto/refusal.h"
#include "proto/topics.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* An upload without a document is somebody's interrupted publish; it may be taken up that long. */
enum {
    UPLOAD_KEPT_MS = 24 * 60 * 60 * 1000,
    DELTAS_KEPT = 5, /* of so many newest versions, and of what is assigned */
};

static bool check_versions(const struct trust *trust, const Muster__DocumentHeader *header,
                           struct err *err)
{
    const char *name = header->name;
    if (header->epoch != trust_epoch(trust))
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_EPOCH, ERR_REFUSED,
                      "document %s: it was signed for epoch %" PRIu64 ", and root %" PRIu64
                      " is of epoch %" PRIu64 "; sign it again",
                      name, header->epoch, trust_version(trust), trust_epoch(trust));
    if (header->version == 0 || header->version >= LIMIT_VERSION)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_VERSION, ERR_INVALID,
                      "document %s: version %" PRIu64 " is out of range", name, header->version);
    if (header->minimum_version > header->version)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_VERSION, ERR_INVALID,
                      "document %s: its minimum version %" PRIu64 " is above its own version", name,
                      header->minimum_version);
    return true;
}

static bool check_scope(const Muster__DocumentHeader *header, struct err *err)
{
    const bool sealed = header->scope == MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED;
    if (!sealed && header->scope != MUSTER__DOCUMENT_SCOPE__SCOPE_PUBLIC)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_SCOPE, ERR_INVALID,
                      "document %s: scope %d is not known", header->name, (int)header->scope);
    if (!sealed && header->kind == MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_SCOPE, ERR_INVALID,
                      "document %s: a key block is always sealed to one device", header->name);
    if (sealed ? !device_id_valid(header->device) : header->device[0] != '\0')
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_DEVICE, ERR_INVALID,
                      "document %s: what is sealed names its device, and nothing else does",
                      header->name);
    return true;
}

static bool check_header(const struct trust *trust, const Muster__DocumentHeader *header,
                         struct err *err)
{
    Muster__DocumentKind kind;
    if (!document_name_valid(header->name))
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_NAME, ERR_INVALID,
                      "the document's name must match [a-z0-9][a-z0-9._-]{0,47}");
    if (!word_to_kind(word_of_kind((int)header->kind), &kind, NULL))
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_KIND, ERR_INVALID,
                      "document %s: kind %d is not known", header->name, (int)header->kind);
    if (header->sha256.len != 32)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_MALFORMED, ERR_INVALID,
                      "document %s: its sha256 has %zu bytes", header->name, header->sha256.len);
    const bool sealed = header->scope == MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED;
    /* What is sealed is opened as a whole. */
    const int most = sealed ? LIMIT_DOCUMENT_BYTES : document_length_max(header->kind);
    if (header->length == 0 || header->length > (uint64_t)most)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_LENGTH, ERR_INVALID,
                      "document %s: %" PRIu64 " bytes are not in 1..%d", header->name,
                      header->length, most);
    return check_scope(header, err) && check_versions(trust, header, err);
}

int document_length_max(Muster__DocumentKind kind)
{
    return kind == MUSTER__DOCUMENT_KIND__DOCUMENT_FILE ? LIMIT_CONTENT_BYTES
                                                        : LIMIT_DOCUMENT_BYTES;
}

/* A key block by custodian's keys, everything else by release's; which of them, only the header
 * says, and nothing is read before somebody of the two has signed it. */
static bool open_envelope(const struct trust *trust, struct bytes envelope, struct arena *arena,
                          const Muster__DocumentHeader **ret_header, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_DOCUMENT_HEADER_BYTES,
                                                .max_elements = 32};
    const struct key_set *release = trust_keys(trust, MUSTER__ROLE__ROLE_RELEASE);
    const struct key_set *custodian = trust_keys(trust, MUSTER__ROLE__ROLE_CUSTODIAN);
    struct bytes body;
    ProtobufCMessage *message;
    bool by_release = unseal("document", "", envelope, release, &body, err);
    if (!by_release && !unseal("document", "", envelope, custodian, &body, NULL))
        return false;
    if (!unpack(&muster__document_header__descriptor, body, &limits, arena, &message, err))
        return refuse_as(err, MUSTER__REFUSAL__REFUSAL_MALFORMED);
    *ret_header = (const Muster__DocumentHeader *)message;
    if ((*ret_header)->kind == MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK)
        return unseal("document", "", envelope, custodian, &body, err);
    return by_release;
}

bool document_open(const struct trust *trust, struct bytes envelope, struct arena *arena,
                   const Muster__DocumentHeader **ret_header, struct err *err)
{
    const Muster__DocumentHeader *header = NULL;
    if (envelope.length > LIMIT_DOCUMENT_HEADER_BYTES)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_TOO_LARGE, ERR_INVALID,
                      "a document header of %zu bytes is over the %d allowed", envelope.length,
                      LIMIT_DOCUMENT_HEADER_BYTES);
    if (!open_envelope(trust, envelope, arena, &header, err)) {
        refuse_as(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_SIGNATURE);
        return err_context(err,
                           "document header, checked against the release keys (of a key block: "
                           "the custodian keys) of root %" PRIu64,
                           trust_version(trust));
    }
    if (!check_header(trust, header, err))
        return false;
    *ret_header = header;
    return true;
}

/* Without the device's row. */
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
    (void)snprintf(row.device_id, sizeof row.device_id, "%s", header->device);
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
    if (document->kind != standing.kind)
        return err_set(err, ERR_CONFLICT, "document %s is of kind %s and stays so", document->name,
                       word_of_kind(standing.kind));
    if (document->epoch > standing.epoch)
        return true; /* what was signed before counts no more */
    if (document->version <= standing.newest_version)
        return err_set(err, ERR_CONFLICT,
                       "document %s: version %" PRIu64 " is not above the newest, %" PRIu64,
                       document->name, document->version, standing.newest_version);
    if (document->minimum_version < standing.minimum_version)
        return err_set(err, ERR_CONFLICT,
                       "document %s: minimum version %" PRIu64 " is below %" PRIu64
                       ", signed before; it never goes down",
                       document->name, document->minimum_version, standing.minimum_version);
    return true;
}

static bool find_device(struct fleetdb *db, struct fleetdb_document *document, struct err *err)
{
    struct fleetdb_device device;
    if (document->device_id[0] == '\0')
        return true;
    if (!fleetdb_device_find(db, document->device_id, &device, err))
        return false;
    document->device = device.device;
    return true;
}

static bool get_blob(void *ctx, const uint8_t sha256[32], struct buf *out, struct err *err)
{
    return fleetdb_blob_get(ctx, sha256, out, err);
}

static bool append(void *ctx, struct bytes part, struct err *err)
{
    return buf_append(ctx, part.data, part.length, err);
}

/* The content that a delta starts from, of a public document that is held. */
static bool read_base(struct fleetdb *db, const uint8_t sha[32], struct buf *out, struct err *err)
{
    struct fleetdb_encoding encodings[FLEETDB_ENCODINGS_MAX];
    struct fleetdb_document document;
    bool found;
    if (!fleetdb_document_of_content(db, sha, encodings, &document, &found, err))
        return false;
    const struct fleetdb_encoding *whole =
        found ? encoding_whole(encodings, document.encoding_count) : NULL;
    if (whole == NULL || document.device != 0 || document.length > LIMIT_DOCUMENT_BYTES)
        return err_set(err, ERR_INVALID,
                       "the delta starts from content that no public document here has");
    const struct parcel_source source = {get_blob, db};
    const struct content_spec spec = {
        .length = document.length, .sha256 = sha, .each = append, .ctx = out};
    return content_unfold(&source, whole, &spec, err);
}

static bool check_coding(const struct fleetdb_document *document,
                         const struct fleetdb_encoding *encoding, struct err *err)
{
    const bool sealed = document->scope == MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED;
    const bool cms = encoding->coding == MUSTER__CONTENT_CODING__CONTENT_CMS;
    if (sealed != cms)
        return err_set(err, ERR_INVALID, "what is sealed is sent as CMS, and nothing else is");
    return !encoding->delta || memcmp(encoding->base, document->sha256, 32) != 0 ||
           err_set(err, ERR_INVALID, "a delta from the content to itself");
}

/* Only what this musterd can check itself may be handed to terminals. */
static bool check_encoding(struct fleetdb *db, const struct fleetdb_document *document,
                           struct fleetdb_encoding *encoding, struct err *err)
{
    struct buf base = {.limit = LIMIT_DOCUMENT_BYTES};
    const struct parcel_source source = {get_blob, db};
    bool ok = check_coding(document, encoding, err) &&
              fleetdb_blob_size(db, encoding->blob, &encoding->size, err);
    if (ok && encoding->size == 0)
        ok = err_set(err, ERR_NOT_FOUND, "a blob of it is not here; upload it first");
    if (ok && encoding->delta)
        ok = read_base(db, encoding->base, &base, err);
    const struct content_spec spec = {
        .length = document->length, .sha256 = document->sha256, .base = buf_bytes(&base)};
    ok = ok && content_unfold(&source, encoding, &spec, err);
    buf_done(&base);
    return ok || err_context(err, "document %s", document->name);
}

static bool add(struct fleetdb *db, struct fleetdb_document *document,
                struct fleetdb_encoding *encodings, struct err *err)
{
    if (!find_device(db, document, err) || !check_standing(db, document, err))
        return false;
    for (size_t i = 0; i < document->encoding_count; i++)
        if (!check_encoding(db, document, &encodings[i], err))
            return false;
    if (encoding_whole(encodings, document->encoding_count) == NULL)
        return err_set(err, ERR_INVALID, "document %s: none of its encodings starts from nothing",
                       document->name);
    char text[160];
    (void)snprintf(text, sizeof text, "%s version %" PRIu64 ", %s, %" PRIu64 " bytes%s",
                   document->name, document->version, word_of_kind(document->kind),
                   document->length, document->irreversible ? ", irreversible" : "");
    return fleetdb_document_add(db, document, &document->document, err) &&
           fleetdb_delta_forget(db, document->name, document->device, DELTAS_KEPT, err) &&
           fleetdb_blob_forget(db, document->published_ms - UPLOAD_KEPT_MS, err) &&
           fleetdb_audit(db, document->published_ms, "api", "publish", document->device, text, err);
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

static bool add_encodings(struct fleetdb *db, const struct fleetdb_wish *wish,
                          struct fleetdb_encoding *encodings, size_t count, size_t *ret_added,
                          struct err *err)
{
    struct fleetdb_encoding held[FLEETDB_ENCODINGS_MAX];
    struct fleetdb_document document;
    int64_t row;
    uint64_t version;
    size_t added = 0;
    if (!fleetdb_document_find(db, wish, &row, &version, err) ||
        !fleetdb_document_get(db, row, held, &document, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        bool is_new;
        if (!check_encoding(db, &document, &encodings[i], err) ||
            !fleetdb_encoding_add(db, row, &encodings[i], &is_new, err))
            return false;
        added += is_new;
    }
    *ret_added = added;
    return true;
}

bool document_add_encodings(struct fleetdb *db, const struct fleetdb_wish *wish,
                            struct fleetdb_encoding *encodings, size_t count, size_t *ret_added,
                            struct err *err)
{
    if (!fleetdb_begin(db, err))
        return false;
    if (!add_encodings(db, wish, encodings, count, ret_added, err)) {
        fleetdb_rollback(db);
        return false;
    }
    return fleetdb_commit(db, err);
}
