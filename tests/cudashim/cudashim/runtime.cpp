// The runtime of the stand-in for CUDA: blocks one after the other, the threads of a block as fibers.
//
// A thread that waits (barrier, warp operation) keeps its stack; threads that never wait share one, so that a kernel
// without barriers is a plain loop. Never built with a sanitizer itself: it tells them about its fibers and about the
// order that barriers and warp operations make.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "fiber.h"
#include "threads.h"

struct uint3 { unsigned x, y, z; };
struct cudashim_launch { unsigned grid[3], block[3]; size_t shared_bytes; int order; unsigned seed; };

extern "C" {
uint3 cudashim_thread_index, cudashim_block_index, cudashim_block_size, cudashim_grid_size;
}

namespace {
class Block;
Block* running = nullptr;
TsanThreads tsan_threads;
std::string first_error;

class Block {
  public:
    Block(const cudashim_launch& launch, void (*call)(void*), void* kernel)
        : launch_(launch), call_(call), kernel_(kernel), count_(launch.block[0] * launch.block[1] * launch.block[2]),
          threads_(count_), warps_((count_ + 31) / 32), sequence_(count_), ready_(count_),
          // of exactly the size asked for: AddressSanitizer sees what lies beyond
          shared_(launch.shared_bytes ? static_cast<char*>(malloc(launch.shared_bytes)) : nullptr, &free) {
        for (unsigned i = 0; i < count_; ++i) sequence_[i] = launch.order == REVERSED ? count_ - 1 - i : i;
        if (launch.order == SHUFFLED) std::shuffle(sequence_.begin(), sequence_.end(), std::mt19937(launch.seed));
        if (__tsan_get_current_fiber) {
            own_tsan_ = __tsan_get_current_fiber();
            fibers_.resize(std::max(256u, 2 * count_));
            __tsan_release(&start_);
        }
    }
    ~Block() {
        if (own_tsan_) __tsan_acquire(&end_);
    }

    void run(unsigned x, unsigned y, unsigned z) {
        cudashim_block_index = {x, y, z};
        begin();
        while (live_ && !failed_) {
            if (started_ < count_) {
                enter(idle_fiber());
            } else if (!ready_.empty()) {
                Thread& next = take_ready();
                enter(*next.fiber);
            } else {
                fail(describe_deadlock());
            }
            tsan_switch(own_tsan_);
        }
        end();
    }
    bool failed() const { return failed_; }
    void* shared() const { return shared_.get(); }
    unsigned lane() const { return current_ & 31; }
    unsigned active_mask() const { return ~warps_[current_ / 32].gone; }

    int barrier(int line, int site, int predicate, int vote) {
        Thread& self = threads_[current_];
        if (live_ < count_)
            fail_for_good("__syncthreads() in line " + std::to_string(line) + " after another thread returned");
        if (!waiting_) {
            first_ = current_;
        } else if (threads_[first_].site != site) {
            fail_for_good("divergent __syncthreads(): thread " + std::to_string(first_) + " at line " +
                          std::to_string(threads_[first_].line) + ", thread " + std::to_string(current_) + " at line " +
                          std::to_string(line));
        }
        synchronized_ = true;
        char* edge = &barrier_[round_ & 1];
        if (self.tsan) __tsan_release(edge);
        self.line = line;
        self.site = site;
        ++waiting_;
        votes_ += predicate;
        if (waiting_ == live_) open_barrier();
        else wait(State::AT_BARRIER);
        if (self.tsan) __tsan_acquire(edge);
        const int yes = result_;
        return vote == 0 ? yes : vote == 1 ? yes == static_cast<int>(count_) : yes != 0;
    }

    // All lanes of `mask` meet; each may leave a value and a vote. Returns which of the two buffers holds them.
    Meeting& meet(unsigned mask, const void* value, size_t size, int predicate, const char* operation, unsigned& turn) {
        Thread& self = threads_[current_];
        Warp& warp = warps_[current_ / 32];
        if (!(mask >> lane() & 1)) fail_for_good(std::string(operation) + ": the calling lane is not in the mask");
        synchronized_ = true;
        Meeting& meeting = find_meeting(warp, mask);
        ++meeting.inside;
        turn = meeting.turn & 1;
        if (value) copy(&meeting.values[turn][lane()], value, size);
        if (predicate) meeting.votes[turn] |= 1u << lane();
        if (self.tsan) __tsan_release(&meeting);
        meeting.arrived |= 1u << lane();
        if (complete(warp, meeting)) {
            let_go(current_ & ~31u, meeting);
        } else {
            self.meeting = &meeting;
            self.operation = operation;
            wait(State::IN_WARP);
        }
        if (self.tsan) __tsan_acquire(&meeting);
        --meeting.inside;
        return meeting;
    }

    // Not memcpy, which ThreadSanitizer would watch.
    static void copy(void* to, const void* from, size_t size) {
        if (size == 4) *static_cast<uint32_t*>(to) = *static_cast<const uint32_t*>(from);
        else *static_cast<uint64_t*>(to) = *static_cast<const uint64_t*>(from);
    }

    static void entry() {
        Fiber::entered_from(running->scheduler_);
        running->serve();
    }

  private:
    void begin() {
        started_ = waiting_ = votes_ = 0;
        live_ = count_;
        synchronized_ = false;
        ready_.clear();
        std::fill(threads_.begin(), threads_.end(), Thread());
        for (Warp& warp : warps_) warp = Warp();
        if (count_ & 31) warps_.back().gone = ~0u << (count_ & 31);
        if (shared_) memset(shared_.get(), 0xCD, launch_.shared_bytes);
    }

    // Blocks that synchronize use shared memory, which the next block reuses: ThreadSanitizer must see them in order.
    // All others stay without order, so that a race between blocks is seen.
    void end() {
        if (own_tsan_ && synchronized_) {
            __tsan_acquire(&end_);
            __tsan_release(&start_);
        }
    }

    // A fiber's life: run threads until one of them has to wait on this stack; then the scheduler takes another fiber.
    void serve() {
        for (;;) {
            Fiber* own = entered_;
            while (started_ < count_ && !failed_) {
                run_thread(sequence_[started_++], own);
                if (own_tsan_) break;
                if (!ready_.empty() && started_ >= count_) break;
            }
            if (!own_tsan_) idle_.push_back(own);
            own->go_to(scheduler_);
        }
    }

    void run_thread(unsigned number, Fiber* own) {
        Thread& thread = threads_[number];
        thread.fiber = own;
        thread.state = State::RUNNING;
        set_current(number);
        if (own_tsan_) {
            thread.tsan = tsan_threads.at(fiber_number_);
            tsan_switch(thread.tsan);
            __tsan_acquire(&start_);
        }
        call_(kernel_);
        set_current(number);
        if (own_tsan_) {
            __tsan_release(&end_);
            tsan_switch(own_tsan_);
        }
        finish(number);
    }

    void finish(unsigned number) {
        threads_[number].state = State::DONE;
        --live_;
        Warp& warp = warps_[number / 32];
        warp.gone |= 1u << (number & 31);
        for (Meeting& meeting : warp)
            if (meeting.arrived && complete(warp, meeting)) let_go(number & ~31u, meeting);
        if (waiting_) fail("a thread returned while others wait at __syncthreads() in line " +
                           std::to_string(threads_[first_].line));
    }

    void wait(State state) {
        const unsigned number = current_;
        threads_[number].state = state;
        entered_->go_to(scheduler_);
        tsan_switch(threads_[number].tsan);
    }

    void open_barrier() {
        for (unsigned i = 0; i < count_; ++i)
            if (threads_[i].state == State::AT_BARRIER) make_ready(i);
        result_ = votes_;
        votes_ = 0;
        waiting_ = 0;
        ++round_;
    }

    static bool complete(const Warp& warp, const Meeting& m) { return ((m.arrived | warp.gone) & m.mask) == m.mask; }

    void let_go(unsigned first_lane, Meeting& meeting) {
        for (unsigned i = first_lane; i < std::min(first_lane + 32, count_); ++i)
            if (threads_[i].state == State::IN_WARP && threads_[i].meeting == &meeting) make_ready(i);
        meeting.came[meeting.turn & 1] = meeting.arrived;
        meeting.arrived = 0;
        ++meeting.turn;
        meeting.votes[meeting.turn & 1] = 0;
    }

    Meeting& find_meeting(Warp& warp, unsigned mask) {
        for (Meeting& meeting : warp)
            if (meeting.mask == mask) return meeting;
        if (warp.used < MASKS) ++warp.used;
        for (Meeting& meeting : warp)
            if (!meeting.inside) {
                meeting = Meeting();
                meeting.mask = mask;
                return meeting;
            }
        fail_for_good("more than " + std::to_string(MASKS) + " different masks at work in one warp");
    }

    void make_ready(unsigned number) {
        threads_[number].state = State::READY;
        ready_.push(number);
    }
    Thread& take_ready() {
        const unsigned number = launch_.order == REVERSED ? ready_.pop_newest() : ready_.pop_oldest();
        threads_[number].state = State::RUNNING;
        set_current(number);
        return threads_[number];
    }
    // Under ThreadSanitizer every thread has a stack of its own, tied to one of its threads. They come in turn, so that
    // a thread and its neighbours in the blocks before are different ones, and races between blocks are seen.
    Fiber& idle_fiber() {
        if (own_tsan_) {
            fiber_number_ = next_fiber_++ % fibers_.size();
            if (!fibers_[fiber_number_]) fibers_[fiber_number_] = std::make_unique<Fiber>(&Block::entry);
            return *fibers_[fiber_number_];
        }
        if (idle_.empty()) {
            fibers_.push_back(std::make_unique<Fiber>(&Block::entry));
            idle_.push_back(fibers_.back().get());
        }
        Fiber* fiber = idle_.back();
        idle_.pop_back();
        return *fiber;
    }
    void enter(Fiber& fiber) {
        entered_ = &fiber;
        scheduler_.go_to(fiber);
    }
    void set_current(unsigned number) {
        const unsigned width = launch_.block[0], height = launch_.block[1];
        current_ = number;
        cudashim_thread_index = {number % width, number / width % height, number / (width * height)};
    }
    static void tsan_switch(void* fiber) {
        if (fiber) __tsan_switch_to_fiber(fiber, 1);  // 1: switching makes no order
    }

    void fail(const std::string& what) {
        char where[128];
        const uint3 &b = cudashim_block_index, &t = cudashim_thread_index;
        snprintf(where, sizeof where, " [block (%u,%u,%u) thread (%u,%u,%u)]", b.x, b.y, b.z, t.x, t.y, t.z);
        if (first_error.empty()) first_error = what + where;
        failed_ = true;
    }
    [[noreturn]] void fail_for_good(const std::string& what) {
        fail(what);
        entered_->go_to(scheduler_);
        abort();  // nobody enters the stack of a failed thread again
    }
    std::string describe_deadlock() const {
        std::string text = "deadlock:", last;
        for (unsigned i = 0; i < count_; ++i) {
            const Thread& t = threads_[i];
            if (t.state != State::AT_BARRIER && t.state != State::IN_WARP) continue;
            const bool at_barrier = t.state == State::AT_BARRIER;
            std::string place = at_barrier ? "__syncthreads in line " + std::to_string(t.line) : t.operation;
            if (place != last) text += " thread " + std::to_string(i) + " waits at " + place + ";";
            last = place;
        }
        return text;
    }

    const cudashim_launch& launch_;
    void (*call_)(void*);
    void* kernel_;
    const unsigned count_;
    std::vector<Thread> threads_;
    std::vector<Warp> warps_;
    std::vector<unsigned> sequence_;  // the order in which threads start
    Queue ready_;
    std::unique_ptr<char, void (*)(void*)> shared_;
    unsigned started_ = 0, live_ = 0, current_ = 0;
    unsigned waiting_ = 0, first_ = 0, round_ = 0;  // the barrier
    int votes_ = 0, result_ = 0;
    bool failed_ = false, synchronized_ = false;
    std::vector<std::unique_ptr<Fiber>> fibers_;
    std::vector<Fiber*> idle_;
    size_t fiber_number_ = 0, next_fiber_ = 0;
    Fiber scheduler_;
    Fiber* entered_ = nullptr;
    void* own_tsan_ = nullptr;
    char barrier_[2], start_, end_;  // addresses that ThreadSanitizer ties order to
};
}  // namespace

extern "C" {
const char* cudashim_last_error() { return first_error.c_str(); }
void* cudashim_dynamic_shared() { return running->shared(); }
unsigned cudashim_lane() { return running->lane(); }
unsigned cudashim_active_mask() { return running->active_mask(); }
int cudashim_barrier(int line, int site, int predicate, int vote) {
    return running->barrier(line, site, predicate, vote);
}
void cudashim_exchange(unsigned mask, const void* value, void* out, size_t size, int source, const char* operation) {
    unsigned turn;
    Meeting& meeting = running->meet(mask, value, size, 0, operation, turn);
    if (source < 0) return;
    // CUDA leaves undefined what comes from a lane that is not there: NaN and -1 show it.
    const uint64_t poison = ~uint64_t(0);
    Block::copy(out, meeting.came[turn] >> source & 1 ? &meeting.values[turn][source] : &poison, size);
}
unsigned cudashim_ballot(unsigned mask, int predicate, const char* operation) {
    unsigned turn;
    Meeting& meeting = running->meet(mask, nullptr, 0, predicate, operation, turn);
    return meeting.votes[turn];
}
int cudashim_run(const cudashim_launch* launch, void (*call)(void*), void* kernel) {
    first_error.clear();
    cudashim_block_size = {launch->block[0], launch->block[1], launch->block[2]};
    cudashim_grid_size = {launch->grid[0], launch->grid[1], launch->grid[2]};
    Block block(*launch, call, kernel);
    running = &block;
    const uint64_t width = launch->grid[0], height = launch->grid[1], blocks = width * height * launch->grid[2];
    for (uint64_t i = 0; i < blocks && !block.failed(); ++i) {
        const uint64_t b = launch->order == REVERSED ? blocks - 1 - i : i;
        block.run(b % width, b / width % height, b / (width * height));
    }
    running = nullptr;
    return block.failed();
}
}
