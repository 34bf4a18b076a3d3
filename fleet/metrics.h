/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_METRICS_H
#define FLEET_METRICS_H

#include "base/buf.h"

#include <stdint.h>

/* What musterd counts, and its text for Prometheus (exposition format 0.0.4). A metric is one line
 * in metrics.def. */
enum metric {
#define METRIC(id, name, labels, type, help) METRIC_##id,
#include "fleet/metrics.def"
    METRICS,
};
enum refusal_kind {
#define REFUSAL_KIND(id, word) REFUSED_##id,
#include "fleet/metrics.def"
    REFUSAL_KINDS,
};
enum refusal_reason {
#define REFUSAL_REASON(id, word) REASON_##id,
#include "fleet/metrics.def"
    REFUSAL_REASONS,
};

enum { METRICS_LATENCY_BUCKETS = 10, METRICS_TERMINAL_REASONS = 96 };

struct metrics {
    uint64_t values[METRICS];
    uint64_t refused[REFUSAL_KINDS][REFUSAL_REASONS];
    uint64_t terminal_refusals[METRICS_TERMINAL_REASONS]; /* by Refusal */
    uint64_t commits[METRICS_LATENCY_BUCKETS + 1];        /* by latency; the last has no bound */
    uint64_t commit_us_sum;
};

static inline void metrics_add(struct metrics *metrics, enum metric metric, uint64_t n)
{
    metrics->values[metric] += n;
}
static inline void metrics_set(struct metrics *metrics, enum metric metric, uint64_t value)
{
    metrics->values[metric] = value;
}
void metrics_refuse(struct metrics *metrics, enum refusal_kind kind, enum refusal_reason reason);
/* What a terminal refused, as its event says (a Refusal); none is not counted. */
void metrics_terminal_refusal(struct metrics *metrics, int reason);
void metrics_commit(struct metrics *metrics, uint64_t latency_us);

const char *refusal_kind_name(enum refusal_kind kind);
const char *refusal_reason_name(enum refusal_reason reason);

/* Appends the text; pairs of refusals that never happened are left out. */
bool metrics_write(const struct metrics *metrics, struct buf *out, struct err *err) MUSTER_CHECK;
/* For gauges that are read when asked: the head once, then each series; `labels` may be "". */
bool metrics_write_head(const char *name, const char *type, const char *help, struct buf *out,
                        struct err *err) MUSTER_CHECK;
bool metrics_write_series(const char *name, const char *labels, uint64_t value, struct buf *out,
                          struct err *err) MUSTER_CHECK;

#endif
