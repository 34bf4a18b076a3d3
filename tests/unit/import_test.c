/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/import.h"

#include "proto/limits.h"
#include "proto/refusal.h"
#include "tests/unit/testing.h"

#include <stdlib.h>

static struct import import;

static int end_it(void **state)
{
    (void)state;
    import_end(&import);
    return 0;
}

static bool add(Muster__ImportKind kind, uint64_t size, uint64_t offset, const char *data,
                size_t length, bool *ret_whole, struct err *err)
{
    Muster__ImportQuery query = MUSTER__IMPORT_QUERY__INIT;
    query.kind = kind;
    query.size = size;
    query.offset = offset;
    query.data = (ProtobufCBinaryData){length, (uint8_t *)(uintptr_t)data};
    *err = (struct err){0};
    return import_add(&import, &query, ret_whole, err);
}

static void test_frames_make_a_part(void **state)
{
    bool whole = true;
    struct err err;
    (void)state;
    assert_true(add(MUSTER__IMPORT_KIND__IMPORT_BLOB, 6, 0, "ab", 2, &whole, &err));
    assert_false(whole);
    assert_true(add(MUSTER__IMPORT_KIND__IMPORT_BLOB, 6, 2, "cdef", 4, &whole, &err));
    assert_true(whole);
    assert_true(bytes_equal(buf_bytes(&import.part), bytes_of("abcdef", 6)));
    /* Another one begins wherever the one before stood. */
    assert_true(add(MUSTER__IMPORT_KIND__IMPORT_ROOT, 3, 0, "x", 1, &whole, &err));
    assert_false(whole);
    assert_true(add(MUSTER__IMPORT_KIND__IMPORT_ROOT, 1, 0, "y", 1, &whole, &err));
    assert_true(whole);
}

static void test_no_part_is_longer_than_its_kind(void **state)
{
    static const struct {
        Muster__ImportKind kind;
        uint64_t most; /* 0: none at all */
    } cases[] = {
        {MUSTER__IMPORT_KIND__IMPORT_ROOT, LIMIT_ROOT_BYTES},
        {MUSTER__IMPORT_KIND__IMPORT_MANIFEST, LIMIT_MANIFEST_BYTES},
        {MUSTER__IMPORT_KIND__IMPORT_BLOB, LIMIT_BLOB_BYTES},
        {MUSTER__IMPORT_KIND__IMPORT_ASK, 0},
        {MUSTER__IMPORT_KIND__IMPORT_SETTLE, 0},
        {(Muster__ImportKind)99, 0},
    };
    bool whole;
    struct err err;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool some = cases[i].most > 0;
        assert_int_equal(add(cases[i].kind, cases[i].most, 0, "x", 1, &whole, &err), some);
        assert_false(add(cases[i].kind, cases[i].most + 1, 0, "x", 1, &whole, &err));
        assert_int_equal(refusal_of(&err), some ? MUSTER__REFUSAL__REFUSAL_TOO_LARGE
                                                : MUSTER__REFUSAL__REFUSAL_MALFORMED);
        assert_false(add(cases[i].kind, UINT64_MAX, 0, "x", 1, &whole, &err));
        assert_false(add(cases[i].kind, 0, 0, "", 0, &whole, &err));
    }
}

/* What does not fit to what came before ends the part: it is begun anew or not at all. */
static void test_what_is_not_next_ends_the_part(void **state)
{
    static const struct {
        Muster__ImportKind kind;
        uint64_t size, offset;
        size_t length;
    } cases[] = {
        {MUSTER__IMPORT_KIND__IMPORT_BLOB, 8, 5, 2},     /* a hole */
        {MUSTER__IMPORT_KIND__IMPORT_BLOB, 8, 3, 2},     /* again */
        {MUSTER__IMPORT_KIND__IMPORT_BLOB, 9, 4, 2},     /* of another length */
        {MUSTER__IMPORT_KIND__IMPORT_MANIFEST, 8, 4, 2}, /* of another kind */
        {MUSTER__IMPORT_KIND__IMPORT_BLOB, 8, 4, 5},     /* beyond its end */
        {MUSTER__IMPORT_KIND__IMPORT_BLOB, 8, 4, 0},     /* nothing */
        {MUSTER__IMPORT_KIND__IMPORT_BLOB, 8, UINT64_MAX, 1},
    };
    bool whole;
    struct err err;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(add(MUSTER__IMPORT_KIND__IMPORT_BLOB, 8, 0, "abcd", 4, &whole, &err));
        assert_false(add(cases[i].kind, cases[i].size, cases[i].offset, "efghi", cases[i].length,
                         &whole, &err));
        assert_int_equal(refusal_of(&err), MUSTER__REFUSAL__REFUSAL_MALFORMED);
        assert_int_equal(import.part.length, 0);
        assert_false(add(MUSTER__IMPORT_KIND__IMPORT_BLOB, 8, 4, "efgh", 4, &whole, &err));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_frames_make_a_part, end_it),
        cmocka_unit_test_teardown(test_no_part_is_longer_than_its_kind, end_it),
        cmocka_unit_test_teardown(test_what_is_not_next_ends_the_part, end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
