/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_INJECT_SWEEP_H
#define TESTS_INJECT_SWEEP_H

#include "base/err.h"
#include "tests/inject/faults.h"

/*
 * Runs a scene once with counting, then once for each operation it counted, each way in which that
 * can fail, once and from there on. A scene starts from the same state each time, does the same
 * things, goes on after the fault as the program would, and says where an invariant is broken.
 */
struct sweep_scene {
    const char *name;
    void (*run)(void);
    /* Bits of 1 << enum fault_op; of the last two nothing is left out with MUSTER_INJECT_FULL. */
    unsigned leaves_out; /* not swept here */
    unsigned thins_out;  /* "from there on" only for every eighth number */
    unsigned
        samples; /* every sixteenth number alone: where the places are thousands that are alike */
};

/* A main: `prepare` makes what scenes start from. Arguments: none, or "I/N [SCENE]" for the I-th of
 * N shares, or "SCENE OP NUMBER KIND once|onward" for that run alone. Prints the figures; returns
 * the exit code. */
int sweep_main(const char *part, void (*prepare)(void), const struct sweep_scene *scenes,
               size_t count, int argc, char **argv);

/* An invariant is broken in this run. */
void violation(const char *fmt, ...) MUSTER_PRINTF(1, 2);
unsigned violations(void);

/* A folder of its own for the whole program, removed at its end. */
const char *sweep_dir(void);
/* Replaces folder `to` with links to, or copies of, what is in `from`. */
void sweep_copy(const char *from, const char *to);

/* For test code between runs: what may not fail. */
#define MUST(call)                                                                                 \
    do {                                                                                           \
        struct err err = {0};                                                                      \
        if (!(call))                                                                               \
            sweep_die(__FILE__, __LINE__, &err);                                                   \
    } while (0)
_Noreturn void sweep_die(const char *file, int line, const struct err *err);

#endif
