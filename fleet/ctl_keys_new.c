/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"

#include "base/file.h"
#include "fleet/token.h"

#include <string.h>

static bool make(const char *name, struct verify_key **ret_key, struct err *err)
{
    if (token_is_uri(name))
        return token_make_key(name, ret_key, err);
    struct sign_key *key;
    if (!sign_key_make(name, &key, err))
        return false;
    bool ok = verify_key_of_spki(sign_key_spki(key), ret_key, err);
    sign_key_free(key);
    return ok;
}

static int print_made(struct ctl *ctl, const char *name, const struct verify_key *key,
                      struct bytes pem, const char *file, struct err *err)
{
    char id[2 * KEY_ID_BYTES + 1];
    hex_encode(verify_key_id(key), KEY_ID_BYTES, id);
    if (ctl->json) {
        json_t *shown = json_pack("{s:s, s:s, s:s%}", "key", name, "id", id, "public",
                                  (const char *)pem.data, pem.length);
        int code = ctl_print_json(ctl, shown, err);
        json_decref(shown);
        return code;
    }
    fprintf(ctl->out, "Made %s, id %s.\n", name, id);
    if (file != NULL)
        fprintf(ctl->out, "Its public half is in %s.\n", file);
    else
        fprintf(ctl->out, "Its public half:\n%.*s", (int)pem.length, (const char *)pem.data);
    return EXIT_OK;
}

static int make_and_print(struct ctl *ctl, const char *name, const char *file, struct err *err)
{
    struct verify_key *key = NULL;
    struct buf pem = {0};
    int code = EXIT_OK;
    if (!make(name, &key, err) || !verify_key_pem(key, &pem, err) ||
        (file != NULL && !file_write(file, buf_bytes(&pem), 0644, err)))
        code = exit_code_of(err);
    else
        code = print_made(ctl, name, key, buf_bytes(&pem), file, err);
    verify_key_free(key);
    buf_done(&pem);
    return code;
}

static int keys_new(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    const char *name = args->arguments[0], *file = ctl_arg(args, "--public", NULL);
    if (file != NULL && file_exists(file)) {
        err_set(err, ERR_CONFLICT, "%s exists; it is never overwritten", file);
        return EXIT_INPUT;
    }
    if (!ctl_is_dry_run(args))
        return make_and_print(ctl, name, file, err);
    if (token_is_uri(name) && !token_may_make_key(name, err))
        return exit_code_of(err);
    if (!token_is_uri(name) && file_exists(name)) {
        err_set(err, ERR_CONFLICT, "%s exists; keys are never overwritten", name);
        return EXIT_INPUT;
    }
    ctl_say_dry_run(ctl);
    return EXIT_OK;
}

static const struct ctl_option options[] = {
    {.name = "--public", .value = "FILE", .help = "where its public half goes [printed]"},
    CTL_DRY_RUN,
    {0},
};

const struct ctl_command ctl_keys_new = {
    .words = "keys new",
    .arguments = "KEY",
    .summary = "Make one key, in a file or on a token, and hand out its public half.",
    .notes = "KEY is a file's path, or the URI of a key on a PKCS#11 token, which never gives its\n"
             "private half away: pkcs11:token=NAME;object=NAME[?pin-source=FILE]. The PIN comes\n"
             "from that file, from $MUSTERCTL_PIN, or is asked for; never from the command line.",
    .options = options,
    .argument_count = 1,
    .run = keys_new,
};
