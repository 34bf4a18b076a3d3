/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/import_others.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN = 3, WHAT_CHARS = 300 };

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

static bool are_same(const json_t *a, const json_t *b, const char *name)
{
    return strcmp(text_of(a, name), text_of(b, name)) == 0;
}

/* The first member that both have and do not say the same of; NULL: none. */
static const char *member_of_both(const json_t *a, const json_t *b)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)a, name, value)
    {
        const json_t *other = json_object_get(b, name);
        if (other != NULL && !json_equal(value, other))
            return name;
    }
    return NULL;
}

static bool tell_member(const json_t *a, const json_t *b, const char *of, char what[WHAT_CHARS])
{
    const char *name = member_of_both(a, b);
    if (name != NULL)
        (void)snprintf(what, WHAT_CHARS, "%s of %s", name, of);
    return name != NULL;
}

/* Of a MID only where both say whose it is. */
static bool tell_terminal(const json_t *a, const json_t *b, const json_t *terminal,
                          const json_t *other, char what[WHAT_CHARS])
{
    const json_t *merchant = json_object_get(a, "merchant");
    const json_t *others = json_object_get(b, "merchant");
    if (!are_same(terminal, other, "acquirer") || !are_same(terminal, other, "mid"))
        return false;
    if (are_same(terminal, other, "tid") && !are_same(a, b, "id"))
        (void)snprintf(what, WHAT_CHARS, "logical terminal %s:%s:%s", text_of(other, "acquirer"),
                       text_of(other, "tid"), text_of(other, "mid"));
    else if (merchant != NULL && others != NULL && !are_same(merchant, others, "id"))
        (void)snprintf(what, WHAT_CHARS, "MID %s of %s, for merchant %s", text_of(other, "mid"),
                       text_of(other, "acquirer"), text_of(others, "id"));
    else
        return false;
    return true;
}

static bool tell_terminals(const json_t *a, const json_t *b, char what[WHAT_CHARS])
{
    size_t i = 0, j = 0;
    const json_t *terminal = NULL, *other = NULL;
    json_array_foreach(json_object_get(a, "terminals"), i, terminal)
    {
        json_array_foreach(json_object_get(b, "terminals"), j, other)
        {
            if (tell_terminal(a, b, terminal, other, what))
                return true;
        }
    }
    return false;
}

static bool tell_places(const json_t *a, const json_t *b, char what[WHAT_CHARS])
{
    const json_t *merchant = json_object_get(a, "merchant"), *store = json_object_get(a, "store");
    const json_t *other = json_object_get(b, "merchant");
    char of[WHAT_CHARS - 40];
    if (merchant == NULL || other == NULL || !are_same(merchant, other, "id"))
        return false;
    (void)snprintf(of, sizeof of, "merchant %s", text_of(merchant, "id"));
    if (tell_member(merchant, other, of, what))
        return true;
    if (store == NULL || !are_same(store, json_object_get(b, "store"), "id"))
        return false;
    (void)snprintf(of, sizeof of, "store %s/%s", text_of(merchant, "id"), text_of(store, "id"));
    return tell_member(store, json_object_get(b, "store"), of, what);
}

/* What b says otherwise than a, the first of it. */
static bool tell(const json_t *a, const json_t *b, char what[WHAT_CHARS])
{
    char of[WHAT_CHARS - 40];
    (void)snprintf(of, sizeof of, "device %s", text_of(a, "id"));
    if (are_same(a, b, "id"))
        return tell_member(a, b, of, what);
    if (are_same(a, b, "serial") && are_same(a, b, "model")) {
        (void)snprintf(what, WHAT_CHARS, "serial number %s %s", text_of(b, "model"),
                       text_of(b, "serial"));
        return true;
    }
    return tell_terminals(a, b, what) || tell_places(a, b, what);
}

bool import_others_of(const json_t *rows, size_t line, json_t **ret_list, struct err *err)
{
    size_t i = 0;
    const json_t *other = NULL;
    json_t *list = json_array();
    char what[WHAT_CHARS];
    bool done = list != NULL;
    json_array_foreach(rows, i, other)
    {
        if (!done || json_array_size(list) == SHOWN)
            break;
        if (i != line && tell(json_array_get(rows, line), other, what))
            done = json_array_append_new(
                       list, json_pack("{s:I, s:s}", "row", (json_int_t)i, "what", what)) == 0;
    }
    if (!done) {
        json_decref(list);
        return err_set(err, ERR_NO_MEMORY, "no memory for the import's answer");
    }
    *ret_list = list;
    return true;
}
