/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torture-load: payment applications on several terminals. Each client hands over one result after
 * the other, each under one idempotency key until it is answered, however often the agent dies
 * meanwhile; now and then it asks for the same again, as one that lost the answer would, or for the
 * terminal's status. Every submission and answer goes into the oracle's log. SIGTERM: no new
 * results; it ends when those under way are answered.
 */
#include "agent/client.h"
#include "agent/client_wire.h"
#include "base/clock.h"
#include "proto/limits.h"
#include "proto/local.pb-c.h"
#include "tests/oracle/log.h"

#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    CLIENTS_MAX = 64,
    DEADLINE_MS = 250,
    RETRY_MS = 25,      /* at the most between two tries of one result */
    GIVE_UP_MS = 60000, /* a result that nobody takes for so long ends the test */
    AGAIN_ONE_IN = 8,   /* results that are handed over twice although answered */
    STATUS_ONE_IN = 32, /* and followed by a question for the status */
    BURST_ONE_IN = 50,  /* and by many others without a pause */
    BURST_RESULTS = 40,
};

struct load {
    struct oracle_log *log;
    pthread_mutex_t mutex;
    pthread_cond_t stop;
    bool stopping;
    unsigned pace_ms; /* mean pause of a client */
    unsigned results; /* of a client at the most */
    uint64_t seed;
};

struct client {
    struct load *load;
    const char *device, *socket_path;
    unsigned number;
    struct drand48_data random;
    pthread_t thread;
    struct muster_client *muster;
    struct client_wire status_wire;
    unsigned burst; /* results left without a pause */
    uint64_t handed_over, tries, statuses;
    struct err err; /* why it ended early */
};

static unsigned below(struct client *client, unsigned limit)
{
    long value = 0;
    (void)lrand48_r(&client->random, &value);
    return (unsigned)((unsigned long)value % limit);
}

/* Waits for the signal to stop, at most `ms`: true when it came. */
static bool pause_ms(struct load *load, unsigned ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_mutex_lock(&load->mutex);
    while (!load->stopping && pthread_cond_timedwait(&load->stop, &load->mutex, &until) == 0)
        continue;
    bool stopping = load->stopping;
    (void)pthread_mutex_unlock(&load->mutex);
    return stopping;
}

static bool hand_over(struct client *client, const struct muster_txn *txn, struct err *err)
{
    struct muster_answer answer;
    int64_t give_up_ms = clock_boot_ms(&clock_real) + GIVE_UP_MS;
    client->tries++;
    while (!muster_record(client->muster, txn, &answer)) {
        if (answer.status == MUSTER_INVALID || clock_boot_ms(&clock_real) > give_up_ms)
            return err_set(err, ERR_REFUSED, "%.400s", answer.text);
        (void)poll(NULL, 0, 1 + (int)below(client, RETRY_MS)); /* also while stopping */
        client->tries++;
    }
    const struct bytes key = bytes_of(txn->idempotency_key.data, txn->idempotency_key.length);
    return oracle_log_answered(client->load->log, client->device, key, answer.incarnation,
                               answer.seq, err);
}

static bool one_result(struct client *client, unsigned n, struct err *err)
{
    static const char *const codes[] = {"00", "57", "51", "05", "Y1", ""};
    char key[32];
    (void)snprintf(key, sizeof key, "%.12s-%u-%u-%06" PRIx64, client->device, client->number % 100,
                   n % 1000000, client->load->seed & 0xffffff);
    const struct oracle_result result = {
        .device = client->device,
        .key = bytes_of(key, strlen(key)),
        .stan = 1 + n % 999999,
        .amount_minor = below(client, 1000000),
        .code = codes[below(client, sizeof codes / sizeof *codes)],
    };
    const struct muster_txn txn = {
        .idempotency_key = {result.key.data, result.key.length},
        .stan = result.stan,
        .amount_minor = result.amount_minor,
        .currency = 156,
        .type = MUSTER_TXN_SALE,
        .outcome =
            strcmp(result.code, "00") == 0 ? MUSTER_OUTCOME_APPROVED : MUSTER_OUTCOME_DECLINED,
        .code = result.code,
        .code_source = MUSTER_CODE_HOST,
        .table_miss = below(client, 10) == 0,
    };
    if (!oracle_log_submitted(client->load->log, &result, err) || !hand_over(client, &txn, err))
        return false;
    client->handed_over++;
    return below(client, AGAIN_ONE_IN) != 0 || hand_over(client, &txn, err);
}

/* Whatever comes of it: an agent that was just killed gives no answer. */
static void ask_status(struct client *client)
{
    Muster__StatusQuery query = MUSTER__STATUS_QUERY__INIT;
    Muster__ClientRequest request = MUSTER__CLIENT_REQUEST__INIT;
    uint8_t packed[64];
    struct bytes frame;
    request.id = ++client->statuses;
    request.what_case = MUSTER__CLIENT_REQUEST__WHAT_STATUS;
    request.status = &query;
    size_t length = muster__client_request__pack(&request, packed);
    int64_t until_ms = clock_boot_ms(&clock_real) + DEADLINE_MS;
    if (client_wire_connect(&client->status_wire, until_ms, NULL) &&
        client_wire_queue(&client->status_wire, bytes_of(packed, length), NULL))
        (void)!client_wire_receive(&client->status_wire, until_ms, &frame, NULL);
    client_wire_close(&client->status_wire);
}

static void *run_client(void *ctx)
{
    struct client *client = ctx;
    struct load *load = client->load;
    for (unsigned n = 1; n <= load->results; n++) {
        if (!one_result(client, n, &client->err)) {
            (void)kill(getpid(), SIGTERM);
            return NULL;
        }
        if (below(client, STATUS_ONE_IN) == 0)
            ask_status(client);
        if (client->burst == 0 && below(client, BURST_ONE_IN) == 0)
            client->burst = BURST_RESULTS;
        unsigned ms = client->burst > 0 ? 0 : below(client, 2 * load->pace_ms + 1);
        client->burst -= client->burst > 0;
        if (pause_ms(load, ms))
            return NULL;
    }
    return NULL;
}

static bool start_client(struct client *client, struct err *err)
{
    const struct muster_client_settings settings = {.socket_path = client->socket_path,
                                                    .deadline_ms = DEADLINE_MS};
    (void)srand48_r((long)(client->load->seed + client->number), &client->random);
    if (!client_wire_init(&client->status_wire, client->socket_path, LIMIT_CLIENT_FRAME_BYTES, err))
        return false;
    client->muster = muster_client_open(&settings);
    if (client->muster == NULL)
        return err_set(err, ERR_NO_MEMORY, "%s: no client", client->socket_path);
    return pthread_create(&client->thread, NULL, run_client, client) == 0 ||
           err_set(err, ERR_NO_MEMORY, "no thread");
}

/* Runs `count` clients until SIGTERM. */
static bool run(struct load *load, struct client *clients, unsigned count, struct err *err)
{
    sigset_t end;
    int number = 0;
    (void)sigemptyset(&end);
    (void)sigaddset(&end, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &end, NULL); /* the threads inherit it */
    for (unsigned i = 0; i < count; i++) {
        if (!start_client(&clients[i], err))
            return false;
    }
    (void)printf("load: %u clients\n", count);
    (void)fflush(stdout);
    (void)sigwait(&end, &number);
    (void)pthread_mutex_lock(&load->mutex);
    load->stopping = true;
    (void)pthread_cond_broadcast(&load->stop);
    (void)pthread_mutex_unlock(&load->mutex);
    bool ok = true;
    uint64_t handed_over = 0, tries = 0, statuses = 0;
    for (unsigned i = 0; i < count; i++) {
        struct client *client = &clients[i];
        (void)pthread_join(client->thread, NULL);
        if (client->err.code != ERR_NONE)
            ok = err_set(err, client->err.code, "%s: %s", client->device, client->err.text);
        handed_over += client->handed_over;
        tries += client->tries;
        statuses += client->statuses;
        client_wire_done(&client->status_wire);
        muster_client_close(client->muster);
    }
    (void)printf("load.results %" PRIu64 " results\nload.tries %" PRIu64 " tries\nload.statuses "
                 "%" PRIu64 " questions\n",
                 handed_over, tries, statuses);
    return ok;
}

static int usage(void)
{
    (void)fprintf(stderr, "Usage: torture-load --log FILE --seed N --pace MS --results MAX "
                          "--clients N DEVICE=SOCKET...\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"log", required_argument, NULL, 'l'},     {"seed", required_argument, NULL, 's'},
        {"pace", required_argument, NULL, 'p'},    {"results", required_argument, NULL, 'r'},
        {"clients", required_argument, NULL, 'c'}, {0}};
    struct load load = {.mutex = PTHREAD_MUTEX_INITIALIZER, .stop = PTHREAD_COND_INITIALIZER};
    struct client clients[CLIENTS_MAX] = {0};
    const char *log_path = NULL;
    unsigned each = 1, count = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'l')
            log_path = optarg;
        else if (option == 's')
            load.seed = strtoull(optarg, NULL, 10);
        else if (option == 'p')
            load.pace_ms = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'r')
            load.results = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'c')
            each = (unsigned)strtoul(optarg, NULL, 10);
        else
            return usage();
    }
    for (int i = optind; i < argc; i++) {
        char *path = strchr(argv[i], '=');
        if (path == NULL || count + each > CLIENTS_MAX)
            return usage();
        *path++ = '\0';
        for (unsigned n = 0; n < each; n++, count++)
            clients[count] = (struct client){
                .load = &load, .device = argv[i], .socket_path = path, .number = count};
    }
    struct err err = {0};
    if (log_path == NULL || count == 0)
        return usage();
    bool ok = oracle_log_open(log_path, &load.log, &err) && run(&load, clients, count, &err);
    oracle_log_close(load.log);
    if (!ok)
        (void)fprintf(stderr, "torture-load: %s\n", err.text);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
