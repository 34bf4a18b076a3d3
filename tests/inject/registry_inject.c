/* SPDX-License-Identifier: Apache-2.0 */
/* The registry, as the registrar uses it, with a fault at every place. What the payment application
 * reads is looked at after every step, whether it failed or not: `current` is one whole generation,
 * the one switched to last or the one that the failed switch was for. */
#include "base/file.h"
#include "proto/seal.h"
#include "storage/registry_probation.h"
#include "tests/inject/sweep.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TRIES_UNDER_FAULT = 2, /* then the fault is over */
    TRIES = 5,
    PATH_BYTES = 128,
};

static struct {
    char dir[PATH_BYTES];
    char floors[PATH_BYTES + 16]; /* their second place */
    struct registry *registry;
    struct registry_held held;
    uint64_t in_force, switching; /* acknowledged; asked for */
    uint64_t floor, floor_tried;
    char desired, desired_tried;
    bool blob[2];  /* acknowledged */
    bool damaged;  /* a document of the generation in force is, until it is replaced */
    bool restarts; /* a failed step ends the agent; else it goes on */
} desk;

/* Documents "a" and "b": "b" is another with each generation, "a" is carried. */
static struct bytes content_of(const char *name, uint64_t number, char text[32])
{
    (void)snprintf(text, 32, "%s %" PRIu64, name, name[0] == 'b' ? number : 1);
    return bytes_of(text, strlen(text));
}

static bool holds(const char *name, struct bytes expected)
{
    char path[PATH_BYTES + 16];
    struct buf content = {0};
    (void)snprintf(path, sizeof path, "%s/current/%s", desk.dir, name);
    bool same = file_read(path, 1024, &content, NULL) && bytes_equal(buf_bytes(&content), expected);
    buf_done(&content);
    return same;
}

static void check_current(void)
{
    char path[PATH_BYTES + 16], target[PATH_BYTES] = "", text[32];
    uint64_t number = 0;
    (void)snprintf(path, sizeof path, "%s/current", desk.dir);
    if (readlink(path, target, sizeof target - 1) < 0) {
        if (desk.in_force != 0)
            violation("generation %" PRIu64 " is not in force any more", desk.in_force);
        return;
    }
    if (sscanf(target, "generations/%" SCNu64, &number) != 1 ||
        (number != desk.in_force && number != desk.switching))
        violation("current is %s, not generation %" PRIu64, target, desk.in_force);
    if (!desk.damaged && !holds("a", content_of("a", number, text)))
        violation("generation %" PRIu64 ": document a is not what it should be", number);
    if (!holds("b", content_of("b", number, text)))
        violation("generation %" PRIu64 ": document b is not what it should be", number);
}

/* ---- steps ---- */

struct step {
    bool (*take)(struct step *step, struct err *err);
    uint64_t number;
    char mark;
};

static const char blob_marks[2] = {'0', '1'};

static void blob_name(char mark, uint8_t sha256[32])
{
    memset(sha256, mark, 32);
}

static bool take_blob(struct step *step, struct err *err)
{
    uint8_t name[32];
    blob_name(step->mark, name);
    bool good = registry_blob_write(desk.registry, name, bytes_of(&step->mark, 1), err);
    desk.blob[step->mark - '0'] |= good;
    return good;
}

static void describe(struct registry_generation *made, uint64_t number)
{
    static const char *const names[] = {"a", "b"};
    memset(made, 0, sizeof *made);
    made->number = number;
    memset(made->digest, (int)number, sizeof made->digest);
    made->list.count = 2;
    for (size_t i = 0; i < 2; i++) {
        struct registry_item *item = &made->list.items[i];
        memcpy(item->name, names[i], 2);
        item->version = number;
        item->length = 3;
        blob_name(blob_marks[i], item->blob);
    }
}

/* As the registrar does: a new number each time, after what a failed try has used up. */
static bool take_generation(struct step *step, struct err *err)
{
    static struct registry_generation made;
    char a[32], b[32];
    uint64_t from = desk.held.current.number;
    uint64_t number = desk.held.highest + 1;
    (void)step;
    describe(&made, number);
    bool good = registry_build_begin(desk.registry, number, err);
    if (from != 0)
        good = good && registry_build_carry(desk.registry, number, from, "a", err);
    else
        good = good && registry_build_write(desk.registry, number, "a", false,
                                            content_of("a", number, a), err);
    good =
        good &&
        registry_build_write(desk.registry, number, "b", false, content_of("b", number, b), err) &&
        registry_build_finish(desk.registry, &made, bytes_of("m", 1), err);
    if (!good) {
        bool ignored = registry_build_drop(desk.registry, number, NULL); /* or the next load */
        (void)ignored;
        return false;
    }
    desk.switching = number;
    good = registry_switch(desk.registry, number, err);
    desk.held.highest = number;
    if (!good)
        return false;
    desk.in_force = number;
    desk.held.previous = desk.held.current;
    desk.held.current = made;
    return true;
}

static bool take_small_files(struct step *step, struct err *err)
{
    static struct registry_floors floors;
    struct registry_failure failure = {.present = true, .item = "a", .reason = "why"};
    floors.count = 0;
    floors.epoch = 1;
    floors.manifest_version = step->number;
    desk.floor_tried = step->number;
    struct registry_floor *row = registry_floor_row(&floors, "a");
    row->epoch = 1;
    row->minimum = step->number;
    if (!registry_floors_write(desk.registry, &floors, err))
        return false;
    desk.floor = step->number;
    desk.desired_tried = step->mark;
    if (!registry_desired_write(desk.registry, bytes_of(&step->mark, 1), err))
        return false;
    desk.desired = step->mark;
    static struct registry_returns returns;
    returns.count = 1;
    returns.returned[0] =
        (struct registry_returned){.generation = step->number, .to = step->number, .reason = "why"};
    const struct registry_probation probation = {
        .present = true, .generation = step->number, .results = step->number};
    return registry_failure_write(desk.registry, &failure, err) &&
           registry_returns_write(desk.registry, &returns, err) &&
           registry_probation_write(desk.registry, &probation, err);
}

static void damage(void)
{
    char path[PATH_BYTES + 16];
    (void)snprintf(path, sizeof path, "%s/current/a", desk.dir);
    FILE *file = fopen(path, "r+");
    desk.damaged = file != NULL && fputc('?', file) != EOF;
    if (file == NULL || fclose(file) != 0 || !desk.damaged)
        abort();
}

static bool take_replace(struct step *step, struct err *err)
{
    char text[32];
    bool mended = false;
    if (step->mark != 's' && !registry_replace(desk.registry, desk.held.current.number, "a", false,
                                               content_of("a", 1, text), err))
        return false;
    desk.damaged = false;
    return registry_share(desk.registry, desk.held.previous.number, desk.held.current.number, "a",
                          err) &&
           registry_mend(desk.registry, &desk.held.current, &mended, err);
}

static bool needs_first(void *ctx, const uint8_t sha256[32])
{
    (void)ctx;
    return sha256[0] == '0';
}

static bool take_prune(struct step *step, struct err *err)
{
    const uint64_t keep[] = {desk.held.current.number, desk.held.previous.number};
    (void)step;
    desk.blob[1] = false;
    return registry_prune(desk.registry, keep, 2, needs_first, NULL, err);
}

/* ---- the agent ---- */

static bool start(struct err *err)
{
    if (desk.registry != NULL)
        return true;
    if (!UNDER_FAULTS(registry_open(desk.dir, desk.floors, sha256, &desk.registry, err) &&
                      registry_load(desk.registry, &desk.held, err)))
        return false;
    /* The first generation of all may have come as far as its name. */
    if (desk.held.recovered && desk.in_force != 0)
        violation("a generation was taken for damaged");
    if (desk.held.current.number != desk.in_force && desk.held.current.number != desk.switching)
        violation("generation %" PRIu64 " was loaded, not %" PRIu64, desk.held.current.number,
                  desk.in_force);
    desk.in_force = desk.held.current.number;
    return true;
}

static void stop(void)
{
    registry_close(desk.registry);
    desk.registry = NULL;
}

static void take(struct step step)
{
    struct err err = {0};
    for (int tries = 0; tries < TRIES; tries++) {
        if (tries == TRIES_UNDER_FAULT)
            faults_end();
        bool started = start(&err);
        bool done = started && UNDER_FAULTS(step.take(&step, &err));
        check_current();
        if (!done && (desk.restarts || !started))
            stop();
        if (done)
            return;
    }
    violation("does not recover: %s", err.text);
}

static void judge_small_files(void)
{
    static struct registry_floors floors;
    struct buf desired = {0};
    struct registry_failure failure;
    static struct registry_returns returns;
    struct registry_probation probation;
    char lost[REGISTRY_LOST_CHARS] = "";
    struct err err = {0};
    if (!registry_floors_read(desk.registry, &floors, lost, &err) || lost[0] != '\0' ||
        !registry_desired_read(desk.registry, 16, &desired, &err) ||
        !registry_failure_read(desk.registry, &failure, &err) ||
        !registry_probation_read(desk.registry, &probation, &err) ||
        !registry_returns_read(desk.registry, &returns, &err)) {
        violation("a small file is damaged: %s", err.text);
        buf_done(&desired);
        return;
    }
    const struct registry_floor *row = registry_floor_of(&floors, "a");
    if (row == NULL || row->minimum != desk.floor || floors.manifest_version != desk.floor)
        violation("the floor is not %" PRIu64, desk.floor);
    if (desired.length != 1 || desired.data[0] != (uint8_t)desk.desired)
        violation("desired is not %c", desk.desired);
    if (!failure.present || strcmp(failure.reason, "why") != 0)
        violation("the failure is forgotten");
    if (!probation.present || probation.results != probation.generation)
        violation("how a generation proves itself is forgotten");
    if (returns.count != 1 || strcmp(returns.returned[0].reason, "why") != 0)
        violation("what was taken back is forgotten");
    buf_done(&desired);
}

static bool none_left_over(void *ctx, const char *name)
{
    (void)ctx;
    if (strstr(name, ".tmp") != NULL || name[0] == '.')
        violation("%s is left over", name);
    return true;
}

static void judge(void)
{
    char path[PATH_BYTES + 16];
    struct err err = {0};
    stop();
    faults_end();
    if (!start(&err)) {
        violation("does not open again: %s", err.text);
        return;
    }
    check_current();
    judge_small_files();
    for (size_t i = 0; i < 2; i++) {
        const char mark = blob_marks[i];
        uint8_t name[32];
        struct buf blob = {0};
        blob_name(mark, name);
        if (desk.blob[i] && (!registry_blob_read(desk.registry, name, 16, &blob, &err) ||
                             !bytes_equal(buf_bytes(&blob), bytes_of(&mark, 1))))
            violation("blob %c: %s", mark, err.text);
        buf_done(&blob);
    }
    (void)snprintf(path, sizeof path, "%s/generations", desk.dir);
    if (!file_list(path, none_left_over, NULL, &err) ||
        !file_list(desk.dir, none_left_over, NULL, &err))
        violation("a folder is gone: %s", err.text);
    stop();
}

/* ---- scenes ---- */

static void run(bool restarts)
{
    memset(&desk, 0, sizeof desk);
    desk.restarts = restarts;
    (void)snprintf(desk.dir, sizeof desk.dir, "%s/registry", sweep_dir());
    (void)snprintf(desk.floors, sizeof desk.floors, "%s/second", desk.dir);
    MUST(file_remove_tree(desk.dir, &err));
    take((struct step){.take = take_blob, .mark = '0'});
    take((struct step){.take = take_blob, .mark = '1'});
    take((struct step){.take = take_generation});
    take((struct step){.take = take_small_files, .number = 7, .mark = 'x'});
    take((struct step){.take = take_generation});
    take((struct step){.take = take_small_files, .number = 8, .mark = 'y'});
    damage();
    take((struct step){.take = take_replace});
    if (restarts)
        stop();
    take((struct step){.take = take_generation});
    if (restarts)
        stop();
    take((struct step){.take = take_prune});
    judge();
}

static void run_going_on(void)
{
    run(false);
}

static void run_restarting(void)
{
    run(true);
}

static void prepare_nothing(void)
{
}

int main(int argc, char **argv)
{
    static const struct sweep_scene scenes[] = {
        {"going_on", run_going_on, 0, 0, 0},
        {"restarting", run_restarting, 0, 0, 0},
    };
    return sweep_main("registry", prepare_nothing, scenes, sizeof scenes / sizeof *scenes, argc,
                      argv);
}
