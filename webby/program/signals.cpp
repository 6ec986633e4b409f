#include "webby/program/signals.h"

#include <unistd.h>

#include <csignal>
#include <utility>

#include "evcorothread/ev_loop.h"

namespace webby::program {

Ending::Ending(evcorothread::EvLoop& loop, std::function<void()> ask)
    : watch_(loop, {SIGTERM, SIGINT}, [this, ask = std::move(ask)](int signal) {
          if (std::exchange(asked_, true)) ::_exit(128 + signal);
          ask();
      }) {}

}  // namespace webby::program
