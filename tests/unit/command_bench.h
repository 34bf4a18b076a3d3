/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_COMMAND_BENCH_H
#define TESTS_UNIT_COMMAND_BENCH_H

#include "agent/command.h"

#include <sys/types.h>

/* The other side of the wire: a process with a real stream server that keeps keys as an agent
 * does. What it saw is told through memory that both processes share. */
enum { KEYS_MAX = 2000 };

struct seen {
    unsigned stored, connections;
    unsigned most_under_way; /* requests that came in one loop turn */
    char keys[KEYS_MAX][33];
    /* What the test asks for. */
    unsigned close_after; /* results stored: then one close without an answer; 0: never */
    bool silent;
    bool drifting;
    /* What it saw. */
    unsigned plans; /* asked for so far; a plan's digest is made of it */
    size_t decided_length;
    uint8_t decided[32];
    size_t placing_count;
    uint8_t placing[2]; /* the last byte of each digest */
    int forgot;         /* a terminal, FORGOT_ALL, or FORGOT_NONE */
};
enum { FORGOT_NONE = -1, FORGOT_ALL = -2 };

struct bench {
    char dir[64];
    char path[80], input[80], output[80], errors[80];
    struct seen *seen;
    pid_t server;
};

int bench_set_up(void **state);
int bench_tear_down(void **state);
/* The agent is there from now on. */
void bench_start(struct bench *bench);
/* Runs a command line, its words ended by NULL, with its output in files. */
int bench_run(struct bench *bench, int (*command)(int, char **), ...);
/* Stands in for a descriptor; returns what it was. */
int bench_redirect(int fd, const char *path, int flags);
void bench_restore(int fd, int before);
/* The file at `path` holds this text, or does not. */
void bench_holds(const char *path, const char *expected, bool holds);

#endif
