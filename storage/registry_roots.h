/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REGISTRY_ROOTS_H
#define STORAGE_REGISTRY_ROOTS_H

#include "base/buf.h"

/*
 * The roots that came after the installed one, as they were signed: <dir>/roots/<version>, beside
 * what registry.h keeps in the same folder. They are needed before that is opened, and are never
 * trusted for being here: who reads one verifies it. Version 0 is a copy of the installed one, for
 * the day when that cannot be read. On the medium when a call returns true.
 */

/* ERR_NOT_FOUND: it is not kept. The caller calls buf_done. */
bool registry_root_read(const char *dir, uint64_t version, size_t limit, struct buf *ret_envelope,
                        struct err *err) MUSTER_CHECK;
bool registry_root_write(const char *dir, uint64_t version, struct bytes envelope,
                         struct err *err) MUSTER_CHECK;
bool registry_root_forget(const char *dir, uint64_t version, struct err *err) MUSTER_CHECK;
/* Removes what an interrupted write has left or what stands in the folder's place, and roots up to
 * `installed`, which nobody needs. */
bool registry_roots_sweep(const char *dir, uint64_t installed, struct err *err) MUSTER_CHECK;

#endif
