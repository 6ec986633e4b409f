// Every kind of wait, and what must be so for each: it ends by cancel, at once and with nothing left behind;
// a deadline that has passed does not suspend, one that comes ends it then and not later; a shield holds off
// the cancel.
#include <netinet/in.h>
#include <signal.h>

#include <functional>
#include <memory>
#include <semaphore>
#include <string>
#include <utility>
#include <vector>

#include "evcorothread/broadcast.h"
#include "evcorothread/bundle.h"
#include "evcorothread/channel.h"
#include "evcorothread/child_process.h"
#include "evcorothread/condition.h"
#include "evcorothread/copy_stream.h"
#include "evcorothread/cross_event.h"
#include "evcorothread/cross_mutex.h"
#include "evcorothread/cross_semaphore.h"
#include "evcorothread/ev_pipe.h"
#include "evcorothread/ev_udp_socket.h"
#include "evcorothread/event.h"
#include "evcorothread/happy_eyeballs.h"
#include "evcorothread/mutex.h"
#include "evcorothread/offload.h"
#include "evcorothread/resolver_cache.h"
#include "evcorothread/select.h"
#include "evcorothread/semaphore.h"
#include "evcorothread/shared_channel.h"
#include "evcorothread/signal_queue.h"
#include "evcorothread/wait_fd.h"
#include "evcorothread/wait_group.h"
#include "nutils/pipe_ops.h"
#include "test/evcorothread/listeners.h"
#include "test/evcorothread/loop_fixture.h"

using namespace test_support;

namespace {

using Waiting = std::function<std::error_code(Deadline)>;

// Something to wait for that never comes, and who keeps it from coming.
struct Scene {
    explicit Scene(EvLoop& its_loop) : loop(its_loop) {}

    EvLoop& loop;
    std::vector<std::shared_ptr<void>> things;
    std::vector<EvThread> helpers;
    std::vector<std::function<void()>> at_end;

    template <class T, class... Arguments>
    T& make(Arguments&&... arguments) {
        auto thing = std::make_shared<T>(std::forward<Arguments>(arguments)...);
        things.push_back(thing);
        return *thing;
    }
    // Somebody who does `first` and then waits for the end of the scene.
    template <class F>
    void helper(F first) {
        helpers.push_back(loop.spawn("helper", [first = std::move(first)] {
            first();
            (void)this_evthread::delay(Deadline::never);
        }));
        loop.run_ready();
    }
    Connection& connection() { return make<Connection>(unix_connection(loop)); }
    void end() {
        for (const auto& action : at_end) action();
        for (EvThread& one : helpers) one.cancel();
        loop.run_ready();
        while (!things.empty()) things.pop_back();
    }
};

struct Kind {
    const char* name;
    Waiting (*set)(Scene&);
    bool reports_time = true;  // timed_out at its deadline; a delay is then just over
};

struct Jammed {
    OffloadPool pool{OffloadOptions{.threads = 1, .queue = 8}};
    std::binary_semaphore begun{0}, open{0};
};

template <class Lock>
Waiting wait_to_lock(Scene& scene) {
    auto& mutex = scene.make<Lock>();
    scene.helpers.push_back(scene.loop.spawn("holder", [&mutex] {
        if (mutex.lock(Deadline::never)) return;
        (void)this_evthread::delay(Deadline::never);
        mutex.unlock();
    }));
    scene.loop.run_ready();
    return [&mutex](Deadline deadline) { return mutex.lock(deadline); };
}

std::error_code code_of(const IoResult& result) { return result.error; }
template <class T>
std::error_code code_of(const cutils::Result<T>& result) {
    return result ? std::error_code() : std::error_code(result.error().code());
}

const Kind kKinds[] = {
    {"delay", [](Scene&) -> Waiting { return [](Deadline d) { return this_evthread::delay(d); }; }, false},
    {"a WaitPoint",
     [](Scene&) -> Waiting { return [](Deadline d) { return to_error(WaitPoint("a test").wait(d)); }; }},
    {"join",
     [](Scene& s) -> Waiting {
         s.helper([] {});
         return [&s](Deadline d) { return s.helpers.front().join(d); };
     }},
    {"Bundle::wait",
     [](Scene& s) -> Waiting {
         auto& children = s.make<Bundle>(s.loop);
         children.go([] { (void)this_evthread::delay(Deadline::never); });
         return [&children](Deadline d) { return code_of(children.wait(d)); };
     }},
    {"Bundle::wait_any",
     [](Scene& s) -> Waiting {
         auto& children = s.make<Bundle>(s.loop);
         children.go([] { (void)this_evthread::delay(Deadline::never); });
         return [&children](Deadline d) { return code_of(children.wait_any(d)); };
     }},
    {"EvSocket::recv",
     [](Scene& s) -> Waiting {
         return [&c = s.connection()](Deadline d) {
             char byte;
             return code_of(c.socket.recv({&byte, 1}, d));
         };
     }},
    {"EvSocket::send",
     [](Scene& s) -> Waiting {
         auto& c = s.connection();
         fill(c.socket);
         return [&c](Deadline d) { return code_of(c.socket.send("x", d)); };
     }},
    {"EvSocket::send_all",
     [](Scene& s) -> Waiting {
         auto& c = s.connection();
         fill(c.socket);
         return [&c](Deadline d) { return code_of(c.socket.send_all("xyz", d)); };
     }},
    {"EvSocket::connect",
     [](Scene& s) -> Waiting {
         auto& full = s.make<FullListener>(SockAddr::loopback(0));
         return [&](Deadline d) { return code_of(EvSocket::connect(s.loop, full.address, d)); };
     }},
    {"connect_any",
     [](Scene& s) -> Waiting {
         auto& full = s.make<FullListener>(SockAddr::loopback(0));
         return [&](Deadline d) { return code_of(connect_any(s.loop, {&full.address, 1}, {}, d)); };
     }},
    {"wait_readable",
     [](Scene& s) -> Waiting {
         return [&c = s.connection()](Deadline d) { return wait_readable(c.peer.get(), d); };
     }},
    {"wait_writable",
     [](Scene& s) -> Waiting {
         auto& c = s.connection();
         EvSocket filler(s.loop, UniqueFd(::dup(c.peer.get())));
         fill(filler);
         return [&c](Deadline d) { return wait_writable(c.peer.get(), d); };
     }},
    {"copy_stream",
     [](Scene& s) -> Waiting {
         auto &from = s.connection(), &to = s.connection();
         return [&](Deadline d) { return copy_stream(from.socket, to.socket, d).error(); };
     }},
    {"relay",
     [](Scene& s) -> Waiting {
         auto &from = s.connection(), &to = s.connection();
         return [&](Deadline d) { return relay(from.socket, to.socket, d).forth.error(); };
     }},
    {"EvUdpSocket::recv_from",
     [](Scene& s) -> Waiting {
         auto& socket = s.make<EvUdpSocket>(EvUdpSocket::bind(s.loop, SockAddr::loopback(0)).value());
         return [&socket](Deadline d) {
             char byte;
             SockAddr from;
             return socket.recv_from({&byte, 1}, from, d).error;
         };
     }},
    {"EvPipe::recv",
     [](Scene& s) -> Waiting {
         auto& ends = s.make<nutils::PipeEnds>(nutils::make_pipe().value());
         auto& pipe = s.make<EvPipe>(s.loop, std::move(ends.reading));
         return [&pipe](Deadline d) {
             char byte;
             return code_of(pipe.recv({&byte, 1}, d));
         };
     }},
    {"EvPipe::send",
     [](Scene& s) -> Waiting {
         auto& ends = s.make<nutils::PipeEnds>(nutils::make_pipe().value());
         auto& pipe = s.make<EvPipe>(s.loop, std::move(ends.writing));
         const std::string block(65536, 'x');
         while (pipe.try_send(block)) continue;
         return [&pipe](Deadline d) { return code_of(pipe.send("x", d)); };
     }},
    {"Channel::recv",
     [](Scene& s) -> Waiting {
         return [&c = s.make<Channel<int>>(4)](Deadline d) { return code_of(c.recv(d)); };
     }},
    {"Channel::send, unbuffered",
     [](Scene& s) -> Waiting { return [&c = s.make<Channel<int>>()](Deadline d) { return c.send(1, d); }; }},
    {"Channel::send, full",
     [](Scene& s) -> Waiting {
         auto& c = s.make<Channel<int>>(1);
         (void)c.try_send(1);
         return [&c](Deadline d) { return c.send(1, d); };
     }},
    {"select",
     [](Scene& s) -> Waiting {
         auto &in = s.make<Channel<int>>(), &out = s.make<Channel<int>>();
         auto& c = s.connection();
         return [&](Deadline d) {
             return select(in.on_recv([](int) {}), out.on_send(1), on_readable(c.socket, [] {}),
                           on_readable(c.peer.get(), [] {}), d)
                 .error;
         };
     }},
    {"select of nothing",
     [](Scene&) -> Waiting {
         return [](Deadline d) { return select_from({}, SelectOrder::fair, d).error; };
     }},
    {"Broadcast::publish",
     [](Scene& s) -> Waiting {
         auto& source = s.make<Broadcast<int>>();
         auto& slow =
             s.make<Subscriber<int>>(source, SubscriberOptions{.capacity = 1, .slow = SlowSubscriber::wait});
         (void)slow;
         (void)source.try_publish(1);
         return [&source](Deadline d) { return source.publish(2, d).error; };
     }},
    {"Subscriber::recv",
     [](Scene& s) -> Waiting {
         auto& source = s.make<Broadcast<int>>();
         auto& slow =
             s.make<Subscriber<int>>(source, SubscriberOptions{.capacity = 1, .slow = SlowSubscriber::wait});
         return [&slow](Deadline d) { return code_of(slow.recv(d)); };
     }},
    {"Mutex::lock", wait_to_lock<Mutex>},
    {"Condition::wait",
     [](Scene& s) -> Waiting {
         auto& mutex = s.make<Mutex>();
         auto& condition = s.make<Condition>();
         return [&](Deadline d) {
             MutexLock lock(mutex, Deadline::never);
             return lock ? condition.wait(mutex, d) : lock.error();
         };
     }},
    {"Semaphore::acquire",
     [](Scene& s) -> Waiting {
         return [&p = s.make<Semaphore>(1u)](Deadline d) { return p.acquire(2, d); };
     }},
    {"Event::wait",
     [](Scene& s) -> Waiting {
         return [&e = s.make<evcorothread::Event>()](Deadline d) { return e.wait(d); };
     }},
    {"WaitGroup::wait",
     [](Scene& s) -> Waiting {
         auto& group = s.make<WaitGroup>();
         group.add();
         return [&group](Deadline d) { return group.wait(d); };
     }},
    {"SharedChannel::recv",
     [](Scene& s) -> Waiting {
         return [&c = s.make<SharedChannel<int>>(1u)](Deadline d) { return code_of(c.recv(d)); };
     }},
    {"SharedChannel::send",
     [](Scene& s) -> Waiting {
         auto& c = s.make<SharedChannel<int>>(1u);
         (void)c.try_send(1);
         return [&c](Deadline d) { return c.send(1, d); };
     }},
    {"CrossEvent::wait",
     [](Scene& s) -> Waiting { return [&e = s.make<CrossEvent>()](Deadline d) { return e.wait(d); }; }},
    {"CrossMutex::lock", wait_to_lock<CrossMutex>},
    {"CrossSemaphore::acquire",
     [](Scene& s) -> Waiting {
         return [&p = s.make<CrossSemaphore>(0u)](Deadline d) { return p.acquire(d); };
     }},
    {"offload",
     [](Scene& s) -> Waiting {
         auto& jammed = s.make<Jammed>();
         s.helpers.push_back(s.loop.spawn("occupant", [&jammed] {
             (void)offload(
                 jammed.pool,
                 [&jammed] {
                     jammed.begun.release();
                     jammed.open.acquire();
                 },
                 Deadline::never);
         }));
         s.loop.run_ready();
         jammed.begun.acquire();
         s.at_end.push_back([&jammed] { jammed.open.release(); });
         return [&jammed](Deadline d) {
             return code_of(offload(
                 jammed.pool, [] {}, d));
         };
     }},
    {"SignalQueue::wait",
     [](Scene& s) -> Waiting {
         auto& signals = s.make<SignalQueue>(s.loop, std::initializer_list<int>{SIGUSR2});
         return [&signals](Deadline d) { return code_of(signals.wait(d)); };
     }},
    {"ChildProcess::wait",
     [](Scene& s) -> Waiting {
         using namespace process;
         auto& cat = s.make<ChildProcess>(
             ChildProcess::spawn(s.loop, {"cat"}, {.input = Stdio::pipe(), .output = Stdio::null()}).value());
         s.at_end.push_back([&] {
             (void)cat.kill(SIGKILL);
             while (!cat.status()) s.loop.run_ready();
         });
         return [&cat](Deadline d) { return code_of(cat.wait(d)); };
     }},
    {"ResolverCache::lookup",
     [](Scene& s) -> Waiting {
         auto& names = s.make<ResolverCache>(
             s.loop, [](const std::string&, Deadline d) -> cutils::Result<ResolverCache::Addresses> {
                 return to_error(WaitPoint("an answer").wait(d));
             });
         return [&names](Deadline d) { return code_of(names.lookup("example.org", d)); };
     }},
};

}  // namespace

TEST_GROUP_BASE(EveryWait, LoopFixture){
    // `attempt` with each kind, in a fresh scene; it returns what is wrong, empty when all is well.
    void with_each(const std::function<std::string(const Kind&, const Waiting&)>& attempt){std::string wrong;
for (const Kind& kind : kKinds) {
    Scene scene(loop);
    std::string said;
    {
        const Waiting waiting = kind.set(scene);
        said = attempt(kind, waiting);
    }
    scene.end();
    until([&] { return loop.thread_count() == 0; });
    if (!said.empty()) wrong += std::string(kind.name) + ": " + said + "\n";
}
CHECK_EQUAL("", wrong);
}
static std::string unless(bool right, const char* text) { return right ? "" : std::string(text) + "; "; }
// The error with which a wait of that kind ends at its deadline.
static std::error_code at_deadline(const Kind& kind) {
    return kind.reports_time ? std::error_code(NetError::timed_out) : std::error_code();
}
}
;

TEST(EveryWait, IsEndedByCancelAtOnceAndStaysCanceled) {
    with_each([this](const Kind&, const Waiting& waiting) {
        std::error_code first, second;
        int ends = 0;
        EvThread waiter = go([&] {
            first = waiting(Deadline::never);
            ++ends;
            second = waiting(Deadline::never);
        });
        run_ready();
        std::string wrong = unless(waiter.state() == EvThreadState::parked, "does not wait");
        waiter.cancel();
        waiter.cancel();
        run_ready();
        return wrong + unless(waiter.finished(), "goes on waiting") +
               unless(ends == 1, "ends more than once") +
               unless(first == NetError::canceled, "is not canceled") +
               unless(second == NetError::canceled, "is not canceled the second time");
    });
}

TEST(EveryWait, WhenCanceledBeforeItIsNotBegun) {
    with_each([this](const Kind&, const Waiting& waiting) {
        std::error_code error;
        EvThread waiter = go([&] { error = waiting(1h); });
        waiter.cancel();
        run_ready();
        return unless(waiter.finished(), "waits") + unless(error == NetError::canceled, "is not canceled");
    });
}

TEST(EveryWait, WhoseDeadlineHasPassedDoesNotSuspend) {
    with_each([this](const Kind& kind, const Waiting& waiting) {
        std::error_code error;
        bool other_ran = false, ran_before = true;
        EvThread waiter = go([&] {
            go([&] { other_ran = true; });
            error = waiting(0s);
            ran_before = other_ran;
        });
        run_ready();
        return unless(waiter.finished(), "waits") + unless(!ran_before, "lets others run") +
               unless(error == at_deadline(kind), error.message().c_str());
    });
}

TEST(EveryWait, EndsAtItsDeadlineAndNotBefore) {
    with_each([this](const Kind& kind, const Waiting& waiting) {
        std::error_code error;
        const TimePoint begin = loop.now();
        EvThread waiter = go([&] { error = waiting(1h); });
        run_ready();
        advance(1h - 1ns);
        std::string wrong = unless(!waiter.finished(), "ends too early");
        advance(1ns);
        return wrong + unless(waiter.finished(), "goes on") + unless(loop.now() - begin == 1h, "took long") +
               unless(error == at_deadline(kind), error.message().c_str());
    });
}

TEST(EveryWait, GoesOnUnderAShieldAndIsCanceledBehindIt) {
    with_each([this](const Kind& kind, const Waiting& waiting) {
        std::error_code under, behind;
        EvThread waiter = go([&] {
            {
                const CancelShield shield(2h);
                under = waiting(1h);
            }
            behind = waiting(1h);
        });
        run_ready();
        waiter.cancel();
        run_ready();
        std::string wrong = unless(waiter.state() == EvThreadState::parked, "the shield does not hold");
        advance(1h);
        return wrong + unless(waiter.finished(), "goes on") +
               unless(under == at_deadline(kind), under.message().c_str()) +
               unless(behind == NetError::canceled, "is not canceled behind the shield");
    });
}

TEST(EveryWait, EndsWithItsShield) {
    with_each([this](const Kind&, const Waiting& waiting) {
        std::error_code error;
        EvThread waiter = go([&] {
            const CancelShield shield(1h);
            error = waiting(2h);
        });
        run_ready();
        waiter.cancel();
        advance(1h);
        return unless(waiter.finished(), "goes on") + unless(error == NetError::canceled, "is not canceled");
    });
}

TEST(EveryWait, EndsAtTheDeadlineOfItsBundle) {
    with_each([this](const Kind&, const Waiting& waiting) {
        std::error_code error;
        Bundle children(loop, 1h);
        children.go([&] { error = waiting(Deadline::never); });
        run_ready();
        advance(1h);
        return unless(children.empty(), "goes on") +
               unless(error == NetError::timed_out, error.message().c_str());
    });
}
