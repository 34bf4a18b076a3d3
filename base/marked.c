/* SPDX-License-Identifier: Apache-2.0 */
#include "base/marked.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    ENVIRON_BYTES = 16 * 1024, /* is looked at of each */
    ROUNDS = 64,               /* while one is looked at, it may start another */
};

static size_t read_of(pid_t pid, const char *name, char out[ENVIRON_BYTES + 1])
{
    char path[48];
    size_t length = 0;
    (void)snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && length < ENVIRON_BYTES) {
        ssize_t n = read(fd, out + length, ENVIRON_BYTES - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        length += (size_t)n;
    }
    if (fd >= 0)
        (void)close(fd);
    out[length] = '\0';
    return length;
}

static bool has_entry(pid_t pid, const char *entry)
{
    char text[ENVIRON_BYTES + 1];
    size_t length = read_of(pid, "environ", text);
    for (size_t at = 0; at < length; at += strlen(text + at) + 1)
        if (strcmp(text + at, entry) == 0)
            return true;
    return false;
}

/* Waits for a medium: it ends, and starts nothing before it does. */
static bool is_stuck(pid_t pid)
{
    char text[ENVIRON_BYTES + 1];
    (void)read_of(pid, "stat", text);
    const char *state = strrchr(text, ')'); /* behind its name, which may hold anything */
    return state != NULL && strncmp(state, ") D", 3) == 0;
}

struct look {
    const char *entry;
    /* True: there may be others by now that were not seen. */
    bool (*act)(const struct look *look, pid_t pid, int fd);
    int64_t file_bytes;
};

/* Its number may be another's as soon as it is gone: held, it is looked at once more. */
static bool look_at(const struct look *look, pid_t pid)
{
    int fd = has_entry(pid, look->entry) ? pidfd_open(pid, 0) : -1;
    if (fd < 0)
        return false;
    bool again = has_entry(pid, look->entry) && look->act(look, pid, fd);
    (void)close(fd);
    return again;
}

static bool look_at_all(DIR *processes, const struct look *look)
{
    bool again = false;
    const struct dirent *process;
    rewinddir(processes);
    while ((process = readdir(processes)) != NULL) {
        if (!isdigit((unsigned char)process->d_name[0]))
            continue;
        long pid = strtol(process->d_name, NULL, 10);
        if (pid > 1 && pid != (long)getpid())
            again = look_at(look, (pid_t)pid) || again;
    }
    return again;
}

static void look_until_none(const struct look *look)
{
    DIR *processes = opendir("/proc");
    if (processes == NULL)
        return;
    for (int round = 0; round < ROUNDS && look_at_all(processes, look); round++)
        continue;
    (void)closedir(processes);
}

static bool end_one(const struct look *look, pid_t pid, int fd)
{
    (void)look;
    return pidfd_send_signal(fd, SIGKILL, NULL, 0) == 0 && !is_stuck(pid);
}

void marked_end(const char *entry)
{
    const struct look look = {.entry = entry, .act = end_one};
    look_until_none(&look);
}

static bool limit_one(const struct look *look, pid_t pid, int fd)
{
    const struct rlimit longest = {(rlim_t)look->file_bytes, (rlim_t)look->file_bytes};
    struct rlimit before;
    (void)fd;
    return prlimit(pid, RLIMIT_FSIZE, &longest, &before) == 0 &&
           before.rlim_cur != longest.rlim_cur;
}

void marked_limit(const char *entry, int64_t file_bytes)
{
    const struct look look = {.entry = entry, .act = limit_one, .file_bytes = file_bytes};
    look_until_none(&look);
}
