/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/document.h"

#include "fleet/document_check.h"
#include "fleet/encodings.h"
#include "fleet/package_taken.h"
#include "fleet/words.h"
#include "proto/key_placement.h"
#include "proto/limits.h"
#include "proto/package.h"
#include "proto/refusal.h"
#include "proto/topics.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An upload without a document is somebody's interrupted publish; it may be taken up that long. */
enum {
    UPLOAD_KEPT_MS = 24 * 60 * 60 * 1000,
    DELTAS_KEPT = 5, /* of so many newest versions, and of what is assigned */
    WHO_BYTES = 64,
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
    struct key_placement placement;
    if (header->kind == MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK &&
        !key_placement_read(header->key, &placement, err))
        return err_context(err, "document %s", header->name);
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
    const uint64_t most =
        document_length_max(header->kind, header->scope == MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED);
    if (header->length == 0 || header->length > most)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_LENGTH, ERR_INVALID,
                      "document %s: %" PRIu64 " bytes are not in 1..%" PRIu64, header->name,
                      header->length, most);
    return check_scope(header, err) && package_header_check(header, err) &&
           check_versions(trust, header, err);
}

/* A key block by custodian's keys, everything else by release's; which of them, only the header
 * says, and nothing is read before somebody of the two has signed it. */
static bool open_envelope(const struct trust *trust, const char *domain, struct bytes envelope,
                          struct arena *arena, const Muster__DocumentHeader **ret_header,
                          struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_DOCUMENT_HEADER_BYTES,
                                                .max_elements = 32};
    const struct key_set *release = trust_keys(trust, MUSTER__ROLE__ROLE_RELEASE);
    const struct key_set *custodian = trust_keys(trust, MUSTER__ROLE__ROLE_CUSTODIAN);
    struct bytes body;
    ProtobufCMessage *message;
    bool by_release = unseal(domain, "", envelope, release, &body, err);
    if (!by_release && !unseal(domain, "", envelope, custodian, &body, NULL))
        return false;
    if (!unpack(&muster__document_header__descriptor, body, &limits, arena, &message, err))
        return refuse_as(err, MUSTER__REFUSAL__REFUSAL_MALFORMED);
    *ret_header = (const Muster__DocumentHeader *)message;
    if ((*ret_header)->kind == MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK)
        return unseal(domain, "", envelope, custodian, &body, err);
    return by_release;
}

static bool open_as(const struct trust *trust, const char *domain, struct bytes envelope,
                    struct arena *arena, const Muster__DocumentHeader **ret_header, struct err *err)
{
    const Muster__DocumentHeader *header = NULL;
    if (envelope.length > LIMIT_DOCUMENT_HEADER_BYTES)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_TOO_LARGE, ERR_INVALID,
                      "a document header of %zu bytes is over the %d allowed", envelope.length,
                      LIMIT_DOCUMENT_HEADER_BYTES);
    if (!open_envelope(trust, domain, envelope, arena, &header, err)) {
        refuse_as(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_SIGNATURE);
        return err_context(err,
                           "not signed as root %" PRIu64
                           " wants it: by its release keys, a key block by its custodian keys "
                           "(musterctl keys show ROOT.BIN lists them)",
                           trust_version(trust));
    }
    if (!check_header(trust, header, err))
        return false;
    *ret_header = header;
    return true;
}

bool document_open(const struct trust *trust, struct bytes envelope, struct arena *arena,
                   const Muster__DocumentHeader **ret_header, struct err *err)
{
    return open_as(trust, SEAL_DOCUMENT, envelope, arena, ret_header, err);
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

/* The header, and whether it may be published now. */
static bool judge(struct fleetdb *db, const struct trust *trust, const char *domain,
                  struct bytes envelope, int64_t now_ms, struct fleetdb_document *ret_document,
                  struct err *err)
{
    struct arena arena = {.limit_bytes = 64 * 1024};
    const Muster__DocumentHeader *header = NULL;
    bool ok = open_as(trust, domain, envelope, &arena, &header, err) && header != NULL;
    if (ok)
        *ret_document = row_of(header, envelope, now_ms);
    ok = ok && find_device(db, ret_document, err) && fleetdb_document_same(db, ret_document, err) &&
         (ret_document->document != 0 ||
          (check_standing(db, ret_document, err) && package_taken_check(db, header, err)));
    arena_done(&arena);
    return ok;
}

static bool check_ways(const char *name, const struct fleetdb_encoding *encodings, size_t count,
                       struct err *err)
{
    if (count == 0)
        return err_set(err, ERR_INVALID, "document %s: no encoding is given", name);
    return encoding_whole(encodings, count) != NULL ||
           err_set(err, ERR_INVALID, "document %s: none of its encodings starts from nothing",
                   name);
}

bool document_try(struct fleetdb *db, const struct document_order *order,
                  struct fleetdb_document *ret_document, struct err *err)
{
    struct arena arena = {.limit_bytes = 64 * 1024};
    const Muster__DocumentHeader *header;
    /* It may have been signed long before, to be carried out. */
    bool is_signed = open_as(order->trust, SEAL_DOCUMENT, order->envelope, &arena, &header, NULL);
    arena_done(&arena);
    struct fleetdb_document document = {0};
    if (!judge(db, order->trust, is_signed ? SEAL_DOCUMENT : SEAL_DOCUMENT_DRY_RUN, order->envelope,
               order->now_ms, &document, err) ||
        !check_ways(document.name, order->encodings, order->count, err))
        return false;
    document.encodings = order->encodings;
    document.encoding_count = order->count;
    *ret_document = document;
    return true;
}

/* ---- what becomes of it ---- */

struct document_work {
    struct fleetdb *db;
    const struct trust *trust;
    char who[WHO_BYTES];
    int64_t now_ms;
    struct buf envelope; /* empty: more ways to get what is published */
    struct fleetdb_encoding encodings[FLEETDB_ENCODINGS_MAX];
    size_t count;
    struct document_check *check;
    struct fleetdb_document document;
    bool is_new;
    size_t added;
};

static bool read_header(struct document_work *work, struct err *err)
{
    if (!judge(work->db, work->trust, SEAL_DOCUMENT, buf_bytes(&work->envelope), work->now_ms,
               &work->document, err))
        return false;
    work->document.encodings = work->encodings;
    work->document.encoding_count = work->count;
    return true;
}

static bool add(struct document_work *work, struct err *err)
{
    struct fleetdb *db = work->db;
    struct fleetdb_document *document = &work->document;
    char text[160];
    (void)snprintf(text, sizeof text, "%s version %" PRIu64 ", %s, %" PRIu64 " bytes%s",
                   document->name, document->version, word_of_kind(document->kind),
                   document->length, document->irreversible ? ", irreversible" : "");
    return fleetdb_document_add(db, document, &document->document, err) &&
           fleetdb_delta_forget(db, document->name, document->device, DELTAS_KEPT, err) &&
           fleetdb_blob_forget(db, document->published_ms - UPLOAD_KEPT_MS, err) &&
           fleetdb_audit(db, document->published_ms, work->who, "publish", document->device, text,
                         err);
}

static bool add_ways(struct document_work *work, struct err *err)
{
    char text[160];
    for (size_t i = 0; i < work->count; i++) {
        bool is_new;
        if (!fleetdb_encoding_add(work->db, work->document.document, &work->encodings[i], &is_new,
                                  err))
            return false;
        work->added += is_new;
    }
    if (work->added == 0)
        return true;
    (void)snprintf(text, sizeof text, "%s version %" PRIu64 ", %zu more ways to get it",
                   work->document.name, work->document.version, work->added);
    return fleetdb_audit(work->db, work->now_ms, work->who, "ways", work->document.device, text,
                         err);
}

/* All was seen to be what the header says. While that was looked at another root may have come, or
 * another version. What is there to the byte is somebody's second try, whose first had no answer:
 * there is nothing to add but ways that it lacks. */
static bool commit(struct document_work *work, struct err *err)
{
    if (work->envelope.length > 0 && !read_header(work, err))
        return false;
    work->is_new = work->document.document == 0;
    if (!fleetdb_begin(work->db, err))
        return false;
    if (!(work->is_new ? add(work, err) : add_ways(work, err))) {
        fleetdb_rollback(work->db);
        return false;
    }
    return fleetdb_commit(work->db, err);
}

/* ---- in steps ---- */

static struct document_work *new_work(struct fleetdb *db, const struct document_order *order)
{
    struct document_work *work =
        order->count <= FLEETDB_ENCODINGS_MAX ? calloc(1, sizeof *work) : NULL;
    if (work == NULL)
        return NULL;
    work->db = db;
    work->trust = order->trust;
    work->now_ms = order->now_ms;
    (void)snprintf(work->who, sizeof work->who, "%s", order->who != NULL ? order->who : "musterd");
    memcpy(work->encodings, order->encodings, order->count * sizeof *order->encodings);
    work->count = order->count;
    return work;
}

static bool begin_new(struct document_work *work, struct bytes envelope, struct err *err)
{
    work->envelope.limit = LIMIT_DOCUMENT_HEADER_BYTES + 1; /* what is longer is refused as such */
    size_t length = envelope.length < work->envelope.limit ? envelope.length : work->envelope.limit;
    if (!buf_append(&work->envelope, envelope.data, length, err) || !read_header(work, err))
        return false;
    if (!check_ways(work->document.name, work->encodings, work->count, err))
        return false;
    return document_check_begin(work->db, &work->document, work->encodings, work->count,
                                &work->check, err);
}

bool document_begin(struct fleetdb *db, const struct document_order *order,
                    struct document_work **ret_work, struct err *err)
{
    struct document_work *work = new_work(db, order);
    if (work == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a document");
    if (!begin_new(work, order->envelope, err)) {
        document_free(work);
        return false;
    }
    *ret_work = work;
    return true;
}

bool document_begin_more(struct fleetdb *db, const struct fleetdb_wish *wish,
                         const struct document_order *order, struct document_work **ret_work,
                         struct err *err)
{
    struct fleetdb_encoding held[FLEETDB_ENCODINGS_MAX];
    struct document_work *work = new_work(db, order);
    int64_t row;
    uint64_t version;
    if (work == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a document");
    if (!fleetdb_document_find(db, wish, &row, &version, err) ||
        !fleetdb_document_get(db, row, held, &work->document, err) ||
        !document_check_begin(db, &work->document, work->encodings, work->count, &work->check,
                              err)) {
        document_free(work);
        return false;
    }
    *ret_work = work;
    return true;
}

bool document_step(struct document_work *work, uint64_t budget_bytes, bool *ret_done,
                   struct err *err)
{
    return document_check_step(work->check, budget_bytes, ret_done, err) &&
           (!*ret_done || commit(work, err));
}

const struct fleetdb_document *document_published(const struct document_work *work)
{
    return &work->document;
}

bool document_is_new(const struct document_work *work)
{
    return work->is_new;
}

size_t document_added(const struct document_work *work)
{
    return work->added;
}

void document_free(struct document_work *work)
{
    if (work == NULL)
        return;
    document_check_free(work->check);
    buf_done(&work->envelope);
    free(work);
}
