// TlsEngine: a TlsCore over an EvSocket. What waits for room goes out by the loop itself, when there is some:
// nobody need care for it. Internal.
#pragma once

#include <utility>

#include "evcorothread/ev_socket.h"
#include "evcorothread/fd_watch_internal.h"
#include "evcorothread/tls_core_internal.h"

namespace evcorothread {

struct TlsEngine final : TlsCore, WritableListener {
    explicit TlsEngine(EvSocket socket) : owned(std::move(socket)), transport(owned) {}
    struct Borrowed {
        EvSocket& socket;
    };
    explicit TlsEngine(Borrowed borrowed) : transport(borrowed.socket) {}
    ~TlsEngine() override {
        if (FdWatch* const w = watch(); w != nullptr && w->drainer == this) w->drainer = nullptr;
    }

    [[nodiscard]] bool may_read() const {
        const FdWatch* const w = watch();
        if (w == nullptr || w->fd < 0) return false;
        return receive_end || w->may_read() || has_pending();
    }
    [[nodiscard]] FdWatch* watch() const { return transport.watch(); }
    void writable(FdWatch&) override { (void)flush(); }

    EvSocket owned;
    EvSocket& transport;  // owned, or the caller's

  private:
    IoResult take(std::span<char> buffer) override { return transport.try_recv(buffer); }
    IoResult give(std::string_view data) override {
        const IoResult sent = transport.try_send(data);
        if (!sent.error) watch()->wrote();
        return sent;
    }
    std::error_code wait_for_room() override {
        FdWatch& w = *watch();
        w.drainer = this;
        return w.ensure_registered();
    }
    [[nodiscard]] bool has_reader() const override {
        return watch() == nullptr || watch()->reader != nullptr;
    }
};

}  // namespace evcorothread
