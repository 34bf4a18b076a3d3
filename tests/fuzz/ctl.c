/* SPDX-License-Identifier: Apache-2.0 */
/* What a server that is not musterd answers to musterctl: the first byte chooses the command, the
 * second the status. A command that asks several times is answered in parts, by what it asks. What
 * is printed must be UTF-8 that a terminal does not obey. And two texts that are compared. */
#include "fleet/ctl.h"
#include "base/utf8.h"
#include "fleet/ctl_compare.h"
#include "fleet/tablediff.h"
#include "proto/seal.h"
#include "tests/fuzz/world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zstd.h>

enum { EXIT_CODES = EXIT_NOT_FOUND + 1 };

enum { PART_DOCUMENTS, PART_BLOB, PART_PLAN, PARTS, SEPARATOR = 0x1e };

struct peer {
    int listening;
    unsigned status;
    struct bytes says[PARTS];
    atomic_bool over;
};

static void say(int fd, const void *data, size_t length)
{
    (void)send(fd, data, length, MSG_NOSIGNAL);
}

/* What was asked, up to the empty line. */
static void hear(int fd, char *heard, size_t room)
{
    size_t got = 0;
    for (ssize_t n = 1; n > 0 && got < room - 1; got += (size_t)n) {
        heard[got] = '\0';
        if (strstr(heard, "\r\n\r\n"))
            return;
        n = recv(fd, heard + got, room - 1 - got, 0);
        if (n <= 0)
            return;
    }
}

static void answer(const struct peer *peer, int fd)
{
    char heard[8192] = "", head[128];
    hear(fd, heard, sizeof heard);
    int part = strstr(heard, "/blobs/")         ? PART_BLOB
               : strstr(heard, "/assignments ") ? PART_PLAN
                                                : PART_DOCUMENTS;
    struct bytes says = peer->says[part];
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 %u x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n",
                          peer->status, says.length);
    say(fd, head, (size_t)length);
    say(fd, says.data, says.length);
    (void)shutdown(fd, SHUT_WR);
    while (recv(fd, heard, sizeof heard, 0) > 0)
        continue;
}

/* Until it is over, which one more connection tells. */
static void *run(void *ctx)
{
    struct peer *peer = ctx;
    for (;;) {
        int fd = accept4(peer->listening, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return NULL;
        if (atomic_load(&peer->over)) {
            (void)close(fd);
            return NULL;
        }
        answer(peer, fd);
        (void)close(fd);
    }
}

/* Gives the n-th part of what is behind the separators. */
static struct bytes part_of(struct bytes in, size_t n)
{
    for (;; n--) {
        const uint8_t *end = in.length > 0 ? memchr(in.data, SEPARATOR, in.length) : NULL;
        size_t length = end ? (size_t)(end - in.data) : in.length;
        if (n == 0)
            return bytes_of(in.data, length);
        length += end ? 1 : 0;
        in = bytes_of(in.data + length, in.length - length);
    }
}

/* A run of 64 such letters becomes the hash. */
static void put_hash(struct buf *text, char letter, struct bytes content)
{
    char run_of[65], hex[65];
    uint8_t digest[32];
    memset(run_of, letter, 64);
    sha256(content, digest);
    hex_encode(digest, sizeof digest, hex);
    for (uint8_t *at = text->data;
         text->data &&
         (at = memmem(at, (size_t)(text->data + text->length - at), run_of, 64)) != NULL;)
        memcpy(at, hex, 64);
}

/* Documents whose blob is the second part: 64 times 'b' stands for its hash, 64 times 'c' for that
 * of what it unfolds to. */
static struct buf documents_of(struct bytes in)
{
    static uint8_t content[1 << 16];
    struct bytes text = part_of(in, PART_DOCUMENTS), blob = part_of(in, PART_BLOB);
    struct buf documents = {0};
    size_t made = ZSTD_decompress(content, sizeof content, blob.data, blob.length);
    HOLDS(buf_append(&documents, text.data, text.length, NULL));
    put_hash(&documents, 'b', blob);
    put_hash(&documents, 'c', bytes_of(content, ZSTD_isError(made) ? 0 : made));
    return documents;
}

static void check_text(struct bytes text, bool json, bool rows)
{
    uint32_t code = 0;
    for (size_t at = 0, step; at < text.length; at += step) {
        step = utf8_next(bytes_of(text.data + at, text.length - at), &code);
        HOLDS(step > 0);
        bool line_end =
            code == '\n' || (code == '\r' && at + 1 < text.length && text.data[at + 1] == '\n');
        bool control = !line_end && utf8_obeyed(code) && !(rows && code == '\t');
        /* JSON is for programs: only what it must escape is. */
        HOLDS(!control || (json && code >= 0x7f));
    }
}

struct call {
    const struct ctl_command *command;
    const char *words[4];
    bool several; /* it asks more than once */
};

static void run_command(const struct call *call, bool whole, struct ctl *ctl)
{
    const struct ctl_command *command = call->command;
    struct ctl_args args;
    struct err err = {0};
    char *text = NULL;
    size_t length = 0, words = 0;
    ctl->out = open_memstream(&text, &length);
    HOLDS(ctl->out);
    while (call->several && words < 4 && call->words[words])
        words++;
    if (!call->several)
        words = command->argument_count + (whole ? 0 : command->optional_count);
    HOLDS(ctl_args_read(&args, command->options, NULL, (char *const *)(uintptr_t)call->words, words,
                        &err));
    int code = command->run(ctl, &args, &err);
    HOLDS(code >= 0 && code < EXIT_CODES && fclose(ctl->out) == 0);
    HOLDS(code == EXIT_OK || err.code != ERR_NONE);
    check_text(bytes_of(text, length), ctl->json, call->several);
    free(text);
}

static void try_command(const struct call *call, uint8_t which, struct bytes in)
{
    static const unsigned statuses[] = {200, 200, 200, 400, 403, 404, 409, 500};
    static int listening = -1;
    static char path[FUZZ_PATH_BYTES];
    char server[FUZZ_PATH_BYTES + 8];
    pthread_t thread;
    if (listening < 0) {
        (void)fuzz_dir();
        fuzz_path("api.sock", path);
        listening = fuzz_listen(path);
    }
    (void)snprintf(server, sizeof server, "unix:%s", path);
    struct peer peer = {.listening = listening, .status = statuses[fuzz_byte(&in) % 8]};
    struct buf documents = {0};
    if (call->several) {
        documents = documents_of(in);
        for (size_t i = 0; i < PARTS; i++)
            peer.says[i] = i == PART_DOCUMENTS ? buf_bytes(&documents) : part_of(in, i);
    } else {
        for (size_t i = 0; i < PARTS; i++)
            peer.says[i] = in;
    }
    struct ctl ctl = {.server = server, .clock = &clock_real, .json = which & 0x80};
    HOLDS(client_open(server, &ctl.client, NULL));
    HOLDS(pthread_create(&thread, NULL, run, &peer) == 0);
    run_command(call, which & 0x40, &ctl);
    client_close(ctl.client);
    atomic_store(&peer.over, true);
    int last = fuzz_connect(path);
    HOLDS(pthread_join(thread, NULL) == 0);
    (void)close(last);
    buf_done(&documents);
}

/* ---- two texts ---- */

static struct tablediff diff_of(enum tablediff_form form, struct bytes before, struct bytes after)
{
    struct tablediff diff;
    HOLDS(tablediff_make(form, NULL, before, after, &diff, NULL));
    HOLDS(diff.count == diff.added + diff.removed + diff.changed);
    return diff;
}

/* Every row of either text is told of once, and the other way round it is the same. */
static void check_sums(enum tablediff_form form, struct bytes before, struct bytes after)
{
    const struct bytes nothing = bytes_of("", 0);
    struct tablediff there = diff_of(form, before, after), back = diff_of(form, after, before);
    struct tablediff old = diff_of(form, nothing, before), now = diff_of(form, nothing, after);
    struct tablediff same = diff_of(form, after, after);
    HOLDS(there.removed + there.changed + there.same == old.added);
    HOLDS(there.added + there.changed + there.same == now.added);
    HOLDS(back.added == there.removed && back.changed == there.changed);
    HOLDS(same.count == 0 && same.same == now.added && !same.reordered);
    tablediff_done(&there);
    tablediff_done(&back);
    tablediff_done(&old);
    tablediff_done(&now);
    tablediff_done(&same);
}

static void try_compare(struct bytes in)
{
    uint8_t how = fuzz_byte(&in);
    struct bytes before = part_of(in, 0), after = part_of(in, 1);
    const struct ctl_contents contents = {
        .kind = (Muster__DocumentKind)(how % 6),
        .key = how & 0x40 ? "aid" : NULL,
        .before = before,
        .after = after,
        .rows_max = how & 0x80 ? 2 : SIZE_MAX,
    };
    json_t *compared = NULL;
    struct err err = {0};
    check_sums(how & 0x20 ? TABLEDIFF_SETTINGS : TABLEDIFF_TABLE, before, after);
    if (ctl_compare(&contents, &compared, &err)) {
        const json_t *rows = json_object_get(compared, "rows");
        size_t told = (size_t)(ctl_number(rows, "added") + ctl_number(rows, "removed") +
                               ctl_number(rows, "changed"));
        size_t listed = json_array_size(json_object_get(compared, "changes"));
        HOLDS(listed == (told < contents.rows_max ? told : contents.rows_max));
        HOLDS(json_is_object(json_object_get(compared, "bytes")));
        json_decref(compared);
    } else {
        HOLDS(err.code != ERR_NONE && err.text[0]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct call calls[] = {
        {&ctl_get_devices, {"t-01"}, false},
        {&ctl_get_documents, {"t-01"}, false},
        {&ctl_describe_device, {"t-01"}, false},
        {&ctl_errors, {"t-01"}, false},
        {&ctl_audit, {"t-01"}, false},
        {&ctl_plan, {"aid.tsv", "--device", "t-01", "--mode=repair"}, true},
        {&ctl_plan, {"aid.tsv", "--device", "t-01", "--remove"}, true},
        {&ctl_diff, {"aid.tsv", "1", "2"}, true},
        {&ctl_get_keys, {"--amiss"}, false},
        {&ctl_device_history, {"t-01"}, false},
        {&ctl_get_stores, {NULL}, false},
        {&ctl_get_groups, {NULL}, false},
        {&ctl_get_duties, {NULL}, false},
        {&ctl_device_export, {NULL}, false},
    };
    enum { CALLS = sizeof calls / sizeof *calls };
    struct bytes in = bytes_of(data, size);
    if (size < 2)
        return 0;
    uint8_t which = fuzz_byte(&in);
    size_t call = which % 0x40 % (CALLS + 1);
    if (call < CALLS)
        try_command(&calls[call], which, in);
    else
        try_compare(in);
    return 0;
}
