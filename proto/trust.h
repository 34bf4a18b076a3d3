/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_TRUST_H
#define PROTO_TRUST_H

#include "proto/desired.pb-c.h"
#include "proto/seal.h"

/* The keys of every role, from a root that carries the signatures it asks for. */
struct trust;

/* `root` is the Envelope of a Root that is trusted because of where it comes from (installed with
 * the device); its own threshold of root signatures is checked all the same. */
bool trust_open(struct bytes root, struct trust **ret_trust, struct err *err) MUSTER_CHECK;
/* `root` is the Envelope of the next Root: one version higher, its epoch the same or one higher,
 * signed by enough root keys of the one in force and by enough of its own. True: it is in force
 * now, and what trust_keys gave before must not be used any more. Otherwise nothing has changed;
 * the error's reason is a Refusal. */
bool trust_advance(struct trust *trust, struct bytes root, struct err *err) MUSTER_CHECK;
/* The same question, and nothing changes in any case: for who must keep it first. */
bool trust_would_advance(const struct trust *trust, struct bytes root,
                         struct err *err) MUSTER_CHECK;
void trust_free(struct trust *trust);
uint64_t trust_epoch(const struct trust *trust);
uint64_t trust_version(const struct trust *trust);
int64_t trust_issued_ms(const struct trust *trust); /* it was not earlier than that */
/* Never NULL; a role without keys has a set that nothing satisfies. */
const struct key_set *trust_keys(const struct trust *trust, Muster__Role role);

#endif
