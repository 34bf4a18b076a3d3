/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/decode_internal.h"

#include "proto/batch.h"
#include "proto/envelope.h"
#include "proto/hello.pb-c.h"
#include "proto/limits.h"
#include "proto/local.pb-c.h"
#include "proto/topics.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <string.h>

enum {
    ELEMENTS = 65536,
    NESTING = 6, /* a link's message holds a batch, that an event, that a state */
    FRAMES = 4096,
    NAMES_BYTES = 256,
};

static bool try_failed(struct decoder *decoder, const char *what, const struct err *why)
{
    char line[600];
    int length = snprintf(line, sizeof line, "%s: %s\n", what, why->text);
    bool fits = length > 0 && (size_t)length < sizeof line;
    if (fits && !buf_append(decoder->tried, line, (size_t)length, NULL))
        buf_clear(decoder->tried); /* rather nothing than half of it */
    return false;
}

/* ---- bodies ---- */

static json_t *nested(void *ctx, const ProtobufCMessage *message,
                      const ProtobufCFieldDescriptor *field, struct bytes value);

static json_t *tree_of(struct decoder *decoder, const ProtobufCMessage *message)
{
    const struct decode_nest nest = {nested, decoder};
    return decode_message(message, &nest);
}

static json_t *lane_tree(struct decoder *decoder, const struct lane_rows *lane)
{
    json_t *tree = json_object();
    (void)json_object_set_new(tree, "lane", json_string(lane_name(lane->lane)));
    (void)json_object_set_new(tree, "incarnation", decode_id(lane->incarnation));
    (void)json_object_set_new(tree, "first_seq", decode_number(lane->first_seq));
    (void)json_object_set_new(tree, "count", decode_number(lane->count));
    if (lane->behind > 0)
        (void)json_object_set_new(tree, "behind", decode_number(lane->behind));
    if (lane->lost != MUSTER__LOSS_REASON__LOSS_NONE) {
        Muster__LaneBatch lost = MUSTER__LANE_BATCH__INIT;
        lost.lost = lane->lost;
        json_t *word = tree_of(decoder, &lost.base);
        (void)json_object_set(tree, "lost", json_object_get(word, "lost"));
        json_decref(word);
        return tree;
    }
    json_t *rows = json_array();
    for (size_t i = 0; i < lane->count; i++) {
        json_t *row = json_object(), *fields = tree_of(decoder, lane->rows[i]);
        (void)json_object_set_new(row, "seq", decode_number(lane->first_seq + i));
        (void)json_object_update(row, fields);
        json_decref(fields);
        (void)json_array_append_new(rows, row);
    }
    (void)json_object_set_new(tree, "rows", rows);
    return tree;
}

/* Columns as the rows that they stand for. What does not decode is said in its place. */
static void put_batch(struct decoder *decoder, const Muster__Batch *batch, struct bytes body,
                      json_t *tree)
{
    struct lane_rows *lanes = NULL;
    size_t count = 0;
    struct err err = {0};
    const struct {
        const char *name;
        size_t length;
    } streams[] = {{"frame", batch->frame.len},
                   {"body", batch->body.len},
                   {"marks", batch->marks.len},
                   {"steps", batch->steps.len},
                   {"raw", batch->raw.len}};
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++)
        if (streams[i].length > 0)
            (void)json_object_set_new(tree, streams[i].name,
                                      json_pack("{s:I}", "bytes", (json_int_t)streams[i].length));
    if (!batch_decode(body, &decoder->arena, &lanes, &count, &err)) {
        (void)json_object_set_new(tree, "undecodable",
                                  decode_text(bytes_of(err.text, strlen(err.text))));
        return;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(list, lane_tree(decoder, &lanes[i]));
    (void)json_object_set_new(tree, "lanes", list);
}

static json_t *body_tree(struct decoder *decoder, const struct decode_kind *kind,
                         const ProtobufCMessage *message, struct bytes body)
{
    json_t *tree = tree_of(decoder, message);
    if (kind->type == &muster__batch__descriptor)
        put_batch(decoder, (const Muster__Batch *)message, body, tree);
    return tree;
}

static bool read_body(struct decoder *decoder, const struct decode_kind *kind, struct bytes body,
                      ProtobufCMessage **ret_message, struct err *err)
{
    const struct unpack_limits limits = {.max_bytes = kind->max_bytes, .max_elements = ELEMENTS};
    return unpack(kind->type, body, &limits, &decoder->arena, ret_message, err);
}

/* ---- envelopes ---- */

static const char *context_of(const struct decoder *decoder, const struct decode_kind *kind,
                              const ProtobufCMessage *message)
{
    if (!kind->of_device)
        return "";
    const char *named = decode_device_of(message);
    return decoder->options->device != NULL ? decoder->options->device
           : named != NULL                  ? named
                                            : decoder->device;
}

/* "good", or why it is not, or why nobody can tell. */
static json_t *verdict(struct decoder *decoder, const struct decode_kind *kind,
                       const ProtobufCMessage *message, struct bytes envelope)
{
    const struct decode_options *options = decoder->options;
    struct verify_key *key = (struct verify_key *)(uintptr_t)options->key;
    struct key_set one = {&key, 1, 1};
    const struct key_set *keys = NULL;
    struct bytes body;
    struct err err = {0};
    const char *context = context_of(decoder, kind, message);
    if (options->key != NULL)
        keys = &one;
    else if (decoder->trust != NULL && kind->role != MUSTER__ROLE__ROLE_UNKNOWN)
        keys = trust_keys(decoder->trust, kind->role);
    if (keys == NULL)
        return json_string(kind->role == MUSTER__ROLE__ROLE_UNKNOWN
                               ? "not checked: give the agent's public key with --key"
                               : "not checked: give the trust root with --root, or --key");
    if (context == NULL)
        return json_string("not checked: it does not say whose it is: give --device");
    if (unseal(kind->domain, context, envelope, keys, &body, &err))
        return json_string("good");
    decoder->refused = true;
    char text[sizeof err.text + 8];
    (void)snprintf(text, sizeof text, "BAD: %s", err.text);
    return decode_text(bytes_of(text, strlen(text)));
}

static json_t *signers(const struct envelope *envelope)
{
    json_t *list = json_array();
    for (size_t i = 0; i < envelope->signature_count; i++) {
        struct bytes id = envelope->signatures[i].key_id;
        (void)json_array_append_new(list, id.length > 0 ? decode_hex(id)
                                                        : json_string("the context's only key"));
    }
    return list;
}

static json_t *envelope_tree(struct decoder *decoder, const struct decode_kind *kind,
                             const ProtobufCMessage *message, const struct envelope *envelope,
                             struct bytes in)
{
    json_t *tree = json_object();
    (void)json_object_set_new(tree, "what", json_string(kind->name));
    (void)json_object_set_new(tree, "bytes", json_integer((json_int_t)in.length));
    (void)json_object_set_new(tree, "signature", verdict(decoder, kind, message, in));
    (void)json_object_set_new(tree, "signed_by", signers(envelope));
    const char *outer = decoder->device;
    if (decode_device_of(message) != NULL)
        decoder->device = decode_device_of(message);
    (void)json_object_set_new(tree, "body", body_tree(decoder, kind, message, envelope->body));
    decoder->device = outer;
    return tree;
}

/* ---- messages within messages ---- */

static const struct decode_kind *kind_by_topic(const char *text)
{
    struct topic topic;
    if (!topic_parse(text, &topic, NULL))
        return NULL;
    switch (topic.kind) {
    case TOPIC_UP_BATCH:
        return decode_kind_named("batch");
    case TOPIC_UP_HELLO:
        return decode_kind_named("hello");
    case TOPIC_DOWN_MANIFEST:
        return decode_kind_named("manifest");
    case TOPIC_DOWN_RECEIPT:
        return decode_kind_named("receipt");
    case TOPIC_DOWN_WELCOME:
        return decode_kind_named("welcome");
    case TOPIC_TRUST:
        return decode_kind_named("root");
    default:
        return NULL;
    }
}

static const struct decode_kind *kind_of_detail(Muster__EventKind kind)
{
    switch (kind) {
    case MUSTER__EVENT_KIND__EVENT_OPEN:
        return decode_kind_named("open");
    case MUSTER__EVENT_KIND__EVENT_CLOCK:
        return decode_kind_named("clock");
    case MUSTER__EVENT_KIND__EVENT_STATE:
        return decode_kind_named("state");
    case MUSTER__EVENT_KIND__EVENT_APPLY:
        return decode_kind_named("apply");
    case MUSTER__EVENT_KIND__EVENT_PACKAGE:
        return decode_kind_named("package");
    case MUSTER__EVENT_KIND__EVENT_DRIFT:
    case MUSTER__EVENT_KIND__EVENT_PROPOSED:
    case MUSTER__EVENT_KIND__EVENT_REPAIR:
        return decode_kind_named("item");
    default:
        return NULL;
    }
}

static const struct decode_kind *kind_within(const ProtobufCMessage *message, const char *field)
{
    static const struct {
        const ProtobufCMessageDescriptor *type;
        const char *field, *kind;
    } fixed[] = {
        {&muster__hello__descriptor, "receipts", "receipt"},
        {&muster__kept_receipts__descriptor, "receipts", "receipt"},
        {&muster__welcome__descriptor, "receipt", "receipt"},
        {&muster__welcome__descriptor, "manifest", "manifest"},
        {&muster__manifest_item__descriptor, "header", "document"},
    };
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (message->descriptor == fixed[i].type && strcmp(fixed[i].field, field) == 0)
            return decode_kind_named(fixed[i].kind);
    if (message->descriptor == &muster__event__descriptor && strcmp(field, "detail") == 0)
        return kind_of_detail(((const Muster__Event *)message)->kind);
    if (message->descriptor == &muster__link_message__descriptor)
        return kind_by_topic(((const Muster__LinkMessage *)message)->topic);
    if (message->descriptor == &muster__link_publish__descriptor)
        return kind_by_topic(((const Muster__LinkPublish *)message)->topic);
    return NULL;
}

/* What makes no sense there is left as hex. */
static json_t *nested(void *ctx, const ProtobufCMessage *message,
                      const ProtobufCFieldDescriptor *field, struct bytes value)
{
    struct decoder *decoder = ctx;
    const struct decode_kind *kind = kind_within(message, field->name);
    struct envelope envelope;
    ProtobufCMessage *inner = NULL;
    if (kind == NULL || decoder->depth == NESTING)
        return NULL;
    bool sealed = kind->domain != NULL;
    if ((sealed && !envelope_read(value, &envelope, NULL)) ||
        !read_body(decoder, kind, sealed ? envelope.body : value, &inner, NULL))
        return NULL;
    decoder->depth++;
    json_t *tree = sealed ? envelope_tree(decoder, kind, inner, &envelope, value)
                          : body_tree(decoder, kind, inner, value);
    decoder->depth--;
    return tree;
}

/* ---- what it is ---- */

/* The kinds that a body makes sense as. Those that know every field of it come before those that
 * do not, which a later version may have written. */
struct found {
    const struct decode_kind *kind;
    ProtobufCMessage *message;
    size_t count;
    char names[NAMES_BYTES];
};

static void note(struct found *found, const struct decode_kind *kind, ProtobufCMessage *message)
{
    size_t at = strlen(found->names);
    (void)snprintf(found->names + at, sizeof found->names - at, "%s%s", at > 0 ? ", " : "",
                   kind->name);
    found->kind = kind;
    found->message = message;
    found->count++;
}

static void find_body(struct decoder *decoder, struct bytes body, bool sealed,
                      struct found *ret_found)
{
    struct found known = {0}, unknown = {0};
    for (size_t i = 0; i < decode_kind_count; i++) {
        const struct decode_kind *kind = &decode_kinds[i];
        ProtobufCMessage *message = NULL;
        struct err err = {0};
        if (kind->fits == NULL || (sealed && kind->domain == NULL))
            continue;
        bool read = read_body(decoder, kind, body, &message, &err);
        if (read && kind->fits(message))
            note(decode_has_unknown(message) ? &unknown : &known, kind, message);
        else if (read)
            (void)err_set(&err, ERR_INVALID, "its fields do not make one");
        if (err.code != ERR_NONE)
            (void)try_failed(decoder, kind->name, &err);
    }
    *ret_found = known.count > 0 ? known : unknown;
}

static bool ambiguous(const struct found *found, struct err *err)
{
    return err_set(err, ERR_INVALID, "it may be one of: %s; say which with --as", found->names);
}

static json_t *whole_tree(struct decoder *decoder, const struct decode_kind *kind,
                          const ProtobufCMessage *message, struct bytes in)
{
    json_t *tree = json_object();
    (void)json_object_set_new(tree, "what", json_string(kind->name));
    (void)json_object_set_new(tree, "bytes", json_integer((json_int_t)in.length));
    if (kind->domain != NULL)
        (void)json_object_set_new(tree, "signature", json_string("none: a body by itself"));
    (void)json_object_set_new(tree, "body", body_tree(decoder, kind, message, in));
    return tree;
}

json_t *decoder_tree(struct decoder *decoder, const struct decode_kind *kind, struct bytes in,
                     struct err *err)
{
    struct envelope envelope;
    ProtobufCMessage *message = NULL;
    bool sealed = kind->domain != NULL && envelope_read(in, &envelope, NULL);
    if (!read_body(decoder, kind, sealed ? envelope.body : in, &message, err)) {
        (void)err_context(err, "no %s%s", kind->name, sealed ? " in its envelope" : "");
        return NULL;
    }
    return sealed ? envelope_tree(decoder, kind, message, &envelope, in)
                  : whole_tree(decoder, kind, message, in);
}

static bool decode_sealed(struct decoder *decoder, struct bytes in, json_t **ret_root,
                          struct err *err)
{
    struct envelope envelope;
    struct found found;
    struct err why = {0};
    if (!envelope_read(in, &envelope, &why))
        return try_failed(decoder, "sealed", &why);
    find_body(decoder, envelope.body, true, &found);
    if (found.count == 0)
        return err_set(err, ERR_INVALID,
                       "an envelope with a body of %zu bytes that is none of ours",
                       envelope.body.length);
    if (found.count > 1)
        return ambiguous(&found, err);
    *ret_root = envelope_tree(decoder, found.kind, found.message, &envelope, in);
    return true;
}

static bool decode_bare(struct decoder *decoder, struct bytes in, json_t **ret_root,
                        struct err *err)
{
    struct found found;
    find_body(decoder, in, false, &found);
    if (found.count > 1)
        return ambiguous(&found, err);
    if (found.count == 1)
        *ret_root = whole_tree(decoder, found.kind, found.message, in);
    return found.count == 1;
}

/* ---- frames ---- */

/* All frames as this kind; NULL: they are not, and `err` says where that shows. */
static json_t *frames_as(struct decoder *decoder, const struct decode_kind *kind, struct bytes in,
                         bool told, struct err *err)
{
    json_t *list = json_array();
    size_t at = 0;
    bool ok = true;
    while (ok && at < in.length) {
        uint64_t length = 0;
        struct bytes rest = bytes_of(in.data + at, in.length - at);
        ProtobufCMessage *message = NULL;
        int head = varint_get(rest, &length);
        if (head <= 0 || length > rest.length - (size_t)head) {
            ok = err_set(err, ERR_INVALID, "byte %zu: expected a frame's length and the frame", at);
            break;
        }
        struct bytes frame = bytes_of(rest.data + head, (size_t)length);
        ok = read_body(decoder, kind, frame, &message, err) || err_context(err, "byte %zu", at);
        if (ok && !told && (!kind->fits(message) || decode_has_unknown(message)))
            ok = err_set(err, ERR_INVALID, "byte %zu: its fields do not make one", at);
        if (ok && json_array_size(list) == FRAMES)
            ok = err_set(err, ERR_INVALID, "byte %zu: more than %d frames", at, FRAMES);
        if (ok)
            (void)json_array_append_new(list, tree_of(decoder, message));
        at += (size_t)head + (size_t)length;
    }
    if (ok && json_array_size(list) == 0)
        ok = err_set(err, ERR_INVALID, "no frames");
    if (!ok) {
        json_decref(list);
        return NULL;
    }
    return json_pack("{s:s, s:I, s:I, s:o}", "what", kind->name, "bytes", (json_int_t)in.length,
                     "frames", (json_int_t)json_array_size(list), "messages", list);
}

static bool decode_frames(struct decoder *decoder, struct bytes in, json_t **ret_root,
                          struct err *err)
{
    struct found found = {0};
    json_t *root = NULL;
    for (size_t i = 0; i < decode_kind_count; i++) {
        const struct decode_kind *kind = &decode_kinds[i];
        char what[64];
        struct err why = {0};
        if (!kind->local)
            continue;
        json_t *tree = frames_as(decoder, kind, in, false, &why);
        (void)snprintf(what, sizeof what, "frames of %s", kind->name);
        if (tree == NULL) {
            (void)try_failed(decoder, what, &why);
            continue;
        }
        note(&found, kind, NULL);
        json_decref(root);
        root = tree;
    }
    if (found.count == 1) {
        *ret_root = root;
        return true;
    }
    json_decref(root);
    return found.count > 1 ? ambiguous(&found, err) : false;
}

/* ---- by its first bytes ---- */

static bool begins_with(struct bytes in, size_t at, const char *magic, size_t length)
{
    return in.length >= at + length && memcmp(in.data + at, magic, length) == 0;
}

static bool is_chain(struct bytes in)
{
    enum { SECOND_SLOT = 32 * 1024 };
    return begins_with(in, 0, "MUSTERC", 7) || begins_with(in, SECOND_SLOT, "MUSTERC", 7);
}

/* False with `err` clear: none of these. */
static bool decode_by_magic(struct decoder *decoder, struct bytes in, json_t **ret_root,
                            struct err *err)
{
    if (begins_with(in, 0, "SQLite format 3", 16))
        return err_set(err, ERR_INVALID,
                       "a SQLite database: `muster status` tells what the agent's holds, "
                       "`musterctl audit` what the fleet's does");
    if (begins_with(in, 0, "-----BEGIN ", 11))
        return err_set(err, ERR_INVALID,
                       "a key or certificate in PEM: `openssl pkey -pubin -text` or `openssl x509 "
                       "-text` shows it");
    if (is_chain(in))
        return decode_chain(in, ret_root, err);
    if (begins_with(in, 0, "\x28\xb5\x2f\xfd", 4))
        return decode_blob(in, ret_root, err);
    if (decode_bundle_begins(in))
        return decode_bundle_in(decoder, in, ret_root, err);
    return false;
}

static bool find_out(struct decoder *decoder, struct bytes in, json_t **ret_root, struct err *err)
{
    if (decode_by_magic(decoder, in, ret_root, err))
        return true;
    if (err->code == ERR_NONE && !decoder->options->frames &&
        (decode_sealed(decoder, in, ret_root, err) ||
         (err->code == ERR_NONE && decode_bare(decoder, in, ret_root, err))))
        return true;
    if (err->code == ERR_NONE && decode_frames(decoder, in, ret_root, err))
        return true;
    return err->code != ERR_NONE ? false
                                 : err_set(err, ERR_INVALID,
                                           "%zu bytes that are no message of "
                                           "this version",
                                           in.length);
}

static bool decode_told(struct decoder *decoder, struct bytes in, json_t **ret_root,
                        struct err *err)
{
    const char *as = decoder->options->as;
    if (strcmp(as, "blob") == 0)
        return decode_blob(in, ret_root, err);
    if (strcmp(as, "chain") == 0)
        return decode_chain(in, ret_root, err);
    if (strcmp(as, "bundle") == 0)
        return decode_bundle_in(decoder, in, ret_root, err);
    const struct decode_kind *kind = decode_kind_named(as);
    if (kind == NULL)
        return err_set(err, ERR_INVALID, "no kind %s", as);
    *ret_root = decoder->options->frames ? frames_as(decoder, kind, in, true, err)
                                         : decoder_tree(decoder, kind, in, err);
    return *ret_root != NULL;
}

bool decode_bytes(struct bytes in, const struct decode_options *options,
                  struct decoded *ret_decoded, struct buf *tried, struct err *err)
{
    struct decoder decoder = {.options = options,
                              .trust = options->trust,
                              .arena = {.limit_bytes = DECODER_ARENA_BYTES},
                              .tried = tried};
    struct err why = {0};
    json_t *root = NULL;
    bool ok = in.length > 0 || err_set(&why, ERR_INVALID, "it is empty");
    ok = ok && (options->as != NULL ? decode_told(&decoder, in, &root, &why)
                                    : find_out(&decoder, in, &root, &why));
    arena_done(&decoder.arena);
    if (ok)
        *ret_decoded = (struct decoded){root, decoder.refused};
    else if (err != NULL)
        *err = why;
    return ok;
}

bool decode_name_known(const char *name)
{
    return strcmp(name, "blob") == 0 || strcmp(name, "bundle") == 0 || strcmp(name, "chain") == 0 ||
           decode_kind_named(name) != NULL;
}

void decode_names(char *out, size_t size)
{
    size_t at = (size_t)snprintf(out, size, "chain, blob, bundle");
    for (size_t i = 0; i < decode_kind_count && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, ", %s", decode_kinds[i].name);
}
