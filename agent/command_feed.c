/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command_feed.h"

#include "agent/client_txn.h"
#include "agent/client_wire.h"
#include "agent/lines.h"
#include "agent/txn_input.h"
#include "base/clock.h"
#include "proto/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum {
    WINDOW = 256, /* requests under way */
    RECONNECT_MS = 50,
    NO_DEADLINE_MS = 24 * 60 * 60 * 1000, /* for a turn in which nothing is under way */
};

struct slot {
    uint64_t id; /* 0: free */
    uint64_t line;
    struct buf request; /* kept to be sent again */
};

struct feed {
    const struct command_options *options;
    const char *source;
    struct client_wire wire;
    struct lines lines;
    struct slot slots[WINDOW];
    unsigned under_way;
    uint64_t last_id;
    int64_t last_progress_ms;
    uint64_t total, stored, duplicates, refused, failed;
};

static struct slot *slot_of(struct feed *feed, uint64_t id)
{
    return &feed->slots[id % WINDOW];
}

/* An answer may overtake another, so a slot can be taken although the window has room. */
static bool has_room(struct feed *feed)
{
    return slot_of(feed, feed->last_id + 1)->id == 0;
}

static void say_line(const struct feed *feed, uint64_t line, const char *why)
{
    command_say(feed->options, "%s:%" PRIu64 ": %s", feed->source, line, why);
}

/* ---- lines to requests ---- */

static bool is_blank(struct bytes text)
{
    for (size_t i = 0; i < text.length; i++)
        if (strchr(" \t\r", text.data[i]) == NULL || text.data[i] == '\0')
            return false;
    return true;
}

static bool pack_line(struct bytes text, uint64_t id, struct buf *out, struct err *err)
{
    struct txn_input input;
    uint8_t made[16];
    if (!txn_input_json(&input, (const char *)text.data, text.length, err))
        return false;
    struct bytes key = bytes_of(input.txn.idempotency_key.data, input.txn.idempotency_key.length);
    if (key.length == 0) {
        random_bytes(made, sizeof made);
        key = bytes_of(made, sizeof made);
    }
    return client_txn_pack(&input.txn, key, NULL, id, out, err);
}

static bool submit(struct feed *feed, const struct line *line, struct err *err)
{
    if (!line->too_long && is_blank(line->text))
        return true;
    feed->total++;
    uint64_t id = feed->last_id + 1;
    struct slot *slot = slot_of(feed, id);
    struct err why = {0};
    buf_clear(&slot->request);
    if (line->too_long)
        err_set(&why, ERR_INVALID, "longer than %d bytes", LINES_MAX_BYTES);
    if (line->too_long || !pack_line(line->text, id, &slot->request, &why)) {
        feed->refused++;
        say_line(feed, line->number, why.text);
        return true;
    }
    if (feed->under_way == 0)
        feed->last_progress_ms = clock_boot_ms(&clock_real);
    feed->last_id = id;
    slot->id = id;
    slot->line = line->number;
    feed->under_way++;
    /* While there is no connection the slot keeps it, and the next connection takes it. */
    return feed->wire.fd < 0 || client_wire_queue(&feed->wire, buf_bytes(&slot->request), err);
}

static bool take_lines(struct feed *feed, struct err *err)
{
    struct line line;
    while (has_room(feed) && lines_next(&feed->lines, &line))
        if (!submit(feed, &line, err))
            return false;
    return true;
}

/* ---- answers ---- */

static bool settle(struct feed *feed, struct bytes frame, struct err *err)
{
    struct client_reply reply = {0};
    if (!client_txn_unpack(frame, &reply, err))
        return false;
    struct slot *slot = slot_of(feed, reply.request_id);
    if (reply.request_id == 0 || slot->id != reply.request_id)
        return err_set(err, ERR_IO, "an answer to no request of ours");
    switch (reply.answer.status) {
    case MUSTER_STORED:
        feed->stored++;
        break;
    case MUSTER_DUPLICATE:
        feed->duplicates++;
        break;
    case MUSTER_INVALID:
        feed->refused++;
        say_line(feed, slot->line, reply.answer.text);
        break;
    default:
        feed->failed++;
        say_line(feed, slot->line, reply.answer.text);
        break;
    }
    slot->id = 0;
    feed->under_way--;
    feed->last_progress_ms = clock_boot_ms(&clock_real);
    return true;
}

static bool take_answers(struct feed *feed, struct err *err)
{
    for (;;) {
        struct bytes frame = {0};
        if (!client_wire_next(&feed->wire, &frame, err))
            return false;
        if (frame.data == NULL)
            return true;
        if (!settle(feed, frame, err)) {
            client_wire_close(&feed->wire);
            return false;
        }
    }
}

/* ---- the connection ---- */

static bool resend(struct feed *feed, struct err *err)
{
    for (uint64_t id = feed->last_id < WINDOW ? 1 : feed->last_id - WINDOW + 1; id <= feed->last_id;
         id++) {
        const struct slot *slot = slot_of(feed, id);
        if (slot->id == id && !client_wire_queue(&feed->wire, buf_bytes(&slot->request), err))
            return false;
    }
    return true;
}

/* An agent that restarts is back soon; one that is not back by then is told as the error. */
static bool reconnect(struct feed *feed, int64_t until_ms, struct err *err)
{
    while (!client_wire_connect(&feed->wire, until_ms, err)) {
        if (err->code != ERR_UNAVAILABLE || clock_boot_ms(&clock_real) >= until_ms)
            return false;
        (void)poll(NULL, 0, RECONNECT_MS);
    }
    return resend(feed, err);
}

static int64_t deadline_of(const struct feed *feed)
{
    if (feed->under_way == 0)
        return clock_boot_ms(&clock_real) + NO_DEADLINE_MS;
    return feed->last_progress_ms + feed->options->deadline_ms;
}

/* One wait for answers, room to send, or more input. */
static bool turn(struct feed *feed, struct err *err)
{
    bool readable = false;
    int watch_fd = !feed->lines.eof && has_room(feed) ? feed->lines.fd : -1;
    if (feed->under_way > 0 && feed->wire.fd < 0 && !reconnect(feed, deadline_of(feed), err))
        return false;
    if (!client_wire_turn(&feed->wire, watch_fd, deadline_of(feed), &readable, err)) {
        bool lost = err->code == ERR_UNAVAILABLE;
        bool idle = err->code == ERR_TIMEOUT && feed->under_way == 0;
        return lost || idle; /* the next turn connects again, if there is anything to send */
    }
    return !readable || lines_read(&feed->lines, err);
}

static bool run(struct feed *feed, struct err *err)
{
    int64_t until_ms = clock_boot_ms(&clock_real) + feed->options->deadline_ms;
    if (!client_wire_connect(&feed->wire, until_ms, err))
        return false;
    for (;;) {
        if (!take_answers(feed, err) || !take_lines(feed, err))
            return false;
        if (feed->lines.eof && feed->under_way == 0)
            return true;
        if (!turn(feed, err))
            return false;
    }
}

/* ---- the end ---- */

static uint64_t first_unconfirmed(const struct feed *feed)
{
    uint64_t first = 0;
    for (int i = 0; i < WINDOW; i++)
        if (feed->slots[i].id != 0 && (first == 0 || feed->slots[i].line < first))
            first = feed->slots[i].line;
    return first;
}

static int print_summary(const struct feed *feed)
{
    if (feed->options->json)
        return command_print_json(
            feed->options,
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "lines", (json_int_t)feed->total, "stored",
                      (json_int_t)feed->stored, "duplicate", (json_int_t)feed->duplicates,
                      "refused", (json_int_t)feed->refused, "failed", (json_int_t)feed->failed,
                      "unconfirmed", (json_int_t)feed->under_way));
    (void)printf("%" PRIu64 " lines: %" PRIu64 " stored, %" PRIu64 " stored before, %" PRIu64
                 " refused, %" PRIu64 " failed, %u unconfirmed\n",
                 feed->total, feed->stored, feed->duplicates, feed->refused, feed->failed,
                 feed->under_way);
    return EXIT_OK;
}

static int finish(struct feed *feed, bool ok, const struct err *err)
{
    if (!ok && feed->under_way > 0)
        command_say(feed->options,
                    "%s: %u lines were not confirmed, the first is %" PRIu64
                    ": feed them again; those with an idempotency_key count once",
                    feed->source, feed->under_way, first_unconfirmed(feed));
    int exit_code = ok ? EXIT_OK : command_fail(feed->options, err);
    int printed = print_summary(feed);
    if (exit_code == EXIT_OK && feed->failed > 0)
        exit_code = EXIT_SYSTEM;
    if (exit_code == EXIT_OK && feed->refused > 0)
        exit_code = EXIT_INPUT;
    return exit_code != EXIT_OK ? exit_code : printed;
}

int command_feed(const struct command_options *options, const char *path)
{
    bool standard_input = strcmp(path, "-") == 0;
    struct feed feed = {.options = options, .source = standard_input ? "stdin" : path};
    struct err err = {0};
    if (!client_wire_init(&feed.wire, options->socket_path, LIMIT_CLIENT_FRAME_BYTES, &err))
        return command_fail(options, &err);
    int fd = standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err_errno(&err, errno, "cannot open %s", path);
        return command_fail(options, &err);
    }
    lines_init(&feed.lines, fd);
    bool ok = run(&feed, &err);
    int exit_code = finish(&feed, ok, &err);
    client_wire_done(&feed.wire);
    lines_done(&feed.lines);
    for (int i = 0; i < WINDOW; i++)
        buf_done(&feed.slots[i].request);
    if (!standard_input)
        (void)close(fd);
    return exit_code;
}
