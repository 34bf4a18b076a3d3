/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/trust.h"

#include "base/file.h"
#include "proto/limits.h"
#include "proto/unpack.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 4 };
static struct sign_key *keys[KEYS];

static int make_keys(void **state)
{
    char folder[64], path[128];
    const char *temporary = getenv("TMPDIR");
    (void)state;
    (void)snprintf(folder, sizeof folder, "%s/trust_test.XXXXXX", temporary ? temporary : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    for (size_t i = 0; i < KEYS; i++) {
        (void)snprintf(path, sizeof path, "%s/%zu.pem", folder, i);
        if (!sign_key_make(path, &keys[i], NULL))
            return -1;
    }
    return file_remove_tree(folder, NULL) ? 0 : -1;
}

static int free_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < KEYS; i++)
        sign_key_free(keys[i]);
    return 0;
}

/* A root of two roles: ROOT with keys 0 and 1, both needed, and RECEIPT with key 2. */
struct sketch {
    Muster__Root root;
    Muster__RoleKeys roles[2], *role_list[2];
    Muster__PublicKey keys[4], *key_list[2][2];
};

static void sketch_key(struct sketch *sketch, size_t slot, size_t role, size_t at, size_t key)
{
    muster__public_key__init(&sketch->keys[slot]);
    struct bytes spki = sign_key_spki(keys[key]);
    sketch->keys[slot].algorithm = MUSTER__KEY_ALGORITHM__KEY_ALGORITHM_ED25519;
    sketch->keys[slot].spki =
        (ProtobufCBinaryData){.len = spki.length, .data = (uint8_t *)(uintptr_t)spki.data};
    sketch->key_list[role][at] = &sketch->keys[slot];
}

static void sketch_init(struct sketch *sketch)
{
    muster__root__init(&sketch->root);
    for (size_t i = 0; i < 2; i++) {
        muster__role_keys__init(&sketch->roles[i]);
        sketch->role_list[i] = &sketch->roles[i];
        sketch->roles[i].keys = sketch->key_list[i];
    }
    sketch->root.version = 3;
    sketch->root.roles = sketch->role_list;
    sketch->root.n_roles = 2;
    sketch->roles[0].role = MUSTER__ROLE__ROLE_ROOT;
    sketch->roles[0].threshold = 2;
    sketch->roles[0].n_keys = 2;
    sketch->roles[1].role = MUSTER__ROLE__ROLE_RECEIPT;
    sketch->roles[1].threshold = 1;
    sketch->roles[1].n_keys = 1;
    sketch_key(sketch, 0, 0, 0, 0);
    sketch_key(sketch, 1, 0, 1, 1);
    sketch_key(sketch, 2, 1, 0, 2);
    sketch_key(sketch, 3, 1, 1, 3);
}

static void seal_root(const struct sketch *sketch, size_t signer_a, size_t signer_b,
                      const char *domain, struct buf *out)
{
    struct buf body = {0};
    const struct sign_key *signers[] = {keys[signer_a], keys[signer_b]};
    assert_true(pack(&sketch->root.base, &body, NULL));
    assert_true(seal(domain, "", buf_bytes(&body), signers, 2, true, out, NULL));
    buf_done(&body);
}

static struct trust *opened(const struct sketch *sketch)
{
    struct buf root = {0};
    struct err err = {0};
    struct trust *trust = NULL;
    seal_root(sketch, 0, 1, "root", &root);
    if (!trust_open(buf_bytes(&root), &trust, &err))
        fail_msg("%s", err.text);
    buf_done(&root);
    return trust;
}

static void refused_as(const struct sketch *sketch, size_t signer_a, size_t signer_b,
                       const char *domain, enum err_code code, const char *text)
{
    struct buf root = {0};
    struct err err = {0};
    struct trust *trust = NULL;
    seal_root(sketch, signer_a, signer_b, domain, &root);
    assert_false(trust_open(buf_bytes(&root), &trust, &err));
    assert_null(trust);
    assert_int_equal(err.code, code);
    if (!strstr(err.text, text))
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
    buf_done(&root);
}

static void every_role_has_its_keys(void **state)
{
    (void)state;
    struct sketch sketch;
    sketch_init(&sketch);
    struct trust *trust = opened(&sketch);
    assert_int_equal(trust_version(trust), 3);
    const struct key_set *receipt = trust_keys(trust, MUSTER__ROLE__ROLE_RECEIPT);
    assert_int_equal(receipt->count, 1);
    assert_int_equal(receipt->threshold, 1);
    assert_true(bytes_equal(verify_key_spki(receipt->keys[0]), sign_key_spki(keys[2])));
    assert_int_equal(trust_keys(trust, MUSTER__ROLE__ROLE_ROOT)->count, 2);
    static const int without[] = {MUSTER__ROLE__ROLE_RELEASE, MUSTER__ROLE__ROLE_UNKNOWN, 99, -1};
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++)
        assert_int_equal(trust_keys(trust, (Muster__Role)without[i])->threshold, 0);
    trust_free(trust);
    trust_free(NULL);
}

static void its_own_keepers_must_have_signed(void **state)
{
    (void)state;
    struct sketch sketch;
    sketch_init(&sketch);
    refused_as(&sketch, 0, 0, "root", ERR_REFUSED, "signed by 1 of the 2 keys");
    refused_as(&sketch, 0, 2, "root", ERR_REFUSED, "signed by 1 of the 2 keys");
    refused_as(&sketch, 2, 3, "root", ERR_REFUSED, "signed by 0 of the 2 keys");
    refused_as(&sketch, 0, 1, "manifest", ERR_REFUSED, "signed by 0 of the 2 keys");
    sketch.root.n_roles = 1;
    sketch.role_list[0] = &sketch.roles[1];
    refused_as(&sketch, 2, 2, "root", ERR_REFUSED, "0 keys");
}

static void a_root_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    struct sketch sketch;
    sketch_init(&sketch);
    sketch.root.version = 0;
    refused_as(&sketch, 0, 1, "root", ERR_INVALID, "no version");
    sketch_init(&sketch);
    sketch.roles[1].threshold = 2;
    refused_as(&sketch, 0, 1, "root", ERR_INVALID, "role 5: 2 of 1 keys cannot sign");
    sketch.roles[1].threshold = 0;
    refused_as(&sketch, 0, 1, "root", ERR_INVALID, "role 5: 0 of 1 keys cannot sign");
    sketch_init(&sketch);
    sketch.roles[1].role = MUSTER__ROLE__ROLE_ROOT;
    refused_as(&sketch, 0, 1, "root", ERR_INVALID, "role 1 twice");
    sketch_init(&sketch);
    sketch_key(&sketch, 1, 0, 1, 0);
    refused_as(&sketch, 0, 1, "root", ERR_INVALID, "role 1, key 2: the same key twice");
    sketch_init(&sketch);
    sketch.keys[2].spki.len--;
    refused_as(&sketch, 0, 1, "root", ERR_INVALID, "role 5, key 1: an Ed25519");
}

static void what_a_newer_root_adds_is_passed_over(void **state)
{
    (void)state;
    struct sketch sketch;
    sketch_init(&sketch);
    sketch.roles[1].n_keys = 2;
    sketch.keys[3].algorithm = (Muster__KeyAlgorithm)7;
    struct trust *trust = opened(&sketch);
    assert_int_equal(trust_keys(trust, MUSTER__ROLE__ROLE_RECEIPT)->count, 1);
    trust_free(trust);
    sketch_init(&sketch);
    static const int foreign[] = {77, MUSTER__ROLE__ROLE_RECEIPT + 1, 0, -1, INT32_MIN};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        sketch.roles[1].role = (Muster__Role)foreign[i];
        trust = opened(&sketch);
        assert_int_equal(trust_keys(trust, MUSTER__ROLE__ROLE_RECEIPT)->count, 0);
        trust_free(trust);
    }
}

static void cut_changed_or_swollen_it_is_refused(void **state)
{
    (void)state;
    struct sketch sketch;
    struct buf root = {0};
    struct trust *trust = NULL;
    sketch_init(&sketch);
    seal_root(&sketch, 0, 1, "root", &root);
    for (size_t length = 0; length < root.length; length++)
        assert_false(trust_open(bytes_of(root.data, length), &trust, NULL));
    for (size_t i = 0; i < root.length; i++) {
        root.data[i] ^= (uint8_t)(1u << i % 8);
        assert_false(trust_open(buf_bytes(&root), &trust, NULL));
        root.data[i] ^= (uint8_t)(1u << i % 8);
    }
    uint8_t *more = calloc(1, LIMIT_ROOT_BYTES + 1);
    assert_false(trust_open(bytes_of(more, LIMIT_ROOT_BYTES + 1), &trust, NULL));
    free(more);
    buf_done(&root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_role_has_its_keys),
        cmocka_unit_test(its_own_keepers_must_have_signed),
        cmocka_unit_test(a_root_that_makes_no_sense_is_refused),
        cmocka_unit_test(what_a_newer_root_adds_is_passed_over),
        cmocka_unit_test(cut_changed_or_swollen_it_is_refused),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
