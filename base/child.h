/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CHILD_H
#define BASE_CHILD_H

#include "base/buf.h"

#include <stdint.h>
#include <uv.h>

/* A child process in a process group of its own, with a time limit after which the whole group is
 * killed (SIGKILL). Its stdout and stderr are kept up to 8 KiB together; more is thrown away. */
struct child_result {
    bool timed_out;
    int exit_status;    /* -1 if a signal ended it */
    int signal;         /* 0 if it exited */
    bool truncated;     /* it said more than was kept */
    int64_t file_bytes; /* that a file it writes may have, 0: any */
    const char *output; /* NUL-ended, valid during the call */
};

/* "was ended by signal 9", or why that was; for a result whose signal is not 0. */
enum { CHILD_SIGNAL_WORDS = 80 };
void child_signal_words(const struct child_result *result, char *ret_words, size_t size);

/* argv[0] is an absolute path; `env` may be NULL for an empty environment but PATH and LANG=C.
 * `done` is called once from the loop. `cwd` may be NULL. */
bool child_run(uv_loop_t *loop, char *const argv[], char *const env[], const char *cwd,
               int64_t limit_ms, void (*done)(void *ctx, const struct child_result *result),
               void *ctx, struct err *err) MUSTER_CHECK;
/* The same for a program that is only asked something. Nothing that it has started outlives it, in
 * whatever session, unless that cleared its environment; and just after its start it, with what it
 * has started by then, is held to files of at most `file_bytes` each (SIGXFSZ), 0: of any length.
 */
bool child_run_alone(uv_loop_t *loop, char *const argv[], const char *cwd, int64_t limit_ms,
                     int64_t file_bytes, void (*done)(void *ctx, const struct child_result *result),
                     void *ctx, struct err *err) MUSTER_CHECK;
/* As child_run; `heard` is given all that it writes, before `done`. */
bool child_run_heard(uv_loop_t *loop, char *const argv[], int64_t limit_ms,
                     void (*heard)(void *ctx, struct bytes part),
                     void (*done)(void *ctx, const struct child_result *result), void *ctx,
                     struct err *err) MUSTER_CHECK;

/* As child_run, for a child that reads `input` from its stdin, all of it and then the end: what
 * neither argv nor the environment may show. At most 16 KiB; ERR_FULL: the system has no room for
 * it. Only its stdout is kept: the answer is not to depend on what a library says beside it. */
enum { CHILD_INPUT_BYTES = 16 * 1024 };
bool child_run_fed(uv_loop_t *loop, char *const argv[], char *const env[], struct bytes input,
                   int64_t limit_ms, void (*done)(void *ctx, const struct child_result *result),
                   void *ctx, struct err *err) MUSTER_CHECK;

#endif
