/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_ATTACK_TERMINAL_H
#define TESTS_ATTACK_TERMINAL_H

#include "agent/registrar.h"
#include "agent/roots.h"
#include "tests/attack/fleet.h"

/* A terminal's roots and registrar on real files, with what it tells kept. */
enum { TERMINAL_PATH = FLEET_PATH };

struct terminal {
    char state[TERMINAL_PATH]; /* its folder */
    char registry[TERMINAL_PATH + 16];
    uv_loop_t loop;
    struct clock clock;
    int64_t now_ms;
    struct roots roots;
    struct registrar *registrar;
    Muster__Refusal told; /* the newest refusal that it reported as an event */
    bool failed;          /* it reported a generation that did not pass, or a refusal */
};

#define DEVICE "t-0001"
#define OTHER "t-0002"

/* A new one has nothing; what is in `state` already is opened again. `root` is the installed one.
 */
void terminal_open(struct terminal *terminal, const char *state, const struct fleet_device *device,
                   struct bytes root);
void terminal_close(struct terminal *terminal);
/* Until nothing is left to do without another message. */
void terminal_settle(struct terminal *terminal);
bool terminal_manifest(struct terminal *terminal, struct bytes envelope, struct err *err);
/* At most `most` of the blobs that are wanted, if they are to be had. */
void terminal_fetch(struct terminal *terminal, const struct blobs *blobs, size_t most);
/* As it comes on the topic of the next root. */
bool terminal_root(struct terminal *terminal, struct bytes root, struct err *err);

/* Over the documents in force, the accepted manifest and the floors. */
void terminal_held(const struct terminal *terminal, uint8_t ret_digest[32]);
/* The documents in force, byte for byte and no others. */
bool terminal_holds(const struct terminal *terminal, const struct draft *draft);
bool terminal_converged(const struct terminal *terminal);

/* A folder with all below it. */
void folder_copy(const char *from, const char *to);

#endif
