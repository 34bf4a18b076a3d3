/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_content.h"

#include "base/file.h"
#include "fleet/content.h"
#include "fleet/ctl_fetch.h"
#include "fleet/frame.h"
#include "proto/limits.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A delta is worth its place in manifests if it saves a tenth. */
enum { WORTH_PARTS = 10 };

/* ---- whole ---- */

static bool add_to_parcel(void *ctx, struct bytes part, struct err *err)
{
    return parcel_add(ctx, part, err);
}

struct compressing {
    struct frame *frame;
    bool failed;
    struct err *err;
};

static void compress_part(void *ctx, struct bytes part)
{
    struct compressing *compressing = ctx;
    if (!compressing->failed)
        compressing->failed = !frame_add(compressing->frame, part, compressing->err);
}

bool ctl_content_whole(struct ctl *ctl, struct ctl_publish *publish, const char *path,
                       struct err *err)
{
    struct ctl_upload upload = {ctl, publish->dry_run};
    struct parcel parcel = {.put = ctl_publish_put, .ctx = &upload};
    const struct frame_settings settings = {
        .length = publish->length, .dense = publish->dense, .out = add_to_parcel, .ctx = &parcel};
    struct fleetdb_encoding encoding = {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD};
    struct compressing compressing = {.err = err};
    if (!frame_begin(&settings, &compressing.frame, err))
        return false;
    bool ok = file_scan(path, compress_part, &compressing, err) && !compressing.failed &&
              frame_end(compressing.frame, err) && parcel_end(&parcel, &encoding, err);
    frame_free(compressing.frame);
    parcel_done(&parcel);
    if (ok)
        publish->encodings[publish->encoding_count++] = encoding;
    return ok || err_context(err, "%s", path);
}

/* ---- deltas ---- */

static bool get_blob(void *ctx, const uint8_t digest[32], struct buf *out, struct err *err)
{
    return ctl_fetch_blob(ctx, digest, out, err);
}

static bool append(void *ctx, struct bytes part, struct err *err)
{
    return buf_append(ctx, part.data, part.length, err);
}

bool ctl_content_list(struct ctl *ctl, const char *name, json_t **ret_documents, struct err *err)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/api/v1/documents?name=%s", name);
    return client_get(ctl->client, path, ret_documents, err);
}

static bool too_long(const char *what, struct err *err)
{
    return err_set(err, ERR_REFUSED,
                   "%s is longer than %d MiB: what is so long is sent whole, in pieces, and not "
                   "compared",
                   what, LIMIT_DOCUMENT_BYTES / (1024 * 1024));
}

bool ctl_content_read(const char *path, struct buf *out, struct err *err)
{
    struct stat status;
    if (stat(path, &status) == 0 && status.st_size > LIMIT_DOCUMENT_BYTES)
        return too_long(path, err);
    return file_read(path, LIMIT_DOCUMENT_BYTES, out, err);
}

bool ctl_content_fetch(struct ctl *ctl, const json_t *document, struct buf *out, struct err *err)
{
    char what[96];
    struct fleetdb_encoding encodings[FLEETDB_ENCODINGS_MAX];
    size_t count;
    uint8_t digest[32];
    const char *hex = ctl_text(document, "sha256");
    (void)snprintf(what, sizeof what, "%s version %lld", ctl_text(document, "name"),
                   (long long)ctl_number(document, "version"));
    if (ctl_number(document, "length") > LIMIT_DOCUMENT_BYTES)
        return too_long(what, err);
    if (!encodings_read(document, encodings, &count, err))
        return false;
    const struct fleetdb_encoding *whole = encoding_whole(encodings, count);
    if (whole == NULL || !hex_decode(hex, strlen(hex), digest, sizeof digest))
        return err_set(err, ERR_NOT_FOUND, "musterd has no way to get %s", what);
    const struct parcel_source source = {get_blob, ctl};
    const struct content_spec spec = {.length = (uint64_t)ctl_number(document, "length"),
                                      .sha256 = digest,
                                      .each = append,
                                      .ctx = out};
    return content_unfold(&source, whole, &spec, err);
}

/* One delta as an encoding, uploaded if it is worth it; `*ret_worth` tells. */
static bool make_delta(struct ctl *ctl, const struct ctl_publish *publish, struct bytes base,
                       struct bytes content, struct fleetdb_encoding *ret_encoding, bool *ret_worth,
                       struct err *err)
{
    struct fleetdb_encoding encoding = {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA,
                                        .delta = true};
    const uint64_t whole = encoding_weight(&publish->encodings[0]);
    struct ctl_upload upload = {ctl, publish->dry_run};
    struct parcel parcel = {.put = ctl_publish_put, .ctx = &upload};
    struct buf frame = {0};
    if (!frame_make(content, base, &frame, err)) {
        buf_done(&frame);
        return false;
    }
    bool ok = true;
    *ret_worth = frame.length < whole - whole / WORTH_PARTS;
    if (*ret_worth)
        ok = parcel_add(&parcel, buf_bytes(&frame), err) && parcel_end(&parcel, &encoding, err);
    sha256(base, encoding.base);
    *ret_encoding = encoding;
    parcel_done(&parcel);
    buf_done(&frame);
    return ok;
}

/* From the new content to one from before. */
static bool add_back(struct ctl *ctl, const struct ctl_publish *publish, const json_t *before,
                     struct bytes base, struct bytes content, struct ctl_content_back *back,
                     size_t *count, struct err *err)
{
    struct fleetdb_encoding encoding;
    bool worth = false;
    if (!make_delta(ctl, publish, content, base, &encoding, &worth, err))
        return false;
    if (worth)
        back[(*count)++] = (struct ctl_content_back){ctl_number(before, "epoch"),
                                                     ctl_number(before, "version"), encoding};
    return true;
}

/* Both ways between the new content and one from before. */
static bool add_pair(struct ctl *ctl, struct ctl_publish *publish, const json_t *before,
                     struct bytes content, struct ctl_content_back *back, size_t *back_count,
                     struct err *err)
{
    struct buf base = {.limit = LIMIT_DOCUMENT_BYTES};
    struct fleetdb_encoding encoding;
    bool worth = false;
    bool ok = ctl_content_fetch(ctl, before, &base, err) &&
              make_delta(ctl, publish, buf_bytes(&base), content, &encoding, &worth, err);
    if (ok && worth)
        publish->encodings[publish->encoding_count++] = encoding;
    ok = ok && add_back(ctl, publish, before, buf_bytes(&base), content, back, back_count, err);
    buf_done(&base);
    return ok;
}

/* Deltas are between what is for all and fits in memory on a terminal. */
static bool is_base(const json_t *document, const uint8_t sha256[32])
{
    char hex[65];
    hex_encode(sha256, 32, hex);
    return ctl_text(document, "device")[0] == '\0' &&
           ctl_number(document, "length") <= LIMIT_DOCUMENT_BYTES &&
           strcmp(ctl_text(document, "sha256"), hex) != 0;
}

/* Signed twice with the same content, it is one base. */
static bool is_repeated(const json_t *documents, size_t index)
{
    const char *digest = ctl_text(json_array_get(documents, index), "sha256");
    for (size_t i = 0; i < index; i++)
        if (strcmp(ctl_text(json_array_get(documents, i), "sha256"), digest) == 0)
            return true;
    return false;
}

size_t ctl_content_bases(const json_t *documents, const uint8_t sha256[32],
                         const json_t *ret_bases[CTL_CONTENT_BASES])
{
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(documents) && count < CTL_CONTENT_BASES; i++) {
        const json_t *document = json_array_get(documents, i);
        if (is_base(document, sha256) && !is_repeated(documents, i))
            ret_bases[count++] = document;
    }
    return count;
}

static size_t bases_of(const struct ctl_publish *publish, const json_t *ret[CTL_CONTENT_BASES])
{
    return ctl_content_bases(json_object_get(publish->there, "documents"), publish->sha256, ret);
}

bool ctl_content_deltas(struct ctl *ctl, struct ctl_publish *publish, struct bytes content,
                        struct ctl_content_back ret_back[CTL_CONTENT_BASES], size_t *ret_count,
                        struct err *err)
{
    const json_t *bases[CTL_CONTENT_BASES];
    const size_t count = bases_of(publish, bases);
    size_t back_count = 0;
    for (size_t i = 0; i < count; i++)
        if (!add_pair(ctl, publish, bases[i], content, ret_back, &back_count, err))
            return false;
    *ret_count = back_count;
    return true;
}

static bool has_delta_from(const json_t *document, const uint8_t sha256[32])
{
    struct fleetdb_encoding encodings[FLEETDB_ENCODINGS_MAX];
    size_t count = 0;
    if (!encodings_read(document, encodings, &count, NULL))
        return false;
    for (size_t i = 0; i < count; i++)
        if (encodings[i].delta && memcmp(encodings[i].base, sha256, 32) == 0)
            return true;
    return false;
}

/* A delta must be shorter than that to be worth it. */
static bool read_whole(struct ctl_publish *publish, struct err *err)
{
    struct fleetdb_encoding held[FLEETDB_ENCODINGS_MAX];
    size_t count = 0;
    if (!encodings_read(ctl_publish_newest(publish), held, &count, err))
        return false;
    const struct fleetdb_encoding *whole = encoding_whole(held, count);
    if (whole == NULL)
        return err_set(err, ERR_NOT_FOUND, "musterd has no way to get %s", publish->name);
    publish->encodings[0] = *whole;
    publish->encoding_count = 1;
    return true;
}

bool ctl_content_lacking(struct ctl *ctl, struct ctl_publish *publish, struct bytes content,
                         struct ctl_content_back ret_back[CTL_CONTENT_BASES], size_t *ret_count,
                         struct err *err)
{
    const json_t *bases[CTL_CONTENT_BASES];
    const size_t count = bases_of(publish, bases);
    size_t back_count = 0;
    bool ok = read_whole(publish, err);
    for (size_t i = 0; ok && i < count; i++) {
        struct buf base = {.limit = LIMIT_DOCUMENT_BYTES};
        if (has_delta_from(bases[i], publish->sha256))
            continue;
        ok =
            ctl_content_fetch(ctl, bases[i], &base, err) &&
            add_back(ctl, publish, bases[i], buf_bytes(&base), content, ret_back, &back_count, err);
        buf_done(&base);
    }
    *ret_count = back_count;
    return ok;
}

static bool post_one(struct ctl *ctl, const char *name, const struct ctl_content_back *back,
                     struct err *err)
{
    char path[128];
    json_t *reply = NULL;
    (void)snprintf(path, sizeof path, "/api/v1/documents/%s/encodings", name);
    json_t *request =
        json_pack("{s:I, s:I, s:o}", "epoch", (json_int_t)back->epoch, "version",
                  (json_int_t)back->version, "encodings", encodings_json(&back->encoding, 1));
    bool ok = client_post(ctl->client, path, request, &reply, err);
    json_decref(request);
    json_decref(reply);
    return ok;
}

bool ctl_content_post_back(struct ctl *ctl, const struct ctl_publish *publish,
                           const struct ctl_content_back *back, size_t count, struct err *err)
{
    for (size_t i = 0; i < count && !publish->dry_run; i++)
        if (!post_one(ctl, publish->name, &back[i], err))
            return false;
    return true;
}
