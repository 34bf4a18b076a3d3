/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/sse.h"

#include <string.h>

enum { LINE_BYTES = SSE_DATA_BYTES };

void sse_begin(struct sse *sse)
{
    buf_clear(&sse->line);
    buf_clear(&sse->data);
    sse->name[0] = '\0';
    memcpy(sse->next_id, sse->id, sizeof sse->id);
    sse->after_cr = false;
    sse->line.limit = LINE_BYTES;
    sse->data.limit = SSE_DATA_BYTES;
}

void sse_done(struct sse *sse)
{
    buf_done(&sse->line);
    buf_done(&sse->data);
}

/* An empty line: what was said is an event, if it said anything. */
static bool dispatch(struct sse *sse)
{
    bool ok = true;
    memcpy(sse->id, sse->next_id, sizeof sse->id);
    if (sse->data.length > 0) {
        const struct sse_event event = {
            .name = sse->name[0] != '\0' ? sse->name : "message",
            .data = bytes_of(sse->data.data, sse->data.length - 1)}; /* without its last newline */
        ok = sse->event(sse->ctx, &event);
    }
    buf_clear(&sse->data);
    sse->name[0] = '\0';
    return ok;
}

/* What does not fit is left as it was: our musterd says nothing so long. */
static void keep(char *to, size_t max, struct bytes value)
{
    if (value.length > max || memchr(value.data, '\0', value.length) != NULL)
        return;
    memcpy(to, value.data, value.length);
    to[value.length] = '\0';
}

static bool is(struct bytes field, const char *name)
{
    return field.length == strlen(name) && memcmp(field.data, name, field.length) == 0;
}

static bool take_line(struct sse *sse)
{
    const struct bytes line = buf_bytes(&sse->line);
    if (line.length == 0)
        return dispatch(sse);
    const uint8_t *colon = memchr(line.data, ':', line.length);
    const size_t length = colon != NULL ? (size_t)(colon - line.data) : line.length;
    const struct bytes field = bytes_of(line.data, length);
    size_t from = length < line.length ? length + 1 : length;
    if (from < line.length && line.data[from] == ' ')
        from++;
    const struct bytes value = bytes_of(line.data + from, line.length - from);
    if (is(field, "event"))
        keep(sse->name, SSE_NAME_CHARS, value);
    else if (is(field, "id"))
        keep(sse->next_id, SSE_ID_CHARS, value);
    else if (is(field, "data"))
        return buf_append(&sse->data, value.data, value.length, NULL) &&
               buf_append(&sse->data, "\n", 1, NULL);
    return true; /* comments, and what we do not know */
}

bool sse_take(struct sse *sse, struct bytes part)
{
    for (size_t i = 0; i < part.length; i++) {
        const uint8_t c = part.data[i];
        const bool second = sse->after_cr && c == '\n'; /* of CR LF */
        sse->after_cr = c == '\r';
        if (second)
            continue;
        if (c != '\n' && c != '\r') {
            if (!buf_append(&sse->line, &c, 1, NULL))
                return false;
            continue;
        }
        const bool ok = take_line(sse);
        buf_clear(&sse->line);
        if (!ok)
            return false;
    }
    return true;
}
