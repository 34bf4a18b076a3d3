/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_H
#define STORAGE_FLEETDB_H

#include "base/buf.h"

/*
 * The fleet's database: who is who, and what terminals have said (fleetdb_records.h), whether
 * all of it came (fleetdb_streams.h, fleetdb_account.h), what they should hold (fleetdb_desired.h)
 * and whose keys say so (fleetdb_roots.h), where they stood when (fleetdb_standing.h), what people
 * ask (fleetdb_views.h). One process has it open for writing; others may read the file beside it
 * (mode=ro). WAL and synchronous=FULL: what is committed is on the disk. Everything runs on the
 * caller's thread. A device is named by its row number (`device`, > 0) after it has been found.
 */
struct fleetdb;

/* Creates or upgrades the file; a schema newer than this program is refused. ERR_UNAVAILABLE:
 * another process has it. */
bool fleetdb_open(const char *path, struct fleetdb **ret_db, struct err *err) MUSTER_CHECK;
void fleetdb_close(struct fleetdb *db); /* an open transaction is rolled back */

/* Transactions do not nest. A write outside of one is its own. */
bool fleetdb_begin(struct fleetdb *db, struct err *err) MUSTER_CHECK;
bool fleetdb_commit(struct fleetdb *db, struct err *err) MUSTER_CHECK;
void fleetdb_rollback(struct fleetdb *db);

/* What is read from here to fleetdb_release is read under one lock of the file, not one for each
 * question. No turn of the loop ends in between. */
void fleetdb_hold(struct fleetdb *db);
void fleetdb_release(struct fleetdb *db);

/* Whether the database answers. */
bool fleetdb_check(struct fleetdb *db, struct err *err) MUSTER_CHECK;
/* Rows written since it was opened: none more, nothing changed. */
int64_t fleetdb_writes(const struct fleetdb *db);
int64_t fleetdb_size_bytes(const struct fleetdb *db); /* file and WAL */

enum fleetdb_life { /* the schema's life_cycle */
                    FLEETDB_IN_SERVICE,
                    FLEETDB_SPARE,
                    FLEETDB_LAB,
                    FLEETDB_REPAIR,
                    FLEETDB_SUSPENDED,
                    FLEETDB_RETIRED,
                    FLEETDB_LIVES,
};
const char *fleetdb_life_name(enum fleetdb_life life);
/* False: there is no such word. */
bool fleetdb_life_find(const char *name, enum fleetdb_life *ret_life);

struct fleetdb_device {
    int64_t device;
    char id[33]; /* the certificate's CN */
    enum fleetdb_life life;
    int64_t receipt_pace_s; /* it wants no more than one receipt in so long; 0: at once */
};
/* ERR_NOT_FOUND when there is no such device. */
bool fleetdb_device_find(struct fleetdb *db, const char *id, struct fleetdb_device *ret_device,
                         struct err *err) MUSTER_CHECK;
/* As its newest hello says. */
bool fleetdb_device_pace(struct fleetdb *db, int64_t device, uint32_t receipt_pace_s,
                         struct err *err) MUSTER_CHECK;

enum { FLEETDB_KEY_BYTES = 128, FLEETDB_KEYS_MAX = 4 };
struct fleetdb_key {
    uint8_t spki[FLEETDB_KEY_BYTES];
    size_t length;
};
/* The keys that the device may sign with at `now_ms`, newest first; returns how many. */
bool fleetdb_agent_keys(struct fleetdb *db, int64_t device, int64_t now_ms,
                        struct fleetdb_key ret_keys[FLEETDB_KEYS_MAX], size_t *ret_count,
                        struct err *err) MUSTER_CHECK;

struct fleetdb_terminal {
    uint32_t index;
    const char *acquirer, *tid, *mid;
};
struct fleetdb_enrolment {
    const char *id, *serial, *model;
    struct bytes agent_key;                          /* SPKI; empty: as before, or none yet */
    const char *merchant_id, *merchant_name;         /* merchant_id NULL: it stays where it is */
    const char *store_id, *store_name, *region;      /* region may be "" or NULL: as it is */
    const char *time_zone, *opening_hours, *address; /* of the store, NULL: as they are */
    int64_t store; /* its row, once it has been said in this transaction; 0: it is said here */
    const struct fleetdb_terminal *terminals;
    size_t terminal_count;
    bool keep_terminals;    /* those it carries, whatever `terminals` is */
    enum fleetdb_life life; /* of a device that is new */
    const char *who, *why;  /* NULL: musterd; "enrolled" */
};
/* Enrols a device, or brings a known one (same id, serial and model) up to date: a new key
 * replaces the old one from now on, a logical terminal that another device carries moves here.
 * ERR_CONFLICT: the id, the serial number or the key is another device's, or it is retired. A
 * transaction of its own or a step of the caller's, who also tells the audit of the device
 * (fleetdb_portrait.h). */
bool fleetdb_enrol(struct fleetdb *db, const struct fleetdb_enrolment *enrolment, int64_t now_ms,
                   int64_t *ret_device, struct err *err) MUSTER_CHECK;

/* Who did what; `device` 0: none. `who` NULL: musterd by itself. */
bool fleetdb_audit(struct fleetdb *db, int64_t now_ms, const char *who, const char *what,
                   int64_t device, const char *text, struct err *err) MUSTER_CHECK;

#endif
