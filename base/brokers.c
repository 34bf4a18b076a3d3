/* SPDX-License-Identifier: Apache-2.0 */
#include "base/brokers.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool port_valid(const char *port)
{
    size_t length = strlen(port);

    if (length == 0 || length > 5 || strspn(port, "0123456789") != length) {
        return false;
    }
    long number = strtol(port, NULL, 10);
    return number >= 1 && number <= 65535;
}

static bool host_valid(const char *host, bool bracketed, bool *ret_numeric)
{
    unsigned char address[sizeof(struct in6_addr)];

    if (bracketed) {
        *ret_numeric = true;
        return inet_pton(AF_INET6, host, address) == 1;
    }
    for (const char *c = host; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c) && *c != '.' && *c != '-' && *c != '_') {
            return false;
        }
    }
    *ret_numeric = inet_pton(AF_INET, host, address) == 1;
    return host[0] != '\0' && host[0] != '.';
}

/* One entry without spaces around it. */
static bool parse_one(const char *entry, size_t length, struct broker *ret_broker)
{
    char text[BROKER_HOST_CHARS + sizeof "[]:65535"];
    struct broker broker = {.numeric = false};

    if (length == 0 || length >= sizeof text) {
        return false;
    }
    memcpy(text, entry, length);
    text[length] = '\0';

    bool bracketed = text[0] == '[';
    char *host = text + (bracketed ? 1 : 0);
    char *host_end = bracketed ? strchr(text, ']') : strchr(text, ':');
    if (host_end == NULL) {
        return false;
    }
    char *colon = bracketed ? host_end + 1 : host_end;
    if (*colon != ':' || !port_valid(colon + 1) ||
        (size_t)(host_end - host) >= sizeof broker.host) {
        return false;
    }
    *host_end = '\0';
    if (!host_valid(host, bracketed, &broker.numeric)) {
        return false;
    }
    memcpy(broker.host, host, strlen(host) + 1);
    memcpy(broker.port, colon + 1, strlen(colon + 1) + 1);
    *ret_broker = broker;
    return true;
}

bool brokers_parse(const char *text, struct broker_list *ret_list, struct err *err)
{
    struct broker_list list = {.count = 0};

    for (const char *at = text;; at++) {
        at += strspn(at, " \t");
        size_t length = strcspn(at, ",");
        size_t trimmed = length;
        while (trimmed > 0 && isspace((unsigned char)at[trimmed - 1])) {
            trimmed--;
        }
        if (list.count == BROKERS_MAX) {
            return err_set(err, ERR_INVALID, "more than %d brokers", BROKERS_MAX);
        }
        if (!parse_one(at, trimmed, &list.brokers[list.count])) {
            return err_set(err, ERR_INVALID, "broker \"%.*s\": expected host:port, or [IPv6]:port",
                           (int)(trimmed < 100 ? trimmed : 100), at);
        }
        list.count++;
        at += length;
        if (*at == '\0') {
            break;
        }
    }
    *ret_list = list;
    return true;
}

void broker_format(const struct broker *broker, char *out, size_t size)
{
    bool brackets = strchr(broker->host, ':') != NULL;

    (void)snprintf(out, size, brackets ? "[%s]:%s" : "%s:%s", broker->host, broker->port);
}
