/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_FIND_H
#define STORAGE_FLEETDB_FIND_H

#include "storage/fleetdb_scope.h"

/*
 * Single results, newest first: a shop is on the phone. No index is kept for it, which each record
 * of the fleet would pay for. Where the question tells the devices, each one's results are looked
 * through by its own key; where it does not, or where the window holds fewer, those of the window,
 * a slice of time after the other. Open, step until it is done or has taken too long, read, close.
 */
struct fleetdb_snapshot;
struct fleetdb_place_in_time { /* results are in order of both, newest first */
    int64_t at_ms, result;
};

/* What is NULL or -1 is not asked for. Lives as long as the search is open. */
struct fleetdb_wanted {
    const char *tid;              /* of the logical terminal that was carried */
    const char *serial;           /* of the device */
    const char *device;           /* its id */
    const char *merchant, *store; /* codes, of where it stood; a store is one of the merchant's */
    const char *rrn, *auth_code, *code;
    int64_t stan, amount_minor, currency, outcome;
    int64_t from_ms, to_ms;                  /* [from, to) */
    struct fleetdb_place_in_time before;     /* all from here on were read; at_ms 0: none */
    struct fleetdb_scope scope;              /* of where it stood at the moment of the sale */
    const struct fleetdb_snapshot *snapshot; /* NULL: as it is at each step; else opened just now */
};

enum { FLEETDB_FOUND_NAME_BYTES = 264 };
struct fleetdb_found {
    int64_t result, device; /* rows */
    int64_t at_ms, bound_ms, wall_ms, received_ms;
    char id[40], serial[FLEETDB_FOUND_NAME_BYTES], life[16]; /* life: at that moment */
    char merchant[FLEETDB_FOUND_NAME_BYTES], merchant_name[FLEETDB_FOUND_NAME_BYTES];
    char store[FLEETDB_FOUND_NAME_BYTES], store_name[FLEETDB_FOUND_NAME_BYTES];
    /* "": the slot carried no logical terminal. */
    char acquirer[FLEETDB_FOUND_NAME_BYTES], tid[72], mid[72];
    char rrn[16], auth_code[8], code[8], issuer[32];
    int64_t stan, batch_number, type, entry, scheme, amount_minor, currency, outcome, code_source,
        host_hint;
    int64_t acquirer_index; /* as the device numbers its acquirers */
    bool reversal_pending;
};

struct fleetdb_find;
/* At most `limit` results are kept. */
bool fleetdb_find_open(struct fleetdb *db, const struct fleetdb_wanted *wanted, size_t limit,
                       struct fleetdb_find **ret_find, struct err *err) MUSTER_CHECK;
/* One device, or one slice of time; `*ret_done` when there is no more to look for. */
bool fleetdb_find_step(struct fleetdb_find *find, bool *ret_done, struct err *err) MUSTER_CHECK;
/* What was found so far; valid until the next step or the close. */
const struct fleetdb_found *fleetdb_find_list(const struct fleetdb_find *find, size_t *ret_count);
/* Whether there are more than the limit: those are older. */
bool fleetdb_find_more(const struct fleetdb_find *find);
/* Everything from here on has been looked through; only where time leads. */
int64_t fleetdb_find_looked_ms(const struct fleetdb_find *find);
/* The devices that the question tells, as rows; `*ret_known` false: it tells none. */
const int64_t *fleetdb_find_devices(const struct fleetdb_find *find, size_t *ret_count,
                                    bool *ret_known);
bool fleetdb_find_by_time(const struct fleetdb_find *find);
/* Before the database is closed. */
void fleetdb_find_close(struct fleetdb_find *find);

#endif
