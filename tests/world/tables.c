/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/world/tables.h"

#include "base/file.h"
#include "tests/world/tsv.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_LIMIT_BYTES = 16 * 1024 * 1024, MODULUS_MAX_BYTES = 256 };

/* Room for one more element; doubles. */
static void *grown(void *rows, size_t count, size_t size)
{
    if (count > 0 && (count & (count - 1)) != 0)
        return rows;
    return realloc(rows, (count ? 2 * count : 1) * size);
}

#define APPEND(list, row, err)                                                                     \
    do {                                                                                           \
        void *more = grown((list)->rows, (list)->count, sizeof *(list)->rows);                     \
        if (!more)                                                                                 \
            return err_set(err, ERR_NO_MEMORY, "no memory for a table");                           \
        (list)->rows = more;                                                                       \
        (list)->rows[(list)->count++] = (row);                                                     \
    } while (0)

static int by_prefix(const void *a, const void *b)
{
    const struct range *left = a, *right = b;
    return strcmp(left->prefix, right->prefix);
}

static bool add_range(void *ctx, char *const *fields, struct err *err)
{
    struct ranges *ranges = ctx;
    struct range row = {0};
    if (!*fields[0] || strlen(fields[0]) >= sizeof row.prefix ||
        strspn(fields[0], "0123456789") != strlen(fields[0]))
        return err_set(err, ERR_INVALID, "prefix \"%.20s\": expected 1 to 11 digits", fields[0]);
    if (!*fields[1] || strlen(fields[1]) >= sizeof row.issuer)
        return err_set(err, ERR_INVALID, "issuer \"%.40s\": expected 1 to 24 bytes", fields[1]);
    strcpy(row.prefix, fields[0]);
    strcpy(row.issuer, fields[1]);
    if (!tsv_number(fields[2], TABLES_MAX_SCHEME, &row.scheme) || row.scheme == 0 ||
        !tsv_number(fields[3], TABLES_MAX_ROUTE, &row.route) || row.route == 0 ||
        !tsv_number(fields[4], UINT32_MAX, &row.since))
        return err_set(err, ERR_INVALID, "scheme, route or version out of range");
    if (row.since > ranges->version)
        ranges->version = row.since;
    APPEND(ranges, row, err);
    return true;
}

bool ranges_parse(struct bytes text, struct ranges *ret_ranges, struct err *err)
{
    struct ranges ranges = {0};
    if (!tsv_each(text, "prefix\tissuer\tscheme\troute\tsince", add_range, &ranges, err)) {
        ranges_done(&ranges);
        return err_context(err, "bin-routing");
    }
    if (ranges.count > 0)
        qsort(ranges.rows, ranges.count, sizeof *ranges.rows, by_prefix);
    *ret_ranges = ranges;
    return true;
}

/* The modulus's and exponent's hex, at most `size` bytes. */
static size_t hex_field(const char *text, uint8_t *out, size_t size)
{
    size_t length = strlen(text) / 2;
    return length <= size && hex_decode(text, strlen(text), out, length) ? length : 0;
}

static bool checksum_fits(const struct ca_key *key, char *const *fields)
{
    uint8_t modulus[MODULUS_MAX_BYTES], exponent[4], expected[20], digest[EVP_MAX_MD_SIZE];
    size_t modulus_length = hex_field(fields[5], modulus, sizeof modulus);
    size_t exponent_length = hex_field(fields[4], exponent, sizeof exponent);
    if (!modulus_length || !exponent_length || hex_field(fields[6], expected, 20) != 20)
        return false;
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    unsigned length = 0;
    bool done = hash && EVP_DigestInit_ex(hash, EVP_sha1(), NULL) == 1 &&
                EVP_DigestUpdate(hash, key->rid, sizeof key->rid) == 1 &&
                EVP_DigestUpdate(hash, &key->index, 1) == 1 &&
                EVP_DigestUpdate(hash, modulus, modulus_length) == 1 &&
                EVP_DigestUpdate(hash, exponent, exponent_length) == 1 &&
                EVP_DigestFinal_ex(hash, digest, &length) == 1;
    EVP_MD_CTX_free(hash);
    return done && length == sizeof expected && memcmp(digest, expected, sizeof expected) == 0;
}

static bool add_ca_key(void *ctx, char *const *fields, struct err *err)
{
    struct ca_keys *keys = ctx;
    struct ca_key row = {0};
    if (!hex_decode(fields[0], strlen(fields[0]), row.rid, sizeof row.rid) ||
        !hex_decode(fields[1], strlen(fields[1]), &row.index, 1))
        return err_set(err, ERR_INVALID, "RID or index is not hex of the right length");
    row.sound = checksum_fits(&row, fields);
    APPEND(keys, row, err);
    return true;
}

bool ca_keys_parse(struct bytes text, struct ca_keys *ret_keys, struct err *err)
{
    struct ca_keys keys = {0};
    if (!tsv_each(text, "rid\tindex\tuse\tbits\texponent\tmodulus\tsha1", add_ca_key, &keys, err)) {
        ca_keys_done(&keys);
        return err_context(err, "CA public keys");
    }
    *ret_keys = keys;
    return true;
}

static bool add_aid(void *ctx, char *const *fields, struct err *err)
{
    struct aids *aids = ctx;
    struct aid row = {0};
    row.length = hex_field(fields[0], row.bytes, sizeof row.bytes);
    if (row.length < RID_BYTES)
        return err_set(err, ERR_INVALID, "AID \"%.40s\": expected 5 to 16 bytes in hex", fields[0]);
    if (!tsv_number(fields[1], TABLES_MAX_SCHEME, &row.scheme))
        return err_set(err, ERR_INVALID, "scheme \"%.10s\" is not known", fields[1]);
    APPEND(aids, row, err);
    return true;
}

bool aids_parse(struct bytes text, struct aids *ret_aids, struct err *err)
{
    struct aids aids = {0};
    if (!tsv_each(text, "aid\tscheme\tapplication", add_aid, &aids, err)) {
        aids_done(&aids);
        return err_context(err, "AID list");
    }
    *ret_aids = aids;
    return true;
}

bool ranges_read(const char *path, struct ranges *ret_ranges, struct err *err)
{
    struct buf text = {0};
    if (!file_read(path, TABLE_LIMIT_BYTES, &text, err))
        return false;
    bool done = ranges_parse(buf_bytes(&text), ret_ranges, err);
    buf_done(&text);
    return done || err_context(err, "%s", path);
}

bool ca_keys_read(const char *path, struct ca_keys *ret_keys, struct err *err)
{
    struct buf text = {0};
    if (!file_read(path, TABLE_LIMIT_BYTES, &text, err))
        return false;
    bool done = ca_keys_parse(buf_bytes(&text), ret_keys, err);
    buf_done(&text);
    return done || err_context(err, "%s", path);
}

void ranges_done(struct ranges *ranges)
{
    free(ranges->rows);
    *ranges = (struct ranges){0};
}

void ca_keys_done(struct ca_keys *keys)
{
    free(keys->rows);
    *keys = (struct ca_keys){0};
}

void aids_done(struct aids *aids)
{
    free(aids->rows);
    *aids = (struct aids){0};
}

const struct range *ranges_exact(const struct ranges *ranges, const char *prefix)
{
    struct range key = {0};
    if (ranges->count == 0 || strlen(prefix) >= sizeof key.prefix)
        return NULL;
    strcpy(key.prefix, prefix);
    return bsearch(&key, ranges->rows, ranges->count, sizeof *ranges->rows, by_prefix);
}

const struct range *ranges_longest(const struct ranges *ranges, const char *digits)
{
    struct range key = {0};
    size_t length = strlen(digits);
    if (length >= sizeof key.prefix)
        length = sizeof key.prefix - 1;
    memcpy(key.prefix, digits, length);
    for (; length > 0; key.prefix[--length] = '\0') {
        const struct range *found = ranges_exact(ranges, key.prefix);
        if (found)
            return found;
    }
    return NULL;
}

const struct ca_key *ca_keys_find(const struct ca_keys *keys, const uint8_t rid[RID_BYTES],
                                  uint8_t index)
{
    for (size_t i = 0; i < keys->count; i++)
        if (keys->rows[i].index == index && memcmp(keys->rows[i].rid, rid, RID_BYTES) == 0)
            return &keys->rows[i];
    return NULL;
}

bool aids_have(const struct aids *aids, struct bytes aid)
{
    for (size_t i = 0; i < aids->count; i++)
        if (aids->rows[i].length <= aid.length &&
            memcmp(aids->rows[i].bytes, aid.data, aids->rows[i].length) == 0)
            return true;
    return false;
}
