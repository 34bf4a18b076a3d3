/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_SETTINGS_H
#define AGENT_SETTINGS_H

#include "agent/owned.h"
#include "base/settings.h"

enum agent_policy { AGENT_WIRED, AGENT_METERED };

/* agent.conf. Everything the agent may be told; `muster-agent --print-settings` explains it. */
struct agent_settings {
    char device[33];
    char serial[33];
    char model[33];

    char state_dir[256];
    char run_dir[96];

    char agent_key[256];
    char sealing_key[256];
    char root[256];
    char key_loader[256];
    int64_t key_loader_limit_ms;
    int64_t sign_on_limit_ms;

    char client_users[256];
    int64_t client_max;
    char link_users[256];

    int64_t spool_quota_bytes;
    int64_t spool_grace_ms;
    int64_t spool_key_window;
    int64_t txn_quota_bytes, txn_age_ms; /* each 0: no limit of its own */
    int64_t event_quota_bytes, event_age_ms;
    int64_t health_quota_bytes, health_age_ms;

    /* Once loaded, none of the durations is SETTING_AUTO: the policy has filled them in. */
    int uplink_policy; /* enum agent_policy */
    int64_t uplink_linger_ms;
    int64_t uplink_quiet_ms;
    int64_t uplink_receipts_ms;
    int64_t uplink_resend_ms, uplink_patience_ms;

    char hook[256];
    int64_t hook_limit_ms;
    int64_t check_every_ms;
    int64_t registry_quota_bytes;
    int64_t content_patience_ms;
    /* [owned], as it is given, and read. */
    char owned_lines[OWNED_FILES * (LIMIT_DOCUMENT_NAME_CHARS + OWNED_PATH_BYTES + 2)];
    struct owned owned;

    char install_hook[256], install_version_hook[256];
    int64_t install_hook_limit_ms, install_version_limit_ms, install_limit_ms;
    char helper_socket[108];
    int64_t helper_limit_ms;
    char sign_on_hook[256];
    int64_t sign_on_hook_limit_ms;
    char logs_files[2048];
    char logs_program[256];
    int64_t logs_limit_bytes;

    char gate_hook[256];
    int64_t gate_hook_limit_ms;
    int64_t gate_every_ms;
    int64_t gate_alone_ms, gate_patience_ms;
    char after_hook[256];
    int64_t probation_results, probation_time_ms, probation_welcome_ms;
    int64_t probation_crashes, probation_starts;

    int64_t probe_every_ms;
    int64_t probe_record_ms;
    int64_t probe_alone_ms;
    int log_level;
};

extern const struct setting agent_settings_table[];

/* Loads and checks what no single key can say (identifiers, paths that must be absolute). */
bool agent_settings_load(const char *path, struct agent_settings *ret_settings,
                         struct err *err) MUSTER_CHECK;

#endif
