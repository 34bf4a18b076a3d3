/* SPDX-License-Identifier: Apache-2.0 */
/* The registry's own small files on a damaged disk. The first byte chooses the file and whether
 * its sum is put right, so that what the sum guards is read too. Whatever is there, loading must
 * leave a registry in which a generation can be built. */
#include "base/file.h"
#include "proto/seal.h"
#include "storage/registry_internal.h"
#include "storage/registry_probation.h"
#include "tests/fuzz/world.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { GENERATIONS = 2 };
static const char *const files[] = {"floors",
                                    "failure",
                                    "generations/00000002/.items",
                                    "generations/00000001/.items",
                                    "current",
                                    "desired",
                                    "second",
                                    "probation",
                                    "returned"};

static void fill(struct registry_generation *generation, uint64_t number)
{
    struct registry_item *item = &generation->list.items[0];
    memset(generation, 0, sizeof *generation);
    generation->number = number;
    generation->list.count = 1;
    (void)snprintf(item->name, sizeof item->name, "aid.tsv");
    item->kind = 1;
    item->version = number;
    item->length = 4;
    sha256(bytes_of("a\tb\n", 4), item->sha256);
}

static void build(const struct registry *registry, uint64_t number)
{
    struct registry_generation generation;
    fill(&generation, number);
    HOLDS(registry_build_begin(registry, number, NULL));
    HOLDS(registry_build_write(registry, number, "aid.tsv", false, bytes_of("a\tb\n", 4), NULL));
    HOLDS(registry_build_finish(registry, &generation, bytes_of("m", 1), NULL));
    HOLDS(registry_switch(registry, number, NULL));
}

/* Puts `content` in the place of the file; a link where the registry has a link. */
static void damage(const char *name, struct bytes content, bool sum)
{
    char path[FUZZ_PATH_BYTES], target[FUZZ_PATH_BYTES], hex[65];
    struct buf file = {0};
    uint8_t digest[32];
    fuzz_path(name, path);
    HOLDS(buf_append(&file, content.data, content.length, NULL));
    if (strcmp(name, "current") == 0) {
        (void)snprintf(target, sizeof target, "%.*s", (int)(content.length % 100),
                       content.length ? (const char *)content.data : "");
        HOLDS(unlink(path) == 0 && (!target[0] || symlink(target, path) == 0));
    } else {
        if (sum) {
            sha256(content, digest);
            hex_encode(digest, sizeof digest, hex);
            HOLDS(buf_append(&file, "sum ", 4, NULL) && buf_append(&file, hex, 64, NULL) &&
                  buf_append(&file, "\n", 1, NULL));
        }
        HOLDS(file_write(path, buf_bytes(&file), 0600, NULL));
    }
    buf_done(&file);
}

static void check_generation(const struct registry_generation *generation)
{
    HOLDS(generation->list.count <= REGISTRY_ITEMS);
    for (size_t i = 0; i < generation->list.count; i++) {
        const struct registry_item *item = &generation->list.items[i];
        HOLDS(memchr(item->name, 0, sizeof item->name) && item->name[0] && item->name[0] != '.');
        HOLDS(!strchr(item->name, '/') && item->kind >= 0);
    }
}

/* What is read is written, and reads the same. */
static void check_floors(const struct registry *registry)
{
    static struct registry_floors floors, again;
    char lost[REGISTRY_LOST_CHARS] = "";
    HOLDS(registry_floors_read(registry, &floors, lost, NULL));
    HOLDS(memchr(lost, 0, sizeof lost));
    HOLDS(floors.count <= REGISTRY_FLOORS);
    HOLDS(registry_floors_write(registry, &floors, NULL));
    HOLDS(registry_floors_read(registry, &again, lost, NULL) && !lost[0]);
    HOLDS(again.count == floors.count && again.manifest_version == floors.manifest_version);
    for (size_t i = 0; i < floors.count; i++) {
        const struct registry_floor *row = registry_floor_of(&again, floors.rows[i].name);
        HOLDS(row && row->epoch == floors.rows[i].epoch && row->minimum == floors.rows[i].minimum &&
              row->final == floors.rows[i].final && row->version == floors.rows[i].version);
    }
}

static void check_failure(const struct registry *registry)
{
    struct registry_failure failure;
    if (!registry_failure_read(registry, &failure, NULL))
        return;
    HOLDS(memchr(failure.item, 0, sizeof failure.item));
    HOLDS(memchr(failure.reason, 0, sizeof failure.reason));
}

/* What is read is written, and reads the same. */
static void check_probation(const struct registry *registry)
{
    struct registry_probation probation, again;
    if (!registry_probation_read(registry, &probation, NULL) || !probation.present)
        return;
    HOLDS(probation.suspect <= probation.results);
    HOLDS(registry_probation_write(registry, &probation, NULL));
    HOLDS(registry_probation_read(registry, &again, NULL));
    HOLDS(again.generation == probation.generation && again.good == probation.good);
    HOLDS(again.results == probation.results && again.seq == probation.seq);
    HOLDS(again.tokens == probation.tokens && again.running == probation.running);
    HOLDS(memcmp(again.token, probation.token, sizeof again.token) == 0);
}

static void check_returns(const struct registry *registry)
{
    static struct registry_returns returns, again;
    if (!registry_returns_read(registry, &returns, NULL))
        return;
    HOLDS(returns.count <= REGISTRY_RETURNED);
    for (size_t i = 0; i < returns.count; i++)
        HOLDS(returns.returned[i].count <= REGISTRY_ITEMS &&
              memchr(returns.returned[i].reason, 0, sizeof returns.returned[i].reason));
    HOLDS(registry_returns_write(registry, &returns, NULL));
    HOLDS(registry_returns_read(registry, &again, NULL) && again.count == returns.count);
    for (size_t i = 0; i < returns.count; i++)
        HOLDS(again.returned[i].count == returns.returned[i].count &&
              again.returned[i].to == returns.returned[i].to);
}

static void check(const struct registry *registry)
{
    static struct registry_held held;
    struct err err = {0};
    struct buf desired = {0};
    if (!registry_load(registry, &held, &err)) {
        (void)fprintf(stderr, "%s\n", err.text);
        abort();
    }
    check_generation(&held.current);
    check_generation(&held.previous);
    HOLDS(held.highest >= held.current.number && held.highest >= held.previous.number);
    check_floors(registry);
    check_failure(registry);
    check_probation(registry);
    check_returns(registry);
    (void)registry_desired_read(registry, 64 * 1024, &desired, NULL);
    buf_done(&desired);
    if (held.highest >= UINT64_MAX - 1)
        return;
    build(registry, held.highest + 1);
    uint64_t number = held.highest + 1;
    HOLDS(registry_load(registry, &held, NULL) && held.current.number == number && !held.recovered);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    struct registry *registry = NULL;
    char second[FUZZ_PATH_BYTES];
    if (size == 0)
        return 0;
    uint8_t how = fuzz_byte(&in);
    const char *dir = fuzz_dir();
    fuzz_path("second", second);
    HOLDS(registry_open(dir, second, sha256, &registry, NULL));
    for (uint64_t number = 1; number <= GENERATIONS; number++)
        build(registry, number);
    damage(files[how % (sizeof files / sizeof files[0])], in, how & 0x80);
    check(registry);
    registry_close(registry);
    return 0;
}
