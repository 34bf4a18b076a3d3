/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/erase_words.h"

#include <glib.h>
#include <string.h>

struct erase_words {
    GPtrArray *folded;
    bool sorted;
};

struct erase_words *erase_words_new(void)
{
    struct erase_words *words = g_new0(struct erase_words, 1);
    words->folded = g_ptr_array_new_with_free_func(g_free);
    return words;
}

void erase_words_free(struct erase_words *words)
{
    if (words == NULL)
        return;
    (void)g_ptr_array_free(words->folded, TRUE);
    g_free(words);
}

static char *fold(const char *text)
{
    char *valid = g_utf8_make_valid(text, -1);
    char *cased = g_utf8_casefold(valid, -1);
    char *folded = g_utf8_normalize(cased, -1, G_NORMALIZE_NFKC);
    g_free(valid);
    g_free(cased);
    return folded;
}

void erase_words_add(struct erase_words *words, const char *word)
{
    char *folded = fold(word);
    if (folded[0] == '\0') {
        g_free(folded);
        return;
    }
    g_ptr_array_add(words->folded, folded);
    words->sorted = false;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_plain(char c)
{
    return g_ascii_isalnum(c) != FALSE;
}

/* The first of from..to whose letter at `depth` is not below c. */
static guint first_from(const GPtrArray *folded, guint from, guint to, size_t depth, int c)
{
    while (from < to) {
        const guint middle = from + (to - from) / 2;
        const char *word = g_ptr_array_index(folded, middle);
        if ((unsigned char)word[depth] < c)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

/* Words that begin with what was read stand side by side: letter by letter there are fewer. */
static bool one_begins(const GPtrArray *folded, const char *text)
{
    guint from = 0, to = folded->len;
    for (size_t depth = 0; from < to; depth++) {
        const char *shortest = g_ptr_array_index(folded, from);
        if (shortest[depth] == '\0' && !(is_plain(text[depth - 1]) && is_plain(text[depth])))
            return true;
        if (text[depth] == '\0')
            return false;
        const int c = (unsigned char)text[depth];
        from = first_from(folded, from, to, depth, c);
        to = first_from(folded, from, to, depth, c + 1);
    }
    return false;
}

bool erase_words_in(struct erase_words *words, const char *text)
{
    bool found = false;
    if (!words->sorted)
        g_ptr_array_sort(words->folded, compare);
    words->sorted = true;
    char *folded = fold(text);
    for (const char *at = folded; *at != '\0' && !found; at++) {
        const bool joined = at > folded && is_plain(at[-1]) && is_plain(at[0]);
        found = !joined && one_begins(words->folded, at);
    }
    g_free(folded);
    return found;
}

bool erase_name_is_free(const char *name, const char *what, struct err *err)
{
    return strncmp(name, ERASED_NAME, sizeof ERASED_NAME - 1) != 0 ||
           err_set(err, ERR_CONFLICT,
                   "%s %.40s is being erased or was, as its name says: choose one that does not "
                   "begin with " ERASED_NAME,
                   what, name);
}
