/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_ACCESS_H
#define FLEET_ACCESS_H

#include "fleet/api.h"
#include "fleet/metrics.h"
#include "fleet/rate.h"

#include <sys/types.h>

/*
 * Who asks, and how often he may. A token is "muster_" and 64 hex digits, 256 random bits, so that
 * its SHA-256 needs neither salt nor stretching. Who has none and comes through the unix socket is
 * let in by the file's permissions, as admin of the whole fleet and as often as he likes; over TCP
 * he may ask what anyone may.
 */
enum { ACCESS_TOKEN_CHARS = 7 + 64 };

struct access {
    struct fleetdb *db; /* NULL: there are no tokens */
    struct metrics *metrics;
    struct rate rate;     /* of each token, and of all who have none */
    struct rate failures; /* of what is no token, wherever it comes from */
};

/* `per_second` for each token. */
void access_init(struct access *access, struct fleetdb *db, struct metrics *metrics,
                 int64_t per_second);

struct access_claim {
    bool local; /* through the unix socket, from `uid` */
    uid_t uid;
    const char *authorization; /* the header's value; NULL: none */
    int64_t now_ms, boot_ms;
};
enum access_answer {
    ACCESS_KNOWN,
    ACCESS_UNKNOWN,  /* what was shown is no token, or one that is over */
    ACCESS_TOO_MUCH, /* not before `*ret_wait_ms` have passed */
    ACCESS_FAILED,   /* the database does not answer */
};
/* `err` says why it is not ACCESS_KNOWN. */
enum access_answer access_identify(struct access *access, const struct access_claim *claim,
                                   struct api_caller *ret_caller, int64_t *ret_wait_ms,
                                   struct err *err) MUSTER_CHECK;

/* A new token as text; its hash is what is kept. */
void access_token_make(char text[ACCESS_TOKEN_CHARS + 1], uint8_t sha256[32]);

/* Of API_OWN_PART: ERR_NOT_FOUND, as if there were no such device, if it is out of reach. */
bool access_check_device(struct fleetdb *db, const struct api_caller *caller, const char *id,
                         struct err *err) MUSTER_CHECK;
/* The same, if it never was in reach: for what is told of the time when it was. */
bool access_check_held(struct fleetdb *db, const struct api_caller *caller, const char *id,
                       struct err *err) MUSTER_CHECK;

#endif
