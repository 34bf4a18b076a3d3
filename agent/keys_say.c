/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/keys_say.h"

#include "agent/keys_blot.h"
#include "base/utf8.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 200, WORD_BYTES = 40, ACQUIRERS_MAX = 999 };

/* The next word of a line; false: there is none, or it is longer than any that means something. */
static bool word_next(const char **at, char ret_word[WORD_BYTES])
{
    *at += strspn(*at, " \t");
    size_t length = strcspn(*at, " \t");
    if (length == 0 || length >= WORD_BYTES)
        return false;
    memcpy(ret_word, *at, length);
    ret_word[length] = '\0';
    *at += length;
    return true;
}

/* The next line, without its end; one that is too long is given as nothing. */
static bool line_next(const char **at, char ret_line[LINE_BYTES])
{
    if (**at == '\0')
        return false;
    size_t length = strcspn(*at, "\r\n");
    (void)snprintf(ret_line, LINE_BYTES, "%.*s", length < LINE_BYTES ? (int)length : 0, *at);
    *at += length;
    *at += strspn(*at, "\r\n");
    return true;
}

static bool kcv_read(const char *text, struct key_held *key)
{
    char word[WORD_BYTES];
    const char *colon = strchr(text, ':');
    size_t digits = colon != NULL ? strlen(colon + 1) : 0;
    if (colon == NULL || digits / 2 > sizeof key->kcv || digits < 6)
        return false;
    (void)snprintf(word, sizeof word, "%.*s", (int)(colon - text), text);
    key->kcv_length = digits / 2;
    return key_kcv_method(word, &key->kcv_method) &&
           hex_decode(colon + 1, digits, key->kcv, key->kcv_length);
}

static bool number_read(const char *text, unsigned max, unsigned *ret_number)
{
    char *end = NULL;
    unsigned long number = strtoul(text, &end, 10);
    *ret_number = (unsigned)number;
    return isdigit((unsigned char)text[0]) && *end == '\0' && number <= max;
}

static bool fact_read(const char *name, const char *value, struct key_held *key)
{
    if (strcmp(name, "usage") == 0) {
        (void)snprintf(key->usage, sizeof key->usage, "%.2s", value);
        return strlen(value) == 2;
    }
    if (strcmp(name, "algorithm") == 0) {
        key->algorithm = value[0];
        return strlen(value) == 1;
    }
    if (strcmp(name, "mode") == 0) {
        key->mode = value[0];
        return strlen(value) == 1;
    }
    if (strcmp(name, "version") == 0) {
        key->versioned = true;
        return number_read(value, KEY_VERSION_MAX, &key->key_version);
    }
    if (strcmp(name, "acquirer") == 0) {
        key->of_acquirer = true;
        return number_read(value, ACQUIRERS_MAX, &key->acquirer);
    }
    return strcmp(name, "kcv") == 0 && kcv_read(value, key);
}

/* Behind "slot". */
static bool slot_read(const char *at, struct key_held *ret_key)
{
    char name[WORD_BYTES], value[WORD_BYTES];
    *ret_key = (struct key_held){0};
    if (!word_next(&at, name) || !key_slot_valid(name))
        return false;
    (void)snprintf(ret_key->slot, sizeof ret_key->slot, "%.16s", name);
    while (word_next(&at, name)) {
        if (strcmp(name, "own") == 0)
            ret_key->own = true;
        else if (strcmp(name, "empty") == 0)
            ret_key->empty = true;
        else if (!word_next(&at, value) || !fact_read(name, value, ret_key))
            return false;
    }
    return at[strspn(at, " \t")] == '\0';
}

/* A line is never quoted: a loader that is wrong may say anything. */
static bool bad_line(struct err *err, size_t number)
{
    return err_set(err, ERR_INVALID, "line %zu of what the loader says is not understood", number);
}

bool keys_say_inventory(const char *output, struct key_inventory *ret_inventory, struct err *err)
{
    struct key_inventory inventory = {0};
    char line[LINE_BYTES], word[WORD_BYTES];
    bool whole = false;
    for (size_t number = 1; line_next(&output, line); number++) {
        const char *at = line;
        struct key_held key;
        if (!word_next(&at, word))
            continue;
        whole = strcmp(word, "end") == 0;
        if (strcmp(word, "slot") != 0)
            continue;
        if (!slot_read(at, &key))
            return bad_line(err, number);
        if (keys_held_in(&inventory, key.slot) != NULL)
            return err_set(err, ERR_INVALID, "the loader says slot %s twice", key.slot);
        if (inventory.count == KEYS_SLOTS)
            return err_set(err, ERR_INVALID, "the loader says more than %d slots", KEYS_SLOTS);
        inventory.slots[inventory.count++] = key;
    }
    if (!whole)
        return err_set(err, ERR_INVALID, "what it says of the slots does not end with \"end\"");
    *ret_inventory = inventory;
    return true;
}

bool keys_say_loaded(const char *output, struct key_loaded *ret_loaded, struct err *err)
{
    struct key_loaded loaded = {0};
    char line[LINE_BYTES], word[WORD_BYTES], value[WORD_BYTES];
    for (size_t number = 1; line_next(&output, line); number++) {
        const char *at = line;
        if (!word_next(&at, word) || (strcmp(word, "kcv") != 0 && strcmp(word, "version") != 0))
            continue;
        if (!word_next(&at, value) || !fact_read(word, value, &loaded.key))
            return bad_line(err, number);
        loaded.has_kcv = loaded.has_kcv || strcmp(word, "kcv") == 0;
    }
    *ret_loaded = loaded;
    return true;
}

void keys_say_why(const char *output, char ret_why[KEYS_WHY_CHARS + 1])
{
    char line[LINE_BYTES];
    ret_why[0] = '\0';
    while (ret_why[0] == '\0' && line_next(&output, line)) {
        if (strncmp(line, "why ", 4) == 0)
            (void)snprintf(ret_why, KEYS_WHY_CHARS + 1, "%.*s", KEYS_WHY_CHARS, line + 4);
    }
    keys_blot(ret_why);
    utf8_clean(ret_why);
}
