/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/logs.h"

#include "base/file.h"
#include "proto/limits.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

/* Published for tests of card numbers (ISO/IEC 7812-1 annex B holds for it). */
#define CARD                                                                                       \
    "4111"                                                                                         \
    "111111111111"

static char dir[32];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/muster-logs-XXXXXX");
    return mkdtemp(dir) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    return !file_remove_tree(dir, NULL);
}

static void write_file(const char *name, struct bytes content, char path[64])
{
    (void)snprintf(path, 64, "%s/%s", dir, name);
    assert_true(file_write(path, content, 0600, NULL));
}

static char *unfold(const struct logs_bundle *bundle)
{
    char *text = calloc(1, bundle->text_bytes + 1);
    assert_non_null(text);
    assert_true(ZSTD_getFrameContentSize(bundle->frame.data, bundle->frame.length) ==
                bundle->text_bytes);
    assert_true(ZSTD_decompress(text, bundle->text_bytes, bundle->frame.data,
                                bundle->frame.length) == bundle->text_bytes);
    return text;
}

static char *bundle_of(const struct logs_order *order, struct logs_bundle *bundle)
{
    struct err err = {0};
    if (!logs_make(order, bundle, &err))
        fail_msg("%s", err.text);
    assert_true(bundle->frame.length <= order->limit_bytes);
    return unfold(bundle);
}

static void test_card_numbers_are_masked(void **state)
{
    (void)state;
    char path[64], files[200];
    static const char said[] =
        "paid with " CARD "\nspelled 4111 1111 1111 1111, 4111-1111-1111-1111\n"
        "order 4111111111111112 is none\x1b[2J\n";
    struct logs_bundle bundle;
    write_file("app.log", bytes_of(said, sizeof said - 1), path);
    (void)snprintf(files, sizeof files, "%s,%s/gone.log", path, dir);
    const struct logs_order order = {.files = files,
                                     .said = bytes_of("the journal: " CARD, 13 + strlen(CARD)),
                                     .said_bytes = 13 + strlen(CARD),
                                     .asked = true,
                                     .limit_bytes = 64 * 1024};
    char *text = bundle_of(&order, &bundle);
    assert_true(bundle.masked);
    assert_null(strstr(text, CARD));
    assert_null(strstr(text, "4111 1111"));
    assert_null(strstr(text, "4111-1111"));
    assert_non_null(strstr(text, "paid with ****************\n"));
    assert_non_null(strstr(text, "4111111111111112 is none?[2J\n"));
    assert_non_null(strstr(text, "the journal: ****************\n"));
    assert_non_null(strstr(text, "gone.log: "));
    free(text);
    logs_done(&bundle);
}

/* Random digits do not shrink: what fits are the newest whole lines. */
static void test_the_newest_lines_that_fit(void **state)
{
    (void)state;
    char path[64], line[80];
    struct buf content = {0};
    struct logs_bundle bundle;
    uint64_t seed = 88172645463325252u;
    for (unsigned i = 0; i < 20000; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        int length =
            snprintf(line, sizeof line, "line %05u %016llx\n", i, (unsigned long long)seed);
        assert_true(buf_append(&content, line, (size_t)length, NULL));
    }
    write_file("app.log", buf_bytes(&content), path);
    const struct logs_order order = {.files = path, .limit_bytes = 8 * 1024};
    char *text = bundle_of(&order, &bundle);
    assert_true(bundle.frame.length > order.limit_bytes / 2);
    assert_non_null(strstr(text, "line 19999"));
    assert_null(strstr(text, "line 00000"));
    const char *first = strchr(text, '\n') + 1;
    assert_memory_equal(first, "line ", 5);
    free(text);
    logs_done(&bundle);
    buf_done(&content);
}

/* A line without an end that is cut inside a card number. */
static void test_half_a_card_number_is_none(void **state)
{
    (void)state;
    char path[64];
    struct buf content = {0};
    struct logs_bundle bundle;
    const size_t share = logs_text_limit(4096);
    assert_true(buf_append(&content, CARD, strlen(CARD), NULL));
    while (content.length < share + 8)
        assert_true(buf_append(&content, "x", 1, NULL));
    write_file("app.log", buf_bytes(&content), path);
    const struct logs_order order = {.files = path, .limit_bytes = 4096};
    char *text = bundle_of(&order, &bundle);
    const char *first = strchr(text, '\n') + 1;
    assert_int_equal(first[0], 'x');
    free(text);
    logs_done(&bundle);
    buf_done(&content);
}

static void test_the_end_of_what_was_said(void **state)
{
    (void)state;
    struct buf said = {0};
    for (unsigned i = 0; i < 1000; i++) {
        char part[16];
        int length = snprintf(part, sizeof part, "part %03u\n", i);
        assert_true(logs_hear(&said, bytes_of(part, (size_t)length), 100));
        assert_true(said.length <= 200);
    }
    assert_memory_equal(said.data + said.length - 9, "part 999\n", 9);
    assert_true(said.length >= 100);
    buf_done(&said);
}

static void test_a_pipe_holds_nothing_up(void **state)
{
    (void)state;
    char path[64];
    uint64_t size;
    struct buf out = {0};
    struct err err = {0};
    (void)snprintf(path, sizeof path, "%s", "/dev/zero");
    assert_false(file_tail(path, 10, &out, &size, &err));
    assert_int_equal(err.code, ERR_INVALID);
    write_file("short", bytes_of("0123456789", 10), path);
    assert_true(file_tail(path, 4, &out, &size, &err));
    assert_true(size == 10 && out.length == 4);
    assert_memory_equal(out.data, "6789", 4);
    buf_done(&out);
}

static bool tail_of(const char *path, struct err *err)
{
    uint64_t size;
    struct buf out = {0};
    bool ok = file_tail(path, 100, &out, &size, err);
    buf_done(&out);
    return ok;
}

static bool can_be_nobody(void)
{
    return geteuid() == 0 && seteuid(65534) == 0 && seteuid(0) == 0;
}

/* A link as the payment application would make it, and one that is root's. */
static void make_links(const char *target, const char *folder, const char *link)
{
    assert_true(chmod(dir, 0711) == 0 && mkdir(folder, 0777) == 0 && chmod(folder, 0777) == 0);
    assert_true(seteuid(65534) == 0);
    int made = symlink(target, link);
    assert_true(seteuid(0) == 0 && made == 0);
}

/* Who may write where a log is does not choose another file, which only the agent may read. */
static void test_a_path_that_leads_elsewhere(void **state)
{
    (void)state;
    char secret[64], folder[64], link[80], other[64];
    struct err err = {0};
    write_file("secret", bytes_of("0123456789", 10), secret);
    (void)snprintf(folder, sizeof folder, "%s/app", dir);
    (void)snprintf(link, sizeof link, "%s/app.log", folder);
    (void)snprintf(other, sizeof other, "%s/other.log", dir);
    assert_true(tail_of(secret, &err));
    if (can_be_nobody()) {
        make_links(secret, folder, link);
        assert_false(tail_of(link, &err));
        assert_int_equal(err.code, ERR_REFUSED);
        assert_true(symlink(secret, other) == 0 && tail_of(other, &err)); /* root's own word */
    }
    assert_true(file_remove(other, &err) && file_link(secret, other, &err));
    assert_false(tail_of(secret, &err)); /* it has another name now */
    assert_int_equal(err.code, ERR_REFUSED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_card_numbers_are_masked),    TEST(test_the_newest_lines_that_fit),
        TEST(test_half_a_card_number_is_none), TEST(test_the_end_of_what_was_said),
        TEST(test_a_pipe_holds_nothing_up),    TEST(test_a_path_that_leads_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
