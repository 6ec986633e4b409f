// ThreadDriver: serves an application with OS threads from a bounded pool, one a request.
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <exception>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "cutils/intrusive.h"
#include "cutils/log.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_timer.h"
#include "evcorothread/ev_watch.h"
#include "nutils/socket_ops.h"
#include "webby/driver_base_internal.h"
#include "webby/forget_input_internal.h"
#include "webby/full_answer_internal.h"
#include "webby/handshake_report_internal.h"
#include "webby/metrics_board_internal.h"
#include "webby/proxy_reader_internal.h"
#include "webby/session_internal.h"
#include "webby/thread_socket_internal.h"
#include "webby/thread_tls_socket_internal.h"
#include "webby/unsent_limit.h"

namespace webby {

using cutils::TimePoint;
using evcorothread::ConnectionTicket;
using evcorothread::EvLoop;
using evcorothread::EvTimer;
using evcorothread::EvWatch;
using evcorothread::TlsContext;
using evcorothread::TlsLayer;
using nutils::BlockingSocket;
using nutils::UniqueFd;

namespace {

struct ParkedTag;
struct Connection;
class ThreadDriver;

struct DriverLink {
    ThreadDriver* driver;
};

// Told, on the loop, that a connection's answer goes on. It ends on the loop, too: what was posted for it may
// be running there when its connection goes.
struct Waker final : AnswerWaiter {
    Waker(std::shared_ptr<DriverLink> its_link, Connection& its)
        : link(std::move(its_link)), connection(&its) {}
    void answer_goes_on() override;

    const std::shared_ptr<DriverLink> link;
    Connection* connection;  // with the lock held; null when it has gone
};

struct Connection final : cutils::ListHook<Connection>, cutils::ListHook<ParkedTag> {
    Connection(UniqueFd fd, ConnectionTicket ticket) : socket(std::move(fd)), place(std::move(ticket)) {}

    void unpark() { cutils::ListHook<ParkedTag>::unlink(); }
    void leave() { cutils::ListHook<Connection>::unlink(); }
    // Wakes whoever waits for it; only its thread closes it, so the descriptor stays what it is.
    void cut() const { (void)::shutdown(socket.fd(), SHUT_RDWR); }
    // The thread that is woken says so to the client.
    void expire() {
        conversation.expired = true;
        if (conversation.writing)
            cut_off(socket.fd());
        else
            (void)::shutdown(socket.fd(), SHUT_RD);
    }
    [[nodiscard]] nutils::IoResult peek() const {
        char byte;
        return nutils::recv_some(socket.fd(), {&byte, 1}, MSG_PEEK);
    }
    [[nodiscard]] bool is_refused() const {
        return conversation.lingering && conversation.exchange == nullptr;
    }
    // Nobody has read anything of its request.
    [[nodiscard]] bool may_be_refused() const {
        return conversation.exchange == nullptr && proxy == nullptr && !conversation.expired;
    }
    // Ends it unless something has arrived, which then is served.
    void end_if_unused() {
        if (!peek().would_block()) return;
        if (tls != nullptr)
            expire();
        else
            cut();
    }

    BlockingSocket socket;
    ConnectionTicket place;
    std::unique_ptr<ThreadTlsSide> tls;  // none: null
    std::unique_ptr<ProxyReader> proxy;  // until its header has come
    AddressLimit::Place place_of_address;
    UnsentLimit::Share unsent;  // with the lock held
    Conversation conversation;
    TimePoint expires{};  // while nobody works on it
    // By whom somebody else's answer is heard of; made when it may be needed. Nobody works on the connection
    // until it is told, or that has happened already. With the lock held.
    std::unique_ptr<Waker> waker;
    bool waits_for_answer = false;
    bool woken = false;
    bool goes_on = false;  // told: a thread takes it as soon as the client takes something
    bool watched = false;  // it is in the epoll set of the threads …
    bool listens = false;  // … and in that of the listeners
    bool served = false;   // by a thread of the pool
    bool is_idle = false;  // nothing of a next request is there
};

// Signals are for the application's threads.
class SignalsBlocked {
  public:
    SignalsBlocked() {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;
    ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  private:
    sigset_t before_{};
};

// When to try again to start a thread that could not be started.
constexpr auto kRetryWorker = std::chrono::milliseconds(50);

// How long a request waits for a thread where it may be refused.
constexpr auto kPatience = std::chrono::milliseconds(20);

// One thread of the pool and what it answers with.
struct Worker {
    Worker(const Application& application, const DriverOptions& options)
        : context{.application = application,
                  .limits = options.limits,
                  .timeouts = options.timeouts,
                  .trust = options.trust} {
        if (options.metrics != nullptr) context.metrics = &options.metrics->add_cell();
    }

    std::unique_ptr<AccessLog> access_log;
    ExchangeContext context;
    std::thread thread;
};

// The path of a connection: accepted on the loop; then it waits in one epoll set, holding no thread. The
// pool's threads wait there, too (leader and followers): the one that is woken by the first byte of a request
// serves the connection with ordinary blocking calls and deadlines, puts it back, and waits again. With all
// threads busy, requests wait in the set, first come first served; or, with WhenFull::refuse, the loop looks
// at the set meanwhile, and refuses those that begin and find no thread soon.
//
// Threads start when there is work for one more, up to DriverOptions::threads; they last as long as the
// driver. The loop accepts, and sees to the timeouts of idle connections.
//
// Owner: as Driver; the destructor also waits for servlets that are running: nobody can interrupt those.
// Cost:  a request is an epoll_wait(2), recv(2), send(2) and epoll_ctl(2); about 250 bytes an idle
//        connection.
class ThreadDriver final : public DriverBase {
  public:
    ThreadDriver(EvLoop& the_loop, const Application& the_application, const DriverOptions& the_options,
                 std::unique_ptr<AccessLog> log);
    ~ThreadDriver() override;

    void drain() override;
    void cancel() override;
    [[nodiscard]] bool finished() const override;
    [[nodiscard]] Counts counts() const override;

    // On the loop.
    void wake(const Waker& waker) {
        const std::lock_guard lock(mutex);
        if (waker.connection != nullptr) wake(*waker.connection);
    }

  private:
    // On the loop.
    void accepted(UniqueFd fd, const nutils::SockAddr& peer, ConnectionTicket place,
                  const TlsContext* tls) override;
    // False: there is no place for one more. With the lock held.
    bool make_room();
    void refuse(Connection& connection);
    void count_refused() {  // with the lock held
        ++refused;
        if (metrics != nullptr) metrics->refused.add(Status::service_unavailable);
    }
    [[nodiscard]] bool take_place(Connection& connection, const nutils::SockAddr& client) const;
    // Nothing: go on.
    std::optional<SessionEnd> read_proxy_header(Connection& connection);
    void connections_have_gone();
    void close_expired();
    void lose(Connection& connection);
    void remove_lost();
    [[nodiscard]] cutils::Duration tick() const;
    void start_worker_if_needed();
    void look_again_soon();
    void look_at_requests();
    bool all_are_busy();
    void let_loop_look();
    void wait_for_thread(Connection& connection, std::uint32_t events);
    void refuse_impatient();
    void forget_input(Connection& connection);

    // On the pool's threads.
    void work(Worker& worker);
    Connection* next(Worker& worker);
    Connection* next_ready();
    void begin_to_serve(Connection& connection);
    void serve(Worker& worker, Connection& connection);
    SessionEnd converse(Worker& worker, Connection& connection);
    bool shake_hands(Worker& worker, Connection& connection, ThreadTlsSocket& socket);
    template <class Socket>
    SessionEnd run(Worker& worker, Connection& connection, Socket& socket);
    void take(Connection& connection);
    // Puts it, new or served, where it waits. False: it is not wanted any more.
    bool park(Connection& connection, SessionEnd how);
    void unpark(Connection& connection);
    void watch_waiting(TimePoint first);
    void wake(Connection& connection);
    void listeners_leave();
    [[nodiscard]] bool go_on(Connection& connection);
    [[nodiscard]] bool watch(Connection& connection, std::uint32_t events);
    [[nodiscard]] bool wait_for_answer(Connection& connection);
    void wait_for_room(Connection& connection);
    void give_back(Connection& connection);
    void remove(Connection& connection);
    void tell_loop();

    const Application& application;
    UniqueFd epoll, ending_event;
    MetricsCell* metrics = nullptr;  // with the lock held, whoever it is that counts; none: null

    mutable std::mutex mutex;  // of all that follows
    cutils::List<Connection, Connection> connections;
    cutils::List<Connection, ParkedTag> idle;     // the one that expires first in front
    cutils::List<Connection, ParkedTag> waiting;  // for more of a request; few, in no order
    cutils::List<Connection, ParkedTag> ready;    // for a thread, of which there is none free
    cutils::List<Connection, ParkedTag> lost;     // the kernel would not watch them: the loop removes them
    std::vector<std::unique_ptr<Worker>> workers;
    // One for all: a request may be begun by one thread and finished by another, and pools of their own would
    // fill up at those who finish.
    ExchangePool exchanges;
    std::atomic<bool> lacks_worker = false;  // the last one could not be started; changed with the lock held
    std::size_t count = 0;
    std::size_t idle_count = 0;
    std::size_t waiting_workers = 0;
    std::uint64_t refused = 0;
    bool draining = false;
    bool canceled = false;
    bool ending = false;
    bool is_looked_at = false;  // by the loop, too: all threads were busy

    // The loop's own.
    EvTimer drain_timer, idle_timer, patience_timer;
    EvWatch listeners;            // an epoll set: those of them that leave
    std::optional<EvWatch> busy;  // WhenFull::refuse: an epoll set, of that of the busy threads
    HandshakeReport handshakes;
    std::optional<EvLoop::Hold> hold;  // until it is finished
    std::shared_ptr<DriverLink> link;  // what is posted may run after we are gone
};

void Waker::answer_goes_on() {
    if (link->driver != nullptr) link->driver->wake(*this);
}

ThreadDriver::ThreadDriver(EvLoop& the_loop, const Application& the_application,
                           const DriverOptions& the_options, std::unique_ptr<AccessLog> log)
    : DriverBase(the_loop, the_options, std::move(log)),
      application(the_application),
      epoll(::epoll_create1(EPOLL_CLOEXEC)),
      ending_event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      exchanges(options.limits),
      drain_timer(loop, [this] { cancel(); }),
      idle_timer(loop, [this] { close_expired(); }),
      patience_timer(loop, [this] { refuse_impatient(); }),
      listeners(loop, UniqueFd(::epoll_create1(EPOLL_CLOEXEC)), {.readable = [this] { listeners_leave(); }}),
      link(std::make_shared<DriverLink>(DriverLink{this})) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (!epoll || !ending_event || ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, ending_event.get(), &event) != 0)
        throw std::system_error(errno, std::generic_category(), "webby: epoll");
    if (const std::error_code error = listeners.start()) throw std::system_error(error, "webby: epoll");
    if (options.when_full == WhenFull::refuse) {
        busy.emplace(loop, UniqueFd(::epoll_create1(EPOLL_CLOEXEC)),
                     EvWatch::Functions{.readable = [this] { look_at_requests(); }});
        if (const std::error_code error = busy->start()) throw std::system_error(error, "webby: epoll");
    }
    hold.emplace(loop);
    if (options.metrics != nullptr) metrics = &options.metrics->add_cell();
}

ThreadDriver::~ThreadDriver() {
    drain();
    cancel();
    link->driver = nullptr;
    {
        const std::lock_guard lock(mutex);
        ending = true;
    }
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(ending_event.get(), &one, sizeof one);
    for (const auto& worker : workers) worker->thread.join();
    connections.for_each([this](Connection& connection) { remove(connection); });
    for (const auto& worker : workers)
        if (worker->access_log) worker->access_log->flush();
}

// --- on the loop ---

bool ThreadDriver::make_room() {
    if (count < options.max_connections || options.when_full == WhenFull::wait) return true;
    if (options.when_full == WhenFull::refuse) return false;
    if (idle.empty()) {  // this one is the last until somebody goes, or becomes idle
        pause();
        return true;
    }
    Connection& oldest = idle.front();
    unpark(oldest);
    oldest.end_if_unused();
    return true;
}

// Says that there is no place for it, and lets it wait for the client to close.
void ThreadDriver::refuse(Connection& connection) {
    if (connection.tls == nullptr) (void)nutils::send_some(connection.socket.fd(), kFullAnswer, 0);
    if (connection.tls != nullptr && connection.tls->layer.is_shaken() &&
        connection.tls->layer.try_send(kFullAnswer))
        connection.tls->layer.say_goodbye();
    (void)connection.socket.shutdown_send();
    connection.tls.reset();
    connection.proxy.reset();
    connection.conversation.lingering = true;
    connection.conversation.until = cutils::monotonic_now() + options.timeouts.linger;
    const std::lock_guard lock(mutex);
    count_refused();
}

bool ThreadDriver::take_place(Connection& connection, const nutils::SockAddr& client) const {
    return options.per_address == nullptr || options.per_address->enter(client, connection.place_of_address);
}

std::optional<SessionEnd> ThreadDriver::read_proxy_header(Connection& connection) {
    switch (connection.proxy->read(connection.socket.fd())) {
        case ProxyReader::Step::need_more: return SessionEnd::wait;
        case ProxyReader::Step::refused: return SessionEnd::close;
        case ProxyReader::Step::done: break;
    }
    std::unique_ptr<nutils::SockAddr> client = connection.proxy->client();
    connection.proxy.reset();
    if (client == nullptr) return {};
    ConnectionMemory& memory = connection.conversation.memory;
    memory.peer = std::move(client);
    if (take_place(connection, *memory.peer)) return {};
    refuse(connection);
    return SessionEnd::wait;
}

void ThreadDriver::accepted(UniqueFd fd, const nutils::SockAddr& peer, ConnectionTicket place,
                            const TlsContext* tls) {
    auto made = std::make_unique<Connection>(std::move(fd), std::move(place));
    if (tls != nullptr) {
        made->tls = std::make_unique<ThreadTlsSide>(made->socket);
        cutils::Result<TlsLayer> layer = TlsLayer::accept(*made->tls, *tls);
        if (!layer)
            return cutils::log(cutils::LogLevel::warning, "webby: a connection was dropped: %s",
                               layer.error().message().c_str());
        made->tls->layer = *std::move(layer);
    }
    if (somebody_asks_late(application))
        made->conversation.memory.peer = std::make_unique<nutils::SockAddr>(peer);
    if (options.proxy_protocol)
        made->proxy =
            std::make_unique<ProxyReader>(*options.trust, cutils::monotonic_now() + options.timeouts.head);
    bool is_full = false;
    {
        const std::lock_guard lock(mutex);
        if (draining) return;
        is_full = !make_room();
        if (is_full && count >= options.max_connections + kMostRefused) return count_refused();
        connections.push_back(*made);
        if (metrics != nullptr) metrics->accepted.add();
        if (++count >= options.max_connections && options.when_full == WhenFull::wait) pause();
    }
    Connection& connection = *made.release();
    // A client that has to begin with something has no more time for it than for a head.
    connection.conversation.until = cutils::monotonic_now() + options.timeouts.head;
    SessionEnd how = tls != nullptr || options.proxy_protocol ? SessionEnd::wait : SessionEnd::park;
    if (is_full || (!options.proxy_protocol && !take_place(connection, peer))) {
        refuse(connection);
        how = SessionEnd::wait;
    }
    if (!park(connection, how)) return remove(connection);
    if (!idle_timer.running()) idle_timer.start(options.timeouts.idle);
    start_worker_if_needed();
}

// For want of a thread requests may wait that nobody looks at.
void ThreadDriver::look_again_soon() {
    try {
        loop.post([link = link] {
            if (link->driver != nullptr && link->driver->hold) link->driver->idle_timer.start(kRetryWorker);
        });
    } catch (const std::bad_alloc&) {  // the next connection tries again
    }
}

// With WhenFull::refuse: all threads are busy, and something has come.
void ThreadDriver::look_at_requests() {
    while (all_are_busy()) {
        epoll_event event{};
        if (::epoll_wait(epoll.get(), &event, 1, 0) != 1 || event.data.ptr == nullptr) return;
        auto& connection = *static_cast<Connection*>(event.data.ptr);
        if (connection.is_refused())
            forget_input(connection);
        else
            wait_for_thread(connection, event.events);
    }
}

// Otherwise the loop looks no more until a thread says that none is left.
bool ThreadDriver::all_are_busy() {
    const std::lock_guard lock(mutex);
    if (waiting_workers == 0 || !is_looked_at) return is_looked_at;
    (void)::epoll_ctl(busy->fd(), EPOLL_CTL_DEL, epoll.get(), nullptr);
    return is_looked_at = false;
}

// With the lock held. Where the kernel will not, requests wait.
void ThreadDriver::let_loop_look() {
    epoll_event event{};
    event.events = EPOLLIN;
    is_looked_at = ::epoll_ctl(busy->fd(), EPOLL_CTL_ADD, epoll.get(), &event) == 0;
}

// A thread that has answered is not free at once; so requests have a moment's patience.
void ThreadDriver::wait_for_thread(Connection& connection, std::uint32_t events) {
    const std::lock_guard lock(mutex);
    unpark(connection);
    if (waiting_workers == 0) {
        ready.push_back(connection);
        connection.expires = cutils::monotonic_now() + kPatience;
        if (!patience_timer.running()) patience_timer.start(kPatience);
    } else {
        waiting.push_back(connection);
        if (!watch(connection, events & EPOLLOUT ? EPOLLOUT : EPOLLIN | EPOLLRDHUP)) lose(connection);
    }
}

// Those that have waited longest stand in front. What has begun waits on: it would not be lighter.
void ThreadDriver::refuse_impatient() {
    const TimePoint now = cutils::monotonic_now();
    for (;;) {
        std::unique_lock lock(mutex);
        Connection* const next = ready.find_if([](const Connection& one) { return one.may_be_refused(); });
        if (next == nullptr) return;
        if (next->expires > now) return patience_timer.start(next->expires - now);
        unpark(*next);
        lock.unlock();
        if (next->peek().bytes > 0) refuse(*next);
        forget_input(*next);
    }
}

// Until the client closes, or has said more than anybody reads.
void ThreadDriver::forget_input(Connection& connection) {
    {
        const std::lock_guard lock(mutex);
        unpark(connection);
    }
    const bool more = webby::forget_input(connection.conversation.lingered, [&](std::span<char> room) {
        return nutils::recv_some(connection.socket.fd(), room);
    });
    if (!more || !park(connection, SessionEnd::wait)) remove(connection);
}

void ThreadDriver::connections_have_gone() {
    std::unique_lock lock(mutex);
    resume();
    if (!draining || count > 0) return;
    lock.unlock();
    drain_timer.stop();
    idle_timer.stop();
    patience_timer.stop();
    hold.reset();
    listeners.close();
    busy.reset();
    tell_finished();
}

// The timeout is the same for all that are idle, so those that have been so longest stand in front.
void ThreadDriver::close_expired() {
    if (lacks_worker) start_worker_if_needed();
    remove_lost();
    const std::lock_guard lock(mutex);
    const TimePoint now = cutils::monotonic_now();
    while (!idle.empty() && idle.front().expires <= now) {
        Connection& connection = idle.front();
        unpark(connection);
        connection.end_if_unused();
        if (metrics != nullptr) metrics->count_timeout(TimeoutKind::idle);
    }
    waiting.for_each([&](Connection& connection) {
        if (connection.expires > now) return;
        if (connection.conversation.writing &&
            connection.conversation.queue.has_shrunk(connection.socket.fd())) {
            connection.expires = now + options.timeouts.io;
            return;
        }
        if (metrics != nullptr && connection.tls != nullptr && !connection.tls->layer.is_shaken()) {
            metrics->failed_handshakes.add();
            metrics->count_timeout(TimeoutKind::handshake);
        }
        if (connection.waits_for_answer) {
            connection.conversation.expired = true;
            return wake(connection);
        }
        unpark(connection);
        if (!connection.goes_on) return connection.expire();
        if (metrics != nullptr) metrics->count_timeout(TimeoutKind::write);
        cut_off(connection.socket.fd());
    });
    if (count == 0) return;
    cutils::Duration next =
        idle.empty() ? cutils::Duration(options.timeouts.idle) : idle.front().expires - now;
    waiting.for_each([&](const Connection& connection) { next = std::min(next, connection.expires - now); });
    if (!waiting.empty()) next = std::min(next, tick());
    idle_timer.start(next);
}

// How precisely those are timed that wait in the middle of something.
cutils::Duration ThreadDriver::tick() const {
    const Timeouts& timeouts = options.timeouts;
    return std::min({timeouts.head, timeouts.io, timeouts.linger}) / 8 + std::chrono::milliseconds(1);
}

void ThreadDriver::cancel() {
    const std::lock_guard lock(mutex);
    canceled = true;
    connections.for_each([this](Connection& connection) {
        connection.cut();
        if (connection.waits_for_answer) wake(connection);
        if (connection.served && connection.conversation.exchange != nullptr)
            connection.conversation.exchange->give_up();
    });
}

// Nobody is there to take the next request: one more thread, if there may be one. On any thread.
void ThreadDriver::start_worker_if_needed() {
    const std::lock_guard lock(mutex);
    const bool lacked = lacks_worker.exchange(false);
    if (waiting_workers > 0 || workers.size() >= options.threads || ending) return;
    try {
        auto worker = std::make_unique<Worker>(application, options);
        worker->context.draining = draining;
        worker->context.told_on = &loop;
        if (access_log) {
            cutils::Result<AccessLog> log = access_log->duplicate();
            if (!log) throw std::system_error(log.error().code());
            worker->access_log = std::make_unique<AccessLog>(std::move(*log));
            worker->context.access_log = worker->access_log.get();
        }
        workers.reserve(workers.size() + 1);
        const SignalsBlocked blocked;
        worker->thread = std::thread([this, self = worker.get()] { work(*self); });
        ::pthread_setname_np(worker->thread.native_handle(), "webby");
        workers.push_back(std::move(worker));
        ++waiting_workers;  // as soon as it has begun
    } catch (const std::exception& error) {
        lacks_worker = true;
        if (!lacked)
            cutils::log(cutils::LogLevel::warning,
                        "webby: no more threads than %zu for now, requests may have to wait: %s",
                        workers.size(), error.what());
        look_again_soon();
    }
}

// --- on the pool's threads ---

void ThreadDriver::work(Worker& worker) {
    Connection* connection = next(worker);
    while (connection != nullptr) {
        serve(worker, *connection);
        connection = next_ready();
        if (connection == nullptr) connection = next(worker);
    }
    if (worker.access_log) worker.access_log->flush();
}

// Null: the thread waits as before.
Connection* ThreadDriver::next_ready() {
    const std::lock_guard lock(mutex);
    if (ready.empty()) {
        ++waiting_workers;
        return nullptr;
    }
    Connection& connection = ready.front();
    begin_to_serve(connection);
    return &connection;
}

// With the lock held.
void ThreadDriver::begin_to_serve(Connection& connection) {
    unpark(connection);
    connection.served = true;
    connection.waits_for_answer = connection.goes_on = false;
}

// The next connection for which something has arrived; null: the end.
Connection* ThreadDriver::next(Worker& worker) {
    constexpr int kFlushAfter = 50;  // milliseconds
    for (;;) {
        const bool has_lines = worker.access_log && worker.access_log->has_lines();
        epoll_event event{};
        const int got = ::epoll_wait(epoll.get(), &event, 1, has_lines ? kFlushAfter : -1);
        if (got == 0) worker.access_log->flush();
        if (got <= 0) continue;
        if (event.data.ptr == nullptr) return nullptr;
        auto& connection = *static_cast<Connection*>(event.data.ptr);
        take(connection);
        return &connection;
    }
}

void ThreadDriver::take(Connection& connection) {
    bool last = false;
    {
        const std::lock_guard lock(mutex);
        begin_to_serve(connection);
        last = --waiting_workers == 0 && workers.size() < options.threads;
        if (waiting_workers == 0 && !last && busy && !is_looked_at) let_loop_look();
    }
    if (last) start_worker_if_needed();
}

// With the lock held.
void ThreadDriver::unpark(Connection& connection) {
    if (std::exchange(connection.is_idle, false)) --idle_count;
    connection.unsent.give_back();
    connection.unpark();
}

SessionEnd ThreadDriver::converse(Worker& worker, Connection& connection) {
    if (connection.proxy != nullptr) {
        if (connection.conversation.expired) return SessionEnd::close;
        if (const std::optional<SessionEnd> end = read_proxy_header(connection)) return *end;
    }
    if (connection.tls == nullptr) {
        ThreadSocket socket(connection.socket, options.timeouts.io);
        return run(worker, connection, socket);
    }
    ThreadTlsSocket socket(*connection.tls, options.timeouts.io);
    if (!connection.tls->layer.is_shaken() &&
        (connection.conversation.expired || !shake_hands(worker, connection, socket)))
        return SessionEnd::close;
    const SessionEnd end = run(worker, connection, socket);
    if (end == SessionEnd::close) connection.tls->layer.say_goodbye();
    return end;
}

template <class Socket>
SessionEnd ThreadDriver::run(Worker& worker, Connection& connection, Socket& socket) {
    Conversation& conversation = connection.conversation;
    const bool is_new = conversation.exchange == nullptr;
    if (is_new && conversation.expired) return SessionEnd::close;
    Exchange* exchange = conversation.exchange;
    {
        const std::lock_guard lock(mutex);
        if (is_new) exchange = exchanges.take();
        if (connection.waker == nullptr) connection.waker = std::make_unique<Waker>(link, connection);
        conversation.exchange = exchange;  // what cancels from now on finds it
        if (canceled) exchange->give_up();
    }
    Session session(worker.context, socket, conversation);
    if (is_new)
        exchange->begin(worker.context, session, conversation.memory, connection.waker.get());
    else
        exchange->resume(worker.context, session);
    const SessionEnd end = session.run();
    if (end == SessionEnd::close && exchange->engine().must_reset())
        break_off(socket.fd(), Socket::kKeepsOutput);
    return end;
}

void ThreadDriver::give_back(Connection& connection) {
    Exchange* exchange = nullptr;
    {
        const std::lock_guard lock(mutex);
        exchange = std::exchange(connection.conversation.exchange, nullptr);
    }
    if (exchange == nullptr) return;
    exchange->abandon();
    exchange->end();
    exchange->broke_off(connection.conversation.sent);
    exchange->put_aside();
    std::unique_ptr<Exchange> one_too_many;
    const std::lock_guard lock(mutex);
    one_too_many.reset(exchanges.keep(exchange));
}

bool ThreadDriver::shake_hands(Worker& worker, Connection& connection, ThreadTlsSocket& socket) {
    const TimePoint now = cutils::monotonic_now();
    const std::error_code error = socket.shake_hands(now + options.timeouts.head);
    if (worker.context.metrics != nullptr) count_handshake(*worker.context.metrics, error);
    if (!error) return true;
    const nutils::SockAddr peer = socket.peer().value_or(nutils::SockAddr());
    if (handshakes.failed(connection.tls->layer, error, peer, now))
        (void)nutils::send_some(connection.socket.fd(), kPlainHttpAnswer, 0);
    // What the client still sends would make the kernel reset the connection, and our words might be lost.
    if (error == nutils::NetError::timed_out || connection.socket.shutdown_send().error) return false;
    std::array<char, 512> forgotten;
    for (std::size_t bytes = 0; bytes < kLingerBytes;) {
        const nutils::IoResult got = connection.socket.recv(forgotten, now + std::chrono::seconds(1));
        if (!got) return false;
        bytes += got.bytes;
    }
    return false;
}

void ThreadDriver::serve(Worker& worker, Connection& connection) {
    SessionEnd end = SessionEnd::close;
    try {
        end = converse(worker, connection);
    } catch (const std::exception& error) {
        cutils::log(cutils::LogLevel::error,
                    "a connection is closed because serving it ended by an exception: %s", error.what());
    }
    if (end == SessionEnd::park || end == SessionEnd::close) give_back(connection);
    if (end != SessionEnd::close && park(connection, end)) return;
    if (end == SessionEnd::park && connection.tls != nullptr)
        connection.tls->layer.say_goodbye();  // draining
    remove(connection);
}

// The kernel tells of what is there already, too. After that it may be anybody's, and gone.
bool ThreadDriver::park(Connection& connection, SessionEnd how) {
    const std::lock_guard lock(mutex);  // whoever is woken has to wait for it: we have finished here first
    connection.served = false;
    if (how == SessionEnd::park ? draining : canceled) return false;
    if (how == SessionEnd::park) {
        connection.expires = cutils::monotonic_now() + options.timeouts.idle;
        idle.push_back(connection);
        connection.is_idle = true;
        ++idle_count;
        if (paused() && connection.watched && options.when_full == WhenFull::close_idle)
            tell_loop();  // it may go for another
    } else {
        connection.expires = connection.conversation.until;
        if (!ending && (waiting.empty() || connection.expires < cutils::monotonic_now() + tick()))
            watch_waiting(connection.expires);
        waiting.push_back(connection);
        if (how == SessionEnd::wait_writable && options.unsent != nullptr) wait_for_room(connection);
    }
    if (how == SessionEnd::wait_answer) return wait_for_answer(connection);
    return watch(connection, how == SessionEnd::wait_writable ? EPOLLOUT : EPOLLIN | EPOLLRDHUP);
}

// With the lock held. False: no thread will hear of it.
bool ThreadDriver::watch(Connection& connection, std::uint32_t events) {
    epoll_event event{};
    event.events = EPOLLONESHOT | events;
    event.data.ptr = &connection;
    const int operation = std::exchange(connection.watched, true) ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (::epoll_ctl(epoll.get(), operation, connection.socket.fd(), &event) == 0) return true;
    cutils::log(cutils::LogLevel::warning, "webby: a connection was dropped: %s",
                std::generic_category().message(errno).c_str());
    return false;
}

// Somebody else makes the answer, or its body, and will say so. Until then the threads hear nothing of it: an
// event that one of them has taken, and a wake-up for another, would be two who serve it. A listener's end is
// noticed by the loop; other clients wait for their answers.
bool ThreadDriver::wait_for_answer(Connection& connection) {
    const bool listens = connection.conversation.want == Exchange::Want::source;
    const bool ends = listens && connection.conversation.exchange->source_ends();
    if (std::exchange(connection.woken, false) || ends) return go_on(connection);
    connection.waits_for_answer = true;
    if (!listens) return true;
    epoll_event event{};
    event.events = EPOLLONESHOT | EPOLLRDHUP;
    event.data.ptr = &connection;
    const int operation = std::exchange(connection.listens, true) ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    return ::epoll_ctl(listeners.fd(), operation, connection.socket.fd(), &event) == 0;
}

// On the loop: nobody else wakes a connection, so those it hears of are still there.
void ThreadDriver::listeners_leave() {
    epoll_event event{};
    while (listeners.is_open() && ::epoll_wait(listeners.fd(), &event, 1, 0) == 1) {
        const std::lock_guard lock(mutex);
        auto& connection = *static_cast<Connection*>(event.data.ptr);
        if (connection.waits_for_answer) wake(connection);
    }
}

// On the loop, with the lock held. Any socket may be written to some day, and then a thread takes the
// connection on; one that is being served looks again before it waits.
void ThreadDriver::wake(Connection& connection) {
    if (!std::exchange(connection.waits_for_answer, false)) {
        connection.woken = connection.served;
        return;
    }
    if (std::exchange(connection.listens, false))
        (void)::epoll_ctl(listeners.fd(), EPOLL_CTL_DEL, connection.socket.fd(), nullptr);
    if (!go_on(connection)) lose(connection);
}

// On the loop, with the lock held.
void ThreadDriver::lose(Connection& connection) {
    unpark(connection);
    lost.push_back(connection);
    idle_timer.start(cutils::Duration::zero());
}

void ThreadDriver::remove_lost() {
    for (;;) {
        std::unique_lock lock(mutex);
        if (lost.empty()) return;
        Connection& connection = lost.front();
        unpark(connection);
        lock.unlock();
        remove(connection);
    }
}

// With the lock held. A client that takes nothing of what it has got so far has no more time than another.
bool ThreadDriver::go_on(Connection& connection) {
    connection.goes_on = true;
    connection.expires = cutils::monotonic_now() + options.timeouts.io;
    return watch(connection, EPOLLOUT);
}

// With the lock held. Those that have waited longest stand in front.
void ThreadDriver::wait_for_room(Connection& connection) {
    connection.unsent.take(*options.unsent, connection.conversation.exchange->held());
    options.unsent->make_room([&] {
        Connection* const slowest =
            waiting.find_if([](const Connection& one) { return one.conversation.writing; });
        if (slowest == nullptr || slowest == &connection) return -1;
        unpark(*slowest);
        return slowest->socket.fd();
    });
}

// Their deadlines may be earlier than that which the timer waits for.
void ThreadDriver::watch_waiting(TimePoint first) {
    loop.post([link = link, first] {
        if (link->driver == nullptr) return;
        const cutils::Duration left = std::max<cutils::Duration>(first - cutils::monotonic_now(), {});
        link->driver->idle_timer.start(std::min(left, link->driver->tick()));
    });
}

void ThreadDriver::remove(Connection& connection) {
    {
        const std::lock_guard lock(mutex);
        connection.leave();
        unpark(connection);
        if (connection.waker != nullptr) connection.waker->connection = nullptr;
    }
    if (Exchange* const exchange = connection.conversation.exchange) {
        exchange->broke_off(connection.conversation.sent);
        exchange->put_aside();
        delete exchange;
    }
    connection.conversation.memory.tell_closed(application);
    // Nobody knows its waker any more: what runs is all that there is.
    if (connection.conversation.memory.waiter_is_known)
        loop.post([waker = std::shared_ptr<Waker>(std::move(connection.waker))] {});
    delete &connection;  // closes it: before it is counted as gone
    const std::lock_guard lock(mutex);
    --count;
    if (metrics != nullptr) {
        metrics->closed.add();
        if (draining) metrics->drained.add();
    }
    if (paused() || (draining && count == 0)) tell_loop();
}

// With the lock held: there is place again, or nobody is left.
void ThreadDriver::tell_loop() {
    if (ending) return;
    loop.post([link = link] {
        if (link->driver != nullptr) link->driver->connections_have_gone();
    });
}

// --- the driver ---

void ThreadDriver::drain() {
    std::unique_lock lock(mutex);
    if (std::exchange(draining, true)) return;
    close_listeners();
    for (const auto& worker : workers) worker->context.draining = true;
    idle.for_each([](Connection& connection) { connection.end_if_unused(); });
    waiting.for_each([this](Connection& connection) {
        if (connection.conversation.exchange == nullptr) connection.end_if_unused();  // has not shaken hands
        if (connection.waits_for_answer && connection.conversation.want == Exchange::Want::source)
            wake(connection);  // its body ends here
    });
    const bool any = count > 0;
    lock.unlock();
    if (any)
        drain_timer.start(options.drain);
    else
        connections_have_gone();
}

bool ThreadDriver::finished() const {
    const std::lock_guard lock(mutex);
    return draining && count == 0;
}

Driver::Counts ThreadDriver::counts() const {
    const std::lock_guard lock(mutex);
    std::uint64_t requests = 0;
    for (const auto& worker : workers) requests += worker->context.requests;
    return {.connections = count,
            .idle = idle_count,
            .requests = requests,
            .refused = refused,
            .threads = workers.size()};
}

}  // namespace

std::unique_ptr<Driver> make_thread_driver(EvLoop& loop, const Application& application,
                                           const DriverOptions& options,
                                           std::unique_ptr<AccessLog> access_log) {
    return std::make_unique<ThreadDriver>(loop, application, options, std::move(access_log));
}

}  // namespace webby
