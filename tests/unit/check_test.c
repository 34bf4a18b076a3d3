/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/check.h"

#include "base/file.h"
#include "tests/unit/temp_rooted.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What was told, line by line. There are no certificates, so every check finds that too. */
struct told {
    char wrong[4096], notes[4096];
    size_t findings;
};

static void on_wrong(void *ctx, const struct err *why)
{
    struct told *told = ctx;
    size_t length = strlen(told->wrong);
    (void)snprintf(told->wrong + length, sizeof told->wrong - length, "%s\n", why->text);
    told->findings++;
}

static void on_note(void *ctx, const char *text)
{
    struct told *told = ctx;
    size_t length = strlen(told->notes);
    (void)snprintf(told->notes + length, sizeof told->notes - length, "%s\n", text);
}

static void check(const struct temp_rooted *rooted, struct told *told)
{
    *told = (struct told){.findings = 0};
    const struct check_sink sink = {.wrong = on_wrong, .note = on_note, .ctx = told};
    assert_false(check_all(&rooted->settings, &sink));
    assert_non_null(strstr(told->wrong, "CA file"));
}

static void has(const char *text, const char *words)
{
    if (strstr(text, words) == NULL)
        fail_msg("expected \"%s\" in:\n%s", words, text);
}

static int open_world(void **state)
{
    if (temp_rooted_open(state) != 0)
        return -1;
    struct temp_rooted *rooted = *state;
    struct fleet_settings *settings = &rooted->settings;
    (void)snprintf(settings->brokers, sizeof settings->brokers, "localhost:8883");
    (void)snprintf(settings->client_id, sizeof settings->client_id, "musterd");
    (void)snprintf(settings->ca, sizeof settings->ca, "/nowhere/ca.pem");
    return 0;
}

static void it_says_which_key_is_used(void **state)
{
    struct temp_rooted *rooted = *state;
    struct told told;
    check(rooted, &told);
    assert_int_equal(told.findings, 1);
    has(told.notes, "4-0.pem is key ");
    has(told.notes, ", which root 1 names\n");
    has(told.notes, ", which root 1 does not name: not used\n");
}

static void the_newest_root_is_the_one_in_the_database(void **state)
{
    struct temp_rooted *rooted = *state;
    struct told told;
    struct service_keys keys;
    temp_rooted_keys(rooted, &keys);
    service_keys_done(&keys);
    temp_rooted_publish(rooted, &(struct temp_root){.version = 2, .director = 2, .receipt = 1});
    check(rooted, &told);
    assert_int_equal(told.findings, 2);
    has(told.wrong, "keys.director: root 2 names key ");
    has(told.notes, "5-1.pem is key ");
    has(told.notes, ", which root 2 names\n");
    /* Before a start only what is not in the database is asked. */
    told = (struct told){.findings = 0};
    const struct check_sink sink = {.wrong = on_wrong, .ctx = &told};
    assert_false(check_start(&rooted->settings, &sink));
    assert_int_equal(told.findings, 1);
    assert_int_equal(told.notes[0], '\0');
}

/* With nobody at the database it is read as it lies there, and nothing appears beside it. */
static void the_database_is_not_touched(void **state)
{
    struct temp_rooted *rooted = *state;
    struct told told;
    struct stat before, after;
    char beside[300];
    temp_rooted_publish(rooted, &(struct temp_root){.version = 1});
    temp_rooted_publish(rooted, &(struct temp_root){.version = 2, .director = 1});
    fleetdb_close(rooted->fleet->db);
    rooted->fleet->db = NULL;
    assert_int_equal(stat(rooted->settings.database, &before), 0);
    check(rooted, &told);
    assert_int_equal(told.findings, 1);
    has(told.notes, ", which root 2 names\n");
    assert_int_equal(stat(rooted->settings.database, &after), 0);
    assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim);
    (void)snprintf(beside, sizeof beside, "%s-wal", rooted->settings.database);
    assert_false(file_exists(beside));
    (void)snprintf(beside, sizeof beside, "%s-shm", rooted->settings.database);
    assert_false(file_exists(beside));
}

static void every_finding_is_told(void **state)
{
    struct temp_rooted *rooted = *state;
    struct told told;
    char path[128];
    temp_rooted_path(rooted, MUSTER__ROLE__ROLE_DIRECTOR, 0, path);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(chmod(rooted->settings.root, 0666), 0);
    (void)snprintf(rooted->settings.receipt_key, sizeof rooted->settings.receipt_key,
                   "/nowhere/r.pem");
    (void)snprintf(rooted->settings.database, sizeof rooted->settings.database,
                   "/nowhere/fleet.db");
    (void)snprintf(rooted->settings.http_socket, sizeof rooted->settings.http_socket,
                   "/nowhere/api.sock");
    check(rooted, &told);
    has(told.wrong, "keys.director: ");
    has(told.wrong, "keys.receipt: /nowhere/r.pem");
    has(told.wrong, "every user may replace it (mode 666)");
    has(told.wrong, "database.path = /nowhere/fleet.db: the folder /nowhere/");
    has(told.wrong, "http.socket = /nowhere/api.sock: the folder /nowhere/");
    assert_int_equal(told.findings, 6);
    assert_int_equal(chmod(path, 0600), 0); /* the keys are the group's */
}

/* Who may write the folder puts another root in its place, whatever its own mode is. */
static void whoever_may_replace_the_root_is_told(void **state)
{
    struct temp_rooted *rooted = *state;
    struct told told;
    char folder[128];
    const char *root = rooted->settings.root;
    struct stat status;
    (void)snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(root, '/') - root), root);
    assert_int_equal(stat(folder, &status), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    check(rooted, &told);
    has(told.wrong, "in the folder ");
    has(told.wrong, "every user may replace it (mode 777)");
    assert_int_equal(chmod(folder, 01777), 0);
    check(rooted, &told);
    assert_int_equal(told.findings, 1);
    assert_int_equal(chmod(folder, status.st_mode & 07777), 0);
    if (geteuid() != 0)
        return; /* only root gives files away */
    assert_int_equal(chown(root, 12345, (gid_t)-1), 0);
    check(rooted, &told);
    has(told.wrong, "its owner, user 12345, may replace it");
    assert_int_equal(chown(root, 0, (gid_t)-1), 0);
    assert_int_equal(chown(folder, 12345, (gid_t)-1), 0);
    check(rooted, &told);
    has(told.wrong, "in the folder ");
    assert_int_equal(chown(folder, 0, (gid_t)-1), 0);
}

static void a_root_that_is_not_of_this_fleet_is_told(void **state)
{
    struct temp_rooted *rooted = *state;
    struct told told;
    temp_rooted_publish(rooted, &(struct temp_root){.version = 1});
    temp_rooted_install(rooted, &(struct temp_root){.version = 1, .release = 1});
    check(rooted, &told);
    has(told.wrong, "the database holds another root 1");
    temp_rooted_install(rooted,
                        &(struct temp_root){.version = 2, .root_keys = "3", .signers = "3"});
    check(rooted, &told);
    has(told.wrong, "the root keys in force");
    temp_rooted_install(rooted, &(struct temp_root){.version = 2});
    check(rooted, &told);
    assert_int_equal(told.findings, 1);
    temp_rooted_install(rooted, &(struct temp_root){.version = 3});
    check(rooted, &told);
    has(told.wrong, "it is root 3, and the newest of the database is root 1");
    temp_rooted_install(rooted, &(struct temp_root){.version = 1});
    fleetdb_close(rooted->fleet->db);
    rooted->fleet->db = NULL;
    assert_true(
        file_write(rooted->settings.database, bytes_of("no database at all", 18), 0600, NULL));
    check(rooted, &told);
    has(told.wrong, "database.path: fleet database ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, temp_rooted_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_says_which_key_is_used),
        TEST(the_newest_root_is_the_one_in_the_database),
        TEST(the_database_is_not_touched),
        TEST(every_finding_is_told),
        TEST(whoever_may_replace_the_root_is_told),
        TEST(a_root_that_is_not_of_this_fleet_is_told),
    };
    return cmocka_run_group_tests(tests, temp_roots_open, temp_roots_close);
}
