// A stand-in for libcublas on host memory: the functions that netforge calls, by plain loops. Define STANDIN_CUDA as
// CUDA's major version. As under graph capture, products are refused until the stream has a workspace of its own.
#include "standin.h"

using namespace standin;

enum Status { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, EXECUTION_FAILED = 13 };

struct Handle : Thing {
    void *stream = nullptr, *workspace = nullptr;
    std::size_t size = 0;
    int math = 0;
    Handle() : Thing(HANDLE) {}
};

template <class Real>
struct Operand {
    Real* values;
    long long row, column;
    Operand(Real* v, bool transposed, int stride) : values(v), row(transposed ? stride : 1), column(transposed ? 1 : stride) {}
    Real& at(int r, int c) const { return values[r * row + c * column]; }
};

template <class Real>
static int gemm(Handle* handle, int op_a, int op_b, int m, int n, int k, const Real* alpha, const Real* a, int lda,
                long long step_a, const Real* b, int ldb, long long step_b, const Real* beta, Real* c, int ldc,
                long long step_c, int count) {
    REQUIRE(is(handle, HANDLE), NOT_INITIALIZED);
    REQUIRE(m > 0 && n > 0 && k > 0 && count > 0 && a && b && c && (op_a | op_b) < 2, INVALID_VALUE);
    REQUIRE(lda >= (op_a ? k : m) && ldb >= (op_b ? n : k) && ldc >= m, INVALID_VALUE);
    REQUIRE(handle->workspace, EXECUTION_FAILED);
    last_stream = handle->stream;
    last_math = handle->math;
    last_workspace = handle->size;
    char* last_byte = static_cast<char*>(handle->workspace) + handle->size - 1;
    submit(handle->stream, [=, scale = *alpha, keep = *beta] {
        *last_byte = 77;
        for (int i = 0; i < count; ++i) {
            Operand<const Real> left(a + i * step_a, op_a, lda), right(b + i * step_b, op_b, ldb);
            Operand<Real> out(c + i * step_c, false, ldc);
            for (int column = 0; column < n; ++column)
                for (int row = 0; row < m; ++row) {
                    Real sum = 0;
                    for (int inner = 0; inner < k; ++inner) sum += left.at(row, inner) * right.at(inner, column);
                    Real& target = out.at(row, column);
                    target = keep == 0 ? scale * sum : scale * sum + keep * target;
                }
        }
    });
    return SUCCESS;
}

extern "C" {
int cublasGetProperty(int kind, int* value) {
    const int version[] = {STANDIN_CUDA, 2, 3};
    REQUIRE(kind >= 0 && kind < 3, INVALID_VALUE);
    *value = version[kind];
    return SUCCESS;
}
int cublasCreate_v2(Thing** out) {
    ENTER();
    *out = new Handle();
    return SUCCESS;
}
int cublasDestroy_v2(Thing* handle) {
    ENTER();
    REQUIRE(is(handle, HANDLE), NOT_INITIALIZED);
    delete static_cast<Handle*>(handle);
    return SUCCESS;
}
int cublasSetStream_v2(Handle* handle, void* stream) {
    ENTER();
    REQUIRE(is(handle, HANDLE), NOT_INITIALIZED);
    handle->stream = stream;
    handle->workspace = nullptr;
    return SUCCESS;
}
int cublasSetWorkspace_v2(Handle* handle, void* workspace, std::size_t size) {
    ENTER();
    REQUIRE(is(handle, HANDLE), NOT_INITIALIZED);
    REQUIRE(workspace && size, INVALID_VALUE);
    handle->workspace = workspace;
    handle->size = size;
    return SUCCESS;
}
int cublasSetMathMode(Handle* handle, int math) {
    ENTER();
    REQUIRE(is(handle, HANDLE), NOT_INITIALIZED);
    handle->math = math;
    return SUCCESS;
}

#define GEMM(letter, Real)                                                                                             \
    int cublas##letter##gemm_v2(Handle* handle, int op_a, int op_b, int m, int n, int k, const Real* alpha,            \
                                const Real* a, int lda, const Real* b, int ldb, const Real* beta, Real* c, int ldc) { \
        ENTER();                                                                                                       \
        return gemm(handle, op_a, op_b, m, n, k, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc, 0, 1);                      \
    }                                                                                                                  \
    int cublas##letter##gemmStridedBatched(Handle* handle, int op_a, int op_b, int m, int n, int k, const Real* alpha, \
                                           const Real* a, int lda, long long step_a, const Real* b, int ldb,           \
                                           long long step_b, const Real* beta, Real* c, int ldc, long long step_c,     \
                                           int count) {                                                                \
        ENTER();                                                                                                       \
        return gemm(handle, op_a, op_b, m, n, k, alpha, a, lda, step_a, b, ldb, step_b, beta, c, ldc, step_c, count);  \
    }

GEMM(S, float)
GEMM(D, double)
}
