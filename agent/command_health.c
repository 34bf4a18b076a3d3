/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command.h"

#include <inttypes.h>

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
    if (status->fault[0] != '\0')
        (void)printf("fault      %" PRIu64 " records refused: %s\n", status->fault_refused,
                     command_plain(status->fault));
    if (status->spool_opened[0] != '\0')
        (void)printf("opened     %s\n", command_plain(status->spool_opened));
}
