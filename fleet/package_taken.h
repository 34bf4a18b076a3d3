/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_PACKAGE_TAKEN_H
#define FLEET_PACKAGE_TAKEN_H

#include "proto/desired.pb-c.h"
#include "storage/fleetdb_documents.h"

/* A terminal knows a package by its version alone: where that version runs, it installs nothing. So
 * a package version of a name stands for one content; of a model, where each has its own. */

/* ERR_CONFLICT: the version is taken by another content. Of no package: fine. */
bool package_taken_check(struct fleetdb *db, const Muster__DocumentHeader *header,
                         struct err *err) MUSTER_CHECK;
#endif
