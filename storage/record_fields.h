/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_RECORD_FIELDS_H
#define STORAGE_RECORD_FIELDS_H

/* The fields of each lane's table, in the order of fleetdb_columns. */
#define RESULT_FIELDS(F)                                                                           \
    F(idempotency_key)                                                                             \
    F(wall_ms)                                                                                     \
    F(boot_ms)                                                                                     \
    F(terminal)                                                                                    \
    F(acquirer)                                                                                    \
    F(code_profile_version)                                                                        \
    F(stan)                                                                                        \
    F(batch_number)                                                                                \
    F(type)                                                                                        \
    F(entry_mode)                                                                                  \
    F(fallback)                                                                                    \
    F(scheme)                                                                                      \
    F(aid)                                                                                         \
    F(issuer_bucket)                                                                               \
    F(bin_table_version)                                                                           \
    F(card_token)                                                                                  \
    F(token_key_version)                                                                           \
    F(rrn)                                                                                         \
    F(auth_code)                                                                                   \
    F(amount_minor)                                                                                \
    F(currency)                                                                                    \
    F(outcome)                                                                                     \
    F(code)                                                                                        \
    F(code_source)                                                                                 \
    F(host_hint)                                                                                   \
    F(tvr)                                                                                         \
    F(tsi)                                                                                         \
    F(cvm_result)                                                                                  \
    F(capk_rid)                                                                                    \
    F(capk_index)                                                                                  \
    F(online_pin)                                                                                  \
    F(read_ms)                                                                                     \
    F(connect_ms)                                                                                  \
    F(tls_ms)                                                                                      \
    F(host_ms)                                                                                     \
    F(total_ms)                                                                                    \
    F(attempts)                                                                                    \
    F(reversal_pending)                                                                            \
    F(network)                                                                                     \
    F(signal_dbm)                                                                                  \
    F(generation)                                                                                  \
    F(app_version)                                                                                 \
    F(firmware_version)                                                                            \
    F(table_miss)                                                                                  \
    F(default_route)                                                                               \
    F(issuer_unknown)                                                                              \
    F(no_common_aid)                                                                               \
    F(key_missing)                                                                                 \
    F(masked)

#define EVENT_FIELDS(F) F(wall_ms) F(boot_ms) F(kind) F(item) F(text) F(detail) F(refusal)

#define HEALTH_FIELDS(F)                                                                           \
    F(wall_ms)                                                                                     \
    F(boot_ms)                                                                                     \
    F(uptime_s)                                                                                    \
    F(disk_free_bytes)                                                                             \
    F(disk_total_bytes)                                                                            \
    F(inodes_free)                                                                                 \
    F(memory_total_bytes)                                                                          \
    F(memory_available_bytes)                                                                      \
    F(load_permille)                                                                               \
    F(temperature_mc)                                                                              \
    F(battery_percent)                                                                             \
    F(battery_mv)                                                                                  \
    F(network)                                                                                     \
    F(signal_dbm)                                                                                  \
    F(net_rx_bytes)                                                                                \
    F(net_tx_bytes)                                                                                \
    F(wal_bytes)                                                                                   \
    F(spool_records)                                                                               \
    F(spool_bytes)                                                                                 \
    F(spool_oldest_ms)                                                                             \
    F(agent_rss_bytes)                                                                             \
    F(link_connected)                                                                              \
    F(link_connects)                                                                               \
    F(clock_offset_ms)                                                                             \
    F(records_accepted)                                                                            \
    F(records_refused)                                                                             \
    F(frames_refused)                                                                              \
    F(receipts_refused)                                                                            \
    F(agent_cpu_ms)                                                                                \
    F(samples)                                                                                     \
    F(signal_min_dbm)                                                                              \
    F(temperature_max_mc)                                                                          \
    F(memory_min_bytes)                                                                            \
    F(load_max_permille)                                                                           \
    F(traffic_month)                                                                               \
    F(traffic_bytes)                                                                               \
    F(traffic_payload_bytes)                                                                       \
    F(printer_paper_out)                                                                           \
    F(swipes_ok)                                                                                   \
    F(swipes_failed)                                                                               \
    F(chip_ok)                                                                                     \
    F(chip_failed)                                                                                 \
    F(contactless_ok)                                                                              \
    F(contactless_failed)                                                                          \
    F(tamper)

/* What stands before them in each. */
#define RECORD_OWN_FIELDS "device, incarnation, seq, received_ms, at_ms, bound_ms, digest"

#endif
