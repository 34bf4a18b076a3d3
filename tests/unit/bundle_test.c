/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/bundle.h"

#include "agent/bundle_index.h"
#include "proto/limits.h"
#include "proto/seal.h"
#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>

#define DEVICE "t-01"

static char *written; /* the bundle that was written last */
static size_t written_length;
static struct bundle_writer writer;

static void begin(void)
{
    FILE *file = open_memstream(&written, &written_length);
    assert_non_null(file);
    assert_true(bundle_begin(&writer, file, 1234, NULL));
}

static void add(enum bundle_what what, const char *device, const char *content, size_t length)
{
    const struct bundle_part part = {
        .what = what, .device = device, .content = bytes_of(content, length)};
    assert_true(bundle_add(&writer, &part, NULL));
}

/* An Envelope around a Root that says only its version, with a signature by nobody. */
static void add_root(char version)
{
    char envelope[8 + 64] = "\x0a\x02\x08_\x12\x42\x12\x40";
    envelope[3] = version;
    add(BUNDLE_ROOT, "", envelope, sizeof envelope);
}

static void end(void)
{
    assert_true(bundle_finish(&writer, NULL));
    assert_int_equal(fclose(writer.file), 0);
}

static void write_usual(void)
{
    begin();
    add_root(1);
    add_root(2);
    add(BUNDLE_MANIFEST, "t-00", "other", 5);
    add(BUNDLE_MANIFEST, DEVICE, "manifest", 8);
    add(BUNDLE_BLOB, "", "first", 5);
    add(BUNDLE_BLOB, "", "second", 6);
    add(BUNDLE_BLOB, "", "first", 5);
    end();
}

/* Whether the file is taken; what is not is told, and leaves nothing behind. */
static bool opens(const void *data, size_t length, struct bundle_index *ret_index, struct err *err)
{
    FILE *file = fmemopen((void *)(uintptr_t)data, length, "rb");
    assert_non_null(file);
    struct bundle_index index;
    *err = (struct err){0};
    bool ok = bundle_index_open(file, DEVICE, &index, err);
    if (ok && ret_index != NULL) {
        *ret_index = index;
        return true;
    }
    assert_true(ok || err->text[0] != '\0');
    if (ok)
        bundle_index_close(&index);
    assert_int_equal(fclose(file), 0);
    return ok;
}

static void assert_holds(const struct bundle_index *index, const char *content)
{
    uint8_t digest[32];
    struct bytes found;
    struct bytes wanted = bytes_of(content, strlen(content));
    sha256(wanted, digest);
    const struct bundle_place *place = bundle_index_find(index, digest);
    assert_non_null(place);
    assert_true(bundle_index_read(index, place->at, &found, NULL));
    assert_true(bytes_equal(found, wanted));
}

static void test_what_was_written_is_found_again(void **state)
{
    struct bundle_index index;
    struct bytes content;
    struct err err;
    uint8_t unknown[32] = {1};
    (void)state;
    write_usual();
    FILE *file = fmemopen(written, written_length, "rb");
    assert_true(bundle_index_open(file, DEVICE, &index, &err));
    assert_int_equal(bundle_made_ms(index.reader), 1234);
    assert_int_equal(index.root_count, 2);
    assert_int_equal(index.roots[1].version, 2);
    assert_int_equal(index.device_count, 2);
    assert_string_equal(index.devices[0], "t-00");
    assert_true(index.has_manifest);
    assert_true(bundle_index_read(&index, index.manifest_at, &content, NULL));
    assert_true(bytes_equal(content, bytes_of("manifest", 8)));
    assert_int_equal(index.blob_count, 2); /* the same one twice is one */
    assert_holds(&index, "second");
    assert_holds(&index, "first");
    assert_null(bundle_index_find(&index, unknown));
    bundle_index_close(&index);
    (void)fclose(file);
    free(written);
}

static void test_a_file_cut_short_anywhere_is_refused(void **state)
{
    struct err err;
    (void)state;
    write_usual();
    for (size_t length = 1; length < written_length; length++) {
        assert_false(opens(written, length, NULL, &err));
        assert_int_equal(err.code, ERR_INVALID);
    }
    assert_true(opens(written, written_length, NULL, &err));
    free(written);
}

static void test_what_follows_the_end_is_refused(void **state)
{
    struct err err;
    (void)state;
    write_usual();
    char *longer = malloc(written_length + 1);
    memcpy(longer, written, written_length);
    longer[written_length] = 0;
    assert_false(opens(longer, written_length + 1, NULL, &err));
    assert_non_null(strstr(err.text, "follows its end"));
    free(longer);
    free(written);
}

static void test_a_missing_part_is_noticed(void **state)
{
    struct err err;
    (void)state;
    begin();
    add(BUNDLE_BLOB, "", "first", 5);
    writer.parts++;
    end();
    assert_false(opens(written, written_length, NULL, &err));
    assert_non_null(strstr(err.text, "2 parts were written, 1 are there"));
    free(written);
}

static void test_order_and_doubles_are_refused(void **state)
{
    struct err err;
    (void)state;
    begin();
    add(BUNDLE_BLOB, "", "first", 5);
    add(BUNDLE_MANIFEST, DEVICE, "manifest", 8);
    end();
    assert_false(opens(written, written_length, NULL, &err));
    assert_non_null(strstr(err.text, "out of order"));
    free(written);
    begin();
    add_root(5);
    add_root(2);
    end();
    assert_false(opens(written, written_length, NULL, &err));
    assert_non_null(strstr(err.text, "out of order"));
    free(written);
    begin();
    add(BUNDLE_MANIFEST, DEVICE, "one", 3);
    add(BUNDLE_MANIFEST, DEVICE, "two", 3);
    end();
    assert_false(opens(written, written_length, NULL, &err));
    assert_non_null(strstr(err.text, "two manifests"));
    free(written);
}

static void test_no_part_is_longer_than_its_kind(void **state)
{
    static const struct {
        enum bundle_what what;
        size_t most;
    } cases[] = {{BUNDLE_MANIFEST, LIMIT_MANIFEST_BYTES}, {BUNDLE_BLOB, LIMIT_BLOB_BYTES}};
    struct err err;
    char *content = calloc(1, LIMIT_BLOB_BYTES + 1);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t more = 0; more < 2; more++) {
            begin();
            add(cases[i].what, DEVICE, content, cases[i].most + more);
            end();
            assert_int_equal(opens(written, written_length, NULL, &err), more == 0);
            free(written);
        }
    begin();
    add(BUNDLE_MANIFEST, "../etc", "x", 1);
    end();
    assert_false(opens(written, written_length, NULL, &err));
    assert_non_null(strstr(err.text, "for no device"));
    free(written);
    free(content);
}

/* A length that is not there must not be believed before it is read. */
static void test_a_frame_of_a_stated_gigabyte_takes_no_memory(void **state)
{
    struct err err;
    (void)state;
    write_usual();
    char claim[64];
    size_t start = 1 + (size_t)(uint8_t)written[0];
    memcpy(claim, written, start);
    memcpy(claim + start, "\x80\x80\x80\x80\x04", 5);
    assert_false(opens(claim, start + 5, NULL, &err));
    assert_non_null(strstr(err.text, "are the most"));
    free(written);
}

static void test_other_files_are_no_bundles(void **state)
{
    static const char elf[] = "\x7f"
                              "ELF"; /* two literals: "\x7fE" would be another byte */
    static const char *const files[] = {elf, "a\tb\n1\t2\n", "\x0a\x02\x08\x01"};
    struct err err;
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        assert_false(opens(files[i], strlen(files[i]), NULL, &err));
        assert_non_null(strstr(err.text, "not a bundle"));
    }
    write_usual();
    char *at = strstr(written + 1, "bundle/1"); /* the start's text ends with its field */
    assert_non_null(at);
    at[7] = '2';
    assert_false(opens(written, written_length, NULL, &err));
    assert_non_null(strstr(err.text, "this program knows muster-bundle/1"));
    free(written);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_written_is_found_again),
        cmocka_unit_test(test_a_file_cut_short_anywhere_is_refused),
        cmocka_unit_test(test_what_follows_the_end_is_refused),
        cmocka_unit_test(test_a_missing_part_is_noticed),
        cmocka_unit_test(test_order_and_doubles_are_refused),
        cmocka_unit_test(test_no_part_is_longer_than_its_kind),
        cmocka_unit_test(test_a_frame_of_a_stated_gigabyte_takes_no_memory),
        cmocka_unit_test(test_other_files_are_no_bundles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
