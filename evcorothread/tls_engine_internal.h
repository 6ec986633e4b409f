// TlsEngine: OpenSSL's SSL over an EvSocket. Nothing here suspends: it takes what the kernel has, gives what
// the kernel takes, and says when that is not enough. Internal.
//
// Two rules keep a reader and a writer at once, on one SSL, in order:
//   * Whatever OpenSSL produces it gets rid of at once: to the kernel, or behind what the kernel did not take
//     yet (`waiting`). So no call leaves OpenSSL in the middle of a record, and the next one, by whomever,
//     may do anything.
//   * `waiting` goes to the kernel before anything else does, by the next writer, or by the loop itself when
//     there is room: nobody need care for it.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "evcorothread/ev_socket.h"
#include "evcorothread/fd_watch_internal.h"
#include "evcorothread/tls_openssl_internal.h"
#include "nutils/byte_buffer.h"

struct bio_st;

namespace evcorothread {

struct TlsEngine final : WritableListener {
    // What one record holds.
    static constexpr std::size_t kRecord = 16 * 1024;

    explicit TlsEngine(EvSocket socket) : owned(std::move(socket)), transport(owned) {}
    struct Borrowed {
        EvSocket& socket;
    };
    explicit TlsEngine(Borrowed borrowed) : transport(borrowed.socket) {}
    TlsEngine(const TlsEngine&) = delete;
    TlsEngine& operator=(const TlsEngine&) = delete;
    ~TlsEngine();

    // Makes the SSL. Errors: not_enough_memory.
    std::error_code begin(ssl_ctx_st* context, bool server);
    // Whom the certificate must name, and whom we ask for. Errors: not_enough_memory.
    std::error_code expect(const std::string& host, bool verify);

    // One step of the handshake. Errors: would_block: wait until the socket is readable, and come again.
    std::error_code shake_hands();

    // Errors: would_block, eof, truncated, and others: see TlsSocket.
    IoResult read(std::span<char> buffer);
    // One record of `data`. Before: nothing is waiting; data not empty.
    IoResult write(std::string_view data);
    // Hands over what is waiting, as far as the kernel takes it. Errors: would_block, or why sending is over.
    std::error_code flush();
    // After send_error: the peer may have said why it does not listen any more, before it hung up.
    std::error_code why_not_sent();
    // Says that nothing more will be sent.
    std::error_code say_goodbye();

    [[nodiscard]] bool may_read() const;
    [[nodiscard]] FdWatch* watch() const { return transport.watch(); }

    void writable(FdWatch&) override { (void)flush(); }

    // OpenSSL's reading and writing.
    int bio_read(bio_st* bio, char* buffer, int size);
    int bio_write(bio_st* bio, const char* data, int size);

    EvSocket owned;
    EvSocket& transport;  // owned, or the caller's
    SslPtr ssl;
    nutils::ByteBuffer waiting{kMaxWaiting};
    std::error_code send_error;    // sending is over
    std::error_code receive_end;   // receiving is over: what read() says from now on
    std::string session_key;       // of a client: under what its sessions are kept
    bool transport_ended = false;  // the stream below has

  private:
    // A record, and the little that TLS itself may have to say while it waits. A peer that makes us answer
    // without taking the answers is let go.
    static constexpr std::size_t kMaxWaiting = 64 * 1024;

    std::error_code failure();
    void put(std::string_view data);
    void wait_for_room();

    std::error_code transport_error_;
    bool hungry_ = true;    // OpenSSL has asked for more than there was
    bool shaking_ = false;  // what is produced goes out in one piece at the end of a step
    bool goodbye_ = false;
    bool plain_text_ = false;
    bool begun_ = false;
};

}  // namespace evcorothread
