// Backtrace: which functions a stack is in the middle of, running or suspended; and what they are called.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "cutils/export.h"

namespace corothread {

// Return addresses, the innermost first. A deep stack keeps its two ends: the innermost frames and the
// outermost, which say how it began.
//
//   for (void* frame : Backtrace::here()) std::puts(symbol_of(frame).c_str());
//
// Cost: about 0.5 µs a frame; no allocation. Found by the unwind tables that exceptions use, so no frame
// pointers are needed. Suspended stacks can be read on x86-64; elsewhere such a backtrace is empty.
class EVC_API Backtrace {
  public:
    static constexpr std::size_t kInner = 40;
    static constexpr std::size_t kOuter = 8;

    Backtrace() = default;
    // Of the caller, without its `skip` innermost functions. Async-signal-safe after the first use in the
    // process (see prepare); in a handler it goes on through the signal's frame.
    [[gnu::noinline]] static Backtrace here(std::size_t skip = 0);
    // Of a stack that was left by a switch: where its Context left off. Reads that stack, runs on this one.
    static Backtrace of_suspended(const void* left_off);
    // Loads what here() needs: in a signal handler it would be too late.
    static void prepare();

    [[nodiscard]] const void* const* begin() const { return frames_.data(); }
    [[nodiscard]] const void* const* end() const { return frames_.data() + size(); }
    [[nodiscard]] std::size_t size() const { return count_ < frames_.size() ? count_ : frames_.size(); }
    [[nodiscard]] bool empty() const { return count_ == 0; }
    // How many frames the stack has; more than size() when the middle is left out, before frame kInner.
    [[nodiscard]] std::size_t depth() const { return count_; }

  private:
    friend struct BacktraceWalk;
    std::array<const void*, kInner + kOuter> frames_;
    std::size_t count_ = 0;
};

// Names a return address: "function+0x12 (program+0x3456)", from the program's own symbol table, so static
// functions have names, too. `addr2line -Cfpe program 0x3456` says file and line.
//
// Cost: the file is mapped and searched, some 10 µs. Errors: the address alone when nothing is known.
EVC_API std::string symbol_of(const void* frame);

// The same, written to `fd`, with a newline, not demangled. Async-signal-safe but for a lock of the dynamic
// linker's. No allocation.
EVC_API void write_symbol(int fd, const void* frame);

// All of it as text, a line a frame, each beginning with `indent`.
EVC_API std::string to_string(const Backtrace& backtrace, std::string_view indent = "  ");
EVC_API void write_backtrace(int fd, const Backtrace& backtrace);

}  // namespace corothread
