// FdWatch: one descriptor in the loop, registered once for both directions, edge-triggered. Internal.
//
// What the kernel last said is remembered, so that a wait is only made, and a syscall only tried, when it can
// help. One coroutine may wait to read and one to write at the same time.
#pragma once

#include <cstdint>
#include <span>
#include <system_error>

#include "cutils/deadline.h"
#include "evcorothread/loop_core_internal.h"

namespace evcorothread {

struct FdWatch;

// Told, on the loop's stack, that a descriptor nobody waits on may be read: a parked connection, a listener.
class ReadableListener {
  public:
    virtual void readable(FdWatch& watch) = 0;
    // For those who want to know of both directions. The watch may be gone when it returns.
    virtual void changed(FdWatch& watch, bool may_read, bool may_write) {
        (void)may_write;
        if (may_read) readable(watch);
    }

  protected:
    ~ReadableListener() = default;
};

// Told, on the loop's stack, that a descriptor nobody waits on may be written: what has something left to go.
class WritableListener {
  public:
    virtual void writable(FdWatch& watch) = 0;

  protected:
    ~WritableListener() = default;
};

struct FdWatch {
    FdWatch(LoopCore& core, int descriptor) : loop(core), fd(descriptor) {}
    FdWatch(const FdWatch&) = delete;
    FdWatch& operator=(const FdWatch&) = delete;
    ~FdWatch() { close(); }

    // Puts it into the loop, if it is not there yet: one epoll_ctl in a descriptor's life.
    std::error_code ensure_registered();

    // Suspend until the kernel says that reading, or writing, may go on. Returns timed_out, canceled, busy
    // (somebody else waits in that direction), closed (then *this may be gone), or what registering said.
    std::error_code wait_readable(Deadline deadline);
    std::error_code wait_writable(Deadline deadline);

    // For a writer that has much to send to somebody who takes it all at once: others run, and I/O is looked
    // at. Nobody else sends meanwhile. Returns what wait_writable() does.
    std::error_code let_others_run(Deadline deadline);

    // May reading give anything but would_block? Exact as far as the kernel has told.
    [[nodiscard]] bool may_read() const { return readable || unverified; }

    // After a read that gave less than was asked for: the kernel's buffer was empty then, and a new edge will
    // say when it is not. But an error that was pending then makes no new edge, so somebody must still ask
    // once
    // (`unverified`), unless a write succeeds meanwhile: that would have met the error.
    void drained() {
        if (peer_ended) return;  // the end of the stream is behind it, and makes no edge either
        readable = false;
        unverified = true;
    }
    void wrote() { unverified = false; }

    // Out of the loop, and closed. Whoever waits is woken with `closed`.
    void close();
    // Out of the loop, not closed. Nobody may be waiting.
    int release();

    // Closes all that are registered in `loop`, but those whose descriptors are in `keep`.
    static void close_all(LoopCore& loop, std::span<const int> keep);

    void on_event(short what);

    LoopCore& loop;
    int fd;
    bool registered = false;
    bool readable = true;  // until the kernel says otherwise
    bool writable = true;
    bool peer_ended = false;  // seen EPOLLRDHUP: reading goes on to the end of the stream
    bool unverified = false;
    WaitPoint* reader = nullptr;
    WaitPoint* writer = nullptr;
    FdWatch** selecting = nullptr;  // where a select's arm that is the reader knows *this: null when closed
    ReadableListener* listener = nullptr;
    WritableListener* drainer = nullptr;
    Duration idle_timeout = Duration::max();
    EventStorage event;

  private:
    std::error_code wait_for_room(Deadline deadline);
    std::error_code wait(WaitPoint* FdWatch::*slot, const char* reason, Deadline deadline);
    void unregister();
    static void callback(int fd, short what, void* self);
};

}  // namespace evcorothread
