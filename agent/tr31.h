/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_TR31_H
#define AGENT_TR31_H

#include "base/buf.h"
#include "proto/key_block.h"

/*
 * What a key loader does with a key block (ANSI X9.143, TR-31:2018), of version B (TDES) or D
 * (AES): the key block protection key wraps by two keys that are derived from it by CMAC, one
 * encrypts, one makes the MAC over header and clear key. The agent links none of this. What is
 * secret belongs to the caller, who cleanses it.
 */
enum { TR31_KEY_BYTES = 32, TR31_PLAIN_BYTES = 512 };

struct tr31_keys {
    char version; /* B or D */
    size_t length;
    uint8_t encrypt[TR31_KEY_BYTES], mac[TR31_KEY_BYTES];
};

/* CMAC by the protection key over `input`, 8 bytes of B, 16 of D: a token does it. */
struct tr31_cmac {
    bool (*cmac)(void *ctx, struct bytes input, uint8_t ret_mac[16], struct err *err);
    void *ctx;
};
/* The same out of one block encrypted by the protection key, for a token that does no CMAC: `input`
 * of 8 bytes, `block` 8 or 16. Made here, as every library's CMAC asks for the key itself, and that
 * never leaves the token; held against OpenSSL's in the unit test. */
bool tr31_cmac_of_block(bool (*encrypt)(void *ctx, const uint8_t *in, uint8_t *out, size_t block,
                                        struct err *err),
                        void *ctx, size_t block, struct bytes input, uint8_t ret_mac[16],
                        struct err *err) MUSTER_CHECK;

/* `length`: bytes of the protection key: 16 or 24 of B; 16, 24 or 32 of D. ERR_REFUSED: a version
 * that is not unwrapped here (A and C bind by variants of the key and are out of use).
 * ERR_UNAVAILABLE: the protection key is none, which says nothing of the block. */
bool tr31_derive(char version, size_t length, struct tr31_cmac by, struct tr31_keys *ret_keys,
                 struct err *err) MUSTER_CHECK;

struct tr31_plain {
    struct key_block_header header;
    size_t length;
    uint8_t key[64];
    uint8_t room[TR31_PLAIN_BYTES]; /* working space, as secret as the key */
};

/* The clear key of a block. Nothing of it is looked at before its MAC is good. ERR_REFUSED: the MAC
 * is not, or what it covers is no key of the header's algorithm. */
bool tr31_unwrap(struct bytes block, const struct tr31_keys *keys, struct tr31_plain *ret_plain,
                 struct err *err) MUSTER_CHECK;

#endif
