/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/envelope.h"
#include "proto/seal.h"

#include "base/file.h"
#include "tests/unit/testing.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Published: RFC 8032, section 7.1, tests 2 and 3. Secrets of nobody. */
static const struct {
    const char *secret, *public, *message, *signature;
} rfc8032[] = {
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
     "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
     "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
};

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    const char *temporary = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/seal_test.XXXXXX", temporary ? temporary : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return file_remove_tree(folder, NULL) ? 0 : -1;
}

static const char *in_folder(const char *name, char path[128])
{
    (void)snprintf(path, 128, "%s/%s", folder, name);
    return path;
}

static struct sign_key *new_key(const char *name)
{
    char path[128];
    struct err err = {0};
    struct sign_key *key = NULL;
    if (!sign_key_make(in_folder(name, path), &key, &err))
        fail_msg("%s", err.text);
    return key;
}

static struct verify_key *public_of(const struct sign_key *key)
{
    struct verify_key *public = NULL;
    assert_true(verify_key_of_spki(sign_key_spki(key), &public, NULL));
    return public;
}

/* ---- the primitive, and what exactly is signed ---- */

static struct sign_key *key_of_seed(const uint8_t seed[32], EVP_PKEY **ret_pkey)
{
    char path[128];
    struct sign_key *key = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    *ret_pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
    assert_int_equal(PEM_write_bio_PrivateKey(bio, *ret_pkey, NULL, NULL, 0, NULL, NULL), 1);
    long length = BIO_get_mem_data(bio, &text);
    assert_true(file_write(in_folder("rfc.pem", path), bytes_of(text, (size_t)length), 0600, NULL));
    assert_true(sign_key_read(path, &key, NULL));
    BIO_free(bio);
    return key;
}

static void raw_sign(EVP_PKEY *pkey, struct bytes text, uint8_t signature[64])
{
    size_t length = 64;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(md, NULL, NULL, NULL, pkey), 1);
    assert_int_equal(EVP_DigestSign(md, signature, &length, text.data, text.length), 1);
    EVP_MD_CTX_free(md);
}

static void signatures_are_rfc_8032_over_the_stated_bytes(void **state)
{
    (void)state;
    static const char covered[] = "muster/v1/batch\0t-01\0body";
    for (size_t i = 0; i < sizeof rfc8032 / sizeof rfc8032[0]; i++) {
        uint8_t seed[32], public[32], message[8], published[64], signature[64];
        size_t length = strlen(rfc8032[i].message) / 2;
        EVP_PKEY *pkey = NULL;
        assert_true(hex_decode(rfc8032[i].secret, 64, seed, 32));
        assert_true(hex_decode(rfc8032[i].public, 64, public, 32));
        assert_true(hex_decode(rfc8032[i].message, 2 * length, message, length));
        assert_true(hex_decode(rfc8032[i].signature, 128, published, 64));
        struct sign_key *key = key_of_seed(seed, &pkey);
        struct bytes spki = sign_key_spki(key);
        assert_int_equal(spki.length, 44);
        assert_memory_equal(spki.data + 12, public, 32);
        raw_sign(pkey, bytes_of(message, length), signature);
        assert_memory_equal(signature, published, 64);

        struct buf sealed = {0};
        struct envelope envelope;
        const struct sign_key *keys[] = {key};
        assert_true(seal("batch", "t-01", bytes_of("body", 4), keys, 1, false, &sealed, NULL));
        assert_true(envelope_read(buf_bytes(&sealed), &envelope, NULL));
        raw_sign(pkey, bytes_of(covered, sizeof covered - 1), signature);
        assert_memory_equal(envelope.signatures[0].signature.data, signature, 64);
        assert_int_equal(envelope.signatures[0].key_id.length, 0);
        buf_done(&sealed);
        sign_key_free(key);
        EVP_PKEY_free(pkey);
    }
}

static void hashes_are_fips_180_4(void **state)
{
    (void)state;
    uint8_t digest[32], again[32];
    char text[65];
    sha256(bytes_of("abc", 3), digest);
    hex_encode(digest, 32, text);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    struct sha256_state *hash = sha256_begin();
    sha256_add(hash, bytes_of("a", 1));
    sha256_add(hash, bytes_of("bc", 2));
    sha256_end(hash, again);
    assert_memory_equal(digest, again, 32);
}

/* ---- envelopes ---- */

static struct sign_key *keys[3];
static struct verify_key *publics[3];

static int make_keys(void **state)
{
    static const char *const names[] = {"a.pem", "b.pem", "c.pem"};
    if (make_folder(state) < 0)
        return -1;
    for (size_t i = 0; i < 3; i++) {
        keys[i] = new_key(names[i]);
        publics[i] = public_of(keys[i]);
    }
    return 0;
}

static int free_keys(void **state)
{
    for (size_t i = 0; i < 3; i++) {
        sign_key_free(keys[i]);
        verify_key_free(publics[i]);
    }
    return remove_folder(state);
}

static void seal_by(const size_t *by, size_t count, bool name_keys, struct buf *out)
{
    const struct sign_key *list[17];
    struct err err = {0};
    for (size_t i = 0; i < count; i++)
        list[i] = keys[by[i]];
    if (!seal("manifest", "t-01", bytes_of("the body", 8), list, count, name_keys, out, &err))
        fail_msg("%s", err.text);
}

static enum err_code opened(struct bytes sealed, size_t known, size_t threshold)
{
    struct err err = {0};
    struct bytes body = {0};
    struct key_set set = {.keys = publics, .count = known, .threshold = threshold};
    if (!unseal("manifest", "t-01", sealed, &set, &body, &err)) {
        assert_null(body.data);
        return err.code;
    }
    assert_true(bytes_equal(body, bytes_of("the body", 8)));
    assert_true(body.data > sealed.data && body.data < sealed.data + sealed.length);
    return ERR_NONE;
}

static void enough_different_keys_open_it(void **state)
{
    (void)state;
    static const struct {
        size_t by[3], count, known, threshold;
        enum err_code expected;
    } cases[] = {
        {{0}, 1, 1, 1, ERR_NONE},       {{0}, 1, 3, 1, ERR_NONE},
        {{0, 1}, 2, 3, 2, ERR_NONE},    {{2, 0}, 2, 3, 2, ERR_NONE},
        {{0, 1, 2}, 3, 3, 3, ERR_NONE}, {{0}, 1, 3, 2, ERR_REFUSED},
        {{0, 0}, 2, 3, 2, ERR_REFUSED}, {{0, 0, 0}, 3, 3, 2, ERR_REFUSED},
        {{2}, 1, 2, 1, ERR_REFUSED},    {{0, 2}, 2, 2, 2, ERR_REFUSED},
        {{0}, 1, 1, 0, ERR_REFUSED},    {{0}, 1, 0, 0, ERR_REFUSED},
        {{0}, 1, 0, 1, ERR_REFUSED},    {{0}, 1, 1, 2, ERR_REFUSED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf sealed = {0};
        seal_by(cases[i].by, cases[i].count, true, &sealed);
        assert_int_equal(opened(buf_bytes(&sealed), cases[i].known, cases[i].threshold),
                         cases[i].expected);
        buf_done(&sealed);
    }
}

static void a_key_listed_twice_counts_once(void **state)
{
    (void)state;
    struct buf sealed = {0};
    struct bytes body;
    struct verify_key *twice[] = {publics[0], publics[0]};
    struct key_set set = {.keys = twice, .count = 2, .threshold = 2};
    seal_by((size_t[]){0, 0}, 2, true, &sealed);
    assert_false(unseal("manifest", "t-01", buf_bytes(&sealed), &set, &body, NULL));
    buf_done(&sealed);
}

static void nameless_signatures_need_a_single_key(void **state)
{
    (void)state;
    struct buf sealed = {0};
    seal_by((size_t[]){0}, 1, false, &sealed);
    assert_int_equal(opened(buf_bytes(&sealed), 1, 1), ERR_NONE);
    assert_int_equal(opened(buf_bytes(&sealed), 2, 1), ERR_REFUSED);
    buf_done(&sealed);
}

static void neither_another_domain_nor_another_device(void **state)
{
    (void)state;
    struct buf sealed = {0};
    struct bytes body = {0};
    struct err err = {0};
    struct key_set set = {.keys = publics, .count = 1, .threshold = 1};
    seal_by((size_t[]){0}, 1, true, &sealed);
    assert_false(unseal("welcome", "t-01", buf_bytes(&sealed), &set, &body, &err));
    assert_false(unseal("manifest", "t-02", buf_bytes(&sealed), &set, &body, &err));
    assert_int_equal(err.code, ERR_REFUSED);
    assert_string_equal(err.text,
                        "manifest of t-02: signed by 0 of the 1 keys it must be signed by "
                        "(1 known)");
    assert_false(unseal("manifest", "", buf_bytes(&sealed), &set, &body, &err));
    assert_false(unseal("manifestt-01", "", buf_bytes(&sealed), &set, &body, &err));
    assert_null(body.data);
    buf_done(&sealed);
}

static void cut_or_changed_it_never_opens(void **state)
{
    (void)state;
    struct buf sealed = {0};
    for (int named = 0; named < 2; named++) {
        buf_clear(&sealed);
        seal_by((size_t[]){0}, 1, named, &sealed);
        size_t known = named ? 2 : 1;
        assert_int_equal(opened(buf_bytes(&sealed), known, 1), ERR_NONE);
        for (size_t length = 0; length < sealed.length; length++)
            assert_int_equal(opened(bytes_of(sealed.data, length), known, 1), ERR_INVALID);
        for (size_t bit = 0; bit < 8 * sealed.length; bit++) {
            sealed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_not_equal(opened(buf_bytes(&sealed), known, 1), ERR_NONE);
            sealed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    buf_done(&sealed);
}

static void odd_envelopes_are_refused(void **state)
{
    (void)state;
    struct buf sealed = {0}, odd = {0};
    const struct sign_key *many[17] = {0};
    seal_by((size_t[]){0}, 1, true, &sealed);
    /* a second body */
    assert_true(buf_append(&odd, sealed.data, sealed.length, NULL));
    assert_true(buf_append(&odd, "\x0a\x01x", 3, NULL));
    assert_int_equal(opened(buf_bytes(&odd), 1, 1), ERR_INVALID);
    /* seventeen signatures */
    for (size_t i = 0; i < 17; i++)
        many[i] = keys[0];
    buf_clear(&odd);
    assert_true(seal("manifest", "t-01", bytes_of("the body", 8), many, 16, true, &odd, NULL));
    assert_int_equal(opened(buf_bytes(&odd), 1, 1), ERR_NONE);
    assert_true(buf_append(&odd, sealed.data + 10, sealed.length - 10, NULL));
    assert_int_equal(opened(buf_bytes(&odd), 1, 1), ERR_INVALID);
    assert_false(seal("manifest", "t-01", bytes_of("b", 1), many, 17, true, &odd, NULL));
    assert_false(seal("manifest", "t-01", bytes_of("b", 1), many, 0, true, &odd, NULL));
    /* a newer sender's field */
    buf_clear(&odd);
    assert_true(buf_append(&odd, sealed.data, sealed.length, NULL));
    assert_true(buf_append(&odd, "\x1a\x01x", 3, NULL));
    assert_int_equal(opened(buf_bytes(&odd), 1, 1), ERR_NONE);
    buf_done(&sealed);
    buf_done(&odd);
}

/* ---- keys ---- */

static void a_key_file_is_made_once_and_kept_private(void **state)
{
    (void)state;
    char path[128];
    struct err err = {0};
    struct stat status;
    struct sign_key *again = NULL;
    struct sign_key *key = new_key("agent.pem");
    assert_int_equal(stat(in_folder("agent.pem", path), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_false(sign_key_make(path, &again, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_true(sign_key_read(path, &again, NULL));
    assert_true(bytes_equal(sign_key_spki(key), sign_key_spki(again)));
    sign_key_free(again);
    assert_false(file_exists(in_folder("agent.pem.new", path)));

    struct verify_key *public = NULL;
    assert_true(verify_key_read(in_folder("agent.pem", path), &public, NULL));
    assert_true(bytes_equal(sign_key_spki(key), verify_key_spki(public)));
    verify_key_free(public);
    sign_key_free(key);

    assert_int_equal(chmod(path, 0640), 0);
    assert_false(sign_key_read(path, &again, &err));
    assert_int_equal(err.code, ERR_REFUSED);
    assert_non_null(strstr(err.text, "mode 640"));
}

static void other_files_are_no_keys(void **state)
{
    (void)state;
    char path[128];
    struct err err = {0};
    struct sign_key *key = NULL;
    struct verify_key *public = NULL;
    assert_false(sign_key_read(in_folder("missing.pem", path), &key, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_true(file_write(in_folder("text.pem", path), bytes_of("hello\n", 6), 0600, NULL));
    assert_false(sign_key_read(path, &key, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_false(verify_key_read(path, &public, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

static void spki_has_one_spelling(void **state)
{
    (void)state;
    struct verify_key *public = NULL;
    uint8_t spki[45] = {0};
    memcpy(spki, sign_key_spki(keys[0]).data, 44);
    assert_false(verify_key_of_spki(bytes_of(spki, 43), &public, NULL));
    assert_false(verify_key_of_spki(bytes_of(spki, 45), &public, NULL));
    for (size_t bit = 0; bit < 8 * 12; bit++) {
        spki[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(verify_key_of_spki(bytes_of(spki, 44), &public, NULL));
        spki[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(verify_key_of_spki(bytes_of(spki, 44), &public, NULL));
    assert_memory_equal(verify_key_id(public), verify_key_id(publics[0]), KEY_ID_BYTES);
    verify_key_free(public);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_are_rfc_8032_over_the_stated_bytes),
        cmocka_unit_test(hashes_are_fips_180_4),
        cmocka_unit_test(enough_different_keys_open_it),
        cmocka_unit_test(a_key_listed_twice_counts_once),
        cmocka_unit_test(nameless_signatures_need_a_single_key),
        cmocka_unit_test(neither_another_domain_nor_another_device),
        cmocka_unit_test(cut_or_changed_it_never_opens),
        cmocka_unit_test(odd_envelopes_are_refused),
        cmocka_unit_test(a_key_file_is_made_once_and_kept_private),
        cmocka_unit_test(other_files_are_no_keys),
        cmocka_unit_test(spki_has_one_spelling),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
