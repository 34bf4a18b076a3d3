/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_DAEMON_H
#define BASE_DAEMON_H

#include "base/settings.h"

#include <uv.h>

/*
 * What every program that runs on its own has in common: the command line, and a loop that SIGTERM
 * and SIGINT end. Its main file says the rest: parse, open, run, close.
 */
enum { DAEMON_ACTIONS = 4 };

struct daemon {
    const char *name;
    const char *usage;  /* the whole text of --help */
    const char *config; /* where the settings are unless --config says otherwise */
    /* Long options of its own without argument: "make-key". */
    const char *actions[DAEMON_ACTIONS];
    const struct setting *settings;
};

struct daemon_options {
    const char *config;
    bool check_config;
    const char *action; /* which of them was asked for; NULL: none */
};

/* False: the program ends with *ret_code; --help and the like have been answered, or a wrong
 * command line told on stderr. */
bool daemon_parse(const struct daemon *daemon, int argc, char **argv,
                  struct daemon_options *ret_options, int *ret_code) MUSTER_CHECK;

struct daemon_run {
    uv_loop_t loop;
    uv_signal_t signals[2];
    uv_timer_t watchdog;
    void (*stop)(void *ctx); /* closes what was opened, so that the loop runs out */
    bool (*lives)(void *ctx);
    void *ctx;
    int exit_code;
    bool stopping;
    bool again; /* it is to begin anew, in this process */
};

/* The loop is there; SIGPIPE is ignored. */
void daemon_begin(struct daemon_run *run, void (*stop)(void *ctx), void *ctx);
/* To be called before daemon_loop: the service manager's watchdog ($WATCHDOG_USEC), if there is
 * one, is fed by the turning of the loop as long as `lives` says that the work gets on; NULL:
 * always. */
void daemon_watch(struct daemon_run *run, bool (*lives)(void *ctx));
/* Tells the service manager that it is ready and runs until all is closed. */
void daemon_loop(struct daemon_run *run);
/* Begins to stop; the first call's exit code stays. */
void daemon_stop(struct daemon_run *run, int exit_code);
/* The same with nothing said to the service manager: who runs the loop begins anew. */
void daemon_again(struct daemon_run *run);
void daemon_end(struct daemon_run *run);

#endif
