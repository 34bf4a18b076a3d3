/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/metrics.h"

#include "proto/refusal.h"

#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 512 };

static const struct {
    const char *name, *labels, *type, *help;
} series[METRICS] = {
#define METRIC(id, name, labels, type, help) [METRIC_##id] = {name, labels, type, help},
#include "fleet/metrics.def"
};

static const char *const kind_words[REFUSAL_KINDS] = {
#define REFUSAL_KIND(id, word) [REFUSED_##id] = (word),
#include "fleet/metrics.def"
};

static const char *const reason_words[REFUSAL_REASONS] = {
#define REFUSAL_REASON(id, word) [REASON_##id] = (word),
#include "fleet/metrics.def"
};

static const uint64_t latency_bounds_us[METRICS_LATENCY_BUCKETS] = {
    500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000,
};

const char *refusal_kind_name(enum refusal_kind kind)
{
    return kind_words[kind];
}

const char *refusal_reason_name(enum refusal_reason reason)
{
    return reason_words[reason];
}

void metrics_refuse(struct metrics *metrics, enum refusal_kind kind, enum refusal_reason reason)
{
    metrics->refused[kind][reason]++;
}

void metrics_terminal_refusal(struct metrics *metrics, int reason)
{
    unsigned number = (unsigned)reason;
    /* Of a newer agent: counted under "unknown". */
    if (number != MUSTER__REFUSAL__REFUSAL_NONE)
        metrics->terminal_refusals[number < METRICS_TERMINAL_REASONS ? number : 0]++;
}

void metrics_commit(struct metrics *metrics, uint64_t latency_us)
{
    size_t bucket = 0;
    while (bucket < METRICS_LATENCY_BUCKETS && latency_us > latency_bounds_us[bucket])
        bucket++;
    metrics->commits[bucket]++;
    metrics->commit_us_sum += latency_us;
}

/* Appends what snprintf wrote into a buffer of LINE_BYTES. */
static bool append_line(struct buf *out, const char *text, int length, struct err *err)
{
    if (length < 0 || length >= LINE_BYTES)
        return err_set(err, ERR_INVALID, "a metric's line is longer than %d bytes", LINE_BYTES);
    return buf_append(out, text, (size_t)length, err);
}

bool metrics_write_head(const char *name, const char *type, const char *help, struct buf *out,
                        struct err *err)
{
    char text[LINE_BYTES];
    int n = snprintf(text, sizeof text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
    return append_line(out, text, n, err);
}

bool metrics_write_series(const char *name, const char *labels, uint64_t value, struct buf *out,
                          struct err *err)
{
    bool bare = labels[0] == '\0';
    char text[LINE_BYTES];
    int n = snprintf(text, sizeof text, "%s%s%s%s %llu\n", name, bare ? "" : "{", labels,
                     bare ? "" : "}", (unsigned long long)value);
    return append_line(out, text, n, err);
}

static bool write_list(const struct metrics *metrics, struct buf *out, struct err *err)
{
    const char *name = "";
    for (size_t i = 0; i < METRICS; i++) {
        if (strcmp(series[i].name, name) != 0 &&
            !metrics_write_head(series[i].name, series[i].type, series[i].help, out, err))
            return false;
        name = series[i].name;
        if (!metrics_write_series(name, series[i].labels, metrics->values[i], out, err))
            return false;
    }
    return true;
}

static bool write_refusals(const struct metrics *metrics, struct buf *out, struct err *err)
{
    static const char name[] = "muster_refused_total";
    if (!metrics_write_head(name, "counter", "What was refused, by kind and reason", out, err))
        return false;
    for (size_t kind = 0; kind < REFUSAL_KINDS; kind++) {
        for (size_t reason = 0; reason < REFUSAL_REASONS; reason++) {
            uint64_t count = metrics->refused[kind][reason];
            char labels[LINE_BYTES / 2];
            (void)snprintf(labels, sizeof labels, "kind=\"%s\",reason=\"%s\"", kind_words[kind],
                           reason_words[reason]);
            if (count > 0 && !metrics_write_series(name, labels, count, out, err))
                return false;
        }
    }
    return true;
}

/* Every reason from the start, so that the first of its kind is an increase too. */
static bool write_terminal_refusals(const struct metrics *metrics, struct buf *out, struct err *err)
{
    static const char name[] = "muster_terminal_refusals_total";
    if (!metrics_write_head(name, "counter", "Signed state that terminals refused, by reason", out,
                            err))
        return false;
    for (size_t i = 0; i < METRICS_TERMINAL_REASONS; i++) {
        char word[REFUSAL_NAME_CHARS], labels[LINE_BYTES / 2];
        bool known = protobuf_c_enum_descriptor_get_value(&muster__refusal__descriptor, (int)i);
        if (i != 0 && !known) {
            continue;
        }
        refusal_name(i == 0 ? (Muster__Refusal)METRICS_TERMINAL_REASONS : (Muster__Refusal)i, word);
        (void)snprintf(labels, sizeof labels, "reason=\"%s\"", word);
        if (!metrics_write_series(name, labels, metrics->terminal_refusals[i], out, err))
            return false;
    }
    return true;
}

static bool write_commits(const struct metrics *metrics, struct buf *out, struct err *err)
{
    static const char name[] = "muster_commit_seconds";
    if (!metrics_write_head(name, "histogram", "Time of the transactions that store records", out,
                            err))
        return false;
    uint64_t count = 0;
    for (size_t i = 0; i < METRICS_LATENCY_BUCKETS; i++) {
        char labels[48];
        count += metrics->commits[i];
        (void)snprintf(labels, sizeof labels, "le=\"%g\"", (double)latency_bounds_us[i] / 1e6);
        if (!metrics_write_series("muster_commit_seconds_bucket", labels, count, out, err))
            return false;
    }
    count += metrics->commits[METRICS_LATENCY_BUCKETS];
    char sum[LINE_BYTES];
    int n = snprintf(sum, sizeof sum, "%s_sum %.6f\n", name, (double)metrics->commit_us_sum / 1e6);
    return metrics_write_series("muster_commit_seconds_bucket", "le=\"+Inf\"", count, out, err) &&
           append_line(out, sum, n, err) &&
           metrics_write_series("muster_commit_seconds_count", "", count, out, err);
}

bool metrics_write(const struct metrics *metrics, struct buf *out, struct err *err)
{
    return write_list(metrics, out, err) && write_refusals(metrics, out, err) &&
           write_terminal_refusals(metrics, out, err) && write_commits(metrics, out, err);
}
