/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/command_bench.h"

#include "base/file.h"
#include "tests/unit/testing.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void write_lines(struct bench *bench, unsigned count)
{
    struct buf text = {0};
    struct err err;
    for (unsigned i = 0; i < count; i++) {
        char line[128];
        int n = snprintf(line, sizeof line,
                         "{\"idempotency_key\":\"k%u\",\"outcome\":\"approved\"}\n", i);
        assert_true(buf_append(&text, line, (size_t)n, &err));
    }
    assert_true(file_write(bench->input, buf_bytes(&text), 0600, &err));
    buf_done(&text);
}

/* ---- tests ---- */

static void one_result_is_recorded_by_flags(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    assert_int_equal(bench_run(bench, command_record, "record", "--outcome", "declined", "--code",
                               "57", "--amount-minor", "1250", "--currency", "156", "--entry",
                               "contactless", "--key", "sale-1", NULL),
                     EXIT_OK);
    bench_holds(bench->output, "stored: ", true);
    bench_holds(bench->output, "key sale-1", true);
    assert_int_equal(bench_run(bench, command_record, "record", "--outcome", "declined", "--key",
                               "sale-1", "-o", "json", NULL),
                     EXIT_OK);
    bench_holds(bench->output, "\"status\": \"duplicate\"", true);
    assert_int_equal(bench->seen->stored, 1);
    assert_string_equal(bench->seen->keys[0], "sale-1");
}

static void exit_codes_tell_how_it_ended(void **state)
{
    struct bench *bench = *state;
    assert_int_equal(bench_run(bench, command_record, "record", "--outcome", "approved", NULL),
                     EXIT_UNREACHABLE);
    bench_holds(bench->errors, bench->path, true);
    assert_int_equal(bench_run(bench, command_status, "status", NULL), EXIT_UNREACHABLE);
    bench_start(bench);
    assert_int_equal(bench_run(bench, command_record, "record", "--outcome", "approved",
                               "--amount-minor", "666", NULL),
                     EXIT_INPUT);
    bench_holds(bench->errors, "the agent's own reason", true);
    assert_int_equal(bench_run(bench, command_record, "record", "--outcome", "approved",
                               "--amount-minor", "777", NULL),
                     EXIT_SYSTEM);
    bench->seen->silent = true;
    assert_int_equal(bench_run(bench, command_record, "record", "--outcome", "approved",
                               "--deadline", "50", NULL),
                     EXIT_TIMEOUT);
    assert_int_equal(bench_run(bench, command_why, "why", "--deadline", "50", NULL), EXIT_TIMEOUT);
}

static void wrong_usage_ends_with_2(void **state)
{
    struct bench *bench = *state;
    assert_int_equal(bench_run(bench, command_record, "record", NULL), EXIT_USAGE);
    assert_int_equal(bench_run(bench, command_record, "record", "--pan", "x", NULL), EXIT_USAGE);
    assert_int_equal(bench_run(bench, command_record, "record", "--outcome", "lost", NULL),
                     EXIT_USAGE);
    assert_int_equal(bench_run(bench, command_record, "record", "--outcome", "approved", "x", NULL),
                     EXIT_USAGE);
    assert_int_equal(
        bench_run(bench, command_record, "record", "--json", "-", "--code", "57", NULL),
        EXIT_USAGE);
    assert_int_equal(bench_run(bench, command_status, "status", "-o", "xml", NULL), EXIT_USAGE);
    assert_int_equal(bench_run(bench, command_status, "status", "--deadline", "0", NULL),
                     EXIT_USAGE);
    assert_int_equal(bench_run(bench, command_status, "status", "now", NULL), EXIT_USAGE);
    assert_int_equal(bench_run(bench, command_record, "record", "--help", NULL), EXIT_OK);
    bench_holds(bench->output, "--amount-minor", true);
}

static void a_card_number_is_not_repeated_on_stderr(void **state)
{
    struct bench *bench = *state;
    /* 4111... is the schemes' published test number. */
    assert_int_equal(bench_run(bench, command_record, "record", "--stan", "4111111111111111", NULL),
                     EXIT_USAGE);
    bench_holds(bench->errors, "4111111111111111", false);
    bench_holds(bench->errors, "stan = ****************", true);
}

static void many_lines_share_turns_and_all_arrive(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    write_lines(bench, 1000);
    assert_int_equal(bench_run(bench, command_record, "record", "--json", bench->input, NULL),
                     EXIT_OK);
    assert_int_equal(bench->seen->stored, 1000);
    assert_true(bench->seen->most_under_way > 1);
    assert_true(bench->seen->most_under_way <= 256);
    bench_holds(bench->output, "1000 lines: 1000 stored, 0 stored before", true);
    assert_int_equal(
        bench_run(bench, command_record, "record", "--json", bench->input, "-o", "json", NULL),
        EXIT_OK);
    bench_holds(bench->output, "\"duplicate\": 1000", true);
    assert_int_equal(bench->seen->stored, 1000);
}

static void refused_lines_are_told_and_the_others_go_on(void **state)
{
    struct bench *bench = *state;
    struct err err;
    static const char text[] = "{\"outcome\":\"approved\",\"idempotency_key\":\"a\"}\n"
                               "{\"outcome\":\n"
                               "\n"
                               "{\"outcome\":\"approved\",\"pan\":\"4111111111111111\"}\n"
                               "{\"idempotency_key\":\"c\"}\n"
                               "{\"outcome\":\"approved\",\"amount_minor\":666}\n"
                               "{\"outcome\":\"approved\",\"idempotency_key\":\"b\"}";
    bench_start(bench);
    assert_true(file_write(bench->input, bytes_of(text, sizeof text - 1), 0600, &err));
    int before = bench_redirect(STDIN_FILENO, bench->input, O_RDONLY);
    int exit_code = bench_run(bench, command_record, "record", "--json", "-", NULL);
    bench_restore(STDIN_FILENO, before);
    assert_int_equal(exit_code, EXIT_INPUT);
    assert_int_equal(bench->seen->stored, 2);
    bench_holds(bench->errors, "stdin:2: not JSON", true);
    bench_holds(bench->errors, "stdin:3:", false); /* an empty line is nothing */
    bench_holds(bench->errors, "stdin:4: unknown field pan", true);
    bench_holds(bench->errors, "stdin:5: outcome is missing", true);
    bench_holds(bench->errors, "stdin:6: the agent's own reason", true);
    bench_holds(bench->output, "6 lines: 2 stored, 0 stored before, 4 refused", true);
}

static void an_agent_that_restarts_in_the_middle_gets_the_rest(void **state)
{
    struct bench *bench = *state;
    bench->seen->close_after = 300;
    bench_start(bench);
    write_lines(bench, 1000);
    assert_int_equal(bench_run(bench, command_record, "record", "--json", bench->input, NULL),
                     EXIT_OK);
    assert_int_equal(bench->seen->stored, 1000);
    assert_int_equal(bench->seen->connections, 2);
    bench_holds(bench->output, " 0 stored before", false); /* some had been stored unanswered */
    bench_holds(bench->output, "0 refused, 0 failed, 0 unconfirmed", true);
}

static void lines_without_an_answer_are_counted(void **state)
{
    struct bench *bench = *state;
    bench->seen->silent = true;
    bench_start(bench);
    write_lines(bench, 3);
    assert_int_equal(bench_run(bench, command_record, "record", "--json", bench->input,
                               "--deadline", "50", NULL),
                     EXIT_TIMEOUT);
    bench_holds(bench->errors, "3 lines were not confirmed, the first is 1", true);
    bench_holds(bench->output, "3 unconfirmed", true);
}

static void questions_are_answered_as_table_and_json(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    assert_int_equal(bench_run(bench, command_status, "status", NULL), EXIT_OK);
    bench_holds(bench->output, "term-0001", true);
    bench_holds(bench->output, "not connected: connection refused", true);
    bench_holds(bench->output, "bin-table", true);
    assert_int_equal(bench_run(bench, command_status, "status", "-o", "json", NULL), EXIT_OK);
    bench_holds(bench->output, "\"spool_records\": 12", true);
    assert_int_equal(bench_run(bench, command_why, "why", NULL), EXIT_OK);
    bench_holds(bench->output, "2026-11-22T12:38:59.123Z  drift", true);
    bench_holds(bench->output, "held 7?[2J, wanted 8", true); /* no escape reaches a terminal */
    assert_int_equal(bench_run(bench, command_why, "why", "-o", "json", NULL), EXIT_OK);
    bench_holds(bench->output, "\"kind\": \"drift\"", true);
}

/* Nobody is told that an action or a key slot was a sale. */
static void each_kind_of_event_has_a_word_of_its_own(void **state)
{
    struct bench *bench = *state;
    const ProtobufCEnumDescriptor *kinds = &muster__event_kind__descriptor;
    bench_start(bench);
    assert_int_equal(bench_run(bench, command_why, "why", "-o", "json", NULL), EXIT_OK);
    json_t *reply = json_load_file(bench->output, 0, NULL);
    json_t *events = json_object_get(reply, "events");
    assert_int_equal(json_array_size(events), kinds->n_values);
    for (size_t i = 0; i < kinds->n_values; i++) {
        const char *word = json_string_value(json_object_get(json_array_get(events, i), "kind"));
        assert_non_null(word);
        assert_string_not_equal(word, "event"); /* which is for kinds to come */
        assert_true((kinds->values[i].value == MUSTER__EVENT_KIND__EVENT_UNKNOWN) ==
                    (strcmp(word, "result") == 0));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(
                word, json_string_value(json_object_get(json_array_get(events, j), "kind")));
    }
    json_decref(reply);
}

static void selfcheck_says_no_when_something_differs(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    assert_int_equal(bench_run(bench, command_selfcheck, "selfcheck", NULL), EXIT_OK);
    bench_holds(bench->output, "repaired", true);
    bench->seen->drifting = true;
    assert_int_equal(bench_run(bench, command_selfcheck, "selfcheck", NULL), EXIT_NO);
    bench_holds(bench->output, "1 differ", true);
    assert_int_equal(bench_run(bench, command_selfcheck, "selfcheck", "-o", "json", NULL), EXIT_NO);
    bench_holds(bench->output, "\"state\": \"drift\"", true);
}

static void a_plan_says_what_waits_and_for_what(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    assert_int_equal(bench_run(bench, command_plan, "plan", NULL), EXIT_OK);
    bench_holds(bench->output, "nothing would change", true);
    bench_holds(bench->output, "waits ", false);
    bench->seen->drifting = true;
    assert_int_equal(bench_run(bench, command_plan, "plan", NULL), EXIT_OK);
    bench_holds(bench->output, "4711", true);
    bench_holds(bench->output, "(does not go back)", true);
    bench_holds(bench->output, "os.raucb   4.1.9     4.2.0  ", true); /* as it calls itself */
    bench_holds(
        bench->output,
        "waits      manifest 3, for the batch?[2J to be settled, which ends by itself in 80 s at "
        "the latest, since 3 min; a person is asked in 12 h",
        true);
    bench_holds(bench->output,
                "terminal 2: in a transaction, for 80 s at most; an open reversal; a batch to be "
                "settled (user 7, process 9?[2J, 5 s ago)\n",
                true);
    bench_holds(bench->output, "is lost\n", true);
    bench_holds(bench->output,
                "terminal 3: may be in a transaction, for 2 min at most: nobody has said since "
                "the agent started; reversal and batch have not been spoken of\n",
                true);
    bench_holds(
        bench->output,
        "waits      slot tmk: key version 12 of tmk.key, for the batch to be settled, since "
        "60 min; a person should look, then: muster apply\n",
        true);
    bench_holds(
        bench->output,
        "waits      os.raucb: version 4.2.0 for the installer, for the open reversal, since "
        "5 s; a person is asked in 12 h\n",
        true);
    bench_holds(bench->output,
                "actions    reboot a-1: waiting for the open transaction, which ends by itself in "
                "80 s at the latest, since 61 s; expires 2026-11-22T12:38:59.123Z\n",
                true);
    bench_holds(bench->output, "probation  generation 2: ", true); /* beside what waits */
    bench_holds(bench->output, "50 are enough, 24 h are left", true);
    assert_int_equal(bench_run(bench, command_plan, "plan", "-o", "json", NULL), EXIT_OK);
    bench_holds(bench->output, "\"fetch_bytes\": 4711", true);
    bench_holds(bench->output, "\"slot\": \"tmk\"", true);
    bench_holds(bench->output, "\"step\": \"switched\"", true);
    bench_holds(bench->output, "\"step\": \"waiting\"", true);
    assert_int_equal(bench_run(bench, command_status, "status", NULL), EXIT_OK);
    bench_holds(bench->output, "waits      manifest 3, for the batch", true);
    /* It says what it decides, and decides no more. */
    assert_int_equal(bench_run(bench, command_apply, "apply", NULL), EXIT_NO);
    bench_holds(bench->output, "not all is as wanted", true);
    bench_holds(bench->output, "bin-table", true);
    bench_holds(bench->output, "terminal 2: in a transaction", true);
    assert_true(bench->seen->decided_length == 32 &&
                bench->seen->decided[31] == bench->seen->plans);
    bench_holds(bench->output, "slot tmk: key version 12", true);
    assert_int_equal(bench->seen->placing_count, 2);
    assert_int_equal(bench->seen->placing[0], 0x40 + bench->seen->plans);
    assert_int_equal(bench->seen->placing[1], 0x80 + bench->seen->plans);
    bench->seen->drifting = false;
    assert_int_equal(bench_run(bench, command_apply, "apply", NULL), EXIT_OK);
    bench_holds(bench->output, "generation 2 of manifest 3 is in force", true);
    assert_true(bench->seen->decided_length == 0 && bench->seen->placing_count == 0);
}

static void a_lease_is_shown_and_forgotten(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    bench->seen->forgot = FORGOT_NONE;
    assert_int_equal(bench_run(bench, command_lease, "lease", NULL), EXIT_OK);
    bench_holds(bench->output, "terminal 2: in a transaction, for 80 s at most", true);
    assert_int_equal(bench_run(bench, command_lease, "lease", "-o", "json", NULL), EXIT_OK);
    bench_holds(bench->output, "\"batch\": \"unsaid\"", true);
    assert_int_equal(bench->seen->forgot, FORGOT_NONE);
    assert_int_equal(bench_run(bench, command_lease, "lease", "--forget", "17", NULL), EXIT_OK);
    assert_int_equal(bench->seen->forgot, 17);
    assert_int_equal(bench_run(bench, command_lease, "lease", "--forget", "all", NULL), EXIT_OK);
    assert_int_equal(bench->seen->forgot, FORGOT_ALL);
    bench->seen->forgot = FORGOT_NONE;
    static const char *const wrong[] = {"", "-1", "x", "1x", "4294967296", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(bench_run(bench, command_lease, "lease", "--forget", wrong[i], NULL),
                         EXIT_USAGE);
    assert_int_equal(bench_run(bench, command_lease, "lease", "forget", NULL), EXIT_USAGE);
    assert_int_equal(bench->seen->forgot, FORGOT_NONE);
}

#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_set_up, bench_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(one_result_is_recorded_by_flags),
        BENCH_TEST(exit_codes_tell_how_it_ended),
        BENCH_TEST(wrong_usage_ends_with_2),
        BENCH_TEST(a_card_number_is_not_repeated_on_stderr),
        BENCH_TEST(many_lines_share_turns_and_all_arrive),
        BENCH_TEST(refused_lines_are_told_and_the_others_go_on),
        BENCH_TEST(an_agent_that_restarts_in_the_middle_gets_the_rest),
        BENCH_TEST(lines_without_an_answer_are_counted),
        BENCH_TEST(questions_are_answered_as_table_and_json),
        BENCH_TEST(each_kind_of_event_has_a_word_of_its_own),
        BENCH_TEST(selfcheck_says_no_when_something_differs),
        BENCH_TEST(a_plan_says_what_waits_and_for_what),
        BENCH_TEST(a_lease_is_shown_and_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
