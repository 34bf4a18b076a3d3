/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/sealing.h"

#include "base/file.h"
#include "proto/sealed.h"
#include "tests/unit/device_ca.h"
#include "tests/unit/testing.h"

#include <openssl/ec.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEVICE "term-0001"

struct world {
    char dir[64];
    char ca_path[128], crl_path[128];
    struct device_ca ca, other;
    EVP_PKEY *key;
    int64_t now_ms;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    const char *temporary = getenv("TMPDIR");
    (void)snprintf(world->dir, sizeof world->dir, "%s/sealing_test.XXXXXX",
                   temporary != NULL ? temporary : "/tmp");
    if (mkdtemp(world->dir) == NULL)
        return -1;
    (void)snprintf(world->ca_path, sizeof world->ca_path, "%s/ca.pem", world->dir);
    (void)snprintf(world->crl_path, sizeof world->crl_path, "%s/crl.pem", world->dir);
    device_ca_make(&world->ca, "devices");
    device_ca_make(&world->other, "devices"); /* the same name, another key */
    device_ca_write(&world->ca, world->ca_path);
    world->key = EVP_EC_gen("P-256");
    world->now_ms = (int64_t)time(NULL) * 1000;
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    bool gone = file_remove_tree(world->dir, NULL);
    device_ca_done(&world->ca);
    device_ca_done(&world->other);
    EVP_PKEY_free(world->key);
    free(world);
    return gone ? 0 : -1;
}

static bool check(const struct world *world, const char *crl, struct bytes der, struct err *err)
{
    struct sealing_authority *authority = NULL;
    struct err why = {0};
    if (!sealing_authority_open(world->ca_path, crl, world->now_ms, &authority, &why))
        fail_msg("%s", why.text);
    bool good = sealing_certificate_check(authority, DEVICE, der, err);
    sealing_authority_close(authority);
    return good;
}

/* NULL: it is trusted. Else what is said. */
static void assert_check(const struct world *world, const struct device_ca *ca,
                         const struct device_ca_order *order, const char *says)
{
    struct buf der = {0};
    struct err err = {0};
    device_ca_sign(ca, world->key, order, &der);
    bool good = check(world, NULL, buf_bytes(&der), &err);
    if (good != (says == NULL) || (!good && strstr(err.text, says) == NULL))
        fail_msg("%s: \"%s\", expected \"%s\"", good ? "trusted" : "refused", err.text,
                 says != NULL ? says : "to be trusted");
    if (!good)
        assert_int_equal(err.code, ERR_REFUSED);
    buf_done(&der);
}

static void test_trusted(void **state)
{
    struct world *world = *state;
    const struct device_ca_order plain = {.name = DEVICE};
    const struct device_ca_order more = {.name = DEVICE,
                                         .use = "critical,digitalSignature,keyAgreement"};
    assert_check(world, &world->ca, &plain, NULL);
    assert_check(world, &world->ca, &more, NULL);
}

static void test_another_ca(void **state)
{
    struct world *world = *state;
    const struct device_ca_order order = {.name = DEVICE};
    assert_check(world, &world->other, &order, "signature failure");
}

static void test_names(void **state)
{
    struct world *world = *state;
    const struct device_ca_order orders[] = {
        {.name = "term-0002"},
        {.name = "term-00011"},
        {.name = "term-000"},
        {.name = "TERM-0001"},
        {.name = DEVICE, .second_name = "term-0002"},
        {.name = "term-0002", .second_name = DEVICE},
    };
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
        assert_check(world, &world->ca, &orders[i], "(CN) is not " DEVICE);
}

static void test_uses(void **state)
{
    struct world *world = *state;
    const struct {
        struct device_ca_order order;
        const char *says;
    } rows[] = {
        {{.name = DEVICE, .use = ""}, "keyAgreement"},
        {{.name = DEVICE, .use = "critical,digitalSignature"}, "keyAgreement"},
        {{.name = DEVICE, .extended = "clientAuth"}, "for TLS"},
        {{.name = DEVICE, .extended = "emailProtection,serverAuth"}, "for TLS"},
        {{.name = DEVICE, .extended = "anyExtendedKeyUsage"}, "for TLS"},
        {{.name = DEVICE, .extended = "emailProtection"}, NULL},
        {{.name = DEVICE,
          .constraints = "critical,CA:TRUE",
          .use = "critical,keyAgreement,keyCertSign"},
         "of a CA"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_check(world, &world->ca, &rows[i].order, rows[i].says);
}

static void test_validity(void **state)
{
    struct world *world = *state;
    const struct device_ca_order over = {.name = DEVICE, .begins_s = -7200, .ends_s = -3600};
    const struct device_ca_order early = {.name = DEVICE, .begins_s = 3600, .ends_s = 7200};
    assert_check(world, &world->ca, &over, "expired");
    assert_check(world, &world->ca, &early, "not yet valid");
}

static void test_other_curve(void **state)
{
    struct world *world = *state;
    const struct device_ca_order order = {.name = DEVICE};
    EVP_PKEY_free(world->key);
    world->key = EVP_EC_gen("P-384");
    assert_check(world, &world->ca, &order, "P-256");
}

static void test_revoked(void **state)
{
    struct world *world = *state;
    const struct device_ca_order order = {.name = DEVICE, .serial = 77};
    const long others[] = {5, 6};
    const long mine[] = {5, 77};
    struct buf der = {0};
    struct err err = {0};
    device_ca_sign(&world->ca, world->key, &order, &der);
    device_ca_revoke(&world->ca, others, 2, 3600, world->crl_path);
    assert_true(check(world, world->crl_path, buf_bytes(&der), NULL));
    device_ca_revoke(&world->ca, mine, 2, 3600, world->crl_path);
    assert_false(check(world, world->crl_path, buf_bytes(&der), &err));
    assert_non_null(strstr(err.text, "revoked"));
    assert_true(check(world, NULL, buf_bytes(&der), NULL)); /* who does not ask is not told */
    /* A list that has run out, or another CA's, says nothing: then nothing is sealed. */
    device_ca_revoke(&world->ca, others, 2, -60, world->crl_path);
    assert_false(check(world, world->crl_path, buf_bytes(&der), NULL));
    device_ca_revoke(&world->other, others, 2, 3600, world->crl_path);
    assert_false(check(world, world->crl_path, buf_bytes(&der), NULL));
    buf_done(&der);
}

static void test_not_a_certificate(void **state)
{
    struct world *world = *state;
    const struct device_ca_order order = {.name = DEVICE};
    struct buf der = {0};
    device_ca_sign(&world->ca, world->key, &order, &der);
    for (size_t length = 0; length < der.length; length += 7)
        assert_false(check(world, NULL, bytes_of(der.data, length), NULL));
    assert_true(sealing_certificate_fits(DEVICE, buf_bytes(&der), NULL));
    assert_true(buf_append(&der, "", 1, NULL));
    assert_false(check(world, NULL, buf_bytes(&der), NULL));
    assert_false(sealing_certificate_fits(DEVICE, buf_bytes(&der), NULL));
    buf_done(&der);
}

static void test_files(void **state)
{
    struct world *world = *state;
    struct sealing_authority *authority = NULL;
    struct buf der = {0};
    struct err err = {0};
    char path[128];
    (void)snprintf(path, sizeof path, "%s/none.pem", world->dir);
    assert_false(sealing_authority_open(path, NULL, 0, &authority, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_false(sealing_authority_open(world->ca_path, path, 0, &authority, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_false(sealing_authority_open(world->ca_path, world->ca_path, 0, &authority, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_true(sealing_certificate_read(world->ca_path, &der, NULL));
    assert_true(file_write(path, buf_bytes(&der), 0644, NULL));
    struct buf again = {0};
    assert_true(sealing_certificate_read(path, &again, NULL));
    assert_true(bytes_equal(buf_bytes(&der), buf_bytes(&again)));
    assert_true(file_write(path, bytes_of("x", 1), 0644, NULL));
    assert_false(sealing_certificate_read(path, &again, &err));
    assert_int_equal(err.code, ERR_INVALID);
    buf_done(&again);
    buf_done(&der);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_trusted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_ca, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_uses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_validity, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_curve, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_revoked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_a_certificate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_files, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
