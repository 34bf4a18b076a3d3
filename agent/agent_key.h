/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_AGENT_KEY_H
#define AGENT_AGENT_KEY_H

#include "base/err.h"

#include <stdio.h>

/* Makes the agent key at `path` if there is none, and writes its public half to `out` as a PEM
 * "PUBLIC KEY" (RFC 7468): what `musterctl device add --agent-key` takes. */
bool agent_key_make(const char *path, FILE *out, struct err *err) MUSTER_CHECK;
/* Makes the sealing key at `path` if there is none, and writes a certification request (PKCS #10,
 * PEM) for it: what the operator's CA for devices signs. */
bool agent_sealing_key_make(const char *path, const char *device, FILE *out,
                            struct err *err) MUSTER_CHECK;

#endif
