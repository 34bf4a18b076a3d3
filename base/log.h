/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* One line on stderr: "<time> <level> <program>: <text>", card numbers masked, control
 * characters replaced, so that foreign text can neither leak nor forge a line. With
 * JOURNAL_STREAM set the time is left out and the syslog prefix "<n>" is used instead. */
void log_write(enum log_level level, const char *fmt, ...) MUSTER_PRINTF(2, 3);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

/* For lines that somebody outside can cause: some in a minute, and how many more there were. Logs
 * live on flash too. Zero-initialised is ready to use. */
struct log_gate {
    int64_t since_ms;
    unsigned written, left_out;
};
/* True: write the line now. `now_ms` as clock_boot_ms gives it; `counter` says where all of them
 * are counted. */
bool log_gate_pass(struct log_gate *gate, int64_t now_ms, const char *counter) MUSTER_CHECK;

/* Call once at start; `program` is kept by reference. */
void log_init(const char *program, enum log_level level);

#endif
