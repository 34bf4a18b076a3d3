/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/tr31.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

enum { DERIVE_BYTES = 8, USE_ENCRYPT = 0, USE_MAC = 1 };

static size_t block_of(char version)
{
    return version == 'D' ? 16 : 8;
}

/* ---- keys from the protection key ---- */

/* X9.143's number of the algorithm that the derived key is for. */
static bool algorithm_of(char version, size_t length, uint8_t *ret_algorithm)
{
    if (version == 'B' && (length == 16 || length == 24))
        *ret_algorithm = length == 16 ? 0 : 1;
    else if (version == 'D' && (length == 16 || length == 24 || length == 32))
        *ret_algorithm = (uint8_t)(2 + (length - 16) / 8);
    else
        return false;
    return true;
}

static bool derive_one(const struct tr31_keys *keys, uint8_t algorithm, uint8_t use,
                       struct tr31_cmac by, uint8_t *ret_key, struct err *err)
{
    const size_t block = block_of(keys->version), bits = keys->length * 8;
    uint8_t made[48], mac[16];
    bool ok = true;
    for (size_t i = 0; ok && i * block < keys->length; i++) {
        const uint8_t input[DERIVE_BYTES] = {
            (uint8_t)(i + 1), 0, use, 0, 0, algorithm, (uint8_t)(bits >> 8), (uint8_t)bits};
        ok = by.cmac(by.ctx, bytes_of(input, sizeof input), mac, err);
        memcpy(made + i * block, mac, block);
    }
    if (ok)
        memcpy(ret_key, made, keys->length);
    OPENSSL_cleanse(made, sizeof made);
    OPENSSL_cleanse(mac, sizeof mac);
    return ok;
}

bool tr31_derive(char version, size_t length, struct tr31_cmac by, struct tr31_keys *ret_keys,
                 struct err *err)
{
    uint8_t algorithm = 0;
    if (version != 'B' && version != 'D')
        return err_set(err, ERR_REFUSED,
                       "the block is of version %c, and B (TDES) and D (AES) are unwrapped here: "
                       "have the key wrapped again",
                       version);
    if (!algorithm_of(version, length, &algorithm))
        return err_set(err, ERR_UNAVAILABLE,
                       "a protection key of %zu bytes is none for blocks of version %c", length,
                       version);
    ret_keys->version = version;
    ret_keys->length = length;
    return derive_one(ret_keys, algorithm, USE_ENCRYPT, by, ret_keys->encrypt, err) &&
           derive_one(ret_keys, algorithm, USE_MAC, by, ret_keys->mac, err);
}

/* NIST SP 800-38B: the subkeys are the encrypted zero block, doubled. */
static void doubled(uint8_t *value, size_t block)
{
    uint8_t carry = (uint8_t)(value[0] >> 7);
    for (size_t i = 0; i < block; i++)
        value[i] = (uint8_t)(value[i] << 1 | (i + 1 < block ? value[i + 1] >> 7 : 0));
    if (carry != 0)
        value[block - 1] ^= block == 16 ? 0x87 : 0x1b;
}

bool tr31_cmac_of_block(bool (*encrypt)(void *ctx, const uint8_t *in, uint8_t *out, size_t block,
                                        struct err *err),
                        void *ctx, size_t block, struct bytes input, uint8_t ret_mac[16],
                        struct err *err)
{
    uint8_t subkey[16] = {0}, last[16] = {0};
    const uint8_t zeros[16] = {0};
    if (input.length == 0 || input.length > block)
        return err_set(err, ERR_INVALID, "CMAC over %zu bytes is not made here", input.length);
    bool ok = encrypt(ctx, zeros, subkey, block, err);
    doubled(subkey, block);
    memcpy(last, input.data, input.length);
    if (input.length < block) {
        doubled(subkey, block);
        last[input.length] = 0x80;
    }
    for (size_t i = 0; i < block; i++)
        last[i] ^= subkey[i];
    ok = ok && encrypt(ctx, last, ret_mac, block, err);
    OPENSSL_cleanse(subkey, sizeof subkey);
    return ok;
}

/* ---- the block ---- */

static const char *cipher_of(const struct tr31_keys *keys)
{
    if (keys->version == 'B')
        return keys->length == 16 ? "DES-EDE-CBC" : "DES-EDE3-CBC";
    return keys->length == 16 ? "AES-128-CBC" : keys->length == 24 ? "AES-192-CBC" : "AES-256-CBC";
}

static bool decrypt(const struct tr31_keys *keys, const uint8_t *iv, uint8_t *data, size_t length)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, cipher_of(keys), NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int made = 0;
    bool ok = cipher != NULL && ctx != NULL &&
              EVP_DecryptInit_ex2(ctx, cipher, keys->encrypt, iv, NULL) == 1 &&
              EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 &&
              EVP_DecryptUpdate(ctx, data, &made, data, (int)length) == 1 && (size_t)made == length;
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(cipher);
    return ok;
}

/* OpenSSL's CMAC takes a TDES key of two parts only as three. */
static bool mac_of(const struct tr31_keys *keys, struct bytes header, struct bytes plain,
                   uint8_t ret_mac[16])
{
    uint8_t key[TR31_KEY_BYTES];
    size_t length = keys->length, made = 0;
    memcpy(key, keys->mac, sizeof key);
    const char *cipher = cipher_of(keys);
    if (keys->version == 'B') {
        if (length == 16)
            memcpy(key + 16, key, 8);
        length = 24;
        cipher = "DES-EDE3-CBC";
    }
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, (char *)(uintptr_t)cipher, 0),
        OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "CMAC", NULL);
    EVP_MAC_CTX *ctx = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
    bool ok = ctx != NULL && EVP_MAC_init(ctx, key, length, params) == 1 &&
              EVP_MAC_update(ctx, header.data, header.length) == 1 &&
              EVP_MAC_update(ctx, plain.data, plain.length) == 1 &&
              EVP_MAC_final(ctx, ret_mac, &made, 16) == 1 && made == block_of(keys->version);
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
    OPENSSL_cleanse(key, sizeof key);
    return ok;
}

static bool length_fits(const struct key_block_header *header, size_t bits)
{
    if (header->algorithm == 'T')
        return bits == 128 || bits == 192;
    if (header->algorithm == 'A')
        return bits == 128 || bits == 192 || bits == 256;
    return false;
}

/* Two bytes of length in bits, the key, padding. */
static bool take_key(struct bytes clear, struct tr31_plain *plain, struct err *err)
{
    size_t bits = (size_t)clear.data[0] << 8 | clear.data[1];
    if (!length_fits(&plain->header, bits) || bits / 8 > clear.length - 2)
        return err_set(err, ERR_REFUSED,
                       "what the block holds is no key of the algorithm and length that its header "
                       "allows");
    plain->length = bits / 8;
    memcpy(plain->key, clear.data + 2, plain->length);
    return true;
}

static bool open_block(struct bytes block, const struct tr31_keys *keys, struct tr31_plain *plain,
                       struct err *err)
{
    const char *text = (const char *)block.data;
    const size_t mac_bytes = block_of(keys->version), head = plain->header.body_at;
    uint8_t sent[16], made[16];
    if (block.length < head + 2 * mac_bytes ||
        (block.length - head - 2 * mac_bytes) / 2 > sizeof plain->room)
        return err_set(err, ERR_REFUSED, "a key block of this length is not unwrapped here");
    const size_t length = (block.length - head - 2 * mac_bytes) / 2;
    if (!hex_decode(text + head, 2 * length, plain->room, length) ||
        !hex_decode(text + head + 2 * length, 2 * mac_bytes, sent, mac_bytes))
        return err_set(err, ERR_REFUSED, "what follows the block's header is not hexadecimal");
    if (!decrypt(keys, sent, plain->room, length) ||
        !mac_of(keys, bytes_of(text, head), bytes_of(plain->room, length), made))
        return err_set(err, ERR_IO, "OpenSSL does not do what version %c needs", keys->version);
    if (CRYPTO_memcmp(sent, made, mac_bytes) != 0)
        return err_set(err, ERR_REFUSED,
                       "its MAC is not good: wrapped by another protection key, or changed");
    return take_key(bytes_of(plain->room, length), plain, err);
}

bool tr31_unwrap(struct bytes block, const struct tr31_keys *keys, struct tr31_plain *ret_plain,
                 struct err *err)
{
    while (block.length > 0 &&
           (block.data[block.length - 1] == '\n' || block.data[block.length - 1] == '\r'))
        block.length--;
    if (!key_block_read(block, &ret_plain->header, err))
        return false;
    if (ret_plain->header.version != keys->version)
        return err_set(err, ERR_REFUSED, "a block of version %c, and keys for version %c",
                       ret_plain->header.version, keys->version);
    if (open_block(block, keys, ret_plain, err))
        return true;
    OPENSSL_cleanse(ret_plain->key, sizeof ret_plain->key);
    OPENSSL_cleanse(ret_plain->room, sizeof ret_plain->room);
    return false;
}
