/* SPDX-License-Identifier: Apache-2.0 */
/* A payment application as its maker would write it: the installed header and library alone. */
#include <muster/client.h>

#include <stdio.h>

int main(int argc, char **argv)
{
    struct muster_client_settings settings = {.socket_path = argc > 1 ? argv[1] : NULL,
                                              .deadline_ms = 5000};
    struct muster_txn txn = {.outcome = MUSTER_OUTCOME_DECLINED,
                             .code = "57",
                             .code_source = MUSTER_CODE_HOST,
                             .stan = 17,
                             .table_miss = true};
    struct muster_answer answer;
    struct muster_client *client = muster_client_open(&settings);
    if (client == NULL)
        return 2;
    /* Without an agent the sale goes on: what the lease's calls say never stops it. */
    struct muster_lease lease;
    bool leased = muster_lease_set(client, 0, false, false, &lease) &&
                  muster_lease_begin(client, 0, 0, &lease);
    bool stored = muster_record(client, &txn, &answer);
    leased = muster_lease_end(client, 0, &lease) && leased;
    printf("%s%s\n", leased ? "leased, " : "", stored ? "stored" : answer.text);
    muster_client_close(client);
    return stored ? 0 : 1;
}
