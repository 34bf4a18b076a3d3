/* SPDX-License-Identifier: Apache-2.0 */
#include "base/child.h"

#include "base/marked.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    OUTPUT_BYTES = 8192,
    DISCARD_BYTES = 4096,
    PIPE_BYTES = 64 * 1024, /* what a pipe holds: read after the child's end, and no more */
    MARK_BYTES = 40,
};

struct child {
    uv_process_t process;
    uv_timer_t limit;
    uv_pipe_t pipe;
    unsigned open_handles;
    void (*heard)(void *ctx, struct bytes part); /* NULL: the beginning is kept, no more */
    void (*done)(void *ctx, const struct child_result *result);
    void *ctx;
    struct child_result result;
    char mark[MARK_BYTES]; /* in the environment of all that it starts, "": in none */
    size_t output_length;
    char output[OUTPUT_BYTES + 1];
    char discard[DISCARD_BYTES];
};

static void on_handle_closed(uv_handle_t *handle)
{
    struct child *child = handle->data;
    if (--child->open_handles > 0)
        return;
    child->output[child->output_length] = '\0';
    child->result.output = child->output;
    child->done(child->ctx, &child->result);
    free(child);
}

static void on_failed_spawn_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* The kept output first, then the place where the rest is thrown away. */
static uv_buf_t room_for_output(struct child *child)
{
    size_t room = OUTPUT_BYTES - child->output_length;
    if (room > 0)
        return uv_buf_init(child->output + child->output_length, (unsigned)room);
    return uv_buf_init(child->discard, DISCARD_BYTES);
}

static void output_came(struct child *child, size_t length)
{
    if (child->heard != NULL)
        child->heard(child->ctx, bytes_of(room_for_output(child).base, length));
    if (child->output_length < OUTPUT_BYTES)
        child->output_length += length;
    else
        child->result.truncated = true;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    *buf = room_for_output(handle->data);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    (void)buf;
    if (n > 0)
        output_came(stream->data, (size_t)n);
    else if (n < 0)
        (void)uv_read_stop(stream);
}

/* Takes what the child wrote just before its end. A process that left the group may hold the pipe
 * open for ever, so the end of the file is not waited for. */
static void drain(struct child *child)
{
    uv_os_fd_t fd = -1;
    if (uv_fileno((uv_handle_t *)&child->pipe, &fd) != 0)
        return;
    for (size_t total = 0; total < PIPE_BYTES;) {
        uv_buf_t room = room_for_output(child);
        ssize_t n = read(fd, room.base, room.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        output_came(child, (size_t)n);
        total += (size_t)n;
    }
}

static void on_child_exit(uv_process_t *process, int64_t status, int signal)
{
    struct child *child = process->data;
    child->result.exit_status = signal != 0 ? -1 : (int)status;
    child->result.signal = signal;
    /* Nothing that the child started in its group outlives it. */
    (void)kill(-process->pid, SIGKILL);
    if (child->mark[0] != '\0') /* nor what has left it */
        marked_end(child->mark);
    drain(child);
    uv_close((uv_handle_t *)&child->process, on_handle_closed);
    uv_close((uv_handle_t *)&child->limit, on_handle_closed);
    uv_close((uv_handle_t *)&child->pipe, on_handle_closed);
}

static void on_limit(uv_timer_t *timer)
{
    struct child *child = timer->data;
    child->result.timed_out = true;
    (void)kill(-child->process.pid, SIGKILL);
}

/* `input_fd`: -1 for a child that has nothing to read. */
static int spawn(uv_loop_t *loop, struct child *child, char *const argv[], char *const env[],
                 const char *cwd, int input_fd, int output_fd)
{
    static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", lang[] = "LANG=C";
    char *const plain_env[] = {path, lang, child->mark[0] != '\0' ? child->mark : NULL, NULL};
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = output_fd},
        {.flags = UV_INHERIT_FD, .data.fd = output_fd},
    };
    if (input_fd >= 0) {
        stdio[0] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = input_fd};
        stdio[2].flags = UV_IGNORE;
    }
    uv_process_options_t options = {
        .exit_cb = on_child_exit,
        .file = argv[0],
        .args = (char **)argv,
        .env = (char **)(env != NULL ? env : plain_env),
        .cwd = cwd,
        .flags = UV_PROCESS_DETACHED, /* a session, so a process group, of its own */
        .stdio_count = 3,
        .stdio = stdio,
    };
    return uv_spawn(loop, &child->process, &options);
}

static void watch(uv_loop_t *loop, struct child *child, int read_fd, int64_t limit_ms)
{
    (void)uv_timer_init(loop, &child->limit);
    (void)uv_pipe_init(loop, &child->pipe, 0);
    child->limit.data = child;
    child->pipe.data = child;
    child->open_handles = 3;
    (void)uv_timer_start(&child->limit, on_limit, limit_ms > 0 ? (uint64_t)limit_ms : 0, 0);
    if (uv_pipe_open(&child->pipe, read_fd) != 0)
        (void)close(read_fd); /* the child runs without its output being kept */
    else
        (void)uv_read_start((uv_stream_t *)&child->pipe, on_alloc, on_read);
}

/* NULL: it does not run. `mark` may be NULL. */
static struct child *run(uv_loop_t *loop, char *const argv[], char *const env[], const char *cwd,
                         const char *mark, int input_fd, int64_t limit_ms,
                         void (*done)(void *ctx, const struct child_result *result), void *ctx,
                         struct err *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) {
        err_errno(err, errno, "cannot make a pipe for %s", argv[0]);
        return NULL;
    }
    struct child *child = calloc(1, sizeof *child);
    if (child == NULL) {
        (void)close(fds[0]);
        (void)close(fds[1]);
        err_set(err, ERR_NO_MEMORY, "no memory to run %s", argv[0]);
        return NULL;
    }
    child->done = done;
    child->ctx = ctx;
    child->process.data = child;
    (void)snprintf(child->mark, sizeof child->mark, "%s", mark != NULL ? mark : "");
    int failed = spawn(loop, child, argv, env, cwd, input_fd, fds[1]);
    (void)close(fds[1]);
    if (failed != 0) {
        (void)close(fds[0]);
        uv_close((uv_handle_t *)&child->process, on_failed_spawn_closed);
        err_errno(err, -failed, "cannot run %s", argv[0]);
        return NULL;
    }
    watch(loop, child, fds[0], limit_ms);
    return child;
}

bool child_run(uv_loop_t *loop, char *const argv[], char *const env[], const char *cwd,
               int64_t limit_ms, void (*done)(void *ctx, const struct child_result *result),
               void *ctx, struct err *err)
{
    return run(loop, argv, env, cwd, NULL, -1, limit_ms, done, ctx, err) != NULL;
}

bool child_run_alone(uv_loop_t *loop, char *const argv[], const char *cwd, int64_t limit_ms,
                     int64_t file_bytes, void (*done)(void *ctx, const struct child_result *result),
                     void *ctx, struct err *err)
{
    char mark[MARK_BYTES];
    (void)snprintf(mark, sizeof mark, "MUSTER_RUN=%" PRIx64, uv_hrtime());
    struct child *child = run(loop, argv, NULL, cwd, mark, -1, limit_ms, done, ctx, err);
    if (child == NULL)
        return false;
    child->result.file_bytes = file_bytes;
    if (file_bytes > 0)
        marked_limit(mark, file_bytes); /* and what it has started by now */
    return true;
}

void child_signal_words(const struct child_result *result, char *ret_words, size_t size)
{
    if (result->signal == SIGXFSZ && result->file_bytes > 0)
        (void)snprintf(ret_words, size, "wrote a file of more than %" PRId64 " bytes and was ended",
                       result->file_bytes);
    else
        (void)snprintf(ret_words, size, "was ended by signal %d", result->signal);
}

bool child_run_heard(uv_loop_t *loop, char *const argv[], int64_t limit_ms,
                     void (*heard)(void *ctx, struct bytes part),
                     void (*done)(void *ctx, const struct child_result *result), void *ctx,
                     struct err *err)
{
    struct child *child = run(loop, argv, NULL, NULL, NULL, -1, limit_ms, done, ctx, err);
    if (child != NULL)
        child->heard = heard; /* nothing is read before the loop turns */
    return child != NULL;
}

/* All of it fits into the pipe before there is a child, so nothing of it has to be kept for later.
 * Where the system gives a user little room for pipes, one begins as a page. */
static bool fill_pipe(int fds[2], struct bytes input, struct err *err)
{
    if (input.length > CHILD_INPUT_BYTES)
        return err_set(err, ERR_INVALID, "%zu bytes for a child's stdin, at most %d", input.length,
                       CHILD_INPUT_BYTES);
    if (pipe2(fds, O_CLOEXEC) != 0)
        return err_errno(err, errno, "cannot make a pipe");
    (void)fcntl(fds[1], F_SETPIPE_SZ, CHILD_INPUT_BYTES);
    (void)fcntl(fds[1], F_SETFL, O_NONBLOCK);
    ssize_t n = write(fds[1], input.data, input.length);
    (void)close(fds[1]);
    if (n >= 0 && (size_t)n == input.length)
        return true;
    (void)close(fds[0]);
    return err_set(err, ERR_FULL, "no pipe here takes %zu bytes at once", input.length);
}

bool child_run_fed(uv_loop_t *loop, char *const argv[], char *const env[], struct bytes input,
                   int64_t limit_ms, void (*done)(void *ctx, const struct child_result *result),
                   void *ctx, struct err *err)
{
    int fds[2];
    if (!fill_pipe(fds, input, err))
        return false;
    bool started = run(loop, argv, env, NULL, NULL, fds[0], limit_ms, done, ctx, err) != NULL;
    (void)close(fds[0]);
    return started;
}
