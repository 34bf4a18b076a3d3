/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"

#include "base/file.h"
#include "fleet/ctl_table.h"
#include "proto/limits.h"
#include "proto/trust.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_BYTES = 1024, KEYS_MAX = 9, FIRST_VERSION = 1, FIRST_EPOCH = 1 };

/* The roles that have keys here; the custodian's are made where key blocks are. */
static const struct {
    Muster__Role role;
    const char *name;
} roles[] = {
    {MUSTER__ROLE__ROLE_ROOT, "root"},
    {MUSTER__ROLE__ROLE_RELEASE, "release"},
    {MUSTER__ROLE__ROLE_DIRECTOR, "director"},
    {MUSTER__ROLE__ROLE_RECEIPT, "receipt"},
};
enum { ROLES = sizeof roles / sizeof *roles };

/* DIR/release.pem; where a role has more than one key, DIR/root.pem, DIR/root-2.pem ... */
static bool key_path(char path[PATH_BYTES], const char *dir, const char *role, size_t index,
                     struct err *err)
{
    char name[48];
    if (index == 0)
        (void)snprintf(name, sizeof name, "%s.pem", role);
    else
        (void)snprintf(name, sizeof name, "%s-%zu.pem", role, index + 1);
    return path_join(path, PATH_BYTES, dir, name, err);
}

/* ---- keys make ---- */

struct ring {
    struct sign_key *keys[ROLES][KEYS_MAX];
    size_t counts[ROLES]; /* wanted */
    size_t threshold;     /* of the root */
};

static void ring_done(struct ring *ring)
{
    for (size_t r = 0; r < ROLES; r++)
        for (size_t i = 0; i < ring->counts[r]; i++)
            sign_key_free(ring->keys[r][i]);
}

/* Before anything is made: nothing of that name may be there. */
static bool check_unused(const struct ring *ring, const char *dir, struct err *err)
{
    char path[PATH_BYTES];
    for (size_t r = 0; r < ROLES; r++)
        for (size_t i = 0; i < ring->counts[r]; i++) {
            if (!key_path(path, dir, roles[r].name, i, err))
                return false;
            if (file_exists(path))
                return err_set(err, ERR_CONFLICT, "%s exists; keys are never overwritten", path);
        }
    if (!path_join(path, sizeof path, dir, "root.bin", err))
        return false;
    return !file_exists(path) ||
           err_set(err, ERR_CONFLICT, "%s exists; it is never overwritten", path);
}

static bool make_keys(struct ring *ring, const char *dir, struct err *err)
{
    char path[PATH_BYTES];
    for (size_t r = 0; r < ROLES; r++)
        for (size_t i = 0; i < ring->counts[r]; i++)
            if (!key_path(path, dir, roles[r].name, i, err) ||
                !sign_key_make(path, &ring->keys[r][i], err))
                return false;
    return true;
}

static bool pack_root(const struct ring *ring, int64_t now_ms, struct buf *out, struct err *err)
{
    Muster__PublicKey keys[ROLES][KEYS_MAX];
    Muster__PublicKey *key_list[ROLES][KEYS_MAX];
    Muster__RoleKeys role_keys[ROLES];
    Muster__RoleKeys *role_list[ROLES];
    Muster__Root root = MUSTER__ROOT__INIT;
    for (size_t r = 0; r < ROLES; r++) {
        for (size_t i = 0; i < ring->counts[r]; i++) {
            struct bytes spki = sign_key_spki(ring->keys[r][i]);
            muster__public_key__init(&keys[r][i]);
            keys[r][i].algorithm = MUSTER__KEY_ALGORITHM__KEY_ALGORITHM_ED25519;
            keys[r][i].spki = (ProtobufCBinaryData){spki.length, (uint8_t *)spki.data};
            key_list[r][i] = &keys[r][i];
        }
        muster__role_keys__init(&role_keys[r]);
        role_keys[r].role = roles[r].role;
        role_keys[r].threshold = r == 0 ? (uint32_t)ring->threshold : 1;
        role_keys[r].n_keys = ring->counts[r];
        role_keys[r].keys = key_list[r];
        role_list[r] = &role_keys[r];
    }
    root.version = FIRST_VERSION;
    root.epoch = FIRST_EPOCH;
    root.issued_ms = now_ms;
    root.n_roles = ROLES;
    root.roles = role_list;
    return pack(&root.base, out, err);
}

/* Seals the root, and opens it again as terminals will before it is written. */
static bool write_root(const struct ring *ring, const char *dir, int64_t now_ms, struct err *err)
{
    char path[PATH_BYTES];
    struct buf body = {0}, sealed = {0};
    struct trust *trust = NULL;
    bool ok = path_join(path, sizeof path, dir, "root.bin", err) &&
              pack_root(ring, now_ms, &body, err) &&
              seal("root", "", buf_bytes(&body), (const struct sign_key *const *)ring->keys[0],
                   ring->counts[0], true, &sealed, err) &&
              trust_open(buf_bytes(&sealed), &trust, err) &&
              file_write(path, buf_bytes(&sealed), 0644, err);
    trust_free(trust);
    buf_done(&sealed);
    buf_done(&body);
    return ok;
}

/* A half made set is of no use, and would stand in the way of the next try. */
static void remove_made(const struct ring *ring, const char *dir)
{
    char path[PATH_BYTES];
    for (size_t r = 0; r < ROLES; r++)
        for (size_t i = 0; i < ring->counts[r]; i++)
            if (ring->keys[r][i] != NULL && key_path(path, dir, roles[r].name, i, NULL))
                (void)!file_remove(path, NULL);
}

static int keys_make(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    const char *dir = args->arguments[0];
    int64_t threshold, root_keys;
    if (!ctl_arg_number(args, "--root-threshold", 1, 1, KEYS_MAX, &threshold, err) ||
        !ctl_arg_number(args, "--root-keys", threshold, threshold, KEYS_MAX, &root_keys, err))
        return EXIT_USAGE;
    struct ring ring = {.counts = {(size_t)root_keys, 1, 1, 1}, .threshold = (size_t)threshold};
    bool ok = file_make_dir(dir, 0700, err) && check_unused(&ring, dir, err);
    if (ok) {
        ok = make_keys(&ring, dir, err) && write_root(&ring, dir, clock_wall_ms(ctl->clock), err);
        if (!ok)
            remove_made(&ring, dir);
    }
    ring_done(&ring);
    if (!ok)
        return exit_code_of(err);
    fprintf(ctl->out,
            "Made the keys of four roles and root.bin in %s.\n"
            "musterd needs director.pem, receipt.pem and root.bin; terminals need root.bin.\n"
            "Keep release.pem where documents are signed, and root.pem offline.\n",
            dir);
    return EXIT_OK;
}

static const struct ctl_option make_options[] = {
    {.name = "--root-threshold",
     .value = "N",
     .help = "how many root keys must sign the next root [1]"},
    {.name = "--root-keys", .value = "N", .help = "how many root keys to make [the threshold]"},
    {0},
};

const struct ctl_command ctl_keys_make = {
    .words = "keys make",
    .arguments = "DIR",
    .summary = "Make root, release, director and receipt keys, and the root.bin that names them.",
    .options = make_options,
    .argument_count = 1,
    .run = keys_make,
};

/* ---- keys show ---- */

/* The file beside root.bin that holds this key; "" if there is none. */
static void find_file(char path[PATH_BYTES], const char *dir, const char *role,
                      const struct verify_key *key)
{
    for (size_t i = 0; dir != NULL && i < KEYS_MAX; i++) {
        struct verify_key *other;
        if (!key_path(path, dir, role, i, NULL) || !verify_key_read(path, &other, NULL))
            continue;
        bool same = memcmp(verify_key_id(other), verify_key_id(key), KEY_ID_BYTES) == 0;
        verify_key_free(other);
        if (same)
            return;
    }
    path[0] = '\0';
}

static json_t *role_json(const struct trust *trust, size_t role, const char *dir)
{
    const struct key_set *set = trust_keys(trust, roles[role].role);
    json_t *keys = json_array();
    for (size_t i = 0; i < set->count; i++) {
        char id[2 * KEY_ID_BYTES + 1], path[PATH_BYTES];
        hex_encode(verify_key_id(set->keys[i]), KEY_ID_BYTES, id);
        find_file(path, dir, roles[role].name, set->keys[i]);
        json_array_append_new(keys, json_pack("{s:s, s:s}", "id", id, "file", path));
    }
    return json_pack("{s:s, s:I, s:o}", "role", roles[role].name, "threshold",
                     (json_int_t)set->threshold, "keys", keys);
}

static json_t *trust_json(const struct trust *trust, const char *dir)
{
    json_t *list = json_array();
    for (size_t r = 0; r < ROLES; r++)
        json_array_append_new(list, role_json(trust, r, dir));
    return json_pack("{s:I, s:o}", "root_version", (json_int_t)trust_version(trust), "roles", list);
}

static int print_trust(struct ctl *ctl, const json_t *shown, struct err *err)
{
    size_t r, i;
    json_t *role, *key;
    if (ctl->json)
        return ctl_print_json(ctl, shown, err);
    struct ctl_table *table = ctl_table_new("ROLE|>THRESHOLD|KEY|PRIVATE HALF HERE");
    json_array_foreach(json_object_get(shown, "roles"), r, role)
        json_array_foreach(json_object_get(role, "keys"), i, key)
    {
        ctl_table_text(table, ctl_text(role, "role"));
        ctl_table_count(table, ctl_number(role, "threshold"));
        ctl_table_text(table, ctl_text(key, "id"));
        ctl_table_text(table, ctl_text(key, "file")[0] == '\0' ? "-" : ctl_text(key, "file"));
    }
    fprintf(ctl->out, "Root version %" PRId64 "\n\n", ctl_number(shown, "root_version"));
    return ctl_table_print(table, ctl->out, "No keys.") ? EXIT_OK : EXIT_SYSTEM;
}

static int keys_show(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    const char *what = args->arguments[0];
    char path[PATH_BYTES];
    struct stat status;
    bool is_dir = stat(what, &status) == 0 && S_ISDIR(status.st_mode);
    struct buf sealed = {0};
    struct trust *trust = NULL;
    if (is_dir && !path_join(path, sizeof path, what, "root.bin", err))
        return EXIT_USAGE;
    const char *file = is_dir ? path : what;
    bool ok = file_read(file, LIMIT_ROOT_BYTES, &sealed, err) &&
              (trust_open(buf_bytes(&sealed), &trust, err) || err_context(err, "%s", file));
    int code = !ok && err->code == ERR_NOT_FOUND ? EXIT_USAGE : exit_code_of(err);
    if (ok) {
        json_t *shown = trust_json(trust, is_dir ? what : NULL);
        code = print_trust(ctl, shown, err);
        json_decref(shown);
    }
    trust_free(trust);
    buf_done(&sealed);
    return code;
}

const struct ctl_command ctl_keys_show = {
    .words = "keys show",
    .arguments = "DIR|ROOT.BIN",
    .summary = "Show the keys of every role that a root names, and which are here.",
    .argument_count = 1,
    .run = keys_show,
};
