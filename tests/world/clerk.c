/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/client.h"
#include "base/exit_codes.h"

#include <stdio.h>
#include <string.h>

/*
 * A payment application of which each step is a command, a line on stdin each:
 *   begin TERMINAL HOLD_MS      end TERMINAL      set TERMINAL REVERSAL BATCH      record
 * Each is answered by a line on stdout, tab-separated:
 *   status (a number)  generation  path  what waits  text
 */
enum { DEADLINE_MS = 5000, LINE_BYTES = 128 };

static void say(enum muster_status status, const struct muster_lease *lease, const char *text)
{
    (void)printf("%d\t%llu\t%s\t%s\t%s\n", (int)status, (unsigned long long)lease->generation,
                 lease->path, lease->waiting, text);
    (void)fflush(stdout);
}

static void record(struct muster_client *client)
{
    const struct muster_txn txn = {.outcome = MUSTER_OUTCOME_APPROVED, .code = "00"};
    const struct muster_lease none = {0};
    struct muster_answer answer;
    (void)muster_record(client, &txn, &answer);
    say(answer.status, &none, answer.text);
}

static bool obey(struct muster_client *client, const char *line)
{
    struct muster_lease lease;
    unsigned terminal = 0, hold_ms = 0, reversal = 0, batch = 0;
    if (sscanf(line, "begin %u %u", &terminal, &hold_ms) == 2) {
        (void)muster_lease_begin(client, terminal, hold_ms, &lease);
    } else if (sscanf(line, "end %u", &terminal) == 1) {
        (void)muster_lease_end(client, terminal, &lease);
    } else if (sscanf(line, "set %u %u %u", &terminal, &reversal, &batch) == 3) {
        (void)muster_lease_set(client, terminal, reversal != 0, batch != 0, &lease);
    } else if (strcmp(line, "record\n") == 0) {
        record(client);
        return true;
    } else {
        return false;
    }
    say(lease.status, &lease, lease.text);
    return true;
}

int main(int argc, char **argv)
{
    const struct muster_client_settings settings = {.socket_path = argc > 1 ? argv[1] : NULL,
                                                    .deadline_ms = DEADLINE_MS};
    struct muster_client *client = muster_client_open(&settings);
    char line[LINE_BYTES];
    bool ok = client != NULL;
    while (ok && fgets(line, sizeof line, stdin) != NULL)
        ok = obey(client, line);
    muster_client_close(client);
    return ok ? EXIT_OK : EXIT_USAGE;
}
