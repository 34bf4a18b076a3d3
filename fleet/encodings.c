/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/encodings.h"

#include "fleet/words.h"

#include <string.h>

static json_t *hex_text(const uint8_t digest[32])
{
    char hex[65];
    hex_encode(digest, 32, hex);
    return json_string(hex);
}

json_t *encoding_json(const struct fleetdb_encoding *encoding)
{
    json_t *json = json_pack("{s:s, s:o, s:I}", "coding", word_of_coding(encoding->coding), "blob",
                             hex_text(encoding->blob), "size", (json_int_t)encoding->size);
    if (encoding->delta)
        (void)json_object_set_new(json, "base", hex_text(encoding->base));
    if (encoding->piece_bytes == 0)
        return json;
    (void)json_object_set_new(json, "piece_bytes", json_integer(encoding->piece_bytes));
    (void)json_object_set_new(json, "pieces_size", json_integer((json_int_t)encoding->pieces_size));
    return json;
}

json_t *encodings_json(const struct fleetdb_encoding *encodings, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        if (json_array_append_new(list, encoding_json(&encodings[i])) == 0)
            continue;
        json_decref(list);
        return NULL;
    }
    return list;
}

static bool read_hash(const json_t *json, const char *name, uint8_t digest[32], struct err *err)
{
    const char *hex = json_string_value(json_object_get(json, name));
    return (hex != NULL && strlen(hex) == 64 && hex_decode(hex, 64, digest, 32)) ||
           err_set(err, ERR_INVALID, "%s: expected a SHA-256 in 64 hex digits", name);
}

static bool read_size(const json_t *json, const char *name, int64_t max, uint64_t *ret_size,
                      struct err *err)
{
    const json_t *value = json_object_get(json, name);
    json_int_t size = json_integer_value(value);
    if (value != NULL && (!json_is_integer(value) || size < 0 || size > max))
        return err_set(err, ERR_INVALID, "%s: expected a number from 0 to %lld", name,
                       (long long)max);
    *ret_size = (uint64_t)size;
    return true;
}

static bool read_encoding(const json_t *json, struct fleetdb_encoding *encoding, struct err *err)
{
    const char *coding = json_string_value(json_object_get(json, "coding"));
    uint64_t piece_bytes = 0;
    if (coding == NULL || !word_to_coding(coding, &encoding->coding, err))
        return coding != NULL || err_set(err, ERR_INVALID, "coding: expected a word");
    encoding->delta = encoding->coding == MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA;
    if (!read_hash(json, "blob", encoding->blob, err) ||
        (encoding->delta && !read_hash(json, "base", encoding->base, err)) ||
        !read_size(json, "size", INT32_MAX, &encoding->size, err) ||
        !read_size(json, "piece_bytes", INT32_MAX, &piece_bytes, err) ||
        !read_size(json, "pieces_size", INT64_MAX, &encoding->pieces_size, err))
        return false;
    encoding->piece_bytes = (uint32_t)piece_bytes;
    return true;
}

bool encodings_read(const json_t *object, struct fleetdb_encoding encodings[FLEETDB_ENCODINGS_MAX],
                    size_t *ret_count, struct err *err)
{
    const json_t *list = json_object_get(object, "encodings");
    size_t count = json_array_size(list);
    if (count == 0 || count > FLEETDB_ENCODINGS_MAX)
        return err_set(err, ERR_INVALID, "encodings: expected an array of 1 to %d",
                       FLEETDB_ENCODINGS_MAX);
    for (size_t i = 0; i < count; i++) {
        encodings[i] = (struct fleetdb_encoding){0};
        if (!read_encoding(json_array_get(list, i), &encodings[i], err))
            return false;
    }
    *ret_count = count;
    return true;
}

uint64_t encoding_weight(const struct fleetdb_encoding *encoding)
{
    return encoding->size + encoding->pieces_size;
}

const struct fleetdb_encoding *encoding_whole(const struct fleetdb_encoding *encodings,
                                              size_t count)
{
    const struct fleetdb_encoding *whole = NULL;
    for (size_t i = 0; i < count; i++)
        if (!encodings[i].delta &&
            (whole == NULL || encoding_weight(&encodings[i]) < encoding_weight(whole)))
            whole = &encodings[i];
    return whole;
}
