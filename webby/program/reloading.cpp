#include "webby/program/reloading.h"

#include <csignal>
#include <initializer_list>

#include "cutils/log.h"
#include "evcorothread/ev_loop.h"

namespace webby::program {

Reloading::Reloading(evcorothread::EvLoop& loop, const Arguments& arguments, Server& server) {
    if (arguments.server.listen_tls.empty()) return;
    watch_.emplace(loop, std::initializer_list<int>{SIGHUP}, [&server](int) {
        if (const cutils::Result<void> done = server.reload_certificates(); !done)
            cutils::log(cutils::LogLevel::error, "webby: the old certificates stay: %s",
                        done.error().message().c_str());
        else
            cutils::log(cutils::LogLevel::info, "webby: certificates read again");
    });
}

}  // namespace webby::program
