/* SPDX-License-Identifier: Apache-2.0 */
#include "base/strays.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ENVIRON_BYTES = 16 * 1024, /* is looked at of each */
    ROUNDS = 64,               /* while one is ended, it may start another */
};

static size_t read_environ(long pid, char out[ENVIRON_BYTES + 1])
{
    char path[48];
    size_t length = 0;
    (void)snprintf(path, sizeof path, "/proc/%ld/environ", pid);
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

static bool has_entry(long pid, const char *entry)
{
    char text[ENVIRON_BYTES + 1];
    size_t length = read_environ(pid, text);
    for (size_t at = 0; at < length; at += strlen(text + at) + 1)
        if (strcmp(text + at, entry) == 0)
            return true;
    return false;
}

/* True: there was one. */
static bool end_those_seen(DIR *processes, const char *entry)
{
    bool found = false;
    const struct dirent *process;
    rewinddir(processes);
    while ((process = readdir(processes)) != NULL) {
        if (!isdigit((unsigned char)process->d_name[0]))
            continue;
        long pid = strtol(process->d_name, NULL, 10);
        if (pid <= 1 || pid == (long)getpid() || !has_entry(pid, entry))
            continue;
        found = kill((pid_t)pid, SIGKILL) == 0 || found;
    }
    return found;
}

void strays_end(const char *entry)
{
    DIR *processes = opendir("/proc");
    if (processes == NULL)
        return;
    for (int round = 0; round < ROUNDS && end_those_seen(processes, entry); round++)
        continue;
    (void)closedir(processes);
}
