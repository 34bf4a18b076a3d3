/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/sealed.h"

#include "base/file.h"
#include "proto/limits.h"
#include "proto/refusal.h"
#include "tests/unit/device_ca.h"
#include "tests/unit/testing.h"

#include <openssl/cms.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SECRET "[wifi]\nssid = till\npassphrase = correct horse battery\n"

struct world {
    char dir[64];
    struct device_ca ca;
    struct sealing_key *key, *other;
    struct buf certificate, others;
};

static char *in(const struct world *world, const char *name, char path[128])
{
    (void)snprintf(path, 128, "%s/%s", world->dir, name);
    return path;
}

static struct sealing_key *key_make(const struct world *world, const char *name)
{
    char path[128];
    struct err err = {0};
    struct sealing_key *key = NULL;
    if (!sealing_key_make(in(world, name, path), &key, &err))
        fail_msg("%s", err.text);
    return key;
}

static void certify(const struct world *world, const struct sealing_key *key, const char *name,
                    struct buf *ret_der)
{
    struct buf pem = {0};
    const struct device_ca_order order = {.name = name};
    assert_true(sealing_key_request(key, name, &pem, NULL));
    assert_true(buf_append(&pem, "", 1, NULL));
    device_ca_sign_request(&world->ca, (const char *)pem.data, &order, ret_der);
    buf_done(&pem);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    const char *temporary = getenv("TMPDIR");
    (void)snprintf(world->dir, sizeof world->dir, "%s/sealed_test.XXXXXX",
                   temporary != NULL ? temporary : "/tmp");
    if (mkdtemp(world->dir) == NULL)
        return -1;
    device_ca_make(&world->ca, "devices");
    world->key = key_make(world, "one.pem");
    world->other = key_make(world, "two.pem");
    certify(world, world->key, "t-1", &world->certificate);
    certify(world, world->other, "t-2", &world->others);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    bool gone = file_remove_tree(world->dir, NULL);
    sealing_key_free(world->key);
    sealing_key_free(world->other);
    buf_done(&world->certificate);
    buf_done(&world->others);
    device_ca_done(&world->ca);
    free(world);
    return gone ? 0 : -1;
}

static struct buf sealed_to(struct buf *certificate, const void *content, size_t length)
{
    struct buf sealed = {0};
    struct err err = {0};
    if (!sealed_make(buf_bytes(certificate), bytes_of(content, length), &sealed, &err))
        fail_msg("%s", err.text);
    return sealed;
}

static void assert_refused(const struct sealing_key *key, struct bytes sealed)
{
    struct buf content = {0};
    struct err err = {0};
    assert_false(sealed_open(key, sealed, &content, &err));
    assert_int_equal(err.code, ERR_REFUSED);
    assert_int_equal(refusal_of(&err), MUSTER__REFUSAL__REFUSAL_CONTENT_SEALED);
    assert_null(content.data);
}

static void assert_opens(const struct sealing_key *key, struct bytes sealed, const void *content,
                         size_t length)
{
    struct buf opened = {0};
    struct err err = {0};
    if (!sealed_open(key, sealed, &opened, &err))
        fail_msg("%s", err.text);
    assert_int_equal(opened.length, length);
    if (length > 0)
        assert_memory_equal(opened.data, content, length);
    secret_done(&opened);
}

static void test_only_the_one_opens(void **state)
{
    struct world *world = *state;
    struct buf sealed = sealed_to(&world->certificate, SECRET, strlen(SECRET));
    assert_opens(world->key, buf_bytes(&sealed), SECRET, strlen(SECRET));
    assert_refused(world->other, buf_bytes(&sealed));
    assert_null(memmem(sealed.data, sealed.length, "battery", 7));
    /* What `--help` and the size of manifests are reckoned with. */
    assert_in_range(sealed.length, strlen(SECRET), strlen(SECRET) + 400);
    buf_done(&sealed);
}

static void test_sizes(void **state)
{
    struct world *world = *state;
    enum { LONGEST = LIMIT_SEALED_BYTES - 1024 };
    uint8_t *content = calloc(1, LIMIT_SEALED_BYTES);
    struct buf none = sealed_to(&world->certificate, "", 0);
    assert_opens(world->key, buf_bytes(&none), "", 0);
    struct buf large = sealed_to(&world->certificate, content, LONGEST);
    assert_true(large.length <= LIMIT_SEALED_BYTES);
    assert_opens(world->key, buf_bytes(&large), content, LONGEST);
    struct err err = {0};
    assert_false(
        sealed_make(buf_bytes(&world->certificate), bytes_of(content, LONGEST + 1), &none, &err));
    assert_int_equal(err.code, ERR_FULL);
    buf_done(&large);
    buf_done(&none);
    free(content);
}

/* No byte of it may be another one; nor may any be missing or too much. */
static void test_changed(void **state)
{
    struct world *world = *state;
    struct buf sealed = sealed_to(&world->certificate, SECRET, strlen(SECRET));
    for (size_t i = 0; i < sealed.length; i++) {
        struct buf content = {0};
        sealed.data[i] ^= 1;
        /* What names the recipient is for who looks for a key; with one key it is not read. */
        if (sealed_open(world->key, buf_bytes(&sealed), &content, NULL)) {
            assert_int_equal(content.length, strlen(SECRET));
            assert_memory_equal(content.data, SECRET, strlen(SECRET));
        }
        secret_done(&content);
        sealed.data[i] ^= 1;
    }
    for (size_t i = 0; i < sealed.length; i++)
        assert_refused(world->key, bytes_of(sealed.data, i));
    assert_true(buf_append(&sealed, "", 1, NULL));
    assert_refused(world->key, buf_bytes(&sealed));
    buf_done(&sealed);
}

static X509 *x509_of(const struct buf *der)
{
    const unsigned char *at = der->data;
    return d2i_X509(NULL, &at, (long)der->length);
}

static void assert_form_refused(const struct world *world, CMS_ContentInfo *cms)
{
    struct buf der = {0};
    assert_non_null(cms);
    uint8_t *to = buf_reserve(&der, (size_t)i2d_CMS_ContentInfo(cms, NULL), NULL);
    der.length = (size_t)i2d_CMS_ContentInfo(cms, &to);
    assert_refused(world->key, buf_bytes(&der));
    buf_done(&der);
    CMS_ContentInfo_free(cms);
}

/* OpenSSL would open these; but what is not authenticated could have been changed, and what is
 * sealed to two is not this device's alone. */
static void test_other_forms(void **state)
{
    struct world *world = *state;
    X509 *mine = x509_of(&world->certificate);
    X509 *others = x509_of(&world->others);
    STACK_OF(X509) *both = sk_X509_new_null();
    BIO *data = BIO_new_mem_buf(SECRET, -1);
    sk_X509_push(both, mine);
    assert_form_refused(world, CMS_encrypt(both, data, EVP_aes_256_cbc(), CMS_BINARY));
    sk_X509_push(both, others);
    (void)BIO_reset(data);
    assert_form_refused(world, CMS_encrypt(both, data, EVP_aes_256_gcm(), CMS_BINARY));
    (void)BIO_reset(data);
    assert_form_refused(world, CMS_data_create(data, CMS_BINARY));
    sk_X509_free(both);
    BIO_free(data);
    X509_free(mine);
    X509_free(others);
}

static void test_wrong_certificates(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    struct buf der = {0};
    struct buf sealed = {0};
    const struct device_ca_order order = {.name = "t-1"};
    EVP_PKEY *p384 = EVP_EC_gen("P-384");
    device_ca_sign(&world->ca, p384, &order, &der);
    EVP_PKEY_free(p384);
    assert_false(sealed_make(buf_bytes(&der), bytes_of("x", 1), &sealed, &err));
    assert_int_equal(err.code, ERR_INVALID);
    struct buf *good = &world->certificate;
    assert_true(buf_append(good, "", 1, NULL));
    assert_false(sealed_make(buf_bytes(good), bytes_of("x", 1), &sealed, NULL));
    assert_false(sealed_make(bytes_of("", 0), bytes_of("x", 1), &sealed, NULL));
    assert_false(
        sealed_make(bytes_of(good->data, good->length - 2), bytes_of("x", 1), &sealed, NULL));
    assert_int_equal(sealed.length, 0);
    buf_done(&der);
}

static void test_key_files(void **state)
{
    struct world *world = *state;
    struct sealing_key *key = NULL;
    struct err err = {0};
    char path[128];
    struct stat st;
    assert_int_equal(stat(in(world, "one.pem", path), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_false(sealing_key_make(path, &key, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    struct buf sealed = sealed_to(&world->certificate, SECRET, strlen(SECRET));
    assert_true(sealing_key_read(path, &key, NULL));
    assert_opens(key, buf_bytes(&sealed), SECRET, strlen(SECRET));
    sealing_key_free(key);
    buf_done(&sealed);
    assert_int_equal(chmod(path, 0640), 0);
    assert_false(sealing_key_read(path, &key, &err));
    assert_int_equal(err.code, ERR_REFUSED);
    assert_false(sealing_key_read(in(world, "none.pem", path), &key, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void test_key_of_another_curve(void **state)
{
    struct world *world = *state;
    struct sealing_key *key = NULL;
    struct err err = {0};
    char path[128];
    FILE *file = fopen(in(world, "p384.pem", path), "w");
    EVP_PKEY *p384 = EVP_EC_gen("P-384");
    assert_int_equal(PEM_write_PKCS8PrivateKey(file, p384, NULL, NULL, 0, NULL, NULL), 1);
    EVP_PKEY_free(p384);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
    assert_false(sealing_key_read(path, &key, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_only_the_one_opens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sizes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_changed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_forms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wrong_certificates, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_key_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_key_of_another_curve, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
