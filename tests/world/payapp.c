/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/exit_codes.h"
#include "base/log.h"
#include "tests/world/handover.h"
#include "tests/world/options.h"
#include "tests/world/till.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * The payment application of one terminal. It takes commands on stdin, a line each:
 *   run N PACE   the next N customers, one every PACE ms
 *   rewind       the same customers from the first one on
 *   quit
 * and says on stdout: "ready" once, "sold N" after every tenth part of a run, and when all
 * results of a run are acknowledged
 *   ran CARDS approved A declined57 D table_miss M no_common_aid I key_missing K
 */
enum { RETRY_MS = 50, LINE_BYTES = 128 };

struct counts {
    uint64_t cards, approved, declined57, table_miss, no_common_aid, key_missing;
};

struct payapp {
    struct till *till;
    struct handover *handover;
    char line[LINE_BYTES];
    size_t line_length;
    unsigned run;
    uint64_t wanted; /* customers of this run */
    int64_t pace_ms, next_ms;
    struct counts counts; /* of this run */
    bool running, quit;
    bool reversal, batch; /* open, as the agent was told */
};

static void say(const char *text)
{
    puts(text);
    fflush(stdout);
}

static void count(struct counts *counts, const Muster__TxnResult *txn)
{
    counts->cards++;
    counts->approved += txn->outcome == MUSTER__OUTCOME__OUTCOME_APPROVED;
    counts->declined57 += strcmp(txn->code, "57") == 0;
    counts->table_miss += txn->table_miss ? 1 : 0;
    counts->no_common_aid += txn->no_common_aid ? 1 : 0;
    counts->key_missing += txn->key_missing ? 1 : 0;
}

static void stand(struct payapp *app, bool reversal, bool batch)
{
    if (reversal != app->reversal || batch != app->batch)
        handover_say(app->handover, reversal, batch);
    app->reversal = reversal;
    app->batch = batch;
}

/* What the host has not answered may have been booked there: it is reversed with the next one that
 * it answers. What it has approved is in the batch until the end of the run. */
static void note(struct payapp *app, const Muster__TxnResult *txn)
{
    bool unanswered = txn->outcome == MUSTER__OUTCOME__OUTCOME_NO_ANSWER;
    bool answered = txn->code_source == MUSTER__CODE_SOURCE__CODE_SOURCE_HOST;
    stand(app, unanswered || (app->reversal && !answered),
          app->batch || txn->outcome == MUSTER__OUTCOME__OUTCOME_APPROVED);
}

static bool sell(struct payapp *app, struct err *err)
{
    struct world_result result;
    char text[64];
    bool sold = till_sell(app->till, handover_begin(app->handover), &result, err);
    if (sold)
        note(app, &result.txn); /* while it is still a sale */
    handover_end(app->handover);
    if (!sold || !handover_add(app->handover, app->run, &result.txn, err))
        return false;
    count(&app->counts, &result.txn);
    app->next_ms += app->pace_ms;
    uint64_t tenth = app->wanted / 10 ? app->wanted / 10 : 1;
    if (app->counts.cards % tenth == 0) {
        snprintf(text, sizeof text, "sold %llu", (unsigned long long)app->counts.cards);
        say(text);
    }
    return true;
}

static void say_ran(struct payapp *app)
{
    const struct counts *counts = &app->counts;
    printf("ran %llu approved %llu declined57 %llu table_miss %llu no_common_aid %llu "
           "key_missing %llu\n",
           (unsigned long long)counts->cards, (unsigned long long)counts->approved,
           (unsigned long long)counts->declined57, (unsigned long long)counts->table_miss,
           (unsigned long long)counts->no_common_aid, (unsigned long long)counts->key_missing);
    fflush(stdout);
    stand(app, false, false); /* settled, and what was to be reversed with it */
    app->running = false;
}

static bool obey(struct payapp *app, const char *line, struct err *err)
{
    unsigned long long cards, pace_ms;
    if (strcmp(line, "quit") == 0) {
        app->quit = true;
    } else if (strcmp(line, "rewind") == 0 && !app->running) {
        till_rewind(app->till);
    } else if (sscanf(line, "run %llu %llu", &cards, &pace_ms) == 2 && cards > 0 && !app->running) {
        app->running = true;
        app->run++;
        app->wanted = cards;
        app->pace_ms = (int64_t)pace_ms;
        app->next_ms = clock_boot_ms(&clock_real);
        app->counts = (struct counts){0};
    } else {
        return err_set(err, ERR_INVALID, "command \"%s\": not known, or not now", line);
    }
    return true;
}

/* Takes what there is on stdin; its end is "quit". */
static bool read_commands(struct payapp *app, struct err *err)
{
    ssize_t got =
        read(STDIN_FILENO, app->line + app->line_length, sizeof app->line - app->line_length);
    if (got < 0)
        return errno == EINTR || err_errno(err, errno, "stdin");
    app->quit = app->quit || got == 0;
    app->line_length += (size_t)got;
    for (char *end; (end = memchr(app->line, '\n', app->line_length)) != NULL;) {
        *end = '\0';
        if (!obey(app, app->line, err))
            return false;
        size_t taken = (size_t)(end - app->line) + 1;
        app->line_length -= taken;
        memmove(app->line, app->line + taken, app->line_length);
    }
    if (app->line_length == sizeof app->line)
        return err_set(err, ERR_INVALID, "a command is longer than %d bytes", LINE_BYTES);
    return true;
}

/* How long there is nothing to do, -1: until a command comes. */
static int idle_ms(const struct payapp *app)
{
    if (!app->running)
        return -1;
    if (app->counts.cards == app->wanted)
        return RETRY_MS;
    int64_t left = app->next_ms - clock_boot_ms(&clock_real);
    return left > 0 ? (int)(left < 1000 ? left : 1000) : 0;
}

static bool turn(struct payapp *app, struct err *err)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    if (poll(&input, 1, idle_ms(app)) < 0 && errno != EINTR)
        return err_errno(err, errno, "poll");
    if (input.revents && !read_commands(app, err))
        return false;
    if (!app->running)
        return true;
    if (app->counts.cards < app->wanted && app->next_ms <= clock_boot_ms(&clock_real) &&
        !sell(app, err))
        return false;
    if (!handover_try(app->handover, err))
        return false;
    if (app->counts.cards == app->wanted && handover_waiting(app->handover) == 0)
        say_ran(app);
    return true;
}

/* What the command line says, and the tables of the world outside the terminal. */
struct setup {
    const char *agent_socket, *oracle, *table, *ca_keys, *seed;
    struct till_settings till;
    struct ranges ranges;
    struct ca_keys keys;
};

static bool prepare(struct setup *setup, struct payapp *app, struct err *err)
{
    struct deck_settings *deck = &setup->till.world.deck;
    deck->world_seed = 1;
    deck->ranges = &setup->ranges;
    deck->ca_keys = &setup->keys;
    return options_number("--seed", setup->seed, &deck->seed, err) &&
           ranges_read(setup->table, &setup->ranges, err) &&
           ca_keys_read(setup->ca_keys, &setup->keys, err) &&
           till_open(&setup->till, &app->till, err) &&
           handover_open(setup->agent_socket, setup->oracle, &app->handover, err);
}

int main(int argc, char **argv)
{
    struct setup setup = {0};
    const struct option_text options[] = {{"--agent", &setup.agent_socket},
                                          {"--host", &setup.till.host_path},
                                          {"--registry", &setup.till.registry},
                                          {"--params", &setup.till.params_name},
                                          {"--oracle", &setup.oracle},
                                          {"--world-table", &setup.table},
                                          {"--world-ca-keys", &setup.ca_keys},
                                          {"--seed", &setup.seed},
                                          {0}};
    struct payapp app = {0};
    struct err err = {0};
    log_init("world-payapp", LOG_INFO);
    if (!options_read(argc, argv, options, &err)) {
        log_error("%s", err.text);
        return EXIT_USAGE;
    }
    bool done = prepare(&setup, &app, &err);
    if (done) {
        handover_say(app.handover, app.reversal, app.batch);
        say("ready");
    }
    while (done && !app.quit)
        done = turn(&app, &err);
    if (!done)
        log_error("%s", err.text);
    handover_close(app.handover);
    till_close(app.till);
    ca_keys_done(&setup.keys);
    ranges_done(&setup.ranges);
    return done ? EXIT_OK : exit_code_of(&err);
}
