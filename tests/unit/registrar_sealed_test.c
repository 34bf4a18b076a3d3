/* SPDX-License-Identifier: Apache-2.0 */
/* What is sealed to one device, on the terminal: opened, kept sound, refused. */
#include "proto/sealed.h"
#include "tests/unit/device_ca.h"
#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SECRET "[wifi]\npassphrase = swordfish\n"
#define PARAMS MUSTER__DOCUMENT_KIND__DOCUMENT_PARAMS
#define SEALED_REASON MUSTER__REFUSAL__REFUSAL_CONTENT_SEALED

/* The text, sealed to the key of this file, which is made if it is not there. */
static struct buf seal_to(const char *path, const char *text)
{
    struct device_ca ca;
    struct sealing_key *key = NULL;
    struct buf request = {0};
    struct buf certificate = {0};
    struct buf sealed = {0};
    const struct device_ca_order order = {.name = "t-0001"};
    assert_true(file_exists(path) ? sealing_key_read(path, &key, NULL)
                                  : sealing_key_make(path, &key, NULL));
    device_ca_make(&ca, "devices");
    assert_true(sealing_key_request(key, "t-0001", &request, NULL));
    assert_true(buf_append(&request, "", 1, NULL));
    device_ca_sign_request(&ca, (const char *)request.data, &order, &certificate);
    assert_true(sealed_make(buf_bytes(&certificate), bytes_of(text, strlen(text)), &sealed, NULL));
    buf_done(&request);
    buf_done(&certificate);
    sealing_key_free(key);
    device_ca_done(&ca);
    return sealed;
}

static struct world_doc document(const struct world *world, const struct buf *sealed,
                                 uint64_t version)
{
    return (struct world_doc){.name = "wifi.ini",
                              .version = version,
                              .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR,
                              .kind = PARAMS,
                              .scope = MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED,
                              .device = world->settings.device,
                              .blob = buf_bytes(sealed)};
}

static void assert_private(const struct world *world)
{
    char path[256];
    struct stat st;
    world_path(world, "current/wifi.ini", path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
}

static void test_opened_and_kept_sound(void **state)
{
    struct world *world = *state;
    struct buf sealed = seal_to(world->sealing_key, SECRET);
    struct world_doc doc = document(world, &sealed, 1);
    world_apply(world, 1, &doc, 1);
    world_assert_document(world, "wifi.ini", SECRET);
    assert_private(world);
    assert_int_equal(world_item(world, "wifi.ini"), MUSTER__ITEM_STATE__ITEM_OK);
    /* Neither a check nor a start takes the opened file for drift. */
    world_reopen(world);
    world_check(world);
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_DRIFT, "wifi.ini"), 0);
    /* A real one is repaired from the store, and told without a hash. */
    world->broker_up = false;
    world_damage(world, "current/wifi.ini");
    world_check(world);
    world_assert_document(world, "wifi.ini", SECRET);
    assert_private(world);
    const struct world_event *drift = world_last(world, MUSTER__EVENT_KIND__EVENT_DRIFT);
    assert_null(strstr(drift->text, "sha256"));
    assert_false(drift->has_held_hash);
    assert_int_equal(world_item(world, "wifi.ini"), MUSTER__ITEM_STATE__ITEM_REPAIRED);
    /* So is one that everybody may read. */
    char path[256];
    world_path(world, "current/wifi.ini", path);
    assert_int_equal(chmod(path, 0644), 0);
    world_check(world);
    assert_private(world);
    assert_non_null(strstr(world_last(world, MUSTER__EVENT_KIND__EVENT_DRIFT)->text, "0644"));
    buf_done(&sealed);
}

static void test_carried_into_the_next_generation(void **state)
{
    struct world *world = *state;
    struct buf sealed = seal_to(world->sealing_key, SECRET);
    struct world_doc docs[] = {
        {.name = "a.txt", .content = "a", .version = 1, .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR},
        document(world, &sealed, 1)};
    world_apply(world, 1, docs, 2);
    docs[0].content = "b";
    docs[0].version = 2;
    unsigned fetched = world->fetches;
    assert_true(file_remove(world->sealing_key, NULL)); /* carried: it is not opened again */
    world_apply(world, 2, docs, 2);
    assert_int_equal(world->fetches, fetched + 1);
    world_assert_document(world, "a.txt", "b");
    world_assert_document(world, "wifi.ini", SECRET);
    assert_private(world);
    buf_done(&sealed);
}

static void test_sealed_to_another(void **state)
{
    struct world *world = *state;
    char path[128];
    struct sealing_key *mine = NULL;
    (void)snprintf(path, sizeof path, "%s/other.pem", world->dir);
    assert_true(sealing_key_make(world->sealing_key, &mine, NULL));
    sealing_key_free(mine);
    struct buf sealed = seal_to(path, SECRET);
    struct world_doc doc = document(world, &sealed, 1);
    world_apply(world, 1, &doc, 1);
    assert_false(world_has(world, "current/wifi.ini"));
    const struct world_event *event = world_last(world, MUSTER__EVENT_KIND__EVENT_REFUSED);
    assert_string_equal(event->item, "wifi.ini");
    assert_int_equal(event->refusal, SEALED_REASON);
    assert_int_equal(world_item(world, "wifi.ini"), MUSTER__ITEM_STATE__ITEM_REFUSED);
    buf_done(&sealed);
}

/* Sealed to this device as well, but not what was signed: the director cannot swap them. */
static void test_another_one_that_is_sealed_here(void **state)
{
    struct world *world = *state;
    struct buf sealed = seal_to(world->sealing_key, SECRET);
    struct buf other = seal_to(world->sealing_key, "[wifi]\npassphrase = barracuda\n");
    struct world_doc doc = document(world, &other, 1);
    assert_int_equal(sealed.length, other.length);
    doc.named = buf_bytes(&sealed);
    world_apply(world, 1, &doc, 1);
    assert_false(world_has(world, "current/wifi.ini"));
    assert_int_equal(world_item(world, "wifi.ini"), MUSTER__ITEM_STATE__ITEM_REFUSED);
    assert_int_equal(world_last(world, MUSTER__EVENT_KIND__EVENT_REFUSED)->refusal,
                     MUSTER__REFUSAL__REFUSAL_CONTENT_HASH);
    buf_done(&sealed);
    buf_done(&other);
}

/* A key that is not there yet, or cannot be read, says nothing against what is sealed to it. */
static void test_key_that_comes_late(void **state)
{
    struct world *world = *state;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/later.pem", world->dir);
    struct buf sealed = seal_to(path, SECRET);
    struct world_doc doc = document(world, &sealed, 1);
    world_apply(world, 1, &doc, 1);
    assert_false(world_has(world, "current/wifi.ini"));
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_REFUSED, NULL), 0);
    const struct world_event *event = world_last(world, MUSTER__EVENT_KIND__EVENT_APPLY_FAILED);
    assert_non_null(strstr(event->text, "is sealed"));
    assert_int_equal(rename(path, world->sealing_key), 0);
    world_check(world);
    world_assert_document(world, "wifi.ini", SECRET);
    buf_done(&sealed);
}

/* It was for the key, not for what is sealed: once the right one is back, nobody sends anything. */
static void test_the_wrong_key_is_put_right(void **state)
{
    struct world *world = *state;
    char right[128];
    struct sealing_key *wrong = NULL;
    (void)snprintf(right, sizeof right, "%s/right.pem", world->dir);
    struct buf sealed = seal_to(right, SECRET);
    struct world_doc doc = document(world, &sealed, 1);
    assert_true(sealing_key_make(world->sealing_key, &wrong, NULL));
    sealing_key_free(wrong);
    world_apply(world, 1, &doc, 1);
    assert_int_equal(world_item(world, "wifi.ini"), MUSTER__ITEM_STATE__ITEM_REFUSED);
    world_reopen(world);
    world_check(world); /* the same key: neither tried nor told again */
    assert_int_equal(world_item(world, "wifi.ini"), MUSTER__ITEM_STATE__ITEM_REFUSED);
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_REFUSED, "wifi.ini"), 1);
    assert_int_equal(rename(right, world->sealing_key), 0);
    world_check(world);
    world_assert_document(world, "wifi.ini", SECRET);
    assert_int_equal(world_item(world, "wifi.ini"), MUSTER__ITEM_STATE__ITEM_OK);
    buf_done(&sealed);
}

/* ---- key blocks ---- */

#define BLOCK                                                                                      \
    "D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D207E2E417C07156A27E8E31DA05F7" \
    "425509593D03A457DC34" /* published: TR-31:2018, A.7.4 */
#define KEY_HEADER MUSTER__REFUSAL__REFUSAL_KEY_HEADER
#define REPAIR MUSTER__ASSIGN_MODE__MODE_REPAIR

static Muster__KeyPlacement placement(void)
{
    static uint8_t kcv[] = {0x08, 0x79, 0x3e};
    Muster__KeyPlacement key = MUSTER__KEY_PLACEMENT__INIT;
    key.slot = (char *)(uintptr_t) "tmk";
    key.usage = (char *)(uintptr_t) "P0";
    key.algorithm = (char *)(uintptr_t) "A";
    key.mode = (char *)(uintptr_t) "E";
    key.kcv_method = MUSTER__KCV_METHOD__KCV_AES_CMAC;
    key.kcv = (ProtobufCBinaryData){sizeof kcv, kcv};
    return key;
}

static struct world_doc key_document(const struct world *world, const struct buf *sealed,
                                     uint64_t version, Muster__KeyPlacement *key)
{
    struct world_doc doc = document(world, sealed, version);
    doc.name = "tmk.key";
    doc.kind = MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK;
    doc.signer = world->custodian;
    doc.key = key;
    return doc;
}

static void assert_file(const struct world *world, const char *name, const struct buf *content)
{
    char path[256];
    struct buf file = {0};
    world_path(world, name, path);
    assert_true(file_read(path, 1 << 20, &file, NULL));
    assert_true(bytes_equal(buf_bytes(&file), buf_bytes(content)));
    buf_done(&file);
}

static void test_a_key_block_stays_sealed(void **state)
{
    struct world *world = *state;
    struct buf sealed = seal_to(world->sealing_key, BLOCK "\n");
    Muster__KeyPlacement key = placement();
    struct world_doc docs[] = {
        key_document(world, &sealed, 1, &key),
        {.name = "z.txt", .content = "z", .version = 1, .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR}};
    struct key_wanted wanted[2];
    struct buf held = {0};
    world_apply(world, 1, docs, 1);
    assert_file(world, "current/tmk.key", &sealed);
    world_damage(world, "current/tmk.key");
    world_check(world);
    assert_file(world, "current/tmk.key", &sealed);
    world_apply(world, 2, docs, 2); /* carried */
    assert_file(world, "current/tmk.key", &sealed);
    world_reopen(world);
    world_check(world);
    assert_int_equal(registrar_keys(world->registrar, wanted, 2), 1);
    assert_string_equal(wanted[0].name, "tmk.key");
    assert_string_equal(wanted[0].placement.slot, "tmk");
    assert_int_equal(wanted[0].placement.kcv[2], 0x3e);
    assert_true(registrar_sealed(world->registrar, "tmk.key", &held, NULL));
    assert_true(bytes_equal(buf_bytes(&held), buf_bytes(&sealed)));
    buf_done(&held);
    buf_done(&sealed);
}

/* The custodian's word and the block's own header have to agree, whatever else is right. */
static void test_a_key_block_of_another_header(void **state)
{
    struct world *world = *state;
    struct buf sealed = seal_to(world->sealing_key, BLOCK);
    for (int i = 0; i < 4; i++) {
        Muster__KeyPlacement key = placement();
        static uint8_t kcv[] = {1, 2, 3};
        key.usage = (char *)(uintptr_t)(i == 0 ? "K0" : "P0");
        key.mode = (char *)(uintptr_t)(i == 1 ? "B" : "E");
        key.key_version = i == 2 ? 1 : 0;
        key.algorithm = (char *)(uintptr_t)(i == 3 ? "T" : "A");
        if (i == 3)
            key.kcv_method = MUSTER__KCV_METHOD__KCV_TDES_ECB;
        key.kcv = (ProtobufCBinaryData){sizeof kcv, kcv};
        struct world_doc doc = key_document(world, &sealed, 1 + (uint64_t)i, &key);
        world_apply(world, 1 + (uint64_t)i, &doc, 1);
        assert_false(world_has(world, "current/tmk.key"));
        assert_int_equal(world_last(world, MUSTER__EVENT_KIND__EVENT_REFUSED)->refusal, KEY_HEADER);
    }
    buf_done(&sealed);
}

/* Each of these is refused by itself, and what comes with it is applied. */
static void assert_only_it_is_refused(struct world *world, const struct buf *sealed,
                                      uint64_t version, Muster__KeyPlacement *key)
{
    char text[16];
    (void)snprintf(text, sizeof text, "z%u", (unsigned)version);
    struct world_doc docs[] = {
        key_document(world, sealed, version, key),
        {.name = "z.txt", .content = text, .version = version, .mode = REPAIR}};
    struct key_wanted wanted[1];
    const size_t told = world_events(world, MUSTER__EVENT_KIND__EVENT_REFUSED, "tmk.key");
    world_apply(world, version, docs, 2);
    world_assert_document(world, "z.txt", text);
    assert_int_equal(world_item(world, "tmk.key"), MUSTER__ITEM_STATE__ITEM_REFUSED);
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_REFUSED, "tmk.key"), told + 1);
    assert_int_equal(world_last(world, MUSTER__EVENT_KIND__EVENT_REFUSED)->refusal, KEY_HEADER);
    assert_int_equal(registrar_mode(world->registrar, "tmk.key"), REPAIR);
    assert_int_equal(registrar_keys(world->registrar, wanted, 1), 0);
    world_check(world);
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_REFUSED, "tmk.key"), told + 1);
}

static void test_a_key_block_without_a_place(void **state)
{
    struct world *world = *state;
    struct buf sealed = seal_to(world->sealing_key, BLOCK);
    assert_only_it_is_refused(world, &sealed, 1, NULL);
    assert_false(world_has(world, "current/tmk.key"));
    Muster__KeyPlacement key = placement();
    key.slot = (char *)(uintptr_t) "../tmk";
    assert_only_it_is_refused(world, &sealed, 2, &key);
    key = placement();
    key.kcv.len = 2;
    assert_only_it_is_refused(world, &sealed, 3, &key);
    key = placement();
    key.kcv_method = MUSTER__KCV_METHOD__KCV_TDES_ECB;
    assert_only_it_is_refused(world, &sealed, 4, &key);
    assert_false(world_has(world, "current/tmk.key"));
    key = placement();
    struct world_doc doc = key_document(world, &sealed, 5, &key);
    world_apply(world, 5, &doc, 1);
    assert_int_equal(world_item(world, "tmk.key"), MUSTER__ITEM_STATE__ITEM_OK);
    buf_done(&sealed);
}

/* What is held of it stays, also where that is the very content. */
static void test_a_held_key_block_that_is_refused_stays(void **state)
{
    struct world *world = *state;
    struct buf sealed = seal_to(world->sealing_key, BLOCK),
               other = seal_to(world->sealing_key, BLOCK);
    Muster__KeyPlacement key = placement();
    struct world_doc doc = key_document(world, &sealed, 1, &key);
    world_apply(world, 1, &doc, 1);
    assert_file(world, "current/tmk.key", &sealed);
    assert_only_it_is_refused(world, &other, 2, NULL);
    assert_file(world, "current/tmk.key", &sealed);
    assert_only_it_is_refused(world, &sealed, 3, NULL);
    assert_file(world, "current/tmk.key", &sealed);
    world_reopen(world);
    world_check(world);
    assert_int_equal(world_item(world, "tmk.key"), MUSTER__ITEM_STATE__ITEM_REFUSED);
    buf_done(&sealed);
    buf_done(&other);
}

/* Somebody else's key: nothing of it is fetched or kept, and its slot is to be compared. */
static void test_a_key_block_that_is_observed(void **state)
{
    struct world *world = *state;
    struct buf sealed = seal_to(world->sealing_key, BLOCK);
    Muster__KeyPlacement key = placement();
    struct world_doc doc = key_document(world, &sealed, 1, &key);
    struct key_wanted wanted[2];
    doc.mode = MUSTER__ASSIGN_MODE__MODE_OBSERVE;
    world_apply(world, 1, &doc, 1);
    assert_false(world_has(world, "current/tmk.key"));
    assert_int_equal(world->fetches, 0);
    assert_int_equal(registrar_keys(world->registrar, wanted, 2), 1);
    assert_int_equal(wanted[0].mode, MUSTER__ASSIGN_MODE__MODE_OBSERVE);
    assert_string_equal(wanted[0].placement.slot, "tmk");
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_DRIFT, NULL), 0);
    doc.mode = REPAIR;
    world_apply(world, 2, &doc, 1);
    assert_int_equal(registrar_keys(world->registrar, wanted, 2), 1);
    assert_int_equal(wanted[0].mode, MUSTER__ASSIGN_MODE__MODE_REPAIR);
    buf_done(&sealed);
}

/* A slot's version only rises, and what runs is older again by a person's word alone. */
static void test_what_a_return_brings_back(void **state)
{
    struct world *world = *state;
    struct buf one = seal_to(world->sealing_key, SECRET);
    struct buf two = seal_to(world->sealing_key, SECRET "hidden = 1\n");
    struct buf block = seal_to(world->sealing_key, BLOCK "\n");
    struct buf newer = seal_to(world->sealing_key, BLOCK);
    Muster__KeyPlacement key = placement();
    struct world_doc docs[] = {
        {.name = "os", .content = "1.0", .version = 1, .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR},
        key_document(world, &block, 1, &key),
        document(world, &one, 1)};
    docs[0].kind = MUSTER__DOCUMENT_KIND__DOCUMENT_FIRMWARE;
    docs[0].package_version = "1.0";
    world->settings.probation.policy = (struct probation_policy){
        .results = 10, .time_ms = 1000000, .welcome_ms = 600, .crashes = 3, .starts = 3};
    world_reopen(world);
    world_apply(world, 1, docs, 3);
    docs[0].content = docs[0].package_version = "2.0";
    docs[0].version = 2;
    docs[1] = key_document(world, &newer, 2, &key);
    docs[2] = document(world, &two, 2);
    world_apply(world, 2, docs, 3);
    world_assert_document(world, "wifi.ini", SECRET "hidden = 1\n");
    for (uint64_t seq = 1; seq <= 4; seq++) {
        const struct registrar_result result = {.incarnation = 7,
                                                .seq = seq,
                                                .generation =
                                                    registrar_generation_digest(world->registrar),
                                                .why = SUSPECT_TABLE_MISS,
                                                .suspect_now = true};
        registrar_result(world->registrar, &result);
    }
    world_check(world);
    world_assert_document(world, "wifi.ini", SECRET);
    assert_private(world);
    assert_file(world, "current/tmk.key", &newer);
    world_assert_document(world, "os", "2.0");
    struct package_wanted package;
    assert_int_equal(registrar_packages(world->registrar, &package, 1), 1);
    assert_string_equal(package.package_version, "2.0");
    struct key_wanted wanted;
    assert_int_equal(registrar_keys(world->registrar, &wanted, 1), 1);
    assert_int_equal(world_item(world, "wifi.ini"), MUSTER__ITEM_STATE__ITEM_RETURNED);
    buf_done(&one);
    buf_done(&two);
    buf_done(&block);
    buf_done(&newer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_opened_and_kept_sound, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_carried_into_the_next_generation, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(test_sealed_to_another, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_another_one_that_is_sealed_here, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(test_key_that_comes_late, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_the_wrong_key_is_put_right, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_key_block_stays_sealed, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(test_what_a_return_brings_back, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_key_block_of_another_header, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_key_block_without_a_place, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_held_key_block_that_is_refused_stays, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_key_block_that_is_observed, world_set_up,
                                        world_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
