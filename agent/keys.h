/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_KEYS_H
#define AGENT_KEYS_H

#include "proto/key_placement.h"
#include "proto/record.pb-c.h"

/*
 * The terminal's key slots: what a loader says is in them, what the fleet has placed, to what
 * follows. Pure. A slot's key version only ever rises; what is refused leaves the key that is
 * there.
 */
enum { KEYS_SLOTS = 64, KEYS_WHY_CHARS = 160, KEYS_NAME_CHARS = 48 };

/* One slot as the loader says. */
struct key_held {
    char slot[KEY_SLOT_CHARS + 1];
    bool empty;
    bool own;         /* the application's own key: PIK, MAK, DUKPT ... */
    bool of_acquirer; /* whose sign-on it comes from is said */
    unsigned acquirer;
    char usage[3];
    char algorithm, mode; /* '\0': not said */
    bool versioned;       /* its version is said; 0: a key that has none */
    unsigned key_version;
    Muster__KcvMethod kcv_method;
    uint8_t kcv[KEY_KCV_BYTES];
    size_t kcv_length; /* 0: not said, or not sure */
};

struct key_inventory {
    size_t count;
    struct key_held slots[KEYS_SLOTS];
};

/* A key block in force here, or one that is somebody else's to place. */
struct key_wanted {
    char name[KEYS_NAME_CHARS + 1]; /* of the document */
    uint8_t sha256[32];             /* of what was sent */
    struct key_placement placement;
    Muster__AssignMode mode; /* REPAIR: it is placed; else its slot is compared and never touched */
};
bool keys_wanted_equal(const struct key_wanted *a, const struct key_wanted *b);
/* The same for those that are equal. */
void keys_wanted_digest(const struct key_wanted *wanted, uint8_t ret_digest[32]);

/* The key that was last seen in its slot as it was placed. It outlives restarts. */
struct key_floor {
    char slot[KEY_SLOT_CHARS + 1];
    unsigned key_version;
    Muster__KcvMethod kcv_method;
    uint8_t kcv[KEY_KCV_BYTES];
    size_t kcv_length;
};

struct key_floors {
    size_t count;
    struct key_floor rows[KEYS_SLOTS];
};

const struct key_held *keys_held_in(const struct key_inventory *inventory, const char *slot);
const struct key_floor *keys_floor_of(const struct key_floors *floors, const char *slot);
/* Raises, or sets the first time; false: nothing new, or no room for another slot. */
bool keys_floor_raise(struct key_floors *floors, const struct key_placement *placement);

struct key_verdict {
    Muster__KeySlotState state;
    bool place;              /* the loader is to be given the block */
    Muster__Refusal refusal; /* NONE, or why it is not */
    char why[KEYS_WHY_CHARS + 1];
};
void keys_judge(const struct key_placement *placement, const struct key_inventory *inventory,
                const struct key_floors *floors, struct key_verdict *ret_verdict);

/* The same of a slot that is somebody else's: how it differs, and nothing to be done here. */
void keys_judge_observed(const struct key_wanted *wanted, const struct key_inventory *inventory,
                         struct key_verdict *ret_verdict);

/* The sign-on that the application's own keys are judged by. */
struct key_sign_on {
    unsigned acquirer;
    bool known;  /* since the agent was installed one was approved */
    bool failed; /* and the newest one was not */
    int64_t age_ms, limit_ms;
};
void keys_judge_own(const struct key_sign_on *sign_on, struct key_verdict *ret_verdict);

#endif
