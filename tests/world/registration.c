/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/world/registration.h"

#include "base/file.h"
#include "base/settings.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DOCUMENT_LIMIT_BYTES = 16 * 1024 * 1024 };

#define PARAM(section, key, type, field, fallback, min, max, help)                                 \
    {                                                                                              \
        section, key, type, offsetof(struct registration_params, field),                           \
            sizeof((struct registration_params *)0)->field, fallback, min, max, NULL, help         \
    }
#define HOST_PARAMS(section, place)                                                                \
    PARAM(section, "tid", SETTING_TEXT, hosts[place].tid, "", 0, 8, "terminal id (DE 41)"),        \
        PARAM(section, "mid", SETTING_TEXT, hosts[place].mid, "", 0, 15, "merchant id (DE 42)")

static const struct setting params_table[] = {
    PARAM("routing", "default", SETTING_INT, default_route, NULL, 1, TABLES_MAX_ROUTE,
          "host for cards that the table does not know"),
    PARAM("codes", "profile", SETTING_INT, code_profile, "1", 1, 1000000, "code table version"),
    PARAM("batch", "number", SETTING_INT, batch, "1", 1, 999999, "open batch"),
    HOST_PARAMS("host1", 0),
    HOST_PARAMS("host2", 1),
    HOST_PARAMS("host3", 2),
    {0},
};

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Fills the place that `now` describes: directory and what its files look like. */
static bool look(struct registration *now, const char *registry, const char *folder,
                 const char *const *names, struct err *err)
{
    char link[PATH_MAX], path[PATH_MAX];
    if (!path_join(link, sizeof link, registry, "current", err))
        return false;
    char *resolved = realpath(folder[0] != '\0' ? folder : link, NULL);
    if (!resolved)
        return err_set(err, ERR_NOT_FOUND, "%s: nothing is applied yet", link);
    bool fits = strlen(resolved) < sizeof now->directory;
    if (fits)
        strcpy(now->directory, resolved);
    free(resolved);
    if (!fits)
        return err_set(err, ERR_INVALID, "%s: path too long", link);
    for (size_t i = 0; i < REGISTRATION_DOCUMENTS; i++) {
        if (!path_join(path, sizeof path, now->directory, names[i], err))
            return false;
        if (stat(path, &now->files[i]) != 0)
            return err_set(err, ERR_NOT_FOUND, "%s is not applied yet", names[i]);
    }
    return true;
}

static bool unchanged(const struct registration *held, const struct registration *now)
{
    if (strcmp(held->directory, now->directory) != 0)
        return false;
    for (size_t i = 0; i < REGISTRATION_DOCUMENTS; i++)
        if (!same_file(&held->files[i], &now->files[i]))
            return false;
    return true;
}

static bool read_document(const char *directory, const char *name, struct buf *ret_text,
                          struct err *err)
{
    char path[PATH_MAX];
    return path_join(path, sizeof path, directory, name, err) &&
           file_read(path, DOCUMENT_LIMIT_BYTES, ret_text, err);
}

static bool read_tables(struct registration *now, const char *const *names, struct err *err)
{
    struct buf routing = {0}, aids = {0}, keys = {0};
    bool done = read_document(now->directory, names[0], &routing, err) &&
                read_document(now->directory, names[1], &aids, err) &&
                read_document(now->directory, names[2], &keys, err) &&
                ranges_parse(buf_bytes(&routing), &now->ranges, err) &&
                aids_parse(buf_bytes(&aids), &now->aids, err) &&
                ca_keys_parse(buf_bytes(&keys), &now->ca_keys, err);
    buf_done(&routing);
    buf_done(&aids);
    buf_done(&keys);
    return done;
}

bool registration_refresh(struct registration *registration, const char *registry,
                          const char *folder, const char *params_name, struct err *err)
{
    const char *const names[REGISTRATION_DOCUMENTS] = {"bin-routing", "aid-list", "ca-keys",
                                                       params_name};
    struct registration now = {0};
    char params_path[PATH_MAX];
    if (!look(&now, registry, folder, names, err))
        return false;
    if (unchanged(registration, &now))
        return true;
    if (!read_tables(&now, names, err) ||
        !path_join(params_path, sizeof params_path, now.directory, params_name, err) ||
        !settings_load(params_path, params_table, &now.params, err)) {
        registration_done(&now);
        return false;
    }
    registration_done(registration);
    *registration = now;
    return true;
}

void registration_done(struct registration *registration)
{
    ranges_done(&registration->ranges);
    aids_done(&registration->aids);
    ca_keys_done(&registration->ca_keys);
}
