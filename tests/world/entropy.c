/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/world/entropy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double bits_of(double probability)
{
    return probability > 0 ? -probability * log2(probability) : 0;
}

static double yes_no(double share)
{
    return bits_of(share) + bits_of(1 - share);
}

static double of_weights(const double *weights, size_t count)
{
    double sum = 0, bits = 0;
    for (size_t i = 0; i < count; i++)
        sum += weights[i];
    for (size_t i = 0; i < count; i++)
        bits += bits_of(weights[i] / sum);
    return bits;
}

static double of_lognormal(const struct world_lognormal *time)
{
    const double two_pi_e = 17.07946844534713;
    return (time->mu + 0.5 * log(two_pi_e * time->sigma * time->sigma)) / log(2);
}

static double of_codes(void)
{
    double weights[RESULTS_CODES];
    for (size_t i = 0; i < RESULTS_CODES; i++)
        weights[i] = results_codes[i].percent;
    return of_weights(weights, RESULTS_CODES);
}

/* Probability that the amount drawn, before its ending is changed, is below `amount`. */
static double amount_below(double amount)
{
    double above_floor = amount - RESULTS_AMOUNT_FLOOR;
    if (above_floor <= 0)
        return 0;
    return 0.5 * erfc((RESULTS_AMOUNT_MU - log(above_floor)) / (RESULTS_AMOUNT_SIGMA * sqrt(2)));
}

/* Exactly, amount by amount, in blocks of 100 minor units up to where nothing is left. */
static double of_amount(void)
{
    enum { BLOCKS = 20000 };
    double bits = 0, free_share = 1;
    for (size_t i = 0; i < RESULTS_ENDINGS; i++)
        free_share -= results_endings[i].share;
    for (unsigned block = 0; block < BLOCKS; block++) {
        double first = 100.0 * block;
        double whole = amount_below(first + 100) - amount_below(first);
        for (uint32_t cents = 0; cents < 100; cents++) {
            double here = amount_below(first + cents + 1) - amount_below(first + cents);
            double probability = free_share * here;
            for (size_t i = 0; i < RESULTS_ENDINGS; i++)
                if (results_endings[i].cents == cents)
                    probability += results_endings[i].share * whole;
            bits += bits_of(probability);
        }
    }
    return yes_no(RESULTS_AMOUNT_ABSENT) + (1 - RESULTS_AMOUNT_ABSENT) * bits;
}

/* A card as the record shows it, at three depths: issuer; and scheme; and host. */
struct shown {
    char key[64];
    double probability;
};

static int by_key(const void *a, const void *b)
{
    const struct shown *left = a, *right = b;
    return strcmp(left->key, right->key);
}

static double of_cards(const struct deck *deck, int depth)
{
    struct shown shown[2 * DECK_BINS];
    for (size_t i = 0; i < DECK_BINS; i++) {
        double probability;
        const struct range *bin = deck_bin(deck, i, &probability);
        char detail[16] = "";
        if (depth > 0)
            snprintf(detail, sizeof detail, " %u", bin->scheme % 10);
        struct shown *known = &shown[2 * i], *stranger = known + 1;
        snprintf(known->key, sizeof known->key, "%s%s", bin->issuer, detail);
        if (depth > 1)
            snprintf(known->key, sizeof known->key, "%s%s %u", bin->issuer, detail,
                     bin->route % 10);
        snprintf(stranger->key, sizeof stranger->key, "%s", detail);
        known->probability = probability * (1 - RESULTS_STRANGER_SHARE);
        stranger->probability = probability * RESULTS_STRANGER_SHARE;
    }
    qsort(shown, 2 * DECK_BINS, sizeof *shown, by_key);
    double bits = 0, sum = 0;
    for (size_t i = 0; i < 2 * DECK_BINS; i++) {
        sum += shown[i].probability;
        if (i + 1 == 2 * DECK_BINS || strcmp(shown[i].key, shown[i + 1].key) != 0) {
            bits += bits_of(sum);
            sum = 0;
        }
    }
    return bits;
}

static double of_ca_key(const struct deck *deck)
{
    double bits = 0;
    for (size_t i = 0; i < DECK_BINS; i++) {
        double probability, weights[DECK_CA_KEYS];
        const struct range *bin = deck_bin(deck, i, &probability);
        size_t keys = deck_ca_keys(deck, bin->scheme);
        if (keys == 0)
            continue;
        deck_zipf(weights, keys);
        bits += probability * of_weights(weights, keys);
    }
    return bits;
}

static double of_host_ms(const struct deck *deck)
{
    double bits = 0;
    for (size_t i = 0; i < DECK_BINS; i++) {
        double probability;
        const struct range *bin = deck_bin(deck, i, &probability);
        bits += probability * of_lognormal(&results_host[bin->route - 1]);
    }
    return bits;
}

/* Something that changes `times` a year and is worth `bits` when it does. */
static double of_rare_change(double times, double bits)
{
    double share = times / 365.0 / results_a_day();
    return yes_no(share) + share * bits;
}

struct list {
    struct entropy_field *fields;
    size_t count;
};

static void add(struct list *list, const char *name, double bits, const char *why)
{
    if (list->count < ENTROPY_MAX_FIELDS)
        list->fields[list->count++] = (struct entropy_field){name, bits, why};
}

static void add_lane(struct list *list)
{
    add(list, "wall_ms", of_lognormal(&results_gap) + results_half_speed_share(),
        "log-normal gap at 1 ms; one bit more in hours of half speed");
    add(list, "boot_ms", 0, "wall_ms less a constant");
    add(list, "stan, batch_number", 0, "count up by one, by the result and by the day");
    add(list, "generation", of_rare_change(RESULTS_GENERATIONS_A_YEAR, 64),
        "8 bytes, 18 times a year; the table version goes with it");
    add(list, "firmware_version", of_rare_change(RESULTS_FIRMWARES_A_YEAR, 0),
        "counts up 4 times a year");
    add(list, "signal_dbm", log2(2 * RESULTS_SIGNAL_STEP_DB + 1), "a step of -3..3 dB, even");
    add(list, "type, currency, network, attempts, other versions", 0, "held still");
}

static void add_card(struct list *list, const struct deck *deck)
{
    double fresh = 1 - DECK_REPEAT_SHARE;
    double issuer = of_cards(deck, 0), scheme = of_cards(deck, 1), host = of_cards(deck, 2);
    double chip_share = (results_entry_percent[0] + results_entry_percent[1]) / 100;
    add(list, "card seen before", yes_no(DECK_REPEAT_SHARE) + DECK_REPEAT_SHARE * log2(DECK_MEMORY),
        "8 %: which of the last 64");
    add(list, "card_token", fresh * 64, "new cards: 8 random bytes");
    add(list, "issuer_bucket", fresh * issuer, "new cards: Zipf over 1,200 BINs, 1.5 % unknown");
    add(list, "scheme", fresh * (scheme - issuer), "new cards, given the issuer");
    add(list, "acquirer, terminal", fresh * (host - scheme), "new cards, given issuer and scheme");
    add(list, "aid", 0, "by scheme");
    add(list, "capk_index", fresh * chip_share * of_ca_key(deck), "Zipf over at most six a scheme");
    add(list, "table_miss, default_route, issuer_unknown", 0, "an empty issuer bucket");
}

static void add_outcome(struct list *list, const struct deck *deck)
{
    double chip_share = (results_entry_percent[0] + results_entry_percent[1]) / 100;
    add(list, "entry_mode", of_weights(results_entry_percent, RESULTS_ENTRY_MODES), "five shares");
    add(list, "tvr",
        chip_share * (yes_no(RESULTS_TVR_SHARE) + RESULTS_TVR_SHARE * log2(RESULTS_TVRS)),
        "93 % zero, eight values");
    add(list, "amount_minor", of_amount(), "3 % absent; log-normal with frequent endings");
    add(list, "cvm_result, online_pin, tsi", 0, "by entry mode and amount");
    for (size_t i = 0; i < RESULTS_TIMES; i++)
        add(list, results_times[i].name, of_lognormal(&results_times[i]), "log-normal at 1 ms");
    add(list, "host_ms", of_host_ms(deck), "log-normal at 1 ms, by host");
    add(list, "code", of_codes(), "fifteen shares");
    add(list, "outcome, code_source", 0, "by code");
    add(list, "rrn", 0, "by wall_ms and stan");
    add(list, "auth_code", results_codes[0].percent / 100 * log2(1e6),
        "approved: six random digits");
}

size_t entropy_of_results(const struct results *results,
                          struct entropy_field ret_fields[ENTROPY_MAX_FIELDS])
{
    struct list list = {.fields = ret_fields};
    add_lane(&list);
    add_card(&list, results_deck(results));
    add_outcome(&list, results_deck(results));
    return list.count;
}

double entropy_sum(const struct entropy_field *fields, size_t count)
{
    double bits = 0;
    for (size_t i = 0; i < count; i++)
        bits += fields[i].bits;
    return bits;
}

void entropy_print(const struct entropy_field *fields, size_t count, FILE *out)
{
    fprintf(out, "# %-50s %9s  %s\n", "field, given those above", "bits", "why");
    for (size_t i = 0; i < count; i++)
        fprintf(out, "# %-50s %9.4f  %s\n", fields[i].name, fields[i].bits, fields[i].why);
    double bits = entropy_sum(fields, count);
    fprintf(out, "# %-50s %9.4f  = %.2f bytes a record\n", "sum", bits, bits / 8);
}
