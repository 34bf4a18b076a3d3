/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/hello.h"

#include "base/backoff.h"

#include <string.h>

static const int64_t first_wait_ms = 5000;
static const int64_t shortest_limit_ms = 300000;
static const int64_t daily_ms = INT64_C(24) * 3600 * 1000;
static const int64_t doubt_wait_ms = 30 * 1000;
/* Time for what is on its way to arrive, and to be told of together. */
static const int64_t soon_ms = 3000;
/* A fleet whose welcome could not be read may be understood now; others are in no hurry. */
static const int64_t anew_ms = 1000, anew_welcomed_ms = 20000;

void hello_connected(struct hello *hello, int64_t now_ms)
{
    hello->connected = true;
    hello->welcomed = false;
    hello->outstanding = false;
    hello->wait_ms = first_wait_ms;
    hello->next_ms = now_ms;
}

void hello_disconnected(struct hello *hello)
{
    hello->connected = false;
    hello->welcomed = false;
    hello->outstanding = false;
    hello->next_ms = 0;
}

static void due_by(struct hello *hello, int64_t at_ms)
{
    if (!hello->connected || !hello->welcomed)
        return;
    hello->asked = true;
    if (hello->next_ms == 0 || hello->next_ms > at_ms) {
        hello->next_ms = at_ms;
        hello->wait_ms = first_wait_ms;
    }
}

void hello_soon(struct hello *hello, int64_t now_ms)
{
    due_by(hello, now_ms + soon_ms);
}

void hello_now(struct hello *hello, int64_t now_ms)
{
    due_by(hello, now_ms);
}

void hello_anew(struct hello *hello, int64_t now_ms, uint64_t random)
{
    if (!hello->connected)
        return;
    hello->asked = true;
    int64_t next_ms =
        now_ms + backoff_spread_ms(hello->welcomed ? anew_welcomed_ms : anew_ms, random);
    if (hello->next_ms == 0 || hello->next_ms > next_ms)
        hello->next_ms = next_ms;
    hello->wait_ms = first_wait_ms;
}

void hello_doubt(struct hello *hello, int64_t now_ms)
{
    if (!hello->connected || !hello->welcomed || now_ms < hello->doubt_next_ms)
        return;
    int64_t wait_ms = hello->doubt_wait_ms == 0 ? doubt_wait_ms : 2 * hello->doubt_wait_ms;
    hello->doubt_wait_ms = wait_ms < daily_ms ? wait_ms : daily_ms;
    hello->doubt_next_ms = now_ms + hello->doubt_wait_ms;
    hello_soon(hello, now_ms);
}

void hello_sure(struct hello *hello)
{
    hello->doubt_wait_ms = 0;
    hello->doubt_next_ms = 0;
}

bool hello_due(const struct hello *hello, int64_t now_ms)
{
    return hello->connected && hello->next_ms != 0 && now_ms >= hello->next_ms;
}

void hello_sent(struct hello *hello, const uint8_t nonce[16], int64_t now_ms, uint64_t random)
{
    memcpy(hello->nonce, nonce, sizeof hello->nonce);
    hello->outstanding = true;
    hello->asked = false;
    hello->next_ms = now_ms + backoff_spread_ms(2 * hello->wait_ms, random);
    int64_t limit_ms =
        hello->longest_wait_ms > shortest_limit_ms ? hello->longest_wait_ms : shortest_limit_ms;
    hello->wait_ms = hello->wait_ms * 2 > limit_ms ? limit_ms : hello->wait_ms * 2;
}

bool hello_welcomed(struct hello *hello, const uint8_t *nonce, unsigned long nonce_length,
                    bool behind, int64_t now_ms, uint64_t random)
{
    if (!hello->outstanding || nonce_length != sizeof hello->nonce ||
        memcmp(nonce, hello->nonce, sizeof hello->nonce) != 0)
        return false;
    hello->outstanding = false;
    hello->welcomed = true;
    if (!behind && !hello->asked) {
        hello->wait_ms = first_wait_ms;
        hello->next_ms = now_ms + backoff_spread_ms(daily_ms, random);
    }
    return true;
}

int64_t hello_deadline(const struct hello *hello)
{
    return hello->connected && hello->next_ms != 0 ? hello->next_ms : INT64_MAX;
}
