// FdLeakCheck: which descriptors were opened since, and are still open.
#pragma once

#include <bitset>
#include <string>

namespace test_support {

// The plugin in main.cpp does this around every test; use it directly to look inside one.
//
//   FdLeakCheck descriptors;
//   { auto listener = listen_stream(…); }
//   CHECK_EQUAL("", descriptors.leaked());
//
// Units: descriptors below 4096.
class FdLeakCheck {
  public:
    FdLeakCheck() : before_(open_now()) {}

    // "7 -> socket:[4711], 9 -> /tmp/file"; empty when nothing is left.
    [[nodiscard]] std::string leaked() const;

    // Starts again from what is open now.
    void reset() { before_ = open_now(); }

  private:
    static constexpr std::size_t kLimit = 4096;
    using Fds = std::bitset<kLimit>;
    static Fds open_now();

    Fds before_;
};

}  // namespace test_support
