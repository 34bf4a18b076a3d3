/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/owned.h"

#include "base/file_others.h"
#include "proto/seal.h"
#include "proto/topics.h"

#include <stdio.h>
#include <string.h>

/* ---- the settings ---- */

static bool is_below(const char *path, const char *dir)
{
    size_t length = strlen(dir);
    while (length > 1 && dir[length - 1] == '/')
        length--;
    return strncmp(path, dir, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* Two documents at one place could never both be as wanted; nor is what lies among our own files
 * another's. */
static bool is_free(const struct owned *owned, const struct owned_file *file, const char *state_dir,
                    struct err *err)
{
    if (!document_name_valid(file->name))
        return err_set(err, ERR_INVALID,
                       "owned.%s: no document can have this name: expected 1 to %d of a-z, 0-9, "
                       "'.', '_' and '-'",
                       file->name, LIMIT_DOCUMENT_NAME_CHARS);
    if (strstr(file->path, "/../") != NULL || strstr(file->path, "//") != NULL ||
        strstr(file->path, "/./") != NULL)
        return err_set(err, ERR_INVALID, "owned.%s = %s: write the path without . or .. in it",
                       file->name, file->path);
    if (is_below(file->path, state_dir))
        return err_set(err, ERR_INVALID,
                       "owned.%s = %s: that is below paths.state, where Muster keeps its own files",
                       file->name, file->path);
    for (size_t i = 0; i < owned->count; i++)
        if (strcmp(owned->files[i].path, file->path) == 0)
            return err_set(err, ERR_INVALID, "owned.%s = %s: that file is owned.%s already",
                           file->name, file->path, owned->files[i].name);
    return true;
}

static bool take_line(const char *line, size_t length, struct owned_file *file)
{
    const char *equals = memchr(line, '=', length);
    size_t name = equals != NULL ? (size_t)(equals - line) : length;
    if (equals == NULL || name >= sizeof file->name || length - name - 1 >= sizeof file->path)
        return false;
    *file = (struct owned_file){0};
    memcpy(file->name, line, name);
    memcpy(file->path, equals + 1, length - name - 1);
    return true;
}

bool owned_read(const char *text, const char *state_dir, struct owned *ret_owned, struct err *err)
{
    struct owned owned = {0};
    while (*text != '\0') {
        struct owned_file file;
        size_t length = strcspn(text, "\n");
        if (!take_line(text, length, &file))
            return err_set(err, ERR_INVALID,
                           "owned: \"%.*s\": names have at most %d characters, paths %d",
                           (int)(length < 80 ? length : 80), text, LIMIT_DOCUMENT_NAME_CHARS,
                           OWNED_PATH_BYTES - 1);
        if (!is_free(&owned, &file, state_dir, err))
            return false;
        if (owned.count == OWNED_FILES)
            return err_set(err, ERR_INVALID, "owned: at most %d documents", OWNED_FILES);
        owned.files[owned.count++] = file;
        text += length + (text[length] == '\n' ? 1 : 0);
    }
    *ret_owned = owned;
    return true;
}

const char *owned_path(const struct owned *owned, const char *name)
{
    for (size_t i = 0; i < owned->count; i++)
        if (strcmp(owned->files[i].name, name) == 0)
            return owned->files[i].path;
    return NULL;
}

/* ---- a look at one of them ---- */

struct look {
    uint64_t wanted_bytes;
    struct buf *content;
    bool kept;
    struct sha256_state *state;
};

/* Somebody's gigabytes are not read in vain. */
static bool is_wanted(void *ctx, uint64_t length)
{
    const struct look *look = ctx;
    return length == look->wanted_bytes || length <= LIMIT_DOCUMENT_BYTES;
}

static void take_part(void *ctx, struct bytes part)
{
    struct look *look = ctx;
    sha256_add(look->state, part);
    look->kept = look->kept && buf_append(look->content, part.data, part.length, NULL);
}

static Muster__DifferenceKind kind_of(enum file_others_found found)
{
    switch (found) {
    case FILE_OTHERS_READ:
        return MUSTER__DIFFERENCE_KIND__DIFFERENCE_NONE;
    case FILE_OTHERS_MISSING:
        return MUSTER__DIFFERENCE_KIND__DIFFERENCE_MISSING;
    case FILE_OTHERS_NO_FILE:
        return MUSTER__DIFFERENCE_KIND__DIFFERENCE_NO_FILE;
    case FILE_OTHERS_UNWANTED:
        return MUSTER__DIFFERENCE_KIND__DIFFERENCE_TOO_LONG;
    case FILE_OTHERS_CHANGED:
        return MUSTER__DIFFERENCE_KIND__DIFFERENCE_CHANGING;
    default:
        return MUSTER__DIFFERENCE_KIND__DIFFERENCE_UNREADABLE;
    }
}

static void say_why(struct owned_look *look, const char *why)
{
    (void)snprintf(look->why, sizeof look->why, "%.63s", why);
}

void owned_look(const char *path, uint64_t wanted_bytes, struct buf *content,
                struct owned_look *ret_look)
{
    struct look look = {.wanted_bytes = wanted_bytes,
                        .content = content,
                        .kept = content != NULL,
                        .state = sha256_begin()};
    uint8_t digest[32];
    *ret_look = (struct owned_look){.kind = MUSTER__DIFFERENCE_KIND__DIFFERENCE_UNREADABLE};
    if (look.state == NULL) {
        say_why(ret_look, "no memory to hash it");
        return;
    }
    struct file_others others;
    file_others_read(path, is_wanted, take_part, &look, &others);
    sha256_end(look.state, digest);
    ret_look->kind = kind_of(others.found);
    ret_look->length = others.length;
    if (others.found == FILE_OTHERS_READ)
        memcpy(ret_look->sha256, digest, sizeof digest);
    else if (others.why != 0)
        say_why(ret_look, strerror(others.why));
    if (content != NULL && (!look.kept || others.found != FILE_OTHERS_READ))
        buf_clear(content);
}
