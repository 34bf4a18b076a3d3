/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_KEYRING_WORLD_H
#define TESTS_UNIT_KEYRING_WORLD_H

/* The key slots beside loaders that are scripts, in a folder of their own. */
#include "agent/keyring.h"
#include "agent/keyring_internal.h"
#include "base/file.h"
#include "tests/unit/testing.h"

/* Published (TR-31:2018, A.7.4) but for its key version: no loader here unwraps it. */
#define KEYRING_BLOCK                                                                              \
    "D0112P0AE01E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D207E2E417C07156A27E8E31DA05F7" \
    "425509593D03A457DC34"

struct keyring_world {
    char dir[64], book[96], loader[96], sealing[96];
    uv_loop_t loop;
    struct buf sealed;
    struct key_wanted wanted;
    bool none;
    bool proving;  /* the block is on probation */
    size_t others; /* wanted beside it */
    struct key_wanted other[2];
    size_t surplus;          /* and so many for which there is no room */
    struct gate_lease lease; /* what the payment application is in the middle of */
    unsigned placed, events, changes;
    unsigned calls,
        kill_at; /* of the key slots to their surroundings: in which one to die; 0: none */
    char text[480];
    Muster__Refusal refusal;
    bool asked; /* what the newest inventory that was told says */
    size_t slots;
    char why[200];
    struct keyring_settings settings;
    const struct clock *clock; /* NULL: the real one */
    char gate_hook[128];       /* "": none */
    struct keyring *keyring;
};

struct keyring_said {
    Muster__ItemState state;
    Muster__Refusal refusal;
    bool converged;
    size_t keys;
    char reason[200];
};

/* With a key of its own, as the document that is in force. */
void keyring_world_seal(struct keyring_world *world, const char *block);
void keyring_world_write_script(const char *where, const char *text);
void keyring_world_script(struct keyring_world *world, const char *text);
void keyring_world_good_loader(struct keyring_world *world);
void keyring_world_open(struct keyring_world *world);
void keyring_world_close(struct keyring_world *world);
/* In a folder that is there, with nothing sealed. */
struct keyring_world *keyring_world_in(const char *dir);
int keyring_world_set_up(void **state);
int keyring_world_tear_down(void **state);
/* Until no loader runs. */
void keyring_world_look(struct keyring_world *world);
void keyring_world_check(struct keyring_world *world);
void keyring_world_settle(struct keyring_world *world);
void keyring_world_leased(struct keyring_world *world);
const char *keyring_world_text_of(const struct keyring_world *world, const char *name);
/* What a report says of a document that is in force. */
struct keyring_said keyring_world_state_now(const struct keyring_world *world);
void keyring_world_assert_ok(const struct keyring_world *world);
void keyring_world_assert_refused(const struct keyring_world *world, Muster__Refusal refusal,
                                  const char *why);
void keyring_world_run_until_said(struct keyring_world *world, const char *reason);

#endif
