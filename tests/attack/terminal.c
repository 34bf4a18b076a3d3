/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/attack/terminal.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LONGEST = 8 * 1024 * 1024, /* of the files here */
    TURNS_MOST = 10000,        /* of a loop that comes to rest after a few */
};

/* ---- what it tells ---- */

static void on_fetch(void *ctx, const uint8_t (*blobs)[32], const uint64_t *sizes, size_t count)
{
    (void)sizes;
    (void)ctx;
    (void)blobs;
    (void)count;
}

static void on_event(void *ctx, const Muster__Event *event)
{
    struct terminal *terminal = ctx;
    if (event->kind != MUSTER__EVENT_KIND__EVENT_REFUSED &&
        event->kind != MUSTER__EVENT_KIND__EVENT_APPLY_FAILED)
        return;
    terminal->failed = true;
    terminal->told = event->refusal;
}

static void on_changed(void *ctx)
{
    (void)ctx;
}

static int64_t now_of(void *ctx)
{
    return ((const struct terminal *)ctx)->now_ms;
}

/* ---- open, turn, close ---- */

/* The root is installed once, and what came after it is in the registry's folder. */
static void open_roots(struct terminal *terminal, struct bytes root)
{
    char path[TERMINAL_PATH + 16];
    struct err err = {0};
    must(path_join(path, sizeof path, terminal->state, "root.bin", &err), "path", &err);
    if (!file_exists(path))
        must(file_write(path, root, 0600, &err), path, &err);
    must(roots_open(path, terminal->registry, &terminal->roots, &err), "its roots", &err);
}

void terminal_open(struct terminal *terminal, const char *state, const struct fleet_device *device,
                   struct bytes root)
{
    static const struct registrar_events events = {
        .fetch = on_fetch, .event = on_event, .changed = on_changed};
    struct err err = {0};
    *terminal = (struct terminal){.now_ms = 1000000};
    terminal->clock = (struct clock){.wall_ms = now_of, .boot_ms = now_of, .ctx = terminal};
    (void)snprintf(terminal->state, sizeof terminal->state, "%s", state);
    must(path_join(terminal->registry, sizeof terminal->registry, state, "registry", &err), "path",
         &err);
    char floors[TERMINAL_PATH + 16];
    must(path_join(floors, sizeof floors, state, "floors", &err), "path", &err);
    struct registrar_settings settings = {.dir = terminal->registry,
                                          .floors = floors,
                                          .device = device->name,
                                          .sealing_key = device->sealing_key,
                                          .hook = "",
                                          .hook_limit_ms = 10000,
                                          .quota_bytes = INT64_C(8) * 1024 * 1024};
    must(file_make_dir(terminal->registry, 0700, &err), "its folder", &err);
    must(uv_loop_init(&terminal->loop) == 0, "a loop", NULL);
    open_roots(terminal, root);
    must(registrar_open(&terminal->loop, &terminal->clock, &settings, terminal->roots.trust,
                        &events, terminal, &terminal->registrar, &err),
         "its registrar", &err);
    registrar_tell(terminal->registrar);
}

static void on_closed(void *ctx)
{
    ((struct terminal *)ctx)->registrar = NULL;
}

void terminal_close(struct terminal *terminal)
{
    registrar_close(terminal->registrar, on_closed, terminal);
    (void)uv_run(&terminal->loop, UV_RUN_DEFAULT);
    must(terminal->registrar == NULL, "it did not close", NULL);
    must(uv_loop_close(&terminal->loop) == 0, "its loop", NULL);
    roots_done(&terminal->roots);
}

/* All that it does is a job on libuv's workers, and a job that ends begins the next. */
void terminal_settle(struct terminal *terminal)
{
    unsigned turns = 0;
    do {
        must(++turns < TURNS_MOST, "it goes on and on by itself", NULL);
        (void)uv_run(&terminal->loop, UV_RUN_NOWAIT);
        while (terminal->loop.active_reqs.count > 0)
            must(++turns < TURNS_MOST && uv_run(&terminal->loop, UV_RUN_ONCE) >= 0,
                 "it goes on and on by itself", NULL);
        (void)uv_run(&terminal->loop, UV_RUN_NOWAIT);
    } while (terminal->loop.active_reqs.count > 0);
}

bool terminal_manifest(struct terminal *terminal, struct bytes envelope, struct err *err)
{
    terminal->now_ms += 3600000; /* each refusal is told */
    return registrar_manifest(terminal->registrar, envelope, err);
}

static size_t fetch_some(struct terminal *terminal, const struct blobs *blobs, size_t most)
{
    uint8_t wanted[128][32];
    size_t count = registrar_lacks(terminal->registrar, wanted, 128), came = 0;
    for (size_t i = 0; i < count && i < 128 && came < most; i++) {
        const struct buf *blob = blobs_find(blobs, wanted[i]);
        struct err err = {0};
        if (blob == NULL)
            continue;
        if (registrar_blob(terminal->registrar, wanted[i], buf_bytes(blob), &err)) {
            came++;
        } else {
            terminal->failed = true;
            terminal->told = refusal_of(&err);
        }
    }
    terminal_settle(terminal);
    return came;
}

/* A list that comes makes its pieces wanted. */
void terminal_fetch(struct terminal *terminal, const struct blobs *blobs, size_t most)
{
    size_t came;
    terminal_settle(terminal);
    do {
        came = fetch_some(terminal, blobs, most);
        most -= came;
    } while (came > 0 && most > 0);
}

bool terminal_root(struct terminal *terminal, struct bytes root, struct err *err)
{
    bool taken = false;
    if (!roots_take(&terminal->roots, trust_version(terminal->roots.trust) + 1, root, &taken, err))
        return false;
    must(taken, "a root that is new and not taken", NULL);
    registrar_rooted(terminal->registrar);
    terminal_settle(terminal);
    return true;
}

/* ---- what it holds ---- */

struct sum {
    char dir[TERMINAL_PATH + 64];
    uint8_t of_all[32]; /* of the entries in any order */
    size_t documents;
};

static void file_sum(const char *path, const char *name, uint8_t ret_digest[32])
{
    struct buf content = {0};
    uint8_t digests[2][32];
    if (!file_read(path, LONGEST, &content, NULL))
        buf_clear(&content); /* a missing one counts as empty */
    sha256(bytes_of(name, strlen(name)), digests[0]);
    sha256(buf_bytes(&content), digests[1]);
    sha256(bytes_of(digests, sizeof digests), ret_digest);
    buf_done(&content);
}

static bool sum_entry(void *ctx, const char *name)
{
    struct sum *sum = ctx;
    char path[TERMINAL_PATH + 128];
    uint8_t digest[32];
    must(path_join(path, sizeof path, sum->dir, name, NULL), "path", NULL);
    file_sum(path, name, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        sum->of_all[i] ^= digest[i];
    sum->documents += name[0] != '.' ? 1 : 0;
    return true;
}

static void sum_documents(const struct terminal *terminal, struct sum *sum)
{
    *sum = (struct sum){0};
    must(path_join(sum->dir, sizeof sum->dir, terminal->registry, "current", NULL), "path", NULL);
    if (!file_list(sum->dir, sum_entry, sum, NULL))
        sum->documents = 0; /* nothing in force yet */
}

void terminal_held(const struct terminal *terminal, uint8_t ret_digest[32])
{
    static const char *const files[] = {"desired", "floors", "../floors"};
    struct sum sum;
    sum_documents(terminal, &sum);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[TERMINAL_PATH + 64];
        uint8_t digest[32];
        must(path_join(path, sizeof path, terminal->registry, files[i], NULL), "path", NULL);
        file_sum(path, files[i], digest);
        for (size_t j = 0; j < sizeof digest; j++)
            sum.of_all[j] ^= digest[j];
    }
    memcpy(ret_digest, sum.of_all, 32);
}

bool terminal_holds(const struct terminal *terminal, const struct draft *draft)
{
    struct sum sum;
    sum_documents(terminal, &sum);
    bool same = sum.documents == draft->count;
    for (size_t i = 0; i < draft->count && same; i++) {
        const struct document *document = &draft->items[i].document;
        char path[TERMINAL_PATH + 128];
        struct buf content = {0};
        const bool stays_sealed = document->kind == MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK;
        const struct bytes wanted = stays_sealed ? document->sealed : document->content;
        must(path_join(path, sizeof path, sum.dir, document->name, NULL), "path", NULL);
        same = file_read(path, wanted.length + 1, &content, NULL) &&
               bytes_equal(buf_bytes(&content), wanted);
        buf_done(&content);
    }
    return same;
}

bool terminal_converged(const struct terminal *terminal)
{
    struct arena arena = {0};
    Muster__StateReport state;
    struct err err = {0};
    must(registrar_state(terminal->registrar, &arena, &state, &err), "its state", &err);
    bool converged = state.converged;
    arena_done(&arena);
    return converged;
}

/* ---- copies ---- */

struct copying {
    const char *from, *to;
};

static bool copy_entry(void *ctx, const char *name)
{
    const struct copying *copying = ctx;
    char from[TERMINAL_PATH + 128], to[TERMINAL_PATH + 128], target[256];
    struct stat about;
    struct err err = {0};
    must(path_join(from, sizeof from, copying->from, name, &err) &&
             path_join(to, sizeof to, copying->to, name, &err) && lstat(from, &about) == 0,
         name, &err);
    if (S_ISDIR(about.st_mode)) {
        folder_copy(from, to);
    } else if (S_ISLNK(about.st_mode)) {
        ssize_t length = readlink(from, target, sizeof target - 1);
        must(length > 0, from, NULL);
        target[length] = '\0';
        must(symlink(target, to) == 0, to, NULL);
    } else {
        /* The registry replaces files and changes none. */
        must(link(from, to) == 0, to, NULL);
    }
    return true;
}

void folder_copy(const char *from, const char *to)
{
    struct copying copying = {.from = from, .to = to};
    struct err err = {0};
    must(mkdir(to, 0700) == 0 && file_list(from, copy_entry, &copying, &err), to, &err);
}
