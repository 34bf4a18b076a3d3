/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/crash/figures.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* True: it is new. */
static bool set_add(struct hash_set *set, uint64_t value)
{
    value += value == 0; /* 0 marks a free slot */
    if (2 * set->count >= set->room) {
        struct hash_set grown = {.room = set->room > 0 ? 2 * set->room : 1 << 12};
        grown.slots = calloc(grown.room, sizeof *grown.slots);
        if (grown.slots == NULL)
            abort();
        for (size_t i = 0; i < set->room; i++) {
            if (set->slots[i] != 0)
                (void)set_add(&grown, set->slots[i]);
        }
        free(set->slots);
        *set = grown;
    }
    size_t at = value & (set->room - 1);
    for (; set->slots[at] != 0; at = (at + 1) & (set->room - 1)) {
        if (set->slots[at] == value)
            return false;
    }
    set->slots[at] = value;
    set->count++;
    return true;
}

bool figures_add(struct figures *figures, uint64_t image, uint64_t state)
{
    if (!set_add(&figures->checked, disk_mix(image ^ disk_mix(state))))
        return false;
    figures->checks++;
    figures->images += set_add(&figures->seen, image);
    return true;
}

void figures_cut(struct figures *figures, const char *mode, enum disk_kind after)
{
    figures->cuts_after[after]++;
    size_t i = 0;
    while (figures->modes[i].name != NULL && strcmp(figures->modes[i].name, mode) != 0)
        i++;
    if (i + 1 >= sizeof figures->modes / sizeof *figures->modes)
        abort();
    figures->modes[i].name = mode;
    figures->modes[i].cuts++;
}

struct out {
    const char *part;
    FILE *file;
};

static void line(const struct out *out, const char *name, const char *of, uint64_t value)
{
    printf("crash.%s.%s%s %" PRIu64 " count\n", out->part, name, of, value);
    if (out->file != NULL)
        (void)fprintf(out->file, "%s%s %" PRIu64 "\n", name, of, value);
}

bool figures_print(const struct figures *figures, const struct crash_part *part,
                   const struct crash *crash, uint64_t lies, const char *file)
{
    struct out out = {part->name, file != NULL ? fopen(file, "w") : NULL};
    bool ok = file == NULL || out.file != NULL;
    line(&out, "images", "", figures->images);
    line(&out, "points", "", figures->points);
    line(&out, "checks", "", figures->checks);
    for (int i = 0; i < DISK_KINDS; i++) {
        if (figures->cuts_after[i] > 0)
            line(&out, "after_", disk_kind_name((enum disk_kind)i), figures->cuts_after[i]);
        if ((part->kinds >> i & 1) != 0 && figures->cuts_after[i] == 0) {
            printf("crash %s: the power was never cut after: %s\n", part->name,
                   disk_kind_name((enum disk_kind)i));
            ok = false;
        }
    }
    for (size_t i = 0; figures->modes[i].name != NULL; i++)
        line(&out, "kept_", figures->modes[i].name, figures->modes[i].cuts);
    line(&out, "lies_found", "", lies);
    if (lies == 0) {
        printf("crash %s: a disk that lies was not noticed\n", part->name);
        ok = false;
    }
    line(&out, "corrupt", "", crash->corrupt);
    line(&out, "lost", "", crash->lost);
    line(&out, "doubled", "", crash->doubled);
    if (out.file != NULL && fclose(out.file) != 0)
        ok = false;
    return ok;
}

void figures_done(struct figures *figures)
{
    free(figures->seen.slots);
    free(figures->checked.slots);
    *figures = (struct figures){0};
}
