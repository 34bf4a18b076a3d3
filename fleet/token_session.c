/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/token_internal.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_MAX = 64 };

static enum err_code code_of(CK_RV rv)
{
    switch (rv) {
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE:
    case CKR_PIN_LOCKED:
    case CKR_PIN_EXPIRED:
    case CKR_USER_PIN_NOT_INITIALIZED:
    case CKR_USER_NOT_LOGGED_IN:
    case CKR_KEY_FUNCTION_NOT_PERMITTED:
    case CKR_TOKEN_WRITE_PROTECTED:
    case CKR_ATTRIBUTE_SENSITIVE:
        return ERR_REFUSED;
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_DEVICE_REMOVED:
        return ERR_UNAVAILABLE;
    default:
        return ERR_IO;
    }
}

bool token_err(const struct token *token, struct err *err, CK_RV rv, const char *what)
{
    return err_set(err, code_of(rv), "token \"%s\": %s: %s (PKCS#11 error 0x%lx)", token->label,
                   what, p11_kit_strerror(rv), (unsigned long)rv);
}

/* ---- which token ---- */

static bool read_uri(struct token *token, const char *uri, struct err *err)
{
    token->uri = p11_kit_uri_new();
    if (token->uri == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a token");
    int result = p11_kit_uri_parse(uri, P11_KIT_URI_FOR_ANY, token->uri);
    if (result != P11_KIT_URI_OK || p11_kit_uri_any_unrecognized(token->uri))
        return err_set(err, ERR_INVALID, "not a PKCS#11 URI (RFC 7512): %s",
                       result == P11_KIT_URI_OK ? "a part of it is not known here"
                                                : p11_kit_uri_message(result));
    if (p11_kit_uri_get_pin_value(token->uri) != NULL)
        return err_set(
            err, ERR_REFUSED,
            "a PIN on a command line is everybody's: change it, then use pin-source=FILE, "
            "MUSTERCTL_PIN, or wait to be asked");
    if (p11_kit_uri_get_attribute(token->uri, CKA_LABEL) == NULL &&
        p11_kit_uri_get_attribute(token->uri, CKA_ID) == NULL)
        return err_set(err, ERR_INVALID, "the URI names no key: add object=NAME or id=ID");
    return true;
}

static bool load_modules(struct token *token, struct err *err)
{
    const char *path = p11_kit_uri_get_module_path(token->uri);
    if (path == NULL) {
        token->modules = p11_kit_modules_load_and_initialize(0);
        return token->modules != NULL ||
               err_set(err, ERR_IO, "p11-kit loads no module: %s", p11_kit_message());
    }
    token->named = p11_kit_module_load(path, P11_KIT_MODULE_CRITICAL);
    if (token->named == NULL)
        return err_set(err, ERR_NOT_FOUND, "module-path=%s: %s", path, p11_kit_message());
    CK_RV rv = p11_kit_module_initialize(token->named);
    if (rv == CKR_OK)
        return true;
    p11_kit_module_release(token->named);
    token->named = NULL;
    return err_set(err, ERR_IO, "module-path=%s: %s", path, p11_kit_strerror(rv));
}

/* Looks at the tokens of one module; how many fit is added up in `*fit`, the last one is taken. */
static void look_in(struct token *token, CK_FUNCTION_LIST *module, size_t *fit)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG count = SLOTS_MAX;
    CK_INFO about;
    if (module->C_GetInfo(&about) != CKR_OK || !p11_kit_uri_match_module_info(token->uri, &about) ||
        module->C_GetSlotList(CK_TRUE, slots, &count) != CKR_OK)
        return;
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO info;
        if (module->C_GetTokenInfo(slots[i], &info) != CKR_OK ||
            (info.flags & CKF_TOKEN_INITIALIZED) == 0 ||
            !p11_kit_uri_match_token_info(token->uri, &info))
            continue;
        size_t length = p11_kit_space_strlen(info.label, sizeof info.label);
        memcpy(token->label, info.label, length);
        token->label[length] = '\0';
        token->module = module;
        token->slot = slots[i];
        ++*fit;
    }
}

static bool choose(struct token *token, struct err *err)
{
    size_t fit = 0;
    if (token->named != NULL)
        look_in(token, token->named, &fit);
    for (size_t i = 0; token->modules != NULL && token->modules[i] != NULL; i++)
        look_in(token, token->modules[i], &fit);
    if (fit == 0)
        return err_set(err, ERR_NOT_FOUND,
                       "no token here fits: is it plugged in, and does p11-kit know its library "
                       "(`p11-kit list-modules`, or ?module-path=FILE)?");
    return fit == 1 || err_set(err, ERR_INVALID,
                               "%zu tokens here fit: name the one meant by token= or serial=", fit);
}

bool token_open(struct token *token, const char *uri, bool to_write, struct err *err)
{
    *token = (struct token){0};
    if (!read_uri(token, uri, err) || !load_modules(token, err) || !choose(token, err)) {
        token_close(token);
        return false;
    }
    CK_FLAGS flags = CKF_SERIAL_SESSION | (to_write ? CKF_RW_SESSION : 0);
    CK_RV rv = token->module->C_OpenSession(token->slot, flags, NULL, NULL, &token->session);
    if (rv == CKR_OK)
        return true;
    token->session = 0;
    token_err(token, err, rv, "no session");
    token_close(token);
    return false;
}

void token_close(struct token *token)
{
    if (token->session != 0)
        (void)token->module->C_CloseSession(token->session);
    if (token->named != NULL) {
        (void)p11_kit_module_finalize(token->named);
        p11_kit_module_release(token->named);
    }
    if (token->modules != NULL)
        p11_kit_modules_finalize_and_release(token->modules);
    if (token->uri != NULL)
        p11_kit_uri_free(token->uri);
    *token = (struct token){0};
}

/* ---- who may use it ---- */

/* What the token says of the tries that are left. */
static const char *tries_left(const struct token *token)
{
    CK_TOKEN_INFO info;
    if (token->module->C_GetTokenInfo(token->slot, &info) != CKR_OK)
        return "";
    if ((info.flags & CKF_USER_PIN_LOCKED) != 0)
        return "; it is locked now";
    if ((info.flags & CKF_USER_PIN_FINAL_TRY) != 0)
        return "; ONE try is left";
    return (info.flags & CKF_USER_PIN_COUNT_LOW) != 0 ? "; few tries are left" : "";
}

bool token_login(struct token *token, struct err *err)
{
    char pin[TOKEN_PIN_BYTES];
    CK_TOKEN_INFO info;
    CK_RV rv = token->module->C_GetTokenInfo(token->slot, &info);
    if (rv != CKR_OK)
        return token_err(token, err, rv, "no answer");
    if ((info.flags & CKF_LOGIN_REQUIRED) == 0)
        return true;
    if ((info.flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0) {
        rv = token->module->C_Login(token->session, CKU_USER, NULL, 0);
    } else {
        if (!token_pin(token, pin, err))
            return false;
        rv = token->module->C_Login(token->session, CKU_USER, (CK_UTF8CHAR *)pin, strlen(pin));
        OPENSSL_cleanse(pin, sizeof pin);
    }
    if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN)
        return true;
    char what[64];
    (void)snprintf(what, sizeof what, "login%s", tries_left(token));
    return token_err(token, err, rv, what);
}
