#include "evcorothread/resolver.h"

#include <netdb.h>

#include <charconv>
#include <exception>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <utility>

#include "cutils/check.h"
#include "evcorothread/cross_waiter_internal.h"
#include "evcorothread/loop_core_internal.h"
#include "evcorothread/timed_store_internal.h"

namespace evcorothread {

using cutils::Error;
using cutils::Result;
using nutils::lookup_error;
using nutils::NetError;
using nutils::SockAddr;

namespace {

using Addresses = Resolver::Addresses;
using Answer = Result<Addresses>;

struct Question {
    std::string host;
    std::string service;
    std::string key;
    TimePoint asked;
    [[nodiscard]] Error error(const std::error_code& code) const { return lookup_error(code, host, service); }
};

// A name that is being looked up. At any time either one of those who ask leads, which is to say that it has
// handed a job to the pool which may still be withdrawn; or that job has begun, and will land.
struct Flight {
    CrossQueue followers;
    std::optional<Answer> answer;
    int leader = 0;  // counts them: a withdrawn job finds that it is no longer the one
    bool begun = false;
};

// About the name, rather than about the attempt to look it up.
bool worth_remembering(const Answer& answer) {
    return answer || answer.error() == std::errc::no_such_device_or_address;
}

// What concerns whoever asked, and not the others that want to know.
bool personal(const Error& error) { return error == NetError::canceled || error == NetError::timed_out; }

TimePoint now_here() {
    return t_here.thread != nullptr ? t_here.thread->loop.now() : cutils::monotonic_now();
}
TimePoint precise_now_here() {
    return t_here.thread != nullptr ? t_here.thread->loop.precise_now() : cutils::monotonic_now();
}

// Neither a name nor a service of the system's files is longer, and nothing behind a zero byte would be seen.
bool possible(std::string_view text, std::size_t limit) {
    return text.size() < limit && text.find('\0') == std::string_view::npos;
}

// The port that a service is the number of; none for what has to be looked up.
std::optional<std::uint16_t> number_of(std::string_view service) {
    std::uint16_t port = 0;
    if (service.empty()) return port;
    const char* const end = service.data() + service.size();
    const auto [stopped, error] = std::from_chars(service.data(), end, port);
    if (error != std::errc() || stopped != end) return std::nullopt;
    return port;
}

bool is_digits(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

Answer with_port(Answer answer, std::optional<std::uint16_t> port) {
    if (!answer || !port) return answer;
    for (SockAddr& address : *answer) address = SockAddr::from(address.ip(), *port);
    return answer;
}

}  // namespace

struct Resolver::Shared {
    Shared(Lookup l, Options o) : ask_system(std::move(l)), options(o), known(options.max_names) {}

    Answer lookup(const std::shared_ptr<Shared>& self, OffloadPool& pool, const Question& question,
                  Deadline deadline);
    Answer lead(const std::shared_ptr<Shared>& self, OffloadPool& pool, const Question& question,
                const std::shared_ptr<Flight>& flight, std::unique_lock<std::mutex>& lock, Deadline deadline);

    // With the lock held.
    void land(const Question& question, Flight& flight, Answer answer) noexcept;
    void hand_over(const Question& question, Flight& flight) noexcept;
    void remember(const Question& question, const Answer& answer) noexcept;

    // On a thread of the pool.
    void run(const Question& question, Flight& flight, int leader);
    Answer ask(const Question& question) const;

    const Lookup ask_system;
    const Options options;
    std::mutex mutex;
    TimedStore<Answer> known;
    std::map<std::string, std::shared_ptr<Flight>> flights;
    std::size_t inside = 0;  // who wait in lookup()
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;
};

void Resolver::Shared::remember(const Question& question, const Answer& answer) noexcept {
    if (!worth_remembering(answer)) return;
    const Deadline live = answer ? options.time_to_live : options.failure_time_to_live;
    try {
        known.put(question.key, answer, live.resolved(question.asked).at());
    } catch (const std::bad_alloc&) {
        // Then it is looked up again.
    }
}

void Resolver::Shared::land(const Question& question, Flight& flight, Answer answer) noexcept {
    remember(question, answer);
    flight.answer.emplace(std::move(answer));
    flights.erase(question.key);  // those who wait keep the flight
    flight.followers.wake_all();
}

void Resolver::Shared::hand_over(const Question& question, Flight& flight) noexcept {
    ++flight.leader;
    if (flight.followers.empty())
        flights.erase(question.key);
    else
        flight.followers.pop().wake();
}

Answer Resolver::Shared::ask(const Question& question) const {
    const auto failed = [&](const std::error_code& code, std::string what) {
        return Error(code, question.error(code).context() + ": " + std::move(what));
    };
    try {
        Answer answer = ask_system(question.host, question.service);
        if (answer && answer->empty()) return question.error(NameError::no_address);
        return answer;
    } catch (const std::bad_alloc&) {
        return Error(std::make_error_code(std::errc::not_enough_memory));
    } catch (const std::system_error& error) {
        return failed(error.code(), error.what());
    } catch (const std::exception& error) {
        return failed(std::make_error_code(std::errc::io_error), error.what());
    } catch (...) {
        return failed(std::make_error_code(std::errc::io_error), "an exception of unknown type");
    }
}

void Resolver::Shared::run(const Question& question, Flight& flight, int leader) {
    std::unique_lock lock(mutex);
    // The leader may have gone between the pool's taking the job and this.
    if (flight.leader != leader) return;
    flight.begun = true;
    ++misses;
    lock.unlock();
    Answer answer = ask(question);
    lock.lock();
    land(question, flight, std::move(answer));
}

Resolver::Resolver(OffloadPool& pool, Options options) : Resolver(pool, nutils::look_up_name, options) {}

Resolver::Resolver(OffloadPool& pool, Lookup lookup, Options options)
    : pool_(pool), shared_(std::make_shared<Shared>(std::move(lookup), options)) {
    EVC_CHECK(shared_->ask_system != nullptr, "a Resolver without a function to look up names");
}

Resolver::~Resolver() {
    const std::lock_guard lock(shared_->mutex);
    EVC_CHECK(shared_->inside == 0, "a Resolver dies while somebody waits in lookup()");
}

Answer Resolver::lookup(std::string_view host, std::string_view service, Deadline deadline) {
    // One lookup serves all ports: only a service with a name is part of the question.
    const std::optional<std::uint16_t> port = number_of(service);
    const std::string name = lower_case(host);
    const std::string named(port ? std::string_view() : service);
    const Question question{name, named, name + '\0' + named, now_here()};
    if (host.empty() || !possible(host, NI_MAXHOST) || !possible(service, NI_MAXSERV) || is_digits(named))
        return question.error(std::make_error_code(std::errc::invalid_argument));
    if (const ThreadCore* const self = t_here.thread; self != nullptr && self->refuses_waits())
        return question.error(NetError::canceled);
    if (const auto address = nutils::IpAddress::parse(host); address && port)
        return Addresses{SockAddr::from(*address, *port)};
    return with_port(shared_->lookup(shared_, pool_, question, deadline.resolved(precise_now_here())), port);
}

// What a lookup in the memory cannot say, it waits for.
Answer Resolver::Shared::lookup(const std::shared_ptr<Shared>& self, OffloadPool& pool,
                                const Question& question, Deadline deadline) {
    std::unique_lock lock(mutex);
    if (const Answer* const found = known.find(question.key, question.asked)) {
        ++hits;
        return *found;
    }
    struct Caller {
        explicit Caller(std::size_t& n) : count(n) { ++count; }
        ~Caller() { --count; }
        std::size_t& count;
    } const here(inside);
    std::shared_ptr<Flight> flight;
    if (const auto under_way = flights.find(question.key); under_way != flights.end()) {
        flight = under_way->second;
        CrossWaiter waiter("name lookup");
        const Wake cause = flight->followers.wait(waiter, lock, deadline);
        if (cause != Wake::event) return question.error(to_error(cause));
        // Else the leader has gone before its job began: now we lead.
        if (flight->answer) return *flight->answer;
    } else {
        flight = std::make_shared<Flight>();
        flights.emplace(question.key, flight);
    }
    return lead(self, pool, question, flight, lock, deadline);
}

// Before and after: with the lock, which is let go meanwhile.
Answer Resolver::Shared::lead(const std::shared_ptr<Shared>& self, OffloadPool& pool,
                              const Question& question, const std::shared_ptr<Flight>& flight,
                              std::unique_lock<std::mutex>& lock, Deadline deadline) {
    const int leader = flight->leader;
    std::optional<Error> error;
    try {
        lock.unlock();
        const Result<void> asked = offload(
            pool, [self, question, flight, leader] { self->run(question, *flight, leader); }, deadline);
        if (!asked) error = question.error(asked.error().code());
        lock.lock();
    } catch (...) {
        lock.lock();
        if (!flight->begun) hand_over(question, *flight);
        throw;
    }
    if (flight->answer) return *flight->answer;
    if (flight->begun) return *std::move(error);
    if (personal(*error)) {
        hand_over(question, *flight);
    } else {
        ++flight->leader;
        land(question, *flight, *error);
    }
    return *std::move(error);
}

void Resolver::clear() {
    const std::lock_guard lock(shared_->mutex);
    shared_->known.clear();
}

std::size_t Resolver::size() const {
    const std::lock_guard lock(shared_->mutex);
    return shared_->known.size();
}

std::uint64_t Resolver::hits() const {
    const std::lock_guard lock(shared_->mutex);
    return shared_->hits;
}

std::uint64_t Resolver::misses() const {
    const std::lock_guard lock(shared_->mutex);
    return shared_->misses;
}

}  // namespace evcorothread
