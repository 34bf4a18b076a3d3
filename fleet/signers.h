/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_SIGNERS_H
#define FLEET_SIGNERS_H

#include "fleet/ctl_args.h"
#include "proto/envelope.h"
#include "proto/seal.h"

/* Keys as people name them on a command line: the path of a PEM file, or the PKCS#11 URI of a key
 * on a token (fleet/token.h). A file that is not there is ERR_NOT_FOUND. */
bool signer_open(const char *name, struct sign_key **ret_key, struct err *err) MUSTER_CHECK;
/* The public half; a PEM file may hold it alone. */
bool signer_public(const char *name, struct verify_key **ret_key, struct err *err) MUSTER_CHECK;

/* All keys that an option names, each a different one. */
struct signers {
    struct sign_key *keys[ENVELOPE_SIGNATURES];
    size_t count;
};
bool signers_open(const struct ctl_args *args, const char *option, struct signers *ret_signers,
                  struct err *err) MUSTER_CHECK;
void signers_done(struct signers *signers);
/* The option of the commands that cannot do without. */
#define SIGNERS_KEY_OPTION                                                                         \
    {                                                                                              \
        .name = "--key", .value = "KEY",                                                           \
        .help = "what signs: a private key's file, or pkcs11:...", .repeats = true,                \
        .required = true                                                                           \
    }
/* As seal() and seal_add() take them. */
static inline const struct sign_key *const *signers_keys(const struct signers *signers)
{
    return (const struct sign_key *const *)signers->keys;
}

#endif
