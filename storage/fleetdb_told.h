/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_TOLD_H
#define STORAGE_FLEETDB_TOLD_H

#include "storage/fleetdb.h"

/* What a device last said of itself beside its documents: how its state is put in force, its key
 * slots, its packages. Texts are masked by who writes; views give values that live during the call
 * only. */

/* When it was said, by the device's own clocks: see collector_clock_before. */
struct fleetdb_moment {
    uint64_t incarnation;
    int64_t boot_ms, wall_ms;
};

struct fleetdb_apply {
    int step; /* ApplyStep */
    uint64_t manifest_version, generation, good_generation;
    const char *waits_for;
    uint64_t waited_ms, asks_after_ms, opens_after_ms;
    uint32_t results, suspect, before_results, before_suspect, results_needed;
    uint64_t probation_left_ms;
    const char *why;
    int refusal; /* Refusal, 0: none */
    int64_t received_ms;
    struct bytes digest; /* of what waits; empty: nothing does, or an older agent said it */
};
/* NULL: nothing waits there, and nothing is on probation. */
bool fleetdb_apply_write(struct fleetdb *db, int64_t device, const struct fleetdb_apply *apply,
                         struct err *err) MUSTER_CHECK;
/* Not called when there is nothing to tell. */
bool fleetdb_view_apply(struct fleetdb *db, int64_t device,
                        bool (*each)(void *ctx, const struct fleetdb_apply *apply, struct err *err),
                        void *ctx, struct err *err) MUSTER_CHECK;

struct fleetdb_keys {
    struct fleetdb_moment said;
    bool sign_on_known;
    uint64_t sign_on_age_ms; /* powered-on time */
    char why[200];           /* it is not all that is in the slots; "": it is */
    int64_t received_ms;
};
struct fleetdb_key_slot {
    const char *slot, *usage, *algorithm;
    uint32_t key_version;
    int kcv_method; /* KcvMethod */
    struct bytes kcv;
    int state; /* KeySlotState */
    const char *why;
};
/* A device without an inventory gives ERR_NOT_FOUND. */
bool fleetdb_keys_read(struct fleetdb *db, int64_t device, struct fleetdb_keys *ret_keys,
                       struct err *err) MUSTER_CHECK;
/* Replaces the inventory; its slots are written after it. */
bool fleetdb_keys_write(struct fleetdb *db, int64_t device, const struct fleetdb_keys *keys,
                        struct err *err) MUSTER_CHECK;
bool fleetdb_key_slot_write(struct fleetdb *db, int64_t device, const struct fleetdb_key_slot *slot,
                            struct err *err) MUSTER_CHECK;
/* Ascending by name. */
bool fleetdb_view_key_slots(struct fleetdb *db, int64_t device,
                            bool (*each)(void *ctx, const struct fleetdb_key_slot *slot,
                                         struct err *err),
                            void *ctx, struct err *err) MUSTER_CHECK;
/* Of all devices, ascending by device and slot; `*ret_silent` of those in service told nothing. */
bool fleetdb_view_all_key_slots(struct fleetdb *db,
                                bool (*each)(void *ctx, const char *device, int64_t received_ms,
                                             const struct fleetdb_key_slot *slot, struct err *err),
                                void *ctx, uint64_t *ret_silent, struct err *err) MUSTER_CHECK;

struct fleetdb_package {
    const char *name, *wanted, *running, *text;
    struct fleetdb_moment said;
    int64_t received_ms;
};
/* When it was last spoken of; ERR_NOT_FOUND: never. */
bool fleetdb_package_said(struct fleetdb *db, int64_t device, const char *name,
                          struct fleetdb_moment *ret_said, struct err *err) MUSTER_CHECK;
bool fleetdb_package_write(struct fleetdb *db, int64_t device,
                           const struct fleetdb_package *package, struct err *err) MUSTER_CHECK;
/* Ascending by name. */
bool fleetdb_view_packages(struct fleetdb *db, int64_t device,
                           bool (*each)(void *ctx, const struct fleetdb_package *package,
                                        struct err *err),
                           void *ctx, struct err *err) MUSTER_CHECK;

#endif
