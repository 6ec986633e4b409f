#include "webby/server.h"

#include <atomic>
#include <condition_variable>
#include <functional>
#include <latch>
#include <limits>
#include <mutex>
#include <optional>
#include <set>
#include <system_error>
#include <thread>

#include "corothread/stack_pool.h"
#include "cutils/check.h"
#include "cutils/log.h"
#include "evcorothread/cross_event.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_timer.h"
#include "evcorothread/group_listener.h"
#include "evcorothread/loop_group.h"
#include "evcorothread/offload.h"
#include "evcorothread/tls_context.h"
#include "nutils/listen_stream.h"
#include "nutils/socket_options.h"
#include "webby/access_log.h"
#include "webby/application.h"
#include "webby/ascii.h"
#include "webby/directory.h"
#include "webby/driver.h"
#include "webby/loop_observer_internal.h"
#include "webby/metrics_board_internal.h"
#include "webby/offloaded_internal.h"
#include "webby/own_listener_internal.h"
#include "webby/process_figures_internal.h"
#include "webby/static_files.h"
#include "webby/status_page_internal.h"
#include "webby/unsent_limit.h"
#include "webby/uri.h"

namespace webby {

using evcorothread::ConnectionTicket;
using evcorothread::EvLoop;
using evcorothread::EvTimer;
using evcorothread::GroupListener;
using evcorothread::GroupListenOptions;
using evcorothread::LoopGroup;
using evcorothread::TlsContext;

namespace {

// The kernel counts in retransmissions of its own packet, the first after a second: that is the shortest.
constexpr std::chrono::seconds kDeferAccept{1};

// The drivers on the loops of a group. Each is made, used and ended on its own loop: by the server's end, or
// by the loop's, whichever is first.
struct Fleet : std::enable_shared_from_this<Fleet> {
    explicit Fleet(std::size_t count) : drivers(count), observers(count), left(count) {}

    // On its loop.
    void end(std::size_t index) {
        if (index == 0) delay.reset();
        if (drivers[index] == nullptr) return;
        observers[index].reset();
        drivers[index].reset();  // before anybody hears of it
        const std::lock_guard lock(mutex);
        gone_by(1);
    }
    // With the lock held.
    void gone_by(std::size_t count) {
        left -= count;
        changed.notify_all();
    }
    // They are to stop: calls `f` for each on its loop, with what ends it for good. False: all are gone, and
    // perhaps the group, too. It cannot be while one of them is left.
    bool post_to_each(LoopGroup& group,
                      std::function<void(Driver& one, const std::function<void()>& end)> f) {
        const std::lock_guard lock(mutex);
        if (left == 0) return false;
        for (std::size_t i = 0; i < drivers.size(); ++i)
            group.post(i, [f, i, all = shared_from_this()] {
                if (all->observers[i]) all->observers[i]->stop();
                if (all->drivers[i]) f(*all->drivers[i], [all, i] { all->end(i); });
            });
        return true;
    }
    void wait_until_all_are_gone() {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return left == 0; });
    }

    std::vector<std::unique_ptr<Driver>> drivers;
    std::optional<EvTimer> delay;                          // the first loop's: before the drain
    std::vector<std::unique_ptr<LoopObserver>> observers;  // none, where nobody wants metrics
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t left;
};

// As good as for ever; what is longer could not be said in nanoseconds, or be added to the time.
constexpr std::chrono::milliseconds kForEver = std::chrono::hours(24 * 365);

void shorten(std::chrono::milliseconds& time) { time = std::min(time, kForEver); }

ServerOptions sane(ServerOptions options) {
    Timeouts& timeouts = options.timeouts;
    for (std::chrono::milliseconds* time : {&timeouts.head, &timeouts.io, &timeouts.idle, &timeouts.linger,
                                            &options.drain, &options.drain_delay, &options.stall_limit})
        shorten(*time);
    return options;
}

}  // namespace

struct Server::Impl {
    explicit Impl(ServerOptions the_options) : options(sane(std::move(the_options))) {
        if (options.metrics) count();
    }

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
    cutils::Result<void> open_log();
    void leave_descriptors();
    // What there is to listen at: an address, or a socket that listens.
    struct Place {
        nutils::SockAddr address;
        nutils::UniqueFd listener;
        const TlsContext* tls;  // null: plain HTTP
    };
    [[nodiscard]] cutils::Result<Place> place_of(const std::string& text, const TlsContext* with) const;
    [[nodiscard]] nutils::ListenOptions how_to_listen() const;
    // Calls f(place) for each address of the options, and stops at the first error.
    template <class F>
    cutils::Result<void> for_each_address(F f);
    cutils::Result<void> make_fleet(LoopGroup& on);
    cutils::Result<void> listen(LoopGroup& on);
    cutils::Result<nutils::SockAddr> listen(EvLoop& on, Place place);
    void begin_drain();
    void begin_drain_later();
    void drain_fleet();
    void drain_driver();
    Counts counts_of_fleet() const;
    void end_fleet();
    void close();
    // Whoever answers reads routes and filters without a lock.
    void check_not_serving() {
        const std::lock_guard lock(mutex);
        EVC_CHECK(loop == nullptr,
                  "webby::Server: routes, filters and hosts come before run(), start() or attach()");
    }
    cutils::Result<void> serve(const std::function<void()>& ready);
    // Only coroutines need some.
    [[nodiscard]] std::size_t stack_count() const {
        return options.paradigm == Paradigm::coroutine ? options.max_active : 1;
    }
    void add(Site& site, Method method, std::string_view pattern, std::unique_ptr<Servlet> servlet,
             RouteOptions how);
    void files(Site& site, std::string_view prefix, const std::string& folder, FilesOptions how);
    cutils::Result<void> serve_with_workers(const std::function<void()>& ready);

    // --- metrics ---
    void count() {
        if (board == nullptr) board = std::make_unique<MetricsBoard>();
    }
    [[nodiscard]] std::unique_ptr<LoopObserver> make_observer(EvLoop& on, Driver& its, std::size_t index);
    // Calls f(observer) on the loop of that number, at once when that is the caller's. False: not now.
    bool on_loop(std::size_t index, std::function<void(LoopObserver&)> f);
    void look_at_loops(bool where);
    ServerMetrics take_metrics(bool where);
    void keep_updating();

    ServerOptions options;
    Application application;
    std::unique_ptr<evcorothread::OffloadPool> offload_pool;  // ends before the servlets
    std::optional<cutils::Error> broken;  // the first thing that went wrong with a route or a folder
    std::vector<nutils::SockAddr> addresses;
    std::optional<TlsContext> tls;                // outlives the drivers; set once, with the lock held
    std::optional<AccessLogFile> log_file;        // the same
    std::unique_ptr<AddressLimit> address_limit;  // the same
    UnsentLimit unsent_limit{options.max_unsent};
    std::unique_ptr<MetricsBoard> board;           // the same; null: nobody wants metrics
    std::vector<std::shared_ptr<LoopSlot>> slots;  // of the loops, in their order
    std::unique_ptr<StatusPage> status;
    std::unique_ptr<Driver> driver;
    std::unique_ptr<LoopObserver> observer;
    std::vector<std::unique_ptr<OwnListener>> own_listeners;  // of the driver
    std::optional<EvTimer> delay;                             // before the drain
    std::atomic<bool> going_on{true};                         // until stop()
    std::thread thread;

    // stop() may come from any thread, also while the loop is just ending, and what it posts may run after we
    // are gone.
    std::mutex mutex;
    bool stopping = false;
    EvLoop* loop = nullptr;  // while it serves
    struct Link {
        Impl* server;
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
    if (log_file) log = std::make_unique<AccessLog>(*log_file, options.access_log_format);
    const auto share_of = [share](std::size_t all) { return (all + share - 1) / share; };
    return webby::make_driver(
        options.paradigm, on, application,
        DriverOptions{options.limits, options.timeouts, share_of(options.max_connections), options.drain,
                      share_of(options.threads), options.when_full, options.proxy_protocol,
                      options.forwarded.nobody() ? nullptr : &options.forwarded, address_limit.get(),
                      &unsent_limit, board.get()},
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

cutils::Result<void> Server::Impl::open_log() {
    if (options.access_log.empty()) return {};
    cutils::Result<AccessLogFile> opened = AccessLogFile::open(options.access_log);
    if (!opened) return opened.error();
    const std::lock_guard lock(mutex);
    log_file = *std::move(opened);
    return {};
}

nutils::ListenOptions Server::Impl::how_to_listen() const {
    nutils::ListenOptions how;
    how.permissions = options.socket_mode;
    if (options.defer_accept) how.defer_accept = kDeferAccept;
    return how;
}

cutils::Result<Server::Impl::Place> Server::Impl::place_of(const std::string& text,
                                                           const TlsContext* with) const {
    if (text.starts_with("fd:")) {
        cutils::Result<nutils::UniqueFd> listener = take_listener(text);
        if (!listener) return listener.error();
        // A unix socket refuses that, and does without.
        if (options.defer_accept) (void)nutils::set_defer_accept(listener->get(), kDeferAccept);
        return Place{{}, *std::move(listener), with};
    }
    const cutils::Result<nutils::SockAddr> address = nutils::SockAddr::parse(text);
    if (!address) return address.error();
    return Place{*address, {}, with};
}

template <class F>
cutils::Result<void> Server::Impl::for_each_address(F f) {
    std::set<int> taken;
    const auto all = [&](const std::vector<std::string>& texts, const TlsContext* with) {
        for (const std::string& text : texts) {
            cutils::Result<Place> place = place_of(text, with);
            if (place && place->listener && !taken.insert(place->listener.get()).second) {
                (void)place->listener.release();  // it has an owner
                place = cutils::Error(std::make_error_code(std::errc::invalid_argument),
                                      "address \"" + text + "\": it is there twice");
            }
            const cutils::Result<nutils::SockAddr> local = place ? f(*std::move(place)) : place.error();
            if (!local) return cutils::Result<void>(local.error());
            addresses.push_back(*local);
        }
        return cutils::Result<void>();
    };
    if (cutils::Result<void> done = all(options.listen, nullptr); !done) return done;
    return all(options.listen_tls, tls ? &*tls : nullptr);
}

cutils::Result<nutils::SockAddr> Server::Impl::listen(EvLoop& on, Place place) {
    if (!place.listener) return driver->listen(place.address, how_to_listen(), place.tls);
    const bool waits = options.when_full == WhenFull::wait;  // otherwise the driver sees to it
    const std::size_t most = waits ? options.max_connections : std::numeric_limits<std::size_t>::max();
    cutils::Result<std::unique_ptr<OwnListener>> own =
        OwnListener::open(on, std::move(place.listener), *driver, {place.tls, most});
    if (!own) return own.error();
    own_listeners.push_back(*std::move(own));
    return own_listeners.back()->address();
}

// Each connection is a descriptor, and the file that it is sent may be another: with connections everywhere,
// no file could be opened.
void Server::Impl::leave_descriptors() {
    constexpr std::uint64_t kEnough = 256, kFew = 1000;
    const auto [open, limit] = Descriptors::now();
    const std::uint64_t left = limit > open ? limit - open : 0;
    const std::uint64_t most = std::max<std::uint64_t>(left - std::min(left / 2, kEnough), 1);
    if (options.max_connections <= most) return;
    options.max_connections = static_cast<std::size_t>(most);
    if (most < kFew)
        cutils::log(cutils::LogLevel::warning,
                    "webby: %zu connections at most: only %llu descriptors may be open (ulimit -n)",
                    options.max_connections, static_cast<unsigned long long>(limit));
}

// From here on we listen.
cutils::Result<void> Server::Impl::open(EvLoop& on) {
    EVC_CHECK(driver == nullptr && fleet == nullptr,
              "webby::Server: run(), start() and attach() are for once");
    if (broken) return *broken;
    if (cutils::Result<void> opened = open_tls(); !opened) return opened;
    if (cutils::Result<void> opened = open_log(); !opened) return opened;
    leave_descriptors();
    cutils::Result<std::unique_ptr<Driver>> made = make_driver(on, 1);
    if (!made) return made.error();
    driver = *std::move(made);
    cutils::Result<void> opened = for_each_address([&](Place place) { return listen(on, std::move(place)); });
    if (!opened) {
        own_listeners.clear();
        driver.reset();
        addresses.clear();
        return opened;
    }
    if (board != nullptr) {
        slots = {std::make_shared<LoopSlot>()};
        observer = make_observer(on, *driver, 0);
    }
    const std::lock_guard lock(mutex);
    link = std::make_shared<Link>(Link{this});
    loop = &on;
    if (stopping) drain_driver();
    return {};
}

void Server::Impl::drain_driver() {
    for (const auto& listener : own_listeners) listener->close();
    driver->drain();
}

// --- on a group ---

cutils::Result<void> Server::Impl::open(LoopGroup& on) {
    EVC_CHECK(driver == nullptr && fleet == nullptr,
              "webby::Server: run(), start() and attach() are for once");
    EVC_CHECK(!on.here(),
              "webby::Server::attach() on one of the group's own loops: it would wait for itself");
    if (broken) return *broken;
    if (cutils::Result<void> done = open_tls(); !done) return done;
    if (cutils::Result<void> done = open_log(); !done) return done;
    leave_descriptors();
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
    if (board != nullptr)
        for (std::size_t i = 0; i < on.size(); ++i) slots.push_back(std::make_shared<LoopSlot>());
    group = &on;
    end_hook = on.at_end([all = fleet](EvLoop&, std::size_t index) { all->end(index); });
    std::mutex first_mutex;
    std::optional<cutils::Error> first;
    std::latch made(static_cast<std::ptrdiff_t>(on.size()));
    on.post_all([&](EvLoop& member, std::size_t index) {
        cutils::Result<std::unique_ptr<Driver>> one = make_driver(member, on.size());
        if (one) {
            fleet->drivers[index] = *std::move(one);
            if (board != nullptr)
                fleet->observers[index] = make_observer(member, *fleet->drivers[index], index);
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
    static_cast<nutils::ListenOptions&>(how) = how_to_listen();
    return for_each_address([&](Place place) -> cutils::Result<nutils::SockAddr> {
        const auto hand_over = [all = fleet, with = place.tls](
                                   EvLoop&, std::size_t index, nutils::UniqueFd fd,
                                   const nutils::SockAddr& peer, ConnectionTicket ticket) {
            if (all->drivers[index]) all->drivers[index]->adopt(std::move(fd), peer, std::move(ticket), with);
        };
        cutils::Result<GroupListener> listener = place.listener
                                                     ? on.adopt_raw(std::move(place.listener), hand_over, how)
                                                     : on.listen_raw(place.address, hand_over, how);
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
    if (status != nullptr) status->close();
    if (fleet != nullptr) {
        const std::lock_guard lock(mutex);
        loop = nullptr;
    }
    if (fleet != nullptr) return end_fleet();
    {
        const std::lock_guard lock(mutex);
        if (link) link->server = nullptr;
        loop = nullptr;
    }
    delay.reset();
    own_listeners.clear();
    observer.reset();
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
        return cutils::Error::from(error);
    }
}

namespace {
cutils::Error no_threads() {
    return {std::make_error_code(std::errc::invalid_argument),
            "ServerOptions::threads is 0: nobody would serve, or run servlets with Blocking::offload"};
}
}  // namespace

Server::Server(ServerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {
    const ServerOptions& how = impl_->options;
    if (how.max_per_address > 0) impl_->address_limit = std::make_unique<AddressLimit>(how.max_per_address);
    if (how.paradigm == Paradigm::thread && how.threads == 0) impl_->remember(no_threads());
    if (how.proxy_protocol && how.forwarded.nobody())
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
                       RouteOptions how) {
    shorten(how.deadline);
    EVC_CHECK(servlet != nullptr, "webby::Server::add() without a servlet");
    check_not_serving();
    if (how.blocking.is_offloaded() && options.paradigm != Paradigm::thread) {
        if (options.threads == 0) return remember(no_threads());
        if (offload_pool == nullptr)
            offload_pool = std::make_unique<evcorothread::OffloadPool>(
                evcorothread::OffloadOptions{.threads = options.threads, .name = "webby-offload"});
        servlet = make_offloaded(std::move(servlet), *offload_pool, options.paradigm, application);
    } else if (how.blocking.blocks() && options.paradigm == Paradigm::event) {
        return remember(cutils::Error(
            std::make_error_code(std::errc::not_supported),
            "route \"" + std::string(pattern) +
                "\": its servlet blocks, and in the event paradigm that would stop all other connections: "
                "register it with Blocking::offload, defer its response, or take another paradigm"));
    }
    remember(site.add(method, pattern, std::move(servlet), how));
}

void Server::add_filter(std::unique_ptr<Filter> filter) {
    impl_->check_not_serving();
    impl_->application.add_filter(std::move(filter));
}

void Server::files(std::string_view prefix, const std::string& folder, FilesOptions options) {
    impl_->files(impl_->application.default_site(), prefix, folder, std::move(options));
}

namespace {
// It may still come; but what asks for it is a 404 until then.
void warn_of_missing_fallback(const Directory& root, const std::string& folder, std::string_view name) {
    while (name.starts_with('/')) name.remove_prefix(1);
    if (name.empty() || root.open_beneath(name)) return;
    cutils::log(cutils::LogLevel::warning, "webby: there is no %s in %s for what is not there (spa_fallback)",
                std::string(name).c_str(), folder.c_str());
}
}  // namespace

void Server::Impl::files(Site& site, std::string_view prefix, const std::string& folder, FilesOptions how) {
    cutils::Result<Directory> root = Directory::open(folder);
    if (!root) return remember(root.error());
    if (cutils::Result<void> checked = webby::check(how); !checked) return remember(checked);
    if (prefix.ends_with('/')) prefix.remove_suffix(1);
    warn_of_missing_fallback(*root, folder, how.spa_fallback);
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
    impl_->check_not_serving();
    cutils::Result<Site*> site = impl_->application.add_host(name);
    if (!site) impl_->remember(site.error());
    return {*this, site ? *site : nullptr};
}

VirtualHost Server::default_host() { return {*this, &impl_->application.default_site()}; }

void VirtualHost::add(Method method, std::string_view pattern, std::unique_ptr<Servlet> servlet,
                      RouteOptions options) {
    if (site_ != nullptr) server_->impl_->add(*site_, method, pattern, std::move(servlet), options);
}
void VirtualHost::add_filter(std::unique_ptr<Filter> filter) {
    if (site_ == nullptr) return;
    server_->impl_->check_not_serving();
    server_->impl_->application.add_filter(*site_, std::move(filter));
}
void VirtualHost::files(std::string_view prefix, const std::string& folder, FilesOptions options) {
    if (site_ != nullptr) server_->impl_->files(*site_, prefix, folder, std::move(options));
}

cutils::Result<void> Server::check() const {
    if (impl_->broken) return *impl_->broken;
    return {};
}

cutils::Result<void> Server::run() {
    cutils::Result<void> served = impl_->serve([] {});
    if (!served) cutils::log(cutils::LogLevel::error, "webby: %s", served.error().message().c_str());
    return served;
}

cutils::Result<void> Server::start() {
    EVC_CHECK(!impl_->thread.joinable(), "webby::Server: run(), start() and attach() are for once");
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
    impl_->going_on = false;
    if (std::exchange(impl_->stopping, true)) return;
    if (impl_->loop != nullptr && impl_->options.drain_delay.count() > 0) return impl_->begin_drain_later();
    impl_->begin_drain();
}

// With the lock held.
void Server::Impl::begin_drain() {
    if (status != nullptr) status->close();  // or streams would keep it from ending
    stop_asked.set();
    if (loop == nullptr) return;
    if (fleet != nullptr) return drain_fleet();
    loop->post([link = link] {
        if (link->server == nullptr) return;
        if (link->server->observer != nullptr) link->server->observer->stop();
        link->server->drain_driver();
    });
}

// The timer ends with what it belongs to, so what it calls is there.
void Server::Impl::begin_drain_later() {
    const auto drain = [this] {
        const std::lock_guard lock(mutex);
        begin_drain();
    };
    const std::chrono::milliseconds when = options.drain_delay;
    if (fleet == nullptr)
        return loop->post([drain, when, on = loop, link = link] {
            if (link->server == nullptr) return;
            link->server->delay.emplace(*on, drain);
            link->server->delay->start(when);
        });
    const std::lock_guard lock(fleet->mutex);
    if (fleet->left == 0) return;
    group->post(0, [drain, when, on = loop, all = fleet] {
        if (!all->drivers[0]) return;
        all->delay.emplace(*on, drain);
        all->delay->start(when);
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

cutils::Result<void> Server::reopen_access_log() {
    const AccessLogFile* file = nullptr;
    {
        const std::lock_guard lock(impl_->mutex);
        if (impl_->log_file) file = &*impl_->log_file;
    }
    if (file == nullptr)
        return cutils::Error(std::make_error_code(std::errc::not_supported), "this server has no access log");
    return file->reopen();
}

void Server::health(std::string_view path) {
    impl_->add(impl_->application.common_site(), Method::get, path,
               make_servlet([&going_on = impl_->going_on](Request&, Response& response) {
                   const bool well = going_on.load(std::memory_order_relaxed);
                   response.status(well ? Status::ok : Status::service_unavailable);
                   response.set_header("Cache-Control", "no-store");
                   response.text(well ? "ok\n" : "draining\n");
               }),
               {});
}

const std::vector<nutils::SockAddr>& Server::addresses() const { return impl_->addresses; }

// --- metrics ---

std::unique_ptr<LoopObserver> Server::Impl::make_observer(EvLoop& on, Driver& its, std::size_t index) {
    const std::size_t share = slots.size();
    LoopObserver::Options how{options.paradigm, (options.threads + share - 1) / share, options.stall_limit};
    try {
        return std::make_unique<LoopObserver>(on, its, slots[index], how);
    } catch (const std::system_error& error) {
        cutils::log(cutils::LogLevel::warning, "webby: nobody watches for stalls: %s", error.what());
    }
    how.stall_limit = {};
    return std::make_unique<LoopObserver>(on, its, slots[index], how);
}

bool Server::Impl::on_loop(std::size_t index, std::function<void(LoopObserver&)> f) {
    LoopObserver* here = nullptr;
    {
        const std::lock_guard lock(mutex);
        if (loop == nullptr) return false;
        if (fleet == nullptr) {
            if (loop->on_loop_thread())
                here = observer.get();
            else
                loop->post([link = link, f] {
                    if (link->server != nullptr && link->server->observer != nullptr)
                        f(*link->server->observer);
                });
        } else {
            const std::lock_guard fleet_lock(fleet->mutex);
            if (fleet->left == 0) return false;
            if (group->here() == index)
                here = fleet->observers[index].get();
            else
                group->post(index, [all = fleet, index, f] {
                    if (all->observers[index]) f(*all->observers[index]);
                });
        }
    }
    if (here != nullptr) f(*here);
    return true;
}

// A loop that does not answer is not asked again and again.
void Server::Impl::look_at_loops(bool where) {
    for (std::size_t i = 0; i < slots.size(); ++i) {
        if (slots[i]->asked.exchange(true, std::memory_order_relaxed)) continue;
        if (!on_loop(i, [where](LoopObserver& one) { one.look(where); })) slots[i]->asked = false;
    }
}

ServerMetrics Server::Impl::take_metrics(bool where) {
    if (board == nullptr) return {};
    look_at_loops(where);
    ServerMetrics all = board->sum();
    all.taken = cutils::monotonic_now();
    all.paradigm = options.paradigm;
    all.exceptions = application.exceptions();
    all.unsent_bytes = unsent_limit.bytes();
    all.cut_unsent = unsent_limit.cut();
    for (const auto& slot : slots) all.loops.push_back(slot->get());
    const std::lock_guard lock(mutex);
    all.draining = stopping;
    return all;
}

// Once a second on the first loop, while somebody looks at the status page.
void Server::Impl::keep_updating() {
    (void)on_loop(0, [this](LoopObserver& first) {
        first.every_second([this] {
            if (!status->has_viewers()) return false;
            status->update(take_metrics(true));
            return true;
        });
    });
}

ServerMetrics Server::metrics() const { return impl_->take_metrics(false); }

void Server::metrics_page(std::string_view path, MetricsPageOptions options) {
    impl_->count();
    get(path, [impl = impl_.get(), options = std::move(options)](Request& request, Response& response) {
        if (!options.access.admits(request, response)) return;
        response.set_header("Cache-Control", "no-store");
        response.body(to_prometheus(impl->take_metrics(false), options), PrometheusText::kContentType);
    });
}

void Server::status_page(std::string_view path, StatusOptions options) {
    EVC_CHECK(impl_->status == nullptr, "webby::Server::status_page() is for once");
    impl_->count();
    impl_->status = std::make_unique<StatusPage>(std::move(options));
    get(path, [impl = impl_.get()](Request& request, Response& response) {
        if (impl->status->access().admits(request, response))
            impl->status->show(request, response, impl->take_metrics(true));
    });
    get(std::string(path) + "/events", [impl = impl_.get()](Request& request, Response& response) {
        if (!impl->status->access().admits(request, response)) return;
        impl->status->subscribe(request, response, impl->take_metrics(false));
        impl->keep_updating();
    });
}

Server::Counts Server::counts() const {
    if (impl_->fleet != nullptr) return impl_->counts_of_fleet();
    if (impl_->driver == nullptr) return {};
    return of(*impl_->driver);
}

}  // namespace webby
