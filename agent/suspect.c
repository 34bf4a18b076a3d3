/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/suspect.h"

#include <stdlib.h>
#include <string.h>

enum { CELLS_MAX = 64, NO_COLUMN = CELLS_MAX };

static const struct {
    const char *name;
    enum suspect group;
} groups[] = {
    {"registration", SUSPECT_REGISTRATION},
    {"registration-weak", SUSPECT_REGISTRATION},
    {"session", SUSPECT_SESSION},
    {"crypto", SUSPECT_CRYPTO},
    {"policy", SUSPECT_POLICY},
    {"ambiguous", SUSPECT_POLICY},
};

static const char *const words[] = {
    [SUSPECT_NOT] = "",
    [SUSPECT_HOST_HINT] = "the host asks for something",
    [SUSPECT_TABLE_MISS] = "card not in the BIN table",
    [SUSPECT_DEFAULT_ROUTE] = "sent by the default route",
    [SUSPECT_NO_COMMON_AID] = "no common AID",
    [SUSPECT_KEY_MISSING] = "CA public key missing",
    [SUSPECT_READER] = "card reader failed",
    [SUSPECT_REGISTRATION] = "code of the registration group",
    [SUSPECT_SESSION] = "code of the session group",
    [SUSPECT_CRYPTO] = "code of the crypto group",
    [SUSPECT_POLICY] = "code of the policy group",
};

/* ---- the profile ---- */

struct columns {
    size_t code, group, acquirer; /* NO_COLUMN: there is none */
};

static bool is_text(struct bytes cell, const char *text)
{
    return bytes_equal(cell, bytes_of(text, strlen(text)));
}

struct row {
    size_t count;
    struct bytes cells[CELLS_MAX];
};

/* False when there is no line. */
static bool next_row(struct bytes *rest, struct row *ret_row)
{
    size_t count = 0, from = 0, at = 0;
    if (rest->length == 0)
        return false;
    for (;; at++) {
        bool end = at == rest->length || rest->data[at] == '\n';
        if (!end && rest->data[at] != '\t')
            continue;
        size_t to = end && at > from && rest->data[at - 1] == '\r' ? at - 1 : at;
        if (count < CELLS_MAX)
            ret_row->cells[count++] = bytes_of(rest->data + from, to - from);
        from = at + 1;
        if (end)
            break;
    }
    size_t used = at < rest->length ? at + 1 : at;
    *rest = bytes_of(rest->data + used, rest->length - used);
    ret_row->count = count;
    return true;
}

/* Empty where the row has no such cell. */
static struct bytes cell_of(const struct row *row, size_t column)
{
    return column < row->count ? row->cells[column] : (struct bytes){0};
}

static bool read_header(struct bytes *rest, struct columns *ret_columns, struct err *err)
{
    struct row header;
    struct columns columns = {NO_COLUMN, NO_COLUMN, NO_COLUMN};
    if (next_row(rest, &header)) {
        for (size_t i = 0; i < header.count; i++) {
            if (is_text(header.cells[i], "code"))
                columns.code = i;
            else if (is_text(header.cells[i], "group"))
                columns.group = i;
            else if (is_text(header.cells[i], "acquirer"))
                columns.acquirer = i;
        }
    }
    if (columns.code == NO_COLUMN || columns.group == NO_COLUMN)
        return err_set(err, ERR_INVALID, "a code profile needs the columns \"code\" and \"group\"");
    *ret_columns = columns;
    return true;
}

static enum suspect group_of(struct bytes cell)
{
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        if (is_text(cell, groups[i].name))
            return groups[i].group;
    return SUSPECT_NOT;
}

/* An empty cell is every acquirer's. */
static bool read_acquirer(struct bytes cell, struct suspect_code *code)
{
    char digits[11] = "";
    char *end = NULL;
    if (cell.length == 0 || cell.length >= sizeof digits)
        return cell.length == 0;
    memcpy(digits, cell.data, cell.length);
    unsigned long long number = strtoull(digits, &end, 10);
    if (end == digits || *end != '\0' || number > UINT32_MAX)
        return false;
    code->of_all = false;
    code->acquirer = (uint32_t)number;
    return true;
}

static bool add_row(struct suspect_profile *profile, const struct columns *columns,
                    const struct row *row, struct err *err)
{
    struct suspect_code code = {.of_all = true, .group = group_of(cell_of(row, columns->group))};
    struct bytes text = cell_of(row, columns->code);
    if (code.group == SUSPECT_NOT)
        return true;
    if (text.length == 0 || text.length > SUSPECT_CODE_CHARS)
        return err_set(err, ERR_INVALID, "a code of %zu characters: expected 1 to %d", text.length,
                       (int)SUSPECT_CODE_CHARS);
    if (columns->acquirer != NO_COLUMN && !read_acquirer(cell_of(row, columns->acquirer), &code))
        return err_set(err, ERR_INVALID, "an acquirer that is no index: expected a number");
    if (profile->count == SUSPECT_CODES)
        return err_set(err, ERR_FULL, "more than %d suspect codes in all profiles",
                       (int)SUSPECT_CODES);
    memcpy(code.code, text.data, text.length);
    profile->codes[profile->count++] = code;
    return true;
}

bool suspect_profile_add(struct suspect_profile *profile, struct bytes content, struct err *err)
{
    struct columns columns = {NO_COLUMN, NO_COLUMN, NO_COLUMN};
    struct row row;
    size_t number = 1;
    if (!read_header(&content, &columns, err))
        return false;
    while (next_row(&content, &row)) {
        number++;
        bool whole = row.count > columns.code && row.count > columns.group &&
                     (columns.acquirer == NO_COLUMN || row.count > columns.acquirer);
        if (!whole)
            return err_set(err, ERR_INVALID, "row %zu is too short", number);
        if (!add_row(profile, &columns, &row, err))
            return err_context(err, "row %zu", number);
    }
    return true;
}

/* ---- results ---- */

/* The digits that ask the terminal to do something about itself: sign in, keys, parameters, tables.
 * 0 is none, 1 and 2 are routine, 8 are rates. */
static bool hint_acts(uint32_t hint)
{
    return hint >= 3 && hint <= 7;
}

/* A card that the cardholder took away is not the reader's doing. */
static bool reader_failed(const Muster__TxnResult *txn)
{
    return txn->outcome == MUSTER__OUTCOME__OUTCOME_READ_FAILED ||
           txn->fallback == MUSTER__FALLBACK_REASON__FALLBACK_NO_ATR ||
           txn->fallback == MUSTER__FALLBACK_REASON__FALLBACK_PROTOCOL ||
           txn->fallback == MUSTER__FALLBACK_REASON__FALLBACK_GPO ||
           txn->fallback == MUSTER__FALLBACK_REASON__FALLBACK_READ_RECORD;
}

static enum suspect by_code(const struct suspect_profile *profile, const Muster__TxnResult *txn)
{
    /* Codes that the terminal made itself mean what the terminal means by them. */
    bool host = txn->code_source == MUSTER__CODE_SOURCE__CODE_SOURCE_HOST ||
                txn->code_source == MUSTER__CODE_SOURCE__CODE_SOURCE_NONE;
    if (!host || txn->code[0] == '\0')
        return SUSPECT_NOT;
    for (size_t i = 0; i < profile->count; i++) {
        const struct suspect_code *code = &profile->codes[i];
        if (strcmp(code->code, txn->code) == 0 && (code->of_all || code->acquirer == txn->acquirer))
            return code->group;
    }
    return SUSPECT_NOT;
}

enum suspect suspect_of(const struct suspect_profile *profile, const Muster__TxnResult *txn)
{
    if (hint_acts(txn->host_hint))
        return SUSPECT_HOST_HINT;
    if (txn->table_miss)
        return SUSPECT_TABLE_MISS;
    if (txn->default_route)
        return SUSPECT_DEFAULT_ROUTE;
    if (txn->no_common_aid || txn->fallback == MUSTER__FALLBACK_REASON__FALLBACK_NO_COMMON_AID)
        return SUSPECT_NO_COMMON_AID;
    if (txn->key_missing)
        return SUSPECT_KEY_MISSING;
    if (reader_failed(txn))
        return SUSPECT_READER;
    return by_code(profile, txn);
}

const char *suspect_words(enum suspect why)
{
    return words[why];
}
