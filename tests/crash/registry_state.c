/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/crash/registry_state.h"

#include "base/file.h"
#include "proto/seal.h"
#include "tests/disk/disk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct bytes content_of(uint32_t number, uint8_t content[CONTENT_MAX])
{
    uint64_t mixed = disk_mix(number + (UINT64_C(7) << 32));
    size_t length = 8 + mixed % (number % 5 == 0 ? CONTENT_MAX - 8 : 700);
    for (size_t i = 0; i < length; i++)
        content[i] = (uint8_t)('A' + (i * 7 + number) % 31);
    memcpy(content, &number, sizeof number);
    return bytes_of(content, length);
}

struct bytes root_of(uint64_t version, uint8_t content[CONTENT_MAX])
{
    return content_of(UINT32_MAX - 1 - (uint32_t)version, content);
}

void sum_of(uint32_t number, uint8_t sum[32])
{
    uint8_t content[CONTENT_MAX];
    sha256(content_of(number, content), sum);
}

uint32_t number_in(const char *path)
{
    struct buf found = {0};
    uint8_t content[CONTENT_MAX];
    uint32_t number = 0;
    if (!file_read(path, CONTENT_MAX, &found, NULL))
        return 0;
    if (found.length >= sizeof number)
        memcpy(&number, found.data, sizeof number);
    if (!bytes_equal(buf_bytes(&found), content_of(number, content)))
        number = 0;
    buf_done(&found);
    return number;
}

void name_of(size_t document, char name[2])
{
    name[0] = (char)('a' + document);
    name[1] = '\0';
}

struct generation *generation_of(struct state *state, uint64_t number)
{
    for (size_t i = 0; number > 0 && i < GENERATIONS; i++) {
        if (state->generations[i].number == number)
            return &state->generations[i];
    }
    return NULL;
}

void list_of(const struct generation *of, struct registry_generation *list)
{
    uint8_t content[CONTENT_MAX];
    memset(list, 0, sizeof *list);
    list->number = of->number;
    memset(list->digest, (int)of->number, sizeof list->digest);
    for (size_t i = 0; i < DOCUMENTS; i++) {
        if (of->documents[i] == 0)
            continue;
        struct registry_item *item = &list->list.items[list->list.count++];
        name_of(i, item->name);
        item->kind = 1;
        item->version = of->documents[i];
        item->length = content_of(of->documents[i], content).length;
        sum_of(of->documents[i], item->sha256);
        memcpy(item->blob, item->sha256, sizeof item->blob);
    }
}

void failure_of(uint32_t number, struct registry_failure *failure)
{
    *failure = (struct registry_failure){
        .present = number > 0, .content = number % 2 == 1, .manifest_version = number};
    memset(failure->digest, (int)number, number > 0 ? 32 : 0);
    if (number > 0)
        (void)snprintf(failure->reason, sizeof failure->reason, "reason %" PRIu32, number);
}
