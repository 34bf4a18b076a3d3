/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/keytoken.h"

#include "agent/tr31.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLOTS_MAX = 64, PIN_BYTES = 256 };

static bool token_err(struct err *err, CK_RV rv, const char *what)
{
    bool refused = rv == CKR_PIN_INCORRECT || rv == CKR_PIN_LOCKED || rv == CKR_PIN_EXPIRED ||
                   rv == CKR_USER_PIN_NOT_INITIALIZED;
    return err_set(err, refused ? ERR_UNAVAILABLE : ERR_IO, "token: %s: %s (PKCS#11 error 0x%lx)",
                   what, p11_kit_strerror(rv), (unsigned long)rv);
}

bool keytoken_says_of_key(CK_RV rv)
{
    static const CK_RV of_key[] = {
        CKR_ATTRIBUTE_READ_ONLY,      CKR_ATTRIBUTE_TYPE_INVALID,     CKR_ATTRIBUTE_VALUE_INVALID,
        CKR_TEMPLATE_INCOMPLETE,      CKR_TEMPLATE_INCONSISTENT,      CKR_KEY_SIZE_RANGE,
        CKR_KEY_TYPE_INCONSISTENT,    CKR_WRAPPED_KEY_INVALID,        CKR_WRAPPED_KEY_LEN_RANGE,
        CKR_MECHANISM_INVALID,        CKR_MECHANISM_PARAM_INVALID,    CKR_ENCRYPTED_DATA_INVALID,
        CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_KEY_FUNCTION_NOT_PERMITTED,
    };
    for (size_t i = 0; i < sizeof of_key / sizeof *of_key; i++)
        if (rv == of_key[i])
            return true;
    return false;
}

/* ---- the file of the PIN ---- */

static bool pin_is_private(int fd, const char *path, struct err *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return err_errno(err, errno, "%s", path);
    return (status.st_mode & 077) == 0 ||
           err_set(err, ERR_UNAVAILABLE,
                   "%s: a PIN that others may read (mode %03o): change the PIN, and give its file "
                   "mode 0600",
                   path, (unsigned)(status.st_mode & 0777));
}

bool keytoken_pin_check(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "%s", path);
    bool ok = pin_is_private(fd, path, err);
    (void)close(fd);
    return ok;
}

/* A loader that outlived its agent is waited for: two at once would leave two keys. */
static bool pin_open(struct keytoken *token, const char *path, struct err *err)
{
    token->pin = open(path, O_RDONLY | O_CLOEXEC);
    if (token->pin < 0)
        return errno == ENOENT || err_errno(err, errno, "the token's PIN: %s", path);
    if (!pin_is_private(token->pin, path, err))
        return false;
    while (flock(token->pin, LOCK_EX) != 0)
        if (errno != EINTR)
            return err_errno(err, errno, "the token's PIN: %s cannot be locked", path);
    return true;
}

/* ---- the session ---- */

static bool choose(struct keytoken *token, const char *label, CK_SLOT_ID *ret_slot, struct err *err)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG count = SLOTS_MAX;
    CK_RV rv = token->module->C_GetSlotList(CK_TRUE, slots, &count);
    if (rv != CKR_OK)
        return token_err(err, rv, "no list of slots");
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO info;
        if (token->module->C_GetTokenInfo(slots[i], &info) != CKR_OK)
            continue;
        size_t length = p11_kit_space_strlen(info.label, sizeof info.label);
        if (length == strlen(label) && memcmp(info.label, label, length) == 0) {
            *ret_slot = slots[i];
            return true;
        }
    }
    return err_set(err, ERR_UNAVAILABLE, "no token here has the label \"%.32s\"", label);
}

static bool login_with(struct keytoken *token, const char *pin_file, struct err *err)
{
    uint8_t pin[PIN_BYTES];
    if (token->pin < 0)
        return err_set(err, ERR_UNAVAILABLE, "the token's PIN: there is no %s", pin_file);
    ssize_t n = pread(token->pin, pin, sizeof pin, 0);
    if (n < 0)
        return err_errno(err, errno, "the token's PIN: %s", pin_file);
    size_t length = 0;
    while (length < (size_t)n && pin[length] != '\n' && pin[length] != '\r')
        length++;
    CK_RV rv = token->module->C_Login(token->session, CKU_USER, pin, length);
    OPENSSL_cleanse(pin, sizeof pin);
    return rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN || token_err(err, rv, "login");
}

static bool login(struct keytoken *token, CK_SLOT_ID slot, const char *pin_file, struct err *err)
{
    CK_TOKEN_INFO info;
    CK_RV rv = token->module->C_GetTokenInfo(slot, &info);
    if (rv != CKR_OK)
        return token_err(err, rv, "no answer");
    if ((info.flags & CKF_LOGIN_REQUIRED) == 0)
        return true;
    if ((info.flags & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED)) != 0)
        return err_set(err, ERR_UNAVAILABLE,
                       "a login to the token has failed before, and it locks itself: put the right "
                       "PIN in place and log in once by hand");
    return login_with(token, pin_file, err);
}

static bool module_load(struct keytoken *token, const char *module, struct err *err)
{
    token->module = p11_kit_module_load(module, P11_KIT_MODULE_CRITICAL);
    if (token->module == NULL)
        return err_set(err, ERR_UNAVAILABLE, "%s: %s", module, p11_kit_message());
    CK_RV rv = p11_kit_module_initialize(token->module);
    token->loaded = rv == CKR_OK;
    if (token->loaded)
        return true;
    p11_kit_module_release(token->module);
    return token_err(err, rv, "it does not start");
}

bool keytoken_open(struct keytoken *token, const char *module, const char *label,
                   const char *pin_file, struct err *err)
{
    CK_SLOT_ID slot = 0;
    *token = (struct keytoken){.pin = -1};
    bool ok = pin_open(token, pin_file, err) && module_load(token, module, err) &&
              choose(token, label, &slot, err);
    if (ok) {
        CK_RV rv = token->module->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL,
                                                NULL, &token->session);
        token->open = rv == CKR_OK;
        ok = token->open || token_err(err, rv, "no session");
    }
    ok = ok && login(token, slot, pin_file, err);
    if (!ok)
        keytoken_close(token);
    return ok;
}

void keytoken_close(struct keytoken *token)
{
    if (token->open)
        (void)token->module->C_CloseSession(token->session);
    if (token->loaded) {
        (void)p11_kit_module_finalize(token->module);
        p11_kit_module_release(token->module);
    }
    if (token->pin >= 0)
        (void)close(token->pin);
    *token = (struct keytoken){.pin = -1};
}

/* ---- keys that are there ---- */

bool keytoken_find(struct keytoken *token, const char *label, struct keytoken_found *ret_found,
                   struct err *err)
{
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE wanted[] = {
        {CKA_CLASS, &class, sizeof class},
        {CKA_TOKEN, &yes, sizeof yes},
        {CKA_LABEL, (void *)(uintptr_t)label, label != NULL ? strlen(label) : 0}};
    CK_ULONG more = 1;
    CK_RV rv = token->module->C_FindObjectsInit(token->session, wanted, label != NULL ? 3 : 2);
    const bool begun = rv == CKR_OK;
    ret_found->count = 0;
    while (rv == CKR_OK && more > 0 && ret_found->count < KEYTOKEN_OBJECTS) {
        rv = token->module->C_FindObjects(token->session, ret_found->objects + ret_found->count,
                                          KEYTOKEN_OBJECTS - ret_found->count, &more);
        ret_found->count += rv == CKR_OK ? more : 0;
    }
    if (begun)
        (void)token->module->C_FindObjectsFinal(token->session);
    if (rv != CKR_OK)
        return token_err(err, rv, "no list of its keys");
    return ret_found->count < KEYTOKEN_OBJECTS ||
           err_set(err, ERR_FULL, "the token has %d secret keys or more: too many to look through",
                   KEYTOKEN_OBJECTS);
}

/* 0: not a key for blocks of this version. */
static size_t length_for(struct keytoken *token, CK_OBJECT_HANDLE key, char version)
{
    CK_KEY_TYPE type = 0;
    CK_ULONG length = 0;
    CK_ATTRIBUTE about = {CKA_KEY_TYPE, &type, sizeof type};
    CK_ATTRIBUTE value = {CKA_VALUE_LEN, &length, sizeof length};
    if (token->module->C_GetAttributeValue(token->session, key, &about, 1) != CKR_OK)
        return 0;
    if (version == 'B')
        return type == CKK_DES2 ? 16 : type == CKK_DES3 ? 24 : 0;
    if (version != 'D' || type != CKK_AES ||
        token->module->C_GetAttributeValue(token->session, key, &value, 1) != CKR_OK)
        return 0;
    return length;
}

bool keytoken_protection(struct keytoken *token, const char *label, char version,
                         CK_OBJECT_HANDLE *ret_key, size_t *ret_length, struct err *err)
{
    struct keytoken_found found;
    size_t fit = 0;
    if (!keytoken_find(token, label, &found, err))
        return false;
    for (size_t i = 0; i < found.count; i++) {
        size_t length = length_for(token, found.objects[i], version);
        if (length == 0)
            continue;
        *ret_key = found.objects[i];
        *ret_length = length;
        fit++;
    }
    return fit == 1 || err_set(err, ERR_UNAVAILABLE,
                               "the token has %zu protection keys \"%.32s\" for blocks of version "
                               "%c, and exactly one is needed",
                               fit, label, version);
}

bool keytoken_destroy(struct keytoken *token, CK_OBJECT_HANDLE key, struct err *err)
{
    CK_RV rv = token->module->C_DestroyObject(token->session, key);
    return rv == CKR_OK || token_err(err, rv, "a key cannot be removed");
}

/* ---- CMAC by the protection key ---- */

struct encrypting {
    struct keytoken *token;
    CK_OBJECT_HANDLE key;
};

static bool encrypt_block(void *ctx, const uint8_t *in, uint8_t *out, size_t block, struct err *err)
{
    const struct encrypting *by = ctx;
    CK_MECHANISM ecb = {block == 16 ? CKM_AES_ECB : CKM_DES3_ECB, NULL, 0};
    CK_ULONG length = block;
    CK_RV rv = by->token->module->C_EncryptInit(by->token->session, &ecb, by->key);
    if (rv == CKR_OK)
        rv = by->token->module->C_Encrypt(by->token->session, (CK_BYTE *)(uintptr_t)in, block, out,
                                          &length);
    return (rv == CKR_OK && length == block) || token_err(err, rv, "it encrypts nothing");
}

bool keytoken_cmac(struct keytoken *token, CK_OBJECT_HANDLE key, char version, struct bytes input,
                   uint8_t ret_mac[16], struct err *err)
{
    CK_MECHANISM cmac = {version == 'D' ? CKM_AES_CMAC : CKM_DES3_CMAC, NULL, 0};
    CK_ULONG length = 16;
    const size_t block = version == 'D' ? 16 : 8;
    CK_RV rv = token->module->C_SignInit(token->session, &cmac, key);
    if (rv == CKR_MECHANISM_INVALID || rv == CKR_KEY_FUNCTION_NOT_PERMITTED) {
        struct encrypting by = {token, key};
        return tr31_cmac_of_block(encrypt_block, &by, block, input, ret_mac, err);
    }
    if (rv == CKR_OK)
        rv = token->module->C_Sign(token->session, (CK_BYTE *)(uintptr_t)input.data, input.length,
                                   ret_mac, &length);
    return (rv == CKR_OK && length == block) || token_err(err, rv, "no CMAC by the protection key");
}

/* ---- key check values ---- */

bool keytoken_kcv(struct keytoken *token, CK_OBJECT_HANDLE key, Muster__KcvMethod method,
                  uint8_t ret_kcv[KEY_KCV_BYTES], size_t *ret_length, struct err *err)
{
    const uint8_t zeros[16] = {0};
    uint8_t made[16];
    CK_ULONG length = sizeof made;
    const bool cmac = method == MUSTER__KCV_METHOD__KCV_AES_CMAC;
    const bool tdes = method == MUSTER__KCV_METHOD__KCV_TDES_ECB;
    CK_MECHANISM mechanism = {cmac ? CKM_AES_CMAC : tdes ? CKM_DES3_ECB : CKM_AES_ECB, NULL, 0};
    CK_RV rv = cmac ? token->module->C_SignInit(token->session, &mechanism, key)
                    : token->module->C_EncryptInit(token->session, &mechanism, key);
    if (rv == CKR_OK && cmac)
        rv = token->module->C_Sign(token->session, (CK_BYTE *)(uintptr_t)zeros, 16, made, &length);
    else if (rv == CKR_OK)
        rv = token->module->C_Encrypt(token->session, (CK_BYTE *)(uintptr_t)zeros, tdes ? 8 : 16,
                                      made, &length);
    if (rv != CKR_OK || length < KEY_KCV_BYTES) {
        (void)token_err(err, rv, "no key check value");
        if (err != NULL && keytoken_says_of_key(rv))
            err->code = ERR_REFUSED;
        return false;
    }
    *ret_length = cmac ? KEY_KCV_BYTES : 3;
    memcpy(ret_kcv, made, *ret_length);
    OPENSSL_cleanse(made, sizeof made);
    return true;
}
