/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_TOPICS_H
#define PROTO_TOPICS_H

#include "base/buf.h"

/* muster/v1/up/<device>/{batch,hello,online}, muster/v1/down/<device>/{manifest,receipt,welcome},
 * muster/v1/blob/<sha256 hex>, muster/v1/trust/<version>. */
enum topic_kind {
    TOPIC_UP_BATCH,
    TOPIC_UP_HELLO,
    TOPIC_UP_ONLINE, /* retained: Online, of which the will is one */
    TOPIC_DOWN_MANIFEST,
    TOPIC_DOWN_RECEIPT,
    TOPIC_DOWN_WELCOME,
    TOPIC_BLOB,
    TOPIC_TRUST,
};

enum { TOPIC_CHARS = 96 };

struct topic {
    enum topic_kind kind;
    char device[33];    /* up and down */
    uint8_t sha256[32]; /* blob */
    uint64_t version;   /* trust */
};

/* [a-z0-9-]{1,32}: also the certificate's CN. */
bool device_id_valid(const char *id);
/* [a-z0-9][a-z0-9._-]{0,47}, no "..": also a file name. */
bool document_name_valid(const char *name);

void topic_format(const struct topic *topic, char out[TOPIC_CHARS]);
void topic_device(enum topic_kind kind, const char *device, char out[TOPIC_CHARS]);
void topic_blob(const uint8_t sha256[32], char out[TOPIC_CHARS]);
/* ERR_INVALID for anything that topic_format does not write. */
bool topic_parse(const char *text, struct topic *ret_topic, struct err *err) MUSTER_CHECK;

#define TOPIC_FILTER_BATCH "muster/v1/up/+/batch"
#define TOPIC_FILTER_HELLO "muster/v1/up/+/hello"
#define TOPIC_FILTER_ONLINE "muster/v1/up/+/online"

#endif
