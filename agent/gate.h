/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_GATE_H
#define AGENT_GATE_H

#include "proto/desired.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * When may what was built and checked be put in force? By kind: tables and CA keys change nothing
 * under a sale that has not begun; identities, currency, keys and software would tear a batch or a
 * reversal apart. A gate never forces itself on an application that says it is busy: after a stated
 * time it asks a person, who may. Pure.
 */
enum gate_kind {
    GATE_QUIET,   /* no transaction is open */
    GATE_SETTLED, /* and no reversal, and the batch is settled */
};

enum gate_kind gate_of(Muster__DocumentKind kind);
/* "no open transaction", "a settled batch and no reversal". */
const char *gate_words(enum gate_kind kind);

/* What the payment application has said, of all logical terminals together. */
struct gate_lease {
    bool known; /* it has said something since the agent was installed */
    bool transaction;
    bool assumed; /* nobody has said so of the transaction, but it cannot be ruled out */
    bool reversal;
    bool batch;
    bool unsaid;  /* of a terminal it has not said how reversal and batch stand: they may be open */
    bool several; /* terminals: which one it is is worth a word */
    uint32_t transaction_of, reversal_of, batch_of, unsaid_of;
    int64_t left_ms;    /* the last transaction ends by itself; 0: none is open, or not known */
    bool learning;      /* nothing of it was known, and then it spoke for the first time: */
    int64_t learned_ms; /* so long ago. Other terminals may not have spoken yet */
};

enum gate_hook {
    GATE_HOOK_NONE, /* there is none */
    GATE_HOOK_OPEN,
    GATE_HOOK_BUSY, /* it said so, or could not be asked */
};

struct gate_policy {
    int64_t alone_ms;    /* who has never spoken is waited for so long */
    int64_t patience_ms; /* of waiting; then a person is asked */
};

struct gate_look {
    enum gate_kind kind;
    struct gate_lease lease;
    enum gate_hook hook;
    const char *hook_says; /* when busy; NULL or "": nothing */
    int64_t waited_ms;     /* powered-on time */
    bool decided;          /* by a person: whatever is open */
};

enum { GATE_WORDS_CHARS = 160 };

struct gate_answer {
    bool open;
    bool ask;                         /* it has waited for so long that a person should look */
    char waits_for[GATE_WORDS_CHARS]; /* "" when open */
    int64_t ends_ms;        /* what it waits for ends by itself; INT64_MAX: not known when */
    int64_t opens_after_ms; /* of waiting it opens by itself; INT64_MAX: it does not */
    int64_t asks_after_ms;  /* of waiting a person is asked; INT64_MAX: it opens before */
};

struct gate_answer gate_look(const struct gate_policy *policy, const struct gate_look *look);

#endif
