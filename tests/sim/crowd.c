/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/crowd.h"

#include "tests/bench/figures.h"
#include "tests/sim/tally.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { BEAT_MS = 100, SECOND_MS = 1000, HOUR_MS = 3600 * SECOND_MS, QUARTERS = 4 };
enum { SUSPECT_STEP = 10007 }; /* a prime above all counts of terminals */

enum phase { PHASE_CONNECT, PHASE_SETTLE, PHASE_LIVE, PHASE_DRAIN, PHASE_CLOSED };
static const char *const phase_names[] = {"connecting", "taking what the fleet wants", "living",
                                          "waiting for the last receipts", "ending"};

struct crowd {
    const struct crowd_settings *settings;
    uv_loop_t loop;
    uv_timer_t beat, suspects;
    uv_signal_t signals[2];
    struct source *source;
    struct terminal *terminals;
    size_t opened, next_suspect;
    bool opening;  /* a terminal, just now */
    bool counting; /* suspect declines are told */
    enum phase phase;
    int64_t began_ms; /* the phase, time since boot; as are the next: */
    int64_t live_ms, beat_ms;
    int64_t lag_ms; /* by which a beat came too late, the longest since the last quarter */
    unsigned quarters;
    enum crowd_end end;
    struct err why;
};

static int64_t now_ms(void)
{
    return clock_boot_ms(&clock_real);
}

/* ---- ending ---- */

static void close_all(struct crowd *crowd, enum crowd_end end)
{
    if (crowd->phase == PHASE_CLOSED)
        return;
    crowd->phase = PHASE_CLOSED;
    crowd->end = end;
    for (size_t i = 0; i < crowd->opened; i++)
        terminal_close(&crowd->terminals[i]);
    uv_close((uv_handle_t *)&crowd->beat, NULL);
    uv_close((uv_handle_t *)&crowd->suspects, NULL);
    uv_close((uv_handle_t *)&crowd->signals[0], NULL);
    uv_close((uv_handle_t *)&crowd->signals[1], NULL);
}

/* The first reason stays. */
static void fail(struct crowd *crowd, const struct err *why)
{
    if (crowd->phase != PHASE_CLOSED)
        crowd->why = *why;
    close_all(crowd, CROWD_FAILED);
}

static void on_failed(void *ctx, enum agent_end end, const struct err *err)
{
    (void)end;
    fail(ctx, err);
}

static void on_signal(uv_signal_t *signal, int number)
{
    (void)number;
    close_all(signal->data, CROWD_STOPPED);
}

static void enter(struct crowd *crowd, enum phase phase)
{
    printf("# %s took %.1f s\n", phase_names[crowd->phase],
           (double)(now_ms() - crowd->began_ms) / SECOND_MS);
    printf("# %s\n", phase_names[phase]);
    fflush(stdout);
    crowd->phase = phase;
    crowd->began_ms = now_ms();
}

static void limit(struct crowd *crowd)
{
    struct err why = {0};
    struct tally tally;
    if (now_ms() - crowd->began_ms < (int64_t)crowd->settings->patience * SECOND_MS)
        return;
    tally_take(crowd->terminals, crowd->opened, &tally);
    tally_print("sim.given_up", &tally);
    (void)err_set(&why, ERR_TIMEOUT, "%s: not done within %" PRIu64 " s (--patience)",
                  phase_names[crowd->phase], crowd->settings->patience);
    fail(crowd, &why);
}

/* ---- results ---- */

static int64_t day_ms(const struct crowd *crowd)
{
    return (int64_t)crowd->settings->hour * HOUR_MS +
           (int64_t)((double)(now_ms() - crowd->live_ms) * crowd->settings->speed);
}

static int64_t end_ms(const struct crowd *crowd)
{
    return crowd->live_ms + (int64_t)crowd->settings->seconds * SECOND_MS;
}

static void on_result(uv_timer_t *timer);

static void plan_next(struct crowd *crowd, struct terminal *terminal, bool first)
{
    int64_t at_ms = day_ms(crowd);
    int64_t then_ms = curve_later(terminal->curve.trade, at_ms,
                                  curve_gap(&terminal->curve, first, &terminal->rng));
    double wait_ms = (double)(then_ms - at_ms) / crowd->settings->speed;
    if ((double)now_ms() + wait_ms < (double)end_ms(crowd))
        (void)uv_timer_start(&terminal->timer, on_result, (uint64_t)wait_ms + 1, 0);
}

static void record(struct crowd *crowd, struct terminal *terminal, struct world_result *result)
{
    struct err err = {0};
    if (!terminal_record(terminal, result, &err))
        fail(crowd, &err);
}

static void on_result(uv_timer_t *timer)
{
    struct terminal *terminal = timer->data;
    struct crowd *crowd = terminal->crowd;
    struct world_result result;
    source_next(crowd->source, &terminal->till, clock_wall_ms(&clock_real), &result);
    plan_next(crowd, terminal, false);
    record(crowd, terminal, &result);
}

/* After a suspect result a terminal is quiet for a minute: another one is asked meanwhile. */
static bool is_quiet(const struct terminal *terminal)
{
    return terminal->agent->sender.uplink.linger.quiet_until_ms > now_ms();
}

static struct terminal *draw_suspect(struct crowd *crowd)
{
    for (size_t tries = 0; tries < crowd->opened; tries++) {
        crowd->next_suspect = (crowd->next_suspect + SUSPECT_STEP) % crowd->opened;
        struct terminal *terminal = &crowd->terminals[crowd->next_suspect];
        if (!is_quiet(terminal))
            return terminal;
    }
    return NULL;
}

static void count_from_here(struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->opened; i++)
        crowd->terminals[i].suspects_before = crowd->terminals[i].count.suspects;
    crowd->counting = true;
}

/* Who measures how long it takes reads: the device, how many it has made by now, since the first
 * that is told, and when. */
static void on_suspect(uv_timer_t *timer)
{
    struct crowd *crowd = timer->data;
    if (!crowd->counting)
        count_from_here(crowd);
    struct terminal *terminal = crowd->phase == PHASE_LIVE ? draw_suspect(crowd) : NULL;
    struct world_result result;
    if (terminal == NULL)
        return;
    source_suspect(crowd->source, &terminal->till, clock_wall_ms(&clock_real), &result);
    int64_t made_ns = figures_now_ns();
    record(crowd, terminal, &result);
    printf("suspect %s %" PRIu64 " %" PRId64 "\n", terminal->device,
           terminal->count.suspects - terminal->suspects_before, made_ns);
    fflush(stdout);
}

/* So that as many are made as are asked for, whatever the hour. */
static bool scale(struct crowd *crowd, struct err *err)
{
    const struct crowd_settings *settings = crowd->settings;
    int64_t from_ms = (int64_t)settings->hour * HOUR_MS;
    int64_t to_ms = from_ms + (int64_t)((double)settings->seconds * SECOND_MS * settings->speed);
    double made = 0, days[TRADES];
    double wanted = settings->rate * (double)settings->seconds;
    for (unsigned trade = 0; trade < TRADES; trade++)
        days[trade] = curve_days((enum curve_trade)trade, from_ms, to_ms);
    for (size_t i = 0; i < crowd->opened; i++)
        made += crowd->terminals[i].curve.a_day * days[crowd->terminals[i].curve.trade];
    if (made <= 0)
        return err_set(err, ERR_INVALID, "all tills are closed from %" PRIu64 ":00 on (--hour)",
                       settings->hour);
    for (size_t i = 0; i < crowd->opened; i++)
        crowd->terminals[i].curve.a_day *= wanted / made;
    printf("# tills make %.3f times as many results as in WORLD.md\n", wanted / made);
    return true;
}

static void live(struct crowd *crowd)
{
    const struct crowd_settings *settings = crowd->settings;
    struct err err = {0};
    if (!scale(crowd, &err)) {
        fail(crowd, &err);
        return;
    }
    enter(crowd, PHASE_LIVE);
    crowd->live_ms = crowd->began_ms;
    crowd->lag_ms = 0;
    for (size_t i = 0; i < crowd->opened; i++)
        plan_next(crowd, &crowd->terminals[i], true);
    if (settings->suspects > 0)
        (void)uv_timer_start(&crowd->suspects, on_suspect, settings->suspects_after * SECOND_MS + 1,
                             (uint64_t)(SECOND_MS / settings->suspects));
}

/* ---- figures ---- */

static double rss_mb(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    int found = file != NULL ? fscanf(file, "%*u %llu", &pages) : 0;
    if (file != NULL)
        fclose(file);
    return found == 1 ? (double)pages * (double)sysconf(_SC_PAGESIZE) / 1048576 : 0;
}

static double cpu_s(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void print(struct crowd *crowd, const char *prefix)
{
    char name[48];
    struct tally tally;
    tally_take(crowd->terminals, crowd->opened, &tally);
    tally_print(prefix, &tally);
    (void)snprintf(name, sizeof name, "%s.rss", prefix);
    figure(name, rss_mb(), "MB");
    (void)snprintf(name, sizeof name, "%s.cpu", prefix);
    figure(name, cpu_s(), "s");
    (void)snprintf(name, sizeof name, "%s.lag", prefix);
    figure(name, (double)crowd->lag_ms, "ms");
    crowd->lag_ms = 0;
}

static void look_at_quarter(struct crowd *crowd)
{
    char name[32];
    int64_t lived_ms = now_ms() - crowd->live_ms;
    int64_t quarter_ms = (int64_t)crowd->settings->seconds * SECOND_MS / QUARTERS;
    if (lived_ms < quarter_ms * crowd->quarters)
        return;
    (void)snprintf(name, sizeof name, "sim.quarter_%u", crowd->quarters++);
    print(crowd, name);
}

/* ---- from beat to beat ---- */

static void connect_some(struct crowd *crowd)
{
    const struct crowd_settings *settings = crowd->settings;
    struct err err = {0};
    size_t due =
        (size_t)((uint64_t)(now_ms() - crowd->began_ms) * settings->connect_rate / SECOND_MS) + 1;
    /* What is behind is caught up with slowly: a broker lets 100 wait that it has not accepted. */
    size_t most = crowd->opened + (size_t)(2 * settings->connect_rate * BEAT_MS / SECOND_MS) + 1;
    due = due < most ? due : most;
    for (; crowd->opened < due && crowd->opened < settings->devices; crowd->opened++) {
        struct terminal *terminal = &crowd->terminals[crowd->opened];
        terminal->crowd = crowd;
        crowd->opening = true;
        bool open = terminal_open(terminal, &crowd->loop, settings->dir, crowd->opened, on_failed,
                                  crowd, &err);
        crowd->opening = false;
        if (open)
            continue;
        crowd->opened++; /* what of it is open is closed */
        fail(crowd, &err);
        crowd->why = err;
        return;
    }
    if (crowd->opened == settings->devices)
        enter(crowd, PHASE_SETTLE);
}

static void look_who_is_settled(struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->opened; i++) {
        if (!terminal_is_settled(&crowd->terminals[i])) {
            limit(crowd);
            return;
        }
    }
    live(crowd);
}

/* Nothing new is recorded, and nothing waits for company any more. */
static void drain(struct crowd *crowd)
{
    enter(crowd, PHASE_DRAIN);
    (void)uv_timer_stop(&crowd->suspects);
    for (size_t i = 0; i < crowd->opened; i++) {
        struct agent *agent = crowd->terminals[i].agent;
        (void)uv_timer_stop(&crowd->terminals[i].timer);
        (void)uv_timer_stop(&agent->probe_timer);
        linger_release(&agent->sender.uplink.linger);
        agent_pump(agent);
    }
}

static void look_what_waits(struct crowd *crowd)
{
    struct tally tally;
    struct err err = {0};
    tally_take(crowd->terminals, crowd->opened, &tally);
    if (tally.waiting + tally.lost > 0) {
        limit(crowd);
        return;
    }
    print(crowd, "sim.end");
    if (crowd->settings->ledger == NULL ||
        tally_ledger(crowd->settings->ledger, crowd->terminals, crowd->opened, &err))
        close_all(crowd, CROWD_DONE);
    else
        fail(crowd, &err);
}

static void on_beat(uv_timer_t *timer)
{
    struct crowd *crowd = timer->data;
    int64_t lag_ms = now_ms() - crowd->beat_ms - BEAT_MS;
    /* An agent that does not open runs the loop until it is closed: all of it is. */
    if (crowd->opening) {
        close_all(crowd, CROWD_FAILED);
        return;
    }
    crowd->lag_ms = lag_ms > crowd->lag_ms ? lag_ms : crowd->lag_ms;
    switch (crowd->phase) {
    case PHASE_CONNECT:
        connect_some(crowd);
        break;
    case PHASE_SETTLE:
        look_who_is_settled(crowd);
        break;
    case PHASE_LIVE:
        look_at_quarter(crowd);
        if (now_ms() >= end_ms(crowd))
            drain(crowd);
        break;
    case PHASE_DRAIN:
        look_what_waits(crowd);
        break;
    case PHASE_CLOSED:
        break;
    }
    crowd->beat_ms = now_ms();
}

/* ---- from begin to end ---- */

static bool prepare(struct crowd *crowd, struct err *err)
{
    const struct crowd_settings *settings = crowd->settings;
    const struct source_settings source = {
        .routing = settings->routing, .ca_keys = settings->ca_keys, .seed = settings->seed};
    struct terminal *all = calloc(1, sizeof *all);
    struct rng rng = rng_named(settings->seed, "fleet");
    crowd->terminals = calloc(settings->devices, sizeof *crowd->terminals);
    if (all == NULL || crowd->terminals == NULL) {
        free(all);
        return err_set(err, ERR_NO_MEMORY, "no memory for %" PRIu64 " terminals",
                       settings->devices);
    }
    bool ok = terminal_settings(settings, all, err) && link_check(&all->link_settings, err) &&
              source_open(&source, &crowd->source, err);
    for (size_t i = 0; ok && i < settings->devices; i++) {
        struct terminal *terminal = &crowd->terminals[i];
        *terminal = *all;
        terminal->curve = curve_draw(&rng);
        terminal->rng = rng_of(rng_u64(&rng));
        terminal->till = source_till(crowd->source, i);
    }
    free(all);
    return ok;
}

static void print_world(const struct crowd *crowd)
{
    const struct crowd_settings *settings = crowd->settings;
    printf("# %" PRIu64 " terminals, seed %" PRIu64 ": ", settings->devices, settings->seed);
    for (unsigned trade = 0; trade < TRADES; trade++) {
        unsigned count = 0;
        double a_day = 0;
        for (size_t i = 0; i < settings->devices; i++) {
            const struct curve_till *till = &crowd->terminals[i].curve;
            count += till->trade == trade;
            a_day += till->trade == trade ? till->a_day : 0;
        }
        printf("%s%u %s of %.1f results a day", trade > 0 ? ", " : "", count,
               curve_lane((enum curve_trade)trade)->name, count > 0 ? a_day / count : 0);
    }
    printf("\n# from %" PRIu64 ":00, a day in %.1f h, %.1f results a second on average for %" PRIu64
           " s",
           settings->hour, 24 / settings->speed, settings->rate, settings->seconds);
    if (settings->suspects > 0)
        printf("; beside these %.1f suspect declines a second, from second %" PRIu64 " on",
               settings->suspects, settings->suspects_after);
    printf("\n# %s\n", phase_names[PHASE_CONNECT]);
    fflush(stdout);
}

static void start(struct crowd *crowd)
{
    static const int numbers[2] = {SIGTERM, SIGINT};
    (void)uv_loop_init(&crowd->loop);
    (void)uv_timer_init(&crowd->loop, &crowd->beat);
    (void)uv_timer_init(&crowd->loop, &crowd->suspects);
    crowd->beat.data = crowd->suspects.data = crowd;
    crowd->began_ms = crowd->beat_ms = now_ms();
    (void)uv_timer_start(&crowd->beat, on_beat, BEAT_MS, BEAT_MS);
    for (size_t i = 0; i < 2; i++) {
        (void)uv_signal_init(&crowd->loop, &crowd->signals[i]);
        crowd->signals[i].data = crowd;
        (void)uv_signal_start(&crowd->signals[i], on_signal, numbers[i]);
    }
}

enum crowd_end crowd_run(const struct crowd_settings *settings, struct err *err)
{
    struct crowd crowd = {.settings = settings, .end = CROWD_FAILED};
    if (prepare(&crowd, &crowd.why)) {
        print_world(&crowd);
        start(&crowd);
        (void)uv_run(&crowd.loop, UV_RUN_DEFAULT);
        for (size_t i = 0; i < crowd.opened; i++)
            terminal_free(&crowd.terminals[i]);
        (void)uv_loop_close(&crowd.loop);
    }
    free(crowd.terminals);
    source_close(crowd.source);
    if (crowd.end == CROWD_FAILED && err != NULL)
        *err = crowd.why;
    return crowd.end;
}
