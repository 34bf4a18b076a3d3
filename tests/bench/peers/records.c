/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peers-records: results of one retail lane as WORLD.md states them, packed as a terminal keeps
 * them, each behind its length. Usage: peers-records --out FILE --count N --seed N.
 */
#include "proto/unpack.h"
#include "tests/world/options.h"
#include "tests/world/retail.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static bool write_records(struct results *results, uint64_t count, const char *path,
                          struct err *err)
{
    struct buf packed = {0};
    uint64_t bytes = 0;
    FILE *file = fopen(path, "we");
    bool done = file != NULL;
    for (uint64_t i = 0; done && i < count; i++) {
        struct world_result result;
        results_next(results, &result);
        buf_clear(&packed);
        if (!pack(&result.txn.base, &packed, err))
            break;
        uint32_t length = (uint32_t)packed.length;
        bytes += length;
        done = fwrite(&length, sizeof length, 1, file) == 1 &&
               fwrite(packed.data, packed.length, 1, file) == 1;
    }
    done = file != NULL && fclose(file) == 0 && done;
    buf_done(&packed);
    if (!done)
        return err_errno(err, errno, "%s", path);
    (void)printf("# world: results of one retail lane, %llu bytes a record packed\n",
                 (unsigned long long)(bytes / count));
    return true;
}

static bool run(uint64_t count, uint64_t seed, const char *path, struct err *err)
{
    struct retail retail = {0};
    const struct retail_settings settings = {
        .routing = MUSTER_ROUTING_TABLE, .ca_keys = MUSTER_CA_KEYS_TABLE, .seed = seed};
    bool ok =
        retail_open(&retail, &settings, err) && write_records(retail.results, count, path, err);
    retail_close(&retail);
    return ok;
}

int main(int argc, char **argv)
{
    const char *out = NULL, *count_text = NULL, *seed_text = NULL;
    const struct option_text options[] = {
        {"--out", &out}, {"--count", &count_text}, {"--seed", &seed_text}, {0}};
    uint64_t count = 0, seed = 0;
    struct err err = {0};
    if (options_read(argc, argv, options, &err) &&
        options_number("--count", count_text, &count, &err) &&
        options_number("--seed", seed_text, &seed, &err) && run(count, seed, out, &err))
        return EXIT_SUCCESS;
    (void)fprintf(stderr, "peers-records: %s\n", err.text);
    return EXIT_FAILURE;
}
