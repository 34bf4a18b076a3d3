/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/token_internal.h"

#include <openssl/rand.h>
#include <string.h>

enum { ID_BYTES = 8 };

/* A second key of the name would leave nobody able to say which one a root means. */
static bool check_unused(struct token *token, struct err *err)
{
    static const CK_OBJECT_CLASS classes[] = {CKO_PRIVATE_KEY, CKO_PUBLIC_KEY};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        CK_OBJECT_HANDLE object = 0;
        struct err found = {0};
        if (token_find(token, classes[i], &object, &found) || found.code == ERR_INVALID)
            return err_set(err, ERR_CONFLICT,
                           "token \"%s\" has a key of that name; keys are never overwritten",
                           token->label);
        if (found.code != ERR_NOT_FOUND) {
            if (err != NULL)
                *err = found;
            return false;
        }
    }
    return true;
}

static bool generate(struct token *token, CK_ATTRIBUTE label, CK_ATTRIBUTE id, struct err *err)
{
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_BYTE ed25519[] = {0x06, 0x03, 0x2b, 0x65, 0x70}; /* RFC 8410's OID, DER */
    CK_ATTRIBUTE public[] = {{CKA_EC_PARAMS, ed25519, sizeof ed25519},
                             {CKA_TOKEN, &yes, sizeof yes},
                             {CKA_PRIVATE, &no, sizeof no},
                             {CKA_VERIFY, &yes, sizeof yes},
                             label,
                             id};
    CK_ATTRIBUTE private[] = {{CKA_TOKEN, &yes, sizeof yes},
                              {CKA_PRIVATE, &yes, sizeof yes},
                              {CKA_SENSITIVE, &yes, sizeof yes},
                              {CKA_EXTRACTABLE, &no, sizeof no},
                              {CKA_SIGN, &yes, sizeof yes},
                              label,
                              id};
    CK_MECHANISM pair = {CKM_EC_EDWARDS_KEY_PAIR_GEN, NULL, 0};
    CK_OBJECT_HANDLE public_half, private_half;
    CK_RV rv = token->module->C_GenerateKeyPair(
        token->session, &pair, public, sizeof public / sizeof *public, private,
        sizeof private / sizeof *private, &public_half, &private_half);
    return rv == CKR_OK || token_err(token, err, rv, "it makes no Ed25519 key");
}

static bool check_named(const struct token *token, struct err *err)
{
    return p11_kit_uri_get_attribute(token->uri, CKA_LABEL) != NULL ||
           err_set(err, ERR_INVALID, "the URI gives the new key no name: add object=NAME");
}

static bool make(struct token *token, struct err *err)
{
    uint8_t fresh[ID_BYTES];
    CK_ATTRIBUTE id = {CKA_ID, fresh, sizeof fresh};
    const CK_ATTRIBUTE *label = p11_kit_uri_get_attribute(token->uri, CKA_LABEL);
    const CK_ATTRIBUTE *given = p11_kit_uri_get_attribute(token->uri, CKA_ID);
    if (!check_named(token, err))
        return false;
    if (given != NULL)
        id = *given;
    else if (RAND_bytes(fresh, sizeof fresh) != 1)
        return err_set(err, ERR_IO, "no random bytes");
    return generate(token, *label, id, err);
}

bool token_may_make_key(const char *uri, struct err *err)
{
    struct token token;
    if (!token_open(&token, uri, false, err))
        return err_context(err, "%s", uri);
    bool ok = token_login(&token, err) && check_unused(&token, err) && check_named(&token, err);
    token_close(&token);
    return ok || err_context(err, "%s", uri);
}

bool token_make_key(const char *uri, struct verify_key **ret_key, struct err *err)
{
    struct token token;
    if (!token_open(&token, uri, true, err))
        return err_context(err, "%s", uri);
    bool ok = token_login(&token, err) && check_unused(&token, err) && make(&token, err) &&
              token_public(&token, ret_key, err);
    token_close(&token);
    return ok || err_context(err, "%s", uri);
}
