/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/txn_input.h"

#include "base/buf.h"
#include "proto/record.pb-c.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(name) offsetof(struct muster_txn, name), sizeof(((struct muster_txn *)0)->name)

const struct txn_field txn_fields[] = {
#define TXN_KEY(name, flag, help) {#name, flag, help, TXN_FIELD_KEY, AT(name), 1, 32, NULL, NULL},
#define TXN_NUMBER(name, flag, max, help)                                                          \
    {#name, flag, help, TXN_FIELD_NUMBER, AT(name), 0, max, NULL, NULL},
#define TXN_SIGNED(name, flag, min, max, help)                                                     \
    {#name, flag, help, TXN_FIELD_SIGNED, AT(name), min, max, NULL, NULL},
#define TXN_ENUM(name, flag, type, descriptor, prefix, help)                                       \
    {#name, flag, help, TXN_FIELD_ENUM, AT(name), 0, 0, &descriptor, prefix},
#define TXN_TEXT(name, flag, max_bytes, alphanumeric, help)                                        \
    {#name, flag, help, TXN_FIELD_TEXT, AT(name), 0, max_bytes, NULL, NULL},
#define TXN_BYTES(name, flag, min_bytes, max_bytes, help)                                          \
    {#name, flag, help, TXN_FIELD_BYTES, AT(name), min_bytes, max_bytes, NULL, NULL},
#define TXN_BOOL(name, flag, help) {#name, flag, help, TXN_FIELD_BOOL, AT(name), 0, 0, NULL, NULL},
#include "agent/txn_fields.def"
    {0},
};

void txn_input_clear(struct txn_input *input)
{
    memset(input, 0, sizeof *input);
}

/* ---- words of an enum ---- */

static void lower_word(const char *name, const char *prefix, char out[32])
{
    size_t length = strlen(prefix);
    if (strncmp(name, prefix, length) == 0)
        name += length;
    size_t i = 0;
    for (; name[i] != '\0' && i < 31; i++)
        out[i] = (char)tolower((unsigned char)name[i]);
    out[i] = '\0';
}

void enum_word(const ProtobufCEnumDescriptor *words, const char *prefix, int value, char out[32])
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(words, value);
    if (found != NULL)
        lower_word(found->name, prefix, out);
    else
        memcpy(out, "?", 2);
}

void txn_field_words(const struct txn_field *field, char *out, size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < field->words->n_values && at < size; i++) {
        char word[32];
        lower_word(field->words->values[i].name, field->prefix, word);
        at += (size_t)snprintf(out + at, size - at, "%s%s", i == 0 ? "" : ", ", word);
    }
}

static bool value_of_word(const struct txn_field *field, const char *text, int *ret_value)
{
    char wanted[32], word[32];
    if (strlen(text) >= sizeof wanted)
        return false;
    lower_word(text, "", wanted);
    for (char *c = wanted; *c != '\0'; c++)
        if (*c == '-')
            *c = '_';
    for (unsigned i = 0; i < field->words->n_values; i++) {
        lower_word(field->words->values[i].name, field->prefix, word);
        if (strcmp(word, wanted) == 0) {
            *ret_value = field->words->values[i].value;
            return true;
        }
    }
    return false;
}

/* ---- one value ---- */

static void *place_of(struct txn_input *input, const struct txn_field *field)
{
    return (char *)&input->txn + field->offset;
}

/* A copy that lasts as long as the input; NULL: refused. The store has room for every field once; a
 * flag may come again. */
static const void *store(struct txn_input *input, const struct txn_field *field, const void *data,
                         size_t length, struct err *err)
{
    if (length > sizeof input->store - input->used) {
        (void)err_set(err, ERR_INVALID, "%s: texts and bytes are given too many times over",
                      field->name);
        return NULL;
    }
    char *to = input->store + input->used;
    memcpy(to, data, length);
    input->used += length;
    return to;
}

/* Little-endian or not: the value is cut to the field's own size by type. */
static void put_integer(struct txn_input *input, const struct txn_field *field, int64_t value)
{
    void *to = place_of(input, field);
    int32_t narrow = (int32_t)(uint32_t)(uint64_t)value;
    if (field->size == sizeof narrow)
        memcpy(to, &narrow, sizeof narrow);
    else
        memcpy(to, &value, sizeof value);
}

static bool take_integer(struct txn_input *input, const struct txn_field *field, int64_t value,
                         struct err *err)
{
    if (value < field->min || value > field->max)
        return err_set(err, ERR_INVALID, "%s = %lld: expected %lld to %lld", field->name,
                       (long long)value, (long long)field->min, (long long)field->max);
    put_integer(input, field, value);
    return true;
}

static bool take_digits(struct txn_input *input, const struct txn_field *field, const char *text,
                        struct err *err)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (digits[0] == '\0' || digits[strspn(digits, "0123456789")] != '\0' || errno != 0)
        return err_set(err, ERR_INVALID, "%s = %.40s: expected a whole number", field->name, text);
    return take_integer(input, field, value, err);
}

static bool take_word(struct txn_input *input, const struct txn_field *field, const char *text,
                      struct err *err)
{
    int value = 0;
    if (value_of_word(field, text, &value)) {
        memcpy(place_of(input, field), &value, sizeof value);
        return true;
    }
    char words[200];
    txn_field_words(field, words, sizeof words);
    return err_set(err, ERR_INVALID, "%s = %.40s: expected one of %s", field->name, text, words);
}

static bool take_text(struct txn_input *input, const struct txn_field *field, const char *text,
                      struct err *err)
{
    size_t length = strlen(text);
    if (length > (size_t)field->max)
        return err_set(err, ERR_INVALID, "%s has %zu bytes: expected at most %lld", field->name,
                       length, (long long)field->max);
    const char *kept = store(input, field, text, length + 1, err);
    if (kept == NULL)
        return false;
    memcpy(place_of(input, field), &kept, sizeof kept);
    return true;
}

static bool take_bytes(struct txn_input *input, const struct txn_field *field, const char *text,
                       struct err *err)
{
    bool hex = field->kind == TXN_FIELD_BYTES;
    size_t length = hex ? strlen(text) / 2 : strlen(text);
    uint8_t bytes[32];
    bool fits = length >= (size_t)field->min && length <= (size_t)field->max;
    if (hex && !(fits && hex_decode(text, strlen(text), bytes, length)))
        return err_set(err, ERR_INVALID, "%s: expected %lld to %lld bytes in hex", field->name,
                       (long long)field->min, (long long)field->max);
    if (!fits)
        return err_set(err, ERR_INVALID, "%s has %zu bytes: expected %lld to %lld", field->name,
                       length, (long long)field->min, (long long)field->max);
    const void *data = store(input, field, hex ? (const void *)bytes : text, length, err);
    const struct muster_bytes kept = {data, length};
    if (data == NULL)
        return false;
    memcpy(place_of(input, field), &kept, sizeof kept);
    return true;
}

bool txn_input_text(struct txn_input *input, const struct txn_field *field, const char *text,
                    struct err *err)
{
    switch (field->kind) {
    case TXN_FIELD_NUMBER:
    case TXN_FIELD_SIGNED:
        return take_digits(input, field, text, err);
    case TXN_FIELD_ENUM:
        return take_word(input, field, text, err);
    case TXN_FIELD_TEXT:
        return take_text(input, field, text, err);
    case TXN_FIELD_KEY:
    case TXN_FIELD_BYTES:
        return take_bytes(input, field, text, err);
    case TXN_FIELD_BOOL:
        memcpy(place_of(input, field), &(bool){true}, sizeof(bool));
        return true;
    }
    return err_set(err, ERR_INVALID, "%s cannot be given", field->name);
}

/* ---- JSON ---- */

static bool take_json_value(struct txn_input *input, const struct txn_field *field,
                            const json_t *value, struct err *err)
{
    if (json_is_null(value))
        return true;
    switch (field->kind) {
    case TXN_FIELD_NUMBER:
    case TXN_FIELD_SIGNED:
        if (json_is_integer(value))
            return take_integer(input, field, json_integer_value(value), err);
        return err_set(err, ERR_INVALID, "%s: expected a whole number", field->name);
    case TXN_FIELD_BOOL:
        if (json_is_false(value))
            return true;
        if (json_is_true(value))
            return txn_input_text(input, field, "", err);
        return err_set(err, ERR_INVALID, "%s: expected true or false", field->name);
    case TXN_FIELD_KEY:
    case TXN_FIELD_ENUM:
    case TXN_FIELD_TEXT:
    case TXN_FIELD_BYTES:
        if (json_is_string(value))
            return txn_input_text(input, field, json_string_value(value), err);
        return err_set(err, ERR_INVALID, "%s: expected a string", field->name);
    }
    return false;
}

static bool take_object(struct txn_input *input, json_t *object, struct err *err)
{
    const char *key = NULL;
    json_t *value = NULL;
    if (!json_is_object(object))
        return err_set(err, ERR_INVALID, "expected a JSON object");
    json_object_foreach(object, key, value)
    {
        const struct txn_field *field = txn_fields;
        while (field->name != NULL && strcmp(field->name, key) != 0)
            field++;
        if (field->name == NULL)
            return err_set(err, ERR_INVALID,
                           "unknown field %.48s: 'muster record --help' lists them", key);
        if (!take_json_value(input, field, value, err))
            return false;
    }
    return true;
}

bool txn_input_json(struct txn_input *input, const char *line, size_t length, struct err *err)
{
    json_error_t where;
    txn_input_clear(input);
    json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES, &where);
    if (object == NULL)
        return err_set(err, ERR_INVALID, "not JSON at column %d: %s", where.column, where.text);
    bool ok = take_object(input, object, err);
    json_decref(object);
    return ok;
}
