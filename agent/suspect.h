/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_SUSPECT_H
#define AGENT_SUSPECT_H

#include "base/buf.h"
#include "proto/record.pb-c.h"

/*
 * Which results speak of the terminal rather than of the card, so that the fleet should hear of
 * them at once. What a response code means differs from acquirer to acquirer and is never compiled
 * in: it is in the code profile, a signed document. Without one in force only what needs no table
 * counts: the application's own word, the card reader, and the host's own request.
 * Pure.
 */
enum suspect {
    SUSPECT_NOT,
    /* In the order in which they are looked at: the stronger evidence is the one that is named. */
    SUSPECT_HOST_HINT,
    SUSPECT_TABLE_MISS,
    SUSPECT_DEFAULT_ROUTE,
    SUSPECT_NO_COMMON_AID,
    SUSPECT_KEY_MISSING,
    SUSPECT_READER,
    SUSPECT_REGISTRATION, /* from here on: the profile's group of the code */
    SUSPECT_SESSION,
    SUSPECT_CRYPTO,
    SUSPECT_POLICY,
};

enum { SUSPECT_CODES = 256, SUSPECT_CODE_CHARS = 4 };

struct suspect_code {
    char code[SUSPECT_CODE_CHARS + 1];
    enum suspect group;
    bool of_all;       /* of every acquirer; else only of this one */
    uint32_t acquirer; /* index, as in TxnResult.acquirer */
};

struct suspect_profile {
    size_t count;
    struct suspect_code codes[SUSPECT_CODES];
};

/* Adds a code profile: a table with the columns code and group, and where it speaks of one acquirer
 * of several, acquirer, its index. Groups other than registration (and registration-weak), session,
 * crypto, policy (or ambiguous) make nothing suspect. ERR_INVALID: not such a table; ERR_FULL: not
 * all of it. */
bool suspect_profile_add(struct suspect_profile *profile, struct bytes content,
                         struct err *err) MUSTER_CHECK;

enum suspect suspect_of(const struct suspect_profile *profile, const Muster__TxnResult *txn);
/* Why, for people: "code of the session group"; "" of SUSPECT_NOT. */
const char *suspect_words(enum suspect why);

#endif
