/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles: the chain of roots and the manifests as messages, the blobs by what they are named. */
#include "agent/decode_internal.h"

#include "base/clock.h"
#include "proto/bundle.h"

#include <inttypes.h>
#include <string.h>

struct bundle_view {
    struct decoder *decoder;
    struct trust *followed; /* the newest root that the chain led to; NULL: none yet */
    json_t *roots, *manifests, *blobs;
};

bool decode_bundle_begins(struct bytes in)
{
    enum { TEXT_AT = 5 }; /* behind a frame's length, and two fields' */
    static const char text[] = "muster-bundle/";
    return in.length >= TEXT_AT + sizeof text - 1 &&
           memcmp(in.data + TEXT_AT, text, sizeof text - 1) == 0;
}

/* What makes no sense is said in its place: the rest may be what is looked for. */
static json_t *part_tree(struct decoder *decoder, const char *kind, struct bytes content)
{
    struct err err = {0};
    json_t *tree = decoder_tree(decoder, decode_kind_named(kind), content, &err);
    if (tree == NULL)
        tree = json_pack("{s:s, s:I, s:o}", "what", kind, "bytes", (json_int_t)content.length,
                         "undecodable", decode_text(bytes_of(err.text, strlen(err.text))));
    return tree;
}

static void put_verdict(struct decoder *decoder, json_t *tree, bool good, const struct err *err)
{
    char text[sizeof err->text + 8] = "good";
    if (!good)
        (void)snprintf(text, sizeof text, "BAD: %s", err->text);
    decoder->refused = decoder->refused || !good;
    (void)json_object_set_new(tree, "signature", decode_text(bytes_of(text, strlen(text))));
}

/* As a terminal goes along the chain: from the root in force to the one that follows it. */
static void judge_root(struct bundle_view *view, struct bytes envelope, json_t *tree)
{
    struct decoder *decoder = view->decoder;
    const json_t *version = json_object_get(json_object_get(tree, "body"), "version");
    json_int_t known = (json_int_t)trust_version(decoder->trust);
    struct trust *next = NULL;
    struct bytes body;
    struct err err = {0};
    if (json_is_integer(version) && json_integer_value(version) < known) {
        (void)json_object_set_new(tree, "signature",
                                  json_string("not checked: older than the root in force"));
        return;
    }
    if (json_is_integer(version) && json_integer_value(version) == known) {
        bool same = unseal("root", "", envelope,
                           trust_keys(decoder->trust, MUSTER__ROLE__ROLE_ROOT), &body, &err);
        put_verdict(decoder, tree, same, &err);
        return;
    }
    bool good =
        trust_would_advance(decoder->trust, envelope, &err) && trust_open(envelope, &next, &err);
    put_verdict(decoder, tree, good, &err);
    if (!good)
        return;
    trust_free(view->followed);
    decoder->trust = view->followed = next;
}

static void add_root(struct bundle_view *view, struct bytes envelope)
{
    struct decoder *decoder = view->decoder;
    const struct trust *trust = decoder->trust;
    decoder->trust = NULL; /* the keys in force do not decide it alone */
    json_t *tree = part_tree(decoder, "root", envelope);
    decoder->trust = trust;
    if (trust != NULL && decoder->options->key == NULL && json_object_get(tree, "body") != NULL)
        judge_root(view, envelope, tree);
    (void)json_array_append_new(view->roots, tree);
}

static void add_manifest(struct bundle_view *view, const struct bundle_part *part)
{
    struct decoder *decoder = view->decoder;
    decoder->device = part->device;
    json_t *tree = part_tree(decoder, "manifest", part->content);
    decoder->device = NULL;
    (void)json_array_append_new(view->manifests,
                                json_pack("{s:o, s:o}", "device",
                                          decode_text(bytes_of(part->device, strlen(part->device))),
                                          "manifest", tree));
}

static void add_blob(struct bundle_view *view, struct bytes blob)
{
    uint8_t digest[32];
    sha256(blob, digest);
    (void)json_array_append_new(view->blobs, json_pack("{s:o, s:I}", "sha256",
                                                       decode_hex(bytes_of(digest, sizeof digest)),
                                                       "bytes", (json_int_t)blob.length));
}

/* All parts; the reader says what is missing or out of order. */
static bool add_parts(struct bundle_view *view, struct bundle_reader *reader, struct err *err)
{
    struct bundle_part part;
    for (;;) {
        if (!bundle_next(reader, &part, err))
            return false;
        switch (part.what) {
        case BUNDLE_ROOT:
            add_root(view, part.content);
            break;
        case BUNDLE_MANIFEST:
            add_manifest(view, &part);
            break;
        case BUNDLE_BLOB:
            add_blob(view, part.content);
            break;
        default:
            return true;
        }
        arena_done(&view->decoder->arena); /* the trees are copies */
    }
}

static json_t *root_of(const struct bundle_view *view, const struct bundle_reader *reader,
                       FILE *file)
{
    char time[32];
    int64_t made_ms = bundle_made_ms(reader);
    clock_format(made_ms, time);
    return json_pack("{s:s, s:I, s:I, s:s, s:O, s:O, s:O}", "what", "bundle", "bytes",
                     (json_int_t)ftello(file), "made_ms", (json_int_t)made_ms, "made_ms_iso", time,
                     "roots", view->roots, "manifests", view->manifests, "blobs", view->blobs);
}

static bool decode_bundle(struct decoder *decoder, FILE *file, json_t **ret_root, struct err *err)
{
    struct bundle_view view = {.decoder = decoder,
                               .roots = json_array(),
                               .manifests = json_array(),
                               .blobs = json_array()};
    struct bundle_reader *reader = NULL;
    bool ok = bundle_open(file, &reader, err) && add_parts(&view, reader, err);
    if (ok)
        *ret_root = root_of(&view, reader, file);
    bundle_close(reader);
    decoder->trust = decoder->options->trust;
    trust_free(view.followed);
    json_decref(view.roots);
    json_decref(view.manifests);
    json_decref(view.blobs);
    return ok || err_context(err, "a bundle");
}

bool decode_bundle_in(struct decoder *decoder, struct bytes in, json_t **ret_root, struct err *err)
{
    FILE *file = fmemopen((void *)(uintptr_t)in.data, in.length, "rb");
    if (file == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to read a bundle");
    bool ok = decode_bundle(decoder, file, ret_root, err);
    (void)fclose(file);
    return ok;
}

bool decode_bundle_file(FILE *file, const struct decode_options *options,
                        struct decoded *ret_decoded, struct err *err)
{
    struct decoder decoder = {
        .options = options, .trust = options->trust, .arena = {.limit_bytes = DECODER_ARENA_BYTES}};
    json_t *root = NULL;
    bool ok = decode_bundle(&decoder, file, &root, err);
    arena_done(&decoder.arena);
    if (ok)
        *ret_decoded = (struct decoded){root, decoder.refused};
    return ok;
}
