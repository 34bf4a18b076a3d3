/* SPDX-License-Identifier: Apache-2.0 */
/* `muster decode` eats everything: found out, or told what it is (the first byte), with the key
 * that the seeds are signed with. What comes out prints as JSON that reads back, and as UTF-8 text
 * that no terminal obeys and that holds no card number. */
#include "agent/decode.h"
#include "base/mask.h"
#include "base/utf8.h"
#include "tests/fuzz/world.h"

#include <string.h>

static void check_text(const char *text, size_t length)
{
    uint32_t code = 0;
    for (size_t at = 0, step; at < length; at += step) {
        step = utf8_next(bytes_of(text + at, length - at), &code);
        HOLDS(step > 0 && (code == '\n' || code == '\t' || !utf8_obeyed(code)));
    }
}

static void check_json(const json_t *root)
{
    char *text = json_dumps(root, JSON_COMPACT);
    HOLDS(text);
    json_t *again = json_loads(text, 0, NULL);
    HOLDS(again && json_equal(again, root));
    json_decref(again);
    free(text);
}

/* The lines of a blob, and what a message holds as text. Numbers and hashes may look like one. */
static void check_masked(const json_t *value, bool is_text)
{
    static const char *const texts[] = {"content", "text",        "item",   "why",
                                        "reason",  "app_version", "broker", "issuer_bucket"};
    const char *key = NULL;
    json_t *child = NULL;
    if (json_is_string(value) && is_text) {
        char *text = strdup(json_string_value(value));
        HOLDS(text && !mask_card_numbers(text, strlen(text)));
        free(text);
    }
    for (size_t i = 0; i < json_array_size(value); i++)
        check_masked(json_array_get(value, i), is_text);
    json_object_foreach((json_t *)(uintptr_t)value, key, child)
    {
        is_text = false;
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
            is_text = is_text || strcmp(key, texts[i]) == 0;
        check_masked(child, is_text);
    }
}

static void check(const struct decoded *decoded)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    HOLDS(out && decoded->root);
    HOLDS(decode_print(decoded->root, out) && fclose(out) == 0);
    check_text(text, length);
    check_json(decoded->root);
    check_masked(decoded->root, false);
    free(text);
}

/* "chain, blob, ..." to the name that the number stands for; NULL: found out. */
static const char *kind_of(uint8_t number, char *names, size_t size)
{
    decode_names(names, size);
    for (char *name; number > 0 && (name = strsep(&names, ",")) != NULL;)
        if (--number == 0)
            return name + (name[0] == ' ' ? 1 : 0);
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct verify_key *key;
    struct bytes in = bytes_of(data, size);
    struct decoded decoded = {0};
    struct buf tried = {0};
    struct err err = {0};
    char names[512];
    if (!key)
        HOLDS(verify_key_of_spki(sign_key_spki(fuzz_key()), &key, NULL));
    uint8_t how = fuzz_byte(&in);
    const struct decode_options options = {.as = kind_of(how & 31, names, sizeof names),
                                           .frames = how & 32,
                                           .device = how & 64 ? "t-01" : NULL,
                                           .trust = how & 128 ? fuzz_trust() : NULL,
                                           .key = how & 64 ? key : NULL};
    if (decode_bytes(in, &options, &decoded, &tried, &err))
        check(&decoded);
    else
        HOLDS(err.code != ERR_NONE && err.code != ERR_IO && err.text[0]);
    json_decref(decoded.root);
    buf_done(&tried);
    return 0;
}
