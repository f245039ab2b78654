// Where an element of an array (planes, rows, columns) lies, without a division for each. Include common.cuh first.
struct Place { unsigned plane, row, column; };

// The nearest number in [0, limit): what lies outside reads from there, so that loads wait for no branch, and is not
// used.
__device__ __forceinline__ int clamped(int at, int limit) { return min(max(at, 0), limit - 1); }

struct Planes {
    Divisor rows, columns;
    __device__ __forceinline__ Planes(int rows, int columns) : rows(rows), columns(columns) {}
    __device__ __forceinline__ Place operator()(unsigned i) const {
        const unsigned line = columns.quotient(i), plane = rows.quotient(line);
        return {plane, line - plane * rows.by, i - line * columns.by};
    }
};
