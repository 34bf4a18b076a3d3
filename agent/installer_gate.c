/* SPDX-License-Identifier: Apache-2.0 */
/* What is ready waits until the batch is settled and no reversal is open. How long it has waited
 * outlives restarts: terminals are switched off at night. */
#include "agent/installer_internal.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

enum { KEEP_EVERY_MS = 5 * 60 * 1000 };

static int64_t waited_ms(const struct installer *installer)
{
    return installer->waited_ms + clock_boot_ms(installer->clock) - installer->waiting_since_ms;
}

void installer_gate_begin(struct installer *installer)
{
    const struct package_row *row = packages_book_find(&installer->book, &installer->ready);
    const int64_t now_ms = clock_boot_ms(installer->clock);
    const bool kept = row != NULL && row->step == PACKAGE_NEW;
    installer->waited_ms = kept ? package_age(row, installer->boot_id, now_ms) : 0;
    installer->waiting_since_ms = installer->wait_kept_ms = now_ms;
    gate_hook_begin(&installer->asker);
}

/* Of what was handed over once before, the book says how long that is ago, and not this. */
void installer_gate_keep(struct installer *installer)
{
    struct err err = {0};
    if (!installer->waiting)
        return;
    struct package_row *row = packages_book_row(&installer->book, &installer->ready);
    const int64_t now_ms = clock_boot_ms(installer->clock);
    installer->wait_kept_ms = now_ms;
    if (row->step != PACKAGE_NEW)
        return;
    row->age_ms = waited_ms(installer);
    row->kept_ms = now_ms;
    memcpy(row->boot_id, installer->boot_id, sizeof row->boot_id);
    if (!installer_keep(installer, &err))
        log_warn("how long %s has waited is not kept: %s", row->name, err.text);
}

static struct gate_answer look_with(const struct installer *installer, enum gate_hook hook)
{
    struct gate_look look = {
        .kind = GATE_SETTLED,
        .hook = hook,
        .hook_says = gate_hook_says(&installer->asker),
        .waited_ms = waited_ms(installer),
        .decided = installer->decided,
    };
    if (installer->events.lease != NULL)
        installer->events.lease(installer->ctx, &look.lease);
    return gate_look(&installer->gate, &look);
}

static struct gate_answer look(const struct installer *installer, enum gate_hook hook)
{
    struct gate_answer answer = look_with(installer, hook);
    if (!answer.open || !installer->held)
        return answer;
    answer.open = false;
    (void)snprintf(answer.waits_for, sizeof answer.waits_for, "the end of the restart");
    return answer;
}

bool installer_gate_open(struct installer *installer)
{
    installer->held =
        installer->events.restarting != NULL && installer->events.restarting(installer->ctx);
    const enum gate_hook hook = gate_hook_now(&installer->asker);
    const struct gate_answer answer = look(installer, hook);
    const bool hook_alone =
        hook == GATE_HOOK_BUSY && look_with(installer, GATE_HOOK_OPEN).open && !answer.open;
    installer->waiting = !answer.open;
    installer->asked_person = answer.ask;
    installer->alone = answer.opens_after_ms != INT64_MAX;
    (void)snprintf(installer->waits_for, sizeof installer->waits_for, "%s", answer.waits_for);
    gate_hook_ask(&installer->asker, GATE_SETTLED, hook_alone);
    if (clock_boot_ms(installer->clock) - installer->wait_kept_ms >= KEEP_EVERY_MS)
        installer_gate_keep(installer);
    return answer.open;
}

bool installer_gate_asks(const struct installer *installer)
{
    return installer->asker.program != NULL && installer->asker.step != ASKER_QUIET;
}

/* ---- for people on the terminal ---- */

bool installer_placing(const struct installer *installer, struct arena *arena,
                       Muster__Placing **ret_row)
{
    struct placing placing = {
        .name = installer->ready.name,
        .version = installer->ready.package_version,
        .slot = "",
    };
    *ret_row = NULL;
    if (!installer->waiting)
        return true;
    placing.answer = look(installer, gate_hook_now(&installer->asker));
    placing.waited_ms = waited_ms(installer);
    package_wanted_digest(&installer->ready, placing.digest);
    *ret_row = placing_tell(&placing, arena);
    return *ret_row != NULL;
}

bool installer_waits(const struct installer *installer, const uint8_t digest[32])
{
    uint8_t own[32];
    package_wanted_digest(&installer->ready, own);
    return installer->waiting && memcmp(own, digest, sizeof own) == 0;
}

bool installer_decide(struct installer *installer, const uint8_t digest[32], const char *who)
{
    if (!installer_waits(installer, digest))
        return false;
    if (!installer->decided)
        installer_tell_decided(installer, who);
    installer->decided = true;
    installer_look_at_gate(installer);
    return true;
}
