/* SPDX-License-Identifier: Apache-2.0 */
/* Power cuts under the real registrar, with its loop and its workers: a generation is built,
 * checked, waits for the payment application or for a person's word, is put in force, looked at by
 * a hook, proves itself or goes back; also while the agent ends without order or the fleet is
 * silent. */
#include "agent/registrar_internal.h"
#include "tests/crash/crash.h"
#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STEPS = 16,
    DOCUMENTS = 3,
    RESULTS_MAX = 4096,
    NEEDED = 12,
    LONG_PATH = 256,
    SEEN = 8,
    WELCOME_MS = 1000,
    STARTS = 3,
};

struct documents { /* what their content follows from; 0: there is none */
    unsigned of[DOCUMENTS];
};

struct state {
    struct documents in_force;
    size_t seen_count; /* what else was in force during the step */
    struct documents seen[SEEN];
    uint64_t counted; /* the newest result that is kept as counted, at least */
    uint64_t given;   /* the newest result */
    uint64_t manifest;
    size_t returns;
    uint8_t good[32];
    struct documents of_good;
    bool sale; /* is open */
};

struct result {
    uint8_t generation[8];
    uint64_t number; /* of that generation */
    uint64_t incarnation, seq;
    bool suspect;
};

struct seed {
    struct world *world;
    struct state states[STEPS + 8];
    struct documents wanted;
    uint64_t version;
    unsigned contents;
    uint64_t given;
    struct result results[RESULTS_MAX];
    bool last_final; /* the last document cannot go back any more */
    uint64_t boots, incarnation, seq;
    struct crash *crash;
    char after[96];
    char texts[128][32];
};

static const char *const names[DOCUMENTS] = {"a", "b", "c"};
/* The second one carries the connection. */
static const Muster__DocumentKind kinds[DOCUMENTS] = {MUSTER__DOCUMENT_KIND__DOCUMENT_FILE,
                                                      MUSTER__DOCUMENT_KIND__DOCUMENT_CONNECTION,
                                                      MUSTER__DOCUMENT_KIND__DOCUMENT_FILE};
/* Does not like each sixth content of the first one. */
static const char after_script[] = "#!/bin/sh\n"
                                   "while read -r k e n; do\n"
                                   "  [ \"$k\" = number ] && [ $((n % 6)) -eq 0 ] && exit 1\n"
                                   "done < a\n"
                                   "exit 0\n";

/* ---- what is there ---- */

static unsigned number_in(const char *folder, size_t document)
{
    char path[LONG_PATH + 8];
    struct buf content = {0};
    unsigned number = 0;
    (void)snprintf(path, sizeof path, "%s/%s", folder, names[document]);
    if (file_read(path, 4096, &content, NULL) && buf_append(&content, "", 1, NULL) &&
        sscanf((char *)content.data, "[document]\nnumber = %u\n", &number) != 1)
        number = UINT32_MAX;
    buf_done(&content);
    return number;
}

static struct documents documents_in(const char *folder)
{
    struct documents found;
    for (size_t i = 0; i < DOCUMENTS; i++)
        found.of[i] = number_in(folder, i);
    return found;
}

static struct documents in_force(const struct world *world)
{
    char path[LONG_PATH];
    world_path(world, "current", path);
    return documents_in(path);
}

static bool same(const struct documents *a, const struct documents *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static struct documents of_good(const struct world *world)
{
    char path[LONG_PATH], name[40];
    (void)snprintf(name, sizeof name, "generations/%08" PRIu64,
                   trial_good(world->registrar)->number);
    world_path(world, name, path);
    return documents_in(path);
}

/* How many results that is, from the first one ever. */
static uint64_t position(const struct seed *seed, uint64_t incarnation, uint64_t seq)
{
    uint64_t count = 0;
    while (count < seed->given &&
           (seed->results[count].incarnation < incarnation ||
            (seed->results[count].incarnation == incarnation && seed->results[count].seq <= seq)))
        count++;
    return count;
}

/* Those of a good generation are kept some at a time. */
static uint64_t counted_on_disk(const struct seed *seed)
{
    struct registry_probation kept;
    return registry_probation_read(seed->world->registrar->registry, &kept, NULL)
               ? position(seed, kept.incarnation, kept.seq)
               : 0;
}

static void on_switched(void *ctx)
{
    struct seed *seed = ctx;
    struct state *state = &seed->states[seed->crash->log.step];
    if (state->seen_count < SEEN)
        state->seen[state->seen_count++] = in_force(seed->world);
}

/* As it is when all is settled, and so on the medium. */
static void step_end(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    const struct registrar *registrar = seed->world->registrar;
    struct state *state = &seed->states[crash->log.step];
    state->in_force = in_force(seed->world);
    state->given = seed->given;
    state->counted = counted_on_disk(seed);
    state->manifest = registrar->floors.manifest_version;
    state->returns = registrar->trial.returns.count;
    state->of_good = of_good(seed->world);
    state->sale = seed->world->lease.transaction;
    memcpy(state->good, trial_good(registrar)->digest, sizeof state->good);
}

/* ---- the work ---- */

static void settle(struct world *world)
{
    world->event_count = 0;
    world_check(world);
    world_check(world); /* and what came of it */
}

/* After a cut it is another boot. */
static void open_at(struct seed *seed, const char *dir)
{
    struct world *world = seed->world;
    (void)snprintf(world->registry, sizeof world->registry, "%s/registry", dir);
    (void)snprintf(world->floors, sizeof world->floors, "%s/floors", dir);
    seed->boots++;
    memcpy(world->settings.probation.boot, &seed->boots, sizeof seed->boots);
    world->event_count = 0;
    world_open(world);
}

static struct registrar_result said(const struct result *result)
{
    return (struct registrar_result){.incarnation = result->incarnation,
                                     .seq = result->seq,
                                     .generation = result->generation,
                                     .why = result->suspect ? SUSPECT_TABLE_MISS : SUSPECT_NOT,
                                     .suspect_now = result->suspect};
}

/* As the agent does at its start, from a spool which holds what it has answered for. */
static void count_again(struct seed *seed)
{
    struct registrar *registrar = seed->world->registrar;
    uint64_t incarnation, counted;
    if (!registrar_counted(registrar, &incarnation, &counted))
        return;
    for (uint64_t i = seed->given; i > 0; i--) {
        const struct registrar_result again = said(&seed->results[i - 1]);
        if (again.incarnation != incarnation || again.seq <= counted)
            break;
        registrar_recount(registrar, &again);
    }
    seed->seq = 0;
    registrar_count_from(registrar, ++seed->incarnation);
}

/* In one boot; `falls_over`: without an end, as far as the registry is concerned. */
static void restart(struct seed *seed, bool falls_over)
{
    seed->world->registrar->trial.ended = falls_over;
    world_close(seed->world);
    seed->world->event_count = 0;
    world_open(seed->world);
    count_again(seed);
    settle(seed->world);
}

static void give(struct crash *crash, bool suspect)
{
    struct seed *seed = crash->ctx;
    struct registrar *registrar = seed->world->registrar;
    if (seed->given == RESULTS_MAX)
        crash_stop(crash, "no room for a result more");
    struct result *kept = &seed->results[seed->given++];
    memcpy(kept->generation, registrar_generation_digest(registrar), sizeof kept->generation);
    kept->suspect = suspect;
    kept->number = registrar->held.current.number;
    kept->incarnation = seed->incarnation;
    kept->seq = ++seed->seq;
    const struct registrar_result result = said(kept);
    registrar_result(registrar, &result);
}

static void push(struct crash *crash, const struct documents *wanted)
{
    struct seed *seed = crash->ctx;
    struct world_doc docs[DOCUMENTS];
    for (size_t i = 0; i < DOCUMENTS; i++) {
        char *text = seed->texts[wanted->of[i]];
        (void)snprintf(text, sizeof seed->texts[0], "[document]\nnumber = %u\n", wanted->of[i]);
        docs[i] = (struct world_doc){.name = names[i],
                                     .content = text,
                                     .version = wanted->of[i],
                                     .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR,
                                     .kind = kinds[i],
                                     .final = i == DOCUMENTS - 1 && seed->last_final};
    }
    struct err err = {0};
    seed->wanted = *wanted;
    if (!world_push(seed->world, ++seed->version, docs, DOCUMENTS, &err))
        crash_stop(crash, "%s", err.text);
}

static void do_push(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    struct documents wanted = seed->wanted;
    size_t changed = crash_draw(crash, DOCUMENTS);
    wanted.of[changed] = ++seed->contents;
    if (crash_draw(crash, 2) == 0 && changed != DOCUMENTS - 1) {
        wanted.of[DOCUMENTS - 1] = ++seed->contents;
        seed->last_final = crash_draw(crash, 2) == 0;
    }
    push(crash, &wanted);
}

static void do_results(struct crash *crash, unsigned good, unsigned suspect)
{
    for (unsigned i = 0; i < good; i++)
        give(crash, false);
    for (unsigned i = 0; i < suspect; i++)
        give(crash, true);
}

/* Nothing is put in force before it ends, whatever else happens, but what a person decides. */
static void do_in_sale(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    const struct documents before = in_force(seed->world);
    struct err err = {0};
    bool decides = false;
    switch (crash_draw(crash, 6)) {
    case 0:
        do_push(crash);
        break;
    case 1:
        restart(seed, false);
        break;
    case 2:
        do_results(crash, 1, 8); /* what is to go back waits */
        break;
    case 3:
        decides = registrar_decide(seed->world->registrar, NULL, "somebody", &err);
        break;
    default:
        seed->world->lease.transaction = false;
        registrar_look(seed->world->registrar);
        break;
    }
    settle(seed->world);
    const struct documents now = in_force(seed->world);
    if (seed->world->lease.transaction && !decides && !same(&before, &now))
        crash_lost(crash, "%u %u %u is put in force in the middle of a sale", now.of[0], now.of[1],
                   now.of[2]);
}

static void do_one(struct crash *crash, unsigned what)
{
    struct seed *seed = crash->ctx;
    if (what < 34) {
        do_push(crash);
    } else if (what < 50) {
        do_results(crash, 1, 8); /* it goes back */
    } else if (what < 60) {
        do_results(crash, NEEDED + 1, 0); /* it has proved itself, or waits for an answer */
    } else if (what < 68) {
        do_results(crash, 2, 1);
    } else if (what < 73) {
        push(crash, &seed->wanted); /* the same again, under another number */
    } else if (what < 78) {
        restart(seed, false);
    } else if (what < 84) {
        restart(seed, true);
        restart(seed, true);
    } else if (what < 90) {
        seed->world->wall_ms += WELCOME_MS;
    } else {
        registrar_welcomed(seed->world->registrar, seed->world->wall_ms);
    }
}

static void do_step(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    const unsigned what = crash_draw(crash, 100);
    crash->log.step++;
    seed->states[crash->log.step] = (struct state){0};
    seed->world->lease.transaction = seed->world->lease.transaction || what < 12;
    if (seed->world->lease.transaction && what >= 12)
        do_in_sale(crash);
    else
        do_one(crash, what);
    settle(seed->world);
    step_end(crash);
}

static void *begin(struct crash *crash)
{
    struct seed *seed = calloc(1, sizeof *seed);
    void *world = NULL;
    if (seed == NULL || world_set_up(&world) != 0)
        crash_stop(crash, "no world");
    seed->world = world;
    seed->crash = crash;
    seed->world->lease_ctx = seed;
    seed->world->switched = on_switched;
    (void)snprintf(seed->after, sizeof seed->after, "%s/after", seed->world->dir);
    if (!file_write(seed->after, bytes_of(after_script, sizeof after_script - 1), 0700, NULL))
        crash_stop(crash, "no hook");
    seed->world->settings.probation =
        (struct registrar_probation){.policy = {.results = NEEDED,
                                                .time_ms = 1000000,
                                                .welcome_ms = WELCOME_MS,
                                                .crashes = 100,
                                                .starts = STARTS},
                                     .after_hook = seed->after};
    world_close(seed->world);
    return seed;
}

static void end(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    void *world = seed->world;
    if (world_tear_down(&world) != 0)
        crash_stop(crash, "the world is not clean");
    free(seed);
}

/* What was accepted before the cut goes on from there, the manifest itself or the floors alone. */
static void resume(struct seed *seed)
{
    const struct registry_floors *floors = &seed->world->registrar->floors;
    for (size_t i = 0; i < DOCUMENTS; i++) {
        const struct registry_floor *row = registry_floor_of(floors, names[i]);
        if (row != NULL)
            seed->wanted.of[i] = (unsigned)row->version;
    }
}

static void start(struct crash *crash, const char *dir)
{
    struct seed *seed = crash->ctx;
    const struct documents first = {{1, 2, 3}};
    struct state before = crash->round > 0 ? seed->states[crash->from_step - 1] : seed->states[0];
    seed->world->lease = (struct gate_lease){.known = true};
    if (crash->round > 0) { /* what came after the cut has never been */
        seed->given = seed->states[crash->from_step].given;
        seed->world->lease.transaction = seed->states[crash->from_step].sale;
    }
    seed->states[crash->log.step] = (struct state){0};
    open_at(seed, dir);
    before.in_force = in_force(seed->world);
    memset(before.good, 0, sizeof before.good);
    count_again(seed);
    if (crash->round == 0) {
        seed->contents = 3;
        push(crash, &first);
    }
    settle(seed->world);
    seed->states[0] = before;
    step_end(crash);
    if (crash->round > 0)
        resume(seed);
}

static void work(struct crash *crash, const char *dir)
{
    crash->log.step = 1;
    start(crash, dir);
    while (crash->log.step < STEPS)
        do_step(crash);
}

static void drop(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    world_close(seed->world);
}

/* ---- what a cut has left ---- */

static void check_in_force(struct crash *crash, const struct state *before,
                           const struct state *after, const char *when)
{
    struct seed *seed = crash->ctx;
    const struct documents found = in_force(seed->world);
    bool known = same(&found, &before->in_force) || same(&found, &after->in_force);
    for (size_t i = 0; !known && i < after->seen_count; i++)
        known = same(&found, &after->seen[i]);
    if (!known)
        crash_lost(crash, "%s: %u %u %u is in force, not %u %u %u or %u %u %u", when, found.of[0],
                   found.of[1], found.of[2], before->in_force.of[0], before->in_force.of[1],
                   before->in_force.of[2], after->in_force.of[0], after->in_force.of[1],
                   after->in_force.of[2]);
}

/* What is kept as counted is just what the results up to there say. */
static void check_counts(struct crash *crash, const struct state *before, const struct state *after)
{
    const struct seed *seed = crash->ctx;
    const struct registrar *registrar = seed->world->registrar;
    const struct trial *trial = &registrar->trial;
    uint32_t results = 0, suspect = 0;
    const uint64_t upto = position(seed, trial->incarnation, trial->seq);
    if (upto > after->given || (registrar->held.current.number > 0 && upto < before->counted))
        crash_lost(crash, "results are counted up to %" PRIu64 ", not from %" PRIu64 " to %" PRIu64,
                   upto, before->counted, after->given);
    if (trial->probation.generation == 0)
        return;
    for (uint64_t i = 0; i < upto && i < seed->given; i++) {
        if (seed->results[i].number != registrar->held.current.number)
            continue;
        results++;
        suspect += seed->results[i].suspect ? 1 : 0;
    }
    if (trial->probation.track.results > results || trial->probation.track.suspect > suspect)
        crash_doubled(crash, "%" PRIu32 " results are counted, and there were %" PRIu32,
                      trial->probation.track.results, results);
    if (trial->probation.track.results < results)
        crash_lost(crash, "%" PRIu32 " results are counted, and there were %" PRIu32,
                   trial->probation.track.results, results);
}

static void check_kept(struct crash *crash, const struct state *before, const struct state *after)
{
    const struct seed *seed = crash->ctx;
    const struct registrar *registrar = seed->world->registrar;
    if (registrar->trial.returns.count < before->returns)
        crash_lost(crash, "of %zu that were taken back %zu are remembered", before->returns,
                   registrar->trial.returns.count);
    if (registrar->floors.manifest_version < before->manifest)
        crash_lost(crash, "the floor is %" PRIu64 ", and was %" PRIu64,
                   registrar->floors.manifest_version, before->manifest);
    if (memcmp(before->good, after->good, sizeof before->good) != 0 ||
        registrar->held.current.number == 0)
        return;
    const struct documents found = of_good(seed->world);
    if (memcmp(trial_good(registrar)->digest, before->good, sizeof before->good) != 0)
        crash_lost(crash, "another generation is the good one");
    else if (!same(&found, &before->of_good))
        crash_corrupt(crash, "the good one is not whole");
}

static void check(struct crash *crash, const char *dir, unsigned step, bool done)
{
    struct seed *seed = crash->ctx;
    const struct state *after = &seed->states[step];
    const struct state *before = done ? after : &seed->states[step - 1];
    (void)snprintf(seed->world->registry, sizeof seed->world->registry, "%s/registry", dir);
    check_in_force(crash, before, after, "as the application finds it");
    uint64_t given = seed->given;
    const struct gate_lease lease = seed->world->lease;
    seed->world->lease.transaction = after->sale;
    seed->world->switched = NULL; /* it is no step */
    open_at(seed, dir);
    check_counts(crash, before, after);
    check_kept(crash, before, after);
    seed->given = after->given;
    count_again(seed);
    settle(seed->world);
    check_in_force(crash, before, after, "when all is settled");
    check_kept(crash, before, after);
    world_close(seed->world);
    seed->world->switched = on_switched;
    seed->given = given;
    seed->world->lease = lease;
}

int main(int argc, char **argv)
{
    const struct crash_part part = {
        .name = "apply",
        .images = 1500,
        .images_full = 60000,
        .kinds = 1u << DISK_CREATE | 1u << DISK_WRITE | 1u << DISK_SYNC | 1u << DISK_SYNC_DIR |
                 1u << DISK_RENAME | 1u << DISK_LINK | 1u << DISK_SYMLINK | 1u << DISK_UNLINK |
                 1u << DISK_MKDIR,
        .rounds = 2,
        .begin = begin,
        .work = work,
        .drop = drop,
        .check = check,
        .end = end,
    };
    return crash_main(&part, argc, argv);
}
