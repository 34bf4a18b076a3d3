/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent_parts.h"
#include "agent/link.h"
#include "fleet/service.h"
#include "tests/bench/figures.h"
#include "tests/bench/warp.h"
#include "tests/world/retail.h"

#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/*
 * What a terminal's line costs: muster-agent, muster-link and musterd as they are, in one process
 * and in simulated time (warp.h), over real mutual TLS to the mosquitto that bench-day has started.
 * What is counted is what the link's socket has sent and received. Each packet, ping, receipt and
 * acknowledgement really goes; only the time between them is left out.
 */
enum {
    SECOND_MS = 1000,
    HOUR_MS = 3600 * SECOND_MS,
    DAY_MS = 24 * HOUR_MS,
    BUSY_RESULTS = 1180,
    SEED = 20260101,
    /* Longer than the kernel delays an acknowledgement. */
    QUIET_REAL_MS = 45,
    PATIENCE_REAL_MS = 20000,
    SEGMENT_BYTES = 1348, /* of 1,400 on IP, less headers and time stamps */
    HEADER_BYTES = 52,    /* IPv4, TCP, time stamps */
    BUSY_FDS = 256,
};

struct run {
    const char *dir;
    uint16_t port;
    uv_loop_t loop;
    struct agent_settings agent_settings;
    struct link_settings link_settings;
    struct fleet_settings fleet_settings;
    struct service *service;
    struct agent *agent;
    struct link *link;
    uint16_t fleet_port;
    uint64_t stirred; /* at the end of the last step */
    struct retail retail;
    struct rng rng;
    struct world_result result;
};

/* ---- what the line has cost ---- */

enum cause { FLUSHES, HEALTH_ALONE, RECEIPTS, PINGS, SESSIONS, CAUSES };
static const char *const cause_names[CAUSES] = {"flushes", "health alone", "receipts", "pings",
                                                "connects and hellos"};

struct sockets {
    uint64_t bytes, segments;
};

struct tally {
    uint64_t bytes[CAUSES];
    unsigned times[CAUSES];
};

static uint16_t port_in(const struct sockaddr_in *address)
{
    return address->sin_family == AF_INET ? ntohs(address->sin_port) : 0;
}

/* The port on either end of a connection; 0: it is none. */
static uint16_t port_of(int fd, bool far_end)
{
    struct sockaddr_in address = {0};
    socklen_t length = sizeof address;
    struct sockaddr *to = (struct sockaddr *)&address;
    int failed = far_end ? getpeername(fd, to, &length) : getsockname(fd, to, &length);
    return failed != 0 ? 0 : port_in(&address);
}

/* A connection to the broker, musterd's or the link's; -1: none. musterd's is there first, and to
 * the end: it is known by its port. */
static int broker_fd(const struct run *run, bool of_fleet)
{
    for (int fd = 3; fd < BUSY_FDS; fd++)
        if (port_of(fd, true) == run->port && (port_of(fd, false) == run->fleet_port) == of_fleet)
            return fd;
    return -1;
}

static struct sockets sockets_of(int fd)
{
    struct sockets sockets;
    warp_counts(fd, &sockets.bytes, &sockets.segments);
    return sockets;
}

static uint64_t on_ip(struct sockets sockets)
{
    return sockets.bytes + sockets.segments * HEADER_BYTES;
}

/* What the product itself has counted. */
static struct traffic accounted(struct run *run)
{
    agent_look_at_traffic(run->agent);
    struct traffic sum = run->agent->account.now.traffic;
    traffic_add(&sum, &run->agent->account.before.traffic);
    return sum;
}

static uint64_t total(const struct traffic *traffic)
{
    return traffic->up.tcpip + traffic->down.tcpip;
}

/* ---- time ---- */

static uint64_t stirred(struct run *run)
{
    struct sockets line = sockets_of(broker_fd(run, false));
    struct sockets fleet = sockets_of(broker_fd(run, true));
    return on_ip(line) + on_ip(fleet);
}

static void turn(struct run *run, int times)
{
    for (int i = 0; i < times; i++)
        uv_run(&run->loop, UV_RUN_NOWAIT);
}

/* Lets all that is under way arrive, at a standstill of simulated time. */
static void settle(struct run *run)
{
    turn(run, 6);
    uint64_t now = stirred(run);
    int64_t last_ms = now == run->stirred ? 0 : warp_real_ms();
    while (warp_real_ms() - last_ms < QUIET_REAL_MS) {
        struct pollfd wait = {.fd = uv_backend_fd(&run->loop), .events = POLLIN};
        poll(&wait, 1, 1);
        turn(run, 3);
        uint64_t then = stirred(run);
        if (then != now)
            last_ms = warp_real_ms();
        now = then;
    }
    run->stirred = now;
}

/* One step: what happens at one moment, and what for. */
static void step(struct run *run, struct tally *tally)
{
    const struct agent *agent = run->agent;
    if (tally == NULL) {
        settle(run);
        return;
    }
    int fd = broker_fd(run, false);
    uint64_t before = on_ip(sockets_of(fd)), batches = agent->sender.batches;
    int64_t receipt_ms = agent->last_receipt_ms, welcome_ms = agent->last_welcome_ms;
    uint32_t sessions = linkport_state(agent->port)->sessions;
    settle(run);
    int fd_now = broker_fd(run, false);
    uint64_t after = on_ip(sockets_of(fd_now));
    if (fd_now == fd && after == before)
        return;
    enum cause cause = PINGS;
    if (sessions != linkport_state(agent->port)->sessions || fd_now != fd ||
        welcome_ms != agent->last_welcome_ms || agent->hello.outstanding)
        cause = SESSIONS;
    else if (batches != agent->sender.batches)
        cause = FLUSHES;
    else if (receipt_ms != agent->last_receipt_ms)
        cause = RECEIPTS;
    tally->bytes[cause] += fd_now == fd ? after - before : after;
    tally->times[cause]++;
}

/* Everything that timers do until then. */
static void advance(struct run *run, int64_t until_ms, struct tally *tally)
{
    for (;;) {
        uv_update_time(&run->loop);
        int timeout = uv_backend_timeout(&run->loop);
        int64_t next_ms = warp_ms() + (timeout < 0 ? DAY_MS : timeout > 0 ? timeout : 1);
        if (next_ms > until_ms)
            break;
        warp_to(next_ms);
        step(run, tally);
    }
    warp_to(until_ms);
    step(run, tally);
}

/* Moves time slowly, for work that also takes real time. */
static bool await(struct run *run, bool (*is)(struct run *run), const char *what, struct err *err)
{
    int64_t end_ms = warp_real_ms() + PATIENCE_REAL_MS;
    while (!is(run)) {
        if (warp_real_ms() > end_ms)
            return err_set(err, ERR_TIMEOUT, "%s: not within %d s", what, PATIENCE_REAL_MS / 1000);
        advance(run, warp_ms() + 10, NULL);
        poll(NULL, 0, 2);
    }
    return true;
}

/* ---- opening and closing ---- */

static void on_failed(void *ctx, const struct err *why)
{
    (void)ctx;
    fprintf(stderr, "bench-day: %s\n", why->text);
    exit(1);
}

static void on_agent_failed(void *ctx, enum agent_end end, const struct err *why)
{
    (void)end;
    on_failed(ctx, why);
}

static bool fleet_connected(struct run *run)
{
    int fd = broker_fd(run, false);
    run->fleet_port = fd < 0 ? 0 : port_of(fd, false);
    struct sockets sockets = sockets_of(fd);
    return sockets.bytes > 4000; /* TLS and its subscriptions */
}

static bool welcomed(struct run *run)
{
    return run->agent->hello.welcomed;
}

static bool in_force(struct run *run)
{
    return run->agent->suspects.count > 0;
}

static bool settings_of(struct run *run, struct err *err)
{
    char agent[256], link[256], fleet[256];
    snprintf(agent, sizeof agent, "%s/term/agent.conf", run->dir);
    snprintf(link, sizeof link, "%s/term/link.conf", run->dir);
    snprintf(fleet, sizeof fleet, "%s/fleet/musterd.conf", run->dir);
    return agent_settings_load(agent, &run->agent_settings, err) &&
           link_settings_load(link, &run->link_settings, err) &&
           fleet_settings_load(fleet, &run->fleet_settings, err);
}

static bool open_world(struct run *run, struct err *err)
{
    const struct retail_settings settings = {.routing = MUSTER_ROUTING_TABLE,
                                             .ca_keys = MUSTER_CA_KEYS_TABLE,
                                             .seed = SEED,
                                             .start_wall_ms = warp_wall_ms()};
    run->rng = rng_named(SEED, "day");
    return retail_open(&run->retail, &settings, err);
}

static bool open_all(struct run *run, struct err *err)
{
    int64_t wall_ms = clock_wall_ms(&clock_real);
    if (!settings_of(run, err))
        return false;
    warp_segments(SEGMENT_BYTES);
    warp_start(wall_ms - wall_ms % DAY_MS + DAY_MS - HOUR_MS); /* an hour before a day begins */
    uv_loop_init(&run->loop);
    return open_world(run, err) &&
           service_open(&run->loop, &clock_real, &run->fleet_settings, on_failed, run,
                        &run->service, err) &&
           await(run, fleet_connected, "musterd's session", err) &&
           agent_open(&run->loop, &clock_real, &run->agent_settings, on_agent_failed, run,
                      &run->agent, err) &&
           link_open(&run->loop, &run->link_settings, &run->link, err) &&
           await(run, welcomed, "the first welcome", err) &&
           await(run, in_force, "the code profile", err);
}

static void close_all(struct run *run)
{
    link_close(run->link);
    agent_close(run->agent);
    service_close(run->service);
    uv_run(&run->loop, UV_RUN_DEFAULT);
    link_free(run->link);
    agent_free(run->agent);
    service_free(run->service);
    retail_close(&run->retail);
}

/* ---- the terminal's life ---- */

static bool connect_afresh(struct run *run, struct tally *tally, struct err *err)
{
    link_close(run->link);
    settle(run);
    settle(run);
    link_free(run->link);
    run->link = NULL;
    run->agent->hello.welcomed = false;
    bool ok = link_open(&run->loop, &run->link_settings, &run->link, err) &&
              await(run, welcomed, "a welcome", err);
    int fd = broker_fd(run, false);
    tally->bytes[SESSIONS] += on_ip(sockets_of(fd));
    tally->times[SESSIONS]++;
    return ok;
}

/* The line breaks, as it does when a cell is left; the link comes back by itself. */
static bool connect_again(struct run *run, struct tally *tally, struct err *err)
{
    shutdown(broker_fd(run, false), SHUT_RDWR);
    run->agent->hello.welcomed = false;
    bool ok = await(run, welcomed, "a welcome", err);
    tally->bytes[SESSIONS] += on_ip(sockets_of(broker_fd(run, false)));
    tally->times[SESSIONS]++;
    return ok;
}

/* Closed at night, twice as busy from 18 to 21; a day of the lane's own time in the open hours. */
static double speed_at(int64_t wall_ms)
{
    int64_t hour = wall_ms / HOUR_MS % 24;
    double flat = 24.0 / (9 + 2 * 3);
    return hour < 9 || hour >= 21 ? 0 : hour < 18 ? flat : 2 * flat;
}

static int64_t later(int64_t wall_ms, double lane_ms)
{
    for (;;) {
        double speed = speed_at(wall_ms);
        double left = (double)(HOUR_MS - wall_ms % HOUR_MS);
        if (speed > 0 && lane_ms <= left * speed)
            return wall_ms + (int64_t)(lane_ms / speed);
        lane_ms -= left * speed;
        wall_ms += (int64_t)left;
    }
}

static bool record(struct run *run, struct err *err)
{
    struct world_result *result = &run->result;
    results_next(run->retail.results, result);
    result->txn.wall_ms = warp_wall_ms();
    result->txn.boot_ms = 0; /* the agent's clock at intake */
    results_rrn(result->txn.wall_ms, result->txn.stan, result->rrn);
    return agent_record_txn(run->agent, &result->txn, NULL, NULL, err);
}

/* The days from now on, until the last one is over. */
static bool live(struct run *run, unsigned days, unsigned a_day, struct tally *tally,
                 unsigned *ret_results, struct err *err)
{
    int64_t wall_ms = warp_wall_ms(), offset_ms = wall_ms - warp_ms();
    int64_t end_ms = wall_ms + days * (int64_t)DAY_MS, next_day_ms = wall_ms + DAY_MS;
    double mean_ms = exp(results_gap.mu + results_gap.sigma * results_gap.sigma / 2);
    double stretch = (double)DAY_MS / a_day / mean_ms;
    unsigned results = 0;
    for (;;) {
        double gap_ms = rng_lognormal(&run->rng, results_gap.mu, results_gap.sigma);
        wall_ms = later(wall_ms, gap_ms * stretch);
        while (next_day_ms < wall_ms && next_day_ms < end_ms) {
            advance(run, next_day_ms - offset_ms, tally);
            if (!connect_again(run, tally, err))
                return false;
            next_day_ms += DAY_MS;
        }
        if (wall_ms >= end_ms)
            break;
        advance(run, wall_ms - offset_ms, tally);
        if (!record(run, err))
            return false;
        step(run, tally);
        results++;
    }
    advance(run, end_ms - offset_ms, tally);
    *ret_results = results;
    return true;
}

/* ---- what is printed ---- */

static double kb(uint64_t bytes)
{
    return (double)bytes / 1024;
}

static void print_layers(const char *what, const struct traffic *from, const struct traffic *to)
{
    uint64_t payload = to->up.payload + to->down.payload - from->up.payload - from->down.payload;
    uint64_t mqtt = to->up.mqtt + to->down.mqtt - from->up.mqtt - from->down.mqtt;
    uint64_t tls = to->up.tls + to->down.tls - from->up.tls - from->down.tls;
    uint64_t tcpip = total(to) - total(from);
    printf("# %s, as the link has counted: %.1f KB: payload %.1f, MQTT %.1f, TLS %.1f, TCP/IP %.1f;"
           " up %.1f, down %.1f\n",
           what, kb(tcpip), kb(payload), kb(mqtt - payload), kb(tls - mqtt), kb(tcpip - tls),
           kb(to->up.tcpip - from->up.tcpip), kb(to->down.tcpip - from->down.tcpip));
}

static void print_causes(const char *what, const struct tally *tally)
{
    printf("# %s, by cause:", what);
    for (size_t i = 0; i < CAUSES; i++)
        if (tally->times[i] > 0)
            printf(" %s %.1f KB in %u;", cause_names[i], kb(tally->bytes[i]), tally->times[i]);
    printf("\n");
}

static uint64_t sum_of(const struct tally *tally)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < CAUSES; i++)
        sum += tally->bytes[i];
    return sum;
}

/* Only once everybody has said what he knows. */
static struct traffic look(struct run *run)
{
    advance(run, warp_ms() + 30 * SECOND_MS, NULL);
    return accounted(run);
}

static bool measure(struct run *run, const char *name, unsigned days, unsigned a_day,
                    struct err *err)
{
    struct tally tally = {0};
    struct traffic before = look(run), after;
    unsigned results = 0;
    uint64_t batches = run->agent->sender.batches, suspects = run->agent->suspect_results;
    uint64_t urgent = run->agent->sender.uplink.linger.urgent_flushes;
    uint64_t resends = run->agent->sender.uplink.resends;
    uint64_t bytes = run->agent->sender.batch_bytes;
    /* From midnight to midnight, and the day begins with a connection. */
    int64_t wall_ms = warp_wall_ms();
    advance(run, warp_ms() + DAY_MS - wall_ms % DAY_MS, NULL);
    before = look(run);
    if (!connect_afresh(run, &tally, err))
        return false;
    struct traffic connected = look(run);
    printf("# %s: a full connect with hello and welcome: %llu bytes\n", name,
           (unsigned long long)(total(&connected) - total(&before)));
    if (strcmp(name, "busy") == 0)
        figure("wire.connect_with_hello_bytes.full", (double)(total(&connected) - total(&before)),
               "byte");
    if (!live(run, days, a_day, &tally, &results, err))
        return false;
    after = look(run);
    print_layers(name, &before, &after);
    print_causes(name, &tally);
    printf("# %s: %u days, %u results, %llu suspect; %llu packets, %llu at once for a suspect, "
           "%llu resends, %.1f bytes of batch for a result; counted on the socket by the bench: "
           "%.1f KB\n",
           name, days, results, (unsigned long long)(run->agent->suspect_results - suspects),
           (unsigned long long)(run->agent->sender.batches - batches),
           (unsigned long long)(run->agent->sender.uplink.linger.urgent_flushes - urgent),
           (unsigned long long)(run->agent->sender.uplink.resends - resends),
           results > 0 ? (double)(run->agent->sender.batch_bytes - bytes) / results : 0,
           kb(sum_of(&tally)));
    double day_kb = kb(total(&after) - total(&before)) / days;
    if (strcmp(name, "busy") == 0)
        figure("wire.busy_terminal_kb_per_day", day_kb * BUSY_RESULTS / results, "KB");
    else
        figure("wire.median_terminal_kb_per_month", day_kb * 30, "KB");
    return true;
}

static bool measure_resumed(struct run *run, struct err *err)
{
    struct tally tally = {0};
    struct traffic before = look(run);
    if (!connect_again(run, &tally, err))
        return false;
    struct traffic after = look(run);
    figure("wire.connect_with_hello_bytes.resumed", (double)(total(&after) - total(&before)),
           "byte");
    return true;
}

int main(int argc, char **argv)
{
    struct run run = {0};
    struct err err = {0};
    if (argc != 5) {
        fprintf(stderr, "usage: day-run DIR BROKER_PORT NAME DAYS: started by bench-day\n");
        return 2;
    }
    run.dir = argv[1];
    run.port = (uint16_t)strtoul(argv[2], NULL, 10);
    const char *name = argv[3];
    unsigned days = (unsigned)strtoul(argv[4], NULL, 10);
    log_init("bench-day", LOG_ERROR);
    bool ok = open_all(&run, &err) &&
              measure(&run, name, days, strcmp(name, "busy") == 0 ? BUSY_RESULTS : 8, &err) &&
              (strcmp(name, "busy") != 0 || measure_resumed(&run, &err));
    if (!ok) {
        fprintf(stderr, "bench-day: %s\n", err.text);
        return 1;
    }
    fflush(stdout);
    close_all(&run);
    return 0;
}
