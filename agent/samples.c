/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/samples.h"

void samples_add(struct samples *samples, const Muster__Health *sample)
{
    if (samples->count++ == 0) {
        samples->first_ms = (int64_t)sample->boot_ms;
        samples->memory_min_bytes = sample->memory_available_bytes;
    }
    /* 0 dBm is "unknown", never the strongest signal. */
    if (sample->signal_dbm != 0 &&
        (samples->signal_min_dbm == 0 || sample->signal_dbm < samples->signal_min_dbm))
        samples->signal_min_dbm = sample->signal_dbm;
    if (sample->temperature_mc > samples->temperature_max_mc)
        samples->temperature_max_mc = sample->temperature_mc;
    if (sample->memory_available_bytes < samples->memory_min_bytes)
        samples->memory_min_bytes = sample->memory_available_bytes;
    if (sample->load_permille > samples->load_max_permille)
        samples->load_max_permille = sample->load_permille;
}

bool samples_due(const struct samples *samples, int64_t now_ms, int64_t every_ms, int64_t record_ms)
{
    /* The first of an hour's four was taken three quarters of an hour ago. */
    return samples->count > 0 && now_ms - samples->first_ms + every_ms >= record_ms;
}

void samples_tell(struct samples *samples, Muster__Health *newest)
{
    if (samples->count > 1)
        newest->samples = samples->count;
    if (samples->signal_min_dbm < newest->signal_dbm || newest->signal_dbm == 0)
        newest->signal_min_dbm = samples->signal_min_dbm;
    if (samples->temperature_max_mc > newest->temperature_mc)
        newest->temperature_max_mc = samples->temperature_max_mc;
    if (samples->memory_min_bytes < newest->memory_available_bytes)
        newest->memory_min_bytes = samples->memory_min_bytes;
    if (samples->load_max_permille > newest->load_permille)
        newest->load_max_permille = samples->load_max_permille;
    *samples = (struct samples){0};
}
