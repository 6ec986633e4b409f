// TlsCore: OpenSSL's SSL over something that moves bytes. Nothing here suspends: it takes what the kernel
// has, gives what the kernel takes, and says when that is not enough. Internal.
//
// Two rules keep a reader and a writer at once, on one SSL, in order:
//   * Whatever OpenSSL produces it gets rid of at once: to the kernel, or behind what the kernel did not take
//     yet (`waiting`). So no call leaves OpenSSL in the middle of a record, and the next one, by whomever,
//     may do anything.
//   * `waiting` goes to the kernel before anything else does, by the next writer, or by whoever is told
//     when there is room.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "evcorothread/tls_openssl_internal.h"
#include "nutils/byte_buffer.h"
#include "nutils/io_result.h"
#include "nutils/net_error.h"

struct bio_st;

namespace evcorothread {

using nutils::IoResult;
using nutils::NetError;

class TlsCore {
  public:
    // What one record holds.
    static constexpr std::size_t kRecord = 16 * 1024;

    TlsCore() = default;
    TlsCore(const TlsCore&) = delete;
    TlsCore& operator=(const TlsCore&) = delete;
    virtual ~TlsCore() = default;

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

    // Bytes that have been taken from the transport, and not read yet.
    [[nodiscard]] bool has_pending() const;

    // OpenSSL's reading and writing.
    int bio_read(bio_st* bio, char* buffer, int size);
    int bio_write(bio_st* bio, const char* data, int size);

    SslPtr ssl;
    nutils::ByteBuffer waiting{kMaxWaiting};
    std::error_code send_error;    // sending is over
    std::error_code receive_end;   // receiving is over: what read() says from now on
    std::string session_key;       // of a client: under what its sessions are kept
    bool transport_ended = false;  // the stream below has
    bool peer_said_goodbye = false;

  private:
    // What the transport has, and takes, now.
    virtual IoResult take(std::span<char> buffer) = 0;
    virtual IoResult give(std::string_view data) = 0;
    // Somebody flushes when there is room, unless a writer does before.
    virtual std::error_code wait_for_room() = 0;
    // Somebody is reading, and will see for himself why receiving is over; or nobody can any more.
    [[nodiscard]] virtual bool has_reader() const = 0;

    // A record, and the little that TLS itself may have to say while it waits. A peer that makes us answer
    // without taking the answers is let go.
    static constexpr std::size_t kMaxWaiting = 64 * 1024;

    std::error_code failure(unsigned long packed);
    void put(std::string_view data);
    void ask_for_room();

    std::error_code transport_error_;
    bool hungry_ = true;    // OpenSSL has asked for more than there was
    bool shaking_ = false;  // what is produced goes out in one piece at the end of a step
    bool goodbye_ = false;
    bool plain_text_ = false;
    bool begun_ = false;
};

}  // namespace evcorothread
