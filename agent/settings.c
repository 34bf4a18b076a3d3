/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/settings.h"

#include "proto/topics.h"
#include "storage/spool.h"

#include <string.h>

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define KIB INT64_C(1024)
#define MIB (1024 * KIB)

#define FIELD(name)                                                                                \
    offsetof(struct agent_settings, name), sizeof(((struct agent_settings *)NULL)->name)

static const char *const policies[] = {"wired", "metered", NULL};
static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};

const struct setting agent_settings_table[] = {
    {"device", "id", SETTING_TEXT, FIELD(device), NULL, 1, 32, NULL,
     "device id, also the CN of its TLS certificate: [a-z0-9-]{1,32}"},
    {"device", "serial", SETTING_TEXT, FIELD(serial), NULL, 1, 32, NULL, "maker's serial number"},
    {"device", "model", SETTING_TEXT, FIELD(model), NULL, 1, 32, NULL, "maker's model name"},
    {"paths", "state", SETTING_PATH, FIELD(state_dir), "/var/lib/muster", 1, 200, NULL,
     "spool and registry live below it"},
    {"paths", "run", SETTING_PATH, FIELD(run_dir), "/run/muster", 1, 80, NULL,
     "sockets: client.sock and link.sock"},
    {"keys", "agent", SETTING_PATH, FIELD(agent_key), "/etc/muster/agent.pem", 1, 255, NULL,
     "the agent's private key (Ed25519, PEM): signs hellos and batches"},
    {"keys", "sealing", SETTING_PATH, FIELD(sealing_key), "/etc/muster/sealing.pem", 1, 255, NULL,
     "the key (P-256, PEM) that opens what is sealed to this device; made by --make-sealing-key"},
    {"keys", "root", SETTING_PATH, FIELD(root), "/etc/muster/root.bin", 1, 255, NULL,
     "the trust root that was installed with the device"},
    {"keys", "loader", SETTING_PATH, FIELD(key_loader), "", 0, 255, NULL,
     "program that places key blocks in this terminal's slots, such as muster-keys-pkcs11 or your "
     "own; "
     "empty: none"},
    {"keys", "loader_limit", SETTING_DURATION, FIELD(key_loader_limit_ms), "30s", 100, 2 * MINUTE,
     NULL, "after this time the loader and its children are killed"},
    {"keys", "sign_on_limit", SETTING_DURATION, FIELD(sign_on_limit_ms), "36h", MINUTE, 60 * DAY,
     NULL,
     "powered-on time after which the application's own keys count as stale without a sign-on"},
    {"client", "users", SETTING_TEXT, FIELD(client_users), "", 0, 255, NULL,
     "users that may hand over results, beside root and the agent's own: names or ids, commas"},
    {"client", "max", SETTING_INT, FIELD(client_max), "16", 1, 64, NULL,
     "connections at the same time"},
    {"link", "users", SETTING_TEXT, FIELD(link_users), "", 0, 255, NULL,
     "users that muster-link may run as, beside root and the agent's own"},
    {"spool", "quota", SETTING_SIZE, FIELD(spool_quota_bytes), "64M", SPOOL_QUOTA_MIN_BYTES,
     4096 * MIB, NULL, "bytes that the spool may take on disk"},
    {"spool", "grace", SETTING_DURATION, FIELD(spool_grace_ms), "24h", 0, 90 * DAY, NULL,
     "how long a receipted record stays; also how long a retry is known for certain"},
    {"spool", "key_window", SETTING_INT, FIELD(spool_key_window), "20000", 16, 200000, NULL,
     "idempotency keys remembered at the most"},
    {"spool", "txn_quota", SETTING_SIZE, FIELD(txn_quota_bytes), "0", 0, 4096 * MIB, NULL,
     "bytes of results not yet delivered, beyond which the oldest go; 0: only the spool's quota"},
    {"spool", "txn_age", SETTING_DURATION, FIELD(txn_age_ms), "400d", 0, 4000 * DAY, NULL,
     "powered-on time after which an undelivered result is given up; 0: never"},
    {"spool", "event_quota", SETTING_SIZE, FIELD(event_quota_bytes), "16M", 0, 4096 * MIB, NULL,
     "the same for events"},
    {"spool", "event_age", SETTING_DURATION, FIELD(event_age_ms), "120d", 0, 4000 * DAY, NULL,
     "the same for events"},
    {"spool", "health_quota", SETTING_SIZE, FIELD(health_quota_bytes), "8M", 0, 4096 * MIB, NULL,
     "the same for health samples"},
    {"spool", "health_age", SETTING_DURATION, FIELD(health_age_ms), "30d", 0, 4000 * DAY, NULL,
     "the same for health samples"},
    {"uplink", "policy", SETTING_CHOICE, FIELD(uplink_policy), "wired", 0, 0, policies,
     "wired or metered (paid by the byte): what the durations below are when they are auto"},
    {"uplink", "linger", SETTING_DURATION, FIELD(uplink_linger_ms), "auto", SETTING_AUTO, DAY, NULL,
     "how long a record may wait for company; wired 5s, metered 15m; suspect results never wait"},
    {"uplink", "quiet", SETTING_DURATION, FIELD(uplink_quiet_ms), "1m", 0, HOUR, NULL,
     "after a suspect result was sent the next packet waits so long"},
    {"uplink", "receipts", SETTING_DURATION, FIELD(uplink_receipts_ms), "auto", SETTING_AUTO,
     6 * HOUR, NULL, "the fleet may collect receipts so long; wired 0s (at once), metered 1h"},
    {"uplink", "resend", SETTING_DURATION, FIELD(uplink_resend_ms), "auto", SETTING_AUTO, DAY, NULL,
     "first wait for a receipt before sending again, doubles, with jitter; 30s, or half as much "
     "again as `receipts`"},
    {"uplink", "patience", SETTING_DURATION, FIELD(uplink_patience_ms), "auto", SETTING_AUTO, DAY,
     NULL,
     "without a receipt for what was sent, all is sent again after so long, twice that until the "
     "link "
     "begins anew, four times until the agent does; 10m and twice `resend`"},
    {"registry", "hook", SETTING_PATH, FIELD(hook), "", 0, 255, NULL,
     "program that validates a new generation; empty: none"},
    {"registry", "hook_limit", SETTING_DURATION, FIELD(hook_limit_ms), "30s", 100, HOUR, NULL,
     "after this time the hook and its children are killed"},
    {"registry", "after_hook", SETTING_PATH, FIELD(after_hook), "", 0, 255, NULL,
     "program that is run after each switch, with the same limit; what it says no to goes back"},
    {"registry", "check_every", SETTING_DURATION, FIELD(check_every_ms), "1h", SECOND, 30 * DAY,
     NULL, "how often every applied file is hashed again"},
    {"registry", "quota", SETTING_SIZE, FIELD(registry_quota_bytes), "64M", 64 * KIB, 4096 * MIB,
     NULL, "bytes that generations and fetched content may take"},
    {"owned", "NAME", SETTING_NAMED, FIELD(owned_lines), "", 0, 0, NULL,
     "NAME = PATH, a line each: another system owns document NAME and keeps it in this file, which "
     "is compared with what is wanted and never written"},
    {"content", "patience", SETTING_DURATION, FIELD(content_patience_ms), "2m", 10, DAY, NULL,
     "content that has not come for so long, and 1s for each KiB, is told as late and asked for "
     "again; then doubles, to 1h"},
    {"gate", "alone", SETTING_DURATION, FIELD(gate_alone_ms), "10m", 0, 30 * DAY, NULL,
     "what is fetched and checked is put in force after so long where neither a payment "
     "application "
     "nor a gate hook says whether it may; 0s: at once"},
    {"gate", "patience", SETTING_DURATION, FIELD(gate_patience_ms), "12h", SECOND, 30 * DAY, NULL,
     "where one says busy for so long, powered on, a person is asked; it is never forced"},
    {"gate", "hook", SETTING_PATH, FIELD(gate_hook), "", 0, 255, NULL,
     "program that says whether it may, run with `transaction` or `settled`: exit 0 yes, 1 busy"},
    {"gate", "hook_limit", SETTING_DURATION, FIELD(gate_hook_limit_ms), "10s", 100, HOUR, NULL,
     "after this time the hook and its children are killed, and it counts as busy"},
    {"gate", "every", SETTING_DURATION, FIELD(gate_every_ms), "10s", 100, HOUR, NULL,
     "how often it is asked; a wait shorter than this is not told to the fleet"},
    {"install", "hook", SETTING_PATH, FIELD(install_hook), "", 0, 255, NULL,
     "program that takes an application or firmware: kind name version path, exit 0 taken; empty: "
     "none is installed"},
    {"install", "hook_limit", SETTING_DURATION, FIELD(install_hook_limit_ms), "30m", 100, DAY, NULL,
     "after this time it and its children are killed, and the package counts as refused"},
    {"install", "version_hook", SETTING_PATH, FIELD(install_version_hook), "", 0, 255, NULL,
     "program that prints which version runs: kind name; without it nothing is handed over"},
    {"install", "version_limit", SETTING_DURATION, FIELD(install_version_limit_ms), "30s", 100,
     HOUR, NULL, "after this time it and its children are killed"},
    {"install", "limit", SETTING_DURATION, FIELD(install_limit_ms), "1h", SECOND, 60 * DAY, NULL,
     "powered-on time from handing over until the version must run, restart and all"},
    {"probation", "results", SETTING_INT, FIELD(probation_results), "50", 1, 100000, NULL,
     "a new generation has proved itself after so many results that are no worse than before"},
    {"probation", "time", SETTING_DURATION, FIELD(probation_time_ms), "24h", 0, 90 * DAY, NULL,
     "or is told as unproved after so long, powered on; 0s: nothing goes back by itself"},
    {"probation", "welcome", SETTING_DURATION, FIELD(probation_welcome_ms), "10m", SECOND, DAY,
     NULL, "what carries the connection goes back when the fleet has not answered for so long"},
    {"probation", "crashes", SETTING_INT, FIELD(probation_crashes), "3", 1, 1000, NULL,
     "ends of the payment application in the middle of a transaction, after which it goes back"},
    {"probation", "starts", SETTING_INT, FIELD(probation_starts), "4", 1, 1000, NULL,
     "ends of the agent out of order, in one boot, after which it goes back"},
    {"helper", "socket", SETTING_PATH, FIELD(helper_socket), "", 0, 107, NULL,
     "where muster-helper listens, which reboots and restarts; empty: that is refused here"},
    {"helper", "limit", SETTING_DURATION, FIELD(helper_limit_ms), "3m", SECOND, HOUR, NULL,
     "its answer is waited for so long: more than its own limit"},
    {"hooks", "sign_on", SETTING_PATH, FIELD(sign_on_hook), "", 0, 255, NULL,
     "program that has the payment application sign on again; empty: that is refused here"},
    {"hooks", "sign_on_limit", SETTING_DURATION, FIELD(sign_on_hook_limit_ms), "2m", 100, HOUR,
     NULL, "after this time it and its children are killed"},
    {"logs", "files", SETTING_PATHS, FIELD(logs_files), "", 0, 0, NULL,
     "files whose newest lines a log bundle holds, card numbers masked; commas between them"},
    {"logs", "program", SETTING_PATH, FIELD(logs_program), "", 0, 255, NULL,
     "program that writes more of them to its output, oldest first; killed after 1m"},
    {"logs", "limit", SETTING_SIZE, FIELD(logs_limit_bytes), "256K", 4 * KIB, MIB, NULL,
     "bytes that one bundle may have on the line, whatever is asked for"},
    {"probe", "every", SETTING_DURATION, FIELD(probe_every_ms), "15m", SECOND, DAY, NULL,
     "time between health samples"},
    {"probe", "record", SETTING_DURATION, FIELD(probe_record_ms), "auto", SETTING_AUTO, DAY, NULL,
     "one record sums up the samples of so long; wired: each is a record, metered 1h"},
    {"probe", "alone", SETTING_DURATION, FIELD(probe_alone_ms), "auto", SETTING_AUTO, 7 * DAY, NULL,
     "a health record may wait so long for a packet to ride in; wired as `linger`, metered 6h"},
    {"log", "level", SETTING_CHOICE, FIELD(log_level), "info", 0, 0, log_levels,
     "error, warn, info or debug"},
    {0},
};

static void fill(int64_t *value, int64_t by_policy)
{
    if (*value == SETTING_AUTO)
        *value = by_policy;
}

static bool fill_by_policy(struct agent_settings *settings, const char *path, struct err *err)
{
    bool metered = settings->uplink_policy == AGENT_METERED;
    fill(&settings->uplink_linger_ms, metered ? 15 * MINUTE : 5 * SECOND);
    fill(&settings->uplink_receipts_ms, metered ? HOUR : 0);
    int64_t late_ms = settings->uplink_receipts_ms + settings->uplink_receipts_ms / 2;
    fill(&settings->uplink_resend_ms, late_ms > 30 * SECOND ? late_ms : 30 * SECOND);
    fill(&settings->uplink_patience_ms, 10 * MINUTE + 2 * settings->uplink_resend_ms);
    fill(&settings->probe_record_ms, metered ? HOUR : 0);
    fill(&settings->probe_alone_ms, metered ? 6 * HOUR : settings->uplink_linger_ms);
    if (settings->uplink_resend_ms < SECOND ||
        settings->uplink_resend_ms < settings->uplink_receipts_ms)
        return err_set(err, ERR_INVALID,
                       "%s: uplink.resend is shorter than %s: every record would be sent twice",
                       path, settings->uplink_resend_ms < SECOND ? "1s" : "uplink.receipts");
    return true;
}

bool agent_settings_load(const char *path, struct agent_settings *ret_settings, struct err *err)
{
    struct agent_settings settings = {0};
    if (!settings_load(path, agent_settings_table, &settings, err))
        return false;
    if (!device_id_valid(settings.device))
        return err_set(err, ERR_INVALID,
                       "%s: device.id = %s: expected 1 to 32 of a-z, 0-9 and '-', as in the CN of "
                       "the device's certificate",
                       path, settings.device);
    if (settings.spool_quota_bytes / SPOOL_QUOTA_BYTES_PER_KEY < settings.spool_key_window)
        return err_set(err, ERR_INVALID,
                       "%s: spool.quota is too small for %lld keys (spool.key_window): at least %d "
                       "bytes for each",
                       path, (long long)settings.spool_key_window, SPOOL_QUOTA_BYTES_PER_KEY);
    if (!owned_read(settings.owned_lines, settings.state_dir, &settings.owned, err))
        return err_context(err, "%s", path);
    if (!fill_by_policy(&settings, path, err))
        return false;
    *ret_settings = settings;
    return true;
}
