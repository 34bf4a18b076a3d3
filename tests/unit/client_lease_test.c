/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/client.h"

#include "base/clock.h"
#include "base/file.h"
#include "proto/local.pb-c.h"
#include "tests/unit/testing.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEADLINE_MS = 20000, GENERATION = 5 };

/* What the agent's side was told, one for each request. */
struct heard {
    bool record;
    uint64_t id;
    uint32_t terminal, hold_ms;
    bool transaction, reversal, batch, as_before;
};

struct bench {
    char dir[64];
    char path[80];
    int listener, heard[2];
    pid_t server;
    struct muster_client *client;
};

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    *state = bench;
    (void)snprintf(bench->dir, sizeof bench->dir, "/tmp/client_lease.XXXXXX");
    if (mkdtemp(bench->dir) == NULL)
        return -1;
    (void)snprintf(bench->path, sizeof bench->path, "%s/s", bench->dir);
    strcpy(at.sun_path, bench->path);
    const struct muster_client_settings settings = {.socket_path = bench->path,
                                                    .deadline_ms = DEADLINE_MS};
    bench->client = muster_client_open(&settings);
    bench->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return bench->client != NULL && pipe(bench->heard) == 0 &&
                   bind(bench->listener, (struct sockaddr *)&at, sizeof at) == 0
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    muster_client_close(bench->client);
    if (bench->server > 0) {
        (void)kill(bench->server, SIGKILL);
        (void)waitpid(bench->server, NULL, 0);
    }
    (void)close(bench->listener);
    (void)close(bench->heard[0]);
    (void)close(bench->heard[1]);
    bool ok = file_remove_tree(bench->dir, NULL);
    free(bench);
    return ok ? 0 : -1;
}

/* ---- the agent's side ---- */

static bool read_exactly(int fd, void *to, size_t length)
{
    for (uint8_t *at = to; length > 0;) {
        ssize_t n = read(fd, at, length);
        if (n <= 0)
            return false;
        at += n;
        length -= (size_t)n;
    }
    return true;
}

/* Frames here are short: one byte of length, or two. */
static bool read_request(int fd, struct heard *ret_heard)
{
    uint8_t head[2], body[512];
    if (!read_exactly(fd, head, 1))
        return false;
    size_t length = head[0] & 0x7f;
    if (head[0] >= 0x80) {
        if (!read_exactly(fd, head + 1, 1))
            return false;
        length |= (size_t)head[1] << 7;
    }
    if (length > sizeof body || !read_exactly(fd, body, length))
        return false;
    Muster__ClientRequest *request = muster__client_request__unpack(NULL, length, body);
    if (request == NULL)
        return false;
    *ret_heard = (struct heard){.id = request->id};
    ret_heard->record = request->what_case == MUSTER__CLIENT_REQUEST__WHAT_TXN;
    if (request->what_case == MUSTER__CLIENT_REQUEST__WHAT_LEASE) {
        const Muster__LeaseQuery *query = request->lease;
        *ret_heard = (struct heard){.id = request->id,
                                    .terminal = query->terminal,
                                    .hold_ms = query->hold_ms,
                                    .transaction = query->transaction,
                                    .reversal = query->reversal,
                                    .batch = query->batch,
                                    .as_before = query->as_before};
    }
    muster__client_request__free_unpacked(request, NULL);
    return true;
}

static void answer(int fd, const struct heard *to, Muster__ReplyStatus status)
{
    uint8_t digest[32], body[512], wire[520];
    Muster__ClientReply reply = MUSTER__CLIENT_REPLY__INIT;
    Muster__LeaseReply lease = MUSTER__LEASE_REPLY__INIT;
    Muster__RecordId record = MUSTER__RECORD_ID__INIT;
    memset(digest, 0xd1, sizeof digest);
    reply.id = to->id;
    reply.status = status;
    reply.why = (char *)(uintptr_t)(status == MUSTER__REPLY_STATUS__REPLY_OK ? "" : "because");
    record.seq = 1;
    lease.generation = GENERATION;
    lease.generation_digest = (ProtobufCBinaryData){.len = sizeof digest, .data = digest};
    lease.path = (char *)(uintptr_t) "/registry/generations/00000005";
    lease.waiting = (char *)(uintptr_t) "manifest 9 waits for the open\ntransaction";
    if (to->record)
        reply.record = &record;
    else if (status == MUSTER__REPLY_STATUS__REPLY_OK)
        reply.lease = &lease;
    size_t length = muster__client_reply__pack(&reply, body);
    size_t head = varint_put(length, wire);
    memcpy(wire + head, body, length);
    (void)send(fd, wire, head + length, MSG_NOSIGNAL);
}

static void note(const struct bench *bench, const struct heard *heard)
{
    (void)!write(bench->heard[1], heard, sizeof *heard);
}

static void answer_all(const struct bench *bench)
{
    struct heard heard;
    for (;;) {
        int fd = accept(bench->listener, NULL, NULL);
        while (read_request(fd, &heard)) {
            note(bench, &heard);
            answer(fd, &heard, MUSTER__REPLY_STATUS__REPLY_OK);
        }
        (void)close(fd);
    }
}

static void refuse_all(const struct bench *bench)
{
    struct heard heard;
    int fd = accept(bench->listener, NULL, NULL);
    while (read_request(fd, &heard))
        answer(fd, &heard, MUSTER__REPLY_STATUS__REPLY_INVALID);
}

/* The disk is full for the first word. */
static void full_at_first(const struct bench *bench)
{
    struct heard heard;
    bool full = true;
    int fd = accept(bench->listener, NULL, NULL);
    for (; read_request(fd, &heard); full = false) {
        note(bench, &heard);
        answer(fd, &heard,
               full ? MUSTER__REPLY_STATUS__REPLY_FULL : MUSTER__REPLY_STATUS__REPLY_OK);
    }
}

/* One request, then a restart; what holds is said again and answered last of all. */
static void restart_and_answer_late(const struct bench *bench)
{
    struct heard first, again, asked, last;
    int fd = accept(bench->listener, NULL, NULL);
    (void)read_request(fd, &first);
    note(bench, &first);
    answer(fd, &first, MUSTER__REPLY_STATUS__REPLY_OK);
    (void)close(fd);
    fd = accept(bench->listener, NULL, NULL);
    (void)(read_request(fd, &again) && read_request(fd, &asked));
    note(bench, &again);
    note(bench, &asked);
    answer(fd, &asked, MUSTER__REPLY_STATUS__REPLY_OK);
    (void)read_request(fd, &last);
    note(bench, &last);
    answer(fd, &again, MUSTER__REPLY_STATUS__REPLY_OK);
    answer(fd, &last, MUSTER__REPLY_STATUS__REPLY_OK);
}

/* One connection. The answer to a result comes too late, before that to the end of its sale. */
static void answer_results_late(const struct bench *bench)
{
    struct heard heard, late = {0};
    int fd = accept(bench->listener, NULL, NULL);
    while (read_request(fd, &heard)) {
        if (heard.record) {
            late = heard;
            continue;
        }
        if (!heard.transaction && late.id != 0)
            answer(fd, &late, MUSTER__REPLY_STATUS__REPLY_OK);
        answer(fd, &heard, MUSTER__REPLY_STATUS__REPLY_OK);
    }
    struct heard gone = {.id = UINT64_MAX};
    note(bench, &gone);
}

static void serve(struct bench *bench, void (*behave)(const struct bench *bench))
{
    assert_int_equal(listen(bench->listener, 16), 0);
    bench->server = fork();
    assert_true(bench->server >= 0);
    if (bench->server == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        behave(bench);
        for (;;)
            (void)pause();
    }
}

static struct heard next_heard(const struct bench *bench)
{
    struct heard heard;
    assert_true(read_exactly(bench->heard[0], &heard, sizeof heard));
    return heard;
}

/* ---- tests ---- */

static void a_sale_begins_and_ends(void **state)
{
    struct bench *bench = *state;
    struct muster_lease lease;
    serve(bench, answer_all);
    memset(&lease, 0xee, sizeof lease);
    assert_true(muster_lease_begin(bench->client, 3, 5000, &lease));
    assert_int_equal(lease.status, MUSTER_STORED);
    assert_true(lease.generation == GENERATION && lease.generation_digest[31] == 0xd1);
    assert_string_equal(lease.path, "/registry/generations/00000005");
    assert_string_equal(lease.waiting, "manifest 9 waits for the open?transaction");
    assert_string_equal(lease.text, "");
    struct heard heard = next_heard(bench);
    assert_true(heard.transaction && heard.terminal == 3 && heard.as_before);
    assert_in_range(heard.hold_ms, 1, 5000);
    /* What was said stays in force under the next sale. */
    assert_true(muster_lease_set(bench->client, 3, false, true, &lease));
    heard = next_heard(bench);
    assert_true(heard.transaction && heard.batch && !heard.reversal && !heard.as_before);
    assert_true(muster_lease_end(bench->client, 3, &lease));
    heard = next_heard(bench);
    assert_true(!heard.transaction && heard.as_before && heard.hold_ms == 0);
    assert_true(muster_lease_begin(bench->client, 3, 0, &lease));
    heard = next_heard(bench);
    assert_true(heard.transaction && heard.as_before);
    assert_in_range(heard.hold_ms, 100000, 120000);
}

static void without_an_agent_the_sale_goes_on(void **state)
{
    struct bench *bench = *state;
    struct muster_lease lease;
    assert_false(muster_lease_begin(bench->client, 0, 0, &lease));
    assert_int_equal(lease.status, MUSTER_UNREACHABLE);
    assert_non_null(strstr(lease.text, "go on with the sale"));
    assert_true(lease.generation == 0 && lease.path[0] == '\0');
    assert_false(muster_lease_set(bench->client, 1, true, false, &lease));
    assert_false(muster_lease_end(bench->client, 2, &lease));
    /* The agent is there: the first word of any kind brings the others, the last one first. */
    serve(bench, answer_all);
    const struct muster_txn txn = {.outcome = MUSTER_OUTCOME_APPROVED};
    struct muster_answer stored;
    assert_true(muster_record(bench->client, &txn, &stored));
    struct heard heard = next_heard(bench);
    assert_true(heard.terminal == 0 && heard.transaction && heard.as_before);
    heard = next_heard(bench);
    assert_true(heard.terminal == 1 && heard.reversal && !heard.transaction);
    heard = next_heard(bench);
    assert_true(heard.terminal == 2 && !heard.transaction && heard.as_before);
    assert_true(next_heard(bench).record);
}

static void what_holds_is_said_again_to_the_next_agent(void **state)
{
    struct bench *bench = *state;
    struct muster_lease lease;
    const struct muster_txn txn = {.outcome = MUSTER_OUTCOME_APPROVED};
    struct muster_answer stored;
    serve(bench, restart_and_answer_late);
    assert_true(muster_lease_begin(bench->client, 0, 0, &lease));
    assert_true(next_heard(bench).transaction);
    assert_true(muster_record(bench->client, &txn, &stored));
    struct heard again = next_heard(bench);
    assert_true(!again.record && again.transaction);
    assert_true(next_heard(bench).record);
    /* Its answer comes late, and is nobody's. */
    assert_true(muster_record(bench->client, &txn, &stored));
    assert_true(next_heard(bench).record);
}

static void what_was_not_kept_is_said_by_the_next_call(void **state)
{
    struct bench *bench = *state;
    struct muster_lease lease;
    const struct muster_txn txn = {.outcome = MUSTER_OUTCOME_APPROVED};
    struct muster_answer stored;
    serve(bench, full_at_first);
    assert_false(muster_lease_set(bench->client, 0, false, true, &lease));
    assert_int_equal(lease.status, MUSTER_FULL);
    assert_true(next_heard(bench).batch);
    assert_true(muster_record(bench->client, &txn, &stored));
    assert_true(next_heard(bench).batch);
    assert_true(next_heard(bench).record);
    assert_true(muster_record(bench->client, &txn, &stored)); /* and then no more */
    assert_true(next_heard(bench).record);
}

/* A sale is not held up by a disk that is full: its word says nothing of what was not kept. */
static void what_was_not_kept_is_a_word_of_its_own(void **state)
{
    struct bench *bench = *state;
    struct muster_lease lease;
    serve(bench, full_at_first);
    assert_false(muster_lease_set(bench->client, 0, false, true, &lease));
    assert_true(next_heard(bench).batch);
    assert_true(muster_lease_begin(bench->client, 0, 0, &lease));
    struct heard heard = next_heard(bench);
    assert_true(heard.batch && heard.transaction && !heard.as_before);
    heard = next_heard(bench);
    assert_true(heard.transaction && heard.as_before);
    assert_true(muster_lease_end(bench->client, 0, &lease)); /* and then no more */
    heard = next_heard(bench);
    assert_true(!heard.transaction && heard.as_before);
}

/* What it kept may be lost. */
static void the_next_agent_hears_of_the_batch_again(void **state)
{
    struct bench *bench = *state;
    struct muster_lease lease;
    serve(bench, restart_and_answer_late);
    assert_true(muster_lease_set(bench->client, 4, false, true, &lease));
    assert_true(next_heard(bench).batch);
    assert_true(muster_lease_begin(bench->client, 4, 0, &lease));
    struct heard heard = next_heard(bench);
    assert_true(heard.batch && heard.terminal == 4 && !heard.as_before);
    heard = next_heard(bench);
    assert_true(heard.transaction && heard.as_before);
}

static void a_sale_that_is_over_is_not_said_again(void **state)
{
    struct bench *bench = *state;
    struct muster_lease lease;
    const struct muster_txn txn = {.outcome = MUSTER_OUTCOME_APPROVED};
    struct muster_answer stored;
    assert_false(muster_lease_begin(bench->client, 0, 1, &lease));
    int64_t over_ms = clock_boot_ms(&clock_real) + 2;
    while (clock_boot_ms(&clock_real) < over_ms) /* by the clock, and no longer */
        ;
    serve(bench, answer_all);
    assert_true(muster_record(bench->client, &txn, &stored));
    assert_false(next_heard(bench).transaction);
}

/* The end of the connection would be the end of the sale. */
static void a_late_answer_does_not_end_a_sale(void **state)
{
    struct bench *bench = *state;
    enum { SHORT_MS = 100, TRIES = 100 };
    const struct muster_client_settings settings = {.socket_path = bench->path,
                                                    .deadline_ms = SHORT_MS};
    const struct muster_txn txn = {.outcome = MUSTER_OUTCOME_APPROVED};
    struct muster_lease lease;
    struct muster_answer stored;
    int tries = 0;
    muster_client_close(bench->client);
    bench->client = muster_client_open(&settings);
    assert_non_null(bench->client);
    serve(bench, answer_results_late);
    while (!muster_lease_begin(bench->client, 0, 0, &lease))
        assert_true(++tries < TRIES);
    assert_false(muster_record(bench->client, &txn, &stored));
    assert_int_equal(stored.status, MUSTER_TIMEOUT);
    while (!muster_lease_end(bench->client, 0, &lease)) /* a new connection nobody would accept */
        assert_true(++tries < TRIES && lease.status == MUSTER_TIMEOUT);
    assert_true(lease.generation == GENERATION);
    muster_client_close(bench->client);
    bench->client = NULL;
    assert_true(next_heard(bench).id == UINT64_MAX);
}

static void what_makes_no_sense_is_refused_here(void **state)
{
    struct bench *bench = *state;
    struct muster_lease lease;
    serve(bench, refuse_all);
    assert_false(muster_lease_begin(bench->client, 0, MUSTER_HOLD_MAX_MS + 1, &lease));
    assert_int_equal(lease.status, MUSTER_INVALID);
    for (uint32_t i = 0; i < MUSTER_LEASE_TERMINALS; i++) {
        assert_false(muster_lease_end(bench->client, i, &lease));
        assert_int_equal(lease.status, MUSTER_INVALID);
        assert_string_equal(lease.text, "because");
    }
    assert_false(muster_lease_begin(bench->client, 99, 0, &lease));
    assert_non_null(strstr(lease.text, "more than 16"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_sale_begins_and_ends),
        TEST(without_an_agent_the_sale_goes_on),
        TEST(what_holds_is_said_again_to_the_next_agent),
        TEST(what_was_not_kept_is_said_by_the_next_call),
        TEST(what_was_not_kept_is_a_word_of_its_own),
        TEST(the_next_agent_hears_of_the_batch_again),
        TEST(a_sale_that_is_over_is_not_said_again),
        TEST(a_late_answer_does_not_end_a_sale),
        TEST(what_makes_no_sense_is_refused_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
