/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/keyloader.h"
#include "agent/keys_say.h"
#include "base/exit_codes.h"
#include "base/private.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: muster-keys-pkcs11 [--config FILE] inventory | load SLOT\n"
    "       muster-keys-pkcs11 [--config FILE] --check-config | --print-settings | --version\n"
    "\n"
    "Places key blocks (ANSI X9.143, TR-31) in a PKCS#11 token, and says what is in it. The agent\n"
    "runs it (keys.loader); the block comes on stdin, the answer goes to stdout.\n"
    "\n"
    "  --config FILE     settings (default /etc/muster/keys-pkcs11.conf)\n"
    "\n"
    "Exit: 0 done, 1 refused and nothing was changed, 2 wrong usage, 6 not possible now.\n";

/* The agent reads the reason from stdout, as it does of any loader. */
static int say_why(const struct err *err)
{
    printf("why %s\n", err->text);
    return err->code == ERR_REFUSED || err->code == ERR_INVALID ? KEYS_EXIT_REFUSED : EXIT_SYSTEM;
}

static int run(const char *config, int count, char **words)
{
    struct keyloader_settings settings;
    struct err err = {0};
    const bool load = count == 2 && strcmp(words[0], "load") == 0;
    const bool check = count == 1 && strcmp(words[0], "--check-config") == 0;
    if (!load && !check && !(count == 1 && strcmp(words[0], "inventory") == 0)) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if (!keyloader_settings_load(config, &settings, &err)) {
        printf("why %s\n", err.text);
        return EXIT_USAGE;
    }
    if (check && !keyloader_check(&settings, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return EXIT_USAGE;
    }
    if (check) {
        puts("settings are good");
        return EXIT_OK;
    }
    if (!private_process(&err))
        return say_why(&err);
    bool ok = load ? keyloader_load(&settings, words[1], STDIN_FILENO, stdout, &err)
                   : keyloader_inventory(&settings, stdout, &err);
    return ok ? EXIT_OK : say_why(&err);
}

int main(int argc, char **argv)
{
    const char *config = "/etc/muster/keys-pkcs11.conf";
    int at = 1;
    if (argc > 2 && strcmp(argv[1], "--config") == 0) {
        config = argv[2];
        at = 3;
    }
    if (argc == at + 1 && strcmp(argv[at], "--print-settings") == 0) {
        settings_print(keyloader_settings_table);
        return EXIT_OK;
    }
    if (argc == at + 1 && strcmp(argv[at], "--version") == 0) {
        puts("muster-keys-pkcs11 " MUSTER_VERSION);
        return EXIT_OK;
    }
    if (argc == at + 1 && strcmp(argv[at], "--help") == 0) {
        fputs(usage, stdout);
        return EXIT_OK;
    }
    return run(config, argc - at, argv + at);
}
