/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/erase_words.h"

#include <ctype.h>
#include <string.h>

static bool is_plain(char c)
{
    return isalnum((unsigned char)c) != 0 && (unsigned char)c < 0x80;
}

bool erase_word_in(const char *text, const char *word)
{
    const size_t length = strlen(word);
    if (length == 0)
        return false;
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        const bool joined_before = at > text && is_plain(at[-1]) && is_plain(word[0]);
        const bool joined_after = is_plain(at[length]) && is_plain(word[length - 1]);
        if (!joined_before && !joined_after)
            return true;
    }
    return false;
}

bool erase_name_is_free(const char *name, const char *what, struct err *err)
{
    return strncmp(name, ERASED_NAME, sizeof ERASED_NAME - 1) != 0 ||
           err_set(err, ERR_CONFLICT,
                   "%s %.40s is being erased or was, as its name says: choose one that does not "
                   "begin with " ERASED_NAME,
                   what, name);
}
