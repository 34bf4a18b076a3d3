/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/document_check.h"

#include "fleet/content.h"
#include "fleet/encodings.h"
#include "proto/limits.h"

#include <stdlib.h>
#include <string.h>

struct document_check {
    struct fleetdb *db;
    struct fleetdb_document document; /* what its pointers pointed at is gone */
    struct fleetdb_encoding *encodings;
    size_t count, at;
    struct content_unfolding *unfolding; /* of the encoding at hand, or of what it starts from */
    struct buf base;
    bool based;                                          /* a delta's base is read */
    struct fleetdb_encoding ways[FLEETDB_ENCODINGS_MAX]; /* of the base's document */
};

static bool get_blob(void *ctx, const uint8_t sha256[32], struct buf *out, struct err *err)
{
    return fleetdb_blob_get(ctx, sha256, out, err);
}

static bool append(void *ctx, struct bytes part, struct err *err)
{
    return buf_append(ctx, part.data, part.length, err);
}

/* The content that a delta starts from, of a public document that is held. */
static bool begin_base(struct document_check *check, const uint8_t sha[32], struct err *err)
{
    struct fleetdb_document document;
    bool found;
    if (!fleetdb_document_of_content(check->db, sha, check->ways, &document, &found, err))
        return false;
    const struct fleetdb_encoding *whole =
        found ? encoding_whole(check->ways, document.encoding_count) : NULL;
    if (whole == NULL || document.device != 0 || document.length > LIMIT_DOCUMENT_BYTES)
        return err_set(err, ERR_INVALID,
                       "the delta starts from content that no public document here has");
    const struct parcel_source source = {get_blob, check->db};
    const struct content_spec spec = {
        .length = document.length, .sha256 = sha, .each = append, .ctx = &check->base};
    check->base.limit = LIMIT_DOCUMENT_BYTES;
    return content_begin(&source, whole, &spec, &check->unfolding, err);
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

static bool begin_encoding(struct document_check *check, struct err *err)
{
    struct fleetdb_encoding *encoding = &check->encodings[check->at];
    const struct parcel_source source = {get_blob, check->db};
    const struct content_spec spec = {.length = check->document.length,
                                      .sha256 = check->document.sha256,
                                      .base = buf_bytes(&check->base)};
    if (!check_coding(&check->document, encoding, err) ||
        !fleetdb_blob_size(check->db, encoding->blob, &encoding->size, err))
        return false;
    if (encoding->size == 0)
        return err_set(err, ERR_NOT_FOUND, "a blob of it is not here; upload it first");
    if (encoding->delta && !check->based)
        return begin_base(check, encoding->base, err);
    return content_begin(&source, encoding, &spec, &check->unfolding, err);
}

/* One unfolding has come to its end, of a base or of the encoding itself. */
static void next(struct document_check *check)
{
    content_free(check->unfolding);
    check->unfolding = NULL;
    if (check->encodings[check->at].delta && !check->based) {
        check->based = true;
        return;
    }
    check->at++;
    check->based = false;
    buf_clear(&check->base);
}

bool document_check_begin(struct fleetdb *db, const struct fleetdb_document *document,
                          struct fleetdb_encoding *encodings, size_t count,
                          struct document_check **ret_check, struct err *err)
{
    struct document_check *check = calloc(1, sizeof *check);
    if (check == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to check document %s", document->name);
    check->db = db;
    check->document = *document;
    check->encodings = encodings;
    check->count = count;
    *ret_check = check;
    return true;
}

bool document_check_step(struct document_check *check, uint64_t budget_bytes, bool *ret_done,
                         struct err *err)
{
    bool over = false;
    *ret_done = check->at == check->count;
    if (*ret_done)
        return true;
    if ((check->unfolding == NULL && !begin_encoding(check, err)) ||
        !content_step(check->unfolding, budget_bytes, &over, err))
        return err_context(err, "document %s", check->document.name);
    if (over)
        next(check);
    *ret_done = check->at == check->count;
    return true;
}

void document_check_free(struct document_check *check)
{
    if (check == NULL)
        return;
    content_free(check->unfolding);
    buf_done(&check->base);
    free(check);
}
