/* SPDX-License-Identifier: Apache-2.0 */
/* A log bundle on its way into the event lane: the log program's words, then a worker, then one
 * record for each piece. */
#include "agent/agent_parts.h"

#include "agent/logs.h"
#include "base/child.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_LIMIT_BYTES = 64 * 1024, PROGRAM_LIMIT_MS = 60 * 1000, PIECE_SLACK_BYTES = 128 };

struct log_job {
    uv_work_t work;
    struct agent *agent;
    char id[LIMIT_ACTION_ID_CHARS + 1];
    struct buf said;
    struct logs_order order;
    struct logs_bundle bundle;
    bool made;
    struct err err;
    uint32_t pieces, next; /* how many there are; which one is to be recorded */
};

#define FAILED MUSTER__ACTION_STEP__ACTION_STEP_FAILED

static void job_free(struct log_job *job)
{
    buf_done(&job->said);
    logs_done(&job->bundle);
    free(job);
}

static void job_failed(struct log_job *job, const char *why)
{
    struct agent *agent = job->agent;
    char text[160];
    (void)snprintf(text, sizeof text, "%.150s", why);
    job_free(job);
    agent_action_ended(agent, FAILED, "%s", text);
}

static void job_ended(struct log_job *job)
{
    struct agent *agent = job->agent;
    struct actions_log log = {.bytes = job->bundle.text_bytes, .pieces = job->pieces};
    char text[120];
    sha256(buf_bytes(&job->bundle.frame), log.sha256);
    (void)snprintf(text, sizeof text, "%" PRIu64 " bytes of logs, %zu on the line%s", log.bytes,
                   job->bundle.frame.length,
                   job->bundle.masked ? "; card numbers were found and masked" : "");
    job_free(job);
    agent_action_logged(agent, &log, text);
}

/* ---- into the spool, one after the other ---- */

static void record_next(struct log_job *job);

static void on_recorded(void *ctx, const struct spool_record *record, const struct err *err)
{
    struct log_job *job = ctx;
    if (record == NULL) {
        job_failed(job, err->text);
        return;
    }
    job->next++;
    record_next(job);
}

static bool record_piece(struct log_job *job, struct bytes part)
{
    Muster__LogPiece piece = MUSTER__LOG_PIECE__INIT;
    Muster__Event event = MUSTER__EVENT__INIT;
    struct buf detail = {.limit = LIMIT_LOG_PIECE_BYTES + PIECE_SLACK_BYTES};
    char text[96];
    piece.action = job->id;
    piece.number = job->next;
    piece.data = (ProtobufCBinaryData){.len = part.length, .data = (uint8_t *)(uintptr_t)part.data};
    (void)snprintf(text, sizeof text, "action %s (logs): piece %u of %u", job->id,
                   (unsigned)job->next + 1, (unsigned)job->pieces);
    event.kind = MUSTER__EVENT_KIND__EVENT_LOG;
    event.text = text;
    bool ok = pack(&piece.base, &detail, NULL);
    event.detail = (ProtobufCBinaryData){.len = detail.length, .data = detail.data};
    ok = ok && agent_record_event_then(job->agent, &event, HASTE_LINGERS, on_recorded, job);
    buf_done(&detail);
    return ok;
}

static void record_next(struct log_job *job)
{
    const struct buf *frame = &job->bundle.frame;
    size_t at = (size_t)job->next * LIMIT_LOG_PIECE_BYTES;
    if (job->agent->closing) {
        job_free(job);
        return;
    }
    if (job->next == job->pieces) {
        job_ended(job);
        return;
    }
    size_t left = frame->length - at;
    struct bytes part =
        bytes_of(frame->data + at, left < LIMIT_LOG_PIECE_BYTES ? left : LIMIT_LOG_PIECE_BYTES);
    if (!record_piece(job, part))
        job_failed(job, "a piece could not be recorded");
}

/* ---- making it ---- */

static void make_run(uv_work_t *work)
{
    struct log_job *job = work->data;
    job->made = logs_make(&job->order, &job->bundle, &job->err);
}

static void make_done(uv_work_t *work, int status)
{
    struct log_job *job = work->data;
    (void)status; /* it is not cancelled */
    if (job->agent->closing) {
        job_free(job);
    } else if (!job->made) {
        job_failed(job, job->err.text);
    } else {
        job->pieces = (uint32_t)((job->bundle.frame.length + LIMIT_LOG_PIECE_BYTES - 1) /
                                 LIMIT_LOG_PIECE_BYTES);
        record_next(job);
    }
}

static void make(struct log_job *job)
{
    job->work.data = job;
    job->order.said = buf_bytes(&job->said);
    /* Fails only without a work callback. */
    if (uv_queue_work(job->agent->loop, &job->work, make_run, make_done) != 0)
        abort();
}

static void on_heard(void *ctx, struct bytes part)
{
    struct log_job *job = ctx;
    job->order.said_bytes += part.length;
    if (!logs_hear(&job->said, part, logs_text_limit(job->order.limit_bytes)))
        buf_clear(&job->said); /* no memory: what comes next is newer anyway */
}

/* What it has said by its end, by whatever means that came, is worth having. */
static void on_said(void *ctx, const struct child_result *result)
{
    struct log_job *job = ctx;
    if (result->timed_out || result->signal != 0 || result->exit_status != 0)
        log_warn("the log program %s",
                 result->timed_out ? "did not end in time and was killed" : "did not end well");
    if (job->agent->closing)
        job_free(job);
    else
        make(job);
}

static size_t limit_of(const struct agent *agent, const struct action *action)
{
    uint64_t limit = action->limit_bytes != 0 ? action->limit_bytes : DEFAULT_LIMIT_BYTES;
    uint64_t most = (uint64_t)agent->settings->logs_limit_bytes;
    return (size_t)(limit < most ? limit : most);
}

bool agent_logs_begin(struct agent *agent, const struct action *action, struct err *err)
{
    struct log_job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a log bundle");
    job->agent = agent;
    memcpy(job->id, action->id, sizeof job->id);
    job->order = (struct logs_order){.files = agent->settings->logs_files,
                                     .limit_bytes = limit_of(agent, action),
                                     .asked = agent->settings->logs_program[0] != '\0'};
    if (!job->order.asked) {
        make(job);
        return true;
    }
    char *const argv[] = {(char *)(uintptr_t)agent->settings->logs_program, NULL};
    if (child_run_heard(agent->loop, argv, PROGRAM_LIMIT_MS, on_heard, on_said, job, err))
        return true;
    job_free(job);
    return false;
}
