/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command.h"

#include <inttypes.h>
#include <string.h>

/* What keeps records from being stored, and what a person does about it. */
static const struct {
    const char *in_fault, *advice;
} advices[] = {
    {"full", "free room on the disk of paths.state; what waits goes on being sent"},
    {"No space left", "free room on the disk of paths.state; what waits goes on being sent"},
    {"Read-only", "see why the disk became read-only (dmesg), and mount it for writing again"},
    {"I/O error", "see what is wrong with the disk (dmesg)"},
    {"Permission denied", "see whose the files in paths.state are: they must be the agent's"},
};

static void print_advice(const char *fault)
{
    for (size_t i = 0; i < sizeof advices / sizeof *advices; i++) {
        if (strstr(fault, advices[i].in_fault) != NULL) {
            (void)printf("           what to do: %s\n", advices[i].advice);
            return;
        }
    }
}

json_t *command_add_health(json_t *object, const Muster__AgentStatus *status)
{
    json_t *more = json_pack(
        "{s:b, s:s, s:s, s:I, s:I, s:I, s:s}", "healthy", (int)status->healthy, "healthy_why",
        status->healthy_why, "fault", status->fault, "fault_refused",
        (json_int_t)status->fault_refused, "salvaged_records", (json_int_t)status->salvaged_records,
        "salvage_lost", (json_int_t)status->salvage_lost, "spool_opened", status->spool_opened);
    if (more != NULL && object != NULL)
        (void)json_object_update(object, more);
    json_decref(more);
    return object;
}

void command_print_well(const Muster__AgentStatus *status)
{
    (void)printf("healthy    %s, because %s\n", status->healthy ? "yes" : "no",
                 command_plain(status->healthy_why));
    if (status->fault[0] != '\0') {
        (void)printf("fault      %" PRIu64 " records refused: %s\n", status->fault_refused,
                     command_plain(status->fault));
        print_advice(status->fault);
    }
    if (status->spool_opened[0] != '\0')
        (void)printf("opened     %s\n", command_plain(status->spool_opened));
}
