/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_KEYS_BOOK_H
#define AGENT_KEYS_BOOK_H

#include "agent/keys.h"

/*
 * What is kept of the key slots over restarts, in <state>/keys: which key was last seen in each
 * slot as it was placed, and when somebody last signed on. No key, no block: versions and check
 * values, as text. A damaged file is none: the slots themselves say it again.
 */
enum { KEYS_SIGN_ONS = 16 };
struct keys_sign_on {
    unsigned acquirer;
    bool known, failed;        /* one was approved; the newest was not */
    int64_t age_ms, newest_ms; /* of the last approved and of the newest: powered-on time, when the
                                  book was kept */
};

struct keys_book {
    struct key_floors floors;
    size_t sign_on_count;
    struct keys_sign_on sign_ons[KEYS_SIGN_ONS];
    int64_t kept_ms;     /* since boot, when it was kept */
    uint8_t boot_id[16]; /* of that boot */
    int64_t waited_ms;   /* powered-on time that a key has waited for its gate */
};

/* None: an empty book. `ret_lost`: there is one, which is damaged or cannot be read: that is no
 * reason to store no results. ERR_NO_MEMORY. */
bool keys_book_read(const char *path, struct keys_book *ret_book, bool *ret_lost,
                    struct err *err) MUSTER_CHECK;
bool keys_book_write(const char *path, const struct keys_book *book, struct err *err) MUSTER_CHECK;

/* Makes it a book of now. Of boots that nobody kept it in nothing is known: what is in it is at
 * least so old. */
void keys_book_age(struct keys_book *book, const uint8_t boot_id[16], int64_t now_ms);
/* A sign-on of `age_ms` ago, in a book of now; one that is older than what is known changes no more
 * than it can know of. */
void keys_book_signed_on(struct keys_book *book, unsigned acquirer, bool approved, int64_t age_ms);
/* By which sign-on the keys of a slot are judged, in a book of now: that of its acquirer; where the
 * slot names none, the worst. False: there was none. */
bool keys_book_sign_on(const struct keys_book *book, const struct key_held *held, int64_t limit_ms,
                       struct key_sign_on *ret_sign_on);

#endif
