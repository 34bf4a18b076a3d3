/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_PEERS_H
#define AGENT_PEERS_H

#include "base/err.h"

#include <sys/types.h>

/* Who may speak on a socket, by the kernel's word (SO_PEERCRED, unix(7)). */
enum { PEERS_MAX = 16 };

struct peers {
    uid_t uids[PEERS_MAX];
    size_t count;
};

/* root, this process's own user, and `users`: names or numbers, separated by commas. An unknown
 * name is ERR_INVALID. */
bool peers_parse(const char *users, struct peers *ret_peers, struct err *err) MUSTER_CHECK;
bool peers_allow(const struct peers *peers, uid_t uid);

#endif
