/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/post.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum { CONNECT_LIMIT_MS = 10000, CONNECTIONS_MAX = 32, ANSWER_BYTES_MAX = 64 * 1024 };

struct post {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
    size_t open_handles;
    struct sending *first;
    bool closing;
};

/* One request. */
struct sending {
    struct post *post;
    struct sending *next, *before;
    CURL *curl;
    struct curl_slist *headers;
    struct post_order order;
    size_t answer_bytes;
    const char *refused; /* why it was not connected; NULL: it was not refused */
    char why[CURL_ERROR_SIZE];
};

/* A socket of libcurl's, watched for it. */
struct watched {
    uv_poll_t poll;
    struct post *post;
    curl_socket_t socket;
};

/* ---- what is over ---- */

static void sending_free(struct sending *sending)
{
    struct post *post = sending->post;
    if (sending->before != NULL)
        sending->before->next = sending->next;
    else if (post->first == sending)
        post->first = sending->next;
    if (sending->next != NULL)
        sending->next->before = sending->before;
    if (sending->curl != NULL) {
        (void)curl_multi_remove_handle(post->multi, sending->curl);
        curl_easy_cleanup(sending->curl);
    }
    curl_slist_free_all(sending->headers);
    free(sending);
}

static void finish(struct sending *sending, CURLcode result)
{
    const struct post_order order = sending->order;
    char why[CURL_ERROR_SIZE];
    long status = 0;
    if (result == CURLE_OK || sending->answer_bytes > ANSWER_BYTES_MAX)
        (void)curl_easy_getinfo(sending->curl, CURLINFO_RESPONSE_CODE, &status);
    (void)snprintf(why, sizeof why, "%s",
                   sending->refused != NULL  ? sending->refused
                   : sending->why[0] != '\0' ? sending->why
                                             : curl_easy_strerror(result));
    sending_free(sending);
    order.done(order.ctx, status, status == 0 ? why : "");
}

static void look(struct post *post)
{
    int left = 0;
    const CURLMsg *message;
    while (!post->closing && (message = curl_multi_info_read(post->multi, &left)) != NULL) {
        struct sending *sending = NULL;
        const CURLcode result = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&sending);
        finish(sending, result);
    }
}

/* ---- libcurl on the loop ---- */

static void on_socket(uv_poll_t *poll, int status, int events)
{
    const struct watched *watched = poll->data;
    struct post *post = watched->post;
    int running = 0;
    int what = status < 0 ? CURL_CSELECT_ERR
                          : ((events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0) |
                                ((events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0);
    (void)curl_multi_socket_action(post->multi, watched->socket, what, &running);
    look(post);
}

static void on_time(uv_timer_t *timer)
{
    struct post *post = timer->data;
    int running = 0;
    (void)curl_multi_socket_action(post->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    look(post);
}

static int set_timer(CURLM *multi, long wait_ms, void *ctx)
{
    struct post *post = ctx;
    (void)multi;
    if (post->closing)
        return 0;
    if (wait_ms < 0)
        (void)uv_timer_stop(&post->timer);
    else
        (void)uv_timer_start(&post->timer, on_time, (uint64_t)wait_ms, 0);
    return 0;
}

static void closed(struct post *post)
{
    if (--post->open_handles > 0)
        return;
    curl_global_cleanup();
    free(post);
}

static void on_watched_closed(uv_handle_t *handle)
{
    struct watched *watched = handle->data;
    closed(watched->post);
    free(watched);
}

static void unwatch(struct post *post, curl_socket_t socket, struct watched *watched)
{
    if (watched == NULL)
        return;
    (void)curl_multi_assign(post->multi, socket, NULL);
    (void)uv_poll_stop(&watched->poll);
    uv_close((uv_handle_t *)&watched->poll, on_watched_closed);
}

static struct watched *watch(struct post *post, curl_socket_t socket)
{
    struct watched *watched = calloc(1, sizeof *watched);
    if (watched == NULL)
        return NULL;
    if (uv_poll_init_socket(post->loop, &watched->poll, socket) != 0) {
        free(watched);
        return NULL;
    }
    watched->poll.data = watched;
    watched->post = post;
    watched->socket = socket;
    post->open_handles++;
    (void)curl_multi_assign(post->multi, socket, watched);
    return watched;
}

/* Without memory it is not watched, and its request ends by its time. */
static int set_socket(CURL *curl, curl_socket_t socket, int what, void *ctx, void *socket_ctx)
{
    struct post *post = ctx;
    struct watched *watched = socket_ctx;
    (void)curl;
    if (what == CURL_POLL_REMOVE) {
        unwatch(post, socket, watched);
        return 0;
    }
    if (watched == NULL)
        watched = watch(post, socket);
    if (watched != NULL)
        (void)uv_poll_start(&watched->poll,
                            ((what & CURL_POLL_IN) != 0 ? UV_READABLE : 0) |
                                ((what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0),
                            on_socket);
    return 0;
}

/* ---- open and close ---- */

bool post_open(uv_loop_t *loop, struct post **ret_post, struct err *err)
{
    struct post *post = calloc(1, sizeof *post);
    if (post == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(post);
        return err_set(err, ERR_NO_MEMORY, "no memory for requests to webhooks");
    }
    post->multi = curl_multi_init();
    if (post->multi == NULL) {
        curl_global_cleanup();
        free(post);
        return err_set(err, ERR_NO_MEMORY, "no memory for requests to webhooks");
    }
    post->loop = loop;
    (void)uv_timer_init(loop, &post->timer);
    post->timer.data = post;
    post->open_handles = 1;
    (void)curl_multi_setopt(post->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
    (void)curl_multi_setopt(post->multi, CURLMOPT_SOCKETDATA, post);
    (void)curl_multi_setopt(post->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    (void)curl_multi_setopt(post->multi, CURLMOPT_TIMERDATA, post);
    (void)curl_multi_setopt(post->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)CONNECTIONS_MAX);
    *ret_post = post;
    return true;
}

static void on_timer_closed(uv_handle_t *handle)
{
    closed(handle->data);
}

void post_close(struct post *post)
{
    if (post == NULL)
        return;
    post->closing = true;
    for (struct sending *sending = post->first, *next; sending != NULL; sending = next) {
        next = sending->next;
        sending_free(sending);
    }
    (void)curl_multi_cleanup(post->multi);
    uv_close((uv_handle_t *)&post->timer, on_timer_closed);
}

/* ---- a request ---- */

/* Who goes on and on has been heard. */
static size_t drop(const char *data, size_t size, size_t count, void *ctx)
{
    struct sending *sending = ctx;
    (void)data;
    sending->answer_bytes += size * count;
    return sending->answer_bytes <= ANSWER_BYTES_MAX ? size * count : 0;
}

enum reach { REACH_HERE, REACH_LINK, REACH_OTHER };

static enum reach reach_of_four(const uint8_t address[4])
{
    return address[0] == 127                        ? REACH_HERE
           : address[0] == 169 && address[1] == 254 ? REACH_LINK
                                                    : REACH_OTHER;
}

static enum reach reach_of(const struct sockaddr *address)
{
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    if (address->sa_family == AF_INET) {
        memcpy(&four, address, sizeof four);
        return reach_of_four((const uint8_t *)&four.sin_addr);
    }
    if (address->sa_family != AF_INET6)
        return REACH_OTHER;
    memcpy(&six, address, sizeof six);
    if (IN6_IS_ADDR_V4MAPPED(&six.sin6_addr))
        return reach_of_four(six.sin6_addr.s6_addr + 12);
    return IN6_IS_ADDR_LOOPBACK(&six.sin6_addr)    ? REACH_HERE
           : IN6_IS_ADDR_LINKLOCAL(&six.sin6_addr) ? REACH_LINK
                                                   : REACH_OTHER;
}

#define LINK_LOCAL                                                                                 \
    "is link-local: there only what belongs to this machine answers, such as its cloud's metadata"

/* Whatever the name was, this is the address that it has come to. */
static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct sending *sending = ctx;
    const enum reach reach = reach_of(&address->addr);
    (void)purpose;
    if (reach == REACH_LINK)
        sending->refused = "its address " LINK_LOCAL;
    else if (reach != REACH_HERE && strncasecmp(sending->order.url, "https:", 6) != 0)
        sending->refused = "without TLS its address has to be of this machine";
    else
        return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    return CURL_SOCKET_BAD;
}

static void set_up(struct sending *sending)
{
    CURL *curl = sending->curl;
    const struct post_order *order = &sending->order;
    (void)curl_easy_setopt(curl, CURLOPT_URL, order->url);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* whatever the environment says */
    (void)curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    (void)curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, sending);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L); /* a resolver is not waited for */
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_LIMIT_MS);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)POST_LIMIT_MS);
    (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "musterd/" MUSTER_VERSION);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, sending->headers);
    (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)order->body.length);
    (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *)order->body.data);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, sending);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, sending->why);
    (void)curl_easy_setopt(curl, CURLOPT_PRIVATE, sending);
}

static bool add_headers(struct sending *sending)
{
    for (const char *const *header = sending->order.headers; *header != NULL; header++) {
        struct curl_slist *longer = curl_slist_append(sending->headers, *header);
        if (longer == NULL)
            return false;
        sending->headers = longer;
    }
    return true;
}

bool post_send(struct post *post, const struct post_order *order, struct err *err)
{
    struct sending *sending = calloc(1, sizeof *sending);
    if (sending == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a request to %s", order->url);
    sending->post = post;
    sending->order = *order;
    sending->next = post->first;
    if (post->first != NULL)
        post->first->before = sending;
    post->first = sending;
    sending->curl = curl_easy_init();
    if (sending->curl == NULL || !add_headers(sending)) {
        sending_free(sending);
        return err_set(err, ERR_NO_MEMORY, "no memory for a request to %s", order->url);
    }
    set_up(sending);
    if (curl_multi_add_handle(post->multi, sending->curl) == CURLM_OK)
        return true;
    sending_free(sending);
    return err_set(err, ERR_NO_MEMORY, "no memory for a request to %s", order->url);
}

/* ---- where to ---- */

static bool is_here(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host));
}

/* Of a name it shows when it is connected. */
static bool is_link_local(const char *host)
{
    char text[64];
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    (void)snprintf(text, sizeof text, "%s", host + (host[0] == '['));
    text[strcspn(text, "]")] = '\0';
    return (inet_pton(AF_INET, text, &four.sin_addr) == 1 &&
            reach_of((const struct sockaddr *)&four) == REACH_LINK) ||
           (inet_pton(AF_INET6, text, &six.sin6_addr) == 1 &&
            reach_of((const struct sockaddr *)&six) == REACH_LINK);
}

static bool check_parts(const char *scheme, const char *host, const char *user, struct err *err)
{
    for (const char *c = host; *c != '\0'; c++)
        if ((unsigned char)*c >= 0x80)
            return err_set(err, ERR_INVALID,
                           "url: write the host's name in ASCII, as xn--..., not as %.60s", host);
    if (is_link_local(host))
        return err_set(err, ERR_INVALID, "url: %.60s " LINK_LOCAL, host);
    if (user != NULL)
        return err_set(err, ERR_INVALID, "url: no user and password there; the request is signed");
    if (strcmp(scheme, "https") == 0 || (strcmp(scheme, "http") == 0 && is_here(host)))
        return true;
    return err_set(
        err, ERR_INVALID,
        "url: expected https://..., or http://127.0.0.1... for a server of this machine");
}

bool post_url_check(const char *url, struct err *err)
{
    CURLU *parts = curl_url();
    char *scheme = NULL, *host = NULL, *user = NULL;
    bool ok = parts != NULL || err_set(err, ERR_NO_MEMORY, "no memory for a URL");
    if (ok && (curl_url_set(parts, CURLUPART_URL, url, 0) != CURLUE_OK ||
               curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
               curl_url_get(parts, CURLUPART_HOST, &host, 0) != CURLUE_OK))
        ok = err_set(err, ERR_INVALID, "url: %.60s is none", url);
    if (ok) {
        (void)curl_url_get(parts, CURLUPART_USER, &user, 0);
        ok = check_parts(scheme, host, user, err);
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    curl_url_cleanup(parts);
    return ok;
}
