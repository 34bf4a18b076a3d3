/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mqtt_session_internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* ---- in which segments ---- */

static void set_cork(struct mqtt_session *session, int corked)
{
    session->corked = corked != 0;
    (void)setsockopt(session->fd, IPPROTO_TCP, TCP_CORK, &corked, sizeof corked);
}

static void on_held(uv_timer_t *timer)
{
    set_cork(timer->data, 0);
}

/* A packet by itself has TCP and IP headers of its own, which is more than most of them are long,
 * and another pair for its acknowledgement. */
void mqtt_session_hold(struct mqtt_session *session, int64_t wait_ms)
{
    if (!session->accepted || session->closed) {
        return;
    }
    if (!session->corked) {
        set_cork(session, 1);
    } else if (wait_ms > 0) {
        return; /* for no longer than what is held already */
    }
    (void)uv_timer_start(&session->held, on_held, (uint64_t)wait_ms, 0);
}

/* ---- what is said ---- */

static bool sent(struct mqtt_session *session, int rc, const char *what, struct err *err)
{
    switch (rc) {
    case MOSQ_ERR_SUCCESS:
        if (!session->in_library) {
            mqtt_session_watch(session);
        }
        return true;
    case MOSQ_ERR_NO_CONN:
    case MOSQ_ERR_CONN_LOST:
    case MOSQ_ERR_ERRNO:
    case MOSQ_ERR_TLS:
        /* libmosquitto has queued it nevertheless: this handle must go, at the next tick. */
        (void)err_set(mqtt_session_ending(session, MQTT_END_OTHER), ERR_UNAVAILABLE,
                      "connection lost while sending");
        return err_set(err, ERR_UNAVAILABLE, "%s: the connection is lost", what);
    default:
        return err_set(err, ERR_INVALID, "%s: %s", what, mosquitto_strerror(rc));
    }
}

/* Where the will is not kept, nothing may be kept that the will is to take back. */
static bool retains(const struct mqtt_session *session)
{
    return session->keeping == MQTT_KEEPS &&
           (session->settings.mqtt->will_topic == NULL || session->settings.keeping == MQTT_KEEPS);
}

bool mqtt_session_publish(struct mqtt_session *session, uint64_t token, const char *topic,
                          struct bytes payload, bool retain, struct err *err)
{
    int mid = 0;

    if (!session->accepted || mqtt_session_deaf(session)) {
        return err_set(err, ERR_UNAVAILABLE, "no session with the broker");
    }
    if (session->inflight == session->window_size) {
        return err_set(err, ERR_FULL, "%zu publishes wait for the broker", session->inflight);
    }
    mqtt_session_hold(session, 0);
    int rc = mosquitto_publish_v5(session->mosq, &mid, topic, (int)payload.length, payload.data, 1,
                                  retain && retains(session), NULL);
    if (!sent(session, rc, "publish", err)) {
        return false;
    }
    session->traffic.up.payload += payload.length;
    session->window[session->inflight++] = (struct publish){.token = token, .mid = mid};
    return true;
}

/* One packet. libmosquitto does not write to the filters. */
static bool change_few(struct mqtt_session *session, const char *const *filters, int count,
                       bool wanted, struct err *err)
{
    char *const *list = (char *const *)(uintptr_t)filters;
    int rc = wanted ? mosquitto_subscribe_multiple(session->mosq, NULL, count, list, 1, 0, NULL)
                    : mosquitto_unsubscribe_multiple(session->mosq, NULL, count, list, NULL);

    if (!sent(session, rc, filters[0], err)) {
        return false;
    }
    session->guard.subscribes += wanted;
    session->guard.unsubscribes += !wanted;
    return true;
}

bool mqtt_session_subscribe(struct mqtt_session *session, const char *const *filters, size_t count,
                            bool wanted, struct err *err)
{
    if (!session->accepted || mqtt_session_deaf(session)) {
        return err_set(err, ERR_UNAVAILABLE, "no session with the broker");
    }
    mqtt_session_hold(session, 0);
    while (count > 0) {
        size_t few = count < PACKET_FILTERS ? count : PACKET_FILTERS;
        if (!change_few(session, filters, (int)few, wanted, err)) {
            return false;
        }
        filters += few;
        count -= few;
    }
    return true;
}
