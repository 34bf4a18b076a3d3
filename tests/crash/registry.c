/* SPDX-License-Identifier: Apache-2.0 */
/* Power cuts under the terminal's registry. */
#include "base/file.h"
#include "proto/seal.h"
#include "tests/crash/crash.h"
#include "tests/crash/registry_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STEPS = 26, LONG_PATH = 512 };

struct seed {
    struct state states[STEPS + 8];
    struct state now;
    uint32_t contents; /* given so far */
    struct registry *registry;
    char dir[LONG_PATH / 4];
};

static void *begin(struct crash *crash)
{
    struct seed *seed = calloc(1, sizeof *seed);
    if (seed == NULL)
        crash_stop(crash, "no memory");
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

static void build_document(struct crash *crash, const struct generation *made, size_t document)
{
    struct seed *seed = crash->ctx;
    uint8_t content[CONTENT_MAX];
    char name[2];
    struct err err = {0};
    const struct generation *from = generation_of(&seed->now, seed->now.current);
    name_of(document, name);
    if (from != NULL && from->documents[document] == made->documents[document])
        must(crash, registry_build_carry(seed->registry, made->number, from->number, name, &err),
             &err);
    else
        must(crash,
             registry_build_write(seed->registry, made->number, name, false,
                                  content_of(made->documents[document], content), &err),
             &err);
}

static void do_build(struct crash *crash)
{
    static struct registry_generation list;
    struct seed *seed = crash->ctx;
    struct err err = {0};
    const struct generation *from = generation_of(&seed->now, seed->now.current);
    struct generation made = {.number = seed->now.highest + 1};
    bool drop = crash_draw(crash, 8) == 0;
    crash->log.step++;
    must(crash, registry_build_begin(seed->registry, made.number, &err), &err);
    for (size_t i = 0; i < DOCUMENTS; i++) {
        if (crash_draw(crash, 5) == 0)
            continue;
        bool carry = from != NULL && from->documents[i] != 0 && crash_draw(crash, 2) == 0;
        made.documents[i] = carry ? from->documents[i] : ++seed->contents;
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
    return false;
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

static void floors_of(uint64_t version, struct registry_floors *floors)
{
    struct registry_floor *row = registry_floor_row(floors, "a");
    floors->epoch = row->epoch = 1;
    floors->manifest_version = row->minimum = row->version = version;
}

/* Their second place: outside the registry's folder on a terminal, in what is cut here. */
static void second_path(const char *dir, char path[LONG_PATH])
{
    (void)snprintf(path, LONG_PATH, "%s/second", dir);
}

static void do_small(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    struct registry_floors *floors = calloc(1, sizeof *floors);
    struct registry_failure failure;
    uint8_t content[CONTENT_MAX];
    struct err err = {0};
    bool ok = floors != NULL;
    crash->log.step++;
    switch (crash_draw(crash, 3)) {
    case 0:
        seed->now.desired = ++seed->contents;
        ok = registry_desired_write(seed->registry, content_of(seed->contents, content), &err);
        break;
    case 1:
        floors_of(++seed->now.floors, floors);
        ok = registry_floors_write(seed->registry, floors, &err);
        break;
    default:
        seed->now.failure = ++seed->contents;
        failure_of(seed->contents, &failure);
        ok = registry_failure_write(seed->registry, &failure, &err);
        break;
    }
    free(floors);
    must(crash, ok, &err);
    step_end(crash);
}

/* A document of the generation in force is replaced; others that share the file keep it. */
static void do_replace(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    struct generation *of = generation_of(&seed->now, seed->now.current);
    uint8_t content[CONTENT_MAX];
    char name[2];
    struct err err = {0};
    if (of == NULL)
        return;
    size_t document = crash_draw(crash, DOCUMENTS);
    if (of->documents[document] == 0)
        return;
    name_of(document, name);
    crash->log.step++;
    of->documents[document] = ++seed->contents;
    must(crash,
         registry_replace(seed->registry, of->number, name, false,
                          content_of(seed->contents, content), &err),
         &err);
    step_end(crash);
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

static bool same_failure(const struct registry_failure *a, const struct registry_failure *b)
{
    return a->present == b->present && a->content == b->content && a->refusal == b->refusal &&
           memcmp(a->manifest_digest, b->manifest_digest, sizeof a->manifest_digest) == 0 &&
           strcmp(a->item, b->item) == 0 && strcmp(a->reason, b->reason) == 0;
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
static void resume(struct crash *crash, const struct registry_held *held)
{
    struct seed *seed = crash->ctx;
    char path[LONG_PATH];
    struct registry_failure failure, expected;
    struct registry_floors *floors = calloc(1, sizeof *floors);
    char lost[REGISTRY_LOST_CHARS];
    struct state last = seed->states[crash->from_step];
    struct err err = {0};
    seed->now = (struct state){.current = held->current.number, .highest = last.highest};
    if (held->highest > last.highest)
        seed->now.highest = held->highest;
    take_generation(seed, &held->current, 0);
    take_generation(seed, &held->previous, 1);
    (void)snprintf(path, sizeof path, "%s/desired", seed->dir);
    seed->now.desired = number_in(path);
    must(crash, floors != NULL && registry_floors_read(seed->registry, floors, lost, &err), &err);
    seed->now.floors = floors->manifest_version;
    free(floors);
    must(crash, registry_failure_read(seed->registry, &failure, &err), &err);
    failure_of(last.failure, &expected);
    seed->now.failure = same_failure(&failure, &expected)
                            ? last.failure
                            : seed->states[crash->from_step - 1].failure;
    for (size_t i = 0; i < BLOBS; i++) {
        uint8_t sum[32];
        char text[65];
        sum_of(last.blobs[i], sum);
        hex_encode(sum, sizeof sum, text);
        (void)snprintf(path, sizeof path, "%s/blobs/%s", seed->dir, text);
        seed->now.blobs[i] = last.blobs[i] != 0 ? number_in(path) : 0;
    }
}

/* The generation that the link names; 0: there is no link. */
static uint64_t current_in(const char *dir)
{
    char path[LONG_PATH], target[64] = "";
    uint64_t number = 0;
    (void)snprintf(path, sizeof path, "%s/current", dir);
    if (readlink(path, target, sizeof target - 1) > 0 &&
        sscanf(target, "generations/%" SCNu64, &number) != 1)
        number = UINT64_MAX;
    return number;
}

static void work(struct crash *crash, const char *dir)
{
    static struct registry_held held;
    struct seed *seed = crash->ctx;
    struct err err = {0};
    char second[LONG_PATH];
    uint64_t current = current_in(dir);
    crash->log.step = 1;
    (void)snprintf(seed->dir, sizeof seed->dir, "%s", dir);
    second_path(dir, second);
    must(crash, registry_open(dir, second, sha256, &seed->registry, &err), &err);
    load(crash, seed->registry, &held, &err);
    if (crash->round > 0)
        resume(crash, &held);
    seed->states[0] = seed->now;
    seed->states[0].current = current;
    step_end(crash);
    while (crash->log.step < STEPS) {
        unsigned what = crash_draw(crash, 100);
        if (what < 30) {
            do_build(crash);
            do_prune(crash);
        } else if (what < 55) {
            do_blob(crash);
        } else if (what < 80) {
            do_small(crash);
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

/* ---- the check ---- */

struct check {
    struct crash *crash;
    const char *dir;
    struct state before, after; /* the same if the step was done */
    struct registry *registry;
};

/* The documents of a generation, from the folder that is at `path`. */
static void check_documents(struct check *check, const char *path, uint64_t number)
{
    const struct generation none = {0};
    const struct generation *before = generation_of(&check->before, number);
    const struct generation *after = generation_of(&check->after, number);
    if (before == NULL)
        before = after != NULL ? after : &none;
    if (after == NULL)
        after = before;
    for (size_t i = 0; i < DOCUMENTS; i++) {
        char name[2], file[LONG_PATH + 8];
        name_of(i, name);
        (void)snprintf(file, sizeof file, "%s/%s", path, name);
        uint32_t found = number_in(file);
        if (found != before->documents[i] && found != after->documents[i])
            crash_corrupt(check->crash,
                          "%s: document %s is %" PRIu32 ", not %" PRIu32 " or %" PRIu32, path, name,
                          found, before->documents[i], after->documents[i]);
    }
}

/* As the payment application finds it, before anything of ours has run. */
static void check_current(struct check *check)
{
    char path[LONG_PATH];
    uint64_t number = current_in(check->dir);
    (void)snprintf(path, sizeof path, "%s/current", check->dir);
    if (number != check->before.current && number != check->after.current)
        crash_lost(check->crash, "current is generation %" PRIu64 ", not %" PRIu64 " or %" PRIu64,
                   number, check->before.current, check->after.current);
    if (number > 0)
        check_documents(check, path, number);
}

static void check_held(struct check *check, const struct registry_held *held)
{
    struct crash *crash = check->crash;
    uint64_t number = held->current.number;
    if (number != check->before.current && number != check->after.current)
        crash_lost(crash, "generation %" PRIu64 " is in force", number);
    if (held->recovered && check->before.current > 0)
        crash_corrupt(crash, "the generation in force was not usable");
    for (size_t i = 0; i < GENERATIONS; i++) {
        char path[REGISTRY_PATH_BYTES];
        uint64_t kept = check->before.generations[i].number;
        if (kept == 0 || generation_of(&check->after, kept) == NULL)
            continue;
        if (kept != number && kept > held->previous.number && kept < number)
            crash_lost(crash, "generation %" PRIu64 " is not whole any more", kept);
        (void)snprintf(path, sizeof path, "%s/generations/%08" PRIu64, check->dir, kept);
        check_documents(check, path, kept);
    }
}

static void check_small(struct check *check)
{
    struct registry_floors *floors = calloc(1, sizeof *floors);
    struct registry_failure found, before, after;
    char lost[REGISTRY_LOST_CHARS] = "";
    char path[LONG_PATH];
    struct err err = {0};
    (void)snprintf(path, sizeof path, "%s/desired", check->dir);
    uint32_t desired = number_in(path);
    if (desired != check->before.desired && desired != check->after.desired)
        crash_lost(check->crash, "desired is %" PRIu32 ", not %" PRIu32 " or %" PRIu32, desired,
                   check->before.desired, check->after.desired);
    bool read = floors != NULL && registry_floors_read(check->registry, floors, lost, &err);
    const struct registry_floor *row = read ? registry_floor_of(floors, "a") : NULL;
    if (!read || (row != NULL ? row->minimum : 0) != floors->manifest_version)
        crash_corrupt(check->crash, "floors: %s", err.text);
    else if (lost[0] != '\0' && check->before.floors != 0)
        crash_lost(check->crash, "%s", lost);
    else if (floors->manifest_version != check->before.floors &&
             floors->manifest_version != check->after.floors)
        crash_lost(check->crash, "the floor is %" PRIu64 ", not %" PRIu64 " or %" PRIu64,
                   floors->manifest_version, check->before.floors, check->after.floors);
    free(floors);
    failure_of(check->before.failure, &before);
    failure_of(check->after.failure, &after);
    if (!registry_failure_read(check->registry, &found, &err))
        crash_corrupt(check->crash, "failure: %s", err.text);
    else if (!same_failure(&found, &before) && !same_failure(&found, &after))
        crash_lost(check->crash, "the failure is another one: %s", found.reason);
}

static void check_blobs(struct check *check)
{
    for (size_t i = 0; i < BLOBS; i++) {
        uint8_t sum[32], content[CONTENT_MAX];
        struct buf found = {0};
        struct err err = {0};
        uint32_t number = check->before.blobs[i];
        if (number == 0 || check->after.blobs[i] != number)
            continue;
        sum_of(number, sum);
        if (!registry_blob_read(check->registry, sum, CONTENT_MAX, &found, &err) ||
            !bytes_equal(buf_bytes(&found), content_of(number, content)))
            crash_lost(check->crash, "a blob that was written: %s", err.text);
        buf_done(&found);
    }
}

static bool is_leftover(void *ctx, const char *name)
{
    struct check *check = ctx;
    if (strstr(name, ".tmp") != NULL || strstr(name, ".new") != NULL)
        crash_doubled(check->crash, "left behind after loading: %s", name);
    return true;
}

/* It goes on: one more generation, in force, and found again. */
static void check_next(struct check *check, uint64_t highest)
{
    static struct registry_generation list;
    static struct registry_held held;
    struct generation made = {.number = highest + 1};
    uint8_t content[CONTENT_MAX];
    char path[LONG_PATH];
    struct err err = {0};
    made.documents[0] = UINT32_MAX;
    list_of(&made, &list);
    bool ok = registry_build_begin(check->registry, made.number, &err) &&
              registry_build_write(check->registry, made.number, "a", false,
                                   content_of(UINT32_MAX, content), &err) &&
              registry_build_finish(check->registry, &list, bytes_of("manifest", 8), &err) &&
              registry_switch(check->registry, made.number, &err) &&
              registry_load(check->registry, &held, &err);
    (void)snprintf(path, sizeof path, "%s/current/a", check->dir);
    if (!ok)
        crash_corrupt(check->crash, "it does not go on: %s", err.text);
    else if (held.current.number != made.number || held.recovered || number_in(path) != UINT32_MAX)
        crash_lost(check->crash, "the generation that was built after the cut");
}

static void check(struct crash *crash, const char *dir, unsigned step, bool done)
{
    static struct registry_held held;
    struct seed *seed = crash->ctx;
    struct check check = {.crash = crash,
                          .dir = dir,
                          .before = seed->states[done ? step : step - 1],
                          .after = seed->states[step]};
    char path[LONG_PATH];
    struct err err = {0};
    check_current(&check);
    memset(&held, 0, sizeof held);
    second_path(dir, path);
    if (!registry_open(dir, path, sha256, &check.registry, &err)) {
        crash_corrupt(crash, "does not open: %s", err.text);
        return;
    }
    if (registry_load(check.registry, &held, &err)) {
        check_held(&check, &held);
        check_small(&check);
        check_blobs(&check);
        (void)snprintf(path, sizeof path, "%s/generations", dir);
        (void)!file_list(path, is_leftover, &check, &err);
        (void)!file_list(dir, is_leftover, &check, &err);
        check_next(&check, held.highest);
    } else {
        crash_corrupt(crash, "does not load: %s", err.text);
    }
    registry_close(check.registry);
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
        .check = check,
        .end = end,
    };
    return crash_main(&part, argc, argv);
}
