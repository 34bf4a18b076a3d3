/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_HTTP_WORLD_H
#define TESTS_UNIT_HTTP_WORLD_H

#include "fleet/http.h"
#include "storage/fleetdb_tokens.h"

#include <uv.h>

enum {
    BODY_MAX = 1000,
    LARGE_BYTES = 256 * 1024, /* so much the server calls large */
    ANSWER_BYTES = 2 * LARGE_BYTES,
    WAIT_MS = 20000,
    PER_SECOND = 5,
    LIMIT_MS = 60000,
};

/* A server on a loop of its own, with a database of its own; the client's end is a plain socket in
 * the same thread. */
struct http_world {
    char dir[64], path[128];
    uv_loop_t loop;
    struct metrics metrics;
    struct http_settings settings;
    struct http *http;
    struct api_module module;
    struct api api;
    struct fleetdb *db;
    struct access access;
    struct clock clock;
    int64_t ahead_ms; /* of the real clock */
    /* Of the work that /long begins, a number each: */
    int begun, freed, last, steps;
    bool may_end, fails, alone;
};

int http_world_open(void **state); /* as cmocka's setup and teardown: *state is the http_world */
int http_world_close(void **state);

int http_connect_unix(const struct http_world *world);
int http_connect_tcp(const struct http_world *world);
/* Sends it all and turns the loop until the server has closed: requests ask for that. `answer`
 * takes ANSWER_BYTES. */
void http_ask(struct http_world *world, int fd, const char *head, size_t body_length, char *answer);
unsigned http_status_of(const char *answer); /* 0: it is none */

#endif
