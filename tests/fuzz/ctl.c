/* SPDX-License-Identifier: Apache-2.0 */
/* What a server that is not musterd answers to musterctl: the first byte chooses the command, the
 * second the status. What is printed must be UTF-8 that a terminal does not obey. */
#include "fleet/ctl.h"
#include "base/utf8.h"
#include "tests/fuzz/world.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EXIT_CODES = EXIT_NOT_FOUND + 1 };

struct peer {
    int listening;
    unsigned status;
    struct bytes says;
};

static void say(int fd, const void *data, size_t length)
{
    (void)send(fd, data, length, MSG_NOSIGNAL);
}

/* One request, one answer. */
static void *run(void *ctx)
{
    struct peer *peer = ctx;
    char heard[8192], head[128];
    size_t got = 0;
    int fd = accept4(peer->listening, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return NULL;
    for (ssize_t n = 1; n > 0 && got < sizeof heard - 1; got += (size_t)n) {
        heard[got] = '\0';
        if (strstr(heard, "\r\n\r\n"))
            break;
        n = recv(fd, heard + got, sizeof heard - 1 - got, 0);
        if (n <= 0)
            break;
    }
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 %u x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n",
                          peer->status, peer->says.length);
    say(fd, head, (size_t)length);
    say(fd, peer->says.data, peer->says.length);
    (void)shutdown(fd, SHUT_WR);
    while (recv(fd, heard, sizeof heard, 0) > 0)
        continue;
    (void)close(fd);
    return NULL;
}

static void check_text(struct bytes text, bool json)
{
    uint32_t code = 0;
    for (size_t at = 0, step; at < text.length; at += step) {
        step = utf8_next(bytes_of(text.data + at, text.length - at), &code);
        HOLDS(step > 0);
        bool control = code != '\n' && utf8_obeyed(code);
        /* JSON is for programs: only what it must escape is. */
        HOLDS(!control || (json && code >= 0x7f));
    }
}

static void run_command(const struct ctl_command *command, bool whole, struct ctl *ctl)
{
    static char device[] = "t-01";
    static char *const words[] = {device};
    struct ctl_args args;
    struct err err = {0};
    char *text = NULL;
    size_t length = 0;
    ctl->out = open_memstream(&text, &length);
    HOLDS(ctl->out);
    HOLDS(ctl_args_read(&args, command->options, NULL, words,
                        command->argument_count + (whole ? 0 : command->optional_count), &err));
    int code = command->run(ctl, &args, &err);
    HOLDS(code >= 0 && code < EXIT_CODES && fclose(ctl->out) == 0);
    HOLDS(code == EXIT_OK || err.code != ERR_NONE);
    check_text(bytes_of(text, length), ctl->json);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ctl_command *const commands[] = {
        &ctl_get_devices, &ctl_get_documents, &ctl_describe_device, &ctl_errors, &ctl_audit};
    static const unsigned statuses[] = {200, 200, 200, 400, 403, 404, 409, 500};
    static int listening = -1;
    static char path[FUZZ_PATH_BYTES];
    struct bytes in = bytes_of(data, size);
    char server[FUZZ_PATH_BYTES + 8];
    pthread_t thread;
    if (size < 2)
        return 0;
    if (listening < 0) {
        (void)fuzz_dir();
        fuzz_path("api.sock", path);
        listening = fuzz_listen(path);
    }
    (void)snprintf(server, sizeof server, "unix:%s", path);
    uint8_t which = fuzz_byte(&in);
    struct peer peer = {.listening = listening, .status = statuses[fuzz_byte(&in) % 8]};
    peer.says = in;
    struct ctl ctl = {.server = server, .clock = &clock_real, .json = which & 0x80};
    HOLDS(client_open(server, &ctl.client, NULL));
    HOLDS(pthread_create(&thread, NULL, run, &peer) == 0);
    run_command(commands[which % 0x40 % (sizeof commands / sizeof commands[0])], which & 0x40,
                &ctl);
    client_close(ctl.client);
    HOLDS(pthread_join(thread, NULL) == 0);
    return 0;
}
