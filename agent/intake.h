/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_INTAKE_H
#define AGENT_INTAKE_H

#include "agent/import.h"
#include "agent/peers.h"
#include "agent/recorder.h"
#include "proto/arena.h"
#include "proto/local.pb-c.h"

/*
 * The client socket: payment application, drivers and the `muster` command ask here. A result is
 * answered only after its commit; everything a client sends is foreign: bounded, checked, counted.
 */
struct intake;

/* Of one connection that are still to come; one more is refused, with ERR_FULL. Those to results
 * are not among them: what is stored bounds these. */
enum { INTAKE_ANSWERS_MAX = 32 };

/* Who says so, by the kernel's word. */
struct intake_speaker {
    const void *holder; /* of its connection, until `gone` */
    uid_t uid;
    pid_t pid;
};

struct intake_handlers {
    /* Stores the result and calls `done` after the commit. False: refused, `err` says why. */
    bool (*txn)(void *ctx, Muster__TxnResult *txn, recorder_done *done, void *done_ctx,
                struct err *err);
    /* These fill `reply` with what lives in `arena` or longer. */
    bool (*status)(void *ctx, struct arena *arena, Muster__ClientReply *reply, struct err *err);
    bool (*why)(void *ctx, uint32_t limit, struct arena *arena, Muster__ClientReply *reply,
                struct err *err);
    bool (*state)(void *ctx, struct arena *arena, Muster__ClientReply *reply, struct err *err);
    /* Starts a check; `done` is called when it is settled, then `state` is asked. */
    bool (*selfcheck)(void *ctx, void (*done)(void *done_ctx), void *done_ctx, struct err *err);
    /* Takes a part of a bundle; `err` names the check that refused it. `import` is the client's:
     * what came of a part so far; NULL where the query brings none. */
    bool (*import)(void *ctx, struct import *import, const Muster__ImportQuery *query,
                   struct arena *arena, Muster__ClientReply *reply, struct err *err);
    /* `done` is called when all is done that can be done, then `import` is asked, and `state`. */
    bool (*settle)(void *ctx, void (*done)(void *done_ctx), void *done_ctx, struct err *err);
    /* Takes the application's word; `done` is called when it may be answered, also from inside this
     * call, then `tell_lease` is asked. */
    bool (*lease)(void *ctx, const Muster__LeaseQuery *query, const struct intake_speaker *who,
                  void (*done)(void *done_ctx), void *done_ctx, struct err *err);
    bool (*tell_lease)(void *ctx, struct arena *arena, Muster__ClientReply *reply, struct err *err);
    /* This connection is no more. */
    void (*gone)(void *ctx, const void *holder);
    bool (*plan)(void *ctx, struct arena *arena, Muster__ClientReply *reply, struct err *err);
    /* A person who may has decided that what waits is put in force; `done` when it is, or cannot.
     */
    bool (*apply)(void *ctx, const Muster__ApplyQuery *query, const struct intake_speaker *who,
                  void (*done)(void *done_ctx), void *done_ctx, struct err *err);
    /* Or that what is known of the payment application is forgotten; then `plan` is asked. */
    bool (*forget)(void *ctx, const Muster__ForgetQuery *query, const struct intake_speaker *who,
                   struct err *err);
};

bool intake_open(uv_loop_t *loop, const char *path, const struct peers *peers, unsigned max_clients,
                 const struct intake_handlers *handlers, void *ctx, struct intake **ret_intake,
                 struct err *err) MUSTER_CHECK;
/* Stops listening and lets clients go; free it when the loop has run out. */
void intake_close(struct intake *intake);
void intake_free(struct intake *intake);
/* Frames and peers refused since the start. */
uint64_t intake_refused(const struct intake *intake);

#endif
