/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "fleet/api_roots.h"
#include "fleet/ctl.h"
#include "fleet/http.h"
#include "proto/limits.h"
#include "tests/unit/temp_rooted.h"
#include "tests/unit/testing.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* musterctl's commands against musterd's own HTTP and API, which run in a process beside. */
struct world {
    struct temp_rooted *rooted;
    pid_t server;
    struct ctl ctl;
    char *text; /* what was printed */
    size_t length;
};

/* What the other process says of its renewal. */
static const struct renewal_failures failed = {.devices = 1200, .why = "term-1: the disk is full"};

struct server {
    struct world *world;
    struct service_keys keys;
    struct director director;
    struct renewal renewal;
    struct metrics metrics;
    uv_loop_t loop;
};

static bool on_added(void *ctx, uint64_t version, bool newest, struct err *err)
{
    struct server *server = ctx;
    (void)version;
    (void)err;
    if (newest) { /* as if the walk that follows had failed */
        server->renewal.failed = failed;
        server->renewal.retry_ms = clock_boot_ms(&clock_real) + 90500;
        server->renewal.waiting = 2;
        memcpy(server->renewal.document, "bins", sizeof "bins");
    }
    return true;
}

static void serve(struct world *world, int ready)
{
    struct server *server = calloc(1, sizeof *server);
    struct err err = {0};
    struct http *http = NULL;
    if (server == NULL || uv_loop_init(&server->loop) != 0 ||
        !fleetdb_open(world->rooted->settings.database, &world->rooted->fleet->db, &err))
        _exit(1);
    temp_rooted_keys(world->rooted, &server->keys);
    server->director =
        (struct director){.db = world->rooted->fleet->db, .trust = server->keys.trust};
    server->renewal = (struct renewal){.director = &server->director, .clock = &clock_real};
    struct api_roots roots = {.db = world->rooted->fleet->db,
                              .keys = &server->keys,
                              .renewal = &server->renewal,
                              .added = on_added,
                              .ctx = server};
    struct api_module module = api_roots_module(&roots);
    const struct api api = {.modules = &module, .module_count = 1};
    struct access access;
    access_init(&access, NULL, &server->metrics, 1000);
    const struct http_settings settings = {.socket_path = world->rooted->settings.http_socket,
                                           .socket_mode = 0600,
                                           .listen = "",
                                           .request_limit_ms = 60000,
                                           .access = &access,
                                           .clock = &clock_real,
                                           .metrics = &server->metrics};
    if (!http_open(&server->loop, &settings, &api, &http, &err) || write(ready, "", 1) != 1)
        _exit(1);
    (void)uv_run(&server->loop, UV_RUN_DEFAULT);
    _exit(0);
}

static void start(struct world *world)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    fleetdb_close(world->rooted->fleet->db); /* the other process's from here on */
    world->rooted->fleet->db = NULL;
    world->server = fork();
    assert_true(world->server >= 0);
    if (world->server == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(world, ready[1]);
    }
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
}

static void stop(struct world *world)
{
    if (world->server > 0) {
        (void)kill(world->server, SIGKILL);
        (void)waitpid(world->server, NULL, 0);
    }
    world->server = 0;
}

static int open_world(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    void *rooted = *state;
    char server[160];
    struct err err = {0};
    assert_non_null(world);
    assert_int_equal(temp_rooted_open(&rooted), 0);
    world->rooted = rooted;
    start(world);
    (void)snprintf(server, sizeof server, "unix:%s", world->rooted->settings.http_socket);
    world->ctl = (struct ctl){.clock = &clock_real};
    assert_true(client_open(server, &world->ctl.client, &err));
    *state = world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;
    void *rooted = world->rooted;
    stop(world);
    client_close(world->ctl.client);
    free(world->text);
    (void)temp_rooted_close(&rooted);
    free(world);
    return 0;
}

static int run(struct world *world, const struct ctl_command *command, const char *argument,
               const char *option, struct err *err)
{
    struct ctl_args args;
    char *words[2] = {NULL, NULL};
    size_t count = 0;
    if (argument != NULL)
        words[count++] = (char *)(uintptr_t)argument;
    if (option != NULL)
        words[count++] = (char *)(uintptr_t)option;
    static const struct ctl_option none[] = {{0}};
    assert_true(ctl_args_read(&args, command->options, none, words, count, err));
    free(world->text);
    world->text = NULL;
    world->ctl.out = open_memstream(&world->text, &world->length);
    int code = command->run(&world->ctl, &args, err);
    assert_int_equal(fclose(world->ctl.out), 0);
    return code;
}

static void prints(struct world *world, const char *words)
{
    if (strstr(world->text, words) == NULL)
        fail_msg("expected \"%s\" in:\n%s", words, world->text);
}

/* A root in a file, as its keepers hand it over. */
static void write_root(struct world *world, const struct temp_root *root, char path[160])
{
    struct buf sealed = {0};
    (void)snprintf(path, 160, "%s/next.bin", world->rooted->fleet->dir);
    temp_root_seal(world->rooted->roots, root, &sealed);
    assert_true(file_write(path, buf_bytes(&sealed), 0644, NULL));
    buf_done(&sealed);
}

static void publish_fails(struct world *world, const struct temp_root *root, int code,
                          const char *words)
{
    char path[160];
    struct err err = {0};
    write_root(world, root, path);
    assert_int_equal(run(world, &ctl_root_publish, path, NULL, &err), code);
    if (strstr(err.text, words) == NULL)
        fail_msg("\"%s\", expected \"%s\"", err.text, words);
    assert_string_equal(world->text, "");
}

static void a_root_is_published_and_listed(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    char path[160];
    write_root(world, &(struct temp_root){.version = 2, .director = 1}, path);
    assert_int_equal(run(world, &ctl_root_publish, path, "--dry-run", &err), EXIT_OK);
    prints(world, "root 2, epoch 1 could be published.\nNothing was changed");
    assert_int_equal(run(world, &ctl_get_roots, NULL, NULL, &err), EXIT_OK);
    prints(world, "   1      1  never");
    assert_null(strstr(world->text, "   2      1"));
    assert_null(strstr(world->text, "failed"));
    assert_int_equal(run(world, &ctl_root_publish, path, NULL, &err), EXIT_OK);
    prints(world, "root 2, epoch 1 is published; every manifest is signed again under it.");
    assert_int_equal(run(world, &ctl_root_publish, path, NULL, &err), EXIT_OK);
    prints(world, "root 2, epoch 1, was published before.");
    assert_int_equal(run(world, &ctl_get_roots, NULL, NULL, &err), EXIT_OK);
    prints(world, "\n   2      1  never");
}

static void what_keeps_manifests_back_is_told(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    char path[160];
    write_root(world, &(struct temp_root){.version = 2}, path);
    assert_int_equal(run(world, &ctl_root_publish, path, NULL, &err), EXIT_OK);
    assert_int_equal(run(world, &ctl_get_roots, NULL, NULL, &err), EXIT_OK);
    prints(world, "2 wait for documents to be signed again, beginning with bins");
    prints(world, "1,200 of these failed, beginning with term-1: the disk is full.\n"
                  "The next attempt is in ");
    world->ctl.json = true;
    assert_int_equal(run(world, &ctl_get_roots, NULL, NULL, &err), EXIT_OK);
    json_t *reply = json_loads(world->text, 0, NULL);
    assert_int_equal(ctl_number(reply, "devices_failed"), 1200);
    assert_int_equal(ctl_number(reply, "devices_waiting"), 2);
    assert_string_equal(ctl_text(reply, "failure"), failed.why);
    json_decref(reply);
}

static void what_is_wrong_with_a_root_is_told(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    publish_fails(world, &(struct temp_root){.version = 3}, EXIT_INPUT, "does not follow");
    publish_fails(world, &(struct temp_root){.version = 2, .director = 3}, EXIT_INPUT,
                  "keys.director");
    /* Not worth asking musterd. */
    publish_fails(world, &(struct temp_root){.version = 2, .signers = "3"}, EXIT_INPUT,
                  "its own root keys");
    assert_int_equal(run(world, &ctl_root_publish, "/nowhere/root.bin", NULL, &err), EXIT_USAGE);
    assert_non_null(strstr(err.text, "/nowhere/root.bin"));
    char path[160];
    static const uint8_t long_file[LIMIT_ROOT_BYTES + 1];
    (void)snprintf(path, sizeof path, "%s/long.bin", world->rooted->fleet->dir);
    assert_true(file_write(path, bytes_of(long_file, sizeof long_file), 0644, NULL));
    err = (struct err){0};
    assert_int_equal(run(world, &ctl_root_publish, path, NULL, &err), EXIT_INPUT);
    assert_int_equal(run(world, &ctl_get_roots, NULL, NULL, &err), EXIT_OK);
    assert_null(strstr(world->text, "\n   2"));
}

static void nobody_answers(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    char path[160];
    stop(world);
    assert_int_equal(run(world, &ctl_get_roots, NULL, NULL, &err), EXIT_UNREACHABLE);
    assert_non_null(strstr(err.text, world->rooted->settings.http_socket));
    write_root(world, &(struct temp_root){.version = 2}, path);
    err = (struct err){0};
    assert_int_equal(run(world, &ctl_root_publish, path, NULL, &err), EXIT_UNREACHABLE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_root_is_published_and_listed),
        TEST(what_keeps_manifests_back_is_told),
        TEST(what_is_wrong_with_a_root_is_told),
        TEST(nobody_answers),
    };
    return cmocka_run_group_tests(tests, temp_roots_open, temp_roots_close);
}
