/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_KEYRING_INTERNAL_H
#define AGENT_KEYRING_INTERNAL_H

#include "agent/keyring.h"
#include "agent/keys_say.h"
#include "base/child.h"

/* What became of placing one document. A refused one is not tried again unchanged. */
struct key_attempt {
    uint8_t sha256[32];
    struct key_placement placement;
    Muster__Refusal refusal; /* NONE: it could not be done, which says nothing of the block */
    bool again;              /* which the next check tries again */
    char why[KEYS_WHY_CHARS + 1];
};

/* What is between a key and its slot. */
struct keyring_gate {
    struct gate_hook_asker hook;
    int64_t every_ms, patience_ms;
    int64_t since_ms;     /* of waiting, beyond what the book has */
    size_t decided_count; /* by a person, for now */
    uint8_t decided[KEYS_SLOTS][32];
};

struct keyring {
    uv_loop_t *loop;
    const struct clock *clock;
    struct keyring_events events;
    void *ctx;
    char book_path[512], loader[256], sealing_key[256];
    int64_t limit_ms, sign_on_limit_ms;
    uint8_t boot_id[16];
    uv_timer_t timer;
    uint64_t check_every_ms;

    struct keys_book book;
    bool asked; /* the inventory below is what is in the slots; else what was in them once */
    int64_t asked_ms;
    struct key_inventory inventory;
    size_t wanted_count;
    struct key_wanted wanted[KEYS_SLOTS];
    struct key_verdict verdicts[KEYS_SLOTS]; /* one for each wanted */
    bool hindered[KEYS_SLOTS];               /* and whether it could not be placed */
    uint8_t phases[KEYS_SLOTS];              /* and how far it has waited: keyring_gate_why */
    size_t refused_count;
    struct key_attempt refused[KEYS_SLOTS];
    size_t surplus;                   /* key blocks in force beyond those that there is room for */
    char trouble[KEYS_WHY_CHARS + 1]; /* why the loader could not be asked; "": it was */
    uint8_t reported[32];             /* hash of what `changed` was last called for */
    uint8_t told[32];                 /* hash of what was told last; each start tells it once */

    bool running, again, loading, closing, timer_open;
    bool waiting; /* for the gate */
    struct keyring_gate gate;
    struct key_wanted placing; /* while `running` a load */
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* keyring_place.c: opens the block and gives it to the loader. False: it was refused or could not
 * be opened, which is noted. */
bool keyring_place(struct keyring *keyring, const struct key_wanted *wanted);
/* keyring.c */
bool keyring_run(struct keyring *keyring, char *const argv[], char *const env[], struct bytes input,
                 void (*done)(void *ctx, const struct child_result *result),
                 struct err *err) MUSTER_CHECK;
void keyring_ran(struct keyring *keyring);
/* Frees a closed one when nothing of it runs any more. */
void keyring_ended(struct keyring *keyring);
/* While something waits: places it if the gate is open now. */
void keyring_go_on(struct keyring *keyring);
/* The next look: soon while a gate is closed, else with the next check. */
void keyring_plan(struct keyring *keyring);
void keyring_judge(struct keyring *keyring);
/* What is known of a block that is in force now; one that came since the slots were asked is not in
 * its slot as far as anybody knows. */
const struct key_verdict *keyring_verdict_of(const struct keyring *keyring,
                                             const struct key_wanted *wanted);
void keyring_refused(struct keyring *keyring, const struct key_wanted *wanted,
                     Muster__Refusal refusal, const char *why);
/* This one could not be placed now; it is tried again with the next check. */
void keyring_hindered(struct keyring *keyring, const struct key_wanted *wanted, const char *what,
                      const char *why);
/* After a load: asks what is in the slots. */
void keyring_ask(struct keyring *keyring);
void keyring_trouble(struct keyring *keyring, const char *what, const char *why);
/* keyring_gate.c: false: it waits from now on. `wanted` NULL: one about which nobody has decided.
 */
bool keyring_gate_open(struct keyring *keyring, const struct key_wanted *wanted);
void keyring_gate_done(struct keyring *keyring); /* nothing waits any more */
void keyring_gate_join(struct keyring *keyring, struct gate_hook_program *hook);
void keyring_gate_close(struct keyring *keyring); /* keeps how long it has waited */
/* Until it is worth to look again. */
uint64_t keyring_gate_wait_ms(const struct keyring *keyring);
/* Would it be open if the hook said yes? */
bool keyring_gate_likely(const struct keyring *keyring);
/* Why it waits, and what of that is worth an event: 0: nothing, 1: it has waited for some time, 2:
 * it asks a person. Both are of one look. */
unsigned keyring_gate_why(const struct keyring *keyring, const struct key_wanted *wanted,
                          char ret_why[KEYS_WHY_CHARS + 1]);
/* keyring_own.c: a power cut takes no more of the sign-on's age than since the last check. */
void keyring_keep_age(struct keyring *keyring);
struct key_verdict keyring_judge_own(const struct keyring *keyring, const struct key_held *held);
void keyring_say_sign_on(const struct keyring *keyring, Muster__KeyInventory *inventory);
/* keyring_tell.c: what is different from what was told last, as an event. */
void keyring_tell(struct keyring *keyring);
void keyring_tell_placed(struct keyring *keyring, const struct key_wanted *wanted);
void keyring_tell_decided(struct keyring *keyring, const struct key_wanted *wanted, const char *who,
                          const char *waits_for);
void keyring_keep(struct keyring *keyring);

#endif
