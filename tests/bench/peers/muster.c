/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peers-muster: payment applications that hand results over with libmuster, each under its key
 * until it is stored, however often the agent dies meanwhile. Ends when all are.
 * Usage: peers-muster --socket PATH --records FILE --marks FILE --count N --clients N
 */
#include "proto/record.pb-c.h"
#include "tests/bench/peers/load.h"
#include "tests/world/handover.h"
#include "tests/world/options.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { CLIENTS_MAX = 64, DEADLINE_MS = 2000, RETRY_MS = 5 };

struct till {
    pthread_t thread;
    struct load *load;
    const char *socket_path;
    bool done;
    char why[500];
};

static bool hand_over(struct till *till, struct muster_client *client,
                      const struct load_record *record)
{
    struct muster_answer answer;
    Muster__TxnResult *result = muster__txn_result__unpack(NULL, record->length, record->body);
    if (result == NULL)
        return false;
    const struct muster_txn txn = handover_txn(result);
    bool stored;
    while (!(stored = muster_record(client, &txn, &answer)) && answer.status != MUSTER_INVALID &&
           answer.status != MUSTER_FULL)
        (void)poll(NULL, 0, RETRY_MS);
    if (stored)
        load_accepted(till->load, record->index);
    else
        (void)snprintf(till->why, sizeof till->why, "%s", answer.text);
    muster__txn_result__free_unpacked(result, NULL);
    return stored;
}

static void *run_till(void *ctx)
{
    struct till *till = ctx;
    const struct muster_client_settings settings = {.socket_path = till->socket_path,
                                                    .deadline_ms = DEADLINE_MS};
    struct muster_client *client = muster_client_open(&settings);
    struct load_record record;
    till->done = client != NULL;
    while (till->done && load_next(till->load, &record))
        till->done = hand_over(till, client, &record);
    muster_client_close(client);
    return NULL;
}

static bool run(struct load *load, const char *socket_path, uint64_t clients, struct err *err)
{
    static struct till tills[CLIENTS_MAX];
    uint64_t started = 0;
    bool done = clients > 0 && clients <= CLIENTS_MAX;
    for (; done && started < clients; started++) {
        tills[started] = (struct till){.load = load, .socket_path = socket_path};
        if (pthread_create(&tills[started].thread, NULL, run_till, &tills[started]) != 0)
            break;
    }
    done = done && started == clients;
    for (uint64_t i = 0; i < started; i++) {
        (void)pthread_join(tills[i].thread, NULL);
        if (!tills[i].done && err->code == ERR_NONE)
            done = err_set(err, ERR_REFUSED, "not stored: %.400s", tills[i].why);
    }
    if (!done && err->code == ERR_NONE)
        err_set(err, ERR_INVALID, "no %d threads, or not 1 to %d clients", (int)clients,
                CLIENTS_MAX);
    return done;
}

int main(int argc, char **argv)
{
    const char *socket_path = NULL, *records = NULL, *marks = NULL, *count_text = NULL,
               *clients_text = NULL;
    const struct option_text options[] = {{"--socket", &socket_path},   {"--records", &records},
                                          {"--marks", &marks},          {"--count", &count_text},
                                          {"--clients", &clients_text}, {0}};
    uint64_t count = 0, clients = 0;
    struct load load = {0};
    struct err err = {0};
    bool done = options_read(argc, argv, options, &err) &&
                options_number("--count", count_text, &count, &err) &&
                options_number("--clients", clients_text, &clients, &err) &&
                load_open(records, marks, count, &load, &err) &&
                run(&load, socket_path, clients, &err);
    load_close(&load);
    if (!done)
        (void)fprintf(stderr, "peers-muster: %s\n", err.text);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
