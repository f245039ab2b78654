// What the stand-ins for cuDNN and cuBLAS share: things with a kind, so that a wrong pointer is noticed, a record of
// what was called that tests read through the standin_* functions, and work that waits while a stream is captured.
#pragma once
#include <cstddef>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace standin {
// Static, not inline: two stand-ins in one process must not share them.
static std::map<std::string, int> calls, failures;
static int alive = 0, last_algorithm = -1, last_math = -1;
static void* last_stream = nullptr;
static std::size_t last_workspace = 0;

// While a stream is captured, what is asked of it is kept, and `notify` is told its number.
static std::vector<std::function<void()>> kept;
static void* captured_stream = nullptr;
static void (*notify)(int) = nullptr;

inline void submit(void* stream, const std::function<void()>& work) {
    if (!notify || stream != captured_stream) return work();
    kept.push_back(work);
    notify(int(kept.size()) - 1);
}

enum Kind { HANDLE = 0x68, TENSOR = 0x74, FILTER = 0x66, CONVOLUTION = 0x63 };

struct Thing {
    Kind kind;
    explicit Thing(Kind k) : kind(k) { ++alive; }
    Thing(const Thing& other) : kind(other.kind) { ++alive; }
    ~Thing() { kind = Kind(0); --alive; }
};

inline bool is(const Thing* thing, Kind kind) { return thing && thing->kind == kind; }

// The status that a test asked this call to fail with, or 0; counts the call.
inline int enter(const char* name) {
    ++calls[name];
    auto planned = failures.find(name);
    if (planned == failures.end()) return 0;
    int status = planned->second;
    failures.erase(planned);
    return status;
}
}  // namespace standin

#define ENTER() \
    if (int planned = standin::enter(__func__)) return planned
#define REQUIRE(condition, status) \
    do { \
        if (!(condition)) return status; \
    } while (0)

extern "C" {
int standin_calls(const char* name) { return standin::calls[name]; }
void standin_fail_next(const char* name, int status) { standin::failures[name] = status; }
int standin_alive() { return standin::alive; }
int standin_last_algorithm() { return standin::last_algorithm; }
int standin_last_math() { return standin::last_math; }
void* standin_last_stream() { return standin::last_stream; }
std::size_t standin_last_workspace() { return standin::last_workspace; }
void standin_capture(void* stream, void (*notify)(int)) { standin::captured_stream = stream, standin::notify = notify; }
void standin_replay(int number) { standin::kept[number](); }
}
