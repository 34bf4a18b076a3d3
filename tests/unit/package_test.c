/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/package.h"

#include "proto/limits.h"
#include "proto/refusal.h"
#include "tests/unit/testing.h"

#include <string.h>

#define FIRMWARE MUSTER__DOCUMENT_KIND__DOCUMENT_FIRMWARE
#define APPLICATION MUSTER__DOCUMENT_KIND__DOCUMENT_APPLICATION
#define FILE_KIND MUSTER__DOCUMENT_KIND__DOCUMENT_FILE

static bool passes(Muster__DocumentKind kind, const char *version, const char *model)
{
    Muster__DocumentHeader header = MUSTER__DOCUMENT_HEADER__INIT;
    struct err err = {0};
    header.kind = kind;
    header.scope = MUSTER__DOCUMENT_SCOPE__SCOPE_PUBLIC;
    header.package_version = (char *)(uintptr_t)version;
    header.model = (char *)(uintptr_t)model;
    bool good = package_header_check(&header, &err);
    assert_true(good || refusal_of(&err) == MUSTER__REFUSAL__REFUSAL_MALFORMED);
    return good;
}

static void a_package_says_its_version_and_may_say_its_model(void **state)
{
    (void)state;
    assert_true(passes(FIRMWARE, "4.2.0", ""));
    assert_true(passes(APPLICATION, "2:4.2.0~rc1+b7-x_y", "P2 Pro"));
    assert_false(passes(FIRMWARE, "", ""));
    assert_false(passes(FIRMWARE, "4.2.0 ", ""));
    assert_false(passes(FIRMWARE, "-rf", ""));
    assert_false(passes(FIRMWARE, "4.2;0", ""));
    assert_false(passes(FIRMWARE, "4\n2", ""));
    assert_false(passes(FIRMWARE, "4.2\xc3\xa9", ""));
    assert_false(passes(FIRMWARE, "4.2.0", " P2"));
    assert_false(passes(FIRMWARE, "4.2.0", "P2\tPro"));
}

static void nothing_else_says_any_of_it(void **state)
{
    (void)state;
    assert_true(passes(FILE_KIND, "", ""));
    assert_false(passes(FILE_KIND, "4.2.0", ""));
    assert_false(passes(FILE_KIND, "", "P2"));
}

static void lengths_end_where_they_are_said_to(void **state)
{
    char text[PACKAGE_VERSION_CHARS + 2];
    (void)state;
    memset(text, '1', sizeof text);
    text[PACKAGE_VERSION_CHARS] = '\0';
    assert_true(passes(FIRMWARE, text, ""));
    text[PACKAGE_VERSION_CHARS] = '1';
    text[PACKAGE_VERSION_CHARS + 1] = '\0';
    assert_false(passes(FIRMWARE, text, ""));
    text[PACKAGE_MODEL_CHARS] = '\0';
    assert_true(passes(FIRMWARE, "1", text));
    text[PACKAGE_MODEL_CHARS] = '1';
    text[PACKAGE_MODEL_CHARS + 1] = '\0';
    assert_false(passes(FIRMWARE, "1", text));
}

static void a_package_is_never_sealed(void **state)
{
    Muster__DocumentHeader header = MUSTER__DOCUMENT_HEADER__INIT;
    struct err err = {0};
    (void)state;
    header.kind = FIRMWARE;
    header.package_version = (char *)(uintptr_t) "1";
    header.scope = MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED;
    assert_false(package_header_check(&header, &err));
    assert_int_equal(refusal_of(&err), MUSTER__REFUSAL__REFUSAL_DOCUMENT_SCOPE);
}

static void only_what_streams_may_be_long(void **state)
{
    (void)state;
    assert_int_equal(document_length_max(FIRMWARE, false), 512 * 1024 * 1024);
    assert_int_equal(document_length_max(APPLICATION, false), 512 * 1024 * 1024);
    assert_int_equal(document_length_max(FILE_KIND, false), 512 * 1024 * 1024);
    assert_int_equal(document_length_max(FILE_KIND, true), LIMIT_SEALED_BYTES);
    assert_int_equal(document_length_max(MUSTER__DOCUMENT_KIND__DOCUMENT_CA_KEYS, false),
                     LIMIT_DOCUMENT_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_package_says_its_version_and_may_say_its_model),
        cmocka_unit_test(nothing_else_says_any_of_it),
        cmocka_unit_test(lengths_end_where_they_are_said_to),
        cmocka_unit_test(a_package_is_never_sealed),
        cmocka_unit_test(only_what_streams_may_be_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
