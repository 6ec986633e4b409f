#include "webby/program/reloading.h"

#include <csignal>
#include <initializer_list>

#include "cutils/log.h"
#include "evcorothread/ev_loop.h"

namespace webby::program {
namespace {

void told(const cutils::Result<void>& result, const char* done, const char* not_done) {
    if (result)
        cutils::log(cutils::LogLevel::info, "webby: %s", done);
    else
        cutils::log(cutils::LogLevel::error, "webby: %s: %s", not_done, words(result.error()).c_str());
}

}  // namespace

Reloading::Reloading(evcorothread::EvLoop& loop, const Arguments& arguments, Server& server,
                     const Loaded& loaded, const Service& service) {
    const bool tls = !arguments.server.listen_tls.empty();
    const bool log = !arguments.server.access_log.empty() && arguments.server.access_log != "-";
    const PasswordFile* const passwords = loaded.passwords ? &*loaded.passwords : nullptr;
    if (!tls && !log && passwords == nullptr && !service.is_managed()) return;
    watch_.emplace(loop, std::initializer_list<int>{SIGHUP}, [=, &server, &service](int) {
        service.reloading();
        if (tls) told(server.reload_certificates(), "certificates read again", "the old certificates stay");
        if (log) told(server.reopen_access_log(), "access log opened again", "the old access log stays");
        if (passwords != nullptr) told(passwords->reload(), "passwords read again", "the old passwords stay");
        service.reloaded();
    });
}

}  // namespace webby::program
