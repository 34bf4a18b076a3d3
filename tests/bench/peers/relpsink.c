/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peers-relpsink: the receiving end of RELP over TLS, a thread for each connection (rsyslog opens
 * one for its queue in memory and one for that on disk): each syslog frame is answered with 200 and
 * written to the sink's database. Runs until SIGTERM.
 * Usage: peers-relpsink --port N --ca FILE --cert FILE --key FILE --database FILE
 */
#include "tests/bench/peers/load.h"
#include "tests/bench/peers/sink.h"
#include "tests/world/options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024, HEAD_BYTES = 128, FRAME_MAX = 16 * 1024, CONNECTIONS_MAX = 64 };

struct server {
    struct sink *sink;
    pthread_mutex_t mutex; /* of the sink, and of what went wrong */
    struct err err;
    SSL_CTX *tls;
    const char *ca, *certificate, *key, *database;
    pthread_t threads[CONNECTIONS_MAX];
    size_t thread_count;
};

struct connection {
    struct server *server;
    int descriptor;
    struct buf in, out;
};

static volatile sig_atomic_t ending;

static void on_signal(int number)
{
    (void)number;
    ending = 1;
}

static bool answer(struct connection *connection, unsigned number, const char *text,
                   struct err *err)
{
    char head[HEAD_BYTES];
    int length = snprintf(head, sizeof head, "%u rsp %zu %s\n", number, strlen(text), text);
    return buf_append(&connection->out, head, (size_t)length, err);
}

/* The text ends with base64 of a record. */
static bool take_line(struct connection *connection, const char *text, size_t length,
                      struct err *err)
{
    uint8_t body[FRAME_MAX];
    const char *last = memrchr(text, ' ', length);
    const char *start = last == NULL ? text : last + 1;
    size_t chars = length - (size_t)(start - text);
    int bytes = EVP_DecodeBlock(body, (const unsigned char *)start, (int)chars);
    for (size_t i = chars; bytes > 0 && i > 0 && start[i - 1] == '='; i--)
        bytes--; /* it decodes the padding too */
    if (bytes <= 0)
        return err_set(err, ERR_INVALID, "a line that is no record: %.60s", text);
    struct server *server = connection->server;
    (void)pthread_mutex_lock(&server->mutex);
    bool done = sink_add(server->sink, bytes_of(body, (size_t)bytes), err);
    (void)pthread_mutex_unlock(&server->mutex);
    return done;
}

static bool take_frame(struct connection *connection, unsigned number, const char *command,
                       const char *text, size_t length, struct err *err)
{
    if (strcmp(command, "open") == 0)
        return answer(connection, number,
                      "200 OK\nrelp_version=0\nrelp_software=peers\ncommands=syslog", err);
    if (strcmp(command, "syslog") == 0)
        return take_line(connection, text, length, err) &&
               answer(connection, number, "200 OK", err);
    return answer(connection, number, "200 OK", err);
}

/* One frame from `at`: "NUMBER COMMAND LENGTH TEXT\n". *ret_bytes 0: not all of it is there. */
static bool take_next(struct connection *connection, const char *at, size_t left, size_t *ret_bytes,
                      struct err *err)
{
    char head[HEAD_BYTES], command[17];
    unsigned number = 0;
    size_t length = 0;
    int head_length = 0;
    *ret_bytes = 0;
    (void)snprintf(head, sizeof head, "%.*s",
                   (int)(left < sizeof head - 1 ? left : sizeof head - 1), at);
    int found = sscanf(head, "%u %16s %zu%n", &number, command, &length, &head_length);
    if (found != 3)
        return left < sizeof head || err_set(err, ERR_INVALID, "no RELP frame: %.40s", head);
    size_t total = (size_t)head_length + (length > 0 ? 1 : 0) + length + 1;
    if (length > FRAME_MAX)
        return err_set(err, ERR_INVALID, "a RELP frame of %zu bytes", length);
    if (left < total) /* its length may be cut off too, but then the frame is longer still */
        return true;
    *ret_bytes = total;
    return take_frame(connection, number, command, at + head_length + 1, length, err);
}

static bool take_frames(struct connection *connection, struct err *err)
{
    const char *data = (const char *)connection->in.data;
    size_t at = 0, bytes = 1;
    while (at < connection->in.length && bytes > 0) {
        if (!take_next(connection, data + at, connection->in.length - at, &bytes, err))
            return false;
        at += bytes;
    }
    memmove(connection->in.data, connection->in.data + at, connection->in.length - at);
    connection->in.length -= at;
    return true;
}

/* Until the client leaves. */
static bool serve(struct connection *connection, SSL *ssl, struct err *err)
{
    uint8_t chunk[READ_BYTES];
    while (!ending) {
        struct pollfd wait = {.fd = connection->descriptor, .events = POLLIN};
        if (SSL_pending(ssl) == 0 && poll(&wait, 1, SINK_COMMIT_MS) <= 0)
            continue;
        int length = SSL_read(ssl, chunk, sizeof chunk);
        if (length <= 0)
            return true;
        if (!buf_append(&connection->in, chunk, (size_t)length, err) ||
            !take_frames(connection, err))
            return false;
        if (connection->out.length > 0 &&
            SSL_write(ssl, connection->out.data, (int)connection->out.length) <= 0)
            return true;
        buf_clear(&connection->out);
    }
    return true;
}

static void *run_connection(void *ctx)
{
    struct connection *connection = ctx;
    struct server *server = connection->server;
    struct err err = {0};
    SSL *ssl = SSL_new(server->tls);
    if (ssl != NULL && SSL_set_fd(ssl, connection->descriptor) == 1 && SSL_accept(ssl) == 1 &&
        !serve(connection, ssl, &err)) {
        (void)pthread_mutex_lock(&server->mutex);
        server->err = err;
        (void)pthread_mutex_unlock(&server->mutex);
    }
    SSL_free(ssl);
    (void)close(connection->descriptor);
    buf_done(&connection->in);
    buf_done(&connection->out);
    free(connection);
    return NULL;
}

static int listen_on(uint16_t port)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(port),
                                        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int yes = 1, descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0 || setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(descriptor, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(descriptor, 8) != 0)
        return -1;
    return descriptor;
}

static bool start_connection(struct server *server, int descriptor, struct err *err)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL || server->thread_count == CONNECTIONS_MAX) {
        free(connection);
        (void)close(descriptor);
        return err_set(err, ERR_FULL, "more than %d connections, or no memory", CONNECTIONS_MAX);
    }
    *connection = (struct connection){.server = server, .descriptor = descriptor};
    (void)printf("connected\n");
    (void)fflush(stdout);
    if (pthread_create(&server->threads[server->thread_count], NULL, run_connection, connection) !=
        0) {
        free(connection);
        (void)close(descriptor);
        return err_set(err, ERR_NO_MEMORY, "no thread");
    }
    server->thread_count++;
    return true;
}

static bool turn(struct server *server, struct err *err)
{
    (void)pthread_mutex_lock(&server->mutex);
    *err = server->err;
    bool done = err->code == ERR_NONE && sink_turn(server->sink, err);
    (void)pthread_mutex_unlock(&server->mutex);
    return done;
}

static bool run(struct server *server, uint16_t port, struct err *err)
{
    int listening = listen_on(port);
    if (listening < 0)
        return err_errno(err, errno, "127.0.0.1:%u", (unsigned)port);
    (void)printf("listening\n");
    (void)fflush(stdout);
    bool done = true;
    while (done && !ending) {
        struct pollfd wait = {.fd = listening, .events = POLLIN};
        done = turn(server, err);
        if (done && poll(&wait, 1, SINK_COMMIT_MS) > 0)
            done = start_connection(server, accept(listening, NULL, NULL), err);
    }
    ending = 1;
    for (size_t i = 0; i < server->thread_count; i++)
        (void)pthread_join(server->threads[i], NULL);
    (void)close(listening);
    return done;
}

static bool open_tls(struct server *server, struct err *err)
{
    server->tls = SSL_CTX_new(TLS_server_method());
    if (server->tls != NULL &&
        SSL_CTX_use_certificate_chain_file(server->tls, server->certificate) == 1 &&
        SSL_CTX_use_PrivateKey_file(server->tls, server->key, SSL_FILETYPE_PEM) == 1 &&
        SSL_CTX_load_verify_locations(server->tls, server->ca, NULL) == 1) {
        SSL_CTX_set_verify(server->tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        return true;
    }
    return err_set(err, ERR_INVALID, "TLS: the certificates cannot be used");
}

int main(int argc, char **argv)
{
    static struct server server = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    const char *port_text = NULL;
    const struct option_text options[] = {{"--port", &port_text},           {"--ca", &server.ca},
                                          {"--cert", &server.certificate},  {"--key", &server.key},
                                          {"--database", &server.database}, {0}};
    const struct sigaction end = {.sa_handler = on_signal};
    uint64_t port = 0;
    struct err err = {0};
    (void)sigaction(SIGTERM, &end, NULL);
    bool done = options_read(argc, argv, options, &err) &&
                options_number("--port", port_text, &port, &err) && open_tls(&server, &err) &&
                sink_open(server.database, &server.sink, &err) &&
                run(&server, (uint16_t)port, &err);
    sink_close(server.sink);
    SSL_CTX_free(server.tls);
    if (!done)
        (void)fprintf(stderr, "peers-relpsink: %s\n", err.text);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
