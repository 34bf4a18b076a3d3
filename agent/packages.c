/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/packages.h"

#include "base/buf.h"
#include "proto/seal.h"

#include <stdio.h>
#include <string.h>

enum { MINUTE_MS = 60 * 1000 };

void package_wanted_digest(const struct package_wanted *wanted, uint8_t ret_digest[32])
{
    char text[320], content[2 * 32 + 1];
    hex_encode(wanted->sha256, sizeof wanted->sha256, content);
    const int length = snprintf(text, sizeof text, "package %s %s %s", wanted->name,
                                wanted->package_version, content);
    sha256(bytes_of(text, (size_t)length), ret_digest);
}

bool package_same(const struct package_row *row, const struct package_wanted *wanted)
{
    return strcmp(row->name, wanted->name) == 0 &&
           strcmp(row->package_version, wanted->package_version) == 0 &&
           memcmp(row->sha256, wanted->sha256, sizeof row->sha256) == 0;
}

int64_t package_age(const struct package_row *row, const uint8_t boot_id[16], int64_t now_ms)
{
    const bool same = memcmp(row->boot_id, boot_id, sizeof row->boot_id) == 0;
    const int64_t since_ms = same ? now_ms - row->kept_ms : now_ms;
    return row->age_ms + (since_ms > 0 ? since_ms : 0);
}

bool package_running(const char *output, char ret_running[PACKAGE_VERSION_CHARS + 1])
{
    size_t length = strcspn(output, "\r\n");
    ret_running[0] = '\0';
    if (length > PACKAGE_VERSION_CHARS)
        return false;
    memcpy(ret_running, output, length);
    ret_running[length] = '\0';
    if (package_version_valid(ret_running))
        return true;
    ret_running[0] = '\0';
    return false;
}

static void refuse_it(struct package_verdict *verdict, Muster__Refusal refusal)
{
    verdict->step = PACKAGE_REFUSED;
    verdict->refusal = refusal;
    verdict->todo = PACKAGE_REST;
}

/* It was handed over, or the power went meanwhile: the version has until the limit. */
static void judge_handed(const struct package_wanted *wanted, const struct package_row *row,
                         const struct package_facts *facts, struct package_verdict *verdict)
{
    const char *runs = facts->running[0] != '\0' ? facts->running : "nobody knows what";
    const int64_t age_ms = package_age(row, facts->boot_id, facts->now_ms);
    verdict->todo = PACKAGE_WAIT;
    (void)snprintf(verdict->why, sizeof verdict->why, "%s; %s runs, until %s does",
                   row->step == PACKAGE_HANDED ? "it was handed to the installer"
                                               : "the agent ended while it was handed over",
                   runs, wanted->package_version);
    if (age_ms < facts->limit_ms)
        return;
    refuse_it(verdict, MUSTER__REFUSAL__REFUSAL_PACKAGE_VERSION);
    (void)snprintf(verdict->why, sizeof verdict->why,
                   "%lld minutes after it was handed over %s runs, and not %s",
                   (long long)(age_ms / MINUTE_MS), runs, wanted->package_version);
}

/* A restart in between has put in force what was installed whole; another version runs, so this was
 * not. A package that brings the terminal down each time is not for ever handed over. */
static void judge_cut(const struct package_row *row, const struct package_facts *facts,
                      struct package_verdict *verdict)
{
    if (row->handings < PACKAGE_HANDINGS) {
        verdict->todo = PACKAGE_HAND_OVER;
        (void)snprintf(verdict->why, sizeof verdict->why,
                       "the power went while it was handed over, and %s runs", facts->running);
        return;
    }
    refuse_it(verdict, MUSTER__REFUSAL__REFUSAL_PACKAGE_INSTALLER);
    (void)snprintf(verdict->why, sizeof verdict->why,
                   "the power went %u times while it was handed over, and %s runs", row->handings,
                   facts->running);
}

static void judge_other(const struct package_wanted *wanted, const struct package_row *row,
                        const struct package_facts *facts, struct package_verdict *verdict)
{
    const bool other_boot = memcmp(row->boot_id, facts->boot_id, sizeof row->boot_id) != 0;
    const bool as_new = (row->step == PACKAGE_DONE && row->handings == 0) ||
                        row->refusal == MUSTER__REFUSAL__REFUSAL_PACKAGE_MODEL;
    switch (as_new ? PACKAGE_NEW : row->step) {
    case PACKAGE_NEW:
        verdict->step = PACKAGE_NEW;
        verdict->refusal = MUSTER__REFUSAL__REFUSAL_NONE;
        verdict->todo = PACKAGE_HAND_OVER;
        (void)snprintf(verdict->why, sizeof verdict->why,
                       "%s runs; it is to be handed to the installer", facts->running);
        break;
    case PACKAGE_HANDING:
        if (other_boot)
            judge_cut(row, facts, verdict);
        else
            judge_handed(wanted, row, facts, verdict);
        break;
    case PACKAGE_HANDED:
        judge_handed(wanted, row, facts, verdict);
        break;
    case PACKAGE_DONE: /* such as a slot that did not boot and was given up */
        refuse_it(verdict, MUSTER__REFUSAL__REFUSAL_PACKAGE_VERSION);
        (void)snprintf(verdict->why, sizeof verdict->why, "%s ran, and %s runs now",
                       wanted->package_version, facts->running);
        break;
    case PACKAGE_REFUSED:
    default:
        (void)snprintf(verdict->why, sizeof verdict->why, "%s", row->why);
        break;
    }
}

/* Nothing is done on a guess; what was handed over is waited for all the same. */
static void judge_unasked(const struct package_wanted *wanted, const struct package_row *row,
                          const struct package_facts *facts, struct package_verdict *verdict)
{
    if (row->step == PACKAGE_REFUSED)
        (void)snprintf(verdict->why, sizeof verdict->why, "%s", row->why);
    else if (row->step == PACKAGE_HANDED || row->step == PACKAGE_HANDING)
        judge_handed(wanted, row, facts, verdict);
    else
        (void)snprintf(verdict->why, sizeof verdict->why, "%s", facts->trouble);
}

/* Somebody else's: the version says it all, and nothing is handed over or remembered. */
static void judge_observed(const struct package_wanted *wanted, const struct package_facts *facts,
                           struct package_verdict *verdict)
{
    *verdict = (struct package_verdict){.todo = PACKAGE_REST, .step = PACKAGE_NEW};
    if (facts->running[0] == '\0')
        (void)snprintf(verdict->why, sizeof verdict->why, "%s", facts->trouble);
    else if (strcmp(facts->running, wanted->package_version) == 0)
        verdict->step = PACKAGE_DONE;
    else
        (void)snprintf(verdict->why, sizeof verdict->why, "%s runs, %s is wanted; %s",
                       facts->running, wanted->package_version,
                       wanted->mode == MUSTER__ASSIGN_MODE__MODE_PROPOSE
                           ? "proposed to ops, not installed here"
                           : "observed only, not installed here");
}

void package_judge(const struct package_wanted *wanted, const struct package_row *row,
                   const struct package_facts *facts, struct package_verdict *ret_verdict)
{
    struct package_verdict verdict = {
        .todo = PACKAGE_REST, .step = row->step, .refusal = row->refusal};
    if (wanted->mode != MUSTER__ASSIGN_MODE__MODE_REPAIR) {
        judge_observed(wanted, facts, &verdict);
    } else if (wanted->model[0] != '\0' && strcmp(wanted->model, facts->model) != 0) {
        refuse_it(&verdict, MUSTER__REFUSAL__REFUSAL_PACKAGE_MODEL);
        (void)snprintf(verdict.why, sizeof verdict.why, "it is for model %s, this one is a %s",
                       wanted->model, facts->model);
    } else if (facts->running[0] == '\0') {
        judge_unasked(wanted, row, facts, &verdict);
    } else if (strcmp(facts->running, wanted->package_version) == 0) {
        verdict.step = PACKAGE_DONE;
        verdict.refusal = MUSTER__REFUSAL__REFUSAL_NONE;
    } else {
        judge_other(wanted, row, facts, &verdict);
    }
    *ret_verdict = verdict;
}
