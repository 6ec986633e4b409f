#include "webby/server.h"

#include <condition_variable>
#include <functional>
#include <latch>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "corothread/stack_pool.h"
#include "cutils/check.h"
#include "cutils/log.h"
#include "evcorothread/cross_event.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/group_listener.h"
#include "evcorothread/loop_group.h"
#include "evcorothread/offload.h"
#include "evcorothread/tls_context.h"
#include "webby/access_log.h"
#include "webby/application.h"
#include "webby/ascii.h"
#include "webby/directory.h"
#include "webby/driver.h"
#include "webby/offloaded_internal.h"
#include "webby/static_files.h"
#include "webby/uri.h"

namespace webby {

using evcorothread::ConnectionTicket;
using evcorothread::EvLoop;
using evcorothread::GroupListener;
using evcorothread::GroupListenOptions;
using evcorothread::LoopGroup;
using evcorothread::TlsContext;

namespace {

// The drivers on the loops of a group. Each is made, used and ended on its own loop: by the server's end, or
// by the loop's, whichever is first.
struct Fleet : std::enable_shared_from_this<Fleet> {
    explicit Fleet(std::size_t count) : drivers(count), left(count) {}

    // On its loop.
    void end(std::size_t index) {
        if (drivers[index] == nullptr) return;
        drivers[index].reset();  // before anybody hears of it
        const std::lock_guard lock(mutex);
        gone_by(1);
    }
    // With the lock held.
    void gone_by(std::size_t count) {
        left -= count;
        changed.notify_all();
    }
    // Calls `f` for each on its loop, with what ends it for good. False: all are gone, and perhaps the group,
    // too. It cannot be while one of them is left.
    bool post_to_each(LoopGroup& group,
                      std::function<void(Driver& one, const std::function<void()>& end)> f) {
        const std::lock_guard lock(mutex);
        if (left == 0) return false;
        for (std::size_t i = 0; i < drivers.size(); ++i)
            group.post(i, [f, i, all = shared_from_this()] {
                if (all->drivers[i]) f(*all->drivers[i], [all, i] { all->end(i); });
            });
        return true;
    }
    void wait_until_all_are_gone() {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return left == 0; });
    }

    std::vector<std::unique_ptr<Driver>> drivers;
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t left;
};

}  // namespace

struct Server::Impl {
    explicit Impl(ServerOptions the_options) : options(std::move(the_options)) {}

    void remember(const cutils::Result<void>& result) {
        if (!result) remember(result.error());
    }
    void remember(const cutils::Error& error) {
        if (!broken) broken = error;
    }
    cutils::Result<std::unique_ptr<Driver>> make_driver(EvLoop& on, std::size_t share);
    cutils::Result<void> open(EvLoop& on);
    cutils::Result<void> open(LoopGroup& on);
    cutils::Result<void> open_tls();
    // Calls f(address, TLS or null) for each address of the options, and stops at the first error.
    template <class F>
    cutils::Result<void> for_each_address(F f);
    cutils::Result<void> make_fleet(LoopGroup& on);
    cutils::Result<void> listen(LoopGroup& on);
    void drain_fleet();
    Counts counts_of_fleet() const;
    void end_fleet();
    void close();
    cutils::Result<void> serve(const std::function<void()>& ready);
    // Only coroutines need some.
    [[nodiscard]] std::size_t stack_count() const {
        return options.paradigm == Paradigm::coroutine ? options.max_active : 1;
    }
    void add(Site& site, Method method, std::string_view pattern, std::unique_ptr<Servlet> servlet,
             const RouteOptions& how);
    void files(Site& site, std::string_view prefix, const std::string& folder, FilesOptions how);
    cutils::Result<void> serve_with_workers(const std::function<void()>& ready);

    ServerOptions options;
    Application application;
    std::unique_ptr<evcorothread::OffloadPool> offload_pool;  // ends before the servlets
    std::optional<cutils::Error> broken;  // the first thing that went wrong with a route or a folder
    std::vector<nutils::SockAddr> addresses;
    std::optional<TlsContext> tls;                // outlives the drivers; set once, with the lock held
    std::unique_ptr<AddressLimit> address_limit;  // outlives the drivers, too
    std::unique_ptr<Driver> driver;
    std::thread thread;

    // stop() may come from any thread, also while the loop is just ending, and what it posts may run after we
    // are gone.
    std::mutex mutex;
    bool stopping = false;
    EvLoop* loop = nullptr;  // while it serves
    struct Link {
        Driver* driver;
    };
    std::shared_ptr<Link> link;

    // The same on a group.
    LoopGroup* group = nullptr;
    std::shared_ptr<Fleet> fleet;
    std::uint64_t end_hook = 0;
    std::vector<GroupListener> listeners;
    evcorothread::CrossEvent stop_asked;
};

cutils::Result<std::unique_ptr<Driver>> Server::Impl::make_driver(EvLoop& on, std::size_t share) {
    constexpr std::size_t kHandshakeStack = 32 * 1024;
    if (tls && options.paradigm == Paradigm::coroutine && on.stacks().stack_size() < kHandshakeStack)
        return cutils::Error(std::make_error_code(std::errc::invalid_argument),
                             "HTTPS needs stacks of eight pages or more");
    std::unique_ptr<AccessLog> log;
    if (!options.access_log.empty()) {
        cutils::Result<AccessLog> opened = AccessLog::open(options.access_log);
        if (!opened) return opened.error();
        log = std::make_unique<AccessLog>(std::move(*opened));
    }
    const auto share_of = [share](std::size_t all) { return (all + share - 1) / share; };
    return webby::make_driver(
        options.paradigm, on, application,
        DriverOptions{options.limits, options.timeouts, share_of(options.max_connections), options.drain,
                      share_of(options.threads), options.when_full, options.proxy_protocol,
                      &options.forwarded, address_limit.get()},
        std::move(log));
}

namespace {
Server::Counts of(const Driver& driver) {
    const Driver::Counts counts = driver.counts();
    return {counts.connections, counts.idle, counts.waiting, counts.requests, counts.refused};
}
}  // namespace

cutils::Result<void> Server::Impl::open_tls() {
    if (options.listen_tls.empty()) return {};
    options.tls.alpn = {"http/1.1"};
    cutils::Result<TlsContext> made = TlsContext::server(options.tls);
    if (!made) return made.error();
    const std::lock_guard lock(mutex);
    tls = *std::move(made);
    return {};
}

template <class F>
cutils::Result<void> Server::Impl::for_each_address(F f) {
    const auto all = [&](const std::vector<std::string>& texts, const TlsContext* with) {
        for (const std::string& text : texts) {
            const cutils::Result<nutils::SockAddr> address = nutils::SockAddr::parse(text);
            const cutils::Result<nutils::SockAddr> local = address ? f(*address, with) : address.error();
            if (!local) return cutils::Result<void>(local.error());
            addresses.push_back(*local);
        }
        return cutils::Result<void>();
    };
    if (cutils::Result<void> done = all(options.listen, nullptr); !done) return done;
    return all(options.listen_tls, tls ? &*tls : nullptr);
}

// From here on we listen.
cutils::Result<void> Server::Impl::open(EvLoop& on) {
    EVC_CHECK(driver == nullptr && fleet == nullptr,
              "webby::Server: run(), start() and attach() are for once");
    if (broken) return *broken;
    if (cutils::Result<void> ready = open_tls(); !ready) return ready;
    cutils::Result<std::unique_ptr<Driver>> made = make_driver(on, 1);
    if (!made) return made.error();
    driver = *std::move(made);
    cutils::Result<void> opened =
        for_each_address([this](const nutils::SockAddr& address, const TlsContext* with) {
            return driver->listen(address, with);
        });
    if (!opened) {
        driver.reset();
        addresses.clear();
        return opened;
    }
    const std::lock_guard lock(mutex);
    link = std::make_shared<Link>(Link{driver.get()});
    loop = &on;
    if (stopping) driver->drain();
    return {};
}

// --- on a group ---

cutils::Result<void> Server::Impl::open(LoopGroup& on) {
    EVC_CHECK(driver == nullptr && fleet == nullptr,
              "webby::Server: run(), start() and attach() are for once");
    EVC_CHECK(!on.here(),
              "webby::Server::attach() on one of the group's own loops: it would wait for itself");
    if (broken) return *broken;
    if (cutils::Result<void> ready = open_tls(); !ready) return ready;
    cutils::Result<void> opened = make_fleet(on);
    if (opened) opened = listen(on);
    if (!opened) {
        end_fleet();
        return opened;
    }
    const std::lock_guard lock(mutex);
    loop = &on.loop(0);
    if (stopping) drain_fleet();
    return {};
}

// A driver on each loop, made there.
cutils::Result<void> Server::Impl::make_fleet(LoopGroup& on) {
    fleet = std::make_shared<Fleet>(on.size());
    group = &on;
    end_hook = on.at_end([all = fleet](EvLoop&, std::size_t index) { all->end(index); });
    std::mutex first_mutex;
    std::optional<cutils::Error> first;
    std::latch made(static_cast<std::ptrdiff_t>(on.size()));
    on.post_all([&](EvLoop& member, std::size_t index) {
        cutils::Result<std::unique_ptr<Driver>> one = make_driver(member, on.size());
        if (one) {
            fleet->drivers[index] = *std::move(one);
        } else {
            const std::scoped_lock lock(first_mutex, fleet->mutex);
            fleet->gone_by(1);
            if (!first) first = one.error();
        }
        made.count_down();
    });
    made.wait();
    if (first) return *first;
    return {};
}

cutils::Result<void> Server::Impl::listen(LoopGroup& on) {
    GroupListenOptions how;
    if (options.when_full == WhenFull::wait)
        how.per_loop = (options.max_connections + on.size() - 1) / on.size();
    return for_each_address(
        [&](const nutils::SockAddr& address, const TlsContext* with) -> cutils::Result<nutils::SockAddr> {
            cutils::Result<GroupListener> listener = on.listen_raw(
                address,
                [all = fleet, with](EvLoop&, std::size_t index, nutils::UniqueFd fd,
                                    const nutils::SockAddr& peer, ConnectionTicket place) {
                    if (all->drivers[index])
                        all->drivers[index]->adopt(std::move(fd), peer, std::move(place), with);
                },
                how);
            if (!listener) return listener.error();
            listeners.push_back(*std::move(listener));
            return listeners.back().local_address();
        });
}

void Server::Impl::drain_fleet() {
    for (GroupListener& listener : listeners) listener.close();
    fleet->post_to_each(*group, [](Driver& one, const std::function<void()>&) { one.drain(); });
}

// Cuts what is in flight. A loop that has ended has done so already.
void Server::Impl::end_fleet() {
    for (GroupListener& listener : listeners) listener.close();
    {
        const std::lock_guard lock(fleet->mutex);
        EVC_CHECK(fleet->left == 0 || !group->here(),
                  "a webby::Server is destroyed on one of its group's loops");
    }
    const bool group_runs = fleet->post_to_each(*group, [](Driver& one, const std::function<void()>& end) {
        one.drain();
        one.cancel();
        one.when_finished(end);
    });
    fleet->wait_until_all_are_gone();
    if (group_runs) group->forget(end_hook);
    fleet.reset();
}

Server::Counts Server::Impl::counts_of_fleet() const {
    {
        const std::lock_guard lock(fleet->mutex);
        if (fleet->left == 0) return {};
        if (const std::optional<std::size_t> here = group->here())
            if (fleet->drivers[*here]) return of(*fleet->drivers[*here]);
    }
    Counts all;
    for (const GroupListener& listener : listeners)
        for (std::size_t i = 0; i < fleet->drivers.size(); ++i) all.connections += listener.live(i);
    return all;
}

cutils::Result<void> Server::Impl::serve_with_workers(const std::function<void()>& ready) {
    const std::size_t count = LoopGroup({.loops = options.workers}).size();
    const std::size_t share = (stack_count() + count - 1) / count;
    LoopGroup workers(
        {.loops = count, .stacks = {.count = share, .pages = options.stack_pages}, .name = "webby"});
    if (cutils::Result<void> started = workers.start(); !started) return started;
    if (cutils::Result<void> opened = open(workers); !opened) return opened;
    ready();
    (void)stop_asked.wait(cutils::Deadline::never);
    (void)workers.shutdown(options.drain + std::chrono::seconds(5));  // the drivers end requests before
    close();
    return {};
}

void Server::Impl::close() {
    if (fleet != nullptr) {
        const std::lock_guard lock(mutex);
        loop = nullptr;
    }
    if (fleet != nullptr) return end_fleet();
    {
        const std::lock_guard lock(mutex);
        if (link) link->driver = nullptr;
        loop = nullptr;
    }
    driver.reset();
}

cutils::Result<void> Server::Impl::serve(const std::function<void()>& ready) {
    if (options.workers != 1) return serve_with_workers(ready);
    try {
        corothread::StackPool stacks({.count = stack_count(), .pages = options.stack_pages});
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

Server::Server(ServerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {
    const ServerOptions& how = impl_->options;
    if (how.max_per_address > 0) impl_->address_limit = std::make_unique<AddressLimit>(how.max_per_address);
    if (how.proxy_protocol && how.forwarded.networks.empty() && !how.forwarded.unix_sockets)
        impl_->remember(cutils::Error(
            std::make_error_code(std::errc::invalid_argument),
            "proxy_protocol: say in ServerOptions::forwarded.networks whose PROXY headers are believed"));
    if (impl_->options.strict_hosts) impl_->application.refuse_unknown_hosts();
}

Server::~Server() {
    if (impl_->thread.joinable()) {
        stop();
        join();
    }
    impl_->close();
}

void Server::add(Method method, std::string_view pattern, std::unique_ptr<Servlet> servlet,
                 RouteOptions options) {
    impl_->add(impl_->application.default_site(), method, pattern, std::move(servlet), options);
}

void Server::Impl::add(Site& site, Method method, std::string_view pattern, std::unique_ptr<Servlet> servlet,
                       const RouteOptions& how) {
    if (how.blocking.is_offloaded() && options.paradigm != Paradigm::thread) {
        if (offload_pool == nullptr)
            offload_pool = std::make_unique<evcorothread::OffloadPool>(
                evcorothread::OffloadOptions{.threads = options.threads, .name = "webby-offload"});
        servlet = make_offloaded(std::move(servlet), *offload_pool, options.paradigm);
    } else if (how.blocking.blocks() && options.paradigm == Paradigm::event) {
        return remember(cutils::Error(
            std::make_error_code(std::errc::not_supported),
            "route \"" + std::string(pattern) +
                "\": its servlet blocks, and in the event paradigm that would stop all other connections: "
                "register it with Blocking::offload, defer its response, or take another paradigm"));
    }
    remember(site.add(method, pattern, std::move(servlet), how));
}

void Server::add_filter(std::unique_ptr<Filter> filter) { impl_->application.add_filter(std::move(filter)); }

void Server::files(std::string_view prefix, const std::string& folder, FilesOptions options) {
    impl_->files(impl_->application.default_site(), prefix, folder, std::move(options));
}

void Server::Impl::files(Site& site, std::string_view prefix, const std::string& folder, FilesOptions how) {
    cutils::Result<Directory> root = Directory::open(folder);
    if (!root) return remember(root.error());
    if (!ascii::kFieldValue.has_all(how.cache_control))
        return remember(cutils::Error(std::make_error_code(std::errc::invalid_argument), "cache_control"));
    if (prefix.ends_with('/')) prefix.remove_suffix(1);
    add(site, Method::get, std::string(prefix) + "/*path",
        std::make_unique<StaticFiles>(std::move(*root), std::move(how)), {});
    if (prefix.empty()) return;
    const std::string location = percent_encode_path(prefix) + "/";
    add(site, Method::get, prefix, make_servlet([location](Request&, Response& response) {
            response.redirect(location, Status::moved_permanently);
        }),
        {});
}

VirtualHost Server::host(std::string_view name) {
    cutils::Result<Site*> site = impl_->application.add_host(name);
    if (!site) impl_->remember(site.error());
    return {*this, site ? *site : nullptr};
}

void VirtualHost::add(Method method, std::string_view pattern, std::unique_ptr<Servlet> servlet,
                      RouteOptions options) {
    if (site_ != nullptr) server_->impl_->add(*site_, method, pattern, std::move(servlet), options);
}
void VirtualHost::add_filter(std::unique_ptr<Filter> filter) {
    if (site_ != nullptr) server_->impl_->application.add_filter(*site_, std::move(filter));
}
void VirtualHost::files(std::string_view prefix, const std::string& folder, FilesOptions options) {
    if (site_ != nullptr) server_->impl_->files(*site_, prefix, folder, std::move(options));
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
cutils::Result<void> Server::attach(LoopGroup& group) { return impl_->open(group); }

void Server::stop() {
    const std::lock_guard lock(impl_->mutex);
    impl_->stop_asked.set();
    if (std::exchange(impl_->stopping, true) || impl_->loop == nullptr) return;
    if (impl_->fleet != nullptr) return impl_->drain_fleet();
    impl_->loop->post([link = impl_->link] {
        if (link->driver != nullptr) link->driver->drain();
    });
}

cutils::Result<void> Server::reload_certificates() {
    TlsContext* context = nullptr;
    {
        const std::lock_guard lock(impl_->mutex);
        if (impl_->tls) context = &*impl_->tls;
    }
    if (context == nullptr)
        return cutils::Error(std::make_error_code(std::errc::not_supported), "this server has no TLS");
    return context->reload();
}

const std::vector<nutils::SockAddr>& Server::addresses() const { return impl_->addresses; }

Server::Counts Server::counts() const {
    if (impl_->fleet != nullptr) return impl_->counts_of_fleet();
    if (impl_->driver == nullptr) return {};
    return of(*impl_->driver);
}

}  // namespace webby
