/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/action.h"

#include "proto/limits.h"

#include <string.h>

static const struct {
    Muster__ActionKind kind;
    const char *word;
} words[] = {
    {MUSTER__ACTION_KIND__ACTION_SELFCHECK, "selfcheck"},
    {MUSTER__ACTION_KIND__ACTION_RESYNC, "resync"},
    {MUSTER__ACTION_KIND__ACTION_LOG_BUNDLE, "logs"},
    {MUSTER__ACTION_KIND__ACTION_RESTART_APPLICATION, "restart-application"},
    {MUSTER__ACTION_KIND__ACTION_REBOOT, "reboot"},
    {MUSTER__ACTION_KIND__ACTION_SIGN_ON, "sign-on"},
    {MUSTER__ACTION_KIND__ACTION_RESET_REGISTRATION, "reset-registration"},
    {MUSTER__ACTION_KIND__ACTION_APPLY, "apply"},
};

const char *action_word(int kind)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if ((int)words[i].kind == kind)
            return words[i].word;
    return "unknown";
}

Muster__ActionKind action_of_word(const char *word)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i].word, word) == 0)
            return words[i].kind;
    return MUSTER__ACTION_KIND__ACTION_UNKNOWN;
}

const char *action_words(void)
{
    return "selfcheck, resync, logs, restart-application, reboot, sign-on, reset-registration, "
           "apply";
}

const char *action_step_word(int step)
{
    switch (step) {
    case MUSTER__ACTION_STEP__ACTION_STEP_WAITING:
        return "waiting";
    case MUSTER__ACTION_STEP__ACTION_STEP_STARTED:
        return "started";
    case MUSTER__ACTION_STEP__ACTION_STEP_DONE:
        return "done";
    case MUSTER__ACTION_STEP__ACTION_STEP_FAILED:
        return "failed";
    case MUSTER__ACTION_STEP__ACTION_STEP_EXPIRED:
        return "expired";
    case MUSTER__ACTION_STEP__ACTION_STEP_REFUSED:
        return "refused";
    case MUSTER__ACTION_STEP__ACTION_STEP_OUTCOME_UNKNOWN:
        return "outcome unknown";
    default:
        return "open";
    }
}

bool action_is_over(int step)
{
    return step == MUSTER__ACTION_STEP__ACTION_STEP_DONE ||
           step == MUSTER__ACTION_STEP__ACTION_STEP_FAILED ||
           step == MUSTER__ACTION_STEP__ACTION_STEP_EXPIRED ||
           step == MUSTER__ACTION_STEP__ACTION_STEP_REFUSED ||
           step == MUSTER__ACTION_STEP__ACTION_STEP_OUTCOME_UNKNOWN;
}

bool action_id_valid(const char *id)
{
    size_t length = strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return length > 0 && length <= LIMIT_ACTION_ID_CHARS && id[length] == '\0';
}
