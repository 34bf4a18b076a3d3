/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"

#include "base/file.h"
#include "fleet/root_view.h"
#include "fleet/signers.h"

#include <string.h>
#include <sys/stat.h>

/* A file that is not there is wrong usage, not something that musterd does not know. */
static int code_of(const struct err *err)
{
    return err->code == ERR_NOT_FOUND ? EXIT_USAGE : exit_code_of(err);
}

/* ---- keys show ---- */

static int keys_show(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    const char *what = args->arguments[0];
    char path[ROOT_PATH_BYTES];
    struct stat status;
    struct root_view view;
    bool is_dir = stat(what, &status) == 0 && S_ISDIR(status.st_mode);
    if (is_dir && !path_join(path, sizeof path, what, "root.bin", err))
        return EXIT_USAGE;
    if (!root_view_read(&view, is_dir ? path : what, ctl_arg(args, "--previous", NULL), err))
        return code_of(err);
    view.keys_dir = is_dir ? what : NULL;
    int code = root_view_print(ctl, &view, err);
    root_view_done(&view);
    return code;
}

static const struct ctl_option show_options[] = {
    {.name = "--previous", .value = "ROOT.BIN", .help = "the root before: what has changed"},
    {0},
};

const struct ctl_command ctl_keys_show = {
    .words = "keys show",
    .arguments = "DIR|ROOT.BIN",
    .summary = "Show the keys of every role that a root names, and which are here.",
    .options = show_options,
    .argument_count = 1,
    .has_csv = true,
    .run = keys_show,
};

/* ---- keys check ---- */

/* Says of a key at hand what it is for, and that its private half really signs. */
static bool check_key(struct ctl *ctl, const struct root_draft *draft, const char *name,
                      bool *ret_named, struct err *err)
{
    struct sign_key *key;
    struct verify_key *public = NULL;
    struct buf sealed = {0};
    if (!signer_open(name, &key, err))
        return false;
    const struct sign_key *keys[] = {key};
    bool ok = seal("check", "", bytes_of("check", 5), keys, 1, true, &sealed, err) &&
              verify_key_of_spki(sign_key_spki(key), &public, err);
    if (ok) {
        size_t role = root_draft_role_of(draft, verify_key_id(public));
        *ret_named = role != 0;
        if (!ctl->json)
            fprintf(ctl->out, "%s %s%s\n", name,
                    role == 0 ? "is not named by this root" : "signs: ", root_role_name(role));
    }
    verify_key_free(public);
    buf_done(&sealed);
    sign_key_free(key);
    return ok;
}

static int check_keys(struct ctl *ctl, const struct ctl_args *args, const struct root_draft *draft,
                      struct err *err)
{
    size_t at = 0;
    int code = EXIT_OK;
    for (const char *name; (name = ctl_arg_next(args, "--key", &at)) != NULL;) {
        bool named = false;
        if (!check_key(ctl, draft, name, &named, err))
            return code_of(err);
        if (!named) {
            err_set(err, ERR_REFUSED, "%s is not a key that this root names", name);
            code = EXIT_NO;
        }
    }
    return code;
}

static int keys_check(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    struct root_view view;
    if (!root_view_read(&view, args->arguments[0], ctl_arg(args, "--previous", NULL), err))
        return code_of(err);
    int code = EXIT_USAGE;
    bool begins = view.draft.version == 1 || ctl_arg(args, "--begin", NULL) != NULL;
    if (!begins && !view.has_previous)
        err_set(err, ERR_INVALID,
                "only the root before this one tells whether it may follow: add --previous "
                "ROOT.BIN; or --begin where it is to follow none");
    else
        code = root_view_print(ctl, &view, err);
    if (code == EXIT_OK && !root_view_complete(&view, err))
        code = EXIT_NO;
    if (code == EXIT_OK)
        code = check_keys(ctl, args, &view.draft, err);
    root_view_done(&view);
    return code;
}

static const struct ctl_option check_options[] = {
    {.name = "--previous", .value = "ROOT.BIN", .help = "the root that it follows"},
    {.name = "--begin", .help = "it follows none: a fleet that begins again (keys make --version)"},
    {.name = "--key",
     .value = "KEY",
     .help = "see that this private key signs, and for which role",
     .repeats = true},
    {0},
};

const struct ctl_command ctl_keys_check = {
    .words = "keys check",
    .arguments = "ROOT.BIN",
    .summary = "Say whether terminals would take a root, and what is missing; 1: they would not.",
    .options = check_options,
    .argument_count = 1,
    .has_csv = true,
    .run = keys_check,
};
