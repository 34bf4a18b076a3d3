/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/packages_book.h"

#include "base/file.h"
#include "proto/seal.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NONE MUSTER__REFUSAL__REFUSAL_NONE
#define INSTALLER MUSTER__REFUSAL__REFUSAL_PACKAGE_INSTALLER
#define VERSION MUSTER__REFUSAL__REFUSAL_PACKAGE_VERSION
#define MODEL MUSTER__REFUSAL__REFUSAL_PACKAGE_MODEL

enum { LIMIT_MS = 1000 };
static const uint8_t this_boot[16] = {1}, other_boot[16] = {2};

struct row {
    const char *name;
    enum package_step step;
    unsigned handings;
    bool rebooted;
    int64_t age_ms;
    const char *running;
    enum package_todo todo;
    enum package_step then;
    Muster__Refusal refusal;
};

#define HANDED(name, ...)                                                                          \
    {                                                                                              \
        name, PACKAGE_HANDED, 1, __VA_ARGS__                                                       \
    }
static const struct row rows[] = {
    {"new", PACKAGE_NEW, 0, false, 0, "1", PACKAGE_HAND_OVER, PACKAGE_NEW, NONE},
    {"new, runs", PACKAGE_NEW, 0, false, 0, "2", PACKAGE_REST, PACKAGE_DONE, NONE},
    {"new, waited", PACKAGE_NEW, 0, true, 5000, "1", PACKAGE_HAND_OVER, PACKAGE_NEW, NONE},
    {"new, unasked", PACKAGE_NEW, 0, false, 0, "", PACKAGE_REST, PACKAGE_NEW, NONE},
    HANDED("handed", false, 999, "1", PACKAGE_WAIT, PACKAGE_HANDED, NONE),
    HANDED("handed, over", false, 1000, "1", PACKAGE_REST, PACKAGE_REFUSED, VERSION),
    HANDED("handed, runs late", false, 1000, "2", PACKAGE_REST, PACKAGE_DONE, NONE),
    HANDED("handed, unasked", false, 999, "", PACKAGE_WAIT, PACKAGE_HANDED, NONE),
    HANDED("handed, never asked", false, 1000, "", PACKAGE_REST, PACKAGE_REFUSED, VERSION),
    HANDED("handed, restarted", true, 999, "1", PACKAGE_WAIT, PACKAGE_HANDED, NONE),
    {"handing, killed", PACKAGE_HANDING, 1, false, 0, "1", PACKAGE_WAIT, PACKAGE_HANDING, NONE},
    {"handing, killed, over", PACKAGE_HANDING, 1, false, 1000, "1", PACKAGE_REST, PACKAGE_REFUSED,
     VERSION},
    {"handing, power", PACKAGE_HANDING, 1, true, 0, "1", PACKAGE_HAND_OVER, PACKAGE_HANDING, NONE},
    {"handing, power, unasked", PACKAGE_HANDING, 1, true, 0, "", PACKAGE_WAIT, PACKAGE_HANDING,
     NONE},
    {"handing, power, runs", PACKAGE_HANDING, 1, true, 0, "2", PACKAGE_REST, PACKAGE_DONE, NONE},
    {"handing, power twice", PACKAGE_HANDING, 2, true, 0, "1", PACKAGE_REST, PACKAGE_REFUSED,
     INSTALLER},
    {"done", PACKAGE_DONE, 1, true, 5000, "2", PACKAGE_REST, PACKAGE_DONE, NONE},
    {"done, unasked", PACKAGE_DONE, 1, true, 5000, "", PACKAGE_REST, PACKAGE_DONE, NONE},
    {"done, given up", PACKAGE_DONE, 1, true, 5000, "1", PACKAGE_REST, PACKAGE_REFUSED, VERSION},
    {"ran by itself, changed", PACKAGE_DONE, 0, true, 0, "1", PACKAGE_HAND_OVER, PACKAGE_NEW, NONE},
    {"refused", PACKAGE_REFUSED, 1, true, 5000, "1", PACKAGE_REST, PACKAGE_REFUSED, INSTALLER},
    {"refused, runs", PACKAGE_REFUSED, 1, true, 5000, "2", PACKAGE_REST, PACKAGE_DONE, NONE},
    {"refused, unasked", PACKAGE_REFUSED, 1, true, 5000, "", PACKAGE_REST, PACKAGE_REFUSED,
     INSTALLER},
};

static struct package_wanted wanted_of(const char *name)
{
    struct package_wanted wanted = {.kind = MUSTER__DOCUMENT_KIND__DOCUMENT_FIRMWARE,
                                    .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR,
                                    .package_version = "2"};
    (void)snprintf(wanted.name, sizeof wanted.name, "%s", name);
    return wanted;
}

static void each_state_leads_to_one_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        const struct package_wanted wanted = wanted_of("os");
        struct package_row held = {.step = row->step,
                                   .handings = row->handings,
                                   .refusal = row->step == PACKAGE_REFUSED ? INSTALLER : NONE,
                                   .age_ms = row->age_ms};
        memcpy(held.boot_id, row->rebooted ? other_boot : this_boot, sizeof held.boot_id);
        const struct package_facts facts = {.running = row->running,
                                            .trouble = "it cannot be asked",
                                            .model = "P2",
                                            .boot_id = this_boot,
                                            .limit_ms = LIMIT_MS};
        struct package_verdict verdict;
        package_judge(&wanted, &held, &facts, &verdict);
        if (verdict.todo != row->todo || verdict.step != row->then ||
            verdict.refusal != row->refusal)
            fail_msg("%s: todo %d step %d refusal %d, \"%s\"", row->name, (int)verdict.todo,
                     (int)verdict.step, (int)verdict.refusal, verdict.why);
        if (verdict.step != PACKAGE_DONE && row->step != PACKAGE_REFUSED)
            assert_true(verdict.why[0] != '\0');
    }
}

static void only_its_own_model_gets_it(void **state)
{
    struct package_wanted wanted = wanted_of("os");
    struct package_row held = {.step = PACKAGE_NEW};
    struct package_facts facts = {
        .running = "1", .trouble = "", .model = "P2", .boot_id = this_boot, .limit_ms = LIMIT_MS};
    struct package_verdict verdict;
    (void)state;
    (void)snprintf(wanted.model, sizeof wanted.model, "P3");
    package_judge(&wanted, &held, &facts, &verdict);
    assert_int_equal(verdict.refusal, MODEL);
    assert_int_equal(verdict.todo, PACKAGE_REST);
    held = (struct package_row){.step = PACKAGE_REFUSED, .refusal = MODEL};
    facts.model = "P3"; /* which was set wrongly */
    package_judge(&wanted, &held, &facts, &verdict);
    assert_int_equal(verdict.todo, PACKAGE_HAND_OVER);
    assert_int_equal(verdict.refusal, NONE);
}

/* Somebody else's: never handed over, whatever was done of it before. */
static void an_observed_one_is_only_compared(void **state)
{
    static const enum package_step steps[] = {PACKAGE_NEW, PACKAGE_HANDING, PACKAGE_HANDED,
                                              PACKAGE_DONE, PACKAGE_REFUSED};
    struct package_wanted wanted = wanted_of("os");
    struct package_facts facts = {
        .running = "1", .trouble = "no answer", .model = "P2", .boot_id = this_boot};
    struct package_verdict verdict;
    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        const struct package_row held = {.step = steps[i]};
        wanted.mode = MUSTER__ASSIGN_MODE__MODE_OBSERVE;
        facts.running = "1";
        package_judge(&wanted, &held, &facts, &verdict);
        assert_int_equal(verdict.todo, PACKAGE_REST);
        assert_int_equal(verdict.step, PACKAGE_NEW); /* which the book does not note */
        assert_int_equal(verdict.refusal, NONE);
        assert_string_equal(verdict.why, "1 runs, 2 is wanted; observed only, not installed here");
        wanted.mode = MUSTER__ASSIGN_MODE__MODE_PROPOSE;
        package_judge(&wanted, &held, &facts, &verdict);
        assert_string_equal(verdict.why,
                            "1 runs, 2 is wanted; proposed to ops, not installed here");
        facts.running = "2";
        package_judge(&wanted, &held, &facts, &verdict);
        assert_int_equal(verdict.step, PACKAGE_DONE);
        facts.running = "";
        package_judge(&wanted, &held, &facts, &verdict);
        assert_string_equal(verdict.why, "no answer");
        assert_int_equal(verdict.todo, PACKAGE_REST);
    }
}

static void age_is_powered_on_time(void **state)
{
    struct package_row row = {.age_ms = 500, .kept_ms = 4000};
    (void)state;
    memcpy(row.boot_id, this_boot, sizeof row.boot_id);
    assert_int_equal(package_age(&row, this_boot, 4300), 800);
    assert_int_equal(package_age(&row, this_boot, 3000), 500);
    assert_int_equal(package_age(&row, other_boot, 300), 800);
}

static void a_version_is_one_word_of_the_first_line(void **state)
{
    char running[PACKAGE_VERSION_CHARS + 1], text[PACKAGE_VERSION_CHARS + 3];
    (void)state;
    assert_true(package_running("4.2\r\nmore\n", running));
    assert_string_equal(running, "4.2");
    assert_true(package_running("4.2", running));
    static const char *const bad[] = {"", "\n4.2\n", "4 2\n", " 4.2\n", "\x1b[2J4.2\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(package_running(bad[i], running));
        assert_string_equal(running, "");
    }
    memset(text, '1', sizeof text);
    text[PACKAGE_VERSION_CHARS + 1] = '\0';
    assert_false(package_running(text, running));
    text[PACKAGE_VERSION_CHARS] = '\0';
    assert_true(package_running(text, running));
}

/* ---- the book ---- */

static void fill(struct packages_book *book, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "os-%zu", i);
        const struct package_wanted wanted = wanted_of(name);
        struct package_row *row = packages_book_row(book, &wanted);
        row->step = i % 2 == 0 ? PACKAGE_REFUSED : i % 4 == 1 ? PACKAGE_HANDED : PACKAGE_NEW;
        row->refusal = i % 2 == 0 ? INSTALLER : NONE;
        row->handings = (unsigned)i;
        row->age_ms = INT64_MAX - (int64_t)i;
        row->kept_ms = (int64_t)i;
        memset(row->sha256, 0, sizeof row->sha256);
        memset(row->boot_id, (int)i, sizeof row->boot_id);
        memset(row->told, (int)i + 1, sizeof row->told);
        memset(row->why, 0, sizeof row->why);
        if (i % 2 == 0)
            memset(row->why, 'w', i == 0 ? PACKAGE_WHY_CHARS : i);
    }
}

static void a_book_is_read_as_it_was_written(void **state)
{
    char dir[] = "/tmp/muster-packages-XXXXXX", path[64];
    struct packages_book book = {0}, read;
    struct buf file = {0};
    struct err err = {0};
    bool lost = true;
    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/packages", dir);
    assert_true(packages_book_read(path, &read, &lost, &err));
    assert_false(lost || read.count > 0);
    fill(&book, PACKAGES_ROWS);
    assert_true(packages_book_write(path, &book, &err));
    assert_true(packages_book_read(path, &read, &lost, &err));
    assert_false(lost);
    assert_memory_equal(&read, &book, sizeof book);
    assert_true(file_read(path, 65536, &file, &err));
    for (size_t i = 0; i < file.length; i++) { /* whatever is damaged of it is noticed */
        file.data[i] ^= 1;
        if (packages_book_parse(buf_bytes(&file), &read))
            fail_msg("byte %zu", i);
        file.data[i] ^= 1;
    }
    assert_false(packages_book_parse(bytes_of(file.data, file.length - 1), &read));
    assert_true(packages_book_parse(buf_bytes(&file), &read));
    assert_true(file_write(path, bytes_of("x", 1), 0640, &err));
    assert_true(packages_book_read(path, &read, &lost, &err));
    assert_true(lost && read.count == 0);
    assert_int_equal(unlink(path), 0); /* nor is it read where the medium does not give it */
    assert_int_equal(symlink(path, path), 0);
    assert_true(packages_book_read(path, &read, &lost, &err));
    assert_true(lost && read.count == 0);
    buf_done(&file);
    assert_true(file_remove_tree(dir, &err));
}

static void only_refusals_outlive_what_is_wanted(void **state)
{
    struct packages_book book = {0};
    const struct package_wanted wanted = wanted_of("os-1");
    (void)state;
    fill(&book, 6);
    assert_true(packages_book_keep(&book, &wanted, 1));
    assert_int_equal(book.count, 4); /* 0, 1, 2, 4 */
    assert_non_null(packages_book_find(&book, &wanted));
    assert_false(packages_book_keep(&book, &wanted, 1));
    assert_true(packages_book_forgive(&book));
    assert_int_equal(book.count, 1);
    assert_false(packages_book_forgive(&book));
}

static void where_no_more_fit_the_oldest_refusal_goes(void **state)
{
    struct packages_book book = {0};
    const struct package_wanted first = wanted_of("os-0"), second = wanted_of("os-1"),
                                more = wanted_of("more");
    (void)state;
    fill(&book, PACKAGES_ROWS);
    packages_book_row(&book, &more);
    assert_int_equal(book.count, PACKAGES_ROWS);
    assert_null(packages_book_find(&book, &first));
    assert_non_null(packages_book_find(&book, &second));
    assert_non_null(packages_book_find(&book, &more));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_state_leads_to_one_answer),
        cmocka_unit_test(only_its_own_model_gets_it),
        cmocka_unit_test(an_observed_one_is_only_compared),
        cmocka_unit_test(age_is_powered_on_time),
        cmocka_unit_test(a_version_is_one_word_of_the_first_line),
        cmocka_unit_test(a_book_is_read_as_it_was_written),
        cmocka_unit_test(only_refusals_outlive_what_is_wanted),
        cmocka_unit_test(where_no_more_fit_the_oldest_refusal_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
