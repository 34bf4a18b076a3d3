/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CTL_WANTED_H
#define FLEET_CTL_WANTED_H

#include "fleet/ctl.h"
#include "proto/desired.pb-c.h"

/* What terminals are to hold, as musterd has it: who, and in which mode. */

/* `name` NULL: of all names. `*ret_wanted` is by content; `*ret_documents` musterd's list, with
 * each signed header; `*ret_retired` how many are retired with something assigned: they are left
 * out. */
bool ctl_wanted_read(struct ctl *ctl, const char *name, json_t **ret_wanted, json_t **ret_documents,
                     int64_t *ret_retired, struct err *err) MUSTER_CHECK;
/* The documents among them that somebody is to hold, each content of a name once, older ones of a
 * name first. */
json_t *ctl_wanted_documents(const json_t *wanted, const json_t *documents, size_t *ret_count);
/* How many are to hold it. */
int64_t ctl_wanted_count(const json_t *wanted, const json_t *document);
/* Those who are to hold this content are to hold it as this version, in the mode that they have it
 * in. */
bool ctl_wanted_assign(struct ctl *ctl, const json_t *wanted, const json_t *document,
                       int64_t version, struct err *err) MUSTER_CHECK;

/* The highest version, or minimum version, of the name in the epoch, 0: none; and a document that
 * has been signed now. */
int64_t ctl_wanted_newest(const json_t *documents, const char *name, uint64_t epoch);
int64_t ctl_wanted_minimum(const json_t *documents, const char *name, uint64_t epoch);
void ctl_wanted_given(json_t *documents, const Muster__DocumentHeader *header);

#endif
