/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/client.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define UNIX "unix:"
#define HTTPS "https://"

enum {
    CONNECT_LIMIT_MS = 5000,
    CALL_LIMIT_MS = 60000,
    REPLY_LIMIT_BYTES = 256 * 1024 * 1024, /* a list of a large fleet's devices */
    URL_CHARS = 8192,                      /* a selector may have 1,024 characters, each escaped */
    ADDRESS_CHARS = 512,
    TOKEN_CHARS = 200,
    WAITED_LIMIT_MS = 60000, /* in all, until what was asked too often is answered */
    TOO_MANY = 429,
    SILENCE_S = 60, /* of a stream, which is never silent for half as long */
};

struct client {
    CURL *curl;
    char server[ADDRESS_CHARS];           /* as given, for messages */
    const char *base;                     /* what a path is put behind */
    char authorization[TOKEN_CHARS + 32]; /* the header; "": none */
    struct buf reply;
    char detail[CURL_ERROR_SIZE]; /* libcurl's own words for the last failure */
};

/* libcurl's set-up is process wide and reference counted; each client holds one reference. */
static CURL *curl_take(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return NULL;
    CURL *curl = curl_easy_init();
    if (curl == NULL)
        curl_global_cleanup();
    return curl;
}

static bool is_local(const char *server)
{
    static const char *const locals[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};
    for (size_t i = 0; i < sizeof locals / sizeof *locals; i++) {
        size_t length = strlen(locals[i]);
        if (strncmp(server, locals[i], length) == 0 &&
            (server[length] == ':' || server[length] == '\0'))
            return true;
    }
    return false;
}

static bool is_tls(const char *server)
{
    return strncmp(server, HTTPS, sizeof HTTPS - 1) == 0 &&
           strcspn(server + sizeof HTTPS - 1, "/@?# ") > 0;
}

/* A token on its way is read by whoever is on the line, unless that is this host alone. */
static bool check_server(const char *server, struct err *err)
{
    bool is_unix = strncmp(server, UNIX, sizeof UNIX - 1) == 0 && server[sizeof UNIX - 1] != '\0';
    bool is_url = (is_local(server) || is_tls(server)) && strpbrk(server, "@?# ") == NULL;
    if ((is_unix || is_url) && strlen(server) < ADDRESS_CHARS)
        return true;
    return err_set(err, ERR_INVALID,
                   "server %.80s: expected unix:PATH, http://127.0.0.1:PORT or https://HOST[:PORT]",
                   server);
}

static size_t take_reply(char *data, size_t size, size_t count, void *ctx)
{
    struct client *client = ctx;
    return buf_append(&client->reply, data, size * count, NULL) ? size * count : 0;
}

/* What is the same for every call. */
static void set_common(struct client *client)
{
    CURL *curl = client->curl;
    bool tls = is_tls(client->server);
    if (!tls) /* whatever the environment says: it is local */
        (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, tls ? "https" : "http");
    (void)curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_LIMIT_MS);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)CALL_LIMIT_MS);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->detail);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_reply);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, client);
}

bool client_open(const char *server, struct client **ret_client, struct err *err)
{
    bool is_unix = strncmp(server, UNIX, sizeof UNIX - 1) == 0;
    if (!check_server(server, err))
        return false;
    struct client *client = calloc(1, sizeof *client);
    if (client != NULL)
        client->curl = curl_take();
    if (client == NULL || client->curl == NULL) {
        free(client);
        return err_set(err, ERR_NO_MEMORY, "no memory for a connection to %s", server);
    }
    memcpy(client->server, server, strlen(server) + 1);
    /* A path begins with a slash. */
    for (size_t end = strlen(server); !is_unix && client->server[end - 1] == '/'; end--)
        client->server[end - 1] = '\0';
    client->base = is_unix ? "http://localhost" : client->server;
    client->reply.limit = REPLY_LIMIT_BYTES;
    if (is_unix)
        (void)curl_easy_setopt(client->curl, CURLOPT_UNIX_SOCKET_PATH,
                               client->server + sizeof UNIX - 1);
    set_common(client);
    *ret_client = client;
    return true;
}

bool client_show_token(struct client *client, const char *token, struct err *err)
{
    const size_t length = strlen(token);
    size_t graphs = 0;
    while (isgraph((unsigned char)token[graphs]))
        graphs++;
    if (length == 0 || length > TOKEN_CHARS || graphs != length)
        return err_set(err, ERR_INVALID, "this is no token; it looks like muster_0123abcd...");
    (void)snprintf(client->authorization, sizeof client->authorization, "Authorization: Bearer %s",
                   token);
    return true;
}

bool client_trust(struct client *client, const char *file, struct err *err)
{
    if (access(file, R_OK) != 0)
        return err_errno(err, errno, "%s", file);
    return curl_easy_setopt(client->curl, CURLOPT_CAINFO, file) == CURLE_OK ||
           err_set(err, ERR_NO_MEMORY, "no memory for the name of %s", file);
}

void client_close(struct client *client)
{
    if (client == NULL)
        return;
    curl_easy_cleanup(client->curl);
    curl_global_cleanup();
    buf_done(&client->reply);
    explicit_bzero(client->authorization, sizeof client->authorization);
    free(client);
}

static enum err_code code_of(CURLcode result)
{
    switch (result) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return ERR_UNAVAILABLE;
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_OUT_OF_MEMORY:
        return ERR_NO_MEMORY;
    default:
        return ERR_IO;
    }
}

static enum err_code code_of_status(long status)
{
    switch (status) {
    case 400:
    case 405:
    case 413: /* the same request will always be too long: its input is at fault */
        return ERR_INVALID;
    case 401:
    case 403:
        return ERR_REFUSED;
    case 404:
        return ERR_NOT_FOUND;
    case 409:
        return ERR_CONFLICT;
    case TOO_MANY:
    case 502: /* by what is before musterd */
    case 503:
    case 504:
        return ERR_UNAVAILABLE;
    default:
        return ERR_IO;
    }
}

/* False: it was not answered well, and `err` says why in the server's words. */
static bool check_status(struct client *client, const char *path, struct err *err)
{
    long status = 0;
    (void)curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200 && status < 300)
        return true;
    json_t *reply = json_loadb((const char *)client->reply.data, client->reply.length, 0, NULL);
    const char *text = json_string_value(json_object_get(json_object_get(reply, "error"), "text"));
    if (text != NULL)
        err_set(err, code_of_status(status), "%s", text);
    else
        err_set(err, code_of_status(status), "%s%s answered with status %ld", client->server, path,
                status);
    json_decref(reply);
    return false;
}

static bool read_reply(struct client *client, const char *path, json_t **ret_reply, struct err *err)
{
    json_error_t why;
    if (!check_status(client, path, err))
        return false;
    json_t *reply = json_loadb((const char *)client->reply.data, client->reply.length, 0, &why);
    if (reply == NULL)
        return err_set(err, ERR_IO, "%s%s answered what is not JSON: %s", client->server, path,
                       why.text);
    *ret_reply = reply;
    return true;
}

static void set_method(CURL *curl, const char *method, struct bytes body)
{
    if (strcmp(method, "GET") == 0 || strcmp(method, "DELETE") == 0) {
        (void)curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
        (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method[0] == 'G' ? NULL : method);
        return;
    }
    (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.length);
    (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *)body.data);
    (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
}

/* libcurl words a failed connect as one to localhost, also for a unix socket. */
static const char *why_not(const struct client *client, CURLcode result)
{
    long os_error = 0;
    (void)curl_easy_getinfo(client->curl, CURLINFO_OS_ERRNO, &os_error);
    if (result == CURLE_COULDNT_CONNECT && os_error != 0)
        return strerror((int)os_error);
    return client->detail[0] != '\0' ? client->detail : curl_easy_strerror(result);
}

static bool no_answer(const struct client *client, CURLcode result, struct err *err)
{
    if (result == CURLE_PEER_FAILED_VERIFICATION)
        return err_set(err, code_of(result),
                       "%s is not trusted: %s; --ca FILE names the CA that it is to be verified by",
                       client->server, why_not(client, result));
    return err_set(err, code_of(result), "musterd at %s does not answer: %s", client->server,
                   why_not(client, result));
}

/* An empty Expect spares the round trip of "100 Continue" before a body. */
static struct curl_slist *headers_of(const struct client *client)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    return client->authorization[0] == '\0' ? headers
                                            : curl_slist_append(headers, client->authorization);
}

/* How long musterd wants us to wait, having been asked too often; 0: it has answered. */
static int64_t wait_of(const struct client *client)
{
    long status = 0;
    curl_off_t after_s = 0;
    (void)curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(client->curl, CURLINFO_RETRY_AFTER, &after_s);
    if (status != TOO_MANY)
        return 0;
    return after_s > 0 && after_s < WAITED_LIMIT_MS ? after_s * 1000 : 1000;
}

/* What came back is in client->reply, whatever its status. */
static CURLcode perform_patiently(struct client *client)
{
    CURLcode result = curl_easy_perform(client->curl);
    for (int64_t waited_ms = 0, wait_ms; result == CURLE_OK && (wait_ms = wait_of(client)) > 0;) {
        const struct timespec wait = {.tv_sec = wait_ms / 1000};
        waited_ms += wait_ms;
        if (waited_ms > WAITED_LIMIT_MS)
            break;
        (void)nanosleep(&wait, NULL);
        buf_clear(&client->reply);
        result = curl_easy_perform(client->curl);
    }
    return result;
}

static bool transfer(struct client *client, const char *method, const char *path, struct bytes body,
                     struct err *err)
{
    char url[URL_CHARS];
    int length = snprintf(url, sizeof url, "%s%s", client->base, path);
    if (length < 0 || length >= URL_CHARS)
        return err_set(err, ERR_INVALID, "the path %.80s... is too long", path);
    struct curl_slist *headers = headers_of(client);
    buf_clear(&client->reply);
    client->detail[0] = '\0';
    (void)curl_easy_setopt(client->curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, headers);
    set_method(client->curl, method, body);
    CURLcode result = perform_patiently(client);
    (void)curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    return result == CURLE_OK || no_answer(client, result, err);
}

static bool perform(struct client *client, const char *method, const char *path, struct bytes body,
                    json_t **ret_reply, struct err *err)
{
    return transfer(client, method, path, body, err) && read_reply(client, path, ret_reply, err);
}

bool client_get(struct client *client, const char *path, json_t **ret_reply, struct err *err)
{
    return perform(client, "GET", path, bytes_of("", 0), ret_reply, err);
}

bool client_fetch(struct client *client, const char *path, struct buf *out, struct err *err)
{
    return transfer(client, "GET", path, bytes_of("", 0), err) && check_status(client, path, err) &&
           buf_append(out, client->reply.data, client->reply.length, err);
}

bool client_put(struct client *client, const char *path, struct bytes body, json_t **ret_reply,
                struct err *err)
{
    return perform(client, "PUT", path, body, ret_reply, err);
}

bool client_post(struct client *client, const char *path, const json_t *body, json_t **ret_reply,
                 struct err *err)
{
    char *text = json_dumps(body, JSON_COMPACT);
    if (text == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the request to %s", client->server);
    bool ok = perform(client, "POST", path, bytes_of(text, strlen(text)), ret_reply, err);
    free(text);
    return ok;
}

bool client_delete(struct client *client, const char *path, json_t **ret_reply, struct err *err)
{
    return perform(client, "DELETE", path, bytes_of("", 0), ret_reply, err);
}

/* ---- what goes on ---- */

struct following {
    struct client *client;
    bool (*more)(void *ctx, struct bytes part);
    void *ctx;
};

/* What is no good answer is kept to be told. */
static size_t take_part(char *data, size_t size, size_t count, void *ctx)
{
    const struct following *following = ctx;
    long status = 0;
    (void)curl_easy_getinfo(following->client->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return take_reply(data, size, count, following->client);
    return following->more(following->ctx, bytes_of(data, size * count)) ? size * count : 0;
}

static void set_following(CURL *curl, struct following *following)
{
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_part);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, following);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 0L);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_S);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, NULL);
}

bool client_follow(struct client *client, const char *path, const char *last_event_id,
                   bool (*more)(void *ctx, struct bytes part), void *ctx, struct err *err)
{
    char url[URL_CHARS], last[URL_CHARS];
    struct following following = {client, more, ctx};
    struct curl_slist *headers = headers_of(client);
    (void)snprintf(url, sizeof url, "%s%s", client->base, path);
    (void)snprintf(last, sizeof last, "Last-Event-ID: %s", last_event_id);
    if (last_event_id[0] != '\0')
        headers = curl_slist_append(headers, last);
    buf_clear(&client->reply);
    client->detail[0] = '\0';
    (void)curl_easy_setopt(client->curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, headers);
    set_following(client->curl, &following);
    CURLcode result = curl_easy_perform(client->curl);
    (void)curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, NULL);
    (void)curl_easy_setopt(client->curl, CURLOPT_LOW_SPEED_TIME, 0L);
    curl_slist_free_all(headers);
    set_common(client);
    long status = 0;
    (void)curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status == 0)
        return no_answer(client, result, err);
    return check_status(client, path, err);
}
