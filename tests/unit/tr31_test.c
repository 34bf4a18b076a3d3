/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/tr31.h"

#include "tests/unit/testing.h"
#include "tests/unit/tr31_invalid.h"
#include "tests/unit/tr31_vectors.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>
#include <string.h>

/* The protection key as a token would hold it; TDES as three parts, which is all OpenSSL knows. */
struct protection {
    bool tdes, by_block;
    size_t length;
    uint8_t key[32];
};

static const char *cipher_of(const struct protection *protection, bool cbc)
{
    if (protection->tdes)
        return cbc ? "DES-EDE3-CBC" : "DES-EDE3-ECB";
    if (protection->length == 16)
        return cbc ? "AES-128-CBC" : "AES-128-ECB";
    return cbc ? "AES-256-CBC" : "AES-256-ECB";
}

static bool encrypt_block(void *ctx, const uint8_t *in, uint8_t *out, size_t block, struct err *err)
{
    struct protection *protection = ctx;
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, cipher_of(protection, false), NULL);
    EVP_CIPHER_CTX *evp = EVP_CIPHER_CTX_new();
    int made = 0;
    (void)err;
    assert_non_null(cipher);
    assert_int_equal(EVP_EncryptInit_ex2(evp, cipher, protection->key, NULL, NULL), 1);
    assert_int_equal(EVP_CIPHER_CTX_set_padding(evp, 0), 1);
    assert_int_equal(EVP_EncryptUpdate(evp, out, &made, in, (int)block), 1);
    EVP_CIPHER_CTX_free(evp);
    EVP_CIPHER_free(cipher);
    return (size_t)made == block;
}

static bool cmac(void *ctx, struct bytes input, uint8_t ret_mac[16], struct err *err)
{
    struct protection *protection = ctx;
    size_t made = 0, length = protection->tdes ? 24 : protection->length;
    if (protection->by_block)
        return tr31_cmac_of_block(encrypt_block, protection, protection->tdes ? 8 : 16, input,
                                  ret_mac, err);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER,
                                         (char *)(uintptr_t)cipher_of(protection, true), 0),
        OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "CMAC", NULL);
    EVP_MAC_CTX *evp = EVP_MAC_CTX_new(mac);
    assert_int_equal(EVP_MAC_init(evp, protection->key, length, params), 1);
    assert_int_equal(EVP_MAC_update(evp, input.data, input.length), 1);
    assert_int_equal(EVP_MAC_final(evp, ret_mac, &made, 16), 1);
    EVP_MAC_CTX_free(evp);
    EVP_MAC_free(mac);
    return true;
}

static struct protection protection_of(const char *hex, char version, bool by_block)
{
    struct protection protection = {
        .tdes = version == 'B', .by_block = by_block, .length = strlen(hex) / 2};
    assert_true(hex_decode(hex, strlen(hex), protection.key, protection.length));
    if (protection.tdes && protection.length == 16)
        memcpy(protection.key + 16, protection.key, 8);
    return protection;
}

static bool unwrap(const char *protection_key, const char *block, bool by_block,
                   struct tr31_plain *plain, struct err *err)
{
    struct protection protection = protection_of(protection_key, block[0], by_block);
    struct tr31_keys keys = {0};
    return tr31_derive(block[0], protection.length, (struct tr31_cmac){cmac, &protection}, &keys,
                       err) &&
           tr31_unwrap(bytes_of(block, strlen(block)), &keys, plain, err);
}

static void published_blocks_are_unwrapped(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * TR31_VECTORS; i++) {
        const struct tr31_vector *vector = &tr31_vectors[i / 2];
        struct tr31_plain plain = {0};
        struct err err = {0};
        char hex[129];
        bool ok = unwrap(vector->protection, vector->block, i % 2 == 1, &plain, &err);
        if (ok != vector->taken)
            fail_msg("%s: %s", vector->where, err.text);
        if (!ok) {
            assert_int_equal(err.code, ERR_REFUSED);
            continue;
        }
        hex_encode(plain.key, plain.length, hex);
        for (char *at = hex; *at != '\0'; at++)
            *at = (char)(*at >= 'a' ? *at - 'a' + 'A' : *at);
        assert_string_equal(hex, vector->key);
    }
}

/* Every character of the published blocks changed, one at a time: header, key and MAC. */
static void changed_blocks_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < TR31_VECTORS; i++) {
        const struct tr31_vector *vector = &tr31_vectors[i];
        char block[256];
        for (size_t at = 1; vector->taken && at < strlen(vector->block); at++) {
            static const struct tr31_plain none;
            struct tr31_plain plain = {0};
            struct err err = {0};
            (void)snprintf(block, sizeof block, "%s", vector->block);
            const char was = block[at];
            memset(block + at, was == 'A' ? 'B' : was == '0' ? '1' : 'A', 1);
            assert_false(unwrap(vector->protection, block, false, &plain, &err));
            assert_memory_equal(plain.key, none.key, sizeof plain.key);
            assert_memory_equal(plain.room, none.room, sizeof plain.room);
        }
    }
}

static void refused_with(const char *protection, const char *block, const char *why)
{
    struct tr31_plain plain = {0};
    struct err err = {0};
    assert_false(unwrap(protection, block, false, &plain, &err));
    if (strstr(err.text, why) == NULL)
        fail_msg("%s", err.text);
}

static void what_is_no_good_is_refused_with_a_reason(void **state)
{
    (void)state;
    const struct tr31_vector *b = &tr31_vectors[1], *d = &tr31_vectors[4];
    char block[256];
    /* the protection key of another vector */
    refused_with(tr31_vectors[3].protection, b->block, "MAC is not good");
    /* the same key said to be for something else */
    (void)snprintf(block, sizeof block, "%s", d->block);
    memcpy(block + 5, "K0", 2);
    refused_with(d->protection, block, "MAC is not good");
    /* another length than it says, cut, and of a key that is none for the version */
    (void)snprintf(block, sizeof block, "%s", d->block);
    memcpy(block + 1, "0080", 4);
    refused_with(d->protection, block, "does not say so");
    (void)snprintf(block, sizeof block, "%.*s", 80, d->block);
    refused_with(d->protection, block, "does not say so");
    refused_with(d->protection, b->block, "protection key of 32 bytes");
    refused_with(tr31_vectors[0].protection, tr31_vectors[0].block, "version A");
    refused_with(tr31_vectors[2].protection, tr31_vectors[2].block, "version C");
}

/* As a loader goes: the header first, then the keys of its version, then the block. */
static void published_invalid_blocks_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < TR31_INVALID_BLOCKS; i++) {
        const struct tr31_invalid *invalid = &tr31_invalid_blocks[i];
        struct key_block_header header = {0};
        struct err err = {0};
        if (key_block_read(bytes_of(invalid->block, strlen(invalid->block)), &header, &err))
            refused_with(TR31_INVALID_PROTECTION, invalid->block, invalid->why);
        else if (strstr(err.text, invalid->why) == NULL)
            fail_msg("%s: %s", invalid->block, err.text);
    }
}

/* That is the terminal's, and no reason to refuse its blocks for good. */
static void a_protection_key_of_no_length_is_no_fault_of_the_block(void **state)
{
    static const struct {
        char version;
        size_t length;
    } wrong[] = {{'B', 8}, {'B', 32}, {'D', 0}, {'D', 29}, {'D', 33}};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct protection protection = {.tdes = wrong[i].version == 'B'};
        struct tr31_keys keys = {0};
        struct err err = {0};
        assert_false(tr31_derive(wrong[i].version, wrong[i].length,
                                 (struct tr31_cmac){cmac, &protection}, &keys, &err));
        assert_int_equal(err.code, ERR_UNAVAILABLE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_blocks_are_unwrapped),
        cmocka_unit_test(changed_blocks_are_refused),
        cmocka_unit_test(a_protection_key_of_no_length_is_no_fault_of_the_block),
        cmocka_unit_test(what_is_no_good_is_refused_with_a_reason),
        cmocka_unit_test(published_invalid_blocks_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
