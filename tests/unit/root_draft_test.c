/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/root_draft.h"

#include "proto/unpack.h"
#include "tests/unit/testing.h"

#include <string.h>

enum {
    KEYS = 20,
    ROOT = MUSTER__ROLE__ROLE_ROOT,
    RELEASE = MUSTER__ROLE__ROLE_RELEASE,
    CUSTODIAN = MUSTER__ROLE__ROLE_CUSTODIAN,
    DIRECTOR = MUSTER__ROLE__ROLE_DIRECTOR,
    RECEIPT = MUSTER__ROLE__ROLE_RECEIPT,
};
static struct verify_key *keys[KEYS];

/* Public halves of nobody: the numbers 1, 2 ... as points. */
static int make_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < KEYS; i++) {
        uint8_t spki[44] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
        spki[12] = (uint8_t)(i + 1);
        if (!verify_key_of_spki(bytes_of(spki, sizeof spki), &keys[i], NULL))
            return -1;
    }
    return 0;
}

static int free_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < KEYS; i++)
        verify_key_free(keys[i]);
    return 0;
}

/* Key n for role n, three and a threshold of two for root. */
static struct root_draft sound(void)
{
    struct root_draft draft = {.version = 4, .epoch = 2, .issued_ms = 1000};
    for (size_t role = 1; role < ROOT_ROLES; role++) {
        draft.roles[role].threshold = 1;
        assert_true(root_draft_add(&draft, role, keys[role], NULL));
    }
    assert_true(root_draft_add(&draft, ROOT, keys[10], NULL));
    assert_true(root_draft_add(&draft, ROOT, keys[11], NULL));
    draft.roles[ROOT].threshold = 2;
    return draft;
}

static void refused(struct root_draft *draft, const char *why)
{
    struct err err = {0};
    assert_false(root_draft_check(draft, &err));
    if (strstr(err.text, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
    root_draft_done(draft);
}

static void a_root_goes_to_bytes_and_back(void **state)
{
    (void)state;
    struct root_draft draft = sound(), again;
    struct buf packed = {0}, second = {0};
    assert_true(root_draft_check(&draft, NULL));
    assert_true(root_draft_pack(&draft, &packed, NULL));
    assert_true(root_draft_read(buf_bytes(&packed), &again, NULL));
    assert_int_equal(again.version, 4);
    assert_int_equal(again.epoch, 2);
    assert_int_equal(again.issued_ms, 1000);
    assert_int_equal(again.roles[ROOT].threshold, 2);
    assert_int_equal(again.roles[ROOT].count, 3);
    assert_memory_equal(verify_key_id(again.roles[CUSTODIAN].keys[0]),
                        verify_key_id(keys[CUSTODIAN]), KEY_ID_BYTES);
    assert_true(root_draft_pack(&again, &second, NULL));
    assert_true(bytes_equal(buf_bytes(&packed), buf_bytes(&second)));
    root_draft_done(&again);
    /* Cut anywhere it is no root, or at least none that a fleet could live with. */
    for (size_t length = 0; length < packed.length; length++) {
        if (root_draft_read(bytes_of(packed.data, length), &again, NULL)) {
            assert_false(root_draft_check(&again, NULL));
            root_draft_done(&again);
        }
    }
    buf_done(&second);
    buf_done(&packed);
    root_draft_done(&draft);
}

static void every_role_can_sign_and_each_key_has_one(void **state)
{
    (void)state;
    struct root_draft draft = sound();
    struct err err = {0};
    assert_false(root_draft_add(&draft, RELEASE, keys[DIRECTOR], &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.text, "director"));
    assert_true(root_draft_remove(&draft, ROOT, verify_key_id(keys[10]), NULL));
    assert_false(root_draft_remove(&draft, ROOT, verify_key_id(keys[10]), &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_true(root_draft_check(&draft, NULL));
    assert_true(root_draft_remove(&draft, ROOT, verify_key_id(keys[11]), NULL));
    refused(&draft, "root: 2 must sign and it has 1 keys");

    draft = sound();
    draft.roles[RELEASE].threshold = 0;
    refused(&draft, "release: 0 must sign");
    draft = sound();
    assert_true(root_draft_remove(&draft, RECEIPT, verify_key_id(keys[RECEIPT]), NULL));
    refused(&draft, "receipt: 1 must sign and it has 0 keys");
    draft = sound();
    assert_true(root_draft_add(&draft, DIRECTOR, keys[12], NULL));
    assert_true(root_draft_check(&draft, NULL));
    draft.roles[DIRECTOR].threshold = 2;
    refused(&draft, "musterd signs with one key");

    draft = sound();
    assert_true(root_draft_remove(&draft, CUSTODIAN, verify_key_id(keys[CUSTODIAN]), NULL));
    assert_true(root_draft_check(&draft, NULL));
    struct buf packed = {0};
    struct root_draft again;
    assert_true(root_draft_pack(&draft, &packed, NULL));
    assert_true(root_draft_read(buf_bytes(&packed), &again, NULL));
    assert_int_equal(again.roles[CUSTODIAN].count, 0);
    root_draft_done(&again);
    root_draft_done(&draft);
    buf_done(&packed);
}

static void a_role_has_so_many_keys_and_no_more(void **state)
{
    (void)state;
    struct root_draft draft = {.version = 1, .epoch = 1};
    struct err err = {0};
    for (size_t i = 0; i < ENVELOPE_SIGNATURES; i++)
        assert_true(root_draft_add(&draft, ROOT, keys[i], NULL));
    assert_false(root_draft_add(&draft, ROOT, keys[ENVELOPE_SIGNATURES], &err));
    assert_non_null(strstr(err.text, "16 keys are the most"));
    /* Out of the middle, and all others stay. */
    assert_true(root_draft_remove(&draft, ROOT, verify_key_id(keys[7]), NULL));
    for (size_t i = 0; i < ENVELOPE_SIGNATURES; i++)
        assert_int_equal(root_draft_role_of(&draft, verify_key_id(keys[i])), i == 7 ? 0 : ROOT);
    root_draft_done(&draft);
}

static void roots_follow_without_gaps(void **state)
{
    (void)state;
    static const struct {
        uint64_t version, epoch;
        int64_t issued_ms;
        bool follows;
    } cases[] = {
        {5, 2, 1000, true},  {5, 3, 1001, true},  {4, 2, 1000, false}, {6, 2, 1000, false},
        {5, 1, 1000, false}, {5, 4, 1000, false}, {5, 2, 999, false},  {3, 2, 1000, false},
    };
    struct root_draft previous = {.version = 4, .epoch = 2, .issued_ms = 1000};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct root_draft next = {
            .version = cases[i].version, .epoch = cases[i].epoch, .issued_ms = cases[i].issued_ms};
        struct err err = {0};
        assert_int_equal(root_draft_follows(&next, &previous, &err), cases[i].follows);
        assert_int_equal(err.code, cases[i].follows ? ERR_NONE : ERR_CONFLICT);
    }
}

/* A root with a role or a kind of key of a later version must not lose it on the way. */
static void what_is_newer_is_not_rewritten(void **state)
{
    (void)state;
    for (int newer_role = 0; newer_role < 2; newer_role++) {
        Muster__Root root = MUSTER__ROOT__INIT;
        Muster__RoleKeys role = MUSTER__ROLE_KEYS__INIT, *roles[] = {&role};
        Muster__PublicKey key = MUSTER__PUBLIC_KEY__INIT, *list[] = {&key};
        struct buf body = {0}, envelope = {0};
        struct root_draft draft;
        struct err err = {0};
        uint8_t frame[2] = {0x0a, 0};
        key.algorithm = (Muster__KeyAlgorithm)(newer_role ? 1 : 9);
        key.spki = (ProtobufCBinaryData){44, (uint8_t *)(uintptr_t)verify_key_spki(keys[0]).data};
        role.role = (Muster__Role)(newer_role ? 77 : ROOT);
        role.threshold = 1;
        role.n_keys = 1;
        role.keys = list;
        root.version = root.epoch = 1;
        root.n_roles = 1;
        root.roles = roles;
        assert_true(pack(&root.base, &body, NULL));
        frame[1] = (uint8_t)body.length;
        assert_true(body.length < 128);
        assert_true(buf_append(&envelope, frame, 2, NULL));
        assert_true(buf_append(&envelope, body.data, body.length, NULL));
        assert_false(root_draft_read(buf_bytes(&envelope), &draft, &err));
        assert_int_equal(err.code, ERR_NEWER);
        buf_done(&envelope);
        buf_done(&body);
    }
}

static void roles_have_names(void **state)
{
    (void)state;
    for (size_t role = 1; role < ROOT_ROLES; role++) {
        size_t found = 0;
        assert_true(root_role_of(root_role_name(role), &found, NULL));
        assert_int_equal(found, role);
    }
    size_t none;
    assert_false(root_role_of("", &none, NULL));
    assert_false(root_role_of("king", &none, NULL));
    assert_string_equal(root_role_name(99), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_root_goes_to_bytes_and_back),
        cmocka_unit_test(every_role_can_sign_and_each_key_has_one),
        cmocka_unit_test(a_role_has_so_many_keys_and_no_more),
        cmocka_unit_test(roots_follow_without_gaps),
        cmocka_unit_test(what_is_newer_is_not_rewritten),
        cmocka_unit_test(roles_have_names),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
