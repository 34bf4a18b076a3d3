/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/unpack.h"

#include "proto/refusal.h"
#include "proto/wire.h"

enum { MAX_DEPTH = 4, MAX_ELEMENTS = 4096 };

struct walk {
    const uint8_t *begin;
    size_t elements, max_elements;
    struct err *err;
};

static bool wrong(const struct walk *walk, const uint8_t *at, const char *what)
{
    return err_set(walk->err, ERR_INVALID, "byte %zu: %s", (size_t)(at - walk->begin), what);
}

static bool count(struct walk *walk, const uint8_t *at, size_t elements)
{
    if (elements > walk->max_elements - walk->elements)
        return refuse(walk->err, MUSTER__REFUSAL__REFUSAL_TOO_LARGE, ERR_INVALID,
                      "byte %zu: more than %zu fields and list elements",
                      (size_t)(at - walk->begin), walk->max_elements);
    walk->elements += elements;
    return true;
}

static enum wire_type wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_LENGTH;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_32BIT;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_64BIT;
    default:
        return WIRE_VARINT;
    }
}

/* A packed list: as many elements as it has values. */
static bool walk_packed(struct walk *walk, enum wire_type type, struct bytes list)
{
    if (type != WIRE_VARINT) {
        size_t width = type == WIRE_64BIT ? 8 : 4;
        if (list.length % width)
            return wrong(walk, list.data, "a packed list ends in the middle of a value");
        return count(walk, list.data, list.length / width);
    }
    while (list.length) {
        uint64_t value = 0;
        int length = varint_get(list, &value);
        if (length <= 0)
            return wrong(walk, list.data, "a packed list holds a bad varint");
        if (!count(walk, list.data, 1))
            return false;
        list.data += length;
        list.length -= (size_t)length;
    }
    return true;
}

static bool walk_message(struct walk *walk, const ProtobufCMessageDescriptor *type, struct bytes in,
                         unsigned depth);

static bool walk_field(struct walk *walk, const ProtobufCFieldDescriptor *known,
                       const struct wire_field *field, unsigned depth)
{
    const uint8_t *at = field->content.data;
    enum wire_type due = wire_type_of(known->type);
    bool packed = known->label == PROTOBUF_C_LABEL_REPEATED && due != WIRE_LENGTH &&
                  field->type == WIRE_LENGTH;
    if (packed)
        return walk_packed(walk, due, field->content);
    if (!count(walk, at, 1))
        return false;
    if (field->type != due)
        return wrong(walk, at, "a value of another type than its field");
    if (known->type == PROTOBUF_C_TYPE_STRING && !wire_text_valid(field->content))
        return wrong(walk, at, "text that is not UTF-8, or holds a NUL");
    if (known->type == PROTOBUF_C_TYPE_MESSAGE)
        return walk_message(walk, known->descriptor, field->content, depth + 1);
    return true;
}

static bool walk_message(struct walk *walk, const ProtobufCMessageDescriptor *type, struct bytes in,
                         unsigned depth)
{
    if (depth > MAX_DEPTH) {
        (void)wrong(walk, in.data, "messages nested too deep");
        return refuse_as(walk->err, MUSTER__REFUSAL__REFUSAL_TOO_LARGE);
    }
    while (in.length) {
        struct wire_field field;
        const uint8_t *at = in.data;
        if (!wire_next(&in, &field, walk->err))
            return err_context(walk->err, "byte %zu", (size_t)(at - walk->begin));
        const ProtobufCFieldDescriptor *known =
            protobuf_c_message_descriptor_get_field(type, field.number);
        /* Unknown fields are a newer sender's; protobuf-c keeps them, so they count. */
        if (!known ? !count(walk, at, 1) : !walk_field(walk, known, &field, depth))
            return false;
    }
    return true;
}

/* protobuf-c says only that it failed; this tells memory from form. */
struct bounded {
    struct arena *arena;
    bool exhausted;
};

static void *bounded_alloc(void *ctx, size_t size)
{
    struct bounded *bounded = ctx;
    void *piece = arena_alloc(bounded->arena, size);
    if (!piece)
        bounded->exhausted = true;
    return piece;
}

static void bounded_free(void *ctx, void *piece)
{
    (void)ctx;
    (void)piece;
}

bool unpack(const ProtobufCMessageDescriptor *type, struct bytes in,
            const struct unpack_limits *limits, struct arena *arena, ProtobufCMessage **ret_message,
            struct err *err)
{
    static const uint8_t nothing[1];
    struct bytes wire = in.length ? in : bytes_of(nothing, 0);
    struct walk walk = {
        .begin = wire.data,
        .max_elements = limits->max_elements ? limits->max_elements : MAX_ELEMENTS,
        .err = err,
    };
    if (wire.length > limits->max_bytes) {
        (void)refuse(err, MUSTER__REFUSAL__REFUSAL_TOO_LARGE, ERR_INVALID,
                     "%zu bytes where %zu are the most", wire.length, limits->max_bytes);
        return err_context(err, "%s", type->name);
    }
    if (!walk_message(&walk, type, wire, 1))
        return err_context(err, "%s", type->name);
    struct bounded bounded = {.arena = arena};
    ProtobufCAllocator allocator = {
        .alloc = bounded_alloc, .free = bounded_free, .allocator_data = &bounded};
    ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, wire.length, wire.data);
    if (!message && bounded.exhausted)
        return err_set(err, ERR_NO_MEMORY, "%s: needs more memory than is allowed for it",
                       type->name);
    if (!message)
        return err_set(err, ERR_INVALID, "%s: protobuf-c cannot read it", type->name);
    *ret_message = message;
    return true;
}

bool pack(const ProtobufCMessage *message, struct buf *out, struct err *err)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *room = buf_reserve(out, size, err);
    if (!room)
        return err_context(err, "%s", message->descriptor->name);
    out->length += protobuf_c_message_pack(message, room);
    return true;
}
