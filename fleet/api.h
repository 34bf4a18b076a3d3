/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_API_H
#define FLEET_API_H

#include "base/buf.h"
#include "storage/fleetdb_scope.h"

#include <jansson.h>

/*
 * The HTTP API as tables. A module gives its routes; a pattern is a path in which {} stands for
 * one non-empty segment: {"POST", "/api/v1/documents", LIMIT, handler}, {"PUT",
 * "/api/v1/blobs/{}", ...}. HTTP itself is http.h's. Handlers run on the loop and must be short:
 * what takes long goes in steps.
 */
enum { API_ARGS_MAX = 2, API_ARG_SIZE = 80 };

struct api_query {
    const char *name, *value; /* percent-decoded */
};

/* What somebody may do, or a route asks for; what is not said is the most. */
enum api_role {
    API_ADMIN,    /* says who else may do what, and whose keys count */
    API_OPERATOR, /* changes what devices are to hold and to do */
    API_VIEWER,   /* reads */
    API_ANYONE,   /* without a token: of no device */
    API_ROLES,
};
const char *api_role_name(enum api_role role);

/* Which part of the fleet a route reaches; a caller of a part of it gets to no route that says
 * nothing. */
enum api_reach {
    API_WHOLE_FLEET,
    API_OWN_PART,   /* the handler keeps to caller->scope */
    API_ONE_DEVICE, /* the one that the first {} names: seen to before the handler runs */
    API_NO_DEVICE,  /* it tells of no device and changes none */
    API_REACHES,
};
const char *api_reach_name(enum api_reach reach);

/* Who asks. */
struct api_caller {
    char name[64]; /* for the audit: "uid 0", "token NAME" */
    enum api_role role;
    int64_t token; /* its row; 0: none was shown */
    struct fleetdb_scope scope;
};

struct api_request {
    const char *method;
    const char *path;
    char args[API_ARGS_MAX][API_ARG_SIZE]; /* what each {} matched */
    const struct api_query *query;
    size_t query_count;
    struct bytes body; /* at most the route's max_body_bytes */
    json_t *json;      /* the same once it has been read (api_contract.h); NULL: not yet */
    int64_t now_ms;
    const struct api_caller *caller;
    const char *last_event_id; /* the header; NULL: none */
};

struct api_answer;

/* What a handler could not do in one go. It is called again and again, others in between, until it
 * fails or is done and the answer is filled; then freed. */
struct api_work {
    bool (*step)(void *ctx, struct api_answer *answer, bool *ret_done, struct err *err);
    void (*free)(void *ctx); /* also when whoever asked has left meanwhile */
    void *ctx;
    bool alone; /* it needs much memory: of such only one goes on at a time */
};

/* An answer that goes on: `next` is asked for more whenever there is room for it on the line, or
 * whoever has it says that there may be more (http_wake), and from time to time. It appends what
 * there is, if only nothing, and tells when that was all; `stopping`: there will be no other time.
 */
struct api_stream {
    bool (*next)(void *ctx, bool stopping, struct buf *out, bool *ret_end, struct err *err);
    void (*free)(void *ctx);
    void *ctx;
};

/* What to send: a JSON value (owned, given up to the answer), or else `text` as `content_type`. */
struct api_answer {
    unsigned status; /* 200 unless set */
    json_t *json;
    struct buf text;
    const char *content_type;
    struct api_work work;     /* its step is NULL: there is none */
    struct api_stream stream; /* its next is NULL: there is none */
};

struct api_route {
    const char *method, *pattern;
    size_t max_body_bytes; /* 0: no body; more is 413 */
    /* False: `err` becomes {"error":{"code","text"}} with the status that fits its code:
     * INVALID 400, REFUSED 403, NOT_FOUND 404, CONFLICT 409, FULL 413, TIMEOUT and UNAVAILABLE
     * 503, others 500. */
    bool (*handle)(void *ctx, const struct api_request *request, struct api_answer *answer,
                   struct err *err);
    enum api_role role; /* the least that may ask */
    enum api_reach reach;
};

struct api_module {
    const struct api_route *routes;
    size_t route_count;
    void *ctx; /* given to its handlers */
};

struct api {
    const struct api_module *modules;
    size_t module_count;
};

/* The route for the request's method and path; fills its args. NULL: `*ret_status` is 404 or 405.
 */
const struct api_route *api_route_find(const struct api *api, struct api_request *request,
                                       void **ret_ctx, unsigned *ret_status);
/* Those that the path has routes for, as the header Allow wants them: "GET, POST". */
enum { API_METHODS_CHARS = 32 };
void api_methods(const struct api *api, const char *path, char ret_methods[API_METHODS_CHARS]);
/* Whether the caller may ask this; ERR_REFUSED says what he would need. */
bool api_allows(const struct api_route *route, const struct api_caller *caller,
                struct err *err) MUSTER_CHECK;
/* Runs the handler; fills the answer in every case, or leaves work in it. */
void api_run(const struct api_route *route, void *ctx, const struct api_request *request,
             struct api_answer *answer);
/* One step of the work in the answer; afterwards there is none, or more of it. */
void api_continue(const struct api_request *request, struct api_answer *answer);
void api_answer_error(struct api_answer *answer, unsigned status, const char *code,
                      const char *text);
void api_answer_done(struct api_answer *answer);

/* What handlers answer. A value is given up in every case; NULL: there was no memory for it. */
bool api_give(struct api_answer *answer, json_t *json, struct err *err) MUSTER_CHECK;
bool api_append(json_t *list, json_t *value, struct err *err) MUSTER_CHECK;
bool api_put(json_t *object, const char *name, json_t *value, struct err *err) MUSTER_CHECK;
/* The answer is an object with an empty list under `name`, which is returned. */
json_t *api_list(struct api_answer *answer, const char *name, struct err *err);
static inline bool api_no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "no memory for the answer");
}

/* The value of a query parameter, or NULL. */
const char *api_query(const struct api_request *request, const char *name);
/* A whole number, 0 or more; `fallback` when it is not given. */
bool api_query_number(const struct api_request *request, const char *name, int64_t fallback,
                      int64_t *ret_value, struct err *err) MUSTER_CHECK;
/* A moment, in ms since 1970: up to the end of the year 9999, so that what is reckoned with it
 * (a week, an hour) does not overflow. */
#define API_MS_MAX INT64_C(253402300799999)
bool api_query_ms(const struct api_request *request, const char *name, int64_t fallback,
                  int64_t *ret_ms, struct err *err) MUSTER_CHECK;

/* The request's body as a JSON object; depth and size are bounded. The caller decrefs. */
bool api_body(const struct api_request *request, json_t **ret_object, struct err *err) MUSTER_CHECK;
/* A required string of 1..max characters without control characters; valid as long as `object`. */
bool api_text(const json_t *object, const char *name, size_t max, const char **ret_text,
              struct err *err) MUSTER_CHECK;
bool api_number(const json_t *object, const char *name, int64_t min, int64_t max,
                int64_t *ret_value, struct err *err) MUSTER_CHECK;
/* A required string of base64 (RFC 4648 section 4), at most `limit` bytes when decoded, appended
 * to `out`. */
bool api_base64(const json_t *object, const char *name, size_t limit, struct buf *out,
                struct err *err) MUSTER_CHECK;

#endif
