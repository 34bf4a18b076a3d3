/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/arena.h"

#include "tests/unit/testing.h"

#include <string.h>

static void pieces_are_aligned_zeroed_and_apart(void **state)
{
    (void)state;
    struct arena arena = {0};
    uint8_t *pieces[300];
    for (size_t i = 0; i < 300; i++) {
        pieces[i] = arena_alloc(&arena, i);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        for (size_t j = 0; j < i; j++)
            assert_int_equal(pieces[i][j], 0);
        memset(pieces[i], (int)i, i);
    }
    for (size_t i = 0; i < 300; i++)
        for (size_t j = 0; j < i; j++)
            assert_int_equal(pieces[i][j], (uint8_t)i);
    arena_done(&arena);
    assert_int_equal(arena.used_bytes, 0);
}

static void limit_holds(void **state)
{
    (void)state;
    struct arena arena = {.limit_bytes = 100000};
    size_t given = 0;
    while (arena_alloc(&arena, 1000))
        given += 1000;
    assert_in_range(given, 90000, 100000);
    assert_true(arena.used_bytes <= arena.limit_bytes);
    assert_null(arena_alloc(&arena, 100000));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX - 8));
    arena_done(&arena);
    assert_non_null(arena_alloc(&arena, 50000));
    arena_done(&arena);
}

static void a_large_piece_does_not_waste_the_block_before(void **state)
{
    (void)state;
    struct arena arena = {.limit_bytes = 1024 * 1024};
    assert_non_null(arena_alloc(&arena, 16));
    size_t before = arena.used_bytes;
    assert_non_null(arena_alloc(&arena, 100000));
    size_t after = arena.used_bytes;
    assert_true(after > before);
    assert_non_null(arena_alloc(&arena, 1000));
    assert_int_equal(arena.used_bytes, after);
    arena_done(&arena);
}

/* Large room is a block of its own: what is taken after it is zeroed as ever. */
static void room_is_apart_and_bounded(void **state)
{
    (void)state;
    struct arena arena = {.limit_bytes = 200000};
    uint8_t *first = arena_room(&arena, 20001);
    memset(first, 7, 20001);
    memset(arena_alloc(&arena, 100), 1, 100);
    for (size_t i = 0; i < 20001; i++)
        assert_int_equal(first[i], 7);
    arena_done(&arena);
    uint8_t *rooms[] = {arena_room(&arena, 50), arena_room(&arena, 20001),
                        arena_room(&arena, 50000)};
    const size_t sizes[] = {50, 20001, 50000};
    for (size_t i = 0; i < 3; i++) {
        assert_non_null(rooms[i]);
        assert_int_equal((uintptr_t)rooms[i] % _Alignof(max_align_t), 0);
        memset(rooms[i], (int)i + 2, sizes[i]);
    }
    for (size_t i = 0; i < 20; i++) {
        const uint8_t *piece = arena_alloc(&arena, 1000);
        for (size_t j = 0; j < 1000; j++)
            assert_int_equal(piece[j], 0);
    }
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < sizes[i]; j++)
            assert_int_equal(rooms[i][j], i + 2);
    assert_true(arena.used_bytes >= 90000);
    assert_null(arena_room(&arena, 150000));
    assert_true(arena.exceeded);
    assert_null(arena_room(&arena, SIZE_MAX));
    arena_done(&arena);
}

static void copy_is_a_copy(void **state)
{
    (void)state;
    struct arena arena = {0};
    char text[] = "muster";
    char *copy = arena_copy(&arena, text, sizeof text);
    text[0] = 'M';
    assert_string_equal(copy, "muster");
    assert_non_null(arena_copy(&arena, NULL, 0));
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_zeroed_and_apart),
        cmocka_unit_test(limit_holds),
        cmocka_unit_test(a_large_piece_does_not_waste_the_block_before),
        cmocka_unit_test(room_is_apart_and_bounded),
        cmocka_unit_test(copy_is_a_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
