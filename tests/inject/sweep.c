/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/inject/sweep.h"

#include "base/file.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HANG_S = 20, SHOWN_MAX = 20, SITE_CHARS = 160, THIN = 8, SAMPLE = 16 };

/* With AddressSanitizer alone. Most of a run's time would go into the stacks of allocations. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "malloc_context_size=4:quarantine_size_mb=8";
}

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static struct {
    const char *part;
    char dir[64];
    char site[SITE_CHARS]; /* what runs now */
    unsigned violations, runs;
    unsigned sites[FAULT_OPS];
    unsigned share, shares, next;
    bool full;
} sweep;

void violation(const char *fmt, ...)
{
    va_list args;
    if (++sweep.violations > SHOWN_MAX)
        return;
    printf("violation: %s: ", sweep.site);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
}

unsigned violations(void)
{
    return sweep.violations;
}

const char *sweep_dir(void)
{
    return sweep.dir;
}

void sweep_die(const char *file, int line, const struct err *err)
{
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, sweep.site, err->text);
    exit(1);
}

static void say_site(void)
{
    (void)!write(STDERR_FILENO, sweep.site, strlen(sweep.site));
    (void)!write(STDERR_FILENO, "\n", 1);
}

static void on_signal(int number)
{
    static const char hangs[] = "hangs or aborts in: ";
    (void)!write(STDERR_FILENO, hangs, sizeof hangs - 1);
    say_site();
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

/* ---- one run ---- */

static void run_once(const struct sweep_scene *scene, const struct fault *fault)
{
    (void)snprintf(sweep.site, sizeof sweep.site, "%s %s %s %u %s %s", sweep.part, scene->name,
                   fault_op_name(fault->op), fault->number, fault_kind_name(fault->kind),
                   fault->onward ? "onward" : "once");
    (void)alarm(HANG_S);
    faults_plan(fault);
    long live = fault_memory_live();
    scene->run();
    faults_off();
    sweep.runs++;
    if (fault_memory_live() != live)
        violation("leaks: %ld allocations or bytes", fault_memory_live() - live);
    if (fault->number > 0 && faults_struck() == 0)
        violation("never got there: the scene does not do the same each time");
}

static void run_each_way(const struct sweep_scene *scene, enum fault_op op, unsigned number)
{
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        if (!fault_possible(op, (enum fault_kind)kind))
            continue;
        bool thin = (scene->thins_out >> op & 1) != 0 && number % THIN != 0 && !sweep.full;
        for (int onward = 0; onward < (thin ? 1 : 2); onward++) {
            const struct fault fault = {op, number, (enum fault_kind)kind, onward == 1};
            run_once(scene, &fault);
        }
    }
}

static bool is_swept(const struct sweep_scene *scene, int op, unsigned number)
{
    if ((scene->leaves_out >> op & 1) != 0)
        return false;
    return (scene->samples >> op & 1) == 0 || number % SAMPLE == 0 || sweep.full;
}

static void run_scene(const struct sweep_scene *scene)
{
    static const struct fault none;
    unsigned counts[FAULT_OPS];
    run_once(scene, &none); /* what is made once for good, in caches and libraries */
    run_once(scene, &none);
    for (int op = 0; op < FAULT_OPS; op++)
        counts[op] = faults_count((enum fault_op)op);
    for (int op = 0; op < FAULT_OPS; op++) {
        for (unsigned number = 1; number <= counts[op]; number++) {
            if (!is_swept(scene, op, number) || sweep.next++ % sweep.shares != sweep.share)
                continue;
            sweep.sites[op]++;
            run_each_way(scene, (enum fault_op)op, number);
        }
    }
}

/* ---- the program ---- */

/* "SCENE OP NUMBER KIND once|onward": one run, to look into it. */
static bool run_named(const struct sweep_scene *scenes, size_t count, char **words)
{
    static const struct fault none;
    struct fault fault = {.number = (unsigned)strtoul(words[2], NULL, 10),
                          .onward = strcmp(words[4], "onward") == 0};
    while (fault.op < FAULT_OPS && strcmp(words[1], fault_op_name(fault.op)) != 0)
        fault.op++;
    while (fault.kind < FAULT_KINDS && strcmp(words[3], fault_kind_name(fault.kind)) != 0)
        fault.kind++;
    for (size_t i = 0; i < count; i++) {
        if (fault.op < FAULT_OPS && fault.kind < FAULT_KINDS &&
            strcmp(scenes[i].name, words[0]) == 0) {
            run_once(&scenes[i], &none);
            run_once(&scenes[i], &fault);
            return true;
        }
    }
    return false;
}

static void set_up(const char *part)
{
    const char *temporary = getenv("TMPDIR");
    sweep.part = part;
    sweep.full = getenv("MUSTER_INJECT_FULL") != NULL;
    (void)snprintf(sweep.dir, sizeof sweep.dir, "%s/muster-inject-XXXXXX",
                   temporary != NULL ? temporary : "/tmp");
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)signal(SIGALRM, on_signal);
    (void)signal(SIGABRT, on_signal);
    if (__sanitizer_set_death_callback != NULL)
        __sanitizer_set_death_callback(say_site);
    fault_memory_install();
    fault_vfs_install();
    if (mkdtemp(sweep.dir) == NULL) {
        perror(sweep.dir);
        exit(1);
    }
}

static int finish(void)
{
    unsigned sites = 0;
    MUST(file_remove_tree(sweep.dir, &err));
    for (int op = 0; op < FAULT_OPS; op++) {
        sites += sweep.sites[op];
        if (sweep.sites[op] > 0)
            printf("inject.%s.%s.sites %u count\n", sweep.part, fault_op_name((enum fault_op)op),
                   sweep.sites[op]);
    }
    printf("inject.%s.runs %u count\n", sweep.part, sweep.runs);
    printf("inject.%s.sites %u count\n", sweep.part, sites);
    printf("inject.%s.violations %u count\n", sweep.part, sweep.violations);
    return sweep.violations == 0 && sites > 0 ? 0 : 1;
}

int sweep_main(const char *part, void (*prepare)(void), const struct sweep_scene *scenes,
               size_t count, int argc, char **argv)
{
    set_up(part);
    prepare();
    sweep.shares = 1;
    if (argc == 6) {
        if (!run_named(scenes, count, argv + 1))
            return 2;
        sweep.sites[0]++;
        return finish();
    }
    if (argc >= 2 &&
        (sscanf(argv[1], "%u/%u", &sweep.share, &sweep.shares) != 2 || sweep.share >= sweep.shares))
        return 2;
    for (size_t i = 0; i < count; i++) {
        if (argc < 3 || strcmp(argv[2], scenes[i].name) == 0)
            run_scene(&scenes[i]);
    }
    return finish();
}

struct copying {
    const char *from, *to;
};

static bool copy_one(void *ctx, const char *name, struct err *err)
{
    const struct copying *copying = ctx;
    char from[512], to[512];
    struct stat st;
    struct buf content = {0};
    if (!path_join(from, sizeof from, copying->from, name, err) ||
        !path_join(to, sizeof to, copying->to, name, err))
        return false;
    /* Never written in place. */
    if (strstr(name, ".ballast") != NULL)
        return file_link(from, to, err);
    if (lstat(from, &st) != 0)
        return err_set(err, ERR_IO, "cannot stat %s", from);
    FILE *out = fopen(to, "wb");
    bool good = out != NULL && file_read(from, 64 << 20, &content, err) &&
                fwrite(content.data, 1, content.length, out) == content.length;
    if (out != NULL && fclose(out) != 0)
        good = false;
    buf_done(&content);
    return good || err_set(err, ERR_IO, "cannot copy %s", from);
}

struct names {
    char names[16][64];
    size_t count;
};

static bool note_name(void *ctx, const char *name)
{
    struct names *names = ctx;
    if (names->count < 16)
        (void)snprintf(names->names[names->count++], 64, "%s", name);
    return true;
}

void sweep_copy(const char *from, const char *to)
{
    struct copying copying = {from, to};
    struct names names = {.count = 0};
    MUST(file_remove_tree(to, &err) && file_make_dir(to, 0755, &err));
    MUST(file_list(from, note_name, &names, &err));
    for (size_t i = 0; i < names.count; i++)
        MUST(copy_one(&copying, names.names[i], &err));
}
