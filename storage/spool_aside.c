/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are not, or no longer, this spool's. */
#include "storage/spool_state.h"

#include "base/file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const sets[] = {"foreign", "damaged"};

static bool name_file(const struct spool *spool, const char *suffix, const char *tail,
                      char name[PATH_MAX], struct err *err)
{
    int length = snprintf(name, PATH_MAX, "%s%s%s", spool->path, suffix, tail);
    return (length > 0 && length < PATH_MAX) ||
           err_set(err, ERR_INVALID, "spool %s: the path is too long", spool->path);
}

/* One file of a set: "", "-wal" or ".chain" behind PATH.<set>. */
static bool name_aside(const struct spool *spool, const char *set, const char *tail,
                       char name[PATH_MAX], struct err *err)
{
    char suffix[16];
    (void)snprintf(suffix, sizeof suffix, ".%s", set);
    return name_file(spool, suffix, tail, name, err);
}

static const char *const tails[] = {"", "-wal", ".chain"};
enum { TAILS = sizeof tails / sizeof *tails, SETS = sizeof sets / sizeof *sets };

static int64_t set_bytes(const struct spool *spool, const char *set)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < TAILS; i++) {
        char name[PATH_MAX];
        struct stat held;
        if (name_aside(spool, set, tails[i], name, NULL) && stat(name, &held) == 0)
            bytes += held.st_size;
    }
    return bytes;
}

int64_t spool_aside_bytes(const struct spool *spool)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < SETS; i++)
        bytes += set_bytes(spool, sets[i]);
    return bytes;
}

static bool remove_set(const struct spool *spool, const char *set, struct err *err)
{
    for (size_t i = 0; i < TAILS; i++) {
        char name[PATH_MAX];
        if (!name_aside(spool, set, tails[i], name, err) || !file_remove(name, err))
            return false;
    }
    return true;
}

static bool move(const struct spool *spool, const char *set, const char *tail, struct err *err)
{
    char from[PATH_MAX], to[PATH_MAX];
    if (!name_file(spool, tail, "", from, err) || !name_aside(spool, set, tail, to, err))
        return false;
    return !file_exists(from) || file_rename(from, to, err);
}

/* At most a quarter of the quota, the set of this occasion rather than the other. */
static bool keep_to_quota(struct spool *spool, const char *newest, struct err *err)
{
    for (size_t i = 0; i < SETS && spool_aside_bytes(spool) > spool->quota_bytes / 4; i++) {
        if (strcmp(sets[i], newest) != 0 && !remove_set(spool, sets[i], err))
            return false;
    }
    if (spool_aside_bytes(spool) <= spool->quota_bytes / 4)
        return true;
    spool_remark(spool, "it was too large to be kept");
    return remove_set(spool, newest, err);
}

/* The database goes first: until it has gone this is begun again, and what was put aside by an
 * earlier try stays. SQLite ignores a WAL that is left without its database. */
bool spool_set_aside(struct spool *spool, const char *name, bool with_chain, const char *why,
                     struct err *err)
{
    char journal[PATH_MAX];
    if (file_exists(spool->path)) {
        bool older = set_bytes(spool, name) > 0;
        if (older && !remove_set(spool, name, err))
            return false;
        spool_remark(spool, "%s; it was set aside as %s.%s%s", why, spool->path, name,
                     older ? " in the place of an older one" : "");
    } else {
        spool_remark(spool, "%s", why);
    }
    return name_file(spool, "-journal", "", journal, err) && move(spool, name, "", err) &&
           move(spool, name, "-wal", err) && file_remove(journal, err) &&
           (!with_chain || move(spool, name, ".chain", err)) && keep_to_quota(spool, name, err);
}

/* ---- what is to be salvaged ---- */

/* The database gives way before its WAL: a WAL that is alone belongs to the one that has. */
static bool follow(const struct spool *spool, struct err *err)
{
    return file_exists(spool->path) || move(spool, "salvage", "-wal", err);
}

static bool name_waiting(const struct spool *spool, const char *tail, char name[PATH_MAX],
                         struct err *err)
{
    return name_aside(spool, "salvage", tail, name, err);
}

bool spool_set_aside_for_salvage(struct spool *spool, const char *why, struct err *err)
{
    char source[PATH_MAX], journal[PATH_MAX], wal[PATH_MAX];
    if (!name_waiting(spool, "", source, err) || !name_file(spool, "-journal", "", journal, err) ||
        !name_file(spool, "-wal", "", wal, err))
        return false;
    if (file_exists(source)) {
        spool_remark(spool, "%s; its salvage begins anew", why);
        return file_remove(wal, err) && file_remove(spool->path, err) && file_remove(journal, err);
    }
    spool_remark(spool, "%s; it was set aside as %s.damaged", why, spool->path);
    return move(spool, "salvage", "", err) && move(spool, "salvage", "-wal", err) &&
           file_remove(journal, err);
}

bool spool_salvage_waits(struct spool *spool, char source[PATH_MAX], bool *ret_waits,
                         struct err *err)
{
    char wal[PATH_MAX];
    if (!name_waiting(spool, "", source, err) || !name_waiting(spool, "-wal", wal, err))
        return false;
    *ret_waits = file_exists(source);
    return *ret_waits ? follow(spool, err) : file_remove(wal, err);
}

bool spool_salvage_finish(struct spool *spool, struct err *err)
{
    char from[PATH_MAX], to[PATH_MAX];
    if (set_bytes(spool, "damaged") > 0)
        spool_remark(spool, "it stands in the place of an older one");
    if (!remove_set(spool, "damaged", err))
        return false;
    for (size_t i = 0; i < 2; i++) {
        if (!name_waiting(spool, tails[i], from, err) ||
            !name_aside(spool, "damaged", tails[i], to, err) ||
            (file_exists(from) && !file_rename(from, to, err)))
            return false;
    }
    return keep_to_quota(spool, "damaged", err);
}

bool spool_set_chain_aside(struct spool *spool, struct err *err)
{
    if (!file_exists(spool->chain_path))
        return true;
    spool_remark(spool, "another device's chain was found; it was set aside as %s.foreign.chain",
                 spool->path);
    return move(spool, "foreign", ".chain", err) && keep_to_quota(spool, "foreign", err);
}

bool spool_mark_damaged(struct spool *spool, struct err *err)
{
    char name[PATH_MAX];
    static const char text[] = "SQLite found the database beside this file damaged.\n";
    return name_file(spool, ".distrust", "", name, err) &&
           file_write(name, bytes_of(text, sizeof text - 1), 0600, err);
}

bool spool_is_marked(const struct spool *spool)
{
    char name[PATH_MAX];
    return name_file(spool, ".distrust", "", name, NULL) && file_exists(name);
}

bool spool_unmark(struct spool *spool, struct err *err)
{
    char name[PATH_MAX];
    return name_file(spool, ".distrust", "", name, err) && file_remove(name, err);
}

bool spool_directory(const struct spool *spool, char dir[PATH_MAX], struct err *err)
{
    const char *slash = strrchr(spool->path, '/');
    size_t length = slash != NULL ? (size_t)(slash - spool->path) : 0;
    if (length >= PATH_MAX)
        return err_set(err, ERR_INVALID, "spool %s: the path is too long", spool->path);
    if (length == 0) {
        memcpy(dir, slash != NULL ? "/" : ".", 2);
        return true;
    }
    memcpy(dir, spool->path, length);
    dir[length] = '\0';
    return true;
}
