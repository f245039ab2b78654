// A stand-in for libcudnn on host memory: the functions that netforge calls, for NCHW float32 and float64, by plain
// loops. Define STANDIN_CUDNN as 8 or 9 (statuses and version follow it) and STANDIN_CUDA as CUDA's major version.
#include "standin.h"

#include <vector>

using namespace standin;

#if STANDIN_CUDNN >= 9
enum Status { SUCCESS = 0, NOT_INITIALIZED = 1001, BAD_PARAM = 2000, NOT_SUPPORTED = 3000, EXECUTION_FAILED = 5000 };
#else
enum Status { SUCCESS = 0, NOT_INITIALIZED = 1, BAD_PARAM = 3, NOT_SUPPORTED = 9, EXECUTION_FAILED = 8 };
#endif

struct Handle : Thing {
    void* stream = nullptr;
    Handle() : Thing(HANDLE) {}
};

// A tensor or a filter, its spatial axes counted to three with leading ones.
struct Array : Thing {
    int type = -1, axes = 0, n = 0, c = 0, size[3] = {1, 1, 1};
    explicit Array(Kind kind) : Thing(kind) {}
    std::size_t positions() const { return std::size_t(size[0]) * size[1] * size[2]; }
    std::size_t elements() const { return std::size_t(n) * c * positions(); }
};

struct Window : Thing {
    int axes = 0, type = -1, group = 1, math = 0;
    int pad[3] = {0, 0, 0}, stride[3] = {1, 1, 1}, dilation[3] = {1, 1, 1};
    Window() : Thing(CONVOLUTION) {}
};

struct Performance {
    int algorithm, status;
    float time;
    std::size_t memory;
    int determinism, math, reserved[3];
};

static const std::size_t LARGE = 1 << 20, SMALL = 5000;

static bool known(int algorithm, std::size_t* memory) {
    *memory = algorithm == 1 ? LARGE : algorithm == 2 ? SMALL : 0;
    return algorithm >= 0 && algorithm <= 2;
}

static int output_size(const Array* x, const Array* w, const Window* c, int axis) {
    int extent = c->dilation[axis] * (w->size[axis] - 1) + 1;
    return (x->size[axis] + 2 * c->pad[axis] - extent) / c->stride[axis] + 1;
}

static bool fits(const Array* x, const Array* w, const Window* c) {
    return is(x, TENSOR) && is(w, FILTER) && is(c, CONVOLUTION) && x->type == w->type && c->type == x->type &&
           x->axes == w->axes && x->axes == c->axes + 2 && x->c == w->c * c->group && w->n % c->group == 0;
}

static bool fits(const Array* x, const Array* w, const Array* y, const Window* c) {
    if (!fits(x, w, c) || !is(y, TENSOR) || y->type != x->type || y->n != x->n || y->c != w->n) return false;
    for (int axis = 0; axis < 3; ++axis)
        if (y->size[axis] != output_size(x, w, c, axis)) return false;
    return true;
}

// Calls product(index in x, index in w, index in y) for every product of a convolution.
template <class Product>
static void each(const Array& x, const Array& w, const Array& y, const Window& c, Product product) {
    int per_group = w.n / c.group;
    for (std::size_t image_channel = 0; image_channel < std::size_t(y.n) * y.c; ++image_channel)
        for (std::size_t at = 0; at < y.positions(); ++at)
            for (int channel = 0; channel < w.c; ++channel)
                for (std::size_t tap = 0; tap < w.positions(); ++tap) {
                    std::size_t rest_at = at, rest_tap = tap, pixel = 0, scale = 1;
                    bool inside = true;
                    for (int axis = 2; axis >= 0; --axis) {
                        int o = rest_at % y.size[axis], k = rest_tap % w.size[axis];
                        int i = o * c.stride[axis] + k * c.dilation[axis] - c.pad[axis];
                        inside = inside && i >= 0 && i < x.size[axis];
                        pixel += i * scale;
                        scale *= x.size[axis];
                        rest_at /= y.size[axis];
                        rest_tap /= w.size[axis];
                    }
                    if (!inside) continue;
                    std::size_t n = image_channel / y.c, o = image_channel % y.c;
                    product((n * x.c + o / per_group * w.c + channel) * x.positions() + pixel,
                            (o * w.c + channel) * w.positions() + tap, image_channel * y.positions() + at);
                }
}

template <class Real>
static void scale(Real* values, std::size_t count, Real factor) {
    for (std::size_t i = 0; i < count; ++i) values[i] = factor == 0 ? 0 : factor * values[i];
}

enum Direction { FORWARD, DATA, WEIGHTS };

template <class Real>
static void convolve(Direction direction, const Array& x, const Array& w, const Array& y, const Window& c, Real a, Real b,
                     const void* first, const void* second, void* result) {
    const Real *p = static_cast<const Real*>(first), *q = static_cast<const Real*>(second);
    Real* out = static_cast<Real*>(result);
    scale(out, (direction == FORWARD ? y : direction == DATA ? x : w).elements(), b);
    each(x, w, y, c, [&](std::size_t i, std::size_t j, std::size_t k) {
        if (direction == FORWARD) out[k] += a * p[i] * q[j];
        if (direction == DATA) out[i] += a * p[j] * q[k];
        if (direction == WEIGHTS) out[j] += a * p[i] * q[k];
    });
}

template <class Real>
static void start(void* stream, Direction direction, const Array& x, const Array& w, const Array& y, const Window& c,
                  const void* alpha, const void* beta, const void* first, const void* second, void* result,
                  void* workspace, std::size_t size) {
    Real a = *static_cast<const Real*>(alpha), b = *static_cast<const Real*>(beta);
    submit(stream, [=] {
        char* bytes = static_cast<char*>(workspace);
        if (size) bytes[0] = bytes[size - 1] = 77;  // used to its end
        convolve<Real>(direction, x, w, y, c, a, b, first, second, result);
    });
}

static int run(Direction direction, Handle* handle, const void* alpha, const Array* x, const Array* w, const Array* y,
               const void* first, const void* second, const Window* c, int algorithm, void* workspace,
               std::size_t size, const void* beta, void* out) {
    std::size_t needed;
    REQUIRE(is(handle, HANDLE) && fits(x, w, y, c) && first && second && out, BAD_PARAM);
    REQUIRE(known(algorithm, &needed), NOT_SUPPORTED);
    REQUIRE(size >= needed && (workspace || !needed), BAD_PARAM);
    last_algorithm = algorithm;
    last_math = c->math;
    last_stream = handle->stream;
    last_workspace = size;
    auto begin = x->type == 0 ? start<float> : start<double>;
    begin(handle->stream, direction, *x, *w, *y, *c, alpha, beta, first, second, out, workspace, size);
    return SUCCESS;
}

// What the heuristics expect (measured = false), or what was measured: then the frugal algorithm is the fastest.
// Arithmetic is told as the default one whatever the descriptor says: the caller has to insist.
static int list(bool measured, int most, int* count, Performance* found) {
    std::vector<Performance> all = {{0, SUCCESS, .1f, 0, 0, 0, {}},      // not deterministic
                                    {7, NOT_SUPPORTED, -1, 0, 1, 0, {}},  // not for this problem
                                    {1, SUCCESS, .2f, LARGE, 1, 1, {}},  // on tensor cores
                                    {2, SUCCESS, .3f, SMALL, 1, 0, {}}};
    if (measured) std::swap(all[0], all[3]);
    REQUIRE(most >= int(all.size()) && count && found, BAD_PARAM);
    *count = int(all.size());
    memcpy(found, all.data(), all.size() * sizeof(Performance));
    return SUCCESS;
}

template <class T, class... Arguments>
static int make(Thing** out, Arguments... arguments) {
    REQUIRE(out, BAD_PARAM);
    *out = new T(arguments...);
    return SUCCESS;
}

static int set_array(Array* array, int type, int count, const int* sizes) {
    REQUIRE((type == 0 || type == 1) && count >= 4 && count <= 5, NOT_SUPPORTED);
    for (int i = 0; i < count; ++i) REQUIRE(sizes[i] > 0, BAD_PARAM);
    array->type = type, array->axes = count, array->n = sizes[0], array->c = sizes[1];
    for (int i = 2; i < count; ++i) array->size[3 - count + i] = sizes[i];
    return SUCCESS;
}

extern "C" {
std::size_t cudnnGetCudartVersion() { return STANDIN_CUDA * 1000 + 40; }
int cudnnGetProperty(int kind, int* value) {
    const int version[] = {STANDIN_CUDNN, 4, 1};
    REQUIRE(kind >= 0 && kind < 3, BAD_PARAM);
    *value = version[kind];
    return SUCCESS;
}
const char* cudnnGetErrorString(int status) {
    return status == SUCCESS           ? "CUDNN_STATUS_SUCCESS"
           : status == NOT_INITIALIZED ? "CUDNN_STATUS_NOT_INITIALIZED"
           : status == BAD_PARAM       ? "CUDNN_STATUS_BAD_PARAM"
           : status == NOT_SUPPORTED   ? "CUDNN_STATUS_NOT_SUPPORTED"
                                       : "CUDNN_STATUS_EXECUTION_FAILED";
}
#if STANDIN_CUDNN >= 9
void cudnnGetLastErrorString(char* text, std::size_t size) { strncpy(text, "said by the stand-in", size); }
#endif

int cudnnCreate(Thing** out) { ENTER(); return make<Handle>(out); }
int cudnnDestroy(Thing* handle) { ENTER(); REQUIRE(is(handle, HANDLE), BAD_PARAM); delete static_cast<Handle*>(handle); return SUCCESS; }
int cudnnSetStream(Handle* handle, void* stream) {
    ENTER();
    REQUIRE(is(handle, HANDLE), BAD_PARAM);
    handle->stream = stream;
    return SUCCESS;
}
int cudnnCreateTensorDescriptor(Thing** out) { ENTER(); return make<Array>(out, TENSOR); }
int cudnnCreateFilterDescriptor(Thing** out) { ENTER(); return make<Array>(out, FILTER); }
int cudnnCreateConvolutionDescriptor(Thing** out) { ENTER(); return make<Window>(out); }
int cudnnDestroyTensorDescriptor(Thing* d) { REQUIRE(is(d, TENSOR), BAD_PARAM); delete static_cast<Array*>(d); return SUCCESS; }
int cudnnDestroyFilterDescriptor(Thing* d) { REQUIRE(is(d, FILTER), BAD_PARAM); delete static_cast<Array*>(d); return SUCCESS; }
int cudnnDestroyConvolutionDescriptor(Thing* d) { REQUIRE(is(d, CONVOLUTION), BAD_PARAM); delete static_cast<Window*>(d); return SUCCESS; }

int cudnnSetTensorNdDescriptor(Array* array, int type, int count, const int* sizes, const int* strides) {
    ENTER();
    REQUIRE(is(array, TENSOR), BAD_PARAM);
    int dense = 1;
    for (int i = count - 1; i >= 0; --i) {
        REQUIRE(strides[i] == dense, NOT_SUPPORTED);
        dense *= sizes[i];
    }
    return set_array(array, type, count, sizes);
}
int cudnnSetFilterNdDescriptor(Array* array, int type, int format, int count, const int* sizes) {
    ENTER();
    REQUIRE(is(array, FILTER) && format == 0, BAD_PARAM);
    return set_array(array, type, count, sizes);
}
int cudnnSetConvolutionNdDescriptor(Window* c, int axes, const int* pad, const int* stride, const int* dilation,
                                    int mode, int type) {
    ENTER();
    REQUIRE(is(c, CONVOLUTION) && axes >= 2 && axes <= 3 && mode == 1, BAD_PARAM);
    c->axes = axes, c->type = type;
    for (int i = 0; i < axes; ++i) {
        REQUIRE(pad[i] >= 0 && stride[i] > 0 && dilation[i] > 0, BAD_PARAM);
        c->pad[3 - axes + i] = pad[i], c->stride[3 - axes + i] = stride[i], c->dilation[3 - axes + i] = dilation[i];
    }
    return SUCCESS;
}
int cudnnSetConvolutionGroupCount(Window* c, int group) {
    ENTER();
    REQUIRE(is(c, CONVOLUTION) && group > 0, BAD_PARAM);
    c->group = group;
    return SUCCESS;
}
int cudnnSetConvolutionMathType(Window* c, int math) {
    ENTER();
    REQUIRE(is(c, CONVOLUTION) && math >= 0 && math <= 3, BAD_PARAM);
    c->math = math;
    return SUCCESS;
}
int cudnnGetConvolutionNdForwardOutputDim(const Window* c, const Array* x, const Array* w, int count, int* sizes) {
    ENTER();
    REQUIRE(fits(x, w, c) && count == x->axes, BAD_PARAM);
    sizes[0] = x->n, sizes[1] = w->n;
    for (int i = 2; i < count; ++i) sizes[i] = output_size(x, w, c, 3 - count + i);
    return SUCCESS;
}

// The three passes differ in what is first, second and output; FITS names them as x, w and y.
#define PASS(name, direction, FIRST, SECOND, OUTPUT, X, W, Y)                                                          \
    int cudnnConvolution##name(Handle* handle, const void* alpha, const Array* FIRST, const void* first,              \
                               const Array* SECOND, const void* second, const Window* c, int algorithm,               \
                               void* workspace, std::size_t size, const void* beta, const Array* OUTPUT, void* out) { \
        ENTER();                                                                                                      \
        return run(direction, handle, alpha, X, W, Y, first, second, c, algorithm, workspace, size, beta, out);        \
    }                                                                                                                 \
    int cudnnGetConvolution##name##Algorithm_v7(Handle* handle, const Array* FIRST, const Array* SECOND,              \
                                                const Window* c, const Array* OUTPUT, int most, int* count,           \
                                                Performance* found) {                                                 \
        ENTER();                                                                                                      \
        REQUIRE(is(handle, HANDLE) && fits(X, W, Y, c), BAD_PARAM);                                                   \
        return list(false, most, count, found);                                                                      \
    }                                                                                                                 \
    int cudnnFindConvolution##name##AlgorithmEx(                                                                      \
        Handle* handle, const Array* FIRST, const void* first, const Array* SECOND, const void* second,               \
        const Window* c, const Array* OUTPUT, void* out, int most, int* count, Performance* found, void* workspace,   \
        std::size_t size) {                                                                                           \
        ENTER();                                                                                                      \
        REQUIRE(is(handle, HANDLE) && fits(X, W, Y, c) && first && second && out && (workspace || !size), BAD_PARAM);  \
        memset(out, 77, OUTPUT->elements() * (OUTPUT->type ? 8 : 4));                                                 \
        return list(true, most, count, found);                                                                       \
    }                                                                                                                 \
    int cudnnGetConvolution##name##WorkspaceSize(Handle* handle, const Array* FIRST, const Array* SECOND,             \
                                                 const Window* c, const Array* OUTPUT, int algorithm,                 \
                                                 std::size_t* size) {                                                 \
        ENTER();                                                                                                      \
        REQUIRE(is(handle, HANDLE) && fits(X, W, Y, c), BAD_PARAM);                                                   \
        REQUIRE(known(algorithm, size), NOT_SUPPORTED);                                                               \
        return SUCCESS;                                                                                               \
    }

PASS(Forward, FORWARD, x, w, y, x, w, y)
PASS(BackwardData, DATA, w, y, x, x, w, y)
PASS(BackwardFilter, WEIGHTS, x, y, w, x, w, y)
}
