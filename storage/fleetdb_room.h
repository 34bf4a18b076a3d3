/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_ROOM_H
#define STORAGE_FLEETDB_ROOM_H

#include "storage/fleetdb.h"

/*
 * Room in the file that removed rows have left, and giving it back to the file system. A file that
 * was made before the fleet database could shrink never does so in steps, until fleetdb_vacuum has
 * written it anew once.
 */
struct fleetdb_room {
    int64_t file_bytes; /* all pages */
    int64_t free_bytes; /* of those, what new rows may use */
    bool shrinks;
};
bool fleetdb_room_look(struct fleetdb *db, struct fleetdb_room *ret_room,
                       struct err *err) MUSTER_CHECK;

/* Gives back up to `step_bytes` of what is free beyond `spare_bytes`, in a transaction of its own;
 * `*ret_more`: there is more. The file is shorter after the next checkpoint. */
bool fleetdb_room_give_back(struct fleetdb *db, int64_t spare_bytes, int64_t step_bytes,
                            int64_t *ret_bytes, bool *ret_more, struct err *err) MUSTER_CHECK;
/* Moves what the WAL holds into the file, as far as readers beside it let. With `empty` the WAL
 * becomes empty too, or, with ERR_UNAVAILABLE, a reader is in the way. */
bool fleetdb_room_checkpoint(struct fleetdb *db, bool empty, struct err *err) MUSTER_CHECK;

/* Writes the whole file anew, without free room, and so that it shrinks from now on. It takes long,
 * and as much of the file system as twice of what is in use: ERR_FULL when there is less, with
 * nothing done. */
bool fleetdb_vacuum(struct fleetdb *db, struct err *err) MUSTER_CHECK;

#endif
