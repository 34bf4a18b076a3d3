/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_DESIRED_H
#define AGENT_DESIRED_H

#include "agent/action.h"
#include "agent/sync.h"
#include "agent/ways.h"
#include "proto/trust.h"

/* What it wants to be in force, whatever it says beside: SHA-256 over the documents alone, and over
 * them and every way to their content. */
struct desired_digests {
    uint8_t generation[32];
    uint8_t content[32];
};

/* A manifest that was verified, and what it wants. Pure: no file, no clock. What is refused carries
 * its reason. */
struct desired {
    struct buf envelope;
    uint8_t digest[32]; /* SHA-256 of the signed body */
    uint64_t epoch, version;
    int64_t expires_ms; /* 0: none */
    struct sync_wants wants;
    struct ways *ways;                /* to the content of each want */
    struct buf inlined;               /* what the manifest brought of it */
    uint64_t minimum[REGISTRY_ITEMS]; /* the version floor that each header states */
    bool final[REGISTRY_ITEMS];       /* it says that it cannot go back */
    struct action_list actions;
    struct desired_digests digests;
};

/* The signed body, if the director's signature over it is good for this device. */
bool desired_body(const struct trust *trust, const char *device, struct bytes envelope,
                  struct bytes *ret_body, struct err *err) MUSTER_CHECK;
/* Which one it is, whatever else is wrong with it; version 0: not to be read. */
void desired_number(struct bytes body, uint64_t *ret_epoch, uint64_t *ret_version);
/* The body read and every document header verified. */
bool desired_parse(const struct trust *trust, const char *device, struct bytes envelope,
                   struct bytes body, struct desired **ret_desired, struct err *err) MUSTER_CHECK;
/* Both: whether this Envelope says under the root in force what it says. */
bool desired_open(const struct trust *trust, const char *device, struct bytes envelope,
                  struct desired **ret_desired, struct err *err) MUSTER_CHECK;
bool desired_digests(const struct desired *desired, struct desired_digests *ret_digests,
                     struct err *err) MUSTER_CHECK;
void desired_free(struct desired *desired);

#endif
