/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/code_words.h"

#include "base/utf8.h"
#include "fleet/content.h"
#include "fleet/encodings.h"
#include "proto/desired.pb-c.h"
#include "proto/table.h"
#include "storage/fleetdb_desired.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROFILES_MAX = 16, PROFILE_BYTES = 1024 * 1024, NO_COLUMN = TABLE_COLUMNS_MAX };

struct profile {
    uint8_t sha256[32];
    struct buf content;
};

struct code_words {
    struct fleetdb *db;
    size_t count;
    struct profile profiles[PROFILES_MAX];
};

/* A walk through a profile for one code. */
struct search {
    struct table_check check;
    size_t code_at, group_at, meaning_at, acquirer_at;
    const char *code;
    char acquirer[24];
    bool own; /* what was found is said of this acquirer */
    struct code_word *word;
};

bool code_words_open(struct fleetdb *db, struct code_words **ret_words, struct err *err)
{
    struct code_words *words = calloc(1, sizeof *words);
    if (words == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for code profiles");
    words->db = db;
    *ret_words = words;
    return true;
}

void code_words_close(struct code_words *words)
{
    for (size_t i = 0; words != NULL && i < words->count; i++)
        buf_done(&words->profiles[i].content);
    free(words);
}

/* ---- one profile ---- */

static bool is_text(struct bytes cell, const char *text)
{
    return bytes_equal(cell, bytes_of(text, strlen(text)));
}

static bool see_header(struct table_check *check, const struct bytes *names, size_t count,
                       struct err *err)
{
    static const char meaning[] = "meaning";
    struct search *search = (struct search *)check;
    (void)err;
    for (size_t i = count; i-- > 0;) {
        if (is_text(names[i], "code"))
            search->code_at = i;
        else if (is_text(names[i], "group"))
            search->group_at = i;
        else if (is_text(names[i], "acquirer"))
            search->acquirer_at = i;
        else if (names[i].length >= sizeof meaning - 1 &&
                 memcmp(names[i].data, meaning, sizeof meaning - 1) == 0)
            search->meaning_at = i;
    }
    return true;
}

static void take(struct bytes cell, char *out, size_t size)
{
    size_t length = cell.length < size ? cell.length : size - 1;
    memcpy(out, cell.data, length);
    out[length] = '\0';
    while (length > 0 && !utf8_valid(bytes_of(out, length)))
        out[--length] = '\0';
}

static bool see_row(struct table_check *check, const struct bytes *cells, size_t row,
                    struct err *err)
{
    struct search *search = (struct search *)check;
    (void)row;
    (void)err;
    if (search->code_at == NO_COLUMN || search->group_at == NO_COLUMN ||
        search->meaning_at == NO_COLUMN || !is_text(cells[search->code_at], search->code))
        return true;
    bool of_all = search->acquirer_at == NO_COLUMN || cells[search->acquirer_at].length == 0;
    bool own = !of_all && is_text(cells[search->acquirer_at], search->acquirer);
    if (own || (of_all && search->word->meaning[0] == '\0')) {
        take(cells[search->group_at], search->word->group, sizeof search->word->group);
        take(cells[search->meaning_at], search->word->meaning, sizeof search->word->meaning);
        search->own = own;
    }
    return true;
}

/* ---- those of a device ---- */

static bool get_blob(void *ctx, const uint8_t sha256[32], struct buf *out, struct err *err)
{
    return fleetdb_blob_get(ctx, sha256, out, err);
}

static bool append(void *ctx, struct bytes part, struct err *err)
{
    return buf_append(ctx, part.data, part.length, err);
}

static bool read_profile(struct code_words *words, const struct fleetdb_document *document,
                         const struct fleetdb_encoding *whole, struct err *err)
{
    struct profile *profile = &words->profiles[words->count];
    const struct parcel_source source = {get_blob, words->db};
    const struct content_spec spec = {.length = document->length,
                                      .sha256 = document->sha256,
                                      .each = append,
                                      .ctx = &profile->content};
    *profile = (struct profile){.content = {.limit = PROFILE_BYTES}};
    memcpy(profile->sha256, document->sha256, sizeof profile->sha256);
    if (!content_unfold(&source, whole, &spec, err)) {
        buf_done(&profile->content);
        return err_context(err, "code profile %s", document->name);
    }
    words->count++;
    return true;
}

/* NULL and true: it is none that can be read here. */
static bool find_profile(struct code_words *words, const struct fleetdb_document *document,
                         const struct profile **ret_profile, struct err *err)
{
    *ret_profile = NULL;
    if (document->kind != MUSTER__DOCUMENT_KIND__DOCUMENT_CODE_PROFILE || document->device != 0)
        return true;
    for (size_t i = 0; i < words->count; i++) {
        if (memcmp(words->profiles[i].sha256, document->sha256, 32) == 0) {
            *ret_profile = &words->profiles[i];
            return true;
        }
    }
    const struct fleetdb_encoding *whole =
        encoding_whole(document->encodings, document->encoding_count);
    if (whole == NULL || words->count == PROFILES_MAX || document->length > PROFILE_BYTES)
        return true;
    if (!read_profile(words, document, whole, err))
        return false;
    *ret_profile = &words->profiles[words->count - 1];
    return true;
}

struct asking {
    struct code_words *words;
    struct search *search;
};

static bool look(void *ctx, const struct fleetdb_document *document, int mode, struct err *err)
{
    const struct asking *asking = ctx;
    struct search *search = asking->search;
    const struct profile *profile = NULL;
    (void)mode;
    if (!find_profile(asking->words, document, &profile, err))
        return false;
    search->code_at = search->group_at = search->meaning_at = search->acquirer_at = NO_COLUMN;
    return profile == NULL || search->own ||
           table_check(buf_bytes(&profile->content), &search->check, err);
}

bool code_words_find(struct code_words *words, int64_t device, int64_t acquirer, const char *code,
                     struct code_word *ret_word, struct err *err)
{
    struct search search = {.check = {see_header, see_row}, .code = code, .word = ret_word};
    struct asking asking = {words, &search};
    *ret_word = (struct code_word){0};
    (void)snprintf(search.acquirer, sizeof search.acquirer, "%" PRId64, acquirer);
    return fleetdb_assigned_each(words->db, device, look, &asking, err);
}
