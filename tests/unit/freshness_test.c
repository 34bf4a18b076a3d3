/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/freshness.h"
#include "tests/unit/testing.h"

#include <string.h>

static struct freshness_manifest manifest(uint64_t epoch, uint64_t version, uint8_t content)
{
    struct freshness_manifest made = {.epoch = epoch, .version = version};
    memset(made.sha256, content, sizeof made.sha256);
    return made;
}

static struct freshness_held held(uint64_t epoch, uint64_t version, uint8_t content)
{
    return (struct freshness_held){
        .root_version = 2, .root_seen = 2, .manifest = manifest(epoch, version, content)};
}

static void welcome(struct freshness *freshness, uint64_t epoch, uint64_t version, uint8_t content)
{
    struct freshness_manifest named = manifest(epoch, version, content);
    freshness_welcomed(freshness, 2, &named, 1000, 50);
}

static void assert_stale(struct freshness *freshness, struct freshness_held now, const char *word)
{
    char why[FRESHNESS_WHY_CHARS];
    int64_t before_ms = freshness->fresh_ms;
    freshness_look(freshness, &now, why);
    if (why[0] == '\0' || strstr(why, word) == NULL)
        fail_msg("\"%s\", expected \"%s\"", why, word);
    assert_int_equal(freshness->fresh_ms, before_ms);
}

static void assert_fresh(struct freshness *freshness, struct freshness_held now)
{
    char why[FRESHNESS_WHY_CHARS];
    freshness_look(freshness, &now, why);
    assert_string_equal(why, "");
    assert_int_equal(freshness->fresh_ms, freshness->welcomed_ms);
    assert_int_equal(freshness->fresh_at_ms, freshness->proved_at_ms);
}

static void test_only_the_very_manifest(void **state)
{
    struct freshness freshness = {0};
    (void)state;
    assert_stale(&freshness, held(1, 7, 'a'), "no welcome yet");
    welcome(&freshness, 1, 7, 'a');
    assert_stale(&freshness, held(1, 7, 'b'), "another manifest 7 than the one held");
    assert_stale(&freshness, held(1, 6, 'a'), "manifest 7, this terminal holds 6, and it has not");
    assert_stale(&freshness, held(1, 8, 'a'), "manifest 7, this terminal holds 8");
    assert_stale(&freshness, held(2, 7, 'a'), "manifest 7 of epoch 1, this terminal holds 7 of");
    assert_stale(&freshness, held(1, 0, 0), "manifest 7, and it has not come");
    assert_fresh(&freshness, held(1, 7, 'a'));
}

static void test_none_is_wanted(void **state)
{
    struct freshness freshness = {0};
    (void)state;
    welcome(&freshness, 0, 0, 0);
    assert_fresh(&freshness, held(0, 0, 0));
    assert_stale(&freshness, held(1, 3, 'a'), "speaks of no manifest, this terminal holds 3");
}

/* A fleet that was restored names less than is held: only what comes after that counts again. */
static void test_what_came_since(void **state)
{
    struct freshness freshness = {0};
    struct freshness_manifest next = manifest(1, 8, 'b'), last = manifest(2, 1, 'c');
    (void)state;
    welcome(&freshness, 1, 7, 'a');
    freshness_accepted(&freshness, &next, false);
    assert_fresh(&freshness, held(1, 8, 'b'));
    welcome(&freshness, 1, 7, 'a');
    assert_stale(&freshness, held(1, 8, 'b'), "holds 8");
    freshness_accepted(&freshness, &last, false);
    assert_fresh(&freshness, held(2, 1, 'c'));
}

static void test_a_file_proves_nothing(void **state)
{
    struct freshness freshness = {0};
    struct freshness_manifest next = manifest(1, 8, 'b');
    (void)state;
    freshness_accepted(&freshness, &next, true);
    assert_stale(&freshness, held(1, 8, 'b'), "came from a file");
    welcome(&freshness, 1, 7, 'a');
    freshness_accepted(&freshness, &next, true);
    assert_stale(&freshness, held(1, 8, 'b'), "holds 8");
    welcome(&freshness, 1, 8, 'b');
    assert_fresh(&freshness, held(1, 8, 'b'));
}

static void test_roots(void **state)
{
    struct freshness freshness = {0};
    struct freshness_manifest named = manifest(1, 7, 'a');
    struct freshness_held now = held(1, 7, 'a');
    (void)state;
    freshness_welcomed(&freshness, 3, &named, 1000, 50);
    assert_stale(&freshness, now, "the fleet is at root 3, this terminal at 2");
    now.root_version = now.root_seen = 3;
    now.outdated = true;
    assert_stale(&freshness, now, "not good under root 3");
    now.below = "manifest 1 is older than 2";
    assert_stale(&freshness, now, "is not used: manifest 1 is older than 2; waiting");
    now.below = "";
    assert_stale(&freshness, now, "not good under root");
    now.outdated = false;
    assert_fresh(&freshness, now);
    now.root_version = 1;
    assert_stale(&freshness, now, "root 3 was in force here and only 1 is left");
    freshness_welcomed(&freshness, 0, &(struct freshness_manifest){0}, 1000, 50);
    assert_stale(&freshness, held(1, 7, 'a'), "does not say which manifest");
}

/* Whom a root puts out may have lied, so nothing that he said proves anything any more. */
static void test_another_director(void **state)
{
    struct freshness freshness = {0};
    struct freshness_manifest next = manifest(1, 8, 'b');
    (void)state;
    welcome(&freshness, 1, 7, 'a');
    assert_fresh(&freshness, held(1, 7, 'a'));
    freshness_rooted(&freshness, 3);
    assert_stale(&freshness, held(1, 7, 'a'), "root 3 names another director");
    assert_false(freshness_behind(&freshness, &next));
    freshness_accepted(&freshness, &next, false);
    assert_stale(&freshness, held(1, 8, 'b'), "has not welcomed us yet");
    welcome(&freshness, 1, 8, 'b');
    assert_fresh(&freshness, held(1, 8, 'b'));
    welcome(&freshness, 1, 9, 'c');
    assert_stale(&freshness, held(1, 8, 'b'), "holds 8");
}

/* Time alone makes nothing stale, and a clock that nobody proved is not asked. */
static void test_expiry_is_only_told(void **state)
{
    struct freshness freshness = {0};
    struct freshness_held now = held(1, 7, 'a');
    (void)state;
    now.expires_ms = 5000;
    now.at_least_ms = 5001;
    assert_stale(&freshness, now, "since the agent started; the one held has expired");
    now.at_least_ms = 4999;
    char why[FRESHNESS_WHY_CHARS];
    freshness_look(&freshness, &now, why);
    assert_null(strstr(why, "expired"));
    now.at_least_ms = 5001;
    welcome(&freshness, 1, 7, 'a');
    assert_fresh(&freshness, now);
}

static void test_behind(void **state)
{
    struct freshness freshness = {0};
    struct freshness_manifest older = manifest(1, 6, 'a'), same = manifest(1, 7, 'a'),
                              newer = manifest(2, 1, 'a');
    (void)state;
    assert_false(freshness_behind(&freshness, &older));
    welcome(&freshness, 1, 7, 'a');
    assert_true(freshness_behind(&freshness, &older));
    assert_false(freshness_behind(&freshness, &same));
    assert_false(freshness_behind(&freshness, &newer));
}

/* Who lets nothing through freezes a terminal: that what is held was once the newest is no proof.
 */
static void test_a_proof_that_is_not_renewed(void **state)
{
    struct freshness freshness = {0};
    struct freshness_held now = held(1, 7, 'a');
    (void)state;
    welcome(&freshness, 1, 7, 'a');
    now.now_ms = 50 + FRESHNESS_PROOF_MS;
    assert_fresh(&freshness, now);
    now.now_ms++;
    assert_stale(&freshness, now, "has not answered for 36 hours");
    now.now_ms = 60;
    now.unanswered = true;
    assert_stale(&freshness, now, "has not answered on this connection");
    now.unanswered = false;
    assert_fresh(&freshness, now);
}

static void test_what_was_refused_here_is_still_wanted(void **state)
{
    struct freshness freshness = {0};
    struct freshness_held now = held(1, 7, 'a');
    (void)state;
    welcome(&freshness, 1, 7, 'a');
    now.refused = manifest(1, 8, 'b');
    now.refused_why = "it needs more than the quota";
    assert_stale(&freshness, now, "manifest 8 came and was refused here: it needs more than");
    welcome(&freshness, 1, 8, 'b');
    assert_stale(&freshness, now, "manifest 8 came and was refused here");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_very_manifest),
        cmocka_unit_test(test_none_is_wanted),
        cmocka_unit_test(test_what_came_since),
        cmocka_unit_test(test_a_file_proves_nothing),
        cmocka_unit_test(test_roots),
        cmocka_unit_test(test_another_director),
        cmocka_unit_test(test_expiry_is_only_told),
        cmocka_unit_test(test_behind),
        cmocka_unit_test(test_a_proof_that_is_not_renewed),
        cmocka_unit_test(test_what_was_refused_here_is_still_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
