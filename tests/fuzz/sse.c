/* SPDX-License-Identifier: Apache-2.0 */
/* Server-sent events as a musterd that is none might send them: whole, and in pieces as large as
 * the first byte says. Both ways the same events come of it, and none is longer than allowed. */
#include "fleet/sse.h"
#include "tests/fuzz/world.h"

#include <string.h>

struct heard {
    uint64_t sum;
    size_t count;
};

static bool on_event(void *ctx, const struct sse_event *event)
{
    struct heard *heard = ctx;
    HOLDS(strlen(event->name) > 0 && strlen(event->name) <= SSE_NAME_CHARS);
    HOLDS(event->data.length < SSE_DATA_BYTES);
    heard->count++;
    for (size_t i = 0; i < event->data.length; i++)
        heard->sum = heard->sum * 31 + event->data.data[i];
    for (const char *c = event->name; *c != '\0'; c++)
        heard->sum = heard->sum * 31 + (unsigned char)*c;
    return true;
}

static struct heard hear(struct bytes in, size_t piece, char id[SSE_ID_CHARS + 1])
{
    struct heard heard = {0};
    struct sse sse = {.event = on_event, .ctx = &heard};
    bool ok = true;
    sse_begin(&sse);
    while (ok && in.length > 0)
        ok = sse_take(&sse, fuzz_take(&in, piece));
    HOLDS(strlen(sse.id) <= SSE_ID_CHARS);
    memcpy(id, sse.id, sizeof sse.id);
    sse_done(&sse);
    return heard;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char whole_id[SSE_ID_CHARS + 1], pieces_id[SSE_ID_CHARS + 1];
    struct bytes in = bytes_of(data, size);
    const size_t piece = 1 + (size_t)fuzz_byte(&in);
    const struct heard whole = hear(in, size + 1, whole_id);
    const struct heard pieces = hear(in, piece, pieces_id);
    HOLDS(whole.count == pieces.count && whole.sum == pieces.sum);
    HOLDS(strcmp(whole_id, pieces_id) == 0);
    return 0;
}
