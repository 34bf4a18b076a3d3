/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/signers.h"

#include "fleet/token.h"

bool signer_open(const char *name, struct sign_key **ret_key, struct err *err)
{
    return token_is_uri(name) ? token_sign_key(name, ret_key, err)
                              : sign_key_read(name, ret_key, err);
}

bool signer_public(const char *name, struct verify_key **ret_key, struct err *err)
{
    return token_is_uri(name) ? token_verify_key(name, ret_key, err)
                              : verify_key_read(name, ret_key, err);
}

static bool add(struct signers *signers, const char *name, struct err *err)
{
    struct sign_key *key;
    if (signers->count == ENVELOPE_SIGNATURES)
        return err_set(err, ERR_INVALID, "%d keys are the most that can sign", ENVELOPE_SIGNATURES);
    if (!signer_open(name, &key, err))
        return false;
    for (size_t i = 0; i < signers->count; i++) {
        if (bytes_equal(sign_key_spki(signers->keys[i]), sign_key_spki(key))) {
            sign_key_free(key);
            return err_set(err, ERR_INVALID, "%s: the same key twice counts once", name);
        }
    }
    signers->keys[signers->count++] = key;
    return true;
}

bool signers_open(const struct ctl_args *args, const char *option, struct signers *ret_signers,
                  struct err *err)
{
    struct signers signers = {.count = 0};
    size_t at = 0;
    for (const char *name; (name = ctl_arg_next(args, option, &at)) != NULL;) {
        if (!add(&signers, name, err)) {
            signers_done(&signers);
            return err_context(err, "%s", option);
        }
    }
    *ret_signers = signers;
    return true;
}

void signers_done(struct signers *signers)
{
    for (size_t i = 0; i < signers->count; i++)
        sign_key_free(signers->keys[i]);
    signers->count = 0;
}
