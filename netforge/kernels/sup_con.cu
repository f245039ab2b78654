// The supervised contrastive loss (netforge/device/operations/sup_con.py): similarities and slopes (items, items), labels
// (items, columns) of which column 0 counts. loss, anchors and scale are arrays of one number.
#include "common.cuh"

#define TALLY 6  // cost, anchor or not, sum and number of the similarities to positives, and of those to negatives

// tally (items, 6); slopes = the gradient of each anchor's cost by its row of similarities, 0 where an item has no
// positive.
// Launch: one warp an item. Memory: similarities three times, twice from cache; slopes once; coalesced.
KERNEL(sup_con_pairs)(const Real* __restrict__ similarities, const Real* __restrict__ labels,
                      Real* __restrict__ slopes, Real* __restrict__ tally, int items, int columns, Real temperature) {
    FOR_EACH_WARP(item, items) {
        const Real *row = similarities + item * items, own = labels[item * columns];
        Real most = lowest(), to_positives = 0, to_negatives = 0, sum = 0;
        int positives = 0;
        FOR_EACH_IN_WARP(j, items) {
            if (j == item) continue;
            const bool positive = labels[j * columns] == own;
            most = larger(row[j], most);
            positives += positive;
            (positive ? to_positives : to_negatives) += row[j];
        }
        most = warp_max(most);
        positives = warp_sum(positives);
        to_positives = warp_sum(to_positives);
        to_negatives = warp_sum(to_negatives);
        FOR_EACH_IN_WARP(j, items) sum += j == item ? Real(0) : exp((row[j] - most) / temperature);
        sum = warp_sum(sum);
        const Real pairs = Real(max(positives, 1));
        FOR_EACH_IN_WARP(j, items) {
            const Real share = labels[j * columns] == own ? Real(1) / pairs : Real(0);
            const Real slope = (exp((row[j] - most) / temperature) / sum - share) / temperature;
            slopes[item * items + j] = j == item || positives == 0 ? Real(0) : slope;
        }
        if (threadIdx.x % WARP != 0) continue;
        Real* out = tally + item * TALLY;
        out[0] = positives ? most / temperature + log(sum) - to_positives / (temperature * pairs) : Real(0);
        out[1] = positives ? Real(1) : Real(0);
        out[2] = to_positives;
        out[3] = Real(positives);
        out[4] = to_negatives;
        out[5] = Real(items - 1 - positives);
    }
}

// loss[0] = the mean cost of anchors, anchors[0] their number, at least 1; means = mean similarity of positive pairs, and
// of negative ones. Launch: one block. Memory: tally once.
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
    FOR_EACH(i, n) weights[i] = (slopes[i] + slopes[i % items * items + i / items]) * step;
}
