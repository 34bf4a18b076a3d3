/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/world/host.h"

#include "base/file.h"
#include "tests/world/results.h"
#include "tests/world/tsv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TERMINALS_LIMIT = 1024, TERMINALS_LIMIT_BYTES = 64 * 1024 };

struct terminal {
    char tid[9], mid[16];
};

struct host {
    uint64_t seed;
    struct ranges ranges;
    struct terminal terminals[TERMINALS_LIMIT];
    size_t terminal_count;
};

static bool add_terminal(void *ctx, char *const *fields, struct err *err)
{
    struct host *host = ctx;
    if (host->terminal_count == TERMINALS_LIMIT)
        return err_set(err, ERR_FULL, "more than %d terminals", TERMINALS_LIMIT);
    struct terminal *terminal = &host->terminals[host->terminal_count];
    if (strlen(fields[0]) >= sizeof terminal->tid || strlen(fields[1]) >= sizeof terminal->mid)
        return err_set(err, ERR_INVALID, "expected a TID of 8 and a MID of 15 characters");
    strcpy(terminal->tid, fields[0]);
    strcpy(terminal->mid, fields[1]);
    host->terminal_count++;
    return true;
}

static bool read_terminals(struct host *host, const char *path, struct err *err)
{
    struct buf text = {0};
    if (!file_read(path, TERMINALS_LIMIT_BYTES, &text, err))
        return false;
    bool done = tsv_each(buf_bytes(&text), "tid\tmid", add_terminal, host, err);
    buf_done(&text);
    return done || err_context(err, "%s", path);
}

bool host_open(const struct host_settings *settings, struct host **ret_host, struct err *err)
{
    struct host *host = calloc(1, sizeof *host);
    if (!host)
        return err_set(err, ERR_NO_MEMORY, "no memory for the hosts");
    host->seed = settings->seed;
    if (!ranges_read(settings->table_path, &host->ranges, err) ||
        !read_terminals(host, settings->terminals_path, err)) {
        host_close(host);
        return false;
    }
    *ret_host = host;
    return true;
}

void host_close(struct host *host)
{
    if (!host)
        return;
    ranges_done(&host->ranges);
    free(host);
}

/* What a host says of the terminal or the card's range; NULL: nothing against it. */
static const char *objection(const struct host *host, const World__HostRequest *request)
{
    const struct terminal *terminal = NULL;
    for (size_t i = 0; i < host->terminal_count && !terminal; i++)
        if (strcmp(host->terminals[i].tid, request->tid) == 0)
            terminal = &host->terminals[i];
    if (!terminal)
        return "58";
    if (strcmp(terminal->mid, request->mid) != 0)
        return "03";
    const struct range *range = ranges_exact(&host->ranges, request->range);
    if (!range || range->route != request->route)
        return "57";
    return request->oda_failed ? "05" : NULL;
}

static const char *code_of_card(struct rng *rng)
{
    double weights[RESULTS_CODES];
    for (size_t i = 0; i < RESULTS_CODES; i++)
        weights[i] = strcmp(results_codes[i].code, "57") == 0 ? 0 : results_codes[i].percent;
    return results_codes[rng_pick(rng, weights, RESULTS_CODES)].code;
}

static uint32_t host_ms(struct rng *rng, uint32_t route)
{
    size_t which = route >= 1 && route <= TABLES_MAX_ROUTE ? route - 1 : 0;
    return (uint32_t)lround(rng_lognormal(rng, results_host[which].mu, results_host[which].sigma));
}

void host_answer(const struct host *host, const World__HostRequest *request,
                 struct host_answer *ret_answer)
{
    struct rng card = rng_named(host->seed ^ request->ordinal, request->range);
    struct rng moment = rng_of(rng_u64(&card) ^ (uint64_t)request->wall_ms);
    const char *code = objection(host, request);
    if (!code)
        code = code_of_card(&card);
    *ret_answer = (struct host_answer){.reply = WORLD__HOST_REPLY__INIT};
    snprintf(ret_answer->code, sizeof ret_answer->code, "%s", code);
    results_rrn(request->wall_ms, request->stan, ret_answer->rrn);
    ret_answer->reply.code = ret_answer->code;
    ret_answer->reply.rrn = ret_answer->rrn;
    ret_answer->reply.host_ms = host_ms(&moment, request->route);
    if (strcmp(code, "00") != 0)
        return;
    snprintf(ret_answer->auth_code, sizeof ret_answer->auth_code, "%06u",
             (unsigned)rng_below(&moment, 1000000));
    ret_answer->reply.auth_code = ret_answer->auth_code;
}
