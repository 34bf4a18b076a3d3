/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/decode.h"

#include "base/clock.h"
#include "base/mask.h"
#include "base/utf8.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CARD_BYTES = 32 }; /* in no more can somebody have hidden one that we would see */

/* ---- values ---- */

json_t *decode_number(uint64_t value)
{
    char text[24];
    if (value <= INT64_MAX)
        return json_integer((json_int_t)value);
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    return json_string(text);
}

json_t *decode_id(uint64_t id)
{
    char text[17];
    (void)snprintf(text, sizeof text, "%016" PRIx64, id);
    return json_string(text);
}

json_t *decode_text(struct bytes text)
{
    char *copy = malloc(text.length + 1);
    if (copy == NULL)
        return NULL;
    if (text.length > 0)
        memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    for (size_t i = 0; i < text.length; i++)
        if (copy[i] == '\0')
            copy[i] = '?';
    utf8_clean(copy);
    (void)mask_card_numbers(copy, text.length);
    json_t *value = json_stringn(copy, text.length);
    free(copy);
    return value;
}

json_t *decode_hex(struct bytes value)
{
    char *text = malloc(2 * value.length + 1);
    if (text == NULL)
        return NULL;
    hex_encode(value.data, value.length, text);
    json_t *hex = json_stringn(text, 2 * value.length);
    free(text);
    return hex;
}

/* Digits as text or two to a byte. Hashes and keys hold such runs by chance, and are no places for
 * a card number: they are of lengths that the other fields do not have, or are made here. */
static bool spells_card(const char *name, struct bytes value)
{
    static const char *const made[] = {"sha256", "nonce", "boot_id", "key_id", "generation",
                                       "digest", "blob",  "lacks",   "spki",   "signature"};
    char text[2 * CARD_BYTES + 1];
    if (value.length == 0 || value.length > CARD_BYTES)
        return false;
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++)
        if (strstr(name, made[i]) != NULL)
            return false;
    hex_encode(value.data, value.length, text);
    if (mask_card_numbers(text, 2 * value.length))
        return true;
    memcpy(text, value.data, value.length);
    return mask_card_numbers(text, value.length);
}

static json_t *bytes_value(const char *name, struct bytes value)
{
    char stars[2 * CARD_BYTES + 1];
    if (!spells_card(name, value))
        return decode_hex(value);
    memset(stars, '*', 2 * value.length);
    return json_stringn(stars, 2 * value.length);
}

/* "OUTCOME_DECLINED" is "declined" where all of them begin with "OUTCOME_". */
static json_t *enum_value(const ProtobufCEnumDescriptor *type, int value)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(type, value);
    if (found == NULL)
        return json_integer(value);
    size_t common = strlen(found->name);
    for (unsigned i = 0; i < type->n_values; i++) {
        const char *other = type->values[i].name;
        size_t same = 0;
        while (same < common && other[same] == found->name[same])
            same++;
        common = same < common && other != found->name ? same : common;
    }
    while (common > 0 && found->name[common - 1] != '_')
        common--;
    char word[48];
    size_t length = 0;
    for (const char *c = found->name + common; *c != '\0' && length < sizeof word - 1; c++)
        word[length++] = (char)tolower((unsigned char)*c);
    return json_stringn(word, length);
}

/* ---- fields ---- */

struct field {
    const ProtobufCMessage *message;
    const ProtobufCFieldDescriptor *type;
    const struct decode_nest *nest;
};

static size_t width_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4;
    }
}

static json_t *value_of(const struct field *field, const void *at)
{
    const ProtobufCFieldDescriptor *type = field->type;
    const ProtobufCBinaryData *data = at;
    switch (type->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return json_integer(*(const int32_t *)at);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return json_integer(*(const uint32_t *)at);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return json_integer(*(const int64_t *)at);
    case PROTOBUF_C_TYPE_UINT64:
        return decode_number(*(const uint64_t *)at);
    case PROTOBUF_C_TYPE_FIXED64:
        return decode_id(*(const uint64_t *)at);
    case PROTOBUF_C_TYPE_FLOAT:
        return json_real((double)*(const float *)at);
    case PROTOBUF_C_TYPE_DOUBLE:
        return json_real(*(const double *)at);
    case PROTOBUF_C_TYPE_BOOL:
        return json_boolean(*(const protobuf_c_boolean *)at);
    case PROTOBUF_C_TYPE_ENUM:
        return enum_value(type->descriptor, *(const int *)at);
    case PROTOBUF_C_TYPE_STRING:
        return decode_text(bytes_of(*(char *const *)at, strlen(*(char *const *)at)));
    case PROTOBUF_C_TYPE_BYTES: {
        struct bytes value = bytes_of(data->data, data->len);
        json_t *nested = field->nest->nested == NULL
                             ? NULL
                             : field->nest->nested(field->nest->ctx, field->message, type, value);
        return nested != NULL ? nested : bytes_value(type->name, value);
    }
    case PROTOBUF_C_TYPE_MESSAGE:
        return decode_message(*(ProtobufCMessage *const *)at, field->nest);
    }
    return json_null();
}

static bool is_default(const ProtobufCFieldDescriptor *type, const void *at)
{
    static const uint8_t zeros[8];
    if (type->type == PROTOBUF_C_TYPE_STRING)
        return *(char *const *)at == NULL || **(char *const *)at == '\0';
    if (type->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(ProtobufCMessage *const *)at == NULL;
    if (type->type == PROTOBUF_C_TYPE_BYTES)
        return ((const ProtobufCBinaryData *)at)->len == 0;
    return memcmp(at, zeros, width_of(type->type)) == 0;
}

/* Signed milliseconds are wall times here, but for what is measured between two of them. */
static bool is_wall_time(const ProtobufCFieldDescriptor *type)
{
    size_t length = strlen(type->name);
    return type->type == PROTOBUF_C_TYPE_SINT64 && length > 3 &&
           strcmp(type->name + length - 3, "_ms") == 0 && strstr(type->name, "offset") == NULL &&
           strstr(type->name, "bound") == NULL;
}

static void put_iso(json_t *object, const char *name, int64_t wall_ms)
{
    char key[80], time[32];
    clock_format(wall_ms, time);
    (void)snprintf(key, sizeof key, "%s_iso", name);
    (void)json_object_set_new(object, key, json_string(time));
}

static json_t *list_of(const struct field *field, const void *list, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(
            array, value_of(field, (const char *)list + i * width_of(field->type->type)));
    return array;
}

static void put_field(json_t *object, const struct field *field)
{
    const ProtobufCFieldDescriptor *type = field->type;
    const char *base = (const char *)field->message;
    const void *at = base + type->offset;
    if (type->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = *(const size_t *)(const void *)(base + type->quantifier_offset);
        if (count > 0)
            (void)json_object_set_new(object, type->name,
                                      list_of(field, *(void *const *)at, count));
        return;
    }
    bool chosen = (type->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    if (chosen ? *(const uint32_t *)(const void *)(base + type->quantifier_offset) != type->id
               : is_default(type, at))
        return;
    (void)json_object_set_new(object, type->name, value_of(field, at));
    if (is_wall_time(type))
        put_iso(object, type->name, *(const int64_t *)at);
}

static void put_unknown(json_t *object, const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *field = &message->unknown_fields[i];
        char key[32];
        (void)snprintf(key, sizeof key, "unknown_field_%" PRIu32, field->tag);
        (void)json_object_set_new(object, key, bytes_value(key, bytes_of(field->data, field->len)));
    }
}

json_t *decode_message(const ProtobufCMessage *message, const struct decode_nest *nest)
{
    json_t *object = json_object();
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const struct field field = {message, &message->descriptor->fields[i], nest};
        put_field(object, &field);
    }
    put_unknown(object, message);
    return object;
}

bool decode_has_unknown(const ProtobufCMessage *message)
{
    bool found = message->n_unknown_fields > 0;
    for (unsigned i = 0; i < message->descriptor->n_fields && !found; i++) {
        const ProtobufCFieldDescriptor *type = &message->descriptor->fields[i];
        const char *base = (const char *)message;
        if (type->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        const uint32_t *quantifier = (const void *)(base + type->quantifier_offset);
        ProtobufCMessage *const *at = (const void *)(base + type->offset);
        size_t count = 1;
        if (type->label == PROTOBUF_C_LABEL_REPEATED) {
            count = *(const size_t *)(const void *)quantifier;
            at = *(ProtobufCMessage *const *const *)(const void *)at;
        } else if ((type->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 && *quantifier != type->id) {
            continue;
        }
        for (size_t j = 0; j < count && !found; j++)
            found = at[j] != NULL && decode_has_unknown(at[j]);
    }
    return found;
}
