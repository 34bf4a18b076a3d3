/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_KEY_PLACEMENT_H
#define PROTO_KEY_PLACEMENT_H

#include "base/buf.h"
#include "proto/desired.pb-c.h"
#include "proto/key_block.h"

/* Where a key goes and what must come of it, as its custodian signed it (KeyPlacement). */
enum { KEY_SLOT_CHARS = 16, KEY_KCV_BYTES = 5, KEY_VERSION_MAX = 99 };

struct key_placement {
    char slot[KEY_SLOT_CHARS + 1];
    char usage[3];
    char algorithm;
    char mode;
    unsigned key_version; /* 0: none, which nothing is above */
    Muster__KcvMethod kcv_method;
    uint8_t kcv[KEY_KCV_BYTES];
    size_t kcv_length;
};

/* [a-z0-9-]{1,16} */
bool key_slot_valid(const char *slot);
/* "tdes-ecb", "aes-cmac", "aes-ecb": as operators and loaders say them; NULL: none of them. */
const char *key_kcv_word(Muster__KcvMethod method);
bool key_kcv_method(const char *word, Muster__KcvMethod *ret_method) MUSTER_CHECK;
/* Does the method go with the key's algorithm, and is the value as long as it makes one? */
bool key_kcv_fits(const struct key_placement *placement, struct err *err) MUSTER_CHECK;

/* Foreign bytes; NULL is refused too. ERR_REFUSED with KEY_HEADER. */
bool key_placement_read(const Muster__KeyPlacement *message, struct key_placement *ret_placement,
                        struct err *err) MUSTER_CHECK;
/* The block's own header says the same. ERR_REFUSED with KEY_HEADER. */
bool key_placement_check(const struct key_placement *placement,
                         const struct key_block_header *header, struct err *err) MUSTER_CHECK;
bool key_placement_equal(const struct key_placement *a, const struct key_placement *b);
/* As long as both are: the one may have 3 bytes and the other 5. */
bool key_kcv_equal(const struct key_placement *placement, Muster__KcvMethod method,
                   struct bytes kcv);

#endif
