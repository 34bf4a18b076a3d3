/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PKCS#11 library for tests: SoftHSM2 with two things that it has not. It dies where
 * MUSTER_TEST_KILL says (before the first call that makes or removes a key is 1, after it 2, before
 * the second 3 ...), answers what MUSTER_TEST_FAIL says to every key that is made, and has a
 * mechanism that unwraps TR-31 inside.
 */
#include "agent/keytoken.h"
#include "agent/tr31.h"

#include <dlfcn.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ATTRIBUTES_MAX = 32, MECHANISM = 0x80000001 };

static CK_FUNCTION_LIST *real;
static CK_FUNCTION_LIST ours;

static void point(void)
{
    static unsigned count;
    const char *kill_at = getenv("MUSTER_TEST_KILL");
    if (kill_at != NULL && ++count == strtoul(kill_at, NULL, 10))
        (void)kill(getpid(), SIGKILL);
}

static CK_RV create(CK_SESSION_HANDLE session, CK_ATTRIBUTE *attributes, CK_ULONG count,
                    CK_OBJECT_HANDLE *object)
{
    const char *fail = getenv("MUSTER_TEST_FAIL");
    if (fail != NULL)
        return strtoul(fail, NULL, 0);
    point();
    CK_RV rv = real->C_CreateObject(session, attributes, count, object);
    point();
    return rv;
}

static CK_RV destroy(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
    point();
    CK_RV rv = real->C_DestroyObject(session, object);
    point();
    return rv;
}

/* ---- the mechanism ---- */

struct by_key {
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
    char version;
};

static bool cmac(void *ctx, struct bytes input, uint8_t ret_mac[16], struct err *err)
{
    const struct by_key *by = ctx;
    CK_MECHANISM mechanism = {by->version == 'D' ? CKM_AES_CMAC : CKM_DES3_CMAC, NULL, 0};
    CK_ULONG length = 16;
    return (real->C_SignInit(by->session, &mechanism, by->key) == CKR_OK &&
            real->C_Sign(by->session, (CK_BYTE *)(uintptr_t)input.data, input.length, ret_mac,
                         &length) == CKR_OK) ||
           err_set(err, ERR_IO, "no CMAC");
}

static CK_RV unwrap(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE by,
                    CK_BYTE *block, CK_ULONG length, CK_ATTRIBUTE *attributes, CK_ULONG count,
                    CK_OBJECT_HANDLE *key)
{
    struct by_key with = {session, by, 'D'};
    struct tr31_keys keys = {0};
    struct tr31_plain plain = {0};
    CK_ATTRIBUTE all[ATTRIBUTES_MAX];
    if (mechanism->mechanism != MECHANISM || count + 1 > ATTRIBUTES_MAX)
        return CKR_MECHANISM_INVALID;
    if (length > 0)
        memcpy(&with.version, block, 1);
    CK_RV rv = CKR_WRAPPED_KEY_INVALID;
    if (tr31_derive(with.version, 32, (struct tr31_cmac){cmac, &with}, &keys, NULL) &&
        tr31_unwrap(bytes_of(block, length), &keys, &plain, NULL)) {
        memcpy(all, attributes, count * sizeof *attributes);
        all[count] = (CK_ATTRIBUTE){CKA_VALUE, plain.key, plain.length};
        rv = create(session, all, count + 1, key);
    }
    OPENSSL_cleanse(&keys, sizeof keys);
    OPENSSL_cleanse(&plain, sizeof plain);
    return rv;
}

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST **ret_list)
{
    if (real == NULL) {
        CK_C_GetFunctionList get = NULL;
        void *library = dlopen(MUSTER_TEST_LIBRARY, RTLD_NOW | RTLD_LOCAL);
        void *symbol = library != NULL ? dlsym(library, "C_GetFunctionList") : NULL;
        if (symbol == NULL)
            return CKR_GENERAL_ERROR;
        memcpy(&get, &symbol, sizeof get);
        if (get(&real) != CKR_OK)
            return CKR_GENERAL_ERROR;
        ours = *real;
        ours.C_CreateObject = create;
        ours.C_DestroyObject = destroy;
        ours.C_UnwrapKey = unwrap;
    }
    *ret_list = &ours;
    return CKR_OK;
}
