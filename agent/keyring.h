/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_KEYRING_H
#define AGENT_KEYRING_H

#include "agent/gate_hook.h"
#include "agent/keys_book.h"
#include "agent/placing.h"
#include "base/clock.h"
#include "proto/arena.h"

#include <uv.h>

/*
 * Keeps the terminal's key slots as the fleet has placed them: asks the loader what is in them,
 * compares, and gives it the block of what differs, when the gate allows. One loader runs at a
 * time, in a group of its own, with a time limit. A block is opened in pages that no dump has,
 * given on the loader's stdin and wiped. Not thread-safe: loop only.
 */
struct keyring;

struct keyring_settings {
    const char *book;        /* <state>/keys */
    const char *loader;      /* absolute path; "": none */
    const char *sealing_key; /* file of the key that opens what is sealed to this device */
    int64_t limit_ms;        /* after which a loader and its children are killed */
    int64_t check_every_ms;  /* 0: only when told to */
    int64_t sign_on_limit_ms;
    int64_t patience_ms; /* of waiting for the application; then a person is asked */
    struct gate_hook_program *gate_hook; /* outlives it; NULL: none */
    int64_t gate_every_ms;
};

struct keyring_events {
    /* The key blocks in force and those that are only observed; at most `max` of them, returns how
     * many there are. */
    size_t (*wanted)(void *ctx, struct key_wanted *ret_wanted, size_t max);
    /* The sealed document as it is in force, hashed. */
    bool (*document)(void *ctx, const char *name, struct buf *ret_sealed, struct err *err);
    /* What the payment application is in the middle of; `ret_lease` is zeroed. NULL: there is none.
     */
    void (*lease)(void *ctx, struct gate_lease *ret_lease);
    /* No key is being replaced any more; may be NULL. */
    void (*placed)(void *ctx);
    /* keyring_untold where it comes to nothing after all. */
    void (*event)(void *ctx, const Muster__Event *event);
    void (*changed)(void *ctx); /* keyring_state says something else than before */
};

bool keyring_open(uv_loop_t *loop, const struct clock *clock,
                  const struct keyring_settings *settings, const struct keyring_events *events,
                  void *ctx, struct keyring **ret_keyring, struct err *err) MUSTER_CHECK;
/* `closed` is called once, when no loader runs any more. */
void keyring_close(struct keyring *keyring, void (*closed)(void *ctx), void *ctx);

/* Another generation is in force: looks at once, or after what runs. */
void keyring_look(struct keyring *keyring);
/* The same, and what a loader refused is tried again, and all is told again: a person wants to
 * know. */
void keyring_check(struct keyring *keyring);
/* What was told last was not kept: it is told again. */
void keyring_untold(struct keyring *keyring);
/* What the application is in the middle of is not what it was. */
void keyring_leased(struct keyring *keyring);
/* A key is being replaced just now: who begins a transaction waits for `placed`. */
bool keyring_placing(const struct keyring *keyring);
/* The keys that wait for their gate, at most KEYS_SLOTS; false: no memory. */
bool keyring_placings(const struct keyring *keyring, struct arena *arena, Muster__Placing **rows,
                      size_t *ret_count) MUSTER_CHECK;
/* Does the key of this digest (keys_wanted_digest) wait? */
bool keyring_waits(const struct keyring *keyring, const uint8_t digest[32]);
/* A person has just this key placed now; `who` is told. False: it does not wait. */
bool keyring_decide(struct keyring *keyring, const uint8_t digest[32], const char *who);
/* A result of the application's that was a sign-on, once it is stored. `boot_ms`: when it was; 0:
 * before this boot, and it counts for nothing. */
struct keyring_sign_on {
    unsigned acquirer;
    bool approved;
    int64_t boot_ms;
};
void keyring_signed_on(struct keyring *keyring, const struct keyring_sign_on *sign_on);

/* Puts the slots that are not as they should be into the report, and says of each key block in
 * force that is not in its slot yet that it is being placed, or why it is refused. */
bool keyring_state(const struct keyring *keyring, struct arena *arena, Muster__StateReport *state,
                   struct err *err) MUSTER_CHECK;
/* All that is in the slots and should be. */
bool keyring_inventory(const struct keyring *keyring, struct arena *arena,
                       Muster__KeyInventory *ret_inventory, struct err *err) MUSTER_CHECK;

#endif
