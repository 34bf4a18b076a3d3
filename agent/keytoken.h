/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_KEYTOKEN_H
#define AGENT_KEYTOKEN_H

#include "agent/keys.h"

#include <p11-kit/p11-kit.h>

/*
 * The PKCS#11 token that a loader places keys in. A slot is a secret key whose label is the slot's
 * name; what the fleet has placed says so in its CKA_ID, with what else an inventory needs. Who has
 * it open has it alone: the file of its PIN is locked. Errors: ERR_REFUSED is the token's no to
 * this key or block, all else may pass.
 */
struct keytoken {
    CK_FUNCTION_LIST *module;
    CK_SESSION_HANDLE session;
    bool loaded, open;
    int pin; /* its file, locked; -1: there is none */
};

enum { KEYTOKEN_OBJECTS = 256 };

/* Waits for whoever has it open. Logs in with the PIN in this file, unless an earlier login has
 * failed: tokens lock themselves. */
bool keytoken_open(struct keytoken *token, const char *module, const char *label,
                   const char *pin_file, struct err *err) MUSTER_CHECK;
void keytoken_close(struct keytoken *token);
/* The file is there and nobody else's to read. */
bool keytoken_pin_check(const char *path, struct err *err) MUSTER_CHECK;

struct keytoken_found {
    size_t count;
    CK_OBJECT_HANDLE objects[KEYTOKEN_OBJECTS];
};
/* Secret keys with this label; NULL: all. ERR_FULL: there are more. */
bool keytoken_find(struct keytoken *token, const char *label, struct keytoken_found *ret_found,
                   struct err *err) MUSTER_CHECK;
/* The one protection key of this label for blocks of this version; its length in bytes. */
bool keytoken_protection(struct keytoken *token, const char *label, char version,
                         CK_OBJECT_HANDLE *ret_key, size_t *ret_length,
                         struct err *err) MUSTER_CHECK;
/* CMAC of 8 bytes by a protection key: by the token's own mechanism or, where it has none, of two
 * blocks that it encrypts. */
bool keytoken_cmac(struct keytoken *token, CK_OBJECT_HANDLE key, char version, struct bytes input,
                   uint8_t ret_mac[16], struct err *err) MUSTER_CHECK;

/* What a key that is placed is to be. */
struct keytoken_order {
    const char *slot;
    struct key_placement facts; /* usage, algorithm, mode, version and the method of its KCV */
};
/* A key from its clear value; `lasting` false: it is gone with the session. Sensitive, and never to
 * be had again in either case. */
bool keytoken_create(struct keytoken *token, const struct keytoken_order *order, struct bytes key,
                     bool lasting, CK_OBJECT_HANDLE *ret_key, struct err *err) MUSTER_CHECK;
/* The same by the token itself, from the block. */
bool keytoken_unwrap(struct keytoken *token, const struct keytoken_order *order,
                     CK_MECHANISM_TYPE mechanism, CK_OBJECT_HANDLE protection, struct bytes block,
                     bool lasting, CK_OBJECT_HANDLE *ret_key, struct err *err) MUSTER_CHECK;
bool keytoken_destroy(struct keytoken *token, CK_OBJECT_HANDLE key, struct err *err) MUSTER_CHECK;
/* Its key check value, 5 bytes of CMAC, else 3. ERR_REFUSED: the token makes none of this key. */
bool keytoken_kcv(struct keytoken *token, CK_OBJECT_HANDLE key, Muster__KcvMethod method,
                  uint8_t ret_kcv[KEY_KCV_BYTES], size_t *ret_length, struct err *err) MUSTER_CHECK;
/* Label and CKA_ID, as far as they are a slot's; `*ret_placed`: by the fleet. Without a check value
 * where the token makes none of this key. */
bool keytoken_describe(struct keytoken *token, CK_OBJECT_HANDLE key, struct key_held *ret_held,
                       bool *ret_placed, struct err *err) MUSTER_CHECK;

/* Is this answer about the key or block that was given, and not about the token? */
bool keytoken_says_of_key(CK_RV rv);

#endif
