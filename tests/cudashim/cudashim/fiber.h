// Stacks that can be left and come back to, and what the sanitizers must be told when that happens.
#pragma once
#include <cstddef>
#include <sys/mman.h>
#ifndef __x86_64__
#include <ucontext.h>
#endif

extern "C" {
#define CUDASHIM_WEAK __attribute__((weak))
void __sanitizer_start_switch_fiber(void**, const void*, size_t) CUDASHIM_WEAK;
void __sanitizer_finish_switch_fiber(void*, const void**, size_t*) CUDASHIM_WEAK;
void* __tsan_get_current_fiber() CUDASHIM_WEAK;
void* __tsan_create_fiber(unsigned) CUDASHIM_WEAK;
void __tsan_switch_to_fiber(void*, unsigned) CUDASHIM_WEAK;
void __tsan_acquire(void*) CUDASHIM_WEAK;
void __tsan_release(void*) CUDASHIM_WEAK;
}

constexpr size_t STACK_BYTES = 64 << 10;
constexpr size_t GUARD_BYTES = 4096;

#ifdef __x86_64__
// Saves the callee-saved registers on the running stack, its pointer in *save, and goes on from `load`.
extern "C" void cudashim_switch(void** save, void* load) __attribute__((visibility("hidden")));
asm(R"(
    .text
    .hidden cudashim_switch
    .globl cudashim_switch
    .type cudashim_switch,@function
cudashim_switch:
    pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
    movq %rsp,(%rdi)
    movq %rsi,%rsp
    popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
    ret
    .size cudashim_switch,.-cudashim_switch
)");
#endif

class Fiber {
  public:
    Fiber() = default;  // the stack that is running already
    explicit Fiber(void (*entry)()) {
        void* memory = mmap(nullptr, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) __builtin_trap();
        mprotect(memory, GUARD_BYTES, PROT_NONE);
        stack_ = static_cast<char*>(memory) + GUARD_BYTES;
#ifdef __x86_64__
        void** top = reinterpret_cast<void**>(stack_ + STACK_BYTES);
        *--top = nullptr;
        *--top = reinterpret_cast<void*>(entry);
        for (int i = 0; i < 6; ++i) *--top = nullptr;
        pointer_ = top;
#else
        getcontext(&context_);
        context_.uc_stack.ss_sp = stack_;
        context_.uc_stack.ss_size = STACK_BYTES;
        makecontext(&context_, entry, 0);
#endif
    }
    Fiber(const Fiber&) = delete;
    ~Fiber() {
        if (stack_) munmap(stack_ - GUARD_BYTES, GUARD_BYTES + STACK_BYTES);
    }
    // Leave this stack for `other`; returns when someone comes back.
    void go_to(Fiber& other) {
        if (__sanitizer_start_switch_fiber) __sanitizer_start_switch_fiber(&fake_stack_, other.bottom(), other.size_);
#ifdef __x86_64__
        cudashim_switch(&pointer_, other.pointer_);
#else
        swapcontext(&context_, &other.context_);
#endif
        if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(fake_stack_, nullptr, nullptr);
    }
    // First thing on a new stack: learn where the stack lies that it was entered from.
    static void entered_from(Fiber& previous) {
        if (__sanitizer_finish_switch_fiber)
            __sanitizer_finish_switch_fiber(nullptr, &previous.bottom_, &previous.size_);
    }

  private:
    const void* bottom() const { return stack_ ? stack_ : bottom_; }
    void* pointer_ = nullptr;
    char* stack_ = nullptr;
    void* fake_stack_ = nullptr;
    const void* bottom_ = nullptr;
    size_t size_ = STACK_BYTES;
#ifndef __x86_64__
    ucontext_t context_;
#endif
};
