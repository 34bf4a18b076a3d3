/* SPDX-License-Identifier: Apache-2.0 */
#include "base/settings.h"

#include "base/file.h"

#include <ini.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILE_LIMIT_BYTES = 64 * 1024,
    LINE_LIMIT_BYTES = 2048,
};

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest first: a bound is shown in the largest unit that divides it. */
static const struct unit durations[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000},
                                        {"s", 1000},     {"ms", 1},      {NULL, 0}};
static const struct unit sizes[] = {
    {"G", INT64_C(1) << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}, {NULL, 0}};
static const struct unit plain[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(enum setting_type type)
{
    if (type == SETTING_DURATION)
        return durations;
    return type == SETTING_SIZE ? sizes : plain;
}

struct loader {
    const char *path;
    const struct setting *table;
    char *target;
    unsigned *seen_line; /* per table entry, 0: not given */
    struct bytes rest;   /* of the file */
    unsigned line;
    unsigned failed_line; /* 0: none yet */
    struct err *err;
};

/* ---- what is expected, in words ---- */

static void format_number(int64_t value, const struct unit *units, char *out, size_t size)
{
    const struct unit *unit = units;
    while (unit[1].name != NULL && (value == 0 || value % unit->factor != 0))
        unit++;
    (void)snprintf(out, size, "%" PRId64 "%s", value / unit->factor, unit->name);
}

static bool has_range(const struct setting *setting)
{
    return setting->min != 0 || setting->max != 0;
}

static bool may_be_auto(const struct setting *setting)
{
    return setting->type == SETTING_DURATION && setting->min == SETTING_AUTO;
}

static void expect_number(const struct setting *setting, const char *what, char *out, size_t size)
{
    char min[32], max[32];
    int64_t least = may_be_auto(setting) ? 0 : setting->min;
    format_number(least, units_of(setting->type), min, sizeof min);
    format_number(setting->max, units_of(setting->type), max, sizeof max);
    if (has_range(setting))
        (void)snprintf(out, size, "%s from %s to %s%s", what, min, max,
                       may_be_auto(setting) ? ", or auto" : "");
    else
        (void)snprintf(out, size, "%s", what);
}

static int64_t longest_text(const struct setting *setting)
{
    int64_t room = (int64_t)setting->size - 1;
    return setting->max != 0 && setting->max < room ? setting->max : room;
}

static void expect_choice(const struct setting *setting, char *out, size_t size)
{
    size_t at = (size_t)snprintf(out, size, "one of");
    for (size_t i = 0; setting->choices[i] != NULL && at < size; i++)
        at +=
            (size_t)snprintf(out + at, size - at, "%s %s", i == 0 ? ":" : ",", setting->choices[i]);
}

static void expectation(const struct setting *setting, char *out, size_t size)
{
    switch (setting->type) {
    case SETTING_TEXT:
    case SETTING_PATH:
    case SETTING_PATHS:
        (void)snprintf(out, size, "%s of %" PRId64 " to %" PRId64 " characters",
                       setting->type == SETTING_TEXT ? "a text" : "a path", setting->min,
                       longest_text(setting));
        return;
    case SETTING_NAMED:
        (void)snprintf(out, size,
                       "an absolute path, of all of them together %" PRId64 " characters",
                       longest_text(setting));
        return;
    case SETTING_INT:
        expect_number(setting, "a whole number", out, size);
        return;
    case SETTING_BOOL:
        (void)snprintf(out, size, "yes or no");
        return;
    case SETTING_DURATION:
        expect_number(setting, "a duration", out, size);
        return;
    case SETTING_SIZE:
        expect_number(setting, "a size", out, size);
        return;
    case SETTING_CHOICE:
        expect_choice(setting, out, size);
        return;
    }
}

/* ---- values ---- */

static bool parse_number(const char *text, const struct setting *setting, int64_t *ret_value)
{
    if (may_be_auto(setting) && strcmp(text, "auto") == 0) {
        *ret_value = SETTING_AUTO;
        return true;
    }
    const char *digits = text[0] == '-' && setting->type == SETTING_INT ? text + 1 : text;
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || count > 18)
        return false;
    int64_t value = strtoll(text, NULL, 10);
    const char *name = digits + count;
    /* "0" needs no unit. */
    if (value == 0 && name[0] == '\0' && setting->type == SETTING_DURATION)
        name = "ms";
    for (const struct unit *unit = units_of(setting->type); unit->name != NULL; unit++) {
        if (strcmp(name, unit->name) != 0)
            continue;
        if (__builtin_mul_overflow(value, unit->factor, &value))
            return false;
        if (has_range(setting) && (value < setting->min || value > setting->max))
            return false;
        *ret_value = value;
        return true;
    }
    return false;
}

static bool parse_bool(const char *text, bool *ret_value)
{
    bool yes = strcmp(text, "yes") == 0 || strcmp(text, "true") == 0;
    if (!yes && strcmp(text, "no") != 0 && strcmp(text, "false") != 0)
        return false;
    *ret_value = yes;
    return true;
}

static bool parse_choice(const char *text, const struct setting *setting, int *ret_value)
{
    for (int i = 0; setting->choices[i] != NULL; i++) {
        if (strcmp(text, setting->choices[i]) == 0) {
            *ret_value = i;
            return true;
        }
    }
    return false;
}

static bool has_control_characters(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

/* Appends the path, which is relative to the folder of the settings file. */
static bool add_path(const struct loader *loader, const char *path, size_t length, char *out,
                     size_t size)
{
    const char *slash = path[0] == '/' ? NULL : strrchr(loader->path, '/');
    size_t used = strlen(out);
    int folder = slash == NULL ? 0 : (int)(slash - loader->path) + 1;
    int n = snprintf(out + used, size - used, "%s%.*s%.*s", used > 0 ? "," : "", folder,
                     loader->path, (int)length, path);
    return n >= 0 && (size_t)n < size - used;
}

static bool add_paths(const struct loader *loader, const char *list, char *out, size_t size)
{
    for (;;) {
        list += strspn(list, ", \t");
        size_t length = strcspn(list, ",");
        if (length == 0)
            return true;
        const char *next = list + length;
        while (list[length - 1] == ' ' || list[length - 1] == '\t')
            length--;
        if (!add_path(loader, list, length, out, size))
            return false;
        list = next;
    }
}

static bool store_text(const struct loader *loader, const struct setting *setting,
                       const char *value)
{
    char full[PATH_MAX] = "";
    bool good = true;
    if (setting->type == SETTING_PATHS)
        good = add_paths(loader, value, full, sizeof full);
    else if (setting->type == SETTING_PATH && value[0] != '\0')
        good = add_path(loader, value, strlen(value), full, sizeof full);
    if (!good)
        return false;
    if (setting->type != SETTING_TEXT)
        value = full;
    int64_t length = (int64_t)strlen(value);
    if (length < setting->min || length > longest_text(setting) || has_control_characters(value))
        return false;
    memcpy(loader->target + setting->offset, value, (size_t)length + 1);
    return true;
}

/* One more line; the fallback, which is no line, leaves none. */
static bool store_named(const struct loader *loader, const struct setting *setting, const char *key,
                        const char *value)
{
    char *out = loader->target + setting->offset;
    size_t used = strlen(out), room = setting->size - used;
    if (value[0] != '/' || has_control_characters(value))
        return false;
    int n = snprintf(out + used, room, "%s=%s\n", key, value);
    if (n >= 0 && (size_t)n < room)
        return true;
    out[used] = '\0';
    return false;
}

static bool store(const struct loader *loader, const struct setting *setting, const char *value)
{
    int64_t number = 0;
    bool yes = false;
    int choice = 0;
    const void *from = &number;
    bool ok = false;
    switch (setting->type) {
    case SETTING_TEXT:
    case SETTING_PATH:
    case SETTING_PATHS:
    case SETTING_NAMED:
        return store_text(loader, setting, value);
    case SETTING_INT:
    case SETTING_DURATION:
    case SETTING_SIZE:
        ok = setting->size == sizeof number && parse_number(value, setting, &number);
        break;
    case SETTING_BOOL:
        from = &yes;
        ok = setting->size == sizeof yes && parse_bool(value, &yes);
        break;
    case SETTING_CHOICE:
        from = &choice;
        ok = setting->size == sizeof choice && parse_choice(value, setting, &choice);
        break;
    }
    if (ok)
        memcpy(loader->target + setting->offset, from, setting->size);
    return ok;
}

/* ---- the file ---- */

static void list_keys(const struct setting *table, const char *section, char *out, size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    for (const struct setting *s = table; s->key != NULL && at < size; s++)
        if (strcmp(s->section, section) == 0)
            at += (size_t)snprintf(out + at, size - at, "%s%s", at == 0 ? "" : ", ", s->key);
}

static void list_sections(const struct setting *table, char *out, size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    for (const struct setting *s = table; s->key != NULL && at < size; s++)
        if (s == table || strcmp(s->section, s[-1].section) != 0)
            at += (size_t)snprintf(out + at, size - at, "%s[%s]", at == 0 ? "" : ", ", s->section);
}

static bool fail_unknown(const struct loader *loader, const char *section, const char *key)
{
    char known[256];
    list_keys(loader->table, section, known, sizeof known);
    if (known[0] != '\0')
        return err_set(loader->err, ERR_INVALID, "%s:%u: unknown key %s.%s: expected one of %s",
                       loader->path, loader->line, section, key, known);
    list_sections(loader->table, known, sizeof known);
    return err_set(loader->err, ERR_INVALID, "%s:%u: unknown section [%s]: expected one of %s",
                   loader->path, loader->line, section, known);
}

static bool is_meant(const struct setting *setting, const char *section, const char *key)
{
    return strcmp(setting->section, section) == 0 &&
           (setting->type == SETTING_NAMED || strcmp(setting->key, key) == 0);
}

static bool has_named(const char *lines, const char *key)
{
    size_t length = strlen(key);
    while (*lines != '\0') {
        if (strncmp(lines, key, length) == 0 && lines[length] == '=')
            return true;
        lines += strcspn(lines, "\n");
        lines += *lines == '\n' ? 1 : 0;
    }
    return false;
}

static bool take(struct loader *loader, const char *section, const char *key, const char *value)
{
    const struct setting *setting = loader->table;
    while (setting->key != NULL && !is_meant(setting, section, key))
        setting++;
    if (setting->key == NULL)
        return fail_unknown(loader, section, key);
    bool named = setting->type == SETTING_NAMED;
    unsigned *seen = &loader->seen_line[setting - loader->table];
    if (named && has_named(loader->target + setting->offset, key))
        return err_set(loader->err, ERR_INVALID, "%s:%u: %s.%s is given twice", loader->path,
                       loader->line, section, key);
    if (!named && *seen != 0)
        return err_set(loader->err, ERR_INVALID, "%s:%u: %s.%s is given twice: line %u has it too",
                       loader->path, loader->line, section, key, *seen);
    *seen = loader->line;
    if (named ? store_named(loader, setting, key, value) : store(loader, setting, value))
        return true;
    char expected[200];
    expectation(setting, expected, sizeof expected);
    return err_set(loader->err, ERR_INVALID, "%s:%u: %s.%s = %.60s: expected %s", loader->path,
                   loader->line, section, key, value, expected);
}

/* inih hands over no line number, but it asks for a line only when the one before is done. */
static char *read_line(char *out, int size, void *stream)
{
    struct loader *loader = stream;
    if (loader->rest.length == 0 || loader->failed_line != 0)
        return NULL;
    loader->line++;
    const uint8_t *end = memchr(loader->rest.data, '\n', loader->rest.length);
    size_t length = end != NULL ? (size_t)(end - loader->rest.data) + 1 : loader->rest.length;
    if (length >= (size_t)size || memchr(loader->rest.data, '\0', length) != NULL) {
        loader->failed_line = loader->line;
        err_set(loader->err, ERR_INVALID, "%s:%u: expected a line of text of at most %d characters",
                loader->path, loader->line, size - 2);
        return NULL;
    }
    memcpy(out, loader->rest.data, length);
    out[length] = '\0';
    loader->rest = bytes_of(loader->rest.data + length, loader->rest.length - length);
    return out;
}

static int on_pair(void *user, const char *section, const char *key, const char *value)
{
    struct loader *loader = user;
    if (loader->failed_line == 0 && !take(loader, section, key, value))
        loader->failed_line = loader->line;
    return loader->failed_line == 0;
}

static bool parse_file(struct loader *loader)
{
    /* Debian's inih takes these at run time. A continuation line would make a slip of the finger
     * part of another value. */
    ini_use_stack = false;
    ini_max_line = LINE_LIMIT_BYTES;
    ini_initial_alloc = LINE_LIMIT_BYTES;
    ini_allow_multiline = false;
    int bad_line = ini_parse_stream(read_line, loader, on_pair, loader);
    if (bad_line > 0 && (loader->failed_line == 0 || (unsigned)bad_line < loader->failed_line))
        return err_set(loader->err, ERR_INVALID, "%s:%d: expected [section], key = value or # note",
                       loader->path, bad_line);
    if (bad_line < 0)
        return err_set(loader->err, ERR_NO_MEMORY, "no memory to read %s", loader->path);
    return loader->failed_line == 0;
}

static bool apply_fallbacks(const struct loader *loader)
{
    size_t i = 0;
    for (const struct setting *s = loader->table; s->key != NULL; s++, i++) {
        if (loader->seen_line[i] != 0)
            continue;
        char expected[200];
        expectation(s, expected, sizeof expected);
        if (s->fallback == NULL)
            return err_set(loader->err, ERR_INVALID, "%s: %s.%s is missing: expected %s",
                           loader->path, s->section, s->key, expected);
        if (!store(loader, s, s->fallback))
            return err_set(loader->err, ERR_INVALID,
                           "%s: the default of %s.%s does not fit here (%.60s): expected %s",
                           loader->path, s->section, s->key, s->fallback, expected);
    }
    return true;
}

bool settings_load(const char *path, const struct setting *table, void *target, struct err *err)
{
    size_t count = 0;
    while (table[count].key != NULL)
        count++;
    struct buf content = {0};
    if (!file_read(path, FILE_LIMIT_BYTES, &content, err))
        return err_context(err, "settings");
    unsigned *seen_line = calloc(count + 1, sizeof *seen_line);
    if (seen_line == NULL) {
        buf_done(&content);
        return err_set(err, ERR_NO_MEMORY, "no memory to read %s", path);
    }
    for (size_t i = 0; i < count; i++)
        if (table[i].type == SETTING_NAMED) /* lines are added to it */
            ((char *)target)[table[i].offset] = '\0';
    struct loader loader = {.path = path,
                            .table = table,
                            .target = target,
                            .seen_line = seen_line,
                            .rest = buf_bytes(&content),
                            .err = err};
    bool ok = parse_file(&loader) && apply_fallbacks(&loader);
    free(seen_line);
    buf_done(&content);
    return ok;
}

void settings_print(const struct setting *table)
{
    for (const struct setting *s = table; s->key != NULL; s++) {
        if (s == table || strcmp(s->section, s[-1].section) != 0)
            (void)printf("%s[%s]\n", s == table ? "" : "\n", s->section);
        char expected[200];
        expectation(s, expected, sizeof expected);
        (void)printf("# %s (%s%s)\n", s->help != NULL ? s->help : s->key, expected,
                     s->fallback == NULL ? "; must be given" : "");
        bool note = s->fallback == NULL || s->type == SETTING_NAMED;
        (void)printf("%s%s = %s\n", note ? "# " : "", s->key,
                     s->fallback == NULL ? "" : s->fallback);
    }
}
