/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ed25519.h"

#include "base/file.h"
#include "proto/envelope.h"
#include "tests/unit/testing.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Published: RFC 8032, section 7.1, tests 1 to 3, whose signatures seal_test.c holds against what
 * OpenSSL makes. Secrets of nobody. */
static const struct {
    const char *secret, *public;
} rfc8032[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"},
};
enum { PUBLISHED = sizeof rfc8032 / sizeof rfc8032[0], ROUNDS = 40, CHANGES = 24 };

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    const char *temporary = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/ed25519_test.XXXXXX", temporary ? temporary : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return file_remove_tree(folder, NULL) ? 0 : -1;
}

static struct sign_key *key_of_seed(const uint8_t seed[32])
{
    char path[128], *text = NULL;
    struct sign_key *key = NULL;
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
    long length = BIO_get_mem_data(bio, &text);
    (void)snprintf(path, sizeof path, "%s/key.pem", folder);
    assert_true(file_write(path, bytes_of(text, (size_t)length), 0600, NULL));
    assert_true(sign_key_read(path, &key, NULL));
    BIO_free(bio);
    EVP_PKEY_free(pkey);
    return key;
}

static struct buf sealed(const struct sign_key *key, struct bytes body)
{
    struct buf out = {0};
    assert_true(seal("batch", "t-01", body, &key, 1, false, &out, NULL));
    return out;
}

static bool opens(struct verify_key *key, struct bytes envelope)
{
    const struct key_set set = {&key, 1, 1};
    struct bytes body = {0};
    return unseal("batch", "t-01", envelope, &set, &body, NULL);
}

/* What OpenSSL and libsodium say of one key, which both must have. */
struct two {
    struct verify_key *openssl, *sodium;
};

static struct two two_of(struct bytes spki)
{
    struct two two = {0};
    assert_true(verify_key_of_spki(spki, &two.openssl, NULL));
    assert_true(ed25519_verify_key(spki, &two.sodium, NULL));
    assert_memory_equal(verify_key_id(two.openssl), verify_key_id(two.sodium), KEY_ID_BYTES);
    return two;
}

static void two_done(struct two *two)
{
    verify_key_free(two->openssl);
    verify_key_free(two->sodium);
}

/* ---- the same of what is honest ---- */

static void both_sign_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < PUBLISHED; i++) {
        uint8_t seed[32], public[32];
        assert_true(hex_decode(rfc8032[i].secret, 64, seed, 32));
        assert_true(hex_decode(rfc8032[i].public, 64, public, 32));
        struct sign_key *key = key_of_seed(seed);
        assert_memory_equal(sign_key_spki(key).data + 12, public, 32);
        struct buf openssl = sealed(key, bytes_of("body", 4));
        assert_true(ed25519_sign_through(key, NULL));
        struct buf sodium = sealed(key, bytes_of("body", 4));
        assert_true(bytes_equal(buf_bytes(&openssl), buf_bytes(&sodium)));
        struct two two = two_of(sign_key_spki(key));
        assert_true(opens(two.openssl, buf_bytes(&sodium)));
        assert_true(opens(two.sodium, buf_bytes(&openssl)));
        assert_false(ed25519_sign_through(key, NULL)); /* it is done */
        two_done(&two);
        buf_done(&openssl);
        buf_done(&sodium);
        sign_key_free(key);
    }
}

/* A signed body of some length, for a key that was just made. */
static struct buf some_sealed(size_t round, struct sign_key **ret_key, size_t *ret_signature)
{
    char path[128];
    uint8_t body[300];
    struct envelope envelope;
    (void)snprintf(path, sizeof path, "%s/made.pem", folder);
    assert_true(sign_key_make(path, ret_key, NULL));
    assert_true(file_remove(path, NULL));
    assert_int_equal(RAND_bytes(body, sizeof body), 1);
    if (round % 2 == 0)
        assert_true(ed25519_sign_through(*ret_key, NULL));
    struct buf out = sealed(*ret_key, bytes_of(body, 1 + round * 7));
    assert_true(envelope_read(buf_bytes(&out), &envelope, NULL));
    *ret_signature = (size_t)(envelope.signatures[0].signature.data - out.data);
    return out;
}

static size_t below(size_t limit)
{
    uint32_t random = 0;
    assert_int_equal(RAND_bytes((uint8_t *)&random, sizeof random), 1);
    return random % limit;
}

/* Any bit of signature, body or key. */
static void both_refuse_what_was_changed(void **state)
{
    (void)state;
    for (size_t round = 0; round < ROUNDS; round++) {
        struct sign_key *key = NULL;
        size_t signature = 0;
        uint8_t spki[44];
        struct buf out = some_sealed(round, &key, &signature);
        struct two two = two_of(sign_key_spki(key));
        assert_true(opens(two.openssl, buf_bytes(&out)));
        assert_true(opens(two.sodium, buf_bytes(&out)));
        for (size_t i = 0; i < CHANGES; i++) {
            size_t at = i % 3 == 0 ? below(out.length) : signature + below(64);
            uint8_t bit = (uint8_t)(1u << below(8));
            out.data[at] ^= bit;
            assert_false(opens(two.openssl, buf_bytes(&out)));
            assert_false(opens(two.sodium, buf_bytes(&out)));
            out.data[at] ^= bit;
        }
        two_done(&two);
        memcpy(spki, sign_key_spki(key).data, sizeof spki);
        spki[12 + below(32)] ^= (uint8_t)(1u << below(8));
        two = two_of(bytes_of(spki, sizeof spki));
        assert_false(opens(two.openssl, buf_bytes(&out)));
        assert_false(opens(two.sodium, buf_bytes(&out)));
        two_done(&two);
        sign_key_free(key);
        buf_done(&out);
    }
}

/* The order of the group, added to S: the same number, another spelling. */
static void both_refuse_another_spelling_of_a_signature(void **state)
{
    (void)state;
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
                                      0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
    struct sign_key *key = NULL;
    size_t signature = 0;
    struct buf out = some_sealed(3, &key, &signature);
    struct two two = two_of(sign_key_spki(key));
    unsigned carry = 0;
    for (size_t i = 0; i < sizeof order; i++) {
        carry += (unsigned)out.data[signature + 32 + i] + order[i];
        out.data[signature + 32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_false(opens(two.openssl, buf_bytes(&out)));
    assert_false(opens(two.sodium, buf_bytes(&out)));
    two_done(&two);
    sign_key_free(key);
    buf_done(&out);
}

/* ---- where libsodium is stricter ---- */

/* A public key of small order is signed for by anybody: R = B, S = 1 fits whatever the text. */
static void a_key_that_anybody_signs_for_opens_nothing(void **state)
{
    (void)state;
    struct sign_key *key = NULL;
    size_t signature = 0;
    uint8_t spki[44];
    struct buf out = some_sealed(1, &key, &signature);
    memcpy(spki, sign_key_spki(key).data, sizeof spki);
    memset(spki + 12, 0, 32);
    spki[12] = 1; /* the neutral point */
    memset(&out.data[signature], 0x66, 32);
    out.data[signature] = 0x58; /* the base point */
    memset(&out.data[signature + 32], 0, 32);
    out.data[signature + 32] = 1;
    struct two two = two_of(bytes_of(spki, sizeof spki));
    assert_true(opens(two.openssl, buf_bytes(&out)));
    assert_false(opens(two.sodium, buf_bytes(&out)));
    two_done(&two);
    sign_key_free(key);
    buf_done(&out);
}

/* ---- keys ---- */

static void a_key_has_one_spelling_here_too(void **state)
{
    (void)state;
    struct verify_key *public = NULL;
    struct err err = {0};
    assert_false(ed25519_verify_key(bytes_of("no key", 6), &public, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_null(public);
}

static bool give_up(const uint8_t private[32], struct signer *ret_signer, struct err *err)
{
    (void)private, (void)ret_signer;
    return err_set(err, ERR_NO_MEMORY, "no memory");
}

static void a_signer_that_is_not_made_leaves_the_key(void **state)
{
    (void)state;
    struct sign_key *key = NULL;
    size_t signature = 0;
    struct buf out = some_sealed(5, &key, &signature);
    struct two two = two_of(sign_key_spki(key));
    assert_false(sign_key_through(key, give_up, NULL));
    buf_done(&out);
    out = sealed(key, bytes_of("body", 4));
    assert_true(opens(two.sodium, buf_bytes(&out)));
    two_done(&two);
    sign_key_free(key);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sign_the_same),
        cmocka_unit_test(both_refuse_what_was_changed),
        cmocka_unit_test(both_refuse_another_spelling_of_a_signature),
        cmocka_unit_test(a_key_that_anybody_signs_for_opens_nothing),
        cmocka_unit_test(a_key_has_one_spelling_here_too),
        cmocka_unit_test(a_signer_that_is_not_made_leaves_the_key),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
