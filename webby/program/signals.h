// What signals do to the program.
#pragma once

#include <functional>
#include <optional>

#include "evcorothread/signal_watch.h"

namespace evcorothread {
class EvLoop;
}

namespace webby::program {

// SIGTERM, SIGINT: the first one asks it to end, the second one insists.
class Ending {
  public:
    Ending(evcorothread::EvLoop& loop, std::function<void()> ask);

  private:
    bool asked_ = false;
    evcorothread::SignalWatch watch_;
};

}  // namespace webby::program
