/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_HELPER_SETTINGS_H
#define AGENT_HELPER_SETTINGS_H

#include "base/settings.h"

/* Of muster-helper. A verb is the name of a setting, so there is no other one. */
enum { HELPER_COMMAND_BYTES = 512 };

struct helper_settings {
    char socket[108];
    char users[256];
    char reboot[HELPER_COMMAND_BYTES];
    char restart_application[HELPER_COMMAND_BYTES];
    int64_t limit_ms;
    int log_level;
};

extern const struct setting helper_settings_table[];
/* A command that is no absolute path with its arguments is refused here, as is a user that is not
 * known, and a file that others could have written: it says what is done with the rights of root.
 */
bool helper_settings_load(const char *path, struct helper_settings *ret_settings,
                          struct err *err) MUSTER_CHECK;

/* The command of this verb; NULL: there is none, or it is not allowed on this terminal. */
const char *helper_command(const struct helper_settings *settings, const char *verb);

/* A command in words, by single spaces; no shell reads it. `text` is cut up. */
enum { HELPER_WORDS_MAX = 16 };
bool helper_words(char *text, char *ret_argv[HELPER_WORDS_MAX + 1], struct err *err) MUSTER_CHECK;
/* Nobody but root and this process's own user could have put another program there. */
bool helper_program_check(const char *program, struct err *err) MUSTER_CHECK;

#endif
