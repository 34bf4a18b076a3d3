/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"

#include "base/file.h"
#include "fleet/root_view.h"
#include "fleet/signers.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- the changes, as the options name them ---- */

/* "release=REST"; REST stays in `text`. */
static bool split(const char *text, size_t *ret_role, const char **ret_rest, struct err *err)
{
    char name[16];
    size_t length = strcspn(text, "=");
    if (text[length] != '=' || length >= sizeof name)
        return err_set(err, ERR_INVALID, "%.60s: expected ROLE=...", text);
    (void)snprintf(name, sizeof name, "%.*s", (int)length, text);
    *ret_rest = text + length + 1;
    return root_role_of(name, ret_role, err);
}

static bool add_key(struct root_draft *draft, const char *text, struct err *err)
{
    size_t role = 0;
    const char *name = "";
    struct verify_key *key = NULL;
    bool ok = split(text, &role, &name, err) && signer_public(name, &key, err) &&
              root_draft_add(draft, role, key, err);
    verify_key_free(key);
    return ok;
}

/* An id as `keys show` prints it, or a key at hand. */
static bool id_of(const char *name, uint8_t ret_id[KEY_ID_BYTES], struct err *err)
{
    struct verify_key *key = NULL;
    if (hex_decode(name, strlen(name), ret_id, KEY_ID_BYTES))
        return true;
    if (!signer_public(name, &key, err))
        return false;
    memcpy(ret_id, verify_key_id(key), KEY_ID_BYTES);
    verify_key_free(key);
    return true;
}

static bool remove_key(struct root_draft *draft, const char *text, struct err *err)
{
    size_t role = 0;
    const char *name = "";
    uint8_t id[KEY_ID_BYTES];
    return split(text, &role, &name, err) && id_of(name, id, err) &&
           root_draft_remove(draft, role, id, err);
}

static bool set_threshold(struct root_draft *draft, const char *text, struct err *err)
{
    size_t role = 0;
    const char *number = "";
    char *end;
    if (!split(text, &role, &number, err))
        return false;
    unsigned long threshold = strtoul(number, &end, 10);
    if (end == number || *end != '\0' || threshold == 0 || threshold > ENVELOPE_SIGNATURES)
        return err_set(err, ERR_INVALID, "--threshold %.60s: expected like root=2", text);
    draft->roles[role].threshold = threshold;
    return true;
}

static bool apply_each(struct root_draft *draft, const struct ctl_args *args, const char *option,
                       bool (*apply)(struct root_draft *draft, const char *text, struct err *err),
                       struct err *err)
{
    size_t at = 0;
    for (const char *text; (text = ctl_arg_next(args, option, &at)) != NULL;)
        if (!apply(draft, text, err))
            return err_context(err, "%s", option);
    return true;
}

/* ---- writing the next root ---- */

static int write_next(struct ctl *ctl, struct root_view *view, const struct ctl_args *args,
                      struct err *err)
{
    const char *path = args->arguments[1];
    bool dry = ctl_is_dry_run(args);
    if (!root_draft_check(&view->draft, err) ||
        !root_draft_follows(&view->draft, &view->previous, err) || !root_view_pack(view, err))
        return exit_code_of(err);
    if (file_exists(path)) {
        err_set(err, ERR_CONFLICT, "%s exists; it is never overwritten", path);
        return EXIT_INPUT;
    }
    if (!dry && !file_write(path, buf_bytes(&view->envelope), 0644, err))
        return exit_code_of(err);
    int code = root_view_print(ctl, view, err);
    if (dry)
        ctl_say_dry_run(ctl);
    else if (!ctl->json)
        fprintf(ctl->out,
                "\n%s is to be signed by enough of the root keys in force, and of its own:\n"
                "  musterctl keys sign %s --previous %s --key KEY\n",
                path, path, args->arguments[0]);
    return code;
}

/* Reads the root in force, has it changed, and writes what comes out. */
static int next_root(struct ctl *ctl, const struct ctl_args *args,
                     bool (*change)(struct root_draft *draft, const struct ctl_args *args,
                                    struct err *err),
                     struct err *err)
{
    struct root_view view;
    if (!root_view_next(&view, args->arguments[0], clock_wall_ms(ctl->clock), err))
        return err->code == ERR_NOT_FOUND ? EXIT_USAGE : exit_code_of(err);
    int code = EXIT_USAGE;
    if (change(&view.draft, args, err))
        code = write_next(ctl, &view, args, err);
    else if (err->code != ERR_INVALID && err->code != ERR_NOT_FOUND)
        code = exit_code_of(err);
    root_view_done(&view);
    return code;
}

/* ---- keys rotate ---- */

static bool rotate(struct root_draft *draft, const struct ctl_args *args, struct err *err)
{
    if (ctl_arg(args, "--raise-epoch", NULL) != NULL)
        draft->epoch++;
    return apply_each(draft, args, "--remove", remove_key, err) &&
           apply_each(draft, args, "--add", add_key, err) &&
           apply_each(draft, args, "--threshold", set_threshold, err);
}

static int keys_rotate(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    return next_root(ctl, args, rotate, err);
}

static const struct ctl_option rotate_options[] = {
    {.name = "--add",
     .value = "ROLE=KEY",
     .help = "a public half's file, or pkcs11:...",
     .repeats = true},
    {.name = "--remove", .value = "ROLE=KEY", .help = "the same, or its id", .repeats = true},
    {.name = "--threshold",
     .value = "ROLE=M",
     .help = "so many of its keys must sign",
     .repeats = true},
    {.name = "--raise-epoch", .help = "what was signed before counts no more"},
    CTL_DRY_RUN,
    {0},
};

const struct ctl_command ctl_keys_rotate = {
    .words = "keys rotate",
    .arguments = "ROOT.BIN NEXT.BIN",
    .summary = "Write the root that is to follow one, with other keys; nobody has signed it yet.",
    .options = rotate_options,
    .argument_count = 2,
    .has_csv = true,
    .run = keys_rotate,
};

/* ---- keys revoke ---- */

/* Whether a thief of the key may have signed what outlives it: numbers so high that nothing of ours
 * is above them. Another epoch begins them anew. */
static bool outlives(size_t role)
{
    return role == MUSTER__ROLE__ROLE_RELEASE || role == MUSTER__ROLE__ROLE_CUSTODIAN ||
           role == MUSTER__ROLE__ROLE_DIRECTOR;
}

struct revoked {
    bool stolen, raise;
    size_t root_keys;
};

static bool revoke_one(struct root_draft *draft, const char *name, struct revoked *revoked,
                       struct err *err)
{
    uint8_t id[KEY_ID_BYTES];
    if (!id_of(name, id, err))
        return false;
    size_t role = root_draft_role_of(draft, id);
    if (role == 0)
        return err_set(err, ERR_NOT_FOUND, "--key %s: root %" PRIu64 " names no such key", name,
                       draft->version - 1);
    revoked->raise = revoked->raise || (revoked->stolen && outlives(role));
    revoked->root_keys += role == MUSTER__ROLE__ROLE_ROOT;
    return root_draft_remove(draft, role, id, err);
}

/* Whoever has as many as sign a root signs the next one himself, and terminals keep whichever
 * reaches them first: no root that follows takes that back. */
static bool check_root_keys(const struct root_draft *draft, const struct revoked *revoked,
                            struct err *err)
{
    const size_t threshold = draft->roles[MUSTER__ROLE__ROLE_ROOT].threshold;
    if (!revoked->stolen || revoked->root_keys < threshold)
        return true;
    return err_set(err, ERR_REFUSED,
                   "%zu root keys are stolen, and %zu sign a root: the thief signs what follows as "
                   "well as you do. Begin again, above it: musterctl keys make --version --epoch, "
                   "musterd --begin-roots",
                   revoked->root_keys, threshold);
}

static bool revoke(struct root_draft *draft, const struct ctl_args *args, struct err *err)
{
    struct revoked revoked = {.stolen = ctl_arg(args, "--stolen", NULL) != NULL};
    size_t at = 0;
    if (revoked.stolen == (ctl_arg(args, "--lost", NULL) != NULL))
        return err_set(err, ERR_INVALID,
                       "say --stolen if somebody else may have the key, --lost if nobody has");
    for (const char *name; (name = ctl_arg_next(args, "--key", &at)) != NULL;)
        if (!revoke_one(draft, name, &revoked, err))
            return false;
    if (!check_root_keys(draft, &revoked, err))
        return false;
    if (revoked.raise)
        draft->epoch++;
    return apply_each(draft, args, "--add", add_key, err) &&
           apply_each(draft, args, "--threshold", set_threshold, err);
}

static int keys_revoke(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    return next_root(ctl, args, revoke, err);
}

static const struct ctl_option revoke_options[] = {
    {.name = "--key",
     .value = "KEY",
     .help = "the key's id as `keys show` prints it, or its file",
     .repeats = true,
     .required = true},
    {.name = "--stolen",
     .help = "somebody else may have it: the epoch rises where that undoes harm"},
    {.name = "--lost", .help = "nobody has it any more: only the key goes"},
    {.name = "--add", .value = "ROLE=KEY", .help = "what takes its place", .repeats = true},
    {.name = "--threshold",
     .value = "ROLE=M",
     .help = "so many of its keys must sign",
     .repeats = true},
    CTL_DRY_RUN,
    {0},
};

const struct ctl_command ctl_keys_revoke = {
    .words = "keys revoke",
    .arguments = "ROOT.BIN NEXT.BIN",
    .summary = "Write the root that takes a lost or stolen key out of every role.",
    .notes =
        "A stolen release, custodian or director key raises the epoch: what was signed before, by\n"
        "whomever, counts no more, terminals keep what they hold, and every document is signed\n"
        "again. A root key below its threshold, or a receipt key, needs no new epoch; as many "
        "root\n"
        "keys as sign a root cannot be revoked: the fleet begins again (musterd --begin-roots).",
    .options = revoke_options,
    .argument_count = 2,
    .has_csv = true,
    .run = keys_revoke,
};
