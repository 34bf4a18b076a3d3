/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_LEASE_H
#define AGENT_LEASE_H

#include "agent/gate.h"
#include "base/err.h"

#include <sys/types.h>

/*
 * What the payment application is in the middle of, as it has said itself, for each logical
 * terminal of the device. A transaction is the connection's that said it: no other one ends it, it
 * ends with that, or when its time is over. An application that died or hangs holds nothing up for
 * ever. A reversal or a batch is the terminal's, and does not end with the program that knows of
 * it: it stays, over restarts too, until the application says otherwise; as long as it has said
 * nothing of them they may be open. Pure; times are since boot.
 */
enum {
    LEASE_TERMINALS = 16,
    LEASE_CONNECTIONS = 64,
    LEASE_HOLDS = LEASE_TERMINALS * LEASE_CONNECTIONS,
    LEASE_HOLD_MS = 120 * 1000,
    LEASE_HOLD_MAX_MS = 600 * 1000,
};

enum lease_said { LEASE_UNSAID, LEASE_NO, LEASE_YES };

struct lease_speaker {
    const void *holder; /* its connection; NULL: none */
    uid_t uid;
    pid_t pid;
};

struct lease_terminal {
    uint32_t terminal; /* logical terminal: its index on this device */
    enum lease_said reversal, batch;
    struct lease_speaker last; /* who spoke last for it; pid 0: nobody since the start */
    int64_t said_ms;           /* when; or when it was restored */
    bool several;              /* connections that are there at the same time speak for it */
    int64_t longest_ms;        /* no transaction was said to take longer; whole minutes */
    int64_t assumed_until_ms;  /* nobody who has just started knows that none is open */
};

struct lease_hold { /* a transaction */
    uint32_t terminal;
    struct lease_speaker by;
    int64_t until_ms;
};

struct lease {
    bool known;          /* something was said since the agent was installed */
    bool learning, lost; /* nothing was known before `since_ms`; for it could not be read */
    int64_t since_ms;
    size_t count, hold_count;
    struct lease_terminal terminals[LEASE_TERMINALS];
    struct lease_hold holds[LEASE_HOLDS];
};

struct lease_word {
    uint32_t terminal;
    bool transaction;
    bool reversal;
    bool batch;
    bool as_before;   /* reversal and batch are as they were */
    uint32_t hold_ms; /* 0: LEASE_HOLD_MS */
};

/* ERR_INVALID: too many logical terminals have something open, or it holds for too long. A terminal
 * that has nothing open makes room for another one. */
bool lease_say(struct lease *lease, const struct lease_word *word, const struct lease_speaker *by,
               int64_t now_ms, struct err *err) MUSTER_CHECK;
/* As it was kept. Whether a transaction is under way nobody knows who has just started: one is
 * assumed until the application speaks for this terminal again, or the time of one is over; where
 * several connections spoke for it, until then whatever one of them says. */
bool lease_restore(struct lease *lease, const struct lease_terminal *kept, int64_t now_ms);
/* What was kept is lost: of which terminals, nobody knows. A transaction is assumed for the longest
 * time there is, and an open batch until the application has said how it stands. */
void lease_lose(struct lease *lease, int64_t now_ms);
/* The connection is gone. True: in the middle of a transaction, as when an application dies. */
bool lease_gone(struct lease *lease, const void *holder, int64_t now_ms,
                struct lease_speaker *ret_by);
/* As if it had never been spoken for. ERR_CONFLICT: its transaction is open; ERR_NOT_FOUND. */
bool lease_forget(struct lease *lease, uint32_t terminal, int64_t now_ms,
                  struct err *err) MUSTER_CHECK;
bool lease_forget_all(struct lease *lease, int64_t now_ms, struct err *err) MUSTER_CHECK;

/* Of all logical terminals together. */
struct gate_lease lease_look(const struct lease *lease, int64_t now_ms);

/* One of them. */
struct lease_view {
    bool transaction;
    bool assumed;            /* of the transaction: nobody has said so */
    int64_t left_ms;         /* it ends by itself */
    struct lease_speaker by; /* in the transaction, or who spoke last; pid 0: nobody */
};
struct lease_view lease_view(const struct lease *lease, const struct lease_terminal *terminal,
                             int64_t now_ms);
/* What outlives the agent of `learning` and `lost`: for as long as a transaction may take. */
bool lease_is_new(const struct lease *lease, int64_t now_ms);

#endif
