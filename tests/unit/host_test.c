/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/world/host.h"

#include "base/file.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
    char dir[32], table[48], terminals[48];
    struct host *host;
};

static void write_text(const char *path, const char *text)
{
    struct err err = {0};
    assert_true(file_write(path, bytes_of(text, strlen(text)), 0600, &err));
}

static int open_host(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct err err = {0};
    strcpy(fixture->dir, "/tmp/host-test-XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    snprintf(fixture->table, sizeof fixture->table, "%s/table", fixture->dir);
    snprintf(fixture->terminals, sizeof fixture->terminals, "%s/terminals", fixture->dir);
    write_text(fixture->table, "prefix\tissuer\tscheme\troute\tsince\n"
                               "622848\tabc\t1\t1\t1\n479294\tgaranti\t2\t2\t2\n");
    write_text(fixture->terminals, "tid\tmid\n80010001\t898310054110001\n");
    const struct host_settings settings = {fixture->table, fixture->terminals, 7};
    assert_true(host_open(&settings, &fixture->host, &err));
    *state = fixture;
    return 0;
}

static int close_host(void **state)
{
    struct fixture *fixture = *state;
    host_close(fixture->host);
    (void)!file_remove_tree(fixture->dir, NULL);
    free(fixture);
    return 0;
}

static World__HostRequest request_of(char *tid, char *mid, uint32_t route, char *range)
{
    World__HostRequest request = WORLD__HOST_REQUEST__INIT;
    request.tid = tid;
    request.mid = mid;
    request.route = route;
    request.range = range;
    request.ordinal = 1;
    request.stan = 17;
    request.wall_ms = INT64_C(1790000000000);
    return request;
}

static void test_objections_come_in_order(void **state)
{
    struct fixture *fixture = *state;
    struct host_answer answer;
    char tid[] = "80010001", mid[] = "898310054110001", strange[] = "80019999";
    char known[] = "622848", elsewhere[] = "479294", nowhere[] = "400000";
    World__HostRequest request = request_of(strange, mid, 1, nowhere);
    host_answer(fixture->host, &request, &answer);
    assert_string_equal(answer.code, "58");
    request = request_of(tid, strange, 1, nowhere);
    host_answer(fixture->host, &request, &answer);
    assert_string_equal(answer.code, "03");
    request = request_of(tid, mid, 1, nowhere);
    host_answer(fixture->host, &request, &answer);
    assert_string_equal(answer.code, "57");
    request = request_of(tid, mid, 1, elsewhere);
    host_answer(fixture->host, &request, &answer);
    assert_string_equal(answer.code, "57");
    request = request_of(tid, mid, 1, known);
    request.oda_failed = true;
    host_answer(fixture->host, &request, &answer);
    assert_string_equal(answer.code, "05");
}

static void test_a_card_keeps_its_answer(void **state)
{
    struct fixture *fixture = *state;
    char tid[] = "80010001", mid[] = "898310054110001", range[] = "479294";
    unsigned approved = 0;
    for (uint64_t card = 1; card <= 2000; card++) {
        struct host_answer first, later;
        World__HostRequest request = request_of(tid, mid, 2, range);
        request.ordinal = card;
        host_answer(fixture->host, &request, &first);
        request.stan = 18;
        request.wall_ms += 60000;
        host_answer(fixture->host, &request, &later);
        assert_string_equal(first.code, later.code);
        assert_string_not_equal(first.code, "57");
        assert_int_equal(strlen(first.auth_code), strcmp(first.code, "00") == 0 ? 6 : 0);
        approved += strcmp(first.code, "00") == 0;
    }
    assert_in_range(approved, 1800, 1880); /* 92 % */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_objections_come_in_order, open_host, close_host),
        cmocka_unit_test_setup_teardown(test_a_card_keeps_its_answer, open_host, close_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
