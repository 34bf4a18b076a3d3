/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/content.h"

#include "proto/limits.h"
#include "proto/seal.h"
#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

static const char table[] = "bin\tissuer\n622202\tICBC\n";

static struct buf encoded(struct bytes content)
{
    struct buf blob = {0};
    struct err err = {0};
    if (!content_encode(content, &blob, &err))
        fail_msg("%s", err.text);
    return blob;
}

static void what_is_encoded_verifies(void **state)
{
    (void)state;
    uint8_t digest[32];
    struct bytes content = bytes_of(table, sizeof table - 1);
    struct buf blob = encoded(content);
    sha256(content, digest);
    assert_true(content_verify(buf_bytes(&blob), content.length, digest, NULL));
    buf_done(&blob);
}

static void every_changed_byte_is_refused_or_harmless(void **state)
{
    (void)state;
    uint8_t digest[32];
    struct bytes content = bytes_of(table, sizeof table - 1);
    struct buf blob = encoded(content);
    sha256(content, digest);
    size_t refused = 0;
    for (size_t i = 0; i < blob.length; i++) {
        blob.data[i] ^= 0x10;
        refused += !content_verify(buf_bytes(&blob), content.length, digest, NULL);
        blob.data[i] ^= 0x10;
    }
    /* A bit that the format does not use may change; the content is still what was signed. */
    assert_true(refused + 2 >= blob.length);
    buf_done(&blob);
}

static void wrong_length_hash_and_framing_are_refused(void **state)
{
    (void)state;
    uint8_t digest[32];
    struct err err = {0};
    struct bytes content = bytes_of(table, sizeof table - 1);
    struct buf blob = encoded(content);
    sha256(content, digest);
    assert_false(content_verify(buf_bytes(&blob), content.length + 1, digest, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_false(
        content_verify(bytes_of(blob.data, blob.length - 1), content.length, digest, NULL));
    assert_false(content_verify(bytes_of(blob.data, 0), content.length, digest, NULL));
    assert_false(content_verify(content, content.length, digest, NULL));
    digest[0] ^= 1;
    assert_false(content_verify(buf_bytes(&blob), content.length, digest, &err));
    assert_non_null(strstr(err.text, "hash"));
    digest[0] ^= 1;
    assert_true(buf_append(&blob, blob.data, blob.length, NULL)); /* two frames */
    assert_false(content_verify(buf_bytes(&blob), content.length, digest, NULL));
    buf_done(&blob);
}

/* 64 MiB of zeros in a few kilobytes, with a header that claims little. */
static void a_bomb_stops_at_the_stated_length(void **state)
{
    (void)state;
    uint8_t digest[32] = {0};
    size_t big = 64u << 20;
    uint8_t *zeros = calloc(1, big);
    size_t bound = ZSTD_compressBound(big);
    uint8_t *frame = malloc(bound);
    assert_non_null(zeros);
    assert_non_null(frame);
    size_t size = ZSTD_compress(frame, bound, zeros, big, 1);
    struct err err = {0};
    assert_false(content_verify(bytes_of(frame, size), 1000, digest, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_false(content_verify(bytes_of(frame, size), big, digest, &err)); /* other content */
    assert_false(
        content_verify(bytes_of(frame, size), (uint64_t)LIMIT_CONTENT_BYTES + 1, digest, &err));
    assert_non_null(strstr(err.text, "more than"));
    free(frame);
    free(zeros);
}

static bool get_frame(void *ctx, const uint8_t sha[32], struct buf *out, struct err *err)
{
    const struct bytes *frame = ctx;
    (void)sha;
    return buf_append(out, frame->data, frame->length, err);
}

static bool count_bytes(void *ctx, struct bytes part, struct err *err)
{
    size_t *bytes = ctx;
    (void)err;
    *bytes += part.length;
    return true;
}

/* However little is sent: what it unfolds to counts. */
static void a_step_goes_no_further_than_it_may(void **state)
{
    (void)state;
    enum { LENGTH = 16 << 20, STEP = 1 << 20, CHUNK = 64 << 10 };
    uint8_t *zeros = calloc(1, LENGTH), digest[32];
    size_t bound = ZSTD_compressBound(LENGTH), given = 0, steps = 0;
    uint8_t *room = malloc(bound);
    assert_non_null(zeros);
    assert_non_null(room);
    struct bytes frame = bytes_of(room, ZSTD_compress(room, bound, zeros, LENGTH, 1));
    struct fleetdb_encoding encoding = {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD,
                                        .size = frame.length};
    const struct parcel_source source = {get_frame, &frame};
    const struct content_spec spec = {
        .length = LENGTH, .sha256 = digest, .each = count_bytes, .ctx = &given};
    struct content_unfolding *unfolding;
    sha256(bytes_of(zeros, LENGTH), digest);
    sha256(frame, encoding.blob);
    assert_true(content_begin(&source, &encoding, &spec, &unfolding, NULL));
    for (bool done = false; !done; steps++) {
        size_t before = given;
        assert_true(content_step(unfolding, STEP, &done, NULL));
        assert_true(given - before < STEP + CHUNK);
    }
    content_free(unfolding);
    assert_int_equal(given, LENGTH);
    assert_true(steps >= LENGTH / (STEP + CHUNK));
    free(room);
    free(zeros);
}

static void what_does_not_fit_a_blob_is_refused(void **state)
{
    (void)state;
    struct err err = {0};
    struct buf blob = {0};
    size_t size = LIMIT_BLOB_BYTES + 4096;
    uint32_t *noise = malloc(size);
    uint32_t random = 12345;
    assert_non_null(noise);
    for (size_t i = 0; i < size / sizeof *noise; i++) {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        noise[i] = random;
    }
    assert_false(content_encode(bytes_of(noise, size), &blob, &err));
    assert_int_equal(err.code, ERR_FULL);
    assert_int_equal(blob.length, 0);
    free(noise);
}

static void check_by_kind(void **state)
{
    (void)state;
    static const uint8_t binary[] = {0xff, 0x00, 0x80}, nul[] = {'a', 0, 'b'};
    struct err err = {0};
    Muster__DocumentKind text = MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE;
    Muster__DocumentKind file = MUSTER__DOCUMENT_KIND__DOCUMENT_FILE;
    assert_true(content_check(text, bytes_of(table, sizeof table - 1), NULL));
    assert_true(content_check(file, bytes_of(binary, sizeof binary), NULL));
    assert_false(content_check(text, bytes_of(binary, 1), &err));
    assert_non_null(strstr(err.text, "UTF-8"));
    assert_false(content_check(text, bytes_of(nul, sizeof nul), &err));
    assert_non_null(strstr(err.text, "row 1, byte 2: control character 0x00"));
    static const char torn[] = "a\tb\n1\n", twice[] = "[a]\nb = 1\nb = 2\n";
    assert_false(content_check(text, bytes_of(torn, sizeof torn - 1), &err));
    assert_non_null(strstr(err.text, "row 2: 1 columns, the header has 2"));
    assert_false(content_check(MUSTER__DOCUMENT_KIND__DOCUMENT_PARAMS,
                               bytes_of(twice, sizeof twice - 1), &err));
    assert_non_null(strstr(err.text, "b is in row 2 already"));
    assert_false(content_check(MUSTER__DOCUMENT_KIND__DOCUMENT_CODE_PROFILE,
                               bytes_of(table, sizeof table - 1), &err));
    assert_non_null(strstr(err.text, "\"code\""));
    assert_false(content_check(file, bytes_of("", 0), NULL));
    assert_true(content_check(MUSTER__DOCUMENT_KIND__DOCUMENT_FIRMWARE,
                              bytes_of(binary, sizeof binary), NULL));
    static const char keys[] = "rid\tindex\tmodulus\texponent\n", aids[] = "aid\nA0\n";
    assert_false(content_check(MUSTER__DOCUMENT_KIND__DOCUMENT_CA_KEYS,
                               bytes_of(keys, sizeof keys - 1), &err));
    assert_non_null(strstr(err.text, "no row"));
    assert_false(content_check(MUSTER__DOCUMENT_KIND__DOCUMENT_AID_LIST,
                               bytes_of(aids, sizeof aids - 1), &err));
    assert_non_null(strstr(err.text, "row 2, column 1: aid"));
    assert_false(content_check(file, bytes_of(table, (size_t)LIMIT_DOCUMENT_BYTES + 1), NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_verifies),
        cmocka_unit_test(every_changed_byte_is_refused_or_harmless),
        cmocka_unit_test(wrong_length_hash_and_framing_are_refused),
        cmocka_unit_test(a_bomb_stops_at_the_stated_length),
        cmocka_unit_test(a_step_goes_no_further_than_it_may),
        cmocka_unit_test(what_does_not_fit_a_blob_is_refused),
        cmocka_unit_test(check_by_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
