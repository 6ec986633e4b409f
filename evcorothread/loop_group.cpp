#include "evcorothread/loop_group.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <latch>
#include <map>
#include <mutex>
#include <semaphore>
#include <thread>
#include <utility>
#include <vector>

#include "cutils/check.h"
#include "evcorothread/cross_event.h"
#include "evcorothread/loop_core_internal.h"
#include "evcorothread/loop_group_internal.h"
#include "evcorothread/quiet_thread_internal.h"
#include "nutils/listen_stream.h"

namespace evcorothread {

using cutils::Result;

namespace {

// The CPUs that this process may use; empty when the kernel has more than fit a cpu_set_t.
std::vector<int> usable_cpus() {
    std::vector<int> cpus;
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    return cpus;
}

std::size_t default_loops() {
    const std::size_t cpus = usable_cpus().size();
    return cpus > 0 ? cpus : std::max(1U, std::thread::hardware_concurrency());
}

void pin_to(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(cpu), &set);
    (void)::pthread_setaffinity_np(::pthread_self(), sizeof set, &set);
}

}  // namespace

// One loop and its thread. Made and run on the thread; destroyed by whoever joins.
struct Member {
    std::optional<corothread::StackPool> stacks;
    std::optional<EvLoop> loop;
    std::optional<EvLoop::Hold> hold;
    std::optional<cutils::Error> failure;
    std::binary_semaphore ready{0};
    std::thread thread;
};

struct LoopGroup::Impl {
    explicit Impl(Options o) : options(std::move(o)), pool(options.offload) {
        if (options.loops == 0) options.loops = default_loops();
    }

    struct Start {
        std::size_t index;
        std::string name;
        corothread::StackPoolOptions stacks;
        int cpu = -1;  // none
    };
    Result<void> start(Member& member, const Start& how);
    void run(Member& member, const Start& how);
    Result<void> start_loops();
    std::exception_ptr initialize(const std::function<void(EvLoop&, std::size_t)>& init);
    Result<void> start_accepting();
    Result<std::vector<nutils::UniqueFd>> make_listeners(const nutils::SockAddr& address,
                                                         const GroupListenOptions& options);
    Result<GroupListener> open(const nutils::SockAddr& address, GroupListener::Handler handler,
                               GroupListener::RawHandler raw, const GroupListenOptions& options);
    // Whether a socket file is ours to remove.
    enum class OwnFile { no, yes };
    Result<GroupListener> open(std::vector<nutils::UniqueFd> listeners, GroupListener::Handler handler,
                               GroupListener::RawHandler raw, const GroupListenOptions& listen,
                               OwnFile own_file);
    std::shared_ptr<GroupPort> make_port(const GroupListenOptions& options, bool takes_stacks);
    void close_gates(std::size_t index);
    void call_end_hooks(EvLoop& loop, std::size_t index);
    void close_ports();
    void drain();
    void stop();
    void finish();
    [[nodiscard]] std::optional<std::size_t> here() const;

    // The accepting thread's index.
    [[nodiscard]] std::size_t front_index() const { return options.loops; }

    Options options;
    OffloadPool pool;
    const std::shared_ptr<LoopDirectory> directory = std::make_shared<LoopDirectory>();
    std::vector<std::unique_ptr<Member>> members;
    bool running = false;
    std::atomic<std::size_t> turn{0};
    std::atomic<std::size_t> left{0};  // members that run
    std::optional<CrossEvent> all_ended;

    std::mutex mutex;               // of what follows
    std::unique_ptr<Member> front;  // accepts; from the first listener that needs it on
    Balance* balance = nullptr;     // of those who take stacks
    std::vector<std::weak_ptr<GroupPort>> ports;
    std::map<std::uint64_t, std::shared_ptr<std::function<void(EvLoop&, std::size_t)>>> end_hooks;
    std::uint64_t next_hook = 1;
};

// --- threads ---

Result<void> LoopGroup::Impl::start(Member& member, const Start& how) {
    try {
        member.thread = start_quiet_thread(how.name, [this, &member, how] { run(member, how); });
    } catch (const std::system_error& error) {
        return cutils::Error(error.code(), "a thread for " + how.name);
    }
    member.ready.acquire();
    if (!member.failure) return {};
    member.thread.join();
    return *member.failure;
}

void LoopGroup::Impl::run(Member& member, const Start& how) {
    if (how.cpu >= 0) pin_to(how.cpu);
    try {
        member.stacks.emplace(how.stacks);
        member.loop.emplace(*member.stacks, EvLoopOptions{.shuffle_seed = options.shuffle_seed});
        member.hold.emplace(*member.loop);
    } catch (const std::system_error& error) {
        member.failure = cutils::Error::from(error);
    } catch (const std::bad_alloc&) {
        member.failure = cutils::Error(std::make_error_code(std::errc::not_enough_memory), how.name);
    }
    if (!member.failure) directory->set(how.index, &*member.loop);
    const bool failed = member.failure.has_value();
    member.ready.release();
    if (failed) return;
    member.loop->run();
    close_gates(how.index);
    if (how.index < front_index()) call_end_hooks(*member.loop, how.index);
    member.hold.reset();
    member.loop->shutdown(Deadline::never);
    if (how.index < front_index() && left.fetch_sub(1) == 1) all_ended->set();
}

Result<void> LoopGroup::Impl::start_loops() {
    const std::vector<int> cpus = usable_cpus();
    all_ended.emplace();
    left = options.loops;
    running = true;
    for (std::size_t i = 0; i < options.loops; ++i) {
        const int cpu = options.pin && !cpus.empty() ? cpus[i % cpus.size()] : -1;
        members.push_back(std::make_unique<Member>());
        Result<void> started =
            start(*members.back(), {i, options.name + "-" + std::to_string(i), options.stacks, cpu});
        if (started) continue;
        members.pop_back();
        stop();
        finish();
        return started;
    }
    return {};
}

std::exception_ptr LoopGroup::Impl::initialize(const std::function<void(EvLoop&, std::size_t)>& init) {
    std::exception_ptr first;
    std::mutex first_mutex;
    std::latch done(static_cast<std::ptrdiff_t>(members.size()));
    for (std::size_t i = 0; i < members.size(); ++i)
        directory->post(i, [&, i] {
            try {
                init(*members[i]->loop, i);
            } catch (...) {
                const std::lock_guard lock(first_mutex);
                if (!first) first = std::current_exception();
            }
            done.count_down();
        });
    done.wait();
    return first;
}

// Ends what is left when no member runs any more, or soon will not.
void LoopGroup::Impl::finish() {
    for (const auto& member : members) member->thread.join();
    std::unique_ptr<Member> accepting;
    {
        const std::lock_guard lock(mutex);
        accepting = std::move(front);
    }
    if (accepting != nullptr) {
        accepting->loop->stop();
        accepting->thread.join();
    }
    {
        const std::lock_guard lock(mutex);
        ports.clear();
        end_hooks.clear();
        if (balance != nullptr) std::exchange(balance, nullptr)->let_go();
    }
    // Nobody finds them any more; then they go, and what was posted to them with them.
    for (std::size_t i = 0; i <= front_index(); ++i) directory->set(i, nullptr);
    members.clear();
    all_ended.reset();
    running = false;
}

void LoopGroup::Impl::stop() {
    close_ports();
    for (std::size_t i = 0; i < options.loops; ++i) directory->stop(i);
}

void LoopGroup::Impl::drain() {
    close_ports();
    for (std::size_t i = 0; i < members.size(); ++i)
        directory->post(i, [member = members[i].get()] { member->hold.reset(); });
}

std::optional<std::size_t> LoopGroup::Impl::here() const {
    for (std::size_t i = 0; i < members.size(); ++i)
        if (t_here.loop != nullptr && members[i]->loop && t_here.loop == &members[i]->loop->core()) return i;
    return std::nullopt;
}

// --- listening ---

Result<void> LoopGroup::Impl::start_accepting() {
    const std::lock_guard lock(mutex);
    if (front != nullptr) return {};
    auto accepting = std::make_unique<Member>();
    Result<void> started =
        start(*accepting, {front_index(), options.name + "-accept", {.count = 1, .pages = 4}, -1});
    if (started) front = std::move(accepting);
    return started;
}

// One for all; or, with SO_REUSEPORT, one for each.
Result<std::vector<nutils::UniqueFd>> LoopGroup::Impl::make_listeners(const nutils::SockAddr& address,
                                                                      const GroupListenOptions& listen) {
    std::vector<nutils::UniqueFd> listeners;
    nutils::SockAddr where = address;
    const std::size_t count = listen.reuse_port && address.is_ip() ? options.loops : 1;
    while (listeners.size() < count) {
        Result<nutils::UniqueFd> made = nutils::listen_stream(where, listen);
        if (!made) return made.error();
        if (listeners.empty()) {  // which port it is
            const Result<nutils::SockAddr> local = nutils::SockAddr::local_of(made->get());
            if (!local) return local.error();
            where = *local;
        }
        listeners.push_back(*std::move(made));
    }
    return listeners;
}

std::shared_ptr<GroupPort> LoopGroup::Impl::make_port(const GroupListenOptions& listen, bool takes_stacks) {
    const std::lock_guard lock(mutex);
    const auto make_balance = [&] {
        return new Balance(directory, options.loops,
                           listen.per_loop > 0 ? listen.per_loop : options.stacks.count);
    };
    Balance* counts = nullptr;
    if (takes_stacks && listen.per_loop == 0) {  // all these together have those stacks
        if (balance == nullptr) (balance = make_balance())->keep();
        counts = balance;
    } else {
        counts = make_balance();
    }
    auto port = std::make_shared<GroupPort>(directory, *counts, options.loops);
    std::erase_if(ports, [](const std::weak_ptr<GroupPort>& old) { return old.expired(); });
    ports.push_back(port);
    return port;
}

Result<GroupListener> LoopGroup::Impl::open(const nutils::SockAddr& address, GroupListener::Handler handler,
                                            GroupListener::RawHandler raw, const GroupListenOptions& listen) {
    EVC_CHECK(running, "LoopGroup::listen() before start()");
    Result<std::vector<nutils::UniqueFd>> made = make_listeners(address, listen);
    if (!made) return made.error();
    return open(*std::move(made), std::move(handler), std::move(raw), listen, OwnFile::yes);
}

Result<GroupListener> LoopGroup::Impl::open(std::vector<nutils::UniqueFd> listeners,
                                            GroupListener::Handler handler, GroupListener::RawHandler raw,
                                            const GroupListenOptions& listen, OwnFile own_file) {
    const Result<nutils::SockAddr> local = nutils::SockAddr::local_of(listeners.front().get());
    if (!local) return local.error();
    const bool shared = listeners.size() == 1 && !listen.reuse_port;
    if (shared)
        if (Result<void> started = start_accepting(); !started) return started.error();
    const std::shared_ptr<GroupPort> port = make_port(listen, raw == nullptr);
    port->handler = std::move(handler);
    port->raw = std::move(raw);
    port->options = listen;
    port->name = listen.name;
    port->options.name = port->name;
    port->local = *local;
    if (own_file == OwnFile::yes && port->local.is_unix() && !port->local.is_abstract())
        port->unlink_path = port->local.path();
    port->gates.resize(options.loops + 1);
    for (const auto& member : members) port->loops.push_back(&*member->loop);
    for (std::size_t i = 0; i < listeners.size(); ++i) {
        const std::size_t gate = shared ? front_index() : i;
        EvLoop& on = shared ? *front->loop : *members[gate]->loop;
        directory->post(gate,
                        [port, gate, &on, fd = std::make_shared<nutils::UniqueFd>(std::move(listeners[i]))] {
                            port->open_gate(gate, on, std::move(*fd));
                        });
    }
    return GroupListener(port);
}

// On the gates' thread.
void LoopGroup::Impl::close_gates(std::size_t index) {
    std::vector<std::shared_ptr<GroupPort>> open;
    {
        const std::lock_guard lock(mutex);
        for (const auto& weak : ports)
            if (auto port = weak.lock()) open.push_back(std::move(port));
    }
    for (const auto& port : open) port->close_gate(index);
}

void LoopGroup::Impl::call_end_hooks(EvLoop& loop, std::size_t index) {
    std::vector<std::shared_ptr<std::function<void(EvLoop&, std::size_t)>>> hooks;
    {
        const std::lock_guard lock(mutex);
        for (const auto& [id, hook] : end_hooks) hooks.push_back(hook);
    }
    for (const auto& hook : hooks) {
        try {
            (*hook)(loop, index);
        } catch (...) {
            log_exception("a function for the end of a group's loop");
        }
    }
}

void LoopGroup::Impl::close_ports() {
    std::vector<std::shared_ptr<GroupPort>> open;
    {
        const std::lock_guard lock(mutex);
        for (const auto& weak : ports)
            if (auto port = weak.lock()) open.push_back(std::move(port));
    }
    for (const auto& port : open) port->close();
}

// --- the face ---

LoopGroup::LoopGroup(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}

LoopGroup::~LoopGroup() {
    EVC_CHECK(!here(), "a LoopGroup is destroyed on one of its own loops");
    if (!impl_->running) return;
    impl_->stop();
    impl_->finish();
}

Result<void> LoopGroup::start(std::function<void(EvLoop&, std::size_t)> init) {
    EVC_CHECK(!impl_->running, "LoopGroup::start() of a group that runs");
    if (Result<void> started = impl_->start_loops(); !started) return started;
    if (!init) return {};
    if (const std::exception_ptr thrown = impl_->initialize(init)) {
        impl_->stop();
        impl_->finish();
        std::rethrow_exception(thrown);
    }
    return {};
}

std::size_t LoopGroup::size() const { return impl_->options.loops; }

EvLoop& LoopGroup::loop(std::size_t index) const {
    EVC_CHECK(index < impl_->members.size(), "LoopGroup::loop() before start(), or of one that there is not");
    return *impl_->members[index]->loop;
}

EvLoop& LoopGroup::next() { return loop(impl_->turn.fetch_add(1, std::memory_order_relaxed) % size()); }

std::optional<std::size_t> LoopGroup::here() const { return impl_->here(); }

void LoopGroup::post(std::size_t index, std::function<void()> f) {
    EVC_CHECK(index < size(), "LoopGroup::post() to a loop that there is not");
    impl_->directory->post(index, std::move(f));
}

void LoopGroup::post_all(const std::function<void(EvLoop&, std::size_t)>& f) {
    for (std::size_t i = 0; i < impl_->members.size(); ++i)
        impl_->directory->post(i, [f, i, loop = &*impl_->members[i]->loop] { f(*loop, i); });
}

Result<GroupListener> LoopGroup::listen(const nutils::SockAddr& address, GroupListener::Handler handler,
                                        GroupListenOptions options) {
    EVC_CHECK(handler != nullptr, "LoopGroup::listen() without a function for the connections");
    return impl_->open(address, std::move(handler), nullptr, options);
}

Result<GroupListener> LoopGroup::listen_raw(const nutils::SockAddr& address,
                                            GroupListener::RawHandler handler, GroupListenOptions options) {
    EVC_CHECK(handler != nullptr, "LoopGroup::listen_raw() without a function for the connections");
    return impl_->open(address, nullptr, std::move(handler), options);
}

Result<GroupListener> LoopGroup::adopt_raw(nutils::UniqueFd listener, GroupListener::RawHandler handler,
                                           GroupListenOptions options) {
    EVC_CHECK(handler != nullptr, "LoopGroup::adopt_raw() without a function for the connections");
    EVC_CHECK(impl_->running, "LoopGroup::adopt_raw() before start()");
    options.reuse_port = false;
    std::vector<nutils::UniqueFd> one;
    one.push_back(std::move(listener));
    return impl_->open(std::move(one), nullptr, std::move(handler), options, Impl::OwnFile::no);
}

std::uint64_t LoopGroup::at_end(std::function<void(EvLoop&, std::size_t)> f) {
    EVC_CHECK(impl_->running, "LoopGroup::at_end() before start()");
    const std::lock_guard lock(impl_->mutex);
    impl_->end_hooks.emplace(impl_->next_hook,
                             std::make_shared<std::function<void(EvLoop&, std::size_t)>>(std::move(f)));
    return impl_->next_hook++;
}

void LoopGroup::forget(std::uint64_t at_end) {
    const std::lock_guard lock(impl_->mutex);
    impl_->end_hooks.erase(at_end);
}

OffloadPool& LoopGroup::offload_pool() { return impl_->pool; }

void LoopGroup::drain() { impl_->drain(); }
void LoopGroup::stop() { impl_->stop(); }

std::error_code LoopGroup::join(Deadline deadline) {
    EVC_CHECK(!here(), "LoopGroup::join() on one of its own loops: it would wait for itself");
    if (!impl_->running) return {};
    if (const std::error_code error = impl_->all_ended->wait(deadline)) return error;
    impl_->finish();
    return {};
}

bool LoopGroup::shutdown(Deadline deadline) {
    EVC_CHECK(!here(), "LoopGroup::shutdown() on one of its own loops: it would wait for itself");
    if (!impl_->running) return true;
    impl_->drain();
    const std::error_code error = impl_->all_ended->wait(deadline);
    if (error) {
        impl_->stop();
        (void)impl_->all_ended->wait(Deadline::never);  // finish() blocks where this may not wait
    }
    impl_->finish();
    return !error;
}

}  // namespace evcorothread
