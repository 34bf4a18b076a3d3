/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/topics.h"

#include "proto/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOT "muster/v1/"

static const struct {
    enum topic_kind kind;
    const char *direction, *leaf;
} device_topics[] = {
    {TOPIC_UP_BATCH, "up", "batch"},         {TOPIC_UP_HELLO, "up", "hello"},
    {TOPIC_UP_ONLINE, "up", "online"},       {TOPIC_DOWN_MANIFEST, "down", "manifest"},
    {TOPIC_DOWN_RECEIPT, "down", "receipt"}, {TOPIC_DOWN_WELCOME, "down", "welcome"},
};
enum { DEVICE_TOPICS = sizeof device_topics / sizeof device_topics[0] };

static bool lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool device_id_valid(const char *id)
{
    size_t length = strnlen(id, LIMIT_DEVICE_ID_CHARS + 1);
    if (length == 0 || length > LIMIT_DEVICE_ID_CHARS)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!lower_or_digit(id[i]) && id[i] != '-')
            return false;
    return true;
}

bool document_name_valid(const char *name)
{
    size_t length = strnlen(name, LIMIT_DOCUMENT_NAME_CHARS + 1);
    if (length == 0 || length > LIMIT_DOCUMENT_NAME_CHARS || !lower_or_digit(name[0]))
        return false;
    for (size_t i = 1; i < length; i++)
        if (!lower_or_digit(name[i]) && !strchr("._-", name[i]))
            return false;
    return !strstr(name, "..");
}

void topic_format(const struct topic *topic, char out[TOPIC_CHARS])
{
    char hex[65];
    switch (topic->kind) {
    case TOPIC_BLOB:
        hex_encode(topic->sha256, sizeof topic->sha256, hex);
        (void)snprintf(out, TOPIC_CHARS, ROOT "blob/%s", hex);
        return;
    case TOPIC_TRUST:
        (void)snprintf(out, TOPIC_CHARS, ROOT "trust/%" PRIu64, topic->version);
        return;
    default:
        break;
    }
    for (size_t i = 0; i < DEVICE_TOPICS; i++)
        if (device_topics[i].kind == topic->kind)
            (void)snprintf(out, TOPIC_CHARS, ROOT "%s/%s/%s", device_topics[i].direction,
                           topic->device, device_topics[i].leaf);
}

void topic_device(enum topic_kind kind, const char *device, char out[TOPIC_CHARS])
{
    struct topic topic = {.kind = kind};
    (void)snprintf(topic.device, sizeof topic.device, "%s", device);
    topic_format(&topic, out);
}

void topic_blob(const uint8_t sha256[32], char out[TOPIC_CHARS])
{
    struct topic topic = {.kind = TOPIC_BLOB};
    memcpy(topic.sha256, sha256, sizeof topic.sha256);
    topic_format(&topic, out);
}

/* The text behind `prefix`, NULL if it does not begin with it. */
static const char *after(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

/* `rest` is "<device>/<leaf>". */
static bool parse_device(const char *direction, const char *rest, struct topic *topic)
{
    size_t length = strcspn(rest, "/");
    if (rest[length] == '\0' || length >= sizeof topic->device)
        return false;
    memcpy(topic->device, rest, length);
    topic->device[length] = '\0';
    for (size_t i = 0; i < DEVICE_TOPICS; i++) {
        if (strcmp(device_topics[i].direction, direction) == 0 &&
            strcmp(device_topics[i].leaf, rest + length + 1) == 0) {
            topic->kind = device_topics[i].kind;
            return device_id_valid(topic->device);
        }
    }
    return false;
}

static bool parse(const char *text, struct topic *topic)
{
    const char *rest = NULL;
    if ((rest = after(text, ROOT "up/")))
        return parse_device("up", rest, topic);
    if ((rest = after(text, ROOT "down/")))
        return parse_device("down", rest, topic);
    if ((rest = after(text, ROOT "blob/"))) {
        topic->kind = TOPIC_BLOB;
        return hex_decode(rest, strlen(rest), topic->sha256, sizeof topic->sha256);
    }
    if ((rest = after(text, ROOT "trust/"))) {
        topic->kind = TOPIC_TRUST;
        topic->version = strtoull(rest, NULL, 10);
        return true;
    }
    return false;
}

bool topic_parse(const char *text, struct topic *ret_topic, struct err *err)
{
    struct topic topic = {0};
    char again[TOPIC_CHARS];
    if (strnlen(text, TOPIC_CHARS) < TOPIC_CHARS && parse(text, &topic)) {
        /* One spelling only: what we would not write ourselves is not ours. */
        topic_format(&topic, again);
        if (strcmp(text, again) == 0) {
            *ret_topic = topic;
            return true;
        }
    }
    return err_set(err, ERR_INVALID, "not a topic of muster: \"%.*s\"", TOPIC_CHARS, text);
}
