// Where an element of an array (planes, rows, columns) lies, without a division for each. Include common.cuh first.
struct Place { unsigned plane, row, column; };

struct Planes {
    Divisor rows, columns;
    __device__ __forceinline__ Planes(int rows, int columns) : rows(rows), columns(columns) {}
    __device__ __forceinline__ Place operator()(unsigned i) const {
        const unsigned line = columns.quotient(i), plane = rows.quotient(line);
        return {plane, line - plane * rows.by, i - line * columns.by};
    }
};
