/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/logs.h"

#include "agent/logs_guard.h"
#include "base/file.h"
#include "proto/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum {
    TEXT_TIMES = 16, /* logs shrink by about so much */
    LEVEL = 6,       /* in the little memory that the agent has */
    TRIES = 12,
    HEADING_BYTES = 640,
    LEAST_TEXT_BYTES = 1024,
};

size_t logs_text_limit(size_t limit_bytes)
{
    return limit_bytes < LIMIT_LOG_TEXT_BYTES / TEXT_TIMES ? limit_bytes * TEXT_TIMES
                                                           : LIMIT_LOG_TEXT_BYTES;
}

bool logs_hear(struct buf *said, struct bytes part, size_t max)
{
    said->limit = 2 * max + part.length + 1;
    if (!buf_append(said, part.data, part.length, NULL))
        return false;
    if (said->length > 2 * max) /* now and then, not with each part */
        buf_consume(said, said->length - max);
    return true;
}

/* ---- one source ---- */

/* A letter that neither digits nor dumped bytes have. */
static bool is_of_no_number(uint8_t c)
{
    return (c >= 'g' && c <= 'z') || (c >= 'G' && c <= 'Z');
}

/* From the first whole line on: half a card number is not known for one, nor in another form. */
static struct bytes whole_lines(struct bytes text, bool cut)
{
    size_t at = 0;
    if (!cut)
        return text;
    const uint8_t *end = text.length > 0 ? memchr(text.data, '\n', text.length) : NULL;
    if (end != NULL)
        at = (size_t)(end - text.data) + 1;
    else
        while (at < text.length && !is_of_no_number(text.data[at]))
            at++;
    return bytes_of(text.data + at, text.length - at);
}

static bool add_heading(struct buf *out, const char *name, const char *what, struct err *err)
{
    char line[HEADING_BYTES];
    int length = snprintf(line, sizeof line, "==== %.256s: %.300s ====\n", name, what);
    return length > 0 && buf_append(out, line, (size_t)length, err);
}

static bool add_text(struct buf *out, const char *name, struct bytes text, uint64_t size,
                     size_t share, struct err *err)
{
    char what[96];
    size_t kept = text.length < share ? text.length : share;
    if (kept > 0)
        text = whole_lines(bytes_of(text.data + (text.length - kept), kept), size > kept);
    (void)snprintf(what, sizeof what, "the newest %zu of %" PRIu64 " bytes", text.length, size);
    return add_heading(out, name, what, err) &&
           (text.length == 0 || buf_append(out, text.data, text.length, err)) &&
           (text.length == 0 || text.data[text.length - 1] == '\n' ||
            buf_append(out, "\n", 1, err));
}

/* One that cannot be read is said to be so, and the others are sent. */
static bool add_file(struct buf *out, const char *path, size_t share, struct err *err)
{
    struct err why = {0};
    struct buf tail = {.limit = share + 1};
    uint64_t size = 0;
    bool ok = file_tail(path, share, &tail, &size, &why);
    if (ok)
        ok = add_text(out, path, buf_bytes(&tail), size, share, err);
    else
        ok = add_heading(out, path, why.text, err);
    buf_done(&tail);
    return ok;
}

/* ---- all of them ---- */

static size_t split(char *list, char *paths[LOGS_SOURCES_MAX])
{
    size_t count = 0;
    for (char *rest = list, *path; (path = strsep(&rest, ",")) != NULL;)
        if (path[0] != '\0' && count < LOGS_SOURCES_MAX)
            paths[count++] = path;
    return count;
}

static bool gather(const struct logs_order *order, size_t max, struct buf *text, struct err *err)
{
    char list[2048], *paths[LOGS_SOURCES_MAX];
    if (snprintf(list, sizeof list, "%s", order->files) >= (int)sizeof list)
        return err_set(err, ERR_INVALID, "the list of log files is too long");
    size_t count = split(list, paths);
    size_t sources = count + (order->asked ? 1 : 0);
    size_t share = sources > 0 ? max / sources : 0;
    bool ok = true;
    text->limit = max + (sources + 1) * (HEADING_BYTES + 1);
    for (size_t i = 0; ok && i < count; i++)
        ok = add_file(text, paths[i], share, err);
    if (ok && order->asked)
        ok = add_text(text, "the log program", order->said, order->said_bytes, share, err);
    return ok;
}

static bool fold(struct bytes text, struct buf *frame, struct err *err)
{
    size_t bound = ZSTD_compressBound(text.length);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    frame->limit = bound;
    uint8_t *room = context != NULL ? buf_reserve(frame, bound, err) : NULL;
    bool ok =
        room != NULL || err_set(err, ERR_NO_MEMORY, "no memory to compress %zu bytes", text.length);
    if (ok) {
        (void)ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, LEVEL);
        (void)ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
        size_t size = ZSTD_compress2(context, room, bound, text.data, text.length);
        ok = !ZSTD_isError(size) || err_set(err, ERR_INVALID, "zstd: %s", ZSTD_getErrorName(size));
        frame->length = ok ? size : 0;
    }
    (void)ZSTD_freeCCtx(context);
    return ok;
}

static bool make(const struct logs_order *order, size_t max, struct logs_bundle *bundle,
                 struct err *err)
{
    struct buf text = {0};
    logs_done(bundle);
    bool ok = gather(order, max, &text, err) && logs_guard(&text, &bundle->masked, err);
    if (ok) {
        bundle->text_bytes = text.length;
        ok = fold(buf_bytes(&text), &bundle->frame, err);
    }
    buf_done(&text);
    return ok;
}

bool logs_make(const struct logs_order *order, struct logs_bundle *ret_bundle, struct err *err)
{
    struct logs_bundle bundle = {0};
    size_t max = logs_text_limit(order->limit_bytes);
    for (unsigned i = 0; i < TRIES; i++) {
        if (!make(order, max, &bundle, err)) {
            logs_done(&bundle);
            return false;
        }
        if (bundle.frame.length <= order->limit_bytes) {
            *ret_bundle = bundle;
            return true;
        }
        /* By as much as it is too long, and a little more. */
        size_t fits =
            (size_t)((double)max * (double)order->limit_bytes / (double)bundle.frame.length * 0.9);
        max = fits > LEAST_TEXT_BYTES ? fits : max / 2;
    }
    logs_done(&bundle);
    return err_set(err, ERR_FULL, "not even the newest lines fit into %zu bytes",
                   order->limit_bytes);
}

void logs_done(struct logs_bundle *bundle)
{
    buf_done(&bundle->frame);
    *bundle = (struct logs_bundle){0};
}
