/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/unfold.h"

#include "proto/refusal.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>
#include <zstd.h>

enum { ROOM = 64 * 1024 };

static struct bytes text_bytes(const char *text)
{
    return bytes_of(text, strlen(text));
}

static void rows(char *text, const char *word)
{
    size_t length = 0;
    for (unsigned n = 0; n < 2000; n++)
        length += (size_t)snprintf(text + length, ROOM - length, "%u %s %u\n", n,
                                   n == 1000 ? word : "row", n * 7919 % 9973);
}

static struct bytes encode(struct bytes content, struct bytes base, int window_log, uint8_t *to)
{
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    if (window_log > 0)
        (void)ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, window_log);
    if (base.data != NULL)
        (void)ZSTD_CCtx_refPrefix(zstd, base.data, base.length);
    ZSTD_outBuffer out = {.dst = to, .size = ROOM};
    ZSTD_inBuffer in = {.src = content.data, .size = content.length};
    assert_false(ZSTD_isError(ZSTD_compressStream2(zstd, &out, &in, ZSTD_e_continue)));
    while (ZSTD_compressStream2(zstd, &out, &in, ZSTD_e_end) > 0)
        assert_true(out.pos < out.size);
    (void)ZSTD_freeCCtx(zstd);
    return bytes_of(to, out.pos); /* without its length: the header alone bounds it */
}

static void assert_refused(struct bytes frame, struct bytes base, uint64_t length,
                           Muster__Refusal refusal)
{
    struct buf content = {0};
    struct err err = {0};
    assert_false(unfold(frame, base, length, &content, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_int_equal(err.reason, refusal);
    assert_null(content.data);
}

static void test_whole(void **state)
{
    (void)state;
    static char text[ROOM];
    static uint8_t to[ROOM];
    struct buf content = {0};
    rows(text, "changed");
    struct bytes all = text_bytes(text), none = bytes_of(NULL, 0);
    struct bytes frame = encode(all, none, 0, to);
    assert_true(unfold(frame, none, all.length, &content, NULL));
    assert_true(bytes_equal(buf_bytes(&content), all));
    buf_done(&content);
    assert_refused(frame, none, all.length - 1, MUSTER__REFUSAL__REFUSAL_CONTENT_LENGTH);
    assert_refused(frame, none, all.length + 1, MUSTER__REFUSAL__REFUSAL_CONTENT_LENGTH);
    assert_refused(bytes_of(frame.data, frame.length - 1), none, all.length,
                   MUSTER__REFUSAL__REFUSAL_CONTENT_FORM);
    assert_refused(all, none, all.length, MUSTER__REFUSAL__REFUSAL_CONTENT_FORM);
    memcpy(to + frame.length, to, frame.length); /* the same once more */
    assert_refused(bytes_of(to, 2 * frame.length), none, all.length,
                   MUSTER__REFUSAL__REFUSAL_CONTENT_FORM);
}

static void test_delta(void **state)
{
    (void)state;
    static char base[ROOM], text[ROOM], other[ROOM];
    static uint8_t to[ROOM];
    struct buf content = {0};
    rows(base, "first");
    rows(text, "changed");
    memset(other, 'x', strlen(base));
    struct bytes all = text_bytes(text);
    struct bytes frame = encode(all, text_bytes(base), 0, to);
    assert_true(frame.length < 200);
    assert_true(unfold(frame, text_bytes(base), all.length, &content, NULL));
    assert_true(bytes_equal(buf_bytes(&content), all));
    buf_done(&content);
    assert_refused(frame, bytes_of(NULL, 0), all.length, MUSTER__REFUSAL__REFUSAL_CONTENT_FORM);
    /* From another base it unfolds to what its hash then gives away. */
    if (unfold(frame, text_bytes(other), all.length, &content, NULL))
        assert_false(bytes_equal(buf_bytes(&content), all));
    buf_done(&content);
}

static void test_fold_and_back(void **state)
{
    (void)state;
    static char text[ROOM];
    struct buf frame = {0}, content = {0};
    rows(text, "kept");
    assert_true(fold(text_bytes(text), &frame, NULL));
    assert_true(frame.length < strlen(text) / 2);
    assert_true(unfold(buf_bytes(&frame), bytes_of(NULL, 0), strlen(text), &content, NULL));
    assert_true(bytes_equal(buf_bytes(&content), text_bytes(text)));
    buf_done(&frame);
    buf_done(&content);
}

/* ---- in parts ---- */

static bool take(void *ctx, struct bytes part, struct err *err)
{
    return buf_append(ctx, part.data, part.length, err);
}

static bool in_parts(struct bytes frame, uint64_t length, struct buf *out, struct err *err)
{
    struct unfolding *unfolding;
    assert_true(unfolding_begin(length, take, out, &unfolding, NULL));
    bool good = true;
    for (size_t at = 0; good && at < frame.length; at += 7) {
        size_t left = frame.length - at;
        good = unfolding_add(unfolding, bytes_of(frame.data + at, left < 7 ? left : 7), err);
    }
    good = good && unfolding_end(unfolding, err);
    unfolding_free(unfolding);
    return good;
}

static void assert_parts_refused(struct bytes frame, uint64_t length, Muster__Refusal refusal)
{
    struct buf out = {0};
    struct err err = {0};
    assert_false(in_parts(frame, length, &out, &err));
    assert_int_equal(err.reason, refusal);
    assert_true(out.length <= length);
    buf_done(&out);
}

static void test_parts(void **state)
{
    (void)state;
    static char text[ROOM];
    static uint8_t to[ROOM];
    struct buf out = {0};
    rows(text, "streamed");
    struct bytes all = text_bytes(text), none = bytes_of(NULL, 0);
    struct bytes frame = encode(all, none, 0, to);
    assert_true(in_parts(frame, all.length, &out, NULL));
    assert_true(bytes_equal(buf_bytes(&out), all));
    buf_done(&out);
    assert_parts_refused(frame, all.length - 1, MUSTER__REFUSAL__REFUSAL_CONTENT_LENGTH);
    assert_parts_refused(frame, all.length + 1, MUSTER__REFUSAL__REFUSAL_CONTENT_LENGTH);
    assert_parts_refused(bytes_of(frame.data, frame.length - 1), all.length,
                         MUSTER__REFUSAL__REFUSAL_CONTENT_FORM);
    assert_parts_refused(bytes_of(frame.data, frame.length + 1), all.length,
                         MUSTER__REFUSAL__REFUSAL_CONTENT_FORM);
    /* More memory than a terminal gives, whatever would come out. */
    assert_parts_refused(encode(all, none, 27, to), all.length,
                         MUSTER__REFUSAL__REFUSAL_CONTENT_FORM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_delta),
        cmocka_unit_test(test_fold_and_back),
        cmocka_unit_test(test_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
