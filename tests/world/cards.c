/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/world/cards.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const double deck_scheme_shares[TABLES_MAX_SCHEME] = {0.43, 0.34, 0.14, 0.04, 0.03, 0.02};
const double deck_route_shares[TABLES_MAX_ROUTE] = {0.88, 0.09, 0.03};

/* The application on the chip of each scheme's cards: public AIDs, ISO/IEC 7816-5. */
static const struct aid chip_aids[TABLES_MAX_SCHEME] = {
    {{0xa0, 0, 0, 0x03, 0x33, 0x01, 0x01, 0x02}, 8, 1},
    {{0xa0, 0, 0, 0, 0x03, 0x10, 0x10}, 7, 2},
    {{0xa0, 0, 0, 0, 0x04, 0x10, 0x10}, 7, 3},
    {{0xa0, 0, 0, 0, 0x25, 0x01}, 6, 4},
    {{0xa0, 0, 0, 0, 0x65, 0x10, 0x10}, 7, 5},
    {{0xa0, 0, 0, 0x01, 0x52, 0x30, 0x10}, 7, 6},
};

struct deck {
    struct deck_settings settings;
    struct rng rng;
    const struct range *bins[DECK_BINS];
    double probabilities[DECK_BINS];
    double cumulative[DECK_BINS];
    const struct ca_key *ca_keys[TABLES_MAX_SCHEME][DECK_CA_KEYS];
    size_t ca_key_counts[TABLES_MAX_SCHEME];
    struct card memory[DECK_MEMORY]; /* a ring of the newest cards */
    uint64_t dealt;                  /* new cards so far */
};

/* Rows of the table by scheme and route, shuffled, and how many are taken. */
struct cell {
    const struct range **rows;
    size_t count, taken;
};

struct cells {
    struct cell of[TABLES_MAX_SCHEME][TABLES_MAX_ROUTE];
    const struct range **memory;
};

void deck_zipf(double *ret_probabilities, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += ret_probabilities[i] = pow((double)(i + 1), -DECK_ZIPF_EXPONENT);
    for (size_t i = 0; i < count; i++)
        ret_probabilities[i] /= sum;
}

static struct cell *cell_of(struct cells *cells, const struct range *row)
{
    return &cells->of[row->scheme - 1][row->route - 1];
}

static bool cells_fill(struct cells *cells, const struct ranges *ranges, struct rng *rng,
                       struct err *err)
{
    cells->memory = calloc(ranges->count + 1, sizeof *cells->memory);
    if (!cells->memory)
        return err_set(err, ERR_NO_MEMORY, "no memory for %zu ranges", ranges->count);
    for (size_t i = 0; i < ranges->count; i++)
        cell_of(cells, &ranges->rows[i])->count++;
    const struct range **at = cells->memory;
    for (size_t i = 0; i < TABLES_MAX_SCHEME * TABLES_MAX_ROUTE; i++) {
        struct cell *cell = &cells->of[i / TABLES_MAX_ROUTE][i % TABLES_MAX_ROUTE];
        cell->rows = at;
        at += cell->count;
        cell->count = 0;
    }
    for (size_t i = 0; i < ranges->count; i++) {
        struct cell *cell = cell_of(cells, &ranges->rows[i]);
        size_t place = (size_t)rng_below(rng, cell->count + 1);
        cell->rows[cell->count++] = cell->rows[place];
        cell->rows[place] = &ranges->rows[i];
    }
    return true;
}

/* The next BIN in rank, of probability `share`, is one of the scheme and host that lack most of
 * their shares; a scheme with so few ranges left that each must carry that much comes first. So
 * both shares come out nearly as stated, though one BIN alone makes a seventh of all cards. */
static struct cell *neediest(struct cells *cells, const double *scheme_lacks,
                             const double *route_lacks, double share)
{
    struct cell *best = NULL;
    double most = 0;
    for (size_t s = 0; s < TABLES_MAX_SCHEME; s++) {
        size_t left = 0;
        for (size_t r = 0; r < TABLES_MAX_ROUTE; r++)
            left += cells->of[s][r].count - cells->of[s][r].taken;
        double scarce = scheme_lacks[s] >= share * (double)left ? 1 : 0;
        for (size_t r = 0; r < TABLES_MAX_ROUTE; r++) {
            struct cell *cell = &cells->of[s][r];
            double lack = scheme_lacks[s] + route_lacks[r] + scarce;
            if (cell->taken < cell->count && (!best || lack > most)) {
                best = cell;
                most = lack;
            }
        }
    }
    return best;
}

static bool deal_bins(struct deck *deck, struct err *err)
{
    struct rng rng = rng_named(deck->settings.world_seed, "bins");
    struct cells cells = {0};
    double scheme_lacks[TABLES_MAX_SCHEME], route_lacks[TABLES_MAX_ROUTE], sum = 0;
    memcpy(scheme_lacks, deck_scheme_shares, sizeof scheme_lacks);
    memcpy(route_lacks, deck_route_shares, sizeof route_lacks);
    if (!cells_fill(&cells, deck->settings.ranges, &rng, err))
        return false;
    for (size_t i = 0; i < DECK_BINS; i++) {
        struct cell *cell = neediest(&cells, scheme_lacks, route_lacks, deck->probabilities[i]);
        if (!cell) {
            free(cells.memory);
            return err_set(err, ERR_INVALID, "the table has fewer than %d ranges", DECK_BINS);
        }
        const struct range *row = cell->rows[cell->taken++];
        deck->bins[i] = row;
        scheme_lacks[row->scheme - 1] -= deck->probabilities[i];
        route_lacks[row->route - 1] -= deck->probabilities[i];
        deck->cumulative[i] = sum += deck->probabilities[i];
    }
    free(cells.memory);
    return true;
}

static void deal_ca_keys(struct deck *deck)
{
    const struct ca_keys *keys = deck->settings.ca_keys;
    for (size_t s = 0; s < TABLES_MAX_SCHEME; s++)
        for (size_t i = 0; i < keys->count; i++)
            if (memcmp(keys->rows[i].rid, chip_aids[s].bytes, RID_BYTES) == 0 &&
                deck->ca_key_counts[s] < DECK_CA_KEYS)
                deck->ca_keys[s][deck->ca_key_counts[s]++] = &keys->rows[i];
}

bool deck_open(const struct deck_settings *settings, struct deck **ret_deck, struct err *err)
{
    struct deck *deck = calloc(1, sizeof *deck);
    if (!deck)
        return err_set(err, ERR_NO_MEMORY, "no memory for a deck of cards");
    deck->settings = *settings;
    deck_zipf(deck->probabilities, DECK_BINS);
    if (!deal_bins(deck, err)) {
        free(deck);
        return false;
    }
    deal_ca_keys(deck);
    deck_rewind(deck);
    *ret_deck = deck;
    return true;
}

void deck_close(struct deck *deck)
{
    free(deck);
}

void deck_rewind(struct deck *deck)
{
    deck->rng = rng_named(deck->settings.seed, "cards");
    deck->dealt = 0;
}

static const struct range *draw_bin(struct deck *deck)
{
    double at = rng_unit(&deck->rng);
    size_t low = 0, high = DECK_BINS - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (at < deck->cumulative[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return deck->bins[low];
}

static const struct card *draw_new(struct deck *deck)
{
    struct card *card = &deck->memory[deck->dealt++ % DECK_MEMORY];
    *card = (struct card){.range = draw_bin(deck), .ordinal = deck->dealt};
    size_t scheme = card->range->scheme - 1;
    card->aid = &chip_aids[scheme];
    rng_bytes(&deck->rng, card->token, sizeof card->token);
    card->stranger = rng_unit(&deck->rng) < deck->settings.stranger_share;
    size_t keys = deck->ca_key_counts[scheme];
    if (keys > 0) {
        double weights[DECK_CA_KEYS];
        deck_zipf(weights, keys);
        card->ca_key = deck->ca_keys[scheme][rng_pick(&deck->rng, weights, keys)];
    }
    return card;
}

const struct card *deck_next(struct deck *deck)
{
    uint64_t held = deck->dealt < DECK_MEMORY ? deck->dealt : DECK_MEMORY;
    if (held > 0 && rng_unit(&deck->rng) < DECK_REPEAT_SHARE)
        return &deck->memory[rng_below(&deck->rng, held)];
    return draw_new(deck);
}

const struct range *deck_bin(const struct deck *deck, size_t rank, double *ret_probability)
{
    *ret_probability = deck->probabilities[rank];
    return deck->bins[rank];
}

size_t deck_ca_keys(const struct deck *deck, uint32_t scheme)
{
    return deck->ca_key_counts[scheme - 1];
}
