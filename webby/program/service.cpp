#include "webby/program/service.h"

#include <algorithm>
#include <chrono>

#include "cutils/log.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/loop_group.h"

namespace webby::program {
namespace {

constexpr std::chrono::milliseconds kOftenest{1};

void told(const cutils::Result<void>& result) {
    if (!result)
        cutils::log(cutils::LogLevel::warning, "webby: the service manager does not hear: %s",
                    result.error().message().c_str());
}

}  // namespace

Service::Service(evcorothread::EvLoop& loop, evcorothread::LoopGroup* workers)
    : workers_(workers),
      manager_(nutils::ServiceNotifier::from_environment()),
      watchdog_(loop, [this] { look(); }),
      silent_(std::make_shared<std::atomic<std::size_t>>(0)) {}

void Service::ready(std::string_view status) {
    told(manager_.ready(status));
    if (!manager_.watchdog()) return;
    ask_workers();
    watchdog_.start_periodic(std::max<cutils::Duration>(*manager_.watchdog() / 3, kOftenest));
}

void Service::reloading() const { told(manager_.reloading()); }
void Service::reloaded() const { told(manager_.ready()); }
void Service::stopping() {
    watchdog_.stop();
    told(manager_.stopping());
}

void Service::look() {
    if (silent_->load() > 0) return;  // one is stuck: the manager will notice
    told(manager_.alive());
    ask_workers();
}

void Service::ask_workers() {
    if (workers_ == nullptr) return;
    silent_->store(workers_->size());
    workers_->post_all([silent = silent_](evcorothread::EvLoop&, std::size_t) { silent->fetch_sub(1); });
}

}  // namespace webby::program
