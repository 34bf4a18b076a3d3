/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"

#include "base/file.h"
#include "fleet/root_view.h"
#include "fleet/signers.h"

#include <inttypes.h>
#include <string.h>

/* A root lifts what terminals hold for the earliest possible time; each signer's clock bears
 * witness that it does not lift it into the future. */
enum { AHEAD_MS = 24 * 60 * 60 * 1000 };

static bool check_time(const struct ctl *ctl, const struct root_draft *draft, struct err *err)
{
    char made[32], now[32];
    int64_t now_ms = clock_wall_ms(ctl->clock);
    if (draft->issued_ms <= now_ms + AHEAD_MS)
        return true;
    clock_format(draft->issued_ms, made);
    clock_format(now_ms, now);
    return err_set(err, ERR_REFUSED,
                   "it says that it was made at %s, and here it is %s: terminals would take that "
                   "for proved time. Set the clock that is wrong; make the root again if it was "
                   "that one",
                   made, now);
}

static bool may_sign(const struct root_view *view, const struct sign_key *key, struct err *err)
{
    const size_t root = MUSTER__ROLE__ROLE_ROOT;
    struct verify_key *public = NULL;
    char id[2 * KEY_ID_BYTES + 1];
    if (!verify_key_of_spki(sign_key_spki(key), &public, err))
        return false;
    hex_encode(verify_key_id(public), KEY_ID_BYTES, id);
    bool may = root_draft_role_of(&view->draft, verify_key_id(public)) == root ||
               root_draft_role_of(&view->previous, verify_key_id(public)) == root;
    verify_key_free(public);
    return may || err_set(err, ERR_REFUSED,
                          "%s is no root key of this root or of the one before: its signature "
                          "would count for nothing",
                          id);
}

/* ---- the signatures ---- */

static bool add_signatures(struct root_view *view, const struct signers *signers, struct err *err)
{
    struct buf sealed = {0};
    for (size_t i = 0; i < signers->count; i++)
        if (!may_sign(view, signers->keys[i], err))
            return false;
    if (!seal_add("root", "", buf_bytes(&view->envelope), signers_keys(signers), signers->count,
                  &sealed, err)) {
        buf_done(&sealed);
        return false;
    }
    buf_done(&view->envelope);
    view->envelope = sealed;
    return true;
}

/* Takes over the signatures that a copy of the same root has gathered elsewhere. */
static bool merge(struct root_view *view, const char *path, const char *previous, struct err *err)
{
    struct root_view other;
    if (!root_view_read(&other, path, previous, err))
        return false;
    bool ok = root_view_merge(view, &other, err) || err_context(err, "%s", path);
    root_view_done(&other);
    return ok;
}

static bool merge_all(struct root_view *view, const struct ctl_args *args, struct err *err)
{
    size_t at = 0;
    for (const char *path; (path = ctl_arg_next(args, "--merge", &at)) != NULL;)
        if (!merge(view, path, ctl_arg(args, "--previous", NULL), err))
            return false;
    return true;
}

/* ---- keys sign ---- */

static int sign_view(struct ctl *ctl, struct root_view *view, const struct ctl_args *args,
                     struct err *err)
{
    const char *path = args->arguments[0];
    struct signers signers = {.count = 0};
    bool dry = ctl_is_dry_run(args);
    bool ok = check_time(ctl, &view->draft, err) && merge_all(view, args, err) &&
              signers_open(args, "--key", &signers, err) && add_signatures(view, &signers, err) &&
              (dry || file_write(path, buf_bytes(&view->envelope), 0644, err));
    signers_done(&signers);
    if (!ok)
        return err->code == ERR_NOT_FOUND ? EXIT_USAGE : exit_code_of(err);
    int code = root_view_print(ctl, view, err);
    if (dry)
        ctl_say_dry_run(ctl);
    else if (code == EXIT_OK && !ctl->json && root_view_complete(view, NULL))
        fprintf(ctl->out,
                ctl_arg(args, "--previous", NULL) == NULL
                    ? "\nIt is complete: give it to musterd and to the terminals.\n"
                    : "\nIt is complete: musterctl root publish %s\n",
                path);
    return code;
}

static int keys_sign(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    struct root_view view;
    const char *previous = ctl_arg(args, "--previous", NULL);
    if (ctl_arg(args, "--key", NULL) == NULL && ctl_arg(args, "--merge", NULL) == NULL) {
        err_set(err, ERR_INVALID, "nothing to sign with: add --key KEY, or --merge FILE");
        return EXIT_USAGE;
    }
    if (!root_view_read(&view, args->arguments[0], previous, err))
        return err->code == ERR_NOT_FOUND ? EXIT_USAGE : exit_code_of(err);
    int code = EXIT_USAGE;
    bool begins = view.draft.version == 1 || ctl_arg(args, "--begin", NULL) != NULL;
    if (previous == NULL && !begins)
        err_set(err, ERR_INVALID,
                "nobody should sign a root without seeing what it changes: add --previous "
                "ROOT.BIN, the one in force; or --begin where it is to follow none");
    else
        code = sign_view(ctl, &view, args, err);
    root_view_done(&view);
    return code;
}

static const struct ctl_option options[] = {
    {.name = "--key",
     .value = "KEY",
     .help = "a root key: its file, or pkcs11:...",
     .repeats = true},
    {.name = "--previous", .value = "ROOT.BIN", .help = "the root in force, which it follows"},
    {.name = "--begin", .help = "it follows none: a fleet that begins again (keys make --version)"},
    {.name = "--merge",
     .value = "FILE",
     .help = "take over the signatures of a copy that others have signed",
     .repeats = true},
    CTL_DRY_RUN,
    {0},
};

const struct ctl_command ctl_keys_sign = {
    .words = "keys sign",
    .arguments = "ROOT.BIN",
    .summary = "Show what a root changes, and add the signatures of root keys to its file.",
    .options = options,
    .argument_count = 1,
    .has_csv = true,
    .run = keys_sign,
};
