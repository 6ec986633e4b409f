// Service: the program as a service manager sees it.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "evcorothread/ev_timer.h"
#include "nutils/service_manager.h"

namespace evcorothread {
class EvLoop;
class LoopGroup;
}  // namespace evcorothread

namespace webby::program {

// Owner: whoever serves. Thread: the loop's.
class Service {
  public:
    // workers: null when the loop itself serves. Lifetime: of both, longer than this.
    Service(evcorothread::EvLoop& loop, evcorothread::LoopGroup* workers);
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;

    [[nodiscard]] bool is_managed() const { return manager_.is_heard(); }

    // From now on it is alive: as long as this loop runs, and each worker's has come round since last time.
    void ready(std::string_view status);
    void reloading() const;
    void reloaded() const;
    // The last word: from now on the manager counts the time until the end itself, and the loop can end.
    void stopping();

  private:
    void look();
    void ask_workers();

    evcorothread::LoopGroup* workers_;
    const nutils::ServiceNotifier manager_;
    evcorothread::EvTimer watchdog_;
    // Workers that have not answered yet. Shared with what they are asked, which may run after us.
    std::shared_ptr<std::atomic<std::size_t>> silent_;
};

}  // namespace webby::program
