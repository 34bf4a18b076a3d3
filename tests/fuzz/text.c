/* SPDX-License-Identifier: Apache-2.0 */
/* Small parsers of text: a list of brokers, UTF-8 of foreign programs, lines of a pipe, base64 of
 * the API, libmosquitto's log of what a broker sends. The first byte chooses. */
#include "agent/lines.h"
#include "base/brokers.h"
#include "base/mqtt_guard.h"
#include "base/utf8.h"
#include "fleet/base64.h"
#include "tests/fuzz/world.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char *text_of(struct bytes in)
{
    char *text = strndup((const char *)in.data, in.length);
    HOLDS(text);
    return text;
}

/* What is read is written the same, and then reads as the same list. */
static void try_brokers(struct bytes in)
{
    char *text = text_of(in), again[BROKERS_MAX * 300] = "";
    struct broker_list list, second;
    struct err err = {0};
    if (brokers_parse(text, &list, &err)) {
        HOLDS(list.count >= 1 && list.count <= BROKERS_MAX);
        for (size_t i = 0; i < list.count; i++) {
            size_t at = strlen(again);
            HOLDS(memchr(list.brokers[i].host, 0, sizeof list.brokers[i].host));
            (void)snprintf(again + at, sizeof again - at, i ? ", " : "");
            at = strlen(again);
            broker_format(&list.brokers[i], again + at, sizeof again - at);
        }
        HOLDS(brokers_parse(again, &second, NULL) && second.count == list.count);
        for (size_t i = 0; i < list.count; i++) {
            HOLDS(strcmp(list.brokers[i].host, second.brokers[i].host) == 0);
            HOLDS(strcmp(list.brokers[i].port, second.brokers[i].port) == 0);
            HOLDS(list.brokers[i].numeric == second.brokers[i].numeric);
        }
    } else {
        HOLDS(err.code == ERR_INVALID && err.text[0]);
    }
    free(text);
}

static void try_utf8(struct bytes in)
{
    char *text = text_of(in), *clean = text_of(in);
    size_t length = strlen(text);
    bool valid = utf8_valid(bytes_of(text, length));
    utf8_clean(clean);
    HOLDS(strlen(clean) == length && utf8_valid(bytes_of(clean, length)));
    HOLDS((strcmp(text, clean) == 0) == valid);
    for (size_t at = 0; at < length;) {
        uint32_t code = 0;
        size_t step = utf8_next(bytes_of(clean + at, length - at), &code);
        HOLDS(step >= 1 && step <= 4 && code <= 0x10ffff && utf8_columns(code) <= 2);
        at += step;
    }
    free(text);
    free(clean);
}

/* The input several times over, so that lines can be longer than is allowed. */
static void try_lines(struct bytes in)
{
    struct buf file = {0};
    struct lines lines;
    size_t at = 0, times = 1 + fuzz_byte(&in) % 8;
    uint64_t number = 0;
    for (size_t i = 0; in.length && i < times; i++)
        HOLDS(buf_append(&file, in.data, in.length, NULL));
    int fd = open(fuzz_file(buf_bytes(&file)), O_RDONLY | O_CLOEXEC);
    HOLDS(fd >= 0);
    lines_init(&lines, fd);
    do {
        struct line line;
        HOLDS(lines_read(&lines, NULL));
        while (lines_next(&lines, &line)) {
            const uint8_t *begin = file.data + at;
            const uint8_t *end = memchr(begin, '\n', file.length - at);
            size_t length = end ? (size_t)(end - begin) : file.length - at;
            HOLDS(line.number == ++number && line.too_long == (length > LINES_MAX_BYTES));
            HOLDS(line.too_long ? line.text.length == 0
                                : bytes_equal(line.text, bytes_of(begin, length)));
            at += length + (end ? 1 : 0);
        }
    } while (!lines.eof);
    HOLDS(at == file.length);
    lines_done(&lines);
    (void)close(fd);
    buf_done(&file);
}

static void try_base64(struct bytes in)
{
    struct buf raw = {0}, text = {0}, again = {0};
    if (base64_decode((const char *)in.data, in.length, &raw, NULL)) {
        HOLDS(base64_encode(buf_bytes(&raw), &text, NULL));
        HOLDS(bytes_equal(buf_bytes(&text), in));
    }
    buf_clear(&text);
    HOLDS(base64_encode(in, &text, NULL));
    HOLDS(base64_decode((const char *)text.data, text.length, &again, NULL));
    HOLDS(bytes_equal(buf_bytes(&again), in));
    buf_done(&raw);
    buf_done(&text);
    buf_done(&again);
}

/* Lines of the log, one packet each. A topic in them may say anything. */
static void try_guard(struct bytes in)
{
    char *text = text_of(in), *rest = text;
    struct mqtt_guard guard = {.subscribes = 1};
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        bool packet = false;
        bool owed = guard.pubacks > 0;
        const char *why = mqtt_guard_line(&guard, line, "t-01", &packet);
        HOLDS(packet == mqtt_guard_is(line, "t-01", " received "));
        HOLDS(packet || !why);
        HOLDS(!(packet && owed) || why); /* acknowledged, and never sent */
        HOLDS(!packet || !strstr(line, "received PUBREL") || why ||
              strncmp(line, "Client t-01 received PUBREL", 27) != 0);
        HOLDS((mqtt_guard_settle(&guard) != NULL) == (guard.pubacks > 0));
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct bytes in) = {try_brokers, try_utf8, try_lines, try_base64,
                                                     try_guard};
    struct bytes in = bytes_of(data, size);
    if (size == 0)
        return 0;
    size_t which = fuzz_byte(&in) % (sizeof tries / sizeof tries[0]);
    tries[which](in);
    return 0;
}
