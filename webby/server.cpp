#include "webby/server.h"

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "corothread/stack_pool.h"
#include "cutils/check.h"
#include "cutils/log.h"
#include "evcorothread/ev_loop.h"
#include "webby/access_log.h"
#include "webby/application.h"
#include "webby/directory.h"
#include "webby/driver_coroutine.h"
#include "webby/static_files.h"
#include "webby/uri.h"

namespace webby {

using evcorothread::EvLoop;

std::string_view to_string(Paradigm) { return "coroutine"; }

struct Server::Impl {
    explicit Impl(ServerOptions the_options) : options(std::move(the_options)) {}

    void remember(const cutils::Result<void>& result) {
        if (!result && !broken) broken = result.error();
    }
    cutils::Result<void> open(EvLoop& on);
    void close();
    cutils::Result<void> serve(const std::function<void()>& ready);

    ServerOptions options;
    Application application;
    std::optional<cutils::Error> broken;  // the first thing that went wrong with a route or a folder
    std::vector<nutils::SockAddr> addresses;
    std::unique_ptr<CoroutineDriver> driver;
    std::thread thread;

    // stop() may come from any thread, also while the loop is just ending, and what it posts may run after we
    // are gone.
    std::mutex mutex;
    bool stopping = false;
    EvLoop* loop = nullptr;  // while it serves
    struct Link {
        CoroutineDriver* driver;
    };
    std::shared_ptr<Link> link;
};

// From here on we listen.
cutils::Result<void> Server::Impl::open(EvLoop& on) {
    EVC_CHECK(driver == nullptr, "webby::Server: run(), start() and attach() are for once");
    if (broken) return *broken;
    std::unique_ptr<AccessLog> log;
    if (!options.access_log.empty()) {
        cutils::Result<AccessLog> opened = AccessLog::open(options.access_log);
        if (!opened) return opened.error();
        log = std::make_unique<AccessLog>(std::move(*opened));
    }
    driver = std::make_unique<CoroutineDriver>(
        on, application,
        DriverOptions{options.limits, options.timeouts, options.max_connections, options.drain},
        std::move(log));
    for (const std::string& text : options.listen) {
        const cutils::Result<nutils::SockAddr> address = nutils::SockAddr::parse(text);
        cutils::Result<nutils::SockAddr> local = address ? driver->listen(*address) : address.error();
        if (!local) {
            driver.reset();
            addresses.clear();
            return local.error();
        }
        addresses.push_back(*local);
    }
    const std::lock_guard lock(mutex);
    link = std::make_shared<Link>(Link{driver.get()});
    loop = &on;
    if (stopping) driver->drain();
    return {};
}

void Server::Impl::close() {
    {
        const std::lock_guard lock(mutex);
        if (link) link->driver = nullptr;
        loop = nullptr;
    }
    driver.reset();
}

cutils::Result<void> Server::Impl::serve(const std::function<void()>& ready) {
    try {
        corothread::StackPool stacks({.count = options.max_active, .pages = options.stack_pages});
        EvLoop own(stacks);
        if (cutils::Result<void> opened = open(own); !opened) return opened;
        ready();
        own.run();
        close();
        return {};
    } catch (const std::system_error& error) {  // no descriptors, no memory for stacks
        return cutils::Error(error.code(), error.what());
    }
}

Server::Server(ServerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

Server::~Server() {
    if (impl_->thread.joinable()) {
        stop();
        join();
    }
    impl_->close();
}

void Server::add(Method method, std::string_view pattern, std::unique_ptr<Servlet> servlet,
                 RouteOptions options) {
    impl_->remember(impl_->application.add(method, pattern, std::move(servlet), options));
}

void Server::add_filter(std::unique_ptr<Filter> filter) { impl_->application.add_filter(std::move(filter)); }

void Server::files(std::string_view prefix, const std::string& folder) {
    cutils::Result<Directory> root = Directory::open(folder);
    if (!root) return impl_->remember(root.error());
    if (prefix.ends_with('/')) prefix.remove_suffix(1);
    add(Method::get, std::string(prefix) + "/*path", std::make_unique<StaticFiles>(std::move(*root)));
    if (prefix.empty()) return;
    const std::string location = percent_encode_path(prefix) + "/";
    get(prefix,
        [location](Request&, Response& response) { response.redirect(location, Status::moved_permanently); });
}

cutils::Result<void> Server::run() {
    cutils::Result<void> served = impl_->serve([] {});
    if (!served) cutils::log(cutils::LogLevel::error, "webby: %s", served.error().message().c_str());
    return served;
}

cutils::Result<void> Server::start() {
    struct {
        std::mutex mutex;
        std::condition_variable changed;
        bool done = false;
        cutils::Result<void> result;
    } opening;
    const auto opened = [&opening](cutils::Result<void> result) {
        const std::lock_guard lock(opening.mutex);
        opening.result = std::move(result);
        opening.done = true;
        opening.changed.notify_one();
    };
    impl_->thread = std::thread([this, opened] {
        bool is_open = false;
        cutils::Result<void> served = impl_->serve([&] {
            is_open = true;
            opened({});
        });
        if (!is_open) opened(std::move(served));  // after `ready`, start() has returned and `opening` is gone
    });
    std::unique_lock lock(opening.mutex);
    opening.changed.wait(lock, [&] { return opening.done; });
    lock.unlock();
    if (!opening.result) join();
    return std::move(opening.result);
}

void Server::join() {
    if (impl_->thread.joinable()) impl_->thread.join();
}

cutils::Result<void> Server::attach(EvLoop& loop) { return impl_->open(loop); }

void Server::stop() {
    const std::lock_guard lock(impl_->mutex);
    if (std::exchange(impl_->stopping, true) || impl_->loop == nullptr) return;
    impl_->loop->post([link = impl_->link] {
        if (link->driver != nullptr) link->driver->drain();
    });
}

const std::vector<nutils::SockAddr>& Server::addresses() const { return impl_->addresses; }

Server::Counts Server::counts() const {
    if (impl_->driver == nullptr) return {};
    const CoroutineDriver::Counts counts = impl_->driver->counts();
    return {counts.connections, counts.idle, counts.waiting, counts.requests};
}

}  // namespace webby
