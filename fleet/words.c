/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/words.h"

#include <string.h>

static const char *const kinds[] = {
    [MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE] = "table",
    [MUSTER__DOCUMENT_KIND__DOCUMENT_PARAMS] = "params",
    [MUSTER__DOCUMENT_KIND__DOCUMENT_CONNECTION] = "connection",
    [MUSTER__DOCUMENT_KIND__DOCUMENT_CODE_PROFILE] = "code-profile",
    [MUSTER__DOCUMENT_KIND__DOCUMENT_FILE] = "file",
    [MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK] = "key-block",
    [MUSTER__DOCUMENT_KIND__DOCUMENT_AID_LIST] = "aid-list",
    [MUSTER__DOCUMENT_KIND__DOCUMENT_CA_KEYS] = "ca-keys",
    [MUSTER__DOCUMENT_KIND__DOCUMENT_APPLICATION] = "application",
    [MUSTER__DOCUMENT_KIND__DOCUMENT_FIRMWARE] = "firmware",
};
static const char *const codings[] = {
    [MUSTER__CONTENT_CODING__CONTENT_ZSTD] = "zstd",
    [MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA] = "zstd-delta",
    [MUSTER__CONTENT_CODING__CONTENT_CMS] = "cms",
};
static const char *const modes[] = {
    [MUSTER__ASSIGN_MODE__MODE_OBSERVE] = "observe",
    [MUSTER__ASSIGN_MODE__MODE_PROPOSE] = "propose",
    [MUSTER__ASSIGN_MODE__MODE_REPAIR] = "repair",
};
enum {
    KINDS = sizeof kinds / sizeof *kinds,
    CODINGS = sizeof codings / sizeof *codings,
    MODES = sizeof modes / sizeof *modes,
};

static const char *word_at(const char *const *words, int count, int index)
{
    return index >= 0 && index < count && words[index] != NULL ? words[index] : "unknown";
}

static int index_of(const char *const *words, int count, const char *word)
{
    for (int i = 0; i < count; i++)
        if (words[i] != NULL && strcmp(words[i], word) == 0)
            return i;
    return -1;
}

const char *word_of_kind(int kind)
{
    return word_at(kinds, KINDS, kind);
}

const char *word_of_coding(int coding)
{
    return word_at(codings, CODINGS, coding);
}

bool word_to_coding(const char *word, int *ret_coding, struct err *err)
{
    int index = index_of(codings, CODINGS, word);
    if (index < 0)
        return err_set(err, ERR_INVALID,
                       "coding %.40s is not known: expected zstd, zstd-delta or cms", word);
    *ret_coding = index;
    return true;
}

const char *word_of_mode(int mode)
{
    return word_at(modes, MODES, mode);
}

bool word_to_kind(const char *word, Muster__DocumentKind *ret_kind, struct err *err)
{
    int index = index_of(kinds, KINDS, word);
    if (index < 0)
        return err_set(err, ERR_INVALID,
                       "kind %.40s is not known: expected table, aid-list, ca-keys, params, "
                       "code-profile, file, application, firmware or key-block",
                       word);
    *ret_kind = (Muster__DocumentKind)index;
    return true;
}

bool word_to_mode(const char *word, Muster__AssignMode *ret_mode, struct err *err)
{
    int index = index_of(modes, MODES, word);
    if (index < 0)
        return err_set(err, ERR_INVALID,
                       "mode %.40s is not known: expected observe, propose or repair", word);
    *ret_mode = (Muster__AssignMode)index;
    return true;
}
