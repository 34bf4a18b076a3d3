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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
