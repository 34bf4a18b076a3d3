/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_BENCH_FIGURES_H
#define TESTS_BENCH_FIGURES_H

#include "base/err.h"

#include <stdint.h>

/* What every bench prints: `name value unit`, one figure a line; '#' starts a remark. */
void figure(const char *name, double value, const char *unit);

/* Sorts `values`. 0 of none. */
double figures_median(double *values, size_t count);

int64_t figures_now_ns(void); /* monotonic */

/* Bytes that the block device under `path` has written since boot, all programs together; all
 * that waits is written out first. */
bool figures_disk_written(const char *path, uint64_t *ret_bytes, struct err *err) MUSTER_CHECK;

#endif
