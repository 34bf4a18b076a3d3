/* SPDX-License-Identifier: Apache-2.0 */
/* The loader beside a real PKCS#11 library. */
#include "tests/unit/keyloader_world.h"

#include "tests/unit/tr31_made.h"
#include "tests/unit/tr31_vectors.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* Block and check value as published, key and check value by the token. */
static void published_blocks_are_placed(void **state)
{
    struct keyloader_world *world = *state;
    for (size_t i = 0; i < TR31_VECTORS; i++) {
        const struct tr31_vector *vector = &tr31_vectors[i];
        const char version = vector->block[0];
        struct err err = {0};
        char wanted[64];
        keyloader_world_give(world, "kbpk", version == 'D' ? 'A' : 'T', vector->protection);
        bool ok = keyloader_world_load(world, "tmk", vector->block, &err);
        if (ok != vector->taken)
            fail_msg("%s: %s", vector->where, err.text);
        if (ok) {
            (void)snprintf(wanted, sizeof wanted, "kcv %s:%c%c", /* as published, in capitals */
                           vector->block[7] == 'A' ? "aes-cmac" : "tdes-ecb", vector->kcv[0],
                           vector->kcv[1]);
            if (strncasecmp(world->said, wanted, strlen(wanted)) != 0 ||
                strncasecmp(strchr(world->said, ':') + 1, vector->kcv, 6) != 0)
                fail_msg("%s: %s", vector->where, world->said);
        } else {
            assert_int_equal(err.code, ERR_REFUSED);
            assert_string_equal(world->said, "");
        }
        keyloader_world_take(world, "tmk");
        keyloader_world_take(world, "kbpk");
    }
}

/* Changed, under another protection key, said to be for another use or of another check value: the
 * key that is there stays. */
static void what_is_refused_leaves_the_key(void **state)
{
    struct keyloader_world *world = *state;
    const struct tr31_vector *d = &tr31_vectors[4];
    char block[160], before[512];
    struct err err = {0};
    keyloader_world_give(world, "kbpk", 'A', d->protection);
    assert_true(keyloader_world_load(world, "tmk", d->block, &err));
    (void)snprintf(before, sizeof before, "%s", keyloader_world_inventory(world));
    assert_non_null(
        strstr(before, "slot tmk usage P0 algorithm A mode E version 0 kcv aes-cmac:08793e"));
    assert_null(strstr(before, "kbpk"));

    (void)snprintf(block, sizeof block, "%s", d->block);
    block[110] = block[110] == '0' ? '1' : '0';
    assert_false(keyloader_world_load(world, "tmk", block, &err));
    assert_non_null(strstr(err.text, "MAC"));
    memcpy(block, d->block, sizeof "D0112P0" - 1);
    block[5] = 'K';
    assert_false(keyloader_world_load(world, "tmk", block, &err));
    assert_false(keyloader_world_load(world, "tmk", "0123456789ABCDEFFEDCBA9876543210", &err));
    assert_false(keyloader_world_load(world, "tmk", tr31_vectors[7].block,
                                      &err)); /* of another protection key */
    assert_false(keyloader_world_load(world, "tmk", "", &err));

    assert_int_equal(setenv("MUSTER_KEY_USAGE", "K0", 1), 0);
    assert_false(keyloader_world_load(world, "tmk", d->block, &err));
    assert_int_equal(unsetenv("MUSTER_KEY_USAGE"), 0);
    assert_int_equal(setenv("MUSTER_KEY_KCV", "aes-cmac:08793F", 1), 0);
    assert_false(keyloader_world_load(world, "tmk", d->block, &err));
    assert_non_null(strstr(err.text, "another check value"));
    assert_int_equal(unsetenv("MUSTER_KEY_KCV"), 0);
    world->settings.own[0] = '\0';
    (void)snprintf(world->settings.own, sizeof world->settings.own, "mak, tmk");
    assert_false(keyloader_world_load(world, "tmk", d->block, &err));
    (void)snprintf(world->settings.own, sizeof world->settings.own, "mak");
    assert_false(keyloader_world_load(world, "kbpk", d->block, &err));
    assert_false(keyloader_world_load(world, "../x", d->block, &err));
    world->settings.mechanism[0] = '\0';
    (void)snprintf(world->settings.mechanism, sizeof world->settings.mechanism, "0x80000001");
    assert_false(
        keyloader_world_load(world, "tmk", d->block, &err)); /* SoftHSM2 has no such mechanism */
    assert_int_equal(err.code, ERR_REFUSED);
    (void)snprintf(world->settings.mechanism, sizeof world->settings.mechanism, "0");
    assert_string_equal(keyloader_world_inventory(world), before);
}

/* Under protection keys of the lengths that no published block has. */
static void made_blocks_are_placed(void **state)
{
    struct keyloader_world *world = *state;
    for (size_t i = 0; i < TR31_MADE; i++) {
        const struct tr31_vector *vector = &tr31_made[i];
        struct err err = {0};
        keyloader_world_give(world, "kbpk", vector->block[0] == 'D' ? 'A' : 'T',
                             vector->protection);
        if (!keyloader_world_load(world, "tmk", vector->block, &err))
            fail_msg("%s: %s", vector->where, err.text);
        if (strncasecmp(strchr(world->said, ':') + 1, vector->kcv, 6) != 0)
            fail_msg("%s: %s", vector->where, world->said);
        keyloader_world_take(world, "tmk");
        keyloader_world_take(world, "kbpk");
    }
}

/* A key that wraps keys does nothing else: who has the PIN gets no key out of what it wraps. */
static void a_transport_key_decrypts_nothing(void **state)
{
    struct keyloader_world *world = *state;
    const struct tr31_vector *k0 = &tr31_made[TR31_MADE_D32_K0];
    struct keytoken token;
    struct keytoken_found found;
    CK_BYTE iv[16] = {0};
    CK_MECHANISM cbc = {CKM_AES_CBC, iv, sizeof iv}, ecb = {CKM_AES_ECB, NULL, 0};
    keyloader_world_give(world, "kbpk", 'A', k0->protection);
    assert_true(keyloader_world_load(world, "tmk", k0->block, NULL));
    keyloader_world_open(world, &token);
    assert_true(keytoken_find(&token, "tmk", &found, NULL));
    assert_int_equal(token.module->C_DecryptInit(token.session, &cbc, found.objects[0]),
                     CKR_KEY_FUNCTION_NOT_PERMITTED);
    assert_int_equal(token.module->C_EncryptInit(token.session, &ecb, found.objects[0]),
                     CKR_KEY_FUNCTION_NOT_PERMITTED);
    keytoken_close(&token);
}

/* One key of which the token makes no check value hides no other, and is placed again. */
static void a_key_without_a_check_value(void **state)
{
    struct keyloader_world *world = *state;
    const struct tr31_vector *d = &tr31_vectors[4], *k0 = &tr31_made[TR31_MADE_D32_K0];
    struct keytoken token;
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_BYTE value[16] = {7};
    char label[] = "tmk", id[] = "muster K0 A B 5 aes-cmac";
    CK_ATTRIBUTE attributes[] = {
        {CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type},
        {CKA_TOKEN, &yes, sizeof yes},     {CKA_SIGN, &no, sizeof no},
        {CKA_LABEL, label, strlen(label)}, {CKA_ID, id, strlen(id)},
        {CKA_VALUE, value, sizeof value}};
    CK_OBJECT_HANDLE key = 0;
    struct err err = {0};
    keyloader_world_give(world, "kbpk", 'A', d->protection);
    assert_true(keyloader_world_load(world, "pek", d->block, NULL));
    keyloader_world_open(world, &token);
    assert_int_equal(token.module->C_CreateObject(token.session, attributes,
                                                  sizeof attributes / sizeof *attributes, &key),
                     CKR_OK);
    keytoken_close(&token);
    assert_non_null(strstr(keyloader_world_inventory(world),
                           "slot tmk usage K0 algorithm A mode B version 5\n"));
    assert_non_null(strstr(world->said, "slot pek usage P0 algorithm A mode E version 0 kcv"));
    /* Its version is compared all the same. */
    assert_false(keyloader_world_load(world, "tmk", tr31_made[TR31_MADE_B24].block, &err));
    assert_false(keyloader_world_load(world, "tmk", d->block, &err));
    assert_non_null(strstr(err.text, "version 5, above 0"));
    assert_true(keyloader_world_load(world, "tmk", k0->block, NULL));
    assert_non_null(strstr(keyloader_world_inventory(world), "version 5 kcv aes-cmac:3e451e"));
}

/* More keys than slots: nothing is left out in silence. */
static void too_many_keys_are_told(void **state)
{
    struct keyloader_world *world = *state;
    struct err err = {0};
    char slot[KEY_SLOT_CHARS + 1];
    keyloader_world_give(world, "kbpk", 'A', tr31_vectors[4].protection);
    for (int i = 0; i < KEYS_SLOTS; i++) {
        (void)snprintf(slot, sizeof slot, "s%d", i);
        if (!keyloader_world_load(world, slot, tr31_vectors[4].block, &err))
            fail_msg("%s", err.text);
    }
    assert_non_null(strstr(keyloader_world_inventory(world), "slot s63 "));
    assert_true(keyloader_world_load(world, "s64", tr31_vectors[4].block, &err));
    FILE *out = fmemopen(world->said, sizeof world->said, "w");
    assert_non_null(out);
    assert_false(keyloader_inventory(&world->settings, out, &err));
    assert_non_null(strstr(err.text, "more than 64 slots"));
    assert_int_equal(fclose(out), 0);
}

/* A PIN that others may read is nobody's secret. */
static void a_pin_that_others_may_read_is_not_used(void **state)
{
    struct keyloader_world *world = *state;
    struct err err = {0};
    assert_int_equal(chmod(world->pin, 0640), 0);
    assert_false(keyloader_world_load(world, "tmk", tr31_vectors[4].block, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "mode 640"));
    assert_false(keyloader_check(&world->settings, &err));
    assert_int_equal(chmod(world->pin, 0600), 0);
    assert_true(keyloader_check(&world->settings, &err));
    (void)snprintf(world->settings.module, sizeof world->settings.module, "%s/none", world->dir);
    assert_false(keyloader_check(&world->settings, &err));
    assert_int_equal(unlink(world->pin), 0);
    assert_false(keyloader_world_load(world, "tmk", tr31_vectors[4].block, &err));
}

/* A key in a slot can neither be read nor made readable, copied, or made to be another. */
static void a_placed_key_stays_inside(void **state)
{
    struct keyloader_world *world = *state;
    const struct tr31_vector *d = &tr31_vectors[4];
    struct keytoken token;
    struct keytoken_found found;
    uint8_t value[64];
    CK_BBOOL no = CK_FALSE, yes = CK_TRUE;
    CK_ATTRIBUTE read = {CKA_VALUE, value, sizeof value};
    char id[] = "muster P0 A E 99 aes-cmac";
    CK_ATTRIBUTE loosen[] = {{CKA_SENSITIVE, &no, sizeof no},
                             {CKA_EXTRACTABLE, &yes, sizeof yes},
                             {CKA_DERIVE, &yes, sizeof yes},
                             {CKA_ID, id, strlen(id)}};
    CK_MECHANISM wrap = {CKM_AES_KEY_WRAP, NULL, 0};
    CK_ULONG length = sizeof value;
    CK_OBJECT_HANDLE other = 0, by = 0;
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_BYTE plain[16] = {9};
    CK_ATTRIBUTE wrapping[] = {{CKA_CLASS, &class, sizeof class},
                               {CKA_KEY_TYPE, &type, sizeof type},
                               {CKA_WRAP, &yes, sizeof yes},
                               {CKA_VALUE, plain, sizeof plain}};
    keyloader_world_give(world, "kbpk", 'A', d->protection);
    assert_true(keyloader_world_load(world, "tmk", d->block, NULL));
    keyloader_world_open(world, &token);
    assert_true(keytoken_find(&token, "tmk", &found, NULL));
    assert_int_equal(found.count, 1);
    assert_int_not_equal(
        token.module->C_GetAttributeValue(token.session, found.objects[0], &read, 1), CKR_OK);
    for (size_t i = 0; i < sizeof loosen / sizeof *loosen; i++)
        assert_int_not_equal(
            token.module->C_SetAttributeValue(token.session, found.objects[0], &loosen[i], 1),
            CKR_OK);
    assert_int_not_equal(
        token.module->C_CopyObject(token.session, found.objects[0], loosen, 0, &other), CKR_OK);
    assert_int_equal(token.module->C_CreateObject(token.session, wrapping,
                                                  sizeof wrapping / sizeof *wrapping, &by),
                     CKR_OK);
    assert_int_equal(
        token.module->C_WrapKey(token.session, &wrap, by, found.objects[0], value, &length),
        CKR_KEY_UNEXTRACTABLE);
    keytoken_close(&token);
}

/* PUBLISHED: a zero block under a zero key, of DES and of AES
 * (the H of the GCM specification's test case 1); by CMAC as in the vectors above. */
static void published_check_values(void **state)
{
    struct keyloader_world *world = *state;
    static const struct {
        char algorithm;
        const char *key;
        Muster__KcvMethod method;
        uint8_t kcv[3];
        size_t length;
    } rows[] = {
        {'T',
         "00000000000000000000000000000000",
         MUSTER__KCV_METHOD__KCV_TDES_ECB,
         {0x8c, 0xa6, 0x4d},
         3},
        {'A',
         "00000000000000000000000000000000",
         MUSTER__KCV_METHOD__KCV_AES_ECB,
         {0x66, 0xe9, 0x4b},
         3},
        {'A',
         "3F419E1CB7079442AA37474C2EFBF8B8",
         MUSTER__KCV_METHOD__KCV_AES_CMAC,
         {0x08, 0x79, 0x3e},
         5},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct keytoken token;
        struct keytoken_found found;
        struct err err = {0};
        uint8_t kcv[KEY_KCV_BYTES];
        size_t length = 0;
        keyloader_world_give(world, "tmk", rows[i].algorithm, rows[i].key);
        keyloader_world_open(world, &token);
        assert_true(keytoken_find(&token, "tmk", &found, &err));
        assert_int_equal(found.count, 1);
        if (!keytoken_kcv(&token, found.objects[0], rows[i].method, kcv, &length, &err))
            fail_msg("%s", err.text);
        assert_int_equal(length, rows[i].length);
        assert_memory_equal(kcv, rows[i].kcv, sizeof rows[i].kcv);
        assert_true(keytoken_destroy(&token, found.objects[0], NULL));
        keytoken_close(&token);
    }
}

/* What a power cut may leave: both keys. Neither is said to be right, and the next load clears up.
 */
static void two_keys_in_a_slot(void **state)
{
    struct keyloader_world *world = *state;
    const struct tr31_vector *d = &tr31_vectors[4];
    keyloader_world_give(world, "kbpk", 'A', d->protection);
    keyloader_world_give(world, "tmk", 'A', tr31_vectors[1].protection);
    keyloader_world_give(world, "tmk", 'A', tr31_vectors[3].protection);
    assert_non_null(strstr(keyloader_world_inventory(world), "slot tmk "));
    assert_null(strstr(world->said, "kcv"));
    assert_true(keyloader_world_load(world, "tmk", d->block, NULL));
    assert_non_null(strstr(keyloader_world_inventory(world), "kcv aes-cmac:08793e"));
}

/* A wrong PIN is tried once; then somebody has to look, before the token locks itself. */
static void a_wrong_pin_is_tried_once(void **state)
{
    struct keyloader_world *world = *state;
    struct err err = {0};
    FILE *out = fmemopen(world->said, sizeof world->said, "w");
    assert_non_null(out);
    keyloader_world_put(world->pin, "1234\n");
    assert_false(keyloader_inventory(&world->settings, out, &err));
    assert_non_null(strstr(err.text, "login"));
    keyloader_world_put(world->pin, "7418\n");
    assert_false(keyloader_inventory(&world->settings, out, &err));
    assert_non_null(strstr(err.text, "failed before"));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_int_equal(fclose(out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(published_blocks_are_placed, keyloader_world_set_up,
                                        keyloader_world_tear_down),
        cmocka_unit_test_setup_teardown(what_is_refused_leaves_the_key, keyloader_world_set_up,
                                        keyloader_world_tear_down),
        cmocka_unit_test_setup_teardown(a_placed_key_stays_inside, keyloader_world_set_up,
                                        keyloader_world_tear_down),
        cmocka_unit_test_setup_teardown(published_check_values, keyloader_world_set_up,
                                        keyloader_world_tear_down),
        cmocka_unit_test_setup_teardown(two_keys_in_a_slot, keyloader_world_set_up,
                                        keyloader_world_tear_down),
        cmocka_unit_test_setup_teardown(made_blocks_are_placed, keyloader_world_set_up,
                                        keyloader_world_tear_down),
        cmocka_unit_test_setup_teardown(a_transport_key_decrypts_nothing, keyloader_world_set_up,
                                        keyloader_world_tear_down),
        cmocka_unit_test_setup_teardown(a_key_without_a_check_value, keyloader_world_set_up,
                                        keyloader_world_tear_down),
        cmocka_unit_test_setup_teardown(too_many_keys_are_told, keyloader_world_set_up,
                                        keyloader_world_tear_down),
        cmocka_unit_test_setup_teardown(a_pin_that_others_may_read_is_not_used,
                                        keyloader_world_set_up, keyloader_world_tear_down),
        cmocka_unit_test_setup_teardown(a_wrong_pin_is_tried_once, keyloader_world_set_up,
                                        keyloader_world_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
