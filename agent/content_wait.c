/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/content_wait.h"

#include <string.h>

static const int64_t longest_wait_ms = INT64_C(3600) * 1000;
/* For a broker to answer, however far it is. */
static const int64_t answer_ms = 3000;

enum { THIN_LINE_BYTES_PER_S = 1024, SLOW_LINE_BYTES_PER_S = 3 * 1024 };

/* Time spent with a session so far. */
static int64_t clock_of(const struct content_wait *wait, int64_t now_ms)
{
    return wait->before_ms + (wait->connected ? now_ms - wait->connected_ms : 0);
}

static int64_t carried_ms(const struct content_wait *wait, int64_t bytes_per_s)
{
    return (int64_t)wait->largest_bytes * 1000 / bytes_per_s;
}

static int64_t limit_ms(const struct content_wait *wait)
{
    return wait->patience_ms + carried_ms(wait, THIN_LINE_BYTES_PER_S);
}

/* Time for what a broker keeps to come by itself, or, where it takes longer than that, to be seen
 * to come. */
static int64_t first_ms(const struct content_wait *wait)
{
    int64_t slow_ms = carried_ms(wait, SLOW_LINE_BYTES_PER_S);
    return answer_ms + (slow_ms < CONTENT_WAIT_LAG_MS ? slow_ms : CONTENT_WAIT_LAG_MS);
}

/* Since the last look. */
static bool look_at_flow(struct content_wait *wait, uint64_t bytes, int64_t at_ms)
{
    uint64_t least = (uint64_t)(at_ms - wait->flow_ms) * THIN_LINE_BYTES_PER_S / 1000;
    bool flows = bytes > wait->flow_bytes && bytes - wait->flow_bytes >= least;
    wait->flow_ms = at_ms;
    wait->flow_bytes = bytes;
    return flows;
}

void content_wait_init(struct content_wait *wait, int64_t patience_ms)
{
    *wait = (struct content_wait){.patience_ms = patience_ms, .ask_ms = INT64_MAX};
}

void content_wait_connected(struct content_wait *wait, bool keeps_nothing, int64_t now_ms)
{
    wait->keeps_nothing = keeps_nothing;
    if (!wait->connected) {
        wait->connected = true;
        wait->connected_ms = now_ms;
    }
}

void content_wait_disconnected(struct content_wait *wait, int64_t now_ms)
{
    wait->before_ms = clock_of(wait, now_ms);
    wait->connected = false;
}

static bool was_told(const struct content_wait *wait, const uint8_t blob[32])
{
    for (size_t i = 0; i < wait->count; i++) {
        if (memcmp(wait->blobs[i], blob, 32) == 0)
            return wait->told[i];
    }
    return false;
}

/* What a hello has named is on its way, or is asked for in its time. What follows upon something
 * that came is a walk through much: only when all that was named has come is the rest asked for. */
static void plan_ask(struct content_wait *wait, bool some_untold, bool some_told, int64_t at_ms)
{
    bool soon = some_untold && (!wait->moved || !some_told);
    int64_t kept_ms = wait->keeps_nothing ? 0 : first_ms(wait);
    int64_t ask_ms = at_ms + (soon ? kept_ms : limit_ms(wait));
    if (soon || wait->moved || wait->ask_ms == INT64_MAX) {
        wait->wait_ms = limit_ms(wait);
        wait->ask_ms = ask_ms;
    }
}

void content_wait_set(struct content_wait *wait, const uint8_t (*blobs)[32], const uint64_t *sizes,
                      size_t count, uint64_t bytes, int64_t now_ms)
{
    bool told[CONTENT_WAIT_BLOBS], some_told = false, some_untold = false;
    bool begins = wait->count == 0;
    count = count < CONTENT_WAIT_BLOBS ? count : CONTENT_WAIT_BLOBS;
    wait->largest_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        told[i] = was_told(wait, blobs[i]);
        some_told = some_told || told[i];
        some_untold = some_untold || !told[i];
        if (sizes[i] > wait->largest_bytes)
            wait->largest_bytes = sizes[i];
    }
    if (count > 0) {
        memcpy(wait->blobs, blobs, count * 32);
        memcpy(wait->told, told, count * sizeof *told);
    }
    wait->count = count;
    if (begins) {
        wait->since_ms = clock_of(wait, now_ms);
        wait->given_up = false;
    }
    if (count == 0)
        wait->ask_ms = INT64_MAX;
    else
        plan_ask(wait, some_untold, some_told, clock_of(wait, now_ms));
    wait->moved = false;
    (void)look_at_flow(wait, bytes, clock_of(wait, now_ms));
}

void content_wait_came(struct content_wait *wait, int64_t now_ms)
{
    wait->since_ms = clock_of(wait, now_ms);
    wait->moved = true;
    wait->came = true;
    wait->comes = true;
    wait->given_up = false;
    wait->wait_ms = limit_ms(wait);
    if (wait->count > 0)
        wait->ask_ms = wait->since_ms + wait->wait_ms;
}

void content_wait_named(struct content_wait *wait, int64_t now_ms)
{
    int64_t least_ms = clock_of(wait, now_ms) + limit_ms(wait);
    for (size_t i = 0; i < wait->count; i++)
        wait->told[i] = true;
    if (wait->count > 0 && wait->ask_ms < least_ms)
        wait->ask_ms = least_ms;
}

bool content_wait_comes(const struct content_wait *wait)
{
    return wait->comes && !wait->keeps_nothing && !wait->late;
}

void content_wait_asked(struct content_wait *wait, int64_t now_ms, uint64_t random)
{
    wait->comes = false;
    int64_t jitter_ms = (int64_t)(random % ((uint64_t)wait->wait_ms / 4 + 1));
    wait->ask_ms = clock_of(wait, now_ms) + wait->wait_ms + jitter_ms;
    int64_t longest_ms = longest_wait_ms > limit_ms(wait) ? longest_wait_ms : limit_ms(wait);
    wait->wait_ms = 2 * wait->wait_ms < longest_ms ? 2 * wait->wait_ms : longest_ms;
}

bool content_wait_ask(const struct content_wait *wait, int64_t now_ms)
{
    return wait->connected && clock_of(wait, now_ms) >= wait->ask_ms;
}

static bool any_told(const struct content_wait *wait)
{
    size_t i = 0;
    while (i < wait->count && !wait->told[i])
        i++;
    return i < wait->count;
}

bool content_wait_flows(struct content_wait *wait, uint64_t bytes, int64_t now_ms)
{
    int64_t at_ms = clock_of(wait, now_ms);
    bool flows = look_at_flow(wait, bytes, at_ms);
    if (!flows || (wait->keeps_nothing && !any_told(wait)))
        return false;
    wait->ask_ms = at_ms + CONTENT_WAIT_LAG_MS * 3 / 2;
    return true;
}

static int64_t late_at_ms(const struct content_wait *wait)
{
    return wait->count == 0 || wait->late ? INT64_MAX : wait->since_ms + limit_ms(wait);
}

bool content_wait_late(struct content_wait *wait, int64_t now_ms)
{
    if (!wait->connected || clock_of(wait, now_ms) < late_at_ms(wait))
        return false;
    wait->late = true;
    wait->came = false;
    return true;
}

static int64_t given_up_at_ms(const struct content_wait *wait)
{
    return wait->count == 0 || !wait->late || wait->given_up || wait->keeps_nothing
               ? INT64_MAX
               : wait->since_ms + 2 * limit_ms(wait);
}

bool content_wait_give_up(struct content_wait *wait, int64_t now_ms)
{
    if (!wait->connected || clock_of(wait, now_ms) < given_up_at_ms(wait))
        return false;
    wait->given_up = true;
    return true;
}

bool content_wait_over(struct content_wait *wait)
{
    bool late = wait->late;
    wait->late = false;
    return late;
}

int64_t content_wait_waited_ms(const struct content_wait *wait, int64_t now_ms)
{
    return wait->count == 0 ? 0 : clock_of(wait, now_ms) - wait->since_ms;
}

int64_t content_wait_deadline(const struct content_wait *wait, bool may_ask, int64_t now_ms)
{
    int64_t at_ms = late_at_ms(wait);
    if (given_up_at_ms(wait) < at_ms)
        at_ms = given_up_at_ms(wait);
    if (may_ask && wait->ask_ms < at_ms)
        at_ms = wait->ask_ms;
    return !wait->connected || at_ms == INT64_MAX ? INT64_MAX
                                                  : now_ms + (at_ms - clock_of(wait, now_ms));
}
