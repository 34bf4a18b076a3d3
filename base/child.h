/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CHILD_H
#define BASE_CHILD_H

#include "base/err.h"

#include <stdint.h>
#include <uv.h>

/* A child process in a process group of its own, with a time limit after which the whole group is
 * killed (SIGKILL). Its stdout and stderr are kept up to 4 KiB together; more is thrown away. */
struct child_result {
    bool timed_out;
    int exit_status;    /* -1 if a signal ended it */
    int signal;         /* 0 if it exited */
    const char *output; /* NUL-ended, valid during the call */
};

/* argv[0] is an absolute path; `env` may be NULL for an empty environment but PATH and LANG=C.
 * `done` is called once from the loop. `cwd` may be NULL. */
bool child_run(uv_loop_t *loop, char *const argv[], char *const env[], const char *cwd,
               int64_t limit_ms, void (*done)(void *ctx, const struct child_result *result),
               void *ctx, struct err *err) MUSTER_CHECK;

#endif
