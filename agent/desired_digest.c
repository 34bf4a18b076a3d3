/* SPDX-License-Identifier: Apache-2.0 */
/* Two manifests may want the same: that an action is ordered, or done, makes no new generation. */
#include "agent/desired.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = REGISTRY_NAME_CHARS + 192 };

static bool line_add(struct buf *text, const char *line, int length, struct err *err)
{
    return buf_append(text, line, (size_t)length, err);
}

/* Of what is only observed or proposed nothing but the name counts: it goes along as it is held. */
static bool add_want(struct buf *text, const struct sync_want *want, struct err *err)
{
    const struct registry_item *item = &want->item;
    char line[LINE_BYTES], sha256[65];
    if (want->mode != MUSTER__ASSIGN_MODE__MODE_REPAIR)
        return line_add(text, line, snprintf(line, sizeof line, "%s\n", item->name), err);
    hex_encode(item->sha256, sizeof item->sha256, sha256);
    return line_add(text, line,
                    snprintf(line, sizeof line, "%s %d %" PRIu64 " %" PRIu64 " %d %s\n", item->name,
                             item->kind, item->epoch, item->version, item->sealed, sha256),
                    err);
}

static bool add_way(struct buf *text, const struct way *way, struct err *err)
{
    char line[LINE_BYTES], blob[65], base[65];
    hex_encode(way->blob, sizeof way->blob, blob);
    hex_encode(way->base, sizeof way->base, base);
    return line_add(text, line,
                    snprintf(line, sizeof line, "- %d %s %s %" PRIu32 "\n", (int)way->coding, blob,
                             base, way->piece_bytes),
                    err);
}

static bool add_ways(struct buf *text, const struct desired *desired, struct err *err)
{
    bool good = true;
    for (size_t i = 0; good && i < desired->wants.count; i++) {
        good = add_want(text, &desired->wants.wants[i], err);
        for (size_t n = 0; good && n < desired->ways[i].count; n++)
            good = add_way(text, &desired->ways[i].list[n], err);
    }
    return good;
}

bool desired_digests(const struct desired *desired, struct desired_digests *ret_digests,
                     struct err *err)
{
    struct buf text = {0};
    bool good = true;
    for (size_t i = 0; good && i < desired->wants.count; i++)
        good = add_want(&text, &desired->wants.wants[i], err);
    sha256(buf_bytes(&text), ret_digests->generation);
    good = good && add_ways(&text, desired, err);
    sha256(buf_bytes(&text), ret_digests->content);
    buf_done(&text);
    return good;
}
