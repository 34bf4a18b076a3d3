/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *labels, *type, *help;
} series[METRICS] = {
#define METRIC(id, name, labels, type, help) [METRIC_##id] = {name, labels, type, help},
#include "fleet/metrics.def"
};

static const char *const kind_words[REFUSAL_KINDS] = {
#define REFUSAL_KIND(id, word) [REFUSED_##id] = word,
#include "fleet/metrics.def"
};

static const char *const reason_words[REFUSAL_REASONS] = {
#define REFUSAL_REASON(id, word) [REASON_##id] = word,
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

void metrics_commit(struct metrics *metrics, uint64_t latency_us)
{
    size_t bucket = 0;
    while (bucket < METRICS_LATENCY_BUCKETS && latency_us > latency_bounds_us[bucket])
        bucket++;
    metrics->commits[bucket]++;
    metrics->commit_us_sum += latency_us;
}

static MUSTER_PRINTF(3, 4) bool line(struct buf *out, struct err *err, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text)
        return err_set(err, ERR_INVALID, "a metric's line is longer than %zu bytes", sizeof text);
    return buf_append(out, text, (size_t)n, err);
}

bool metrics_write_head(const char *name, const char *type, const char *help, struct buf *out,
                        struct err *err)
{
    return line(out, err, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

bool metrics_write_series(const char *name, const char *labels, uint64_t value, struct buf *out,
                          struct err *err)
{
    bool bare = labels[0] == '\0';
    return line(out, err, "%s%s%s%s %llu\n", name, bare ? "" : "{", labels, bare ? "" : "}",
                (unsigned long long)value);
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
            if (count > 0 &&
                !line(out, err, "%s{kind=\"%s\",reason=\"%s\"} %llu\n", name, kind_words[kind],
                      reason_words[reason], (unsigned long long)count))
                return false;
        }
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
        count += metrics->commits[i];
        if (!line(out, err, "%s_bucket{le=\"%g\"} %llu\n", name, (double)latency_bounds_us[i] / 1e6,
                  (unsigned long long)count))
            return false;
    }
    count += metrics->commits[METRICS_LATENCY_BUCKETS];
    return line(out, err, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.6f\n%s_count %llu\n", name,
                (unsigned long long)count, name, (double)metrics->commit_us_sum / 1e6, name,
                (unsigned long long)count);
}

bool metrics_write(const struct metrics *metrics, struct buf *out, struct err *err)
{
    return write_list(metrics, out, err) && write_refusals(metrics, out, err) &&
           write_commits(metrics, out, err);
}
