/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_ACCOUNT_H
#define AGENT_ACCOUNT_H

#include "base/buf.h"
#include "base/traffic.h"

/*
 * What the line has cost, by calendar month (UTC). The link counts since its own start; this turns
 * its counts into sums that outlive both processes. Until the fleet has said what month it is, the
 * sum is since install, and belongs to the first month that is known. Pure; the caller keeps the
 * bytes. Kept at least every quarter of an hour, so a power cut costs no more than the count of
 * that time; a restart of the agent alone costs nothing.
 */
struct account_month {
    uint32_t month; /* 202611; 0: not known */
    struct traffic traffic;
};

struct account {
    struct account_month now, before;
    uint64_t link_start; /* of the link that was looked at last, 0: none yet */
    struct traffic link; /* its counts then */
    bool unsaved;
};

/* 202611, of a time in UTC. */
uint32_t account_month_of(int64_t wall_ms);
void account_month_is(struct account *account, uint32_t month);
/* What a link that started as `link_start` has counted so far; 0: it has not said, nothing is. */
void account_look(struct account *account, uint64_t link_start, const struct traffic *counted);

/* For the spool's note. Reading what is damaged leaves an empty account and says why. */
bool account_pack(const struct account *account, struct buf *ret_note,
                  struct err *err) MUSTER_CHECK;
bool account_unpack(struct bytes note, struct account *ret_account, struct err *err) MUSTER_CHECK;

#endif
