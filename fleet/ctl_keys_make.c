/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"

#include "base/file.h"
#include "fleet/ctl_table.h"
#include "fleet/root_view.h"
#include "fleet/signers.h"

#include <stdlib.h>
#include <string.h>

/* What `keys make` is to make: for each role keys of its own, or ones that are given. */
struct ring {
    struct root_draft draft;
    struct sign_key *made[ROOT_ROLES][ENVELOPE_SIGNATURES];
    size_t to_make[ROOT_ROLES];
};

static void ring_done(struct ring *ring)
{
    for (size_t role = 0; role < ROOT_ROLES; role++)
        for (size_t i = 0; i < ring->to_make[role]; i++)
            sign_key_free(ring->made[role][i]);
    root_draft_done(&ring->draft);
}

/* ---- what is asked for ---- */

/* "root=2/3" or "root=2": the threshold, and of how many keys. */
static bool read_role(struct ring *ring, const char *text, struct err *err)
{
    char name[16], *end;
    size_t role, length = strcspn(text, "=");
    (void)snprintf(name, sizeof name, "%.*s", (int)(length < 15 ? length : 15), text);
    if (!root_role_of(name, &role, err))
        return false;
    unsigned long threshold = text[length] == '=' ? strtoul(text + length + 1, &end, 10) : 0;
    unsigned long count = threshold;
    if (threshold > 0 && *end == '/')
        count = strtoul(end + 1, &end, 10);
    if (threshold == 0 || *end != '\0' || threshold > count || count > ENVELOPE_SIGNATURES)
        return err_set(err, ERR_INVALID,
                       "--role %.40s: expected like root=2/3, so many of at most %d keys", text,
                       ENVELOPE_SIGNATURES);
    ring->draft.roles[role].threshold = threshold;
    ring->to_make[role] = count;
    return true;
}

/* "root=FILE": a key that somebody has made already takes the place of one to be made. */
static bool read_key(struct ring *ring, const char *text, struct err *err)
{
    char name[16];
    size_t role, length = strcspn(text, "=");
    struct verify_key *key = NULL;
    (void)snprintf(name, sizeof name, "%.*s", (int)(length < 15 ? length : 15), text);
    if (!root_role_of(name, &role, err))
        return false;
    if (ring->to_make[role] == 0)
        return err_set(err, ERR_INVALID, "%s: more keys are given than it is to have", text);
    bool ok = signer_public(text[length] == '=' ? text + length + 1 : "", &key, err) &&
              root_draft_add(&ring->draft, role, key, err);
    verify_key_free(key);
    if (ok)
        ring->to_make[role]--;
    return ok;
}

static bool read_args(struct ring *ring, const struct ctl_args *args, struct err *err)
{
    int64_t threshold, root_keys, version, epoch;
    if (!ctl_arg_number(args, "--version", 1, 1, INT32_MAX, &version, err) ||
        !ctl_arg_number(args, "--epoch", 1, 1, INT32_MAX, &epoch, err))
        return false;
    ring->draft.version = (uint64_t)version;
    ring->draft.epoch = (uint64_t)epoch;
    if (!ctl_arg_number(args, "--root-threshold", 1, 1, ENVELOPE_SIGNATURES, &threshold, err) ||
        !ctl_arg_number(args, "--root-keys", threshold, threshold, ENVELOPE_SIGNATURES, &root_keys,
                        err))
        return false;
    for (size_t role = 1; role < ROOT_ROLES; role++)
        ring->draft.roles[role].threshold = ring->to_make[role] = 1;
    ring->draft.roles[MUSTER__ROLE__ROLE_ROOT].threshold = (size_t)threshold;
    ring->to_make[MUSTER__ROLE__ROLE_ROOT] = (size_t)root_keys;
    size_t at = 0;
    for (const char *text; (text = ctl_arg_next(args, "--role", &at)) != NULL;)
        if (!read_role(ring, text, err))
            return false;
    at = 0;
    for (const char *text; (text = ctl_arg_next(args, "--key", &at)) != NULL;)
        if (!read_key(ring, text, err))
            return false;
    return true;
}

/* ---- making ---- */

/* Before anything is made: nothing of that name may be there. */
static bool check_unused(const struct ring *ring, const char *dir, struct err *err)
{
    char path[ROOT_PATH_BYTES];
    for (size_t role = 1; role < ROOT_ROLES; role++)
        for (size_t i = 0; i < ring->to_make[role]; i++) {
            if (!root_key_path(path, dir, role, i, err))
                return false;
            if (file_exists(path))
                return err_set(err, ERR_CONFLICT, "%s exists; keys are never overwritten", path);
        }
    if (!path_join(path, sizeof path, dir, "root.bin", err))
        return false;
    return !file_exists(path) ||
           err_set(err, ERR_CONFLICT, "%s exists; it is never overwritten", path);
}

static bool make_key(struct ring *ring, const char *dir, size_t role, size_t i, struct err *err)
{
    char path[ROOT_PATH_BYTES];
    struct verify_key *public = NULL;
    bool ok = root_key_path(path, dir, role, i, err) &&
              sign_key_make(path, &ring->made[role][i], err) &&
              verify_key_of_spki(sign_key_spki(ring->made[role][i]), &public, err) &&
              root_draft_add(&ring->draft, role, public, err);
    verify_key_free(public);
    return ok;
}

static bool make_keys(struct ring *ring, const char *dir, struct err *err)
{
    for (size_t role = 1; role < ROOT_ROLES; role++)
        for (size_t i = 0; i < ring->to_make[role]; i++)
            if (!make_key(ring, dir, role, i, err))
                return false;
    return root_draft_check(&ring->draft, err);
}

/* Signs with the root keys that were made here; whoever has the others signs with `keys sign`. */
static bool write_root(const struct ring *ring, const char *dir, struct err *err)
{
    const size_t root = MUSTER__ROLE__ROLE_ROOT;
    char path[ROOT_PATH_BYTES];
    struct buf draft = {0}, sealed = {0};
    bool ok =
        path_join(path, sizeof path, dir, "root.bin", err) &&
        root_draft_pack(&ring->draft, &draft, err) &&
        seal_add("root", "", buf_bytes(&draft), (const struct sign_key *const *)ring->made[root],
                 ring->to_make[root], &sealed, err) &&
        file_write(path, buf_bytes(&sealed), 0644, err);
    buf_done(&sealed);
    buf_done(&draft);
    return ok;
}

/* A half made set is of no use, and would stand in the way of the next try. */
static void remove_made(const struct ring *ring, const char *dir)
{
    char path[ROOT_PATH_BYTES];
    for (size_t role = 1; role < ROOT_ROLES; role++)
        for (size_t i = 0; i < ring->to_make[role]; i++)
            if (ring->made[role][i] != NULL && root_key_path(path, dir, role, i, NULL))
                (void)!file_remove(path, NULL);
}

/* ---- what people are told ---- */

static int print_plan(struct ctl *ctl, const struct ring *ring, const char *dir)
{
    struct ctl_table *table = ctl_table_new("ROLE|>THRESHOLD|KEY");
    char path[ROOT_PATH_BYTES], id[2 * KEY_ID_BYTES + 1];
    for (size_t role = 1; role < ROOT_ROLES; role++) {
        const struct root_role *given = &ring->draft.roles[role];
        for (size_t i = 0; i < given->count + ring->to_make[role]; i++) {
            ctl_table_text(table, root_role_name(role));
            ctl_table_count(table, (int64_t)given->threshold);
            if (i < given->count) {
                hex_encode(verify_key_id(given->keys[i]), KEY_ID_BYTES, id);
                ctl_table_text(table, id);
            } else if (root_key_path(path, dir, role, i - given->count, NULL)) {
                ctl_table_format(table, "to be made: %s", path);
            }
        }
    }
    bool ok = ctl_print_table(ctl, table, "No keys.");
    ctl_say_dry_run(ctl);
    return ok ? EXIT_OK : EXIT_SYSTEM;
}

static int print_made(struct ctl *ctl, const char *dir, struct err *err)
{
    char path[ROOT_PATH_BYTES];
    struct root_view view;
    if (!path_join(path, sizeof path, dir, "root.bin", err) ||
        !root_view_read(&view, path, NULL, err))
        return exit_code_of(err);
    view.keys_dir = dir;
    bool complete = root_view_complete(&view, NULL);
    const char *begin = view.draft.version > 1 ? "--begin " : "";
    int code = root_view_print(ctl, &view, err);
    root_view_done(&view);
    if (ctl->json)
        return code;
    fprintf(ctl->out,
            "\nmusterd needs director.pem, receipt.pem and root.bin; terminals need root.bin.\n"
            "Keep release and custodian keys where people sign, and root keys offline.\n");
    if (!complete)
        fprintf(ctl->out,
                "root.bin counts once its other keepers have signed it: musterctl keys sign %s "
                "%s--key KEY\n",
                path, begin);
    return code;
}

static int keys_make(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    const char *dir = args->arguments[0];
    struct ring ring = {0};
    ring.draft.issued_ms = clock_wall_ms(ctl->clock);
    int code = EXIT_USAGE;
    if (read_args(&ring, args, err)) {
        bool dry = ctl_is_dry_run(args);
        bool ok = (dry || file_make_dir(dir, 0700, err)) && check_unused(&ring, dir, err);
        if (ok && !dry) {
            ok = make_keys(&ring, dir, err) && write_root(&ring, dir, err);
            if (!ok)
                remove_made(&ring, dir);
        }
        code = !ok   ? exit_code_of(err)
               : dry ? print_plan(ctl, &ring, dir)
                     : print_made(ctl, dir, err);
    } else if (err->code != ERR_INVALID && err->code != ERR_NOT_FOUND) {
        code = exit_code_of(err);
    }
    ring_done(&ring);
    return code;
}

static const struct ctl_option make_options[] = {
    {.name = "--role",
     .value = "ROLE=M/N",
     .help = "N keys for root, release, ...; M of them must sign [1/1]",
     .repeats = true},
    {.name = "--key",
     .value = "ROLE=KEY",
     .help = "one of them is there: its public half, or pkcs11:...",
     .repeats = true},
    {.name = "--root-threshold", .value = "M", .help = "the same as --role root=M/N"},
    {.name = "--root-keys", .value = "N", .help = "beside it [the threshold]"},
    {.name = "--version",
     .value = "N",
     .help = "of a fleet that has to begin again: above what terminals have seen [1]"},
    {.name = "--epoch", .value = "N", .help = "likewise [1]"},
    CTL_DRY_RUN,
    {0},
};

const struct ctl_command ctl_keys_make = {
    .words = "keys make",
    .arguments = "DIR",
    .summary = "Make the keys of every role, and the root.bin that names them.",
    .notes =
        "For a fleet whose root keys are held by several people, each makes his own (musterctl\n"
        "keys new) and hands over its public half:\n"
        "  musterctl keys make DIR --role root=2/3 --key root=anna.pub --key root=bert.pub\n"
        "    --key root=carl.pub\n"
        "Two of them then sign DIR/root.bin (musterctl keys sign; with --begin where it has a\n"
        "--version above 1).",
    .options = make_options,
    .argument_count = 1,
    .has_csv = true,
    .run = keys_make,
};
