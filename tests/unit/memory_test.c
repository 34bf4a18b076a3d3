/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { TABLE_BYTES = 1024 * 1024, TABLE_LAST = TABLE_BYTES - 1 };

/* In the program's file, read-only, with something to recognise it by at both ends. */
static const uint8_t table[TABLE_BYTES] = {[0] = 17, [TABLE_LAST] = 71};

static int seven(void)
{
    return 7;
}

static int eight(void)
{
    return 8;
}

/* The loader writes these addresses and protects them then: they are not the file's. */
static int (*const volatile functions[])(void) = {seven, eight};

/* Of the table's pages: proc(5), /proc/pid/pagemap, bit 63. */
static size_t present_pages(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = (uintptr_t)table + page - (uintptr_t)table % page;
    size_t count = TABLE_BYTES / page - 2, present = 0;
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (size_t i = 0; i < count; i++) {
        uint64_t entry = 0;
        off_t at = (off_t)((start / page + i) * sizeof entry);
        assert_int_equal(pread(fd, &entry, sizeof entry, at), sizeof entry);
        present += (size_t)(entry >> 63);
    }
    close(fd);
    return present;
}

static size_t sum_of_table(void)
{
    size_t sum = 0;
    for (size_t i = 0; i < TABLE_BYTES; i++)
        sum += ((const volatile uint8_t *)table)[i];
    return sum;
}

static void pages_of_the_file_are_let_go_and_come_again(void **state)
{
    (void)state;
    assert_int_equal(sum_of_table(), 17 + 71);
    const size_t read = present_pages();
    assert_true(read > TABLE_BYTES / (size_t)sysconf(_SC_PAGESIZE) / 2);
    memory_settle();
    /* The kernel maps a file's pages in groups of some dozens: what lies beside the table brings
     * its ends back. */
    assert_true(present_pages() < read / 4);
    assert_int_equal(sum_of_table(), 17 + 71);
    assert_true(present_pages() >= read);
}

static void what_was_written_stays(void **state)
{
    (void)state;
    char *kept = strdup("kept on the heap");
    assert_non_null(kept);
    static int counted = 41;
    counted++;
    memory_settle();
    assert_string_equal(kept, "kept on the heap");
    assert_int_equal(counted, 42);
    assert_int_equal(functions[0]() + functions[1](), 15);
    free(kept);
}

static void a_program_that_is_frugal_allocates_as_before(void **state)
{
    (void)state;
    memory_frugal();
    for (size_t bytes = 1; bytes < 4 * 1024 * 1024; bytes *= 2) {
        uint8_t *block = malloc(bytes);
        assert_non_null(block);
        memset(block, 0xa5, bytes);
        block = realloc(block, 2 * bytes);
        assert_non_null(block);
        assert_int_equal(block[bytes - 1], 0xa5);
        free(block);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_of_the_file_are_let_go_and_come_again),
        cmocka_unit_test(what_was_written_stays),
        cmocka_unit_test(a_program_that_is_frugal_allocates_as_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
