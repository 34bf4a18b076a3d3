/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_KEY_BLOCK_H
#define PROTO_KEY_BLOCK_H

#include "base/buf.h"

/*
 * Is this one wrapped key, as ANSI X9.143 (TR-31) writes it? Header, optional blocks, the key as
 * cipher text, its MAC: printable, as long as it says, at most one end of line behind it. Nobody
 * here unwraps one; what must not pass is a clear key that was taken for one. ERR_INVALID says
 * what is wrong and never quotes the content.
 */
bool key_block_check(struct bytes content, struct err *err) MUSTER_CHECK;

/* What the clear header says of the key (X9.143, tables 1 to 5). */
struct key_block_header {
    char version;   /* A, B, C, D: how it is wrapped */
    char usage[3];  /* "K0" key encryption, "B1" initial DUKPT key, "P0" PIN encryption ... */
    char algorithm; /* T TDES, A AES, D DES, H HMAC, R RSA, E elliptic curve */
    char mode;      /* E encrypt, D decrypt, B both, X derive, N no restriction ... */
    bool versioned; /* it has a key version number, the next one */
    unsigned key_version;
    char exportability; /* E, N, S */
    size_t body_at;     /* where the wrapped key begins, behind the optional blocks */
};

/* key_block_check, and the header; ERR_INVALID as well for a key version that is not two digits. */
bool key_block_read(struct bytes content, struct key_block_header *ret_header,
                    struct err *err) MUSTER_CHECK;

#endif
