/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_BROKERS_H
#define BASE_BROKERS_H

#include "base/err.h"

#include <stdint.h>

enum { BROKERS_MAX = 8, BROKER_HOST_CHARS = 253 /* RFC 1035, without the last dot */ };

struct broker {
    char host[BROKER_HOST_CHARS + 1]; /* a name, or an address without brackets */
    char port[6];
    bool numeric; /* host is an IP address */
};

struct broker_list {
    struct broker brokers[BROKERS_MAX];
    size_t count; /* at least 1 */
};

/* "host:port, [2001:db8::1]:port, ..."; ERR_INVALID says which entry is wrong. */
bool brokers_parse(const char *text, struct broker_list *ret_list, struct err *err) MUSTER_CHECK;

/* "host:port" as it was written. */
void broker_format(const struct broker *broker, char *out, size_t size);

#endif
