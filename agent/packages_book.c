/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/packages_book.h"

#include "base/file.h"
#include "base/utf8.h"
#include "proto/seal.h"
#include "proto/topics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { BOOK_BYTES = 32 * 1024, LINE_BYTES = 800, DIGEST_CHARS = 64 };

static const char first_line[] = "muster packages 1\n";

/* ---- writing ---- */

/* The reason is last, and the only one that may hold blanks. */
static bool add_row(const struct package_row *row, struct buf *text, struct err *err)
{
    char line[LINE_BYTES], sha[65], boot[33], told[65];
    hex_encode(row->sha256, sizeof row->sha256, sha);
    hex_encode(row->boot_id, sizeof row->boot_id, boot);
    hex_encode(row->told, sizeof row->told, told);
    int length = snprintf(line, sizeof line, "%s %s %s %d %d %u %s %" PRId64 " %" PRId64 " %s %s\n",
                          row->name, sha, row->package_version, (int)row->step, (int)row->refusal,
                          row->handings, boot, row->age_ms, row->kept_ms, told,
                          row->why[0] != '\0' ? row->why : "-");
    return length < (int)sizeof line
               ? buf_append(text, line, (size_t)length, err)
               : err_set(err, ERR_INVALID, "%s: too much to remember", row->name);
}

bool packages_book_write(const char *path, const struct packages_book *book, struct err *err)
{
    struct buf text = {.limit = BOOK_BYTES};
    uint8_t digest[32];
    char hex[DIGEST_CHARS + 1];
    bool ok = buf_append(&text, first_line, sizeof first_line - 1, err);
    for (size_t i = 0; ok && i < book->count; i++)
        ok = add_row(&book->rows[i], &text, err);
    if (ok) {
        sha256(buf_bytes(&text), digest);
        hex_encode(digest, sizeof digest, hex);
        ok = buf_append(&text, hex, DIGEST_CHARS, err) &&
             file_write(path, buf_bytes(&text), 0640, err);
    }
    buf_done(&text);
    return ok || err_context(err, "keeping the book of packages");
}

/* ---- reading ---- */

static bool read_row(const char *line, size_t length, struct package_row *row)
{
    char text[LINE_BYTES], sha[65], boot[33], told[65];
    int step = 0, refusal = 0, at = 0;
    if (length >= sizeof text)
        return false;
    memcpy(text, line, length);
    text[length] = '\0';
    *row = (struct package_row){0};
    if (sscanf(text, "%48s %64s %64s %d %d %u %32s %" SCNd64 " %" SCNd64 " %64s %n", row->name, sha,
               row->package_version, &step, &refusal, &row->handings, boot, &row->age_ms,
               &row->kept_ms, told, &at) != 10 ||
        at == 0 || length - (size_t)at > PACKAGE_WHY_CHARS)
        return false;
    if (strcmp(text + at, "-") != 0)
        memcpy(row->why, text + at, length - (size_t)at + 1);
    row->step = (enum package_step)step;
    row->refusal = (Muster__Refusal)refusal;
    return step >= PACKAGE_NEW && step <= PACKAGE_REFUSED &&
           protobuf_c_enum_descriptor_get_value(&muster__refusal__descriptor, refusal) != NULL &&
           document_name_valid(row->name) && package_version_valid(row->package_version) &&
           row->age_ms >= 0 && row->kept_ms >= 0 &&
           utf8_valid(bytes_of(row->why, strlen(row->why))) &&
           hex_decode(sha, strlen(sha), row->sha256, sizeof row->sha256) &&
           hex_decode(boot, strlen(boot), row->boot_id, sizeof row->boot_id) &&
           hex_decode(told, strlen(told), row->told, sizeof row->told);
}

static bool read_rows(const char *text, struct packages_book *book)
{
    while (*text != '\0') {
        const char *end = strchr(text, '\n');
        if (end == NULL || book->count == PACKAGES_ROWS ||
            !read_row(text, (size_t)(end - text), &book->rows[book->count]))
            return false;
        book->count++;
        text = end + 1;
    }
    return true;
}

bool packages_book_parse(struct bytes file, struct packages_book *ret_book)
{
    const size_t head = sizeof first_line - 1;
    uint8_t digest[32], said[32];
    char text[BOOK_BYTES + 1];
    struct packages_book book = {0};
    if (file.length < head + DIGEST_CHARS || file.length > BOOK_BYTES ||
        memcmp(file.data, first_line, head) != 0)
        return false;
    const size_t length = file.length - DIGEST_CHARS;
    sha256(bytes_of(file.data, length), digest);
    if (!hex_decode((const char *)file.data + length, DIGEST_CHARS, said, sizeof said) ||
        memcmp(said, digest, sizeof said) != 0 || memchr(file.data, 0, length) != NULL)
        return false;
    memcpy(text, file.data, length);
    text[length] = '\0';
    if (!read_rows(text + head, &book))
        return false;
    *ret_book = book;
    return true;
}

bool packages_book_read(const char *path, struct packages_book *ret_book, bool *ret_lost,
                        struct err *err)
{
    struct buf file = {.limit = BOOK_BYTES};
    struct err why = {0};
    bool read = file_read(path, BOOK_BYTES, &file, &why);
    *ret_lost = false;
    *ret_book = (struct packages_book){0};
    if (why.code == ERR_NO_MEMORY) {
        buf_done(&file);
        return err_set(err, why.code, "the book of packages: %s", why.text);
    }
    *ret_lost = read ? !packages_book_parse(buf_bytes(&file), ret_book) : why.code != ERR_NOT_FOUND;
    buf_done(&file);
    return true;
}

/* ---- rows ---- */

struct package_row *packages_book_find(struct packages_book *book,
                                       const struct package_wanted *wanted)
{
    for (size_t i = 0; i < book->count; i++)
        if (package_same(&book->rows[i], wanted))
            return &book->rows[i];
    return NULL;
}

static void remove_row(struct packages_book *book, size_t i)
{
    memmove(&book->rows[i], &book->rows[i + 1], (book->count - i - 1) * sizeof book->rows[0]);
    book->count--;
}

struct package_row *packages_book_row(struct packages_book *book,
                                      const struct package_wanted *wanted)
{
    struct package_row *row = packages_book_find(book, wanted);
    if (row != NULL)
        return row;
    size_t oldest = 0;
    while (oldest + 1 < book->count && book->rows[oldest].step != PACKAGE_REFUSED)
        oldest++;
    if (book->count == PACKAGES_ROWS)
        remove_row(book, oldest);
    row = &book->rows[book->count++];
    *row = (struct package_row){.step = PACKAGE_NEW};
    memcpy(row->name, wanted->name, sizeof row->name);
    memcpy(row->sha256, wanted->sha256, sizeof row->sha256);
    memcpy(row->package_version, wanted->package_version, sizeof row->package_version);
    return row;
}

bool packages_book_keep(struct packages_book *book, const struct package_wanted *wanted,
                        size_t count)
{
    bool changed = false;
    for (size_t i = book->count; i-- > 0;) {
        bool is_wanted = false;
        for (size_t w = 0; w < count; w++)
            is_wanted = is_wanted || package_same(&book->rows[i], &wanted[w]);
        if (is_wanted || book->rows[i].step == PACKAGE_REFUSED)
            continue;
        remove_row(book, i);
        changed = true;
    }
    return changed;
}

bool packages_book_forgive(struct packages_book *book)
{
    bool changed = false;
    for (size_t i = book->count; i-- > 0;) {
        if (book->rows[i].step != PACKAGE_REFUSED)
            continue;
        remove_row(book, i);
        changed = true;
    }
    return changed;
}
