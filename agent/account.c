/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/account.h"

#include "proto/local.pb-c.h"
#include "proto/unpack.h"

#include <time.h>

enum { NOTE_BYTES = 1024 };

uint32_t account_month_of(int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    if (gmtime_r(&seconds, &utc) == NULL || utc.tm_year < 0 || utc.tm_year > 8000)
        return 0;
    return (uint32_t)(utc.tm_year + 1900) * 100 + (uint32_t)(utc.tm_mon + 1);
}

void account_month_is(struct account *account, uint32_t month)
{
    if (month == 0 || month == account->now.month)
        return;
    if (account->now.month != 0) {
        account->before = account->now;
        account->now = (struct account_month){0};
    }
    account->now.month = month;
    account->unsaved = true;
}

static struct traffic_way way_since(const struct traffic_way *now, const struct traffic_way *before)
{
    return (struct traffic_way){
        .payload = now->payload - before->payload,
        .mqtt = now->mqtt - before->mqtt,
        .tls = now->tls - before->tls,
        .tcpip = now->tcpip - before->tcpip,
    };
}

static bool way_grew(const struct traffic_way *now, const struct traffic_way *before)
{
    return now->payload >= before->payload && now->mqtt >= before->mqtt &&
           now->tls >= before->tls && now->tcpip >= before->tcpip;
}

void account_look(struct account *account, uint64_t link_start, const struct traffic *counted)
{
    if (link_start == 0)
        return;
    struct traffic before = {0};
    if (link_start == account->link_start)
        before = account->link;
    else
        account->unsaved = true;
    /* The link is another program: what it says is never subtracted. */
    if (!way_grew(&counted->up, &before.up) || !way_grew(&counted->down, &before.down))
        return;
    const struct traffic more = {.up = way_since(&counted->up, &before.up),
                                 .down = way_since(&counted->down, &before.down)};
    account->unsaved = account->unsaved || !traffic_equal(counted, &before);
    account->link_start = link_start;
    account->link = *counted;
    traffic_add(&account->now.traffic, &more);
}

/* ---- the note ---- */

static Muster__TrafficWay way_message(const struct traffic_way *way)
{
    Muster__TrafficWay message = MUSTER__TRAFFIC_WAY__INIT;
    message.payload = way->payload;
    message.mqtt = way->mqtt;
    message.tls = way->tls;
    message.tcpip = way->tcpip;
    return message;
}

static struct traffic_way way_of(const Muster__TrafficWay *message)
{
    if (message == NULL)
        return (struct traffic_way){0};
    return (struct traffic_way){.payload = message->payload,
                                .mqtt = message->mqtt,
                                .tls = message->tls,
                                .tcpip = message->tcpip};
}

static struct traffic traffic_of(const Muster__Traffic *message)
{
    if (message == NULL)
        return (struct traffic){0};
    return (struct traffic){.up = way_of(message->up), .down = way_of(message->down)};
}

bool account_pack(const struct account *account, struct buf *ret_note, struct err *err)
{
    const struct traffic *all[] = {&account->now.traffic, &account->before.traffic, &account->link};
    Muster__Traffic messages[3];
    Muster__TrafficWay ways[6];
    for (size_t i = 0; i < 3; i++) {
        messages[i] = (Muster__Traffic)MUSTER__TRAFFIC__INIT;
        ways[2 * i] = way_message(&all[i]->up);
        ways[2 * i + 1] = way_message(&all[i]->down);
        messages[i].up = &ways[2 * i];
        messages[i].down = &ways[2 * i + 1];
    }
    Muster__KeptTraffic kept = MUSTER__KEPT_TRAFFIC__INIT;
    kept.month = account->now.month;
    kept.now = &messages[0];
    kept.month_before = account->before.month;
    kept.before = &messages[1];
    kept.link_start = account->link_start;
    kept.link = &messages[2];
    return pack(&kept.base, ret_note, err);
}

bool account_unpack(struct bytes note, struct account *ret_account, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = NOTE_BYTES};
    struct arena arena = {0};
    ProtobufCMessage *message = NULL;
    *ret_account = (struct account){0};
    bool ok = unpack(&muster__kept_traffic__descriptor, note, &limits, &arena, &message, err);
    if (ok) {
        const Muster__KeptTraffic *kept = (const Muster__KeptTraffic *)message;
        ret_account->now.month = kept->month;
        ret_account->now.traffic = traffic_of(kept->now);
        ret_account->before.month = kept->month_before;
        ret_account->before.traffic = traffic_of(kept->before);
        ret_account->link_start = kept->link_start;
        ret_account->link = traffic_of(kept->link);
    }
    arena_done(&arena);
    return ok;
}
