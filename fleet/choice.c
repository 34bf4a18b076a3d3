/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/choice.h"

#include "fleet/encodings.h"

#include <string.h>

/* What the device says of the document's name. */
struct holding {
    bool known;
    bool newest; /* having had the manifest that is its newest until now */
    uint8_t sha256[32];
};

static void add_whole(struct choice *choice, const struct fleetdb_document *document)
{
    for (size_t i = 0; i < document->encoding_count; i++)
        if (!document->encodings[i].delta)
            choice->encodings[choice->count++] = document->encodings[i];
}

/* A delta as heavy as the whole would only be a longer way. */
static bool is_worth(const struct fleetdb_document *document,
                     const struct fleetdb_encoding *encoding)
{
    const struct fleetdb_encoding *whole =
        encoding_whole(document->encodings, document->encoding_count);
    return encoding->delta && (whole == NULL || encoding_weight(encoding) < encoding_weight(whole));
}

static bool starts_from(const struct fleetdb_encoding *encoding, const struct holding *holding)
{
    return encoding->delta && holding->known && memcmp(encoding->base, holding->sha256, 32) == 0;
}

/* How many deltas there may be beside the one from what it holds: each is paid for by its line. */
static unsigned others_wanted(const struct fleetdb_document *document,
                              const struct holding *holding)
{
    for (size_t i = 0; holding->newest && i < document->encoding_count; i++)
        if (is_worth(document, &document->encodings[i]) &&
            starts_from(&document->encodings[i], holding))
            return 0;
    return CHOICE_OTHERS;
}

/* They come lightest first. */
static void add_deltas(struct choice *choice, const struct fleetdb_document *document,
                       const struct holding *holding)
{
    unsigned others = 0, most = others_wanted(document, holding);
    for (size_t i = 0; i < document->encoding_count; i++) {
        const struct fleetdb_encoding *encoding = &document->encodings[i];
        if (!is_worth(document, encoding))
            continue;
        bool held = starts_from(encoding, holding);
        if (held || others < most)
            choice->encodings[choice->count++] = *encoding;
        others += !held;
    }
}

static bool carry(struct fleetdb *db, struct choice *choice, size_t index, size_t *inline_left,
                  struct err *err)
{
    struct fleetdb_encoding *encoding = &choice->encodings[index];
    struct buf blob = {.limit = LIMIT_INLINE_BYTES};
    if (encoding->piece_bytes != 0 || encoding->size > LIMIT_INLINE_BYTES ||
        encoding->size > *inline_left)
        return true;
    bool ok = fleetdb_blob_get(db, encoding->blob, &blob, err);
    if (ok) {
        memcpy(choice->data[index], blob.data, blob.length);
        encoding->data = bytes_of(choice->data[index], blob.length);
        *inline_left -= blob.length;
    }
    buf_done(&blob);
    return ok;
}

bool choice_make(struct fleetdb *db, int64_t device, const struct fleetdb_document *document,
                 size_t *inline_left, struct choice *ret_choice, struct err *err)
{
    struct holding holding = {0};
    if (!fleetdb_item_held(db, device, document->name, holding.sha256, &holding.known,
                           &holding.newest, err))
        return false;
    ret_choice->count = 0;
    add_whole(ret_choice, document);
    if (inline_left == NULL || (holding.known && memcmp(holding.sha256, document->sha256, 32) == 0))
        return true; /* should its copy be damaged, it asks for the whole */
    if (!document->whole)
        add_deltas(ret_choice, document, &holding);
    for (size_t i = 0; i < ret_choice->count; i++)
        if (!carry(db, ret_choice, i, inline_left, err))
            return false;
    return true;
}
