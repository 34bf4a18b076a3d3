/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_PLACES_H
#define STORAGE_FLEETDB_PLACES_H

#include "storage/fleetdb_scope.h"
#include "storage/fleetdb_standing.h"

/*
 * Merchants, stores and regions, and what is done with a device: moved, swapped, taken out of
 * service. Each is one transaction, or a step of the caller's; none checks the form of a text.
 * Nothing changed: nothing is written.
 */

/* The merchant, and its store, where a device stands until somebody says. */
#define FLEETDB_NOWHERE "unassigned"

/* A code says which; of what is NULL nothing is said: it stays, or is empty (a name: the code). */
struct fleetdb_store {
    const char *merchant, *merchant_name; /* code; name */
    const char *store, *store_name;       /* code, among the merchant's; name */
    const char *region;                   /* "": none */
    const char *time_zone;                /* "": the region's */
    const char *opening_hours;            /* fleet/opening.h; "": not known */
    const char *address;
};
/* Makes or changes store, merchant and region; standings follow, and the audit has a row of what
 * was and what is. ERR_CONFLICT: the merchant is being erased, or a code is as of one that was. */
bool fleetdb_store_put(struct fleetdb *db, const struct fleetdb_store *store,
                       const struct fleetdb_change *change, int64_t *ret_store,
                       struct err *err) MUSTER_CHECK;
/* ERR_NOT_FOUND: there is no such store. */
bool fleetdb_store_find(struct fleetdb *db, const char *merchant, const char *store,
                        int64_t *ret_store, struct err *err) MUSTER_CHECK;
bool fleetdb_region_put(struct fleetdb *db, const char *name, const char *time_zone,
                        struct err *err) MUSTER_CHECK;

struct fleetdb_store_view {
    struct fleetdb_store store;
    const char *zone; /* the store's, or the region's; "": nobody has said one */
    uint64_t devices; /* that stand there and are not retired */
};
/* By merchant and store. */
bool fleetdb_stores_each(struct fleetdb *db,
                         bool (*each)(void *ctx, const struct fleetdb_store_view *view,
                                      struct err *err),
                         void *ctx, struct err *err) MUSTER_CHECK;
/* Of a part of the fleet those where its merchants have stores, or that it is made of. */
bool fleetdb_regions_each(struct fleetdb *db, struct fleetdb_scope scope,
                          bool (*each)(void *ctx, const char *name, const char *time_zone,
                                       struct err *err),
                          void *ctx, struct err *err) MUSTER_CHECK;

/* ERR_CONFLICT: it is retired, and may only become a spare again. A retired one carries nothing any
 * more. */
bool fleetdb_device_live(struct fleetdb *db, const struct fleetdb_device *device,
                         enum fleetdb_life life, const struct fleetdb_change *change,
                         struct err *err) MUSTER_CHECK;

struct fleetdb_move {
    int64_t store; /* 0: where it stands */
    /* What it carries there; `keep`: what it carries now, which ERR_CONFLICT refuses where the
     * store is another merchant's, as a MID is a merchant's. */
    bool keep_terminals;
    const struct fleetdb_terminal *terminals;
    size_t terminal_count;
};
/* ERR_CONFLICT also where another device carries one of the logical terminals, or any device a MID
 * of them for another merchant. */
bool fleetdb_device_move(struct fleetdb *db, const struct fleetdb_device *device,
                         const struct fleetdb_move *move, const struct fleetdb_change *change,
                         struct err *err) MUSTER_CHECK;
/* What is not among those that it keeps, each in its slot, it carries no more: others may take it,
 * also where several devices exchange what they carry. */
bool fleetdb_device_let_go(struct fleetdb *db, const struct fleetdb_device *device,
                           const struct fleetdb_terminal *keeps, size_t count,
                           const struct fleetdb_change *change, struct err *err) MUSTER_CHECK;
/* `to` takes over what `from` carries, slot by slot, and stands where it stood; `from` lives on as
 * `life`. ERR_CONFLICT: one of them is retired, or `to` carries something already. */
bool fleetdb_device_swap(struct fleetdb *db, const struct fleetdb_device *from,
                         const struct fleetdb_device *to, enum fleetdb_life life,
                         const struct fleetdb_change *change, struct err *err) MUSTER_CHECK;

/* A document that `from` is assigned and `to` is not. */
struct fleetdb_lacking {
    const char *name;
    uint64_t version;
    bool sealed; /* for `from` alone */
};
bool fleetdb_lacking_each(struct fleetdb *db, int64_t from, int64_t to,
                          bool (*each)(void *ctx, const struct fleetdb_lacking *lacking,
                                       struct err *err),
                          void *ctx, struct err *err) MUSTER_CHECK;

/* All that ops say of a device, as one row. */
struct fleetdb_inventory_view {
    const char *id, *serial, *model, *life;
    struct fleetdb_store store; /* codes "": it stands nowhere */
    const char *terminals;      /* JSON: [{"index", "acquirer", "tid", "mid"}, ...] */
    const char *labels;         /* JSON: {"lane": "express"} */
    struct bytes agent_key;     /* SPKI, the newest in force; empty: none */
};
/* All devices by id, as they were when it was opened: what is moved meanwhile stands in one place.
 * Open, step until it is done, close. */
struct fleetdb_inventory;
bool fleetdb_inventory_open(struct fleetdb *db, struct fleetdb_inventory **ret_inventory,
                            struct err *err) MUSTER_CHECK;
/* `count` more, or fewer: then there are no more. */
bool fleetdb_inventory_step(struct fleetdb_inventory *inventory, size_t count,
                            bool (*each)(void *ctx, const struct fleetdb_inventory_view *view,
                                         struct err *err),
                            void *ctx, struct err *err) MUSTER_CHECK;
/* NULL is fine. */
void fleetdb_inventory_close(struct fleetdb_inventory *inventory);

/* ---- what an acquirer is to be told ---- */

struct fleetdb_duty_view {
    int64_t duty;
    const char *device, *serial, *model;
    const char *act; /* "bind", "unbind", "address" */
    const char *acquirer, *tid, *mid;
    /* To release: where it stood when it carried that; else where it stood when that was done, or
     * stands now. */
    const char *merchant, *store, *address;
    const char *why, *who;
    int64_t since_ms, done_ms; /* done_ms 0: still to be told */
    const char *done_who, *note;
};
/* Oldest first, those of places in the scope; `device` 0: all. `all` false: only what is still to
 * be told. */
bool fleetdb_duties_each(struct fleetdb *db, struct fleetdb_scope scope, int64_t device, bool all,
                         bool (*each)(void *ctx, const struct fleetdb_duty_view *view,
                                      struct err *err),
                         void *ctx, struct err *err) MUSTER_CHECK;
/* The newest, done or not; 0: there is none. */
bool fleetdb_duties_last(struct fleetdb *db, int64_t *ret_duty, struct err *err) MUSTER_CHECK;
/* change->why is the note. ERR_NOT_FOUND: there is no such duty; ERR_CONFLICT: it was done. */
bool fleetdb_duty_done(struct fleetdb *db, int64_t duty, const struct fleetdb_change *change,
                       struct err *err) MUSTER_CHECK;

#endif
