/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batches-make: devices of the world, enrolled into a new fleet database, and what they send, in a
 * file that batches-send reads.
 * Usage: batches-make --database FILE --batches FILE --devices N --senders N --rounds N --results N
 */
#include "tests/bench/batches_file.h"
#include "tests/bench/senders.h"
#include "tests/world/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEED = 20260101 }; /* as collector.c */

struct wanted {
    uint64_t devices, senders, rounds, results;
};

static bool write_one(const struct senders *senders, const struct sent *sent, uint64_t last_seq,
                      FILE *file)
{
    struct batches_head head = {.last_seq = last_seq,
                                .device = (uint32_t)sent->device,
                                .bytes = (uint32_t)sent->sealed.length};
    strncpy(head.id, senders_id(senders, sent->device), sizeof head.id - 1);
    return fwrite(&head, sizeof head, 1, file) == 1 &&
           fwrite(sent->sealed.data, sent->sealed.length, 1, file) == 1;
}

static bool write_batches(const struct senders *senders, const struct wanted *wanted,
                          const char *path, struct err *err)
{
    struct sent_batches batches = {0};
    if (!senders_batches(senders, wanted->senders, wanted->rounds, wanted->results, &batches, err))
        return false;
    FILE *file = fopen(path, "wbe");
    bool done = file != NULL;
    for (size_t i = 0; done && i < batches.count; i++) {
        uint64_t round = i / wanted->senders;
        done = write_one(senders, &batches.list[i], (round + 1) * wanted->results, file);
    }
    int why = errno;
    done = file != NULL && fclose(file) == 0 && done;
    sent_batches_done(&batches);
    return done || err_errno(err, why, "%s", path);
}

static bool make(const struct wanted *wanted, const char *database, const char *path,
                 struct err *err)
{
    const struct retail_settings world = {
        .routing = MUSTER_ROUTING_TABLE, .ca_keys = MUSTER_CA_KEYS_TABLE, .seed = SEED};
    struct retail retail = {0};
    struct fleetdb *db = NULL;
    struct senders *senders = NULL;
    bool done = retail_open(&retail, &world, err) && fleetdb_open(database, &db, err) &&
                senders_open(&retail, SEED, wanted->devices, db, &senders, err);
    fleetdb_close(db);
    done = done && write_batches(senders, wanted, path, err);
    senders_close(senders);
    retail_close(&retail);
    return done;
}

int main(int argc, char **argv)
{
    const char *database = NULL, *batches = NULL, *devices = NULL, *senders = NULL, *rounds = NULL,
               *results = NULL;
    const struct option_text options[] = {{"--database", &database},
                                          {"--batches", &batches},
                                          {"--devices", &devices},
                                          {"--senders", &senders},
                                          {"--rounds", &rounds},
                                          {"--results", &results},
                                          {0}};
    struct wanted wanted = {0};
    struct err err = {0};
    bool done = options_read(argc, argv, options, &err) &&
                options_number("--devices", devices, &wanted.devices, &err) &&
                options_number("--senders", senders, &wanted.senders, &err) &&
                options_number("--rounds", rounds, &wanted.rounds, &err) &&
                options_number("--results", results, &wanted.results, &err);
    if (done && (wanted.senders == 0 || wanted.senders > wanted.devices || wanted.rounds == 0 ||
                 wanted.results == 0))
        done = err_set(&err, ERR_INVALID, "nothing to send, or more senders than devices");
    done = done && make(&wanted, database, batches, &err);
    if (!done)
        (void)fprintf(stderr, "batches-make: %s\n", err.text);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
