/* SPDX-License-Identifier: Apache-2.0 */
/* What waits here, for what, since when and until when: of plan, status and apply. */
#include "agent/command.h"
#include "agent/txn_input.h"
#include "base/span.h"
#include "proto/action.h"

#include <inttypes.h>

/* One wait for the payment application; 0 of the last three: none, or not known. */
struct wait {
    char *waits_for;
    uint64_t waited_ms, asks_after_ms, opens_after_ms, ends_ms;
};

static uint64_t left_of(uint64_t after_ms, uint64_t waited_ms)
{
    return after_ms > waited_ms ? after_ms - waited_ms : 0;
}

/* ", for the open transaction, which ends by itself in 80 s at the latest, since 3 min" */
static void print_what(const struct wait *wait)
{
    char waited[SPAN_WORDS_CHARS], left[SPAN_WORDS_CHARS], ends[80] = "";
    span_words((int64_t)wait->waited_ms, false, waited);
    if (wait->ends_ms > 0) {
        span_words((int64_t)wait->ends_ms, true, left);
        (void)snprintf(ends, sizeof ends, ", which ends by itself in %s at the latest", left);
    }
    (void)printf("for %s%s, since %s",
                 wait->waits_for[0] != '\0' ? command_plain(wait->waits_for) : "its turn", ends,
                 waited);
}

/* `done`: what comes of it then. */
static void print_until(const struct wait *wait, const char *done)
{
    char left[SPAN_WORDS_CHARS];
    if (wait->opens_after_ms > 0) {
        span_words((int64_t)left_of(wait->opens_after_ms, wait->waited_ms), true, left);
        (void)printf("; %s in %s at the latest\n", done, left);
    } else if (wait->asks_after_ms > 0) {
        span_words((int64_t)left_of(wait->asks_after_ms, wait->waited_ms), true, left);
        (void)printf("; a person is asked in %s\n", left);
    } else {
        (void)printf("; a person should look, then: muster apply\n");
    }
}

/* ---- a generation ---- */

static bool is_waiting(const Muster__ApplyReport *apply)
{
    return apply != NULL && (apply->step == MUSTER__APPLY_STEP__APPLY_WAITING ||
                             apply->step == MUSTER__APPLY_STEP__APPLY_ASKING);
}

void command_print_waits(const Muster__ApplyReport *apply)
{
    if (!is_waiting(apply))
        return;
    const struct wait wait = {apply->waits_for, apply->waited_ms, apply->asks_after_ms,
                              apply->opens_after_ms, apply->ends_ms};
    const bool back = apply->refusal != MUSTER__REFUSAL__REFUSAL_NONE;
    if (back)
        (void)printf("goes back  generation %" PRIu64 ": %s\n", apply->generation,
                     command_plain(apply->why));
    (void)printf("waits      %s %" PRIu64 ", ", back ? "the return to generation" : "manifest",
                 back ? apply->good_generation : apply->manifest_version);
    print_what(&wait);
    print_until(&wait, "put in force");
}

json_t *command_waits_json(const Muster__ApplyReport *apply)
{
    char step[32];
    if (!is_waiting(apply))
        return json_null();
    enum_word(&muster__apply_step__descriptor, "APPLY_", (int)apply->step, step);
    return json_pack("{s:s, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I}", "step", step,
                     "manifest_version", (json_int_t)apply->manifest_version, "generation",
                     (json_int_t)apply->generation, "good_generation",
                     (json_int_t)apply->good_generation, "waits_for", apply->waits_for, "waited_ms",
                     (json_int_t)apply->waited_ms, "asks_after_ms",
                     (json_int_t)apply->asks_after_ms, "opens_after_ms",
                     (json_int_t)apply->opens_after_ms, "ends_ms", (json_int_t)apply->ends_ms);
}

/* ---- keys and packages ---- */

void command_print_placings(Muster__Placing *const *placings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const Muster__Placing *placing = placings[i];
        const struct wait wait = {placing->waits_for, placing->waited_ms, placing->asks_after_ms,
                                  placing->opens_after_ms, placing->ends_ms};
        const bool key = placing->slot[0] != '\0';
        (void)printf("waits      ");
        if (key)
            (void)printf("slot %s: key version %s of %s, ", command_plain(placing->slot),
                         command_plain(placing->version), command_plain(placing->name));
        else
            (void)printf("%s: version %s for the installer, ", command_plain(placing->name),
                         command_plain(placing->version));
        print_what(&wait);
        print_until(&wait, key ? "placed" : "handed over");
    }
}

json_t *command_placings_json(Muster__Placing *const *placings, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const Muster__Placing *placing = placings[i];
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "name", placing->name,
                            "version", placing->version, "slot", placing->slot, "waits_for",
                            placing->waits_for, "waited_ms", (json_int_t)placing->waited_ms,
                            "asks_after_ms", (json_int_t)placing->asks_after_ms, "opens_after_ms",
                            (json_int_t)placing->opens_after_ms, "ends_ms",
                            (json_int_t)placing->ends_ms));
    }
    return list;
}

/* ---- actions ---- */

static void print_action_wait(const Muster__PlanAction *action)
{
    const struct wait wait = {
        .waits_for = action->text, .waited_ms = action->waited_ms, .ends_ms = action->ends_ms};
    char when[32];
    (void)printf(" ");
    print_what(&wait);
    if (action->opens_after_ms > 0) {
        span_words((int64_t)left_of(action->opens_after_ms, action->waited_ms), true, when);
        (void)printf("; begins in %s at the latest", when);
    }
    command_time(action->expires_ms, when);
    if (action->expires_ms != 0)
        (void)printf("; expires %s", when);
    else
        (void)printf("; does not expire");
}

void command_print_actions(Muster__PlanAction *const *actions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const Muster__PlanAction *action = actions[i];
        (void)printf("%-10s %s %s: %s", i == 0 ? "actions" : "", action_word((int)action->kind),
                     command_plain(action->id), action_step_word((int)action->step));
        if (action->step == MUSTER__ACTION_STEP__ACTION_STEP_WAITING)
            print_action_wait(action);
        else if (action->text[0] != '\0')
            (void)printf(": %s", command_plain(action->text));
        (void)printf("\n");
    }
}

json_t *command_actions_json(Muster__PlanAction *const *actions, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const Muster__PlanAction *action = actions[i];
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "id", action->id, "kind",
                            action_word((int)action->kind), "step",
                            action_step_word((int)action->step), "text", action->text, "waited_ms",
                            (json_int_t)action->waited_ms, "ends_ms", (json_int_t)action->ends_ms,
                            "opens_after_ms", (json_int_t)action->opens_after_ms, "expires_ms",
                            (json_int_t)action->expires_ms));
    }
    return list;
}
