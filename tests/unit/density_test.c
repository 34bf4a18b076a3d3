/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/density.h"

#include "fleet/frame.h"
#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>

enum { PART = 32 * 1024, PARTS = 640, FAR = 3 * 1024 * 1024 };

static void noise(uint64_t *random, uint8_t *part, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        part[i] = (uint8_t)(*random >> 32);
    }
}

/* Of each part so many bytes are the same all over. */
static bool is_dense(size_t same, size_t parts)
{
    static uint8_t part[PART];
    struct density density = {0};
    uint64_t random = 7;
    for (size_t i = 0; i < parts; i++) {
        noise(&random, part, sizeof part);
        memset(part, 'x', same);
        density_add(&density, bytes_of(part, sizeof part));
    }
    return density_dense(&density);
}

static void what_is_compressed_already_is_dense(void **state)
{
    (void)state;
    assert_true(is_dense(0, PARTS));
    assert_true(is_dense(PART / 100, PARTS));
    assert_false(is_dense(PART / 10, PARTS));
    assert_false(is_dense(PART, PARTS));
    assert_false(is_dense(0, PARTS / 2)); /* too short to be worth a word */
    assert_false(density_dense(&(struct density){0}));
}

static bool count(void *ctx, struct bytes part, struct err *err)
{
    (void)err;
    *(size_t *)ctx += part.length;
    return true;
}

/* As where an image holds the same file system twice. */
static void what_is_there_twice_is_found_all_the_same(void **state)
{
    (void)state;
    uint8_t *image = malloc(2 * FAR);
    uint64_t random = 7;
    size_t sent = 0;
    struct frame *frame = NULL;
    assert_non_null(image);
    noise(&random, image, FAR);
    memcpy(image + FAR, image, FAR);
    const struct frame_settings settings = {
        .length = 2 * (uint64_t)FAR, .dense = true, .out = count, .ctx = &sent};
    assert_true(frame_begin(&settings, &frame, NULL));
    assert_true(frame_add(frame, bytes_of(image, 2 * (size_t)FAR), NULL));
    assert_true(frame_end(frame, NULL));
    frame_free(frame);
    free(image);
    assert_in_range(sent, FAR, FAR + FAR / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_compressed_already_is_dense),
        cmocka_unit_test(what_is_there_twice_is_found_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
