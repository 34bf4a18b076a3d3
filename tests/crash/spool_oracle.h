/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CRASH_SPOOL_ORACLE_H
#define TESTS_CRASH_SPOOL_ORACLE_H

#include "storage/spool.h"
#include "tests/crash/crash.h"

/*
 * Remembers every record that was ever submitted, and what the spool said of each after every step
 * of the work. A cut within a step may leave what was before it or what was after it, of each
 * record; a cut after it only what was after it.
 */
enum {
    ORACLE_RECORDS = 1000,
    ORACLE_STEPS = 120,
    ORACLE_KEY_BYTES = 12,
    ORACLE_BODY_MAX = 12000,
};

/* What spool_read gives for a record. */
enum oracle_state {
    ORACLE_NONE, /* nothing: not there, or receipted */
    ORACLE_HELD,
    ORACLE_LOST, /* + enum spool_loss */
};

struct oracle_record {
    uint64_t incarnation, seq;
    int lane;
    bool keyed;
    unsigned step;    /* it was pushed in; 0: in an earlier round */
    uint32_t content; /* body and key follow from it */
};

struct oracle_step {
    bool chain_unsure; /* the file with the chain was harmed, or may have been */
    bool keys_go;      /* the step destroys the database, and with it the keys given so far */
    bool in_parts;     /* several transactions: what was there before by itself, record by record */
    /* What may happen in it to records that were there before. */
    bool may_settle, may_return; /* offered no more; offered again */
    unsigned may_lose;           /* 1 << spool_loss */
    int64_t now_ms;
    size_t records;   /* submitted up to its end */
    size_t keys_from; /* the records from here on have keys that are known */
    uint32_t note;    /* content of the note; 0: none yet */
    uint8_t state[ORACLE_RECORDS];
};

struct oracle {
    struct oracle_record records[ORACLE_RECORDS];
    size_t count;
    struct oracle_step steps[ORACLE_STEPS]; /* [0]: what was there at first */
    uint32_t contents;                      /* given so far */
    size_t index[4 * ORACLE_RECORDS];       /* by id; 0: free, else record + 1 */
    uint8_t now[ORACLE_RECORDS];            /* of the survey at hand */
};

struct bytes oracle_key(const struct oracle_record *record, uint8_t key[ORACLE_KEY_BYTES]);
struct bytes oracle_body(const struct oracle_record *record, uint8_t body[ORACLE_BODY_MAX]);
/* The record was submitted under the id that it has. */
void oracle_add(struct oracle *oracle, const struct oracle_record *record);
/* NULL: no such id was ever given. */
const struct oracle_record *oracle_find(const struct oracle *oracle, uint64_t incarnation, int lane,
                                        uint64_t seq);

/* Asks the spool for all that it offers, into oracle->now; breaches are told to `crash`. */
bool oracle_survey(struct oracle *oracle, struct spool *spool, struct crash *crash,
                   struct err *err) MUSTER_CHECK;
/* oracle->now is what the step left; what had no cause in it is told to `crash`. */
void oracle_step_done(struct oracle *oracle, struct crash *crash, unsigned step, int64_t now_ms);
/* Whether oracle->now may be found after a cut in the step, or after it. */
void oracle_judge(const struct oracle *oracle, struct crash *crash, unsigned step, bool done);
/* Begins a new round from what a cut has left: oracle->now. */
void oracle_resume(struct oracle *oracle, struct crash *crash, unsigned step, bool done);

#endif
