/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/attack/session.h"

#include "base/file.h"
#include "proto/limits.h"

#include <stdio.h>
#include <string.h>

static const int64_t year_ms = INT64_C(365) * 24 * 3600 * 1000;

/* ---- its life ---- */

static int64_t now_of(void *ctx)
{
    return ((const struct session *)ctx)->now_ms;
}

/* What can be missing only because time was made to jump ahead is no stall. */
static void on_failed(void *ctx, enum agent_end end, const struct err *err)
{
    (void)ctx;
    must(end == AGENT_STALLED, "the agent", err);
}

void session_path(char *out, size_t size, const char *folder, const char *name)
{
    struct err err = {0};
    must(path_join(out, size, folder, name, &err), "a path", &err);
}

static void fill_settings(struct session *session, const struct fleet_device *device)
{
    struct agent_settings *to = &session->settings;
    *to = (struct agent_settings){.client_max = 2,
                                  .spool_quota_bytes = INT64_C(64) * 1024 * 1024,
                                  .spool_key_window = 16,
                                  .uplink_linger_ms = 5000,
                                  .uplink_quiet_ms = 60000,
                                  .uplink_resend_ms = 30000,
                                  .uplink_patience_ms = 1000 * year_ms,
                                  .hook_limit_ms = 10000,
                                  .check_every_ms = year_ms,
                                  .registry_quota_bytes = INT64_C(8) * 1024 * 1024,
                                  .content_patience_ms = 120000,
                                  .probe_every_ms = year_ms,
                                  .probe_alone_ms = 5000};
    (void)snprintf(to->device, sizeof to->device, "%s", device->name);
    (void)snprintf(to->sealing_key, sizeof to->sealing_key, "%s", device->sealing_key);
    session_path(to->state_dir, sizeof to->state_dir, session->folder, "state");
    session_path(to->run_dir, sizeof to->run_dir, session->folder, "run");
    session_path(to->agent_key, sizeof to->agent_key, session->folder, "agent.pem");
    session_path(to->root, sizeof to->root, session->folder, "root.bin");
}

static void enrol(struct session *session)
{
    struct sign_key *key = NULL;
    struct root_draft draft;
    struct buf root = {0};
    struct err err = {0};
    char registry[TERMINAL_PATH + 16];
    must(file_make_dir(session->folder, 0700, &err) &&
             sign_key_make(session->settings.agent_key, &key, &err),
         "an agent key", &err);
    sign_key_free(key);
    fleet_root_draft(&session->strike.fleet, 1, 1, &draft);
    fleet_root(&session->strike.fleet, &draft, &root);
    must(file_write(session->settings.root, buf_bytes(&root), 0600, &err), "its root", &err);
    session_path(registry, sizeof registry, session->settings.state_dir, "registry");
    must(file_make_dir(session->settings.state_dir, 0700, &err) &&
             file_make_dir(registry, 0700, &err),
         registry, &err);
    buf_done(&root);
}

static void start(struct session *session)
{
    struct err err = {0};
    must(agent_open(&session->loop, &session->clock, &session->settings, on_failed, session,
                    &session->agent, &err),
         "its agent", &err);
    session_turn(session);
}

static void stop(struct session *session)
{
    if (session->link != NULL)
        session_leave(session);
    agent_close(session->agent);
    (void)uv_run(&session->loop, UV_RUN_DEFAULT);
    agent_free(session->agent);
    session->agent = NULL;
}

static void set_out(struct session *session, const struct fleet *fleet, const char *folder,
                    const char *device)
{
    *session = (struct session){.now_ms = 50 * year_ms};
    session->strike = (struct strike){.fleet = *fleet,
                                      .device = device,
                                      .other = device,
                                      .epoch = 1,
                                      .root_version = 1,
                                      .version = VERSION_HELD};
    session->clock = (struct clock){.wall_ms = now_of, .boot_ms = now_of, .ctx = session};
    (void)snprintf(session->folder, sizeof session->folder, "%s", folder);
    fill_settings(session, fleet_device(fleet, device));
    must(uv_loop_init(&session->loop) == 0, "a loop", NULL);
}

void session_resume(struct session *session, const struct fleet *fleet, const char *folder,
                    const char *device, uint64_t version)
{
    set_out(session, fleet, folder, device);
    session->strike.version = version - 1;
    session_plan(session);
}

void session_start(struct session *session)
{
    start(session);
}

void session_open(struct session *session, const struct fleet *fleet, const char *folder,
                  const char *device)
{
    set_out(session, fleet, folder, device);
    enrol(session);
    start(session);
    session_join(session);
    for (int i = 0; i < 2; i++) {
        session_plan(session);
        session_send_manifest(session);
        session_fetch(session);
    }
    const char *wrong = session_answered(session);
    must(wrong == NULL, wrong, NULL);
}

void session_close(struct session *session)
{
    stop(session);
    must(uv_loop_close(&session->loop) == 0, "its loop", NULL);
    blobs_done(&session->strike.blobs);
    buf_done(&session->strike.scratch);
    buf_done(&session->welcome);
    buf_done(&session->manifest);
    buf_done(&session->older);
    buf_done(&session->scratch);
    must(file_remove_tree(session->folder, NULL), session->folder, NULL);
}

void session_restart(struct session *session)
{
    stop(session);
    start(session);
}

/* A hello that was said has not come here yet. */
static bool hello_on_its_way(const struct session *session)
{
    const struct hello *hello = &session->agent->hello;
    return session->link != NULL && hello->outstanding &&
           memcmp(hello->nonce, session->nonce, sizeof session->nonce) != 0;
}

void session_turn(struct session *session)
{
    do {
        (void)uv_run(&session->loop, UV_RUN_NOWAIT);
        while (session->loop.active_reqs.count > 0 || hello_on_its_way(session))
            (void)uv_run(&session->loop, UV_RUN_ONCE);
        (void)uv_run(&session->loop, UV_RUN_NOWAIT);
    } while (session->loop.active_reqs.count > 0 || hello_on_its_way(session));
}

void session_later(struct session *session, int64_t ms)
{
    session->now_ms += ms;
    agent_pump(session->agent);
    session_turn(session);
}

void session_ask(struct session *session, int64_t step_ms)
{
    unsigned before = session->hellos;
    for (int i = 0; i < 100 && session->hellos == before; i++)
        session_later(session, step_ms);
    must(session->hellos != before, "no hello", NULL);
}

/* ---- what comes down ---- */

bool session_take(struct session *session, enum topic_kind kind, const char *device,
                  struct bytes payload, struct err *err)
{
    char topic[TOPIC_CHARS];
    topic_device(kind, device, topic);
    bool taken = agent_take_message(session->agent, topic, payload, err);
    recorder_flush(session->agent->recorder);
    session_turn(session);
    return taken;
}

static size_t fetch_some(struct session *session)
{
    uint8_t wanted[LIMIT_MANIFEST_ITEMS][32];
    size_t count = registrar_lacks(session->agent->registrar, wanted, LIMIT_MANIFEST_ITEMS);
    size_t came = 0;
    for (size_t i = 0; i < count && i < LIMIT_MANIFEST_ITEMS; i++) {
        const struct buf *blob = blobs_find(&session->strike.blobs, wanted[i]);
        char topic[TOPIC_CHARS];
        struct err err = {0};
        if (blob == NULL)
            continue;
        topic_blob(wanted[i], topic);
        must(agent_take_message(session->agent, topic, buf_bytes(blob), &err), "a blob", &err);
        came++;
    }
    session_turn(session);
    return came;
}

void session_fetch(struct session *session)
{
    session_turn(session);
    while (fetch_some(session) > 0)
        ;
}

void session_plan(struct session *session)
{
    struct draft draft;
    struct buf *manifest = &session->manifest;
    char text[64];
    session->strike.version++;
    int length = snprintf(text, sizeof text, "what nobody has sent before: %llu\n",
                          (unsigned long long)session->strike.version);
    strike_draft(&session->strike, VERSION_NEXT, &draft);
    draft.version = session->strike.version;
    draft.orders = session->orders;
    draft.order_count = session->order_count;
    draft.items[DOCUMENT_EXTRA].document.version = draft.version;
    draft.items[DOCUMENT_EXTRA].document.content = bytes_of(text, (size_t)length);
    buf_done(&session->older);
    session->older = *manifest;
    *manifest = (struct buf){0};
    blobs_done(&session->strike.blobs);
    fleet_manifest(&session->strike.fleet, NULL, &draft, &session->strike.blobs, manifest);
}

void session_send_manifest(struct session *session)
{
    struct err err = {0};
    must(session_take(session, TOPIC_DOWN_MANIFEST, session->strike.device,
                      buf_bytes(&session->manifest), &err),
         "the fleet's manifest", &err);
}

void session_rotate(struct session *session)
{
    struct strike *strike = &session->strike;
    struct root_draft root;
    struct buf envelope = {0};
    struct err err = {0};
    char topic[TOPIC_CHARS];
    struct topic to = {.kind = TOPIC_TRUST, .version = ++strike->root_version};
    strike->fleet.changed = true;
    fleet_root_draft(&strike->fleet, strike->root_version, strike->epoch, &root);
    root.signers[root.signer_count++] = KEY_ROOT_1; /* the old keepers agree as well */
    root.signers[root.signer_count++] = KEY_ROOT_2;
    fleet_root(&strike->fleet, &root, &envelope);
    topic_format(&to, topic);
    must(agent_take_message(session->agent, topic, buf_bytes(&envelope), &err), "the next root",
         &err);
    buf_done(&envelope);
    session_turn(session);
    session_plan(session);
    session_send_manifest(session);
    session_fetch(session);
}

/* ---- what is here ---- */

void session_record(struct session *session)
{
    Muster__Event event = MUSTER__EVENT__INIT;
    event.kind = MUSTER__EVENT_KIND__EVENT_LIVENESS;
    event.text = (char *)(uintptr_t) "something to deliver";
    agent_record_event(session->agent, &event);
    recorder_flush(session->agent->recorder);
    session_turn(session);
}

uint64_t session_owed(const struct session *session)
{
    struct spool_stats stats;
    spool_stats(session->agent->spool, &stats);
    return stats.records;
}

static void add(struct buf *to, const void *value, size_t length)
{
    must(buf_append(to, value, length, NULL), "memory", NULL);
}

#define ADD(to, value) add(to, &(value), sizeof(value))

static void add_agent(const struct agent *agent, struct buf *to)
{
    const struct freshness *freshness = &agent->freshness;
    uint64_t root = trust_version(agent->trust);
    ADD(to, root);
    ADD(to, agent->hello.welcomed);
    ADD(to, agent->hello.outstanding);
    ADD(to, agent->hello.nonce);
    ADD(to, freshness->welcomed);
    ADD(to, freshness->rooted);
    ADD(to, freshness->root_version);
    ADD(to, freshness->named.epoch);
    ADD(to, freshness->named.version);
    ADD(to, freshness->named.sha256);
    ADD(to, freshness->welcomed_ms);
    ADD(to, freshness->came_since);
    ADD(to, freshness->imported);
    ADD(to, agent->receipts_since_ms);
    ADD(to, agent->last_welcome_ms);
    ADD(to, agent->fleet_at_boot_ms);
    ADD(to, agent->timekeeper.at_least_ms);
    ADD(to, agent->timekeeper.sight.fleet_ms);
}

void session_digest(const struct session *session, bool held, uint8_t ret_digest[32])
{
    struct terminal terminal = {0};
    struct buf all = {0};
    uint8_t files[32];
    session_path(terminal.registry, sizeof terminal.registry, session->settings.state_dir,
                 "registry");
    terminal_held(&terminal, files);
    ADD(&all, files);
    if (!held)
        add_agent(session->agent, &all);
    sha256(buf_bytes(&all), ret_digest);
    buf_done(&all);
}
