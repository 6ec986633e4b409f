// What SIGHUP makes the program read again.
#pragma once

#include <optional>

#include "evcorothread/signal_watch.h"
#include "webby/program/arguments.h"
#include "webby/program/service.h"
#include "webby/program/site.h"

namespace webby::program {

// New certificates, the passwords, and the access log from the start, after it was moved away. With none of
// them, and no service manager to tell, the signal does what it always does.
class Reloading {
  public:
    // Lifetime: of all, longer than this.
    Reloading(evcorothread::EvLoop& loop, const Arguments& arguments, Server& server, const Loaded& loaded,
              const Service& service);

  private:
    std::optional<evcorothread::SignalWatch> watch_;
};

}  // namespace webby::program
