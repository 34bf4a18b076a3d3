/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/command_bench.h"

#include "base/file.h"
#include "base/stream.h"
#include "proto/limits.h"
#include "tests/unit/testing.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BATCH_MAX = 512, KINDS_MAX = 32 };

struct fake_agent {
    struct seen *seen;
    uv_loop_t loop;
    uv_check_t check;
    struct stream *stream;
    struct {
        uint64_t id;
        Muster__ReplyStatus status;
    } waiting[BATCH_MAX];
    size_t count;
};

/* ---- the fake agent ---- */

static void answer(struct fake_agent *agent, Muster__ClientReply *reply)
{
    uint8_t wire[4096];
    size_t length = muster__client_reply__pack(reply, wire);
    if (!stream_send(agent->stream, bytes_of(wire, length), NULL))
        stream_close(agent->stream);
}

static Muster__ReplyStatus keep(struct seen *seen, const Muster__TxnResult *txn)
{
    char key[33] = {0};
    memcpy(key, txn->idempotency_key.data,
           txn->idempotency_key.len < 32 ? txn->idempotency_key.len : 32);
    if (txn->amount_minor == 666)
        return MUSTER__REPLY_STATUS__REPLY_INVALID;
    if (txn->amount_minor == 777)
        return MUSTER__REPLY_STATUS__REPLY_FULL;
    for (unsigned i = 0; i < seen->stored; i++)
        if (memcmp(seen->keys[i], key, sizeof key) == 0)
            return MUSTER__REPLY_STATUS__REPLY_DUPLICATE;
    memcpy(seen->keys[seen->stored++], key, sizeof key);
    return MUSTER__REPLY_STATUS__REPLY_OK;
}

static void tell_placing(Muster__Placing *key, Muster__Placing *package, unsigned plans,
                         uint8_t key_digest[32], uint8_t package_digest[32])
{
    memset(key_digest, 0x40 + (int)plans, 32);
    memset(package_digest, 0x80 + (int)plans, 32);
    key->name = (char *)(uintptr_t) "tmk.key";
    key->version = (char *)(uintptr_t) "12";
    key->slot = (char *)(uintptr_t) "tmk";
    key->waits_for = (char *)(uintptr_t) "the batch to be settled";
    key->waited_ms = 3600 * 1000;
    key->digest = (ProtobufCBinaryData){.len = 32, .data = key_digest};
    package->name = (char *)(uintptr_t) "os.raucb";
    package->version = (char *)(uintptr_t) "4.2.0";
    package->waits_for = (char *)(uintptr_t) "the open reversal";
    package->waited_ms = 5000;
    package->asks_after_ms = 12 * 3600 * 1000;
    package->digest = (ProtobufCBinaryData){.len = 32, .data = package_digest};
}

static void answer_plan(struct fake_agent *agent, uint64_t id, Muster__StateReport *state)
{
    Muster__PlanItem change = MUSTER__PLAN_ITEM__INIT, os = MUSTER__PLAN_ITEM__INIT;
    Muster__PlanItem *changes[] = {&change, &os};
    Muster__LeaseState lease = MUSTER__LEASE_STATE__INIT;
    Muster__LeaseTerminal busy = MUSTER__LEASE_TERMINAL__INIT,
                          silent = MUSTER__LEASE_TERMINAL__INIT;
    Muster__LeaseTerminal *terminals[] = {&busy, &silent};
    uint8_t digest[32];
    Muster__PlanReply plan = MUSTER__PLAN_REPLY__INIT;
    Muster__ClientReply reply = MUSTER__CLIENT_REPLY__INIT;
    change.name = (char *)(uintptr_t) "bin-table";
    change.held_version = 7;
    change.wanted_version = 8;
    change.fetch_bytes = 4711;
    change.gate = (char *)(uintptr_t) "no open transaction";
    change.irreversible = true;
    os.name = (char *)(uintptr_t) "os.raucb";
    os.held_version = os.wanted_version = 2;
    os.running_package = (char *)(uintptr_t) "4.1.9";
    os.wanted_package = (char *)(uintptr_t) "4.2.0";
    lease.known = lease.batch = lease.reversal = true;
    lease.lost = agent->seen->drifting;
    busy.terminal = 2;
    busy.transaction = true;
    busy.left_ms = 79001;
    busy.reversal = MUSTER__SAID__SAID_YES;
    busy.batch = MUSTER__SAID__SAID_YES;
    busy.who = (char *)(uintptr_t) "user 7, process 9\x1b[2J";
    busy.since_ms = 5999;
    silent.terminal = 3;
    silent.transaction = silent.assumed = true;
    silent.left_ms = 120000;
    lease.terminals = terminals;
    lease.n_terminals = 2;
    memset(digest, (int)++agent->seen->plans, sizeof digest);
    Muster__Placing key = MUSTER__PLACING__INIT, package = MUSTER__PLACING__INIT;
    Muster__Placing *placing[] = {&key, &package};
    uint8_t key_digest[32], package_digest[32];
    tell_placing(&key, &package, agent->seen->plans, key_digest, package_digest);
    Muster__PlanAction action = MUSTER__PLAN_ACTION__INIT, *actions[] = {&action};
    action.id = (char *)(uintptr_t) "a-1";
    action.kind = MUSTER__ACTION_KIND__ACTION_REBOOT;
    action.step = MUSTER__ACTION_STEP__ACTION_STEP_WAITING;
    action.text = (char *)(uintptr_t) "the open transaction";
    action.waited_ms = 61 * 1000;
    action.ends_ms = 79001;
    action.expires_ms = 1795351139123;
    if (agent->seen->drifting) {
        plan.placing = placing;
        plan.n_placing = 2;
        plan.actions = actions;
        plan.n_actions = 1;
    }
    if (agent->seen->drifting)
        plan.waiting_digest = (ProtobufCBinaryData){.len = sizeof digest, .data = digest};
    plan.state = state;
    plan.items = changes;
    plan.n_items = agent->seen->drifting ? 2 : 0;
    plan.lease = &lease;
    reply.id = id;
    reply.status = MUSTER__REPLY_STATUS__REPLY_OK;
    reply.plan = &plan;
    answer(agent, &reply);
}

static void wait_for_a_batch(Muster__ApplyReport *ret_apply)
{
    muster__apply_report__init(ret_apply);
    ret_apply->step = MUSTER__APPLY_STEP__APPLY_WAITING;
    ret_apply->manifest_version = 3;
    ret_apply->waits_for = (char *)(uintptr_t) "the batch\x1b[2J to be settled";
    ret_apply->waited_ms = 3 * 60 * 1000;
    ret_apply->asks_after_ms = 12 * 3600 * 1000;
    ret_apply->ends_ms = 79001;
}

/* One event of each kind that there is. */
static size_t tell_story(Muster__Event story[KINDS_MAX], Muster__Event *events[KINDS_MAX])
{
    const ProtobufCEnumDescriptor *kinds = &muster__event_kind__descriptor;
    assert_in_range(kinds->n_values, 1, KINDS_MAX);
    for (size_t i = 0; i < kinds->n_values; i++) {
        muster__event__init(&story[i]);
        story[i].wall_ms = 1795351139123;
        story[i].kind = (Muster__EventKind)kinds->values[i].value;
        story[i].item = (char *)(uintptr_t) "bin-table";
        story[i].text = (char *)(uintptr_t) "held 7\x1b[2J, wanted 8";
        events[i] = &story[i];
    }
    return kinds->n_values;
}

static void answer_query(struct fake_agent *agent, const Muster__ClientRequest *request)
{
    Muster__ItemReport item = MUSTER__ITEM_REPORT__INIT;
    item.name = (char *)(uintptr_t) "bin-table";
    item.wanted_version = 8;
    item.held_version = agent->seen->drifting ? 7 : 8;
    item.state =
        agent->seen->drifting ? MUSTER__ITEM_STATE__ITEM_DRIFT : MUSTER__ITEM_STATE__ITEM_REPAIRED;
    Muster__ItemReport *items[] = {&item};
    Muster__StateReport state = MUSTER__STATE_REPORT__INIT;
    state.manifest_version = 3;
    state.generation = 2;
    state.converged = !agent->seen->drifting;
    state.items = items;
    state.n_items = 1;
    Muster__ApplyReport apply;
    wait_for_a_batch(&apply);
    Muster__ApplyReport trial = MUSTER__APPLY_REPORT__INIT;
    trial.step = MUSTER__APPLY_STEP__APPLY_SWITCHED;
    trial.generation = 2;
    trial.results_needed = 50;
    trial.probation_left_ms = 24 * 3600 * 1000 - 1;
    if (agent->seen->drifting) {
        state.apply = &apply;
        state.trial = &trial;
    }
    if (request->what_case == MUSTER__CLIENT_REQUEST__WHAT_APPLY) {
        const ProtobufCBinaryData *digest = &request->apply->generation_digest;
        agent->seen->decided_length = digest->len;
        if (digest->len == sizeof agent->seen->decided)
            memcpy(agent->seen->decided, digest->data, digest->len);
        agent->seen->placing_count = request->apply->n_placing;
        for (size_t i = 0; i < request->apply->n_placing && i < 2; i++)
            agent->seen->placing[i] = request->apply->placing[i].data[31];
    }
    if (request->what_case == MUSTER__CLIENT_REQUEST__WHAT_FORGET)
        agent->seen->forgot = request->forget->all ? FORGOT_ALL : (int)request->forget->terminal;
    if (request->what_case == MUSTER__CLIENT_REQUEST__WHAT_PLAN ||
        request->what_case == MUSTER__CLIENT_REQUEST__WHAT_FORGET) {
        answer_plan(agent, request->id, &state);
        return;
    }
    Muster__Health health = MUSTER__HEALTH__INIT;
    health.spool_records = 12;
    Muster__AgentStatus status = MUSTER__AGENT_STATUS__INIT;
    status.device = (char *)(uintptr_t) "term-0001";
    status.link_joined = true;
    status.link_reason = (char *)(uintptr_t) "connection refused";
    status.state = &state;
    status.health = &health;
    Muster__Event story[KINDS_MAX], *events[KINDS_MAX];
    Muster__ClientReply reply = MUSTER__CLIENT_REPLY__INIT;
    reply.id = request->id;
    reply.status = MUSTER__REPLY_STATUS__REPLY_OK;
    if (request->what_case == MUSTER__CLIENT_REQUEST__WHAT_STATUS)
        reply.agent = &status;
    if (request->what_case == MUSTER__CLIENT_REQUEST__WHAT_SELFCHECK ||
        request->what_case == MUSTER__CLIENT_REQUEST__WHAT_APPLY)
        reply.state = &state;
    if (request->what_case == MUSTER__CLIENT_REQUEST__WHAT_WHY) {
        reply.n_events = tell_story(story, events);
        reply.events = events;
    }
    answer(agent, &reply);
}

static void on_frame(void *ctx, struct stream *stream, struct bytes frame)
{
    struct fake_agent *agent = ctx;
    struct seen *seen = agent->seen;
    Muster__ClientRequest *request = muster__client_request__unpack(NULL, frame.length, frame.data);
    if (request == NULL || seen->silent)
        return;
    if (request->what_case != MUSTER__CLIENT_REQUEST__WHAT_TXN) {
        answer_query(agent, request);
    } else {
        agent->waiting[agent->count].id = request->id;
        agent->waiting[agent->count++].status = keep(seen, request->txn);
        if (seen->close_after != 0 && seen->stored >= seen->close_after) {
            seen->close_after = 0;
            stream_close(stream);
        }
    }
    muster__client_request__free_unpacked(request, NULL);
}

/* Answers what came in this turn, the last one first. */
static void on_check(uv_check_t *check)
{
    struct fake_agent *agent = check->data;
    if (agent->count > agent->seen->most_under_way)
        agent->seen->most_under_way = (unsigned)agent->count;
    while (agent->count > 0) {
        agent->count--;
        Muster__ClientReply reply = MUSTER__CLIENT_REPLY__INIT;
        Muster__RecordId record = MUSTER__RECORD_ID__INIT;
        reply.id = agent->waiting[agent->count].id;
        record.seq = reply.id + 1;
        reply.record = &record;
        reply.status = agent->waiting[agent->count].status;
        reply.why = (char *)(uintptr_t)(reply.status == MUSTER__REPLY_STATUS__REPLY_OK
                                            ? ""
                                            : "the agent's own reason");
        if (agent->stream != NULL)
            answer(agent, &reply);
    }
}

static bool on_accepted(void *ctx, struct stream *stream, struct stream_peer peer)
{
    struct fake_agent *agent = ctx;
    (void)peer;
    agent->stream = stream;
    agent->seen->connections++;
    return true;
}

static void on_closed(void *ctx, struct stream *stream, const struct err *why)
{
    struct fake_agent *agent = ctx;
    (void)why;
    if (agent->stream == stream)
        agent->stream = NULL;
}

static void serve(struct bench *bench, int ready_fd)
{
    static const struct stream_limits limits = {.max_frame_bytes = LIMIT_CLIENT_FRAME_BYTES,
                                                .max_queue_bytes = 1024 * 1024,
                                                .max_clients = 4};
    static const struct stream_events events = {
        .accepted = on_accepted, .frame = on_frame, .closed = on_closed};
    struct fake_agent agent = {.seen = bench->seen};
    struct stream_server *server = NULL;
    struct err err;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)uv_loop_init(&agent.loop);
    (void)uv_check_init(&agent.loop, &agent.check);
    agent.check.data = &agent;
    (void)uv_check_start(&agent.check, on_check);
    if (!stream_listen(&agent.loop, bench->path, 0600, &limits, &events, &agent, &server, &err))
        _exit(1);
    (void)!write(ready_fd, "r", 1);
    (void)uv_run(&agent.loop, UV_RUN_DEFAULT);
    _exit(0);
}

/* ---- the bench ---- */

int bench_set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    *state = bench;
    (void)snprintf(bench->dir, sizeof bench->dir, "/tmp/command_test.XXXXXX");
    bench->seen =
        mmap(NULL, sizeof *bench->seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mkdtemp(bench->dir) == NULL || bench->seen == MAP_FAILED)
        return -1;
    (void)snprintf(bench->path, sizeof bench->path, "%s/s", bench->dir);
    (void)snprintf(bench->input, sizeof bench->input, "%s/in", bench->dir);
    (void)snprintf(bench->output, sizeof bench->output, "%s/out", bench->dir);
    (void)snprintf(bench->errors, sizeof bench->errors, "%s/err", bench->dir);
    return setenv("MUSTER_SOCKET", bench->path, 1);
}

int bench_tear_down(void **state)
{
    struct bench *bench = *state;
    struct err err;
    if (bench->server > 0) {
        (void)kill(bench->server, SIGKILL);
        (void)waitpid(bench->server, NULL, 0);
    }
    (void)munmap(bench->seen, sizeof *bench->seen);
    bool ok = file_remove_tree(bench->dir, &err);
    free(bench);
    return ok ? 0 : -1;
}

void bench_start(struct bench *bench)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    bench->server = fork();
    assert_true(bench->server >= 0);
    if (bench->server == 0)
        serve(bench, ready[1]);
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
}

int bench_redirect(int fd, const char *path, int flags)
{
    int before = dup(fd);
    int to = open(path, flags, 0600);
    assert_true(to >= 0 && dup2(to, fd) == fd);
    (void)close(to);
    return before;
}

void bench_restore(int fd, int before)
{
    assert_int_equal(dup2(before, fd), fd);
    (void)close(before);
}

int bench_run(struct bench *bench, int (*command)(int, char **), ...)
{
    char *argv[16];
    int argc = 0;
    va_list words;
    va_start(words, command);
    while ((argv[argc] = va_arg(words, char *)) != NULL)
        argc++;
    va_end(words);
    (void)fflush(NULL);
    int out = bench_redirect(STDOUT_FILENO, bench->output, O_WRONLY | O_CREAT | O_TRUNC);
    int errors = bench_redirect(STDERR_FILENO, bench->errors, O_WRONLY | O_CREAT | O_TRUNC);
    optind = 0; /* glibc: begin anew */
    int exit_code = command(argc, argv);
    (void)fflush(NULL);
    bench_restore(STDOUT_FILENO, out);
    bench_restore(STDERR_FILENO, errors);
    return exit_code;
}

void bench_holds(const char *path, const char *expected, bool holds)
{
    struct buf content = {0};
    struct err err;
    assert_true(file_read(path, 1024 * 1024, &content, &err));
    assert_true(buf_append(&content, "", 1, &err));
    if ((strstr((char *)content.data, expected) != NULL) != holds)
        fail_msg("%s \"%s\" in: %s", holds ? "no" : "there is", expected, (char *)content.data);
    buf_done(&content);
}
