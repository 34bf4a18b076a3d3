/* SPDX-License-Identifier: Apache-2.0 */
/* What must be there after a cut: what was said to be done, and nothing half done. */
#include "base/file.h"
#include "proto/seal.h"
#include "storage/registry_roots.h"
#include "tests/crash/registry_seed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct check {
    struct crash *crash;
    char dir[DIR_BYTES], second[DIR_BYTES];
    struct state before, after; /* the same if the step was done */
    struct registry *registry;
};

bool same_failure(const struct registry_failure *a, const struct registry_failure *b)
{
    return a->present == b->present && a->content == b->content && a->refusal == b->refusal &&
           a->manifest_version == b->manifest_version &&
           memcmp(a->digest, b->digest, sizeof a->digest) == 0 && strcmp(a->item, b->item) == 0 &&
           strcmp(a->reason, b->reason) == 0;
}

uint64_t current_in(const char *registry)
{
    char path[LONG_PATH], target[64] = "";
    uint64_t number = 0;
    (void)snprintf(path, sizeof path, "%s/current", registry);
    if (readlink(path, target, sizeof target - 1) > 0 &&
        sscanf(target, "generations/%" SCNu64, &number) != 1)
        number = UINT64_MAX;
    return number;
}

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
        char path[LONG_PATH];
        uint64_t kept = check->before.generations[i].number;
        if (kept == 0 || generation_of(&check->after, kept) == NULL)
            continue;
        if (kept != number && kept > held->previous.number && kept < number)
            crash_lost(crash, "generation %" PRIu64 " is not whole any more", kept);
        (void)snprintf(path, sizeof path, "%s/generations/%08" PRIu64, check->dir, kept);
        check_documents(check, path, kept);
    }
}

/* ---- the floors ---- */

static bool read_floors(struct check *check, char lost[REGISTRY_LOST_CHARS], uint64_t *ret_version)
{
    struct registry_floors *floors = calloc(1, sizeof *floors);
    struct err err = {0};
    bool read = floors != NULL && registry_floors_read(check->registry, floors, lost, &err);
    const struct registry_floor *row = read ? registry_floor_of(floors, "a") : NULL;
    bool good = read && (row != NULL ? row->minimum : 0) == floors->manifest_version;
    if (good)
        *ret_version = floors->manifest_version;
    else
        crash_corrupt(check->crash, "floors: %s", err.text);
    free(floors);
    return good;
}

static void check_version(struct check *check, uint64_t version, const char *where)
{
    if (version != check->before.floors && version != check->after.floors)
        crash_lost(check->crash, "the floor is %" PRIu64 " %s, not %" PRIu64 " or %" PRIu64,
                   version, where, check->before.floors, check->after.floors);
}

/* Each place by itself says what both say: what damages one does not lower them. */
static void check_place_alone(struct check *check, const char *other)
{
    struct buf kept = {0};
    struct err err = {0};
    char lost[REGISTRY_LOST_CHARS] = "";
    uint64_t version;
    if (!file_read(other, CONTENT_MAX, &kept, &err) || !file_remove(other, &err))
        crash_lost(check->crash, "a place of the floors: %s", err.text);
    else if (read_floors(check, lost, &version))
        check_version(check, version, "in one place");
    if (kept.length > 0 && !file_write(other, buf_bytes(&kept), 0600, &err))
        crash_stop(check->crash, "%s", err.text);
    buf_done(&kept);
}

static void check_floors(struct check *check)
{
    char lost[REGISTRY_LOST_CHARS] = "", first[LONG_PATH];
    bool both = check->before.floors != 0 && !check->before.floors_single;
    uint64_t version;
    if (!read_floors(check, lost, &version))
        return;
    check_version(check, version, "in both places");
    if (both && lost[0] != '\0')
        crash_lost(check->crash, "%s", lost);
    if (!both || !check->crash->thorough)
        return;
    (void)snprintf(first, sizeof first, "%s/floors", check->dir);
    check_place_alone(check, first);
    check_place_alone(check, check->second);
}

/* ---- the rest ---- */

static void check_small(struct check *check)
{
    struct registry_failure found, before, after;
    char path[LONG_PATH];
    struct err err = {0};
    (void)snprintf(path, sizeof path, "%s/desired", check->dir);
    uint32_t desired = number_in(path);
    if (desired != check->before.desired && desired != check->after.desired)
        crash_lost(check->crash, "desired is %" PRIu32 ", not %" PRIu32 " or %" PRIu32, desired,
                   check->before.desired, check->after.desired);
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
    download_check(check->crash, check->registry, &check->before.download, &check->after.download);
}

/* A root that was kept is there whole; one that was being kept is, or is not there at all. */
static void check_root(struct check *check, uint64_t version)
{
    struct buf found = {0};
    uint8_t content[CONTENT_MAX];
    struct err err = {0};
    bool there = registry_root_read(check->dir, version, CONTENT_MAX, &found, &err);
    if (!there && (err.code != ERR_NOT_FOUND || version <= check->before.roots))
        crash_lost(check->crash, "trust root %" PRIu64 ": %s", version, err.text);
    if (there && !bytes_equal(buf_bytes(&found), root_of(version, content)))
        crash_corrupt(check->crash, "trust root %" PRIu64 " is not what was kept", version);
    buf_done(&found);
}

static bool is_leftover(void *ctx, const char *name)
{
    struct check *check = ctx;
    if (strstr(name, ".tmp") != NULL || strstr(name, ".new") != NULL)
        crash_doubled(check->crash, "left behind after loading: %s", name);
    return true;
}

static void check_no_leftovers(struct check *check, const char *folder)
{
    char path[LONG_PATH];
    (void)snprintf(path, sizeof path, "%s%s", check->dir, folder);
    if (file_exists(path))
        (void)!file_list(path, is_leftover, check, NULL);
}

static void check_roots(struct check *check)
{
    struct err err = {0};
    if (!registry_roots_sweep(check->dir, check->after.installed, &err)) {
        crash_corrupt(check->crash, "the trust roots are not swept: %s", err.text);
        return;
    }
    for (uint64_t version = check->after.installed + 1; version <= check->after.roots; version++)
        check_root(check, version);
    check_no_leftovers(check, "/roots");
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

void registry_check(struct crash *crash, const char *dir, unsigned step, bool done)
{
    static struct registry_held held;
    static struct check check;
    struct seed *seed = crash->ctx;
    struct err err = {0};
    check = (struct check){.crash = crash,
                           .before = seed->states[done ? step : step - 1],
                           .after = seed->states[step]};
    places(dir, check.dir, check.second);
    check_current(&check);
    check_roots(&check);
    memset(&held, 0, sizeof held);
    if (!registry_open(check.dir, check.second, sha256, &check.registry, &err)) {
        crash_corrupt(crash, "does not open: %s", err.text);
        return;
    }
    if (registry_load(check.registry, &held, &err)) {
        check_held(&check, &held);
        check_small(&check);
        check_blobs(&check);
        check_no_leftovers(&check, "");
        check_no_leftovers(&check, "/generations");
        check_no_leftovers(&check, "/..");
        check_floors(&check);
        check_next(&check, held.highest);
    } else {
        crash_corrupt(crash, "does not load: %s", err.text);
    }
    registry_close(check.registry);
}
