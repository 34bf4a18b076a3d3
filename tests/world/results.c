/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/world/results.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const struct world_code results_codes[RESULTS_CODES] = {
    {"00", 91.8}, {"51", 3.1}, {"05", 2.1},  {"55", 0.9},  {"54", 0.5},
    {"91", 0.4},  {"61", 0.3}, {"57", 0.2},  {"65", 0.2},  {"96", 0.15},
    {"14", 0.1},  {"62", 0.1}, {"75", 0.07}, {"41", 0.05}, {"43", 0.03},
};
const double results_entry_percent[RESULTS_ENTRY_MODES] = {22, 71, 2.5, 1.5, 3};
const struct world_lognormal results_gap = {"time between results", 10.6, 1.1};
const struct world_lognormal results_times[RESULTS_TIMES] = {
    {"connect_ms", 4.787492, 0.4},
    {"tls_ms", 5.192957, 0.4},
    {"read_ms", 6.802395, 0.4},
    {"total_ms", 7.783224, 0.4},
};
const struct world_lognormal results_host[TABLES_MAX_ROUTE] = {
    {"host 1", 6.05, 0.35}, {"host 2", 6.35, 0.35}, {"host 3", 6.9, 0.35}};
const struct world_ending results_endings[RESULTS_ENDINGS] = {{99, 0.30}, {0, 0.20}, {50, 0.12}};

enum {
    HOUR_MS = 3600 * 1000,
    DAY_MS = 24 * HOUR_MS,
    CHIP_EXTRA_MS = 250,
    SIGNAL_TOP_DBM = -50,
    SIGNAL_BOTTOM_DBM = -115,
    CURRENCY_CNY = 156,
    CONTACTLESS_CVM_LIMIT = 100000, /* minor units: below it no PIN is asked for */
};

/* EMV Book 3 annex C5: floor limit exceeded, online PIN entered, new card, expired application,
 * unusual combinations of them. */
static const uint8_t common_tvrs[RESULTS_TVRS][5] = {
    {0, 0, 0, 0x80, 0},    {0, 0, 0x04, 0, 0},    {0, 0, 0x04, 0x80, 0}, {0, 0x08, 0, 0, 0},
    {0, 0x40, 0, 0x80, 0}, {0x80, 0, 0, 0x80, 0}, {0x80, 0, 0, 0, 0},    {0, 0, 0, 0x10, 0},
};

/* What only this terminal has and what changes from one result to the next. */
struct lane {
    struct rng rng;
    int64_t wall_ms, boot_wall_ms, day;
    uint32_t stan, batch, table_version, firmware;
    int32_t signal_dbm;
    uint8_t generation[8];
    uint64_t next_key;
};

struct results {
    struct results_settings settings;
    struct deck *deck;
    struct lane lane;
};

/* How fast the lane's own clock runs in an hour of the day, in halves: 0 closed, 1, 2. */
static int64_t hour_speed(int64_t wall_ms)
{
    int64_t hour = wall_ms / HOUR_MS % 24;
    return hour < 9 || hour >= 21 ? 0 : hour < 18 ? 1 : 2;
}

double results_half_speed_share(void)
{
    return 9 * 0.5 / (9 * 0.5 + 3);
}

double results_a_day(void)
{
    double mean_gap_ms = exp(results_gap.mu + results_gap.sigma * results_gap.sigma / 2);
    return (9 * 0.5 + 3) * HOUR_MS / mean_gap_ms;
}

/* `gap_ms` of the lane's own time later. */
static int64_t later(int64_t wall_ms, int64_t gap_ms)
{
    int64_t left = 2 * gap_ms;
    for (;;) {
        int64_t speed = hour_speed(wall_ms);
        int64_t hour_left = HOUR_MS - wall_ms % HOUR_MS;
        if (left <= hour_left * speed && speed > 0)
            return wall_ms + left / speed;
        left -= hour_left * speed;
        wall_ms += hour_left;
    }
}

bool results_open(const struct results_settings *settings, struct results **ret_results,
                  struct err *err)
{
    struct results *results = calloc(1, sizeof *results);
    if (!results)
        return err_set(err, ERR_NO_MEMORY, "no memory for a world of results");
    results->settings = *settings;
    if (!deck_open(&settings->deck, &results->deck, err)) {
        free(results);
        return false;
    }
    results_rewind(results);
    *ret_results = results;
    return true;
}

void results_close(struct results *results)
{
    if (!results)
        return;
    deck_close(results->deck);
    free(results);
}

void results_rewind(struct results *results)
{
    struct lane *lane = &results->lane;
    deck_rewind(results->deck);
    *lane = (struct lane){.rng = rng_named(results->settings.deck.seed, "lane"),
                          .wall_ms = results->settings.start_wall_ms,
                          .stan = 1000,
                          .batch = 300,
                          .table_version = 40,
                          .firmware = 12,
                          .signal_dbm = -83};
    lane->boot_wall_ms = lane->wall_ms - 4 * (int64_t)HOUR_MS;
    lane->day = lane->wall_ms / DAY_MS;
    rng_bytes(&lane->rng, lane->generation, sizeof lane->generation);
    struct rng keys = rng_named(results->settings.deck.seed, "keys");
    lane->next_key = rng_u64(&keys);
}

const struct deck *results_deck(const struct results *results)
{
    return results->deck;
}

static uint32_t draw_ms(struct rng *rng, const struct world_lognormal *time)
{
    return (uint32_t)lround(rng_lognormal(rng, time->mu, time->sigma));
}

static uint64_t draw_amount(struct rng *rng)
{
    if (rng_unit(rng) < RESULTS_AMOUNT_ABSENT)
        return 0;
    uint64_t amount = RESULTS_AMOUNT_FLOOR +
                      (uint64_t)rng_lognormal(rng, RESULTS_AMOUNT_MU, RESULTS_AMOUNT_SIGMA);
    double at = rng_unit(rng);
    for (size_t i = 0; i < RESULTS_ENDINGS; i++) {
        if (at < results_endings[i].share)
            return amount / 100 * 100 + results_endings[i].cents;
        at -= results_endings[i].share;
    }
    return amount;
}

static const char *draw_code(struct rng *rng)
{
    double weights[RESULTS_CODES];
    for (size_t i = 0; i < RESULTS_CODES; i++)
        weights[i] = results_codes[i].percent;
    return results_codes[rng_pick(rng, weights, RESULTS_CODES)].code;
}

static int32_t step_signal(struct rng *rng, int32_t dbm)
{
    dbm += (int32_t)rng_below(rng, 2 * RESULTS_SIGNAL_STEP_DB + 1) - RESULTS_SIGNAL_STEP_DB;
    if (dbm > SIGNAL_TOP_DBM)
        return 2 * SIGNAL_TOP_DBM - dbm;
    return dbm < SIGNAL_BOTTOM_DBM ? 2 * SIGNAL_BOTTOM_DBM - dbm : dbm;
}

/* Time goes on; now and then the configuration or firmware changes meanwhile. */
static void advance(struct lane *lane)
{
    int64_t before = lane->wall_ms;
    lane->wall_ms = later(before, draw_ms(&lane->rng, &results_gap));
    double years = (double)(lane->wall_ms - before) / RESULTS_YEAR_MS;
    if (rng_unit(&lane->rng) < years * RESULTS_GENERATIONS_A_YEAR) {
        rng_bytes(&lane->rng, lane->generation, sizeof lane->generation);
        lane->table_version++;
    }
    if (rng_unit(&lane->rng) < years * RESULTS_FIRMWARES_A_YEAR)
        lane->firmware++;
    if (lane->wall_ms / DAY_MS != lane->day) {
        lane->day = lane->wall_ms / DAY_MS;
        lane->batch++;
    }
    lane->stan = lane->stan % 999999 + 1;
    lane->signal_dbm = step_signal(&lane->rng, lane->signal_dbm);
}

void results_rrn(int64_t wall_ms, uint32_t stan, char ret_rrn[13])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    snprintf(ret_rrn, 13, "%01u%03u%02u%06u", (unsigned)utc.tm_year % 10,
             (unsigned)(utc.tm_yday + 1) % 1000, (unsigned)utc.tm_hour % 100, stan % 1000000);
}

/* EMV Book 4 annex A4: method, condition, result. */
void results_cvm(Muster__EntryMode entry, uint64_t amount_minor, struct world_result *result)
{
    static const uint8_t no_cvm[3] = {0x1f, 0x03, 0x02}, online_pin[3] = {0x42, 0x03, 0x00};
    bool small =
        entry == MUSTER__ENTRY_MODE__ENTRY_MODE_CONTACTLESS && amount_minor < CONTACTLESS_CVM_LIMIT;
    result->txn.online_pin = !small && entry != MUSTER__ENTRY_MODE__ENTRY_MODE_KEYED &&
                             entry != MUSTER__ENTRY_MODE__ENTRY_MODE_QR;
    if (!result->carries_chip)
        return;
    memcpy(result->cvm, small ? no_cvm : online_pin, sizeof result->cvm);
    result->txn.cvm_result = (ProtobufCBinaryData){sizeof result->cvm, result->cvm};
}

static void fill_card(Muster__TxnResult *txn, const struct card *card)
{
    txn->card_token = (ProtobufCBinaryData){sizeof card->token, (uint8_t *)(uintptr_t)card->token};
    txn->token_key_version = 3;
    txn->scheme = card->range->scheme;
    txn->acquirer = card->stranger ? 1 : card->range->route;
    txn->terminal = txn->acquirer;
    txn->issuer_bucket = card->stranger ? (char *)(uintptr_t)protobuf_c_empty_string
                                        : (char *)(uintptr_t)card->range->issuer;
    txn->table_miss = txn->default_route = txn->issuer_unknown = card->stranger;
}

static void fill_chip(struct world_result *result, struct rng *rng)
{
    static const uint8_t chip_tsi[2] = {0xe8, 0x00};
    Muster__TxnResult *txn = &result->txn;
    const struct card *card = &result->card;
    txn->aid = (ProtobufCBinaryData){card->aid->length, (uint8_t *)(uintptr_t)card->aid->bytes};
    bool clean = rng_unit(rng) >= RESULTS_TVR_SHARE;
    size_t which = (size_t)rng_below(rng, RESULTS_TVRS);
    if (!clean)
        memcpy(result->tvr, common_tvrs[which], sizeof result->tvr);
    txn->tvr = (ProtobufCBinaryData){sizeof result->tvr, result->tvr};
    if (txn->entry_mode == MUSTER__ENTRY_MODE__ENTRY_MODE_CHIP) {
        memcpy(result->tsi, chip_tsi, sizeof result->tsi);
        txn->tsi = (ProtobufCBinaryData){sizeof result->tsi, result->tsi};
    }
    if (card->ca_key) {
        txn->capk_rid = (ProtobufCBinaryData){RID_BYTES, (uint8_t *)(uintptr_t)card->ca_key->rid};
        txn->capk_index = card->ca_key->index;
    }
}

static void fill_times(Muster__TxnResult *txn, struct rng *rng)
{
    uint32_t *const fields[RESULTS_TIMES] = {&txn->connect_ms, &txn->tls_ms, &txn->read_ms,
                                             &txn->total_ms};
    for (size_t i = 0; i < RESULTS_TIMES; i++)
        *fields[i] = draw_ms(rng, &results_times[i]);
    txn->host_ms = draw_ms(rng, &results_host[txn->acquirer - 1]);
    if (txn->entry_mode == MUSTER__ENTRY_MODE__ENTRY_MODE_CHIP)
        txn->host_ms += CHIP_EXTRA_MS;
}

static void fill_answer(struct world_result *result, struct rng *rng)
{
    Muster__TxnResult *txn = &result->txn;
    uint64_t six_digits = rng_below(rng, 1000000);
    txn->code = (char *)(uintptr_t)draw_code(rng);
    txn->code_source = MUSTER__CODE_SOURCE__CODE_SOURCE_HOST;
    bool approved = strcmp(txn->code, "00") == 0;
    txn->outcome = approved ? MUSTER__OUTCOME__OUTCOME_APPROVED : MUSTER__OUTCOME__OUTCOME_DECLINED;
    results_rrn(txn->wall_ms, txn->stan, result->rrn);
    txn->rrn = result->rrn;
    if (approved) {
        snprintf(result->auth_code, sizeof result->auth_code, "%06u", (unsigned)six_digits);
        txn->auth_code = result->auth_code;
    }
}

static void fill_lane(struct world_result *result, const struct lane *lane)
{
    Muster__TxnResult *txn = &result->txn;
    txn->wall_ms = lane->wall_ms;
    txn->boot_ms = (uint64_t)(lane->wall_ms - lane->boot_wall_ms);
    txn->stan = lane->stan;
    txn->batch_number = lane->batch;
    txn->bin_table_version = lane->table_version;
    txn->code_profile_version = 7;
    txn->type = MUSTER__TXN_TYPE__TXN_TYPE_SALE;
    txn->currency = CURRENCY_CNY;
    txn->attempts = 1;
    txn->network = MUSTER__NETWORK_TYPE__NETWORK_4G;
    txn->signal_dbm = lane->signal_dbm;
    memcpy(result->generation, lane->generation, sizeof result->generation);
    txn->generation = (ProtobufCBinaryData){sizeof result->generation, result->generation};
    txn->app_version = (char *)(uintptr_t) "2.4.1";
    snprintf(result->firmware, sizeof result->firmware, "7.0.%u", lane->firmware % 1000);
    txn->firmware_version = result->firmware;
}

void results_next(struct results *results, struct world_result *ret_result)
{
    static const Muster__EntryMode entry_modes[RESULTS_ENTRY_MODES] = {
        MUSTER__ENTRY_MODE__ENTRY_MODE_CHIP, MUSTER__ENTRY_MODE__ENTRY_MODE_CONTACTLESS,
        MUSTER__ENTRY_MODE__ENTRY_MODE_SWIPE, MUSTER__ENTRY_MODE__ENTRY_MODE_KEYED,
        MUSTER__ENTRY_MODE__ENTRY_MODE_QR};
    struct lane *lane = &results->lane;
    struct rng *rng = &lane->rng;
    Muster__TxnResult *txn = &ret_result->txn;
    *ret_result = (struct world_result){.txn = MUSTER__TXN_RESULT__INIT};
    advance(lane);
    fill_lane(ret_result, lane);
    ret_result->card = *deck_next(results->deck);
    fill_card(txn, &ret_result->card);
    txn->entry_mode = entry_modes[rng_pick(rng, results_entry_percent, RESULTS_ENTRY_MODES)];
    ret_result->carries_chip = txn->entry_mode == MUSTER__ENTRY_MODE__ENTRY_MODE_CHIP ||
                               txn->entry_mode == MUSTER__ENTRY_MODE__ENTRY_MODE_CONTACTLESS;
    if (ret_result->carries_chip)
        fill_chip(ret_result, rng);
    txn->amount_minor = draw_amount(rng);
    results_cvm(txn->entry_mode, txn->amount_minor, ret_result);
    fill_times(txn, rng);
    fill_answer(ret_result, rng);
    rng_bytes(rng, ret_result->random_key, sizeof ret_result->random_key);
    uint64_t key = lane->next_key++;
    for (size_t i = sizeof ret_result->key; i-- > 0; key >>= 8)
        ret_result->key[i] = (uint8_t)key;
    txn->idempotency_key = (ProtobufCBinaryData){sizeof ret_result->key, ret_result->key};
}
