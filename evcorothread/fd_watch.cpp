#include <event2/event.h>
#include <event2/event_struct.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "evcorothread/fd_watch_internal.h"
#include "nutils/net_error.h"
#include "nutils/unsent_queue.h"

namespace evcorothread {
namespace {

event* as_event(EventStorage& storage) { return reinterpret_cast<event*>(storage.bytes); }

}  // namespace

std::error_code FdWatch::ensure_registered() {
    if (registered) return {};
    loop.check_thread();
    // EV_CLOSED (EPOLLRDHUP) tells a peer that has finished from one that is quiet.
    event_assign(as_event(event), loop.base, fd, EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST,
                 &callback, this);
    errno = 0;
    if (event_add(as_event(event), nullptr) != 0)
        return {errno != 0 ? errno : ENOMEM, std::generic_category()};
    registered = true;
    return {};
}

void FdWatch::callback(evutil_socket_t, short what, void* self) {
    static_cast<FdWatch*>(self)->on_event(what);
}

void FdWatch::close_all(LoopCore& loop, std::span<const int> keep) {
    struct Search {
        std::span<const int> keep;
        std::vector<FdWatch*> found;
    } search{keep, {}};
    event_base_foreach_event(
        loop.base,
        [](const event_base*, const ::event* candidate, void* context) {
            Search& s = *static_cast<Search*>(context);
            if (event_get_callback(candidate) != &callback) return 0;
            auto* const watch = static_cast<FdWatch*>(event_get_callback_arg(candidate));
            if (std::find(s.keep.begin(), s.keep.end(), watch->fd) == s.keep.end()) s.found.push_back(watch);
            return 0;
        },
        &search);
    for (FdWatch* watch : search.found) watch->close();
}

void FdWatch::on_event(short what) {
    ++loop.io_events;
    if ((what & EV_CLOSED) != 0) peer_ended = true;
    if ((what & EV_WRITE) != 0) {
        writable = true;
        if (writer != nullptr)
            writer->wake();
        else if (drainer != nullptr)
            drainer->writable(*this);
    }
    bool may_read = (what & (EV_READ | EV_CLOSED)) != 0;
    if (may_read) readable = true;
    if (may_read && reader != nullptr) {
        reader->wake();
        may_read = false;
    }
    // Last: *this may be gone afterwards.
    if (listener != nullptr) listener->changed(*this, may_read, (what & EV_WRITE) != 0);
}

std::error_code FdWatch::wait(WaitPoint* FdWatch::*slot, const char* reason, Deadline deadline) {
    if (this->*slot != nullptr) return nutils::NetError::busy;
    if (fd < 0) return nutils::NetError::closed;
    if (const std::error_code error = ensure_registered()) return error;
    if (idle_timeout != Duration::max())
        deadline = Deadline::earlier(deadline, idle_timeout, loop.precise_now());
    WaitPoint point = ThreadCore::point(ThreadCore::current(), reason, WaitKind::descriptor, fd);
    this->*slot = &point;
    const Wake cause = point.wait(deadline);
    if (cause == Wake::closed) return nutils::NetError::closed;  // *this may be gone
    this->*slot = nullptr;
    return to_error(cause);
}

std::error_code FdWatch::wait_readable(Deadline deadline) {
    readable = false;
    return wait(&FdWatch::reader, "recv", deadline);
}

std::error_code FdWatch::wait_writable(Deadline deadline) {
    writable = false;
    if (idle_timeout != Duration::max()) return wait_for_room(deadline);
    return wait(&FdWatch::writer, "send", deadline);
}

// A peer that takes what the kernel has for it is not idle, however long it takes until there is room.
std::error_code FdWatch::wait_for_room(Deadline deadline) {
    deadline = deadline.resolved(loop.precise_now());
    // After `closed`, *this may be gone.
    return nutils::wait_while_taken(
        fd, [&] { return wait(&FdWatch::writer, "send", deadline); },
        [&] { return deadline.passed(loop.precise_now()); });
}

std::error_code FdWatch::let_others_run(Deadline deadline) {
    // yield() would leave the place of the writer to anybody, and look at I/O only after many turns.
    struct NextPass final : LaterTask {
        explicit NextPass(WaitPoint& its_point) : point(its_point) {}
        ~NextPass() { unlink(); }
        void run_later() override { point.wake(); }
        WaitPoint& point;
    };
    WaitPoint point = ThreadCore::point(ThreadCore::current(), "send", WaitKind::descriptor, fd);
    NextPass next(point);
    loop.later(next);
    writer = &point;
    const Wake cause = point.wait(deadline);
    if (cause == Wake::closed) return nutils::NetError::closed;  // *this may be gone
    writer = nullptr;
    return to_error(cause);
}

void FdWatch::unregister() {
    if (std::exchange(registered, false)) event_del(as_event(event));
}

int FdWatch::release() {
    unregister();
    return std::exchange(fd, -1);
}

void FdWatch::close() {
    if (fd < 0) return;
    loop.check_thread_while_running();
    ::close(release());
    if (selecting != nullptr) *std::exchange(selecting, nullptr) = nullptr;
    if (reader != nullptr) std::exchange(reader, nullptr)->wake_closed();
    if (writer != nullptr) std::exchange(writer, nullptr)->wake_closed();
    loop.descriptor_closed();
}

}  // namespace evcorothread
