/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_TXN_H
#define AGENT_TXN_H

#include "base/buf.h"
#include "proto/record.pb-c.h"

/*
 * What a transaction result must look like before it may be stored, and the guard that keeps card
 * numbers out of it (PCI DSS 3.3, 3.5.1.1).
 */

/* ERR_INVALID names the field, what it holds and what was expected. */
bool txn_check(const Muster__TxnResult *txn, struct err *err) MUSTER_CHECK;

/* 32 bytes that only this agent knows, the same at every start, never written down. */
struct txn_guard {
    uint8_t key[32];
};

/* Masks text that looks like a card number, in place, and replaces bytes that spell one (key,
 * token, AID) by a keyed hash of themselves; sets `masked` if it did. Never refuses. */
void txn_guard(const struct txn_guard *guard, Muster__TxnResult *txn);

#endif
