/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/oracle/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY_BYTES = 32, LINE_CHARS = 256 };

struct oracle_log {
    int fd;
};

bool oracle_log_open(const char *path, struct oracle_log **ret_log, struct err *err)
{
    struct oracle_log *log = calloc(1, sizeof *log);
    if (log == NULL)
        return err_set(err, ERR_NO_MEMORY, "%s: no memory", path);
    log->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (log->fd < 0) {
        free(log);
        return err_errno(err, errno, "%s: cannot open", path);
    }
    *ret_log = log;
    return true;
}

void oracle_log_close(struct oracle_log *log)
{
    if (log == NULL)
        return;
    (void)close(log->fd);
    free(log);
}

static bool append(struct oracle_log *log, const char *line, int length, struct err *err)
{
    if (length <= 0 || length >= LINE_CHARS)
        return err_set(err, ERR_INVALID, "a line of %d characters for the oracle's log", length);
    ssize_t written = write(log->fd, line, (size_t)length);
    if (written == length)
        return true;
    return err_errno(err, written < 0 ? errno : ENOSPC, "cannot append to the oracle's log");
}

static bool key_text(struct bytes key, char text[2 * KEY_BYTES + 1], struct err *err)
{
    if (key.length == 0 || key.length > KEY_BYTES)
        return err_set(err, ERR_INVALID, "a key of %zu bytes: expected 1 to %d", key.length,
                       KEY_BYTES);
    hex_encode(key.data, key.length, text);
    return true;
}

bool oracle_log_submitted(struct oracle_log *log, const struct oracle_result *result,
                          struct err *err)
{
    char key[2 * KEY_BYTES + 1], line[LINE_CHARS];
    if (!key_text(result->key, key, err))
        return false;
    const char *code = result->code != NULL && result->code[0] != '\0' ? result->code : "-";
    int length = snprintf(line, sizeof line, "s %s %s %" PRIu32 " %" PRIu64 " %s\n", result->device,
                          key, result->stan, result->amount_minor, code);
    return append(log, line, length, err);
}

bool oracle_log_answered(struct oracle_log *log, const char *device, struct bytes key,
                         uint64_t incarnation, uint64_t seq, struct err *err)
{
    char text[2 * KEY_BYTES + 1], line[LINE_CHARS];
    if (!key_text(key, text, err))
        return false;
    int length = snprintf(line, sizeof line, "a %s %s %016" PRIx64 " %" PRIu64 "\n", device, text,
                          incarnation, seq);
    return append(log, line, length, err);
}
