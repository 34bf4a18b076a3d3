/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command.h"

#include <inttypes.h>
#include <string.h>

/* What base/mqtt.c and the libraries below it say, and what a person does about it. The first that
 * is in the reason counts. */
static const struct {
    const char *in_reason, *advice;
} advices[] = {
    {"name not resolved", "check the name in broker.servers, and this terminal's DNS"},
    {"Connection refused", "see that the broker runs, and listens on that port"},
    {"Network is unreachable", "this terminal has no network: check its SIM, cable or Wi-Fi"},
    {"No route to host", "check the terminal's network and the broker's address"},
    {"no session within", "something between swallows the connection: check APN and firewall"},
    {"not yet valid", "check this terminal's clock, or set tls.time_floor"},
    {"expired", "check this terminal's clock, and the dates of the broker's certificate"},
    {"hostname mismatch", "broker.servers must give the name that is in the broker's certificate"},
    {"IP address mismatch",
     "broker.servers must give the name that is in the broker's certificate"},
    {"certificate refused",
     "check that tls.ca is the authority that issued the broker's certificate"},
    {"TLS alert", "the broker does not take this device's certificate: check tls.certificate"},
    {"CONNACK", "the broker knows this device and says no: check its rules for the device"},
    {"TLS handshake failed", "see that the port is the broker's TLS port"},
    {"instead of a CONNACK", "see the broker's log for this device; one that keeps no messages may "
                             "want broker.retain = no"},
    {"no answer to a ping", "the line went dead: check signal and NAT timeouts; a shorter "
                            "broker.keepalive finds it sooner"},
    {"bytes a second", "the line is too slow: check signal and APN"},
    {"longer than", "a message is too long for a terminal: see what was published, and by whom"},
    {"TCP: ", "check the line, and see that the broker runs"},
    {"broker ", "see the broker's log for this device"},
    {"again and again", "see muster-link's log, and the broker's for this device"},
    {"is not running", "systemctl status muster-link"},
    {"has not joined", "systemctl status muster-link"},
};

static const char *advice_for(const char *reason)
{
    for (size_t i = 0; i < sizeof advices / sizeof *advices; i++) {
        if (strstr(reason, advices[i].in_reason) != NULL)
            return advices[i].advice;
    }
    return NULL;
}

void command_print_link(const Muster__AgentStatus *status)
{
    char next[32], last[32];
    const char *advice = status->connected ? NULL : advice_for(status->link_reason);
    command_time(status->next_attempt_ms, next);
    command_time(status->link_failed_ms, last);
    if (status->connected)
        (void)printf("link       connected to %s%s\n", command_plain(status->broker),
                     status->broker_keeps_nothing
                         ? ", which keeps no messages: what is lacking is asked of the fleet"
                         : "");
    else
        (void)printf("link       not connected: %s\n", command_plain(status->link_reason));
    if (!status->connected && status->next_attempt_ms != 0)
        (void)printf("           next attempt %s\n", next);
    if (advice != NULL)
        (void)printf("           what to do: %s\n", advice);
    if (status->link_joined)
        (void)printf("           since muster-link started: %" PRIu64 " sessions, %" PRIu64
                     " of them resumed, %" PRIu64 " failures\n",
                     status->link_sessions, status->link_resumed, status->link_failures);
    if (status->connected && status->link_failures > 0 && status->link_failure[0] != '\0')
        (void)printf("           last failure %s: %s\n", last, command_plain(status->link_failure));
    if (status->link_refused > 0)
        (void)printf("           %" PRIu64 " messages of the broker were not passed on: see "
                     "muster-link's log\n",
                     status->link_refused);
    if (status->content_waits[0] != '\0')
        (void)printf("content    waits: %s\n", command_plain(status->content_waits));
}

json_t *command_link_json(const Muster__AgentStatus *status)
{
    return json_pack("{s:I, s:I, s:I, s:s, s:I, s:I, s:s, s:b}", "sessions",
                     (json_int_t)status->link_sessions, "resumed", (json_int_t)status->link_resumed,
                     "failures", (json_int_t)status->link_failures, "last_failure",
                     status->link_failure, "last_failure_ms", (json_int_t)status->link_failed_ms,
                     "refused", (json_int_t)status->link_refused, "content_waits",
                     status->content_waits, "broker_keeps_nothing", status->broker_keeps_nothing);
}
