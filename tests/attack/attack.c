/* SPDX-License-Identifier: Apache-2.0 */
/* The attacks of TUF and Uptane on a terminal's desired state, by thieves who stole the key of any
 * role, at every point where its sync may be restarted; and what is one device's shown to another.
 *   attack [--only TEXT]   cases whose "attack/variant" contains TEXT */
#include "base/file.h"
#include "base/log.h"
#include "tests/attack/session.h"
#include "tests/attack/strike.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SHARES = 2, DEVICES = 8, CASES_LEAST = 2000 };

static const struct thief thieves[] = {
    {.name = "nothing"},
    {.name = "one root key", .roles = NEED_ROOT},
    {.name = "release", .roles = NEED_RELEASE},
    {.name = "custodian", .roles = NEED_CUSTODIAN},
    {.name = "director", .roles = NEED_DIRECTOR},
    {.name = "receipt", .roles = NEED_RECEIPT},
    {.name = "director and release", .roles = NEED_DIRECTOR | NEED_RELEASE},
    {.name = "director and custodian", .roles = NEED_DIRECTOR | NEED_CUSTODIAN},
    {.name = "director and receipt (all of musterd)", .roles = NEED_DIRECTOR | NEED_RECEIPT},
    {.name = "the threshold of root", .roles = NEED_ROOT, .every_root = true},
};
enum { THIEVES = sizeof thieves / sizeof thieves[0] };

static const char *const devices[DEVICES] = {DEVICE,  OTHER, "t-0003",   "t-00010",
                                             "t-000", "a",   "t-0001-b", "9"};

struct run {
    const struct fleet *fleet;
    const char *templates, *only;
    size_t share, at; /* which share this process takes, and how many cases there were */
    struct tally tally;
    /* Cases of each attack by each thief at each stage. */
    unsigned cells[ATTACKS][THIEVES][STAGES];
};

static void run_one(struct run *run, const struct variant *variant, const struct thief *thief,
                    enum stage stage, const char *device, const char *other)
{
    char name[128];
    (void)snprintf(name, sizeof name, "%s/%s", attack_name(variant->attack), variant->name);
    if (run->only != NULL && strstr(name, run->only) == NULL)
        return;
    if (variant->stages != 0 && (variant->stages >> stage & 1) == 0)
        return;
    if (run->at++ % SHARES == run->share)
        strike_run(run->fleet, run->templates, variant, thief, stage, device, other, &run->tally);
}

/* Every attack with every role's key at every stage; but what needs no key is the same whoever does
 * it, and several keys together only matter where all of them are needed: those once at each
 * stage, and where nothing else would be in the cell. */
static bool tells_nothing_new(const struct run *run, const struct variant *variant, size_t thief,
                              enum stage stage)
{
    unsigned has = thieves[thief].roles;
    bool several = (has & (has - 1)) != 0 || thieves[thief].every_root;
    bool matters = variant->needs != 0 && (variant->needs & has) == has;
    bool same = several ? !matters : variant->needs == 0 && thief != 0;
    return same && (several || run->cells[variant->attack][thief][stage] > 0);
}

static void run_variants(struct run *run, const struct variants *variants)
{
    for (size_t i = 0; i < variants->count; i++)
        for (size_t t = 0; t < THIEVES; t++)
            for (int stage = 0; stage < (int)STAGES; stage++)
                if (!tells_nothing_new(run, &variants->list[i], t, (enum stage)stage)) {
                    run_one(run, &variants->list[i], &thieves[t], (enum stage)stage, DEVICE, OTHER);
                    run->cells[variants->list[i].attack][t][stage]++;
                }
}

/* Who stole the director's key can do the most here. */
static void run_pairs(struct run *run)
{
    static const size_t stealing[] = {0, 4};
    for (size_t i = 0; i < DEVICES; i++)
        for (size_t j = 0; j < DEVICES; j++)
            for (size_t v = 0; i != j && v < attacks_on_pairs.count; v++)
                for (size_t t = 0; t < sizeof stealing / sizeof stealing[0]; t++)
                    run_one(run, &attacks_on_pairs.list[v], &thieves[stealing[t]],
                            (i + j) % 2 == 0 ? STAGE_BETWEEN : STAGE_IDLE, devices[i], devices[j]);
}

static bool is_wanted(const struct run *run, const struct session_variant *variant)
{
    char name[128];
    (void)snprintf(name, sizeof name, "%s/%s", attack_name(variant->attack), variant->name);
    return run->only == NULL || strstr(name, run->only) != NULL;
}

static void run_session(struct run *run, struct session *session,
                        const struct session_variant *variant, size_t thief, unsigned points)
{
    for (int point = 0; point < (int)POINTS; point++)
        if ((points >> point & 1) != 0)
            session_strike(session, variant, &thieves[thief], (enum point)point, &run->tally);
}

/* What needs no key once, the rest by every thief of one key, and by those who have what it needs.
 */
static void run_thieves(struct run *run, struct session *session,
                        const struct session_variant *variant, unsigned points)
{
    for (size_t t = 0; t < THIEVES; t++) {
        unsigned has = thieves[t].roles;
        bool several = (has & (has - 1)) != 0 || thieves[t].every_root;
        if (variant->needs == 0 ? t == 0 : !several || (variant->needs & ~has) == 0)
            run_session(run, session, variant, t, points);
    }
}

static void run_session_list(struct run *run, struct session *session,
                             const struct session_variants *variants, bool revoked)
{
    for (size_t i = 0; i < variants->count; i++) {
        const struct session_variant *variant = &variants->list[i];
        unsigned points = variant->points != 0 ? variant->points : (1U << POINTS) - 1;
        if (is_wanted(run, variant) && variant->revoked == revoked)
            run_thieves(run, session, variant, points);
    }
}

/* With each other device, and the keys that musterd has. */
static void run_session_pairs(struct run *run, struct session *session, size_t device)
{
    static const size_t stealing[] = {0, 4, 5, 8};
    for (size_t other = 0; other < DEVICES; other++) {
        unsigned point = 1U << ((device + other) % 2 == 0 ? POINT_ASKED : POINT_RESTARTED);
        session->strike.other = devices[other];
        for (size_t i = 0; other != device && i < attacks_on_session_pairs.count; i++) {
            const struct session_variant *variant = &attacks_on_session_pairs.list[i];
            for (size_t t = 0; t < sizeof stealing / sizeof stealing[0]; t++)
                if (is_wanted(run, variant) && (variant->needs != 0 || t == 0))
                    run_session(run, session, variant, stealing[t], point);
        }
    }
}

/* Every attack that is not on a pair, on one terminal of each process: half of them each. */
static void run_session_lists(struct run *run, struct session *session)
{
    static const struct session_variants *const lists[] = {
        &attacks_on_welcomes, &attacks_on_receipts, &attacks_on_silence};
    enum { LISTS = sizeof lists / sizeof lists[0] };
    for (size_t i = run->share; i < LISTS; i += SHARES)
        run_session_list(run, session, lists[i], false);
    session_rotate(session);
    for (size_t i = run->share; i < LISTS; i += SHARES)
        run_session_list(run, session, lists[i], true);
}

/* A terminal for each device, which outlives all that is tried on it. */
static void run_sessions(struct run *run)
{
    for (size_t device = run->share; device < DEVICES; device += SHARES) {
        struct session session;
        char folder[TERMINAL_PATH];
        (void)snprintf(folder, sizeof folder, "%.150s/session", run->templates);
        session_open(&session, run->fleet, folder, devices[device]);
        run_session_pairs(run, &session, device);
        session.strike.other = devices[(device + 1) % DEVICES];
        if (device < SHARES)
            run_session_lists(run, &session);
        session_close(&session);
    }
}

/* A process of its own: half of the cases. */
static void run_share(struct run *run, const char *folder, int out)
{
    char templates[TERMINAL_PATH];
    (void)snprintf(templates, sizeof templates, "%s/%zu", folder, run->share);
    run->templates = templates;
    must(file_make_dir(templates, 0700, NULL), templates, NULL);
    run_variants(run, &attacks_on_manifests);
    run_variants(run, &attacks_on_documents);
    run_variants(run, &attacks_on_content);
    run_variants(run, &attacks_on_deltas);
    run_variants(run, &attacks_on_pieces);
    run_variants(run, &attacks_on_roots);
    run_variants(run, &attacks_on_secrets);
    run_variants(run, &attacks_on_disks);
    run_pairs(run);
    run_sessions(run);
    must(write(out, &run->tally, sizeof run->tally) == (ssize_t)sizeof run->tally, "the tally",
         NULL);
}

static pid_t start_share(struct run *run, const char *folder, int out)
{
    pid_t child = fork();
    must(child >= 0, "fork", NULL);
    if (child > 0)
        return child;
    run_share(run, folder, out);
    fleet_close((struct fleet *)(uintptr_t)run->fleet);
    exit(0);
}

static void add(struct tally *sum, const struct tally *part)
{
    sum->cases += part->cases;
    sum->accepted += part->accepted;
    sum->limits += part->limits;
    sum->failures += part->failures;
    sum->stale += part->stale;
    for (size_t i = 0; i < sizeof sum->reasons / sizeof sum->reasons[0]; i++)
        sum->reasons[i] += part->reasons[i];
    for (size_t i = 0; i < ATTACKS; i++)
        sum->attacks[i] += part->attacks[i];
}

static bool tell(const struct tally *tally, bool all)
{
    bool every = true;
    for (size_t i = 0; i < ATTACKS; i++) {
        (void)printf("attack.%s %u cases\n", attack_name((enum attack)i), tally->attacks[i]);
        every = every && (tally->attacks[i] > 0 || !all);
    }
    for (size_t i = 0; i < sizeof tally->reasons / sizeof tally->reasons[0]; i++) {
        char name[REFUSAL_NAME_CHARS];
        refusal_name((Muster__Refusal)i, name);
        if (tally->reasons[i] > 0)
            (void)printf("attack.reason.%s %u cases\n", name, tally->reasons[i]);
    }
    (void)printf("attack.stale %u cases\n", tally->stale);
    (void)printf("attack.limits %u cases\n", tally->limits);
    (void)printf("attack.cases %u cases\n", tally->cases);
    (void)printf("attack.accepted %u cases\n", tally->accepted);
    (void)printf("attack.failures %u cases\n", tally->failures);
    return every && tally->failures == 0 && tally->accepted == 0 &&
           (!all || tally->cases >= CASES_LEAST);
}

/* Its own folder, with the keys in it; what is left there goes with it. */
static bool run_all(const char *folder, const char *only)
{
    struct fleet fleet;
    struct tally sum = {0};
    bool whole = true;
    int ends[SHARES][2];
    pid_t children[SHARES];
    fleet_open(&fleet, folder);
    for (size_t i = 0; i < DEVICES; i++)
        fleet_enrol(&fleet, folder, devices[i]);
    for (size_t i = 0; i < SHARES; i++) {
        struct run run = {.fleet = &fleet, .only = only, .share = i};
        must(pipe(ends[i]) == 0, "pipe", NULL);
        children[i] = start_share(&run, folder, ends[i][1]);
        (void)close(ends[i][1]);
    }
    for (size_t i = 0; i < SHARES; i++) {
        struct tally part;
        int status = -1;
        bool told = read(ends[i][0], &part, sizeof part) == (ssize_t)sizeof part;
        (void)close(ends[i][0]);
        whole = waitpid(children[i], &status, 0) == children[i] && status == 0 && told && whole;
        if (told)
            add(&sum, &part);
    }
    fleet_close(&fleet);
    return tell(&sum, only == NULL) && whole;
}

int main(int argc, char **argv)
{
    /* In memory, where there is room: a journal has trouble with so many short-lived files. */
    const char *temporary = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
    char folder[TERMINAL_PATH / 2];
    bool only = argc == 3 && strcmp(argv[1], "--only") == 0;
    if (argc != 1 && !only) {
        (void)fprintf(stderr, "usage: attack [--only TEXT]\n");
        return 2;
    }
    log_init("attack", LOG_ERROR); /* thousands of refusals */
    must(setenv("UV_THREADPOOL_SIZE", "1", 1) == 0, "setenv", NULL);
    (void)snprintf(folder, sizeof folder, "%s/attack.XXXXXX",
                   temporary != NULL ? temporary : "/tmp");
    must(mkdtemp(folder) != NULL, folder, NULL);
    bool good = run_all(folder, only ? argv[2] : NULL);
    must(file_remove_tree(folder, NULL), folder, NULL);
    return good ? 0 : 1;
}
