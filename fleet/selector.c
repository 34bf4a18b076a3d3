/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/selector.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyz0123456789_.-"

static bool is_name(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= SELECTOR_NAME_CHARS && name[0] >= 'a' && name[0] <= 'z' &&
           strspn(name, NAME_LETTERS) == length;
}

bool selector_group_valid(const char *name)
{
    return is_name(name);
}

bool selector_label_valid(const char *name)
{
    static const char *const fields[] = {SELECTOR_FIELDS};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (strcmp(name, fields[i]) == 0)
            return false;
    }
    return is_name(name);
}

bool selector_value_valid(const char *value)
{
    size_t length = strlen(value);
    for (const char *at = value; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f || strchr(",|;=", *at) != NULL)
            return false;
    }
    return length > 0 && length <= SELECTOR_VALUE_CHARS && value[0] != ' ' &&
           value[length - 1] != ' ';
}

/* ---- reading ---- */

static bool refuse(struct err *err, const char *term, const char *expected)
{
    return err_set(err, ERR_INVALID, "selector, at \"%.60s\": expected %s", term, expected);
}

/* Without the blanks around it; what is behind is overwritten. */
static char *trim(char *text)
{
    text += strspn(text, " ");
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == ' ')
        text[--length] = '\0';
    return text;
}

static bool read_values(struct selector *selector, char *list, const char *term, struct err *err)
{
    for (char *value; (value = strsep(&list, "|")) != NULL;) {
        value = trim(value);
        if (value[0] == '\0')
            return refuse(err, term, "a value behind '=', and between '|'");
        if (selector->value_count == SELECTOR_VALUES_MAX)
            return err_set(err, ERR_INVALID, "selector: more than %d values: make a label of it",
                           SELECTOR_VALUES_MAX);
        selector->values[selector->value_count++] = (uint16_t)(value - selector->text);
    }
    return true;
}

static bool read_term(struct selector *selector, char *term, struct err *err)
{
    char whole[64];
    size_t index = selector->term_count;
    (void)snprintf(whole, sizeof whole, "%s", term);
    if (index == SELECTOR_TERMS_MAX)
        return err_set(err, ERR_INVALID, "selector: more than %d terms", SELECTOR_TERMS_MAX);
    char *values = strchr(term, '=');
    bool wanted = term[0] != '!';
    if (values != NULL) {
        *values = '\0';
        wanted = values == term || values[-1] != '!';
        if (!wanted)
            values[-1] = '\0';
        values++;
    } else if (!wanted) {
        term++;
    }
    term = trim(term);
    if (!is_name(term))
        return refuse(err, whole, "FIELD=VALUE, FIELD!=VALUE, LABEL or !LABEL");
    selector->terms[index].field = (uint16_t)(term - selector->text);
    selector->terms[index].wanted = wanted;
    selector->terms[index].first_value = selector->value_count;
    if (values != NULL && !read_values(selector, values, whole, err))
        return false;
    selector->terms[index].value_count =
        (uint16_t)(selector->value_count - selector->terms[index].first_value);
    if (strcmp(term, "group") == 0 && values == NULL)
        return refuse(err, whole, "a group's name: group=NAME");
    selector->term_count++;
    return true;
}

bool selector_parse(const char *text, struct selector *ret_selector, struct err *err)
{
    struct selector *selector = ret_selector;
    size_t length = strlen(text);
    memset(selector, 0, sizeof *selector);
    if (length > SELECTOR_CHARS)
        return err_set(err, ERR_INVALID, "selector: longer than %d characters", SELECTOR_CHARS);
    memcpy(selector->text, text, length + 1);
    char *rest = selector->text;
    for (char *term; (term = strsep(&rest, ",")) != NULL;) {
        if (!read_term(selector, trim(term), err)) {
            memset(selector, 0, sizeof *selector);
            return false;
        }
    }
    return true;
}

/* ---- asking ---- */

const char *selector_field(const struct selector *selector, size_t term)
{
    return term < selector->term_count ? selector->text + selector->terms[term].field : NULL;
}

const char *selector_value(const struct selector *selector, size_t term, size_t value)
{
    if (term >= selector->term_count || value >= selector->terms[term].value_count)
        return NULL;
    return selector->text + selector->values[selector->terms[term].first_value + value];
}

static bool one_of(const struct selector *selector, size_t term, const char *value)
{
    const char *pattern = NULL;
    for (size_t i = 0; (pattern = selector_value(selector, term, i)) != NULL; i++) {
        if (fnmatch(pattern, value, FNM_NOESCAPE) == 0)
            return true;
    }
    return false;
}

static bool fact_holds(const struct selector *selector, size_t term,
                       const struct selector_fact *facts, size_t count)
{
    const char *field = selector_field(selector, term);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(facts[i].field, field) == 0 &&
            (selector->terms[term].value_count == 0 || one_of(selector, term, facts[i].value)))
            return true;
    }
    return false;
}

static bool group_holds(const struct selector *selector, size_t term,
                        bool (*in_group)(void *ctx, const char *group), void *ctx)
{
    const char *group = NULL;
    for (size_t i = 0; (group = selector_value(selector, term, i)) != NULL; i++) {
        if (in_group(ctx, group))
            return true;
    }
    return false;
}

bool selector_holds(const struct selector *selector, const struct selector_fact *facts,
                    size_t count, bool (*in_group)(void *ctx, const char *group), void *ctx)
{
    for (size_t term = 0; term < selector->term_count; term++) {
        bool is_group = strcmp(selector_field(selector, term), "group") == 0;
        bool holds = is_group ? group_holds(selector, term, in_group, ctx)
                              : fact_holds(selector, term, facts, count);
        if (holds != selector->terms[term].wanted)
            return false;
    }
    return true;
}
