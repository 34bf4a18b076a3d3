/* SPDX-License-Identifier: Apache-2.0 */
/* A record's way through the agent, from the recorder to the packet and back to its receipt, with a
 * fault at every place. The link is played here: it keeps what it is given. */
#include "agent/receipts.h"
#include "agent/recorder.h"
#include "agent/sender.h"
#include "base/file.h"
#include "proto/batch.h"
#include "proto/envelope.h"
#include "proto/unpack.h"
#include "tests/inject/ledger.h"
#include "tests/inject/sweep.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TRIES_UNDER_FAULT = 2, /* then the fault is over */
    TRIES = 5,
    PATH_BYTES = 128,
    PACKETS_MAX = 16,
    RESULTS = 3,
    RESEND_MS = 1000,
};
#define DEVICE "term-0001"

static struct {
    struct sign_key *root, *receipt, *agent;
    struct trust *trust;
} keys;

static struct {
    char path[PATH_BYTES];
    int64_t now_ms;
    struct clock clock;
    uv_loop_t loop;
    struct spool *spool;
    struct recorder *recorder;
    struct sender sender;
    struct ledger ledger;
    bool failed; /* the spool, so the agent ends */
    unsigned answered;
    size_t packet_count;
    struct buf packets[PACKETS_MAX];
} desk;

static int64_t read_now_ms(void *ctx)
{
    (void)ctx;
    return desk.now_ms;
}

/* ---- the link ---- */

static void keep_packet(struct bytes payload)
{
    if (desk.packet_count == PACKETS_MAX)
        abort();
    MUST(buf_append(&desk.packets[desk.packet_count++], payload.data, payload.length, &err));
}

bool linkport_publish(struct linkport *port, uint64_t token, const char *topic,
                      struct bytes payload, struct err *err)
{
    (void)port, (void)token, (void)topic, (void)err;
    faults_off();
    keep_packet(payload);
    faults_on();
    return true;
}

static bool is_stored(const struct lane_rows *rows, size_t index)
{
    struct buf body = {0};
    MUST(pack(rows->rows[index], &body, &err));
    bool found = false;
    for (size_t i = 0; i < desk.ledger.count; i++) {
        const struct ledger_record *record = &desk.ledger.records[i];
        found = found || (bytes_equal(buf_bytes(&body), bytes_of(record->body, record->length)) &&
                          (!record->acked || (record->incarnation == rows->incarnation &&
                                              record->seq == rows->first_seq + index)));
    }
    buf_done(&body);
    return found;
}

/* What was sent is what was stored, under the same ids. */
static void check_packets(void)
{
    for (size_t i = 0; i < desk.packet_count; i++) {
        struct envelope envelope;
        struct arena arena = {0};
        struct lane_rows *lanes = NULL;
        size_t count = 0;
        struct err err = {0};
        if (!envelope_read(buf_bytes(&desk.packets[i]), &envelope, &err) ||
            !batch_decode(envelope.body, &arena, &lanes, &count, &err))
            violation("a packet that nobody can decode: %s", err.text);
        for (size_t k = 0; k < count; k++) {
            if (lanes[k].lost != MUSTER__LOSS_REASON__LOSS_NONE)
                violation("seq %" PRIu64 " was sent as lost", lanes[k].first_seq);
            for (size_t row = 0; row < lanes[k].count && lanes[k].lost == 0; row++) {
                if (!is_stored(&lanes[k], row))
                    violation("seq %" PRIu64 " was sent as it never was", lanes[k].first_seq + row);
            }
        }
        arena_done(&arena);
        buf_done(&desk.packets[i]);
    }
    desk.packet_count = 0;
}

/* ---- the agent ---- */

static void on_failed(void *ctx, size_t count, const struct err *err)
{
    (void)ctx, (void)count;
    desk.failed = desk.failed || err->code != ERR_FULL;
}

static bool start(struct err *err)
{
    static const struct uplink_policy policy = {.resend_ms = RESEND_MS, .resend_max_ms = 8000};
    static const struct recorder_events events = {.failed = on_failed};
    const struct spool_settings settings = {
        .path = desk.path, .device = DEVICE, .quota_bytes = 64 << 20, .key_window = 100};
    desk.failed = false;
    if (!UNDER_FAULTS(spool_open(&settings, &desk.clock, &desk.spool, err)))
        return false;
    if (!UNDER_FAULTS(recorder_open(&desk.loop, desk.spool, &events, NULL, &desk.recorder, err)))
        return false;
    desk.sender = (struct sender){.spool = desk.spool, .key = keys.agent, .device = DEVICE};
    uplink_init(&desk.sender.uplink, &policy);
    uplink_connected(&desk.sender.uplink, 0);
    return true;
}

static void stop(void)
{
    struct spool *spool = desk.spool;
    struct recorder *recorder = desk.recorder;
    desk.spool = NULL;
    desk.recorder = NULL;
    faults_on();
    recorder_close(recorder);
    faults_off();
    (void)uv_run(&desk.loop, UV_RUN_DEFAULT);
    faults_on();
    spool_close(spool);
    faults_off();
}

/* ---- steps ---- */

static void on_done(void *ctx, const struct spool_record *record, const struct err *err)
{
    (void)err;
    faults_off();
    if (record != NULL) {
        desk.answered++;
        ledger_answer(&desk.ledger, ctx, record);
    }
    faults_on();
}

/* All that have no answer yet, as clients give them again. */
static bool record_all(struct err *err)
{
    desk.answered = 0;
    unsigned wanted = 0;
    for (size_t i = 0; i < RESULTS; i++) {
        struct ledger_record *record = &desk.ledger.records[i];
        Muster__TxnResult txn = MUSTER__TXN_RESULT__INIT;
        txn.amount_minor = i + 1;
        txn.code = (char *)(uintptr_t) "57";
        if (record->acked)
            continue;
        wanted++;
        if (!UNDER_FAULTS(recorder_add(desk.recorder, MUSTER__LANE__LANE_TXN, HASTE_LINGERS,
                                       bytes_of(record->key, strlen(record->key)), &txn.base,
                                       on_done, record, err)))
            break;
    }
    faults_on();
    recorder_flush(desk.recorder);
    faults_off();
    return desk.answered == wanted || err_set(err, ERR_UNAVAILABLE, "not all were answered");
}

static bool send_all(struct err *err)
{
    faults_on();
    sender_pump(&desk.sender, desk.now_ms);
    faults_off();
    desk.now_ms += 10 * RESEND_MS;
    bool sent = desk.packet_count > 0;
    check_packets();
    return sent || err_set(err, ERR_UNAVAILABLE, "nothing was sent");
}

static struct buf make_receipt(uint64_t incarnation, uint64_t cumulative)
{
    Muster__StreamReceipt stream = MUSTER__STREAM_RECEIPT__INIT, *streams[] = {&stream};
    Muster__Receipt receipt = MUSTER__RECEIPT__INIT;
    const struct sign_key *signers[] = {keys.receipt};
    struct buf body = {0}, envelope = {0};
    stream.incarnation = incarnation;
    stream.lane = MUSTER__LANE__LANE_TXN;
    stream.cumulative = cumulative;
    receipt.device = (char *)(uintptr_t)DEVICE;
    receipt.issued_ms = 1000;
    receipt.streams = streams;
    receipt.n_streams = 1;
    MUST(pack(&receipt.base, &body, &err) &&
         seal("receipt", DEVICE, buf_bytes(&body), signers, 1, true, &envelope, &err));
    buf_done(&body);
    return envelope;
}

static bool take_receipt(struct err *err)
{
    static struct receipts_taken taken;
    const struct ledger_record *first = &desk.ledger.records[0];
    struct arena arena = {0};
    struct buf envelope = make_receipt(first->incarnation, first->seq);
    struct ledger_claim *claim = ledger_claim(&desk.ledger, first->incarnation, 1, 1, first->seq);
    claim->taken = UNDER_FAULTS(receipts_take(desk.spool, keys.trust, DEVICE, buf_bytes(&envelope),
                                              0, &arena, &taken, err));
    if (claim->taken && taken.lost_count > 0)
        violation("a receipt that refuses nothing gave records up");
    bool done = claim->taken;
    buf_done(&envelope);
    arena_done(&arena);
    return done;
}

static void take(bool (*step)(struct err *err))
{
    struct err err = {0};
    for (int tries = 0; tries < TRIES; tries++) {
        if (tries == TRIES_UNDER_FAULT)
            faults_end();
        bool started = desk.recorder != NULL || start(&err);
        bool done = started && step(&err);
        if (!started || desk.failed || (!done && err.code == ERR_IO))
            stop();
        if (done)
            return;
    }
    violation("does not recover: %s", err.text);
}

/* ---- scenes ---- */

static void begin(void)
{
    char to[PATH_BYTES], from[PATH_BYTES];
    memset(&desk, 0, sizeof desk);
    (void)snprintf(from, sizeof from, "%s/template", sweep_dir());
    (void)snprintf(to, sizeof to, "%s/run", sweep_dir());
    (void)snprintf(desk.path, sizeof desk.path, "%s/run/spool.db", sweep_dir());
    sweep_copy(from, to);
    desk.clock = (struct clock){.wall_ms = read_now_ms, .boot_ms = read_now_ms};
    desk.now_ms = 1000;
    (void)uv_loop_init(&desk.loop);
    for (size_t i = 0; i < RESULTS; i++) {
        char key[8];
        struct buf body = {0};
        Muster__TxnResult txn = MUSTER__TXN_RESULT__INIT;
        (void)snprintf(key, sizeof key, "key %zu", i);
        txn.amount_minor = i + 1;
        txn.code = (char *)(uintptr_t) "57";
        MUST(pack(&txn.base, &body, &err));
        struct ledger_record *record = ledger_add(&desk.ledger, 1, 1, key, body.length);
        memcpy(record->body, body.data, body.length);
        buf_done(&body);
    }
}

static void run_way(void)
{
    struct err err = {0};
    struct fault fault = *faults_planned();
    begin();
    faults_end();
    if (!start(&err))
        violation("does not start: %s", err.text);
    faults_plan(&fault);
    take(record_all);
    take(send_all);
    take(take_receipt);
    faults_end();
    stop();
    if (!start(&err)) {
        violation("does not start again: %s", err.text);
        stop();
        return;
    }
    ledger_check(&desk.ledger, desk.spool);
    ledger_check_keys(&desk.ledger, desk.spool);
    stop();
    (void)uv_loop_close(&desk.loop);
}

/* ---- before any fault ---- */

static struct sign_key *make_key(const char *name)
{
    char path[PATH_BYTES];
    struct sign_key *key = NULL;
    (void)snprintf(path, sizeof path, "%s/%s.pem", sweep_dir(), name);
    MUST(sign_key_make(path, &key, &err));
    return key;
}

static void make_trust(void)
{
    const struct sign_key *signers[] = {keys.root, keys.receipt, keys.root};
    const Muster__Role names[] = {MUSTER__ROLE__ROLE_ROOT, MUSTER__ROLE__ROLE_RECEIPT,
                                  MUSTER__ROLE__ROLE_DIRECTOR};
    Muster__PublicKey publics[3], *lists[3];
    Muster__RoleKeys roles[3], *role_list[3];
    Muster__Root root = MUSTER__ROOT__INIT;
    struct buf body = {0}, envelope = {0};
    for (size_t i = 0; i < 3; i++) {
        struct bytes spki = sign_key_spki(signers[i]);
        publics[i] = (Muster__PublicKey)MUSTER__PUBLIC_KEY__INIT;
        publics[i].algorithm = MUSTER__KEY_ALGORITHM__KEY_ALGORITHM_ED25519;
        publics[i].spki = (ProtobufCBinaryData){spki.length, (uint8_t *)(uintptr_t)spki.data};
        lists[i] = &publics[i];
        roles[i] = (Muster__RoleKeys)MUSTER__ROLE_KEYS__INIT;
        roles[i].role = names[i];
        roles[i].threshold = 1;
        roles[i].n_keys = 1;
        roles[i].keys = &lists[i];
        role_list[i] = &roles[i];
    }
    root.version = 1;
    root.roles = role_list;
    root.n_roles = 3;
    MUST(pack(&root.base, &body, &err) &&
         seal("root", "", buf_bytes(&body), signers, 1, true, &envelope, &err) &&
         trust_open(buf_bytes(&envelope), &keys.trust, &err));
    buf_done(&body);
    buf_done(&envelope);
}

static void prepare(void)
{
    char path[PATH_BYTES];
    keys.root = make_key("root");
    keys.receipt = make_key("receipt");
    keys.agent = make_key("agent");
    make_trust();
    (void)snprintf(path, sizeof path, "%s/template", sweep_dir());
    MUST(file_make_dir(path, 0755, &err));
    (void)snprintf(desk.path, sizeof desk.path, "%s/template/spool.db", sweep_dir());
    desk.clock = (struct clock){.wall_ms = read_now_ms, .boot_ms = read_now_ms};
    (void)uv_loop_init(&desk.loop);
    faults_end();
    MUST(start(&err));
    stop();
    (void)uv_loop_close(&desk.loop);
}

int main(int argc, char **argv)
{
    static const struct sweep_scene scenes[] = {{"way", run_way, 0, 0, 0}};
    int code = sweep_main("agent", prepare, scenes, sizeof scenes / sizeof *scenes, argc, argv);
    trust_free(keys.trust);
    sign_key_free(keys.root);
    sign_key_free(keys.receipt);
    sign_key_free(keys.agent);
    return code;
}
