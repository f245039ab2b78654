// What the runtime keeps of a block's threads and warps.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fiber.h"

enum Order { FORWARD, REVERSED, SHUFFLED };
enum class State : uint8_t { NEW, RUNNING, READY, AT_BARRIER, IN_WARP, DONE };

constexpr int MASKS = 8;  // different masks at work in a warp at one time

// One mask's meeting place in a warp. Two buffers, because fast lanes may be at the next operation already.
struct Meeting {
    unsigned mask = 0, arrived = 0, turn = 0, came[2] = {0, 0}, votes[2] = {0, 0};
    int inside = 0;
    uint64_t values[2][32];
};
struct Warp {
    unsigned gone = 0;  // lanes that returned, or never were
    int used = 0;
    Meeting meetings[MASKS];
    Meeting* begin() { return meetings; }
    Meeting* end() { return meetings + used; }
};
// Numbers of threads that may go on. Of fixed size: threads must not allocate, ThreadSanitizer would see races in that.
class Queue {
  public:
    explicit Queue(unsigned most) : slots_(most) {}
    void clear() { first_ = count_ = 0; }
    bool empty() const { return count_ == 0; }
    void push(unsigned number) { slots_[(first_ + count_++) % slots_.size()] = number; }
    unsigned pop_oldest() {
        const unsigned number = slots_[first_];
        first_ = (first_ + 1) % slots_.size();
        --count_;
        return number;
    }
    unsigned pop_newest() { return slots_[(first_ + --count_) % slots_.size()]; }

  private:
    std::vector<unsigned> slots_;
    unsigned first_ = 0, count_ = 0;
};
struct Thread {
    Fiber* fiber = nullptr;
    State state = State::NEW;
    void* tsan = nullptr;
    int line = 0, site = 0;
    Meeting* meeting = nullptr;
    const char* operation = nullptr;
};

// ThreadSanitizer's idea of a thread costs much to make: they are kept from launch to launch.
class TsanThreads {
  public:
    void* at(size_t i) {
        if (i >= threads_.size()) threads_.resize(i + 1);
        if (!threads_[i]) threads_[i] = __tsan_create_fiber(0);
        return threads_[i];
    }

  private:
    std::vector<void*> threads_;
};
