/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CTL_SEAL_H
#define FLEET_CTL_SEAL_H

#include "fleet/ctl.h"
#include "fleet/sealing.h"

/* The CA of --device-ca and the list of --crl, as of now. */
bool ctl_open_authority(struct ctl *ctl, const struct ctl_args *args,
                        struct sealing_authority **ret_authority, struct err *err) MUSTER_CHECK;
/* As sealed_make, for an operator's file: one that is too long is ERR_INVALID. */
bool ctl_sealed_make(struct bytes certificate, struct bytes content, struct buf *out,
                     struct err *err) MUSTER_CHECK;

#endif
