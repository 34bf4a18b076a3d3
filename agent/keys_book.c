/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/keys_book.h"

#include "base/file.h"
#include "proto/seal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { BOOK_BYTES = 8 * 1024, LINE_BYTES = 160 };

static const char first_line[] = "muster keys 1\n";

/* ---- writing ---- */

static bool add_floor(const struct key_floor *row, struct buf *text, struct err *err)
{
    char line[LINE_BYTES], kcv[2 * KEY_KCV_BYTES + 1];
    hex_encode(row->kcv, row->kcv_length, kcv);
    int length = snprintf(line, sizeof line, "slot %s %u %d %s\n", row->slot, row->key_version,
                          (int)row->kcv_method, kcv);
    return buf_append(text, line, (size_t)length, err);
}

static bool add_sign_on(const struct keys_sign_on *row, struct buf *text, struct err *err)
{
    char line[LINE_BYTES];
    int length = snprintf(line, sizeof line, "acquirer %u %d %d %" PRId64 " %" PRId64 "\n",
                          row->acquirer, row->known, row->failed, row->age_ms, row->newest_ms);
    return buf_append(text, line, (size_t)length, err);
}

static bool add_rest(const struct keys_book *book, struct buf *text, struct err *err)
{
    char line[LINE_BYTES], boot[33];
    hex_encode(book->boot_id, sizeof book->boot_id, boot);
    int length = snprintf(line, sizeof line, "kept %" PRId64 " %s\nwaited %" PRId64 "\n",
                          book->kept_ms, boot, book->waited_ms);
    return buf_append(text, line, (size_t)length, err);
}

bool keys_book_write(const char *path, const struct keys_book *book, struct err *err)
{
    struct buf text = {.limit = BOOK_BYTES};
    uint8_t digest[32];
    char hex[65];
    bool ok = buf_append(&text, first_line, sizeof first_line - 1, err);
    for (size_t i = 0; ok && i < book->floors.count; i++)
        ok = add_floor(&book->floors.rows[i], &text, err);
    for (size_t i = 0; ok && i < book->sign_on_count; i++)
        ok = add_sign_on(&book->sign_ons[i], &text, err);
    ok = ok && add_rest(book, &text, err);
    if (ok) {
        sha256(buf_bytes(&text), digest);
        hex_encode(digest, sizeof digest, hex);
        ok = buf_append(&text, hex, 64, err) && file_write(path, buf_bytes(&text), 0640, err);
    }
    buf_done(&text);
    return ok || err_context(err, "keeping the book of key slots");
}

/* ---- reading ---- */

static bool read_floor(const char *line, struct key_floors *floors)
{
    char slot[KEY_SLOT_CHARS + 1], kcv[2 * KEY_KCV_BYTES + 1];
    unsigned version = 0;
    int method = 0;
    if (floors->count == KEYS_SLOTS ||
        sscanf(line, "slot %16s %u %d %10s", slot, &version, &method, kcv) != 4)
        return false;
    struct key_floor *row = &floors->rows[floors->count];
    row->key_version = version;
    row->kcv_method = (Muster__KcvMethod)method;
    row->kcv_length = strlen(kcv) / 2;
    memcpy(row->slot, slot, sizeof row->slot);
    if (!key_slot_valid(slot) || !hex_decode(kcv, strlen(kcv), row->kcv, row->kcv_length))
        return false;
    floors->count++;
    return true;
}

static bool read_sign_on(const char *line, struct keys_book *book)
{
    int known = 0, failed = 0;
    struct keys_sign_on row = {0};
    if (book->sign_on_count == KEYS_SIGN_ONS ||
        sscanf(line, "acquirer %u %d %d %" SCNd64 " %" SCNd64, &row.acquirer, &known, &failed,
               &row.age_ms, &row.newest_ms) != 5 ||
        row.age_ms < 0 || row.newest_ms < 0)
        return false;
    row.known = known != 0;
    row.failed = failed != 0;
    book->sign_ons[book->sign_on_count++] = row;
    return true;
}

static bool read_kept(const char *line, struct keys_book *book)
{
    char boot[33];
    return sscanf(line, "kept %" SCNd64 " %32s", &book->kept_ms, boot) == 2 &&
           hex_decode(boot, strlen(boot), book->boot_id, sizeof book->boot_id);
}

static bool read_waited(const char *line, struct keys_book *book)
{
    return sscanf(line, "waited %" SCNd64, &book->waited_ms) == 1 && book->waited_ms >= 0;
}

static bool read_lines(const char *text, struct keys_book *book)
{
    for (const char *line = text; *line != '\0';) {
        const char *end = strchr(line, '\n');
        if (end == NULL || !(strncmp(line, "slot ", 5) == 0       ? read_floor(line, &book->floors)
                             : strncmp(line, "acquirer ", 9) == 0 ? read_sign_on(line, book)
                             : strncmp(line, "kept ", 5) == 0     ? read_kept(line, book)
                             : strncmp(line, "waited ", 7) == 0   ? read_waited(line, book)
                             : strncmp(line, "told ", 5) == 0 || strncmp(line, "sign-on ", 8) == 0
                                 ? true /* of an agent before this one */
                                 : line == text))
            return false;
        line = end + 1;
    }
    return true;
}

static bool parse(struct buf *file, struct keys_book *book)
{
    uint8_t digest[32], said[32];
    if (file->length < sizeof first_line + 64)
        return false;
    char *text = (char *)file->data;
    const size_t length = file->length - 64;
    sha256(bytes_of(text, length), digest);
    if (!hex_decode(text + length, 64, said, sizeof said) || memcmp(said, digest, 32) != 0 ||
        strncmp(text, first_line, sizeof first_line - 1) != 0)
        return false;
    text[length] = '\0';
    return read_lines(text, book);
}

bool keys_book_read(const char *path, struct keys_book *ret_book, bool *ret_lost, struct err *err)
{
    struct buf file = {.limit = BOOK_BYTES};
    struct err why = {0};
    struct keys_book book = {0};
    bool read = file_read(path, BOOK_BYTES, &file, &why);
    *ret_lost = false;
    if (why.code == ERR_NO_MEMORY) {
        buf_done(&file);
        return err_set(err, why.code, "the book of key slots: %s", why.text);
    }
    if (read ? !parse(&file, &book) : why.code != ERR_NOT_FOUND) {
        *ret_lost = true;
        book = (struct keys_book){0};
    }
    buf_done(&file);
    *ret_book = book;
    return true;
}

/* ---- the sign-on ---- */

void keys_book_age(struct keys_book *book, const uint8_t boot_id[16], int64_t now_ms)
{
    const bool same = memcmp(book->boot_id, boot_id, sizeof book->boot_id) == 0;
    const int64_t since_ms = same ? now_ms - book->kept_ms : now_ms;
    for (size_t i = 0; since_ms > 0 && i < book->sign_on_count; i++) {
        book->sign_ons[i].age_ms += since_ms;
        book->sign_ons[i].newest_ms += since_ms;
    }
    book->kept_ms = now_ms;
    memcpy(book->boot_id, boot_id, sizeof book->boot_id);
}

/* Of this acquirer; a new one in the place of who was heard of the longest ago. */
static struct keys_sign_on *sign_on_of(struct keys_book *book, unsigned acquirer)
{
    size_t at = 0, oldest = 0;
    for (; at < book->sign_on_count; at++) {
        if (book->sign_ons[at].acquirer == acquirer)
            return &book->sign_ons[at];
        if (book->sign_ons[at].newest_ms > book->sign_ons[oldest].newest_ms)
            oldest = at;
    }
    if (at == KEYS_SIGN_ONS)
        at = oldest;
    else
        book->sign_on_count++;
    book->sign_ons[at] = (struct keys_sign_on){.acquirer = acquirer, .newest_ms = INT64_MAX / 2};
    return &book->sign_ons[at];
}

void keys_book_signed_on(struct keys_book *book, unsigned acquirer, bool approved, int64_t age_ms)
{
    struct keys_sign_on *row = sign_on_of(book, acquirer);
    if (approved && (!row->known || age_ms < row->age_ms)) {
        row->known = true;
        row->age_ms = age_ms;
    }
    if (age_ms > row->newest_ms)
        return;
    row->newest_ms = age_ms;
    row->failed = !approved;
}

static struct key_sign_on judged_by(const struct keys_sign_on *row, int64_t limit_ms)
{
    return (struct key_sign_on){.acquirer = row->acquirer,
                                .known = row->known,
                                .failed = row->failed,
                                .age_ms = row->age_ms,
                                .limit_ms = limit_ms};
}

static bool is_worse(const struct keys_sign_on *a, const struct keys_sign_on *b)
{
    return a->failed != b->failed ? a->failed : a->age_ms > b->age_ms;
}

bool keys_book_sign_on(const struct keys_book *book, const struct key_held *held, int64_t limit_ms,
                       struct key_sign_on *ret_sign_on)
{
    const struct keys_sign_on *found = NULL;
    for (size_t i = 0; i < book->sign_on_count; i++) {
        const struct keys_sign_on *row = &book->sign_ons[i];
        if (held->of_acquirer ? row->acquirer == held->acquirer
                              : found == NULL || is_worse(row, found))
            found = row;
    }
    if (found != NULL)
        *ret_sign_on = judged_by(found, limit_ms);
    return found != NULL;
}
