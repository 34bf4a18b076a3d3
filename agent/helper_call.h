/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_HELPER_CALL_H
#define AGENT_HELPER_CALL_H

#include "base/err.h"

#include <stdint.h>
#include <uv.h>

/* One verb asked of muster-helper, over its unix socket. */
enum helper_end {
    HELPER_DID,         /* its program ended well */
    HELPER_NOT_DONE,    /* it said no, or its program did */
    HELPER_NOT_REACHED, /* nobody was asked */
    HELPER_NO_ANSWER,   /* it was asked, perhaps begun, and what became of it is not known */
};

struct helper_result {
    enum helper_end outcome;
    const char *text; /* valid during the call */
};

/* `done` is called once from the loop, unless the call is dropped before. */
struct helper_call;
bool helper_call(uv_loop_t *loop, const char *socket, const char *verb, int64_t limit_ms,
                 void (*done)(void *ctx, const struct helper_result *result), void *ctx,
                 struct helper_call **ret_call, struct err *err) MUSTER_CHECK;
/* Nobody waits for the answer any more; what was begun goes on. */
void helper_call_drop(struct helper_call *call);

#endif
