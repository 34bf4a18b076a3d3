/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_desired.h"

#include "fleet/access.h"
#include "fleet/api_assign.h"
#include "fleet/api_proposals.h"
#include "fleet/api_signed.h"
#include "fleet/base64.h"
#include "fleet/document.h"
#include "fleet/encodings.h"
#include "fleet/key_json.h"
#include "fleet/words.h"
#include "proto/envelope.h"
#include "proto/limits.h"
#include "proto/package.h"
#include "proto/topics.h"
#include "proto/unpack.h"
#include "storage/fleetdb_actions.h"

#include <stdlib.h>
#include <string.h>

enum {
    DOCUMENT_REQUEST_BYTES = 16 * 1024,
};

static json_t *hex_text(const uint8_t *data, size_t length)
{
    char hex[65];
    hex_encode(data, length, hex);
    return json_string(hex);
}

/* ---- PUT /api/v1/blobs/{} ---- */

static bool put_blob(void *ctx, const struct api_request *request, struct api_answer *answer,
                     struct err *err)
{
    struct api_desired *desired = ctx;
    uint8_t named[32], digest[32];
    if (!hex_decode(request->args[0], strlen(request->args[0]), named, sizeof named))
        return err_set(err, ERR_INVALID, "a blob is named by its SHA-256 in 64 hex digits");
    if (request->body.length == 0)
        return err_set(err, ERR_INVALID, "the blob is empty");
    sha256(request->body, digest);
    if (memcmp(named, digest, sizeof digest) != 0)
        return err_set(err, ERR_INVALID, "the bytes sent do not hash to %s; send them again",
                       request->args[0]);
    if (!fleetdb_blob_put(desired->db, digest, request->body, request->now_ms, err))
        return false;
    return api_give(answer,
                    json_pack("{s:o, s:I}", "sha256", hex_text(digest, sizeof digest), "size",
                              (json_int_t)request->body.length),
                    err);
}

/* ---- GET and POST /api/v1/documents ---- */

/* What the header says of a package or a key; what is kept here was looked at when it was
 * published. */
static void add_terms(json_t *shown, const struct fleetdb_document *document)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_DOCUMENT_HEADER_BYTES,
                                                .max_elements = 32};
    struct arena arena = {.limit_bytes = 64 * 1024};
    struct envelope envelope;
    ProtobufCMessage *message = NULL;
    const bool package = package_kind((Muster__DocumentKind)document->kind);
    const bool key = document->kind == (int)MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK;
    if (shown != NULL && (package || key) && envelope_read(document->header, &envelope, NULL) &&
        unpack(&muster__document_header__descriptor, envelope.body, &limits, &arena, &message,
               NULL)) {
        const Muster__DocumentHeader *header = (const Muster__DocumentHeader *)message;
        if (package) {
            (void)json_object_set_new(shown, "package_version",
                                      json_string(header->package_version));
            (void)json_object_set_new(shown, "model", json_string(header->model));
        } else {
            (void)json_object_set_new(shown, "key", key_json(header->key));
        }
    }
    arena_done(&arena);
}

static json_t *document_json(const struct fleetdb_document *document)
{
    static const struct fleetdb_encoding none;
    const struct fleetdb_encoding *whole =
        encoding_whole(document->encodings, document->encoding_count);
    if (whole == NULL)
        whole = &none;
    const bool sealed = document->scope == MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED;
    json_t *shown = json_pack(
        "{s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:o, s:o, s:I, s:o, s:I}", "name",
        document->name, "kind", word_of_kind(document->kind), "scope", sealed ? "sealed" : "public",
        "device", document->device_id, "irreversible", (int)document->irreversible, "version",
        (json_int_t)document->version, "epoch", (json_int_t)document->epoch, "minimum_version",
        (json_int_t)document->minimum_version, "length", (json_int_t)document->length, "sha256",
        hex_text(document->sha256, sizeof document->sha256), "blob",
        hex_text(whole->blob, sizeof whole->blob), "blob_size", (json_int_t)encoding_weight(whole),
        "encodings", encodings_json(document->encodings, document->encoding_count), "published_ms",
        (json_int_t)document->published_ms);
    add_terms(shown, document);
    return shown;
}

struct listing {
    struct fleetdb *db;
    struct fleetdb_scope scope; /* what is sealed to others' devices is left out */
    json_t *list;
    bool headers;       /* with each document's header, as it was signed */
    const char *device; /* what is sealed to others is left out; NULL: nothing is */
};

static bool add_header(json_t *shown, struct bytes header, struct err *err)
{
    struct buf text = {0};
    bool ok = base64_encode(header, &text, err);
    if (ok)
        ok = json_object_set_new(shown, "header", json_string((const char *)text.data)) == 0 ||
             err_set(err, ERR_NO_MEMORY, "no memory for the list of documents");
    buf_done(&text);
    return ok;
}

static bool list_document(void *ctx, const struct fleetdb_document *document, struct err *err)
{
    const struct listing *listing = ctx;
    bool holds = true;
    if (listing->device != NULL && document->device != 0 &&
        strcmp(document->device_id, listing->device) != 0)
        return true;
    if (document->device != 0 &&
        !fleetdb_scope_holds(listing->db, listing->scope, document->device, &holds, err))
        return false;
    if (!holds)
        return true;
    json_t *shown = document_json(document);
    if (listing->headers && !add_header(shown, document->header, err)) {
        json_decref(shown);
        return false;
    }
    if (json_array_append_new(listing->list, shown) != 0)
        return err_set(err, ERR_NO_MEMORY, "no memory for the list of documents");
    return true;
}

/* ?name= and ?device= for who wants to publish: all that has to do with that. ?headers=1 for who
 * wants to see by himself who has signed. */
static bool get_documents(void *ctx, const struct api_request *request, struct api_answer *answer,
                          struct err *err)
{
    struct api_desired *desired = ctx;
    struct listing listing = {desired->db, request->caller->scope, json_array(),
                              api_query(request, "headers") != NULL, api_query(request, "device")};
    if (!fleetdb_document_each(desired->db, api_query(request, "name"), list_document, &listing,
                               err)) {
        json_decref(listing.list);
        return false;
    }
    return api_give(answer,
                    json_pack("{s:I, s:o}", "epoch", (json_int_t)trust_epoch(desired->trust),
                              "documents", listing.list),
                    err);
}

/* Content may be of any length: it is looked at in steps of so many bytes. */
enum { STEP_BYTES = 1024 * 1024 };

struct posting {
    struct api_desired *desired;
    struct document_work *work;
};

static void posting_free(void *ctx)
{
    struct posting *posting = ctx;
    document_free(posting->work);
    free(posting);
}

/* Leaves the work in the answer. */
static bool post_in_steps(struct api_desired *desired, struct document_work *work,
                          bool (*step)(void *ctx, struct api_answer *answer, bool *ret_done,
                                       struct err *err),
                          struct api_answer *answer, struct err *err)
{
    struct posting *posting = calloc(1, sizeof *posting);
    if (posting == NULL) {
        document_free(work);
        return err_set(err, ERR_NO_MEMORY, "no memory for the request");
    }
    *posting = (struct posting){desired, work};
    answer->work =
        (struct api_work){.step = step, .free = posting_free, .ctx = posting, .alone = true};
    return true;
}

static bool document_turn(void *ctx, struct api_answer *answer, bool *ret_done, struct err *err)
{
    const struct posting *posting = ctx;
    if (!document_step(posting->work, STEP_BYTES, ret_done, err))
        return false;
    if (!*ret_done)
        return true;
    renewal_changed(posting->desired->renewal);
    json_t *shown = document_json(document_published(posting->work));
    if (shown != NULL)
        json_object_set_new(shown, "new", json_boolean(document_is_new(posting->work)));
    return api_give(answer, shown, err);
}

/* Nothing was uploaded and nothing is kept. */
static bool try_document(struct api_desired *desired, const struct document_order *order,
                         struct api_answer *answer, struct err *err)
{
    struct fleetdb_document document;
    if (!document_try(desired->db, order, &document, err))
        return false;
    json_t *json = document_json(&document);
    json_object_set_new(json, "dry_run", json_true());
    return api_give(answer, json, err);
}

static bool begin_document(struct api_desired *desired, const struct document_order *order,
                           struct api_answer *answer, struct err *err)
{
    struct document_work *work;
    return document_begin(desired->db, order, &work, err) &&
           post_in_steps(desired, work, document_turn, answer, err);
}

static bool post_document(void *ctx, const struct api_request *request, struct api_answer *answer,
                          struct err *err)
{
    struct api_desired *desired = ctx;
    struct fleetdb_encoding encodings[FLEETDB_ENCODINGS_MAX];
    struct document_order order = {.trust = desired->trust,
                                   .encodings = encodings,
                                   .who = request->caller->name,
                                   .now_ms = request->now_ms};
    struct buf header = {0};
    json_t *object;
    if (!api_body(request, &object, err))
        return false;
    bool ok = api_base64(object, "header", LIMIT_DOCUMENT_HEADER_BYTES, &header, err) &&
              encodings_read(object, encodings, &order.count, err);
    const bool dry_run = json_is_true(json_object_get(object, "dry_run"));
    json_decref(object);
    order.envelope = buf_bytes(&header);
    ok = ok && (dry_run ? try_document : begin_document)(desired, &order, answer, err);
    buf_done(&header);
    return ok;
}

/* ---- POST /api/v1/documents/{}/encodings ---- */

static bool encodings_turn(void *ctx, struct api_answer *answer, bool *ret_done, struct err *err)
{
    const struct posting *posting = ctx;
    if (!document_step(posting->work, STEP_BYTES, ret_done, err))
        return false;
    return !*ret_done ||
           api_give(answer, json_pack("{s:I}", "added", (json_int_t)document_added(posting->work)),
                    err);
}

/* {"epoch", "version", "encodings"}: more ways to get a version that is for all. */
static bool post_encodings(void *ctx, const struct api_request *request, struct api_answer *answer,
                           struct err *err)
{
    struct api_desired *desired = ctx;
    struct fleetdb_encoding encodings[FLEETDB_ENCODINGS_MAX];
    struct document_order order = {
        .encodings = encodings, .who = request->caller->name, .now_ms = request->now_ms};
    int64_t epoch = 0, version = 0;
    struct document_work *work;
    json_t *object;
    if (!api_body(request, &object, err))
        return false;
    bool ok = api_number(object, "epoch", 1, INT64_MAX, &epoch, err) &&
              api_number(object, "version", 1, INT64_MAX, &version, err) &&
              encodings_read(object, encodings, &order.count, err);
    json_decref(object);
    const struct fleetdb_wish wish = {
        .name = request->args[0], .epoch = (uint64_t)epoch, .version = (uint64_t)version};
    return ok && document_begin_more(desired->db, &wish, &order, &work, err) &&
           post_in_steps(desired, work, encodings_turn, answer, err);
}

/* ---- GET /api/v1/devices/{}/manifest ---- */

static bool note_made(void *ctx, const struct fleetdb_action *action, struct err *err)
{
    (void)err;
    *(int64_t *)ctx = action->made_ms;
    return true;
}

/* What is signed cannot be told in part. */
static bool check_orders(struct fleetdb *db, struct fleetdb_scope scope,
                         const struct fleetdb_device *device, const Muster__Manifest *manifest,
                         struct err *err)
{
    for (size_t i = 0; i < manifest->n_actions; i++) {
        int64_t made_ms = 0;
        bool held = false;
        if (!fleetdb_action_get(db, manifest->actions[i]->id, note_made, &made_ms, err) ||
            !fleetdb_scope_held_at(db, scope, device->device, made_ms, &held, err))
            return false;
        if (!held)
            return err_set(err, ERR_NOT_FOUND,
                           "device %s has no manifest of its time here: the newest names what was "
                           "ordered before it came",
                           device->id);
    }
    return true;
}

static bool check_manifest(struct fleetdb *db, struct fleetdb_scope scope,
                           const struct fleetdb_device *device, struct bytes signed_manifest,
                           struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_MANIFEST_BYTES,
                                                .max_elements = 16384};
    struct arena arena = {0};
    struct envelope envelope;
    ProtobufCMessage *message = NULL;
    bool ok =
        fleetdb_scope_is_whole(scope) ||
        (envelope_read(signed_manifest, &envelope, err) &&
         unpack(&muster__manifest__descriptor, envelope.body, &limits, &arena, &message, err) &&
         check_orders(db, scope, device, (const Muster__Manifest *)message, err));
    arena_done(&arena);
    return ok;
}

static bool get_manifest(void *ctx, const struct api_request *request, struct api_answer *answer,
                         struct err *err)
{
    struct api_desired *desired = ctx;
    struct fleetdb_device device;
    struct buf envelope = {0}, text = {0};
    struct fleetdb_manifest manifest;
    if (!fleetdb_device_find(desired->db, request->args[0], &device, err))
        return false;
    bool ok = fleetdb_manifest_get(desired->db, device.device, &manifest, &envelope, err);
    if (ok && manifest.version == 0)
        ok = err_set(err, ERR_NOT_FOUND, "device %s has no manifest; assign a document to it",
                     device.id);
    ok = ok &&
         check_manifest(desired->db, request->caller->scope, &device, buf_bytes(&envelope), err);
    ok = ok && base64_encode(buf_bytes(&envelope), &text, err) &&
         api_give(answer,
                  json_pack("{s:s, s:I, s:I, s:I, s:s}", "id", device.id, "manifest_epoch",
                            (json_int_t)manifest.epoch, "manifest_version",
                            (json_int_t)manifest.version, "root_version",
                            (json_int_t)manifest.root_version, "envelope", (const char *)text.data),
                  err);
    buf_done(&text);
    buf_done(&envelope);
    return ok;
}

struct api_module api_desired_module(struct api_desired *desired)
{
    static const struct api_route routes[] = {
        {"PUT", "/api/v1/blobs/{}", LIMIT_BLOB_BYTES, put_blob, API_OPERATOR, API_NO_DEVICE},
        {"GET", "/api/v1/blobs/{}", 0, api_get_blob, API_VIEWER, API_OWN_PART},
        {"GET", "/api/v1/roots/{}", 0, api_get_root, API_VIEWER, API_NO_DEVICE},
        {"GET", "/api/v1/documents", 0, get_documents, API_VIEWER, API_OWN_PART},
        {"POST", "/api/v1/documents", DOCUMENT_REQUEST_BYTES, post_document, API_OPERATOR,
         API_WHOLE_FLEET},
        {"POST", "/api/v1/documents/{}/encodings", DOCUMENT_REQUEST_BYTES, post_encodings,
         API_OPERATOR, API_WHOLE_FLEET},
        {"POST", "/api/v1/assignments", API_ASSIGNMENT_BYTES, api_post_assignment, API_OPERATOR,
         API_OWN_PART},
        {"GET", "/api/v1/proposals", 0, api_list_proposals, API_VIEWER, API_OWN_PART},
        {"POST", "/api/v1/proposals", API_PROPOSAL_BYTES, api_post_proposal, API_OPERATOR,
         API_OWN_PART},
        {"GET", "/api/v1/devices/{}/manifest", 0, get_manifest, API_VIEWER, API_ONE_DEVICE},
    };
    return (struct api_module){
        .routes = routes, .route_count = sizeof routes / sizeof *routes, .ctx = desired};
}
