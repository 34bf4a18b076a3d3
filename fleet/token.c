/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/token_internal.h"

#include <stdlib.h>
#include <string.h>

/* RFC 8410's SubjectPublicKeyInfo of an Ed25519 key up to its 32 bytes. */
static const uint8_t spki_prefix[12] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                        0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
enum { POINT_BYTES = 32, ID_BYTES_MAX = 128 };

bool token_is_uri(const char *name)
{
    return strncmp(name, "pkcs11:", 7) == 0;
}

/* ---- objects ---- */

static bool find_by(struct token *token, CK_ATTRIBUTE *wanted, CK_ULONG count,
                    CK_OBJECT_HANDLE *ret_object, struct err *err)
{
    CK_OBJECT_HANDLE found[2];
    CK_ULONG found_count = 0;
    CK_RV rv = token->module->C_FindObjectsInit(token->session, wanted, count);
    if (rv == CKR_OK) {
        rv = token->module->C_FindObjects(token->session, found, 2, &found_count);
        (void)token->module->C_FindObjectsFinal(token->session);
    }
    if (rv != CKR_OK)
        return token_err(token, err, rv, "no list of its keys");
    if (found_count == 0)
        return err_set(err, ERR_NOT_FOUND, "token \"%s\" has no such key", token->label);
    if (found_count > 1)
        return err_set(
            err, ERR_INVALID,
            "token \"%s\" has more than one key of that name: say which by id=", token->label);
    *ret_object = found[0];
    return true;
}

bool token_find(struct token *token, CK_OBJECT_CLASS class, CK_OBJECT_HANDLE *ret_object,
                struct err *err)
{
    static const CK_ATTRIBUTE_TYPE named[] = {CKA_LABEL, CKA_ID};
    CK_ATTRIBUTE wanted[3] = {{CKA_CLASS, &class, sizeof class}};
    CK_ULONG count = 1;
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        const CK_ATTRIBUTE *part = p11_kit_uri_get_attribute(token->uri, named[i]);
        if (part != NULL)
            wanted[count++] = *part;
    }
    return find_by(token, wanted, count, ret_object, err);
}

/* The DER OCTET STRING that PKCS#11 asks for, or what some tokens give in its place: the DER BIT
 * STRING of RFC 8410, or the bytes alone. */
static bool point_of(struct bytes value, uint8_t ret_point[POINT_BYTES])
{
    static const uint8_t octets[] = {0x04, 0x20}, bits[] = {0x03, 0x21, 0x00};
    size_t skip = value.length - POINT_BYTES;
    if (value.length < POINT_BYTES ||
        !(skip == 0 || (skip == sizeof octets && memcmp(value.data, octets, skip) == 0) ||
          (skip == sizeof bits && memcmp(value.data, bits, skip) == 0)))
        return false;
    memcpy(ret_point, value.data + skip, POINT_BYTES);
    return true;
}

static bool read_spki(struct token *token, CK_OBJECT_HANDLE object, uint8_t ret_spki[44],
                      struct err *err)
{
    uint8_t point[POINT_BYTES + 16];
    CK_KEY_TYPE type = 0;
    CK_ATTRIBUTE about[] = {{CKA_KEY_TYPE, &type, sizeof type},
                            {CKA_EC_POINT, point, sizeof point}};
    CK_RV rv = token->module->C_GetAttributeValue(token->session, object, about, 1);
    if (rv == CKR_OK && type != CKK_EC_EDWARDS)
        return err_set(err, ERR_INVALID, "token \"%s\": not an Ed25519 key", token->label);
    if (rv == CKR_OK)
        rv = token->module->C_GetAttributeValue(token->session, object, &about[1], 1);
    if (rv == CKR_BUFFER_TOO_SMALL)
        return err_set(err, ERR_INVALID, "token \"%s\": not an Ed25519 key", token->label);
    if (rv != CKR_OK)
        return token_err(token, err, rv, "no public half");
    memcpy(ret_spki, spki_prefix, sizeof spki_prefix);
    return point_of(bytes_of(point, about[1].ulValueLen), ret_spki + sizeof spki_prefix) ||
           err_set(err, ERR_INVALID, "token \"%s\": its public half is not that of an Ed25519 key",
                   token->label);
}

bool token_public(struct token *token, struct verify_key **ret_key, struct err *err)
{
    CK_OBJECT_HANDLE object = 0;
    uint8_t spki[sizeof spki_prefix + POINT_BYTES];
    return token_find(token, CKO_PUBLIC_KEY, &object, err) && read_spki(token, object, spki, err) &&
           verify_key_of_spki(bytes_of(spki, sizeof spki), ret_key, err);
}

/* A URI may name the private half by its own id alone, and people name both halves alike; so the
 * private one's id tells where the public one is, when the URI does not. */
static bool public_of(struct token *token, CK_OBJECT_HANDLE private, uint8_t ret_spki[44],
                      struct err *err)
{
    CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
    uint8_t id[ID_BYTES_MAX];
    CK_OBJECT_HANDLE object = 0;
    CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &class, sizeof class}, {CKA_ID, id, sizeof id}};
    CK_RV rv = token->module->C_GetAttributeValue(token->session, private, &wanted[1], 1);
    bool has_id = rv == CKR_OK && wanted[1].ulValueLen > 0;
    bool found = (has_id && find_by(token, wanted, 2, &object, NULL)) ||
                 token_find(token, CKO_PUBLIC_KEY, &object, err);
    return (found && read_spki(token, object, ret_spki, err)) ||
           err_context(err, "the public half of the key, which belongs beside it");
}

/* ---- signing ---- */

struct token_key {
    struct token token;
    CK_OBJECT_HANDLE private;
};

static bool sign(void *ctx, struct bytes text, uint8_t ret_signature[64], struct err *err)
{
    struct token_key *key = ctx;
    CK_MECHANISM pure = {CKM_EDDSA, NULL, 0};
    CK_ULONG length = 64;
    CK_FUNCTION_LIST *module = key->token.module;
    CK_RV rv = module->C_SignInit(key->token.session, &pure, key->private);
    if (rv == CKR_OK)
        rv = module->C_Sign(key->token.session, (CK_BYTE *)text.data, text.length, ret_signature,
                            &length);
    if (rv != CKR_OK)
        return token_err(&key->token, err, rv, "it does not sign");
    return length == 64 || err_set(err, ERR_IO, "token \"%s\": a signature of %lu bytes",
                                   key->token.label, (unsigned long)length);
}

static void close_key(void *ctx)
{
    struct token_key *key = ctx;
    token_close(&key->token);
    free(key);
}

bool token_sign_key(const char *uri, struct sign_key **ret_key, struct err *err)
{
    uint8_t spki[sizeof spki_prefix + POINT_BYTES];
    struct token_key *key = calloc(1, sizeof *key);
    if (key == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a key");
    struct signer signer = {.sign = sign, .close = close_key, .ctx = key};
    bool ok = token_open(&key->token, uri, false, err) && token_login(&key->token, err) &&
              token_find(&key->token, CKO_PRIVATE_KEY, &key->private, err) &&
              public_of(&key->token, key->private, spki, err) &&
              sign_key_of_signer(bytes_of(spki, sizeof spki), signer, ret_key, err);
    if (!ok)
        close_key(key);
    return ok || err_context(err, "%s", uri);
}

bool token_verify_key(const char *uri, struct verify_key **ret_key, struct err *err)
{
    struct token token;
    struct err first = {0};
    if (!token_open(&token, uri, false, err))
        return err_context(err, "%s", uri);
    bool ok = token_public(&token, ret_key, &first);
    /* Some tokens show nothing to strangers. */
    if (!ok && first.code == ERR_NOT_FOUND)
        ok = token_login(&token, err) && token_public(&token, ret_key, err);
    else if (!ok && err != NULL)
        *err = first;
    token_close(&token);
    return ok || err_context(err, "%s", uri);
}
