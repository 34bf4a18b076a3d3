/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/registrar_world.h"

#include "proto/unpack.h"
#include "tests/unit/testing.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#define DEVICE "t-0001"

static int64_t world_wall(void *ctx)
{
    return ((const struct world *)ctx)->wall_ms;
}

static ProtobufCBinaryData binary(struct bytes bytes)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)bytes.data, .len = bytes.length};
}

struct sign_key *world_key(struct world *world, const char *name)
{
    char path[256];
    struct sign_key *key;
    assert_true(path_join(path, sizeof path, world->dir, name, NULL));
    assert_true(sign_key_make(path, &key, NULL));
    return key;
}

static void seal_message(const char *domain, const char *context, const ProtobufCMessage *message,
                         const struct sign_key *key, struct buf *out)
{
    struct buf body = {0};
    struct err err = {0};
    if (!pack(message, &body, &err) ||
        !seal(domain, context, buf_bytes(&body), &key, 1, true, out, &err))
        fail_msg("%s", err.text);
    buf_done(&body);
}

enum { WORLD_ROLES = 4, LOOK_EVERY_MS = 10 };

/* A root that names the keys that the world has now. */
static void root_seal(const struct world *world, uint64_t version, uint64_t epoch,
                      struct buf *ret_envelope)
{
    const struct sign_key *keys[WORLD_ROLES] = {world->root, world->release, world->director,
                                                world->custodian};
    const Muster__Role names[WORLD_ROLES] = {MUSTER__ROLE__ROLE_ROOT, MUSTER__ROLE__ROLE_RELEASE,
                                             MUSTER__ROLE__ROLE_DIRECTOR,
                                             MUSTER__ROLE__ROLE_CUSTODIAN};
    Muster__PublicKey public[WORLD_ROLES];
    Muster__PublicKey *lists[WORLD_ROLES];
    Muster__RoleKeys roles[WORLD_ROLES];
    Muster__RoleKeys *role_list[WORLD_ROLES];
    for (size_t i = 0; i < WORLD_ROLES; i++) {
        muster__public_key__init(&public[i]);
        public[i].algorithm = MUSTER__KEY_ALGORITHM__KEY_ALGORITHM_ED25519;
        public[i].spki = binary(sign_key_spki(keys[i]));
        lists[i] = &public[i];
        muster__role_keys__init(&roles[i]);
        roles[i].role = names[i];
        roles[i].threshold = 1;
        roles[i].keys = &lists[i];
        roles[i].n_keys = 1;
        role_list[i] = &roles[i];
    }
    Muster__Root root = MUSTER__ROOT__INIT;
    root.version = version;
    root.epoch = epoch;
    root.roles = role_list;
    root.n_roles = WORLD_ROLES;
    seal_message("root", "", &root.base, world->root, ret_envelope);
}

void world_root_first(struct world *world)
{
    struct buf envelope = {0};
    struct err err = {0};
    world->epoch = world->root_version = 1;
    root_seal(world, 1, 1, &envelope);
    if (!trust_open(buf_bytes(&envelope), &world->trust, &err))
        fail_msg("%s", err.text);
    buf_done(&envelope);
}

void world_root_next(struct world *world, uint64_t epoch)
{
    struct buf envelope = {0};
    struct err err = {0};
    root_seal(world, trust_version(world->trust) + 1, epoch, &envelope);
    if (!trust_advance(world->trust, buf_bytes(&envelope), &err))
        fail_msg("%s", err.text);
    buf_done(&envelope);
    registrar_rooted(world->registrar);
}

int world_set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(world->dir, sizeof world->dir, "%s/registrar_test.XXXXXX",
                   tmp != NULL ? tmp : "/tmp");
    *state = world;
    if (mkdtemp(world->dir) == NULL || uv_loop_init(&world->loop) != 0)
        return -1;
    (void)snprintf(world->registry, sizeof world->registry, "%s/registry", world->dir);
    (void)snprintf(world->sealing_key, sizeof world->sealing_key, "%s/sealing.pem", world->dir);
    world->root = world_key(world, "root.pem");
    world->release = world_key(world, "release.pem");
    world->director = world_key(world, "director.pem");
    world->custodian = world_key(world, "custodian.pem");
    world_root_first(world);
    world->wall_ms = 1000;
    world->clock = (struct clock){.wall_ms = world_wall, .boot_ms = world_wall, .ctx = world};
    world->room.registry_bytes = UINT64_MAX;
    world->broker_up = true;
    (void)snprintf(world->floors, sizeof world->floors, "%s/floors", world->dir);
    world->settings = (struct registrar_settings){.dir = world->registry,
                                                  .sealing_key = world->sealing_key,
                                                  .floors = world->floors,
                                                  .device = DEVICE,
                                                  .hook = world->hook,
                                                  .hook_limit_ms = 10000,
                                                  .quota_bytes = 64 * 1024 * 1024};
    world_open(world);
    return 0;
}

int world_tear_down(void **state)
{
    struct world *world = *state;
    if (world->registrar != NULL)
        world_close(world);
    for (size_t i = 0; i < world->blob_count; i++)
        buf_done(&world->blobs[i].bytes);
    trust_free(world->trust);
    sign_key_free(world->root);
    sign_key_free(world->release);
    sign_key_free(world->director);
    sign_key_free(world->custodian);
    bool clean = uv_loop_close(&world->loop) == 0 && file_remove_tree(world->dir, NULL);
    free(world);
    return clean ? 0 : -1;
}

/* ---- what the registrar tells ---- */

static const struct world_blob *blob_find(const struct world *world, const uint8_t sha256[32])
{
    for (size_t i = 0; i < world->blob_count; i++) {
        if (memcmp(world->blobs[i].sha256, sha256, 32) == 0)
            return &world->blobs[i];
    }
    return NULL;
}

static void on_fetch(void *ctx, const uint8_t (*blobs)[32], const uint64_t *sizes, size_t count)
{
    struct world *world = ctx;
    (void)sizes;
    assert_true(count <= WORLD_BLOBS);
    world->asked_count = count;
    memcpy(world->asked, blobs, count * 32);
    for (size_t i = 0; world->broker_up && i < count; i++) {
        const struct world_blob *blob = blob_find(world, world->asked[i]);
        struct err err = {0};
        if (blob == NULL)
            continue;
        if (!registrar_blob(world->registrar, blob->sha256, buf_bytes(&blob->bytes), &err))
            fail_msg("%s", err.text);
        world->fetches++;
    }
}

static void detail_keep(const Muster__Event *event, struct world_event *kept)
{
    const struct unpack_limits limits = {.max_bytes = 4096};
    struct arena arena = {0};
    ProtobufCMessage *message;
    struct err err = {0};
    if (!unpack(&muster__item_report__descriptor, bytes_of(event->detail.data, event->detail.len),
                &limits, &arena, &message, &err))
        fail_msg("%s", err.text);
    const Muster__ItemReport *report = (const Muster__ItemReport *)message;
    assert_string_equal(report->name, event->item);
    kept->state = report->state;
    kept->source = report->source;
    kept->has_held_hash = report->held_sha256.len > 0;
    arena_done(&arena);
}

static void on_event(void *ctx, const Muster__Event *event)
{
    struct world *world = ctx;
    assert_true(world->event_count < WORLD_EVENTS);
    struct world_event *kept = &world->events[world->event_count++];
    kept->kind = event->kind;
    kept->refusal = event->refusal;
    (void)snprintf(kept->item, sizeof kept->item, "%s", event->item);
    (void)snprintf(kept->text, sizeof kept->text, "%s", event->text);
    if (event->item[0] != '\0' && event->detail.len > 0)
        detail_keep(event, kept);
}

static void on_changed(void *ctx)
{
    ((struct world *)ctx)->changes++;
}

static bool on_room(void *ctx, struct room *ret_room)
{
    *ret_room = ((const struct world *)ctx)->room;
    return true;
}

static void on_lease(void *ctx, struct gate_lease *ret_lease)
{
    const struct world *world = ctx;
    if (world->lease_by != NULL)
        world->lease_by(world->lease_ctx, ret_lease);
    else
        *ret_lease = world->lease;
}

static void on_switched(void *ctx)
{
    struct world *world = ctx;
    world->switches++;
    if (world->spare != NULL)
        world->spare_held = world_has(world, world->spare);
    if (world->switched != NULL)
        world->switched(world->lease_ctx);
}

static void on_redial(void *ctx)
{
    ((struct world *)ctx)->redials++;
}

/* ---- driving it ---- */

void world_open(struct world *world)
{
    const struct registrar_events events = {.fetch = on_fetch,
                                            .event = on_event,
                                            .changed = on_changed,
                                            .room = on_room,
                                            .lease = on_lease,
                                            .switched = on_switched,
                                            .redial = on_redial};
    struct err err = {0};
    const struct gate_hook_settings hook = {.path = world->gate_hook,
                                            .limit_ms = world->gate_hook_limit_ms,
                                            .every_ms = world->settings.gate.every_ms};
    world->settings.gate.hook = NULL;
    if (hook.path[0] != '\0' &&
        !gate_hook_open(&world->loop, &world->clock, &hook, &world->settings.gate.hook, &err))
        fail_msg("%s", err.text);
    if (!registrar_open(&world->loop, &world->clock, &world->settings, world->trust, &events, world,
                        &world->registrar, &err))
        fail_msg("%s", err.text);
    if (!world->quiet)
        registrar_tell(world->registrar);
}

static void on_closed(void *ctx)
{
    ((struct world *)ctx)->registrar = NULL;
}

void world_close(struct world *world)
{
    registrar_close(world->registrar, on_closed, world);
    gate_hook_close(world->settings.gate.hook);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_null(world->registrar);
    world->asked_count = 0;
}

void world_reopen(struct world *world)
{
    world_close(world);
    world_open(world);
    world_check(world);
}

static void too_late(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void look_again(uv_timer_t *timer)
{
    (void)timer;
}

void world_wait(struct world *world, bool (*until)(const struct world *world))
{
    uv_timer_t limit, look;
    bool late = false;
    limit.data = &late;
    (void)uv_timer_init(&world->loop, &limit);
    (void)uv_timer_start(&limit, too_late, 30000, 0);
    /* What another process does to a file wakes no loop. */
    (void)uv_timer_init(&world->loop, &look);
    (void)uv_timer_start(&look, look_again, LOOK_EVERY_MS, LOOK_EVERY_MS);
    while (!until(world) && !late)
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&look, NULL);
    uv_close((uv_handle_t *)&limit, NULL);
    (void)uv_run(&world->loop, UV_RUN_NOWAIT);
    if (late)
        fail_msg("not within 30 s");
}

bool world_was_asked(const struct world *world)
{
    return world->asked_count > 0;
}

static void on_settled(void *ctx)
{
    ((struct world *)ctx)->settled = true;
}

static bool is_settled(const struct world *world)
{
    return world->settled;
}

void world_check(struct world *world)
{
    struct err err = {0};
    world->settled = false;
    if (!registrar_check(world->registrar, 60000, on_settled, world, &err))
        fail_msg("%s", err.text);
    world_wait(world, is_settled);
}

void world_publish(struct world *world, struct bytes blob, uint8_t ret_sha256[32])
{
    sha256(blob, ret_sha256);
    if (blob_find(world, ret_sha256) != NULL)
        return;
    assert_true(world->blob_count < WORLD_BLOBS);
    struct world_blob *kept = &world->blobs[world->blob_count++];
    memcpy(kept->sha256, ret_sha256, 32);
    assert_true(buf_append(&kept->bytes, blob.data, blob.length, NULL));
}

static void publish_content(struct world *world, const char *content, Muster__Encoding *encoding,
                            uint8_t sha256_of_blob[32])
{
    char packed[4096];
    size_t length =
        ZSTD_compress(packed, sizeof packed, content, strlen(content), ZSTD_CLEVEL_DEFAULT);
    assert_false(ZSTD_isError(length));
    world_publish(world, bytes_of(packed, length), sha256_of_blob);
    encoding->size = length;
}

static bool is_sent_sealed(const struct world_doc *doc)
{
    return doc->scope == MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED && doc->blob.data != NULL;
}

static void doc_header(struct world *world, const struct world_doc *doc, struct buf *out)
{
    Muster__DocumentHeader header = MUSTER__DOCUMENT_HEADER__INIT;
    uint8_t digest[32];
    size_t length = doc->content != NULL ? strlen(doc->content) : 0;
    sha256(bytes_of(doc->content, length), digest);
    if (is_sent_sealed(doc)) { /* named by what is sent */
        struct bytes sent = doc->named.data != NULL ? doc->named : doc->blob;
        sha256(sent, digest);
        length = sent.length;
    }
    if (doc->sha256 != NULL)
        memcpy(digest, doc->sha256, sizeof digest);
    header.name = (char *)(uintptr_t)doc->name;
    header.kind = doc->kind != 0 ? doc->kind : MUSTER__DOCUMENT_KIND__DOCUMENT_FILE;
    header.scope = doc->scope != 0 ? doc->scope : MUSTER__DOCUMENT_SCOPE__SCOPE_PUBLIC;
    header.epoch = doc->epoch != 0 ? doc->epoch : world->epoch;
    header.irreversible = doc->final;
    if (doc->device != NULL)
        header.device = (char *)(uintptr_t)doc->device;
    header.key = doc->key;
    if (doc->package_version != NULL)
        header.package_version = (char *)(uintptr_t)doc->package_version;
    if (doc->model != NULL)
        header.model = (char *)(uintptr_t)doc->model;
    header.version = doc->version;
    header.minimum_version = doc->minimum;
    header.length = doc->length != 0 ? doc->length : length;
    header.sha256 = binary(bytes_of(digest, 32));
    seal_message("document", "", &header.base, doc->signer != NULL ? doc->signer : world->release,
                 out);
}

void world_manifest(struct world *world, uint64_t version, const struct world_doc *docs,
                    size_t count, struct buf *ret_envelope)
{
    Muster__Manifest manifest = MUSTER__MANIFEST__INIT;
    Muster__ManifestItem items[WORLD_DOCS], *item_list[WORLD_DOCS];
    Muster__Encoding encodings[WORLD_DOCS], *encoding_list[WORLD_DOCS];
    struct buf headers[WORLD_DOCS] = {{0}};
    uint8_t blobs[WORLD_DOCS][32];
    assert_true(count <= WORLD_DOCS);
    for (size_t i = 0; i < count; i++) {
        muster__manifest_item__init(&items[i]);
        muster__encoding__init(&encodings[i]);
        item_list[i] = &items[i];
        items[i].mode = docs[i].mode;
        doc_header(world, &docs[i], &headers[i]);
        items[i].header = binary(buf_bytes(&headers[i]));
        items[i].encodings = docs[i].encodings;
        items[i].n_encodings = docs[i].encoding_count;
        if (docs[i].encodings != NULL)
            continue;
        encodings[i].coding = is_sent_sealed(&docs[i]) ? MUSTER__CONTENT_CODING__CONTENT_CMS
                                                       : MUSTER__CONTENT_CODING__CONTENT_ZSTD;
        if (docs[i].blob.data != NULL) {
            world_publish(world, docs[i].blob, blobs[i]);
            encodings[i].size = docs[i].blob.length;
        } else {
            publish_content(world, docs[i].content, &encodings[i], blobs[i]);
        }
        encodings[i].blob = binary(bytes_of(blobs[i], 32));
        encoding_list[i] = &encodings[i];
        items[i].encodings = &encoding_list[i];
        items[i].n_encodings = docs[i].no_encoding ? 0 : 1;
    }
    manifest.device = (char *)(uintptr_t)world->settings.device;
    manifest.epoch = world->epoch;
    manifest.version = version;
    manifest.root_version = world->root_version;
    manifest.items = item_list;
    manifest.n_items = count;
    seal_message("manifest", world->settings.device, &manifest.base, world->director, ret_envelope);
    for (size_t i = 0; i < count; i++)
        buf_done(&headers[i]);
}

bool world_push(struct world *world, uint64_t version, const struct world_doc *docs, size_t count,
                struct err *err)
{
    struct buf envelope = {0};
    world_manifest(world, version, docs, count, &envelope);
    bool accepted = registrar_manifest(world->registrar, buf_bytes(&envelope), err);
    buf_done(&envelope);
    return accepted;
}

void world_apply(struct world *world, uint64_t version, const struct world_doc *docs, size_t count)
{
    struct err err = {0};
    if (!world_push(world, version, docs, count, &err))
        fail_msg("%s", err.text);
    world_check(world);
}

void world_hook(struct world *world, const char *script, int64_t limit_ms)
{
    (void)snprintf(world->hook, sizeof world->hook, "%s/hook", world->dir);
    assert_true(file_write(world->hook, bytes_of(script, strlen(script)), 0700, NULL));
    world->settings.hook_limit_ms = limit_ms;
}

/* ---- looking at it ---- */

size_t world_events(const struct world *world, Muster__EventKind kind, const char *item)
{
    size_t count = 0;
    for (size_t i = 0; i < world->event_count; i++) {
        if (world->events[i].kind == kind &&
            (item == NULL || strcmp(world->events[i].item, item) == 0))
            count++;
    }
    return count;
}

const struct world_event *world_last(const struct world *world, Muster__EventKind kind)
{
    for (size_t i = world->event_count; i > 0; i--) {
        if (world->events[i - 1].kind == kind)
            return &world->events[i - 1];
    }
    fail_msg("no event of kind %d", (int)kind);
    return NULL;
}

void world_path(const struct world *world, const char *name, char path[256])
{
    assert_true(path_join(path, 256, world->registry, name, NULL));
}

bool world_has(const struct world *world, const char *name)
{
    char path[256];
    world_path(world, name, path);
    return file_exists(path);
}

void world_assert_document(const struct world *world, const char *name, const char *text)
{
    char path[256], document[128];
    struct buf content = {0};
    struct err err = {0};
    (void)snprintf(document, sizeof document, "current/%s", name);
    world_path(world, document, path);
    bool read = file_read(path, 65536, &content, &err);
    if (text == NULL) {
        assert_false(read);
        assert_int_equal(err.code, ERR_NOT_FOUND);
        return;
    }
    if (!read)
        fail_msg("%s", err.text);
    assert_int_equal(content.length, strlen(text));
    assert_memory_equal(content.data, text, content.length);
    buf_done(&content);
}

void world_damage(const struct world *world, const char *name)
{
    char path[256];
    uint8_t byte;
    world_path(world, name, path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, 0), 1);
    byte ^= 0x40;
    assert_int_equal(pwrite(fd, &byte, 1, 0), 1);
    (void)close(fd);
}

void world_state(const struct world *world, struct world_state *ret_state)
{
    struct arena arena = {0};
    Muster__StateReport state;
    struct err err = {0};
    if (!registrar_state(world->registrar, &arena, &state, &err))
        fail_msg("%s", err.text);
    assert_true(state.n_items <= WORLD_DOCS);
    *ret_state = (struct world_state){.manifest_version = state.manifest_version,
                                      .generation = state.generation,
                                      .converged = state.converged,
                                      .count = state.n_items};
    for (size_t i = 0; i < state.n_items; i++) {
        const Muster__ItemReport *item = state.items[i];
        (void)snprintf(ret_state->items[i].name, 64, "%s", item->name);
        (void)snprintf(ret_state->items[i].reason, sizeof ret_state->items[i].reason, "%s",
                       item->reason);
        ret_state->items[i].wanted = item->wanted_version;
        ret_state->items[i].held = item->held_version;
        ret_state->items[i].state = item->state;
    }
    arena_done(&arena);
}

Muster__ItemState world_item(const struct world *world, const char *name)
{
    struct world_state state;
    world_state(world, &state);
    for (size_t i = 0; i < state.count; i++) {
        if (strcmp(state.items[i].name, name) == 0)
            return state.items[i].state;
    }
    return MUSTER__ITEM_STATE__ITEM_UNKNOWN;
}
