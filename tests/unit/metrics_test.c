/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/metrics.h"

#include "tests/unit/testing.h"

#include <string.h>

static const char *text_of(const struct metrics *metrics, struct buf *out)
{
    buf_clear(out);
    assert_true(metrics_write(metrics, out, NULL));
    assert_true(buf_append(out, "", 1, NULL));
    return (const char *)out->data;
}

static void series_of_a_name_share_one_head(void **state)
{
    (void)state;
    struct metrics metrics = {0};
    struct buf out = {0};
    metrics_add(&metrics, METRIC_RECORDS_EVENT, 3);
    const char *text = text_of(&metrics, &out);
    const char *head = strstr(text, "# TYPE muster_records_total counter\n");
    assert_non_null(head);
    assert_null(strstr(head + 1, "# TYPE muster_records_total"));
    assert_non_null(strstr(text, "muster_records_total{lane=\"event\"} 3\n"));
    assert_non_null(strstr(text, "muster_batches_total 0\n"));
    buf_done(&out);
}

static void refusals_name_kind_and_reason(void **state)
{
    (void)state;
    struct metrics metrics = {0};
    struct buf out = {0};
    assert_null(strstr(text_of(&metrics, &out), "muster_refused_total{"));
    metrics_refuse(&metrics, REFUSED_HELLO, REASON_SIGNATURE);
    metrics_refuse(&metrics, REFUSED_HELLO, REASON_SIGNATURE);
    assert_non_null(strstr(text_of(&metrics, &out),
                           "muster_refused_total{kind=\"hello\",reason=\"signature\"} 2\n"));
    buf_done(&out);
}

/* Each from the start, so that the first of its kind is an increase too. */
static void what_terminals_refuse_is_named(void **state)
{
    (void)state;
    struct metrics metrics = {0};
    struct buf out = {0};
    assert_non_null(strstr(text_of(&metrics, &out),
                           "muster_terminal_refusals_total{reason=\"document_floor\"} 0\n"));
    metrics_terminal_refusal(&metrics, 0);
    metrics_terminal_refusal(&metrics, 34);
    metrics_terminal_refusal(&metrics, METRICS_TERMINAL_REASONS);
    metrics_terminal_refusal(&metrics, -1);
    buf_clear(&out);
    const char *text = text_of(&metrics, &out);
    assert_non_null(strstr(text, "muster_terminal_refusals_total{reason=\"document_floor\"} 1\n"));
    assert_non_null(strstr(text, "muster_terminal_refusals_total{reason=\"unknown\"} 2\n"));
    assert_null(strstr(text, "reason=\"none\""));
    buf_done(&out);
}

static void the_histogram_is_cumulative(void **state)
{
    (void)state;
    struct metrics metrics = {0};
    struct buf out = {0};
    metrics_commit(&metrics, 500);
    metrics_commit(&metrics, 501);
    metrics_commit(&metrics, 2000000);
    const char *text = text_of(&metrics, &out);
    assert_non_null(strstr(text, "muster_commit_seconds_bucket{le=\"0.0005\"} 1\n"));
    assert_non_null(strstr(text, "muster_commit_seconds_bucket{le=\"0.001\"} 2\n"));
    assert_non_null(strstr(text, "muster_commit_seconds_bucket{le=\"1\"} 2\n"));
    assert_non_null(strstr(text, "muster_commit_seconds_bucket{le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(text, "muster_commit_seconds_sum 2.001001\n"));
    assert_non_null(strstr(text, "muster_commit_seconds_count 3\n"));
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(series_of_a_name_share_one_head),
        cmocka_unit_test(refusals_name_kind_and_reason),
        cmocka_unit_test(what_terminals_refuse_is_named),
        cmocka_unit_test(the_histogram_is_cumulative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
