/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/document.h"

#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <string.h>

/* Publishes `document` signed by `key`, with the blob of `content`; the error's code. */
static enum err_code try(struct temp_fleet *fleet, const struct temp_document *document,
                         const struct sign_key *key, const char *content)
{
    struct err err = {0};
    struct fleetdb_document published;
    struct fleetdb_encoding encoding = {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD};
    struct buf header = temp_fleet_header(document, key);
    temp_fleet_upload(fleet, content, encoding.blob);
    bool ok = document_publish(fleet->db, fleet->trust, buf_bytes(&header), &encoding, 1, 3000,
                               &published, &err);
    buf_done(&header);
    assert_true(ok == (err.code == ERR_NONE));
    assert_true(!ok || published.encodings[0].size > 0);
    return err.code;
}

static uint64_t newest(struct temp_fleet *fleet, const char *name)
{
    struct fleetdb_standing standing;
    assert_true(fleetdb_document_standing(fleet->db, name, 0, &standing, NULL));
    return standing.newest_version;
}

static void only_the_release_key_publishes(void **state)
{
    struct temp_fleet *fleet = *state;
    const struct temp_document document = {.name = "bins", .text = "a\tb\n", .version = 1};
    assert_int_equal(try(fleet, &document, fleet->stranger_key, "a\tb\n"), ERR_REFUSED);
    assert_int_equal(try(fleet, &document, fleet->director_key, "a\tb\n"), ERR_REFUSED);
    assert_int_equal(try(fleet, &document, fleet->root_key, "a\tb\n"), ERR_REFUSED);
    assert_int_equal(newest(fleet, "bins"), 0);
    assert_int_equal(try(fleet, &document, fleet->release_key, "a\tb\n"), ERR_NONE);
    assert_int_equal(newest(fleet, "bins"), 1);
}

static void every_changed_byte_of_a_header_is_refused(void **state)
{
    struct temp_fleet *fleet = *state;
    const struct temp_document document = {.name = "bins", .text = "a\tb\n", .version = 1};
    struct buf header = temp_fleet_header(&document, fleet->release_key);
    for (size_t i = 0; i < header.length; i++) {
        struct arena arena = {.limit_bytes = 65536};
        const Muster__DocumentHeader *opened;
        header.data[i] ^= 1;
        assert_false(document_open(fleet->trust, buf_bytes(&header), &arena, &opened, NULL));
        header.data[i] ^= 1;
        arena_done(&arena);
    }
    buf_done(&header);
}

static void content_must_be_what_was_signed(void **state)
{
    struct temp_fleet *fleet = *state;
    const struct temp_document document = {.name = "bins", .text = "a\tb\n", .version = 1};
    assert_int_equal(try(fleet, &document, fleet->release_key, "a\tc\n"), ERR_INVALID);
    assert_int_equal(try(fleet, &document, fleet->release_key, "a\tb\nc\td\n"), ERR_INVALID);
    assert_int_equal(newest(fleet, "bins"), 0);
}

static void fields_are_checked(void **state)
{
    struct temp_fleet *fleet = *state;
    static const struct temp_document wrong[] = {
        {.name = "../etc", .text = "a", .version = 1},
        {.name = "", .text = "a", .version = 1},
        {.name = "bins", .text = "a", .version = 0},
        {.name = "bins", .text = "a", .version = UINT64_MAX},
        {.name = "bins", .text = "", .version = 1},
        {.name = "bins", .text = "a", .version = 1, .minimum_version = 2},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(try(fleet, &wrong[i], fleet->release_key, wrong[i].text), ERR_INVALID);
}

static void versions_and_floors_never_go_down(void **state)
{
    struct temp_fleet *fleet = *state;
    struct temp_document document = {
        .name = "bins", .text = "a", .version = 5, .minimum_version = 3};
    assert_int_equal(try(fleet, &document, fleet->release_key, "a"), ERR_NONE);
    assert_int_equal(try(fleet, &document, fleet->release_key, "a"), ERR_CONFLICT);
    document.version = 4;
    assert_int_equal(try(fleet, &document, fleet->release_key, "a"), ERR_CONFLICT);
    document.version = 6;
    document.minimum_version = 2;
    assert_int_equal(try(fleet, &document, fleet->release_key, "a"), ERR_CONFLICT);
    document.minimum_version = 3;
    assert_int_equal(try(fleet, &document, fleet->release_key, "a"), ERR_NONE);
    assert_int_equal(newest(fleet, "bins"), 6);
}

static void a_blob_must_be_there_first(void **state)
{
    struct temp_fleet *fleet = *state;
    struct err err = {0};
    struct fleetdb_document published;
    struct fleetdb_encoding encoding = {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD};
    const struct temp_document document = {.name = "bins", .text = "a", .version = 1};
    struct buf header = temp_fleet_header(&document, fleet->release_key);
    assert_false(document_publish(fleet->db, fleet->trust, buf_bytes(&header), &encoding, 1, 3000,
                                  &published, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_false(document_publish(fleet->db, fleet->trust, buf_bytes(&header), &encoding, 0, 3000,
                                  &published, &err));
    assert_int_equal(err.code, ERR_INVALID);
    buf_done(&header);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_fleet_open, temp_fleet_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_the_release_key_publishes),    TEST(every_changed_byte_of_a_header_is_refused),
        TEST(content_must_be_what_was_signed),   TEST(fields_are_checked),
        TEST(versions_and_floors_never_go_down), TEST(a_blob_must_be_there_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
