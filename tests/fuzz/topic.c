/* SPDX-License-Identifier: Apache-2.0 */
/* Topics as a broker delivers them, and the names that become file names. */
#include "proto/topics.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size), again[TOPIC_CHARS];
    struct topic topic;
    HOLDS(text);
    if (topic_parse(text, &topic, NULL)) {
        topic_format(&topic, again);
        HOLDS(strcmp(text, again) == 0);
        HOLDS(topic.kind == TOPIC_BLOB || topic.kind == TOPIC_TRUST ||
              device_id_valid(topic.device));
    }
    if (document_name_valid(text))
        HOLDS(text[0] != '.' && !strchr(text, '/') && !strstr(text, ".."));
    free(text);
    return 0;
}
