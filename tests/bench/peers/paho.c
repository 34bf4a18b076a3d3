/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peers-paho: an application that hands its results to the Paho C client (MQTTAsync), which keeps
 * them in files while the broker is away and sends them when it is there. Accepted is what
 * MQTTAsync_sendMessage took. Says "accepted N" when it took all, or no more of them within the
 * limit, and stays to send until SIGTERM.
 */
#include "tests/bench/peers/load.h"
#include "tests/world/options.h"

#include <MQTTAsync.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { QOS = 1, FULL_MS = 20, STOP_MS = 1000, KEEPALIVE_S = 60, RETRY_S = 1 };

struct paho {
    const char *server, *ca, *certificate, *key, *folder, *topic, *records, *marks;
    uint64_t count, limit_s;
    MQTTAsync client;
};

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool check(int code, const char *what, struct err *err)
{
    return code == MQTTASYNC_SUCCESS ||
           err_set(err, ERR_UNAVAILABLE, "%s: %s", what, MQTTAsync_strerror(code));
}

/* It restores what an earlier process left in the folder. */
static bool open_client(struct paho *paho, struct err *err)
{
    MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer;
    create.sendWhileDisconnected = 1;
    create.allowDisconnectedSendAtAnyTime = 1;
    create.maxBufferedMessages = (int)paho->count;
    return check(MQTTAsync_createWithOptions(&paho->client, paho->server, "till-01",
                                             MQTTCLIENT_PERSISTENCE_DEFAULT,
                                             (void *)(uintptr_t)paho->folder, &create),
                 "create", err);
}

static bool connect_client(struct paho *paho, struct err *err)
{
    MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;
    MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer;
    tls.trustStore = paho->ca;
    tls.keyStore = paho->certificate;
    tls.privateKey = paho->key;
    tls.verify = 1;
    options.ssl = &tls;
    options.cleansession = 0;
    options.keepAliveInterval = KEEPALIVE_S;
    options.maxInflight = 65535;
    options.automaticReconnect = 1;
    options.minRetryInterval = RETRY_S;
    options.maxRetryInterval = RETRY_S;
    return check(MQTTAsync_connect(paho->client, &options), "connect", err);
}

static bool send_one(struct paho *paho, const struct load_record *record)
{
    MQTTAsync_message message = MQTTAsync_message_initializer;
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    message.payload = (void *)(uintptr_t)record->body;
    message.payloadlen = (int)record->length;
    message.qos = QOS;
    return MQTTAsync_sendMessage(paho->client, paho->topic, &message, &response) ==
           MQTTASYNC_SUCCESS;
}

static void send_all(struct paho *paho, struct load *load)
{
    double until_s = now_s() + (double)paho->limit_s;
    struct load_record record;
    while (now_s() < until_s && load_next(load, &record)) {
        bool sent = send_one(paho, &record);
        while (!sent && now_s() < until_s) {
            (void)poll(NULL, 0, FULL_MS);
            sent = send_one(paho, &record);
        }
        if (sent)
            load_accepted(load, record.index);
    }
    (void)printf("accepted %llu\n", (unsigned long long)load->accepted);
    (void)fflush(stdout);
}

static bool run(struct paho *paho, struct err *err)
{
    struct load load = {0};
    sigset_t end;
    int number = 0;
    (void)sigemptyset(&end);
    (void)sigaddset(&end, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &end, NULL);
    bool done = load_open(paho->records, paho->marks, paho->count, &load, err) &&
                open_client(paho, err) && connect_client(paho, err);
    if (done) {
        send_all(paho, &load);
        (void)sigwait(&end, &number);
        MQTTAsync_disconnectOptions leave = MQTTAsync_disconnectOptions_initializer;
        leave.timeout = STOP_MS;
        (void)MQTTAsync_disconnect(paho->client, &leave);
    }
    load_close(&load);
    return done;
}

int main(int argc, char **argv)
{
    struct paho paho = {0};
    const char *count = NULL, *limit = NULL;
    const struct option_text options[] = {{"--server", &paho.server},
                                          {"--ca", &paho.ca},
                                          {"--cert", &paho.certificate},
                                          {"--key", &paho.key},
                                          {"--folder", &paho.folder},
                                          {"--topic", &paho.topic},
                                          {"--records", &paho.records},
                                          {"--marks", &paho.marks},
                                          {"--count", &count},
                                          {"--limit-s", &limit},
                                          {0}};
    struct err err = {0};
    if (options_read(argc, argv, options, &err) &&
        options_number("--count", count, &paho.count, &err) &&
        options_number("--limit-s", limit, &paho.limit_s, &err) && run(&paho, &err))
        return EXIT_SUCCESS;
    (void)fprintf(stderr, "peers-paho: %s\n", err.text);
    return EXIT_FAILURE;
}
