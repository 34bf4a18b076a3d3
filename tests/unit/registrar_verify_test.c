/* SPDX-License-Identifier: Apache-2.0 */
/* Each check between a stranger and what is in force: one reason each, and nothing changes. */
#include "proto/limits.h"
#include "proto/refusal.h"
#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPAIR MUSTER__ASSIGN_MODE__MODE_REPAIR
#define OBSERVE MUSTER__ASSIGN_MODE__MODE_OBSERVE
#define KEY_BLOCK MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK
#define SEALED MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED
#define REASON(name) MUSTER__REFUSAL__REFUSAL_##name
#define REFUSED MUSTER__EVENT_KIND__EVENT_REFUSED

static const struct world_doc list_2 = {
    .name = "revoked", .content = "two", .version = 2, .mode = REPAIR};

static struct world_doc with_version(struct world_doc doc, uint64_t version, const char *content)
{
    doc.version = version;
    doc.content = content;
    return doc;
}

static void assert_refused(struct world *world, uint64_t version, const struct world_doc *docs,
                           size_t count, Muster__Refusal reason)
{
    char expected[REFUSAL_NAME_CHARS], found[REFUSAL_NAME_CHARS];
    struct err err = {0};
    struct world_state before, after;
    world_state(world, &before);
    if (world_push(world, version, docs, count, &err))
        fail_msg("manifest %llu was accepted", (unsigned long long)version);
    refusal_name(reason, expected);
    refusal_name(refusal_of(&err), found);
    if (refusal_of(&err) != reason)
        fail_msg("%s: %s, expected %s", found, err.text, expected);
    world_check(world);
    world_state(world, &after);
    after.converged = before.converged; /* a newer one that was refused is wanted all the same */
    assert_memory_equal(&before, &after, sizeof before);
}

static void test_packages(void **state)
{
    struct world *world = *state;
    struct world_doc doc = {.name = "os", .content = "image", .version = 1, .mode = REPAIR};
    doc.kind = MUSTER__DOCUMENT_KIND__DOCUMENT_FIRMWARE;
    assert_refused(world, 1, &doc, 1, REASON(MALFORMED));
    doc.package_version = "4.2; reboot";
    assert_refused(world, 2, &doc, 1, REASON(MALFORMED));
    doc.package_version = "4.2";
    doc.model = " ";
    assert_refused(world, 3, &doc, 1, REASON(MALFORMED));
    doc.model = "P2";
    doc.scope = SEALED;
    doc.device = world->settings.device;
    assert_refused(world, 4, &doc, 1, REASON(DOCUMENT_SCOPE));
    doc.scope = 0;
    doc.device = NULL;
    doc.kind = 0;
    assert_refused(world, 5, &doc, 1, REASON(MALFORMED));
    doc.kind = MUSTER__DOCUMENT_KIND__DOCUMENT_FIRMWARE;
    world_apply(world, 6, &doc, 1);
    world_assert_document(world, "os", "image");
    struct package_wanted wanted[2];
    assert_int_equal(registrar_packages(world->registrar, wanted, 2), 1);
    assert_string_equal(wanted[0].package_version, "4.2");
    assert_string_equal(wanted[0].model, "P2");
    /* Somebody else's: only what runs there is asked. */
    world_damage(world, "current/os");
    const unsigned fetches = world->fetches;
    doc.mode = MUSTER__ASSIGN_MODE__MODE_PROPOSE;
    doc.content = "newer image";
    doc.package_version = "4.3";
    doc.version = 2;
    world_apply(world, 7, &doc, 1);
    assert_int_equal(registrar_packages(world->registrar, wanted, 2), 1);
    assert_string_equal(wanted[0].package_version, "4.3");
    assert_int_equal(wanted[0].mode, MUSTER__ASSIGN_MODE__MODE_PROPOSE);
    assert_int_equal(world_item(world, "os"), MUSTER__ITEM_STATE__ITEM_OK);
    assert_int_equal(world->fetches, fetches);
    world_root_next(world, 2); /* what was signed before counts no more, and is not installed */
    assert_int_equal(registrar_packages(world->registrar, wanted, 2), 0);
}

static void test_epochs(void **state)
{
    struct world *world = *state;
    struct world_doc doc = list_2;
    world_apply(world, 5, &doc, 1);
    world->epoch = 2;
    assert_refused(world, 6, &doc, 1, REASON(MANIFEST_EPOCH));
    world->epoch = 0;
    assert_refused(world, 6, &doc, 1, REASON(MANIFEST_EPOCH));
    world->epoch = 1;
    doc.epoch = 2;
    assert_refused(world, 6, &doc, 1, REASON(DOCUMENT_EPOCH));
    world_root_next(world, 2);
    world->epoch = 2;
    doc.epoch = 1; /* undone with the epoch, whatever its version */
    assert_refused(world, 6, &doc, 1, REASON(DOCUMENT_EPOCH));
    doc.epoch = 0;
    world_apply(world, 1, &doc, 1); /* versions begin again */
    world->epoch = 1;
    assert_refused(world, 7, &doc, 1, REASON(MANIFEST_EPOCH));
}

static void test_a_root_to_come(void **state)
{
    struct world *world = *state;
    world->root_version = 2;
    assert_refused(world, 1, &list_2, 1, REASON(MANIFEST_ROOT));
    world_root_next(world, 1);
    world_apply(world, 1, &list_2, 1);
}

/* A thief used all numbers up; the next epoch undoes it. */
static void test_numbers_used_up(void **state)
{
    struct world *world = *state;
    struct world_doc doc = with_version(list_2, LIMIT_VERSION + 1, "far");
    assert_refused(world, 1, &doc, 1, REASON(DOCUMENT_VERSION));
    doc.version = doc.minimum = LIMIT_VERSION;
    assert_refused(world, LIMIT_VERSION + 1, &doc, 1, REASON(MANIFEST_LEAP));
    world_apply(world, LIMIT_VERSION, &doc, 1);
    doc = with_version(list_2, 3, "three");
    assert_refused(world, 1, &doc, 1, REASON(MANIFEST_OLD));
    world_root_next(world, 2);
    world->epoch = 2;
    world_apply(world, 1, &doc, 1);
    world_assert_document(world, "revoked", "three");
    world_reopen(world);
    doc = with_version(list_2, 2, "two");
    world_apply(world, 2, &doc, 1); /* the old epoch's floor does not count any more */
}

static void test_documents_versions(void **state)
{
    struct world *world = *state;
    struct world_doc doc = list_2;
    doc.version = 0;
    assert_refused(world, 1, &doc, 1, REASON(DOCUMENT_VERSION));
    doc.version = 2;
    doc.minimum = 3;
    assert_refused(world, 1, &doc, 1, REASON(DOCUMENT_VERSION));
    doc = with_version(list_2, 7, "seven");
    doc.minimum = 4;
    doc.mode = OBSERVE; /* the floor is the signer's word, whoever writes the file */
    world_apply(world, 1, &doc, 1);
    doc = with_version(list_2, 3, "three");
    assert_refused(world, 2, &doc, 1, REASON(DOCUMENT_FLOOR));
    world_reopen(world);
    assert_refused(world, 2, &doc, 1, REASON(DOCUMENT_FLOOR));
    doc = with_version(list_2, 7, "other");
    assert_refused(world, 2, &doc, 1, REASON(DOCUMENT_OTHER));
    doc = with_version(list_2, 4, "four");
    world_apply(world, 2, &doc, 1);
}

static void test_one_place_of_the_floors_is_enough(void **state)
{
    struct world *world = *state;
    struct world_doc doc = with_version(list_2, 7, "seven"), lower = with_version(list_2, 6, "six");
    char first[256];
    doc.minimum = 7;
    for (unsigned round = 0; round < 2; round++) {
        world_apply(world, 5 + round, &doc, 1);
        world_close(world);
        world_path(world, "floors", first);
        assert_true(file_remove(round == 0 ? first : world->floors, NULL));
        world_path(world, "desired", first);
        assert_true(file_remove(first, NULL));
        world_open(world);
        world_check(world);
        assert_refused(world, 4, &doc, 1, REASON(MANIFEST_OLD));
        assert_refused(world, 9, &lower, 1, REASON(DOCUMENT_FLOOR));
        world_path(world, "floors", first);
        assert_true(file_exists(first) && file_exists(world->floors));
        assert_non_null(
            strstr(world_last(world, MUSTER__EVENT_KIND__EVENT_DRIFT)->text, "version floors"));
    }
}

static void test_what_cannot_go_back(void **state)
{
    struct world *world = *state;
    struct world_doc both[2] = {{.name = "aid.tsv", .content = "a", .version = 1, .mode = REPAIR},
                                with_version(list_2, 5, "five")};
    struct world_doc lower = with_version(list_2, 4, "four");
    both[1].final = true;
    world_apply(world, 1, both, 2);
    assert_refused(world, 2, &lower, 1, REASON(DOCUMENT_IRREVERSIBLE));
    assert_refused(world, 2, both, 1, REASON(DOCUMENT_IRREVERSIBLE)); /* nor does it go away */
    world_reopen(world);
    assert_refused(world, 2, &lower, 1, REASON(DOCUMENT_IRREVERSIBLE));
    assert_refused(world, 2, both, 1, REASON(DOCUMENT_IRREVERSIBLE));
    both[1] = with_version(list_2, 6, "six"); /* until a newer one that may */
    world_apply(world, 2, both, 2);
    assert_refused(world, 3, &lower, 1, REASON(DOCUMENT_IRREVERSIBLE));
    world_apply(world, 3, both, 1);
    world_assert_document(world, "revoked", NULL);
}

static void test_what_is_only_observed_takes_nothing_back(void **state)
{
    struct world *world = *state;
    struct world_doc doc = with_version(list_2, 5, "five");
    doc.final = true;
    doc.mode = OBSERVE;
    world_apply(world, 1, &doc, 1);
    doc = with_version(list_2, 4, "four");
    world_apply(world, 2, &doc, 1);
    world_apply(world, 3, NULL, 0);
}

static void test_roles_and_scopes(void **state)
{
    struct world *world = *state;
    struct world_doc doc = list_2;
    doc.signer = world->custodian;
    assert_refused(world, 1, &doc, 1, REASON(DOCUMENT_SIGNATURE));
    doc.signer = world->director;
    assert_refused(world, 1, &doc, 1, REASON(DOCUMENT_SIGNATURE));
    doc.signer = world->root;
    assert_refused(world, 1, &doc, 1, REASON(DOCUMENT_SIGNATURE));
    doc.signer = NULL;
    doc.kind = KEY_BLOCK;
    doc.scope = SEALED;
    doc.device = world->settings.device;
    assert_refused(world, 1, &doc, 1, REASON(DOCUMENT_SIGNATURE)); /* release has no say in keys */
    doc.signer = world->custodian;
    doc.scope = MUSTER__DOCUMENT_SCOPE__SCOPE_PUBLIC;
    assert_refused(world, 1, &doc, 1, REASON(DOCUMENT_SCOPE));
    doc = list_2;
    doc.scope = (Muster__DocumentScope)3;
    assert_refused(world, 1, &doc, 1, REASON(DOCUMENT_SCOPE));
    doc.scope = SEALED;
    assert_refused(world, 1, &doc, 1, REASON(DOCUMENT_DEVICE));
    doc.device = "t-0002";
    assert_refused(world, 1, &doc, 1, REASON(DOCUMENT_DEVICE));
    doc.scope = 0;
    assert_refused(world, 1, &doc, 1, REASON(DOCUMENT_DEVICE));
    doc.device = world->settings.device;
    world_apply(world, 1, &doc, 1);
}

/* What is in force stays and is kept sound; what was on its way is not built. */
static void test_a_root_that_ends_a_manifest(void **state)
{
    struct world *world = *state;
    struct registrar_desired desired;
    struct world_doc next = with_version(list_2, 3, "three");
    world_apply(world, 1, &list_2, 1);
    world->broker_up = false;
    assert_true(world_push(world, 2, &next, 1, NULL));
    world_wait(world, world_was_asked);
    struct sign_key *stolen = world->director;
    world->director = world_key(world, "director-2.pem");
    world_root_next(world, 1);
    registrar_desired(world->registrar, &desired);
    assert_true(desired.outdated);
    assert_int_equal(registrar_lacks(world->registrar, NULL, 0), 0);
    world->broker_up = true;
    world_check(world);
    world_assert_document(world, "revoked", "two");
    struct sign_key *renewed = world->director;
    world->director = stolen;
    assert_refused(world, 3, &next, 1, REASON(SIGNATURE));
    world->director = renewed;
    sign_key_free(stolen);
    world_damage(world, "current/revoked");
    world_check(world);
    world_assert_document(world, "revoked", "two");
    world->root_version = 2;
    world_apply(world, 3, &next, 1);
    registrar_desired(world->registrar, &desired);
    assert_false(desired.outdated);
    assert_int_equal(desired.root_seen, 2);
    world_assert_document(world, "revoked", "three");
}

/* The same words under the renewed key count again at once. */
static void test_the_same_manifest_signed_anew(void **state)
{
    struct world *world = *state;
    struct registrar_desired desired;
    world_apply(world, 1, &list_2, 1);
    struct sign_key *stolen = world->director;
    world->director = world_key(world, "director-2.pem");
    world_root_next(world, 1);
    registrar_desired(world->registrar, &desired);
    assert_true(desired.outdated);
    assert_true(world_push(world, 1, &list_2, 1, NULL));
    registrar_desired(world->registrar, &desired);
    assert_false(desired.outdated);
    sign_key_free(stolen);
}

/* Until the fleet has signed again a broker keeps what it was given: no reason for an alarm in each
 * terminal, and what else the old director signs still is one. */
static void test_what_a_root_ended_comes_again(void **state)
{
    struct world *world = *state;
    struct buf envelope = {0};
    struct err err = {0};
    world_apply(world, 1, &list_2, 1);
    world_manifest(world, 1, &list_2, 1, &envelope);
    struct sign_key *stolen = world->director;
    world->director = world_key(world, "director-2.pem");
    world_root_next(world, 1);
    size_t told = world_events(world, REFUSED, NULL);
    assert_false(registrar_manifest(world->registrar, buf_bytes(&envelope), &err));
    assert_int_equal(refusal_of(&err), REASON(SIGNATURE));
    assert_int_equal(world_events(world, REFUSED, NULL), told);
    assert_int_equal(registrar_refusals(world->registrar)->count, 0);
    struct sign_key *renewed = world->director;
    world->director = stolen;
    assert_refused(world, 2, &list_2, 1, REASON(SIGNATURE));
    assert_int_equal(world_events(world, REFUSED, NULL), told + 1);
    world->director = renewed;
    sign_key_free(stolen);
    buf_done(&envelope);
}

/* The chain of roots was put back: the keys it leaves may be the ones that a root withdrew. */
static void test_roots_put_back(void **state)
{
    struct world *world = *state;
    struct registrar_desired desired;
    struct world_doc next = with_version(list_2, 3, "three");
    struct trust *newest = world->trust;
    world_apply(world, 1, &list_2, 1);
    world_root_next(world, 1);
    world_check(world);
    world_close(world);
    world_root_first(world);
    world_open(world);
    world_check(world);
    registrar_desired(world->registrar, &desired);
    assert_int_equal(desired.root_seen, 2);
    assert_refused(world, 2, &next, 1, REASON(MANIFEST_ROOT));
    world_assert_document(world, "revoked", "two");
    world_close(world);
    trust_free(world->trust);
    world->trust = newest;
    world_open(world);
    world_apply(world, 2, &next, 1);
}

static void test_refusals_are_told_with_their_reason(void **state)
{
    struct world *world = *state;
    struct world_doc doc = list_2;
    world_apply(world, 5, &doc, 1);
    assert_refused(world, 4, &doc, 1, REASON(MANIFEST_OLD));
    const struct world_event *event = world_last(world, REFUSED);
    assert_int_equal(event->refusal, REASON(MANIFEST_OLD));
    assert_non_null(strstr(event->text, "manifest 4 is older than 5"));
    size_t told = world_events(world, REFUSED, NULL);
    assert_refused(world, 3, &doc, 1, REASON(MANIFEST_OLD));
    assert_int_equal(world_events(world, REFUSED, NULL), told);
    doc.mode = OBSERVE;
    assert_refused(world, 5, &doc, 1, REASON(MANIFEST_OTHER));
    doc.signer = world->director;
    assert_refused(world, 6, &doc, 1, REASON(DOCUMENT_SIGNATURE));
    assert_int_equal(world_last(world, REFUSED)->refusal, REASON(DOCUMENT_SIGNATURE));
    assert_int_equal(registrar_refusals(world->registrar)->count, 4);
    assert_int_equal(registrar_refusals(world->registrar)->last, REASON(DOCUMENT_SIGNATURE));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_packages),
        TEST(test_epochs),
        TEST(test_a_root_to_come),
        TEST(test_numbers_used_up),
        TEST(test_documents_versions),
        TEST(test_one_place_of_the_floors_is_enough),
        TEST(test_what_cannot_go_back),
        TEST(test_what_is_only_observed_takes_nothing_back),
        TEST(test_roles_and_scopes),
        TEST(test_a_root_that_ends_a_manifest),
        TEST(test_the_same_manifest_signed_anew),
        TEST(test_what_a_root_ended_comes_again),
        TEST(test_roots_put_back),
        TEST(test_refusals_are_told_with_their_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
