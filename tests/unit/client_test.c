/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/client.h"

#include "agent/client_txn.h"
#include "base/clock.h"
#include "base/file.h"
#include "proto/local.pb-c.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LONG_MS = 20000, SHORT_MS = 50, SLACK_MS = 2000 };

/* The other side is a process on a real socket; `behave` is what it does there. */
struct bench {
    char dir[64];
    char path[80];
    int listener;
    pid_t server;
    struct muster_client *client;
};

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    *state = bench;
    (void)snprintf(bench->dir, sizeof bench->dir, "/tmp/client_test.XXXXXX");
    if (mkdtemp(bench->dir) == NULL)
        return -1;
    (void)snprintf(bench->path, sizeof bench->path, "%s/s", bench->dir);
    bench->listener = -1;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    struct err err;
    muster_client_close(bench->client);
    if (bench->server > 0) {
        (void)kill(bench->server, SIGKILL);
        (void)waitpid(bench->server, NULL, 0);
    }
    if (bench->listener >= 0)
        (void)close(bench->listener);
    bool ok = file_remove_tree(bench->dir, &err);
    free(bench);
    return ok ? 0 : -1;
}

static void listen_there(struct bench *bench, int backlog)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strcpy(at.sun_path, bench->path);
    bench->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(bench->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(bench->listener, backlog), 0);
}

static void open_client(struct bench *bench, int deadline_ms)
{
    const struct muster_client_settings settings = {.socket_path = bench->path,
                                                    .deadline_ms = deadline_ms};
    bench->client = muster_client_open(&settings);
    assert_non_null(bench->client);
}

static void start(struct bench *bench, void (*behave)(int listener), int deadline_ms)
{
    listen_there(bench, 16);
    bench->server = fork();
    assert_true(bench->server >= 0);
    if (bench->server == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)signal(SIGPIPE, SIG_IGN);
        behave(bench->listener);
        for (;;)
            (void)pause();
    }
    open_client(bench, deadline_ms);
}

/* ---- the server's side; it never returns when the client closes ---- */

/* The id of the next request; 0 when the client has closed. */
static uint64_t read_request(int fd)
{
    uint8_t wire[4096];
    size_t length = 0;
    uint64_t body = 0;
    int head = 0;
    while (head == 0 || length < (size_t)head + body) {
        /* Never more than one frame is under way: the client waits for its answer. */
        ssize_t n = recv(fd, wire + length, sizeof wire - length, 0);
        if (n <= 0)
            return 0;
        length += (size_t)n;
        head = varint_get(bytes_of(wire, length), &body);
    }
    Muster__ClientRequest *request =
        muster__client_request__unpack(NULL, (size_t)body, wire + head);
    uint64_t id = request != NULL ? request->id : 0;
    if (request != NULL)
        muster__client_request__free_unpacked(request, NULL);
    return id;
}

static size_t build_reply(uint64_t id, Muster__ReplyStatus status, uint64_t seq, uint8_t *wire)
{
    Muster__RecordId record = MUSTER__RECORD_ID__INIT;
    record.incarnation = 77;
    record.seq = seq;
    Muster__ClientReply reply = MUSTER__CLIENT_REPLY__INIT;
    reply.id = id;
    reply.status = status;
    reply.record = &record;
    reply.why = (char *)(uintptr_t) "because";
    uint8_t body[512];
    size_t length = muster__client_reply__pack(&reply, body);
    size_t head = varint_put(length, wire);
    memcpy(wire + head, body, length);
    return head + length;
}

static void send_reply(int fd, uint64_t id, Muster__ReplyStatus status, uint64_t seq)
{
    uint8_t wire[600];
    size_t length = build_reply(id, status, seq, wire);
    (void)send(fd, wire, length, MSG_NOSIGNAL);
}

static void answer_all(int listener)
{
    int fd = accept(listener, NULL, NULL);
    uint64_t seq = 0;
    for (uint64_t id = 0; (id = read_request(fd)) != 0;)
        send_reply(fd, id, MUSTER__REPLY_STATUS__REPLY_OK, ++seq);
}

static void answer_statuses(int listener)
{
    static const Muster__ReplyStatus statuses[] = {
        MUSTER__REPLY_STATUS__REPLY_DUPLICATE, MUSTER__REPLY_STATUS__REPLY_INVALID,
        MUSTER__REPLY_STATUS__REPLY_FULL, MUSTER__REPLY_STATUS__REPLY_FAILED,
        (Muster__ReplyStatus)99};
    int fd = accept(listener, NULL, NULL);
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        send_reply(fd, read_request(fd), statuses[i], 5);
}

static void never_answer(int listener)
{
    int fd = accept(listener, NULL, NULL);
    while (read_request(fd) != 0)
        ;
}

static void answer_the_first_when_the_second_is_there(int listener)
{
    int first = accept(listener, NULL, NULL);
    uint64_t first_id = read_request(first);
    int second = accept(listener, NULL, NULL);
    uint64_t second_id = read_request(second);
    send_reply(first, first_id, MUSTER__REPLY_STATUS__REPLY_OK, 1);
    send_reply(second, second_id, MUSTER__REPLY_STATUS__REPLY_OK, 2);
}

static void answer_another_id(int listener)
{
    int fd = accept(listener, NULL, NULL);
    send_reply(fd, read_request(fd) + 1, MUSTER__REPLY_STATUS__REPLY_OK, 1);
}

static void answer_garbage(int listener)
{
    static const char *const garbage[] = {
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", /* no varint */
        "\xff\xff\xff\xff\x0f",                         /* 4 GiB */
        "\x03xyz",                                      /* no message */
    };
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        int fd = accept(listener, NULL, NULL);
        (void)read_request(fd);
        (void)send(fd, garbage[i], strlen(garbage[i]), MSG_NOSIGNAL);
    }
}

static void close_in_mid_frame(int listener)
{
    int fd = accept(listener, NULL, NULL);
    uint8_t wire[600];
    size_t length = build_reply(read_request(fd), MUSTER__REPLY_STATUS__REPLY_OK, 1, wire);
    (void)send(fd, wire, length - 1, MSG_NOSIGNAL);
    (void)close(fd);
}

static void dribble(int listener)
{
    int fd = accept(listener, NULL, NULL);
    (void)read_request(fd);
    (void)send(fd, "\xff\x1f", 2, MSG_NOSIGNAL);
    struct pollfd closed = {.fd = fd, .events = POLLIN};
    while (poll(&closed, 1, 5) == 0 && send(fd, "x", 1, MSG_NOSIGNAL) == 1)
        ;
}

static void answer_one_a_connection(int listener)
{
    for (uint64_t seq = 1;; seq++) {
        int fd = accept(listener, NULL, NULL);
        send_reply(fd, read_request(fd), MUSTER__REPLY_STATUS__REPLY_OK, seq);
        (void)close(fd);
    }
}

/* ---- tests ---- */

static const struct muster_txn sale = {.type = MUSTER_TXN_SALE,
                                       .outcome = MUSTER_OUTCOME_DECLINED,
                                       .code = "57",
                                       .amount_minor = 1250,
                                       .currency = 156};

static struct muster_answer record(struct bench *bench)
{
    struct muster_answer answer;
    memset(&answer, 0xee, sizeof answer);
    bool ok = muster_record(bench->client, &sale, &answer);
    assert_int_equal(ok, answer.status == MUSTER_STORED || answer.status == MUSTER_DUPLICATE);
    assert_int_equal(ok, answer.text[0] == '\0');
    assert_int_equal(answer.key_length, 8);
    return answer;
}

static void a_result_is_stored(void **state)
{
    struct bench *bench = *state;
    start(bench, answer_all, LONG_MS);
    struct muster_answer first = record(bench), second = record(bench);
    assert_int_equal(first.status, MUSTER_STORED);
    assert_true(first.incarnation == 77 && first.seq == 1);
    assert_true(second.seq == 2);
    /* each result its own, one up from the one before */
    assert_memory_not_equal(first.key, second.key, 8);
    assert_int_equal((uint8_t)(second.key[7] - first.key[7]), 1);
}

static void each_answer_has_its_status(void **state)
{
    struct bench *bench = *state;
    start(bench, answer_statuses, LONG_MS);
    struct muster_answer answer = record(bench);
    assert_int_equal(answer.status, MUSTER_DUPLICATE);
    assert_true(answer.seq == 5);
    assert_int_equal((answer = record(bench)).status, MUSTER_INVALID);
    assert_string_equal(answer.text, "because");
    assert_int_equal(record(bench).status, MUSTER_FULL);
    assert_int_equal(record(bench).status, MUSTER_FAILED);
    assert_int_equal(record(bench).status, MUSTER_FAILED); /* a status of a later version */
}

static int64_t timed_record(struct bench *bench, struct muster_answer *ret_answer)
{
    int64_t before = clock_boot_ms(&clock_real);
    *ret_answer = record(bench);
    return clock_boot_ms(&clock_real) - before;
}

static void without_an_agent_it_returns_at_once(void **state)
{
    struct bench *bench = *state;
    struct muster_answer answer;
    open_client(bench, LONG_MS);
    assert_true(timed_record(bench, &answer) < SLACK_MS);
    assert_int_equal(answer.status, MUSTER_UNREACHABLE);
    assert_non_null(strstr(answer.text, bench->path));
    listen_there(bench, 1);
    (void)close(bench->listener); /* the file stays, as after a kill */
    bench->listener = -1;
    assert_true(timed_record(bench, &answer) < SLACK_MS);
    assert_int_equal(answer.status, MUSTER_UNREACHABLE);
    assert_non_null(strstr(answer.text, "go on with the sale"));
}

static void assert_times_out(struct bench *bench)
{
    struct muster_answer answer;
    int64_t took_ms = timed_record(bench, &answer);
    assert_int_equal(answer.status, MUSTER_TIMEOUT);
    assert_in_range(took_ms, SHORT_MS - 1, SHORT_MS + SLACK_MS);
    assert_non_null(strstr(answer.text, "50 ms"));
}

static void an_agent_that_never_answers_costs_the_deadline(void **state)
{
    struct bench *bench = *state;
    start(bench, never_answer, SHORT_MS);
    assert_times_out(bench);
}

static void dribbling_does_not_extend_the_deadline(void **state)
{
    struct bench *bench = *state;
    start(bench, dribble, SHORT_MS);
    assert_times_out(bench);
}

static void an_agent_that_does_not_accept_costs_the_deadline(void **state)
{
    struct bench *bench = *state;
    listen_there(bench, 0);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strcpy(at.sun_path, bench->path);
    int fds[8], used = 0;
    bool full = false;
    while (used < 8 && !full) {
        fds[used] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        full = connect(fds[used++], (struct sockaddr *)&at, sizeof at) != 0;
    }
    assert_true(full);
    open_client(bench, SHORT_MS);
    assert_times_out(bench);
    while (used > 0)
        (void)close(fds[--used]);
}

static void a_late_answer_is_nobodys(void **state)
{
    struct bench *bench = *state;
    start(bench, answer_the_first_when_the_second_is_there, SHORT_MS);
    assert_times_out(bench);
    /* Calls again until the slow server got one in time; the first answer must not count. */
    struct muster_answer answer = record(bench);
    if (answer.status == MUSTER_STORED)
        assert_true(answer.seq == 2);
    else
        assert_int_equal(answer.status, MUSTER_TIMEOUT);
}

static void the_answer_to_another_request_is_refused(void **state)
{
    struct bench *bench = *state;
    start(bench, answer_another_id, LONG_MS);
    assert_int_equal(record(bench).status, MUSTER_UNREACHABLE);
}

static void garbage_is_refused(void **state)
{
    struct bench *bench = *state;
    start(bench, answer_garbage, LONG_MS);
    for (int i = 0; i < 3; i++)
        assert_int_equal(record(bench).status, MUSTER_UNREACHABLE);
}

static bool unpack_reply(Muster__ClientReply *message, struct client_reply *ret_reply)
{
    uint8_t packed[1024];
    size_t length = muster__client_reply__get_packed_size(message);
    assert_true(length <= sizeof packed);
    (void)muster__client_reply__pack(message, packed);
    return client_txn_unpack(bytes_of(packed, length), ret_reply, NULL);
}

static void stored_without_a_record_is_no_answer(void **state)
{
    Muster__ClientReply message = MUSTER__CLIENT_REPLY__INIT;
    Muster__RecordId record = MUSTER__RECORD_ID__INIT;
    struct client_reply reply;
    (void)state;
    message.status = MUSTER__REPLY_STATUS__REPLY_OK;
    assert_false(unpack_reply(&message, &reply));
    message.record = &record;
    assert_false(unpack_reply(&message, &reply));
    record.seq = 1;
    assert_true(unpack_reply(&message, &reply));
    message.status = MUSTER__REPLY_STATUS__REPLY_DUPLICATE;
    message.record = NULL;
    assert_false(unpack_reply(&message, &reply));
}

static void an_answer_is_one_line(void **state)
{
    Muster__ClientReply message = MUSTER__CLIENT_REPLY__INIT;
    struct client_reply reply;
    char why[] = "no\nroom\x1b[2J \xc3\xa9\xff";
    (void)state;
    message.status = MUSTER__REPLY_STATUS__REPLY_FULL;
    message.why = why;
    assert_true(unpack_reply(&message, &reply));
    assert_string_equal(reply.answer.text, "no?room?[2J \xc3\xa9?");
}

static void a_close_in_mid_frame_is_no_answer(void **state)
{
    struct bench *bench = *state;
    start(bench, close_in_mid_frame, LONG_MS);
    assert_int_equal(record(bench).status, MUSTER_UNREACHABLE);
}

static void a_restarted_agent_is_found_again_in_the_same_call(void **state)
{
    struct bench *bench = *state;
    start(bench, answer_one_a_connection, LONG_MS);
    for (uint64_t i = 1; i <= 5; i++) {
        struct muster_answer answer = record(bench);
        assert_int_equal(answer.status, MUSTER_STORED);
        assert_true(answer.seq == i);
    }
}

static void wrong_fields_never_leave_the_process(void **state)
{
    struct bench *bench = *state;
    static const struct {
        struct muster_txn txn;
        const char *names;
    } rows[] = {
        {{.outcome = MUSTER_OUTCOME_UNKNOWN}, "outcome"},
        {{.outcome = (enum muster_outcome)77}, "outcome"},
        {{.outcome = MUSTER_OUTCOME_APPROVED, .stan = 1000000}, "stan"},
        {{.outcome = MUSTER_OUTCOME_APPROVED, .code = "12345"}, "code"},
        {{.outcome = MUSTER_OUTCOME_APPROVED, .code = "5 7"}, "code"},
        {{.outcome = MUSTER_OUTCOME_APPROVED, .app_version = "a\nb"}, "app_version"},
        {{.outcome = MUSTER_OUTCOME_APPROVED, .app_version = "1.0\xb0"}, "app_version"},
        {{.outcome = MUSTER_OUTCOME_APPROVED, .aid = {"1234", 4}}, "aid"},
        {{.outcome = MUSTER_OUTCOME_APPROVED, .card_token = {"4111111111111111", 16}},
         "card_token"},
        {{.outcome = MUSTER_OUTCOME_APPROVED, .amount_minor = 1000000000000}, "amount_minor"},
        /* The published Visa test number, not an account: the answer must not repeat it. */
        {{.outcome = MUSTER_OUTCOME_APPROVED, .amount_minor = 4111111111111111}, "amount_minor"},
        {{.outcome = MUSTER_OUTCOME_APPROVED, .wall_ms = -1}, "wall_ms"},
        {{.outcome = MUSTER_OUTCOME_APPROVED,
          .idempotency_key = {"123456789012345678901234567890123", 33}},
         "idempotency_key"},
    };
    open_client(bench, LONG_MS); /* nobody listens: a wrong order of checks would be seen */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct muster_answer answer;
        assert_false(muster_record(bench->client, &rows[i].txn, &answer));
        assert_int_equal(answer.status, MUSTER_INVALID);
        assert_non_null(strstr(answer.text, rows[i].names));
        assert_null(strstr(answer.text, "4111111111111111"));
    }
}

static void the_key_is_told_even_when_nobody_answers(void **state)
{
    struct bench *bench = *state;
    struct muster_txn txn = sale;
    struct muster_answer answer;
    open_client(bench, SHORT_MS);
    txn.idempotency_key = (struct muster_bytes){"sale-7", 6};
    assert_false(muster_record(bench->client, &txn, &answer));
    assert_int_equal(answer.key_length, 6);
    assert_memory_equal(answer.key, "sale-7", 6);
}

static void a_path_that_fits_no_socket_opens_nothing(void **state)
{
    (void)state;
    char path[200];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    const struct muster_client_settings settings = {.socket_path = path};
    assert_null(muster_client_open(&settings));
    muster_client_close(NULL);
    struct muster_client *client = muster_client_open(NULL);
    assert_non_null(client);
    muster_client_close(client);
}

/* Every field of the message is the application's to set but these two: of one libmuster itself
 * knows it, the other is the agent's. */
static void no_field_of_the_message_is_forgotten(void **state)
{
    (void)state;
    static const char *const names[] = {
        "generation",
        "masked",
#define TXN_KEY(name, flag, help) #name,
#define TXN_NUMBER(name, flag, max, help) #name,
#define TXN_SIGNED(name, flag, min, max, help) #name,
#define TXN_ENUM(name, flag, type, descriptor, prefix, help) #name,
#define TXN_TEXT(name, flag, max_bytes, alphanumeric, help) #name,
#define TXN_BYTES(name, flag, min_bytes, max_bytes, help) #name,
#define TXN_BOOL(name, flag, help) #name,
#include "agent/txn_fields.def"
    };
    const ProtobufCMessageDescriptor *type = &muster__txn_result__descriptor;
    assert_int_equal(type->n_fields, sizeof names / sizeof names[0]);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_non_null(protobuf_c_message_descriptor_get_field_by_name(type, names[i]));
}

static void every_field_arrives(void **state)
{
    (void)state;
    struct muster_txn txn = {.outcome = MUSTER_OUTCOME_APPROVED};
    uint32_t n = 1;
#define TXN_NUMBER(name, flag, max, help) txn.name = n++ % 9 + 1;
#define TXN_SIGNED(name, flag, min, max, help) txn.name = 7;
#define TXN_TEXT(name, flag, max_bytes, alphanumeric, help) txn.name = "abcd";
#define TXN_BYTES(name, flag, min_bytes, max_bytes, help)                                          \
    txn.name = (struct muster_bytes){"0123456789", min_bytes};
#define TXN_BOOL(name, flag, help) txn.name = true;
#include "agent/txn_fields.def"
    txn.network = MUSTER_NETWORK_5G;
    txn.fallback = MUSTER_FALLBACK_GPO;
    struct buf out = {0};
    struct err err;
    assert_true(
        client_txn_pack(&txn, bytes_of("key", 3), (const uint8_t *)"12345678", 9, &out, &err));
    Muster__ClientRequest *request = muster__client_request__unpack(NULL, out.length, out.data);
    assert_non_null(request);
    const Muster__TxnResult *got = request->txn;
    assert_memory_equal(got->idempotency_key.data, "key", 3);
    assert_int_equal(got->generation.len, 8);
    assert_memory_equal(got->generation.data, "12345678", 8);
    n = 1;
#define TXN_NUMBER(name, flag, max, help) assert_true(got->name == n++ % 9 + 1);
#define TXN_SIGNED(name, flag, min, max, help) assert_true(got->name == 7);
#define TXN_TEXT(name, flag, max_bytes, alphanumeric, help) assert_string_equal(got->name, "abcd");
#define TXN_BYTES(name, flag, min_bytes, max_bytes, help)                                          \
    assert_int_equal(got->name.len, min_bytes);
#define TXN_ENUM(name, flag, type, descriptor, prefix, help)                                       \
    assert_int_equal((int)got->name, (int)txn.name);
#define TXN_BOOL(name, flag, help) assert_true(got->name);
#include "agent/txn_fields.def"
    muster__client_request__free_unpacked(request, NULL);
    buf_done(&out);
}

#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(a_result_is_stored),
        BENCH_TEST(each_answer_has_its_status),
        BENCH_TEST(without_an_agent_it_returns_at_once),
        BENCH_TEST(an_agent_that_never_answers_costs_the_deadline),
        BENCH_TEST(dribbling_does_not_extend_the_deadline),
        BENCH_TEST(an_agent_that_does_not_accept_costs_the_deadline),
        BENCH_TEST(a_late_answer_is_nobodys),
        BENCH_TEST(the_answer_to_another_request_is_refused),
        BENCH_TEST(garbage_is_refused),
        BENCH_TEST(a_close_in_mid_frame_is_no_answer),
        BENCH_TEST(a_restarted_agent_is_found_again_in_the_same_call),
        BENCH_TEST(wrong_fields_never_leave_the_process),
        BENCH_TEST(the_key_is_told_even_when_nobody_answers),
        cmocka_unit_test(stored_without_a_record_is_no_answer),
        cmocka_unit_test(an_answer_is_one_line),
        cmocka_unit_test(a_path_that_fits_no_socket_opens_nothing),
        cmocka_unit_test(no_field_of_the_message_is_forgotten),
        cmocka_unit_test(every_field_arrives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
