/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/validate.h"

#include "proto/emv_tables.h"
#include "proto/key_block.h"
#include "proto/params.h"
#include "proto/table.h"

#include <stdint.h>
#include <string.h>

enum {
    PROFILE_ROWS_MAX = 4096,
    PROFILE_CODE_CHARS = 4, /* as a result has it */
    ACQUIRER_CHARS = 10,
};

const char *validate_kind_name(Muster__DocumentKind kind)
{
    switch (kind) {
    case MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE:
        return "table";
    case MUSTER__DOCUMENT_KIND__DOCUMENT_PARAMS:
        return "params";
    case MUSTER__DOCUMENT_KIND__DOCUMENT_CONNECTION:
        return "connection";
    case MUSTER__DOCUMENT_KIND__DOCUMENT_CODE_PROFILE:
        return "code-profile";
    case MUSTER__DOCUMENT_KIND__DOCUMENT_FILE:
        return "file";
    case MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK:
        return "key-block";
    case MUSTER__DOCUMENT_KIND__DOCUMENT_AID_LIST:
        return "aid-list";
    case MUSTER__DOCUMENT_KIND__DOCUMENT_CA_KEYS:
        return "ca-keys";
    case MUSTER__DOCUMENT_KIND__DOCUMENT_APPLICATION:
        return "application";
    case MUSTER__DOCUMENT_KIND__DOCUMENT_FIRMWARE:
        return "firmware";
    default:
        return "unknown";
    }
}

static const char *const profile_columns[] = {"code", "group", "meaning"};
enum { PROFILE_COLUMNS = sizeof profile_columns / sizeof profile_columns[0] };

struct profile_code {
    struct bytes code;
    uint64_t acquirer; /* EVERY_ACQUIRER: an empty cell, or no such column */
};
#define EVERY_ACQUIRER UINT64_MAX

struct profile_check {
    struct table_check check;
    size_t at[PROFILE_COLUMNS]; /* where each required column is */
    size_t acquirer_at;         /* TABLE_COLUMNS_MAX: there is none */
    size_t count;
    struct profile_code codes[PROFILE_ROWS_MAX];
};

/* The meaning may be given in several languages: meaning_en, meaning_zh. */
static bool is_column(struct bytes name, const char *wanted)
{
    size_t length = strlen(wanted);
    bool language =
        strcmp(wanted, "meaning") == 0 && name.length > length && name.data[length] == '_';
    return (name.length == length || language) && memcmp(name.data, wanted, length) == 0;
}

static bool profile_header(struct table_check *check, const struct bytes *names, size_t count,
                           struct err *err)
{
    struct profile_check *profile = (struct profile_check *)check;
    for (size_t c = 0; c < PROFILE_COLUMNS; c++) {
        size_t i = 0;
        while (i < count && !is_column(names[i], profile_columns[c]))
            i++;
        if (i == count)
            return err_set(err, ERR_INVALID, "row 1: a code profile needs the column \"%s\"",
                           profile_columns[c]);
        profile->at[c] = i;
    }
    profile->acquirer_at = TABLE_COLUMNS_MAX;
    for (size_t i = 0; i < count; i++)
        if (is_column(names[i], "acquirer"))
            profile->acquirer_at = i;
    return true;
}

static bool read_acquirer(struct bytes cell, uint64_t *ret_acquirer)
{
    uint64_t number = 0;
    *ret_acquirer = EVERY_ACQUIRER;
    if (cell.length == 0)
        return true;
    for (size_t i = 0; i < cell.length; i++) {
        if (cell.length > ACQUIRER_CHARS || cell.data[i] < '0' || cell.data[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(cell.data[i] - '0');
    }
    *ret_acquirer = number;
    return number <= UINT32_MAX;
}

static bool profile_add(struct profile_check *profile, const struct profile_code *code, size_t row,
                        struct err *err)
{
    for (size_t i = 0; i < profile->count; i++) {
        if (profile->codes[i].acquirer == code->acquirer &&
            bytes_equal(profile->codes[i].code, code->code))
            return err_set(err, ERR_INVALID, "row %zu, column %zu: code %.*s is in row %zu already",
                           row, profile->at[0] + 1, (int)code->code.length,
                           (const char *)code->code.data, i + 2);
    }
    if (profile->count == PROFILE_ROWS_MAX)
        return err_set(err, ERR_INVALID, "row %zu: a code profile has at most %d rows", row,
                       PROFILE_ROWS_MAX);
    profile->codes[profile->count++] = *code;
    return true;
}

static bool profile_row(struct table_check *check, const struct bytes *cells, size_t row,
                        struct err *err)
{
    struct profile_check *profile = (struct profile_check *)check;
    struct profile_code code = {.code = cells[profile->at[0]], .acquirer = EVERY_ACQUIRER};
    for (size_t c = 0; c < PROFILE_COLUMNS; c++) {
        if (cells[profile->at[c]].length == 0)
            return err_set(err, ERR_INVALID, "row %zu, column %zu: %s is empty", row,
                           profile->at[c] + 1, profile_columns[c]);
    }
    if (code.code.length > PROFILE_CODE_CHARS)
        return err_set(err, ERR_INVALID,
                       "row %zu, column %zu: a code of %zu bytes, and results have at most %d", row,
                       profile->at[0] + 1, code.code.length, PROFILE_CODE_CHARS);
    if (profile->acquirer_at < TABLE_COLUMNS_MAX &&
        !read_acquirer(cells[profile->acquirer_at], &code.acquirer))
        return err_set(err, ERR_INVALID,
                       "row %zu, column %zu: acquirer is neither empty nor an acquirer's index",
                       row, profile->acquirer_at + 1);
    return profile_add(profile, &code, row, err);
}

static bool profile_validate(struct bytes content, struct err *err)
{
    struct profile_check profile; /* too large to clear for nothing */
    profile.check = (struct table_check){.header = profile_header, .row = profile_row};
    memset(profile.at, 0, sizeof profile.at);
    profile.count = 0;
    return table_check(content, &profile.check, err);
}

bool validate_document(Muster__DocumentKind kind, struct bytes content, struct err *err)
{
    switch (kind) {
    case MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE:
        return table_check(content, NULL, err);
    case MUSTER__DOCUMENT_KIND__DOCUMENT_PARAMS:
    case MUSTER__DOCUMENT_KIND__DOCUMENT_CONNECTION:
        return params_check(content, err);
    case MUSTER__DOCUMENT_KIND__DOCUMENT_CODE_PROFILE:
        return profile_validate(content, err);
    case MUSTER__DOCUMENT_KIND__DOCUMENT_FILE:
    case MUSTER__DOCUMENT_KIND__DOCUMENT_APPLICATION:
    case MUSTER__DOCUMENT_KIND__DOCUMENT_FIRMWARE:
        return true;
    case MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK:
        return key_block_check(content, err);
    case MUSTER__DOCUMENT_KIND__DOCUMENT_AID_LIST:
        return aid_list_check(content, err);
    case MUSTER__DOCUMENT_KIND__DOCUMENT_CA_KEYS:
        return ca_keys_check(content, err);
    default:
        return err_set(err, ERR_INVALID, "documents of kind %d are not known to this agent",
                       (int)kind);
    }
}
