/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/agenda.h"

#include <stdlib.h>

bool agenda_begin(struct agenda *agenda, size_t count, struct err *err)
{
    struct agenda begun = {
        .count = count,
        .due_ms = calloc(count + 1, sizeof *begun.due_ms),
        .heap = calloc(count + 1, sizeof *begun.heap),
        .place = calloc(count + 1, sizeof *begun.place),
    };
    if (begun.due_ms == NULL || begun.heap == NULL || begun.place == NULL) {
        agenda_done(&begun);
        return err_set(err, ERR_NO_MEMORY, "no memory for an agenda of %zu", count);
    }
    agenda_done(agenda);
    *agenda = begun;
    return true;
}

void agenda_done(struct agenda *agenda)
{
    free(agenda->due_ms);
    free(agenda->heap);
    free(agenda->place);
    *agenda = (struct agenda){0};
}

static bool sooner(const struct agenda *agenda, size_t a, size_t b)
{
    return agenda->due_ms[agenda->heap[a]] < agenda->due_ms[agenda->heap[b]];
}

static void swap(struct agenda *agenda, size_t a, size_t b)
{
    size_t thing = agenda->heap[a];
    agenda->heap[a] = agenda->heap[b];
    agenda->heap[b] = thing;
    agenda->place[agenda->heap[a]] = a + 1;
    agenda->place[agenda->heap[b]] = b + 1;
}

static void rise(struct agenda *agenda, size_t at)
{
    for (; at > 0 && sooner(agenda, at, (at - 1) / 2); at = (at - 1) / 2)
        swap(agenda, at, (at - 1) / 2);
}

static void sink(struct agenda *agenda, size_t at)
{
    for (size_t child; (child = 2 * at + 1) < agenda->waiting; at = child) {
        if (child + 1 < agenda->waiting && sooner(agenda, child + 1, child))
            child++;
        if (!sooner(agenda, child, at))
            return;
        swap(agenda, at, child);
    }
}

static void take_out(struct agenda *agenda, size_t thing)
{
    size_t at = agenda->place[thing] - 1;
    swap(agenda, at, --agenda->waiting);
    agenda->place[thing] = 0;
    if (at == agenda->waiting)
        return;
    rise(agenda, at);
    sink(agenda, at);
}

void agenda_set(struct agenda *agenda, size_t thing, int64_t due_ms)
{
    if (agenda->place[thing] != 0) {
        if (due_ms == agenda->due_ms[thing])
            return;
        take_out(agenda, thing);
    }
    agenda->due_ms[thing] = due_ms;
    if (due_ms < 0)
        return;
    agenda->heap[agenda->waiting++] = thing;
    agenda->place[thing] = agenda->waiting;
    rise(agenda, agenda->waiting - 1);
}

bool agenda_first(const struct agenda *agenda, size_t *ret_thing, int64_t *ret_due_ms)
{
    if (agenda->waiting == 0)
        return false;
    *ret_thing = agenda->heap[0];
    *ret_due_ms = agenda->due_ms[agenda->heap[0]];
    return true;
}
