/* SPDX-License-Identifier: Apache-2.0 */
/* Power cuts under the terminal's registry. */
#include "base/file.h"
#include "proto/seal.h"
#include "storage/registry_roots.h"
#include "tests/crash/registry_seed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *begin(struct crash *crash)
{
    struct seed *seed = calloc(1, sizeof *seed);
    if (seed == NULL)
        crash_stop(crash, "no memory");
    seed->now.installed = seed->now.roots = 1;
    return seed;
}

static void end(struct crash *crash)
{
    free(crash->ctx);
}

/* ---- the work ---- */

static void must(struct crash *crash, bool ok, const struct err *err)
{
    if (!ok)
        crash_stop(crash, "%s", err->text);
}

static void step_end(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    seed->states[crash->log.step] = seed->now;
}

/* As content comes that is too long for memory. */
static bool in_parts(struct file_writer *writer, struct bytes content, struct err *err)
{
    size_t half = content.length / 2;
    if (file_writer_add(writer, bytes_of(content.data, half), err) &&
        file_writer_add(writer, bytes_of(content.data + half, content.length - half), err))
        return file_writer_keep(writer, err);
    file_writer_drop(writer);
    return false;
}

static void build_document(struct crash *crash, const struct generation *made, size_t document)
{
    struct seed *seed = crash->ctx;
    uint8_t content[CONTENT_MAX];
    char name[2];
    struct file_writer *writer = NULL;
    struct err err = {0};
    uint32_t number = made->documents[document];
    const struct generation *from = generation_of(&seed->now, seed->now.current);
    name_of(document, name);
    if (from != NULL && from->documents[document] == number)
        must(crash, registry_build_carry(seed->registry, made->number, from->number, name, &err),
             &err);
    else if (number == seed->now.download.content)
        download_build(crash, made->number, name);
    else if (number % 2 == 0)
        must(crash,
             registry_build_write(seed->registry, made->number, name, false,
                                  content_of(number, content), &err),
             &err);
    else
        must(crash,
             registry_build_stream(seed->registry, made->number, name, &writer, &err) &&
                 in_parts(writer, content_of(number, content), &err),
             &err);
}

/* What the generation that is built next is made of: some of it new, some as before. */
static struct generation draw_generation(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    const struct generation *from = generation_of(&seed->now, seed->now.current);
    struct generation made = {.number = seed->now.highest + 1};
    size_t downloaded =
        download_whole(&seed->now.download) ? crash_draw(crash, DOCUMENTS) : DOCUMENTS;
    for (size_t i = 0; i < DOCUMENTS; i++) {
        if (i == downloaded) {
            made.documents[i] = seed->now.download.content;
            continue;
        }
        if (crash_draw(crash, 5) == 0)
            continue;
        bool carry = from != NULL && from->documents[i] != 0 && crash_draw(crash, 2) == 0;
        made.documents[i] = carry ? from->documents[i] : ++seed->contents;
    }
    return made;
}

static void do_build(struct crash *crash)
{
    static struct registry_generation list;
    struct seed *seed = crash->ctx;
    struct err err = {0};
    struct generation made = draw_generation(crash);
    bool drop = crash_draw(crash, 8) == 0;
    crash->log.step++;
    must(crash, registry_build_begin(seed->registry, made.number, &err), &err);
    for (size_t i = 0; i < DOCUMENTS; i++) {
        if (made.documents[i] != 0)
            build_document(crash, &made, i);
    }
    list_of(&made, &list);
    must(crash, registry_build_finish(seed->registry, &list, bytes_of("manifest", 8), &err), &err);
    if (drop)
        must(crash, registry_build_drop(seed->registry, made.number, &err), &err);
    step_end(crash);
    if (drop)
        return;
    crash->log.step++;
    must(crash, registry_switch(seed->registry, made.number, &err), &err);
    struct generation *slot = NULL;
    for (size_t i = 0; i < GENERATIONS; i++) {
        if (seed->now.generations[i].number == 0)
            slot = &seed->now.generations[i];
    }
    if (slot == NULL)
        crash_stop(crash, "no room for a generation more");
    *slot = made;
    seed->now.current = seed->now.highest = made.number;
    step_end(crash);
}

static bool needed(void *ctx, const uint8_t sha256_of_blob[32])
{
    const struct state *state = ctx;
    for (size_t i = 0; i < BLOBS; i++) {
        uint8_t sum[32];
        sum_of(state->blobs[i], sum);
        if (state->blobs[i] != 0 && memcmp(sum, sha256_of_blob, sizeof sum) == 0)
            return true;
    }
    return download_needs(&state->download, sha256_of_blob);
}

/* Nobody needs the pieces of what is in force. */
static void end_download(struct state *state)
{
    const struct generation *of = generation_of(state, state->current);
    for (size_t i = 0; of != NULL && i < DOCUMENTS; i++) {
        if (of->documents[i] == state->download.content)
            state->download = (struct download){0};
    }
}

static void do_prune(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    struct err err = {0};
    uint64_t keep[2] = {seed->now.current, 0};
    for (size_t i = 0; i < GENERATIONS; i++) {
        uint64_t number = seed->now.generations[i].number;
        if (number != seed->now.current && number > keep[1])
            keep[1] = number;
    }
    crash->log.step++;
    seed->now.blobs[crash_draw(crash, BLOBS)] = 0;
    end_download(&seed->now);
    for (size_t i = 0; i < GENERATIONS; i++) {
        if (seed->now.generations[i].number != keep[0] &&
            seed->now.generations[i].number != keep[1])
            seed->now.generations[i] = (struct generation){0};
    }
    must(crash, registry_prune(seed->registry, keep, 2, needed, &seed->now, &err), &err);
    step_end(crash);
}

static void do_blob(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    uint8_t content[CONTENT_MAX], sum[32];
    struct err err = {0};
    size_t slot = 0;
    while (slot < BLOBS && seed->now.blobs[slot] != 0)
        slot++;
    crash->log.step++;
    if (slot == BLOBS) {
        slot = crash_draw(crash, BLOBS);
        sum_of(seed->now.blobs[slot], sum);
        seed->now.blobs[slot] = 0;
        must(crash, registry_blob_remove(seed->registry, sum, &err), &err);
    } else {
        seed->now.blobs[slot] = ++seed->contents;
        sum_of(seed->contents, sum);
        must(crash,
             registry_blob_write(seed->registry, sum, content_of(seed->contents, content), &err),
             &err);
    }
    step_end(crash);
}

static void do_download(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    if (download_whole(&seed->now.download)) {
        do_build(crash);
        do_prune(crash);
        return;
    }
    crash->log.step++;
    download_go_on(crash);
    step_end(crash);
}

/* The next one of the chain; or the terminal's own image brings a newer one, and those up to it
 * are not needed any more. */
static void do_root(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    uint8_t content[CONTENT_MAX];
    struct err err = {0};
    crash->log.step++;
    if (crash_draw(crash, 4) == 0 && seed->now.roots > seed->now.installed) {
        seed->now.installed++;
        must(crash, registry_roots_sweep(seed->dir, seed->now.installed, &err), &err);
    } else {
        uint64_t version = ++seed->now.roots;
        must(crash, registry_root_write(seed->dir, version, root_of(version, content), &err), &err);
    }
    step_end(crash);
}

static void floors_of(uint64_t version, struct registry_floors *floors)
{
    struct registry_floor *row = registry_floor_row(floors, "a");
    floors->epoch = row->epoch = 1;
    floors->manifest_version = row->minimum = row->version = version;
}

static void do_floors(struct crash *crash, uint64_t version)
{
    struct seed *seed = crash->ctx;
    struct registry_floors *floors = calloc(1, sizeof *floors);
    struct err err = {0};
    crash->log.step++;
    seed->now.floors = version;
    seed->now.floors_single = false;
    if (floors == NULL)
        crash_stop(crash, "no memory");
    floors_of(version, floors);
    must(crash, registry_floors_write(seed->registry, floors, &err), &err);
    free(floors);
    step_end(crash);
}

static void do_small(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    struct registry_failure failure;
    uint8_t content[CONTENT_MAX];
    struct err err = {0};
    unsigned what = crash_draw(crash, 3);
    bool good;
    if (what == 0) {
        do_floors(crash, seed->now.floors + 1);
        return;
    }
    crash->log.step++;
    if (what == 1) {
        seed->now.desired = ++seed->contents;
        good = registry_desired_write(seed->registry, content_of(seed->contents, content), &err);
    } else {
        seed->now.failure = ++seed->contents;
        failure_of(seed->contents, &failure);
        good = registry_failure_write(seed->registry, &failure, &err);
    }
    must(crash, good, &err);
    step_end(crash);
}

/* What the documents can be made again from has changed. */
static void do_relist(struct crash *crash, const struct generation *of)
{
    static struct registry_generation list;
    struct seed *seed = crash->ctx;
    struct err err = {0};
    crash->log.step++;
    list_of(of, &list);
    must(crash, registry_relist(seed->registry, &list, &err), &err);
    step_end(crash);
}

/* A document of the generation in force is replaced; others that share the file keep it. */
static void do_replace(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    struct generation *of = generation_of(&seed->now, seed->now.current);
    uint8_t content[CONTENT_MAX];
    char name[2];
    struct file_writer *writer = NULL;
    struct err err = {0};
    if (of == NULL)
        return;
    size_t document = crash_draw(crash, DOCUMENTS);
    if (of->documents[document] == 0)
        return;
    name_of(document, name);
    crash->log.step++;
    of->documents[document] = ++seed->contents;
    bool good = seed->contents % 2 == 0
                    ? registry_replace(seed->registry, of->number, name, false,
                                       content_of(seed->contents, content), &err)
                    : registry_replace_stream(seed->registry, of->number, name, &writer, &err) &&
                          in_parts(writer, content_of(seed->contents, content), &err);
    must(crash, good, &err);
    step_end(crash);
    do_relist(crash, of);
    for (size_t i = 0; i < GENERATIONS; i++) {
        const struct generation *other = &seed->now.generations[i];
        if (other == of || other->documents[document] == 0)
            continue;
        crash->log.step++;
        of->documents[document] = other->documents[document];
        must(crash, registry_share(seed->registry, of->number, other->number, name, &err), &err);
        step_end(crash);
        return;
    }
}

static void load(struct crash *crash, struct registry *registry, struct registry_held *held,
                 struct err *err)
{
    memset(held, 0, sizeof *held);
    must(crash, registry_load(registry, held, err), err);
}

static void take_generation(struct seed *seed, const struct registry_generation *held, size_t slot)
{
    struct generation *to = &seed->now.generations[slot];
    to->number = held->number;
    for (size_t i = 0; held->number > 0 && i < held->list.count; i++) {
        char path[REGISTRY_PATH_BYTES];
        if (registry_document_path(seed->registry, held->number, held->list.items[i].name, path,
                                   NULL))
            to->documents[held->list.items[i].name[0] - 'a'] = number_in(path);
    }
}

/* What a cut has left, which was checked then, is where the work goes on from. */
static void resume_small(struct crash *crash, const struct state *last)
{
    struct seed *seed = crash->ctx;
    struct registry_failure failure, expected;
    struct registry_floors *floors = calloc(1, sizeof *floors);
    char lost[REGISTRY_LOST_CHARS] = "", path[LONG_PATH];
    struct err err = {0};
    (void)snprintf(path, sizeof path, "%s/desired", seed->dir);
    seed->now.desired = number_in(path);
    must(crash, floors != NULL && registry_floors_read(seed->registry, floors, lost, &err), &err);
    seed->now.floors = floors->manifest_version;
    seed->now.floors_single = lost[0] != '\0';
    free(floors);
    must(crash, registry_failure_read(seed->registry, &failure, &err), &err);
    failure_of(last->failure, &expected);
    seed->now.failure = same_failure(&failure, &expected)
                            ? last->failure
                            : seed->states[crash->from_step - 1].failure;
}

static void resume_roots(struct seed *seed)
{
    struct buf found = {0};
    seed->now.roots = seed->now.installed;
    while (registry_root_read(seed->dir, seed->now.roots + 1, CONTENT_MAX, &found, NULL)) {
        buf_done(&found);
        seed->now.roots++;
    }
}

static void resume(struct crash *crash, const struct registry_held *held)
{
    struct seed *seed = crash->ctx;
    char path[LONG_PATH];
    struct state last = seed->states[crash->from_step];
    seed->now = (struct state){
        .current = held->current.number, .highest = last.highest, .installed = last.installed};
    if (held->highest > last.highest)
        seed->now.highest = held->highest;
    take_generation(seed, &held->current, 0);
    take_generation(seed, &held->previous, 1);
    resume_small(crash, &last);
    resume_roots(seed);
    download_resume(seed, &last.download);
    for (size_t i = 0; i < BLOBS; i++) {
        uint8_t sum[32];
        char text[65];
        sum_of(last.blobs[i], sum);
        hex_encode(sum, sizeof sum, text);
        (void)snprintf(path, sizeof path, "%s/blobs/%s", seed->dir, text);
        seed->now.blobs[i] = last.blobs[i] != 0 ? number_in(path) : 0;
    }
}

void places(const char *dir, char registry[DIR_BYTES], char second[DIR_BYTES])
{
    (void)snprintf(registry, DIR_BYTES, "%s/registry", dir);
    (void)snprintf(second, DIR_BYTES, "%s/floors", dir);
}

/* As a terminal starts. */
static void start(struct crash *crash, const char *dir)
{
    static struct registry_held held;
    struct seed *seed = crash->ctx;
    struct err err = {0};
    char second[DIR_BYTES];
    places(dir, seed->dir, second);
    uint64_t current = current_in(seed->dir);
    uint64_t installed =
        crash->round > 0 ? seed->states[crash->from_step].installed : seed->now.installed;
    must(crash, registry_roots_sweep(seed->dir, installed, &err), &err);
    must(crash, registry_open(seed->dir, second, sha256, &seed->registry, &err), &err);
    load(crash, seed->registry, &held, &err);
    if (crash->round > 0)
        resume(crash, &held);
    seed->states[0] = seed->now;
    seed->states[0].current = current;
    step_end(crash);
    if (seed->now.floors_single)
        do_floors(crash, seed->now.floors); /* one of their places was lost, and they are known */
}

static void work(struct crash *crash, const char *dir)
{
    crash->log.step = 1;
    start(crash, dir);
    while (crash->log.step < STEPS) {
        unsigned what = crash_draw(crash, 100);
        if (what < 25) {
            do_build(crash);
            do_prune(crash);
        } else if (what < 40) {
            do_blob(crash);
        } else if (what < 60) {
            do_small(crash);
        } else if (what < 70) {
            do_root(crash);
        } else if (what < 85) {
            do_download(crash);
        } else {
            do_replace(crash);
        }
    }
}

static void drop(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    registry_close(seed->registry);
    seed->registry = NULL;
}

int main(int argc, char **argv)
{
    const struct crash_part part = {
        .name = "registry",
        .images = 26500,
        .images_full = 560000,
        .kinds = 1u << DISK_CREATE | 1u << DISK_WRITE | 1u << DISK_SYNC | 1u << DISK_SYNC_DIR |
                 1u << DISK_RENAME | 1u << DISK_LINK | 1u << DISK_SYMLINK | 1u << DISK_UNLINK |
                 1u << DISK_MKDIR,
        .rounds = 3,
        .begin = begin,
        .work = work,
        .drop = drop,
        .check = registry_check,
        .end = end,
    };
    return crash_main(&part, argc, argv);
}
