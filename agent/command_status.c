/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command.h"

#include <inttypes.h>

enum { DEADLINE_MS = 5000 };

static const char help[] = "Usage: muster status [OPTION]...\n"
                           "Shows what this terminal's agent holds, and how it stands with the "
                           "fleet.\n\n";

static json_t *health_json(const Muster__Health *health)
{
    if (health == NULL)
        return json_null();
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "uptime_s",
        (json_int_t)health->uptime_s, "disk_free_bytes", (json_int_t)health->disk_free_bytes,
        "disk_total_bytes", (json_int_t)health->disk_total_bytes, "memory_available_bytes",
        (json_int_t)health->memory_available_bytes, "spool_records",
        (json_int_t)health->spool_records, "spool_bytes", (json_int_t)health->spool_bytes,
        "spool_oldest_ms", (json_int_t)health->spool_oldest_ms, "agent_rss_bytes",
        (json_int_t)health->agent_rss_bytes, "records_accepted",
        (json_int_t)health->records_accepted, "records_refused",
        (json_int_t)health->records_refused, "frames_refused", (json_int_t)health->frames_refused);
}

static json_t *way_json(const Muster__TrafficWay *way)
{
    if (way == NULL)
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:I}", "payload", (json_int_t)way->payload, "mqtt",
                     (json_int_t)way->mqtt, "tls", (json_int_t)way->tls, "tcpip",
                     (json_int_t)way->tcpip);
}

static json_t *traffic_json(const Muster__Traffic *traffic, uint32_t month)
{
    if (traffic == NULL)
        return json_null();
    return json_pack("{s:I, s:o, s:o}", "month", (json_int_t)month, "up", way_json(traffic->up),
                     "down", way_json(traffic->down));
}

static json_t *uplink_json(const Muster__AgentStatus *status)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:o, s:o}", "policy", status->policy, "batches",
                     (json_int_t)status->batches, "suspect_results",
                     (json_int_t)status->suspect_results, "urgent_flushes",
                     (json_int_t)status->urgent_flushes, "traffic",
                     traffic_json(status->traffic, status->traffic_month), "traffic_before",
                     traffic_json(status->traffic_before, status->traffic_month_before));
}

static json_t *status_json(const Muster__AgentStatus *status)
{
    char incarnation[17];
    (void)snprintf(incarnation, sizeof incarnation, "%016" PRIx64, status->incarnation);
    return json_pack(
        "{s:s, s:s, s:s, s:I, s:b, s:b, s:s, s:s, s:I, s:b, s:I, s:I, s:I, s:I, s:o, s:o, s:o, "
        "s:o, s:o, s:o, s:o}",
        "device", status->device, "agent_version", status->agent_version, "incarnation",
        incarnation, "starts", (json_int_t)status->starts, "link_joined", (int)status->link_joined,
        "connected", (int)status->connected, "broker", status->broker, "link_reason",
        status->link_reason, "next_attempt_ms", (json_int_t)status->next_attempt_ms, "welcomed",
        (int)status->welcomed, "last_welcome_ms", (json_int_t)status->last_welcome_ms,
        "last_receipt_ms", (json_int_t)status->last_receipt_ms, "kept_records",
        (json_int_t)status->kept_records, "lost_records", (json_int_t)status->lost_records, "state",
        command_state_json(status->state), "health", health_json(status->health), "uplink",
        uplink_json(status), "link", command_link_json(status), "trust", command_trust_json(status),
        "actions", command_actions_json(status->actions, status->n_actions), "placing",
        command_placings_json(status->placing, status->n_placing));
}

static uint64_t kilobytes(uint64_t bytes)
{
    return (bytes + 512) / 1024;
}

/* "412 KB in 2026-11 (up 301, down 111): payload 180, MQTT 22, TLS 61, TCP/IP 149" */
static void print_traffic(const char *label, const Muster__Traffic *traffic, uint32_t month)
{
    if (traffic == NULL || traffic->up == NULL || traffic->down == NULL)
        return;
    const Muster__TrafficWay *up = traffic->up, *down = traffic->down;
    char when[32] = "since install";
    if (month != 0)
        (void)snprintf(when, sizeof when, "in %04u-%02u", month / 100, month % 100);
    uint64_t payload = up->payload + down->payload, mqtt = up->mqtt + down->mqtt;
    uint64_t tls = up->tls + down->tls, tcpip = up->tcpip + down->tcpip;
    (void)printf("%-10s %" PRIu64 " KB %s (up %" PRIu64 ", down %" PRIu64 "): payload %" PRIu64
                 ", MQTT %" PRIu64 ", TLS %" PRIu64 ", TCP/IP %" PRIu64 "\n",
                 label, kilobytes(tcpip), when, kilobytes(up->tcpip), kilobytes(down->tcpip),
                 kilobytes(payload), kilobytes(mqtt - payload), kilobytes(tls - mqtt),
                 kilobytes(tcpip - tls));
}

static void print_uplink(const Muster__AgentStatus *status)
{
    (void)printf("uplink     %s; %" PRIu64 " packets since the start, %" PRIu64
                 " suspect results, %" PRIu64 " packets at once for them\n",
                 command_plain(status->policy), status->batches, status->suspect_results,
                 status->urgent_flushes);
    print_traffic("line", status->traffic, status->traffic_month);
    if (status->traffic_month_before != 0)
        print_traffic("before", status->traffic_before, status->traffic_month_before);
}

static void print_health(const Muster__Health *health, const Muster__AgentStatus *status)
{
    (void)printf("spool      %" PRIu64 " records without receipt (oldest %" PRIu64 " s), %" PRIu64
                 " receipted and kept, %" PRIu64 " KiB\n",
                 health->spool_records, health->spool_oldest_ms / 1000, status->kept_records,
                 health->spool_bytes / 1024);
    if (status->lost_records > 0)
        (void)printf("lost       %" PRIu64 " records given up, the fleet is yet to hear of it\n",
                     status->lost_records);
    (void)printf("disk       %" PRIu64 " of %" PRIu64 " MiB free\n", health->disk_free_bytes >> 20,
                 health->disk_total_bytes >> 20);
    (void)printf("taken      %" PRIu64 " records since the start, %" PRIu64 " refused\n",
                 health->records_accepted, health->records_refused);
}

/* In the words of the trade: who reads it wants to know whether to set the clock. */
static void print_clock(const Muster__AgentStatus *status)
{
    int64_t offset_ms = status->health->clock_offset_ms;
    uint64_t off_ms = offset_ms < 0 ? 0 - (uint64_t)offset_ms : (uint64_t)offset_ms;
    uint64_t seconds = off_ms / 1000;
    char when[32];
    if (status->last_welcome_ms == 0) {
        (void)printf("clock      not compared with the fleet's since the start\n");
        return;
    }
    command_time(status->last_welcome_ms, when);
    (void)printf("clock      ");
    if (off_ms < 1000)
        (void)printf("right within a second");
    else if (seconds < 120)
        (void)printf("%" PRIu64 " s", seconds);
    else if (seconds < 7200)
        (void)printf("%" PRIu64 " min", seconds / 60);
    else if (seconds < 172800)
        (void)printf("%" PRIu64 " h", (seconds + 1800) / 3600);
    else
        (void)printf("%" PRIu64 " days", seconds / 86400);
    if (off_ms >= 1000)
        (void)printf(" %s the fleet", offset_ms > 0 ? "behind" : "ahead of");
    (void)printf(" (last compared %s)\n", when);
}

static void print_status(const Muster__AgentStatus *status)
{
    char welcome[32], receipt[32];
    command_time(status->last_welcome_ms, welcome);
    command_time(status->last_receipt_ms, receipt);
    (void)printf("device     %s\n", command_plain(status->device));
    (void)printf("agent      %s, start %" PRIu64 ", incarnation %016" PRIx64 "\n",
                 command_plain(status->agent_version), status->starts, status->incarnation);
    command_print_well(status);
    command_print_link(status);
    (void)printf("fleet      %s; last welcome %s, last receipt %s\n",
                 status->welcomed ? "welcomed" : "not welcomed on this connection", welcome,
                 receipt);
    command_print_trust(status);
    print_uplink(status);
    if (status->health != NULL)
        print_clock(status);
    if (status->health != NULL)
        print_health(status->health, status);
    if (status->state == NULL)
        return;
    (void)printf("registry   generation %" PRIu64 ", manifest %" PRIu64 ", %s\n",
                 status->state->generation, status->state->manifest_version,
                 status->state->converged ? "converged" : "not converged");
    command_print_waits(status->state->apply);
    command_print_probation(status->state);
    command_print_placings(status->placing, status->n_placing);
    command_print_actions(status->actions, status->n_actions);
    command_print_items(status->state);
}

int command_status(int argc, char **argv)
{
    struct command_options options;
    int exit_code = EXIT_OK;
    command_options_init(&options, argv[0], DEADLINE_MS);
    if (!command_parse_common(&options, argc, argv, help, &exit_code))
        return exit_code;
    Muster__StatusQuery query = MUSTER__STATUS_QUERY__INIT;
    Muster__ClientRequest request = MUSTER__CLIENT_REQUEST__INIT;
    request.what_case = MUSTER__CLIENT_REQUEST__WHAT_STATUS;
    request.status = &query;
    struct arena arena = {0};
    struct err err = {0};
    Muster__ClientReply *reply = NULL;
    if (!command_ask(&options, &request, &arena, &reply, &err)) {
        exit_code = command_fail(&options, &err);
    } else if (reply->agent == NULL) {
        err_set(&err, ERR_INVALID, "the agent's answer holds no status");
        exit_code = command_fail(&options, &err);
    } else if (options.json) {
        exit_code = command_print_json(&options,
                                       command_add_health(status_json(reply->agent), reply->agent));
    } else {
        print_status(reply->agent);
    }
    arena_done(&arena);
    return exit_code;
}
