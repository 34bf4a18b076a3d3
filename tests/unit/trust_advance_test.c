/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/limits.h"
#include "proto/refusal.h"
#include "tests/unit/temp_roots.h"
#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>

/* In force: version 4 of epoch 2, kept by keys 0, 1 and 2, of which two must sign. */
static const struct temp_root in_force = {
    .version = 4, .epoch = 2, .root_keys = "012", .root_threshold = 2, .signers = "01"};
/* The one after it: key 3 takes the place of key 0, the director's key is replaced. */
static const struct temp_root following = {.version = 5,
                                           .epoch = 2,
                                           .issued_ms = 77,
                                           .root_keys = "123",
                                           .root_threshold = 2,
                                           .director = 1,
                                           .signers = "123"};

static bool names(const struct trust *trust, Muster__Role role, const struct sign_key *key)
{
    const struct key_set *set = trust_keys(trust, role);
    return set->count == 1 && bytes_equal(verify_key_spki(set->keys[0]), sign_key_spki(key));
}

static void still_in_force(const struct temp_roots *roots, const struct trust *trust)
{
    assert_int_equal(trust_version(trust), 4);
    assert_int_equal(trust_epoch(trust), 2);
    assert_int_equal(trust_keys(trust, MUSTER__ROLE__ROLE_ROOT)->count, 3);
    assert_true(
        names(trust, MUSTER__ROLE__ROLE_DIRECTOR, roots->keys[MUSTER__ROLE__ROLE_DIRECTOR][0]));
}

/* Both ways of asking give the reason, and change nothing. */
static void is_refused(const struct temp_roots *roots, struct trust *trust, struct bytes root,
                       Muster__Refusal reason)
{
    struct err asked = {0}, tried = {0};
    assert_false(trust_would_advance(trust, root, &asked));
    assert_false(trust_advance(trust, root, &tried));
    if (refusal_of(&tried) != reason || refusal_of(&asked) != reason)
        fail_msg("refused for %d, not for %d: %s", tried.reason, (int)reason, tried.text);
    assert_string_equal(asked.text, tried.text);
    still_in_force(roots, trust);
}

static void sketch_is_refused(const struct temp_roots *roots, const struct temp_root *next,
                              Muster__Refusal reason)
{
    struct trust *trust = temp_root_trust(roots, &in_force);
    struct buf root = {0};
    temp_root_seal(roots, next, &root);
    is_refused(roots, trust, buf_bytes(&root), reason);
    /* And it is for that reason alone: the one that it was made from is taken. */
    buf_clear(&root);
    temp_root_seal(roots, &following, &root);
    assert_true(trust_advance(trust, buf_bytes(&root), NULL));
    buf_done(&root);
    trust_free(trust);
}

static void the_next_one_is_in_force_at_once(void **state)
{
    const struct temp_roots *roots = *state;
    struct trust *trust = temp_root_trust(roots, &in_force);
    struct buf root = {0};
    struct err err = {0};
    temp_root_seal(roots, &following, &root);
    assert_true(trust_would_advance(trust, buf_bytes(&root), &err));
    still_in_force(roots, trust);
    assert_true(trust_advance(trust, buf_bytes(&root), &err));
    assert_int_equal(trust_version(trust), 5);
    assert_int_equal(trust_epoch(trust), 2);
    assert_int_equal(trust_issued_ms(trust), 77);
    assert_true(
        names(trust, MUSTER__ROLE__ROLE_DIRECTOR, roots->keys[MUSTER__ROLE__ROLE_DIRECTOR][1]));
    /* Once is enough. */
    assert_false(trust_advance(trust, buf_bytes(&root), &err));
    assert_int_equal(refusal_of(&err), MUSTER__REFUSAL__REFUSAL_ROOT_ORDER);
    buf_done(&root);
    trust_free(trust);
}

static void an_epoch_rises_by_one(void **state)
{
    const struct temp_roots *roots = *state;
    struct temp_root next = following;
    struct trust *trust = temp_root_trust(roots, &in_force);
    struct buf root = {0};
    next.epoch = 3;
    temp_root_seal(roots, &next, &root);
    assert_true(trust_advance(trust, buf_bytes(&root), NULL));
    assert_int_equal(trust_epoch(trust), 3);
    buf_done(&root);
    trust_free(trust);
    next.epoch = 4;
    sketch_is_refused(roots, &next, MUSTER__REFUSAL__REFUSAL_ROOT_EPOCH);
    next.epoch = 1;
    sketch_is_refused(roots, &next, MUSTER__REFUSAL__REFUSAL_ROOT_EPOCH);
    next.epoch = UINT64_MAX;
    sketch_is_refused(roots, &next, MUSTER__REFUSAL__REFUSAL_ROOT_EPOCH);
}

static void the_old_keepers_must_agree(void **state)
{
    const struct temp_roots *roots = *state;
    struct temp_root next = following;
    next.signers = "13"; /* enough of its own, one of the old */
    sketch_is_refused(roots, &next, MUSTER__REFUSAL__REFUSAL_ROOT_OLD_KEYS);
    next.signers = "113";
    sketch_is_refused(roots, &next, MUSTER__REFUSAL__REFUSAL_ROOT_OLD_KEYS);
    next.root_keys = "3"; /* a thief's own root, sound in itself */
    next.root_threshold = 1;
    next.signers = "3";
    sketch_is_refused(roots, &next, MUSTER__REFUSAL__REFUSAL_ROOT_OLD_KEYS);
    next.signers = "03"; /* and with one of two keys stolen */
    sketch_is_refused(roots, &next, MUSTER__REFUSAL__REFUSAL_ROOT_OLD_KEYS);
}

static void its_own_keepers_must_agree(void **state)
{
    const struct temp_roots *roots = *state;
    struct temp_root next = following;
    next.signers = "01"; /* enough of the old, one of its own */
    sketch_is_refused(roots, &next, MUSTER__REFUSAL__REFUSAL_ROOT_OWN_KEYS);
    next.signers = "011";
    sketch_is_refused(roots, &next, MUSTER__REFUSAL__REFUSAL_ROOT_OWN_KEYS);
    next.signers = "123";
    next.domain = "manifest";
    sketch_is_refused(roots, &next, MUSTER__REFUSAL__REFUSAL_ROOT_OWN_KEYS);
    next.domain = NULL;
    next.director_signs = true;
    sketch_is_refused(roots, &next, MUSTER__REFUSAL__REFUSAL_ROOT_OWN_KEYS);
}

static void none_is_left_out_and_none_comes_again(void **state)
{
    const struct temp_roots *roots = *state;
    struct temp_root next = following;
    static const uint64_t versions[] = {1, 3, 4, 6, UINT64_MAX};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        next.version = versions[i];
        sketch_is_refused(roots, &next, MUSTER__REFUSAL__REFUSAL_ROOT_ORDER);
    }
    next.version = 0;
    sketch_is_refused(roots, &next, MUSTER__REFUSAL__REFUSAL_MALFORMED);
}

static void a_role_that_nobody_satisfies_is_refused(void **state)
{
    const struct temp_roots *roots = *state;
    struct temp_root next = following;
    next.root_threshold = 4;
    sketch_is_refused(roots, &next, MUSTER__REFUSAL__REFUSAL_ROOT_ROLES);
    next = following;
    next.root_keys = "1233";
    sketch_is_refused(roots, &next, MUSTER__REFUSAL__REFUSAL_ROOT_ROLES);
}

static void what_is_no_root_is_refused(void **state)
{
    const struct temp_roots *roots = *state;
    struct trust *trust = temp_root_trust(roots, &in_force);
    struct buf root = {0};
    is_refused(roots, trust, bytes_of("\xff\xff\xff", 3), MUSTER__REFUSAL__REFUSAL_MALFORMED);
    is_refused(roots, trust, bytes_of("", 0), MUSTER__REFUSAL__REFUSAL_MALFORMED);
    uint8_t *more = calloc(1, LIMIT_ROOT_BYTES + 1);
    assert_non_null(more);
    is_refused(roots, trust, bytes_of(more, LIMIT_ROOT_BYTES + 1),
               MUSTER__REFUSAL__REFUSAL_TOO_LARGE);
    free(more);
    temp_root_seal(roots, &following, &root);
    for (size_t i = 0; i < root.length; i++) {
        root.data[i] ^= (uint8_t)(1u << i % 8);
        struct err err = {0};
        /* One of the three signatures is not needed: only what was signed must not change. */
        if (!trust_advance(trust, buf_bytes(&root), &err)) {
            assert_int_not_equal(refusal_of(&err), MUSTER__REFUSAL__REFUSAL_NONE);
            still_in_force(roots, trust);
        } else {
            assert_int_equal(trust_version(trust), 5);
            trust_free(trust);
            trust = temp_root_trust(roots, &in_force);
        }
        root.data[i] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t length = 0; length < root.length; length++) {
        struct err err = {0};
        if (!trust_would_advance(trust, bytes_of(root.data, length), &err))
            assert_int_not_equal(refusal_of(&err), MUSTER__REFUSAL__REFUSAL_NONE);
    }
    buf_done(&root);
    trust_free(trust);
}

static void a_chain_ends_where_its_keepers_lead_it(void **state)
{
    const struct temp_roots *roots = *state;
    struct trust *trust = temp_root_trust(roots, &(struct temp_root){.version = 1});
    const struct temp_root chain[] = {
        {.version = 2, .root_keys = "1", .signers = "01"},
        {.version = 3, .epoch = 2, .root_keys = "12", .root_threshold = 2, .signers = "12"},
        {.version = 4, .epoch = 2, .root_keys = "3", .signers = "123"},
    };
    struct buf root = {0};
    for (size_t i = 0; i < sizeof chain / sizeof *chain; i++) {
        buf_clear(&root);
        temp_root_seal(roots, &chain[i], &root);
        assert_true(trust_advance(trust, buf_bytes(&root), NULL));
    }
    /* Who kept the first one has nothing to say any more. */
    buf_clear(&root);
    temp_root_seal(roots, &(struct temp_root){.version = 5, .epoch = 2}, &root);
    struct err err = {0};
    assert_false(trust_advance(trust, buf_bytes(&root), &err));
    assert_int_equal(refusal_of(&err), MUSTER__REFUSAL__REFUSAL_ROOT_OLD_KEYS);
    assert_int_equal(trust_version(trust), 4);
    buf_done(&root);
    trust_free(trust);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_one_is_in_force_at_once),
        cmocka_unit_test(an_epoch_rises_by_one),
        cmocka_unit_test(the_old_keepers_must_agree),
        cmocka_unit_test(its_own_keepers_must_agree),
        cmocka_unit_test(none_is_left_out_and_none_comes_again),
        cmocka_unit_test(a_role_that_nobody_satisfies_is_refused),
        cmocka_unit_test(what_is_no_root_is_refused),
        cmocka_unit_test(a_chain_ends_where_its_keepers_lead_it),
    };
    return cmocka_run_group_tests(tests, temp_roots_open, temp_roots_close);
}
