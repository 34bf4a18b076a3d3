/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_INJECT_LEDGER_H
#define TESTS_INJECT_LEDGER_H

#include "storage/spool.h"

/*
 * What a spool was given, what it answered and what it was told, by which it is judged in the end:
 *   what it said is stored is there once, under that id, or receipted, or declared lost for a
 *   reason that can be; what it refused is there at the most once, all of a call or none of it;
 *   nothing is receipted that no receipt named; a receipt that was taken stays.
 */
enum { LEDGER_RECORDS = 160, LEDGER_CLAIMS = 32, LEDGER_BODY_BYTES = 900 };

struct ledger_record {
    int lane;
    unsigned call;
    char key[24];
    char body[LEDGER_BODY_BYTES]; /* no two have the same */
    size_t length;
    bool acked;
    uint64_t incarnation, seq; /* of the answer */
    unsigned seen;
};

struct ledger_claim {
    uint64_t incarnation, first, last;
    int lane;
    bool taken; /* the call returned true */
};

struct ledger {
    size_t count, claim_count;
    unsigned calls;
    unsigned may_lose[SPOOL_LANES + 1]; /* by lane: bits of 1 << enum spool_loss */
    bool again;                         /* what was receipted may come once more */
    size_t keys_from;                   /* the keys of records before this one are lost too */
    struct ledger_record records[LEDGER_RECORDS];
    struct ledger_claim claims[LEDGER_CLAIMS];
};

/* A record to be pushed with the others of `call`; filled up to `length` bytes. */
struct ledger_record *ledger_add(struct ledger *ledger, unsigned call, int lane, const char *key,
                                 size_t length);
/* What the spool answered for it. */
void ledger_answer(struct ledger *ledger, struct ledger_record *record,
                   const struct spool_record *answer);
struct ledger_claim *ledger_claim(struct ledger *ledger, uint64_t incarnation, int lane,
                                  uint64_t first, uint64_t last);
/* Judges: reports what is broken as violations. */
void ledger_check(struct ledger *ledger, struct spool *spool);
/* Records of `call` must not be visible: it was refused and nothing was reopened since. */
void ledger_check_refused(const struct ledger *ledger, unsigned call, struct spool *spool);
/* Every key that was answered for must still get that answer. */
void ledger_check_keys(struct ledger *ledger, struct spool *spool);

#endif
