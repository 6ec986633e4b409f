// TlsSocket: a TLS connection over an EvSocket; used like one.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "cutils/result.h"
#include "evcorothread/ev_socket.h"
#include "evcorothread/tls_context.h"
#include "evcorothread/tls_error.h"
#include "nutils/byte_stream.h"

struct ssl_st;  // OpenSSL's SSL; its header is not needed here

namespace evcorothread {

struct TlsEngine;

// What two peers have agreed on, and who the other one is.
struct TlsInfo {
    std::string protocol{};     // "TLSv1.3"
    std::string cipher{};       // "TLS_AES_128_GCM_SHA256"
    std::string alpn{};         // empty: none agreed on
    std::string server_name{};  // the host the client named; empty: none
    bool resumed = false;       // without a full handshake
    // The peer's certificate, as in RFC 2253: "CN=ada,O=Example". Empty: it showed none.
    std::string peer_subject{};
    std::string peer_issuer{};
    bool peer_verified = false;  // somebody we trust says so
};

// Usage:
//
//   void echo(EvSocket plain, const TlsContext& context) {
//       auto socket = TlsSocket::accept(std::move(plain), context, 10s);
//       if (!socket) return log(socket.error().message());
//       char buffer[4096];
//       while (auto got = socket->recv(buffer, 3s))
//           if (!socket->send_all({buffer, got.bytes}, 3s)) break;
//   }   // says goodbye and closes
//
// Owner:    a value, usually a local of its coroutine; closes when destroyed. Movable, not while somebody
//           waits on it.
// Sharing:  one coroutine may receive and another send at the same time (full duplex); a second one in the
//           same direction gets `busy`. What TLS itself has to send meanwhile (answers to key updates,
//           alerts, tickets) goes between two records, by whoever runs or by the loop: a coroutine that waits
//           to receive is woken only by what arrives, one that waits to send only by room to send.
// Thread:   its loop's. Cancel: as EvSocket.
// Stack:    a handshake needs about 16 KiB of it, the rest 6; a coroutine with less aborts with a clear line.
// Cost:     per record (16 KiB at most) one recv(2) or send(2) on top of OpenSSL's work; what arrives is
//           decrypted where the kernel put it. Idle, no buffer of 16 KiB is kept, by OpenSSL or by us.
class EVC_API TlsSocket final : public nutils::ByteStream {
  public:
    // Closed; every call returns `closed`.
    TlsSocket() noexcept;
    TlsSocket(TlsSocket&&) noexcept;
    TlsSocket& operator=(TlsSocket&&) noexcept;
    ~TlsSocket() override;

    // Shakes hands with a client. `deadline` is for all of it: a silent client is `timed_out`.
    // Before:   called in a coroutine thread of the socket's loop; a server's context.
    // Suspends: until both have agreed, or not.
    // Errors:   the kinds of TlsError; timed_out, canceled, truncated (it hung up half-way); the errno of a
    //           socket call. The message names the peer. Plain HTTP (or other text) spoken to this port is
    //           also logged, at most once a second. The peer is told why it is refused.
    [[nodiscard]] static cutils::Result<TlsSocket> accept(EvSocket socket, const TlsContext& context,
                                                          Deadline deadline);

    // Shakes hands with a server. `host` is what its certificate must be made out for, and what it is told
    // (SNI): a name or an address. A session of an earlier connection to the same host and port is resumed.
    // Errors:   as accept; errc::invalid_argument for an empty host when certificates are verified, and for
    //           what is no host, such as ".org".
    [[nodiscard]] static cutils::Result<TlsSocket> connect(EvSocket socket, const TlsContext& context,
                                                           std::string_view host, Deadline deadline);

    // The same over a socket that stays where it is, for instance in an EvParking::Guest. It is closed with
    // the TlsSocket, but stays open when the handshake fails. Lifetime: it must not be moved, and live
    // longer.
    [[nodiscard]] static cutils::Result<TlsSocket> accept_on(EvSocket& socket, const TlsContext& context,
                                                             Deadline deadline);
    [[nodiscard]] static cutils::Result<TlsSocket> connect_on(EvSocket& socket, const TlsContext& context,
                                                              std::string_view host, Deadline deadline);

    // Waits until something has arrived, then takes what is there, of one record at most.
    // Errors: as EvSocket::recv, besides:
    //         eof        the peer said that it has finished; repeats
    //         truncated  the stream ended without the peer saying so: somebody may have cut it off; repeats
    //         TlsError   refused_by_peer or protocol, with OpenSSL's words; repeats
    [[nodiscard]] IoResult recv(std::span<char> buffer, Deadline deadline) override;
    // Takes what is there now: would_block when nothing is. Never suspends.
    [[nodiscard]] IoResult try_recv(std::span<char> buffer);
    // May try_recv give anything but would_block, as far as is known without asking? False means no. Before a
    // connection is parked this must be false: bytes inside TLS do not make the socket readable.
    [[nodiscard]] bool may_recv() const;

    // Sends of `data` one record, 16 KiB at most, and waits until the kernel has taken it; `busy` when
    // another coroutine is sending. Errors: as EvSocket::send. A deadline that passes: bytes are those that
    // are encrypted and will go (in
    //         the background) before anything else does; they must not be sent again.
    [[nodiscard]] IoResult send(std::string_view data, Deadline deadline) override;
    // The pieces go in one record as long as they fit.
    [[nodiscard]] IoResult sendv(std::span<const iovec> pieces, Deadline deadline) override;
    [[nodiscard]] IoResult send_all(std::string_view data, Deadline deadline) override;
    [[nodiscard]] IoResult send_all_v(std::span<iovec> pieces, Deadline deadline) override;
    // Takes one record, or would_block while an earlier one is still on its way. Never suspends. close()
    // right afterwards may cut it off; close(Deadline) does not.
    [[nodiscard]] IoResult try_send(std::string_view data);
    // Has the kernel taken all of it? The loop sends what it has not. Never suspends.
    // Errors: would_block: not yet; those of send.
    [[nodiscard]] std::error_code try_flush();

    // Sends `count` bytes of an open file from `offset` on; read and encrypted record by record. Others run
    // after each MiB.
    // Errors: those of send and pread(2); eof when the file is shorter than that.
    [[nodiscard]] IoResult sendfile_all(int file, off_t offset, std::size_t count, Deadline deadline);

    // Says that we have finished: the peer reads eof. Receiving goes on. Never suspends.
    IoResult shutdown_send() override;
    // The same, and waits until the kernel has taken it: close() right afterwards does not cut it off. After
    // a deadline it can be called again. Errors: those of send.
    [[nodiscard]] IoResult finish_send(Deadline deadline) override;

    // Says goodbye if the kernel takes it now, and closes; idempotent. Coroutines that wait on it return
    // `closed`, now.
    void close() noexcept override;
    // Sends what is still to go, says goodbye, waits for the peer's, forgetting what it sends until then, and
    // closes; closed even on an error.
    // Errors: those of send; truncated, when the peer just hung up.
    [[nodiscard]] std::error_code close(Deadline deadline);
    // Closes without a goodbye: the peer reads `truncated`, and knows that this was not all.
    void abort() noexcept;

    // As EvSocket::set_idle_timeout.
    void set_idle_timeout(Duration timeout);

    [[nodiscard]] TlsInfo info() const;
    // Of that the part needed most often. Lifetime: this socket's.
    [[nodiscard]] std::string_view alpn() const;

    [[nodiscard]] bool is_open() const;
    explicit operator bool() const { return is_open(); }
    [[nodiscard]] int fd() const;
    [[nodiscard]] cutils::Result<nutils::SockAddr> peer() const;
    [[nodiscard]] cutils::Result<nutils::SockAddr> local() const;
    [[nodiscard]] TimePoint now() const override;

    // OpenSSL's own object, for what is not offered here; null when there is none. To be asked, not to move
    // bytes. SSL_key_update(3) may be called: it takes effect with the next send.
    [[nodiscard]] ssl_st* native() const;

  private:
    explicit TlsSocket(std::unique_ptr<TlsEngine> engine) noexcept;
    static cutils::Result<TlsSocket> shaken(std::unique_ptr<TlsEngine> engine, const TlsContext& context,
                                            std::error_code error, Deadline deadline);
    std::unique_ptr<TlsEngine> engine_;
};

}  // namespace evcorothread
