/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/check.h"

#include "base/file.h"
#include "base/mqtt.h"
#include "fleet/service_keys.h"
#include "fleet/session.h"
#include "proto/limits.h"
#include "storage/fleetdb_peek.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOTE_CHARS = 512 };

struct check {
    const struct fleet_settings *settings;
    const struct check_sink *sink;
    bool good;
};

static void wrong(struct check *check, const struct err *why)
{
    check->good = false;
    check->sink->wrong(check->sink->ctx, why);
}

static void note(const struct check *check, const char *fmt, ...) MUSTER_PRINTF(2, 3);
static void note(const struct check *check, const char *fmt, ...)
{
    char text[NOTE_CHARS];
    va_list args;
    if (check->sink->note == NULL)
        return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    check->sink->note(check->sink->ctx, text);
}

/* ---- files ---- */

struct ring_files {
    struct check *check;
    const char *setting;
    size_t count;
};

static bool check_key(void *ctx, const char *path, struct err *err)
{
    struct ring_files *files = ctx;
    struct sign_key *key = NULL;
    struct err why = {0};
    (void)err;
    files->count++;
    if (!sign_key_read(path, &key, &why)) {
        (void)err_context(&why, "%s", files->setting);
        wrong(files->check, &why);
    }
    sign_key_free(key);
    return true;
}

static void check_ring(struct check *check, const char *setting, const char *list)
{
    struct ring_files files = {.check = check, .setting = setting};
    struct err why = {0};
    bool walked = service_keys_paths(list, check_key, &files, &why);
    if (!walked || files.count > SERVICE_KEYS_MAX) {
        (void)err_set(&why, ERR_INVALID, "%s: more than %d files", setting, SERVICE_KEYS_MAX);
        wrong(check, &why);
    }
}

static void check_root(struct check *check)
{
    struct buf root = {0};
    struct trust *trust = NULL;
    struct err why = {0};
    const char *path = check->settings->root;
    bool ok = file_read(path, LIMIT_ROOT_BYTES, &root, &why) &&
              trust_open(buf_bytes(&root), &trust, &why);
    trust_free(trust);
    buf_done(&root);
    if (!ok) {
        (void)err_context(&why, "keys.root = %s", path);
        wrong(check, &why);
    }
}

static void check_session(struct check *check)
{
    struct err why = {0};
    const struct mqtt_settings session = session_settings(check->settings);
    if (!mqtt_check(&session, &why))
        wrong(check, &why);
}

struct folder {
    char path[sizeof((struct fleet_settings *)NULL)->database];
};

static struct folder folder_of(const char *path)
{
    struct folder folder;
    const char *slash = strrchr(path, '/');
    (void)snprintf(folder.path, sizeof folder.path, "%.*s",
                   slash == NULL ? 1 : (int)(slash - path + 1), slash == NULL ? "." : path);
    return folder;
}

/* The system, whoever asks, or the service: who may read the director's key is that. */
static bool is_ours(const struct check *check, uid_t owner)
{
    struct stat key;
    struct folder first;
    const char *list = check->settings->director_key;
    (void)snprintf(first.path, sizeof first.path, "%.*s", (int)strcspn(list, ","), list);
    return owner == 0 || owner == geteuid() || (stat(first.path, &key) == 0 && owner == key.st_uid);
}

/* The root itself, or the folder that it lies in, where another could take its place. */
static void check_writers(struct check *check, const char *path, bool is_folder)
{
    struct stat status;
    struct err why = {0};
    const char *in = is_folder ? " in the folder " : "";
    const char *folder = is_folder ? path : "";
    if (stat(path, &status) != 0)
        return; /* told where the file is read */
    const bool sticky = is_folder && (status.st_mode & S_ISVTX) != 0;
    if ((status.st_mode & S_IWOTH) != 0 && !sticky)
        (void)err_set(&why, ERR_REFUSED,
                      "keys.root = %s%s%s: every user may replace it (mode %03o)",
                      check->settings->root, in, folder, (unsigned)(status.st_mode & 0777));
    else if (!is_ours(check, status.st_uid))
        (void)err_set(&why, ERR_REFUSED,
                      "keys.root = %s%s%s: its owner, user %u, may replace it; chown it to root",
                      check->settings->root, in, folder, (unsigned)status.st_uid);
    if (why.code != ERR_NONE)
        wrong(check, &why);
}

/* Whoever may write it says whose documents terminals and musterd believe. */
static void check_root_mode(struct check *check)
{
    const struct folder folder = folder_of(check->settings->root);
    check_writers(check, check->settings->root, false);
    check_writers(check, folder.path, true);
}

static void check_folder(struct check *check, const char *setting, const char *path)
{
    struct err why = {0};
    const struct folder folder = folder_of(path);
    if (access(folder.path, W_OK | X_OK) == 0)
        return;
    (void)err_errno(&why, errno, "%s = %s: the folder %s", setting, path, folder.path);
    wrong(check, &why);
}

/* ---- roles ---- */

struct follow {
    struct service_keys *keys;
    const char *path; /* of keys.root */
    uint64_t newest;  /* in the database; 0: none */
    uint64_t of_file; /* version of the file's root */
};

/* The file's root is not of the chain, and comes after its newest: a start takes it if it follows.
 */
static bool may_follow(const struct follow *follow, struct bytes newest, struct err *err)
{
    struct trust *trust = NULL;
    bool ok = trust_open(newest, &trust, err) &&
              trust_would_advance(trust, buf_bytes(&follow->keys->root), err);
    trust_free(trust);
    return ok;
}

/* The database's chain, as far as it goes on from the file's root. */
static bool follow_root(void *ctx, uint64_t version, struct bytes envelope, struct err *err)
{
    struct follow *follow = ctx;
    struct trust *trust = follow->keys->trust;
    uint64_t known = trust_version(trust);
    follow->newest = version;
    bool ok = version <= known || trust_advance(trust, envelope, err);
    if (version + 1 == follow->of_file)
        ok = may_follow(follow, envelope, err);
    if (version == known && !bytes_equal(buf_bytes(&follow->keys->root), envelope))
        ok = err_set(err, ERR_CONFLICT, "the database holds another root %" PRIu64, version);
    return ok || err_context(err, "keys.root = %s", follow->path);
}

/* False: no use in going on. */
static bool follow_database(struct check *check, struct service_keys *keys)
{
    const uint64_t of_file = trust_version(keys->trust);
    struct follow follow = {.keys = keys, .path = check->settings->root, .of_file = of_file};
    struct err why = {0};
    const char *path = check->settings->database;
    if (!file_exists(path))
        return true;
    if (!fleetdb_peek_roots(path, follow_root, &follow, &why)) {
        (void)err_context(&why, "database.path");
        if (why.code == ERR_IO) /* it may pass, and a start tells more */
            note(check, "which keys the newest root names is not checked: %s", why.text);
        else
            wrong(check, &why);
        return false;
    }
    if (follow.newest == 0 || of_file <= follow.newest + 1)
        return true;
    (void)err_set(&why, ERR_REFUSED,
                  "keys.root = %s: it is root %" PRIu64 ", and the newest of the database is root "
                  "%" PRIu64 ": name the root that is installed on the terminals",
                  check->settings->root, of_file, follow.newest);
    wrong(check, &why);
    return false;
}

struct told_ring {
    const struct check *check;
    const struct service_ring *ring;
    const struct trust *trust;
    size_t at;
};

static bool tell_key(void *ctx, const char *path, struct err *err)
{
    struct told_ring *told = ctx;
    const struct sign_key *key = told->ring->keys[told->at++];
    struct verify_key *public = NULL;
    char id[2 * KEY_ID_BYTES + 1];
    (void)err;
    if (!verify_key_of_spki(sign_key_spki(key), &public, NULL))
        return true;
    hex_encode(verify_key_id(public), KEY_ID_BYTES, id);
    verify_key_free(public);
    note(told->check, "%s: %s is key %s, which root %" PRIu64 " %s", told->ring->setting, path, id,
         trust_version(told->trust),
         service_keys_named(told->trust, told->ring->role, key) ? "names"
                                                                : "does not name: not used");
    return true;
}

static void check_roles(struct check *check, const struct service_ring *ring, const char *list,
                        const struct trust *trust)
{
    struct told_ring told = {.check = check, .ring = ring, .trust = trust};
    struct err why = {0};
    size_t used;
    if (!service_ring_choose(ring, trust, &used, &why))
        wrong(check, &why);
    if (!service_keys_paths(list, tell_key, &told, &why))
        wrong(check, &why);
}

static void check_keys(struct check *check, bool with_database)
{
    struct service_keys keys = {0};
    struct err why = {0};
    if (!service_keys_read(check->settings, &keys, &why)) {
        wrong(check, &why);
        return;
    }
    if (!with_database || follow_database(check, &keys)) {
        check_roles(check, &keys.director, check->settings->director_key, keys.trust);
        check_roles(check, &keys.receipt, check->settings->receipt_key, keys.trust);
    }
    service_keys_done(&keys);
}

/* ---- all of it ---- */

static void check_files(struct check *check)
{
    check_ring(check, "keys.director", check->settings->director_key);
    check_ring(check, "keys.receipt", check->settings->receipt_key);
    check_root(check);
}

bool check_start(const struct fleet_settings *settings, const struct check_sink *sink)
{
    struct check check = {.settings = settings, .sink = sink, .good = true};
    check_files(&check);
    if (check.good && !file_exists(settings->database))
        check_keys(&check, false);
    check_session(&check);
    return check.good;
}

bool check_all(const struct fleet_settings *settings, const struct check_sink *sink)
{
    struct check check = {.settings = settings, .sink = sink, .good = true};
    check_files(&check);
    if (check.good)
        check_keys(&check, true);
    check_root_mode(&check);
    check_session(&check);
    check_folder(&check, "database.path", settings->database);
    check_folder(&check, "http.socket", settings->http_socket);
    return check.good;
}
