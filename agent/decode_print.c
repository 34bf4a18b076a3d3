/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/decode.h"

#include "base/utf8.h"

#include <string.h>

enum { CUT_CHARS = 200, STEP = 2 };

/* What a terminal would obey, or use to show other text than is there, becomes '?'; the tabs of a
 * table stay. */
static void print_text(const char *text, size_t limit, FILE *out)
{
    size_t length = strlen(text);
    for (size_t at = 0, step; at < length; at += step) {
        uint32_t code = 0;
        if (at >= limit) {
            (void)fprintf(out, "... (%zu characters, -o json shows them)", length);
            return;
        }
        step = utf8_next(bytes_of(text + at, length - at), &code);
        if (step == 0 || (utf8_obeyed(code) && code != '\t'))
            (void)fputc('?', out);
        else
            (void)fwrite(text + at, 1, step, out);
        step = step == 0 ? 1 : step;
    }
}

static bool is_iso_of_another(const json_t *object, const char *key)
{
    char name[80];
    size_t length = strlen(key);
    if (length < 5 || length >= sizeof name || strcmp(key + length - 4, "_iso") != 0)
        return false;
    memcpy(name, key, length - 4);
    name[length - 4] = '\0';
    return json_object_get(object, name) != NULL;
}

static void print_scalar(const json_t *object, const char *key, const json_t *value, FILE *out)
{
    char iso[80];
    switch (json_typeof(value)) {
    case JSON_STRING:
        print_text(json_string_value(value), CUT_CHARS, out);
        break;
    case JSON_INTEGER:
        (void)fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        (void)fprintf(out, "%g", json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        (void)fputs(json_is_true(value) ? "yes" : "no", out);
        break;
    default:
        (void)fputs("-", out);
        break;
    }
    if (key == NULL)
        return;
    (void)snprintf(iso, sizeof iso, "%s_iso", key);
    const char *time = json_string_value(json_object_get(object, iso));
    if (time != NULL)
        (void)fprintf(out, " (%s)", time);
}

static bool is_scalar(const json_t *value)
{
    return !json_is_object(value) && !json_is_array(value);
}

static bool is_flat(const json_t *object)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (!is_scalar(value))
            return false;
    }
    return true;
}

/* All of it on one line: a record, a range. */
static void print_flat(const json_t *object, FILE *out)
{
    const char *key = NULL, *between = "";
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (is_iso_of_another(object, key))
            continue;
        (void)fputs(between, out);
        print_text(key, CUT_CHARS, out);
        (void)fputs(": ", out);
        print_scalar(object, key, value, out);
        between = ", ";
    }
}

static void print_object(const json_t *object, int indent, bool first_is_placed, FILE *out);

static void print_list(const json_t *array, int indent, FILE *out)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *value = json_array_get(array, i);
        (void)fprintf(out, "%*s- ", indent, "");
        if (json_is_object(value) && !is_flat(value)) {
            print_object(value, indent + STEP, true, out);
            continue;
        }
        if (json_is_object(value))
            print_flat(value, out);
        else
            print_scalar(NULL, NULL, value, out);
        (void)fputc('\n', out);
    }
}

static void print_object(const json_t *object, int indent, bool first_is_placed, FILE *out)
{
    const char *key = NULL;
    json_t *value = NULL;
    bool placed = first_is_placed;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (is_iso_of_another(object, key))
            continue;
        (void)fprintf(out, "%*s", placed ? 0 : indent, "");
        placed = false;
        print_text(key, CUT_CHARS, out);
        (void)fputc(':', out);
        if (is_scalar(value)) {
            (void)fputc(' ', out);
            print_scalar(object, key, value, out);
            (void)fputc('\n', out);
            continue;
        }
        (void)fputc('\n', out);
        if (json_is_array(value))
            print_list(value, indent + STEP, out);
        else
            print_object(value, indent + STEP, false, out);
    }
    if (placed)
        (void)fputc('\n', out);
}

bool decode_print(const json_t *root, FILE *out)
{
    print_object(root, 0, false, out);
    return ferror(out) == 0;
}
