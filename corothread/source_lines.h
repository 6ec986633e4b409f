// SourceLines: the file and line behind an address, from a program's debug information.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "corothread/backtrace.h"
#include "cutils/export.h"

namespace corothread {

// Reads debug information while it lives, with elfutils' libdw, which is loaded when the first object is
// made: nothing links it, and without it (Debian: libdw1), or in a program without -g, every answer is empty.
//
//   SourceLines lines;
//   std::puts(to_string(trace, "  ", lines).c_str());
//   // … blur(Image&)+0x3f1 (server+0x8d21) at blur.cpp:88
//
// Thread: one at a time. Not for signal handlers.
// Cost:   to make, some 100 µs; the first look into a compilation unit, milliseconds; some MB while it lives.
class EVC_API SourceLines {
  public:
    SourceLines();
    SourceLines(const SourceLines&) = delete;
    SourceLines& operator=(const SourceLines&) = delete;
    ~SourceLines();

    // Whether there is anything to ask.
    [[nodiscard]] bool available() const;
    // "webby/router.cpp:88", as the compiler was told the name, for a return address. Empty: not known.
    [[nodiscard]] std::string of(const void* frame) const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// As to_string(backtrace, indent), with the lines.
EVC_API std::string to_string(const Backtrace& backtrace, std::string_view indent, const SourceLines& lines);

}  // namespace corothread
