/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/peers.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool add(struct peers *peers, uid_t uid, struct err *err)
{
    if (peers_allow(peers, uid))
        return true;
    if (peers->count == PEERS_MAX)
        return err_set(err, ERR_INVALID, "more than %d users", (int)PEERS_MAX);
    peers->uids[peers->count++] = uid;
    return true;
}

static bool uid_of(const char *user, uid_t *ret_uid, struct err *err)
{
    if (isdigit((unsigned char)user[0]) != 0) {
        char *end = NULL;
        errno = 0;
        unsigned long value = strtoul(user, &end, 10);
        if (errno != 0 || *end != '\0' || value >= (uid_t)-1)
            return err_set(err, ERR_INVALID, "user %s: expected a name or a user id", user);
        *ret_uid = (uid_t)value;
        return true;
    }
    const struct passwd *entry = getpwnam(user);
    if (entry == NULL)
        return err_set(err, ERR_INVALID,
                       "user %s is not known on this machine: create it, or take it out", user);
    *ret_uid = entry->pw_uid;
    return true;
}

bool peers_parse(const char *users, struct peers *ret_peers, struct err *err)
{
    struct peers peers = {0};
    if (!add(&peers, 0, err) || !add(&peers, geteuid(), err))
        return false;
    char copy[512];
    if (strlen(users) >= sizeof copy)
        return err_set(err, ERR_INVALID, "the list of users is longer than %zu", sizeof copy - 1);
    strcpy(copy, users);
    char *rest = copy;
    for (char *user = strtok_r(copy, ", ", &rest); user != NULL;
         user = strtok_r(NULL, ", ", &rest)) {
        uid_t uid = 0;
        if (!uid_of(user, &uid, err) || !add(&peers, uid, err))
            return false;
    }
    *ret_peers = peers;
    return true;
}

bool peers_allow(const struct peers *peers, uid_t uid)
{
    for (size_t i = 0; i < peers->count; i++)
        if (peers->uids[i] == uid)
            return true;
    return false;
}
