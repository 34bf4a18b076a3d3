/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peers-syslog: an application that writes its results to the unix socket of a syslog daemon, one
 * datagram each, base64 behind the usual head, as syslog(3) would. Accepted is what the socket
 * took: nothing more is ever said there.
 * Usage: peers-syslog --socket PATH --records FILE --marks FILE --count N
 */
#include "tests/bench/peers/load.h"
#include "tests/world/options.h"

#include <errno.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { RETRY_MS = 5, LINE_BYTES = 64 + LOAD_RECORD_MAX * 4 / 3 + 4 };

static int open_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (descriptor >= 0 &&
        connect(descriptor, (const struct sockaddr *)&address, sizeof address) == 0)
        return descriptor;
    if (descriptor >= 0)
        (void)close(descriptor);
    return -1;
}

static size_t make_line(const struct load_record *record, char line[LINE_BYTES])
{
    int head = snprintf(line, LINE_BYTES, "<134>Jan  1 00:00:00 till: ");
    int text = EVP_EncodeBlock((unsigned char *)line + head, record->body, (int)record->length);
    return (size_t)head + (size_t)text;
}

/* Waits while the daemon does not read, and while it is not there. */
static void write_line(const char *path, int *descriptor, const char *line, size_t length)
{
    for (;;) {
        if (*descriptor < 0)
            *descriptor = open_socket(path);
        if (*descriptor >= 0 && send(*descriptor, line, length, MSG_NOSIGNAL) == (ssize_t)length)
            return;
        if (*descriptor >= 0 && errno != EINTR) {
            (void)close(*descriptor);
            *descriptor = -1;
        }
        (void)poll(NULL, 0, RETRY_MS);
    }
}

int main(int argc, char **argv)
{
    const char *socket_path = NULL, *records = NULL, *marks = NULL, *count_text = NULL;
    const struct option_text options[] = {{"--socket", &socket_path},
                                          {"--records", &records},
                                          {"--marks", &marks},
                                          {"--count", &count_text},
                                          {0}};
    uint64_t count = 0;
    struct load load = {0};
    struct load_record record;
    struct err err = {0};
    int descriptor = -1;
    if (!options_read(argc, argv, options, &err) ||
        !options_number("--count", count_text, &count, &err) ||
        !load_open(records, marks, count, &load, &err)) {
        (void)fprintf(stderr, "peers-syslog: %s\n", err.text);
        return EXIT_FAILURE;
    }
    while (load_next(&load, &record)) {
        char line[LINE_BYTES];
        write_line(socket_path, &descriptor, line, make_line(&record, line));
        load_accepted(&load, record.index);
    }
    if (descriptor >= 0)
        (void)close(descriptor);
    load_close(&load);
    return EXIT_SUCCESS;
}
