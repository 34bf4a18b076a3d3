/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/service_keys.h"

#include "base/file.h"
#include "tests/unit/temp_rooted.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct sign_key *key_of(const struct temp_rooted *rooted, Muster__Role role, int key)
{
    return rooted->roots->keys[role][key];
}

static void is_used(const struct service_ring *ring, const struct temp_rooted *rooted, int key)
{
    assert_true(bytes_equal(sign_key_spki(service_ring_key(ring)),
                            sign_key_spki(key_of(rooted, ring->role, key))));
}

static void refused(bool ok, const struct err *err, enum err_code code, const char *words)
{
    assert_false(ok);
    if (err->code != code || strstr(err->text, words) == NULL)
        fail_msg("%s: %s, expected %s: ...%s...", err_code_name(err->code), err->text,
                 err_code_name(code), words);
}

/* Reads what the settings name; whatever it is, it is given back. */
static void read_refused(const struct temp_rooted *rooted, enum err_code code, const char *words)
{
    struct service_keys keys = {0};
    struct err err = {0};
    refused(service_keys_read(&rooted->settings, &keys, &err), &err, code, words);
}

static void the_newest_root_says_which_key(void **state)
{
    struct temp_rooted *rooted = *state;
    struct service_keys keys;
    temp_rooted_keys(rooted, &keys);
    assert_int_equal(keys.director.count, 2);
    is_used(&keys.director, rooted, 0);
    service_keys_done(&keys);
    temp_rooted_publish(rooted, &(struct temp_root){.version = 2, .director = 1});
    temp_rooted_publish(rooted, &(struct temp_root){.version = 3, .director = 1, .receipt = 1});
    temp_rooted_keys(rooted, &keys);
    assert_int_equal(trust_version(keys.trust), 3);
    is_used(&keys.director, rooted, 1);
    is_used(&keys.receipt, rooted, 1);
    service_keys_done(&keys);
}

static void files_that_are_no_keys_are_told(void **state)
{
    struct temp_rooted *rooted = *state;
    const struct fleet_settings good = rooted->settings;
    char path[128];
    temp_rooted_path(rooted, MUSTER__ROLE__ROLE_DIRECTOR, 1, path);
    assert_int_equal(chmod(path, 0640), 0);
    read_refused(rooted, ERR_REFUSED, "keys.director: ");
    read_refused(rooted, ERR_REFUSED, "others may use (mode 640)");
    assert_int_equal(chmod(path, 0600), 0);
    (void)snprintf(rooted->settings.receipt_key, sizeof good.receipt_key, "/nowhere/r.pem");
    read_refused(rooted, ERR_NOT_FOUND, "keys.receipt: /nowhere/r.pem");
    rooted->settings = good;
    (void)snprintf(rooted->settings.receipt_key, sizeof good.receipt_key,
                   "%.90s,%.90s,%.90s,%.90s,%.90s", path, path, path, path, path);
    read_refused(rooted, ERR_INVALID, "keys.receipt: more than 4 files");
    rooted->settings = good;
    temp_rooted_install(rooted, &(struct temp_root){.version = 1, .signers = "3"});
    read_refused(rooted, ERR_REFUSED, "keys.root = ");
    (void)snprintf(rooted->settings.root, sizeof good.root, "%s", path);
    read_refused(rooted, ERR_INVALID, "keys.root = ");
    rooted->settings = good;
}

static void choose_refused(struct service_keys *keys, const struct temp_rooted *rooted,
                           const struct temp_root *root, enum err_code code, const char *words)
{
    struct err err = {0};
    struct trust *trust = temp_root_trust(rooted->roots, root);
    const size_t used = keys->director.used;
    refused(service_keys_choose(keys, trust, &err), &err, code, words);
    assert_int_equal(keys->director.used, used);
    trust_free(trust);
}

static void what_no_root_names_is_not_used(void **state)
{
    struct temp_rooted *rooted = *state;
    struct service_keys keys;
    char id[2 * KEY_ID_BYTES + 1];
    struct verify_key *third = NULL;
    assert_true(verify_key_of_spki(sign_key_spki(key_of(rooted, MUSTER__ROLE__ROLE_DIRECTOR, 2)),
                                   &third, NULL));
    hex_encode(verify_key_id(third), KEY_ID_BYTES, id);
    verify_key_free(third);
    temp_rooted_keys(rooted, &keys);
    choose_refused(&keys, rooted, &(struct temp_root){.version = 1, .director = 2}, ERR_INVALID,
                   id);
    /* The director's would do; both or none. */
    choose_refused(&keys, rooted, &(struct temp_root){.version = 1, .director = 1, .receipt = 3},
                   ERR_INVALID, "keys.receipt: root 1 names key ");
    service_keys_done(&keys);
}

static void keys_that_belong_offline_are_refused(void **state)
{
    struct temp_rooted *rooted = *state;
    struct service_keys keys = {0};
    struct err err = {0};
    static const Muster__Role roles[] = {MUSTER__ROLE__ROLE_ROOT, MUSTER__ROLE__ROLE_RELEASE,
                                         MUSTER__ROLE__ROLE_CUSTODIAN};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        char path[128];
        size_t length = strlen(rooted->settings.receipt_key);
        temp_rooted_path(rooted, roles[i], 0, path);
        (void)snprintf(rooted->settings.receipt_key + length,
                       sizeof rooted->settings.receipt_key - length, ",%s", path);
        assert_true(service_keys_read(&rooted->settings, &keys, NULL));
        refused(service_keys_choose(&keys, keys.trust, &err), &err, ERR_REFUSED, "kept offline");
        rooted->settings.receipt_key[length] = '\0';
        service_keys_done(&keys);
    }
}

static void follow_refused(struct temp_rooted *rooted, enum err_code code, const char *words)
{
    struct service_keys keys = {0};
    struct err err = {0};
    assert_true(service_keys_read(&rooted->settings, &keys, NULL));
    refused(service_keys_follow(&keys, rooted->fleet->db, 1000, &err), &err, code, words);
    service_keys_done(&keys);
}

static void the_file_and_the_chain_must_agree(void **state)
{
    struct temp_rooted *rooted = *state;
    struct service_keys keys;
    temp_rooted_keys(rooted, &keys); /* root 1 is the database's first now */
    service_keys_done(&keys);
    temp_rooted_install(rooted, &(struct temp_root){.version = 1, .release = 1});
    follow_refused(rooted, ERR_CONFLICT, "another root 1");
    temp_rooted_install(rooted, &(struct temp_root){.version = 3});
    follow_refused(rooted, ERR_REFUSED, "leaves a gap");
    temp_rooted_install(rooted,
                        &(struct temp_root){.version = 2, .root_keys = "3", .signers = "3"});
    follow_refused(rooted, ERR_REFUSED, "keys.root and the database");
    /* The next one in the file is taken into the chain as if it had been published. */
    temp_rooted_install(rooted, &(struct temp_root){.version = 2, .director = 1});
    temp_rooted_keys(rooted, &keys);
    is_used(&keys.director, rooted, 1);
    service_keys_done(&keys);
    uint64_t first, newest;
    assert_true(fleetdb_root_range(rooted->fleet->db, &first, &newest, NULL));
    assert_int_equal(first, 1);
    assert_int_equal(newest, 2);
}

/* What somebody wrote into the database is not believed for lying there. */
static void a_chain_that_does_not_hold_is_refused(void **state)
{
    struct temp_rooted *rooted = *state;
    struct service_keys keys;
    temp_rooted_keys(rooted, &keys);
    service_keys_done(&keys);
    temp_rooted_publish(rooted,
                        &(struct temp_root){.version = 2, .root_keys = "3", .signers = "3"});
    follow_refused(rooted, ERR_REFUSED, "the chain of roots in the database");
}

/* A file that is put back to the root before the first: taken into the chain only if that follows
 * from it, or it would be handed to terminals by the next start with a good file. */
static void a_root_before_the_first_must_lead_to_it(void **state)
{
    struct temp_rooted *rooted = *state;
    struct service_keys keys;
    uint64_t first, newest;
    temp_rooted_publish(rooted, &(struct temp_root){.version = 2, .director = 1});
    temp_rooted_install(rooted,
                        &(struct temp_root){.version = 1, .root_keys = "3", .signers = "3"});
    follow_refused(rooted, ERR_REFUSED, "the chain of roots in the database");
    assert_true(fleetdb_root_range(rooted->fleet->db, &first, &newest, NULL));
    assert_int_equal(first, 2);
    temp_rooted_install(rooted, &(struct temp_root){.version = 1});
    temp_rooted_keys(rooted, &keys);
    assert_int_equal(trust_version(keys.trust), 2);
    service_keys_done(&keys);
    assert_true(fleetdb_root_range(rooted->fleet->db, &first, &newest, NULL));
    assert_int_equal(first, 1);
    assert_int_equal(newest, 2);
}

static bool begin(struct temp_rooted *rooted, const struct temp_root *root, struct err *err)
{
    struct service_keys keys = {0};
    temp_rooted_install(rooted, root);
    assert_true(service_keys_read(&rooted->settings, &keys, NULL));
    bool ok = service_keys_begin(&keys, rooted->fleet->db, 9000, err);
    service_keys_done(&keys);
    return ok;
}

static void begin_refused(struct temp_rooted *rooted, const struct temp_root *root,
                          const char *words)
{
    struct err err = {0};
    uint64_t first, newest;
    refused(begin(rooted, root, &err), &err, ERR_REFUSED, words);
    assert_true(fleetdb_root_range(rooted->fleet->db, &first, &newest, NULL));
    assert_int_equal(newest, 2);
}

/* Root keys that are gone cannot sign what follows; nothing else is a reason to forget a chain. */
static void a_fleet_may_begin_again_above_all_that_was_seen(void **state)
{
    struct temp_rooted *rooted = *state;
    struct service_keys keys;
    struct err err = {0};
    uint64_t first, newest;
    refused(begin(rooted, &(struct temp_root){.version = 1}, &err), &err, ERR_REFUSED,
            "has no roots");
    temp_rooted_keys(rooted, &keys);
    service_keys_done(&keys);
    temp_rooted_publish(rooted, &(struct temp_root){.version = 2, .epoch = 2});
    static const struct temp_root stranger = {
        .version = 3, .epoch = 3, .root_keys = "3", .signers = "3", .director = 1};
    struct temp_root root = stranger;
    root.version = 2;
    begin_refused(rooted, &root, "keys make --version 3 --epoch 3");
    root = stranger;
    root.epoch = 2;
    begin_refused(rooted, &root, "of epoch 2, and terminals have seen");
    begin_refused(rooted, &(struct temp_root){.version = 3, .epoch = 3},
                  "follows the newest of the database");
    root = stranger;
    root.signers = "2";
    temp_rooted_install(rooted, &root);
    assert_false(service_keys_read(&rooted->settings, &keys, NULL));
    assert_true(begin(rooted, &stranger, &err));
    assert_true(fleetdb_root_range(rooted->fleet->db, &first, &newest, NULL));
    assert_int_equal(first, 3);
    assert_int_equal(newest, 3);
    temp_rooted_keys(rooted, &keys);
    is_used(&keys.director, rooted, 1);
    service_keys_done(&keys);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_rooted_open, temp_rooted_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_newest_root_says_which_key),
        TEST(files_that_are_no_keys_are_told),
        TEST(what_no_root_names_is_not_used),
        TEST(keys_that_belong_offline_are_refused),
        TEST(the_file_and_the_chain_must_agree),
        TEST(a_chain_that_does_not_hold_is_refused),
        TEST(a_root_before_the_first_must_lead_to_it),
        TEST(a_fleet_may_begin_again_above_all_that_was_seen),
    };
    return cmocka_run_group_tests(tests, temp_roots_open, temp_roots_close);
}
