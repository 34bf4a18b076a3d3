/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_select.h"

#include <stdlib.h>

struct selecting {
    struct api_selection selection;
    struct select *select;
};

static bool step(void *ctx, struct api_answer *answer, bool *ret_done, struct err *err)
{
    const struct selecting *selecting = ctx;
    const struct api_selection *selection = &selecting->selection;
    if (!select_turn(selecting->select, selection->clock, ret_done, err))
        return false;
    return !*ret_done || selection->finish(selection->ctx, selecting->select, answer, err);
}

static void stop(void *ctx)
{
    struct selecting *selecting = ctx;
    select_close(selecting->select);
    free(selecting->selection.ctx);
    free(selecting);
}

bool api_select(const struct api_selection *selection, struct api_answer *answer, struct err *err)
{
    struct selecting *selecting = calloc(1, sizeof *selecting);
    if (selecting == NULL || selection->ctx == NULL) {
        free(selecting);
        free(selection->ctx);
        return api_no_memory(err);
    }
    selecting->selection = *selection;
    const bool all = selection->selector == NULL;
    if (all ? !selection->finish(selection->ctx, NULL, answer, err)
            : !select_open(selection->db, selection->scope, selection->selector, &selecting->select,
                           err)) {
        stop(selecting);
        return false;
    }
    if (all)
        stop(selecting);
    else
        answer->work = (struct api_work){.step = step, .free = stop, .ctx = selecting};
    return true;
}
