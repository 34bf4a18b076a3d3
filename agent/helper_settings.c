/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/helper_settings.h"

#include "agent/peers.h"
#include "base/file.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SECOND INT64_C(1000)
#define HOUR (3600 * SECOND)

#define FIELD(name)                                                                                \
    offsetof(struct helper_settings, name), sizeof(((struct helper_settings *)NULL)->name)

static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};

const struct setting helper_settings_table[] = {
    {"helper", "socket", SETTING_PATH, FIELD(socket), "/run/muster-helper/helper.sock", 1, 107,
     NULL, "where the agent asks; its settings name it as helper.socket"},
    {"helper", "users", SETTING_TEXT, FIELD(users), "", 0, 255, NULL,
     "users that may ask, beside root and the helper's own: the agent's; names or ids, commas"},
    {"helper", "limit", SETTING_DURATION, FIELD(limit_ms), "2m", 100, HOUR, NULL,
     "after this time a program and all that it started are killed"},
    {"verbs", "reboot", SETTING_TEXT, FIELD(reboot), "", 0, 0, NULL,
     "absolute path and arguments, by single spaces, no shell; empty: not on this terminal"},
    {"verbs", "restart-application", SETTING_TEXT, FIELD(restart_application), "", 0, 0, NULL,
     "the same, for the payment application"},
    {"log", "level", SETTING_CHOICE, FIELD(log_level), "info", 0, 0, log_levels,
     "error, warn, info or debug"},
    {0},
};

const char *helper_command(const struct helper_settings *settings, const char *verb)
{
    const struct {
        const char *verb, *command;
    } list[] = {
        {"reboot", settings->reboot},
        {"restart-application", settings->restart_application},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (strcmp(list[i].verb, verb) == 0)
            return list[i].command[0] != '\0' ? list[i].command : NULL;
    return NULL;
}

bool helper_words(char *text, char *ret_argv[HELPER_WORDS_MAX + 1], struct err *err)
{
    size_t count = 0;
    if (text[0] != '/')
        return err_set(err, ERR_INVALID, "\"%.60s\" does not begin with an absolute path", text);
    for (char *rest = text, *word; (word = strsep(&rest, " ")) != NULL;) {
        if (word[0] == '\0')
            return err_set(err, ERR_INVALID, "\"%.60s\": one space between words, none at the end",
                           text);
        if (count == HELPER_WORDS_MAX)
            return err_set(err, ERR_INVALID, "\"%.60s\": more than %d words", text,
                           HELPER_WORDS_MAX);
        ret_argv[count++] = word;
    }
    ret_argv[count] = NULL;
    return true;
}

bool helper_program_check(const char *program, struct err *err)
{
    struct stat look;
    if (stat(program, &look) != 0)
        return err_errno(err, errno, "%s", program);
    if (!S_ISREG(look.st_mode) || (look.st_mode & 0111) == 0)
        return err_set(err, ERR_INVALID, "%s is not a program", program);
    return file_is_guarded(program, err);
}

static bool command_check(const char *path, const char *verb, const char *command, struct err *err)
{
    char copy[HELPER_COMMAND_BYTES], *argv[HELPER_WORDS_MAX + 1];
    (void)snprintf(copy, sizeof copy, "%s", command);
    return command[0] == '\0' || helper_words(copy, argv, err) ||
           err_context(err, "%s: verbs.%s", path, verb);
}

/* Asked here, so that --check-config tells of a user that this machine does not know. */
static bool users_check(const char *path, const char *users, struct err *err)
{
    struct peers peers;
    return peers_parse(users, &peers, err) || err_context(err, "%s: helper.users", path);
}

bool helper_settings_load(const char *path, struct helper_settings *ret_settings, struct err *err)
{
    struct helper_settings settings = {0};
    if (!file_is_guarded(path, err) ||
        !settings_load(path, helper_settings_table, &settings, err) ||
        !users_check(path, settings.users, err) ||
        !command_check(path, "reboot", settings.reboot, err) ||
        !command_check(path, "restart-application", settings.restart_application, err))
        return false;
    *ret_settings = settings;
    return true;
}
