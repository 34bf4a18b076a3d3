/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/emv_tables.h"

#include "proto/seal.h"
#include "proto/table.h"

#include <openssl/evp.h>
#include <string.h>

enum {
    RID_BYTES = 5,
    AID_BYTES = 16,
    MODULUS_BYTES = 248,
    MODULUS_LEAST_BYTES = 96,
    EXPONENT_BYTES = 3,
    SHA1_BYTES = 20,
    KEY_BYTES = RID_BYTES + 1 + MODULUS_BYTES + EXPONENT_BYTES,
    ROWS_MAX = 2048,
    NAME_BYTES = AID_BYTES + 1, /* what a row is known by, and how long it is */
    COLUMNS = 7,
};

/* ---- what a cell may hold ---- */

enum form { FORM_HEX, FORM_FLAG, FORM_DATE, FORM_BITS };

struct column {
    const char *name;
    enum form form;
    bool needed;
    unsigned least, most; /* bytes, in hexadecimal digits */
};

static const struct column aid_columns[COLUMNS] = {
    {"aid", FORM_HEX, true, RID_BYTES, AID_BYTES},
    {"partial", FORM_FLAG, false, 0, 0},
    {"version", FORM_HEX, false, 2, 2},
    {"tac_default", FORM_HEX, false, 5, 5},
    {"tac_denial", FORM_HEX, false, 5, 5},
    {"tac_online", FORM_HEX, false, 5, 5},
};

enum { KEY_RID, KEY_INDEX, KEY_MODULUS, KEY_EXPONENT, KEY_BITS, KEY_SHA1, KEY_EXPIRY };
static const struct column key_columns[COLUMNS] = {
    [KEY_RID] = {"rid", FORM_HEX, true, RID_BYTES, RID_BYTES},
    [KEY_INDEX] = {"index", FORM_HEX, true, 1, 1},
    [KEY_MODULUS] = {"modulus", FORM_HEX, true, MODULUS_LEAST_BYTES, MODULUS_BYTES},
    [KEY_EXPONENT] = {"exponent", FORM_HEX, true, 1, EXPONENT_BYTES},
    [KEY_BITS] = {"bits", FORM_BITS, false, 0, 0},
    [KEY_SHA1] = {"sha1", FORM_HEX, false, SHA1_BYTES, SHA1_BYTES},
    [KEY_EXPIRY] = {"expiry", FORM_DATE, false, 0, 0},
};

static bool is_hex(struct bytes cell, const struct column *column)
{
    uint8_t value[MODULUS_BYTES];
    size_t bytes = cell.length / 2;
    return bytes >= column->least && bytes <= column->most &&
           hex_decode((const char *)cell.data, cell.length, value, bytes);
}

static unsigned two_digits(const uint8_t *digits)
{
    return (unsigned)(digits[0] - '0') * 10 + (unsigned)(digits[1] - '0');
}

static bool is_decimal(struct bytes cell)
{
    for (size_t i = 0; i < cell.length; i++)
        if (cell.data[i] < '0' || cell.data[i] > '9')
            return false;
    return cell.length > 0;
}

/* Every fourth year of two digits is a leap year as EMV counts them (50 to 99 are 19xx). */
static bool is_date(struct bytes cell)
{
    static const uint8_t days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (cell.length != 6 || !is_decimal(cell))
        return false;
    unsigned year = two_digits(cell.data), month = two_digits(cell.data + 2),
             day = two_digits(cell.data + 4);
    return month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1] &&
           (month != 2 || day < 29 || year % 4 == 0);
}

static bool cell_fits(struct bytes cell, const struct column *column)
{
    switch (column->form) {
    case FORM_HEX:
        return is_hex(cell, column);
    case FORM_FLAG:
        return cell.length == 1 && (cell.data[0] == '0' || cell.data[0] == '1');
    case FORM_DATE:
        return is_date(cell);
    case FORM_BITS:
    default:
        return cell.length <= 4 && is_decimal(cell);
    }
}

static bool say_form(const struct column *column, size_t row, size_t at, struct err *err)
{
    if (column->form == FORM_FLAG)
        return err_set(err, ERR_INVALID, "row %zu, column %zu: %s is neither 0 nor 1", row, at + 1,
                       column->name);
    if (column->form == FORM_DATE)
        return err_set(err, ERR_INVALID, "row %zu, column %zu: %s is no date as YYMMDD", row,
                       at + 1, column->name);
    if (column->form == FORM_BITS)
        return err_set(err, ERR_INVALID, "row %zu, column %zu: %s is no number of bits", row,
                       at + 1, column->name);
    if (column->least == column->most)
        return err_set(err, ERR_INVALID, "row %zu, column %zu: %s is not %u bytes in hexadecimal",
                       row, at + 1, column->name, column->most);
    return err_set(err, ERR_INVALID, "row %zu, column %zu: %s is not %u to %u bytes in hexadecimal",
                   row, at + 1, column->name, column->least, column->most);
}

/* ---- a table ---- */

struct emv_check {
    struct table_check check;
    const char *what;
    const struct column *columns;
    size_t at[COLUMNS]; /* where each is, TABLE_COLUMNS_MAX: it is not there */
    size_t rows;
    uint8_t names[ROWS_MAX][NAME_BYTES];
};

static bool find_columns(struct table_check *check, const struct bytes *names, size_t count,
                         struct err *err)
{
    struct emv_check *emv = (struct emv_check *)check;
    for (size_t c = 0; c < COLUMNS && emv->columns[c].name != NULL; c++) {
        const struct bytes wanted = bytes_of(emv->columns[c].name, strlen(emv->columns[c].name));
        size_t i = 0;
        while (i < count && !bytes_equal(names[i], wanted))
            i++;
        if (i == count && emv->columns[c].needed)
            return err_set(err, ERR_INVALID, "row 1: %s needs the column \"%s\"", emv->what,
                           emv->columns[c].name);
        emv->at[c] = i < count ? i : TABLE_COLUMNS_MAX;
    }
    return true;
}

static struct bytes cell_of(const struct emv_check *emv, const struct bytes *cells, size_t column)
{
    size_t at = emv->at[column];
    return at < TABLE_COLUMNS_MAX ? cells[at] : bytes_of(NULL, 0);
}

static bool check_cells(const struct emv_check *emv, const struct bytes *cells, size_t row,
                        struct err *err)
{
    for (size_t c = 0; c < COLUMNS && emv->columns[c].name != NULL; c++) {
        const struct bytes cell = cell_of(emv, cells, c);
        if (cell.length == 0 && !emv->columns[c].needed)
            continue;
        if (!cell_fits(cell, &emv->columns[c]))
            return say_form(&emv->columns[c], row, emv->at[c], err);
    }
    return true;
}

/* `name` is what no other row may be known by. */
static bool take_name(struct emv_check *emv, const uint8_t *name, size_t length, size_t row,
                      struct err *err)
{
    uint8_t padded[NAME_BYTES] = {(uint8_t)length};
    memcpy(padded + 1, name, length);
    for (size_t i = 0; i < emv->rows; i++)
        if (memcmp(emv->names[i], padded, sizeof padded) == 0)
            return err_set(err, ERR_INVALID, "row %zu: the same as row %zu", row, i + 2);
    if (emv->rows == ROWS_MAX)
        return err_set(err, ERR_INVALID, "row %zu: %s has at most %d rows", row, emv->what,
                       ROWS_MAX);
    memcpy(emv->names[emv->rows++], padded, sizeof padded);
    return true;
}

static bool check_table(struct bytes content, const char *what, const struct column *columns,
                        bool (*row)(struct table_check *check, const struct bytes *cells,
                                    size_t row, struct err *err),
                        struct err *err)
{
    struct emv_check emv; /* too large to clear for nothing */
    emv.check = (struct table_check){.header = find_columns, .row = row};
    emv.what = what;
    emv.columns = columns;
    emv.rows = 0;
    return table_check(content, &emv.check, err);
}

/* ---- the two ---- */

static bool aid_row(struct table_check *check, const struct bytes *cells, size_t row,
                    struct err *err)
{
    struct emv_check *emv = (struct emv_check *)check;
    uint8_t aid[AID_BYTES];
    if (!check_cells(emv, cells, row, err))
        return false;
    const struct bytes cell = cell_of(emv, cells, 0);
    return hex_decode((const char *)cell.data, cell.length, aid, cell.length / 2) &&
           take_name(emv, aid, cell.length / 2, row, err);
}

bool aid_list_check(struct bytes content, struct err *err)
{
    return check_table(content, "a list of AIDs", aid_columns, aid_row, err);
}

static size_t append_hex(struct bytes cell, uint8_t *key, size_t length)
{
    size_t bytes = cell.length / 2; /* its form was looked at */
    return hex_decode((const char *)cell.data, cell.length, key + length, bytes) ? length + bytes
                                                                                 : length;
}

static bool check_numbers(const uint8_t *key, size_t modulus_at, size_t exponent_at, size_t length,
                          size_t row, struct err *err)
{
    unsigned long exponent = 0;
    for (size_t i = exponent_at; i < length; i++)
        exponent = exponent << 8 | key[i];
    if (exponent != 3 && exponent != 65537)
        return err_set(err, ERR_INVALID, "row %zu: the exponent is neither 3 nor 65537", row);
    if (key[exponent_at] == 0)
        return err_set(err, ERR_INVALID,
                       "row %zu: the exponent has zeros before it, and a kernel would count them",
                       row);
    if (key[modulus_at] < 0x80)
        return err_set(
            err, ERR_INVALID,
            "row %zu: the modulus begins with a zero bit, so it is shorter than it looks", row);
    return (key[exponent_at - 1] & 1) != 0 ||
           err_set(err, ERR_INVALID, "row %zu: the modulus is even, so it is none", row);
}

/* What the schemes publish beside each key, since a digit is soon lost where a key is typed in. */
static bool check_sha1(struct bytes cell, const uint8_t *key, size_t length, size_t row,
                       struct err *err)
{
    uint8_t stated[SHA1_BYTES], digest[EVP_MAX_MD_SIZE];
    if (cell.length == 0)
        return true;
    if (EVP_Digest(key, length, digest, NULL, EVP_sha1(), NULL) != 1)
        return err_set(err, ERR_NO_MEMORY, "row %zu: no memory to check it", row);
    return (hex_decode((const char *)cell.data, cell.length, stated, sizeof stated) &&
            memcmp(stated, digest, sizeof stated) == 0) ||
           err_set(err, ERR_INVALID,
                   "row %zu: sha1 is not that of its RID, index, modulus and exponent", row);
}

static bool key_row(struct table_check *check, const struct bytes *cells, size_t row,
                    struct err *err)
{
    struct emv_check *emv = (struct emv_check *)check;
    uint8_t key[KEY_BYTES];
    if (!check_cells(emv, cells, row, err))
        return false;
    size_t length = append_hex(cell_of(emv, cells, KEY_RID), key, 0);
    length = append_hex(cell_of(emv, cells, KEY_INDEX), key, length);
    const size_t name_length = length;
    length = append_hex(cell_of(emv, cells, KEY_MODULUS), key, length);
    const size_t exponent_at = length;
    length = append_hex(cell_of(emv, cells, KEY_EXPONENT), key, length);
    const struct bytes bits = cell_of(emv, cells, KEY_BITS);
    size_t stated = 0;
    for (size_t i = 0; i < bits.length; i++)
        stated = stated * 10 + (size_t)(bits.data[i] - '0');
    if (bits.length > 0 && stated != 8 * (exponent_at - name_length))
        return err_set(err, ERR_INVALID, "row %zu: the modulus has %zu bits, and bits says %zu",
                       row, 8 * (exponent_at - name_length), stated);
    return check_numbers(key, name_length, exponent_at, length, row, err) &&
           check_sha1(cell_of(emv, cells, KEY_SHA1), key, length, row, err) &&
           take_name(emv, key, name_length, row, err);
}

bool ca_keys_check(struct bytes content, struct err *err)
{
    return check_table(content, "a table of CA keys", key_columns, key_row, err);
}
