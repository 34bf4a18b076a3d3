/* SPDX-License-Identifier: Apache-2.0 */
#include "base/private.h"

#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static void no_dump_of_this_process(void **state)
{
    (void)state;
    struct rlimit limit = {1, 1};
    assert_true(private_process(NULL));
    assert_int_equal(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
    assert_int_equal(getrlimit(RLIMIT_CORE, &limit), 0);
    assert_int_equal(limit.rlim_cur, 0);
    assert_int_equal(limit.rlim_max, 0);
}

/* "dd": the kernel leaves these pages out of a dump. "lo": they are locked. */
static bool has_flag(const void *pages, const char *flag)
{
    FILE *maps = fopen("/proc/self/smaps", "re");
    char line[512];
    bool here = false, has = false;
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from = 0, to = 0;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            here = from <= (uintptr_t)pages && (uintptr_t)pages < to;
        if (here && strncmp(line, "VmFlags:", 8) == 0)
            has = strstr(line, flag) != NULL;
    }
    (void)fclose(maps);
    return has;
}

static void pages_in_no_dump(void **state)
{
    (void)state;
    void *pages = NULL;
    struct err err = {0};
    assert_true(private_pages(8192, true, &pages, &err));
    assert_true(has_flag(pages, " dd"));
#ifndef __SANITIZE_ADDRESS__ /* under which nothing is ever locked */
    assert_true(has_flag(pages, " lo"));
#endif
    assert_int_equal(((const char *)pages)[8191], 0);
    memset(pages, 'k', 8192);
    private_done(pages, 8192);
    private_done(NULL, 8192);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_in_no_dump),
        cmocka_unit_test(no_dump_of_this_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
