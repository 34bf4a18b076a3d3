/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/key_placement.h"

#include "proto/refusal.h"

#include <string.h>

static const struct method {
    Muster__KcvMethod method;
    const char *word;
    char algorithm;
} methods[] = {
    {MUSTER__KCV_METHOD__KCV_TDES_ECB, "tdes-ecb", 'T'},
    {MUSTER__KCV_METHOD__KCV_AES_CMAC, "aes-cmac", 'A'},
    {MUSTER__KCV_METHOD__KCV_AES_ECB, "aes-ecb", 'A'},
};
enum { METHODS = sizeof methods / sizeof *methods };

bool key_slot_valid(const char *slot)
{
    size_t length = strlen(slot);
    return length >= 1 && length <= KEY_SLOT_CHARS &&
           strspn(slot, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

static const struct method *method_of(Muster__KcvMethod method)
{
    for (size_t i = 0; i < METHODS; i++)
        if (methods[i].method == method)
            return &methods[i];
    return NULL;
}

const char *key_kcv_word(Muster__KcvMethod method)
{
    const struct method *found = method_of(method);
    return found != NULL ? found->word : NULL;
}

bool key_kcv_method(const char *word, Muster__KcvMethod *ret_method)
{
    for (size_t i = 0; i < METHODS; i++) {
        if (strcmp(word, methods[i].word) == 0) {
            *ret_method = methods[i].method;
            return true;
        }
    }
    return false;
}

static bool refused(struct err *err, const char *what)
{
    return refuse(err, MUSTER__REFUSAL__REFUSAL_KEY_HEADER, ERR_REFUSED, "%s", what);
}

bool key_kcv_fits(const struct key_placement *placement, struct err *err)
{
    const struct method *method = method_of(placement->kcv_method);
    if (method == NULL)
        return refused(err, "the method of its key check value is not known here");
    if (method->algorithm != placement->algorithm)
        return refused(err, placement->algorithm == 'T' || placement->algorithm == 'A'
                                ? "the method of its key check value is of another algorithm"
                                : "keys of its algorithm have no key check value here: T or A");
    bool five = placement->kcv_method == MUSTER__KCV_METHOD__KCV_AES_CMAC;
    return placement->kcv_length == 3 || (five && placement->kcv_length == KEY_KCV_BYTES) ||
           refused(err, "its key check value has another length than the method makes: 3 bytes, or "
                        "5 of aes-cmac");
}

/* As X9.143 writes them: capitals and digits. */
static bool is_word(const char *text, size_t length)
{
    return strlen(text) == length && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == length;
}

bool key_placement_read(const Muster__KeyPlacement *message, struct key_placement *ret_placement,
                        struct err *err)
{
    struct key_placement placement = {0};
    if (message == NULL)
        return refused(err, "a key block without the place where its key goes");
    if (!key_slot_valid(message->slot))
        return refused(err, "the key's slot is not of [a-z0-9-]{1,16}");
    if (!is_word(message->usage, 2) || !is_word(message->algorithm, 1) ||
        !is_word(message->mode, 1))
        return refused(err, "the key's usage, algorithm or mode is not as ANSI X9.143 writes it");
    if (message->key_version > KEY_VERSION_MAX)
        return refused(err, "the key's version is above 99");
    if (message->kcv.len > sizeof placement.kcv)
        return refused(err, "its key check value has more than 5 bytes");
    memcpy(placement.slot, message->slot, strlen(message->slot) + 1);
    memcpy(placement.usage, message->usage, sizeof placement.usage);
    placement.algorithm = message->algorithm[0];
    placement.mode = message->mode[0];
    placement.key_version = message->key_version;
    placement.kcv_method = message->kcv_method;
    placement.kcv_length = message->kcv.len;
    if (message->kcv.len > 0)
        memcpy(placement.kcv, message->kcv.data, message->kcv.len);
    if (!key_kcv_fits(&placement, err))
        return false;
    *ret_placement = placement;
    return true;
}

bool key_placement_check(const struct key_placement *placement,
                         const struct key_block_header *header, struct err *err)
{
    const char *what = NULL;
    if (strcmp(placement->usage, header->usage) != 0)
        what = "usage";
    else if (placement->algorithm != header->algorithm)
        what = "algorithm";
    else if (placement->mode != header->mode)
        what = "mode of use";
    else if (placement->key_version != header->key_version)
        what = "key version";
    return what == NULL || refuse(err, MUSTER__REFUSAL__REFUSAL_KEY_HEADER, ERR_REFUSED,
                                  "the block's own header says another %s than was signed for "
                                  "slot %s",
                                  what, placement->slot);
}

bool key_placement_equal(const struct key_placement *a, const struct key_placement *b)
{
    return strcmp(a->slot, b->slot) == 0 && strcmp(a->usage, b->usage) == 0 &&
           a->algorithm == b->algorithm && a->mode == b->mode && a->key_version == b->key_version &&
           a->kcv_method == b->kcv_method && a->kcv_length == b->kcv_length &&
           memcmp(a->kcv, b->kcv, a->kcv_length) == 0;
}

bool key_kcv_equal(const struct key_placement *placement, Muster__KcvMethod method,
                   struct bytes kcv)
{
    return placement->kcv_method == method && kcv.length >= 3 &&
           kcv.length <= sizeof placement->kcv &&
           memcmp(placement->kcv, kcv.data,
                  kcv.length < placement->kcv_length ? kcv.length : placement->kcv_length) == 0;
}
