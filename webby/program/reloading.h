// What SIGHUP makes the program read again.
#pragma once

#include <optional>

#include "evcorothread/signal_watch.h"
#include "webby/program/arguments.h"

namespace webby::program {

// New certificates on SIGHUP. Without TLS the signal does what it always does.
class Reloading {
  public:
    Reloading(evcorothread::EvLoop& loop, const Arguments& arguments, Server& server);

  private:
    std::optional<evcorothread::SignalWatch> watch_;
};

}  // namespace webby::program
