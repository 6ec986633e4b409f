// TlsLayer: TLS for those who wait themselves: callbacks on an event loop, or an OS thread with poll(2).
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <system_error>

#include "cutils/export.h"
#include "cutils/result.h"
#include "evcorothread/tls_context.h"
#include "evcorothread/tls_socket.h"
#include "nutils/io_result.h"

namespace evcorothread {

// What is below TLS: gives and takes what it can now, and says would_block when that is nothing.
class TlsTransport {
  public:
    virtual nutils::IoResult try_recv(std::span<char> buffer) = 0;
    virtual nutils::IoResult try_send(std::string_view data) = 0;

  protected:
    ~TlsTransport() = default;
};

// The server's side of a connection. In a coroutine TlsSocket is simpler, and does the same.
//
//   auto tls = TlsLayer::accept(transport, context);
//   when readable:  if (!tls->is_shaken()) {
//                       error = tls->shake_hands();
//                       if (error) { would_block: return and wait; else: close }
//                   }
//                   while ((got = tls->try_recv(buffer))) …
//   when writable:  if (!tls->flush()) …    what was waiting for room is gone
//
// Owner:  a value; does not own the transport, which must outlive it. One thread at a time.
// Errors: as TlsSocket. Nothing here suspends or blocks.
// Cost:   as TlsSocket, and two virtual calls a record.
class EVC_API TlsLayer {
  public:
    // Of no connection; every call returns `closed`.
    TlsLayer() noexcept;
    TlsLayer(TlsLayer&&) noexcept;
    TlsLayer& operator=(TlsLayer&&) noexcept;
    ~TlsLayer();

    // Moves no byte yet. Before: a server's context. Errors: not_enough_memory, as OpenSSL tells it.
    [[nodiscard]] static cutils::Result<TlsLayer> accept(TlsTransport& transport, const TlsContext& context);

    // One step.
    // Errors: would_block: come again when the transport is readable (and flush() when it is writable, if
    //         wants_room()). TlsError and others as TlsSocket::accept; the peer has been told why.
    [[nodiscard]] std::error_code shake_hands();
    // After TlsError::plain_text: says so in the log, at most once a second, as TlsSocket does.
    void report_plain_text(std::string_view peer) const;
    [[nodiscard]] bool is_shaken() const { return shaken_; }

    // Errors: would_block, eof, truncated, TlsError, those of the transport; all but the first repeat.
    [[nodiscard]] nutils::IoResult try_recv(std::span<char> buffer);
    // Bytes that do not make the transport readable any more: read them before you wait.
    [[nodiscard]] bool has_pending() const;

    // Takes one record, 16 KiB at most. Errors: would_block: an earlier one is still on its way.
    [[nodiscard]] nutils::IoResult try_send(std::string_view data);
    // Something waits for the transport's room: flush() when there is some.
    [[nodiscard]] bool wants_room() const;
    // Errors: would_block, or why sending is over.
    [[nodiscard]] std::error_code flush();

    // The peer will read eof. Before a close, after everything was flushed.
    void say_goodbye();

    [[nodiscard]] TlsInfo info() const;
    explicit operator bool() const { return engine_ != nullptr; }

  private:
    struct Engine;
    explicit TlsLayer(std::unique_ptr<Engine> engine) noexcept;
    std::unique_ptr<Engine> engine_;
    bool shaken_ = false;
};

}  // namespace evcorothread
