/* SPDX-License-Identifier: Apache-2.0 */
/* Key files and public keys. The first byte chooses: a file as it is, DER that is to become one
 * of a private or of a public key, or the DER of a public key as roots carry it. */
#include "tests/fuzz/world.h"

#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

static void check_public(struct bytes spki, const uint8_t id[KEY_ID_BYTES])
{
    struct verify_key *key = NULL;
    HOLDS(verify_key_of_spki(spki, &key, NULL));
    HOLDS(bytes_equal(verify_key_spki(key), spki));
    HOLDS(memcmp(verify_key_id(key), id, KEY_ID_BYTES) == 0);
    verify_key_free(key);
}

/* What is accepted for signing must sign what its public half accepts. */
static void check_private(const struct sign_key *key, const char *path)
{
    struct verify_key *public = NULL;
    struct buf envelope = {0};
    struct bytes body = {0};
    HOLDS(verify_key_read(path, &public, NULL));
    HOLDS(bytes_equal(verify_key_spki(public), sign_key_spki(key)));
    HOLDS(seal("hello", "t-01", bytes_of("x", 1), &key, 1, true, &envelope, NULL));
    struct key_set set = {.keys = &public, .count = 1, .threshold = 1};
    HOLDS(unseal("hello", "t-01", buf_bytes(&envelope), &set, &body, NULL));
    HOLDS(!unseal("hello", "t-02", buf_bytes(&envelope), &set, &body, NULL));
    buf_done(&envelope);
    verify_key_free(public);
}

static void try_file(struct bytes in)
{
    struct sign_key *sign = NULL;
    struct verify_key *verify = NULL;
    struct err err = {0};
    const char *path = fuzz_file(in);
    if (sign_key_read(path, &sign, &err))
        check_private(sign, path);
    else
        HOLDS(!sign && err.code != ERR_NONE && err.text[0]);
    bool had = sign != NULL;
    sign_key_free(sign);
    if (verify_key_read(path, &verify, &err))
        check_public(verify_key_spki(verify), verify_key_id(verify));
    else
        HOLDS(!verify && !had);
    verify_key_free(verify);
}

static void try_der(const char *label, struct bytes der)
{
    struct buf pem = {0};
    char *text = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    HOLDS(bio && PEM_write_bio(bio, label, "", der.data, (long)der.length) >= 0);
    long length = BIO_get_mem_data(bio, &text);
    HOLDS(length <= 0 || buf_append(&pem, text, (size_t)length, NULL));
    try_file(buf_bytes(&pem));
    buf_done(&pem);
    BIO_free(bio);
}

static void try_spki(struct bytes in)
{
    struct verify_key *key = NULL;
    struct err err = {0};
    if (verify_key_of_spki(in, &key, &err)) {
        HOLDS(bytes_equal(verify_key_spki(key), in));
        check_public(in, verify_key_id(key));
    } else {
        HOLDS(!key && err.code != ERR_NONE);
    }
    verify_key_free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    if (size == 0)
        return 0;
    switch (fuzz_byte(&in) % 4) {
    case 0:
        try_file(in);
        break;
    case 1:
        try_der("PRIVATE KEY", in);
        break;
    case 2:
        try_der("PUBLIC KEY", in);
        break;
    default:
        try_spki(in);
        break;
    }
    return 0;
}
