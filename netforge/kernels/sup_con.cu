// The supervised contrastive loss (netforge/device/operations/sup_con.py): values and slopes (items, items), labels
// (items, columns) of which column 0 counts. loss, anchors and scale are arrays of one number. Scores are values /
// temperature, which is below 0 where the values are distances.
#include "common.cuh"

#define TALLY 6  // cost, anchor or not, sum and number of the values to positives, and of those to negatives

// What a block learns from the row of values of its item.
struct Row {
    Real most;  // the highest score of those that a positive pair competes with
    Real to_positives, to_negatives;
    int positives;
};

static __device__ Row survey(const Real* row, const Real* labels, int item, int items, int columns, Real temperature,
                             bool negatives_only) {
    Row found = {lowest(), Real(0), Real(0), 0};
    FOR_EACH_IN_BLOCK(j, items) {
        if (j == item) continue;
        const bool positive = labels[j * columns] == labels[item * columns];
        if (!positive || !negatives_only) found.most = larger(row[j] / temperature, found.most);
        found.positives += positive;
        (positive ? found.to_positives : found.to_negatives) += row[j];
    }
    found.most = block_max(found.most);
    found.positives = block_sum(found.positives);
    found.to_positives = block_sum(found.to_positives);
    found.to_negatives = block_sum(found.to_negatives);
    return found;
}

static __device__ void write_tally(Real* out, const Row& row, Real cost, int items) {
    if (threadIdx.x != 0) return;
    out[0] = row.positives ? cost : Real(0);
    out[1] = row.positives ? Real(1) : Real(0);
    out[2] = row.to_positives;
    out[3] = Real(row.positives);
    out[4] = row.to_negatives;
    out[5] = Real(items - 1 - row.positives);
}

// Positive pairs compete with all other items. tally (items, 6); slopes = the gradient of each anchor's cost by its row
// of values, 0 where an item has no positive.
// Launch: one block an item. Memory: values three times, twice from cache; slopes once; coalesced.
KERNEL(sup_con_against_all)(const Real* __restrict__ values, const Real* __restrict__ labels,
                            Real* __restrict__ slopes, Real* __restrict__ tally, int items, int columns,
                            Real temperature) {
    FOR_EACH_BLOCK(item, items) {
        const Real *row = values + item * items, own = labels[item * columns];
        const Row found = survey(row, labels, item, items, columns, temperature, false);
        Real sum = 0;
        FOR_EACH_IN_BLOCK(j, items) sum += j == item ? Real(0) : exp(row[j] / temperature - found.most);
        sum = block_sum(sum);
        const Real pairs = Real(max(found.positives, 1));
        FOR_EACH_IN_BLOCK(j, items) {
            const Real share = labels[j * columns] == own ? Real(1) / pairs : Real(0);
            const Real slope = (exp(row[j] / temperature - found.most) / sum - share) / temperature;
            slopes[item * items + j] = j == item || found.positives == 0 ? Real(0) : slope;
        }
        const Real cost = found.most + log(sum) - found.to_positives / (temperature * pairs);
        write_tally(tally + item * TALLY, found, cost, items);
    }
}

// Each positive pair competes with the negatives of its anchor alone. Arrays and launch as above.
KERNEL(sup_con_against_negatives)(const Real* __restrict__ values, const Real* __restrict__ labels,
                                  Real* __restrict__ slopes, Real* __restrict__ tally, int items, int columns,
                                  Real temperature) {
    FOR_EACH_BLOCK(item, items) {
        const Real *row = values + item * items, own = labels[item * columns];
        const Row found = survey(row, labels, item, items, columns, temperature, true);
        const bool alone = found.positives == items - 1;  // no negatives: nothing to compete with
        Real sum = 0;
        FOR_EACH_IN_BLOCK(j, items) {
            if (j != item && labels[j * columns] != own) sum += exp(row[j] / temperature - found.most);
        }
        sum = block_sum(sum);
        const Real level = alone ? lowest() : found.most + log(sum), pairs = Real(max(found.positives, 1));
        Real cost = 0, lost = 0;
        FOR_EACH_IN_BLOCK(j, items) {
            if (j == item || labels[j * columns] != own) continue;
            const Real behind = level - row[j] / temperature;  // how far the positive lies behind the negatives
            const Real odds = exp(-fabs(behind)), share = (behind > 0 ? Real(1) : odds) / (1 + odds);
            cost += (behind > 0 ? behind : Real(0)) + log1p(odds);
            lost += share;
            slopes[item * items + j] = -share / pairs / temperature;
        }
        cost = block_sum(cost) / pairs;
        lost = block_sum(lost);
        FOR_EACH_IN_BLOCK(j, items) {
            if (j != item && labels[j * columns] == own) continue;
            const Real slope = exp(row[j] / temperature - found.most) / sum * lost / pairs / temperature;
            slopes[item * items + j] = j == item || found.positives == 0 ? Real(0) : slope;
        }
        write_tally(tally + item * TALLY, found, cost, items);
    }
}

// loss[0] = the mean cost of anchors, anchors[0] their number, at least 1; means = mean value of positive pairs, and of
// negative ones. Launch: one block. Memory: tally once.
KERNEL(sup_con_summary)(const Real* __restrict__ tally, Real* loss, Real* anchors, Real* means, int items) {
    Real sums[TALLY] = {};
    FOR_EACH_IN_BLOCK(i, items) {
        for (int c = 0; c < TALLY; ++c) sums[c] += tally[i * TALLY + c];
    }
    for (int c = 0; c < TALLY; ++c) sums[c] = block_sum(sums[c]);
    if (threadIdx.x != 0) return;
    anchors[0] = larger(sums[1], Real(1));
    loss[0] = sums[0] / anchors[0];
    means[0] = sums[2] / larger(sums[3], Real(1));
    means[1] = sums[4] / larger(sums[5], Real(1));
}

// weights = scale[0] / anchors[0] * (slopes + slopes transposed). Launch: one thread an element, n = items * items.
// Memory: slopes twice, once across its rows, from cache; weights once, coalesced.
KERNEL(sup_con_backward)(const Real* __restrict__ slopes, const Real* anchors, const Real* scale,
                         Real* __restrict__ weights, int n, int items) {
    const Real step = scale[0] / anchors[0];
    const Divisor row(items);
    FOR_EACH(i, n) {
        const unsigned r = row.quotient(i), c = i - r * items;
        weights[i] = (slopes[i] + slopes[c * items + r]) * step;
    }
}
