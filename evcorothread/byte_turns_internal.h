// ByteTurns: when somebody who moves much, and never has to wait, lets others run. Internal.
#pragma once

#include <cstdint>

namespace evcorothread {

//   ByteTurns turns;
//   while (moved < count) {
//       if (turns.is_over(moved)) …          // let others run
class ByteTurns {
  public:
    static constexpr std::uint64_t kBytes = 1024 * 1024;

    // True once for each so many bytes; `moved`: since the beginning.
    bool is_over(std::uint64_t moved) {
        if (moved < end_) return false;
        end_ = moved + kBytes;
        return true;
    }

  private:
    std::uint64_t end_ = kBytes;
};

}  // namespace evcorothread
