/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command.h"

#include "base/file.h"
#include "base/stream.h"
#include "proto/limits.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The other side of the wire: a process with a real stream server that keeps keys as an agent
 * does. What it saw is told through memory that both processes share. */
enum { KEYS_MAX = 2000, BATCH_MAX = 512 };

struct seen {
    unsigned stored, connections;
    unsigned most_under_way; /* requests that came in one loop turn */
    char keys[KEYS_MAX][33];
    /* What the test asks for. */
    unsigned close_after; /* results stored: then one close without an answer; 0: never */
    bool silent;
    bool drifting;
};

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

struct bench {
    char dir[64];
    char path[80], input[80], output[80], errors[80];
    struct seen *seen;
    pid_t server;
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
    Muster__Health health = MUSTER__HEALTH__INIT;
    health.spool_records = 12;
    Muster__AgentStatus status = MUSTER__AGENT_STATUS__INIT;
    status.device = (char *)(uintptr_t) "term-0001";
    status.link_joined = true;
    status.link_reason = (char *)(uintptr_t) "connection refused";
    status.state = &state;
    status.health = &health;
    Muster__Event event = MUSTER__EVENT__INIT;
    event.wall_ms = 1795351139123;
    event.kind = MUSTER__EVENT_KIND__EVENT_DRIFT;
    event.item = (char *)(uintptr_t) "bin-table";
    event.text = (char *)(uintptr_t) "held 7\x1b[2J, wanted 8";
    Muster__Event *events[] = {&event};
    Muster__ClientReply reply = MUSTER__CLIENT_REPLY__INIT;
    reply.id = request->id;
    reply.status = MUSTER__REPLY_STATUS__REPLY_OK;
    if (request->what_case == MUSTER__CLIENT_REQUEST__WHAT_STATUS)
        reply.agent = &status;
    if (request->what_case == MUSTER__CLIENT_REQUEST__WHAT_SELFCHECK)
        reply.state = &state;
    if (request->what_case == MUSTER__CLIENT_REQUEST__WHAT_WHY) {
        reply.events = events;
        reply.n_events = 1;
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

static int set_up(void **state)
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

static int tear_down(void **state)
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

static void start(struct bench *bench)
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

/* Stands in for a descriptor; returns what it was. */
static int redirect(int fd, const char *path, int flags)
{
    int before = dup(fd);
    int to = open(path, flags, 0600);
    assert_true(to >= 0 && dup2(to, fd) == fd);
    (void)close(to);
    return before;
}

static void restore(int fd, int before)
{
    assert_int_equal(dup2(before, fd), fd);
    (void)close(before);
}

/* Runs a command line, its words ended by NULL, with its output in files. */
static int run(struct bench *bench, int (*command)(int, char **), ...)
{
    char *argv[16];
    int argc = 0;
    va_list words;
    va_start(words, command);
    while ((argv[argc] = va_arg(words, char *)) != NULL)
        argc++;
    va_end(words);
    (void)fflush(NULL);
    int out = redirect(STDOUT_FILENO, bench->output, O_WRONLY | O_CREAT | O_TRUNC);
    int errors = redirect(STDERR_FILENO, bench->errors, O_WRONLY | O_CREAT | O_TRUNC);
    optind = 0; /* glibc: begin anew */
    int exit_code = command(argc, argv);
    (void)fflush(NULL);
    restore(STDOUT_FILENO, out);
    restore(STDERR_FILENO, errors);
    return exit_code;
}

static void assert_holds(const char *path, const char *expected, bool holds)
{
    struct buf content = {0};
    struct err err;
    assert_true(file_read(path, 1024 * 1024, &content, &err));
    assert_true(buf_append(&content, "", 1, &err));
    if ((strstr((char *)content.data, expected) != NULL) != holds)
        fail_msg("%s \"%s\" in: %s", holds ? "no" : "there is", expected, (char *)content.data);
    buf_done(&content);
}

static void write_lines(struct bench *bench, unsigned count)
{
    struct buf text = {0};
    struct err err;
    for (unsigned i = 0; i < count; i++) {
        char line[128];
        int n = snprintf(line, sizeof line,
                         "{\"idempotency_key\":\"k%u\",\"outcome\":\"approved\"}\n", i);
        assert_true(buf_append(&text, line, (size_t)n, &err));
    }
    assert_true(file_write(bench->input, buf_bytes(&text), 0600, &err));
    buf_done(&text);
}

/* ---- tests ---- */

static void one_result_is_recorded_by_flags(void **state)
{
    struct bench *bench = *state;
    start(bench);
    assert_int_equal(run(bench, command_record, "record", "--outcome", "declined", "--code", "57",
                         "--amount-minor", "1250", "--currency", "156", "--entry", "contactless",
                         "--key", "sale-1", NULL),
                     EXIT_OK);
    assert_holds(bench->output, "stored: ", true);
    assert_holds(bench->output, "key sale-1", true);
    assert_int_equal(run(bench, command_record, "record", "--outcome", "declined", "--key",
                         "sale-1", "-o", "json", NULL),
                     EXIT_OK);
    assert_holds(bench->output, "\"status\": \"duplicate\"", true);
    assert_int_equal(bench->seen->stored, 1);
    assert_string_equal(bench->seen->keys[0], "sale-1");
}

static void exit_codes_tell_how_it_ended(void **state)
{
    struct bench *bench = *state;
    assert_int_equal(run(bench, command_record, "record", "--outcome", "approved", NULL),
                     EXIT_UNREACHABLE);
    assert_holds(bench->errors, bench->path, true);
    assert_int_equal(run(bench, command_status, "status", NULL), EXIT_UNREACHABLE);
    start(bench);
    assert_int_equal(run(bench, command_record, "record", "--outcome", "approved", "--amount-minor",
                         "666", NULL),
                     EXIT_INPUT);
    assert_holds(bench->errors, "the agent's own reason", true);
    assert_int_equal(run(bench, command_record, "record", "--outcome", "approved", "--amount-minor",
                         "777", NULL),
                     EXIT_SYSTEM);
    bench->seen->silent = true;
    assert_int_equal(
        run(bench, command_record, "record", "--outcome", "approved", "--deadline", "50", NULL),
        EXIT_TIMEOUT);
    assert_int_equal(run(bench, command_why, "why", "--deadline", "50", NULL), EXIT_TIMEOUT);
}

static void wrong_usage_ends_with_2(void **state)
{
    struct bench *bench = *state;
    assert_int_equal(run(bench, command_record, "record", NULL), EXIT_USAGE);
    assert_int_equal(run(bench, command_record, "record", "--pan", "x", NULL), EXIT_USAGE);
    assert_int_equal(run(bench, command_record, "record", "--outcome", "lost", NULL), EXIT_USAGE);
    assert_int_equal(run(bench, command_record, "record", "--outcome", "approved", "x", NULL),
                     EXIT_USAGE);
    assert_int_equal(run(bench, command_record, "record", "--json", "-", "--code", "57", NULL),
                     EXIT_USAGE);
    assert_int_equal(run(bench, command_status, "status", "-o", "xml", NULL), EXIT_USAGE);
    assert_int_equal(run(bench, command_status, "status", "--deadline", "0", NULL), EXIT_USAGE);
    assert_int_equal(run(bench, command_status, "status", "now", NULL), EXIT_USAGE);
    assert_int_equal(run(bench, command_record, "record", "--help", NULL), EXIT_OK);
    assert_holds(bench->output, "--amount-minor", true);
}

static void a_card_number_is_not_repeated_on_stderr(void **state)
{
    struct bench *bench = *state;
    /* 4111... is the schemes' published test number. */
    assert_int_equal(run(bench, command_record, "record", "--stan", "4111111111111111", NULL),
                     EXIT_USAGE);
    assert_holds(bench->errors, "4111111111111111", false);
    assert_holds(bench->errors, "stan = ****************", true);
}

static void many_lines_share_turns_and_all_arrive(void **state)
{
    struct bench *bench = *state;
    start(bench);
    write_lines(bench, 1000);
    assert_int_equal(run(bench, command_record, "record", "--json", bench->input, NULL), EXIT_OK);
    assert_int_equal(bench->seen->stored, 1000);
    assert_true(bench->seen->most_under_way > 1);
    assert_true(bench->seen->most_under_way <= 256);
    assert_holds(bench->output, "1000 lines: 1000 stored, 0 stored before", true);
    assert_int_equal(
        run(bench, command_record, "record", "--json", bench->input, "-o", "json", NULL), EXIT_OK);
    assert_holds(bench->output, "\"duplicate\": 1000", true);
    assert_int_equal(bench->seen->stored, 1000);
}

static void refused_lines_are_told_and_the_others_go_on(void **state)
{
    struct bench *bench = *state;
    struct err err;
    static const char text[] = "{\"outcome\":\"approved\",\"idempotency_key\":\"a\"}\n"
                               "{\"outcome\":\n"
                               "\n"
                               "{\"outcome\":\"approved\",\"pan\":\"4111111111111111\"}\n"
                               "{\"idempotency_key\":\"c\"}\n"
                               "{\"outcome\":\"approved\",\"amount_minor\":666}\n"
                               "{\"outcome\":\"approved\",\"idempotency_key\":\"b\"}";
    start(bench);
    assert_true(file_write(bench->input, bytes_of(text, sizeof text - 1), 0600, &err));
    int before = redirect(STDIN_FILENO, bench->input, O_RDONLY);
    int exit_code = run(bench, command_record, "record", "--json", "-", NULL);
    restore(STDIN_FILENO, before);
    assert_int_equal(exit_code, EXIT_INPUT);
    assert_int_equal(bench->seen->stored, 2);
    assert_holds(bench->errors, "stdin:2: not JSON", true);
    assert_holds(bench->errors, "stdin:3:", false); /* an empty line is nothing */
    assert_holds(bench->errors, "stdin:4: unknown field pan", true);
    assert_holds(bench->errors, "stdin:5: outcome is missing", true);
    assert_holds(bench->errors, "stdin:6: the agent's own reason", true);
    assert_holds(bench->output, "6 lines: 2 stored, 0 stored before, 4 refused", true);
}

static void an_agent_that_restarts_in_the_middle_gets_the_rest(void **state)
{
    struct bench *bench = *state;
    bench->seen->close_after = 300;
    start(bench);
    write_lines(bench, 1000);
    assert_int_equal(run(bench, command_record, "record", "--json", bench->input, NULL), EXIT_OK);
    assert_int_equal(bench->seen->stored, 1000);
    assert_int_equal(bench->seen->connections, 2);
    assert_holds(bench->output, " 0 stored before", false); /* some had been stored unanswered */
    assert_holds(bench->output, "0 refused, 0 failed, 0 unconfirmed", true);
}

static void lines_without_an_answer_are_counted(void **state)
{
    struct bench *bench = *state;
    bench->seen->silent = true;
    start(bench);
    write_lines(bench, 3);
    assert_int_equal(
        run(bench, command_record, "record", "--json", bench->input, "--deadline", "50", NULL),
        EXIT_TIMEOUT);
    assert_holds(bench->errors, "3 lines were not confirmed, the first is 1", true);
    assert_holds(bench->output, "3 unconfirmed", true);
}

static void questions_are_answered_as_table_and_json(void **state)
{
    struct bench *bench = *state;
    start(bench);
    assert_int_equal(run(bench, command_status, "status", NULL), EXIT_OK);
    assert_holds(bench->output, "term-0001", true);
    assert_holds(bench->output, "not connected: connection refused", true);
    assert_holds(bench->output, "bin-table", true);
    assert_int_equal(run(bench, command_status, "status", "-o", "json", NULL), EXIT_OK);
    assert_holds(bench->output, "\"spool_records\": 12", true);
    assert_int_equal(run(bench, command_why, "why", NULL), EXIT_OK);
    assert_holds(bench->output, "2026-11-22T12:38:59.123Z  drift", true);
    assert_holds(bench->output, "held 7?[2J, wanted 8", true); /* no escape reaches a terminal */
    assert_int_equal(run(bench, command_why, "why", "-o", "json", NULL), EXIT_OK);
    assert_holds(bench->output, "\"kind\": \"drift\"", true);
}

static void selfcheck_says_no_when_something_differs(void **state)
{
    struct bench *bench = *state;
    start(bench);
    assert_int_equal(run(bench, command_selfcheck, "selfcheck", NULL), EXIT_OK);
    assert_holds(bench->output, "repaired", true);
    bench->seen->drifting = true;
    assert_int_equal(run(bench, command_selfcheck, "selfcheck", NULL), EXIT_NO);
    assert_holds(bench->output, "1 differ", true);
    assert_int_equal(run(bench, command_selfcheck, "selfcheck", "-o", "json", NULL), EXIT_NO);
    assert_holds(bench->output, "\"state\": \"drift\"", true);
}

#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(one_result_is_recorded_by_flags),
        BENCH_TEST(exit_codes_tell_how_it_ended),
        BENCH_TEST(wrong_usage_ends_with_2),
        BENCH_TEST(a_card_number_is_not_repeated_on_stderr),
        BENCH_TEST(many_lines_share_turns_and_all_arrive),
        BENCH_TEST(refused_lines_are_told_and_the_others_go_on),
        BENCH_TEST(an_agent_that_restarts_in_the_middle_gets_the_rest),
        BENCH_TEST(lines_without_an_answer_are_counted),
        BENCH_TEST(questions_are_answered_as_table_and_json),
        BENCH_TEST(selfcheck_says_no_when_something_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
