/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_compare.h"

#include "tests/unit/testing.h"

#include <string.h>

static json_t *compare(Muster__DocumentKind kind, const char *before, const char *after,
                       size_t rows_max)
{
    const struct ctl_contents contents = {.kind = kind,
                                          .before = bytes_of(before, strlen(before)),
                                          .after = bytes_of(after, strlen(after)),
                                          .rows_max = rows_max};
    struct err err = {0};
    json_t *compared = NULL;
    if (!ctl_compare(&contents, &compared, &err))
        fail_msg("%s", err.text);
    return compared;
}

static const char *change(const json_t *compared, size_t n, const char *member)
{
    return ctl_text(json_array_get(json_object_get(compared, "changes"), n), member);
}

static void rows_are_listed_and_counted(void **state)
{
    (void)state;
    json_t *compared = compare(MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE, "k\tv\na\t1\nb\t2\nc\t3\n",
                               "k\tv\na\t1\nb\t9\nd\t4\n", 2);
    const json_t *rows = json_object_get(compared, "rows");
    assert_int_equal(ctl_number(rows, "added"), 1);
    assert_int_equal(ctl_number(rows, "removed"), 1);
    assert_int_equal(ctl_number(rows, "changed"), 1);
    assert_int_equal(ctl_number(rows, "same"), 1);
    assert_int_equal(json_array_size(json_object_get(compared, "changes")), 2); /* as was asked */
    assert_string_equal(change(compared, 0, "before"), "b\t2");
    assert_string_equal(change(compared, 0, "after"), "b\t9");
    json_decref(compared);
}

/* What is published need not be what somebody took for a table. */
static void a_row_that_is_no_text_is_listed_too(void **state)
{
    (void)state;
    json_t *compared = compare(MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE, "k\tv\na\t\xff!\n",
                               "k\tv\na\t\xe4\xb8\xad\n", 50);
    assert_int_equal(json_array_size(json_object_get(compared, "changes")), 1);
    assert_string_equal(change(compared, 0, "before"), "a\t?!");
    assert_string_equal(change(compared, 0, "after"), "a\t\xe4\xb8\xad");
    json_decref(compared);
    const struct ctl_contents nul = {.kind = MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE,
                                     .before = bytes_of("k\na\0b\n", 6),
                                     .after = bytes_of("k\na\n", 4),
                                     .rows_max = 50};
    assert_true(ctl_compare(&nul, &compared, NULL));
    assert_string_equal(change(compared, 1, "before"), "a?b");
    json_decref(compared);
}

static void a_kind_without_rows_has_bytes_only(void **state)
{
    (void)state;
    json_t *compared = compare(MUSTER__DOCUMENT_KIND__DOCUMENT_FILE, "one", "other", 50);
    assert_true(json_is_null(json_object_get(compared, "rows")));
    assert_int_equal(ctl_number(json_object_get(compared, "bytes"), "before"), 3);
    assert_int_equal(ctl_number(json_object_get(compared, "bytes"), "after"), 5);
    json_decref(compared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_listed_and_counted),
        cmocka_unit_test(a_row_that_is_no_text_is_listed_too),
        cmocka_unit_test(a_kind_without_rows_has_bytes_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
