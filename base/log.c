/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/clock.h"
#include "base/mask.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TEXT_BYTES = 1024,
    LINE_BYTES = TEXT_BYTES + 128,
    GATE_WINDOW_MS = 60000,
    GATE_WINDOW_LINES = 20,
};

static struct {
    const char *program;
    enum log_level level;
    bool journal;
} state = {.program = "muster", .level = LOG_INFO};

void log_init(const char *program, enum log_level level)
{
    state.program = program;
    state.level = level;
    state.journal = getenv("JOURNAL_STREAM") != NULL;
}

static const char *level_name(enum log_level level)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    return names[level];
}

/* As syslog(3) numbers them. */
static int syslog_priority(enum log_level level)
{
    static const int priorities[] = {3, 4, 6, 7};
    return priorities[level];
}

static void replace_control_characters(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

void log_write(enum log_level level, const char *fmt, ...)
{
    if (level > state.level)
        return;
    char text[TEXT_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    replace_control_characters(text);
    (void)mask_card_numbers(text, strlen(text));

    char line[LINE_BYTES];
    int n = 0;
    if (state.journal) {
        n = snprintf(line, sizeof line, "<%d>%.40s: %s\n", syslog_priority(level), state.program,
                     text);
    } else {
        char time[32];
        clock_format(clock_wall_ms(&clock_real), time);
        n = snprintf(line, sizeof line, "%s %s %.40s: %s\n", time, level_name(level), state.program,
                     text);
    }
    /* One write, so that lines of several processes do not mix. A log that cannot be written has
     * nobody to tell. */
    ssize_t written = write(STDERR_FILENO, line, (size_t)n);
    (void)written;
}

bool log_gate_pass(struct log_gate *gate, int64_t now_ms, const char *counter)
{
    if (gate->written == 0 || now_ms - gate->since_ms >= GATE_WINDOW_MS) {
        if (gate->left_out > 0)
            log_warn("%u more lines like this were left out, see %s", gate->left_out, counter);
        *gate = (struct log_gate){.since_ms = now_ms};
    }
    if (gate->written == GATE_WINDOW_LINES) {
        gate->left_out++;
        return false;
    }
    gate->written++;
    return true;
}
